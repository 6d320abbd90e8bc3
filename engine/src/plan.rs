//! Plan: what every row needs.

use std::collections::VecDeque;

use outrigger_protocol::{CommitKind, Href};

use crate::accept::adopt;
use crate::decide::{Decision, Sign};
use crate::lot::Task;
use crate::observe::{is_present, is_raised, raise};
use crate::packed::{Packed, Seen};
use crate::reads::Why;
use crate::report::Report;
use crate::row::{MemberIndex, Row};
use crate::send::{kind, planned};
use crate::settings::Access;
use crate::state::{Listing, Run, href};
use crate::table::{Flag, Place};

impl Run {
    /// Reads new items for their keys and digests, unless they can be brought to all others as they
    /// arrive: then each is read once.
    pub(crate) fn decide_fresh(&mut self) {
        self.fresh_decided = true;
        let stays: Vec<MemberIndex> = self.all().filter(|member| self.can_forward(*member)).collect();
        for member in self.all() {
            if !stays.contains(&member) {
                let fresh = std::mem::take(&mut self.state_mut(member).fresh);
                let wants = fresh.into_iter().map(|fresh| Why::New(Box::new(fresh)));
                self.state_mut(member).reader.queue.extend(wants);
            }
        }
    }

    /// Whether a new item of `source` can only mean a create on all others, whatever it holds.
    fn can_forward(&self, source: MemberIndex) -> bool {
        let is_free = !self.settings.dry_run && self.settings.only.is_none() && self.doubts_no_create();
        let is_quiet = |other: MemberIndex| {
            let state = self.state(other);
            let is_seen = !state.frozen && !state.unobserved && state.fresh.is_empty();
            let is_whole = matches!(state.listing, Listing::Complete { .. } | Listing::Changes);
            is_seen && is_whole && self.settings_of(other).access != Access::Authority
        };
        let takes_some = self.others(source).any(|other| self.may_write(other));
        let is_plain = |place| self.table.packed(place).is_none_or(|row| is_plain(row, source));
        !self.state(source).frozen
            && !self.state(source).fresh.is_empty()
            && is_free
            && takes_some
            && self.others(source).all(is_quiet)
            && self.table.places().all(is_plain)
    }

    fn doubts_no_create(&self) -> bool {
        self.doubts.iter().flatten().all(|(_, intent)| intent.kind != CommitKind::Create)
    }

    /// Decides every row; what is to be written waits in the members' work.
    pub(crate) fn plan(&mut self) {
        self.match_folded();
        self.match_all();
        self.resolve_creates();
        for place in self.table.places() {
            if self.table.packed(place).is_some_and(|row| !row.is_at_rest()) {
                self.take_note(place);
                self.count(place);
                self.route(place);
            }
        }
        for member in self.all() {
            let fresh = std::mem::take(&mut self.state_mut(member).fresh);
            for other in self.others(member) {
                self.state_mut(other).work.creates += fresh.len() as u64;
            }
            let tasks = fresh.into_iter().map(|fresh| Task::Fresh(Box::new(fresh)));
            self.tasks[member.index()].extend(tasks);
        }
        for member in self.all() {
            self.guard(member);
        }
    }

    /// Whose new item is what is agreed, byte by byte, has that.
    fn take_note(&mut self, place: Place) {
        let Some(mut row) = self.table.row(place) else { return };
        let (version, agreed) = (row.version, row.base.map(|base| base.raw));
        let holds_it = |row: &Row, member| row.held(member).map(|held| held.raw) == agreed;
        for member in self.all() {
            if self.sign(place, &row, member) == Sign::New
                && holds_it(&row, member)
                && let Some(entry) = row.entry_mut(member)
            {
                entry.have = version;
            }
        }
        self.table.put(place, row);
    }

    /// Has the row judged, where members contradict each other; otherwise does what it needs.
    pub(crate) fn route(&mut self, place: Place) {
        if !self.ask(place) {
            self.act(place);
        }
    }

