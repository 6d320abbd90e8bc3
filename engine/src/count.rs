//! Count: what a run would do at whom, for the guards, before anything is judged or written.
//!
//! What a policy will make of a conflict nobody knows before its contents are read. So it counts as all
//! that could come of it: a guard that counts too much asks a person, one that counts too little is gone
//! round.

use outrigger_protocol::CommitKind;

use crate::decide::{Decision, Sign};
use crate::judge::MAX_COPIES;
use crate::observe::{is_present, is_raised};
use crate::row::{MemberIndex, Row};
use crate::settings::ConflictPolicy;
use crate::state::Run;
use crate::table::{Flag, Place};

impl Run {
    /// Counts what is to be done for a row, at whom.
    pub(crate) fn count(&mut self, place: Place) {
        let Some(row) = self.table.row(place) else { return };
        match self.decide(place, &row) {
            Decision::Spread(source) => {
                for target in self.targets(place, &row, source) {
                    self.state_mut(target).work.count(kind_at(&row, target));
                }
            }
            Decision::Delete => {
                for target in self.deleters(place, &row) {
                    self.table.flag(place, target, Flag::DeletionPlanned, true);
                }
            }
            // With a plan to execute, no policy settles anything.
            Decision::Conflict if self.settings.only.is_none() && self.is_for_policy(place, &row) => {
                self.count_dispute(place, &row);
            }
            _ => {}
        }
    }

    /// A write at every member, and with [`ConflictPolicy::KeepBoth`] an item made at every member for each
    /// content but the first.
    fn count_dispute(&mut self, place: Place, row: &Row) {
        let is_kept_twice = self.settings.conflict == ConflictPolicy::KeepBoth;
        let made = if is_kept_twice { self.holders(place, row).len().saturating_sub(1) } else { 0 };
        for member in self.all() {
            let is_known = self.sign(place, row, member) != Sign::Unknown;
            let work = &mut self.state_mut(member).work;
            work.creates += made as u64;
            if is_known {
                work.count(kind_at(row, member));
            }
            if is_known || made > 0 {
                work.disputed.push(place);
            }
        }
    }

    /// Whether the policy may settle a conflict, so that no person has to. None settles what it cannot see in
    /// full, overrules what a person chose, or has two contents to look at where one stands against a
    /// deletion.
    pub(crate) fn is_for_policy(&self, place: Place, row: &Row) -> bool {
        let holders = self.holders(place, row);
        let is_seen = (2..=MAX_COPIES).contains(&holders.len()) && row.supplied.is_none();
        let policy = match self.settings.conflict {
            ConflictPolicy::Newest => holders.iter().all(|member| self.settings_of(*member).reliable_times),
            ConflictPolicy::KeepBoth | ConflictPolicy::Resolve => true,
            ConflictPolicy::Queue | ConflictPolicy::Prefer(_) => false,
        };
        policy && is_seen && !is_raised(row)
    }

    /// Whether a conflict is left as it is, though the policy could settle it: a plan is executed, or a
    /// guard has stopped all that are in it. What was stopped must not be agreed on meanwhile; where one of
    /// them has the user's leave it is, and the guard counts once more what the others then need.
    pub(crate) fn is_left_unsettled(&self, place: Place, row: &Row) -> bool {
        let is_stopped = |member: &MemberIndex| self.state(*member).stopped;
        let is_held_back = || self.settings.only.is_some() || self.holders(place, row).iter().all(is_stopped);
        !self.settings.dry_run && self.is_for_policy(place, row) && is_held_back()
    }

    /// Whether nothing is to be made of the row's conflict in this run.
    pub(crate) fn settles_nothing(&self, place: Place) -> bool {
        let is_left = |row: Row| self.is_left_unsettled(place, &row);
        self.settings.dry_run || self.table.row(place).is_some_and(is_left)
    }
}

/// What a content of somebody else's is for a member.
fn kind_at(row: &Row, member: MemberIndex) -> CommitKind {
    if is_present(row, member) { CommitKind::Update } else { CommitKind::Create }
}
