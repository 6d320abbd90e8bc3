//! Ten defects that engines of this kind have had, each seeded on purpose (`engine/src/seeded.rs`):
//! the ordinary histories and their oracle must find every one of them, and nothing without it.
//!
//! Histories are the same at every run, so that a test which fails fails again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use outrigger_engine::Bug;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::history::{
    History, Trait, away, build, edit, history, kill, listing, order, plain_edit, settle, steps, take, who,
};
use sim::{Edit, Fault, Moment, Who, objection};

/// Plays a history to its rest, with a defect or without; what the world and the oracle say against it.
fn violation(history: &History, bug: Option<Bug>) -> Option<String> {
    objection(|| {
        let mut world = build(history);
        world.settings.bug = bug;
        for step in &history.steps {
            drop(take(&mut world, step));
        }
        let last = settle(&mut world);
        world.check_rest(&last);
    })
}

/// The first of so many histories that shows the defect shows it in one of these words; without it all up to
/// that one hold.
fn is_caught(bug: Bug, most: usize, histories: impl Strategy<Value = History>, words: &[&str]) {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for nth in 1..=most {
        let history = histories.new_tree(&mut runner).unwrap().current();
        if let Some(said) = violation(&history, None) {
            panic!("without {bug:?}, history {nth}: {said}\n{history:?}");
        }
        if let Some(said) = violation(&history, Some(bug)) {
            assert!(
                words.iter().any(|words| said.contains(words)),
                "for another reason: {said}\n{history:?}"
            );
            return;
        }
    }
    panic!("{bug:?} is not found in {most} histories");
}

/// A member that takes all writes, and keeps them as they are.
fn plain() -> impl Strategy<Value = Vec<Trait>> {
    use Trait as T;
    let some = vec![T::Feed, T::Silent, T::Small, T::Reverse, T::Sluggish];
    let dedupe = prop_oneof![3 => Just(None), 1 => Just(Some(T::Token))];
    (prop::sample::subsequence(some, 0..=2), dedupe).prop_map(|(mut traits, dedupe)| {
        traits.extend(dedupe);
        traits
    })
}

/// Items by UID, no text twice, and whoever must choose waits.
fn histories(faults: impl Strategy<Value = Vec<Fault>> + 'static) -> impl Strategy<Value = History> {
    moves(plain_edit(), faults)
}

fn moves(
    edit: impl Strategy<Value = Edit> + 'static,
    faults: impl Strategy<Value = Vec<Fault>> + 'static,
) -> impl Strategy<Value = History> {
    let quiet = |history| History { exact: true, links: false, ..history };
    history(plain(), steps(edit, faults)).prop_map(quiet)
}

fn some(fault: impl Strategy<Value = Fault>) -> impl Strategy<Value = Vec<Fault>> {
    prop::collection::vec(fault, 0..3)
}

/// Somebody is not there, or the command dies when the anchors are durable and it has not been told.
fn killed_at_the_end() -> impl Strategy<Value = Fault> {
    let dies = |member| Fault::Die { member, moment: Moment::AnchorInDoubt, who: Who::Command };
    prop_oneof![away(), who().prop_map(dies)]
}

fn meanwhile() -> impl Strategy<Value = Fault> {
    (who(), 1u16..30, plain_edit()).prop_map(|(member, step, edit)| Fault::Meanwhile { member, step, edit })
}

/// An acknowledged write that no journal knows of.
#[test]
fn sent_before_durable() {
    is_caught(Bug::SentBeforeDurable, 100, histories(some(order())), &["(X1)"]);
}

/// What a feed named once is named by nobody again.
#[test]
fn anchor_before_rows() {
    is_caught(Bug::AnchorBeforeRows, 1000, histories(some(killed_at_the_end())), &["has no row"]);
}

/// Half a listing is no proof.
#[test]
fn deletion_from_incomplete_listing() {
    is_caught(Bug::DeletionFromIncompleteListing, 300, histories(some(listing())), &["(I9)"]);
}

/// What it wrote looks to it like what somebody else must have written.
#[test]
fn digest_from_before_the_write() {
    is_caught(
        Bug::DigestFromBeforeTheWrite,
        1000,
        histories(some(away())),
        &["a conflict that nobody caused"],
    );
}

/// Its own write comes back to it and contradicts the next edit.
#[test]
fn echo_taken_for_edit() {
    is_caught(Bug::EchoTakenForEdit, 2000, histories(some(away())), &["comes back", "nobody caused"]);
}

/// Half of a move, and then the power goes.
#[test]
fn deletion_before_create() {
    is_caught(Bug::DeletionBeforeCreate, 1000, moves(edit(), some(order())), &["half of a move"]);
}

/// What is overwritten is gone for good.
#[test]
fn loser_not_journalled() {
    is_caught(Bug::LoserNotJournalled, 1000, histories(some(order())), &["(X6)"]);
}

/// A member that has done it cannot know it again.
#[test]
fn retry_with_new_id() {
    is_caught(Bug::RetryWithNewId, 1000, histories(some(kill())), &["(X1)"]);
}

/// An edit that nobody has seen is overwritten.
#[test]
fn precondition_dropped() {
    is_caught(Bug::PreconditionDropped, 1000, histories(some(meanwhile())), &["(X6)"]);
}

/// Who was away comes back, and is taken to know what he never saw.
#[test]
fn unreachable_advanced() {
    is_caught(Bug::UnreachableAdvanced, 1000, histories(some(away())), &["did not know of it"]);
}
