//! From tables to a snapshot.
//!
//! Rows and entries lie in the order of their numbers, so two scans side by side put them
//! together without a look-up per row.

use std::collections::HashSet;

use outrigger_engine::{Charge, Conflict, Entry, Intent, Key, Observed, Row, RowId, Snapshot};
use outrigger_protocol::{Anchor, Href, RawDigest, Revision, StoreId};
use rusqlite::{CachedStatement, Connection, Row as Columns};

use crate::{
    collection::{Collection, Place},
    column::{array, blob, content, kind, operation, optional_blob, put, some_content, uint},
    error::ErrorKind,
};

/// `entries.state`.
pub(crate) const GONE: i64 = 0;
pub(crate) const PRESENT: i64 = 1;
pub(crate) const SETTLED: i64 = 2;

/// Everything that is known of `collection`; an empty snapshot where that is nothing.
///
/// # Errors
/// [`ErrorKind::Corrupt`] for content that was never written here, and what SQLite says.
pub(crate) fn load(db: &Connection, collection: &Collection) -> Result<Snapshot, ErrorKind> {
    let Some(place) = Place::find(db, collection)? else {
        return Ok(Snapshot::default());
    };
    let mut snapshot = Snapshot {
        rows: rows(db, place)?,
        intents: intents(db, place)?,
        last_row: last_row(db, place)?,
        ..Snapshot::default()
    };
    entries(db, place, &mut snapshot.rows)?;
    conflicts(db, place, &mut snapshot.rows)?;
    forget_other_members(db, place, &mut snapshot.rows)?;
    feeds(db, place, &mut snapshot)?;
    snapshot.charges = charges(db, place)?;
    Ok(snapshot)
}

fn last_row(db: &Connection, place: Place) -> Result<u64, ErrorKind> {
    let mut query = db.prepare_cached("SELECT last_row FROM collections WHERE id = ?1")?;
    let mut found = query.query([place.collection])?;
    found.next()?.map_or(Ok(0), |columns| uint(columns, 0))
}

fn rows(db: &Connection, place: Place) -> Result<Vec<Row>, ErrorKind> {
    let query = db.prepare_cached(
        "SELECT row, key, version, quarantine FROM rows WHERE collection = ?1 ORDER BY row",
    )?;
    collect(query, place.collection, |columns| {
        Ok(Row {
            id: RowId(uint(columns, 0)?),
            key: Key(blob(columns, 1)?.into()),
            version: uint(columns, 2)?,
            entries: [None, None],
            conflict: None,
            quarantine: columns.get(3)?,
        })
    })
}

