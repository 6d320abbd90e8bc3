//! Creates in doubt where the listing says too little to find them: a member that keeps operation IDs
//! is sent the same write again; with all others it stays in doubt, and that is said (decisions X2, X4).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::Access;
use outrigger_protocol::{Code, CommitKind, Dedupe, Effect, Error, OperationId};
use sim::stories::{PUT, all, rest};
use sim::{A, B, Fault, ListFault, Moment, Outcome, Who, World};

const ALL: [Dedupe; 4] = [Dedupe::Token, Dedupe::Conditional, Dedupe::Lookup, Dedupe::None];

/// B lists less than it has, and says so.
const PARTIAL: Fault = Fault::Listing { member: B, how: ListFault::Incomplete };

/// B was sent items 0 and 2, did it or not, and did not answer. A listing that is not whole names item 1.
fn in_doubt(members: usize, dedupe: Dedupe, was_done: bool) -> World {
    let mut world = World::new(members);
    world.edit(A, PUT(1, 1));
    rest(&mut world);
    world.member(B).dedupe = dedupe;
    world.edit(A, PUT(0, 10));
    world.edit(A, PUT(2, 12));
    let moment = if was_done { Moment::AppliedNotAnswered } else { Moment::ReceivedNotApplied };
    let outcome = world.run_with(&[Fault::Die { member: B, moment, who: Who::Keeper }]);
    assert!(outcome.has_died);
    assert_eq!(doubts(&world), 2);
    world
}

/// Writes to B that are in doubt.
fn doubts(world: &World) -> usize {
    world.store.intents.iter().filter(|intent| intent.member == B).count()
}

fn ids(world: &World) -> Vec<OperationId> {
    world.store.intents.iter().filter(|intent| intent.member == B).map(|intent| intent.operation).collect()
}

fn is_said(outcome: &Outcome, count: u64) {
    let summary = outcome.summary();
    assert_eq!((summary.members[1].counts.in_doubt, summary.pending), (count, count));
}

/// In the end all hold both items once, and each was made once.
fn ends_well(mut world: World, made: usize) {
    let last = rest(&mut world);
    world.check_rest(&last);
    for uid in [0, 2] {
        assert_eq!(all(&world, uid), vec![Some(10 + uid); world.members.len()]);
    }
    assert!(world.members.iter().all(|member| member.items.len() == 3));
    assert_eq!(made, 2, "each of the two was made once");
}

/// What B was made to create, by all that it did.
fn made(world: &World) -> usize {
    world.members[1].items.len() - 1
}

#[test]
fn x4_who_keeps_operation_ids_is_sent_the_same_again_at_once() {
    for members in [2, 3] {
        for was_done in [true, false] {
            let mut world = in_doubt(members, Dedupe::Token, was_done);
            let before = ids(&world);
            let outcome = world.run_with(&[PARTIAL]);
            assert_eq!((doubts(&world), made(&world)), (0, 2), "done before: {was_done}");
            let known = &world.members[1].operations;
            assert!(before.iter().all(|id| known.contains_key(id)) && known.len() == 3, "under its ID (X1)");
            assert_eq!(outcome.writes.len(), if was_done { 0 } else { 2 });
            is_said(&outcome, 0);
            let count = made(&world);
            ends_well(world, count);
        }
    }
}

#[test]
fn x2_with_all_others_it_stays_in_doubt_and_that_is_said() {
    for members in [2, 3] {
        for dedupe in ALL.into_iter().filter(|dedupe| *dedupe != Dedupe::Token) {
            for was_done in [true, false] {
                let mut world = in_doubt(members, dedupe, was_done);
                for _ in 0..2 {
                    let outcome = world.run_with(&[PARTIAL]);
                    assert_eq!((outcome.commits, doubts(&world)), (0, 2), "{dedupe:?}");
                    is_said(&outcome, 2);
                    assert!(!outcome.summary().is_clean());
                }
                let outcome = world.run();
                assert_eq!(outcome.writes.len(), if was_done { 0 } else { 2 }, "{dedupe:?}");
                is_said(&outcome, 0);
                let count = made(&world);
                ends_well(world, count);
            }
        }
    }
}

