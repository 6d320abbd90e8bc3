//! Planned: the writes of a plan, found by what they are about.

use std::collections::BTreeMap;

use crate::report::PlannedWrite;
use crate::row::{Key, MemberIndex};

/// The writes of a plan, by member and key: a run asks for each write that it is about to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlannedWrites(BTreeMap<(MemberIndex, Key), Vec<PlannedWrite>>);

impl PlannedWrites {
    /// Whether this write is in the plan, and still the same: at the same member, of the same kind and key, from
    /// the same bytes to the same bytes. What the item is called does not matter.
    #[must_use]
    pub fn contains(&self, write: &PlannedWrite) -> bool {
        let is_it = |planned: &PlannedWrite| {
            let state = |of: &PlannedWrite| (of.kind, of.expected, of.content);
            state(planned) == state(write)
        };
        let found = self.0.get(&(write.member, write.key.clone()));
        found.is_some_and(|planned| planned.iter().any(is_it))
    }
}

impl FromIterator<PlannedWrite> for PlannedWrites {
    fn from_iter<I: IntoIterator<Item = PlannedWrite>>(writes: I) -> Self {
        let mut by_item: BTreeMap<_, Vec<PlannedWrite>> = BTreeMap::new();
        for write in writes {
            by_item.entry((write.member, write.key.clone())).or_default().push(write);
        }
        Self(by_item)
    }
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::{CommitKind, RawDigest};

    use super::*;

    fn write(member: u16, kind: CommitKind, key: &str, from: Option<u8>, to: Option<u8>) -> PlannedWrite {
        let digest = |seed: u8| RawDigest([seed; 32]);
        PlannedWrite {
            member: MemberIndex(member),
            kind,
            names: Vec::new(),
            key: Key(key.as_bytes().into()),
            expected: from.map(digest),
            content: to.map(digest),
        }
    }

    #[test]
    fn a_write_is_in_the_plan_only_as_it_was_planned() {
        use CommitKind::{Create, Delete, Update};
        // A second item with the same key is a write of its own.
        let planned = [write(0, Update, "a", Some(1), Some(2)), write(0, Update, "a", Some(3), Some(4))];
        let plan: PlannedWrites = planned.clone().into_iter().collect();
        assert!(planned.iter().all(|write| plan.contains(write)));
        for other in [
            write(1, Update, "a", Some(1), Some(2)),
            write(0, Update, "b", Some(1), Some(2)),
            write(0, Update, "a", Some(1), Some(4)),
            write(0, Update, "a", Some(3), Some(2)),
            write(0, Create, "a", None, Some(2)),
            write(0, Delete, "a", Some(1), None),
        ] {
            assert!(!plan.contains(&other), "{other:?}");
        }
    }
}
