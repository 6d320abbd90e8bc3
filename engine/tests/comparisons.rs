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

use outrigger_engine::{ConflictPolicy, Report, Side};
use outrigger_protocol::CommitKind;
use sim::{Comparisons, Edit, Outcome, Trouble, World, card};

const PUT: fn(u8, u8) -> Edit = |uid, text| Edit::Put { uid, text };

/// Plugins of these members compare; nothing is there yet.
fn comparing(sides: &[Side]) -> World {
    let mut world = World::new();
    for side in sides {
        world.settings.compares[side.index()] = vec!["x".into(), "vcard".into()];
    }
    world
}

/// Both changed item 0 since they agreed on it, A to one text and B to another.
fn both_edited(a: u8, b: u8) -> World {
    let mut world = comparing(&[Side::B]);
    world.edit(Side::A, PUT(0, 3));
    rest(&mut world);
    world.edit(Side::A, PUT(0, a));
    world.edit(Side::B, PUT(0, b));
    world
}

/// Both hold item 0, A with text 0 and B with text 1, and that is agreed.
fn adopted() -> World {
    let mut world = both_edited(0, 1);
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(0), Some(1)]);
    world
}

/// Runs until nothing moves, which must come soon; then nobody is asked, read or written.
fn rest(world: &mut World) {
    for _ in 0..6 {
        let outcome = world.run();
        if outcome.journals == 0 {
            assert_eq!((outcome.commits, outcome.items_read, outcome.compared), (0, 0, vec![]));
            return;
        }
    }
    panic!("it does not come to rest");
}

fn both(world: &World, uid: u8) -> [Option<u8>; 2] {
    world.members.each_ref().map(|member| {
        let data = &member.items[&member.by_uid(uid)?].data;
        (0..9).find(|text| *data == card(Some(uid), *text))
    })
}

fn told(outcome: &Outcome, wanted: fn(&Report) -> bool) -> usize {
    outcome.reports.iter().filter(|report| wanted(report)).count()
}

fn raised(outcome: &Outcome) -> usize {
    told(outcome, |report| matches!(report, Report::Conflict { .. }))
}

#[test]
fn what_means_the_same_is_agreed_without_a_write() {
    for sides in [&[Side::A][..], &[Side::B], &[Side::A, Side::B]] {
        for is_known in [true, false] {
            let mut world = comparing(sides);
            if is_known {
                world.edit(Side::A, PUT(0, 3));
                rest(&mut world);
            }
            world.edit(Side::A, PUT(0, 0));
            world.edit(Side::B, PUT(0, 1));
            let outcome = world.run();
            assert!(outcome.summary().is_clean(), "{:?}", outcome.reports);
            assert_eq!((raised(&outcome), outcome.writes), (0, vec![]));
            assert_eq!(outcome.compared, sides[..1], "one plugin is asked, once");
            rest(&mut world);
            assert_eq!(both(&world, 0), [Some(0), Some(1)]);
        }
    }
}

#[test]
fn an_edit_or_a_deletion_after_that_is_brought_across() {
    for side in Side::BOTH {
        let mut world = adopted();
        world.edit(side, PUT(0, 2));
        let outcome = world.run();
        assert_eq!((outcome.writes.len(), outcome.compared), (1, vec![]), "one alone has news");
        assert_eq!(both(&world, 0), [Some(2); 2]);
        rest(&mut world);

        let mut world = adopted();
        world.edit(side, Edit::Move { uid: 0 });
        assert_eq!(world.run().writes, []);
        rest(&mut world);
        assert_eq!(both(&world, 0), [Some(0), Some(1)], "under another name");

        let mut world = adopted();
        world.edit(side, Edit::Delete { uid: 0 });
        rest(&mut world);
        assert_eq!(both(&world, 0), [None; 2]);
        assert!(world.store.rows.is_empty());
    }
}

#[test]
fn what_one_member_makes_the_same_again_is_news_like_any_other() {
    let mut world = adopted();
    world.edit(Side::A, PUT(0, 1));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(1); 2], "alike byte by byte");
    world.edit(Side::B, PUT(0, 0));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(0); 2]);
}

#[test]
fn both_edited_again_is_asked_again() {
    let mut world = adopted();
    world.edit(Side::A, PUT(0, 1));
    world.edit(Side::B, PUT(0, 0));
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), outcome.writes), (1, vec![]));
    rest(&mut world);
    world.edit(Side::A, PUT(0, 2));
    world.edit(Side::B, PUT(0, 1));
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
    decided.settings.conflict = ConflictPolicy::Prefer(Side::A);
    let outcome = decided.run();
    assert_eq!((outcome.compared.len(), outcome.writes.len()), (0, 1), "it was said that they differ");
    world.edit(Side::A, PUT(0, 0));
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), outcome.writes.len(), outcome.summary().conflicts), (1, 0, 0));
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(0), Some(1)]);
}

