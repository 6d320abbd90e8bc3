//! Random histories of two members, with everything that can go wrong, held to the invariants
//! I1, I2, I3, I6, I9 and I10 (I2 and I9 inside the simulated members).
//!
//! A failing case is printed, made small, as a `History` value: paste it into `replay`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use std::collections::{BTreeMap, BTreeSet};

use outrigger_engine::{Canonical, ConflictPolicy, EditVsDelete, Side};
use proptest::prelude::*;
use sim::{Edit, ListFault, Trouble, World, side};

/// `OUTRIGGER_HISTORIES=1000000` runs more of them.
fn cases(usual: u32) -> u32 {
    std::env::var("OUTRIGGER_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Edit(bool, Edit),
    Run(Trouble),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct History {
    /// Per member: has a feed, answers writes without a digest.
    feeds: (bool, bool),
    silent: (bool, bool),
    conflict: ConflictPolicy,
    edit_vs_delete: EditVsDelete,
    steps: Vec<Step>,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => (0u8..3, 0u8..3).prop_map(|(uid, text)| Edit::Put { uid, text }),
        3 => (0u8..3).prop_map(|uid| Edit::Delete { uid }),
        1 => (0u8..3, 0u8..3).prop_map(|(uid, to)| Edit::Rename { uid, to }),
        1 => (0u8..3).prop_map(|uid| Edit::Move { uid }),
        1 => (0u8..3, 0u8..3).prop_map(|(uid, text)| Edit::Duplicate { uid, text }),
        1 => (0u8..2, 0u8..3).prop_map(|(name, text)| Edit::PutBare { name, text }),
        1 => (0u8..2).prop_map(|name| Edit::DeleteBare { name }),
    ]
}

fn list_fault() -> impl Strategy<Value = ListFault> {
    prop_oneof![
        12 => Just(ListFault::None),
        1 => Just(ListFault::Incomplete),
        1 => Just(ListFault::Cut),
        1 => Just(ListFault::Blind),
        1 => Just(ListFault::Failed),
        1 => Just(ListFault::Nameless),
    ]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let crash = proptest::option::weighted(0.4, (1u8..16, any::<bool>()));
    let lost = proptest::option::weighted(0.15, (1u8..12, any::<bool>(), any::<bool>()));
    let edit = proptest::option::weighted(0.15, (1u8..12, any::<bool>(), edit()));
    let chaos = prop_oneof![2 => Just(0u64), 1 => any::<u64>()];
    (crash, list_fault(), list_fault(), lost, edit, chaos, any::<u64>()).prop_map(
        |(crash, a, b, lost, edit, chaos, order)| Trouble { crash, lists: [a, b], lost, edit, chaos, order },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<bool>(), edit()).prop_map(|(is_b, edit)| Step::Edit(is_b, edit)),
        2 => trouble().prop_map(Step::Run),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let pair = || prop_oneof![2 => Just((false, false)), 1 => any::<(bool, bool)>()];
    let conflict = prop_oneof![
        4 => Just(ConflictPolicy::Queue),
        1 => Just(ConflictPolicy::Prefer(Side::A)),
        1 => Just(ConflictPolicy::Prefer(Side::B)),
    ];
    let edit_vs_delete = prop_oneof![
        4 => Just(EditVsDelete::Edit),
        1 => Just(EditVsDelete::Delete),
        1 => Just(EditVsDelete::Ask),
    ];
    (pair(), pair(), conflict, edit_vs_delete, proptest::collection::vec(step(), 3..12)).prop_map(
        |(feeds, silent, conflict, edit_vs_delete, steps)| History {
            feeds,
            silent,
            conflict,
            edit_vs_delete,
            steps,
        },
    )
}

fn build(history: &History) -> World {
    let mut world = World::new();
    (world.members[0].feed, world.members[1].feed) = history.feeds;
    (world.members[0].silent_digest, world.members[1].silent_digest) = history.silent;
    world.settings.conflict = history.conflict;
    world.settings.edit_vs_delete = history.edit_vs_delete;
    world
}

fn play(history: &History) -> World {
    let mut world = build(history);
    play_in(&mut world, history);
    world
}

fn play_in(world: &mut World, history: &History) {
    for step in &history.steps {
        match step {
            Step::Edit(is_b, edit) => world.edit(side(*is_b), *edit),
            Step::Run(trouble) => drop(world.run_with(*trouble)),
        }
    }
}

/// Runs without trouble until nothing moves; it must not take long.
fn settle(world: &mut World) {
    for _ in 0..6 {
        let outcome = world.run();
        if outcome.journals == 0 {
            // I3.
            assert_eq!(outcome.commits, 0, "a quiet run writes");
            assert_eq!(outcome.items_read, 0, "a quiet run reads items");
            return;
        }
    }
    panic!("it does not come to rest");
}

/// I1: what is not in conflict or quarantine is the same on both members, and every item has a row.
fn check(world: &World) {
    assert!(world.store.intents.is_empty(), "a write is still in doubt: {:?}", world.store.intents);
    let mut named: [BTreeSet<Vec<u8>>; 2] = Default::default();
    for row in world.store.rows.values() {
        let mut digests = Vec::new();
        for at in Side::BOTH {
            let Some(entry) = &row.entries[at.index()] else { continue };
            let Some(item) = world.members[at.index()].items.get(entry.href.as_bytes()) else { continue };
            assert!(
                named[at.index()].insert(entry.href.as_bytes().to_vec()),
                "two rows for one item: {row:?}"
            );
            digests.push(Canonical::of("vcard", &item.data).content.digest);
        }
        if row.conflict.is_none() && row.quarantine.is_none() {
            assert_eq!(digests.len(), 2, "an item is not on both members (I1): {row:?}");
            assert_eq!(digests[0], digests[1], "members differ (I1): {row:?}");
        }
    }
    for at in Side::BOTH {
        let items: BTreeSet<Vec<u8>> = world.members[at.index()].items.keys().cloned().collect();
        assert_eq!(items, named[at.index()], "an item has no row");
        for item in world.members[at.index()].items.values() {
            assert!(world.authored.contains(&item.data), "bytes that nobody wrote (I10)");
        }
    }
}

fn hold(history: &History) {
    let mut world = play(history);
    settle(&mut world);
    check(&world);
}

/// What a member holds, by key, without the names.
fn contents(world: &World, at: Side) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut contents: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for item in world.members[at.index()].items.values() {
        contents.entry(sim::key_of(&item.data).unwrap_or_default()).or_default().push(item.data.clone());
    }
    contents.values_mut().for_each(|list| list.sort());
    contents
}

