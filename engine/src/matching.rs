//! Matching: which new items are one item across members.
//!
//! In order: the key; for what is left and new on both sides, the content. A new item whose key
//! belongs to a row that lost its item at the same member has moved. One whose key is taken at the
//! same member is a duplicate (decisions S7).

use std::collections::BTreeMap;

use crate::observe::{DUPLICATE, UNREAD, is_present, owes_read_back};
use crate::packed::Packed;
use crate::row::{Digest, Entry, MemberIndex, Row};
use crate::state::{Phase, Run, is_duplicate};
use crate::table::{Flag, Place};

/// The only member that has to do with a row which nobody has agreed on.
fn loose_member(row: &Row) -> Option<MemberIndex> {
    let mut holders = row.members().filter(|member| row.entry(*member).is_some());
    let (Some(member), None) = (holders.next(), holders.next()) else { return None };
    let is_ready = row.version == 0 && row.held(member).is_some_and(|content| content != UNREAD);
    is_ready.then_some(member)
}

impl Run {
    /// Matches all new rows, and finds keys that two items of one member claim.
    pub(crate) fn match_all(&mut self) {
        for (_, place) in self.loose() {
            self.match_new(place);
        }
        for place in self.table.places() {
            self.unite(place);
        }
        if self.settings.match_content {
            self.match_contents();
        }
        for place in self.table.places() {
            self.check_key(place);
        }
    }

    /// New rows by member and name, so that the order in which they came is of no account.
    fn loose(&self) -> Vec<(MemberIndex, Place)> {
        let is_candidate = |place: &Place| self.table.packed(*place).is_some_and(|row| !row.is_at_rest());
        let mut loose: Vec<_> = self
            .table
            .places()
            .filter(is_candidate)
            .filter_map(|place| {
                let row = self.table.row(place)?;
                let member = loose_member(&row)?;
                let href = row.entry(member)?.href.clone();
                let is_left_alone = !row.quarantine.is_empty() && !is_duplicate(&row);
                (!is_left_alone).then_some((member, href, place))
            })
            .collect();
        loose.sort_unstable();
        loose.into_iter().map(|(member, _, place)| (member, place)).collect()
    }

    /// Finds the row that a new item belongs to; returns the row that holds it now.
    pub(crate) fn match_new(&mut self, place: Place) -> Option<Place> {
        let row = self.table.row(place)?;
        let Some(member) = loose_member(&row) else { return Some(place) };
        if let Some(created) = self.created_by_us(place, &row, member) {
            return self.join(created, place, member);
        }
        let others = self.others_with_key(place, &row);
        // While items arrive, those that came before are on their way already.
        let is_late = self.phase == Phase::Writing;
        let holds_it = |other: &Row| is_late || outranks(other, &row, member);
        let holder = others.iter().find(|(_, other)| is_present(other, member) && holds_it(other));
        if let Some((other, holder)) = holder {
            self.duplicate(place, member, *other, holder);
            return Some(place);
        }
        // A row that lost its item here, or never had one: one that is agreed on before another new item,
        // and of those the one that most hold.
        let free = others.iter().filter(|(_, other)| !is_present(other, member));
        let holders = |row: &Row| row.members().filter(|member| is_present(row, *member)).count();
        // The lowest number of equals: the last maximum counts.
        if let Some((other, _)) = free.rev().max_by_key(|(_, row)| (row.version > 0, holders(row))) {
            if self.may_join(*other, member) {
                return self.join(*other, place, member);
            }
            self.table.mark_mut(place, |mark| mark.held = true);
            return Some(place);
        }
        if is_duplicate(&row) {
            self.change(place, |row| row.quarantine.clear());
        }
        Some(place)
    }

    /// Two rows have come to one key while items could not be read, and no member has an item of both.
    fn unite(&mut self, place: Place) {
        let is_new = |row: &Packed| !row.is_at_rest() && !row.is_quarantined();
        let Some(row) = self.table.packed(place).filter(|row| is_new(row)).map(Packed::row) else { return };
        let holders: Vec<MemberIndex> = row.members().filter(|member| is_present(&row, *member)).collect();
        if row.version > 0 || holders.len() < 2 {
            return;
        }
        let others = self.others_with_key(place, &row).into_iter();
        let is_free = |other: &Row| !holders.iter().any(|member| is_present(other, *member));
        let may_join = |other: Place| holders.iter().all(|member| self.may_join(other, *member));
        let mut free = others.filter(|(other, row)| is_free(row) && may_join(*other));
        if let Some((other, _)) = free.next() {
            self.join_all(other, place, &holders);
        }
    }

    fn others_with_key(&self, place: Place, row: &Row) -> Vec<(Place, Row)> {
        let others = self.table.by_key(&row.key.0).into_iter().filter(|other| *other != place);
        others
            .filter_map(|other| Some((other, self.table.row(other)?)))
            .filter(|(_, row)| !is_duplicate(row))
            .collect()
    }

    fn created_by_us(&self, place: Place, row: &Row, member: MemberIndex) -> Option<Place> {
        let is_nameless = row.entry(member)?.href.as_bytes() == &*row.key.0;
        self.doubtful_create(member, is_nameless, row.held(member)?).filter(|created| *created != place)
    }

