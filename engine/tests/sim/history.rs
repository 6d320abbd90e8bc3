//! Histories: what users do and what goes wrong, as values that print as Rust code.

use std::fmt;

use outrigger_engine::{Access, ConflictPolicy, EditVsDelete, MemberIndex};
use outrigger_protocol::{Dedupe, limits};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::stories::rest;
use super::{Choice, Edit, Fault, Lie, ListFault, Outcome, World};

/// What a printed history needs to be in scope.
pub(crate) mod code {
    pub(crate) use super::Step::*;
    pub(crate) use super::Trait::*;
    pub(crate) use super::{History, hold};
    pub(crate) use crate::sim::Choice::*;
    pub(crate) use crate::sim::Edit::*;
    pub(crate) use crate::sim::Fault::*;
    pub(crate) use crate::sim::Lie::*;
    pub(crate) use crate::sim::ListFault::*;
    pub(crate) use outrigger_engine::{ConflictPolicy, EditVsDelete, MemberIndex};
}

/// What a member is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trait {
    Feed,
    /// It answers writes without a digest.
    Silent,
    /// It stores something else than it is sent.
    Rewrites,
    /// It takes small calls only.
    Small,
    /// Its plugin compares, and takes the texts 0 and 1 for the same.
    Compares,
    /// It lists and answers in the opposite order.
    Reverse,
    /// It answers in halves, after all others.
    Sluggish,
    /// It remembers operation IDs.
    Token,
    /// Its items can be found by their key, and it knows no operation IDs.
    Lookup,
    /// It cannot tell a write that it has had before.
    Forgetful,
    ReadOnly,
    NoDelete,
    /// The first one; another one is read-only.
    Authority,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    User(MemberIndex, Edit),
    Run(Vec<Fault>),
    /// A dry run.
    Plan,
    /// A user settles one of the open conflicts.
    Choose(u8, Choice),
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) members: Vec<Vec<Trait>>,
    pub(crate) conflict: ConflictPolicy,
    pub(crate) edit_vs_delete: EditVsDelete,
    /// No text is written twice.
    pub(crate) exact: bool,
    /// New items are linked by their content.
    pub(crate) links: bool,
    pub(crate) steps: Vec<Step>,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { members, conflict, edit_vs_delete, exact, links, steps } = self;
        let text = format!(
            "History {{ members: {members:?}, conflict: ConflictPolicy::{conflict:?}, \
             edit_vs_delete: EditVsDelete::{edit_vs_delete:?}, exact: {exact}, links: {links}, steps: {steps:?} }}"
        );
        // All that is printed in brackets is a vector.
        f.write_str(&text.replace('[', "vec!["))
    }
}

/// The same in each ordinary run, so that a failure is the change's; `OUTRIGGER_HISTORIES=1000000` runs
/// that many others.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let more: Option<u32> = std::env::var("OUTRIGGER_HISTORIES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: more.unwrap_or(usual),
        rng_seed: if more.is_some() { RngSeed::Random } else { RngSeed::Fixed(1) },
        failure_persistence: None,
        max_shrink_iters: 50_000,
        max_local_rejects: u32::MAX,
        ..ProptestConfig::default()
    }
}

/// A member: anyone.
pub(crate) fn who() -> impl Strategy<Value = MemberIndex> {
    (0u16..5).prop_map(MemberIndex)
}

/// All but another UID: together with troubles, or with other edits at the same time, it leaves items
/// with two UIDs (docs/design/engine.md).
pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    any_edit().prop_filter("the UID stays", |edit| !matches!(edit, Edit::Rename { .. }))
}

pub(crate) fn any_edit() -> impl Strategy<Value = Edit> {
    let uid = || 0u8..3;
    let text = || prop_oneof![3 => 0u8..3, 1 => 3u8..6];
    prop_oneof![
        6 => (uid(), text()).prop_map(|(uid, text)| Edit::Put { uid, text }),
        3 => uid().prop_map(|uid| Edit::Delete { uid }),
        1 => (uid(), uid()).prop_map(|(uid, to)| Edit::Rename { uid, to }),
        1 => uid().prop_map(|uid| Edit::Move { uid }),
        1 => (uid(), text()).prop_map(|(uid, text)| Edit::Duplicate { uid, text }),
        1 => (0u8..2, text()).prop_map(|(name, text)| Edit::PutBare { name, text }),
        1 => (0u8..2).prop_map(|name| Edit::DeleteBare { name }),
    ]
}

/// Edits that leave each item its key and each key one item.
pub(crate) fn plain_edit() -> impl Strategy<Value = Edit> {
    let is_plain = |edit: &Edit| !matches!(edit, Edit::Duplicate { .. });
    edit().prop_filter("keys stay", is_plain)
}

pub(crate) fn list_fault() -> impl Strategy<Value = ListFault> {
    use ListFault as F;
    prop::sample::select(vec![
        F::Incomplete,
        F::Cut,
        F::Blind,
        F::Failed,
        F::Checkpoint,
        F::Nameless,
        F::Rejected,
    ])
}