#[test]
fn a_preferred_member_overwrites_only_what_means_something_else() {
    for (text, wins) in [(0, 0), (2, 1)] {
        let mut world = both_edited(text, 1);
        world.settings.conflict = ConflictPolicy::Prefer(Side::B);
        let outcome = world.run();
        assert_eq!((outcome.compared.len(), outcome.writes.len()), (1, wins));
        rest(&mut world);
        assert_eq!(both(&world, 0), if wins == 0 { [Some(0), Some(1)] } else { [Some(1); 2] });
    }
}

#[test]
fn what_will_not_be_written_is_not_asked_about_in_every_run() {
    let mut world = both_edited(2, 1);
    world.settings.conflict = ConflictPolicy::Prefer(Side::B);
    world.settings.read_only[0] = true;
    rest(&mut world);
    let outcome = world.run();
    assert_eq!((outcome.summary().sides[0].kept, outcome.compared), (1, vec![]));
    world.settings.read_only[0] = false;
    assert_eq!(world.run().compared, [Side::B], "now something would come of it");
}

#[test]
fn a_format_that_nobody_compares_is_asked_about_nobody() {
    let mut world = both_edited(0, 1);
    world.settings.compares = [vec![], vec!["icalendar".into()]];
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), raised(&outcome)), (0, 1));
    rest(&mut world);
}

/// Nothing goes to it, so its plugin does not get to see what the other member holds either.
#[test]
fn a_member_that_takes_no_writes_is_not_asked() {
    let mut world = both_edited(0, 1);
    world.settings.read_only[1] = true;
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), raised(&outcome)), (0, 1));
}

#[test]
fn a_pair_goes_to_a_plugin_that_takes_so_much_at_once() {
    for (limits, asked) in [([600, 900], vec![Side::B]), ([900, 600], vec![Side::A]), ([600, 600], vec![])] {
        let mut world = comparing(&Side::BOTH);
        world.settings.max_body = limits;
        for (side, text) in Side::BOTH.into_iter().zip([0, 1]) {
            let note = format!("NOTE:{}\r\nEND:", "n".repeat(120));
            let data = String::from_utf8(card(Some(0), text)).unwrap().replace("END:", &note);
            world.member(side).put(b"it", data.into_bytes());
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
    let mut world = comparing(&[Side::A]);
    world.settings.conflict = ConflictPolicy::Prefer(Side::A);
    for uid in 0..60 {
        let size = if uid < 6 { 200 << 10 } else { 10 };
        for (side, text) in Side::BOTH.into_iter().zip([0, 2]) {
            let note = format!("NOTE:{}\r\nEND:", "n".repeat(size));
            let data = String::from_utf8(card(Some(uid), text)).unwrap().replace("END:", &note);
            world.member(side).put(format!("{uid:02}").as_bytes(), data.into_bytes());
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
        let mut world = comparing(&[Side::A]);
        world.settings.conflict = ConflictPolicy::Prefer(Side::A);
        world.edit(Side::A, PUT(0, 2));
        rest(&mut world);
        world.edit(Side::A, PUT(0, 0));
        let edit = Some((step, true, PUT(0, text)));
        let outcome = world.run_with(Trouble { edit, order, ..Trouble::default() });
        if outcome.compared.len() == 1 {
            late += 1;
            let expected = if text == 1 { [Some(0), Some(1)] } else { [Some(0); 2] };
            assert_eq!((both(&world, 0), outcome.summary().is_clean()), (expected, true), "step {step}");
            let is_agreed = world.store.rows.values().all(|row| row.version == 2);
            assert!(is_agreed, "what came of it is durable");
        }
    }
    assert!(late > 4, "it is compared in the middle of the run: {late}");
}

#[test]
fn deletions_wait_for_what_is_compared_late() {
    let mut late = 0;
    for (step, order) in (1..20).flat_map(|step| (0..4).map(move |order| (step, order))) {
        let mut world = comparing(&[Side::A]);
        world.settings.conflict = ConflictPolicy::Prefer(Side::A);
        world.edit(Side::A, PUT(0, 0));
        world.edit(Side::A, PUT(1, 0));
        rest(&mut world);
        world.edit(Side::A, PUT(0, 2));
        world.edit(Side::A, Edit::Delete { uid: 1 });
        let edit = Some((step, true, PUT(0, 3)));
        let outcome = world.run_with(Trouble { edit, order, ..Trouble::default() });
        let deleted = outcome.writes.iter().position(|(_, kind)| *kind == CommitKind::Delete);
        assert_eq!(deleted, Some(outcome.writes.len() - 1), "step {step}: {:?}", outcome.writes);
        late += usize::from(outcome.compared.len() == 1 && outcome.writes.len() == 2);
    }
    assert!(late > 0, "it is compared in the middle of the run");
}

/// The driver holds the engine to eight pairs at once.
#[test]
fn many_pairs_are_compared_a_few_at_a_time() {
    let mut world = comparing(&Side::BOTH);
    for uid in 0..100 {
        world.edit(Side::A, PUT(uid, 0));
        world.edit(Side::B, PUT(uid, 1 + uid % 2));
    }
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), raised(&outcome)), (100, 50));
    assert_eq!(outcome.items_read, 400, "for their keys, then for the comparison");
    rest(&mut world);
}

