//! Send: from a lot that is read to commits that may be sent.
//!
//! Each write is checked against what the rows say now. What the group agrees on, the intents and the
//! bytes that are about to go become durable in one transaction before anything is sent (decisions X1,
//! X6): whoever dies afterwards, the next run knows what everybody was to hold.

use outrigger_protocol::{CommitItem, CommitKind, Href, OperationId, RawDigest};

use crate::accept::{OWN, accept, accept_deletion, owe};
use crate::action::{Action, Ticket};
use crate::decide::{Decision, Sign, is_clash, needs_write};
use crate::journal::{Intent, Record, Undo};
use crate::lot::{Fetch, Held, Lot, OVERHEAD, Part, Stage, Write};
use crate::observe::is_present;
use crate::reads::LotId;
use crate::report::PlannedWrite;
use crate::row::{MemberIndex, Observed, Row};
use crate::seeded::Bug;
use crate::settings::ConflictPolicy;
use crate::state::{Run, source_content};
use crate::table::{Flag, Place};

/// Rows that ride with a lot's intents.
const RIDERS: usize = 512;

impl Run {
    /// Everything is read: each write is decided once more, and what stands becomes durable.
    pub(crate) fn assemble(&mut self, id: LotId, mut lot: Lot) {
        let mut records = Vec::new();
        for write in std::mem::take(&mut lot.writes) {
            let Some(place) = write.place else { continue };
            if let Some(ready) = self.ready(lot.source, place, write, &mut records) {
                lot.writes.push(ready);
            }
        }
        let parts = lot.writes.iter().flat_map(|write| &write.parts);
        lot.targets = parts.map(|part| part.target).collect();
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
        if self.is_seeded(Bug::SentBeforeDurable) {
            self.send_lot(id, lot);
            self.journal(records, None);
            return;
        }
        let ticket = self.journal(records, Some(id));
        lot.stage = Stage::Journaling(ticket);
        self.lots.insert(id, lot);
    }

    /// The write with its intents, as far as the row still needs it.
    fn ready(
        &mut self,
        source: Option<MemberIndex>,
        place: Place,
        mut write: Write,
        records: &mut Vec<Record>,
    ) -> Option<Write> {
        for part in &write.parts {
            self.table.flag(place, part.target, Flag::Underway, false);
        }
        let row = self.table.row(place)?;
        if self.journal_failed {
            return None;
        }
        if matches!(write.source, Fetch::Failed) {
            if source.is_some_and(|source| self.is_member(source) && self.state(source).frozen) {
                // Another may have it. And nothing of that member is taken for deleted in this run, so
                // this cannot be half of a move.
                self.route(place);
            } else {
                self.not_created(&row, &write.parts);
            }
            return None;
        }
        let needed = self.still_needed(place, &row, source);
        if needed.is_empty() && self.is_done(place, &row) {
            self.route(place);
            return None;
        }
        if needed.is_empty() || !is_source_fit(&row, source, &write.source) {
            self.put_off(place, &write.source);
            return None;
        }
        let parts = std::mem::take(&mut write.parts);
        write.parts =
            parts.into_iter().filter(|part| self.is_ready(place, &row, &needed, part, source)).collect();
        if write.parts.is_empty() {
            return None;
        }
        if self.is_seeded(Bug::LoserNotJournalled) && is_clash(&self.views(place, &row)) {
            write.parts.iter_mut().for_each(|part| part.old = Fetch::Unneeded);
        }
        let row = self.agree(place, row, source);
        self.table.records_of(place, records);
        self.keep_base(&row, source, &write.source, records);
        for part in &mut write.parts {
            self.table.flag(place, part.target, Flag::Underway, true);
            part.intent = Some(self.intend(place, &row, source, part, records));
        }
        Some(write)
    }

    /// Whether nothing is left to be written: other lots have brought it to all meanwhile.
    fn is_done(&self, place: Place, row: &Row) -> bool {
        matches!(self.decide(place, row), Decision::Nothing | Decision::Adopt)
    }

