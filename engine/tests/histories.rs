//! Random histories of two to five members, with everything that can go wrong, held to the
//! invariants I1 to I10 (docs/design/testing.md). Each write is judged when it is made (`sim/calls.rs`).
//!
//! A failing case is printed, made small, as Rust code: paste it into `replay`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use std::collections::BTreeMap;

use outrigger_engine::{Access, ConflictPolicy, MaxDelete, MemberIndex, PlannedWrite, Report};
use proptest::prelude::*;
use sim::history::{
    History, Step, Trait, among, any_edit, away, build, cases, edit, faults, history, hold, kill, linked,
    listing, member, nature, of_one, order, plain_edit, play, settle, steps, take, torn, who,
};
use sim::stories::rest;
use sim::{A, B, C, Edit, Fault, ListFault, World, card};

/// Runs in which nothing goes wrong but that some are not there.
fn calm() -> impl Strategy<Value = Vec<Fault>> {
    (prop::collection::vec(away(), 0..2), prop::option::of(order())).prop_map(|(mut faults, order)| {
        faults.extend(order);
        faults
    })
}

fn is_away(world: &World, faults: &[Fault], at: MemberIndex) -> bool {
    let mut faults = faults.iter().map(|fault| fault.among(world.members.len()));
    faults.any(|fault| fault == Fault::Away { member: at })
}

