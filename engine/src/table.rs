//! Table: all rows of a collection, found by href and key, and what of them is not yet durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use outrigger_protocol::OperationId;

use crate::index::Index;
use crate::journal::Record;
use crate::packed::{Packed, Seen};
use crate::row::{Row, RowId, Side};

/// The place of a row in the table; holds for one run.
pub(crate) type Place = u32;

/// What a run knows of a row besides what is durable.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    /// Per member: what the row says was confirmed in this run.
    pub(crate) known: [bool; 2],
    /// Per member: a listing of this run named it.
    pub(crate) listed: [bool; 2],
    /// Per member: it was reported as pending, and nothing was learnt of it since.
    pub(crate) pending: [bool; 2],
    /// A write of an earlier run is in doubt: hands off.
    pub(crate) held: bool,
    /// Its contents are with the comparer, or were in this run.
    pub(crate) asked: bool,
    /// A deletion that the guard has counted.
    pub(crate) deletion_planned: bool,
    /// Its key changed in this run, or is known to be another row's.
    pub(crate) rekeyed: bool,
    /// How often a decision for it was taken back.
    pub(crate) attempts: u8,
    /// Its object type's number.
    pub(crate) object_type: u8,
    /// The store has it.
    stored: bool,
}

/// All rows of a collection.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Option<Packed>>,
    marks: Vec<Mark>,
    hrefs: [Index; 2],
    keys: Index,
    last_row: u64,
    dirty: BTreeSet<Place>,
    dropped: Vec<RowId>,
    settled: BTreeMap<Place, Vec<OperationId>>,
}

impl Table {
    pub(crate) fn load(rows: Vec<Row>, last_row: u64) -> Self {
        let mut table = Self { last_row, ..Self::default() };
        table.rows.reserve_exact(rows.len());
        table.marks.reserve_exact(rows.len());
        let mut rows = VecDeque::from(rows);
        while let Some(row) = rows.pop_front() {
            // All rows in both forms would be the most memory that a quiet run takes.
            if rows.len() < rows.capacity() / 2 {
                rows.shrink_to_fit();
            }
            table.last_row = table.last_row.max(row.id.0);
            let place = table.insert(row);
            table.mark_mut(place, |mark| mark.stored = true);
        }
        table
    }

    fn insert(&mut self, row: Row) -> Place {
        // More rows than 2^32 do not fit the memory that holds them.
        let place = Place::try_from(self.rows.len()).unwrap_or(Place::MAX);
        if self.rows.len() == self.rows.capacity() {
            // An eighth: doubling would cost more memory than the rows.
            self.rows.reserve_exact(self.rows.len() / 8 + 64);
        }
        self.rows.push(None);
        self.marks.push(Mark::default());
        self.set(place, Packed::from(row));
        place
    }

    fn set(&mut self, place: Place, packed: Packed) {
        self.unset(place);
        self.keys.insert(packed.key(), place);
        for side in Side::BOTH {
            if let Some(href) = packed.href(side) {
                self.hrefs[side.index()].insert(href, place);
            }
        }
        if let Some(slot) = self.rows.get_mut(place as usize) {
            *slot = Some(packed);
        }
    }

    fn unset(&mut self, place: Place) -> Option<Packed> {
        let packed = self.rows.get_mut(place as usize)?.take()?;
        self.keys.remove(packed.key(), place);
        for side in Side::BOTH {
            if let Some(href) = packed.href(side) {
                self.hrefs[side.index()].remove(href, place);
            }
        }
        Some(packed)
    }

    /// Adds a row under a number of its own; `row.id` is set here.
    pub(crate) fn add(&mut self, mut row: Row) -> Place {
        self.last_row += 1;
        row.id = RowId(self.last_row);
        let place = self.insert(row);
        self.dirty.insert(place);
        place
    }

    /// Puts a row back; it becomes a record only if it differs.
    pub(crate) fn put(&mut self, place: Place, row: Row) {
        if self.row(place).as_ref() != Some(&row) {
            self.set(place, Packed::from(row));
            self.dirty.insert(place);
        }
    }

    pub(crate) fn remove(&mut self, place: Place) {
        let Some(packed) = self.unset(place) else { return };
        self.dirty.remove(&place);
        if self.mark(place).stored {
            self.dropped.push(packed.id());
        }
    }

    /// The write is answered, or will never be sent; durable together with its row.
    pub(crate) fn settle(&mut self, place: Place, operation: OperationId) {
        self.settled.entry(place).or_default().push(operation);
    }

    pub(crate) fn packed(&self, place: Place) -> Option<&Packed> {
        self.rows.get(place as usize)?.as_ref()
    }

    pub(crate) fn row(&self, place: Place) -> Option<Row> {
        self.packed(place).map(Packed::row)
    }

    pub(crate) fn mark(&self, place: Place) -> Mark {
        self.marks.get(place as usize).copied().unwrap_or_default()
    }

    pub(crate) fn mark_mut(&mut self, place: Place, change: impl FnOnce(&mut Mark)) {
        if let Some(mark) = self.marks.get_mut(place as usize) {
            change(mark);
        }
    }

