//! The scenarios of the decisions, each as far as the engine is concerned.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{Canonical, ConflictPolicy, MemberIndex, Report};
use outrigger_protocol::{Anchor, Code, CommitKind, Error};
use sim::stories::{PUT, all, conflicts, failed, in_sync, kill_at_commit, rest, text_of, texts};
use sim::{A, B, Edit, Fault, ListFault, Outcome, World, card};

/// The feed of A breaks behind a checkpoint.
const BROKEN: Fault = Fault::Listing { member: A, how: ListFault::Checkpoint };

/// The first member that has been sent something else since.
fn written(before: &World, after: &World) -> MemberIndex {
    let sent = |world: &World, at: MemberIndex| world.members[at.index()].operations.len();
    after.all().find(|at| sent(after, *at) > sent(before, *at)).unwrap()
}

#[test]
fn x1_other_content_needs_a_new_operation() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, PUT(0, 1));
        let mut world = kill_at_commit(&world, false);
        let old: Vec<_> = world.store.intents.iter().map(|it| (it.member, it.operation)).collect();
        world.edit(A, PUT(0, 2));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(2); members]);
        let was_sent = |(at, old): &(MemberIndex, _)| world.members[at.index()].operations.contains_key(old);
        assert!(!old.iter().any(was_sent), "the old operations were resolved, not sent");
        assert!(world.store.intents.is_empty());
    }
}

#[test]
fn x1_the_same_write_is_sent_again_under_its_operation() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, PUT(0, 1));
        let mut world = kill_at_commit(&world, false);
        let old: Vec<_> = world.store.intents.iter().map(|it| (it.member, it.operation)).collect();
        let undos = world.store.undo.len();
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(1); members]);
        assert_eq!(old.len(), members - 1);
        assert!(old.iter().all(|(at, old)| world.members[at.index()].operations.contains_key(old)));
        assert_eq!(world.store.undo.len(), undos, "its undo bytes were durable already");
    }
}

#[test]
fn x1_content_that_was_done_is_not_taken_for_the_new_one() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, PUT(0, 1));
        let mut world = kill_at_commit(&world, true);
        world.edit(A, PUT(0, 2));
        rest(&mut world);
        assert_eq!(
            all(&world, 0),
            vec![Some(2); members],
            "C1 was done, C2 follows, and that is no conflict"
        );
    }
}

#[test]
fn x2_a_resent_delete_does_not_destroy_what_was_created_meanwhile() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        let before = world.clone();
        world.edit(A, Edit::Delete { uid: 0 });
        let mut world = kill_at_commit(&world, true);
        let done = written(&before, &world);
        let href = before.members[done.index()].by_uid(0).unwrap();
        assert_eq!(text_of(&world, done, 0), None);
        world.tick();
        world.member(done).put(&href, card(Some(0), 0u8));
        rest(&mut world);
        assert_eq!(
            all(&world, 0),
            vec![Some(0); members],
            "even with the same name and content it is a new item"
        );
    }
}

#[test]
fn x2_a_delete_in_doubt_that_was_done_is_done() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, Edit::Delete { uid: 0 });
        for applies in [true, false] {
            let mut world = kill_at_commit(&world, applies);
            rest(&mut world);
            assert_eq!(all(&world, 0), vec![None; members]);
            assert!(world.store.rows.is_empty());
        }
    }
}

#[test]
fn x2_our_own_create_in_doubt_is_not_new() {
    for members in 2..=3 {
        for edit in [PUT(0, 0), Edit::PutBare { name: 0, text: 0 }] {
            for applies in [true, false] {
                let mut world = World::new(members);
                world.edit(A, edit);
                // Another item with the same content, so that content alone does not tell.
                world.edit(A, PUT(1, 0));
                world.settings.match_content = false;
                world.run();
                world.edit(A, Edit::PutBare { name: 1, text: 0 });
                let mut world = kill_at_commit(&world, applies);
                rest(&mut world);
                assert!(world.all().all(|at| texts(&world, at) == texts(&world, A)));
                assert_eq!(texts(&world, A).len(), 3);
                assert_eq!(world.store.rows.len(), 3);
            }
        }
    }
}

