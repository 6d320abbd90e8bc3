//! What one call may be: members that take little at once (`Settings::max_body`). The simulated
//! driver sees to it that no call is larger than its member takes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{Report, Side};
use outrigger_protocol::limits;
use sim::{Outcome, World, card};

/// A card with a note of so many bytes.
fn large(uid: u8, bytes: usize) -> Vec<u8> {
    let text = String::from_utf8(card(Some(uid), 0)).unwrap();
    text.replace("END:", &format!("NOTE:{}\r\nEND:", "n".repeat(bytes))).into_bytes()
}

/// `B` takes the least that a peer may.
fn small() -> World {
    let mut world = World::new();
    world.settings.max_body[1] = limits::MAX_BODY_FLOOR;
    world
}

fn quarantined(outcome: &Outcome) -> Vec<(Side, String, String)> {
    let reports = outcome.reports.iter();
    let found = reports.filter_map(|report| match report {
        Report::Quarantined { side, href, reason, .. } => Some((*side, href.to_string(), reason.clone())),
        _ => None,
    });
    found.collect()
}

#[test]
fn commits_are_split_by_what_the_member_takes() {
    let mut world = small();
    for uid in 0..100 {
        let name = format!("{uid:03}");
        world.members[0].put(name.as_bytes(), large(uid, 2 << 10));
    }
    let outcome = world.run();
    assert!(outcome.summary().is_clean());
    assert_eq!(world.members[1].items.len(), 100);
    assert!(outcome.commits >= 4, "200 KiB in calls of 64 KiB: {}", outcome.commits);
    // Updates and deletions, which read the old bytes too.
    for uid in 0..50 {
        let name = format!("{uid:03}");
        world.members[0].put(name.as_bytes(), large(uid, 3 << 10));
        world.members[0].remove(format!("{:03}", uid + 50).as_bytes());
    }
    let outcome = world.run();
    assert!(outcome.summary().is_clean());
    assert_eq!((outcome.summary().sides[1].updated, outcome.summary().sides[1].deleted), (50, 50));
}

#[test]
fn reads_are_split_by_what_the_member_takes() {
    let mut world = World::new();
    world.settings.max_body = [limits::MAX_BODY_FLOOR; 2];
    for uid in 0..100 {
        let name = format!("{uid:03}{}", "long".repeat(1000));
        world.members[usize::from(uid % 2)].put(name.as_bytes(), large(uid, 10));
    }
    assert!(world.run().summary().is_clean());
    assert_eq!(world.members.each_ref().map(|member| member.items.len()), [100, 100]);
}

#[test]
fn an_item_that_no_call_can_bring_is_set_aside_with_limit_and_size() {
    let mut world = small();
    world.members[0].put(b"fits", large(0, 60 << 10));
    world.members[0].put(b"big", large(1, 70 << 10));
    let outcome = world.run();
    let size = large(1, 70 << 10).len();
    let found = quarantined(&outcome);
    let [(Side::A, name, reason)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(name, "big");
    assert!(reason.contains(&format!("{size} bytes")) && reason.contains("it takes 6"), "{reason}");
    assert_eq!(world.members[1].items.len(), 1, "the other one is there");
    world.run(); // what was written settles
    let outcome = world.run();
    assert_eq!((outcome.journals, outcome.items_read, outcome.summary().quarantined), (0, 0, 1));
    // Made smaller, it goes.
    world.members[0].put(b"big", large(1, 10));
    assert!(world.run().summary().is_clean());
    assert_eq!(world.members[1].items.len(), 2);
}

#[test]
fn what_is_too_large_for_one_member_goes_the_other_way() {
    let mut world = small();
    world.members[1].put(b"big", large(1, 70 << 10));
    assert!(world.run().summary().is_clean());
    assert_eq!(world.members[0].items.len(), 1);
}

#[test]
fn an_edit_that_has_become_too_large_leaves_the_other_member_as_it_was() {
    let mut world = small();
    world.members[0].put(b"a", large(0, 10));
    world.run();
    world.members[0].put(b"a", large(0, 70 << 10));
    let outcome = world.run();
    assert_eq!((quarantined(&outcome).len(), outcome.commits), (1, 0));
    assert_eq!(world.members[1].items.values().next().unwrap().data, large(0, 10));
}
