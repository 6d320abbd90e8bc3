//! Guards: updates of nearly everything, and creates after a slow listing, with the leave by exact
//! number.

use outrigger_engine::{Allow, ConflictPolicy, Guard, MemberIndex};

use crate::sim::stories::{PUT, all, counts, rest, stops};
use crate::sim::{A, B, C, Edit, Fault, ListFault, Outcome, World, card};

/// So many items that all hold, with the guards as they are by default.
fn full(members: usize, items: u8) -> World {
    let mut world = World::new(members);
    for uid in 0..items {
        world.edit(A, PUT(uid, 0));
    }
    rest(&mut world);
    world.settings.max_update = 90;
    world.settings.max_create_on_slow = 20;
    world
}

fn used(outcome: &Outcome) -> Vec<Guard> {
    outcome.summary().used
}

fn edit_all(world: &mut World, items: u8) {
    for uid in 0..items {
        world.edit(A, PUT(uid, 1));
    }
}

#[test]
fn updates_of_nearly_everything_stop_each_member_and_tell_the_number() {
    for members in 2..=3 {
        let mut world = full(members, 30);
        edit_all(&mut world, 28);
        let outcome = world.run();
        let expected: Vec<_> = world.all().skip(1).map(|at| (at, Guard::Updates, 28, 30, 10)).collect();
        assert_eq!(stops(&outcome), expected);
        assert_eq!(outcome.writes, []);
        assert!(used(&outcome).is_empty());
    }
}

#[test]
fn updates_of_most_and_of_few_are_no_accident() {
    for (items, edited) in [(30, 27), (20, 20)] {
        let mut world = full(3, items);
        edit_all(&mut world, edited);
        assert_eq!(counts(&world.run())[1..], [[0, u64::from(edited), 0]; 2]);
    }
}

#[test]
fn a_leave_to_update_names_the_number_and_is_good_for_one_member() {
    let mut world = full(3, 30);
    edit_all(&mut world, 28);
    for wrong in [27, 29] {
        world.settings.allow = Allow { updates: Some(wrong), ..Allow::default() };
        assert_eq!(world.run().writes, []);
    }
    // A leave for another guard is none.
    world.settings.allow = Allow { deletes: Some(28), creates: Some(28), ..Allow::default() };
    assert_eq!(world.run().writes, []);
    world.settings.allow = Allow { updates: Some(28), ..Allow::default() };
    let outcome = world.run();
    assert_eq!(
        (used(&outcome), counts(&outcome)[1..].to_vec()),
        (vec![Guard::Updates], vec![[0, 28, 0], [0; 3]])
    );
    assert_eq!(stops(&outcome), [(C, Guard::Updates, 28, 30, 10)]);
    // The driver does not give it again by itself.
    world.settings.allow = Allow::default();
    assert_eq!(world.run().writes, []);
    world.settings.allow.updates = Some(28);
    rest(&mut world);
    assert!((0..28).all(|uid| all(&world, uid) == [Some(1); 3]));
}

/// A has thirty items more, all of which it lists because it must list everything.
fn flooded(members: usize) -> World {
    let mut world = full(members, 30);
    for uid in 30..60 {
        world.edit(A, PUT(uid, 0));
    }
    world.settings.members[A.index()].slow = true;
    world
}

#[test]
fn creates_after_a_slow_listing_stop_each_member_that_was_in_step() {
    for members in 2..=3 {
        let mut world = flooded(members);
        let outcome = world.run();
        let expected: Vec<_> = world.all().skip(1).map(|at| (at, Guard::Creates, 30, 30, 10)).collect();
        assert_eq!(stops(&outcome), expected);
        assert_eq!(outcome.writes, []);
    }
}

/// Or the next run, which need not list everything, would make them all.
#[test]
fn a_feed_whose_creates_were_stopped_begins_anew_until_they_are_allowed() {
    let mut world = World::new(2);
    world.members[0].feed = true;
    (0..30).for_each(|uid| world.edit(A, PUT(uid, 0)));
    rest(&mut world);
    world.settings.max_create_on_slow = 20;
    (30..60).for_each(|uid| world.edit(A, PUT(uid, 0)));
    let rejected = [Fault::Listing { member: A, how: ListFault::Rejected }];
    let before = world.store.anchors.clone();
    for _ in 0..2 {
        let outcome = world.run_with(&rejected);
        assert_eq!((stops(&outcome).len(), outcome.writes), (1, vec![]));
        assert_eq!(world.store.anchors, before);
    }
    world.settings.allow.creates = Some(30);
    assert_eq!(counts(&world.run_with(&rejected))[1], [30, 0, 0]);
    assert_ne!(world.store.anchors, before);
}

/// It was forgotten, so that it would get what it had lost.
#[test]
fn creates_at_a_member_that_is_met_for_the_first_time_are_no_accident() {
    let mut world = full(2, 60);
    (0..33).for_each(|uid| world.edit(B, Edit::Delete { uid }));
    for row in world.store.rows.values_mut() {
        row.entries[B.index()] = None;
    }
    world.settings.members[B.index()].slow = true;
    assert_eq!(counts(&world.run())[1], [33, 0, 0]);
}

