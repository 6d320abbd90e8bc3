//! How stories about two members begin, and what is looked at in the end.

use outrigger_engine::{Report, Side};

use super::{Edit, Outcome, Trouble, World, card};

pub(crate) const PUT: fn(u8, u8) -> Edit = |uid, text| Edit::Put { uid, text };

pub(crate) fn texts(world: &World, at: Side) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> =
        world.members[at.index()].items.values().map(|item| item.data.clone()).collect();
    texts.sort();
    texts
}

pub(crate) fn text_of(world: &World, at: Side, uid: u8) -> Option<u8> {
    let member = &world.members[at.index()];
    let data = &member.items[&member.by_uid(uid)?].data;
    (0..9).find(|text| *data == card(Some(uid), *text))
}

pub(crate) fn both(world: &World, uid: u8) -> [Option<u8>; 2] {
    Side::BOTH.map(|at| text_of(world, at, uid))
}

/// Both members hold item 0 with text 0, and all is settled.
pub(crate) fn in_sync() -> World {
    let mut world = World::new();
    world.edit(Side::A, PUT(0, 0));
    rest(&mut world);
    world
}

pub(crate) fn rest(world: &mut World) {
    for _ in 0..6 {
        if world.run().journals == 0 {
            return;
        }
    }
    panic!("it does not come to rest");
}

/// Runs `world` once and kills it right when the commit is sent, which takes effect or not.
pub(crate) fn kill_at_commit(world: &World, applies: bool) -> World {
    for step in 1..40 {
        let mut killed = world.clone();
        let before = killed.members.clone().map(|member| member.operations.len());
        let outcome = killed.run_with(Trouble { crash: Some((step, true)), ..Trouble::default() });
        let has_sent = (0..2).any(|at| killed.members[at].operations.len() > before[at]);
        if !has_sent {
            assert!(outcome.crashed, "nothing was sent");
            continue;
        }
        if !applies {
            killed = world.clone();
            killed.run_with(Trouble { crash: Some((step, false)), ..Trouble::default() });
        }
        assert_eq!(killed.store.intents.len(), 1);
        return killed;
    }
    panic!("nothing was sent");
}

pub(crate) fn conflicts(outcome: &Outcome) -> usize {
    outcome.reports.iter().filter(|report| matches!(report, Report::Conflict { .. })).count()
}
