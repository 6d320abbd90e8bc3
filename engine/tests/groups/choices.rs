//! What a person makes of a conflict, and what happens to edits that the person did not know.

use crate::sim::stories::{PUT, all, conflicts, in_sync, rest};
use crate::sim::{A, B, C, Choice, Edit, Fault, World, card};

/// A and B edited item 0 without each other, and a person is asked.
fn disputed(members: usize) -> World {
    let mut world = in_sync(members);
    world.edit(A, PUT(0, 1));
    world.edit(B, PUT(0, 2));
    assert_eq!(conflicts(&world.run()), 1);
    world
}

#[test]
fn what_is_chosen_is_everybodys() {
    for (members, at, text) in [(2, A, 1), (2, B, 2), (3, A, 1), (3, B, 2)] {
        let mut world = disputed(members);
        world.choose(0, Choice::Take(at));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(text); members]);
        assert!(world.store.disputed.is_empty());
        let loser = card(Some(0), 3 - text);
        assert!(world.store.undo.iter().any(|undo| undo.data == loser), "it can be undone");
    }
}

#[test]
fn what_was_agreed_before_can_be_chosen_of_whoever_has_it() {
    let mut world = disputed(3);
    world.choose(0, Choice::Take(C));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(0); 3]);
}

#[test]
fn what_a_person_writes_is_everybodys() {
    for members in 2..=3 {
        let mut world = disputed(members);
        world.choose(0, Choice::Write { text: 5 });
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(5); members]);
    }
}

#[test]
fn what_a_person_discards_is_gone_and_can_be_undone() {
    for members in 2..=3 {
        let mut world = disputed(members);
        world.choose(0, Choice::Discard);
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![None; members]);
        assert!(world.store.rows.is_empty());
        let kept: Vec<_> = world.store.undo.iter().map(|undo| undo.data.clone()).collect();
        assert!([1u8, 2].iter().all(|text| kept.contains(&card(Some(0), *text))));
    }
}

/// Whoever chose had not seen it.
#[test]
fn an_edit_meanwhile_is_in_conflict_with_what_was_chosen() {
    for choice in [Choice::Take(A), Choice::Write { text: 5 }] {
        for members in 2..=3 {
            let mut world = disputed(members);
            world.choose(0, choice);
            world.edit(B, PUT(0, 7));
            let outcome = world.run();
            assert_eq!(conflicts(&outcome), 1, "{choice:?}, {members} members");
            assert_eq!(all(&world, 0)[1], Some(7), "it is not overwritten");
            rest(&mut world);
            // And that can be chosen too.
            world.choose(0, Choice::Take(B));
            rest(&mut world);
            assert_eq!(all(&world, 0), vec![Some(7); members]);
        }
    }
}

/// A run saw it, and could not act on it: the person still had not.
#[test]
fn an_edit_that_only_a_run_has_seen_is_in_conflict_with_what_was_chosen() {
    let mut world = disputed(2);
    world.edit(B, PUT(0, 7));
    world.run_with(&[Fault::Away { member: A }]);
    world.choose(0, Choice::Take(A));
    assert_eq!(conflicts(&world.run()), 1);
    assert_eq!(all(&world, 0), [Some(1), Some(7)]);
}

/// Found by the generator (I4): while A is away, B is brought what was chosen. So the conflict is no longer
/// the one that a person was shown, and nothing can be chosen over what it does not name.
#[test]
fn a_conflict_that_is_overtaken_is_raised_anew() {
    let mut world = disputed(2);
    world.choose(0, Choice::Write { text: 5 });
    world.edit(A, PUT(0, 7));
    assert_eq!(conflicts(&world.run()), 1);
    world.run_with(&[Fault::Away { member: A }]);
    assert_eq!(all(&world, 0), [Some(7), Some(5)]);
    world.choose(0, Choice::Take(A));
    assert_eq!(conflicts(&world.run()), 1);
    assert_eq!(all(&world, 0), [Some(7), Some(5)]);
    world.choose(0, Choice::Take(A));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(7); 2]);
}

#[test]
fn an_edit_by_who_was_chosen_is_an_edit_of_what_was_chosen() {
    for members in 2..=3 {
        let mut world = disputed(members);
        world.choose(0, Choice::Take(A));
        world.edit(A, PUT(0, 7));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(7); members]);
    }
}

#[test]
fn an_edit_meanwhile_survives_that_the_item_was_discarded() {
    for members in 2..=3 {
        let mut world = disputed(members);
        world.choose(0, Choice::Discard);
        world.edit(B, PUT(0, 7));
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(7); members]);
    }
}

#[test]
fn a_deletion_meanwhile_does_not_take_back_what_was_chosen() {
    for members in 2..=3 {
        let mut world = disputed(members);
        world.choose(0, Choice::Take(A));
        world.edit(B, Edit::Delete { uid: 0 });
        rest(&mut world);
        assert_eq!(all(&world, 0), vec![Some(1); members], "it was behind");
    }
}
