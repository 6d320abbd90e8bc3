//! Items that a plugin dies over: they are found among many, set aside, and cost nobody else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::{CRASHED, Side};
use sim::stories::{PUT, both, rest, texts};
use sim::{Edit, Outcome, Trouble, World, side};

/// The text that one plugin dies over.
const FATAL: u8 = 7;

fn fatal(at: Side) -> Trouble {
    Trouble { fatal: Some((at == Side::B, FATAL)), ..Trouble::default() }
}

/// Runs until no plugin dies. Returns how many died, and the last run.
fn survive(world: &mut World, at: Side) -> (usize, Outcome) {
    let mut deaths = 0;
    for _ in 0..12 {
        let outcome = world.run_with(fatal(at));
        if outcome.deaths == 0 {
            return (deaths, outcome);
        }
        deaths += outcome.deaths;
    }
    panic!("it dies for ever: {:?}", world.store.charges);
}

/// Twenty items on A, one of which is fatal.
fn many() -> World {
    let mut world = World::new();
    for uid in 0..20 {
        world.edit(Side::A, PUT(uid, if uid == 13 { FATAL } else { 0 }));
    }
    world
}

fn reasons(world: &World) -> Vec<&str> {
    world.store.rows.values().filter_map(|row| row.quarantine.as_deref()).collect()
}

/// Holds S62.
#[test]
fn one_that_cannot_be_written_is_found_among_many_in_three_crashes_and_the_rest_comes_across() {
    let mut world = many();
    let (deaths, last) = survive(&mut world, Side::B);
    assert_eq!(deaths, 3);
    assert_eq!(last.summary().quarantined, 1);
    assert_eq!(reasons(&world), [format!("it cannot be written: {CRASHED}")]);
    assert_eq!(texts(&world, Side::B).len(), 19);
    assert!((0..20).filter(|uid| *uid != 13).all(|uid| both(&world, uid) == [Some(0), Some(0)]));
    assert_eq!(both(&world, 13), [Some(FATAL), None]);
    assert!(world.store.intents.is_empty(), "{:?}", world.store.intents);
    world.run_with(fatal(Side::B)); // revisions settle
    let again = world.run_with(fatal(Side::B));
    assert_eq!((again.deaths, again.commits, again.journals), (0, 0, 0), "it is left alone");
}

#[test]
fn one_that_cannot_be_read_is_found_in_three_crashes_and_is_not_read_again() {
    for is_feed in [false, true] {
        let mut world = many();
        world.members[0].feed = is_feed;
        let (deaths, last) = survive(&mut world, Side::A);
        assert_eq!((deaths, last.summary().quarantined), (3, 1));
        assert_eq!(reasons(&world), [format!("it cannot be read: {CRASHED}")]);
        assert_eq!(texts(&world, Side::B).len(), 19);
        let again = world.run_with(fatal(Side::A));
        assert_eq!((again.deaths, again.items_read), (0, 0), "feed: {is_feed}");
    }
}

#[test]
fn an_edit_and_a_deletion_are_charged_like_a_new_item() {
    for edit in [PUT(3, FATAL), Edit::Delete { uid: 13 }] {
        let mut world = many();
        rest(&mut world);
        world.edit(Side::A, edit);
        let is_deletion = matches!(edit, Edit::Delete { .. });
        // Of a deletion, the plugin dies when its old bytes are read.
        let (deaths, last) = survive(&mut world, Side::B);
        assert_eq!((deaths, last.summary().quarantined), (3, 1), "{edit:?}");
        assert_eq!(both(&world, 5), [Some(0), Some(0)]);
        let kept = if is_deletion { 13 } else { 3 };
        assert!(both(&world, kept)[1].is_some(), "what is there stays there");
    }
}

#[test]
fn another_content_releases_it() {
    for at in Side::BOTH {
        let mut world = many();
        survive(&mut world, at);
        world.edit(Side::A, PUT(13, 1));
        let outcome = world.run_with(fatal(at));
        assert_eq!((outcome.deaths, outcome.summary().quarantined), (0, 0), "{at:?}");
        assert_eq!(both(&world, 13), [Some(1), Some(1)]);
    }
}

/// A plugin that was mended: the user says so.
#[test]
fn the_user_may_have_them_tried_once_more() {
    for at in Side::BOTH {
        for is_feed in [false, true] {
            let mut world = many();
            world.members[0].feed = is_feed;
            survive(&mut world, at);
            assert_eq!(world.run().summary().quarantined, 1, "it does not come by itself");
            world.settings.retry_crashed = true;
            world.run();
            world.settings.retry_crashed = false;
            rest(&mut world);
            assert_eq!(both(&world, 13), [Some(FATAL), Some(FATAL)], "{at:?} {is_feed}");
            assert!(world.store.charges.is_empty() && reasons(&world).is_empty());
        }
    }
}

/// What was in flight with the fatal one is cleared by its first answer.
#[test]
fn whoever_was_only_near_is_charged_once_and_cleared_by_its_answer() {
    for at in Side::BOTH {
        let mut world = many();
        world.run_with(fatal(at));
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
    let mut world = many();
    for step in [4, 5, 6] {
        world.run_with(Trouble { lost: Some((step, true, false)), ..Trouble::default() });
    }
    rest(&mut world);
    assert_eq!(texts(&world, Side::A), texts(&world, Side::B));
    assert!(world.store.charges.is_empty());
}

/// Two of them need two crashes more, for the first crash was charged to both.
#[test]
fn several_are_found_one_after_the_other() {
    let mut world = many();
    world.edit(Side::A, PUT(17, FATAL));
    let (deaths, last) = survive(&mut world, side(true));
    assert_eq!((deaths, last.summary().quarantined), (5, 2));
    assert_eq!(texts(&world, Side::B).len(), 18);
}

#[test]
fn a_plan_charges_nothing() {
    let mut world = many();
    world.settings.dry_run = true;
    let outcome = world.run_with(fatal(Side::A));
    assert_eq!((outcome.deaths, outcome.journals), (1, 0));
    assert!(world.store.charges.is_empty());
}
