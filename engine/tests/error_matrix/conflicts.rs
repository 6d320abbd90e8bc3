//! D 43: what contradicts itself.

use outrigger_engine::{ConflictPolicy, EditVsDelete, MemberIndex};

use super::sim::stories::{PUT, all, conflicts, counts, in_sync, rest};
use super::sim::{A, B, C, Choice, Edit, Merges, World};
use super::{DELETED, once, rows};

const DELETE: Edit = Edit::Delete { uid: 0 };

/// A and B have changed item 0.
fn changed(members: usize, policy: ConflictPolicy) -> World {
    let mut world = World::new(members);
    world.settings.conflict = policy;
    world.edit(A, PUT(0, 0));
    rest(&mut world);
    world.edit(A, PUT(0, 1));
    world.edit(B, PUT(0, 2));
    world
}

/// Raised once, counted in every run, and nobody is written.
fn waits(world: &mut World) {
    let held = world.contents();
    for new in [1, 0, 0] {
        let outcome = world.run();
        let summary = outcome.summary();
        assert_eq!((summary.conflicts, summary.new_conflicts, conflicts(&outcome) as u64), (1, new, new));
        assert_eq!(outcome.writes, []);
    }
    assert_eq!(world.contents(), held);
}

#[test]
fn d43_two_texts_wait_until_a_person_chooses() {
    for members in [2, 3] {
        for taken in 0..members {
            let mut world = changed(members, ConflictPolicy::Queue);
            waits(&mut world);
            world.choose(0, Choice::Take(MemberIndex::at(taken)));
            let outcome = world.run();
            let text = Some([1, 2, 0][taken]);
            assert_eq!(outcome.writes.len(), members - 1);
            assert_eq!((all(&world, 0), outcome.summary().conflicts), (vec![text; members], 0));
            let last = rest(&mut world);
            world.check_rest(&last);
        }
    }
}

#[test]
fn d43_a_person_may_write_something_else_or_have_none_of_it() {
    for members in [2, 3] {
        for (choice, text) in [(Choice::Write { text: 7 }, Some(7)), (Choice::Discard, None)] {
            let mut world = changed(members, ConflictPolicy::Queue);
            waits(&mut world);
            world.choose(0, choice);
            assert_eq!(world.run().writes.len(), members);
            assert_eq!(all(&world, 0), vec![text; members]);
            rest(&mut world);
        }
    }
}

#[test]
fn d43_a_member_that_is_preferred_wins() {
    for members in [2, 3] {
        for (taken, text) in [(A, 1), (B, 2)] {
            let mut world = changed(members, ConflictPolicy::Prefer(taken));
            let outcome = world.run();
            assert_eq!(outcome.writes.len(), members - 1);
            assert_eq!((all(&world, 0), conflicts(&outcome)), (vec![Some(text); members], 0));
            rest(&mut world);
        }
    }
}

/// OpenSync's "duplicate".
#[test]
fn d43_both_are_kept_as_two_items() {
    for members in [2, 3] {
        let mut world = changed(members, ConflictPolicy::KeepBoth);
        rest(&mut world);
        let texts = |at: MemberIndex| world.members[at.index()].items.len();
        assert_eq!(world.all().map(texts).collect::<Vec<_>>(), vec![2; members]);
        assert_eq!((all(&world, 0), rows(&world).len()), (vec![Some(1); members], 2));
    }
}

/// A card that says when it was changed.
fn dated(text: u8, day: u8) -> Vec<u8> {
    let rev = format!("REV:202601{day:02}T120000Z\r\n");
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:uid0\r\nFN:text{text}\r\n{rev}END:VCARD\r\n").into_bytes()
}

#[test]
fn d43_the_newest_wins_and_a_tie_is_refused() {
    for members in [2, 3] {
        for (days, winner) in [([2, 1], Some(1)), ([1, 2], Some(2)), ([1, 1], None)] {
            let mut world = in_sync(members);
            world.settings.conflict = ConflictPolicy::Newest;
            world.settings.members.iter_mut().for_each(|member| member.reliable_times = true);
            for (at, text) in [(A, 1), (B, 2)] {
                let name = world.members[at.index()].by_uid(0).unwrap();
                world.write(at, &name, dated(text, days[at.index()]));
            }
            match winner {
                None => waits(&mut world),
                Some(text) => {
                    let (won, lost) = (usize::from(text) - 1, 2 - usize::from(text));
                    let texts = [dated(1, days[0]), dated(2, days[1])];
                    world.causes.outvoted(&texts[lost], &texts[won]);
                    rest(&mut world);
                    assert_eq!(all(&world, 0), vec![Some(text); members]);
                }
            }
        }
    }
}

/// A changed it, B deleted it.
fn changed_and_deleted(members: usize, policy: EditVsDelete) -> World {
    let mut world = in_sync(members);
    world.settings.edit_vs_delete = policy;
    world.edit(A, PUT(0, 1));
    world.edit(B, DELETE);
    world
}

