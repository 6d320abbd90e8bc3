//! Items that a plugin dies over: they are found among many, set aside, and cost nobody else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{CRASHED, MemberIndex};
use sim::stories::{PUT, all, rest, texts};
use sim::{A, B, Edit, Fault, Outcome, World};

/// The text that one plugin dies over.
const FATAL: u8 = 7;

fn fatal(at: MemberIndex) -> [Fault; 1] {
    [Fault::Fatal { member: at, text: FATAL }]
}

/// Runs until no plugin dies. Returns how many died, and the last run.
fn survive(world: &mut World, at: MemberIndex) -> (usize, Outcome) {
    let mut deaths = 0;
    for _ in 0..12 {
        let outcome = world.run_with(&fatal(at));
        if outcome.deaths == 0 {
            return (deaths, outcome);
        }
        deaths += outcome.deaths;
    }
    panic!("it dies for ever: {:?}", world.store.charges);
}

/// Twenty items on A, one of which is fatal.
fn many(members: usize) -> World {
    let mut world = World::new(members);
    for uid in 0..20 {
        world.edit(A, PUT(uid, if uid == 13 { FATAL } else { 0 }));
    }
    world
}

fn reasons(world: &World) -> Vec<&str> {
    let quarantines = world.store.rows.values().flat_map(|row| &row.quarantine);
    quarantines.map(|quarantine| quarantine.reason.as_str()).collect()
}

/// What all hold of the fatal item once it was found that `B` cannot be given it.
fn without_b(members: usize) -> Vec<Option<u8>> {
    let mut held = vec![Some(FATAL); members];
    held[B.index()] = None;
    held
}

/// Holds S62.
#[test]
fn one_that_cannot_be_written_is_found_among_many_in_three_crashes_and_the_rest_comes_across() {
    for members in 2..=3 {
        let mut world = many(members);
        let (deaths, last) = survive(&mut world, B);
        assert_eq!(deaths, 3);
        assert_eq!(last.summary().quarantined, 1);
        assert_eq!(reasons(&world), [format!("it cannot be written: {CRASHED}")]);
        assert_eq!(texts(&world, B).len(), 19);
        assert!((0..20).filter(|uid| *uid != 13).all(|uid| all(&world, uid) == vec![Some(0); members]));
        assert_eq!(all(&world, 13), without_b(members), "whoever can take it gets it");
        assert!(world.store.intents.is_empty(), "{:?}", world.store.intents);
        world.run_with(&fatal(B)); // revisions settle
        let again = world.run_with(&fatal(B));
        assert_eq!((again.deaths, again.commits, again.journals), (0, 0, 0), "it is left alone");
    }
}

#[test]
fn one_that_cannot_be_read_is_found_in_three_crashes_and_is_not_read_again() {
    for (members, is_feed) in [(2, false), (2, true), (3, false), (3, true)] {
        let mut world = many(members);
        world.member(A).feed = is_feed;
        let (deaths, last) = survive(&mut world, A);
        assert_eq!((deaths, last.summary().quarantined), (3, 1));
        assert_eq!(reasons(&world), [format!("it cannot be read: {CRASHED}")]);
        assert!(world.all().skip(1).all(|at| texts(&world, at).len() == 19));
        let again = world.run_with(&fatal(A));
        assert_eq!((again.deaths, again.items_read), (0, 0), "{members} members, feed: {is_feed}");
    }
}

#[test]
fn an_edit_and_a_deletion_are_charged_like_a_new_item() {
    for (members, edit) in
        (2..=3).flat_map(|members| [(members, PUT(3, FATAL)), (members, Edit::Delete { uid: 13 })])
    {
        let mut world = many(members);
        rest(&mut world);
        world.edit(A, edit);
        let is_deletion = matches!(edit, Edit::Delete { .. });
        // Of a deletion, the plugin dies when its old bytes are read.
        let (deaths, last) = survive(&mut world, B);
        assert_eq!((deaths, last.summary().quarantined), (3, 1), "{edit:?}");
        assert_eq!(all(&world, 5), vec![Some(0); members]);
        let kept = if is_deletion { 13 } else { 3 };
        assert!(all(&world, kept)[B.index()].is_some(), "what is there stays there");
        let expected = if is_deletion { None } else { Some(FATAL) };
        assert!(all(&world, kept)[2..].iter().all(|held| *held == expected), "{edit:?}: nobody else waits");
    }
}

#[test]
fn another_content_releases_it() {
    for (members, at) in [(2, A), (2, B), (3, A), (3, B)] {
        let mut world = many(members);
        survive(&mut world, at);
        world.edit(A, PUT(13, 1));
        let outcome = world.run_with(&fatal(at));
        assert_eq!((outcome.deaths, outcome.summary().quarantined), (0, 0), "{at:?}");
        assert_eq!(all(&world, 13), vec![Some(1); members]);
    }
}

/// A plugin that was mended: the user says so.
#[test]
fn the_user_may_have_them_tried_once_more() {
    for (members, at) in [(2, A), (2, B), (3, A), (3, B)] {
        for is_feed in [false, true] {
            let mut world = many(members);
            world.member(A).feed = is_feed;
            survive(&mut world, at);
            assert_eq!(world.run().summary().quarantined, 1, "it does not come by itself");
            world.settings.retry_crashed = true;
            world.run();
            world.settings.retry_crashed = false;
            rest(&mut world);
            assert_eq!(all(&world, 13), vec![Some(FATAL); members], "{at:?} {is_feed}");
            assert!(world.store.charges.is_empty() && reasons(&world).is_empty());
        }
    }
}

/// What was in flight with the fatal one is cleared by its first answer.
#[test]
fn whoever_was_only_near_is_charged_once_and_cleared_by_its_answer() {
    for (members, at) in [(2, A), (2, B), (3, A), (3, B)] {
        let mut world = many(members);
        world.run_with(&fatal(at));
        let charged = world.store.charges.len();
        assert!(charged > 1 && world.store.charges.iter().all(|charge| charge.crashes == 1), "{charged}");
        survive(&mut world, at);
        let left: Vec<u8> = world.store.charges.iter().map(|charge| charge.crashes).collect();
        assert_eq!(left, [outrigger_engine::CRASHES], "{at:?}");
    }
}

/// A plugin that is killed by somebody else has no culprit: the next run does all of it.
#[test]
fn a_crash_that_was_nobodys_doing_costs_nothing_but_small_calls() {
    for members in 2..=3 {
        let mut world = many(members);
        for step in [4, 5, 6] {
            world.run_with(&[Fault::Lose { member: B, step, applies: false }]);
        }
        rest(&mut world);
        assert!(world.all().all(|at| texts(&world, at) == texts(&world, A)));
        assert!(world.store.charges.is_empty());
    }
}

/// Two of them need two crashes more, for the first crash was charged to both.
#[test]
fn several_are_found_one_after_the_other() {
    for members in 2..=3 {
        let mut world = many(members);
        world.edit(A, PUT(17, FATAL));
        let (deaths, last) = survive(&mut world, B);
        assert_eq!((deaths, last.summary().quarantined), (5, 2));
        assert_eq!(texts(&world, B).len(), 18);
    }
}

#[test]
fn a_plan_charges_nothing() {
    for members in 2..=3 {
        let mut world = many(members);
        world.settings.dry_run = true;
        let outcome = world.run_with(&fatal(A));
        assert_eq!((outcome.deaths, outcome.journals), (1, 0));
        assert!(world.store.charges.is_empty());
    }
}
