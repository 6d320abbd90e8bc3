//! D 33 to 37: members that cannot be reached, cannot list, cannot write, or are gone at the end.

use outrigger_engine::{FailureClass, Report, Row, RowId, Snapshot};
use outrigger_protocol::{Code, CommitKind, Effect, Error, Retry};

use super::sim::stories::{PUT, all, counts, failed, in_sync, rest, told};
use super::sim::{A, B, C, Edit, Fault, ListFault, Moment, Who, World};
use super::{CREATED, DELETED, UPDATED, feeding, flags, once, some_of};

/// How something fails: with an error, or with none in time.
const CODES: [Code; 2] = [Code::DISCONNECTED, Code::DEADLINE];

/// Whether a member fails so, and nobody for another reason.
fn are_told(outcome: &super::sim::Outcome, code: Code, count: usize) {
    let is_it = |report: &Report| matches!(report, Report::MemberFailed { class: FailureClass::Call(it), .. } if *it == code);
    assert_eq!(told(outcome, is_it), count);
    assert_eq!(told(outcome, |report| matches!(report, Report::MemberFailed { .. })), count);
}

/// OpenSync: a sink's `sync_done` only after success.
#[test]
fn d33_a_feed_moves_on_only_where_it_was_heard_to_its_end() {
    let mut world = feeding(3);
    let before = world.store.anchors.clone();
    world.edit(A, PUT(1, 1));
    world.edit(B, PUT(2, 2));
    drop(world.run_with(&[Fault::Listing { member: B, how: ListFault::Failed }]));
    let moved: Vec<bool> = before.iter().zip(&world.store.anchors).map(|(old, new)| old != new).collect();
    assert_eq!(moved, [true, false, false], "C was written after it was listed");
    rest(&mut world);
    assert_eq!((all(&world, 1), all(&world, 2)), (vec![Some(1); 3], vec![Some(2); 3]));
}

#[test]
fn d34_whoever_cannot_be_reached_is_left_out_and_caught_up() {
    for members in [2, 3] {
        for code in CODES {
            some_of(members).iter().for_each(|lost| connect(members, code, lost));
        }
    }
}

fn connect(members: usize, code: Code, lost: &[outrigger_engine::MemberIndex]) {
    let mut world = in_sync(members);
    world.edit(A, PUT(1, 1));
    world.lost_with = Some(code);
    let away: Vec<Fault> = lost.iter().map(|member| Fault::Away { member: *member }).collect();
    let outcome = world.run_with(&away);
    are_told(&outcome, code, lost.len());
    assert_eq!(failed(&outcome), flags(members, lost));
    let has_it = |at| at != A && !lost.contains(&A) && !lost.contains(&at);
    assert_eq!(counts(&outcome), once(members, CREATED, has_it), "{lost:?}");
    let summary = outcome.summary();
    for at in world.all() {
        let listed = if lost.contains(&at) { 0 } else { world.members[at.index()].items.len() as u64 };
        let created = summary.members[at.index()].counts.created;
        assert_eq!(summary.members[at.index()].counts.listed, listed - created, "{lost:?}");
    }
    assert_eq!(summary.pending, u64::from(!lost.contains(&A)), "{lost:?}");
    let after = world.run();
    assert_eq!(counts(&after), once(members, CREATED, |at| at != A && !has_it(at)), "{lost:?}");
    assert!(after.summary().is_clean());
    assert_eq!(all(&world, 1), vec![Some(1); members]);
}

#[test]
fn d35_whoever_cannot_list_is_left_out_and_what_comes_late_leaves_no_trace() {
    for members in [2, 3] {
        for code in CODES {
            for lost in some_of(members) {
                let [failed, late] =
                    [ListFault::Failed, ListFault::Late].map(|how| list(members, code, &lost, how));
                assert_eq!(kept(&late), kept(&failed), "{lost:?}");
            }
        }
    }
}

/// What is durable after a run, whichever row came first.
fn kept(world: &World) -> Snapshot {
    let mut kept = world.store.snapshot();
    let mut rows = kept.rows.to_vec();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    kept.rows = rows.into_iter().map(|row| Row { id: RowId(0), ..row }).collect();
    kept
}

/// A world in which `lost` could not list.
fn list(members: usize, code: Code, lost: &[outrigger_engine::MemberIndex], how: ListFault) -> World {
    let mut world = feeding(members);
    for at in world.all() {
        let uid = u8::try_from(at.index()).unwrap() + 1;
        world.edit(at, PUT(uid, uid));
    }
    let mut twin = world.clone();
    (world.lost_with, twin.lost_with) = (Some(code), Some(code));
    let listing: Vec<Fault> = lost.iter().map(|member| Fault::Listing { member: *member, how }).collect();
    let away: Vec<Fault> = lost.iter().map(|member| Fault::Away { member: *member }).collect();
    let outcome = world.run_with(&listing);
    are_told(&outcome, code, lost.len());
    assert_eq!(failed(&outcome), flags(members, lost));
    let heard = (members - lost.len()) as u64;
    for at in world.all() {
        let created = counts(&outcome)[at.index()][CREATED];
        assert_eq!(created, if lost.contains(&at) { 0 } else { heard - 1 }, "{lost:?}");
    }
    drop(twin.run_with(&away));
    assert_eq!(kept(&world), kept(&twin), "a listing that failed counts for nothing: {lost:?}");
    let result = world.clone();
    rest(&mut world);
    (1..=members).for_each(|uid| {
        let uid = u8::try_from(uid).unwrap();
        assert_eq!(all(&world, uid), vec![Some(uid); members]);
    });
    result
}

