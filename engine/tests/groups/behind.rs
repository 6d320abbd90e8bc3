//! A member that was away, duplicates, and conflicts that wait for more than two.

use outrigger_engine::{ConflictPolicy, EditVsDelete};
use outrigger_protocol::CommitKind;

use crate::sim::stories::{PUT, all, conflicts, in_sync, rest, text_of, texts};
use crate::sim::{A, B, C, D, Edit, Fault, World, card};

const AWAY: Fault = Fault::Away { member: C };

/// The stick has text 0; the two others agreed on text 1, then on text 2.
fn stick() -> World {
    let mut world = in_sync(3);
    for text in 1..=2 {
        world.edit(A, PUT(0, text));
        world.run_with(&[AWAY]);
    }
    assert_eq!(all(&world, 0), [Some(2), Some(2), Some(0)]);
    world
}

#[test]
fn s1_who_was_away_is_brought_the_newest_in_one_write() {
    let mut world = stick();
    assert_eq!(world.run().writes, [(C, CommitKind::Update)]);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(2); 3]);
}

#[test]
fn s1_an_edit_of_what_was_overtaken_is_in_conflict_with_what_is_agreed() {
    let mut world = stick();
    world.edit(C, PUT(0, 7));
    let outcome = world.run();
    assert_eq!((conflicts(&outcome), outcome.writes), (1, vec![]));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(2), Some(2), Some(7)], "neither is overwritten");
}

#[test]
fn s1_an_edit_of_what_was_overtaken_loses_or_wins_where_a_member_is_preferred() {
    for (preferred, wins, loses) in [(A, 2, 7), (B, 2, 7), (C, 7, 2u8)] {
        let mut world = stick();
        world.settings.conflict = ConflictPolicy::Prefer(preferred);
        world.edit(C, PUT(0, 7));
        rest(&mut world);
        assert_eq!(all(&world, 0), [Some(wins); 3]);
        assert!(world.store.undo.iter().any(|undo| undo.data == card(Some(0), loses)));
    }
}

/// The same edit, by chance, is none.
#[test]
fn s1_an_edit_to_what_is_agreed_by_now_is_no_conflict() {
    let mut world = stick();
    world.edit(C, PUT(0, 2));
    let outcome = world.run();
    assert_eq!((conflicts(&outcome), outcome.writes), (0, vec![]));
    rest(&mut world);
}

#[test]
fn s1_a_deletion_of_what_was_overtaken_is_void() {
    for policy in [EditVsDelete::Edit, EditVsDelete::Delete, EditVsDelete::Ask] {
        let mut world = stick();
        world.settings.edit_vs_delete = policy;
        world.edit(C, Edit::Delete { uid: 0 });
        let outcome = world.run();
        assert_eq!((conflicts(&outcome), outcome.writes), (0, vec![(C, CommitKind::Create)]), "{policy:?}");
        rest(&mut world);
        assert_eq!(all(&world, 0), [Some(2); 3]);
    }
}

/// Whoever was there can edit on while another is away.
#[test]
fn s1_who_is_away_holds_nobody_up() {
    let mut world = stick();
    world.edit(B, PUT(0, 3));
    let outcome = world.run_with(&[AWAY]);
    assert_eq!((conflicts(&outcome), outcome.writes), (0, vec![(A, CommitKind::Update)]));
    world.edit(A, Edit::Delete { uid: 0 });
    assert_eq!(world.run_with(&[AWAY]).writes, [(B, CommitKind::Delete)]);
    rest(&mut world);
    assert_eq!(all(&world, 0), [None; 3]);
}

#[test]
fn s1_a_deletion_stays_known_until_every_member_has_taken_note() {
    let mut world = in_sync(3);
    world.edit(A, Edit::Delete { uid: 0 });
    for _ in 0..3 {
        world.run_with(&[AWAY]);
        let rows: Vec<_> = world.store.rows.values().collect();
        assert!(matches!(rows.as_slice(), [row] if row.base.is_none() && row.version > 0), "{rows:?}");
    }
    assert_eq!(all(&world, 0), [None, None, Some(0)]);
    assert_eq!(world.run().writes, [(C, CommitKind::Delete)], "it does not come back from there");
    rest(&mut world);
    assert!(world.store.rows.is_empty(), "all have taken note");
}

#[test]
fn s1_a_deletion_that_all_took_part_in_leaves_nothing() {
    let mut world = in_sync(3);
    world.edit(A, Edit::Delete { uid: 0 });
    rest(&mut world);
    assert!(world.store.rows.is_empty());
}

