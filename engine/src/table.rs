//! Table: all rows of a collection, found by href and key, and what of them is not yet durable.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use outrigger_protocol::OperationId;

use crate::index::Index;
use crate::journal::Record;
use crate::packed::Packed;
use crate::row::{MemberIndex, Row, RowId};
use crate::rows::Rows;

/// The place of a row in the table; holds for one run.
pub(crate) type Place = u32;

/// What a run knows of a row besides what is durable.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    /// It may belong to another row, which this run cannot tell: hands off.
    pub(crate) held: bool,
    /// Its contents are with the judge, or were in this run.
    pub(crate) asked: bool,
    /// Its key changed in this run, or is known to be another row's.
    pub(crate) rekeyed: bool,
    /// How often a decision for it was taken back.
    pub(crate) attempts: u8,
    /// Its object type's number.
    pub(crate) object_type: u8,
    /// The store has it.
    stored: bool,
}

/// What a run knows of one member's part of a row: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// What the row says was confirmed in this run.
    Known = 1,
    /// A listing of this run named it.
    Listed = 2,
    /// It was reported as pending, and nothing was learnt of it since.
    Pending = 4,
    /// Its deletion is one that the guard has counted.
    DeletionPlanned = 8,
    /// It waits until the member has room for more writes.
    Waiting = 16,
    /// A lot has a part for it.
    Underway = 32,
    /// A write of it is in doubt: hands off.
    Doubt = 64,
    /// The member has given it another name in this run (decisions X4): what was asked before may use
    /// the old one.
    Renamed = 128,
}

/// All rows of a collection.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Option<Packed>>,
    marks: Vec<Mark>,
    /// [`Flag`]s, by row, then by member.
    flags: Vec<u8>,
    /// By member; made when they are first needed, which in a quiet run is never.
    hrefs: Vec<OnceCell<Index>>,
    keys: OnceCell<Index>,
    /// By member: where the next item of its listing is looked for first.
    next: Vec<[Place; 2]>,
    last_row: u64,
    dirty: BTreeSet<Place>,
    dropped: Vec<RowId>,
    settled: BTreeMap<Place, Vec<Record>>,
}

impl Table {
    pub(crate) fn load(rows: Rows, last_row: u64, members: usize) -> Self {
        let rows = rows.into_sorted();
        let last_row = rows.last().map_or(last_row, |row| last_row.max(row.id().0));
        let stored = Mark { stored: true, ..Mark::default() };
        Self {
            marks: vec![stored; rows.len()],
            flags: vec![0; rows.len() * members],
            hrefs: vec![OnceCell::new(); members],
            next: vec![[0; 2]; members],
            rows: rows.into_iter().map(Some).collect(),
            last_row,
            ..Self::default()
        }
    }

    fn insert(&mut self, row: Row) -> Place {
        // More rows than 2^32 do not fit the memory that holds them.
        let place = Place::try_from(self.rows.len()).unwrap_or(Place::MAX);
        if self.rows.len() == self.rows.capacity() {
            // An eighth: doubling would cost more memory than the rows.
            let more = self.rows.len() / 8 + 64;
            self.rows.reserve_exact(more);
            self.marks.reserve_exact(more);
            self.flags.reserve_exact(more * self.hrefs.len());
        }
        self.rows.push(None);
        self.marks.push(Mark::default());
        self.flags.resize(self.flags.len() + self.hrefs.len(), 0);
        self.set(place, Packed::from(row));
        place
    }

    /// Puts a row into its place; names that it had before stay where they are.
    fn set(&mut self, place: Place, packed: Packed) {
        let Some(slot) = self.rows.get_mut(place as usize) else { return };
        let before = slot.take();
        let old_key = before.as_ref().map(Packed::key);
        rename(&mut self.keys, old_key, Some(packed.key()), place);
        let old_names = before.iter().flat_map(Packed::hrefs).chain(std::iter::repeat(None));
        for ((index, old), new) in self.hrefs.iter_mut().zip(old_names).zip(packed.hrefs()) {
            rename(index, old, new, place);
        }
        *slot = Some(packed);
    }

