//! Finish: the last records, the anchors, and the summary.

use crate::action::Action;
use crate::decide::Decision;
use crate::journal::Record;
use crate::report::{MemberSummary, Report, Summary};
use crate::row::{MemberIndex, Row};
use crate::send::{kind, planned};
use crate::settings::Access;
use crate::state::{Listing, Member, Phase, Run};
use crate::table::{Flag, Place};

/// Rows in one transaction of the last flush.
const FLUSH: usize = 1024;

/// So many kept writes of each member are told one by one: more than a person reads.
const KEPT_REPORTS: u64 = 20;

/// What a row that is not at rest counts as.
enum Left {
    Nothing,
    Conflict,
    Quarantined,
    Pending,
    /// Owed to members that do not take it, and to nobody else; from this source, or a deletion.
    Kept(Vec<MemberIndex>, Option<MemberIndex>),
}

impl Run {
    /// Hands out everything that is not durable yet; false if there is nothing.
    pub(crate) fn flush(&mut self) -> bool {
        for ((place, _), intent) in std::mem::take(&mut self.resend) {
            // It will never be sent.
            self.table.not_done(place, intent.operation);
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
        let records: Vec<Record> = self.all().flat_map(|member| self.anchors_of(member)).collect();
        let is_more = !records.is_empty();
        if is_more {
            self.journal(records, None);
        }
        is_more
    }

    fn anchors_of(&mut self, member: MemberIndex) -> Vec<Record> {
        let keeps_slow = self.keeps_slow;
        let state = self.state_mut(member);
        if state.frozen {
            return Vec::new();
        }
        let (anchor, store) = (state.new_anchor.take(), state.new_store.take());
        let is_kept = keeps_slow && state.listing == Listing::Complete { slow: true };
        let is_whole = state.listing.moves_the_anchor() && !state.unobserved && !is_kept;
        let anchor = anchor.filter(|anchor| is_whole && state.old_anchor.as_ref() != Some(anchor));
        let store = store.filter(|store| state.old_store.as_ref() != Some(store));
        let anchor = anchor.map(|anchor| Record::Anchor(member, anchor));
        anchor.into_iter().chain(store.map(|store| Record::Store(member, store))).collect()
    }

    /// Ends the run.
    pub(crate) fn end(&mut self) {
        if self.phase == Phase::Over {
            return;
        }
        self.end_again();
        let summary = self.summary();
        self.report_untold();
        self.phase = Phase::Over;
        self.reports.push_back(Report::Ended(summary));
        self.outputs.push_back(Action::Finished);
    }

    /// What the run came to; tells of the first writes that are kept.
    fn summary(&mut self) -> Summary {
        let of_member = |state: &Member| MemberSummary {
            counts: state.counts,
            guard: state.stopped,
            failed: state.frozen || !state.listing.is_conclusive() || state.unobserved,
        };
        let mut summary = Summary {
            members: self.members.iter().map(of_member).collect(),
            new_conflicts: self.new_conflicts,
            resolved: self.resolved,
            used: self.used.clone(),
            journal_failed: self.journal_failed,
            dry_run: self.settings.dry_run,
            ..Summary::default()
        };
        for (_, intent) in self.doubts.iter().flatten() {
            if let Some(member) = summary.members.get_mut(intent.member.index()) {
                member.counts.in_doubt += 1;
            }
        }
        for place in self.table.places() {
            match self.left(place) {
                Left::Nothing => {}
                Left::Conflict => summary.conflicts += 1,
                Left::Quarantined => summary.quarantined += 1,
                Left::Pending => summary.pending += 1,
                Left::Kept(members, source) => {
                    let owed = members.into_iter().map(|member| (member, source));
                    owed.for_each(|owed| self.tell_kept(place, owed, &mut summary));
                }
            }
        }
        summary
    }

    fn tell_kept(
        &mut self,
        place: Place,
        (member, source): (MemberIndex, Option<MemberIndex>),
        summary: &mut Summary,
    ) {
        let kept = &mut summary.members[member.index()].counts.kept;
        *kept += 1;
        if *kept > KEPT_REPORTS {
            return;
        }
        let told = self.table.row(place).map(|row| planned(&row, member, kind(&row, member, source), source));
        self.reports.extend(told.map(Report::Kept));
    }

    fn left(&self, place: Place) -> Left {
        let is_owed = [Flag::Pending, Flag::Doubt].iter().any(|flag| self.table.any_has(place, *flag));
        let nothing = if is_owed { Left::Pending } else { Left::Nothing };
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
            Decision::Nothing if self.is_missed(&row) => Left::Pending,
            Decision::Nothing => nothing,
            Decision::Spread(source) => {
                let takes_none = [Access::ReadOnly, Access::Authority];
                self.owed(self.targets(place, &row, source), Some(source), &takes_none)
            }
            Decision::Delete => {
                let takes_none = [Access::ReadOnly, Access::Authority, Access::NoDelete];
                self.owed(self.deleters(place, &row), None, &takes_none)
            }
            Decision::Wait | Decision::Adopt | Decision::Drop | Decision::Conflict => Left::Pending,
        }
    }

    /// Whether a member that is left alone lacks what is agreed, and would take it.
    fn is_missed(&self, row: &Row) -> bool {
        let lacks = |member: MemberIndex| match row.entry(member) {
            Some(entry) => entry.have < row.version,
            None => row.base.is_some(),
        };
        let takes = |member| !matches!(self.settings_of(member).access, Access::ReadOnly | Access::Authority);
        self.all().any(|member| self.state(member).frozen && lacks(member) && takes(member))
    }

    fn owed(&self, targets: Vec<MemberIndex>, source: Option<MemberIndex>, takes_none: &[Access]) -> Left {
        let is_kept = |target: &MemberIndex| takes_none.contains(&self.settings_of(*target).access);
        if targets.iter().all(is_kept) { Left::Kept(targets, source) } else { Left::Pending }
    }
}
