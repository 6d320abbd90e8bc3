//! What the suite of our ancestor OpenSync asked of its engine, asked of ours, in groups of two and
//! three: D 33 to 48, by number. What differs on purpose stands in docs/design/opensync.md.
//!
//! Not the engine's, and tested elsewhere: D 38 and 39 (starting and discovering), the lock of D 41,
//! the object types of D 47, and most of D 45 (`renames`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

#[path = "../sim/mod.rs"]
mod sim;

mod calls;
mod changes;
mod conflicts;
mod long;

use outrigger_engine::{MemberIndex, Row};
use sim::stories::{PUT, rest};
use sim::{A, World};

/// So many members with a feed each hold item 0 with text 0, and all is settled.
fn feeding(members: usize) -> World {
    let mut world = World::new(members);
    world.members.iter_mut().for_each(|member| member.feed = true);
    world.edit(A, PUT(0, 0));
    rest(&mut world);
    world
}

/// All choices of one member or more.
fn some_of(members: usize) -> Vec<Vec<MemberIndex>> {
    let chosen = |mask: usize| (0..members).filter(|at| mask >> at & 1 == 1).map(MemberIndex::at).collect();
    (1..1 << members).map(chosen).collect()
}

fn flags(members: usize, chosen: &[MemberIndex]) -> Vec<bool> {
    (0..members).map(|at| chosen.contains(&MemberIndex::at(at))).collect()
}

/// What was created, updated and deleted, where `kind` was done once at each of these.
fn once(members: usize, kind: usize, at: impl Fn(MemberIndex) -> bool) -> Vec<[u64; 3]> {
    let of = |member: usize| {
        let mut counts = [0; 3];
        counts[kind] = u64::from(at(MemberIndex::at(member)));
        counts
    };
    (0..members).map(of).collect()
}

const CREATED: usize = 0;
const UPDATED: usize = 1;
const DELETED: usize = 2;

fn rows(world: &World) -> Vec<&Row> {
    world.store.rows.values().collect()
}