    /// The new item becomes the entry of the row `into` at its member.
    fn join(&mut self, into: Place, place: Place, member: MemberIndex) -> Option<Place> {
        self.join_all(into, place, &[member])
    }

    /// The new items become the entries of the row `into` at these members.
    fn join_all(&mut self, into: Place, place: Place, members: &[MemberIndex]) -> Option<Place> {
        let (mut row, new) = (self.table.row(into)?, self.table.row(place)?);
        let object_type = self.table.mark(place).object_type;
        let mut known = Vec::new();
        for member in members {
            take_entry(&mut row, &new, *member)?;
            known.push((*member, self.table.has(place, *member, Flag::Known)));
        }
        self.table.remove_into(place, into);
        self.table.put(into, row);
        for (member, is_known) in known {
            self.table.flag(into, member, Flag::Listed, true);
            self.know(into, member, is_known);
        }
        self.table.mark_mut(into, |joined| joined.object_type = object_type);
        Some(into)
    }

    fn duplicate(&mut self, place: Place, member: MemberIndex, other: Place, holder: &Row) {
        let is_sure = self.table.has(other, member, Flag::Known);
        let Some(entry) = holder.entry(member).filter(|_| is_sure) else {
            // The other one may be gone: that shows in the next run.
            return self.table.mark_mut(place, |mark| mark.held = true);
        };
        self.quarantine(place, member, format!("{DUPLICATE}{}", entry.href));
    }

    /// Links new items that differ in their key alone, where no member has two of one content.
    fn match_contents(&mut self) {
        let mut found: BTreeMap<Digest, Vec<(MemberIndex, Place)>> = BTreeMap::new();
        for (member, place) in self.loose() {
            let Some(row) = self.table.row(place).filter(|row| row.quarantine.is_empty()) else { continue };
            if let Some(content) = row.held(member).filter(|_| !self.table.mark(place).held) {
                found.entry(content.digest).or_default().push((member, place));
            }
        }
        // They are in the order of members.
        let is_one_each = |alike: &&mut Vec<(MemberIndex, Place)>| {
            !alike.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0))
        };
        for alike in found.values_mut().filter(|alike| alike.len() > 1).filter(is_one_each) {
            self.link(alike);
        }
    }

    /// One of the keys stands for all: a UID before an href, then the lowest one.
    fn link(&mut self, alike: &mut [(MemberIndex, Place)]) {
        let rank = |(member, place): &(MemberIndex, Place)| {
            let row = self.table.packed(*place)?;
            Some((row.href(*member) == Some(row.key()), row.key().to_vec()))
        };
        alike.sort_by_cached_key(rank);
        if let Some(((_, into), rest)) = alike.split_first() {
            for (member, place) in rest {
                self.join(*into, *place, *member);
            }
        }
    }

    /// A row that took a key which another live row of the same member has is left alone.
    fn check_key(&mut self, place: Place) {
        let mark = self.table.mark(place);
        let Some(packed) = self.table.packed(place) else { return };
        if !mark.rekeyed && !packed.is_quarantined() {
            return;
        }
        let Some(row) = self.table.row(place) else { return };
        if loose_member(&row).is_some() || (!row.quarantine.is_empty() && !is_duplicate(&row)) {
            return;
        }
        let collision = self.others_with_key(place, &row).into_iter().find_map(|(other, holder)| {
            let has_both = |member: &MemberIndex| is_present(&holder, *member) && is_present(&row, *member);
            let member = row.members().find(has_both)?;
            Some((member, other, holder))
        });
        match collision {
            Some((member, other, holder)) => self.duplicate(place, member, other, &holder),
            None if is_duplicate(&row) => self.change(place, |row| row.quarantine.clear()),
            None => {}
        }
    }
}

/// The new item becomes the entry of the row at its member.
fn take_entry(row: &mut Row, new: &Row, member: MemberIndex) -> Option<()> {
    let mut entry = new.entry(member)?.clone();
    // Whoever has taken note of a deletion has another item now.
    let has_noted = |entry: &Entry| row.is_tombstone() && entry.have == row.version;
    if let Some(lost) = row.entry(member).filter(|entry| !has_noted(entry)) {
        // It moved: what was agreed stands. Somebody touched it, so a read-back that is owed
        // would prove nothing.
        (entry.agreed, entry.have) = (lost.agreed, lost.have);
        entry.rewritten = lost.rewritten && !owes_read_back(row, member);
    }
    if entry.have == 0
        && let Some(content) = new.held(member)
    {
        entry.agreed = content;
    }
    *row.entries.get_mut(member.index())? = Some(entry);
    row.quarantine.retain(|quarantine| quarantine.member != member);
    Some(())
}

/// Whether `holder` keeps the key that the new `row` has too: the row that was there first, and of
/// two new ones the one with the lower name.
fn outranks(holder: &Row, row: &Row, member: MemberIndex) -> bool {
    let name = |row: &Row| row.entry(member).map(|entry| entry.href.clone());
    loose_member(holder) != Some(member) || name(holder) < name(row)
}