fn mirrored(history: &History) -> History {
    let swap = |(a, b): (bool, bool)| (b, a);
    let steps = history.steps.iter().map(|step| match step {
        Step::Edit(is_b, edit) => Step::Edit(!is_b, *edit),
        other => other.clone(),
    });
    let conflict = match history.conflict {
        ConflictPolicy::Prefer(side) => ConflictPolicy::Prefer(side.other()),
        ConflictPolicy::Queue => ConflictPolicy::Queue,
    };
    let (feeds, silent) = (swap(history.feeds), swap(history.silent));
    History { feeds, silent, conflict, edit_vs_delete: history.edit_vs_delete, steps: steps.collect() }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(12_000),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_lost_and_members_agree(history in history()) {
        hold(&history);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(1_500), failure_persistence: None, ..ProptestConfig::default() })]

    /// I6.
    #[test]
    fn the_order_of_members_and_of_items_is_no_matter(
        mut history in history(),
    ) {
        let is_plain = |step: &Step| !matches!(step, Step::Edit(_, Edit::Duplicate { .. } | Edit::Rename { .. }));
        history.steps.retain(is_plain);
        for step in &mut history.steps {
            if let Step::Run(trouble) = step {
                *trouble = Trouble { order: trouble.order, ..Trouble::default() };
            }
        }
        // A row linked by content has two UIDs and one key: which one it is known by later depends
        // on the order of edits.
        let mut one = build(&history);
        one.settings.match_content = false;
        play_in(&mut one, &history);
        settle(&mut one);
        let mut other = build(&mirrored(&history));
        other.settings.match_content = false;
        for member in &mut other.members {
            member.reverse = true;
        }
        play_in(&mut other, &mirrored(&history));
        settle(&mut other);
        for at in Side::BOTH {
            prop_assert_eq!(contents(&one, at), contents(&other, at.other()));
        }
    }
}

/// Found by the generator.
#[test]
fn replay() {
    let chaos = |chaos| Step::Run(Trouble { chaos, ..Trouble::default() });
    hold(&History {
        feeds: (true, false),
        silent: (false, false),
        conflict: ConflictPolicy::Queue,
        edit_vs_delete: EditVsDelete::Edit,
        steps: vec![
            Step::Edit(false, Edit::Put { uid: 0, text: 0 }),
            chaos(0),
            Step::Edit(true, Edit::Delete { uid: 0 }),
            Step::Edit(false, Edit::Duplicate { uid: 0, text: 0 }),
            chaos(11_395_891_600_057_644_394),
            chaos(163_348_434_390_026_589),
        ],
    });
}
