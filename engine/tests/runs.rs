//! What a run does that no decision is named after: guards, policies, what it reads and what it leaves alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{Access, EditVsDelete, Guard, MaxDelete, PlannedWrite, Report};
use outrigger_protocol::{Code, CommitKind, Effect, Error};
use sim::stories::{PUT, all, counts, in_sync, rest, stops, text_of, texts, told};
use sim::{A, B, Edit, Fault, Outcome, World, card};

fn guards(outcome: &Outcome) -> Vec<bool> {
    outcome.summary().members.iter().map(|member| member.guard).collect()
}

fn deleted(outcome: &Outcome) -> Vec<u64> {
    counts(outcome).iter().map(|[.., deleted]| *deleted).collect()
}

#[test]
fn an_item_beyond_the_limit_is_left_alone_until_it_shrinks() {
    for members in 2..=3 {
        let mut world = World::new(members);
        let large = format!("BEGIN:VCARD\r\nUID:uid0\r\nNOTE:{}\r\nEND:VCARD\r\n", "x".repeat(1 << 20));
        world.member(A).put(b"large", large.into_bytes());
        world.edit(A, PUT(1, 0));
        let outcome = world.run();
        assert_eq!(outcome.summary().quarantined, 1);
        assert_eq!(all(&world, 1), vec![Some(0); members], "the others go on");
        rest(&mut world);
        assert_eq!(world.run().items_read, 0);
        world.edit(A, PUT(0, 1));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(1); members]);
    }
}

/// A changes, sync, B changes it back, sync: the old text must win, in both directions, after
/// conflicts and across restarts.
#[test]
fn a_text_that_is_changed_back_is_news() {
    for (members, at, other) in [(2, A, B), (2, B, A), (3, A, B), (3, B, A)] {
        let mut world = in_sync(members);
        world.edit(other, PUT(0, 1));
        world.run();
        world.edit(at, PUT(0, 0));
        world.run();
        assert_eq!(all(&world, 0), vec![Some(0); members]);
        world.edit(at, PUT(0, 1));
        world.run();
        world.edit(other, PUT(0, 0));
        world.run();
        assert_eq!(all(&world, 0), vec![Some(0); members]);
    }
}

#[test]
fn a_kill_at_any_step_changes_nothing_in_the_end() {
    for members in 2..=3 {
        let mut start = in_sync(members);
        start.edit(A, PUT(1, 0));
        start.edit(B, PUT(2, 0));
        start.edit(B, Edit::PutBare { name: 0, text: 1 });
        rest(&mut start);
        start.edit(A, PUT(0, 2));
        start.edit(B, Edit::Delete { uid: 1 });
        start.edit(B, Edit::Rename { uid: 2, to: 5 });
        start.edit(A, PUT(4, 1));
        let mut whole = start.clone();
        rest(&mut whole);
        for step in 1..40 * u16::try_from(members).unwrap() {
            for applies in [false, true] {
                let mut world = start.clone();
                world.run_with(&[Fault::Kill { step, applies }]);
                rest(&mut world);
                for at in world.all() {
                    assert_eq!(texts(&world, at), texts(&whole, at), "killed at step {step}");
                }
            }
        }
        assert_eq!(all(&whole, 5), vec![Some(0); members], "the new UID arrived");
    }
}

#[test]
fn a_first_run_reads_each_item_once_and_the_second_none() {
    for members in 2..=3 {
        let mut world = World::new(members);
        for number in 0..500u32 {
            let data = format!("BEGIN:VCARD\r\nUID:{number}\r\nFN:{number}\r\nEND:VCARD\r\n");
            world.member(A).put(format!("{number}").as_bytes(), data.into_bytes());
        }
        let outcome = world.run();
        assert_eq!(outcome.items_read, 500);
        assert!(counts(&outcome)[1..].iter().all(|counts| *counts == [500, 0, 0]));
        assert!(outcome.summary().is_clean());
        assert!(outcome.commits >= 3 && outcome.journals <= outcome.commits + 4, "{outcome:?}");
        world.run();
        let quiet = world.run();
        assert_eq!((quiet.items_read, quiet.journals, quiet.commits), (0, 0, 0));
    }
}

