//! What a run does that no decision is named after: guards, policies, what it reads and what it leaves alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{EditVsDelete, MaxDelete, Report, Side};
use sim::stories::{PUT, both, in_sync, rest, text_of, texts};
use sim::{Edit, Trouble, World, card};

#[test]
fn an_item_beyond_the_limit_is_left_alone_until_it_shrinks() {
    let mut world = World::new();
    let large = format!("BEGIN:VCARD\r\nUID:uid0\r\nNOTE:{}\r\nEND:VCARD\r\n", "x".repeat(1 << 20));
    world.member(Side::A).put(b"large", large.into_bytes());
    world.edit(Side::A, PUT(1, 0));
    let outcome = world.run();
    assert_eq!(outcome.summary().quarantined, 1);
    assert_eq!(both(&world, 1), [Some(0), Some(0)], "the others go on");
    rest(&mut world);
    assert_eq!(world.run().items_read, 0);
    world.edit(Side::A, PUT(0, 1));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(1), Some(1)]);
}

/// A changes, sync, B changes it back, sync: the old text must win, in both directions, after
/// conflicts and across restarts.
#[test]
fn a_text_that_is_changed_back_is_news() {
    for at in Side::BOTH {
        let mut world = in_sync();
        world.edit(at.other(), PUT(0, 1));
        world.run();
        world.edit(at, PUT(0, 0));
        world.run();
        assert_eq!(both(&world, 0), [Some(0), Some(0)]);
        world.edit(at, PUT(0, 1));
        world.run();
        world.edit(at.other(), PUT(0, 0));
        world.run();
        assert_eq!(both(&world, 0), [Some(0), Some(0)]);
    }
}

#[test]
fn a_kill_at_any_step_changes_nothing_in_the_end() {
    let mut start = in_sync();
    start.edit(Side::A, PUT(1, 0));
    start.edit(Side::B, PUT(2, 0));
    start.edit(Side::B, Edit::PutBare { name: 0, text: 1 });
    rest(&mut start);
    start.edit(Side::A, PUT(0, 2));
    start.edit(Side::B, Edit::Delete { uid: 1 });
    start.edit(Side::B, Edit::Rename { uid: 2, to: 5 });
    start.edit(Side::A, PUT(4, 1));
    let mut whole = start.clone();
    rest(&mut whole);
    for step in 1..60 {
        for applies in [false, true] {
            let mut world = start.clone();
            world.run_with(Trouble { crash: Some((step, applies)), ..Trouble::default() });
            rest(&mut world);
            for at in Side::BOTH {
                assert_eq!(texts(&world, at), texts(&whole, at), "killed at step {step}");
            }
        }
    }
    assert_eq!(both(&whole, 5), [Some(0), Some(0)], "the new UID arrived");
}

#[test]
fn a_first_run_reads_each_item_once_and_the_second_none() {
    let mut world = World::new();
    for number in 0..500u32 {
        let data = format!("BEGIN:VCARD\r\nUID:{number}\r\nFN:{number}\r\nEND:VCARD\r\n");
        world.member(Side::A).put(format!("{number}").as_bytes(), data.into_bytes());
    }
    let outcome = world.run();
    assert_eq!(outcome.items_read, 500);
    assert_eq!(outcome.summary().sides[1].created, 500);
    assert!(outcome.summary().is_clean());
    assert!(outcome.commits >= 3 && outcome.journals <= outcome.commits + 4, "{outcome:?}");
    world.run();
    let quiet = world.run();
    assert_eq!((quiet.items_read, quiet.journals, quiet.commits), (0, 0, 0));
}

#[test]
fn a_guard_stops_one_member_and_tells_the_number() {
    let mut world = World::new();
    world.settings.max_delete = MaxDelete::default();
    for uid in 0..9 {
        world.edit(Side::A, PUT(uid, 0));
    }
    rest(&mut world);
    for uid in 0..6 {
        world.edit(Side::A, Edit::Delete { uid });
    }
    world.edit(Side::A, PUT(8, 1));
    world.edit(Side::B, PUT(7, 1));
    for allowed in [None, Some(5), Some(7)] {
        world.settings.allow_deletes = allowed;
        let outcome = world.run();
        let stop = outcome.reports.iter().find_map(|report| match report {
            Report::GuardStop { side: Side::B, planned, total, names } => {
                Some((*planned, *total, names.len()))
            }
            _ => None,
        });
        assert_eq!(stop, Some((6, 9, 6)));
        assert_eq!(text_of(&world, Side::B, 8), Some(0), "nothing is written there");
        assert_eq!(text_of(&world, Side::A, 7), Some(1), "the other member goes on");
    }
    world.settings.allow_deletes = Some(6);
    rest(&mut world);
    assert_eq!(world.members[1].items.len(), 3);
}

