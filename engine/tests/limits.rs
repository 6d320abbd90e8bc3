//! What one call may be: members that take little at once (`Settings::max_body`). The simulated
//! driver sees to it that no call is larger than its member takes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{MemberIndex, Report};
use outrigger_protocol::limits;
use sim::stories::{counts, rest};
use sim::{A, B, Edit, Outcome, World, card};

/// A card with a note of so many bytes.
fn large(uid: u8, bytes: usize) -> Vec<u8> {
    let text = String::from_utf8(card(Some(uid), 0u8)).unwrap();
    text.replace("END:", &format!("NOTE:{}\r\nEND:", "n".repeat(bytes))).into_bytes()
}

/// Two members, then three; `B` takes the least that a peer may.
fn small() -> impl Iterator<Item = World> {
    (2..=3).map(|members| {
        let mut world = World::new(members);
        world.settings.members[B.index()].max_body = limits::MAX_BODY_FLOOR;
        world
    })
}

fn items(world: &World) -> Vec<usize> {
    world.members.iter().map(|member| member.items.len()).collect()
}

fn quarantined(outcome: &Outcome) -> Vec<(MemberIndex, String, String)> {
    let reports = outcome.reports.iter();
    let found = reports.filter_map(|report| match report {
        Report::Quarantined { member, href, reason, .. } => Some((*member, href.to_string(), reason.clone())),
        _ => None,
    });
    found.collect()
}

#[test]
fn commits_are_split_by_what_the_member_takes() {
    for mut world in small() {
        for uid in 0..100 {
            let name = format!("{uid:03}");
            world.write(A, name.as_bytes(), large(uid, 2 << 10));
        }
        let outcome = world.run();
        assert!(outcome.summary().is_clean());
        assert!(items(&world).iter().all(|count| *count == 100));
        assert!(outcome.commits >= 4, "200 KiB in calls of 64 KiB: {}", outcome.commits);
        // Updates and deletions, which read the old bytes too.
        for uid in 0..50 {
            let name = format!("{uid:03}");
            world.write(A, name.as_bytes(), large(uid, 3 << 10));
            world.edit(A, Edit::Delete { uid: uid + 50 });
        }
        let outcome = world.run();
        assert!(outcome.summary().is_clean());
        assert!(counts(&outcome)[1..].iter().all(|counts| *counts == [0, 50, 50]));
    }
}

#[test]
fn reads_are_split_by_what_the_member_takes() {
    for members in 2..=3 {
        let mut world = World::new(members);
        world.settings.members.iter_mut().for_each(|member| member.max_body = limits::MAX_BODY_FLOOR);
        for uid in 0..100u8 {
            let name = format!("{uid:03}{}", "long".repeat(1000));
            let at = usize::from(uid) % members;
            world.write(MemberIndex::at(at), name.as_bytes(), large(uid, 10));
        }
        assert!(world.run().summary().is_clean());
        assert_eq!(items(&world), vec![100; members]);
    }
}

#[test]
fn an_item_that_no_call_can_bring_is_set_aside_with_limit_and_size() {
    for mut world in small() {
        world.write(A, b"fits", large(0, 60 << 10));
        world.write(A, b"big", large(1, 70 << 10));
        let outcome = world.run();
        let size = large(1, 70 << 10).len();
        let found = quarantined(&outcome);
        let [(_, name, reason)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(name, "big");
        assert!(reason.contains(&format!("{size} bytes")) && reason.contains("it takes 6"), "{reason}");
        assert_eq!(items(&world)[1], 1, "the other one is there");
        assert!(items(&world)[2..].iter().all(|count| *count == 2), "who takes more gets both");
        rest(&mut world);
        assert_eq!(world.run().summary().quarantined, 1);
        // Made smaller, it goes.
        world.write(A, b"big", large(1, 10));
        assert!(world.run().summary().is_clean());
        assert!(items(&world).iter().all(|count| *count == 2));
    }
}

#[test]
fn what_is_too_large_for_one_member_goes_the_other_way() {
    for mut world in small() {
        world.write(B, b"big", large(1, 70 << 10));
        assert!(world.run().summary().is_clean());
        assert!(items(&world).iter().all(|count| *count == 1));
    }
}

#[test]
fn an_edit_that_has_become_too_large_leaves_the_other_member_as_it_was() {
    for mut world in small() {
        world.write(A, b"a", large(0, 10));
        world.run();
        world.write(A, b"a", large(0, 70 << 10));
        let outcome = world.run();
        let others = world.members.len() - 2;
        assert_eq!((quarantined(&outcome).len(), outcome.commits), (1, others));
        assert_eq!(world.members[1].items.values().next().unwrap().data, large(0, 10));
    }
}