#[test]
fn a_guard_stops_one_member_and_tells_the_number() {
    let mut world = World::new(2);
    world.settings.max_delete = MaxDelete::default();
    for uid in 0..9 {
        world.edit(A, PUT(uid, 0));
    }
    rest(&mut world);
    for uid in 0..6 {
        world.edit(A, Edit::Delete { uid });
    }
    world.edit(A, PUT(8, 1));
    world.edit(B, PUT(7, 1));
    for allowed in [None, Some(5), Some(7)] {
        world.settings.allow.deletes = allowed;
        let outcome = world.run();
        assert_eq!(stops(&outcome), [(B, Guard::Deletes, 6, 9, 6)]);
        assert_eq!(text_of(&world, B, 8), Some(0), "nothing is written there");
        assert_eq!(text_of(&world, A, 7), Some(1), "the other member goes on");
    }
    world.settings.allow.deletes = Some(6);
    rest(&mut world);
    assert_eq!(world.members[1].items.len(), 3);
}

#[test]
fn a_leave_to_delete_is_good_for_one_member_only() {
    let mut world = World::new(2);
    for uid in 0..16 {
        world.edit(A, PUT(uid, 0));
    }
    rest(&mut world);
    world.settings.max_delete = MaxDelete::default();
    for uid in 0..6 {
        world.edit(A, Edit::Delete { uid });
        world.edit(B, Edit::Delete { uid: uid + 8 });
    }
    world.settings.allow.deletes = Some(6);
    let outcome = world.run();
    assert_eq!(outcome.summary().used, [Guard::Deletes]);
    assert_eq!((guards(&outcome), deleted(&outcome)), (vec![false, true], vec![6, 0]));
    // Given again, it is good for the other.
    let outcome = world.run();
    assert_eq!((guards(&outcome), deleted(&outcome)), (vec![false, false], vec![0, 6]));
    assert!(world.run().summary().used.is_empty(), "nobody needed it");
}

#[test]
fn many_deletions_after_a_failed_create_are_told_and_wait() {
    for members in 2..=3 {
        let mut world = World::new(members);
        for uid in 0..=255 {
            world.edit(A, PUT(uid, 0));
        }
        rest(&mut world);
        for uid in 0..255 {
            world.edit(A, Edit::Delete { uid });
        }
        world.edit(A, Edit::PutBare { name: 0, text: 0 });
        let refusal = Error::new(Code::REMOTE, "500").with_effect(Effect::NotStarted);
        world.member(B).refuses = Some((Some(CommitKind::Create), refusal));
        let outcome = world.run();
        assert_eq!((deleted(&outcome)[1], outcome.summary().pending), (0, 256));
        assert!(deleted(&outcome)[2..].iter().all(|count| *count == 255), "only where a create failed");
        world.member(B).refuses = None;
        rest(&mut world);
        assert!(world.members.iter().all(|member| member.items.len() == 2));
    }
}

#[test]
fn a_guard_stops_the_emptying_of_a_member() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.settings.max_delete = MaxDelete::default();
        world.edit(A, Edit::Delete { uid: 0 });
        assert!(guards(&world.run())[1..].iter().all(|stopped| *stopped));
        for _ in 1..members {
            world.settings.allow.deletes = Some(1);
            world.run();
        }
        world.settings.allow.deletes = None;
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![None; members]);
    }
}

#[test]
fn a_read_only_member_is_never_written_and_what_it_is_owed_is_counted() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.settings.members[1].access = Access::ReadOnly;
        world.edit(A, PUT(0, 1));
        world.edit(A, PUT(1, 0));
        let outcome = world.run();
        assert_eq!(outcome.summary().members[1].counts.kept, 2);
        let told = outcome.reports.iter().filter_map(|report| match report {
            Report::Kept(PlannedWrite { member, kind, names, .. }) => {
                Some((*member, *kind, names[1].is_some()))
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let kept = [(B, CommitKind::Update, true), (B, CommitKind::Create, false)];
        assert_eq!(told, kept, "each is told");
        assert_eq!((text_of(&world, B, 0), text_of(&world, B, 1)), (Some(0), None));
        world.settings.members[1].access = Access::Full;
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(1); members]);
        assert_eq!(all(&world, 1), vec![Some(0); members]);
    }
}

