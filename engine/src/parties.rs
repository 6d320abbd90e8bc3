//! Parties: who contradicts whom, and what they all had before, as pure functions of a durable row.

use crate::decide::{Agreed, Sign};
use crate::row::{Content, Entry, MemberIndex, Row};

impl Row {
    /// Whether what a member was last seen to hold is one of the contents that contradict each other, for
    /// each member. A member that only lacks what is agreed since is none of them, nor is one that holds
    /// what somebody has changed or deleted who had seen it.
    #[must_use]
    pub fn parties(&self) -> Vec<bool> {
        let signs = || self.entries.iter().map(|entry| Sign::of(entry.as_ref(), self.version, self.base));
        let chosen = self.supplied.iter().map(|_| Sign::Same);
        let deleted = self.is_tombstone().then_some(Sign::Deleted);
        let agreed = Agreed::of(signs().chain(chosen).chain(deleted));
        signs().map(|sign| agreed.is_contested_by(sign)).collect()
    }

    /// What all those had who contradict each other before they changed it. `None`: nothing, or not the same:
    /// then their changes cannot be told from each other's.
    #[must_use]
    pub fn ancestor(&self) -> Option<Content> {
        let parties = self.parties().into_iter().enumerate().filter(|(_, is_party)| *is_party);
        ancestor(self, parties.map(|(at, _)| MemberIndex::at(at)))
    }
}

/// What these members all had.
pub(crate) fn ancestor(row: &Row, members: impl Iterator<Item = MemberIndex>) -> Option<Content> {
    let mut common = row.base;
    for member in members {
        let had = row.entry(member).and_then(|entry| had(row, entry))?;
        let is_newest = row.base.is_some_and(|base| base.raw == had.raw);
        let is_other = common != row.base && common.map(|common| common.raw) != Some(had.raw);
        if !is_newest && is_other {
            return None;
        }
        common = if is_newest { common } else { Some(had) };
    }
    common
}

/// The last of what was agreed that the member has had.
fn had(row: &Row, entry: &Entry) -> Option<Content> {
    match entry.have {
        0 => None,
        have if have < row.version => Some(entry.agreed),
        _ => row.base,
    }
}