proptest! {
    #![proptest_config(cases(10_000))]

    /// After each run, whoever was there holds the same; and members that come back are served.
    #[test]
    fn i1_members_agree_whoever_was_away(history in linked(history(member(), steps(any_edit(), calm())))) {
        let mut world = build(&history);
        for step in &history.steps {
            drop(take(&mut world, step));
            let leads = |at: &MemberIndex| world.access(*at) == Access::Authority;
            if let Step::Run(faults) = step
                // Without its authority, a group waits.
                && !world.all().any(|at| leads(&at) && is_away(&world, faults, at))
            {
                world.check_agreement(|at| !is_away(&world, faults, at));
            }
        }
        let last = settle(&mut world);
        world.check_rest(&last);
    }

    /// In all troubles; the world looks at every write and after every run.
    #[test]
    fn i2_nothing_is_lost_and_nothing_comes_twice(history in history(member(), steps(edit(), faults()))) {
        hold(&history);
    }

    /// And after an edit, it reads and writes that item alone.
    #[test]
    fn i3_a_second_run_reads_and_writes_nothing(
        history in linked(history(nature(), steps(plain_edit(), calm()))),
        at in who(),
    ) {
        let mut world = hold(&history);
        let quiet = world.run();
        prop_assert_eq!((quiet.commits, quiet.items_read, quiet.journals), (0, 0, 0));
        for (member, told) in world.members.iter().zip(&quiet.summary().members) {
            prop_assert!(!member.feed || told.counts.listed == 0, "a feed names what it named before");
        }
        let at = among(&world, at);
        world.write(at, b"new", card(Some(200), 9u8));
        let outcome = world.run();
        if world.members.iter().any(|member| member.rewrites) {
            // What is stored otherwise may look like an edit once (S6).
            return Ok(());
        }
        // For its key and for its bytes, unless it can only be new.
        prop_assert!((1..=2).contains(&outcome.items_read), "{} items are read", outcome.items_read);
        prop_assert_eq!(outcome.writes.len(), world.members.len() - 1);
    }

    /// Whatever was on its way to the store or to members when all was killed.
    #[test]
    fn i4_a_kill_at_any_step_changes_nothing_in_the_end(
        history in history(member(), steps(edit(), calm())),
        kills in prop::collection::vec((kill(), prop::option::of(torn()), prop::option::of(order())), 1..3),
    ) {
        let mut world = play(&history);
        let mut whole = world.clone();
        let last = settle(&mut whole);
        whole.check_rest(&last);
        for (kill, torn, order) in kills {
            let faults: Vec<Fault> = [Some(kill), torn, order].into_iter().flatten().collect();
            drop(world.run_with(&faults));
        }
        let last = settle(&mut world);
        world.check_rest(&last);
        // A form that was not told looks like an edit, and becomes a conflict.
        let is_certain = !world.makes_copies() && !world.members.iter().any(|member| member.rewrites);
        for at in world.all().filter(|_| is_certain && world.store.intents.is_empty()) {
            // One without a UID is known by its content alone: of two alike one may pass for the other.
            let [one, other] = [&world, &whole].map(|world| {
                let mut contents = world.contents_of(at);
                contents.values_mut().for_each(Vec::dedup);
                contents
            });
            prop_assert_eq!(one, other, "member {}", at.0);
        }
    }

    /// At any time, also after a kill; and the run that follows does what was planned.
    #[test]
    fn i5_a_dry_run_changes_nothing_and_tells_the_same_twice(
        history in history(member(), steps(edit(), faults())),
    ) {
        let mut world = play(&history);
        let before = world.clone();
        let plans: Vec<Vec<PlannedWrite>> = (0..2).map(|_| plan(&mut world)).collect();
        prop_assert_eq!(&world.store, &before.store);
        for (member, before) in world.members.iter().zip(&before.members) {
            prop_assert_eq!(&member.items, &before.items);
        }
        prop_assert_eq!(&plans[0], &plans[1]);
        // Merges and second items are made by a run, not by its plan.
        let is_made = matches!(world.settings.conflict, ConflictPolicy::Resolve | ConflictPolicy::KeepBoth);
        // So is what comes of a form that looks like an edit. What was in doubt may be done.
        // Of two that a plugin takes for the same, one may be brought over the other.
        let is_plain = world.store.intents.is_empty() && !world.compares();
        let is_plain = is_plain && !world.members.iter().any(|member| member.rewrites);
        if is_made || !is_plain {
            return Ok(());
        }
        // What is new is brought across as it arrives, and not told beforehand: the writes tell.
        let mut told: Vec<_> = plans[0].iter().map(|plan| (plan.member, plan.kind)).collect();
        let mut real = before;
        let mut done = real.run().writes;
        told.sort_by_key(|(at, kind)| (*at, *kind as u8));
        done.sort_by_key(|(at, kind)| (*at, *kind as u8));
        prop_assert_eq!(told, done);
    }

    /// No call at all: the driver looks at each.
    #[test]
    fn i7_a_member_that_takes_no_writes_gets_none(
        history in history(limited(), steps(edit(), faults())),
    ) {
        hold(&history);
    }

    /// One member lies, dies, hangs or is away; all others have news of their own, and get them in that
    /// very run.
    #[test]
    fn i8_a_member_that_fails_costs_nobody_else(
        history in history(nature(), steps(plain_edit(), calm())),
        edits in prop::collection::vec((who(), plain_edit()), 1..5),
        faults in prop::collection::vec(of_one(), 1..3),
        order in prop::option::of(order()),
        bad in who(),
    ) {
        let mut world = hold(&history);
        let bad = among(&world, bad);
        for (at, edit) in edits {
            let at = among(&world, at);
            if at != bad {
                world.edit(at, edit);
            }
        }
        let faults: Vec<Fault> = faults.into_iter().map(|fault| blamed_on(fault, bad)).chain(order).collect();
        let outcome = world.run_with(&faults);
        let failed: Vec<usize> =
            (0..world.members.len()).filter(|at| outcome.summary().members[*at].failed).collect();
        // Of two, what is new at one has nowhere to go.
        let is_its_own = failed.is_empty() || failed == [bad.index()] || world.members.len() == 2;
        prop_assert!(is_its_own, "{:?} failed", failed);
        // A pair that its plugin was to compare waits for the next run.
        if !world.compares() {
            world.check_agreement(|at| at != bad);
        }
        let last = settle(&mut world);
        world.check_rest(&last);
    }

    /// Each deletion is judged when it is made: somebody deleted the item who knew of it.
    #[test]
    fn i9_no_deletion_follows_from_a_listing_that_is_not_whole(
        history in history(member(), steps(edit(), prop::collection::vec(listing(), 1..4))),
    ) {
        hold(&history);
    }

    /// Any bytes, under any name; members store them as they are.
    #[test]
    fn i10_bytes_arrive_unchanged(
        members in 2usize..=5,
        items in prop::collection::btree_map("[a-z]{1,3}", (who(), prop::collection::vec(any::<u8>(), 1..80)), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), who(), prop::collection::vec(any::<u8>(), 1..80)), 0..4),
    ) {
        let mut world = World::new(members);
        world.settings.match_content = false;
        for (name, (at, data)) in &items {
            let at = among(&world, *at);
            world.write(at, name.as_bytes(), data.clone());
        }
        rest(&mut world);
        let names: Vec<&String> = items.keys().collect();
        let mut expected: BTreeMap<&String, Vec<u8>> =
            items.iter().map(|(name, (_, data))| (name, data.clone())).collect();
        for (index, at, data) in changes {
            let name = names[index.index(names.len())];
            let at = among(&world, at);
            let row = world.store.rows.values().find(|row| *row.key.0 == *name.as_bytes()).unwrap();
            let href = row.entries[at.index()].as_ref().unwrap().href.as_bytes().to_vec();
            world.write(at, &href, data.clone());
            rest(&mut world);
            expected.insert(name, data);
        }
        let mut expected: Vec<Vec<u8>> = expected.into_values().collect();
        expected.sort();
        for at in world.all() {
            prop_assert_eq!(sim::stories::texts(&world, at), expected.clone());
        }
    }
}

