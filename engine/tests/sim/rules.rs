//! Rules: what must hold of each run, beside what the oracle says of its writes.

use std::collections::BTreeMap;

use outrigger_engine::{EditVsDelete, Intent, Record, Report, Row, RowId};

use super::{Outcome, World};

impl World {
    /// A write that was in doubt keeps its ID when it is sent again: whoever knows the ID can tell.
    pub(super) fn check_new_ids(&self, records: &[Record]) {
        for record in records {
            let Record::Intent(new) = record else { continue };
            let is_same = |old: &&Intent| Intent { operation: new.operation, ..(*old).clone() } == *new;
            let again = self.doubts.iter().find(is_same);
            assert_eq!(again, None, "the same write under another ID (X1): {new:?}");
        }
    }

    /// A conflict is between contents whose authors did not know of each other.
    pub(super) fn check_conflicts(&self, outcome: &Outcome, before: &BTreeMap<RowId, Row>) {
        let is_certain =
            !self.had_doubts && self.causes.is_exact && self.keeps_concurrent() && self.duplicates == 0;
        // What is moved where nobody can see it looks new.
        let is_hidden = self.was_blind && self.causes.has_moved();
        let is_plain =
            !self.settings.match_content && !is_hidden && self.members.iter().all(|member| !member.rewrites);
        if !is_certain || !is_plain || self.settings.edit_vs_delete == EditVsDelete::Ask {
            return;
        }
        for report in &outcome.reports {
            let Report::Conflict { row, names, .. } = report else { continue };
            let held = names.iter().zip(&self.members);
            let held = held.filter_map(|(name, member)| member.items.get(name.as_ref()?.as_bytes()));
            let held = held.map(|item| &*item.data);
            // It may contradict what a person wrote, which no member held when it was raised.
            let rows = [before.get(row), self.store.rows.get(row)].into_iter().flatten();
            let supplied = rows.filter_map(|row| Some(&*row.supplied.as_ref()?.data));
            let held: Vec<&[u8]> = held.chain(supplied).collect();
            assert!(self.causes.may_conflict(&held), "a conflict that nobody caused: {report:?}");
        }
    }
}
