//! The undo journal: bytes that a run overwrote or deleted, until they are too old or too many.

use outrigger_engine::{Key, RowId};
use outrigger_protocol::{CommitKind, Href, OperationId};
use rusqlite::{Connection, OptionalExtension as _, Row as Columns, params};

use crate::{
    column::{blob, int, kind, operation, optional_blob, uint},
    error::ErrorKind,
    files::Files,
    run::RunId,
    view,
};

/// Pages given back to the file system per call: moving them costs a write each.
const MAX_FREED_PAGES: u32 = 16 * 1024;

/// What may be pruned: nothing of run `?1`, and nothing whose write is still in doubt, since
/// recovery may yet find out that it is the only copy.
const MAY_GO: &str = "run IS NOT ?1 AND operation NOT IN (SELECT operation FROM intents)";

/// The number of an entry of the undo journal, across runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UndoId(pub i64);

/// One item that a run overwrote or deleted, without its bytes: those are
/// [`crate::Store::undo_content`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoEntry {
    /// Its number.
    pub id: UndoId,
    /// The collection that the item belongs to.
    pub collection: String,
    /// The row that it belongs to; `None`: kept by a version before 0.2.
    pub row: Option<RowId>,
    /// What the item is called across members; `None`: the same.
    pub key: Option<Key>,
    /// Whether the bytes were overwritten or deleted; `None`: the same.
    pub kind: Option<CommitKind>,
    /// The name of the member that held the bytes.
    pub member: String,
    /// What the member called the item.
    pub href: Href,
    /// The write that took the bytes away, or would have.
    pub operation: OperationId,
    /// They were that member's own, and were overruled; not what it had been brought or agreed on. Not known of
    /// what a version before 0.2 kept.
    pub own: bool,
    /// Encoding of the content.
    pub format: String,
    /// Its length in bytes.
    pub size: u64,
}

/// What pruning took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Entries of the undo journal.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What `run` overwrote or deleted, in its order.
pub(crate) fn entries(db: &Connection, run: RunId) -> Result<Vec<UndoEntry>, ErrorKind> {
    let mut query = db.prepare_cached(
        "SELECT undo.id, collections.name, members.name, href, operation, format, size,
            row, key, kind, own FROM undo
            JOIN collections ON collections.id = collection JOIN members ON members.id = member
            WHERE run = ?1 ORDER BY undo.id",
    )?;
    let mut found = query.query([run.0])?;
    let mut entries = Vec::new();
    while let Some(columns) = found.next()? {
        entries.push(entry(columns)?);
    }
    Ok(entries)
}

fn entry(columns: &Columns<'_>) -> Result<UndoEntry, ErrorKind> {
    let row = columns.get::<_, Option<i64>>(7)?.map(|_| uint(columns, 7)).transpose()?;
    Ok(UndoEntry {
        id: UndoId(columns.get(0)?),
        collection: columns.get(1)?,
        member: columns.get(2)?,
        href: Href::from(blob(columns, 3)?),
        operation: operation(columns, 4)?,
        format: columns.get(5)?,
        size: uint(columns, 6)?,
        row: row.map(RowId),
        key: optional_blob(columns, 8)?.map(|key| Key(key.into())),
        kind: columns.get::<_, Option<i64>>(9)?.map(kind).transpose()?,
        own: columns.get(10)?,
    })
}

/// The bytes of one entry; `None`: pruned, or never there.
///
/// # Errors
/// [`ErrorKind::Invalid`] in a copy, which has none of its own.
pub(crate) fn content(db: &Connection, id: UndoId) -> Result<Option<Vec<u8>>, ErrorKind> {
    let found: Option<(i64, Vec<u8>)> = db
        .prepare_cached("SELECT size, data FROM undo WHERE id = ?1")?
        .query_row([id.0], |columns| Ok((columns.get(0)?, columns.get(1)?)))
        .optional()?;
    match found {
        Some((size, data)) if usize::try_from(size) != Ok(data.len()) => {
            Err(ErrorKind::Invalid("a copy of the state has no undo bytes"))
        }
        other => Ok(other.map(|(_, data)| data)),
    }
}

/// Brings the bytes of `run` into a copy of the state, which has none.
pub(crate) fn bring(files: &Files, copy: &Connection, run: RunId) -> Result<(), ErrorKind> {
    let all = view::look(files, |db| contents(db, run))?.unwrap_or_default();
    for (id, data) in all {
        copy.prepare_cached("UPDATE undo SET data = ?2 WHERE id = ?1")?.execute(params![id, data])?;
    }
    Ok(())
}

fn contents(db: &Connection, run: RunId) -> Result<Vec<(i64, Vec<u8>)>, ErrorKind> {
    let mut query = db.prepare_cached("SELECT id, data FROM undo WHERE run = ?1")?;
    let found = query.query_map([run.0], |columns| Ok((columns.get(0)?, columns.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Takes away what belongs to runs that began before `oldest`, then the oldest entries above
/// `max_bytes` in all; never what belongs to the run `current` or to an open intent.
pub(crate) fn prune(
    db: &Connection,
    current: Option<RunId>,
    oldest: u64,
    max_bytes: u64,
) -> Result<Pruned, ErrorKind> {
    let (current, oldest) = (current.map(|run| run.0), int(oldest)?);
    let old = "run IN (SELECT id FROM runs WHERE started < ?2)";
    let by_age = delete(db, old, current, oldest)?;
    let by_size = too_many(db, current, i64::try_from(max_bytes).unwrap_or(i64::MAX))?;
    forget_runs(db, current, oldest)?;
    give_back(db)?;
    Ok(Pruned { entries: by_age.entries + by_size.entries, bytes: by_age.bytes + by_size.bytes })
}

/// What is above `max_bytes` is looked for only where there is so much: that takes all entries.
fn too_many(db: &Connection, current: Option<i64>, max_bytes: i64) -> Result<Pruned, ErrorKind> {
    let all: i64 = db
        .prepare_cached("SELECT coalesce(sum(size), 0) FROM undo")?
        .query_row([], |columns| columns.get(0))?;
    if all <= max_bytes {
        return Ok(Pruned::default());
    }
    let too_many = "id <= (SELECT max(id) FROM
        (SELECT id, sum(size) OVER (ORDER BY id DESC) AS newer FROM undo) WHERE newer > ?2)";
    delete(db, too_many, current, max_bytes)
}

fn delete(db: &Connection, which: &str, current: Option<i64>, limit: i64) -> Result<Pruned, ErrorKind> {
    let mut query =
        db.prepare_cached(&format!("DELETE FROM undo WHERE {MAY_GO} AND {which} RETURNING size"))?;
    let mut found = query.query(params![current, limit])?;
    let mut pruned = Pruned::default();
    while let Some(columns) = found.next()? {
        pruned.entries += 1;
        pruned.bytes += uint(columns, 0)?;
    }
    Ok(pruned)
}

/// Old runs that nothing can be undone of; the latest stays, for `status`.
fn forget_runs(db: &Connection, current: Option<i64>, oldest: i64) -> Result<(), ErrorKind> {
    db.prepare_cached(
        "DELETE FROM runs WHERE id IS NOT ?1 AND started < ?2 AND NOT EXISTS (SELECT 1 FROM undo WHERE run = runs.id)
            AND id < (SELECT max(id) FROM runs)",
    )?
    .execute(params![current, oldest])?;
    Ok(())
}

fn give_back(db: &Connection) -> Result<(), ErrorKind> {
    let mut vacuum = db.prepare(&format!("PRAGMA incremental_vacuum({MAX_FREED_PAGES})"))?;
    let mut pages = vacuum.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}
