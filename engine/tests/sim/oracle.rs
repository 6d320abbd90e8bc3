//! Oracle: what must hold of each write, after each run, and once all is at rest.
//!
//! Rows are looked at only for what a person waits for: conflicts, and what is set aside. Whether
//! members agree is judged by what they hold, and what may be written over by what users had seen.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_engine::{Access, Canonical, MemberIndex, Observed, Row};
use outrigger_protocol::{CommitItem, CommitKind, Dedupe, RawDigest};

use super::items::{key_of, line_free_of_uid, meaning, rewritten, text_in};
use super::{Fault, Outcome, World};

/// Items by UID; those without one stand together.
pub(crate) type Contents = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// What members can know in a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Sight {
    /// Members of whom a run sees everything.
    pub(super) open: Vec<bool>,
    /// Nobody is kept from seeing what is there.
    pub(super) is_calm: bool,
}

impl Sight {
    pub(super) fn of(faults: &[Fault], members: usize) -> Self {
        let is_hidden = |at: usize| faults.iter().any(|fault| fault.hides(MemberIndex::at(at)));
        Self {
            open: (0..members).map(|at| !is_hidden(at)).collect(),
            is_calm: !faults.iter().any(|fault| fault.blinds()),
        }
    }
}

impl World {
    /// I2: what was there is there, or in the journal.
    pub(super) fn check_nothing_lost(&self, before: &BTreeSet<Vec<u8>>) {
        let now = self.contents();
        let is_kept = |data: &Vec<u8>| self.store.undo.iter().any(|undo| undo.data == *data);
        let lost = before.iter().find(|data| !now.contains(*data) && !is_kept(data));
        assert_eq!(lost, None, "in neither a member nor the journal (I2)");
    }

    /// What the engine did to an item of a member: `old` was there before.
    pub(super) fn judge(&mut self, at: MemberIndex, item: &CommitItem<'_>, old: Option<&[u8]>, run: &Sight) {
        let new = &*item.data;
        match (item.kind, old) {
            (CommitKind::Delete, Some(old)) => {
                let is_wanted = !self.keeps_edits() || self.causes.may_delete(old, self.was_blind);
                assert!(is_wanted, "deleted although nobody who knew of it deleted it (I9): {}", text(old));
                self.causes.carried_out(old);
            }
            (CommitKind::Update, Some(old)) => {
                if self.keeps_concurrent() {
                    // Where a deletion counts for more, what was to be deleted is past.
                    let is_past = !self.keeps_edits() && self.causes.is_deleted(old);
                    let is_known = is_past || self.causes.may_overwrite(old, new, self.was_blind);
                    assert!(is_known, "{} wins over {} and did not know of it", text(new), text(old));
                } else {
                    self.causes.outvoted(old, new);
                }
            }
            _ => {
                // An item whose creation was in doubt, and that could not be read then, passes for new.
                let may_be_new = self.had_doubts && self.was_blind;
                let is_wanted = self.has_authority()
                    || self.makes_copies()
                    || may_be_new
                    || self.causes.may_create(new, self.was_blind, |at| run.open[at.index()]);
                assert!(is_wanted, "what was deleted comes back: {}", text(new));
                self.check_single(at, new, run.is_calm);
            }
        }
    }

    /// Nothing twice: the engine makes no second item where it knew of the first.
    fn check_single(&self, at: MemberIndex, new: &[u8], is_calm: bool) {
        let Some(key) = key_of(new) else { return };
        let member = &self.members[at.index()];
        let known = |href: &Vec<u8>| {
            let raw = RawDigest::of(&member.items[href].data);
            let is_it = |row: &Row| {
                let entry = row.entries[at.index()].as_ref().filter(|entry| entry.href.as_bytes() == href);
                let observed = entry.map(|entry| &entry.observed);
                let holds =
                    |seen: &Observed| matches!(seen, Observed::Present { content, .. } if content.raw == raw);
                *row.key.0 == *key && observed.is_some_and(holds)
            };
            self.store.rows.values().any(is_it)
        };
        let same: Vec<&Vec<u8>> = member.by_key(&key).collect();
        // Where UIDs change, there may be two of one for a moment.
        let is_sure = is_calm && !self.settings.match_content && self.duplicates == 0;
        let is_double = same.len() > 1 && !self.has_renamed() && (is_sure || same.into_iter().any(known));
        assert!(!is_double, "a second item with the key {}", String::from_utf8_lossy(&key));
    }

