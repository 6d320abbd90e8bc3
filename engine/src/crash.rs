//! Crash: which items a plugin died over, and how those are handled afterwards.

use outrigger_protocol::{Code, Error, RawDigest, ReadOutcome, Retry};

use crate::action::BatchId;
use crate::charge::{CRASHED, CRASHES, Charge, Stamp, reading, writing};
use crate::decide::Decision;
use crate::journal::{Intent, Record};
use crate::lot::{Lot, Stage, Task};
use crate::observe::content;
use crate::reads::Why;
use crate::report::Report;
use crate::row::{Observed, Row, Side};
use crate::state::Run;
use crate::table::Place;

impl Run {
    /// The plugin of a member died while it worked on these calls: whatever of them it had not
    /// answered is charged, and that is durable before the run ends.
    pub(crate) fn crashed(&mut self, side: Side, open: &[BatchId]) {
        if self.member(side).frozen || self.settings.dry_run || self.journal_failed {
            return;
        }
        let subjects: Vec<RawDigest> =
            open.iter().flat_map(|batch| self.open_subjects(side, *batch)).collect();
        let charged: Vec<Charge> =
            subjects.into_iter().filter_map(|subject| self.charges.charge(side, subject)).collect();
        if charged.is_empty() {
            return;
        }
        let set_aside = charged.iter().filter(|charge| charge.crashes >= CRASHES).count();
        self.reports.push_back(Report::Charged { side, items: charged.len(), set_aside });
        self.journal(charged.into_iter().map(Record::Charge).collect(), None);
    }

    /// What a call was about, as far as it was not answered.
    fn open_subjects(&self, side: Side, batch: BatchId) -> Vec<RawDigest> {
        let reads = self.member(side).reader.unanswered(batch);
        let reads = reads.filter_map(|why| self.read_subject(side, why));
        let is_it = |stage: &Stage| *stage == Stage::Committing(batch);
        let lots = self.lots.values().filter(|lot| lot.target == side && is_it(&lot.stage));
        let writes = lots.flat_map(|lot| &lot.writes).filter_map(|write| write.intent.as_ref());
        reads.chain(writes.filter_map(write_subject)).collect()
    }

    /// What it is to do this read.
    fn read_subject(&self, side: Side, why: &Why) -> Option<RawDigest> {
        let of_row = |place: Place| known(&self.table.row(place)?, side);
        match why {
            Why::New(fresh) => Some(reading(fresh.href.as_bytes(), Stamp::of(&fresh.revision))),
            Why::Look(place, stamp) => {
                let row = self.table.row(*place)?;
                Some(reading(row.entries[side.index()].as_ref()?.href.as_bytes(), *stamp))
            }
            Why::Prove(place) | Why::Back(place) | Why::Again(place) => of_row(*place),
            Why::Weigh(batch) => of_row(self.comparer.reading.get(batch)?.place),
            Why::Recover(at) => of_row(self.doubts.get(*at)?.as_ref()?.0),
            Why::Source(lot, at) | Why::Old(lot, at) => {
                let write = self.lots.get(lot)?.writes.get(*at)?;
                match &write.fresh {
                    Some(fresh) => Some(reading(fresh.href.as_bytes(), Stamp::of(&fresh.revision))),
                    None => of_row(write.place?),
                }
            }
        }
    }

    fn read_charge(&self, side: Side, why: &Why) -> u8 {
        if self.charges.is_empty() {
            return 0;
        }
        self.read_subject(side, why).map_or(0, |subject| self.charges.of(side, subject))
    }

    /// Whether the plugin may have died over this read, so that it goes alone.
    pub(crate) fn is_suspect_read(&self, side: Side, why: &Why) -> bool {
        self.read_charge(side, why) > 0
    }

    /// Takes out what the plugin died over too often, and answers it in the plugin's place: it cannot
    /// be read until it changes.
    pub(crate) fn without_fatal(&mut self, side: Side, wants: Vec<Why>) -> Vec<Why> {
        if self.charges.is_empty() {
            return wants;
        }
        let (fatal, rest): (Vec<Why>, Vec<Why>) =
            wants.into_iter().partition(|why| self.read_charge(side, why) >= CRASHES);
        for why in fatal {
            let error = Error { retry: Retry::Never, ..Error::new(Code::PANIC, CRASHED) };
            self.answered(side, why, ReadOutcome::Failed(error));
        }
        rest
    }