#[test]
fn creates_are_no_accident_without_a_slow_listing_or_at_first_contact() {
    let mut world = flooded(3);
    world.settings.members[A.index()].slow = false;
    assert_eq!(counts(&world.run())[1..], [[30, 0, 0]; 2]);
    let mut world = World::new(3);
    world.settings.max_create_on_slow = 20;
    world.settings.members.iter_mut().for_each(|member| member.slow = true);
    for uid in 0..30 {
        world.edit(B, PUT(uid, 0));
    }
    assert!(stops(&world.run()).is_empty());
    assert_eq!(world.members.iter().map(|member| member.items.len()).collect::<Vec<_>>(), [30; 3]);
}

#[test]
fn a_leave_to_create_names_the_number() {
    let mut world = flooded(2);
    world.settings.allow.creates = Some(31);
    assert_eq!(world.run().writes, []);
    world.settings.allow.creates = Some(30);
    let outcome = world.run();
    assert_eq!((used(&outcome), counts(&outcome)[1]), (vec![Guard::Creates], [30, 0, 0]));
}

/// What A or B made of an item, with the time that a policy may go by.
fn stamped(uid: u8, text: u8) -> Vec<u8> {
    let card = String::from_utf8(card(Some(uid), text)).unwrap();
    card.replace("END:", &format!("REV:2026010{text}T000000Z\r\nEND:")).into_bytes()
}

/// So many items, of which A and B have each edited some without the other.
fn disputed(members: usize, conflict: ConflictPolicy, items: u8, edited: u8) -> World {
    let mut world = World::new(members);
    world.settings.conflict = conflict;
    world.settings.members.iter_mut().for_each(|member| member.reliable_times = true);
    for uid in 0..items {
        world.edit(A, PUT(uid, 0));
    }
    rest(&mut world);
    (world.settings.max_update, world.settings.max_create_on_slow) = (90, 20);
    for uid in 0..edited {
        for (at, text) in [(A, 1), (B, 2)] {
            let href = world.members[at.index()].by_uid(uid).unwrap();
            world.write(at, &href, stamped(uid, text));
        }
        world.causes.outvoted(&stamped(uid, 1), &stamped(uid, 2));
    }
    world
}

const POLICIES: [ConflictPolicy; 3] =
    [ConflictPolicy::Newest, ConflictPolicy::KeepBoth, ConflictPolicy::Resolve];

/// Whoever holds them may come to be written: nobody knows before they are read.
#[test]
fn no_policy_goes_round_the_guard_of_updates() {
    for (policy, members) in POLICIES.into_iter().flat_map(|policy| [(policy, 2), (policy, 3)]) {
        let mut world = disputed(members, policy, 30, 30);
        let outcome = world.run();
        let expected: Vec<_> = world.all().map(|at| (at, Guard::Updates, 30, 30, 10)).collect();
        assert_eq!(stops(&outcome), expected, "{policy:?}");
        let summary = outcome.summary();
        assert_eq!((outcome.writes, outcome.merges, summary.resolved), (vec![], 0, 0), "{policy:?}");
        assert_eq!((summary.conflicts, summary.pending), (0, 30), "it is not for a person: {policy:?}");
    }
}

/// The first leave lets one member through, and with it what the policy makes of the conflicts.
#[test]
fn what_a_policy_settles_goes_on_by_the_number() {
    for (policy, members) in POLICIES.into_iter().flat_map(|policy| [(policy, 2), (policy, 3)]) {
        let mut world = disputed(members, policy, 30, 30);
        world.settings.allow.updates = Some(30);
        assert_eq!(world.run().summary().resolved, 30, "{policy:?}");
        for _ in 1..members {
            world.run();
        }
        let outcome = rest(&mut world);
        assert_eq!((stops(&outcome), outcome.summary().conflicts), (vec![], 0), "{policy:?}");
        assert!((0..30).all(|uid| all(&world, uid).windows(2).all(|two| two[0] == two[1])), "{policy:?}");
    }
}

#[test]
fn keeping_both_does_not_go_round_the_guard_of_creates() {
    let held = |world: &World, at: MemberIndex| world.members[at.index()].items.len();
    let mut world = disputed(2, ConflictPolicy::KeepBoth, 100, 25);
    world.settings.members[A.index()].slow = true;
    let outcome = world.run();
    assert_eq!(stops(&outcome), [(A, Guard::Creates, 25, 100, 10), (B, Guard::Creates, 25, 100, 10)]);
    assert_eq!((outcome.writes, held(&world, A), held(&world, B)), (vec![], 100, 100));
    world.settings.members[A.index()].slow = false;
    rest(&mut world);
    assert_eq!((held(&world, A), held(&world, B)), (125, 125));
}

/// What waits for a person is written nowhere.
#[test]
fn conflicts_that_no_policy_settles_are_no_updates() {
    let mut untrusted = disputed(2, ConflictPolicy::Newest, 30, 30);
    untrusted.settings.members[B.index()].reliable_times = false;
    for mut world in [untrusted, disputed(2, ConflictPolicy::Queue, 30, 30)] {
        let outcome = world.run();
        assert_eq!((stops(&outcome), outcome.summary().conflicts), (vec![], 30));
    }
}