    fn unset(&mut self, place: Place) -> Option<Packed> {
        let packed = self.rows.get_mut(place as usize)?.take()?;
        rename(&mut self.keys, Some(packed.key()), None, place);
        for (index, href) in self.hrefs.iter_mut().zip(packed.hrefs()) {
            rename(index, href, None, place);
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

    /// The row has become part of another one. That it is gone becomes durable together with that: what is
    /// in no row is never seen again at a member that names each change once.
    pub(crate) fn remove_into(&mut self, place: Place, into: Place) {
        let Some(packed) = self.unset(place) else { return };
        self.dirty.remove(&place);
        let mut records = self.settled.remove(&place).unwrap_or_default();
        records.extend(self.mark(place).stored.then(|| Record::DropRow(packed.id())));
        if !records.is_empty() {
            self.settled.entry(into).or_default().extend(records);
        }
    }

    /// The write is answered, or will never be sent; durable together with its row.
    pub(crate) fn settle(&mut self, place: Place, operation: OperationId) {
        self.settled.entry(place).or_default().push(Record::Settled(operation));
    }

    /// A write of this row is known not to have happened: that becomes durable with the row.
    pub(crate) fn not_done(&mut self, place: Place, operation: OperationId) {
        self.settled.entry(place).or_default().push(Record::NotDone(operation));
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

    fn flags_of(&mut self, place: Place, member: MemberIndex) -> Option<&mut u8> {
        let at = place as usize * self.hrefs.len() + member.index();
        self.flags.get_mut(at).filter(|_| member.index() < self.hrefs.len())
    }

    pub(crate) fn has(&self, place: Place, member: MemberIndex, flag: Flag) -> bool {
        let at = place as usize * self.hrefs.len() + member.index();
        self.flags.get(at).is_some_and(|flags| flags & flag as u8 != 0)
    }

    pub(crate) fn flag(&mut self, place: Place, member: MemberIndex, flag: Flag, is_set: bool) {
        if let Some(flags) = self.flags_of(place, member) {
            *flags = if is_set { *flags | flag as u8 } else { *flags & !(flag as u8) };
        }
    }

    /// Whether any member's part of the row has the flag.
    pub(crate) fn any_has(&self, place: Place, flag: Flag) -> bool {
        let from = place as usize * self.hrefs.len();
        let flags = self.flags.get(from..from + self.hrefs.len()).unwrap_or_default();
        flags.iter().any(|flags| flags & flag as u8 != 0)
    }

    /// Places of all rows, in the order in which they were added.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        0..Place::try_from(self.rows.len()).unwrap_or(Place::MAX)
    }

    pub(crate) fn by_href(&self, member: MemberIndex, href: &[u8]) -> Option<Place> {
        let named = self.all_by_href(member, href);
        let holds = |place: &&Place| self.packed(**place).is_some_and(|row| row.is_present(member));
        // A name may have been used again while a deletion under it still waits.
        named.iter().find(holds).or_else(|| named.first()).copied()
    }

    /// The same in a listing. Members name their items in much the same order each time, so behind the
    /// last one that was found is looked first; and behind the one before that, where an item has come
    /// between.
    pub(crate) fn next_by_href(&mut self, member: MemberIndex, href: &[u8]) -> Option<Place> {
        let [first, second] = self.next.get(member.index()).copied()?;
        let is_it = |place: &Place| {
            let entry = self.packed(*place).and_then(|row| row.entry(member));
            entry.is_some_and(|entry| entry.href == href && entry.is_present())
        };
        let guessed = [first, second].into_iter().find(is_it);
        let found = guessed.or_else(|| self.by_href(member, href))?;
        let other = if found == first { second } else { first };
        self.next[member.index()] = [found.saturating_add(1), other];
        Some(found)
    }

    fn href_index(&self, member: MemberIndex) -> Index {
        let rows = self.places().filter_map(|place| Some((place, self.packed(place)?)));
        Index::of(rows.filter_map(|(place, row)| Some((row.href(member)?, place))))
    }

    fn key_index(&self) -> Index {
        Index::of(self.places().filter_map(|place| Some((self.packed(place)?.key(), place))))
    }

    /// All rows that the member calls so: one that is there, and those whose item is gone.
    pub(crate) fn all_by_href(&self, member: MemberIndex, href: &[u8]) -> Vec<Place> {
        let named = |place: &Place| self.packed(*place).is_some_and(|row| row.href(member) == Some(href));
        let index = self.hrefs.get(member.index()).into_iter();
        let index = index.map(|index| index.get_or_init(|| self.href_index(member)));
        index.flat_map(|index| index.candidates(href)).filter(named).collect()
    }

    /// Rows with this key, lowest number first: several where an item is a duplicate.
    pub(crate) fn by_key(&self, key: &[u8]) -> Vec<Place> {
        let is_it = |place: &Place| self.packed(*place).is_some_and(|row| row.key() == key);
        let index = self.keys.get_or_init(|| self.key_index());
        let mut places: Vec<Place> = index.candidates(key).filter(is_it).collect();
        places.sort_unstable();
        places
    }

    /// The row with this number; only before any was removed, while they lie in order.
    pub(crate) fn by_id(&self, id: RowId) -> Option<Place> {
        let is_lower = |row: &Option<Packed>| row.as_ref().is_some_and(|row| row.id() < id);
        let place = Place::try_from(self.rows.partition_point(is_lower)).ok()?;
        self.packed(place).filter(|row| row.id() == id).map(|_| place)
    }

    /// Whether something is agreed with the member.
    pub(crate) fn was_in_step(&self, member: MemberIndex) -> bool {
        let mut present = self.rows.iter().flatten().filter(|row| row.is_present(member));
        present.any(|row| row.row().entry(member).is_some_and(|entry| entry.have > 0))
    }

    /// Items known at a member.
    pub(crate) fn count_at(&self, member: MemberIndex) -> u64 {
        self.rows.iter().flatten().filter(|row| row.is_present(member)).count() as u64
    }

    /// What must be durable before a write for this row.
    pub(crate) fn records_of(&mut self, place: Place, records: &mut Vec<Record>) {
        records.extend(self.dropped.drain(..).map(Record::DropRow));
        if self.dirty.remove(&place)
            && let Some(row) = self.row(place)
        {
            records.push(Record::Row(Box::new(row)));
            self.mark_mut(place, |mark| mark.stored = true);
        }
        records.extend(self.settled.remove(&place).into_iter().flatten());
    }

    /// Whatever else is not durable: rows that are gone, then at most `limit` rows.
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

/// What had the one name has the other; an index that was not made yet will see that.
fn rename(index: &mut OnceCell<Index>, old: Option<&[u8]>, new: Option<&[u8]>, place: Place) {
    if let Some(index) = index.get_mut().filter(|_| old != new) {
        old.into_iter().for_each(|old| index.remove(old, place));
        new.into_iter().for_each(|new| index.insert(new, place));
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
            base: None,
            entries: vec![Some(entry), None],
            supplied: None,
            conflict: None,
            quarantine: Vec::new(),
        }
    }

    fn records(table: &mut Table) -> Vec<Record> {
        let mut records = Vec::new();
        table.records(100, &mut records);
        records
    }

    #[test]
    fn rows_are_found_by_href_and_key_and_follow_a_change() {
        let mut table = Table::load(Rows::default(), 4, 2);
        let place = table.add(row("k", "h"));
        assert_eq!(table.row(place).unwrap().id, RowId(5));
        assert_eq!(table.by_href(MemberIndex(0), b"h"), Some(place));
        assert_eq!(table.by_href(MemberIndex(1), b"h"), None);
        let mut moved = table.row(place).unwrap();
        moved.key = Key((*b"k2").into());
        table.put(place, moved);
        assert!(table.by_key(b"k").is_empty());
        assert_eq!(table.by_key(b"k2"), [place]);
        table.remove(place);
        assert!(table.by_key(b"k2").is_empty());
        assert_eq!(table.by_href(MemberIndex(0), b"h"), None);
    }

    #[test]
    fn only_what_differs_becomes_a_record() {
        let mut table = Table::load([row("k", "h")].into_iter().collect(), 0, 2);
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
    fn a_row_that_became_part_of_another_goes_with_that() {
        let mut table = Table::load([row("k", "h")].into_iter().collect(), 0, 2);
        let (place, into, other) = (0, table.add(row("k", "g")), table.add(row("n", "i")));
        table.remove_into(place, into);
        let mut records = Vec::new();
        table.records_of(other, &mut records);
        assert!(matches!(records.as_slice(), [Record::Row(_)]));
        records.clear();
        table.records_of(into, &mut records);
        assert!(matches!(records.as_slice(), [Record::Row(_), Record::DropRow(RowId(0))]));
    }

    #[test]
    fn a_settled_write_is_durable_with_its_row() {
        let mut table = Table::load(Rows::default(), 0, 2);
        let place = table.add(row("k", "h"));
        table.settle(place, OperationId(uuid::Uuid::from_u128(1)));
        let records = records(&mut table);
        assert!(matches!(records.as_slice(), [Record::Row(_), Record::Settled(_)]));
    }
}