    /// I1: whoever was reached holds the same of every item that no person has to look at.
    pub(crate) fn check_agreement(&self, is_reached: impl Fn(MemberIndex) -> bool) {
        for row in self.store.rows.values().filter(|row| row.conflict.is_none()) {
            let held = |at: MemberIndex| self.item_of(row.id, at).map(|data| self.comparable(&data));
            let counts = |at: &MemberIndex| is_reached(*at) && !self.is_excused(row, *at);
            let full = self.all().filter(counts).filter(|at| self.access(*at) == Access::Full);
            let full: Vec<_> = full.map(held).collect();
            let Some(first) = full.first() else { continue };
            if self.is_out_of_reach(row, &is_reached) {
                continue;
            }
            assert!(full.iter().all(|other| other == first), "members differ (I1): {row:?}");
            let mut keeps = self.all().filter(counts).filter(|at| self.access(*at) == Access::NoDelete);
            let is_alike = |at: MemberIndex| first.is_none() || held(at) == *first;
            assert!(keeps.all(is_alike), "a member that keeps items differs (I1): {row:?}");
            let leads = self.all().find(|at| self.access(*at) == Access::Authority && counts(at));
            assert!(leads.is_none_or(|at| held(at) == *first), "not as the authority has it (I1): {row:?}");
            self.check_alive(row, first.is_none(), &counts);
        }
    }

    /// What was agreed is with somebody who is not there, or was: what others hold of it waits.
    fn is_out_of_reach(&self, row: &Row, is_reached: &impl Fn(MemberIndex) -> bool) -> bool {
        let digest = row.base.map(|base| base.digest);
        let holds = |at: &MemberIndex| {
            let data = self.item_of(row.id, *at);
            data.is_some_and(|data| Some(Canonical::of("vcard", &data).content.digest) == digest)
        };
        let has_had = |at: MemberIndex| {
            let entry = row.entries[at.index()].as_ref();
            !is_reached(at) && entry.is_some_and(|entry| entry.have == row.version)
        };
        digest.is_some()
            && !self.all().filter(|at| is_reached(*at)).any(|at| holds(&at))
            && self.all().any(|at| holds(&at) || has_had(at))
    }

    /// What nobody deleted is not missing where it belongs.
    fn check_alive(&self, row: &Row, is_absent: bool, counts: &impl Fn(&MemberIndex) -> bool) {
        if !is_absent || !self.keeps_edits() {
            return;
        }
        let is_alive =
            |at: MemberIndex| self.item_of(row.id, at).is_some_and(|data| self.causes.is_alive(&data));
        assert!(!self.all().filter(counts).any(is_alive), "what nobody deleted is missing: {row:?}");
    }

    /// It is set aside there, or a create without an answer may still turn up.
    fn is_excused(&self, row: &Row, at: MemberIndex) -> bool {
        let is_set_aside = row.quarantine.iter().any(|it| it.member == at);
        let in_doubt = self.store.intents.iter().any(|it| it.row == row.id && it.member == at);
        is_set_aside || (in_doubt && self.members[at.index()].dedupe == Dedupe::None)
    }

    /// An item without what members may agree to differ in.
    fn essence(&self, data: &[u8]) -> Vec<u8> {
        if self.settings.members.iter().any(|member| !member.compares.is_empty()) {
            meaning(data)
        } else if self.members.iter().any(|member| member.rewrites) {
            rewritten(data)
        } else {
            data.to_vec()
        }
    }

    /// An item without what members may differ in for good.
    pub(crate) fn comparable(&self, data: &[u8]) -> Vec<u8> {
        let essence = self.essence(data);
        // Items that were linked by their content keep their UIDs.
        if self.settings.match_content { line_free_of_uid(&essence) } else { essence }
    }

    /// All is at rest, and everybody was there.
    pub(crate) fn check_rest(&self, last: &Outcome) {
        self.check_doubts();
        self.check_agreement(|_| true);
        self.check_rows();
        self.check_kept(last);
        self.check_alike();
        for item in self.members.iter().flat_map(|member| member.items.values()) {
            assert!(self.is_authored(&item.data), "bytes that nobody wrote (I10): {}", text(&item.data));
        }
    }

    /// Nothing is in doubt but what nobody can find out.
    fn check_doubts(&self) {
        let may_stay = |intent: &outrigger_engine::Intent| {
            self.members[intent.member.index()].dedupe == Dedupe::None && intent.kind == CommitKind::Create
        };
        let open = self.store.intents.iter().find(|intent| !may_stay(intent));
        assert_eq!(open, None, "a write is still in doubt");
    }