    /// Places of all rows, in the order in which they were added.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        0..Place::try_from(self.rows.len()).unwrap_or(Place::MAX)
    }

    pub(crate) fn by_href(&self, side: Side, href: &[u8]) -> Option<Place> {
        let row = |place: &Place| self.packed(*place).filter(|row| row.href(side) == Some(href));
        let named = |place: &Place| row(place).is_some();
        let holds =
            |place: &Place| row(place).is_some_and(|row| matches!(row.seen(side), Seen::Present { .. }));
        let candidates = || self.hrefs[side.index()].candidates(href);
        // A name may have been used again while a deletion under it still waits.
        candidates().find(holds).or_else(|| candidates().find(named))
    }

    /// Rows with this key, lowest number first: several where an item is a duplicate.
    pub(crate) fn by_key(&self, key: &[u8]) -> Vec<Place> {
        let is_it = |place: &Place| self.packed(*place).is_some_and(|row| row.key() == key);
        self.keys.candidates(key).filter(is_it).collect()
    }

    pub(crate) fn by_id(&self, id: RowId) -> Option<Place> {
        self.places().find(|place| self.packed(*place).is_some_and(|row| row.id() == id))
    }

    /// Items known at a member.
    pub(crate) fn count_at(&self, side: Side) -> u64 {
        let holds = |row: &&Packed| matches!(row.seen(side), Seen::Present { .. });
        self.rows.iter().flatten().filter(holds).count() as u64
    }

    /// What must be durable before a write for this row.
    pub(crate) fn records_of(&mut self, place: Place, records: &mut Vec<Record>) {
        if self.dirty.remove(&place)
            && let Some(row) = self.row(place)
        {
            records.push(Record::Row(Box::new(row)));
            self.mark_mut(place, |mark| mark.stored = true);
        }
        let settled = self.settled.remove(&place).unwrap_or_default();
        records.extend(settled.into_iter().map(Record::Settled));
    }

    /// Whatever else is not durable: rows that are gone, then at most `limit` rows. Gone ones come
    /// first: a crash between two batches may then forget a row, and never doubles one.
    pub(crate) fn records(&mut self, limit: usize, records: &mut Vec<Record>) {
        records.extend(self.dropped.drain(..).map(Record::DropRow));
        let free = |place: &&Place| !self.dirty.contains(place);
        let clean: Vec<Place> = self.settled.keys().filter(free).copied().collect();
        let some: Vec<Place> = self.dirty.iter().take(limit).copied().collect();
        for place in clean.into_iter().chain(some) {
            self.records_of(place, records);
        }
    }
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::{Href, RawDigest, Revision};

    use super::*;
    use crate::row::{Content, Digest, Entry, Key, Observed};

    fn row(key: &str, href: &str) -> Row {
        let content = Content { digest: Digest([0; 32]), raw: RawDigest([0; 32]) };
        let observed = Observed::Present { revision: Revision::from("1"), settled: true, content };
        let entry = Entry { href: Href::from(href), agreed: content, have: 0, rewritten: false, observed };
        Row {
            id: RowId(0),
            key: Key(key.as_bytes().into()),
            version: 0,
            entries: [Some(entry), None],
            conflict: None,
            quarantine: None,
        }
    }

    fn records(table: &mut Table) -> Vec<Record> {
        let mut records = Vec::new();
        table.records(100, &mut records);
        records
    }

    #[test]
    fn rows_are_found_by_href_and_key_and_follow_a_change() {
        let mut table = Table::load(vec![], 4);
        let place = table.add(row("k", "h"));
        assert_eq!(table.row(place).unwrap().id, RowId(5));
        assert_eq!(table.by_href(Side::A, b"h"), Some(place));
        assert_eq!(table.by_href(Side::B, b"h"), None);
        let mut moved = table.row(place).unwrap();
        moved.key = Key((*b"k2").into());
        table.put(place, moved);
        assert!(table.by_key(b"k").is_empty());
        assert_eq!(table.by_key(b"k2"), [place]);
        table.remove(place);
        assert!(table.by_key(b"k2").is_empty());
        assert_eq!(table.by_href(Side::A, b"h"), None);
    }

    #[test]
    fn only_what_differs_becomes_a_record() {
        let mut table = Table::load(vec![row("k", "h")], 0);
        let place = table.by_key(b"k")[0];
        let same = table.row(place).unwrap();
        table.put(place, same);
        assert!(records(&mut table).is_empty());
        let new = table.add(row("n", "g"));
        table.remove(new);
        assert!(records(&mut table).is_empty(), "the store never knew it");
        table.remove(place);
        assert_eq!(records(&mut table), [Record::DropRow(RowId(0))]);
    }

    #[test]
    fn a_settled_write_is_durable_with_its_row() {
        let mut table = Table::load(vec![], 0);
        let place = table.add(row("k", "h"));
        table.settle(place, OperationId(uuid::Uuid::from_u128(1)));
        let records = records(&mut table);
        assert!(matches!(records.as_slice(), [Record::Row(_), Record::Settled(_)]));
    }
}
