//! Again: creates in doubt that are sent a second time before anybody has found out.
//!
//! Only to a member that keeps operation IDs in one transaction with its items
//! ([`Dedupe::Token`]), and only as they were: it answers what that operation has made, or makes
//! it now (decisions X1, X4). Whatever else comes of it, the write stays in doubt.

use outrigger_protocol::Dedupe;

use crate::journal::Intent;
use crate::observe::is_present;
use crate::row::{MemberIndex, Row};
use crate::send::describe;
use crate::state::Run;
use crate::table::{Flag, Place};

impl Run {
    /// Takes a create in doubt for one that is sent again at once, if its member can tell; whether it did.
    pub(crate) fn take_for_again(&mut self, place: Place, intent: &Intent) -> bool {
        let member = intent.member;
        let is_new = self.table.row(place).is_some_and(|row| !is_present(&row, member));
        let can_tell = self.settings_of(member).dedupe == Dedupe::Token && self.may_write(member);
        let is_first = !self.again.contains_key(&(place, member));
        if !is_new || !can_tell || !is_first || self.settings.dry_run {
            return false;
        }
        self.again.insert((place, member), intent.clone());
        self.release(place, member);
        true
    }

    pub(crate) fn is_again(&self, place: Place, member: MemberIndex) -> bool {
        self.again.contains_key(&(place, member))
    }

    /// Whether what the row needs at `target` is not what was sent before: then that stays in doubt, for
    /// other content needs another ID, and that is given only when the old one is resolved (decisions X1).
    pub(crate) fn is_another_write(
        &mut self,
        place: Place,
        row: &Row,
        target: MemberIndex,
        source: Option<MemberIndex>,
    ) -> bool {
        let Some(earlier) = self.again.get(&(place, target)) else { return false };
        let now = describe(row, target, source, earlier.operation);
        // The version is no part of the write.
        let is_same = Intent { version: earlier.version, ..now } == *earlier;
        if !is_same {
            self.leave_in_doubt(place, target);
        }
        !is_same
    }

    fn leave_in_doubt(&mut self, place: Place, member: MemberIndex) {
        if let Some(intent) = self.again.remove(&(place, member)) {
            self.table.flag(place, member, Flag::Doubt, true);
            self.doubts.push(Some((place, intent)));
        }
    }

    /// No more is written in this run: what was not sent again is still in doubt.
    pub(crate) fn end_again(&mut self) {
        let left: Vec<_> = self.again.keys().copied().collect();
        left.into_iter().for_each(|(place, member)| self.leave_in_doubt(place, member));
    }
}
