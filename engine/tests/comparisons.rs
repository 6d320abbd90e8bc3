//! Plugins that compare: what a verdict does to a row, in this run and in those after it.
//!
//! To the plugins here the texts 0 and 1 mean the same, and text 2 means something else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{Access, ConflictPolicy, MemberIndex, Report, Row};
use outrigger_protocol::CommitKind;
use sim::stories::{PUT, all, conflicts as raised, failed, rest, told};
use sim::{A, B, C, Choice, Comparisons, Edit, Fault, World, card};

/// Plugins of these members compare; nothing is there yet.
fn comparing(members: usize, who: &[MemberIndex]) -> World {
    let mut world = World::new(members);
    for at in who {
        world.settings.members[at.index()].compares = vec!["x".into(), "vcard".into()];
    }
    world
}

/// A and B changed item 0 since all agreed on text 3, A to one text and B to another.
fn edited(members: usize, a: u8, b: u8) -> World {
    let mut world = comparing(members, &[B]);
    world.edit(A, PUT(0, 3));
    rest(&mut world);
    world.edit(A, PUT(0, a));
    world.edit(B, PUT(0, b));
    world
}

fn both_edited(a: u8, b: u8) -> World {
    edited(2, a, b)
}

/// A holds item 0 with text 0 and B with text 1, and that is agreed; of more members, who had no part
/// in it has what A has.
fn adopted(members: usize) -> World {
    let mut world = edited(members, 0, 1);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(0), Some(1), Some(0)][..members]);
    world
}

#[test]
fn what_means_the_same_is_agreed_without_a_write() {
    for who in [&[A][..], &[B], &[A, B]] {
        for is_known in [true, false] {
            let mut world = comparing(2, who);
            if is_known {
                world.edit(A, PUT(0, 3));
                rest(&mut world);
            }
            world.edit(A, PUT(0, 0));
            world.edit(B, PUT(0, 1));
            let outcome = world.run();
            assert!(outcome.summary().is_clean(), "{:?}", outcome.reports);
            assert_eq!((raised(&outcome), outcome.writes), (0, vec![]));
            assert_eq!(outcome.compared, who[..1], "one plugin is asked, once");
            rest(&mut world);
            assert_eq!(all(&world, 0), [Some(0), Some(1)]);
        }
    }
}

/// Of edits that mean the same, the first is for those who had no part in it.
#[test]
fn what_means_the_same_is_brought_to_the_others() {
    let mut world = edited(3, 0, 1);
    let outcome = world.run();
    assert!(outcome.summary().is_clean(), "{:?}", outcome.reports);
    assert_eq!((raised(&outcome), outcome.compared), (0, vec![B]));
    assert_eq!(outcome.writes, [(C, CommitKind::Update)]);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(0), Some(1), Some(0)]);
    // And nobody takes that for the same as what was agreed before.
    world.edit(C, PUT(0, 3));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(3); 3]);
}

#[test]
fn an_edit_or_a_deletion_after_that_is_brought_across() {
    for (members, at) in [(2, A), (2, B), (3, A), (3, B), (3, C)] {
        let mut world = adopted(members);
        world.edit(at, PUT(0, 2));
        let outcome = world.run();
        assert_eq!((outcome.writes.len(), outcome.compared), (members - 1, vec![]), "one alone has news");
        assert_eq!(all(&world, 0), vec![Some(2); members]);
        rest(&mut world);

        let mut world = adopted(members);
        let before = all(&world, 0);
        world.edit(at, Edit::Move { uid: 0 });
        assert_eq!(world.run().writes, []);
        rest(&mut world);
        assert_eq!(all(&world, 0), before, "under another name");

        let mut world = adopted(members);
        world.edit(at, Edit::Delete { uid: 0 });
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![None; members]);
        assert!(world.store.rows.is_empty());
    }
}

/// Found by the generator (I1): A has deleted what B has edited, and C has made anew what was agreed before.
/// That is no side of the edit, which outlives the deletion.
#[test]
fn what_was_agreed_and_is_made_anew_is_compared_with_no_edit() {
    let mut world = comparing(3, &[C]);
    world.edit(A, PUT(0, 0));
    world.run_with(&[Fault::Away { member: C }]);
    world.edit(A, Edit::Delete { uid: 0 });
    world.edit(B, PUT(0, 1));
    world.edit(C, PUT(0, 0));
    assert_eq!(world.run().compared, []);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(1); 3]);
}

/// A has edited it since, to what means the same as what B has not been brought over yet.
#[test]
fn what_a_person_wrote_is_no_less_for_what_means_the_same_as_what_it_was_chosen_over() {
    let mut world = both_edited(2, 0);
    assert_eq!(raised(&world.run()), 1);
    world.choose(0, Choice::Write { text: 5 });
    world.edit(A, PUT(0, 1));
    let outcome = world.run();
    assert_eq!((raised(&outcome), outcome.compared), (1, vec![]));
    assert!(world.store.rows.values().all(|row| row.supplied.is_some()));
}

