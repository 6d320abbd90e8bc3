//! Work: from what is decided to a commit that may be sent.
//!
//! A lot reads what it needs (the source's content, the bytes it is about to overwrite), is checked
//! against what the rows say now, and becomes durable before it is sent (decisions X1, X6). Lots of
//! one member overlap: while one is committed, the next is read.

use outrigger_protocol::{CommitItem, CommitKind, Href, OperationId, RawDigest};

use crate::action::{Action, Ticket};
use crate::decide::Decision;
use crate::journal::{Intent, Record, Undo};
use crate::lot::{CALL_OVERHEAD, Fetch, Held, LOT_BYTES, Lot, Stage, Task, Write};
use crate::observe::{content, is_present};
use crate::reads::{LotId, Why};
use crate::row::{Observed, Row, Side};
use crate::state::Run;
use crate::table::Place;

/// Lots of one member that are being read, and that are on their way altogether.
const MAX_READING: usize = 2;
const MAX_LOTS: usize = 4;

/// Rows that ride with a lot's intents.
const RIDERS: usize = 512;

/// How often a decision is taken back in one run before the row waits for the next.
pub(crate) const MAX_ATTEMPTS: u8 = 2;

impl Run {
    /// Starts as many lots as the members have room for.
    pub(crate) fn pump_work(&mut self) {
        for target in Side::BOTH {
            if self.member(target).frozen || self.member(target).stopped {
                self.drop_work(target);
            }
            while self.has_room(target) && self.start_lot(target) {}
        }
        for target in Side::BOTH {
            self.pump_deletions(target);
        }
    }

    fn drop_work(&mut self, target: Side) {
        let work = std::mem::take(&mut self.member_mut(target).work);
        self.member_mut(target.other()).unobserved |=
            work.tasks.iter().any(|task| matches!(task, Task::Fresh(_)));
    }

    fn lots_at(&self, target: Side) -> impl Iterator<Item = &Lot> {
        self.lots.values().filter(move |lot| lot.target == target)
    }

    fn has_room(&self, target: Side) -> bool {
        let reading = self.lots_at(target).filter(|lot| lot.stage == Stage::Reading).count();
        let is_owed = !self.member(target).work.tasks.is_empty();
        is_owed && reading < MAX_READING && self.lots_at(target).count() < MAX_LOTS
    }

    /// Deletions come last, and only if no create failed: what looks like a deletion may be half of
    /// a move.
    fn pump_deletions(&mut self, target: Side) {
        while self.may_delete(target) {
            let budget = self.lot_bytes(target);
            let pace = self.member(target).reader.pace(budget);
            let work = &mut self.member_mut(target).work;
            if work.create_failed {
                for place in std::mem::take(&mut work.deletions) {
                    self.pending(place, target, "not deleted, for an item could not be created in this run");
                }
                return;
            }
            let mut lot = Lot::new(target, budget);
            let most = pace.min(self.certain_deletions(target));
            let some = self.member_mut(target).work.deletions.drain(..most);
            lot.writes.extend(some.map(|place| write(Some(place), Fetch::Unneeded, Fetch::Awaited)));
            self.read_lot(lot);
        }
    }

    fn may_delete(&self, target: Side) -> bool {
        let work = &self.member(target).work;
        let is_busy = self.lots_at(target).next().is_some() || !work.tasks.is_empty();
        let is_looking =
            !self.comparer.is_idle() || self.members.iter().any(|member| !member.reader.is_idle());
        !is_busy && !is_looking && !work.deletions.is_empty()
    }

    /// Bytes of one lot for a member: what is good for memory, and what fits a call to it.
    fn lot_bytes(&self, target: Side) -> usize {
        LOT_BYTES.min(self.commit_bytes(target))
    }

    /// Bytes of writes that fit one commit call to a member.
    pub(crate) fn commit_bytes(&self, target: Side) -> usize {
        self.settings.max_body[target.index()].saturating_sub(CALL_OVERHEAD)
    }

    /// Takes tasks for one lot; false if nothing came of it and tasks may be left.
    fn start_lot(&mut self, target: Side) -> bool {
        let budget = self.lot_bytes(target);
        let pace = self.member(target.other()).reader.pace(budget);
        let mut lot = Lot::new(target, budget);
        while lot.writes.len() < pace
            && let Some(task) = self.next_task(&lot)
        {
            lot.is_alone = self.is_suspect_task(target, &task);
            lot.writes.extend(self.begin_write(target, task));
        }
        if !lot.writes.is_empty() {
            self.read_lot(lot);
        }
        true
    }

    fn begin_write(&mut self, target: Side, task: Task) -> Option<Write> {
        match task {
            Task::Fresh(_) if self.member(target.other()).frozen => {
                self.member_mut(target.other()).unobserved = true;
                None
            }
            Task::Fresh(fresh) => {
                let mut write = write(None, Fetch::Awaited, Fetch::Unneeded);
                write.fresh = Some(fresh);
                Some(write)
            }
            Task::Row(place) => {
                let row = self.table.row(place)?;
                if self.decide(place, &row) != Decision::WriteFrom(target.other()) {
                    self.reroute(place);
                    return None;
                }
                let old = if is_present(&row, target) { Fetch::Awaited } else { Fetch::Unneeded };
                Some(write(Some(place), Fetch::Awaited, old))
            }
        }
    }