#[test]
fn a_leave_to_delete_is_good_for_one_member_only() {
    let mut world = World::new();
    for uid in 0..16 {
        world.edit(Side::A, PUT(uid, 0));
    }
    rest(&mut world);
    world.settings.max_delete = MaxDelete::default();
    for uid in 0..6 {
        world.edit(Side::A, Edit::Delete { uid });
        world.edit(Side::B, Edit::Delete { uid: uid + 8 });
    }
    world.settings.allow_deletes = Some(6);
    let summary = world.run().summary();
    assert!(summary.leave_used);
    assert_eq!((summary.guard, summary.sides.map(|side| side.deleted)), ([false, true], [6, 0]));
    // Given again, it is good for the other.
    let summary = world.run().summary();
    assert_eq!((summary.guard, summary.sides.map(|side| side.deleted)), ([false, false], [0, 6]));
    assert!(!world.run().summary().leave_used, "nobody needed it");
}

#[test]
fn many_deletions_after_a_failed_create_are_told_and_wait() {
    let mut world = World::new();
    for uid in 0..=255 {
        world.edit(Side::A, PUT(uid, 0));
    }
    rest(&mut world);
    for uid in 0..255 {
        world.edit(Side::A, Edit::Delete { uid });
    }
    world.edit(Side::A, Edit::PutBare { name: 0, text: 0 });
    world.fail_creates = true;
    let summary = world.run().summary();
    assert_eq!((summary.sides[1].deleted, summary.pending), (0, 256));
    world.fail_creates = false;
    rest(&mut world);
    assert_eq!(world.members[1].items.len(), 2);
}

#[test]
fn a_guard_stops_the_emptying_of_a_member() {
    let mut world = in_sync();
    world.settings.max_delete = MaxDelete::default();
    world.edit(Side::A, Edit::Delete { uid: 0 });
    assert!(world.run().summary().guard[1]);
    world.settings.allow_deletes = Some(1);
    rest(&mut world);
    assert_eq!(both(&world, 0), [None, None]);
}

#[test]
fn a_read_only_member_is_never_written_and_what_it_is_owed_is_counted() {
    let mut world = in_sync();
    world.settings.read_only = [false, true];
    world.edit(Side::A, PUT(0, 1));
    world.edit(Side::A, PUT(1, 0));
    let outcome = world.run();
    assert_eq!(outcome.summary().sides[1].kept, 2);
    world.settings.read_only = [false, false];
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(1), Some(1)]);
}

#[test]
fn a_dry_run_plans_and_touches_nothing() {
    let mut world = in_sync();
    world.settings.dry_run = true;
    world.edit(Side::A, PUT(0, 1));
    world.edit(Side::B, PUT(1, 0));
    let outcome = world.run();
    let planned = outcome.reports.iter().filter(|report| matches!(report, Report::Planned { .. })).count();
    assert_eq!((planned, outcome.journals, outcome.commits), (2, 0, 0));
}

#[test]
fn an_edit_beats_a_delete_unless_the_user_says_otherwise() {
    for (policy, expected) in [
        (EditVsDelete::Edit, [Some(1), Some(1)]),
        (EditVsDelete::Delete, [None, None]),
        (EditVsDelete::Ask, [Some(1), None]),
    ] {
        let mut world = in_sync();
        world.settings.edit_vs_delete = policy;
        world.edit(Side::A, PUT(0, 1));
        world.edit(Side::B, Edit::Delete { uid: 0 });
        rest(&mut world);
        assert_eq!(both(&world, 0), expected);
    }
}

#[test]
fn a_move_is_neither_a_delete_nor_a_create() {
    let mut world = in_sync();
    world.edit(Side::A, Edit::Move { uid: 0 });
    let outcome = world.run();
    assert!(outcome.writes.is_empty());
    world.edit(Side::B, PUT(0, 1));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(1), Some(1)]);
    assert_eq!(world.members[0].items.len(), 1);
}

#[test]
fn items_that_differ_in_the_uid_alone_are_linked_only_where_each_is_the_only_one() {
    let mut world = World::new();
    world.edit(Side::A, PUT(0, 0));
    world.edit(Side::B, PUT(1, 0));
    assert!(world.run().writes.is_empty());
    let mut world = World::new();
    world.edit(Side::A, PUT(0, 0));
    world.edit(Side::A, PUT(2, 0));
    world.edit(Side::B, PUT(1, 0));
    rest(&mut world);
    assert_eq!(world.members[1].items.len(), 3);
}

/// An item outgrows the limit and comes back to its old text: it is not left alone for ever, and
/// what the other member holds reaches it.
#[test]
fn an_item_that_can_be_read_again_is_not_left_alone() {
    let mut world = World::new();
    world.member(Side::A).put(b"1", card(Some(1), 1));
    world.run();
    world.run();
    world.member(Side::A).put(b"1", vec![b'x'; outrigger_protocol::limits::MAX_ITEM_DATA + 1]);
    let href = world.member(Side::B).items.keys().next().unwrap().clone();
    world.member(Side::B).put(&href, card(Some(1), 2));
    assert_eq!(world.run().summary().quarantined, 1);
    assert_eq!(world.run().summary().quarantined, 1);
    world.member(Side::A).put(b"1", card(Some(1), 1));
    let outcome = world.run();
    assert_eq!(outcome.summary().quarantined, 0, "{:?}", outcome.reports);
    assert_eq!(world.member(Side::A).items[&b"1".to_vec()].data, card(Some(1), 2));
}
