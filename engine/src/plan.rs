//! Plan: what every row needs, and whether that may be done.

use outrigger_protocol::{CommitKind, Href};

use crate::apply::adopt;
use crate::decide::{Decision, Sign};
use crate::lot::Task;
use crate::observe::{is_present, is_raised, raise};
use crate::packed::Seen;
use crate::reads::Why;
use crate::report::Report;
use crate::row::{Row, Side};
use crate::settings::MaxDelete;
use crate::state::{Listing, Run, href};
use crate::table::Place;

/// Names shown when a guard stops a member.
const SHOWN: usize = 10;

impl Run {
    /// Reads new items for their keys and digests, unless they can be brought to the other member
    /// as they arrive: then each is read once.
    pub(crate) fn decide_fresh(&mut self) {
        self.fresh_decided = true;
        let can_forward = Side::BOTH.map(|side| self.can_forward(side));
        for side in Side::BOTH {
            if !can_forward[side.index()] {
                let fresh = std::mem::take(&mut self.member_mut(side).fresh);
                let wants = fresh.into_iter().map(|fresh| Why::New(Box::new(fresh)));
                self.member_mut(side).reader.queue.extend(wants);
            }
        }
    }

    /// Whether a new item of `side` can only mean a create on the other member, whatever it holds.
    fn can_forward(&self, side: Side) -> bool {
        let (source, target) = (self.member(side), self.member(side.other()));
        let can_write = !self.settings.dry_run && !self.settings.read_only[side.other().index()];
        let other_is_quiet = target.fresh.is_empty()
            && !target.frozen
            && !target.unobserved
            && matches!(target.listing, Listing::Complete { .. } | Listing::Changes);
        let is_plain = |place| match self.table.packed(place) {
            Some(row) => {
                let (here, there) = (row.seen(side), row.seen(side.other()));
                let is_loose_there = matches!(here, Seen::Never) && matches!(there, Seen::Present { .. });
                !matches!(here, Seen::Gone) && !is_loose_there
            }
            None => true,
        };
        let in_doubt = self.doubts.iter().flatten().any(|(_, intent)| intent.kind == CommitKind::Create);
        !source.frozen && can_write && other_is_quiet && !in_doubt && self.table.places().all(is_plain)
    }

    /// Decides every row; what is to be written waits in the members' work.
    pub(crate) fn plan(&mut self) {
        self.match_all();
        self.resolve_creates();
        for place in self.table.places() {
            if self.table.packed(place).is_some_and(|row| !row.is_at_rest()) {
                self.plan_row(place);
            }
        }
        for side in Side::BOTH {
            let fresh = std::mem::take(&mut self.member_mut(side).fresh);
            let tasks = fresh.into_iter().map(|fresh| Task::Fresh(Box::new(fresh)));
            self.member_mut(side.other()).work.tasks.extend(tasks);
        }
        for side in Side::BOTH {
            self.guard(side);
        }
    }

    fn plan_row(&mut self, place: Place) {
        if let Some(row) = self.table.row(place)
            && let Decision::DeleteOn(_) = self.decide(place, &row)
        {
            self.table.mark_mut(place, |mark| mark.deletion_planned = true);
        }
        self.route(place);
    }

    /// Asks a plugin about the row, where one may settle it; otherwise does what it needs.
    pub(crate) fn route(&mut self, place: Place) {
        if !self.ask(place) {
            self.act(place);
        }
    }

    /// Does what a row needs at once, or hands it to the member that must be written.
    pub(crate) fn act(&mut self, place: Place) {
        let Some(mut row) = self.table.row(place) else { return };
        match self.decide(place, &row) {
            Decision::Wait => {}
            Decision::Nothing => {
                if row.quarantine.is_none() && self.is_seen(&row, place) {
                    row.conflict = None;
                    self.table.put(place, row);
                }
            }
            Decision::Adopt => {
                adopt(&mut row);
                self.table.put(place, row);
            }
            Decision::Drop => self.table.remove(place),
            Decision::Conflict => self.conflict(place, row),
            Decision::WriteFrom(source) => self.write(place, source.other()),
            Decision::DeleteOn(side) => self.delete(place, side),
        }
    }