pub(crate) fn lie() -> impl Strategy<Value = Lie> {
    let did = |did| Lie::Mute { did };
    let all = [Lie::Twice, Lie::Unnamed, Lie::Disorder, Lie::Short, Lie::Surplus, Lie::Stranger, Lie::Echo];
    prop::sample::select(all.into_iter().chain([did(false), did(true)]).collect::<Vec<_>>())
}

pub(crate) fn listing() -> impl Strategy<Value = Fault> {
    (who(), list_fault()).prop_map(|(member, how)| Fault::Listing { member, how })
}

pub(crate) fn away() -> impl Strategy<Value = Fault> {
    who().prop_map(|member| Fault::Away { member })
}

pub(crate) fn order() -> impl Strategy<Value = Fault> {
    (1u64..).prop_map(|seed| Fault::Order { seed })
}

pub(crate) fn kill() -> impl Strategy<Value = Fault> {
    (1u16..50, any::<bool>()).prop_map(|(step, applies)| Fault::Kill { step, applies })
}

pub(crate) fn torn() -> impl Strategy<Value = Fault> {
    (1u64..).prop_map(|seed| Fault::Torn { seed })
}

/// What can be wrong with one member in a run, and with nobody else.
pub(crate) fn of_one() -> impl Strategy<Value = Fault> {
    let at = || (who(), 1u16..30, any::<bool>());
    prop_oneof![
        2 => away(),
        3 => listing(),
        3 => (who(), lie()).prop_map(|(member, how)| Fault::Lies { member, how }),
        2 => at().prop_map(|(member, step, applies)| Fault::Lose { member, step, applies }),
        1 => at().prop_map(|(member, step, applies)| Fault::Unlink { member, step, applies }),
        1 => (who(), 0u8..3).prop_map(|(member, text)| Fault::Fatal { member, text }),
        1 => who().prop_map(|member| Fault::Slow { member }),
    ]
}

/// Whatever can go wrong.
pub(crate) fn fault() -> impl Strategy<Value = Fault> {
    let seed = || 1u64..;
    prop_oneof![
        6 => kill(),
        3 => torn(),
        6 => of_one(),
        2 => (who(), 1u16..30, edit()).prop_map(|(member, step, edit)| Fault::Meanwhile { member, step, edit }),
        3 => seed().prop_map(|seed| Fault::Chaos { seed }),
        2 => seed().prop_map(|seed| Fault::Broken { seed }),
        4 => order(),
    ]
}

pub(crate) fn faults() -> impl Strategy<Value = Vec<Fault>> {
    prop::collection::vec(fault(), 0..4)
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        3 => who().prop_map(Choice::Take),
        1 => (6u8..9).prop_map(|text| Choice::Write { text }),
        1 => Just(Choice::Discard),
    ]
}

/// What users do, and runs in which this goes wrong.
pub(crate) fn steps(
    edit: impl Strategy<Value = Edit> + 'static,
    faults: impl Strategy<Value = Vec<Fault>> + 'static,
) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (who(), edit).prop_map(|(at, edit)| Step::User(at, edit)),
        5 => faults.prop_map(Step::Run),
        1 => (0u8..3, choice()).prop_map(|(nth, choice)| Step::Choose(nth, choice)),
    ];
    prop::collection::vec(step, 1..14)
}

/// A member that takes all writes.
pub(crate) fn nature() -> impl Strategy<Value = Vec<Trait>> {
    use Trait as T;
    let some = vec![T::Feed, T::Silent, T::Rewrites, T::Small, T::Compares, T::Reverse, T::Sluggish];
    let plain = prop_oneof![1 => Just(Vec::new()), 1 => prop::sample::subsequence(some, 1..=2)];
    let dedupe = prop_oneof![
        3 => Just(None),
        3 => prop::sample::select(vec![T::Token, T::Lookup, T::Forgetful]).prop_map(Some),
    ];
    (plain, dedupe).prop_map(|(mut traits, dedupe)| {
        traits.extend(dedupe);
        traits
    })
}

/// A member that may be one that takes no writes, or not all.
pub(crate) fn member() -> impl Strategy<Value = Vec<Trait>> {
    use Trait as T;
    let access = prop_oneof![
        9 => Just(None),
        1 => prop::sample::select(vec![T::ReadOnly, T::NoDelete, T::Authority]).prop_map(Some),
    ];
    (nature(), access).prop_map(|(mut traits, access)| {
        traits.extend(access);
        traits
    })
}

fn conflict() -> impl Strategy<Value = ConflictPolicy> {
    prop_oneof![
        6 => Just(ConflictPolicy::Queue),
        1 => who().prop_map(ConflictPolicy::Prefer),
        1 => Just(ConflictPolicy::Newest),
        1 => Just(ConflictPolicy::KeepBoth),
        1 => Just(ConflictPolicy::Resolve),
    ]
}

