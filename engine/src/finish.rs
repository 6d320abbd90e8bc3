//! Finish: the last records, the anchors, and the summary.

use crate::action::Action;
use crate::decide::Decision;
use crate::journal::Record;
use crate::report::{Report, Summary};
use crate::row::Side;
use crate::state::{Phase, Run};
use crate::table::Place;

/// Rows in one transaction of the last flush.
const FLUSH: usize = 1024;

/// What a row that is not at rest counts as.
enum Left {
    Nothing,
    Conflict,
    Quarantined,
    Pending,
    Kept(Side),
}

impl Run {
    /// Hands out everything that is not durable yet; false if there is nothing.
    pub(crate) fn flush(&mut self) -> bool {
        for (place, intent) in std::mem::take(&mut self.resend) {
            // It will never be sent.
            self.table.settle(place, intent.operation);
        }
        let cleared = self.charges.take_cleared().into_iter().map(Record::Charge);
        let mut records: Vec<Record> = cleared.collect();
        self.table.records(FLUSH, &mut records);
        let is_more = !records.is_empty();
        if is_more {
            self.journal(records, None);
        }
        is_more
    }

    /// The anchors of members whose feed is durable as observed, acted on or not (decisions X5).
    pub(crate) fn anchor(&mut self) -> bool {
        let records: Vec<Record> = Side::BOTH.into_iter().flat_map(|side| self.anchors_of(side)).collect();
        let is_more = !records.is_empty();
        if is_more {
            self.journal(records, None);
        }
        is_more
    }

    fn anchors_of(&mut self, side: Side) -> Vec<Record> {
        let member = self.member_mut(side);
        if member.frozen {
            return Vec::new();
        }
        let (anchor, store) = (member.new_anchor.take(), member.new_store.take());
        let is_whole = member.listing.moves_the_anchor() && !member.unobserved;
        let anchor = anchor.filter(|anchor| is_whole && member.old_anchor.as_ref() != Some(anchor));
        let store = store.filter(|store| member.old_store.as_ref() != Some(store));
        let anchor = anchor.map(|anchor| Record::Anchor(side, anchor));
        anchor.into_iter().chain(store.map(|store| Record::Store(side, store))).collect()
    }

    /// Ends the run.
    pub(crate) fn end(&mut self) {
        if self.phase == Phase::Over {
            return;
        }
        let summary = self.summary();
        self.report_untold();
        self.phase = Phase::Over;
        self.reports.push_back(Report::Ended(summary));
        self.outputs.push_back(Action::Finished);
    }

    fn summary(&self) -> Summary {
        let members = &self.members;
        let failed = [0, 1].map(|side| {
            let member = &members[side];
            member.frozen || !member.listing.is_conclusive() || member.unobserved
        });
        let mut summary = Summary {
            sides: [0, 1].map(|side| members[side].counts),
            new_conflicts: self.new_conflicts,
            guard: [0, 1].map(|side| members[side].stopped),
            failed,
            leave_used: self.leave_used,
            journal_failed: self.journal_failed,
            dry_run: self.settings.dry_run,
            ..Summary::default()
        };
        for place in self.table.places() {
            match self.left(place) {
                Left::Nothing => {}
                Left::Conflict => summary.conflicts += 1,
                Left::Quarantined => summary.quarantined += 1,
                Left::Pending => summary.pending += 1,
                Left::Kept(side) => summary.sides[side.index()].kept += 1,
            }
        }
        summary
    }

    fn left(&self, place: Place) -> Left {
        let nothing =
            if self.table.mark(place).pending.contains(&true) { Left::Pending } else { Left::Nothing };
        let Some(packed) = self.table.packed(place) else { return Left::Nothing };
        if packed.is_at_rest() {
            return nothing;
        }
        if packed.is_quarantined() {
            return Left::Quarantined;
        }
        let row = packed.row();
        if row.conflict.is_some() {
            return Left::Conflict;
        }
        match self.decide(place, &row) {
            Decision::Nothing => nothing,
            Decision::WriteFrom(source) => self.owed(source.other()),
            Decision::DeleteOn(side) => self.owed(side),
            Decision::Wait | Decision::Adopt | Decision::Drop | Decision::Conflict => Left::Pending,
        }
    }

    fn owed(&self, side: Side) -> Left {
        if self.settings.read_only[side.index()] { Left::Kept(side) } else { Left::Pending }
    }
}