    /// It is decided anew; what the lot only had no room for does not count as an attempt.
    fn put_off(&mut self, place: Place, fetch: &Fetch) {
        if matches!(fetch, Fetch::Deferred) {
            self.route(place);
        } else {
            self.reroute(place);
        }
    }

    fn not_created(&mut self, row: &Row, parts: &[Part]) {
        for part in parts.iter().filter(|part| !is_present(row, part.target)) {
            self.state_mut(part.target).work.create_failed = true;
        }
    }

    /// The members that need what the lot brings, by what the row says now.
    fn still_needed(&self, place: Place, row: &Row, source: Option<MemberIndex>) -> Vec<MemberIndex> {
        match (self.decide(place, row), source) {
            (Decision::Spread(_), Some(source)) if self.is_spread_from(place, row, source) => {
                self.targets(place, row, source)
            }
            (Decision::Delete, None) => {
                let mut deleters = self.deleters(place, row);
                deleters.retain(|target| self.table.has(place, *target, Flag::DeletionPlanned));
                deleters
            }
            _ => Vec::new(),
        }
    }

    /// Whether one member's part can be sent; says what becomes of it otherwise.
    fn is_ready(
        &mut self,
        place: Place,
        row: &Row,
        needed: &[MemberIndex],
        part: &Part,
        source: Option<MemberIndex>,
    ) -> bool {
        let (target, kind) = (part.target, kind(row, part.target, source));
        if !needed.contains(&target) || !self.may_write(target) {
            return false;
        }
        if matches!(part.old, Fetch::Failed) || self.is_another_write(place, row, target, source) {
            return false;
        }
        if kind != CommitKind::Create && !holds(row, target, &part.old) {
            self.put_off(place, &part.old);
            return false;
        }
        if !self.is_in_plan(row, target, kind, source) {
            self.pending(place, target, "it is not in the plan, or has changed since");
            return false;
        }
        let is_fatal = self.is_fatal_write(target, place);
        self.state_mut(target).work.create_failed |= is_fatal && kind == CommitKind::Create;
        !is_fatal
    }

    fn is_in_plan(
        &self,
        row: &Row,
        target: MemberIndex,
        kind: CommitKind,
        source: Option<MemberIndex>,
    ) -> bool {
        let plan = self.settings.only.as_ref();
        plan.is_none_or(|plan| plan.contains(&planned(row, target, kind, source)))
    }

    /// What is about to be sent is what the group agrees on, unless it is already.
    fn agree(&mut self, place: Place, mut row: Row, source: Option<MemberIndex>) -> Row {
        let views = self.views(place, &row);
        let is_settled = |sign: Sign| {
            matches!(sign, Sign::Same | Sign::Behind | Sign::Never | Sign::BehindDeleted | Sign::Unknown)
        };
        let is_seen = |_: &Row, member: MemberIndex| {
            let is_seen = views.get(member.index()).is_some_and(|view| view.sign != Sign::Unknown);
            is_seen || self.is_seeded(Bug::UnreachableAdvanced)
        };
        match source {
            None if row.is_tombstone() => return row,
            None => accept_deletion(&mut row, is_seen),
            Some(source) => {
                let holds_base = views.get(source.index()).is_some_and(|view| view.sign == Sign::Same);
                let Some(content) = source_content(&row, source) else { return row };
                if holds_base && views.iter().all(|view| is_settled(view.sign)) {
                    // Members will hold something else than a person was shown.
                    row.conflict = None;
                } else {
                    let supplied = row.supplied.take().filter(|_| !self.is_member(source));
                    accept(&mut row, content, is_seen);
                    row.supplied = supplied;
                    self.all().filter(|it| needs_write(&views, source, *it)).for_each(|it| owe(&mut row, it));
                }
            }
        }
        self.table.put(place, row.clone());
        row
    }

