//! Lot: a batch of writes, from reading what they need to the last answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use outrigger_protocol::CommitKind;

use crate::action::{BatchId, Ticket};
use crate::journal::Intent;
use crate::reads::Fresh;
use crate::row::MemberIndex;
use crate::table::Place;

/// Bytes that one lot holds at most, new and old ones each; one item may exceed it alone.
pub(crate) const LOT_BYTES: usize = 512 << 10;

/// What a write costs in a commit besides its content and its names, at most: ID, digests, lengths.
pub(crate) const OVERHEAD: usize = 256;

/// What a call costs besides its items, at most.
pub(crate) const CALL_OVERHEAD: usize = 256;

/// An item's bytes, in hand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    pub(crate) format: String,
    pub(crate) data: Vec<u8>,
}

/// What is to be written.
#[derive(Debug)]
pub(crate) enum Task {
    /// What the row's decision says, whatever that is by then.
    Row(Place),
    /// A new item that nobody has read yet, for all other members.
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

/// One item on its way.
#[derive(Debug)]
pub(crate) struct Write {
    /// Its row; a new item has none until it is read.
    pub(crate) place: Option<Place>,
    pub(crate) fresh: Option<Box<Fresh>>,
    pub(crate) source: Fetch,
    /// The members that it goes to.
    pub(crate) parts: Vec<Part>,
}

/// What one member is to do with an item.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) target: MemberIndex,
    /// What the member holds: about to be overwritten or deleted.
    pub(crate) old: Fetch,
    pub(crate) intent: Option<Intent>,
    /// The commit that it was sent in.
    pub(crate) batch: Option<BatchId>,
}

impl Part {
    pub(crate) fn new(target: MemberIndex, old: Fetch) -> Self {
        Self { target, old, intent: None, batch: None }
    }
}

/// Where a lot stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Reading,
    Journaling(Ticket),
    Committing,
}

/// A batch of writes: items of one member for all that need them, or deletions at one.
#[derive(Debug)]
pub(crate) struct Lot {
    /// Whose content it brings; `None`: it deletes.
    pub(crate) source: Option<MemberIndex>,
    /// Members that it has not done with.
    pub(crate) targets: BTreeSet<MemberIndex>,
    pub(crate) writes: Vec<Write>,
    pub(crate) stage: Stage,
    /// A plugin may have died over what is in it: it takes nothing else.
    pub(crate) is_alone: bool,
    /// Reads that are not over.
    pub(crate) reads: u32,
    /// Commits that are not answered, and by whom they are to be.
    pub(crate) commits: BTreeMap<BatchId, MemberIndex>,
    /// Bytes held, new and old.
    weight: [usize; 2],
    /// Bytes that it may hold of each.
    budget: usize,
}

impl Lot {
    pub(crate) fn new(source: Option<MemberIndex>, budget: usize) -> Self {
        Self {
            source,
            targets: BTreeSet::new(),
            writes: Vec::new(),
            stage: Stage::Reading,
            is_alone: false,
            reads: 0,
            commits: BTreeMap::new(),
            weight: [0; 2],
            budget,
        }
    }

    pub(crate) fn push(&mut self, write: Write) {
        self.targets.extend(write.parts.iter().map(|part| part.target));
        self.writes.push(write);
    }

    /// What was read goes there: `old`, whose; `None`: the source's.
    fn slot(&mut self, at: usize, old: Option<MemberIndex>) -> Option<&mut Fetch> {
        let write = self.writes.get_mut(at)?;
        match old {
            None => Some(&mut write.source),
            Some(target) => {
                write.parts.iter_mut().find(|part| part.target == target).map(|part| &mut part.old)
            }
        }
    }

    /// Keeps bytes if the lot has room for them; the first always has.
    pub(crate) fn hold(&mut self, at: usize, old: Option<MemberIndex>, names: usize, held: Held) {
        let (held_now, budget) = (self.weight[usize::from(old.is_some())], self.budget);
        let more = held.data.len() + names + OVERHEAD;
        let Some(slot) = self.slot(at, old) else { return };
        if held_now > 0 && held_now + more > budget {
            *slot = Fetch::Deferred;
        } else {
            *slot = Fetch::Held(held);
            self.weight[usize::from(old.is_some())] += more;
        }
    }

    pub(crate) fn fail(&mut self, at: usize, old: Option<MemberIndex>) {
        if let Some(slot) = self.slot(at, old) {
            *slot = Fetch::Failed;
        }
    }

    /// All parts for a member, with the places of their rows.
    pub(crate) fn parts_of(&self, target: MemberIndex) -> impl Iterator<Item = (Option<Place>, &Part)> {
        let parts = self.writes.iter().flat_map(|write| write.parts.iter().map(|part| (write.place, part)));
        parts.filter(move |(_, part)| part.target == target)
    }
}

/// What is still to be done at one member, and what is known of it.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Deletions come last.
    pub(crate) deletions: VecDeque<Place>,
    /// Rows that it needs, for when it has room.
    pub(crate) waiting: VecDeque<Place>,
    /// A create failed in this run: what looks like delete and create may be a move.
    pub(crate) create_failed: bool,
    /// Planned before the first write.
    pub(crate) creates: u64,
    pub(crate) updates: u64,
    /// Rows among them in conflict, which a policy may settle: at most so much comes of them.
    pub(crate) disputed: Vec<Place>,
}

impl Work {
    /// Counts one more.
    pub(crate) const fn count(&mut self, kind: CommitKind) {
        match kind {
            CommitKind::Update => self.updates += 1,
            CommitKind::Create => self.creates += 1,
            CommitKind::Delete => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_holds_little_but_always_one_item() {
        let (target, mut lot) = (MemberIndex(1), Lot::new(Some(MemberIndex(0)), LOT_BYTES));
        for _ in 0..3 {
            let parts = vec![Part::new(target, Fetch::Unneeded)];
            lot.push(Write { place: None, fresh: None, source: Fetch::Awaited, parts });
        }
        let held = |data: Vec<u8>| Held { format: "x".into(), data };
        lot.hold(0, None, 0, held(vec![0; LOT_BYTES + 1]));
        lot.hold(1, None, 0, held(b"small".to_vec()));
        lot.hold(2, Some(target), 0, held(b"old bytes count apart".to_vec()));
        assert!(matches!(lot.writes[0].source, Fetch::Held(_)));
        assert!(matches!(lot.writes[1].source, Fetch::Deferred));
        assert!(matches!(lot.writes[2].parts[0].old, Fetch::Held(_)));
        assert_eq!(lot.targets, [target].into());
    }
}
