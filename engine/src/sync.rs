//! CollectionSync: one run of one pair of collections.

use outrigger_protocol::Error;

use crate::action::{Action, Ticket};
use crate::charge::Charges;
use crate::event::Event;
use crate::journal::{Intent, Snapshot};
use crate::listing::EndMark;
use crate::report::{FailureClass, Report};
use crate::row::Side;
use crate::settings::{OperationSource, Settings};
use crate::state::{Listing, Member, Phase, Run};
use crate::table::{Place, Table};

/// One run of one pair of collections between two members, as a pure machine.
///
/// The driver polls [`Self::poll_output`] and [`Self::poll_event`] until both are empty, does what
/// is asked, and hands back what comes of it with [`Self::receive`]. The run is over with
/// [`Action::Finished`]; a driver that stops earlier (a crash) loses nothing: the next run begins
/// from what was made durable.
///
/// Memory: about 600 bytes a row, and at most eight lots of 512 KiB (or one larger item each, at
/// most 1 MiB) of item bytes, twice that where bytes are overwritten; or eight pairs of items that
/// are compared.
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
        let table = Table::load(rows, last_row);
        let doubts = intents.into_iter().map(|intent| Some(doubt(&table, intent))).collect();
        let [anchor_a, anchor_b] = anchors;
        let [store_a, store_b] = stores;
        let members = [Member::new(anchor_a, store_a), Member::new(anchor_b, store_b)];
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

    /// Takes one event. Afterwards poll both outputs until they are empty. Events after
    /// [`Action::Finished`] are ignored.
    pub fn receive(&mut self, event: Event<'_>) {
        if self.run.phase != Phase::Over {
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
            Event::Listed { side, change } => run.listed(side, change),
            Event::ListEnd { side, complete, count, anchor, store } => {
                run.list_end(side, EndMark { complete, count, anchor, store });
            }
            Event::ListFailed { side, error, store } => run.list_failed(side, &error, store),
            Event::ReadItem { side, batch, result } => run.read_answer(side, batch, result),
            Event::ReadEnd { side, batch } => run.read_over(side, batch, None),
            Event::ReadFailed { side, batch, error } => run.read_over(side, batch, Some(&error)),
            Event::Journaled { ticket } => run.journaled(ticket),
            Event::JournalFailed { ticket, reason } => self.journal_failed(ticket, reason),
            Event::Committed { side, batch, results } => run.committed(side, batch, results),
            Event::CommitFailed { side, batch, error } => run.commit_failed(side, batch, &error),
            Event::Compared { side, batch, verdict } => run.compared(side, batch, verdict),
            Event::CompareFailed { side, batch, error } => run.compare_failed(side, batch, &error),
            Event::Crashed { side, open } => run.crashed(side, &open),
            Event::MemberLost { side, error } => self.member_lost(side, &error),
        }
    }

    fn member_lost(&mut self, side: Side, error: &Error) {
        self.run.leave_alone(side, FailureClass::Call(error.code), &error.to_string());
    }

    /// What cannot be made durable must not be done: the run ends here. Writes that were sent stay
    /// in doubt, their intents are durable.
    fn journal_failed(&mut self, ticket: Ticket, reason: String) {
        if self.run.tickets.remove(&ticket).is_some() {
            self.run.journal_failed = true;
            self.run.outputs.clear();
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
            Phase::Comparing => self.compare(),
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
        for side in Side::BOTH {
            self.run.pump_reads(side);
        }
        self.run.members.iter().all(|member| member.reader.is_idle())
    }

    fn recover(&mut self) -> bool {
        if !self.reads_are_over() {
            return false;
        }
        self.run.phase = Phase::Observing;
        for side in Side::BOTH {
            if !self.run.member(side).frozen {
                let slow = self.run.settings.slow[side.index()];
                self.run.ask_listing(side, slow);
            }
        }
        true
    }

    fn observe(&mut self) -> bool {
        let run = &mut self.run;
        let is_listing = |member: &Member| matches!(member.listing, Listing::Open { .. });
        for side in Side::BOTH {
            if !is_listing(run.member(side)) {
                run.pump_reads(side);
            }
        }
        let is_open = |member: &Member| is_listing(member) || !member.reader.is_idle();
        if run.members.iter().any(is_open) {
            return false;
        }
        if !run.fresh_decided {
            run.decide_fresh();
            return true;
        }
        run.plan();
        run.phase = Phase::Comparing;
        true
    }

    fn compare(&mut self) -> bool {
        self.run.pump_comparisons();
        if !self.reads_are_over() || !self.run.comparer.is_idle() {
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
        self.run.pump_comparisons();
        let is_read = self.reads_are_over() && self.run.comparer.is_idle();
        let is_idle = |member: &Member| member.work.tasks.is_empty() && member.work.deletions.is_empty();
        let is_done = is_read && self.run.lots.is_empty() && self.run.members.iter().all(is_idle);
        if is_done {
            self.run.phase = Phase::Flushing;
        }
        is_done
    }

    fn flush(&mut self) -> bool {
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