    /// A later merge needs the bytes that were agreed on.
    fn keep_base(&self, row: &Row, source: Option<MemberIndex>, fetch: &Fetch, records: &mut Vec<Record>) {
        let content = source.and_then(|source| source_content(row, source));
        if let (Fetch::Held(Held { format, data }), Some(content)) = (fetch, content)
            && self.settings.conflict == ConflictPolicy::Resolve
        {
            let (format, data) = (format.clone(), data.clone());
            records.push(Record::Base { row: row.id, content, format, data });
        }
    }

    /// The intent, durable already or new with its undo bytes.
    fn intend(
        &mut self,
        place: Place,
        row: &Row,
        source: Option<MemberIndex>,
        part: &Part,
        records: &mut Vec<Record>,
    ) -> Intent {
        let target = part.target;
        if let Some(earlier) = self.again.get(&(place, target)) {
            return earlier.clone();
        }
        if let Some(earlier) = self.resend.remove(&(place, target)) {
            // One ID serves both only if they are one write (decisions X1).
            let is_new = self.is_seeded(Bug::RetryWithNewId);
            if !is_new && describe(row, target, source, earlier.operation) == earlier {
                return earlier;
            }
            // Other content, or another state: the old one is closed before the new one is given.
            records.push(Record::NotDone(earlier.operation));
        }
        let intent = describe(row, target, source, (self.operations)());
        if let Fetch::Held(held) = &part.old {
            let own = row.entry(target).is_some_and(|entry| entry.have == OWN);
            records.push(Record::Undo(undo(&intent, own, held)));
        }
        records.push(Record::Intent(intent.clone()));
        intent
    }

    /// The lot's records are durable (or not: then nothing of it was sent).
    pub(crate) fn lot_journaled(&mut self, id: LotId, ticket: Ticket) {
        let Some(mut lot) = self.lots.remove(id) else { return };
        if lot.stage != Stage::Journaling(ticket) {
            self.lots.insert(id, lot);
            return;
        }
        for write in &mut lot.writes {
            self.take_back(write);
        }
        self.send_lot(id, lot);
    }

    /// What is meant for a member that has been left alone meanwhile is never sent.
    fn take_back(&mut self, write: &mut Write) {
        let Some(place) = write.place else { return };
        let is_lost = |part: &mut Part| self.state(part.target).frozen;
        let lost: Vec<Part> = write.parts.extract_if(.., is_lost).collect();
        for intent in lost.into_iter().filter_map(|part| part.intent) {
            self.table.flag(place, intent.member, Flag::Underway, false);
            if !self.is_again(place, intent.member) {
                self.table.not_done(place, intent.operation);
            }
        }
    }

    /// One commit for each member, or more where it takes less in one call.
    fn send_lot(&mut self, id: LotId, mut lot: Lot) {
        for target in std::mem::take(&mut lot.targets) {
            self.send_to(target, &mut lot);
        }
        lot.targets = lot.commits.values().copied().collect();
        lot.stage = Stage::Committing;
        if !lot.commits.is_empty() {
            self.lots.insert(id, lot);
        }
    }

    fn send_to(&mut self, member: MemberIndex, lot: &mut Lot) {
        let most = self.commit_bytes(member);
        let (mut items, mut size, mut batch) = (Vec::new(), 0, self.batch());
        for write in &mut lot.writes {
            let Some(item) = self.commit_item(member, write) else { continue };
            let more = weight(&item);
            if !items.is_empty() && size + more > most {
                let items = std::mem::take(&mut items);
                self.outputs.push_back(Action::Commit { member, batch, items });
                (batch, size) = (self.batch(), 0);
            }
            if let Some(part) = write.parts.iter_mut().find(|part| part.target == member) {
                part.batch = Some(batch);
                lot.commits.insert(batch, member);
            }
            size += more;
            items.push(item);
        }
        if !items.is_empty() {
            self.outputs.push_back(Action::Commit { member, batch, items });
        }
    }