#[test]
fn x2_an_edit_over_a_write_in_doubt_is_decided_anew() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, PUT(0, 1));
        let before = world.clone();
        let mut world = kill_at_commit(&world, true);
        let done = written(&before, &world);
        world.tick();
        world.edit(done, PUT(0, 2));
        let outcome = world.run();
        assert_eq!(conflicts(&outcome), 1, "text 1 against text 2");
        assert_eq!((text_of(&world, A, 0), text_of(&world, done, 0)), (Some(1), Some(2)));
    }
}

#[test]
fn x5_a_queued_conflict_does_not_hold_the_anchor_and_is_not_forgotten() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        for member in &mut world.members {
            member.feed = true;
        }
        rest(&mut world);
        world.edit(A, PUT(0, 1));
        world.edit(B, PUT(0, 2));
        let before = world.store.anchors.clone();
        assert_eq!(conflicts(&world.run()), 1);
        assert!([0, 1].iter().all(|at| world.store.anchors[*at] != before[*at]));
        let again = world.run();
        assert_eq!((conflicts(&again), again.summary().conflicts), (0, 1), "raised once, then counted");
        // The feed of B names its edit no more, and still it wins when A goes back.
        world.edit(A, PUT(0, 0));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(2); members]);
    }
}

#[test]
fn x5_a_feed_that_breaks_behind_a_checkpoint_goes_on_from_there() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.member(A).feed = true;
        rest(&mut world);
        for uid in 1..5 {
            world.edit(A, PUT(uid, 0));
        }
        world.edit(B, PUT(9, 8));
        let log = |world: &World| world.members[0].log.len();
        let outcome = world.run_with(&[BROKEN]);
        assert_eq!(outcome.summary().members[0].counts.listed, 3, "two, and one behind the checkpoint");
        assert_eq!(failed(&outcome)[..2], [true, false]);
        assert_eq!(all(&world, 1), vec![Some(0); members], "what came is of use");
        assert_eq!(all(&world, 9)[..2], [None, Some(8)], "A may have it, behind the break");
        assert_eq!(world.store.anchors[0], Some(Anchor::from((log(&world) - 2).to_string().as_str())));
        let outcome = world.run();
        assert_eq!(outcome.summary().members[0].counts.listed, 2, "the feed goes on, it does not begin anew");
        assert_eq!(all(&world, 9), vec![Some(8); members]);
        assert_eq!(all(&world, 4), vec![Some(0); members]);
    }
}

/// A first feed of a member whose items are known names no item that is gone: it has to come to its
/// end.
#[test]
fn x5_a_first_feed_that_breaks_behind_a_checkpoint_hides_no_deletion() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.member(A).feed = true;
        world.edit(A, PUT(1, 1));
        world.edit(A, Edit::Delete { uid: 0 });
        drop(world.run_with(&[BROKEN]));
        assert_eq!(world.store.anchors[0], None);
        rest(&mut world);
        assert_eq!((all(&world, 0), all(&world, 1)), (vec![None; members], vec![Some(1); members]));
    }
}

/// Half of a move: the deletion is in the feed before it breaks, the new name behind it.
#[test]
fn x5_a_deletion_waits_for_a_feed_that_came_to_its_end() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.member(A).feed = true;
        rest(&mut world);
        world.edit(A, Edit::Delete { uid: 0 });
        for uid in [1, 2, 0] {
            world.edit(A, PUT(uid, uid));
        }
        let deletes = |outcome: &Outcome| outcome.writes.iter().any(|(_, kind)| *kind == CommitKind::Delete);
        assert!(!deletes(&world.run_with(&[BROKEN])));
        assert!(!deletes(&world.run()), "it was a move");
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(0); members]);
    }
}

#[test]
fn x5_a_slow_listing_that_breaks_behind_a_checkpoint_is_no_listing() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.member(A).feed = true;
        rest(&mut world);
        world.edit(A, PUT(1, 0));
        let before = world.store.anchors.clone();
        world.settings.members[0].slow = true;
        assert!(world.run_with(&[BROKEN]).writes.is_empty());
        assert_eq!(world.store.anchors, before);
    }
}

