//! Commit: what became of the writes that were sent.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_protocol::{
    Code, CommitKind, CommitOutcome, CommitResult, Effect, Error, Href, OperationId, RawDigest, Revision,
    limits,
};

use crate::action::BatchId;
use crate::answers::is_permanent;
use crate::apply::{self, Stored};
use crate::journal::Intent;
use crate::lot::{Lot, Part};
use crate::observe::{State, UNREAD};
use crate::reads::{LotId, Why};
use crate::report::Report;
use crate::row::{Content, MemberIndex, Observed, Row};
use crate::seeded::Bug;
use crate::state::Run;
use crate::table::{Flag, Place};
use crate::work::MAX_ATTEMPTS;

/// What a member says of a write that it did.
struct Done {
    href: Href,
    revision: Revision,
    settled: bool,
    digest: Option<RawDigest>,
}

impl Run {
    /// The parts of a lot that a call was about, with the places of their rows; the lot goes with its last.
    fn take_committing(&mut self, member: MemberIndex, batch: BatchId) -> Option<Vec<(Place, Intent)>> {
        let is_it = |(_, lot): &(LotId, &Lot)| lot.commits.get(&batch) == Some(&member);
        let (id, _) = self.lots.iter().find(is_it)?;
        let mut lot = self.lots.remove(id)?;
        lot.commits.remove(&batch);
        lot.targets = lot.commits.values().copied().collect();
        let mut taken = Vec::new();
        for write in &mut lot.writes {
            let is_of_batch = |part: &mut Part| part.target == member && part.batch == Some(batch);
            let parts: Vec<Part> = write.parts.extract_if(.., is_of_batch).collect();
            let intents = parts.into_iter().filter_map(|part| part.intent);
            taken.extend(intents.filter_map(|intent| Some((write.place?, intent))));
        }
        if !lot.commits.is_empty() {
            self.lots.insert(id, lot);
        }
        for (place, intent) in &taken {
            self.table.flag(*place, intent.member, Flag::Underway, false);
        }
        Some(taken)
    }

    /// A commit was answered.
    pub(crate) fn committed(&mut self, member: MemberIndex, batch: BatchId, results: Vec<CommitResult>) {
        let Some(sent) = self.take_committing(member, batch) else { return };
        let mut sent: BTreeMap<OperationId, (Place, Intent)> =
            sent.into_iter().map(|(place, intent)| (intent.operation, (place, intent))).collect();
        let mut answered = BTreeSet::new();
        let mut breach = None;
        for CommitResult { operation, outcome } in results {
            match sent.remove(&operation) {
                Some((place, intent)) => {
                    answered.insert(operation);
                    self.clear_write(&intent);
                    breach = self.result(place, intent, outcome).or(breach);
                }
                None if answered.contains(&operation) => breach = Some("it answered a write twice"),
                None => breach = Some("it answered a write that it was not sent"),
            }
        }
        if !sent.is_empty() {
            breach = Some("it left a write unanswered");
            sent.into_values().for_each(|(place, intent)| self.doubt(place, intent.member));
        }
        if let Some(words) = breach {
            self.freeze(member, words);
        }
    }

    /// A commit failed as a whole.
    pub(crate) fn commit_failed(&mut self, member: MemberIndex, batch: BatchId, error: &Error) {
        let Some(sent) = self.take_committing(member, batch) else { return };
        if error.effect != Effect::NotStarted {
            sent.into_iter().for_each(|(place, _)| self.doubt(place, member));
            let words = format!("a write, which may be done or not: {error}");
            return self.tell_of_item(member, Report::CallFailed { member, words });
        }
        for (place, intent) in sent {
            if self.is_again(place, member) {
                self.doubt(place, member);
                continue;
            }
            self.table.not_done(place, intent.operation);
            self.state_mut(member).work.create_failed |= intent.kind == CommitKind::Create;
            self.pending(place, member, error.to_string());
        }
    }

    /// What a member that is left alone has a part in: what it was sent is in doubt.
    pub(crate) fn abandon_lots(&mut self, member: MemberIndex) {
        let reads = self.lot_reads.iter().filter(|(_, (_, whose))| *whose == member);
        for batch in reads.map(|(batch, _)| *batch).collect::<Vec<BatchId>>() {
            self.lot_read_over(batch);
        }
        let commits = self.lots.values().flat_map(|lot| &lot.commits).filter(|(_, whose)| **whose == member);
        for batch in commits.map(|(batch, _)| *batch).collect::<Vec<BatchId>>() {
            let sent = self.take_committing(member, batch).unwrap_or_default();
            sent.into_iter().for_each(|(place, _)| self.doubt(place, member));
        }
    }

    /// A write without an answer: its intent stays open, and the next run reads it back.
    fn doubt(&mut self, place: Place, member: MemberIndex) {
        self.again.remove(&(place, member));
        self.table.flag(place, member, Flag::Doubt, true);
        let state = self.state_mut(member);
        state.counts.in_doubt += 1;
        state.work.create_failed = true;
    }