/// Found by the generator (I2): both have edited it since, to what means the same.
#[test]
fn what_a_person_wrote_is_not_dropped_for_two_edits_that_mean_the_same() {
    let mut world = both_edited(2, 0);
    assert_eq!(raised(&world.run()), 1);
    world.choose(0, Choice::Write { text: 5 });
    world.edit(A, PUT(0, 1));
    world.edit(B, PUT(0, 0));
    let outcome = world.run();
    assert_eq!((raised(&outcome), outcome.compared), (1, vec![]));
    assert!(world.store.rows.values().all(|row| row.supplied.is_some()));
}

#[test]
fn what_one_member_makes_the_same_again_is_news_like_any_other() {
    for members in 2..=3 {
        let mut world = adopted(members);
        world.edit(A, PUT(0, 1));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(1); members], "alike byte by byte");
        world.edit(B, PUT(0, 0));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(0); members]);
    }
}

#[test]
fn both_edited_again_is_asked_again() {
    let mut world = adopted(2);
    world.edit(A, PUT(0, 1));
    world.edit(B, PUT(0, 0));
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), outcome.writes), (1, vec![]));
    rest(&mut world);
    world.edit(A, PUT(0, 2));
    world.edit(B, PUT(0, 1));
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), raised(&outcome)), (1, 1));
}

#[test]
fn a_conflict_is_asked_about_once_and_what_becomes_the_same_later_wins() {
    let mut world = both_edited(2, 1);
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), raised(&outcome), outcome.summary().conflicts), (1, 1, 1));
    rest(&mut world);
    assert_eq!(world.run().summary().conflicts, 1);
    let mut decided = world.clone();
    decided.settings.conflict = ConflictPolicy::Prefer(A);
    let outcome = decided.run();
    assert_eq!((outcome.compared.len(), outcome.writes.len()), (0, 1), "it was said that they differ");
    world.edit(A, PUT(0, 0));
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), outcome.writes.len(), outcome.summary().conflicts), (1, 0, 0));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(0), Some(1)]);
}

#[test]
fn a_preferred_member_overwrites_only_what_means_something_else() {
    for (text, wins) in [(0, 0), (2, 1)] {
        let mut world = both_edited(text, 1);
        world.settings.conflict = ConflictPolicy::Prefer(B);
        let outcome = world.run();
        assert_eq!((outcome.compared.len(), outcome.writes.len()), (1, wins));
        rest(&mut world);
        assert_eq!(all(&world, 0), if wins == 0 { [Some(0), Some(1)] } else { [Some(1); 2] });
    }
}

#[test]
fn what_will_not_be_written_is_not_asked_about_in_every_run() {
    let mut world = both_edited(2, 1);
    world.settings.conflict = ConflictPolicy::Prefer(B);
    world.settings.members[0].access = Access::ReadOnly;
    rest(&mut world);
    let outcome = world.run();
    assert_eq!((outcome.summary().members[0].counts.kept, outcome.compared), (1, vec![]));
    world.settings.members[0].access = Access::Full;
    assert_eq!(world.run().compared, [B], "now something would come of it");
}

#[test]
fn a_format_that_nobody_compares_is_asked_about_nobody() {
    let mut world = both_edited(0, 1);
    world.settings.members[1].compares = vec!["icalendar".into()];
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), raised(&outcome)), (0, 1));
    rest(&mut world);
}

/// Nothing goes to it, so its plugin does not get to see what the other member holds either.
#[test]
fn a_member_that_takes_no_writes_is_not_asked() {
    let mut world = both_edited(0, 1);
    world.settings.members[1].access = Access::ReadOnly;
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), raised(&outcome)), (0, 1));
}

#[test]
fn a_pair_goes_to_a_plugin_that_takes_so_much_at_once() {
    for (limits, asked) in [([600, 900], vec![B]), ([900, 600], vec![A]), ([600, 600], vec![])] {
        let mut world = comparing(2, &[A, B]);
        for (member, limit) in world.settings.members.iter_mut().zip(limits) {
            member.max_body = limit;
        }
        for (at, text) in [A, B].into_iter().zip([0u8, 1]) {
            let note = format!("NOTE:{}\r\nEND:", "n".repeat(120));
            let data = String::from_utf8(card(Some(0), text)).unwrap().replace("END:", &note);
            world.member(at).put(b"it", data.into_bytes());
        }
        let outcome = world.run();
        assert_eq!(outcome.compared, asked, "{limits:?}");
        assert_eq!(raised(&outcome), usize::from(asked.is_empty()));
        rest(&mut world);
    }
}