#[test]
fn x5_a_conflict_ends_when_one_side_takes_the_other_text() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, PUT(0, 1));
        world.edit(B, PUT(0, 2));
        world.run();
        world.edit(B, PUT(0, 1));
        let outcome = world.run();
        assert!(!outcome.writes.iter().any(|(at, _)| [A, B].contains(at)), "adopted without a write");
        assert_eq!(outcome.summary().conflicts, 0);
        // And the loser who enters his old text again is heard.
        world.edit(B, PUT(0, 2));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(2); members]);
    }
}

#[test]
fn x6_bytes_are_in_the_journal_before_they_are_taken_away() {
    for members in 2..=3 {
        // The simulated member checks the order; here is what remains.
        let mut world = in_sync(members);
        world.edit(A, PUT(0, 1));
        rest(&mut world);
        world.edit(B, Edit::Delete { uid: 0 });
        rest(&mut world);
        let kept: Vec<_> = world.store.undo.iter().map(|undo| (undo.member, undo.data.clone())).collect();
        assert_eq!(kept.len(), 2 * (members - 1));
        let (old, new) = kept.split_at(members - 1);
        assert!(old.iter().all(|(at, data)| *at != A && *data == card(Some(0), 0u8)), "{kept:?}");
        assert!(new.iter().all(|(at, data)| *at != B && *data == card(Some(0), 1u8)), "{kept:?}");
    }
}

#[test]
fn x6_nothing_is_kept_for_a_write_that_was_refused() {
    for (members, kind) in [(2, CommitKind::Update), (3, CommitKind::Update), (3, CommitKind::Delete)] {
        let mut world = in_sync(members);
        world.edit(A, if kind == CommitKind::Update { PUT(0, 1) } else { Edit::Delete { uid: 0 } });
        world.member(B).refuses = Some((Some(kind), Error::new(Code::BUSY, "not now")));
        for _ in 0..3 {
            world.run();
            let kept = world.store.undo.iter().filter(|undo| undo.member == B).count();
            assert_eq!((kept, world.store.intents.len()), (0, 0), "B took nothing");
        }
        let others = world.store.undo.len();
        assert_eq!(others, members - 2, "the others did");
        world.member(B).refuses = None;
        rest(&mut world);
        assert_eq!(world.store.undo.len(), members - 1, "each took it once");
    }
}

#[test]
fn x6_nothing_is_kept_for_a_write_that_a_kill_kept_from_happening() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, PUT(0, 1));
        let killed = kill_at_commit(&world, false);
        assert_eq!(killed.store.undo.len(), members - 1, "the writes were about to be sent");
        // Nobody wants them any more.
        let mut taken_back = killed.clone();
        taken_back.edit(A, PUT(0, 0));
        rest(&mut taken_back);
        assert_eq!((taken_back.store.undo.len(), taken_back.store.intents.len()), (0, 0));
        // Something else is wanted now: each of them lost one content, once.
        let mut edited = killed;
        edited.edit(A, PUT(0, 2));
        rest(&mut edited);
        let kept: Vec<_> = edited.store.undo.iter().map(|undo| (undo.member, undo.data.clone())).collect();
        let others = edited.all().filter(|at| *at != A);
        assert_eq!(kept, others.map(|at| (at, card(Some(0), 0u8))).collect::<Vec<_>>());
    }
}

#[test]
fn x6_the_loser_of_a_preferred_member_is_in_the_journal() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.settings.conflict = ConflictPolicy::Prefer(A);
        world.edit(A, PUT(0, 1));
        world.edit(B, PUT(0, 2));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(1); members]);
        assert!(world.store.undo.iter().any(|undo| undo.data == card(Some(0), 2u8)));
    }
}

#[test]
fn s2_an_item_that_a_complete_scan_missed_is_not_deleted() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, PUT(1, 0));
        rest(&mut world);
        for fault in
            [ListFault::Blind, ListFault::Incomplete, ListFault::Cut, ListFault::Failed, ListFault::Nameless]
        {
            let outcome = world.run_with(&[Fault::Listing { member: A, how: fault }]);
            assert!(outcome.writes.is_empty(), "{fault:?}");
            assert_eq!(outcome.items_read, 0, "a look with the digest costs no item");
        }
        assert_eq!(all(&world, 0), vec![Some(0); members]);
    }
}

