//! Crew: the members of a group that take part in a run.

use std::cell::RefCell;
use std::collections::BTreeSet;

use outrigger_engine::MemberIndex;

use super::session::MemberSession;

/// Keeping one member the same as none is no work.
pub(super) const FEWEST: usize = 2;

/// The members that take part, each at its place in the group. One may drop out within a run.
pub(super) struct Crew<'c> {
    sessions: &'c [Option<MemberSession>],
    left_out: RefCell<BTreeSet<MemberIndex>>,
}

impl<'c> Crew<'c> {
    /// Of all that are there.
    pub(super) fn of(sessions: &'c [Option<MemberSession>]) -> Self {
        Self { sessions, left_out: RefCell::default() }
    }

    /// The member at a place, if it takes part.
    pub(super) fn get(&self, member: MemberIndex) -> Option<&'c MemberSession> {
        let session = self.sessions.get(member.index())?.as_ref();
        session.filter(|_| !self.left_out.borrow().contains(&member))
    }

    /// All that take part, in order.
    pub(super) fn present(&self) -> Vec<(MemberIndex, &'c MemberSession)> {
        let places = (0..self.sessions.len()).map(MemberIndex::at);
        places.filter_map(|member| Some((member, self.get(member)?))).collect()
    }

    /// The rest of the run goes on without this one.
    pub(super) fn leave_out(&self, member: MemberIndex) {
        self.left_out.borrow_mut().insert(member);
    }

    /// Whether there are enough of them for anything to be kept the same.
    pub(super) fn is_enough(&self) -> bool {
        self.present().len() >= FEWEST
    }
}