    /// Reads what the lot needs, on both members at once.
    fn read_lot(&mut self, lot: Lot) {
        let (id, target) = (self.number(), lot.target);
        let wanted = |is_wanted: fn(&Write) -> &Fetch| {
            let at = lot.writes.iter().enumerate();
            let at = at.filter(|(_, write)| matches!(is_wanted(write), Fetch::Awaited)).map(|(at, _)| at);
            at.collect::<Vec<usize>>()
        };
        let sources: Vec<Why> =
            wanted(|write| &write.source).into_iter().map(|at| Why::Source(id, at)).collect();
        let olds: Vec<Why> = wanted(|write| &write.old).into_iter().map(|at| Why::Old(id, at)).collect();
        self.lots.insert(id, lot);
        for (side, wants) in [(target.other(), sources), (target, olds)] {
            self.read_for_lot(id, side, wants);
        }
        self.assemble_if_read(id);
    }

    /// In as many calls as the member's limits make of it.
    fn read_for_lot(&mut self, id: LotId, side: Side, mut wants: Vec<Why>) {
        while !wants.is_empty() {
            let rest = wants.split_off(self.fit_read(side, wants.iter()));
            let some = std::mem::replace(&mut wants, rest);
            let Some(batch) = self.send_read(side, some) else { continue };
            self.lot_reads.insert(batch, (id, side));
            if let Some(lot) = self.lots.get_mut(&id) {
                lot.reads += 1;
            }
        }
    }

    /// A read that a lot may have waited for is over.
    pub(crate) fn lot_read_over(&mut self, batch: crate::action::BatchId) {
        let Some((id, _)) = self.lot_reads.remove(&batch) else { return };
        if let Some(lot) = self.lots.get_mut(&id) {
            lot.reads = lot.reads.saturating_sub(1);
        }
        self.assemble_if_read(id);
    }

    fn assemble_if_read(&mut self, id: LotId) {
        if self.lots.get(&id).is_some_and(|lot| lot.reads == 0 && lot.stage == Stage::Reading)
            && let Some(lot) = self.lots.remove(&id)
        {
            self.assemble(id, lot);
        }
    }

    /// Everything is read: each write is decided once more, and what stands becomes durable.
    fn assemble(&mut self, id: LotId, mut lot: Lot) {
        let target = lot.target;
        let mut records = Vec::new();
        let writes = std::mem::take(&mut lot.writes);
        for write in writes {
            let Some(place) = write.place else { continue };
            if let Some(ready) = self.ready(target, place, write, &mut records) {
                lot.writes.push(ready);
            }
        }
        if lot.writes.is_empty() {
            // Closed intents of an earlier run ride with whatever comes next.
            if !records.is_empty() {
                self.journal(records, None);
            }
            return;
        }
        self.table.records(RIDERS, &mut records);
        if records.is_empty() {
            // All are sent again as they were: their intents are durable.
            return self.send_lot(id, lot);
        }
        let ticket = self.journal(records, Some(id));
        lot.stage = Stage::Journaling(ticket);
        self.lots.insert(id, lot);
    }

    /// The write with its intent, if the row still needs it.
    fn ready(
        &mut self,
        target: Side,
        place: Place,
        mut write: Write,
        records: &mut Vec<Record>,
    ) -> Option<Write> {
        let row = self.table.row(place)?;
        let member = self.member(target);
        if member.frozen || member.stopped || self.journal_failed {
            return None;
        }
        if matches!(write.source, Fetch::Failed) || matches!(write.old, Fetch::Failed) {
            self.member_mut(target).work.create_failed |= !is_present(&row, target);
            return None;
        }
        let Some(kind) = self.kind(place, &row, target) else {
            self.reroute(place);
            return None;
        };
        if self.is_fatal_write(target, place) {
            self.member_mut(target).work.create_failed |= kind == CommitKind::Create;
            return None;
        }
        if matches!(write.source, Fetch::Deferred) || matches!(write.old, Fetch::Deferred) {
            self.route(place);
            return None;
        }
        if !is_fit(&row, target, kind, &write) {
            self.reroute(place);
            return None;
        }
        self.table.records_of(place, records);
        write.intent = Some(self.intend(place, &row, target, kind, &write, records));
        Some(write)
    }

    fn kind(&self, place: Place, row: &Row, target: Side) -> Option<CommitKind> {
        match self.decide(place, row) {
            Decision::WriteFrom(source) if source == target.other() => {
                Some(if is_present(row, target) { CommitKind::Update } else { CommitKind::Create })
            }
            Decision::DeleteOn(side) if side == target && self.table.mark(place).deletion_planned => {
                Some(CommitKind::Delete)
            }
            _ => None,
        }
    }