    fn is_seen(&self, row: &Row, place: Place) -> bool {
        Side::BOTH.iter().all(|side| self.sign(place, row, *side) != Sign::Unknown)
    }

    pub(crate) fn may_write(&self, side: Side) -> bool {
        !self.settings.read_only[side.index()] && !self.member(side).frozen && !self.member(side).stopped
    }

    fn write(&mut self, place: Place, target: Side) {
        if self.may_write(target) {
            self.member_mut(target).work.tasks.push_back(Task::Row(place));
        }
    }

    fn delete(&mut self, place: Place, target: Side) {
        // Only what the guard has counted: a deletion found later waits for the next run.
        if self.may_write(target) && self.table.mark(place).deletion_planned {
            self.member_mut(target).work.deletions.push_back(place);
        }
    }

    /// Raised once; while neither content changes it is only counted.
    fn conflict(&mut self, place: Place, mut row: Row) {
        if is_raised(&row) {
            return;
        }
        raise(&mut row);
        self.new_conflicts += 1;
        self.reports.push_back(Report::Conflict { row: row.id, names: names(&row), key: row.key.clone() });
        self.table.put(place, row);
    }

    /// Many deletions at once are more often an accident than a wish.
    fn guard(&mut self, side: Side) {
        let planned = self.member(side).work.deletions.len() as u64;
        let total = self.table.count_at(side);
        let is_emptying = planned == total && self.member(side).work.tasks.is_empty();
        let is_too_much = exceeds(self.settings.max_delete, planned, total, is_emptying);
        if !is_too_much {
            return;
        }
        if self.settings.allow_deletes == Some(planned) {
            // Given for one number of deletions that a person has seen, not for each such number.
            self.settings.allow_deletes = None;
            self.leave_used = true;
            return;
        }
        let names = self.member(side).work.deletions.iter().take(SHOWN);
        let names: Vec<Href> = names.filter_map(|place| Some(href(&self.table.row(*place)?, side))).collect();
        let member = self.member_mut(side);
        member.stopped = true;
        let work = std::mem::take(&mut member.work);
        self.member_mut(side.other()).unobserved |=
            work.tasks.iter().any(|task| matches!(task, Task::Fresh(_)));
        self.reports.push_back(Report::GuardStop { side, planned, total, names });
    }

    /// Tells what would be written.
    pub(crate) fn report_plan(&mut self) {
        for side in Side::BOTH {
            let work = std::mem::take(&mut self.member_mut(side).work);
            for task in &work.tasks {
                if let Task::Row(place) = task {
                    self.report_write(*place, side);
                }
            }
            for place in &work.deletions {
                if let Some(row) = self.table.row(*place) {
                    let (kind, names) = (CommitKind::Delete, names(&row));
                    self.reports.push_back(Report::Planned { side, kind, names, key: row.key });
                }
            }
            self.member_mut(side).work = work;
        }
    }

    fn report_write(&mut self, place: Place, side: Side) {
        let Some(row) = self.table.row(place) else { return };
        let kind = if is_present(&row, side) { CommitKind::Update } else { CommitKind::Create };
        self.reports.push_back(Report::Planned { side, kind, names: names(&row), key: row.key });
    }
}

/// What each member that holds the item calls it.
fn names(row: &Row) -> [Option<Href>; 2] {
    Side::BOTH.map(|side| is_present(row, side).then(|| href(row, side)))
}

/// More than the larger of count and percentage, or everything.
fn exceeds(limit: MaxDelete, planned: u64, total: u64, is_emptying: bool) -> bool {
    let share = u128::from(total) * u128::from(limit.percent) / 100;
    let is_many = u128::from(planned) > share.max(u128::from(limit.count));
    planned > 0 && (is_many || (is_emptying && !limit.emptying))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_takes_the_larger_of_count_and_percentage() {
        let limit = MaxDelete::default();
        assert!(!exceeds(limit, 5, 8, false));
        assert!(exceeds(limit, 6, 8, false));
        assert!(!exceeds(limit, 25, 100, false));
        assert!(exceeds(limit, 26, 100, false));
        assert!(exceeds(limit, 1, 1, true));
        assert!(!exceeds(MaxDelete { emptying: true, ..limit }, 1, 1, true));
        assert!(!exceeds(limit, 0, 0, true));
    }
}