    /// Each item has one row; what can be read is not set aside as unreadable; what is deleted for
    /// all who allow it is forgotten.
    fn check_rows(&self) {
        let allows_all = self.settings.members.iter().all(|member| member.access == Access::Full);
        let mut named = vec![BTreeSet::new(); self.members.len()];
        for row in self.store.rows.values() {
            for (at, entry) in row.entries.iter().enumerate() {
                let Some(entry) = entry else { continue };
                let href = entry.href.as_bytes().to_vec();
                if self.members[at].items.contains_key(&href) {
                    assert!(named[at].insert(href), "two rows for one item of member {at}: {row:?}");
                }
            }
            let unread = row.quarantine.iter().find(|it| it.reason.contains("cannot be read"));
            assert_eq!(unread, None, "it can be read again: {row:?}");
            let is_tombstone = row.version > 0 && row.base.is_none();
            let is_waited_for = self.store.intents.iter().any(|it| it.row == row.id);
            let is_left = is_tombstone && allows_all && row.conflict.is_none() && row.quarantine.is_empty();
            assert!(!is_left || is_waited_for, "everybody has taken note (S1): {row:?}");
        }
        for (at, member) in self.members.iter().enumerate() {
            let items: BTreeSet<Vec<u8>> = member.items.keys().cloned().collect();
            assert_eq!(items, named[at], "an item of member {at} has no row");
        }
    }

    /// What members are owed that take no writes, or no deletions, is counted.
    fn check_kept(&self, last: &Outcome) {
        if !self.all().any(|at| self.access(at) == Access::Full) {
            return;
        }
        let summary = last.summary();
        for at in self.all() {
            let kept = summary.members[at.index()].counts.kept;
            let (least, most) = self.owed(at);
            let is_counted = (least..=most).contains(&kept);
            assert!(is_counted, "{kept} are owed to member {}, it should be {least} to {most}", at.0);
        }
    }

    /// Rows that differ at a member, and those that differ in bytes: a rewriting that could not be told
    /// from an edit in the same tick is owed too (S4, S6).
    fn owed(&self, at: MemberIndex) -> (u64, u64) {
        let (mut least, mut most) = (0, 0);
        for row in self.store.rows.values() {
            let first = |access: Access| {
                self.all().find(|other| self.access(*other) == access && !self.is_excused(row, *other))
            };
            let full = first(Access::Authority).or_else(|| first(Access::Full));
            let Some(full) = full.filter(|_| row.conflict.is_none() && !self.is_excused(row, at)) else {
                continue;
            };
            let [mine, theirs] = [at, full].map(|member| self.item_of(row.id, member));
            let is_owed = match self.access(at) {
                Access::Full | Access::Authority => false,
                Access::ReadOnly => true,
                Access::NoDelete => theirs.is_none(),
            };
            let essence = |data: &Option<Vec<u8>>| data.as_ref().map(|data| self.comparable(data));
            // What is set aside somewhere is counted as that.
            least += u64::from(is_owed && row.quarantine.is_empty() && essence(&mine) != essence(&theirs));
            most += u64::from(is_owed && mine != theirs);
        }
        (least, most)
    }

    /// Without a look at rows: where nobody waits for anything, all hold the same, byte by byte.
    fn check_alike(&self) {
        let is_plain = |row: &Row| row.conflict.is_none() && row.quarantine.is_empty();
        let are_plain = self.store.rows.values().all(is_plain) && self.store.intents.is_empty();
        let are_full = self.settings.members.iter().all(|member| member.access == Access::Full);
        if !are_plain || !are_full {
            return;
        }
        let of = |at: MemberIndex| {
            let items = self.members[at.index()].items.values();
            let mut all: Vec<Vec<u8>> = items.map(|item| self.comparable(&item.data)).collect();
            all.sort();
            all
        };
        let first = of(MemberIndex(0));
        for at in self.all() {
            assert_eq!(of(at), first, "members 0 and {} differ (I1)", at.0);
        }
        if self.duplicates == 0 {
            self.check_unique();
        }
    }

    fn check_unique(&self) {
        for member in &self.members {
            let mut keys = BTreeSet::new();
            let second = member
                .items
                .values()
                .filter_map(|item| key_of(&item.data))
                .find(|key| !keys.insert(key.clone()));
            assert_eq!(second, None, "a second item that no user made");
        }
    }

    /// What a member holds, by key, without the names and what plugins take for the same.
    pub(crate) fn contents_of(&self, at: MemberIndex) -> Contents {
        let mut contents = Contents::new();
        for item in self.members[at.index()].items.values() {
            contents
                .entry(key_of(&item.data).unwrap_or_default())
                .or_default()
                .push(self.essence(&item.data));
        }
        contents.values_mut().for_each(|list| list.sort());
        contents
    }
}

fn text(data: &[u8]) -> &str {
    text_in(data).unwrap_or("an item without a text")
}
