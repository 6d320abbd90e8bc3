//! Undo: bytes that a run took away become a content that the next run writes to all members.
//!
//! A run may have taken away several contents of one item: one at each member, or the same one twice. What a
//! member made itself counts before what it had been brought; of those, what was taken away first.

use std::collections::{BTreeMap, HashMap, HashSet, btree_map::Entry};

use outrigger_engine::{Canonical, Content, Key, Row, RowId, Supplied};
use rusqlite::Connection;

use crate::{
    collection::Collection,
    column::{blob, optional_blob, uint},
    error::ErrorKind,
    load,
    run::RunId,
    tables::Tables,
    undo::{self, UndoEntry, UndoId},
};

/// What became of one entry of the undo journal that was to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The entry.
    pub entry: UndoId,
    /// What was done.
    pub outcome: UndoOutcome,
}

/// What undoing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoOutcome {
    /// The next run writes these bytes to all members.
    Restored {
        /// The row of the item.
        row: RowId,
        /// The item was gone: it is made anew.
        created: bool,
    },
    /// The item is agreed to be like that already: nothing was done.
    Unchanged {
        /// The row of the item.
        row: RowId,
    },
    /// Another entry of the same item was undone, of bytes that had been taken away before these.
    Superseded {
        /// That entry.
        by: UndoId,
        /// Its bytes are the same as these. Otherwise these are still only in the journal, and can be
        /// undone on their own.
        same: bool,
    },
    /// There is no such entry of this run, or not any more.
    Missing,
    /// Its collection is none of those that were named.
    OtherCollection,
}

/// Undoes `items` of `run`, or all of it. Tells of each in the order in which the bytes were taken away.
///
/// # Errors
/// [`ErrorKind::Invalid`] in a copy without the bytes. The caller must roll back.
pub(crate) fn undo(
    db: &Connection,
    collections: &[Collection],
    run: RunId,
    items: Option<&[UndoId]>,
) -> Result<Vec<Undone>, ErrorKind> {
    let mut entries = undo::entries(db, run)?;
    let mut undone = Vec::new();
    if let Some(items) = items {
        let wanted: HashSet<UndoId> = items.iter().copied().collect();
        entries.retain(|entry| wanted.contains(&entry.id));
        let known: HashSet<UndoId> = entries.iter().map(|entry| entry.id).collect();
        let missing = items.iter().filter(|item| !known.contains(item));
        undone.extend(missing.map(|item| Undone { entry: *item, outcome: UndoOutcome::Missing }));
    }
    let mut restores = BTreeMap::new();
    entries.sort_by_key(|entry| !entry.own);
    for entry in &entries {
        let outcome = match collections.iter().find(|collection| collection.name == entry.collection) {
            Some(collection) => restore_of(&mut restores, db, collection)?.item(entry)?,
            None => UndoOutcome::OtherCollection,
        };
        undone.push(Undone { entry: entry.id, outcome });
    }
    undone.sort_by_key(|undone| undone.entry);
    Ok(undone)
}

fn restore_of<'r, 'a>(
    restores: &'r mut BTreeMap<&'a str, Restore<'a>>,
    db: &'a Connection,
    collection: &'a Collection,
) -> Result<&'r mut Restore<'a>, ErrorKind> {
    Ok(match restores.entry(&collection.name) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => place.insert(Restore::new(db, collection)?),
    })
}

/// Undoing in one collection.
struct Restore<'a> {
    tables: Tables<'a>,
    rows: Index,
    restored: HashMap<RowId, (UndoId, Content)>,
}

impl<'a> Restore<'a> {
    fn new(db: &'a Connection, collection: &Collection) -> Result<Self, ErrorKind> {
        let tables = Tables::make(db, None, collection)?;
        let rows = Index::new(&tables)?;
        Ok(Self { tables, rows, restored: HashMap::new() })
    }

    fn item(&mut self, entry: &UndoEntry) -> Result<UndoOutcome, ErrorKind> {
        let Some(data) = undo::content(self.tables.db, entry.id)? else { return Ok(UndoOutcome::Missing) };
        let Canonical { content, key } = Canonical::of(&entry.format, &data);
        let key = entry.key.clone().or(key).unwrap_or_else(|| Key(entry.href.as_bytes().into()));
        let found = self.find(entry.row, &key)?;
        let earlier = found.as_ref().and_then(|row| self.restored.get(&row.id));
        if let Some((by, first)) = earlier {
            return Ok(UndoOutcome::Superseded { by: *by, same: *first == content });
        }
        let created = found.as_ref().is_none_or(|row| row.base.is_none() && row.version > 0);
        let row = match found {
            Some(row) => row,
            None => self.tables.new_row(key.clone())?,
        };
        let id = row.id;
        self.restored.insert(id, (entry.id, content));
        if row.base == Some(content) && row.conflict.is_none() {
            return Ok(UndoOutcome::Unchanged { row: id });
        }
        let row = self.rows.take_key(row, key);
        self.tables.supply(row, Supplied { content, format: entry.format.clone(), data })?;
        Ok(UndoOutcome::Restored { row: id, created })
    }

    fn find(&self, row: Option<RowId>, key: &Key) -> Result<Option<Row>, ErrorKind> {
        let place = &self.tables.place;
        self.rows.find(row, key).map_or(Ok(None), |id| load::row(self.tables.db, place, id))
    }
}

/// The rows of a collection, by what an entry of the journal knows of its own.
struct Index {
    live: HashSet<RowId>,
    tombstones: HashSet<RowId>,
    by_key: HashMap<Key, RowId>,
}

impl Index {
    fn new(tables: &Tables<'_>) -> Result<Self, ErrorKind> {
        let mut query =
            tables.db.prepare_cached("SELECT row, key, version, base_raw FROM rows WHERE collection = ?1")?;
        let mut found = query.query([tables.place.collection])?;
        let mut index = Self { live: HashSet::new(), tombstones: HashSet::new(), by_key: HashMap::new() };
        while let Some(columns) = found.next()? {
            let is_tombstone = optional_blob(columns, 3)?.is_none() && uint(columns, 2)? > 0;
            index.add(RowId(uint(columns, 0)?), Key(blob(columns, 1)?.into()), is_tombstone);
        }
        Ok(index)
    }

    /// Of two rows with one key the live one counts.
    fn add(&mut self, row: RowId, key: Key, is_tombstone: bool) {
        if is_tombstone {
            self.tombstones.insert(row);
            self.by_key.entry(key).or_insert(row);
        } else {
            self.live.insert(row);
            self.by_key.insert(key, row);
        }
    }

    /// The row that an item belongs to now: its own, unless that is deleted and another has its key.
    fn find(&self, row: Option<RowId>, key: &Key) -> Option<RowId> {
        let own = row.filter(|row| self.live.contains(row));
        let namesake = self.by_key.get(key).copied();
        let live = namesake.filter(|row| self.live.contains(row));
        own.or(live).or(row.filter(|row| self.tombstones.contains(row))).or(namesake)
    }

    /// The item is called `key` again, unless another one is.
    fn take_key(&mut self, row: Row, key: Key) -> Row {
        match self.by_key.get(&key) {
            Some(other) if *other != row.id => row,
            _ => {
                self.add(row.id, key.clone(), false);
                Row { key, ..row }
            }
        }
    }
}
