//! How stories begin, and what is looked at in the end.

use outrigger_engine::{Guard, MemberIndex, Report};

use super::{A, Edit, Fault, Outcome, World, text_in};

pub(crate) const PUT: fn(u8, u8) -> Edit = |uid, text| Edit::Put { uid, text };

pub(crate) fn texts(world: &World, at: MemberIndex) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> =
        world.members[at.index()].items.values().map(|item| item.data.clone()).collect();
    texts.sort();
    texts
}

pub(crate) fn text_of(world: &World, at: MemberIndex, uid: u8) -> Option<u8> {
    let member = &world.members[at.index()];
    text_in(&member.items[&member.by_uid(uid)?].data)?.parse().ok()
}

/// What all members have as the text of an item.
pub(crate) fn all(world: &World, uid: u8) -> Vec<Option<u8>> {
    world.all().map(|at| text_of(world, at, uid)).collect()
}

/// So many members hold item 0 with text 0, and all is settled.
pub(crate) fn in_sync(members: usize) -> World {
    let mut world = World::new(members);
    world.edit(A, PUT(0, 0));
    rest(&mut world);
    world
}

/// Runs until nothing moves, which must come soon; then nobody is asked, read or written (I3).
/// Returns the last run.
pub(crate) fn rest(world: &mut World) -> Outcome {
    for _ in 0..world.members.len() + 4 {
        let outcome = world.run();
        if outcome.journals == 0 {
            assert_eq!(outcome.commits, 0, "a quiet run writes (I3)");
            assert_eq!(outcome.items_read, 0, "a quiet run reads items (I3)");
            assert_eq!((&outcome.compared, outcome.merges), (&vec![], 0), "a quiet run asks again (I3)");
            return outcome;
        }
    }
    panic!("it does not come to rest");
}

/// Runs `world` once and kills it right when the commit is sent, which takes effect or not.
pub(crate) fn kill_at_commit(world: &World, applies: bool) -> World {
    for step in 1..60 {
        let kill = |applies| {
            let mut killed = world.clone();
            let outcome = killed.run_with(&[Fault::Kill { step, applies }]);
            (killed, outcome)
        };
        let (killed, outcome) = kill(true);
        let sent = |world: &World| world.members.iter().map(|member| member.operations.len()).sum::<usize>();
        if sent(&killed) == sent(world) {
            assert!(outcome.crashed, "nothing was sent");
            continue;
        }
        let killed = if applies { killed } else { kill(false).0 };
        assert!(!killed.store.intents.is_empty());
        return killed;
    }
    panic!("nothing was sent");
}

pub(crate) fn told(outcome: &Outcome, wanted: impl Fn(&Report) -> bool) -> usize {
    outcome.reports.iter().filter(|report| wanted(report)).count()
}

pub(crate) fn conflicts(outcome: &Outcome) -> usize {
    told(outcome, |report| matches!(report, Report::Conflict { .. }))
}

/// Who failed in a run.
pub(crate) fn failed(outcome: &Outcome) -> Vec<bool> {
    outcome.summary().members.iter().map(|member| member.failed).collect()
}

/// Created, updated and deleted at each member.
pub(crate) fn counts(outcome: &Outcome) -> Vec<[u64; 3]> {
    let of = |member: &outrigger_engine::MemberSummary| {
        let counts = member.counts;
        [counts.created, counts.updated, counts.deleted]
    };
    outcome.summary().members.iter().map(of).collect()
}

/// Whom a guard stopped, which, how many writes it counted, of how many items, and how many it named.
pub(crate) fn stops(outcome: &Outcome) -> Vec<(MemberIndex, Guard, u64, u64, usize)> {
    let stops = outcome.reports.iter().filter_map(|report| match report {
        Report::GuardStop { member, guard, planned, total, names, .. } => {
            Some((*member, *guard, *planned, *total, names.len()))
        }
        _ => None,
    });
    stops.collect()
}
