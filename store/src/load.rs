//! From tables to a snapshot.
//!
//! Rows and entries lie in the order of their numbers, so two scans side by side put them
//! together without a look-up per row.

use std::ops::RangeInclusive;

use outrigger_engine::{
    Charge, Conflict, Entry, Intent, Key, Observed, Quarantine, Row, RowId, Snapshot, Supplied,
};
use outrigger_protocol::{Anchor, Href, RawDigest, Revision, StoreId};
use rusqlite::{
    CachedStatement, Connection, Params, Row as Columns,
    fallible_streaming_iterator::FallibleStreamingIterator as _,
};

use crate::{
    collection::{Collection, Place},
    column::{array, blob, content, int, kind, operation, optional_blob, some_content, uint},
    error::ErrorKind,
};

/// `entries.state`.
pub(crate) const GONE: i64 = 0;
pub(crate) const PRESENT: i64 = 1;
pub(crate) const SETTLED: i64 = 2;

/// Everything that is known of `collection`, with a place for each of its members everywhere; no rows
/// where nothing is known.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for content that was never written here, and what SQLite says.
pub(crate) fn load(db: &Connection, collection: &Collection) -> Result<Snapshot, ErrorKind> {
    let count = collection.members.len();
    let mut snapshot =
        Snapshot { anchors: vec![None; count], stores: vec![None; count], ..Snapshot::default() };
    let Some(place) = &Place::find(db, collection)? else {
        return Ok(snapshot);
    };
    // What only members of earlier times have to do with is nothing to these. It stays in the file, for
    // the day when a member is renamed back.
    each(db, place, 0..=i64::MAX, |row, is_others| {
        if !is_others {
            snapshot.rows.push(row);
        }
    })?;
    snapshot.intents = intents(db, place)?;
    snapshot.last_row = last_row(db, place)?;
    snapshot.charges = charges(db, place)?;
    feeds(db, place, &mut snapshot)?;
    Ok(snapshot)
}

fn last_row(db: &Connection, place: &Place) -> Result<u64, ErrorKind> {
    let mut query = db.prepare_cached("SELECT last_row FROM collections WHERE id = ?1")?;
    let mut found = query.query([place.collection])?;
    found.next()?.map_or(Ok(0), |columns| uint(columns, 0))
}

/// One row, also if only members of earlier times have to do with it; `None` where it is not.
pub(crate) fn row(db: &Connection, place: &Place, id: RowId) -> Result<Option<Row>, ErrorKind> {
    let number = int(id.0)?;
    let mut found = None;
    each(db, place, number..=number, |row, _| found = Some(row))?;
    Ok(found)
}

const ROWS: &str = "SELECT row, key, version, base_digest, base_raw FROM rows
    WHERE collection = ?1 AND row BETWEEN ?2 AND ?3 ORDER BY row";
const ENTRIES: &str =
    "SELECT row, member, href, digest, raw, have, rewritten, state, revision, seen_digest, seen_raw
    FROM entries WHERE collection = ?1 AND row BETWEEN ?2 AND ?3 ORDER BY row, member";
const CONFLICTS: &str = "SELECT row, member, digest, raw FROM conflicts
    WHERE collection = ?1 AND row BETWEEN ?2 AND ?3 ORDER BY row, member";
const QUARANTINES: &str = "SELECT row, member, reason FROM quarantines
    WHERE collection = ?1 AND row BETWEEN ?2 AND ?3 ORDER BY row, member";
const SUPPLIED: &str = "SELECT row, digest, raw, format, data FROM supplied
    WHERE collection = ?1 AND row BETWEEN ?2 AND ?3 ORDER BY row";

/// Hands over row after row, for all of them unpacked would be the most memory that a quiet run takes;
/// and whether only members of earlier times have to do with it.
fn each(
    db: &Connection,
    place: &Place,
    rows: RangeInclusive<i64>,
    mut take: impl FnMut(Row, bool),
) -> Result<(), ErrorKind> {
    let params = [place.collection, *rows.start(), *rows.end()];
    let [mut rows, mut entries] = [db.prepare_cached(ROWS)?, db.prepare_cached(ENTRIES)?];
    let mut conflicts = db.prepare_cached(CONFLICTS)?;
    let mut quarantines = db.prepare_cached(QUARANTINES)?;
    let mut supplied = db.prepare_cached(SUPPLIED)?;
    let mut beside = Beside {
        place,
        entries: Lines::of(entries.query(params)?)?,
        conflicts: Lines::of(conflicts.query(params)?)?,
        quarantines: Lines::of(quarantines.query(params)?)?,
        supplied: Lines::of(supplied.query(params)?)?,
    };
    let mut found = rows.query(params)?;
    while let Some(columns) = found.next()? {
        let mut row = plain(columns, place.members().len())?;
        let has_others = beside.add_to(&mut row)?;
        let concerns = row.supplied.is_some() || row.entries.iter().any(Option::is_some);
        take(row, has_others && !concerns);
    }
    Ok(())
}

/// A row with nothing beside it.
fn plain(columns: &Columns<'_>, members: usize) -> Result<Row, ErrorKind> {
    Ok(Row {
        id: RowId(uint(columns, 0)?),
        version: uint(columns, 2)?,
        base: content(columns, 3)?,
        ..Row::new(Key(blob(columns, 1)?.into()), members)
    })
}

/// What belongs to rows, in their order.
struct Beside<'q> {
    place: &'q Place,
    entries: Lines<'q>,
    conflicts: Lines<'q>,
    quarantines: Lines<'q>,
    supplied: Lines<'q>,
}

