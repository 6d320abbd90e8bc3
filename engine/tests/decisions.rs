//! The scenarios of the decisions, each as far as the engine is concerned.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{Canonical, ConflictPolicy, Report, Side};
use outrigger_protocol::{Anchor, CommitKind};
use sim::stories::{PUT, both, conflicts, in_sync, kill_at_commit, rest, text_of, texts};
use sim::{Edit, ListFault, Outcome, Trouble, World, card};

#[test]
fn x1_other_content_needs_a_new_operation() {
    let mut world = in_sync();
    world.edit(Side::A, PUT(0, 1));
    let mut world = kill_at_commit(&world, false);
    let old = world.store.intents[0].operation;
    world.edit(Side::A, PUT(0, 2));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(2), Some(2)]);
    assert!(!world.members[1].operations.contains_key(&old), "the old operation was resolved, not sent");
    assert!(world.store.intents.is_empty());
}

#[test]
fn x1_the_same_write_is_sent_again_under_its_operation() {
    let mut world = in_sync();
    world.edit(Side::A, PUT(0, 1));
    let mut world = kill_at_commit(&world, false);
    let (old, undos) = (world.store.intents[0].operation, world.store.undo.len());
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(1), Some(1)]);
    assert!(world.members[1].operations.contains_key(&old));
    assert_eq!(world.store.undo.len(), undos, "its undo bytes were durable already");
}

#[test]
fn x1_content_that_was_done_is_not_taken_for_the_new_one() {
    let mut world = in_sync();
    world.edit(Side::A, PUT(0, 1));
    let mut world = kill_at_commit(&world, true);
    world.edit(Side::A, PUT(0, 2));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(2), Some(2)], "C1 was done, C2 follows, and that is no conflict");
}

#[test]
fn x2_a_resent_delete_does_not_destroy_what_was_created_meanwhile() {
    let mut world = in_sync();
    let href = world.members[1].by_uid(0).unwrap();
    world.edit(Side::A, Edit::Delete { uid: 0 });
    let mut world = kill_at_commit(&world, true);
    assert_eq!(text_of(&world, Side::B, 0), None);
    world.tick();
    world.member(Side::B).put(&href, card(Some(0), 0));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(0), Some(0)], "even with the same name and content it is a new item");
}

#[test]
fn x2_a_delete_in_doubt_that_was_done_is_done() {
    let mut world = in_sync();
    world.edit(Side::A, Edit::Delete { uid: 0 });
    for applies in [true, false] {
        let mut world = kill_at_commit(&world, applies);
        rest(&mut world);
        assert_eq!(both(&world, 0), [None, None]);
        assert!(world.store.rows.is_empty());
    }
}

#[test]
fn x2_our_own_create_in_doubt_is_not_new() {
    for edit in [PUT(0, 0), Edit::PutBare { name: 0, text: 0 }] {
        for applies in [true, false] {
            let mut world = World::new();
            world.edit(Side::A, edit);
            // Another item with the same content, so that content alone does not tell.
            world.edit(Side::A, PUT(1, 0));
            world.settings.match_content = false;
            world.run_with(Trouble::default());
            world.edit(Side::A, Edit::PutBare { name: 1, text: 0 });
            let mut world = kill_at_commit(&world, applies);
            rest(&mut world);
            assert_eq!(texts(&world, Side::A), texts(&world, Side::B));
            assert_eq!(texts(&world, Side::A).len(), 3);
            assert_eq!(world.store.rows.len(), 3);
        }
    }
}

#[test]
fn x2_an_edit_over_a_write_in_doubt_is_decided_anew() {
    let mut world = in_sync();
    world.edit(Side::A, PUT(0, 1));
    let mut world = kill_at_commit(&world, true);
    world.tick();
    world.edit(Side::B, PUT(0, 2));
    let outcome = world.run();
    assert_eq!(conflicts(&outcome), 1, "text 1 against text 2");
    assert_eq!(both(&world, 0), [Some(1), Some(2)]);
}

#[test]
fn x5_a_queued_conflict_does_not_hold_the_anchor_and_is_not_forgotten() {
    let mut world = in_sync();
    for member in &mut world.members {
        member.feed = true;
    }
    rest(&mut world);
    world.edit(Side::A, PUT(0, 1));
    world.edit(Side::B, PUT(0, 2));
    let before = world.store.anchors.clone();
    assert_eq!(conflicts(&world.run()), 1);
    assert_ne!(world.store.anchors, before);
    let again = world.run();
    assert_eq!((conflicts(&again), again.summary().conflicts), (0, 1), "raised once, then counted");
    // The feed of B names its edit no more, and still it wins when A goes back.
    world.edit(Side::A, PUT(0, 0));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(2), Some(2)]);
}