    /// The bytes move into the last member's action; the undo bytes are durable and go.
    fn commit_item(&self, target: MemberIndex, write: &mut Write) -> Option<CommitItem<'static>> {
        let is_last = write.parts.last().is_some_and(|part| part.target == target);
        let part = write.parts.iter_mut().find(|part| part.target == target)?;
        let intent = part.intent.as_ref()?;
        let old = std::mem::take(&mut part.old);
        let held = match &mut write.source {
            Fetch::Held(held) if is_last => std::mem::take(held),
            Fetch::Held(held) => held.clone(),
            _ => Held { format: format_of(old), data: Vec::new() },
        };
        let object_type = self.object_type(self.table.mark(write.place?).object_type).to_owned();
        let is_careful = intent.kind != CommitKind::Update || !self.is_seeded(Bug::PreconditionDropped);
        let expected = intent.expected.as_ref().filter(|_| is_careful);
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

/// A write as it would be planned.
pub(crate) fn planned(
    row: &Row,
    target: MemberIndex,
    kind: CommitKind,
    source: Option<MemberIndex>,
) -> PlannedWrite {
    let name = |member| row.entry(member).filter(|_| is_present(row, member)).map(|entry| entry.href.clone());
    let content = source.and_then(|source| source_content(row, source));
    let expected = row.held(target).filter(|_| kind != CommitKind::Create);
    PlannedWrite {
        member: target,
        kind,
        names: row.members().map(name).collect(),
        key: row.key.clone(),
        expected: expected.map(|content| content.raw),
        content: content.map(|content| content.raw),
    }
}

/// What a member is to do.
pub(crate) fn kind(row: &Row, target: MemberIndex, source: Option<MemberIndex>) -> CommitKind {
    match source {
        None => CommitKind::Delete,
        Some(_) if is_present(row, target) => CommitKind::Update,
        Some(_) => CommitKind::Create,
    }
}

fn undo(intent: &Intent, own: bool, Held { format, data }: &Held) -> Undo {
    Undo {
        operation: intent.operation,
        row: intent.row,
        key: intent.key.clone(),
        kind: intent.kind,
        member: intent.member,
        href: intent.href.clone(),
        own,
        format: format.clone(),
        data: data.clone(),
    }
}

fn format_of(fetch: Fetch) -> String {
    match fetch {
        Fetch::Held(held) => held.format,
        _ => String::new(),
    }
}

/// What an item takes in a call, at most.
fn weight(item: &CommitItem<'_>) -> usize {
    let revision = item.expected.as_ref().map_or(0, |revision| revision.as_bytes().len());
    let names = item.href.as_bytes().len() + item.key.len() + item.object_type.len() + item.format.len();
    item.data.len() + names + revision + OVERHEAD
}

/// Whether the bytes in hand are those that the row says the member holds.
fn holds(row: &Row, member: MemberIndex, fetch: &Fetch) -> bool {
    match fetch {
        Fetch::Held(held) => row.held(member).map(|content| content.raw) == Some(RawDigest::of(&held.data)),
        _ => false,
    }
}

/// Whether the bytes in hand are those that are to be brought.
fn is_source_fit(row: &Row, source: Option<MemberIndex>, fetch: &Fetch) -> bool {
    let Some(source) = source else { return true };
    match fetch {
        Fetch::Held(held) => {
            let content = source_content(row, source).map(|content| content.raw);
            content == Some(RawDigest::of(&held.data))
        }
        _ => false,
    }
}

/// The intent for what the row needs, under an ID.
pub(crate) fn describe(
    row: &Row,
    target: MemberIndex,
    source: Option<MemberIndex>,
    operation: OperationId,
) -> Intent {
    let kind = kind(row, target, source);
    let entry = row.entry(target).filter(|_| kind != CommitKind::Create);
    let expected = entry.and_then(|entry| match &entry.observed {
        Observed::Present { revision, content, .. } => Some((revision.clone(), *content)),
        Observed::Gone => None,
    });
    Intent {
        operation,
        row: row.id,
        member: target,
        kind,
        href: entry.map_or_else(Href::default, |entry| entry.href.clone()),
        key: row.key.clone(),
        expected,
        content: source.and_then(|source| source_content(row, source)),
        version: row.version,
    }
}
