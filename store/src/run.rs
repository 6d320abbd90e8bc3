//! Runs, and what `status` says of a group.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row as Columns, params};
use uuid::Uuid;

use crate::{
    column::{int, uint, uuid},
    crashes::{self, Crash},
    error::ErrorKind,
};

/// The number of a run within its group: rising, never reused, short enough to type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub i64);

/// One run, as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Its ID in logs, as handed to [`crate::Store::begin_run`].
    pub uuid: Uuid,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// When it ended; `None`: it goes on, or was interrupted.
    pub finished: Option<u64>,
    /// What became of it, in the words (or JSON) of the driver.
    pub outcome: Option<String>,
    /// How much of what it overwrote or deleted is still kept: entries of the undo journal.
    pub undo_entries: u64,
    /// Their bytes.
    pub undo_bytes: u64,
}

/// Runs that [`Status`] tells of.
const RECENT: u32 = 20;

/// What is known of a group without asking its members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The latest run; `None`: never synced.
    pub last_run: Option<Run>,
    /// The latest runs, latest first, at most 20: a run of one collection says nothing of the
    /// others.
    pub runs: Vec<Run>,
    /// Each collection that was ever synced, by name.
    pub collections: Vec<CollectionStatus>,
    /// Bytes that undo keeps.
    pub undo_bytes: u64,
    /// The crashes of the plugin of each member that had one lately, by the member's name.
    pub crashes: BTreeMap<String, Vec<Crash>>,
}

/// Counts of one collection, as the tables stand: true after a crash too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CollectionStatus {
    /// The collection's name.
    pub name: String,
    /// Items across the group, without those that are deleted and only not forgotten yet.
    pub rows: u64,
    /// Items that wait for a person.
    pub conflicts: u64,
    /// Items that are left alone at one member or more.
    pub quarantined: u64,
    /// Writes without a durable answer.
    pub intents: u64,
}

/// Notes that a run began.
pub(crate) fn begin(db: &Connection, now: u64, id: Uuid) -> Result<RunId, ErrorKind> {
    db.prepare_cached("INSERT INTO runs (uuid, started) VALUES (?1, ?2)")?
        .execute(params![id.as_bytes(), int(now)?])?;
    Ok(RunId(db.last_insert_rowid()))
}

/// Notes how a run ended.
///
/// # Errors
/// [`ErrorKind::NoRun`] where there is no such run.
pub(crate) fn end(db: &Connection, run: RunId, now: u64, outcome: &str) -> Result<(), ErrorKind> {
    let changed = db
        .prepare_cached("UPDATE runs SET finished = ?2, outcome = ?3 WHERE id = ?1")?
        .execute(params![run.0, int(now)?, outcome])?;
    if changed == 0 { Err(ErrorKind::NoRun) } else { Ok(()) }
}

/// The latest `limit` runs, latest first.
pub(crate) fn runs(db: &Connection, limit: u32) -> Result<Vec<Run>, ErrorKind> {
    let mut query = db.prepare_cached(
        "SELECT id, uuid, started, finished, outcome,
            (SELECT count(*) FROM undo WHERE run = runs.id),
            (SELECT coalesce(sum(size), 0) FROM undo WHERE run = runs.id)
            FROM runs ORDER BY id DESC LIMIT ?1",
    )?;
    let mut found = query.query([limit])?;
    let mut runs = Vec::new();
    while let Some(columns) = found.next()? {
        runs.push(run(columns)?);
    }
    Ok(runs)
}

fn run(columns: &Columns<'_>) -> Result<Run, ErrorKind> {
    let finished = match columns.get::<_, Option<i64>>(3)? {
        Some(_) => Some(uint(columns, 3)?),
        None => None,
    };
    Ok(Run {
        id: RunId(columns.get(0)?),
        uuid: uuid(columns, 1)?,
        started: uint(columns, 2)?,
        finished,
        outcome: columns.get(4)?,
        undo_entries: uint(columns, 5)?,
        undo_bytes: uint(columns, 6)?,
    })
}

/// What `status` says; nothing is written.
pub(crate) fn status(db: &Connection) -> Result<Status, ErrorKind> {
    let undo_bytes =
        db.query_row("SELECT coalesce(sum(size), 0) FROM undo", [], |columns| Ok(uint(columns, 0)))??;
    let runs = runs(db, RECENT)?;
    let (collections, crashes) = (collections(db)?, crashes::all(db)?);
    Ok(Status { last_run: runs.first().cloned(), runs, collections, undo_bytes, crashes })
}

fn collections(db: &Connection) -> Result<Vec<CollectionStatus>, ErrorKind> {
    let mut query = db.prepare(
        "SELECT name, (SELECT count(*) FROM rows WHERE collection = id AND (version = 0 OR base_raw IS NOT NULL)),
            (SELECT count(DISTINCT row) FROM conflicts WHERE collection = id),
            (SELECT count(DISTINCT row) FROM quarantines WHERE collection = id),
            (SELECT count(*) FROM intents WHERE collection = collections.id)
            FROM collections ORDER BY name",
    )?;
    let mut found = query.query([])?;
    let mut all = Vec::new();
    while let Some(columns) = found.next()? {
        all.push(CollectionStatus {
            name: columns.get(0)?,
            rows: uint(columns, 1)?,
            conflicts: uint(columns, 2)?,
            quarantined: uint(columns, 3)?,
            intents: uint(columns, 4)?,
        });
    }
    Ok(all)
}
