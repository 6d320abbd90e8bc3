//! When the plugins of members crashed: what the next process must know to go on counting.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use crate::{
    collection::{find_member, make_member},
    column::{int, uint},
    error::ErrorKind,
};

/// One crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// It does not count, for it was the doing of an item that is set aside.
    pub forgiven: bool,
}

fn crash(row: &Row<'_>) -> Result<Crash, ErrorKind> {
    Ok(Crash { at_ms: uint(row, 0)?, forgiven: row.get(1)? })
}

/// What is kept of the member called `name`, in its order.
pub(crate) fn load(db: &Connection, name: &str) -> Result<Vec<Crash>, ErrorKind> {
    let Some(member) = find_member(db, name)? else { return Ok(Vec::new()) };
    let mut query = db.prepare_cached("SELECT at, forgiven FROM crashes WHERE member = ?1 ORDER BY place")?;
    let mut found = query.query([member])?;
    let mut crashes = Vec::new();
    while let Some(row) = found.next()? {
        crashes.push(crash(row)?);
    }
    Ok(crashes)
}

/// The same of every member that has any.
pub(crate) fn all(db: &Connection) -> Result<BTreeMap<String, Vec<Crash>>, ErrorKind> {
    const SQL: &str = "SELECT at, forgiven, name FROM crashes JOIN members ON members.id = member
        ORDER BY member, place";
    let mut query = db.prepare_cached(SQL)?;
    let mut found = query.query([])?;
    let mut all: BTreeMap<String, Vec<Crash>> = BTreeMap::new();
    while let Some(row) = found.next()? {
        all.entry(row.get(2)?).or_default().push(crash(row)?);
    }
    Ok(all)
}

/// Keeps `crashes` in the place of what was kept before.
pub(crate) fn keep(db: &Connection, name: &str, crashes: &[Crash]) -> Result<(), ErrorKind> {
    let member = make_member(db, name)?;
    db.prepare_cached("DELETE FROM crashes WHERE member = ?1")?.execute([member])?;
    let mut insert = db.prepare_cached("INSERT INTO crashes VALUES (?1, ?2, ?3, ?4)")?;
    for (place, crash) in (0i64..).zip(crashes) {
        insert.execute(params![member, place, int(crash.at_ms)?, crash.forgiven])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Store, status};

    #[test]
    fn crashes_are_there_in_the_next_process_and_for_whoever_looks_from_outside() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::open(dir.path(), "g", Duration::ZERO).unwrap();
        let store = open();
        assert_eq!(store.crashes("phone").wait().unwrap(), []);
        let crash = |at_ms| Crash { at_ms, forgiven: at_ms == 2 };
        store.keep_crashes("phone", vec![crash(1)]).wait().unwrap();
        store.keep_crashes("phone", vec![crash(3), crash(2), crash(3)]).wait().unwrap();
        drop(store);
        let store = open();
        assert_eq!(store.crashes("phone").wait().unwrap(), [crash(3), crash(2), crash(3)]);
        assert_eq!(store.crashes("laptop").wait().unwrap(), []);
        let seen = status(dir.path(), "g").unwrap().crashes;
        assert_eq!(seen, [("phone".to_owned(), vec![crash(3), crash(2), crash(3)])].into());
        store.keep_crashes("phone", Vec::new()).wait().unwrap();
        assert!(status(dir.path(), "g").unwrap().crashes.is_empty());
    }
}
