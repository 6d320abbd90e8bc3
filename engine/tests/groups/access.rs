//! Members that take no writes, or not all, and one whose content is everybody's.

use outrigger_engine::Access;
use outrigger_protocol::CommitKind;

use crate::sim::stories::{PUT, all, conflicts, counts, in_sync, rest, text_of};
use crate::sim::{A, B, C, Edit, Fault, World};

fn with(access: Access) -> World {
    let mut world = in_sync(3);
    world.settings.members[B.index()].access = access;
    world
}

fn kept(world: &mut World) -> Vec<u64> {
    world.run().summary().members.iter().map(|member| member.counts.kept).collect()
}

/// I7: the simulated driver fails if it is written.
#[test]
fn i7_a_read_only_member_gives_and_is_owed() {
    let mut world = with(Access::ReadOnly);
    world.edit(B, PUT(1, 1));
    world.edit(A, PUT(0, 2));
    world.edit(C, PUT(2, 2));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(2), Some(0), Some(2)]);
    assert_eq!(all(&world, 1), [Some(1); 3], "what it has is for all");
    assert_eq!(all(&world, 2), [Some(2), None, Some(2)]);
    assert_eq!(kept(&mut world), [0, 2, 0]);
}

/// Nothing is taken back: what others deleted stays there, and what was overtaken is a conflict.
#[test]
fn i7_an_edit_at_a_read_only_member_that_is_behind_is_a_conflict() {
    let mut world = with(Access::ReadOnly);
    world.edit(A, PUT(0, 2));
    rest(&mut world);
    world.edit(B, PUT(0, 3));
    assert_eq!(conflicts(&world.run()), 1);
    assert_eq!(all(&world, 0), [Some(2), Some(3), Some(2)]);
}

#[test]
fn a_deletion_leaves_the_item_where_no_deletions_are_taken() {
    let mut world = with(Access::NoDelete);
    world.edit(A, Edit::Delete { uid: 0 });
    rest(&mut world);
    assert_eq!(all(&world, 0), [None, Some(0), None]);
    assert_eq!(kept(&mut world), [0, 1, 0]);
    // Edited there, it is an item for all again.
    world.edit(B, PUT(0, 4));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(4); 3]);
}

#[test]
fn creates_and_updates_are_taken_where_no_deletions_are() {
    let mut world = with(Access::NoDelete);
    world.edit(A, PUT(0, 2));
    world.edit(C, PUT(1, 1));
    let outcome = world.run();
    assert_eq!(counts(&outcome)[B.index()], [1, 1, 0]);
    rest(&mut world);
    assert_eq!((all(&world, 0), all(&world, 1)), (vec![Some(2); 3], vec![Some(1); 3]));
}

/// Edits, new items and deletions elsewhere are taken back.
#[test]
fn the_content_of_an_authority_is_everybodys() {
    let mut world = with(Access::Authority);
    world.edit(A, PUT(0, 2));
    world.edit(C, PUT(1, 1));
    rest(&mut world);
    assert_eq!((all(&world, 0), all(&world, 1)), (vec![Some(0); 3], vec![None; 3]));
    assert_eq!(world.store.undo.len(), 2, "what was taken back can be undone");
    world.edit(A, Edit::Delete { uid: 0 });
    assert_eq!(world.run().writes, [(A, CommitKind::Create)]);
    world.edit(B, PUT(0, 5));
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(5); 3]);
    world.edit(B, Edit::Delete { uid: 0 });
    rest(&mut world);
    assert_eq!(all(&world, 0), [None; 3]);
}

#[test]
fn without_its_authority_a_group_waits() {
    let mut world = with(Access::Authority);
    world.edit(A, PUT(0, 2));
    world.edit(C, PUT(1, 1));
    assert_eq!(world.run_with(&[Fault::Away { member: B }]).writes, []);
    assert_eq!(text_of(&world, A, 0), Some(2), "nothing is taken back on a guess");
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(0); 3]);
}

/// One that is behind is served with what the authority has, whatever was written there.
#[test]
fn an_authority_knows_no_conflicts() {
    let mut world = with(Access::Authority);
    world.edit(A, PUT(0, 2));
    world.edit(B, PUT(0, 3));
    world.edit(C, PUT(0, 4));
    let outcome = world.run();
    assert_eq!(conflicts(&outcome), 0);
    rest(&mut world);
    assert_eq!(all(&world, 0), [Some(3); 3]);
}