impl Beside<'_> {
    /// Gives a row what belongs to it; whether members of earlier times have to do with it too.
    fn add_to(&mut self, row: &mut Row) -> Result<bool, ErrorKind> {
        let (place, id, count) = (self.place, row.id, row.entries.len());
        let mut has_others = false;
        self.entries.take(id, |columns| {
            match place.index(columns.get(1)?) {
                Some(member) => row.entries[member.index()] = Some(entry(columns)?),
                None => has_others = true,
            }
            Ok(())
        })?;
        self.conflicts.take(id, |columns| {
            if let Some(member) = place.index(columns.get(1)?) {
                let conflict = row.conflict.get_or_insert_with(|| Conflict { contents: vec![None; count] });
                conflict.contents[member.index()] = content(columns, 2)?;
            }
            Ok(())
        })?;
        self.quarantines.take(id, |columns| {
            if let Some(member) = place.index(columns.get(1)?) {
                row.quarantine.push(Quarantine { member, reason: columns.get(2)? });
            }
            Ok(())
        })?;
        row.quarantine.sort_by_key(|one| one.member);
        self.supplied.take(id, |columns| {
            let (content, format, data) = (some_content(columns, 1)?, columns.get(3)?, columns.get(4)?);
            row.supplied = Some(Box::new(Supplied { content, format, data }));
            Ok(())
        })?;
        Ok(has_others)
    }
}

/// Lines of a table that begin with the number of a row, in its order.
struct Lines<'q>(rusqlite::Rows<'q>);

impl<'q> Lines<'q> {
    fn of(mut found: rusqlite::Rows<'q>) -> Result<Self, ErrorKind> {
        found.advance()?;
        Ok(Self(found))
    }

    /// Hands over those of a row; what belongs to none before it is left out.
    fn take(
        &mut self,
        id: RowId,
        mut put: impl FnMut(&Columns<'_>) -> Result<(), ErrorKind>,
    ) -> Result<(), ErrorKind> {
        while let Some(columns) = self.0.get() {
            let whose = RowId(uint(columns, 0)?);
            if whose > id {
                break;
            }
            if whose == id {
                put(columns)?;
            }
            self.0.advance()?;
        }
        Ok(())
    }
}

fn collect<T>(
    mut query: CachedStatement<'_>,
    params: impl Params,
    decode: impl Fn(&Columns<'_>) -> Result<T, ErrorKind>,
) -> Result<Vec<T>, ErrorKind> {
    let mut found = query.query(params)?;
    let mut all = Vec::new();
    while let Some(columns) = found.next()? {
        all.push(decode(columns)?);
    }
    Ok(all)
}

fn entry(columns: &Columns<'_>) -> Result<Entry, ErrorKind> {
    let agreed = some_content(columns, 3)?;
    let state = columns.get(7)?;
    let observed = match state {
        GONE => Observed::Gone,
        PRESENT | SETTLED => Observed::Present {
            revision: Revision::from(blob(columns, 8)?),
            settled: state == SETTLED,
            content: content(columns, 9)?.unwrap_or(agreed),
        },
        _ => return Err(ErrorKind::corrupt("an unknown state of an entry")),
    };
    let href = Href::from(blob(columns, 2)?);
    Ok(Entry { href, agreed, have: uint(columns, 5)?, rewritten: columns.get(6)?, observed })
}

fn intents(db: &Connection, place: &Place) -> Result<Vec<Intent>, ErrorKind> {
    let query = db.prepare_cached(
        "SELECT operation, row, member, kind, href, key, expected_revision, expected_digest, expected_raw,
            digest, raw, version FROM intents WHERE collection = ?1 ORDER BY id",
    )?;
    let intents = collect(query, [place.collection], |columns| intent(place, columns))?;
    Ok(intents.into_iter().flatten().collect())
}

/// `None`: a write to a member of earlier times, which cannot be asked what became of it.
fn intent(place: &Place, columns: &Columns<'_>) -> Result<Option<Intent>, ErrorKind> {
    let Some(member) = place.index(columns.get(2)?) else {
        return Ok(None);
    };
    let expected = match optional_blob(columns, 6)? {
        Some(revision) => Some((Revision::from(revision), some_content(columns, 7)?)),
        None => None,
    };
    Ok(Some(Intent {
        operation: operation(columns, 0)?,
        row: RowId(uint(columns, 1)?),
        member,
        kind: kind(columns.get(3)?)?,
        href: Href::from(blob(columns, 4)?),
        key: Key(blob(columns, 5)?.into()),
        expected,
        content: content(columns, 9)?,
        version: uint(columns, 11)?,
    }))
}

fn charges(db: &Connection, place: &Place) -> Result<Vec<Charge>, ErrorKind> {
    let query = db.prepare_cached(
        "SELECT member, subject, crashes FROM charges WHERE collection = ?1 ORDER BY member, subject",
    )?;
    let charges = collect(query, [place.collection], |columns| {
        let Some(member) = place.index(columns.get(0)?) else { return Ok(None) };
        Ok(Some(Charge { member, subject: RawDigest(array(columns, 1)?), crashes: columns.get(2)? }))
    })?;
    Ok(charges.into_iter().flatten().collect())
}

fn feeds(db: &Connection, place: &Place, snapshot: &mut Snapshot) -> Result<(), ErrorKind> {
    let mut query = db.prepare_cached("SELECT member, anchor, store FROM feeds WHERE collection = ?1")?;
    let mut found = query.query([place.collection])?;
    while let Some(columns) = found.next()? {
        if let Some(member) = place.index(columns.get(0)?) {
            snapshot.anchors[member.index()] = optional_blob(columns, 1)?.map(Anchor::from);
            snapshot.stores[member.index()] = optional_blob(columns, 2)?.map(StoreId::from);
        }
    }
    Ok(())
}
