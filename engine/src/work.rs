//! Work: from what is decided to lots whose reads are under way.
//!
//! Each item is read once and goes to all members that need it. A member that is slow, or hangs, holds
//! nobody else up: what it has no room for waits until it has, and is read again then.

use crate::lot::{CALL_OVERHEAD, Fetch, Held, LOT_BYTES, Lot, Part, Stage, Task, Write};
use crate::observe::is_present;
use crate::reads::{LotId, MAX_BATCH, Why};
use crate::row::{MemberIndex, Row};
use crate::seeded::Bug;
use crate::state::Run;
use crate::table::{Flag, Place};

/// Lots of one source that are being read.
const MAX_READING: usize = 2;

/// Lots that one member has a part in.
const MAX_LOTS: usize = 4;

/// How often a decision is taken back in one run before the row waits for the next.
pub(crate) const MAX_ATTEMPTS: u8 = 2;

impl Run {
    /// Starts as many lots as the members have room for.
    pub(crate) fn pump_work(&mut self) {
        for target in self.all() {
            self.pump_waiting(target);
        }
        for source in (0..self.tasks.len()).map(MemberIndex::at) {
            if !self.can_give(source) {
                self.drop_tasks(source);
            }
            while self.has_room(source) {
                self.start_lot(source);
            }
        }
        for target in self.all() {
            self.pump_deletions(target);
        }
    }

    /// Hands a row to the member whose content it needs, if anybody may be written.
    pub(crate) fn queue_write(&mut self, place: Place, row: &Row, source: MemberIndex) {
        let is_due = self.targets(place, row, source).iter().any(|target| self.is_free(place, *target));
        if let Some(tasks) = self.tasks.get_mut(source.index()).filter(|_| is_due) {
            tasks.push_back(Task::Row(place));
        }
    }

    /// Whether the member can be written, nothing else is about to, and it has not failed in this run.
    fn is_free(&self, place: Place, target: MemberIndex) -> bool {
        let is_taken = [Flag::Underway, Flag::Waiting, Flag::Pending]
            .iter()
            .any(|flag| self.table.has(place, target, *flag));
        self.may_write(target) && !is_taken
    }

    /// What had no room for a member is tried again, a lot's worth at a time.
    fn pump_waiting(&mut self, target: MemberIndex) {
        if !self.may_write(target) {
            self.state_mut(target).work.waiting.clear();
        }
        while !self.is_full(target) && !self.state(target).work.waiting.is_empty() && self.is_short_of_tasks()
        {
            let Some(place) = self.state_mut(target).work.waiting.pop_front() else { return };
            self.table.flag(place, target, Flag::Waiting, false);
            self.route(place);
        }
    }

    fn is_short_of_tasks(&self) -> bool {
        self.tasks.iter().all(|tasks| tasks.len() < MAX_BATCH)
    }

    fn wait(&mut self, place: Place, target: MemberIndex) {
        if !self.table.has(place, target, Flag::Waiting) {
            self.table.flag(place, target, Flag::Waiting, true);
            self.state_mut(target).work.waiting.push_back(place);
        }
    }

    /// Whether anything can be brought from there to anybody.
    fn can_give(&self, source: MemberIndex) -> bool {
        let is_there = !self.is_member(source) || !self.state(source).frozen;
        is_there && self.others(source).any(|target| self.may_write(target))
    }

    /// Nothing comes of these tasks any more: rows are decided anew without their source.
    fn drop_tasks(&mut self, source: MemberIndex) {
        let Some(tasks) = self.tasks.get_mut(source.index()).map(std::mem::take) else { return };
        for task in tasks {
            match task {
                Task::Fresh(_) => self.state_mut(source).unobserved = true,
                Task::Row(place) => self.route(place),
            }
        }
    }

    fn is_full(&self, target: MemberIndex) -> bool {
        self.lots.of_target(target) >= MAX_LOTS
    }

    /// Whether a lot could begin now.
    pub(crate) fn can_start(&self) -> bool {
        (0..self.tasks.len()).map(MemberIndex::at).any(|source| self.has_room(source))
    }

    fn has_room(&self, source: MemberIndex) -> bool {
        let is_owed = self.tasks.get(source.index()).is_some_and(|tasks| !tasks.is_empty());
        is_owed
            && self.lots.reading(source) < MAX_READING
            && self.others(source).any(|target| self.may_write(target) && !self.is_full(target))
    }

    /// Deletions come last, and only if no create failed: what looks like a deletion may be half of
    /// a move.
    fn pump_deletions(&mut self, target: MemberIndex) {
        if !self.may_delete_at(target) {
            self.state_mut(target).work.deletions.clear();
        }
        while self.may_begin_deleting(target) {
            let pace = self.state(target).reader.pace(LOT_BYTES);
            let is_careful = !self.is_seeded(Bug::DeletionBeforeCreate);
            let work = &mut self.state_mut(target).work;
            if is_careful && work.create_failed {
                for place in std::mem::take(&mut work.deletions) {
                    self.table.flag(place, target, Flag::Waiting, false);
                    self.pending(place, target, "not deleted, for an item could not be created in this run");
                }
                return;
            }
            let mut lot = Lot::new(None, LOT_BYTES);
            let most = pace.min(self.certain_deletions(target));
            let some: Vec<Place> = self.state_mut(target).work.deletions.drain(..most).collect();
            for place in some {
                self.table.flag(place, target, Flag::Waiting, false);
                self.table.flag(place, target, Flag::Underway, true);
                let parts = vec![Part::new(target, Fetch::Awaited)];
                lot.push(Write { place: Some(place), fresh: None, source: Fetch::Unneeded, parts });
            }
            self.read_lot(lot);
        }
    }