    /// Decides again, a few times a run: a member that changes all the time must not hold it.
    pub(crate) fn reroute(&mut self, place: Place) {
        if self.table.mark(place).attempts >= MAX_ATTEMPTS {
            return self.pending(place, Side::A, "it changed again and again during the run");
        }
        self.table.mark_mut(place, |mark| mark.attempts += 1);
        self.route(place);
    }

    /// The intent, durable already or new with its undo bytes.
    fn intend(
        &mut self,
        place: Place,
        row: &Row,
        target: Side,
        kind: CommitKind,
        write: &Write,
        records: &mut Vec<Record>,
    ) -> Intent {
        if let Some(earlier) = self.resend.remove(&place) {
            // One ID serves both only if they are one write (decisions X1).
            if describe(row, target, kind, earlier.operation) == earlier {
                return earlier;
            }
            // Other content, or another state: the old one is closed before the new one is given.
            records.push(Record::Settled(earlier.operation));
        }
        let intent = describe(row, target, kind, (self.operations)());
        if let Fetch::Held(Held { format, data }) = &write.old {
            let (format, data, href) = (format.clone(), data.clone(), intent.href.clone());
            records.push(Record::Undo(Undo {
                operation: intent.operation,
                side: target,
                href,
                format,
                data,
            }));
        }
        records.push(Record::Intent(intent.clone()));
        intent
    }

    /// The lot's records are durable (or not: then nothing of it was sent).
    pub(crate) fn journaled(&mut self, ticket: Ticket) {
        let Some(Some(id)) = self.tickets.remove(&ticket) else { return };
        let Some(lot) = self.lots.remove(&id) else { return };
        if lot.stage != Stage::Journaling(ticket) {
            self.lots.insert(id, lot);
        } else if self.member(lot.target).frozen {
            self.never_sent(&lot);
        } else {
            self.send_lot(id, lot);
        }
    }

    fn never_sent(&mut self, lot: &Lot) {
        for write in &lot.writes {
            if let (Some(place), Some(intent)) = (write.place, &write.intent) {
                self.table.settle(place, intent.operation);
            }
        }
    }

    fn send_lot(&mut self, id: LotId, mut lot: Lot) {
        let (batch, side) = (self.batch(), lot.target);
        let items = lot.writes.iter_mut().filter_map(|write| self.commit_item(write)).collect();
        lot.stage = Stage::Committing(batch);
        self.lots.insert(id, lot);
        self.outputs.push_back(Action::Commit { side, batch, items });
    }

    /// The bytes move into the action; the undo bytes are durable and go.
    fn commit_item(&self, write: &mut Write) -> Option<CommitItem<'static>> {
        let intent = write.intent.as_ref()?;
        let old = std::mem::take(&mut write.old);
        let held = match std::mem::take(&mut write.source) {
            Fetch::Held(held) => held,
            _ => Held { format: format_of(old), data: Vec::new() },
        };
        let object_type = self.object_type(self.table.mark(write.place?).object_type).to_owned();
        let expected = intent.expected.as_ref();
        Some(CommitItem {
            operation: intent.operation,
            kind: intent.kind,
            href: intent.href.clone(),
            expected: expected.map(|(revision, _)| revision.clone()),
            expected_digest: expected.map(|(_, content)| content.raw),
            key: intent.key.0.to_vec().into(),
            object_type: object_type.into(),
            format: held.format.into(),
            digest: intent.content.map_or_else(|| RawDigest::of(b""), |content| content.raw),
            data: held.data.into(),
        })
    }
}

fn write(place: Option<Place>, source: Fetch, old: Fetch) -> Write {
    Write { place, fresh: None, source, old, intent: None }
}

fn format_of(fetch: Fetch) -> String {
    match fetch {
        Fetch::Held(held) => held.format,
        _ => String::new(),
    }
}

/// Whether the bytes in hand are those that the row speaks of.
fn is_fit(row: &Row, target: Side, kind: CommitKind, write: &Write) -> bool {
    let holds = |fetch: &Fetch, side| match fetch {
        Fetch::Held(held) => content(row, side).map(|content| content.raw) == Some(RawDigest::of(&held.data)),
        _ => false,
    };
    let source = kind == CommitKind::Delete || holds(&write.source, target.other());
    let old = kind == CommitKind::Create || holds(&write.old, target);
    source && old
}

/// The intent for what the row needs, under an ID.
fn describe(row: &Row, target: Side, kind: CommitKind, operation: OperationId) -> Intent {
    let entry = row.entries[target.index()].as_ref().filter(|_| kind != CommitKind::Create);
    let expected = entry.and_then(|entry| match &entry.observed {
        Observed::Present { revision, content, .. } => Some((revision.clone(), *content)),
        Observed::Gone => None,
    });
    Intent {
        operation,
        row: row.id,
        side: target,
        kind,
        href: entry.map_or_else(Href::default, |entry| entry.href.clone()),
        key: row.key.clone(),
        expected,
        content: if kind == CommitKind::Delete { None } else { content(row, target.other()) },
        version: row.version + 1,
    }
}