#[test]
fn d43_an_edit_is_worth_more_than_a_deletion_or_less_as_the_user_says() {
    for members in [2, 3] {
        let mut world = changed_and_deleted(members, EditVsDelete::Edit);
        let expected = [[0, 0, 0], [1, 0, 0], [0, 1, 0]];
        assert_eq!(counts(&world.run()), expected[..members]);
        assert_eq!(all(&world, 0), vec![Some(1); members]);
        let mut world = changed_and_deleted(members, EditVsDelete::Delete);
        assert_eq!(counts(&world.run()), once(members, DELETED, |at| at != B));
        assert_eq!(all(&world, 0), vec![None; members]);
        let is_kept = |text| world.store.undo.iter().any(|undo| undo.data == super::sim::card(Some(0), text));
        assert!(is_kept(1u8), "the edit is in the undo journal");
    }
}

#[test]
fn d43_an_edit_and_a_deletion_wait_where_the_user_wants_to_be_asked() {
    for members in [2, 3] {
        for (choice, text) in [(Choice::Take(A), Some(1)), (Choice::Discard, None)] {
            let mut world = changed_and_deleted(members, EditVsDelete::Ask);
            waits(&mut world);
            world.choose(0, choice);
            rest(&mut world);
            assert_eq!(all(&world, 0), vec![text; members]);
        }
    }
}

#[test]
fn d43_two_deletions_are_none() {
    for members in [2, 3] {
        let mut world = in_sync(members);
        world.edit(A, DELETE);
        world.edit(B, DELETE);
        let outcome = world.run();
        assert_eq!(counts(&outcome), once(members, DELETED, |at| at != A && at != B));
        assert_eq!(conflicts(&outcome), 0);
        rest(&mut world);
        assert_eq!(rows(&world).len(), 0);
    }
}

/// OpenSync's hybrid: two texts and a deletion.
#[test]
fn d43_two_texts_and_a_deletion_are_one_conflict() {
    let mut world = changed(3, ConflictPolicy::Queue);
    world.edit(C, DELETE);
    waits(&mut world);
    world.choose(0, Choice::Take(B));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(2); 3]);
}

/// Three conflicts, settled one by one in any order, with runs between them.
#[test]
fn d43_several_are_open_at_once_and_settled_in_any_order() {
    for members in [2, 3] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut world = in_sync(members);
            (1..=2).for_each(|uid| world.edit(A, PUT(uid, 0)));
            rest(&mut world);
            for uid in 0..=2 {
                world.edit(A, PUT(uid, 10 + uid));
                world.edit(B, PUT(uid, 20 + uid));
            }
            let (mut open, mut expected) = (vec![0u8, 1, 2], [0u8; 3]);
            assert_eq!(world.run().summary().conflicts, 3);
            for (nth, uid) in order.into_iter().enumerate() {
                let at = open.iter().position(|other| *other == uid).unwrap();
                let taken = if uid == 1 { A } else { B };
                world.choose(u8::try_from(at).unwrap(), Choice::Take(taken));
                open.remove(at);
                expected[usize::from(uid)] = if taken == A { 11 } else { 20 + uid };
                let outcome = world.run();
                assert_eq!(
                    (outcome.summary().conflicts, outcome.writes.len()),
                    (2 - nth as u64, members - 1)
                );
            }
            for uid in 0..=2 {
                assert_eq!(all(&world, uid), vec![Some(expected[usize::from(uid)]); members]);
            }
        }
    }
}

/// OpenSync: abort in the handler, and no handler at all.
#[test]
fn d43_what_no_merge_comes_of_waits_and_holds_nothing_else_up() {
    for members in [2, 3] {
        for merges in [Merges::Refused, Merges::Nonsense] {
            let mut world = changed(members, ConflictPolicy::Resolve);
            world.merges = merges;
            world.edit(A, PUT(1, 1));
            let outcome = world.run();
            assert_eq!((outcome.summary().conflicts, outcome.writes.len()), (1, members - 1));
            assert_eq!(all(&world, 1), vec![Some(1); members]);
            let again = world.run();
            assert_eq!((again.summary().conflicts, again.summary().new_conflicts), (1, 0));
        }
    }
}

#[test]
fn d43_an_answer_that_comes_when_the_item_has_changed_is_asked_for_again() {
    for members in [2, 3] {
        let mut world = changed(members, ConflictPolicy::Queue);
        waits(&mut world);
        world.choose(0, Choice::Take(A));
        world.edit(B, PUT(0, 3));
        let outcome = world.run();
        assert_eq!(
            (
                outcome.summary().conflicts,
                outcome.writes.contains(&(B, outrigger_protocol::CommitKind::Update))
            ),
            (1, false)
        );
        assert_eq!(super::sim::stories::text_of(&world, B, 0), Some(3), "nobody has seen it");
    }
}