/// The member is no longer in the group: its place in every row is gone.
#[test]
fn s1_a_deletion_is_forgotten_when_who_was_owed_it_has_left() {
    let mut world = in_sync(3);
    world.edit(A, Edit::Delete { uid: 0 });
    world.run_with(&[AWAY]);
    world.members.truncate(2);
    world.settings.members.truncate(2);
    world.store.anchors.truncate(2);
    world.store.stores.truncate(2);
    for row in world.store.rows.values_mut() {
        row.entries.truncate(2);
    }
    rest(&mut world);
    assert!(world.store.rows.is_empty());
    assert_eq!(all(&world, 0), [None; 2]);
}

/// Found by the generator (I1): A stores what it is sent otherwise, and a user takes that back. What means
/// the same as what C has has another UID.
#[test]
fn s1_who_was_away_is_brought_another_uid_of_a_text_that_is_the_same() {
    let mut world = in_sync(3);
    world.members[0].rewrites = true;
    world.edit(B, Edit::Rename { uid: 0, to: 7 });
    world.run_with(&[AWAY]);
    world.edit(A, PUT(7, 0));
    rest(&mut world);
    assert_eq!(all(&world, 7), [Some(0); 3]);
}

/// Found by the generator (I1): no digest tells that one of two that were in conflict has another UID.
#[test]
fn x5_a_conflict_that_ends_with_one_text_leaves_no_two_uids() {
    for (first, second) in [(A, B), (B, A)] {
        let mut world = in_sync(2);
        world.edit(first, Edit::Rename { uid: 0, to: 7 });
        world.edit(first, PUT(7, 1));
        world.edit(second, PUT(0, 2));
        assert_eq!(conflicts(&world.run()), 1);
        world.edit(second, PUT(0, 1));
        rest(&mut world);
        assert_eq!(texts(&world, A), texts(&world, B));
    }
}

/// Found by the generator (I1): what is agreed, byte by byte, is brought from wherever it is.
#[test]
fn s1_who_has_made_what_is_agreed_needs_nobody_who_is_away() {
    let away = |members: [_; 2]| members.map(|member| Fault::Away { member });
    let mut world = World::new(4);
    world.edit(A, PUT(0, 0));
    world.run_with(&away([C, D]));
    world.edit(C, PUT(0, 0));
    assert_eq!(world.run_with(&away([A, B])).writes, [(D, CommitKind::Create)]);
    assert_eq!(rest(&mut world).writes, []);
    // And it counts as any other: it can be deleted there.
    world.edit(C, Edit::Delete { uid: 0 });
    rest(&mut world);
    assert_eq!(all(&world, 0), [None; 4]);
}

/// Edited there, while the others deleted it: the edit had not seen that.
#[test]
fn s1_an_edit_of_what_was_deleted_meanwhile_is_judged_by_the_policy() {
    for (policy, expected, raised) in [
        (EditVsDelete::Edit, [Some(7); 3], 0),
        (EditVsDelete::Delete, [None; 3], 0),
        (EditVsDelete::Ask, [None, None, Some(7)], 1),
    ] {
        let mut world = in_sync(3);
        world.settings.edit_vs_delete = policy;
        world.edit(A, Edit::Delete { uid: 0 });
        world.run_with(&[AWAY]);
        world.edit(C, PUT(0, 7));
        assert_eq!(conflicts(&world.run()), raised, "{policy:?}");
        rest(&mut world);
        assert_eq!(all(&world, 0), expected, "{policy:?}");
    }
}

/// Found by the generator (I4): what C still has was deleted by somebody who had seen it.
#[test]
fn s1_what_was_deleted_does_not_win_where_who_was_away_is_preferred() {
    let mut world = in_sync(3);
    world.settings.conflict = ConflictPolicy::Prefer(C);
    world.edit(B, Edit::Delete { uid: 0 });
    world.run_with(&[AWAY]);
    world.edit(A, PUT(0, 1));
    world.edit(B, PUT(0, 2));
    let outcome = world.run();
    assert_eq!((conflicts(&outcome), outcome.writes), (1, vec![]));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(1), Some(2), Some(0)]);
}