#[test]
fn of_very_many_kept_writes_the_first_are_told_and_all_are_counted() {
    let mut world = in_sync(2);
    world.settings.members[1].access = Access::ReadOnly;
    (10..60).for_each(|item| world.edit(A, PUT(item, 0)));
    let outcome = world.run();
    let told = outcome.reports.iter().filter(|report| matches!(report, Report::Kept(_))).count();
    assert_eq!((told, outcome.summary().members[1].counts.kept), (20, 50));
}

#[test]
fn a_dry_run_plans_and_touches_nothing() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.settings.dry_run = true;
        world.edit(A, PUT(0, 1));
        world.edit(B, PUT(1, 0));
        let outcome = world.run();
        let planned = told(&outcome, |report| matches!(report, Report::Planned { .. }));
        assert_eq!((planned, outcome.journals, outcome.commits), (2 * (members - 1), 0, 0));
    }
}

#[test]
fn an_edit_beats_a_delete_unless_the_user_says_otherwise() {
    for (policy, expected) in [
        (EditVsDelete::Edit, [Some(1), Some(1), Some(1)]),
        (EditVsDelete::Delete, [None, None, None]),
        // Whoever had no part in it waits too.
        (EditVsDelete::Ask, [Some(1), None, Some(0)]),
    ] {
        for members in 2..=3 {
            let mut world = in_sync(members);
            world.settings.edit_vs_delete = policy;
            world.edit(A, PUT(0, 1));
            world.edit(B, Edit::Delete { uid: 0 });
            rest(&mut world);
            assert_eq!(all(&world, 0), expected[..members]);
        }
    }
}

#[test]
fn a_move_is_neither_a_delete_nor_a_create() {
    for members in 2..=3 {
        let mut world = in_sync(members);
        world.edit(A, Edit::Move { uid: 0 });
        let outcome = world.run();
        assert!(outcome.writes.is_empty());
        world.edit(B, PUT(0, 1));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(1); members]);
        assert_eq!(world.members[0].items.len(), 1);
    }
}

#[test]
fn items_that_differ_in_the_uid_alone_are_linked_only_where_each_is_the_only_one() {
    for members in 2..=3 {
        let mut world = World::new(members);
        world.edit(A, PUT(0, 0));
        world.edit(B, PUT(1, 0));
        let writes = world.run().writes;
        assert!(writes.iter().all(|(at, _)| ![A, B].contains(at)) && writes.len() == members - 2);
        let mut world = World::new(members);
        world.edit(A, PUT(0, 0));
        world.edit(A, PUT(2, 0));
        world.edit(B, PUT(1, 0));
        rest(&mut world);
        assert!(world.members.iter().all(|member| member.items.len() == 3));
    }
}

/// An item outgrows the limit and comes back to its old text: it is not left alone for ever, and
/// what the other member holds reaches it.
#[test]
fn an_item_that_can_be_read_again_is_not_left_alone() {
    for members in 2..=3 {
        let mut world = World::new(members);
        world.write(A, b"1", card(Some(1), 1u8));
        world.run();
        world.run();
        world.write(A, b"1", vec![b'x'; outrigger_protocol::limits::MAX_ITEM_DATA + 1]);
        let href = world.member(B).items.keys().next().unwrap().clone();
        world.write(B, &href, card(Some(1), 2u8));
        assert_eq!(world.run().summary().quarantined, 1);
        assert_eq!(world.run().summary().quarantined, 1);
        world.write(A, b"1", card(Some(1), 1u8));
        let outcome = world.run();
        assert_eq!(outcome.summary().quarantined, 0, "{:?}", outcome.reports);
        assert_eq!(all(&world, 1), vec![Some(2); members]);
    }
}
