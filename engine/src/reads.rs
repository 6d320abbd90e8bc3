//! Reads: what is to be read from one member, and which answer belongs to what.

use std::collections::{BTreeMap, VecDeque};

use outrigger_protocol::{Href, Revision};

use crate::action::BatchId;
use crate::charge::Stamp;
use crate::table::Place;

/// Items in one read or commit at most.
pub(crate) const MAX_BATCH: usize = 240;

/// Read calls in flight at one member, so that it never waits for us between two.
pub(crate) const MAX_OPEN_READS: usize = 2;

/// A new item, as the listing named it.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    pub(crate) href: Href,
    pub(crate) revision: Revision,
    pub(crate) object_type: u8,
}

/// The number of a lot of writes.
pub(crate) type LotId = u64;

/// Why an item is read.
#[derive(Debug, Clone)]
pub(crate) enum Why {
    /// An earlier run's write to it is in doubt: the intent's place among those.
    Recover(usize),
    /// A complete listing left it out (decisions S2).
    Prove(Place),
    /// It is new or changed, or may have: the revision that it was listed with.
    Look(Place, Stamp),
    /// A write did not say what was stored (decisions S4).
    Back(Place),
    /// A write found another state than expected.
    Again(Place),
    /// It is new.
    New(Box<Fresh>),
    /// It is in conflict with what others hold: the number of the hearing.
    Weigh(BatchId),
    /// Its content goes to other members: lot and place in it.
    Source(LotId, usize),
    /// It is about to be overwritten or deleted (decisions X6).
    Old(LotId, usize),
}

/// A read call in flight.
#[derive(Debug)]
pub(crate) struct OpenRead {
    pub(crate) wants: VecDeque<Option<Why>>,
    answered: usize,
}

/// The reads of one member.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) queue: VecDeque<Why>,
    open: BTreeMap<BatchId, OpenRead>,
    /// Bytes of an average item; grows and falls with what arrives.
    average: usize,
}

/// What an answer meant to the reader.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It belongs to this.
    For(Why),
    /// The call is not known: it was given up.
    Ignore,
    /// Not the next item of the call.
    OutOfOrder,
}

impl Reader {
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.open.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.open.len() < MAX_OPEN_READS
    }

    pub(crate) fn begin(&mut self, batch: BatchId, wants: VecDeque<Why>) {
        let wants = wants.into_iter().map(Some).collect();
        self.open.insert(batch, OpenRead { wants, answered: 0 });
    }

    /// Each item is answered once, in order.
    pub(crate) fn answer(&mut self, batch: BatchId, index: u32) -> Answer {
        let Some(read) = self.open.get_mut(&batch) else { return Answer::Ignore };
        if read.answered != index as usize {
            return Answer::OutOfOrder;
        }
        read.answered += 1;
        match read.wants.get_mut(index as usize).and_then(Option::take) {
            Some(why) => Answer::For(why),
            None => Answer::OutOfOrder,
        }
    }

    /// What of a call was not answered yet; nothing of one that is not known.
    pub(crate) fn unanswered(&self, batch: BatchId) -> impl Iterator<Item = &Why> {
        self.open.get(&batch).into_iter().flat_map(|read| read.wants.iter().flatten())
    }

    /// Ends a call: what was not answered, or `None` if the call is not known.
    pub(crate) fn end(&mut self, batch: BatchId) -> Option<Vec<Why>> {
        Some(self.open.remove(&batch)?.wants.into_iter().flatten().collect())
    }

    /// Gives up everything: what was asked or queued and not answered.
    pub(crate) fn abandon(&mut self) -> Vec<Why> {
        let open =
            std::mem::take(&mut self.open).into_values().flat_map(|read| read.wants.into_iter().flatten());
        open.chain(std::mem::take(&mut self.queue)).collect()
    }

    /// Takes the size of an item into account.
    pub(crate) fn measure(&mut self, bytes: usize) {
        self.average = if self.average == 0 { bytes } else { (self.average * 7 + bytes) / 8 };
    }

    /// How many items come to about `budget` bytes.
    pub(crate) fn pace(&self, budget: usize) -> usize {
        (budget / self.average.max(1)).clamp(1, MAX_BATCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_once_and_in_order() {
        let mut reader = Reader::default();
        reader.begin(BatchId(1), [Why::Prove(1), Why::Prove(2)].into());
        assert!(matches!(reader.answer(BatchId(1), 1), Answer::OutOfOrder));
        assert!(matches!(reader.answer(BatchId(1), 0), Answer::For(Why::Prove(1))));
        assert!(matches!(reader.answer(BatchId(1), 0), Answer::OutOfOrder));
        assert!(matches!(reader.answer(BatchId(9), 0), Answer::Ignore));
        assert_eq!(reader.end(BatchId(1)).map(|left| left.len()), Some(1));
        assert!(reader.end(BatchId(1)).is_none());
        assert!(reader.is_idle());
    }

    #[test]
    fn large_items_come_in_small_batches() {
        let mut reader = Reader::default();
        assert_eq!(reader.pace(512 << 10), MAX_BATCH);
        reader.measure(300 << 10);
        assert_eq!(reader.pace(512 << 10), 1);
    }
}