/// A member that takes no writes, or not all, more often than not.
fn limited() -> impl Strategy<Value = Vec<Trait>> {
    let access = prop::sample::select(vec![Trait::ReadOnly, Trait::NoDelete, Trait::Authority]);
    (nature(), prop::option::of(access)).prop_map(|(mut traits, access)| {
        traits.extend(access);
        traits
    })
}

/// The same trouble, at this member.
fn blamed_on(fault: Fault, bad: MemberIndex) -> Fault {
    let mut fault = fault;
    match &mut fault {
        Fault::Away { member }
        | Fault::Listing { member, .. }
        | Fault::Lies { member, .. }
        | Fault::Lose { member, .. }
        | Fault::Unlink { member, .. }
        | Fault::Fatal { member, .. }
        | Fault::Slow { member } => *member = bad,
        _ => {}
    }
    fault
}

fn plan(world: &mut World) -> Vec<PlannedWrite> {
    let outcome = take(world, &Step::Plan).unwrap();
    assert_eq!((outcome.journals, outcome.commits), (0, 0), "a dry run writes (I5)");
    let planned = outcome.reports.into_iter().filter_map(|report| match report {
        Report::Planned(write) => Some(write),
        _ => None,
    });
    planned.collect()
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn i6_the_order_of_members_and_of_items_is_no_matter(
        history in history(member(), steps(plain_edit(), calm())),
        order in prop::sample::subsequence(vec![0usize, 1, 2, 3, 4], 5).prop_shuffle(),
    ) {
        let members = history.members.len();
        // Of two authorities the first counts.
        let mut one = history;
        // Of items that are kept twice, the first member's keeps its name.
        if one.conflict == ConflictPolicy::KeepBoth {
            one.conflict = ConflictPolicy::Queue;
        }
        let is_first_authority = |traits: &[Trait]| traits.contains(&Trait::Authority);
        let authorities = one.members.iter().filter(|traits| is_first_authority(traits)).count();
        if authorities > 1 {
            one.members.iter_mut().for_each(|traits| traits.retain(|nature| *nature != Trait::Authority));
        }
        // Which conflict is the first depends on it too.
        one.steps.retain(|step| !matches!(step, Step::Choose(..)));
        // What is stored otherwise and not told looks like an edit, at whom it is seen first.
        one.members.iter_mut().filter(|it| it.contains(&Trait::Rewrites)).for_each(|traits| {
            traits.retain(|nature| *nature != Trait::Silent);
        });
        // Of two that mean the same, the first member's goes to those who have none.
        one.members.iter_mut().for_each(|traits| traits.retain(|nature| *nature != Trait::Compares));
        // Where each of them stands in the other history.
        let places: Vec<usize> = order.into_iter().filter(|at| *at < members).collect();
        let other = permuted(&one, &places);
        let mut world = play(&one);
        settle(&mut world);
        let mut twin = build(&other);
        twin.members.iter_mut().for_each(|member| member.reverse ^= true);
        for step in &other.steps {
            drop(take(&mut twin, step));
        }
        settle(&mut twin);
        for at in world.all() {
            let there = MemberIndex::at(places[at.index()]);
            prop_assert_eq!(world.contents_of(at), twin.contents_of(there), "member {}", at.0);
        }
    }
}

