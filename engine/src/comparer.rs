//! Comparer: pairs of items that a plugin is asked about, from their reading to the verdict.

use std::collections::{BTreeMap, VecDeque};

use outrigger_protocol::RawDigest;

use crate::action::BatchId;
use crate::lot::{Fetch, Held};
use crate::row::Side;
use crate::table::Place;

/// Pairs that are in hand at once: their bytes are in memory until the plugin has answered.
const MAX_OPEN: usize = 8;

/// A pair that is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) place: Place,
    /// What A and B hold.
    pub(crate) items: [Fetch; 2],
}

/// A pair that a plugin was asked about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) place: Place,
    pub(crate) side: Side,
    /// What the verdict will be about: of the bytes of A and B.
    pub(crate) contents: [RawDigest; 2],
}

/// All comparisons of a run.
#[derive(Debug, Default)]
pub(crate) struct Comparer {
    /// Rows that wait for their turn.
    pub(crate) queue: VecDeque<Place>,
    pub(crate) reading: BTreeMap<BatchId, Reading>,
    pub(crate) asked: BTreeMap<BatchId, Asked>,
}

impl Comparer {
    /// Whether a row waits and could have its turn.
    pub(crate) fn can_begin(&self) -> bool {
        !self.queue.is_empty() && self.reading.len() + self.asked.len() < MAX_OPEN
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.reading.is_empty() && self.asked.is_empty()
    }

    pub(crate) fn begin(&mut self, batch: BatchId, place: Place) {
        self.reading.insert(batch, Reading { place, items: [Fetch::Awaited, Fetch::Awaited] });
    }

    /// Keeps what was read (`None`: it is not to be had). Hands out the pair once both are read.
    pub(crate) fn keep(&mut self, batch: BatchId, side: Side, held: Option<Held>) -> Option<Reading> {
        let reading = self.reading.get_mut(&batch)?;
        reading.items[side.index()] = held.map_or(Fetch::Failed, Fetch::Held);
        let is_awaited = reading.items.iter().any(|item| matches!(item, Fetch::Awaited));
        if is_awaited { None } else { self.reading.remove(&batch) }
    }

    /// The rows of all pairs, none of which is compared any more.
    pub(crate) fn give_up(&mut self) -> Vec<Place> {
        let Self { queue, reading, asked } = std::mem::take(self);
        let reading = reading.into_values().map(|pair| pair.place);
        let asked = asked.into_values().map(|pair| pair.place);
        queue.into_iter().chain(reading).chain(asked).collect()
    }

    /// The pair that `side` was asked about under that number; once.
    pub(crate) fn take(&mut self, side: Side, batch: BatchId) -> Option<Asked> {
        self.asked.get(&batch).filter(|asked| asked.side == side)?;
        self.asked.remove(&batch)
    }
}