    fn may_begin_deleting(&self, target: MemberIndex) -> bool {
        let work = &self.state(target).work;
        if work.deletions.is_empty() {
            return false;
        }
        let is_busy = self.lots.of_target(target) > 0
            || !work.waiting.is_empty()
            || self.tasks.iter().any(|tasks| !tasks.is_empty());
        if self.is_seeded(Bug::DeletionBeforeCreate) {
            return true;
        }
        let is_looking = !self.judge.is_idle() || self.members.iter().any(|state| !state.reader.is_idle());
        !is_busy && !is_looking
    }

    /// Bytes of writes that fit one commit call to a member.
    pub(crate) fn commit_bytes(&self, target: MemberIndex) -> usize {
        self.settings_of(target).max_body.saturating_sub(CALL_OVERHEAD)
    }

    /// Takes tasks for one lot.
    fn start_lot(&mut self, source: MemberIndex) {
        let pace = match self.members.get(source.index()) {
            Some(state) => state.reader.pace(LOT_BYTES),
            None => MAX_BATCH,
        };
        let mut lot = Lot::new(Some(source), LOT_BYTES);
        while lot.writes.len() < pace
            && let Some(task) = self.next_task(source, &lot)
        {
            lot.is_alone = self.is_suspect_task(source, &task);
            self.begin_write(source, task, &mut lot);
        }
        if !lot.writes.is_empty() {
            self.read_lot(lot);
        }
    }

    fn begin_write(&mut self, source: MemberIndex, task: Task, lot: &mut Lot) {
        match task {
            Task::Fresh(fresh) => {
                lot.targets.extend(self.others(source).filter(|target| self.may_write(*target)));
                let (place, parts) = (None, Vec::new());
                lot.push(Write { place, fresh: Some(fresh), source: Fetch::Awaited, parts });
            }
            Task::Row(place) => {
                let Some(row) = self.table.row(place) else { return };
                if !self.is_spread_from(place, &row, source) {
                    // Others have brought it meanwhile. Nothing was read for it: no attempt.
                    return self.route(place);
                }
                let parts = self.parts(place, &row, source);
                if parts.is_empty() {
                    return;
                }
                lot.push(Write { place: Some(place), fresh: None, source: Fetch::Awaited, parts });
                if !self.is_member(source)
                    && let Some(supplied) = row.supplied
                {
                    let held = Held { format: supplied.format, data: supplied.data };
                    lot.hold(lot.writes.len() - 1, None, row.key.0.len(), held);
                }
            }
        }
    }

    /// The members that an item goes to now; those that have no room wait.
    pub(crate) fn parts(&mut self, place: Place, row: &Row, source: MemberIndex) -> Vec<Part> {
        let mut parts = Vec::new();
        for target in self.targets(place, row, source) {
            if !self.is_free(place, target) {
                continue;
            }
            if self.is_full(target) {
                self.wait(place, target);
                continue;
            }
            let old = if is_present(row, target) { Fetch::Awaited } else { Fetch::Unneeded };
            self.table.flag(place, target, Flag::Underway, true);
            parts.push(Part::new(target, old));
        }
        parts
    }

    /// Reads what the lot needs, on all members at once.
    fn read_lot(&mut self, lot: Lot) {
        let id = self.number();
        let mut wants: Vec<(MemberIndex, Why)> = Vec::new();
        for (at, write) in lot.writes.iter().enumerate() {
            if let (Fetch::Awaited, Some(source)) = (&write.source, lot.source) {
                wants.push((source, Why::Source(id, at)));
            }
            let olds = write.parts.iter().filter(|part| matches!(part.old, Fetch::Awaited));
            wants.extend(olds.map(|part| (part.target, Why::Old(id, at))));
        }
        self.lots.insert(id, lot);
        for member in self.all() {
            let (own, rest) = wants.into_iter().partition(|(whose, _)| *whose == member);
            wants = rest;
            let own: Vec<(MemberIndex, Why)> = own;
            self.read_for_lot(id, member, own.into_iter().map(|(_, why)| why).collect());
        }
        self.assemble_if_read(id);
    }

    /// In as many calls as the member's limits make of it.
    fn read_for_lot(&mut self, id: LotId, member: MemberIndex, mut wants: Vec<Why>) {
        while !wants.is_empty() {
            let rest = wants.split_off(self.fit_read(member, wants.iter()));
            let some = std::mem::replace(&mut wants, rest);
            let Some(batch) = self.send_read(member, some) else { continue };
            self.lot_reads.insert(batch, (id, member));
            if let Some(lot) = self.lots.get_mut(id) {
                lot.reads += 1;
            }
        }
    }

    /// A read that a lot may have waited for is over.
    pub(crate) fn lot_read_over(&mut self, batch: crate::action::BatchId) {
        let Some((id, _)) = self.lot_reads.remove(&batch) else { return };
        if let Some(lot) = self.lots.get_mut(id) {
            lot.reads = lot.reads.saturating_sub(1);
        }
        self.assemble_if_read(id);
    }

    fn assemble_if_read(&mut self, id: LotId) {
        if self.lots.get(id).is_some_and(|lot| lot.reads == 0 && lot.stage == Stage::Reading)
            && let Some(lot) = self.lots.remove(id)
        {
            self.assemble(id, lot);
        }
    }

    /// Decides again, a few times a run: a member that changes all the time must not hold it.
    pub(crate) fn reroute(&mut self, place: Place) {
        if self.table.mark(place).attempts >= MAX_ATTEMPTS {
            return self.pending(place, MemberIndex(0), "it changed again and again during the run");
        }
        self.table.mark_mut(place, |mark| mark.attempts += 1);
        self.route(place);
    }
}