/// The same history, in which the member at place `n` stands at `places[n]`.
fn permuted(history: &History, places: &[usize]) -> History {
    let moved = |at: MemberIndex| MemberIndex::at(places[at.index() % places.len()]);
    let mut members = history.members.clone();
    for (at, traits) in history.members.iter().enumerate() {
        members[places[at]].clone_from(traits);
    }
    let steps = history.steps.iter().map(|step| match step {
        Step::User(at, edit) => Step::User(moved(*at), *edit),
        Step::Run(faults) => Step::Run(
            faults
                .iter()
                .map(|fault| match fault {
                    Fault::Away { member } => Fault::Away { member: moved(*member) },
                    other => *other,
                })
                .collect(),
        ),
        Step::Choose(nth, sim::Choice::Take(at)) => Step::Choose(*nth, sim::Choice::Take(moved(*at))),
        other => other.clone(),
    });
    let conflict = match history.conflict {
        ConflictPolicy::Prefer(at) => ConflictPolicy::Prefer(moved(at)),
        other => other,
    };
    History { members, conflict, steps: steps.collect(), ..history.clone() }
}

/// Found by the generator.
#[test]
fn replay() {
    use sim::history::code::*;
    hold(&History {
        members: vec![vec![Feed], vec![]],
        conflict: ConflictPolicy::Queue,
        edit_vs_delete: EditVsDelete::Edit,
        exact: false,
        links: true,
        steps: vec![
            User(MemberIndex(0), Put { uid: 0, text: 0 }),
            Run(vec![]),
            User(MemberIndex(1), Delete { uid: 0 }),
            User(MemberIndex(0), Duplicate { uid: 0, text: 0 }),
            Run(vec![Chaos { seed: 11_395_891_600_057_644_394 }]),
            Run(vec![Chaos { seed: 163_348_434_390_026_589 }]),
        ],
    });
}

/// Found by the generator: an item that is gone at both members, and whose second proof failed for
/// good, left a row that nothing moved any more.
#[test]
fn a_proof_that_fails_for_good_sets_nothing_aside() {
    let mut world = World::new(2);
    world.edit(B, Edit::Put { uid: 1, text: 0 });
    world.edit(A, Edit::Put { uid: 1, text: 1 });
    drop(world.run());
    world.edit(B, Edit::Delete { uid: 1 });
    drop(world.run_with(&[Fault::Chaos { seed: 1_638_758_296_979_877_078 }]));
    world.edit(A, Edit::Delete { uid: 1 });
    let (broken, order) = (4_247_403_397_858_225_753, 9_742_605_206_799_215_905);
    drop(world.run_with(&[Fault::Broken { seed: broken }, Fault::Order { seed: order }]));
    settle(&mut world);
    assert!(world.store.rows.is_empty(), "{:?}", world.store.rows);
}