#[test]
fn x5_a_feed_that_breaks_behind_a_checkpoint_goes_on_from_there() {
    let mut world = in_sync();
    world.member(Side::A).feed = true;
    rest(&mut world);
    for uid in 1..5 {
        world.edit(Side::A, PUT(uid, 0));
    }
    world.edit(Side::B, PUT(9, 8));
    let log = |world: &World| world.members[0].log.len();
    let broken = Trouble { lists: [ListFault::Checkpoint, ListFault::None], ..Trouble::default() };
    let outcome = world.run_with(broken);
    assert_eq!(outcome.summary().sides[0].listed, 3, "two, and one behind the checkpoint");
    assert_eq!(outcome.summary().failed, [true, false]);
    assert_eq!(both(&world, 1), [Some(0), Some(0)], "what came is of use");
    assert_eq!(both(&world, 9), [None, Some(8)], "A may have it, behind the break");
    assert_eq!(world.store.anchors[0], Some(Anchor::from((log(&world) - 2).to_string().as_str())));
    let outcome = world.run();
    assert_eq!(outcome.summary().sides[0].listed, 2, "the feed goes on, it does not begin anew");
    assert_eq!(both(&world, 9), [Some(8), Some(8)]);
    assert_eq!(both(&world, 4), [Some(0), Some(0)]);
}

/// A first feed of a member whose items are known names no item that is gone: it has to come to its
/// end.
#[test]
fn x5_a_first_feed_that_breaks_behind_a_checkpoint_hides_no_deletion() {
    let mut world = in_sync();
    world.member(Side::A).feed = true;
    world.edit(Side::A, PUT(1, 1));
    world.edit(Side::A, Edit::Delete { uid: 0 });
    let broken = Trouble { lists: [ListFault::Checkpoint, ListFault::None], ..Trouble::default() };
    drop(world.run_with(broken));
    assert_eq!(world.store.anchors[0], None);
    rest(&mut world);
    assert_eq!((both(&world, 0), both(&world, 1)), ([None, None], [Some(1), Some(1)]));
}

/// Half of a move: the deletion is in the feed before it breaks, the new name behind it.
#[test]
fn x5_a_deletion_waits_for_a_feed_that_came_to_its_end() {
    let mut world = in_sync();
    world.member(Side::A).feed = true;
    rest(&mut world);
    world.edit(Side::A, Edit::Delete { uid: 0 });
    for uid in [1, 2, 0] {
        world.edit(Side::A, PUT(uid, uid));
    }
    let broken = Trouble { lists: [ListFault::Checkpoint, ListFault::None], ..Trouble::default() };
    let deletes = |outcome: &Outcome| outcome.writes.contains(&(Side::B, CommitKind::Delete));
    assert!(!deletes(&world.run_with(broken)));
    assert!(!deletes(&world.run()), "it was a move");
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(0), Some(0)]);
}

#[test]
fn x5_a_slow_listing_that_breaks_behind_a_checkpoint_is_no_listing() {
    let mut world = in_sync();
    world.member(Side::A).feed = true;
    rest(&mut world);
    world.edit(Side::A, PUT(1, 0));
    let before = world.store.anchors.clone();
    world.settings.slow = [true, false];
    let broken = Trouble { lists: [ListFault::Checkpoint, ListFault::None], ..Trouble::default() };
    assert!(world.run_with(broken).writes.is_empty());
    assert_eq!(world.store.anchors, before);
}

#[test]
fn x5_a_conflict_ends_when_one_side_takes_the_other_text() {
    let mut world = in_sync();
    world.edit(Side::A, PUT(0, 1));
    world.edit(Side::B, PUT(0, 2));
    world.run();
    world.edit(Side::B, PUT(0, 1));
    let outcome = world.run();
    assert!(outcome.writes.is_empty(), "adopted without a write");
    assert_eq!(outcome.summary().conflicts, 0);
    // And the loser who enters his old text again is heard.
    world.edit(Side::B, PUT(0, 2));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(2), Some(2)]);
}

#[test]
fn x6_bytes_are_in_the_journal_before_they_are_taken_away() {
    // The simulated member checks the order; here is what remains.
    let mut world = in_sync();
    world.edit(Side::A, PUT(0, 1));
    rest(&mut world);
    world.edit(Side::B, Edit::Delete { uid: 0 });
    rest(&mut world);
    let kept: Vec<_> = world.store.undo.iter().map(|undo| (undo.side, undo.data.clone())).collect();
    assert_eq!(kept, [(Side::B, card(Some(0), 0)), (Side::A, card(Some(0), 1))]);
}

#[test]
fn x6_the_loser_of_a_preferred_member_is_in_the_journal() {
    let mut world = in_sync();
    world.settings.conflict = ConflictPolicy::Prefer(Side::A);
    world.edit(Side::A, PUT(0, 1));
    world.edit(Side::B, PUT(0, 2));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(1), Some(1)]);
    assert!(world.store.undo.iter().any(|undo| undo.data == card(Some(0), 2)));
}

