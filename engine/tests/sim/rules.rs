//! Rules: what must hold of each run, beside what the oracle says of its writes.

use outrigger_engine::{EditVsDelete, Intent, Record, Report};

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
    pub(super) fn check_conflicts(&self, outcome: &Outcome) {
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
            if self.store.rows.get(row).is_some_and(|row| row.supplied.is_some()) {
                // It contradicts what a person wrote, which no member holds.
                continue;
            }
            let held = names.iter().zip(&self.members);
            let held = held.filter_map(|(name, member)| member.items.get(name.as_ref()?.as_bytes()));
            let held: Vec<&[u8]> = held.map(|item| &*item.data).collect();
            assert!(self.causes.may_conflict(&held), "a conflict that nobody caused: {report:?}");
        }
    }
}
