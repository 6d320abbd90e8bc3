//! The tables, by numbered steps, and what a file must say of itself before it is used.
//!
//! A step, once released, never changes; a new one is added behind it. `user_version` counts the
//! steps that a file has taken, `application_id` says that the file is ours.

use rusqlite::Connection;

use crate::error::ErrorKind;

/// "OutR", in the header of every file of ours.
pub(crate) const APPLICATION_ID: i64 = 0x4f75_7452;

/// The schema that this version writes.
pub(crate) const CURRENT: i64 = STEPS.len() as i64;

/// `rows`: one per item; `entries`: one per row and member that has to do with it, whatever the
/// number of members. `entries.state`: 0 gone, 1 present, 2 present and settled; the digests of
/// what was observed are NULL where they equal those that were agreed, as they mostly do.
/// `intents.id` keeps their order. `undo.size` is there so that sums need not touch the bytes.
///
/// Step 2: what a plugin has had kept for its member (the engine's `MemberState`). Step 3: what runs
/// have found out of it. Step 4: the crashes of its plugin, and what they are held against; times in
/// milliseconds since 1970.
const STEPS: [&str; 4] = [
    "
    CREATE TABLE collections (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last_row INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE members (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE feeds (
        collection INTEGER NOT NULL, member INTEGER NOT NULL, anchor BLOB, store BLOB,
        PRIMARY KEY (collection, member)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rows (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL,
        quarantine TEXT,
        PRIMARY KEY (collection, row)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE entries (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, member INTEGER NOT NULL,
        href BLOB NOT NULL, digest BLOB NOT NULL, raw BLOB NOT NULL, have INTEGER NOT NULL,
        rewritten INTEGER NOT NULL, state INTEGER NOT NULL, revision BLOB, seen_digest BLOB, seen_raw BLOB,
        PRIMARY KEY (collection, row, member)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE conflicts (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, member INTEGER NOT NULL, digest BLOB, raw BLOB,
        PRIMARY KEY (collection, row, member)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE intents (
        id INTEGER PRIMARY KEY, operation BLOB NOT NULL UNIQUE, collection INTEGER NOT NULL,
        row INTEGER NOT NULL, member INTEGER NOT NULL, kind INTEGER NOT NULL, href BLOB NOT NULL,
        key BLOB NOT NULL, expected_revision BLOB, expected_digest BLOB, expected_raw BLOB,
        digest BLOB, raw BLOB, version INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB NOT NULL UNIQUE, started INTEGER NOT NULL,
        finished INTEGER, outcome TEXT
    ) STRICT;
    CREATE TABLE undo (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, collection INTEGER NOT NULL,
        operation BLOB NOT NULL, member INTEGER NOT NULL, href BLOB NOT NULL, format TEXT NOT NULL,
        size INTEGER NOT NULL, data BLOB NOT NULL
    ) STRICT;
    CREATE INDEX undo_by_run ON undo (run, size);
",
    "
    ALTER TABLE members ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE member_options (
        member INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (member, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE slow_syncs (
        member INTEGER NOT NULL, object_type TEXT NOT NULL, generation INTEGER NOT NULL,
        PRIMARY KEY (member, object_type)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE member_operations (
        member INTEGER NOT NULL, place INTEGER NOT NULL, operation BLOB NOT NULL,
        PRIMARY KEY (member, place)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE member_object_types (
        member INTEGER NOT NULL, object_type TEXT NOT NULL, anchor BLOB, PRIMARY KEY (member, object_type)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE member_creates (
        member INTEGER NOT NULL, name TEXT NOT NULL, operation BLOB NOT NULL, PRIMARY KEY (member, name)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE charges (
        collection INTEGER NOT NULL, member INTEGER NOT NULL, subject BLOB NOT NULL, crashes INTEGER NOT NULL,
        PRIMARY KEY (collection, member, subject)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE crashes (
        member INTEGER NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL, forgiven INTEGER NOT NULL,
        PRIMARY KEY (member, place)
    ) STRICT, WITHOUT ROWID;
",
];

/// All tables but `undo`, whose bytes a copy does without; with the step that makes each.
const SMALL_TABLES: [(&str, i64); 15] = [
    ("collections", 1),
    ("members", 1),
    ("feeds", 1),
    ("rows", 1),
    ("entries", 1),
    ("conflicts", 1),
    ("intents", 1),
    ("runs", 1),
    ("member_options", 2),
    ("slow_syncs", 2),
    ("member_operations", 2),
    ("member_object_types", 3),
    ("member_creates", 3),
    ("charges", 4),
    ("crashes", 4),
];

/// The tables of a file that has taken `version` steps, without `undo`.
pub(crate) fn small_tables(version: i64) -> impl Iterator<Item = &'static str> {
    SMALL_TABLES.into_iter().filter(move |(_, step)| *step <= version).map(|(name, _)| name)
}

/// The number of steps that the database `name` of this connection has taken; 0 for an empty one.
///
/// # Errors
/// [`ErrorKind::Foreign`], [`ErrorKind::Newer`], or [`ErrorKind::Corrupt`] for a file that is no
/// database at all.
pub(crate) fn version(db: &Connection, name: &str) -> Result<i64, ErrorKind> {
    let number =
        |pragma: &str| db.query_row(&format!("PRAGMA {name}.{pragma}"), [], |row| row.get::<_, i64>(0));
    let (application_id, found) = (number("application_id")?, number("user_version")?);
    if application_id == 0 && found == 0 && is_empty(db, name)? {
        return Ok(0);
    }
    if application_id != APPLICATION_ID {
        return Err(ErrorKind::Foreign { application_id });
    }
    if found > CURRENT { Err(ErrorKind::Newer { found, known: CURRENT }) } else { Ok(found) }
}

fn is_empty(db: &Connection, name: &str) -> Result<bool, ErrorKind> {
    let sql = format!("SELECT count(*) FROM {name}.sqlite_schema");
    Ok(db.query_row(&sql, [], |row| row.get::<_, i64>(0))? == 0)
}

/// Takes the steps from `from` up to `to`, in one transaction: a crash between two is no state.
pub(crate) fn migrate(db: &mut Connection, from: i64, to: i64) -> Result<(), ErrorKind> {
    if from >= to {
        return Ok(());
    }
    let transaction = db.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    for (_, step) in (1..=to).zip(STEPS).filter(|(number, _)| *number > from) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", to)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn an_empty_file_takes_all_steps() {
        let mut db = empty();
        assert_eq!(version(&db, "main").unwrap(), 0);
        migrate(&mut db, 0, CURRENT).unwrap();
        assert_eq!(version(&db, "main").unwrap(), CURRENT);
    }

    #[test]
    fn a_file_of_another_program_is_refused() {
        let db = empty();
        db.pragma_update(None, "application_id", 0x1234).unwrap();
        assert!(matches!(version(&db, "main"), Err(ErrorKind::Foreign { application_id: 0x1234 })));
        let db = empty();
        db.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(version(&db, "main"), Err(ErrorKind::Foreign { application_id: 0 })));
    }

    #[test]
    fn a_file_from_the_future_is_refused() {
        let mut db = empty();
        migrate(&mut db, 0, CURRENT).unwrap();
        db.pragma_update(None, "user_version", CURRENT + 1).unwrap();
        let refused = version(&db, "main");
        assert!(matches!(refused, Err(ErrorKind::Newer { found, known: CURRENT }) if found == CURRENT + 1));
    }

    #[test]
    fn a_copy_leaves_out_nothing_but_undo() {
        let mut db = empty();
        migrate(&mut db, 0, CURRENT).unwrap();
        let mut tables: Vec<String> = db
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        tables.retain(|table| !small_tables(CURRENT).any(|small| small == table));
        assert_eq!(tables, ["undo"]);
    }
}