    /// One result; returns what is wrong with it, if anything.
    fn result(&mut self, place: Place, intent: Intent, outcome: CommitOutcome) -> Option<&'static str> {
        let new_name = self.new_name(place, &intent);
        match outcome {
            // Nothing was called so any more: that is no proof, so what was kept for it stays.
            CommitOutcome::Done { .. } if intent.kind == CommitKind::Delete && new_name.is_some() => {
                self.table.settle(place, intent.operation);
                self.try_again(place, &intent, &Error::new(Code::NOT_FOUND, "it was renamed meanwhile"));
                None
            }
            CommitOutcome::Done { href, revision, settled, digest } => {
                self.again.remove(&(place, intent.member));
                let href = new_name.filter(|_| href == intent.href).unwrap_or(href);
                self.done(place, &intent, Done { href, revision, settled, digest })
            }
            CommitOutcome::Failed(error) => {
                self.failed(place, &intent, &error);
                None
            }
        }
    }

    fn done(&mut self, place: Place, intent: &Intent, done: Done) -> Option<&'static str> {
        let member = intent.member;
        match intent.kind {
            CommitKind::Delete => {
                self.state_mut(member).counts.deleted += 1;
                self.deleted(place, intent);
                return None;
            }
            _ if !is_usable(&done) => {
                self.doubt(place, member);
                return Some("it gave an item no name, or one beyond the limit");
            }
            _ if !self.is_free_name(place, member, &done.href) => {
                self.refused(place, intent, "the member gave it another item's name".to_owned());
                return Some("it gave an item another item's name");
            }
            CommitKind::Create => self.state_mut(member).counts.created += 1,
            CommitKind::Update => self.state_mut(member).counts.updated += 1,
        }
        self.free_name(place, member, &done.href);
        self.written(place, intent, done);
        None
    }

    fn deleted(&mut self, place: Place, intent: &Intent) {
        self.change(place, |row| apply::deleted(row, intent));
        self.table.settle(place, intent.operation);
        self.know(place, intent.member, true);
        // With the last member that takes note the row goes.
        self.route(place);
    }

    /// Whether no other item is known under that name.
    fn is_free_name(&self, place: Place, member: MemberIndex, name: &Href) -> bool {
        match self.table.by_href(member, name.as_bytes()) {
            Some(other) if other != place => {
                !self.table.packed(other).is_some_and(|row| row.is_present(member))
            }
            _ => true,
        }
    }

    /// A write is not to be sent again under its ID: a create may say for ever that it is done, as what
    /// was taken for another item meanwhile. Otherwise it is in doubt.
    fn refused(&mut self, place: Place, intent: &Intent, reason: String) {
        if intent.kind != CommitKind::Create {
            return self.doubt(place, intent.member);
        }
        self.table.settle(place, intent.operation);
        self.state_mut(intent.member).work.create_failed = true;
        self.pending(place, intent.member, reason);
    }

    /// Rows whose item is gone give up the name that the member uses again: which ones.
    pub(crate) fn free_name(&mut self, place: Place, member: MemberIndex, name: &Href) -> Vec<Place> {
        let is_gone = |other: &Place| self.table.packed(*other).is_some_and(|row| !row.is_present(member));
        let mut others = self.table.all_by_href(member, name.as_bytes());
        others.retain(|other| *other != place && is_gone(other));
        for other in &others {
            self.change(*other, |row| {
                if let Some(entry) = row.entry_mut(member) {
                    entry.href = Href::default();
                }
            });
        }
        others
    }

    fn written(&mut self, place: Place, intent: &Intent, done: Done) {
        let (Some(sent), Some(mut row)) = (intent.content, self.table.row(place)) else { return };
        let read_back = done.digest != Some(sent.raw);
        let content = Content { digest: sent.digest, raw: done.digest.unwrap_or(sent.raw) };
        let state = State { revision: done.revision, settled: done.settled };
        apply::written(&mut row, intent, Stored { href: done.href, state, content, read_back });
        self.seed(&mut row, intent);
        self.table.put(place, row);
        self.table.settle(place, intent.operation);
        self.know(place, intent.member, true);
        if read_back {
            self.state_mut(intent.member).reader.queue.push_back(Why::Back(place));
        } else if self.table.packed(place).is_some_and(|row| !row.is_at_rest()) {
            self.route(place);
        }
    }

    fn seed(&self, row: &mut Row, intent: &Intent) {
        let Some(entry) = row.entry_mut(intent.member) else { return };
        let before = intent.expected.as_ref().map(|(_, content)| *content);
        if let (Observed::Present { content, .. }, Some(before)) = (&mut entry.observed, before)
            && self.is_seeded(Bug::DigestFromBeforeTheWrite)
        {
            *content = before;
        }
        if self.is_seeded(Bug::EchoTakenForEdit) {
            entry.agreed = UNREAD;
        }
    }

    fn failed(&mut self, place: Place, intent: &Intent, error: &Error) {
        let member = intent.member;
        let is_refused = matches!(error.code, Code::PRECONDITION | Code::EXISTS);
        // What was sent again may have been done the first time.
        let is_certain = error.effect == Effect::NotStarted && !self.is_again(place, member);
        if !is_certain && !is_refused {
            // The intent stays open.
            return self.doubt(place, member);
        }
        self.again.remove(&(place, member));
        self.table.not_done(place, intent.operation);
        self.try_again(place, intent, error);
    }

    /// A write that was not done: the item is looked at again, set aside, or left to the next run.
    fn try_again(&mut self, place: Place, intent: &Intent, error: &Error) {
        let member = intent.member;
        let is_create = intent.kind == CommitKind::Create;
        self.state_mut(member).work.create_failed |= is_create;
        let is_stale = matches!(error.code, Code::PRECONDITION | Code::EXISTS | Code::NOT_FOUND);
        if is_stale && !is_create && self.table.mark(place).attempts < MAX_ATTEMPTS {
            self.table.mark_mut(place, |mark| mark.attempts += 1);
            self.state_mut(member).reader.queue.push_back(Why::Again(place));
        } else if is_permanent(error) {
            self.quarantine(place, member, format!("it cannot be written: {error}"));
        } else {
            self.pending(place, member, error.to_string());
        }
    }
}

fn is_usable(done: &Done) -> bool {
    let longest = done.href.as_bytes().len().max(done.revision.as_bytes().len());
    !done.href.as_bytes().is_empty() && longest <= limits::MAX_HREF
}