fn collect<T>(
    mut query: CachedStatement<'_>,
    collection: i64,
    decode: impl Fn(&Columns<'_>) -> Result<T, ErrorKind>,
) -> Result<Vec<T>, ErrorKind> {
    let mut found = query.query([collection])?;
    let mut all = Vec::new();
    while let Some(columns) = found.next()? {
        all.push(decode(columns)?);
    }
    Ok(all)
}

fn entries(db: &Connection, place: Place, rows: &mut [Row]) -> Result<(), ErrorKind> {
    const SQL: &str =
        "SELECT row, member, href, digest, raw, have, rewritten, state, revision, seen_digest, seen_raw
        FROM entries WHERE collection = ?1 ORDER BY row, member";
    each(db, SQL, place, rows, |row, columns| {
        if let Some(side) = place.side(columns.get(1)?) {
            put(&mut row.entries, side, entry(columns)?);
        }
        Ok(())
    })
}

/// Walks over what belongs to rows, in their order; what belongs to none is left out.
fn each(
    db: &Connection,
    sql: &str,
    place: Place,
    rows: &mut [Row],
    mut put: impl FnMut(&mut Row, &Columns<'_>) -> Result<(), ErrorKind>,
) -> Result<(), ErrorKind> {
    let mut query = db.prepare_cached(sql)?;
    let mut found = query.query([place.collection])?;
    let mut rows = rows.iter_mut().peekable();
    while let Some(columns) = found.next()? {
        let id = RowId(uint(columns, 0)?);
        while rows.next_if(|row| row.id < id).is_some() {}
        if let Some(row) = rows.peek_mut().filter(|row| row.id == id) {
            put(row, columns)?;
        }
    }
    Ok(())
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

fn conflicts(db: &Connection, place: Place, rows: &mut [Row]) -> Result<(), ErrorKind> {
    const SQL: &str =
        "SELECT row, member, digest, raw FROM conflicts WHERE collection = ?1 ORDER BY row, member";
    each(db, SQL, place, rows, |row, columns| {
        if let Some(side) = place.side(columns.get(1)?) {
            let conflict = row.conflict.get_or_insert(Conflict { contents: [None, None] });
            conflict.contents[side.index()] = content(columns, 2)?;
        }
        Ok(())
    })
}

/// Leaves out rows that only members of earlier times have to do with: to these two they are
/// nothing. They stay in the file, for the day when a member is renamed back.
fn forget_other_members(db: &Connection, place: Place, rows: &mut Vec<Row>) -> Result<(), ErrorKind> {
    if rows.iter().all(|row| row.entries.iter().any(Option::is_some)) {
        return Ok(());
    }
    let others = others(db, place)?;
    rows.retain(|row| row.entries.iter().any(Option::is_some) || !others.contains(&row.id));
    Ok(())
}

fn others(db: &Connection, place: Place) -> Result<HashSet<RowId>, ErrorKind> {
    let query = db.prepare_cached("SELECT row, member FROM entries WHERE collection = ?1")?;
    let entries = collect(query, place.collection, |columns| {
        Ok((RowId(uint(columns, 0)?), place.side(columns.get(1)?)))
    })?;
    Ok(entries.into_iter().filter(|(_, side)| side.is_none()).map(|(row, _)| row).collect())
}

fn intents(db: &Connection, place: Place) -> Result<Vec<Intent>, ErrorKind> {
    let query = db.prepare_cached(
        "SELECT operation, row, member, kind, href, key, expected_revision, expected_digest, expected_raw,
            digest, raw, version FROM intents WHERE collection = ?1 ORDER BY id",
    )?;
    let intents = collect(query, place.collection, |columns| intent(place, columns))?;
    Ok(intents.into_iter().flatten().collect())
}

/// `None`: a write to a member of earlier times, which cannot be asked what became of it.
fn intent(place: Place, columns: &Columns<'_>) -> Result<Option<Intent>, ErrorKind> {
    let Some(side) = place.side(columns.get(2)?) else {
        return Ok(None);
    };
    let expected = match optional_blob(columns, 6)? {
        Some(revision) => Some((Revision::from(revision), some_content(columns, 7)?)),
        None => None,
    };
    Ok(Some(Intent {
        operation: operation(columns, 0)?,
        row: RowId(uint(columns, 1)?),
        side,
        kind: kind(columns.get(3)?)?,
        href: Href::from(blob(columns, 4)?),
        key: Key(blob(columns, 5)?.into()),
        expected,
        content: content(columns, 9)?,
        version: uint(columns, 11)?,
    }))
}

fn charges(db: &Connection, place: Place) -> Result<Vec<Charge>, ErrorKind> {
    let query = db.prepare_cached(
        "SELECT member, subject, crashes FROM charges WHERE collection = ?1 ORDER BY member, subject",
    )?;
    let charges = collect(query, place.collection, |columns| {
        let Some(side) = place.side(columns.get(0)?) else { return Ok(None) };
        Ok(Some(Charge { side, subject: RawDigest(array(columns, 1)?), crashes: columns.get(2)? }))
    })?;
    Ok(charges.into_iter().flatten().collect())
}

fn feeds(db: &Connection, place: Place, snapshot: &mut Snapshot) -> Result<(), ErrorKind> {
    let mut query = db.prepare_cached("SELECT member, anchor, store FROM feeds WHERE collection = ?1")?;
    let mut found = query.query([place.collection])?;
    while let Some(columns) = found.next()? {
        if let Some(side) = place.side(columns.get(0)?) {
            snapshot.anchors[side.index()] = optional_blob(columns, 1)?.map(Anchor::from);
            snapshot.stores[side.index()] = optional_blob(columns, 2)?.map(StoreId::from);
        }
    }
    Ok(())
}