#[test]
fn a_comparison_that_fails_is_told_and_costs_no_more_than_a_conflict() {
    let mut world = both_edited(0, 1);
    world.edit(Side::A, PUT(1, 0));
    world.comparisons = Comparisons::Failed;
    let outcome = world.run();
    let failed = |report: &Report| matches!(report, Report::CallFailed { side: Side::B, words } if words.starts_with("a comparison"));
    assert_eq!((told(&outcome, failed), raised(&outcome)), (1, 1));
    assert_eq!(both(&world, 1), [Some(0); 2], "the rest goes on");
    world.comparisons = Comparisons::Done;
    rest(&mut world);
    assert_eq!(both(&world, 0), [Some(0), Some(1)]);
}

/// Twenty pairs: the run after the one in which it died gets to its writes.
#[test]
fn a_plugin_that_dies_over_a_pair_is_asked_about_none_of_them_again() {
    let mut world = comparing(&[Side::B]);
    for uid in 0..20 {
        world.edit(Side::A, PUT(uid, 0));
        world.edit(Side::B, PUT(uid, 1));
    }
    world.edit(Side::A, PUT(30, 0));
    world.comparisons = Comparisons::Fatal;
    assert_eq!(raised(&world.run()), 20);
    let outcome = world.run();
    assert_eq!((outcome.compared.len(), outcome.writes), (0, vec![(Side::B, CommitKind::Create)]));
}

/// Nor is it asked about the same one again.
#[test]
fn a_plugin_that_dies_over_a_pair_is_not_asked_about_it_again() {
    for policy in [ConflictPolicy::Queue, ConflictPolicy::Prefer(Side::A)] {
        let mut world = both_edited(0, 1);
        world.settings.conflict = policy;
        world.comparisons = Comparisons::Fatal;
        let outcome = world.run();
        assert_eq!((outcome.compared.len(), outcome.summary().failed), (1, [false, true]));
        world.edit(Side::B, PUT(1, 0));
        let outcome = world.run();
        assert_eq!((outcome.compared.len(), outcome.summary().failed), (0, [false; 2]));
        assert_eq!(both(&world, 1), [Some(0); 2]);
        let is_decided = policy != ConflictPolicy::Queue;
        assert_eq!(outcome.summary().is_clean(), is_decided);
        assert_eq!(both(&world, 0), [Some(0), Some(u8::from(!is_decided))]);
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
        let lost = Some((step, is_b, false));
        let outcome = world.run_with(Trouble { lost, order, ..Trouble::default() });
        assert_eq!((raised(&outcome), outcome.writes), (0, vec![]), "step {step}, {is_b}");
        let is_agreed = world.store.rows.values().all(|row| row.version == 2);
        unanswered += usize::from(!is_agreed && !outcome.compared.is_empty());
        assert_eq!(world.run().compared.len(), usize::from(!is_agreed), "step {step}, {is_b}");
        rest(&mut world);
        assert_eq!(both(&world, 0), [Some(0), Some(1)]);
    }
    assert!(unanswered > 0, "a verdict of one came after the other was lost, and did not count");
}

#[test]
fn a_kill_at_any_step_changes_nothing_in_the_end() {
    for step in 1..12 {
        let mut world = both_edited(0, 1);
        world.run_with(Trouble { crash: Some((step, true)), ..Trouble::default() });
        rest(&mut world);
        assert_eq!(both(&world, 0), [Some(0), Some(1)]);
        assert!(world.store.rows.values().all(|row| row.conflict.is_none()));
    }
}

/// The verdict is about bytes: an edit that it did not see stays news.
#[test]
fn an_edit_while_they_are_compared_is_never_taken_for_agreed() {
    let mut ends = [0, 0];
    for (step, is_b) in (1..12).flat_map(|step| [(step, false), (step, true)]) {
        let mut world = both_edited(0, 1);
        let edit = Some((step, is_b, PUT(0, 2)));
        world.run_with(Trouble { edit, ..Trouble::default() });
        for _ in 0..3 {
            world.run();
        }
        let conflicts = world.run().summary().conflicts;
        match (both(&world, 0), conflicts) {
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
        (0, ConflictPolicy::Prefer(Side::A), 0, 0),
        (2, ConflictPolicy::Prefer(Side::A), 1, 0),
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