    /// Does what a row needs at once, or hands it to the members that are to do it.
    pub(crate) fn act(&mut self, place: Place) {
        let Some(mut row) = self.table.row(place) else { return };
        match self.decide(place, &row) {
            Decision::Wait => {}
            Decision::Nothing => {
                if row.quarantine.is_empty() && self.is_seen(&row, place) {
                    row.conflict = None;
                    self.table.put(place, row);
                }
            }
            Decision::Adopt => self.change_seen(place, |row, is_seen| adopt(row, is_seen)),
            Decision::Drop => self.table.remove(place),
            Decision::Conflict => self.conflict(place, row),
            Decision::Spread(source) => self.queue_write(place, &row, source),
            Decision::Delete => self.queue_deletions(place, &row),
        }
    }

    fn is_seen(&self, row: &Row, place: Place) -> bool {
        self.all().all(|member| self.sign(place, row, member) != Sign::Unknown)
    }

    /// Only what the guard has counted: a deletion found later waits for the next run.
    fn queue_deletions(&mut self, place: Place, row: &Row) {
        for target in self.deleters(place, row) {
            let is_planned = self.table.has(place, target, Flag::DeletionPlanned);
            let taken = [Flag::Waiting, Flag::Underway, Flag::Pending];
            let is_new = !taken.iter().any(|flag| self.table.has(place, target, *flag));
            if is_planned && is_new && self.may_delete_at(target) {
                self.table.flag(place, target, Flag::Waiting, true);
                self.state_mut(target).work.deletions.push_back(place);
            }
        }
    }

    /// Raised once; while no content changes it is only counted.
    fn conflict(&mut self, place: Place, mut row: Row) {
        if is_raised(&row) {
            return;
        }
        if self.is_left_unsettled(place, &row) {
            return self.leave_unsettled(place, &row);
        }
        let is_for_policy = self.settings.dry_run && self.is_for_policy(place, &row);
        raise(&mut row);
        self.new_conflicts += 1;
        let (names, key) = (names(&row), row.key.clone());
        self.reports.push_back(Report::Conflict { row: row.id, names, key, is_for_policy });
        self.table.put(place, row);
    }

    /// A later run settles it: it is not for a person, so it is not raised. What a guard stops is told once
    /// for all.
    fn leave_unsettled(&mut self, place: Place, row: &Row) {
        let is_told = self.table.any_has(place, Flag::Pending);
        let holder = self.all().find(|member| is_present(row, *member));
        if let Some(holder) = holder.filter(|_| self.settings.only.is_some() && !is_told) {
            self.pending(place, holder, "it is in conflict, and no part of the plan: a sync settles it");
        }
    }

    /// Tells what would be written.
    pub(crate) fn report_plan(&mut self) {
        for place in self.tasks.iter().flatten().filter_map(row_of).collect::<Vec<Place>>() {
            let Some(row) = self.table.row(place) else { continue };
            let Decision::Spread(source) = self.decide(place, &row) else { continue };
            let mut targets = self.targets(place, &row, source);
            targets.retain(|target| self.may_write(*target));
            for target in targets {
                let source = Some(source);
                let planned = planned(&row, target, kind(&row, target, source), source);
                self.reports.push_back(Report::Planned(planned));
            }
        }
        for target in self.all() {
            for place in std::mem::take(&mut self.state_mut(target).work.deletions) {
                let Some(row) = self.table.row(place) else { continue };
                let planned = planned(&row, target, CommitKind::Delete, None);
                self.reports.push_back(Report::Planned(planned));
            }
        }
        self.tasks.iter_mut().for_each(VecDeque::clear);
    }
}

const fn row_of(task: &Task) -> Option<Place> {
    match task {
        Task::Row(place) => Some(*place),
        Task::Fresh(_) => None,
    }
}

/// Whether no new item of `source` can belong to this row: it has the item still, or never had it while
/// others hold one that nobody has agreed on.
fn is_plain(row: &Packed, source: MemberIndex) -> bool {
    match row.seen(source) {
        Seen::Present { .. } => true,
        Seen::Gone => false,
        Seen::Never => !row.entries().flatten().any(|entry| entry.is_present()),
    }
}

/// What each member that holds the item calls it.
fn names(row: &Row) -> Vec<Option<Href>> {
    row.members().map(|member| is_present(row, member).then(|| href(row, member))).collect()
}