    /// A read was answered.
    pub(crate) fn clear_read(&mut self, side: Side, why: &Why) {
        if !self.charges.is_empty()
            && let Some(subject) = self.read_subject(side, why)
        {
            self.charges.clear(side, subject);
        }
    }

    /// A write was answered.
    pub(crate) fn clear_write(&mut self, intent: &Intent) {
        if !self.charges.is_empty()
            && let Some(subject) = write_subject(intent)
        {
            self.charges.clear(intent.side, subject);
        }
    }

    /// Crashes that are held against what a row needs at `target` now.
    fn write_charge(&self, place: Place, target: Side) -> u8 {
        if self.charges.is_empty() {
            return 0;
        }
        let subject = || {
            let row = self.table.row(place)?;
            match self.decide(place, &row) {
                Decision::WriteFrom(source) if source == target.other() => {
                    let kind = outrigger_protocol::CommitKind::Update;
                    Some(writing(row.id, kind, content(&row, source)?.raw))
                }
                Decision::DeleteOn(side) if side == target => {
                    let kind = outrigger_protocol::CommitKind::Delete;
                    Some(writing(row.id, kind, content(&row, target)?.raw))
                }
                _ => None,
            }
        };
        subject().map_or(0, |subject| self.charges.of(target, subject))
    }

    /// The next task of the lot's member, if the lot may take it: one that the plugin may have died over
    /// goes alone.
    pub(crate) fn next_task(&mut self, lot: &Lot) -> Option<Task> {
        let task = self.member(lot.target).work.tasks.front()?;
        let is_suspect = self.is_suspect_task(lot.target, task);
        if lot.is_alone || (is_suspect && !lot.writes.is_empty()) {
            return None;
        }
        self.member_mut(lot.target).work.tasks.pop_front()
    }

    /// Whether the plugin may have died over this write, so that it goes alone.
    pub(crate) fn is_suspect_task(&self, target: Side, task: &Task) -> bool {
        match task {
            Task::Row(place) => self.is_suspect_write(target, *place),
            Task::Fresh(_) => false, // no row, so it was never sent
        }
    }

    /// How many of the deletions may go in one lot: all up to the first that the plugin may have died
    /// over, or that one alone.
    pub(crate) fn certain_deletions(&self, target: Side) -> usize {
        let deletions = &self.member(target).work.deletions;
        if self.charges.is_empty() {
            return deletions.len();
        }
        let suspect = deletions.iter().position(|place| self.is_suspect_write(target, *place));
        suspect.map_or(deletions.len(), |at| at.max(1))
    }

    fn is_suspect_write(&self, target: Side, place: Place) -> bool {
        self.write_charge(place, target) > 0
    }

    /// Sets a row aside whose write the plugin died over too often; whether it did.
    pub(crate) fn is_fatal_write(&mut self, target: Side, place: Place) -> bool {
        let is_fatal = self.write_charge(place, target) >= CRASHES;
        if is_fatal {
            self.quarantine(place, target, format!("it cannot be written: {CRASHED}"));
        }
        is_fatal
    }

    /// The user wants all of them tried once more.
    pub(crate) fn retry_crashed(&mut self) {
        self.charges.forget();
        for place in self.table.places() {
            let is_quarantined = self.table.packed(place).is_some_and(crate::packed::Packed::is_quarantined);
            if is_quarantined {
                self.change(place, |row| drop(row.quarantine.take_if(|reason| reason.ends_with(CRASHED))));
            }
        }
    }
}

/// To read an item as the row knows it.
fn known(row: &Row, side: Side) -> Option<RawDigest> {
    let entry = row.entries[side.index()].as_ref()?;
    let stamp = match &entry.observed {
        Observed::Present { revision, .. } => Stamp::of(revision),
        Observed::Gone => Stamp::of(&outrigger_protocol::Revision::default()),
    };
    Some(reading(entry.href.as_bytes(), stamp))
}

fn write_subject(intent: &Intent) -> Option<RawDigest> {
    let content = intent.content.or(intent.expected.as_ref().map(|(_, base)| *base))?;
    Some(writing(intent.row, intent.kind, content.raw))
}
