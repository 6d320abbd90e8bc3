//! Guard: what is more often an accident than a wish, counted before the first write.

use outrigger_protocol::Href;

use crate::lot::Task;
use crate::report::{Guard, Report};
use crate::row::MemberIndex;
use crate::settings::{ConflictPolicy, MaxDelete};
use crate::state::{Listing, Member, Run, href};
use crate::table::Place;

/// Names shown when a guard stops a member.
const SHOWN: usize = 10;

/// Updates, and creates after a slow listing, that are never too many.
const FEW: u64 = 20;

impl Run {
    /// Stops a member to which more is to be done than is taken for a wish.
    pub(crate) fn guard(&mut self, member: MemberIndex) {
        let total = self.table.count_at(member);
        let work = &self.state(member).work;
        let planned = [
            (Guard::Deletes, work.deletions.len() as u64),
            (Guard::Updates, work.updates),
            (Guard::Creates, work.creates),
        ];
        for (guard, planned) in planned {
            if self.may_write(member) && self.is_too_much(member, guard, planned, total) {
                self.stop(member, guard, planned, total);
            }
        }
    }

    fn is_too_much(&self, member: MemberIndex, guard: Guard, planned: u64, total: u64) -> bool {
        match guard {
            Guard::Deletes => {
                let work = &self.state(member).work;
                let is_emptying = planned == total && work.creates + work.updates == 0;
                exceeds(self.settings.max_delete, planned, total, is_emptying)
            }
            Guard::Updates => is_over(self.settings.max_update, planned, total),
            Guard::Creates => {
                let is_slow = |state: &Member| state.listing == Listing::Complete { slow: true };
                is_over(self.settings.max_create_on_slow, planned, total)
                    && self.members.iter().any(is_slow)
                    && self.state(member).was_in_step
            }
        }
    }

    fn stop(&mut self, member: MemberIndex, guard: Guard, planned: u64, total: u64) {
        let allow = &mut self.settings.allow;
        let leave = match guard {
            Guard::Deletes => &mut allow.deletes,
            Guard::Updates => &mut allow.updates,
            Guard::Creates => &mut allow.creates,
        };
        if *leave == Some(planned) {
            // Given for one number that a person has seen, not for each such number.
            *leave = None;
            self.used.push(guard);
            return;
        }
        let (names, disputed) = (self.shown(member, guard), self.disputed(member, guard).count() as u64);
        // The next run counts them again only if everything is listed again.
        self.keeps_slow |= guard == Guard::Creates;
        let state = self.state_mut(member);
        state.stopped = true;
        state.work.deletions.clear();
        self.reports.push_back(Report::GuardStop { member, guard, planned, disputed, total, names });
    }

    fn shown(&self, member: MemberIndex, guard: Guard) -> Vec<Href> {
        let name = |place: &Place| self.table.row(*place).map(|row| href(&row, member));
        if guard == Guard::Deletes {
            return self.state(member).work.deletions.iter().filter_map(name).take(SHOWN).collect();
        }
        let of_task = |task: &Task| match task {
            Task::Row(place) => name(place).filter(|_| self.is_counted(*place, member, guard)),
            Task::Fresh(fresh) => Some(fresh.href.clone()).filter(|_| guard == Guard::Creates),
        };
        let disputed = self.disputed(member, guard).filter_map(|place| name(&place));
        self.tasks.iter().flatten().filter_map(of_task).chain(disputed).take(SHOWN).collect()
    }

    /// Whether a write of the row at the member is of the kind that the guard counts.
    fn is_counted(&self, place: Place, member: MemberIndex, guard: Guard) -> bool {
        let is_there = self.table.packed(place).is_some_and(|row| row.is_present(member));
        is_there == (guard == Guard::Updates)
    }

    /// Rows in conflict among what the guard has counted.
    fn disputed(&self, member: MemberIndex, guard: Guard) -> impl Iterator<Item = Place> {
        let makes = guard == Guard::Creates && self.settings.conflict == ConflictPolicy::KeepBoth;
        let is_counted = move |place: &Place| makes || self.is_counted(*place, member, guard);
        let rows = if guard == Guard::Deletes { &[] } else { &self.state(member).work.disputed[..] };
        rows.iter().copied().filter(is_counted)
    }
}

/// More than a few, and more than so many per cent.
fn is_over(percent: u64, planned: u64, total: u64) -> bool {
    percent < 100 && planned > FEW && u128::from(planned) * 100 > u128::from(total) * u128::from(percent)
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
    fn a_few_are_never_too_many_and_a_hundred_per_cent_are_never_more() {
        assert!(!is_over(90, 20, 20) && is_over(90, 21, 21));
        assert!(!is_over(90, 90, 100) && is_over(90, 91, 100));
        assert!(!is_over(100, 100, 100));
    }

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
