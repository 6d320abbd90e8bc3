//! Judge: what is in conflict, from its reading to the verdict, as a table of what is open.

use std::collections::{BTreeMap, VecDeque};

use outrigger_protocol::RawDigest;

use crate::action::BatchId;
use crate::lot::{Fetch, Held};
use crate::row::MemberIndex;
use crate::table::Place;

/// Conflicts that are in hand at once: their bytes are in memory until they are judged.
const MAX_OPEN: usize = 8;

/// Contents of one conflict that are read at most. What more members hold is known by its digest alone.
pub(crate) const MAX_COPIES: usize = 8;

/// One of the contents in conflict.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    /// The first member that holds it.
    pub(crate) member: MemberIndex,
    pub(crate) held: Held,
}

impl Copy {
    pub(crate) fn raw(&self) -> (MemberIndex, RawDigest) {
        (self.member, RawDigest::of(&self.held.data))
    }
}

/// A conflict whose contents are being read.
#[derive(Debug)]
struct Hearing {
    place: Place,
    copies: Vec<(MemberIndex, Fetch)>,
}

/// A conflict that somebody was asked about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) place: Place,
    /// The plugin that compares; `None`: the driver makes one of them.
    pub(crate) member: Option<MemberIndex>,
    /// What the answer will be about.
    pub(crate) copies: Vec<Copy>,
}

/// All conflicts of a run that are not judged yet.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// Rows that wait for their turn.
    pub(crate) queue: VecDeque<Place>,
    hearings: BTreeMap<BatchId, Hearing>,
    asked: BTreeMap<BatchId, Asked>,
}

impl Judge {
    /// Whether a row waits and could have its turn.
    pub(crate) fn can_begin(&self) -> bool {
        !self.queue.is_empty() && self.hearings.len() + self.asked.len() < MAX_OPEN
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.hearings.is_empty() && self.asked.is_empty()
    }

    pub(crate) fn begin(&mut self, batch: BatchId, place: Place, members: &[MemberIndex]) {
        let copies = members.iter().map(|member| (*member, Fetch::Awaited)).collect();
        self.hearings.insert(batch, Hearing { place, copies });
    }

    /// The row that a hearing is about.
    pub(crate) fn hearing(&self, batch: BatchId) -> Option<Place> {
        self.hearings.get(&batch).map(|hearing| hearing.place)
    }

    /// Keeps what was read (`None`: it is not to be had). Hands out all once all are read, or nothing if
    /// one of them is not to be had.
    pub(crate) fn keep(
        &mut self,
        batch: BatchId,
        member: MemberIndex,
        held: Option<Held>,
    ) -> Option<Vec<Copy>> {
        let hearing = self.hearings.get_mut(&batch)?;
        let own = hearing.copies.iter_mut().find(|(whose, _)| *whose == member)?;
        own.1 = held.map_or(Fetch::Failed, Fetch::Held);
        if hearing.copies.iter().any(|(_, fetch)| matches!(fetch, Fetch::Awaited)) {
            return None;
        }
        let copies = self.hearings.remove(&batch)?.copies;
        let read = copies.into_iter().map(|(member, fetch)| match fetch {
            Fetch::Held(held) => Some(Copy { member, held }),
            _ => None,
        });
        Some(read.collect::<Option<Vec<Copy>>>().unwrap_or_default())
    }

    #[cfg(test)]
    pub(crate) fn any_hearing(&self) -> BatchId {
        *self.hearings.keys().next().unwrap()
    }

    pub(crate) fn ask(&mut self, batch: BatchId, asked: Asked) {
        self.asked.insert(batch, asked);
    }

    /// What was asked under that number, of whom; once.
    pub(crate) fn take(&mut self, batch: BatchId, member: Option<MemberIndex>) -> Option<Asked> {
        self.asked.get(&batch).filter(|asked| asked.member == member)?;
        self.asked.remove(&batch)
    }

    /// What a member takes part in waits for the next run. Whoever else was asked about it still answers,
    /// which ends the call and counts for nothing.
    pub(crate) fn forget(&mut self, member: MemberIndex) {
        self.hearings.retain(|_, hearing| hearing.copies.iter().all(|(whose, _)| *whose != member));
        self.asked.retain(|_, asked| asked.member != Some(member));
    }

    /// The rows of all conflicts, none of which is judged any more.
    pub(crate) fn give_up(&mut self) -> Vec<Place> {
        let Self { queue, hearings, asked } = std::mem::take(self);
        let hearings = hearings.into_values().map(|hearing| hearing.place);
        let asked = asked.into_values().map(|asked| asked.place);
        queue.into_iter().chain(hearings).chain(asked).collect()
    }
}
