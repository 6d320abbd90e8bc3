//! A plan that was shown is done exactly ([`outrigger_engine::Settings::only`]).

use outrigger_engine::{ConflictPolicy, MemberIndex, PlannedWrite, Report};
use outrigger_protocol::CommitKind;

use crate::sim::stories::{PUT, all, in_sync, rest};
use crate::sim::{A, B, C, Edit, Outcome, World};

/// An edit, a new item and a deletion, for two or three members.
fn news(members: usize) -> World {
    let mut world = in_sync(members);
    world.edit(A, PUT(1, 0));
    rest(&mut world);
    world.edit(A, PUT(0, 1));
    world.edit(A, PUT(2, 2));
    world.edit(A, Edit::Delete { uid: 1 });
    world
}

fn plan(world: &mut World) -> Vec<PlannedWrite> {
    world.settings.dry_run = true;
    let outcome = world.run();
    world.settings.dry_run = false;
    assert_eq!((outcome.journals, outcome.commits), (0, 0));
    let planned = outcome.reports.into_iter().filter_map(|report| match report {
        Report::Planned(write) => Some(write),
        _ => None,
    });
    planned.collect()
}

fn run_only(world: &mut World, plan: &[PlannedWrite]) -> Outcome {
    world.settings.only = Some(plan.iter().cloned().collect());
    let outcome = world.run();
    world.settings.only = None;
    outcome
}

fn sorted(writes: impl IntoIterator<Item = (MemberIndex, CommitKind)>) -> Vec<(u16, u8)> {
    let mut writes: Vec<(u16, u8)> = writes.into_iter().map(|(at, kind)| (at.0, kind as u8)).collect();
    writes.sort_unstable();
    writes
}

#[test]
fn a_plan_is_done_exactly() {
    for members in 2..=3 {
        let mut world = news(members);
        let plan = plan(&mut world);
        assert_eq!(plan.len(), 3 * (members - 1));
        let outcome = run_only(&mut world, &plan);
        assert_eq!(
            sorted(outcome.writes.clone()),
            sorted(plan.iter().map(|write| (write.member, write.kind)))
        );
        rest(&mut world);
        assert_eq!((all(&world, 0), all(&world, 1)), (vec![Some(1); members], vec![None; members]));
    }
}

#[test]
fn what_is_not_in_the_plan_waits() {
    for members in 2..=3 {
        let mut world = news(members);
        let plan = plan(&mut world);
        world.edit(B, PUT(3, 3));
        world.edit(B, PUT(4, 4));
        run_only(&mut world, &plan);
        assert_eq!(all(&world, 0), vec![Some(1); members]);
        assert_eq!((all(&world, 3)[0], all(&world, 4)[0]), (None, None));
        rest(&mut world);
        assert_eq!(all(&world, 3), vec![Some(3); members]);
    }
}

/// A part of a plan is a plan: for one member, or one item.
#[test]
fn a_plan_may_name_one_member_and_not_another() {
    let mut world = news(3);
    let mut plan = plan(&mut world);
    plan.retain(|write| write.member == B);
    let outcome = run_only(&mut world, &plan);
    assert!(outcome.writes.iter().all(|(at, _)| *at == B) && outcome.writes.len() == 3);
    assert_eq!(all(&world, 0), [Some(1), Some(1), Some(0)]);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(1); 3]);
}

#[test]
fn an_empty_plan_writes_nothing() {
    let mut world = news(3);
    assert_eq!(run_only(&mut world, &[]).writes, []);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(1); 3]);
}

/// What is to be written is another content, or what is to be overwritten is.
#[test]
fn what_has_changed_since_the_plan_is_refused() {
    for members in 2..=3 {
        let mut world = news(members);
        let plan = plan(&mut world);
        world.edit(A, PUT(0, 7));
        let outcome = run_only(&mut world, &plan);
        assert_eq!(all(&world, 0)[1..], vec![Some(0); members - 1], "another content");
        assert_eq!(outcome.writes.len(), 2 * (members - 1), "the rest is done");
        assert!(outcome.summary().pending > 0, "and the user is told");
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(7); members]);
    }
}

#[test]
fn a_deletion_of_what_has_changed_since_the_plan_is_refused() {
    let mut world = news(3);
    let plan = plan(&mut world);
    world.edit(C, PUT(1, 7));
    let outcome = run_only(&mut world, &plan);
    assert!(!outcome.writes.iter().any(|(_, kind)| *kind == CommitKind::Delete));
    assert_eq!(all(&world, 1)[1..], [Some(0), Some(7)]);
    rest(&mut world);
    assert_eq!(all(&world, 1), [Some(7); 3], "the edit beats the deletion");
}

/// What a policy makes of a conflict was not shown.
#[test]
fn a_plan_settles_no_conflict_and_leaves_it_to_the_policy() {
    for (policy, members) in [ConflictPolicy::KeepBoth, ConflictPolicy::Resolve]
        .into_iter()
        .flat_map(|policy| [(policy, 2), (policy, 3)])
    {
        let mut world = World::new(members);
        world.settings.conflict = policy;
        world.edit(A, PUT(0, 0));
        world.edit(A, PUT(1, 0));
        rest(&mut world);
        world.edit(A, PUT(0, 1));
        world.edit(B, PUT(0, 2));
        world.edit(A, PUT(1, 1));
        let plan = plan(&mut world);
        assert_eq!(plan.len(), members - 1, "{policy:?}");
        let outcome = run_only(&mut world, &plan);
        assert_eq!((outcome.writes.len(), outcome.merges), (members - 1, 0), "{policy:?}");
        let summary = outcome.summary();
        assert_eq!((summary.resolved, summary.conflicts, summary.pending), (0, 0, 1), "{policy:?}");
        assert_eq!(all(&world, 0)[..2], [Some(1), Some(2)], "{policy:?}");
        assert_eq!(world.run().summary().resolved, 1, "{policy:?}");
        rest(&mut world);
    }
}

/// A plan says so, and one for a person it does not.
#[test]
fn a_plan_tells_conflicts_that_a_policy_settles_from_those_for_a_person() {
    for (policy, expected) in [
        (ConflictPolicy::Queue, false),
        (ConflictPolicy::Newest, false),
        (ConflictPolicy::KeepBoth, true),
        (ConflictPolicy::Resolve, true),
    ] {
        let mut world = in_sync(2);
        world.settings.conflict = policy;
        world.edit(A, PUT(0, 1));
        world.edit(B, PUT(0, 2));
        world.settings.dry_run = true;
        let outcome = world.run();
        let is_for_policy = outcome.reports.iter().find_map(|report| match report {
            Report::Conflict { is_for_policy, .. } => Some(*is_for_policy),
            _ => None,
        });
        assert_eq!((is_for_policy, outcome.summary().conflicts), (Some(expected), 1), "{policy:?}");
    }
}
