//! D 46 to 48: many runs, many members, members that take nothing.

use outrigger_engine::Access;

use super::sim::stories::{PUT, all, counts, in_sync, rest};
use super::sim::{A, B, C, Chance, Edit, World};
use super::{CREATED, DELETED, UPDATED, feeding, once, rows};

/// What a run leaves is rows of what is there, and the undo journal, which has an end of its own.
#[test]
fn d46_a_thousand_runs_leave_nothing_behind() {
    let (mut world, mut chance) = (feeding(3), Chance(46));
    for round in 0..1000u32 {
        let (at, uid) = ([A, B, C][chance.of(3)], u8::try_from(chance.of(5)).unwrap());
        let text = u8::try_from(round % 250).unwrap();
        world.edit(at, if chance.one_in(3) { Edit::Delete { uid } } else { PUT(uid, text) });
        assert!(world.run().summary().is_clean());
        if round % 50 == 0 {
            rest(&mut world);
        }
    }
    rest(&mut world);
    assert_eq!(rows(&world).len(), world.members[0].items.len());
    assert!(rows(&world).iter().all(|row| row.conflict.is_none() && row.supplied.is_none()));
    let store = &world.store;
    assert!(store.intents.is_empty() && store.charges.is_empty() && store.disputed.is_empty());
    assert!(store.bases.is_empty());
}

#[test]
fn d47_a_hundred_members() {
    let mut world = in_sync(100);
    for (edit, kind) in [(PUT(1, 1), CREATED), (PUT(1, 2), UPDATED), (Edit::Delete { uid: 1 }, DELETED)] {
        world.edit(B, edit);
        let outcome = world.run();
        assert_eq!(counts(&outcome), once(100, kind, |at| at != B));
        // What is new is looked at and brought; what it takes the place of goes to the undo journal.
        assert!(outcome.items_read <= 2 + 99, "{} are read", outcome.items_read);
        rest(&mut world);
    }
    world.edit(A, PUT(0, 1));
    world.edit(C, PUT(0, 2));
    let outcome = world.run();
    assert_eq!((outcome.summary().conflicts, outcome.writes.len()), (1, 0));
}

#[test]
fn d48_a_member_that_takes_nothing_gets_nothing_and_holds_nobody_up() {
    for members in [2, 3] {
        let mut world = in_sync(members);
        world.settings.members[1].access = Access::ReadOnly;
        world.edit(A, PUT(1, 1));
        world.edit(A, PUT(0, 1));
        let outcome = world.run();
        let expected = [[0, 0, 0], [0, 0, 0], [1, 1, 0]];
        assert_eq!(counts(&outcome), expected[..members]);
        let summary = outcome.summary();
        assert_eq!((summary.members[1].counts.kept, summary.pending, summary.is_clean()), (2, 0, true));
        world.edit(B, PUT(2, 2));
        assert_eq!(counts(&world.run()), once(members, CREATED, |at| at != B), "what it has is news");
        world.settings.members[1].access = Access::Full;
        assert_eq!(counts(&world.run()), [[0, 0, 0], [1, 1, 0], [0, 0, 0]][..members]);
    }
}

#[test]
fn d48_where_nobody_else_takes_anything_nothing_is_written_and_all_is_counted() {
    let mut world = World::new(3);
    world.settings.members.iter_mut().for_each(|member| member.access = Access::ReadOnly);
    world.edit(A, PUT(0, 0));
    let outcome = world.run();
    let kept: Vec<u64> = outcome.summary().members.iter().map(|member| member.counts.kept).collect();
    assert_eq!((outcome.writes.len(), kept), (0, vec![0, 1, 1]));
    assert_eq!(all(&world, 0), [Some(0), None, None]);
}