/// A lot that is full leaves some to the next one, and those are decided anew.
#[test]
fn a_pair_is_asked_about_once_a_run_however_often_it_is_decided() {
    let mut world = comparing(2, &[A]);
    world.settings.conflict = ConflictPolicy::Prefer(A);
    for uid in 0..60 {
        let size = if uid < 6 { 200 << 10 } else { 10 };
        for (at, text) in [A, B].into_iter().zip([0u8, 2]) {
            let note = format!("NOTE:{}\r\nEND:", "n".repeat(size));
            let data = String::from_utf8(card(Some(uid), text)).unwrap().replace("END:", &note);
            world.member(at).put(format!("{uid:02}").as_bytes(), data.into_bytes());
        }
    }
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), outcome.writes.len()), (60, 60));
}

/// A write finds that the item was edited meanwhile, and now both were.
#[test]
fn what_is_disputed_in_the_middle_of_a_run_is_asked_about_too() {
    let mut late = 0;
    for (step, order, text) in
        (1..20).flat_map(|step| (0..4).flat_map(move |order| [(step, order, 1), (step, order, 3)]))
    {
        let mut world = comparing(2, &[A]);
        world.settings.conflict = ConflictPolicy::Prefer(A);
        world.edit(A, PUT(0, 2));
        rest(&mut world);
        world.edit(A, PUT(0, 0));
        let edit = Fault::Meanwhile { member: B, step, edit: PUT(0, text) };
        let outcome = world.run_with(&[edit, Fault::Order { seed: order }]);
        if outcome.compared.len() == 1 {
            late += 1;
            let expected = if text == 1 { [Some(0), Some(1)] } else { [Some(0); 2] };
            assert_eq!(
                (all(&world, 0), outcome.summary().is_clean()),
                (expected.to_vec(), true),
                "step {step}"
            );
            let rows = world.store.rows.values();
            let has_it = |row: &Row, at| row.entry(at).is_some_and(|entry| entry.have == row.version);
            assert!(rows.clone().all(|row| has_it(row, A) && has_it(row, B)), "what came of it is durable");
        }
    }
    assert!(late > 4, "it is compared in the middle of the run: {late}");
}

#[test]
fn deletions_wait_for_what_is_compared_late() {
    let mut late = 0;
    for (step, order) in (1..20).flat_map(|step| (0..4).map(move |order| (step, order))) {
        let mut world = comparing(2, &[A]);
        world.settings.conflict = ConflictPolicy::Prefer(A);
        world.edit(A, PUT(0, 0));
        world.edit(A, PUT(1, 0));
        rest(&mut world);
        world.edit(A, PUT(0, 2));
        world.edit(A, Edit::Delete { uid: 1 });
        let edit = Fault::Meanwhile { member: B, step, edit: PUT(0, 3) };
        let outcome = world.run_with(&[edit, Fault::Order { seed: order }]);
        let deleted = outcome.writes.iter().position(|(_, kind)| *kind == CommitKind::Delete);
        assert_eq!(deleted, Some(outcome.writes.len() - 1), "step {step}: {:?}", outcome.writes);
        late += usize::from(outcome.compared.len() == 1 && outcome.writes.len() == 2);
    }
    assert!(late > 0, "it is compared in the middle of the run");
}

/// The driver holds the engine to eight pairs at once.
#[test]
fn many_pairs_are_compared_a_few_at_a_time() {
    let mut world = comparing(2, &[A, B]);
    for uid in 0..100 {
        world.edit(A, PUT(uid, 0));
        world.edit(B, PUT(uid, 1 + uid % 2));
    }
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), raised(&outcome)), (100, 50));
    assert_eq!(outcome.items_read, 400, "for their keys, then for the comparison");
    rest(&mut world);
}

#[test]
fn a_comparison_that_fails_is_told_and_costs_no_more_than_a_conflict() {
    let mut world = both_edited(0, 1);
    world.edit(A, PUT(1, 0));
    world.comparisons = Comparisons::Failed;
    let outcome = world.run();
    let failed = |report: &Report| matches!(report, Report::CallFailed { member: B, words } if words.starts_with("a comparison"));
    assert_eq!((told(&outcome, failed), raised(&outcome)), (1, 1));
    assert_eq!(all(&world, 1), [Some(0); 2], "the rest goes on");
    world.comparisons = Comparisons::Done;
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(0), Some(1)]);
}

/// Twenty pairs: the run after the one in which it died gets to its writes.
#[test]
fn a_plugin_that_dies_over_a_pair_is_asked_about_none_of_them_again() {
    let mut world = comparing(2, &[B]);
    for uid in 0..20 {
        world.edit(A, PUT(uid, 0));
        world.edit(B, PUT(uid, 1));
    }
    world.edit(A, PUT(30, 0));
    world.comparisons = Comparisons::Fatal;
    assert_eq!(raised(&world.run()), 20);
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), outcome.writes), (0, vec![(B, CommitKind::Create)]));
}

