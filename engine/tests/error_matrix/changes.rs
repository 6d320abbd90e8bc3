//! D 40 to 45: what members have to compare anew, what is the same, and what it is called.

use super::sim::stories::{PUT, all, counts, in_sync, rest, told};
use super::sim::{A, B, C, Edit, Fault, ListFault, Outcome, Store, World, card};
use super::{CREATED, DELETED, UPDATED, feeding, once, rows};
use outrigger_engine::{MemberIndex, Report};

fn listed(outcome: &Outcome) -> Vec<u64> {
    outcome.summary().members.iter().map(|member| member.counts.listed).collect()
}

const REJECTED: Fault = Fault::Listing { member: B, how: ListFault::Rejected };

/// OpenSync compares all members anew; here the one that has forgotten lists everything, once.
#[test]
fn d40_an_anchor_that_is_not_known_any_more_is_one_members_affair() {
    for fault in [REJECTED, Fault::Slow { member: B }] {
        for members in [2, 3] {
            let mut world = feeding(members);
            world.edit(A, PUT(1, 1));
            rest(&mut world);
            world.edit(A, PUT(2, 2));
            let outcome = world.run_with(&[fault]);
            assert_eq!(listed(&outcome), [1, 2, 0][..members]);
            assert_eq!(counts(&outcome), once(members, CREATED, |at| at != A));
            rest(&mut world);
            assert_eq!(listed(&world.run()), vec![0; members], "once");
        }
    }
}

#[test]
fn d40_nothing_is_taken_for_deleted_when_all_is_compared_anew() {
    for members in [2, 3] {
        let mut world = feeding(members);
        world.edit(B, Edit::Delete { uid: 0 });
        assert_eq!(world.run_with(&[REJECTED]).writes, []);
        assert_eq!(counts(&world.run()), once(members, DELETED, |at| at != B), "the next run has looked");
    }
}

#[test]
fn d41_a_table_that_is_lost_costs_one_look_at_everything() {
    for members in [2, 3] {
        let mut world = feeding(members);
        world.edit(A, PUT(1, 1));
        rest(&mut world);
        world.edit(B, PUT(1, 2));
        world.store = Store::new(members);
        let outcome = world.run();
        assert_eq!(listed(&outcome), vec![2; members]);
        assert_eq!(outcome.writes, [], "which is the older one, nobody knows any more");
        let summary = outcome.summary();
        assert_eq!((summary.new_conflicts, rows(&world).len()), (1, 2));
        assert_eq!(listed(&world.run()), vec![0; members]);
    }
}

#[test]
fn d41_members_that_hold_the_same_at_first_are_not_written() {
    for members in [2, 3] {
        let mut world = World::new(members);
        world.all().for_each(|at| world.edit(at, PUT(0, 0)));
        let outcome = world.run();
        assert_eq!((outcome.writes.len(), rows(&world).len()), (0, 1));
        rest(&mut world);
    }
}

/// Who makes an edit in step, and who is written then.
fn spread(members: usize, edit: Edit, authors: &[MemberIndex], kind: usize) {
    let mut world = in_sync(members);
    authors.iter().for_each(|at| world.edit(*at, edit));
    let outcome = world.run();
    let is_written = |at| !authors.is_empty() && !authors.contains(&at);
    assert_eq!(counts(&outcome), once(members, kind, is_written), "{edit:?} by {authors:?}");
    assert!(outcome.summary().is_clean(), "{edit:?} by {authors:?}");
    let last = rest(&mut world);
    world.check_rest(&last);
}

#[test]
fn d42_what_is_new_changed_or_gone_goes_to_those_who_do_not_have_it() {
    let edits = [(PUT(1, 1), CREATED), (PUT(0, 1), UPDATED), (Edit::Delete { uid: 0 }, DELETED)];
    for members in [2, 3] {
        for (edit, kind) in edits {
            spread(members, edit, &[], kind);
            super::some_of(members).iter().for_each(|authors| spread(members, edit, authors, kind));
        }
    }
}

#[test]
fn d42_the_same_text_again_is_no_news() {
    for members in [2, 3] {
        let mut world = in_sync(members);
        world.edit(B, PUT(0, 0));
        assert_eq!(world.run().writes, []);
    }
}

/// One is similar to the first that comes, the other is the same: the same one wins.
#[test]
fn d44_the_same_uid_goes_before_the_same_text() {
    for members in [2, 3] {
        for order in [[2, 1], [1, 2]] {
            let mut world = World::new(members);
            world.edit(A, PUT(1, 0));
            order.into_iter().for_each(|uid| world.edit(B, PUT(uid, 0)));
            let outcome = world.run();
            assert_eq!(outcome.summary().new_conflicts, 0);
            let mut expected = vec![[1, 0, 0], [0, 0, 0], [2, 0, 0]];
            expected.truncate(members);
            assert_eq!((counts(&outcome), rows(&world).len()), (expected, 2));
        }
    }
}

/// Without a UID that is the same, items are one if each is the only one of its text.
#[test]
fn d44_the_same_text_is_the_same_item_where_nothing_else_is() {
    for members in [2, 3] {
        let mut world = World::new(members);
        world.all().for_each(|at| world.edit(at, PUT(1 + u8::try_from(at.index()).unwrap(), 0)));
        let outcome = world.run();
        assert_eq!((outcome.writes.len(), rows(&world).len()), (0, 1), "{:?}", rows(&world));
        let mut doubtful = World::new(members);
        doubtful.edit(A, PUT(1, 0));
        doubtful.edit(B, PUT(2, 0));
        doubtful.edit(B, PUT(3, 0));
        drop(doubtful.run());
        assert_eq!(rows(&doubtful).len(), 3, "which of the two, nobody knows");
    }
}

/// The member chooses the name; the next run knows it by that.
#[test]
fn d45_an_item_is_known_by_the_name_that_its_member_gave_it() {
    for members in [2, 3] {
        let mut world = in_sync(members);
        let name = world.members[1].by_uid(0).unwrap();
        assert_eq!(name, b"uid0.vcf");
        world.write(B, &name, card(Some(0), 1u8));
        assert_eq!(counts(&world.run()), once(members, UPDATED, |at| at != B));
        rest(&mut world);
        assert_eq!((rows(&world).len(), all(&world, 0)), (1, vec![Some(1); members]));
    }
}

/// A store that gives out UIDs of its own: everybody gets the new one, and nobody a second item.
#[test]
fn d45_another_uid_is_an_edit_of_the_item() {
    for members in [2, 3] {
        let mut world = in_sync(members);
        world.edit(B, Edit::Rename { uid: 0, to: 5 });
        assert_eq!(counts(&world.run()), once(members, UPDATED, |at| at != B));
        rest(&mut world);
        assert_eq!((rows(&world).len(), all(&world, 5)), (1, vec![Some(0); members]));
    }
}

/// A second item with a UID that is taken: it is set aside, and told.
#[test]
fn d45_a_uid_that_is_taken_does_not_take_the_other_items_place() {
    let mut world = in_sync(3);
    world.edit(C, Edit::Duplicate { uid: 0, text: 1 });
    let outcome = world.run();
    assert_eq!((outcome.writes.len(), outcome.summary().quarantined), (0, 1));
    assert_eq!(told(&outcome, |report| matches!(report, Report::Quarantined { member: C, .. })), 1);
    assert_eq!((all(&world, 0)[0], all(&world, 0)[1]), (Some(0), Some(0)));
}
