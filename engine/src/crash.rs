//! Crash: which items a plugin died over, and how those are handled afterwards.

use outrigger_protocol::{Code, CommitKind, Error, RawDigest, ReadOutcome, Retry};

use crate::action::BatchId;
use crate::charge::{CRASHED, CRASHES, Charge, Stamp, reading, writing};
use crate::decide::Decision;
use crate::journal::{Intent, Record};
use crate::lot::{Lot, Task};
use crate::observe::is_present;
use crate::reads::Why;
use crate::report::Report;
use crate::row::{MemberIndex, Observed, Row};
use crate::state::{Run, source_content};
use crate::table::Place;

impl Run {
    /// The plugin of a member died while it worked on these calls: whatever of them it had not
    /// answered is charged, and that is durable before the run ends.
    pub(crate) fn crashed(&mut self, member: MemberIndex, open: &[BatchId]) {
        if self.state(member).frozen || self.settings.dry_run || self.journal_failed {
            return;
        }
        let subjects: Vec<RawDigest> =
            open.iter().flat_map(|batch| self.open_subjects(member, *batch)).collect();
        let charged: Vec<Charge> =
            subjects.into_iter().filter_map(|subject| self.charges.charge(member, subject)).collect();
        if charged.is_empty() {
            return;
        }
        let set_aside = charged.iter().filter(|charge| charge.crashes >= CRASHES).count();
        self.reports.push_back(Report::Charged { member, items: charged.len(), set_aside });
        self.journal(charged.into_iter().map(Record::Charge).collect(), None);
    }

    /// What a call was about, as far as it was not answered.
    fn open_subjects(&self, member: MemberIndex, batch: BatchId) -> Vec<RawDigest> {
        let reads = self.state(member).reader.unanswered(batch);
        let reads = reads.filter_map(|why| self.read_subject(member, why));
        let parts = self.lots.values().flat_map(move |lot| lot.parts_of(member));
        let sent = parts.filter(move |(_, part)| part.batch == Some(batch));
        let writes = sent.filter_map(|(_, part)| part.intent.as_ref());
        reads.chain(writes.filter_map(write_subject)).collect()
    }

    /// What it is to do this read.
    fn read_subject(&self, member: MemberIndex, why: &Why) -> Option<RawDigest> {
        let of_row = |place: Place| known(&self.table.row(place)?, member);
        match why {
            Why::New(fresh) => Some(reading(fresh.href.as_bytes(), Stamp::of(&fresh.revision))),
            Why::Look(place, stamp) => {
                let row = self.table.row(*place)?;
                Some(reading(row.entry(member)?.href.as_bytes(), *stamp))
            }
            Why::Prove(place) | Why::Back(place) | Why::Again(place) => of_row(*place),
            Why::Weigh(batch) => of_row(self.judge.hearing(*batch)?),
            Why::Recover(at) => of_row(self.doubts.get(*at)?.as_ref()?.0),
            Why::Source(lot, at) | Why::Old(lot, at) => {
                let write = self.lots.get(*lot)?.writes.get(*at)?;
                match &write.fresh {
                    Some(fresh) => Some(reading(fresh.href.as_bytes(), Stamp::of(&fresh.revision))),
                    None => of_row(write.place?),
                }
            }
        }
    }

    fn read_charge(&self, member: MemberIndex, why: &Why) -> u8 {
        if self.charges.is_empty() {
            return 0;
        }
        self.read_subject(member, why).map_or(0, |subject| self.charges.of(member, subject))
    }

    /// Whether the plugin may have died over this read, so that it goes alone.
    pub(crate) fn is_suspect_read(&self, member: MemberIndex, why: &Why) -> bool {
        self.read_charge(member, why) > 0
    }

    /// Takes out what the plugin died over too often, and answers it in the plugin's place: it cannot
    /// be read until it changes.
    pub(crate) fn without_fatal(&mut self, member: MemberIndex, wants: Vec<Why>) -> Vec<Why> {
        if self.charges.is_empty() {
            return wants;
        }
        let (fatal, rest): (Vec<Why>, Vec<Why>) =
            wants.into_iter().partition(|why| self.read_charge(member, why) >= CRASHES);
        for why in fatal {
            let error = Error { retry: Retry::Never, ..Error::new(Code::PANIC, CRASHED) };
            self.answered(member, why, ReadOutcome::Failed(error));
        }
        rest
    }

    /// A read was answered.
    pub(crate) fn clear_read(&mut self, member: MemberIndex, why: &Why) {
        if !self.charges.is_empty()
            && let Some(subject) = self.read_subject(member, why)
        {
            self.charges.clear(member, subject);
        }
    }

    /// A write was answered.
    pub(crate) fn clear_write(&mut self, intent: &Intent) {
        if !self.charges.is_empty()
            && let Some(subject) = write_subject(intent)
        {
            self.charges.clear(intent.member, subject);
        }
    }

    /// Crashes that are held against what a row needs at `target` now.
    fn write_charge(&self, place: Place, target: MemberIndex) -> u8 {
        if self.charges.is_empty() {
            return 0;
        }
        let subject = || {
            let row = self.table.row(place)?;
            match self.decide(place, &row) {
                Decision::Spread(source) if self.targets(place, &row, source).contains(&target) => {
                    Some(writing(row.id, CommitKind::Update, source_content(&row, source)?.raw))
                }
                Decision::Delete if is_present(&row, target) => {
                    Some(writing(row.id, CommitKind::Delete, row.held(target)?.raw))
                }
                _ => None,
            }
        };
        subject().map_or(0, |subject| self.charges.of(target, subject))
    }

    /// The next task of a source, if the lot may take it: one that a plugin may have died over goes alone.
    pub(crate) fn next_task(&mut self, source: MemberIndex, lot: &Lot) -> Option<Task> {
        let task = self.tasks.get(source.index())?.front()?;
        let is_suspect = self.is_suspect_task(source, task);
        if lot.is_alone || (is_suspect && !lot.writes.is_empty()) {
            return None;
        }
        self.tasks.get_mut(source.index())?.pop_front()
    }

    /// Whether a plugin may have died over this write, so that it goes alone.
    pub(crate) fn is_suspect_task(&self, source: MemberIndex, task: &Task) -> bool {
        match task {
            Task::Row(place) => self.others(source).any(|target| self.is_suspect_write(target, *place)),
            Task::Fresh(_) => false, // no row, so it was never sent
        }
    }

    /// How many of the deletions may go in one lot: all up to the first that the plugin may have died
    /// over, or that one alone.
    pub(crate) fn certain_deletions(&self, target: MemberIndex) -> usize {
        let deletions = &self.state(target).work.deletions;
        if self.charges.is_empty() {
            return deletions.len();
        }
        let suspect = deletions.iter().position(|place| self.is_suspect_write(target, *place));
        suspect.map_or(deletions.len(), |at| at.max(1))
    }

    fn is_suspect_write(&self, target: MemberIndex, place: Place) -> bool {
        self.write_charge(place, target) > 0
    }

    /// Sets a row aside whose write the plugin died over too often; whether it did.
    pub(crate) fn is_fatal_write(&mut self, target: MemberIndex, place: Place) -> bool {
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
                self.change(place, |row| {
                    row.quarantine.retain(|quarantine| !quarantine.reason.ends_with(CRASHED));
                });
            }
        }
    }
}

/// To read an item as the row knows it.
fn known(row: &Row, member: MemberIndex) -> Option<RawDigest> {
    let entry = row.entry(member)?;
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