#[test]
fn x1_another_text_is_not_sent_before_the_first_one_is_known_to_be_done_or_not() {
    for dedupe in ALL {
        for was_done in [true, false] {
            let mut world = in_doubt(2, dedupe, was_done);
            world.edit(A, PUT(0, 7));
            world.edit(A, PUT(2, 8));
            let outcome = world.run_with(&[PARTIAL]);
            assert_eq!((outcome.commits, doubts(&world)), (0, 2), "{dedupe:?}");
            is_said(&outcome, 2);
            rest(&mut world);
            assert_eq!((all(&world, 0), all(&world, 2)), (vec![Some(7); 2], vec![Some(8); 2]), "{dedupe:?}");
            assert_eq!(world.members[1].items.len(), 3);
        }
    }
}

/// "Not started" is about this call: what the first one did, it does not say.
#[test]
fn x2_an_error_of_the_second_call_says_nothing_of_the_first() {
    for code in [Code::OVERLOADED, Code::INVALID] {
        for was_done in [true, false] {
            let mut world = in_doubt(2, Dedupe::Token, was_done);
            let error = Error::new(code, "no").with_effect(Effect::NotStarted);
            world.member(B).refuses = Some((Some(CommitKind::Create), error));
            let outcome = world.run_with(&[PARTIAL]);
            assert_eq!((outcome.commits, doubts(&world)), (1, 2));
            is_said(&outcome, 2);
            world.member(B).refuses = None;
            drop(world.run_with(&[PARTIAL]));
            assert_eq!(doubts(&world), 0);
            let count = made(&world);
            ends_well(world, count);
        }
    }
}

/// Killed at the second call too, at any moment of it.
#[test]
fn x4_a_second_call_without_an_answer_is_followed_by_a_third() {
    for who in [Who::Target, Who::Keeper, Who::Command, Who::Machine] {
        for moment in [Moment::HalfSent, Moment::AppliedNotAnswered, Moment::AnsweredNotJournaled] {
            let mut world = in_doubt(3, Dedupe::Token, false);
            let dies = Fault::Die { member: B, moment, who };
            assert!(world.run_with(&[PARTIAL, dies]).has_died, "{who:?} {moment:?}");
            drop(world.run_with(&[PARTIAL]));
            assert_eq!((doubts(&world), made(&world)), (0, 2), "{who:?} {moment:?}");
            let count = made(&world);
            ends_well(world, count);
        }
    }
}

#[test]
fn x2_whoever_is_left_alone_or_takes_no_more_writes_stays_in_doubt() {
    let mut world = in_doubt(3, Dedupe::Token, true);
    let outcome = world.run_with(&[Fault::Away { member: B }]);
    assert_eq!((outcome.summary().members[1].counts.in_doubt, doubts(&world)), (2, 2));
    world.settings.members[1].access = Access::ReadOnly;
    let outcome = world.run_with(&[PARTIAL]);
    assert_eq!((outcome.commits, doubts(&world)), (0, 2));
    world.settings.members[1].access = Access::Full;
    let count = made(&world);
    ends_well(world, count);
}

#[test]
fn i5_a_dry_run_leaves_the_doubt_as_it_is() {
    let mut world = in_doubt(2, Dedupe::Token, true);
    world.settings.dry_run = true;
    let before = world.store.clone();
    assert_eq!(world.run_with(&[PARTIAL]).commits, 0);
    assert_eq!(world.store, before);
}

/// What is there is there, however little else is listed.
#[test]
fn x2_a_listing_that_is_not_whole_may_show_that_it_was_done() {
    for dedupe in ALL {
        let mut world = World::new(2);
        world.member(B).dedupe = dedupe;
        world.edit(A, PUT(0, 0));
        rest(&mut world);
        world.edit(A, PUT(1, 1));
        drop(world.run_with(&[Fault::Die {
            member: B,
            moment: Moment::AppliedNotAnswered,
            who: Who::Keeper,
        }]));
        let outcome = world.run_with(&[PARTIAL]);
        assert_eq!((outcome.commits, doubts(&world)), (0, 0), "{dedupe:?}");
        is_said(&outcome, 0);
        assert_eq!(all(&world, 1), [Some(1); 2]);
    }
}