/// Found by the generator: an item that is gone comes back, and cannot be read in the run in which the
/// feed names it. The deletion that was owed is void (I9).
#[test]
fn s2_an_item_that_is_there_again_is_not_deleted_because_it_could_not_be_read() {
    let mut world = World::new(2);
    world.members[1].feed = true;
    world.edit(B, Edit::PutBare { name: 1, text: 0 });
    drop(world.run());
    let failed = Fault::Listing { member: A, how: ListFault::Failed };
    let edit = Fault::Meanwhile { member: B, step: 1, edit: Edit::DeleteBare { name: 1 } };
    drop(world.run_with(&[failed, edit]));
    world.edit(B, Edit::PutBare { name: 1, text: 0 });
    world.edit(B, Edit::Put { uid: 0, text: 0 });
    let (broken, order) = (1_000_809_669_939_512_529, 6_576_962_789_872_803_874);
    drop(world.run_with(&[Fault::Broken { seed: broken }, Fault::Order { seed: order }]));
    settle(&mut world);
    assert_eq!(world.members.iter().map(|member| member.items.len()).collect::<Vec<_>>(), [2, 2]);
}

/// Found by the generator: two items were linked by their content, then one got the other's UID.
/// What is the same byte by byte is owed to nobody.
#[test]
fn a_uid_that_becomes_the_same_is_no_write() {
    for access in [Access::ReadOnly, Access::Full] {
        let mut world = World::new(2);
        world.settings.members[1].access = access;
        world.edit(A, Edit::Put { uid: 0, text: 1 });
        world.edit(B, Edit::Put { uid: 2, text: 1 });
        settle(&mut world);
        world.edit(A, Edit::Rename { uid: 0, to: 2 });
        let outcome = world.run();
        assert_eq!((outcome.commits, outcome.summary().members[1].counts.kept), (0, 0));
        assert_eq!(settle(&mut world).summary().members[1].counts.kept, 0);
    }
}

/// Found by the generator: a deletion that was proved and is still owed, and an item that is there
/// again under its name and left out of a listing (S2, I9).
#[test]
fn s2_a_deletion_that_is_owed_from_an_earlier_run_is_proved_again() {
    let mut world = World::new(3);
    world.edit(B, Edit::PutBare { name: 1, text: 0 });
    settle(&mut world);
    world.edit(B, Edit::DeleteBare { name: 1 });
    let stopped = world.settings.max_delete;
    world.settings.max_delete = MaxDelete { count: 0, percent: 0, emptying: false };
    let summary = world.run().summary();
    assert!(summary.members[0].guard && summary.members[2].guard, "it is owed");
    world.settings.max_delete = stopped;
    world.edit(B, Edit::PutBare { name: 1, text: 0 });
    let blind = Fault::Listing { member: B, how: ListFault::Blind };
    assert_eq!(world.run_with(&[blind]).writes, []);
    settle(&mut world);
    assert_eq!(world.members.iter().map(|member| member.items.len()).collect::<Vec<_>>(), [1, 1, 1]);
}

/// Found by the generator (I4): A's new item, which its feed names once, becomes B's. It was in no row
/// after a kill, and B's could not be made at A for ever.
#[test]
fn x5_what_a_feed_named_once_is_in_a_row_whenever_all_is_killed() {
    let mut world = World::new(2);
    world.members[0].feed = true;
    world.edit(A, Edit::Put { uid: 0, text: 0 });
    settle(&mut world);
    world.edit(A, Edit::Put { uid: 1, text: 0 });
    world.edit(B, Edit::Put { uid: 1, text: 0 });
    world.edit(B, Edit::Put { uid: 0, text: 1 });
    drop(world.run_with(&[Fault::Away { member: B }]));
    world.edit(A, Edit::Put { uid: 0, text: 2 });
    for step in 1..20 {
        let mut world = world.clone();
        drop(world.run_with(&[Fault::Kill { step, applies: true }]));
        let last = settle(&mut world);
        world.check_rest(&last);
    }
}

