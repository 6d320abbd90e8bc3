//! Lot: a batch of writes for one member, from reading what they need to their answer.

use std::collections::VecDeque;

use crate::action::{BatchId, Ticket};
use crate::journal::Intent;
use crate::reads::Fresh;
use crate::row::Side;
use crate::table::Place;

/// Bytes that one lot holds at most, per member, where the member takes so much in one call; one
/// item may exceed it alone.
pub(crate) const LOT_BYTES: usize = 512 << 10;

/// What a write costs in a commit besides its content and its names, at most: ID, digests, lengths.
pub(crate) const OVERHEAD: usize = 256;

/// What a call costs besides its items, at most.
pub(crate) const CALL_OVERHEAD: usize = 256;

/// An item's bytes, in hand.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) format: String,
    pub(crate) data: Vec<u8>,
}

/// What is to be written.
#[derive(Debug)]
pub(crate) enum Task {
    /// What the row's decision says, whatever that is by then.
    Row(Place),
    /// A new item of the other member that nobody has read yet.
    Fresh(Box<Fresh>),
}

/// How a read for a write came out.
#[derive(Debug, Default)]
pub(crate) enum Fetch {
    /// Not asked for.
    #[default]
    Unneeded,
    /// Asked for.
    Awaited,
    /// There.
    Held(Held),
    /// There, but the lot is full: ask again in another.
    Deferred,
    /// Not to be had in this run.
    Failed,
}

/// One write on its way.
#[derive(Debug)]
pub(crate) struct Write {
    /// Its row; a new item has none until it is read.
    pub(crate) place: Option<Place>,
    pub(crate) fresh: Option<Box<Fresh>>,
    pub(crate) source: Fetch,
    pub(crate) old: Fetch,
    pub(crate) intent: Option<Intent>,
}

/// Where a lot stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Reading,
    Journaling(Ticket),
    Committing(BatchId),
}

/// A batch of writes.
#[derive(Debug)]
pub(crate) struct Lot {
    pub(crate) target: Side,
    pub(crate) writes: Vec<Write>,
    pub(crate) stage: Stage,
    /// The plugin may have died over what is in it: it takes nothing else.
    pub(crate) is_alone: bool,
    /// Reads that are not over.
    pub(crate) reads: u16,
    /// Bytes held, new and old.
    weight: [usize; 2],
    /// Bytes that it may hold of each.
    budget: usize,
}

impl Lot {
    pub(crate) fn new(target: Side, budget: usize) -> Self {
        let (writes, stage) = (Vec::new(), Stage::Reading);
        Self { target, writes, stage, is_alone: false, reads: 0, weight: [0; 2], budget }
    }

    /// Keeps bytes if the lot has room for them; the first always has.
    pub(crate) fn hold(&mut self, at: usize, is_old: bool, names: usize, format: &str, data: &[u8]) {
        let weight = &mut self.weight[usize::from(is_old)];
        let more = data.len() + names + OVERHEAD;
        let Some(write) = self.writes.get_mut(at) else { return };
        let slot = if is_old { &mut write.old } else { &mut write.source };
        *slot = if *weight > 0 && *weight + more > self.budget {
            Fetch::Deferred
        } else {
            *weight += more;
            Fetch::Held(Held { format: format.to_owned(), data: data.to_vec() })
        };
    }

    pub(crate) fn fail(&mut self, at: usize, is_old: bool) {
        if let Some(write) = self.writes.get_mut(at) {
            *if is_old { &mut write.old } else { &mut write.source } = Fetch::Failed;
        }
    }
}

/// What is still to be written to one member.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) tasks: VecDeque<Task>,
    /// Deletions come last.
    pub(crate) deletions: VecDeque<Place>,
    /// A create failed in this run: what looks like delete and create may be a move.
    pub(crate) create_failed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_holds_little_but_always_one_item() {
        let mut lot = Lot::new(Side::A, LOT_BYTES);
        for _ in 0..3 {
            lot.writes.push(Write {
                place: None,
                fresh: None,
                source: Fetch::Awaited,
                old: Fetch::Unneeded,
                intent: None,
            });
        }
        lot.hold(0, false, 0, "x", &vec![0; LOT_BYTES + 1]);
        lot.hold(1, false, 0, "x", b"small");
        lot.hold(2, true, 0, "x", b"old bytes count apart");
        assert!(matches!(lot.writes[0].source, Fetch::Held(_)));
        assert!(matches!(lot.writes[1].source, Fetch::Deferred));
        assert!(matches!(lot.writes[2].old, Fetch::Held(_)));
    }
}
