//! Commit: what became of the writes that were sent.

use std::collections::BTreeSet;

use outrigger_protocol::{
    Code, CommitKind, CommitOutcome, CommitResult, Effect, Error, Href, RawDigest, Revision, limits,
};

use crate::action::BatchId;
use crate::answers::is_permanent;
use crate::apply::{self, Stored};
use crate::journal::Intent;
use crate::lot::{Lot, Stage};
use crate::observe::State;
use crate::packed::Seen;
use crate::reads::{LotId, Why};
use crate::report::Report;
use crate::row::{Content, Side};
use crate::state::Run;
use crate::table::Place;
use crate::work::MAX_ATTEMPTS;

/// What a member says of a write that it did.
struct Done {
    href: Href,
    revision: Revision,
    settled: bool,
    digest: Option<RawDigest>,
}

impl Run {
    fn take_committing(&mut self, side: Side, batch: BatchId) -> Option<Lot> {
        let is_it = |lot: &Lot| lot.target == side && lot.stage == Stage::Committing(batch);
        let id: LotId = self.lots.iter().find(|(_, lot)| is_it(lot)).map(|(id, _)| *id)?;
        self.lots.remove(&id)
    }

    /// A commit was answered.
    pub(crate) fn committed(&mut self, side: Side, batch: BatchId, results: Vec<CommitResult>) {
        let Some(mut lot) = self.take_committing(side, batch) else { return };
        let mut answered = BTreeSet::new();
        let mut breach = None;
        for CommitResult { operation, outcome } in results {
            let mut writes = lot.writes.iter_mut();
            let write =
                writes.find(|write| write.intent.as_ref().is_some_and(|it| it.operation == operation));
            match write.and_then(|write| Some((write.place?, write.intent.take()?))) {
                Some((place, intent)) => {
                    answered.insert(operation);
                    self.clear_write(&intent);
                    breach = self.result(place, intent, outcome).or(breach);
                }
                None if answered.contains(&operation) => breach = Some("it answered a write twice"),
                None => breach = Some("it answered a write that it was not sent"),
            }
        }
        if self.doubt_lot(&lot) > 0 {
            breach = Some("it left a write unanswered");
        }
        if let Some(words) = breach {
            self.freeze(side, words);
        }
    }

    /// A commit failed as a whole.
    pub(crate) fn commit_failed(&mut self, side: Side, batch: BatchId, error: &Error) {
        let Some(lot) = self.take_committing(side, batch) else { return };
        if error.effect != Effect::NotStarted {
            self.doubt_lot(&lot);
            let words = format!("a write, which may be done or not: {error}");
            return self.tell_of_item(side, Report::CallFailed { side, words });
        }
        for write in lot.writes {
            if let (Some(place), Some(intent)) = (write.place, write.intent) {
                self.table.settle(place, intent.operation);
                self.member_mut(side).work.create_failed |= intent.kind == CommitKind::Create;
                self.pending(place, side, error.to_string());
            }
        }
    }

    /// Lots of a member that is left alone.
    pub(crate) fn abandon_lots(&mut self, side: Side) {
        let batches: Vec<BatchId> =
            self.lot_reads.iter().filter(|(_, (_, at))| *at == side).map(|(batch, _)| *batch).collect();
        for batch in batches {
            self.lot_read_over(batch);
        }
        let is_sent = |lot: &Lot| lot.target == side && matches!(lot.stage, Stage::Committing(_));
        let sent: Vec<LotId> = self.lots.iter().filter(|(_, lot)| is_sent(lot)).map(|(id, _)| *id).collect();
        for id in sent {
            if let Some(lot) = self.lots.remove(&id) {
                self.doubt_lot(&lot);
            }
        }
    }

    /// Writes without an answer: their intents stay open, and the next run reads them back.
    fn doubt_lot(&mut self, lot: &Lot) -> usize {
        let doubtful = lot.writes.iter().filter(|write| write.intent.is_some());
        let places: Vec<Place> = doubtful.filter_map(|write| write.place).collect();
        for place in &places {
            self.doubt(*place, lot.target);
        }
        places.len()
    }