/// Found by the generator (I7): D is lost while its conflict with others is read, and what it was to bring
/// comes from another. Nothing else was under way, and the run stood still.
#[test]
fn what_a_lost_member_was_to_bring_comes_from_another_in_the_same_run() {
    use sim::history::code::*;
    hold(&History {
        members: vec![vec![Rewrites], vec![Feed, Rewrites], vec![Silent], vec![]],
        conflict: ConflictPolicy::Queue,
        edit_vs_delete: EditVsDelete::Edit,
        exact: false,
        links: false,
        steps: vec![
            User(MemberIndex(3), Put { uid: 2, text: 1 }),
            User(MemberIndex(4), Put { uid: 2, text: 0 }),
            Run(vec![Broken { seed: 1_956_623_867_364_022_837 }]),
            User(MemberIndex(3), Put { uid: 0, text: 0 }),
            Run(vec![
                Broken { seed: 834_609_451_363_570_473 },
                Listing { member: MemberIndex(2), how: Incomplete },
            ]),
            Run(vec![Lose { member: MemberIndex(3), step: 7, applies: false }]),
        ],
    });
}

/// Found by the generator (I5): a create that was done, whose item a user deleted, is sent again; another
/// user has made another item with that UID since the listing.
#[test]
fn x2_what_was_made_since_the_listing_is_no_second_item_of_ours() {
    use sim::history::code::*;
    drop(play(&History {
        members: vec![vec![Rewrites, Lookup], vec![]],
        conflict: ConflictPolicy::Queue,
        edit_vs_delete: EditVsDelete::Edit,
        exact: false,
        links: false,
        steps: vec![
            User(MemberIndex(1), Put { uid: 2, text: 0 }),
            User(MemberIndex(1), Put { uid: 0, text: 0 }),
            Run(vec![Kill { step: 5, applies: true }]),
            User(MemberIndex(0), Delete { uid: 2 }),
            Run(vec![Meanwhile { member: MemberIndex(0), step: 3, edit: Duplicate { uid: 2, text: 0 } }]),
        ],
    }));
}

/// Found by the generator (I9): what a person wrote was in conflict with C's new item before any member
/// held it.
#[test]
fn what_a_person_wrote_may_be_in_conflict_before_anybody_holds_it() {
    use sim::history::code::*;
    hold(&History {
        members: vec![vec![], vec![], vec![]],
        conflict: ConflictPolicy::Newest,
        edit_vs_delete: EditVsDelete::Edit,
        exact: true,
        links: false,
        steps: vec![
            User(MemberIndex(0), Put { uid: 2, text: 0 }),
            User(MemberIndex(1), Put { uid: 2, text: 0 }),
            Run(vec![Listing { member: MemberIndex(2), how: Incomplete }]),
            Choose(0, Write { text: 6 }),
            User(MemberIndex(2), Put { uid: 2, text: 0 }),
            User(MemberIndex(1), Delete { uid: 2 }),
            User(MemberIndex(0), Delete { uid: 2 }),
        ],
    });
}

/// A history that fails is printed as code that can be pasted.
#[test]
fn a_history_prints_as_rust() {
    let history = History {
        members: vec![vec![Trait::Feed], vec![]],
        conflict: ConflictPolicy::Prefer(C),
        edit_vs_delete: outrigger_engine::EditVsDelete::Ask,
        exact: true,
        links: false,
        steps: vec![Step::User(B, Edit::Put { uid: 0, text: 1 }), Step::Run(vec![Fault::Away { member: A }])],
    };
    let printed = "History { members: vec![vec![Feed], vec![]], conflict: ConflictPolicy::Prefer(MemberIndex(2)), \
         edit_vs_delete: EditVsDelete::Ask, exact: true, links: false, steps: vec![User(MemberIndex(1), \
         Put { uid: 0, text: 1 }), Run(vec![Away { member: MemberIndex(0) }])] }";
    assert_eq!(format!("{history:?}"), printed);
}
