//! CollectionSync: one run of one collection of a group.

use std::collections::VecDeque;

use outrigger_protocol::Error;

use crate::action::{Action, Ticket};
use crate::charge::Charges;
use crate::event::Event;
use crate::journal::{Intent, Snapshot};
use crate::listing::EndMark;
use crate::report::{FailureClass, Report};
use crate::row::MemberIndex;
use crate::seeded::Bug;
use crate::settings::{OperationSource, Settings};
use crate::state::{Listing, Member, Phase, Run};
use crate::table::{Place, Table};

/// One run of one collection that two or more members have in common, as a pure machine.
///
/// The driver polls [`Self::poll_output`] and [`Self::poll_event`] until both are empty, does what
/// is asked, and hands back what comes of it with [`Self::receive`]. The run is over with
/// [`Action::Finished`]; a driver that stops earlier (a crash) loses nothing: the next run begins
/// from what was made durable.
///
/// Memory: at most 400 bytes a row of two members, and 150 for each further one; and, for each member,
/// at most six lots of 512 KiB (or one larger item each, at most 1 MiB) of item bytes, twice that where
/// bytes are overwritten; or the contents of eight conflicts, at most eight of each.
pub struct CollectionSync {
    run: Run,
}

impl std::fmt::Debug for CollectionSync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CollectionSync").field("phase", &self.run.phase).finish_non_exhaustive()
    }
}

impl CollectionSync {
    /// A run that starts from what the store knows. The first actions are ready at once.
    #[must_use]
    pub fn new(snapshot: Snapshot, settings: Settings, operations: OperationSource) -> Self {
        let Snapshot { rows, intents, anchors, stores, last_row, charges } = snapshot;
        let count = settings.members.len();
        let table = Table::load(rows, last_row, count);
        let doubts = intents.into_iter().map(|intent| Some(doubt(&table, intent))).collect();
        let mut anchors = anchors.into_iter().chain(std::iter::repeat(None));
        let mut stores = stores.into_iter().chain(std::iter::repeat(None));
        let kept = || Some((anchors.next()?, stores.next()?));
        let kept = std::iter::from_fn(kept).take(count);
        let members = kept.zip(0..).map(|((anchor, store), place)| Member {
            was_in_step: table.was_in_step(MemberIndex(place)),
            ..Member::new(anchor, store)
        });
        let members = members.collect();
        let mut run = Run::new(table, members, doubts, settings, operations);
        run.charges = Charges::load(charges);
        if run.settings.retry_crashed {
            run.retry_crashed();
        }
        run.begin_recovery();
        let mut sync = Self { run };
        sync.advance();
        sync
    }

    /// Takes one event. Afterwards poll both outputs until they are empty. After [`Action::Finished`]
    /// nothing is heard but [`Event::Renamed`] and what became of its records.
    pub fn receive(&mut self, event: Event<'_>) {
        let is_known = event.member().is_none_or(|member| self.run.is_member(member));
        let is_late =
            matches!(event, Event::Renamed { .. } | Event::Journaled { .. } | Event::JournalFailed { .. });
        if (self.run.phase != Phase::Over || is_late) && is_known {
            self.dispatch(event);
            self.advance();
        }
    }