    fn doubt(&mut self, place: Place, side: Side) {
        self.table.mark_mut(place, |mark| mark.held = true);
        let member = self.member_mut(side);
        member.counts.in_doubt += 1;
        member.work.create_failed = true;
    }

    /// One result; returns what is wrong with it, if anything.
    fn result(&mut self, place: Place, intent: Intent, outcome: CommitOutcome) -> Option<&'static str> {
        match outcome {
            CommitOutcome::Done { href, revision, settled, digest } => {
                self.done(place, &intent, Done { href, revision, settled, digest })
            }
            CommitOutcome::Failed(error) => {
                self.failed(place, &intent, &error);
                None
            }
        }
    }

    fn done(&mut self, place: Place, intent: &Intent, done: Done) -> Option<&'static str> {
        let side = intent.side;
        match intent.kind {
            CommitKind::Delete => {
                self.member_mut(side).counts.deleted += 1;
                self.deleted(place, intent);
                return None;
            }
            _ if !self.is_usable(place, side, &done) => {
                self.doubt(place, side);
                return Some("it gave an item no name, one beyond the limit, or another item's name");
            }
            CommitKind::Create => self.member_mut(side).counts.created += 1,
            CommitKind::Update => self.member_mut(side).counts.updated += 1,
        }
        self.free_name(place, side, &done.href);
        self.written(place, intent, done);
        None
    }

    fn deleted(&mut self, place: Place, intent: &Intent) {
        if let Some(row) = self.table.row(place) {
            match apply::deleted(row, intent) {
                Some(row) => self.table.put(place, row),
                None => self.table.remove(place),
            }
        }
        self.table.settle(place, intent.operation);
    }

    fn is_usable(&self, place: Place, side: Side, done: &Done) -> bool {
        let longest = done.href.as_bytes().len().max(done.revision.as_bytes().len());
        let is_free = match self.table.by_href(side, done.href.as_bytes()) {
            Some(other) if other != place => {
                !matches!(self.table.packed(other).map(|row| row.seen(side)), Some(Seen::Present { .. }))
            }
            _ => true,
        };
        !done.href.as_bytes().is_empty() && longest <= limits::MAX_HREF && is_free
    }

    /// A row whose item is gone gives up the name that the member used again.
    fn free_name(&mut self, place: Place, side: Side, name: &Href) {
        let Some(other) = self.table.by_href(side, name.as_bytes()).filter(|other| *other != place) else {
            return;
        };
        self.change(other, |row| {
            if let Some(entry) = &mut row.entries[side.index()] {
                entry.href = Href::default();
            }
        });
    }

    fn written(&mut self, place: Place, intent: &Intent, done: Done) {
        let (Some(sent), Some(mut row)) = (intent.content, self.table.row(place)) else { return };
        let read_back = done.digest != Some(sent.raw);
        let content = Content { digest: sent.digest, raw: done.digest.unwrap_or(sent.raw) };
        let state = State { revision: done.revision, settled: done.settled };
        apply::written(&mut row, intent, Stored { href: done.href, state, content, read_back });
        self.table.put(place, row);
        self.table.settle(place, intent.operation);
        self.know(place, intent.side, true);
        if read_back {
            self.member_mut(intent.side).reader.queue.push_back(Why::Back(place));
        }
    }

    fn failed(&mut self, place: Place, intent: &Intent, error: &Error) {
        let side = intent.side;
        let is_refused = matches!(error.code, Code::PRECONDITION | Code::EXISTS);
        if error.effect != Effect::NotStarted && !is_refused {
            // The intent stays open.
            return self.doubt(place, side);
        }
        self.table.settle(place, intent.operation);
        let is_create = intent.kind == CommitKind::Create;
        self.member_mut(side).work.create_failed |= is_create;
        let is_stale = is_refused || error.code == Code::NOT_FOUND;
        if is_stale && !is_create && self.table.mark(place).attempts < MAX_ATTEMPTS {
            self.table.mark_mut(place, |mark| mark.attempts += 1);
            self.member_mut(side).reader.queue.push_back(Why::Again(place));
        } else if is_permanent(error) {
            self.quarantine(place, side, format!("it cannot be written: {error}"));
        } else {
            self.pending(place, side, error.to_string());
        }
    }
}