#[test]
fn s2_an_item_that_a_complete_scan_missed_is_not_deleted() {
    let mut world = in_sync();
    world.edit(Side::A, PUT(1, 0));
    rest(&mut world);
    for fault in
        [ListFault::Blind, ListFault::Incomplete, ListFault::Cut, ListFault::Failed, ListFault::Nameless]
    {
        let outcome = world.run_with(Trouble { lists: [fault, ListFault::None], ..Trouble::default() });
        assert!(outcome.writes.is_empty(), "{fault:?}");
        assert_eq!(outcome.items_read, 0, "a look with the digest costs no item");
    }
    assert_eq!(both(&world, 0), [Some(0), Some(0)]);
}

#[test]
fn s2_another_store_is_left_alone() {
    let mut world = in_sync();
    world.member(Side::B).store = Some("another");
    let href = world.members[1].by_uid(0).unwrap();
    world.member(Side::B).remove(&href);
    let outcome = world.run();
    assert!(outcome.reports.contains(&Report::StoreChanged { side: Side::B }));
    assert!(outcome.writes.is_empty());
    assert_eq!(outcome.summary().failed, [false, true]);
}

#[test]
fn s2_a_slow_listing_deletes_nothing_and_the_next_one_may() {
    let mut world = in_sync();
    world.member(Side::A).feed = true;
    world.edit(Side::A, PUT(1, 0));
    rest(&mut world);
    let href = world.members[0].by_uid(1).unwrap();
    world.member(Side::A).items.remove(&href);
    world.settings.slow = [true, false];
    assert!(world.run().writes.is_empty());
    world.settings.slow = [false, false];
    assert_eq!(world.run().writes, [(Side::B, CommitKind::Delete)]);
}

#[test]
fn s4_a_server_that_rewrites_is_not_written_back_and_later_edits_count() {
    for silent in [false, true] {
        let mut world = World::new();
        world.member(Side::B).rewrites = true;
        world.member(Side::B).silent_digest = silent;
        // Etags are settled at once.
        world.edit(Side::A, PUT(0, 0));
        rest(&mut world);
        assert_eq!(world.members[1].items.len(), 1);
        if !silent {
            assert_eq!(text_of(&world, Side::A, 0), Some(0), "no ping-pong");
        }
        world.edit(Side::A, PUT(0, 1));
        rest(&mut world);
        let digest = |at: usize| {
            let item = world.members[at].items.values().next().unwrap();
            (Canonical::of("vcard", &item.data).key, item.data.windows(5).any(|part| part == b"text1"))
        };
        assert_eq!(digest(0), digest(1));
        assert!(digest(0).1);
    }
}

#[test]
fn s6_a_second_edit_in_one_tick_is_seen_at_the_next_run() {
    let mut world = in_sync();
    // In the tick of the run, before it lists; then once more, and the revision stays the same.
    let first = Trouble { edit: Some((1, false, PUT(0, 1))), ..Trouble::default() };
    world.run_with(first);
    assert_eq!(text_of(&world, Side::B, 0), Some(1));
    world.edit(Side::A, PUT(0, 2));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(2), Some(2)]);
}

#[test]
fn i2_a_precondition_that_fails_is_decided_again_in_the_same_run() {
    // B edits after it was listed and read, in every step of the run.
    for step in 1..9 {
        let mut world = in_sync();
        world.edit(Side::A, PUT(0, 1));
        world.run_with(Trouble { edit: Some((step, true, PUT(0, 2))), ..Trouble::default() });
        rest(&mut world);
        let (a, b) = (text_of(&world, Side::A, 0), text_of(&world, Side::B, 0));
        let is_conflict = (a, b) == (Some(1), Some(2));
        let came_after = (a, b) == (Some(2), Some(2));
        assert!(is_conflict || came_after, "edited at step {step}: {a:?} {b:?}");
    }
}

#[test]
fn s7_only_the_added_duplicate_is_left_alone() {
    let mut world = in_sync();
    world.edit(Side::A, Edit::Duplicate { uid: 0, text: 2 });
    let outcome = world.run();
    assert_eq!(outcome.summary().quarantined, 1);
    let first = world.members[0].items.keys().next().unwrap().clone();
    world.member(Side::A).put(&first, card(Some(0), 1));
    rest(&mut world);
    assert_eq!(text_of(&world, Side::B, 0), Some(1), "the row stays with its item");
    // The first one goes: the duplicate takes its place.
    world.member(Side::A).remove(&first);
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(2), Some(2)]);
    assert_eq!(world.run().summary().quarantined, 0);
}

#[test]
fn s7_without_a_uid_the_key_is_the_href() {
    let mut world = World::new();
    world.edit(Side::A, Edit::PutBare { name: 0, text: 0 });
    world.edit(Side::B, Edit::PutBare { name: 0, text: 0 });
    world.edit(Side::B, Edit::PutBare { name: 1, text: 1 });
    rest(&mut world);
    assert_eq!(texts(&world, Side::A), texts(&world, Side::B));
    assert_eq!(world.store.rows.len(), 2);
}