/// Nor is it asked about the same one again.
#[test]
fn a_plugin_that_dies_over_a_pair_is_not_asked_about_it_again() {
    for policy in [ConflictPolicy::Queue, ConflictPolicy::Prefer(A)] {
        let mut world = both_edited(0, 1);
        world.settings.conflict = policy;
        world.comparisons = Comparisons::Fatal;
        let outcome = world.run();
        assert_eq!((outcome.compared.len(), failed(&outcome)), (1, vec![false, true]));
        world.edit(B, PUT(1, 0));
        let outcome = world.run();
        assert_eq!((outcome.compared.len(), failed(&outcome)), (0, vec![false; 2]));
        assert_eq!(all(&world, 1), [Some(0); 2]);
        let is_decided = policy != ConflictPolicy::Queue;
        assert_eq!(outcome.summary().is_clean(), is_decided);
        assert_eq!(all(&world, 0), [Some(0), Some(u8::from(!is_decided))]);
        rest(&mut world);
    }
}

/// Whatever is open then: a read for it, or the comparison itself, at this member or the other.
#[test]
fn a_member_that_is_lost_leaves_the_pair_for_the_next_run() {
    let mut unanswered = 0;
    for (step, is_b, order) in
        (1..12).flat_map(|step| [(step, false, 1), (step, true, 1), (step, false, 2), (step, true, 2)])
    {
        let mut world = both_edited(0, 1);
        let member = if is_b { B } else { A };
        let lost = Fault::Lose { member, step, applies: false };
        let outcome = world.run_with(&[lost, Fault::Order { seed: order }]);
        assert_eq!((raised(&outcome), outcome.writes), (0, vec![]), "step {step}, {is_b}");
        let is_agreed = world.store.rows.values().all(|row| row.version == 3);
        unanswered += usize::from(!is_agreed && !outcome.compared.is_empty());
        assert_eq!(world.run().compared.len(), usize::from(!is_agreed), "step {step}, {is_b}");
        rest(&mut world);
        assert_eq!(all(&world, 0), [Some(0), Some(1)]);
    }
    assert!(unanswered > 0, "a verdict of one came after the other was lost, and did not count");
}

#[test]
fn a_kill_at_any_step_changes_nothing_in_the_end() {
    for step in 1..12 {
        let mut world = both_edited(0, 1);
        world.run_with(&[Fault::Kill { step, applies: true }]);
        rest(&mut world);
        assert_eq!(all(&world, 0), [Some(0), Some(1)]);
        assert!(world.store.rows.values().all(|row| row.conflict.is_none()));
    }
}

/// The verdict is about bytes: an edit that it did not see stays news.
#[test]
fn an_edit_while_they_are_compared_is_never_taken_for_agreed() {
    let mut ends = [0, 0];
    for (step, is_b) in (1..12).flat_map(|step| [(step, false), (step, true)]) {
        let mut world = both_edited(0, 1);
        let member = if is_b { B } else { A };
        world.run_with(&[Fault::Meanwhile { member, step, edit: PUT(0, 2) }]);
        for _ in 0..3 {
            world.run();
        }
        let conflicts = world.run().summary().conflicts;
        match (all(&world, 0).as_slice(), conflicts) {
            ([Some(2), Some(2)], 0) => ends[0] += 1,
            ([Some(2), Some(1)] | [Some(0), Some(2)], 1) => ends[1] += 1,
            ([Some(0), Some(1)], 0) => {} // the run was over by then, or the step did not come
            other => panic!("step {step}, {is_b}: {other:?}"),
        }
    }
    assert!(ends.iter().all(|end| *end > 0), "before it is read, and after: {ends:?}");
}

#[test]
fn a_plan_asks_too_and_shows_what_the_run_does() {
    for (text, policy, planned, conflicts) in [
        (0, ConflictPolicy::Queue, 0, 0),
        (2, ConflictPolicy::Queue, 0, 1),
        (0, ConflictPolicy::Prefer(A), 0, 0),
        (2, ConflictPolicy::Prefer(A), 1, 0),
    ] {
        let mut world = both_edited(text, 1);
        world.settings.conflict = policy;
        world.settings.dry_run = true;
        let plan = world.run();
        assert_eq!((plan.compared.len(), plan.journals, plan.commits), (1, 0, 0));
        assert_eq!(told(&plan, |report| matches!(report, Report::Planned { .. })), planned);
        world.settings.dry_run = false;
        let run = world.run();
        assert_eq!([&plan, &run].map(raised), [conflicts; 2]);
        assert_eq!(run.writes.len(), planned);
    }
}