    /// The next thing to do; `None`: nothing until something is received.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Action> {
        self.run.outputs.pop_front()
    }

    /// The next thing to tell the user.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Report> {
        self.run.reports.pop_front()
    }

    fn dispatch(&mut self, event: Event<'_>) {
        let run = &mut self.run;
        match event {
            Event::Listed { member, change } => run.listed(member, change),
            Event::ListEnd { member, complete, count, anchor, store } => {
                run.list_end(member, EndMark { complete, count, anchor, store });
            }
            Event::ListFailed { member, error, store } => run.list_failed(member, &error, store),
            Event::ReadItem { member, batch, result } => run.read_answer(member, batch, result),
            Event::ReadEnd { member, batch } => run.read_over(member, batch, None),
            Event::ReadFailed { member, batch, error } => run.read_over(member, batch, Some(&error)),
            Event::Journaled { ticket } => run.journaled(ticket),
            Event::JournalFailed { ticket, reason } => self.journal_failed(ticket, reason),
            Event::Committed { member, batch, results } => run.committed(member, batch, results),
            Event::CommitFailed { member, batch, error } => run.commit_failed(member, batch, &error),
            Event::Compared { member, batch, verdict } => run.compared(member, batch, verdict),
            Event::CompareFailed { member, batch, error } => run.compare_failed(member, batch, &error),
            Event::Resolved { batch, result } => run.driver_resolved(batch, result),
            Event::Renamed { member, batch, names } => run.rename(member, batch, &names),
            Event::Crashed { member, open } => run.crashed(member, &open),
            Event::MemberLost { member, error } => self.member_lost(member, &error),
        }
    }

    fn member_lost(&mut self, member: MemberIndex, error: &Error) {
        self.run.leave_alone(member, FailureClass::Call(error.code), &error.to_string());
    }

    /// What cannot be made durable must not be done: the run ends here. Writes that were sent stay
    /// in doubt, their intents are durable.
    fn journal_failed(&mut self, ticket: Ticket, reason: String) {
        if self.run.tickets.contains_key(&ticket) {
            self.run.journal_failed = true;
            self.run.outputs.retain(|action| matches!(action, Action::Renamed { .. } | Action::Finished));
            self.run.refuse_renames();
            self.run.reports.push_back(Report::JournalFailed { reason });
            self.run.end();
        }
    }

    /// Goes as far as it can without another event.
    fn advance(&mut self) {
        while self.step() {}
    }

    /// One step; false: something must be received first, or the run is over.
    fn step(&mut self) -> bool {
        match self.run.phase {
            Phase::Recovering => self.recover(),
            Phase::Observing => self.observe(),
            Phase::Judging => self.judge(),
            Phase::Writing => self.write(),
            Phase::Flushing => self.flush(),
            Phase::Anchoring => {
                let is_done = self.run.tickets.is_empty() && !self.run.anchor();
                if is_done {
                    self.run.end();
                }
                is_done
            }
            Phase::Over => false,
        }
    }

    fn reads_are_over(&mut self) -> bool {
        for member in self.run.all() {
            self.run.pump_reads(member);
        }
        self.run.members.iter().all(|state| state.reader.is_idle())
    }

    fn recover(&mut self) -> bool {
        if !self.reads_are_over() {
            return false;
        }
        self.run.phase = Phase::Observing;
        for member in self.run.all() {
            if !self.run.state(member).frozen {
                let slow = self.run.settings_of(member).slow;
                self.run.ask_listing(member, slow);
            }
        }
        true
    }

    fn observe(&mut self) -> bool {
        let run = &mut self.run;
        let is_listing = |state: &Member| matches!(state.listing, Listing::Open { .. });
        for member in run.all() {
            if !is_listing(run.state(member)) {
                run.pump_reads(member);
            }
        }
        let is_open = |state: &Member| is_listing(state) || !state.reader.is_idle();
        if run.members.iter().any(is_open) {
            return false;
        }
        if !run.fresh_decided {
            run.decide_fresh();
            return true;
        }
        run.plan();
        run.phase = Phase::Judging;
        true
    }

    fn judge(&mut self) -> bool {
        self.run.pump_disputes();
        if !self.reads_are_over() || !self.run.judge.is_idle() {
            return false;
        }
        if self.run.settings.dry_run {
            self.run.report_plan();
            self.run.end();
        } else {
            self.run.phase = Phase::Writing;
        }
        true
    }

    fn write(&mut self) -> bool {
        self.reads_are_over();
        self.run.pump_work();
        // Behind the work: what is taken back there may be in dispute now.
        self.run.pump_disputes();
        let is_read = self.reads_are_over() && self.run.judge.is_idle();
        let is_idle = |state: &Member| state.work.waiting.is_empty() && state.work.deletions.is_empty();
        let is_given = self.run.tasks.iter().all(VecDeque::is_empty) && self.run.lots.is_empty();
        let is_done = is_read && is_given && self.run.members.iter().all(is_idle);
        if is_done {
            self.run.phase = Phase::Flushing;
        }
        // Decided anew for a source that had its turn: nothing else may come that begins it.
        is_done || self.run.can_start()
    }

    fn flush(&mut self) -> bool {
        if self.run.is_seeded(Bug::AnchorBeforeRows) {
            self.run.anchor();
        }
        while self.run.flush() {}
        let is_done = self.run.tickets.is_empty();
        if is_done {
            self.run.phase = Phase::Anchoring;
        }
        is_done
    }
}

/// The row that an intent belongs to; no row has the last place, so that an orphan is closed.
fn doubt(table: &Table, intent: Intent) -> (Place, Intent) {
    (table.by_id(intent.row).unwrap_or(Place::MAX), intent)
}