#[test]
fn s2_another_store_is_left_alone() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.member(B).store = Some("another");
        let href = world.members[1].by_uid(0).unwrap();
        world.member(B).remove(&href);
        let outcome = world.run();
        assert!(outcome.reports.contains(&Report::StoreChanged { member: B }));
        assert!(outcome.writes.is_empty());
        assert_eq!(failed(&outcome)[..2], [false, true]);
    }
}

#[test]
fn s2_a_slow_listing_deletes_nothing_and_the_next_one_may() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.member(A).feed = true;
        world.edit(A, PUT(1, 0));
        rest(&mut world);
        let href = world.members[0].by_uid(1).unwrap();
        // Its feed does not name it.
        let gone = world.member(A).items.remove(&href).unwrap();
        world.causes.deleted(A, &gone.data);
        world.settings.members[0].slow = true;
        assert!(world.run().writes.is_empty());
        world.settings.members[0].slow = false;
        let deleted = world.run().writes;
        assert_eq!(deleted.len(), members - 1);
        assert!(deleted.iter().all(|(at, kind)| *at != A && *kind == CommitKind::Delete));
    }
}

#[test]
fn s4_a_server_that_rewrites_is_not_written_back_and_later_edits_count() {
    for members in 2..=3 {
        for silent in [false, true] {
            let mut world = World::new(members);
            world.member(B).rewrites = true;
            world.member(B).silent_digest = silent;
            // Etags are settled at once.
            world.edit(A, PUT(0, 0));
            rest(&mut world);
            assert!(world.members.iter().all(|member| member.items.len() == 1));
            if !silent {
                assert_eq!(text_of(&world, A, 0), Some(0), "no ping-pong");
            }
            world.edit(A, PUT(0, 1));
            rest(&mut world);
            let digest = |at: usize| {
                let item = world.members[at].items.values().next().unwrap();
                (Canonical::of("vcard", &item.data).key, item.data.windows(5).any(|part| part == b"text1"))
            };
            assert!((1..members).all(|at| digest(at) == digest(0)));
            assert!(digest(0).1);
        }
    }
}

#[test]
fn s6_a_second_edit_in_one_tick_is_seen_at_the_next_run() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        // In the tick of the run, before it lists; then once more, and the revision stays the same.
        world.run_with(&[Fault::Meanwhile { member: A, step: 1, edit: PUT(0, 1) }]);
        assert_eq!(text_of(&world, B, 0), Some(1));
        world.edit(A, PUT(0, 2));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(2); members]);
    }
}

#[test]
fn i2_a_precondition_that_fails_is_decided_again_in_the_same_run() {
    for members in 2..=3 {
        // B edits after it was listed and read, in every step of the run.
        for step in 1..9 {
            let mut world = in_sync(members);
            world.edit(A, PUT(0, 1));
            world.run_with(&[Fault::Meanwhile { member: B, step, edit: PUT(0, 2) }]);
            rest(&mut world);
            let (a, b) = (text_of(&world, A, 0), text_of(&world, B, 0));
            let is_conflict = (a, b) == (Some(1), Some(2));
            let came_after = (a, b) == (Some(2), Some(2));
            assert!(is_conflict || came_after, "edited at step {step}: {a:?} {b:?}");
        }
    }
}

#[test]
fn s7_only_the_added_duplicate_is_left_alone() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, Edit::Duplicate { uid: 0, text: 2 });
        let outcome = world.run();
        assert_eq!(outcome.summary().quarantined, 1);
        let first = world.members[0].items.keys().next().unwrap().clone();
        world.member(A).put(&first, card(Some(0), 1u8));
        rest(&mut world);
        assert_eq!(text_of(&world, B, 0), Some(1), "the row stays with its item");
        // The first one goes: the duplicate takes its place.
        world.member(A).remove(&first);
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(2); members]);
        assert_eq!(world.run().summary().quarantined, 0);
    }
}

#[test]
fn s7_without_a_uid_the_key_is_the_href() {
    for members in 2..=3 {
        let mut world = World::new(members);
        world.edit(A, Edit::PutBare { name: 0, text: 0 });
        world.edit(B, Edit::PutBare { name: 0, text: 0 });
        world.edit(B, Edit::PutBare { name: 1, text: 1 });
        rest(&mut world);
        assert!(world.all().all(|at| texts(&world, at) == texts(&world, A)));
        assert_eq!(world.store.rows.len(), 2);
    }
}
