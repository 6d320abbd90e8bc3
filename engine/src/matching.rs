//! Matching: which new items are one item across members.
//!
//! In order: the key; for what is left and new on both sides, the content. A new item whose key
//! belongs to a row that lost its item at the same member has moved. One whose key is taken at the
//! same member is a duplicate (decisions S7).

use std::collections::BTreeMap;

use crate::observe::{DUPLICATE, UNREAD, content, is_present, owes_read_back};
use crate::row::{Digest, Row, Side};
use crate::state::Run;
use crate::table::Place;

/// The only member that holds a row which nobody has agreed on.
fn loose_side(row: &Row) -> Option<Side> {
    let holds = Side::BOTH.map(|side| is_present(row, side));
    let side = match holds {
        [true, false] => Side::A,
        [false, true] => Side::B,
        _ => return None,
    };
    let is_ready = row.version == 0 && content(row, side) != Some(UNREAD);
    (is_ready && row.entries[side.other().index()].is_none()).then_some(side)
}

fn is_duplicate(row: &Row) -> bool {
    row.quarantine.as_ref().is_some_and(|reason| reason.starts_with(DUPLICATE))
}

impl Run {
    /// Matches all new rows, and finds keys that two items of one member claim.
    pub(crate) fn match_all(&mut self) {
        for (_, place) in self.loose() {
            self.match_new(place);
        }
        if self.settings.match_content {
            self.match_contents();
        }
        for place in self.table.places() {
            self.check_key(place);
        }
    }

    /// New rows by member and name, so that the order in which they came is of no account.
    fn loose(&self) -> Vec<(Side, Place)> {
        let is_candidate = |place: &Place| self.table.packed(*place).is_some_and(|row| !row.is_at_rest());
        let mut loose: Vec<_> = self
            .table
            .places()
            .filter(is_candidate)
            .filter_map(|place| {
                let row = self.table.row(place)?;
                let side = loose_side(&row)?;
                let href = row.entries[side.index()].as_ref()?.href.clone();
                let is_left_alone = row.quarantine.is_some() && !is_duplicate(&row);
                (!is_left_alone).then_some((side, href, place))
            })
            .collect();
        loose.sort_unstable();
        loose.into_iter().map(|(side, _, place)| (side, place)).collect()
    }

    /// Finds the row that a new item belongs to; returns the row that holds it now.
    pub(crate) fn match_new(&mut self, place: Place) -> Option<Place> {
        let row = self.table.row(place)?;
        let Some(side) = loose_side(&row) else { return Some(place) };
        if let Some(created) = self.created_by_us(place, &row, side) {
            return self.join(created, place, side);
        }
        let others = self.others_with_key(place, &row);
        let holder = others.iter().find(|(_, other)| is_present(other, side) && outranks(other, &row, side));
        if let Some((other, holder)) = holder {
            self.duplicate(place, side, *other, holder);
            return Some(place);
        }
        // A row that lost its item here, or never had one.
        let free = others.iter().find(|(_, other)| !is_present(other, side) && other.quarantine.is_none());
        if let Some((other, _)) = free {
            if self.may_join(*other, side) {
                return self.join(*other, place, side);
            }
            self.table.mark_mut(place, |mark| mark.held = true);
            return Some(place);
        }
        if is_duplicate(&row) {
            self.change(place, |row| row.quarantine = None);
        }
        Some(place)
    }

    fn others_with_key(&self, place: Place, row: &Row) -> Vec<(Place, Row)> {
        let others = self.table.by_key(&row.key.0).into_iter().filter(|other| *other != place);
        others
            .filter_map(|other| Some((other, self.table.row(other)?)))
            .filter(|(_, row)| !is_duplicate(row))
            .collect()
    }

    fn created_by_us(&self, place: Place, row: &Row, side: Side) -> Option<Place> {
        let entry = row.entries[side.index()].as_ref()?;
        let digest = content(row, side)?.digest.0;
        self.doubtful_create(side, &row.key.0, entry.href.as_bytes(), &digest)
            .filter(|created| *created != place)
    }

    /// The new item becomes the entry of `row` at `side`.
    fn join(&mut self, into: Place, place: Place, side: Side) -> Option<Place> {
        let (mut row, new) = (self.table.row(into)?, self.table.row(place)?);
        let mark = self.table.mark(place);
        let mut entry = new.entries[side.index()].clone()?;
        if let Some(lost) = &row.entries[side.index()] {
            // It moved: what was agreed stands. Somebody touched it, so a read-back that is owed
            // would prove nothing.
            (entry.agreed, entry.have) = (lost.agreed, lost.have);
            entry.rewritten = lost.rewritten && !owes_read_back(&row, side);
        }
        if entry.have == 0
            && let Some(content) = content(&new, side)
        {
            entry.agreed = content;
        }
        row.entries[side.index()] = Some(entry);
        self.table.remove(place);
        self.table.put(into, row);
        self.know(into, side, mark.known[side.index()]);
        self.table.mark_mut(into, |joined| joined.object_type = mark.object_type);
        Some(into)
    }

    fn duplicate(&mut self, place: Place, side: Side, other: Place, holder: &Row) {
        let is_sure = self.table.mark(other).known[side.index()];
        let Some(entry) = holder.entries[side.index()].as_ref().filter(|_| is_sure) else {
            // The other one may be gone: that shows in the next run.
            return self.table.mark_mut(place, |mark| mark.held = true);
        };
        self.quarantine(place, side, format!("{DUPLICATE}{}", entry.href));
    }

    /// Links new items that differ in their key alone, where each is the only one of its content.
    fn match_contents(&mut self) {
        let mut found: BTreeMap<Digest, [Vec<Place>; 2]> = BTreeMap::new();
        for (side, place) in self.loose() {
            let Some(row) = self.table.row(place).filter(|row| row.quarantine.is_none()) else { continue };
            if let Some(content) = content(&row, side).filter(|_| !self.table.mark(place).held) {
                found.entry(content.digest).or_default()[side.index()].push(place);
            }
        }
        for [a, b] in found.into_values() {
            if let ([a], [b]) = (a.as_slice(), b.as_slice()) {
                self.link(*a, *b);
            }
        }
    }

    /// One of the two keys stands for both: a UID before an href, then the lower one.
    fn link(&mut self, a: Place, b: Place) {
        let rank = |place, side| {
            let row = self.table.packed(place)?;
            Some((row.href(side) == Some(row.key()), row.key()))
        };
        if rank(a, Side::A) <= rank(b, Side::B) {
            self.join(a, b, Side::B);
        } else {
            self.join(b, a, Side::A);
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
        if loose_side(&row).is_some() || (row.quarantine.is_some() && !is_duplicate(&row)) {
            return;
        }
        let collision = self.others_with_key(place, &row).into_iter().find_map(|(other, holder)| {
            let side =
                Side::BOTH.into_iter().find(|side| is_present(&holder, *side) && is_present(&row, *side))?;
            Some((side, other, holder))
        });
        match collision {
            Some((side, other, holder)) => self.duplicate(place, side, other, &holder),
            None if is_duplicate(&row) => self.change(place, |row| row.quarantine = None),
            None => {}
        }
    }
}

/// Whether `holder` keeps the key that the new `row` has too: the row that was there first, and of
/// two new ones the one with the lower name.
fn outranks(holder: &Row, row: &Row, side: Side) -> bool {
    let name = |row: &Row| row.entries[side.index()].as_ref().map(|entry| entry.href.clone());
    loose_side(holder) != Some(side) || name(holder) < name(row)
}
