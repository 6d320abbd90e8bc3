//! The tables, by numbered steps, and what a file must say of itself before it is used.
//!
//! `user_version` counts the steps that a file has taken, `application_id` says that the file is ours.

use rusqlite::Connection;

use crate::{error::ErrorKind, steps::STEPS};

/// "OutR", in the header of every file of ours.
pub(crate) const APPLICATION_ID: i64 = 0x4f75_7452;

/// The schema that this version writes.
pub(crate) const CURRENT: i64 = STEPS.len() as i64;

/// The tables that a copy has whole, with the step that makes each: all but those of bytes that no plan
/// needs.
const SMALL_TABLES: [(&str, i64); 17] = [
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
    ("quarantines", 5),
    ("supplied", 5),
];

/// The columns of `undo` in a file that has taken `version` steps, without the bytes.
pub(crate) const fn undo_columns(version: i64) -> &'static str {
    match version {
        ..5 => "id, run, collection, operation, member, href, format, size",
        5..7 => "id, run, collection, operation, member, href, format, size, row, key, kind",
        7.. => "id, run, collection, operation, member, href, format, size, row, key, kind, own",
    }
}

/// The tables of a file that has taken `version` steps which a copy has whole.
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
    fn a_copy_leaves_out_nothing_but_bytes() {
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
        assert_eq!(tables, ["undo", "disputed", "bases"]);
    }
}