fn edit_vs_delete() -> impl Strategy<Value = EditVsDelete> {
    prop_oneof![
        4 => Just(EditVsDelete::Edit),
        1 => Just(EditVsDelete::Delete),
        1 => Just(EditVsDelete::Ask),
    ]
}

/// The same, where new items may be linked by their content. A row goes by one of two UIDs then; what
/// became of a create whose answer was lost cannot always be told, so nothing may be lost.
pub(crate) fn linked(history: impl Strategy<Value = History>) -> impl Strategy<Value = History> {
    (history, any::<bool>()).prop_map(|(history, links)| History { links, ..history })
}

/// A history of members like these, with these steps.
pub(crate) fn history(
    member: impl Strategy<Value = Vec<Trait>>,
    steps: impl Strategy<Value = Vec<Step>>,
) -> impl Strategy<Value = History> {
    let members = prop::collection::vec(member, 2..=5);
    (members, conflict(), edit_vs_delete(), any::<bool>(), steps).prop_map(
        |(members, conflict, edit_vs_delete, exact, steps)| History {
            members,
            conflict,
            edit_vs_delete,
            exact,
            links: false,
            steps,
        },
    )
}

/// One item fits a call, two do not: far below what any peer may announce.
const SMALL_BODY: usize = 1 << 10;

fn is_like(world: &mut World, at: MemberIndex, nature: Trait) {
    let has_authority = world.has_authority();
    let settings = &mut world.settings.members[at.index()];
    let member = &mut world.members[at.index()];
    match nature {
        Trait::Feed => member.feed = true,
        Trait::Silent => member.silent_digest = true,
        Trait::Rewrites => member.rewrites = true,
        Trait::Small => settings.max_body = SMALL_BODY.min(limits::MAX_BODY),
        Trait::Compares => settings.compares = vec!["vcard".into()],
        Trait::Reverse => member.reverse = true,
        Trait::Sluggish => member.slow = true,
        Trait::Token => member.dedupe = Dedupe::Token,
        Trait::Lookup => member.dedupe = Dedupe::Lookup,
        Trait::Forgetful => member.dedupe = Dedupe::None,
        Trait::ReadOnly => settings.access = Access::ReadOnly,
        Trait::NoDelete => settings.access = Access::NoDelete,
        Trait::Authority if has_authority => settings.access = Access::ReadOnly,
        Trait::Authority => settings.access = Access::Authority,
    }
}

pub(crate) fn build(history: &History) -> World {
    let mut world = World::new(history.members.len());
    for (at, traits) in history.members.iter().enumerate() {
        for one in traits {
            is_like(&mut world, MemberIndex::at(at), *one);
        }
    }
    if world.has_authority() {
        // What such a member stores cannot be told from an edit in the same tick, which is taken back.
        world.members.iter_mut().filter(|member| member.rewrites).for_each(|it| it.silent_digest = false);
    }
    world.settings.conflict = match history.conflict {
        ConflictPolicy::Prefer(at) => ConflictPolicy::Prefer(among(&world, at)),
        other => other,
    };
    world.settings.edit_vs_delete = history.edit_vs_delete;
    world.settings.match_content = history.links;
    world.causes.is_exact = history.exact;
    // What is stored otherwise, and was not told, looks like an edit, which outlives a deletion.
    world.causes.is_exact &= !world.members.iter().any(|member| member.rewrites);
    world.is_random = true;
    world
}

/// The same member, if there were only so many.
pub(crate) fn among(world: &World, at: MemberIndex) -> MemberIndex {
    MemberIndex::at(at.index() % world.members.len())
}

/// Takes one step; what a run came to.
pub(crate) fn take(world: &mut World, step: &Step) -> Option<Outcome> {
    match step {
        Step::User(at, edit) => world.edit(among(world, *at), *edit),
        Step::Choose(nth, Choice::Take(at)) => world.choose(*nth, Choice::Take(among(world, *at))),
        Step::Choose(nth, choice) => world.choose(*nth, *choice),
        Step::Run(faults) => return Some(world.run_with(faults)),
        Step::Plan => {
            world.settings.dry_run = true;
            let outcome = world.run();
            world.settings.dry_run = false;
            return Some(outcome);
        }
    }
    None
}

pub(crate) fn play(history: &History) -> World {
    let mut world = build(history);
    for step in &history.steps {
        drop(take(&mut world, step));
    }
    world
}

/// Runs without trouble until nothing moves; it must not take long.
pub(crate) fn settle(world: &mut World) -> Outcome {
    // What a plugin died over three times, it does not die over any more.
    world.settings.retry_crashed = true;
    rest(world)
}

/// Plays a history to its rest, and asks the oracle.
pub(crate) fn hold(history: &History) -> World {
    let mut world = play(history);
    let last = settle(&mut world);
    world.check_rest(&last);
    world
}