/// Another item with the same UID, made while the deletion is still owed to the third.
#[test]
fn s1_an_item_that_is_made_again_after_its_deletion_is_for_everybody() {
    let mut world = in_sync(3);
    world.edit(A, Edit::Delete { uid: 0 });
    world.run_with(&[AWAY]);
    world.edit(B, PUT(0, 5));
    world.run_with(&[AWAY]);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(5); 3]);
}

/// Found by the generator (I2): B has made it anew, and C, who was not told, has edited it to the same.
#[test]
fn s1_what_is_made_again_is_not_deleted_with_an_edit_that_is_the_same() {
    let mut world = in_sync(4);
    world.settings.edit_vs_delete = EditVsDelete::Delete;
    world.edit(A, Edit::Delete { uid: 0 });
    world.run_with(&[AWAY]);
    world.edit(B, PUT(0, 7));
    world.edit(C, PUT(0, 7));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(7); 4]);
}

#[test]
fn x5_a_conflict_of_two_is_raised_once_for_all_and_leaves_the_third_alone() {
    let mut world = in_sync(3);
    world.edit(A, PUT(0, 1));
    world.edit(B, PUT(0, 2));
    let outcome = world.run();
    assert_eq!((conflicts(&outcome), outcome.writes), (1, vec![]));
    let again = world.run();
    assert_eq!((conflicts(&again), again.summary().conflicts), (0, 1));
    let row = world.store.rows.values().next().unwrap();
    assert_eq!(world.store.disputed[&row.id].len(), 2, "what was agreed before is no side of it");
    assert_eq!(all(&world, 0), [Some(1), Some(2), Some(0)]);
}

#[test]
fn x5_a_third_edit_is_raised_anew_and_all_three_are_kept() {
    let mut world = in_sync(3);
    world.edit(A, PUT(0, 1));
    world.edit(B, PUT(0, 2));
    world.run();
    world.edit(C, PUT(0, 3));
    assert_eq!(conflicts(&world.run()), 1);
    let row = world.store.rows.values().next().unwrap();
    assert_eq!(world.store.disputed[&row.id].len(), 3);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(1), Some(2), Some(3)]);
}

#[test]
fn x5_a_conflict_of_three_ends_when_all_but_one_go_back() {
    let mut world = in_sync(4);
    for (at, text) in [(A, 1), (B, 2), (C, 3)] {
        world.edit(at, PUT(0, text));
    }
    assert_eq!(conflicts(&world.run()), 1);
    world.edit(A, PUT(0, 0));
    world.run();
    world.edit(B, PUT(0, 0));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(3); 4]);
    assert!(text_of(&world, D, 0).is_some());
}

/// Feeds name each edit once: what waits for who is away is not forgotten.
#[test]
fn x5_what_a_feed_named_once_reaches_who_comes_back() {
    let mut world = in_sync(3);
    world.members.iter_mut().for_each(|member| member.feed = true);
    rest(&mut world);
    world.edit(A, PUT(0, 1));
    world.edit(A, PUT(1, 1));
    world.run_with(&[AWAY]);
    for _ in 0..3 {
        world.run_with(&[AWAY]);
    }
    let outcome = world.run();
    assert_eq!(outcome.summary().members[0].counts.listed, 0, "its feed names nothing more");
    assert_eq!((all(&world, 0), all(&world, 1)), (vec![Some(1); 3], vec![Some(1); 3]));
}

#[test]
fn s7_a_duplicate_at_one_of_three_keeps_nobody_from_the_first() {
    let mut world = in_sync(3);
    world.edit(B, Edit::Duplicate { uid: 0, text: 2 });
    assert_eq!(world.run().summary().quarantined, 1);
    world.edit(C, PUT(0, 1));
    rest(&mut world);
    assert_eq!((text_of(&world, A, 0), texts(&world, A).len()), (Some(1), 1));
    assert_eq!(texts(&world, B), [card(Some(0), 1u8), card(Some(0), 2u8)], "the row stays with its item");
}

#[test]
fn s7_each_member_may_have_a_duplicate_of_its_own() {
    let mut world = in_sync(3);
    world.edit(A, Edit::Duplicate { uid: 0, text: 2 });
    world.edit(C, Edit::Duplicate { uid: 0, text: 3 });
    assert_eq!(world.run().summary().quarantined, 2);
    world.edit(B, PUT(0, 1));
    rest(&mut world);
    assert!(world.all().all(|at| texts(&world, at).contains(&card(Some(0), 1u8))));
    assert_eq!(world.members.iter().map(|member| member.items.len()).collect::<Vec<_>>(), [2, 1, 2]);
}