const KINDS: [(CommitKind, usize, Edit); 3] = [
    (CommitKind::Create, CREATED, Edit::Put { uid: 1, text: 1 }),
    (CommitKind::Update, UPDATED, Edit::Put { uid: 0, text: 1 }),
    (CommitKind::Delete, DELETED, Edit::Delete { uid: 0 }),
];

/// Calls `check` for each kind of write and each group of members that refuse it.
fn refused(error: &Error, check: impl Fn(&mut World, usize, &[outrigger_engine::MemberIndex])) {
    for members in [2, 3] {
        for (kind, count, edit) in KINDS {
            for refusing in some_of(members).into_iter().filter(|it| !it.contains(&A)) {
                let mut world = in_sync(members);
                world.edit(A, edit);
                for at in &refusing {
                    world.member(*at).refuses = Some((Some(kind), error.clone()));
                }
                check(&mut world, count, &refusing);
            }
        }
    }
}

#[test]
fn d36_a_write_that_fails_for_now_is_made_up_for() {
    let error = Error::new(Code::REMOTE, "500").with_effect(Effect::NotStarted);
    refused(&error, |world, kind, refusing| {
        let members = world.members.len();
        let outcome = world.run();
        assert_eq!(counts(&outcome), once(members, kind, |at| at != A && !refusing.contains(&at)));
        assert_eq!(failed(&outcome), vec![false; members], "an item is no member");
        let summary = outcome.summary();
        assert_eq!((summary.pending, summary.quarantined, summary.is_clean()), (1, 0, false));
        world.members.iter_mut().for_each(|member| member.refuses = None);
        let after = world.run();
        assert_eq!(counts(&after), once(members, kind, |at| refusing.contains(&at)));
        assert!(after.summary().is_clean());
    });
}

#[test]
fn d36_a_write_that_fails_for_good_is_set_aside_at_that_member_alone() {
    let error =
        Error { retry: Retry::Never, ..Error::new(Code::INVALID, "no").with_effect(Effect::NotStarted) };
    refused(&error, |world, kind, refusing| {
        let members = world.members.len();
        let outcome = world.run();
        assert_eq!(counts(&outcome), once(members, kind, |at| at != A && !refusing.contains(&at)));
        let summary = outcome.summary();
        assert_eq!((summary.pending, summary.quarantined), (0, 1));
        let again = world.run();
        assert_eq!(
            (again.commits, again.summary().quarantined),
            (0, 1),
            "it is not tried again: {:?} {:?}",
            refusing,
            again.reports
        );
    });
}

#[test]
fn d36_a_write_without_an_answer_is_looked_at_before_it_is_sent_again() {
    let error = Error::new(Code::DEADLINE, "no answer").with_effect(Effect::Unknown);
    refused(&error, |world, kind, refusing| {
        let members = world.members.len();
        let outcome = world.run();
        assert_eq!(counts(&outcome), once(members, kind, |at| at != A && !refusing.contains(&at)));
        let summary = outcome.summary();
        let in_doubt: Vec<u64> = summary.members.iter().map(|member| member.counts.in_doubt).collect();
        let expected: Vec<u64> = flags(members, refusing).into_iter().map(u64::from).collect();
        assert_eq!((in_doubt, summary.pending), (expected, 1));
        world.members.iter_mut().for_each(|member| member.refuses = None);
        let after = world.run();
        assert_eq!(counts(&after), once(members, kind, |at| refusing.contains(&at)));
        assert!(after.summary().is_clean());
    });
}

#[test]
fn d36_a_create_that_fails_holds_the_deletions_of_that_member_back() {
    let mut world = in_sync(3);
    world.edit(A, PUT(1, 1));
    world.edit(A, Edit::Delete { uid: 0 });
    let error = Error::new(Code::REMOTE, "500").with_effect(Effect::NotStarted);
    world.member(B).refuses = Some((Some(CommitKind::Create), error));
    assert_eq!(counts(&world.run()), [[0, 0, 0], [0, 0, 0], [1, 0, 1]]);
    world.member(B).refuses = None;
    assert_eq!(counts(&world.run()), [[0, 0, 0], [1, 0, 1], [0, 0, 0]]);
}

#[test]
fn d37_whoever_is_gone_when_all_is_written_has_what_was_written() {
    for who in [Who::Target, Who::Keeper, Who::Other(C)] {
        let mut world = feeding(3);
        world.edit(A, PUT(1, 1));
        let outcome = world.run_with(&[Fault::Die { member: B, moment: Moment::AnchorInDoubt, who }]);
        assert!(outcome.has_died);
        assert_eq!(counts(&outcome), [[0, 0, 0], [1, 0, 0], [1, 0, 0]]);
        assert_eq!(failed(&outcome), [false; 3]);
        assert_eq!(world.run().commits, 0);
        assert_eq!(all(&world, 1), [Some(1); 3]);
    }
}

/// OpenSync: an error of `sync_done` is an error of the run.
#[test]
fn d37_an_anchor_that_is_not_durable_costs_a_listing_and_no_write() {
    for who in [Who::Command, Who::Machine] {
        let mut world = feeding(3);
        world.edit(A, PUT(1, 1));
        let outcome = world.run_with(&[Fault::Die { member: B, moment: Moment::MappedNotAnchored, who }]);
        assert!(outcome.crashed);
        let after = world.run();
        assert_eq!((after.commits, after.summary().members[0].counts.listed), (0, 1));
        assert!(after.summary().is_clean());
    }
}
