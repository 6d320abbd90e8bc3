//! Reading a group's state without writing anything into its directory, whether a run goes on,
//! has ended, or was killed.
//!
//! Three cases. *Beside*: a log and its index are there; SQLite reads next to the writer, or
//! recovers the log in memory, with the index opened read-only. *Alone*: only the file is there,
//! or its log is empty; it is read as it is, and again if anything has changed meanwhile. *Apart*:
//! a log without a usable index (a restored backup); both are copied to a private directory.

use std::{fs, io, path::Path, time::SystemTime};

use rusqlite::{Connection, params};

use crate::{
    error::ErrorKind,
    files::{Files, beside},
    schema,
};

/// A run that starts or ends while we look changes the case: look again, this many times.
const ATTEMPTS: usize = 8;

/// A log of this length holds nothing but its header.
const LOG_HEADER: u64 = 32;

/// What `look` finds in the state as it is now; `None` for a group without state.
pub(crate) fn look<T>(
    files: &Files,
    look: impl Fn(&Connection) -> Result<T, ErrorKind>,
) -> Result<Option<T>, ErrorKind> {
    read(files, |db, version| {
        if version < schema::CURRENT {
            return look(&copy(db, version)?);
        }
        // One transaction, so that what is found belongs together.
        look(&*db.unchecked_transaction()?)
    })
}

/// A copy in memory, in the current schema, without the bytes of the undo journal
/// and of conflicts; an empty one
/// for a group without state.
pub(crate) fn in_memory(files: &Files) -> Result<Connection, ErrorKind> {
    if let Some(copy) = read(files, copy)? {
        return Ok(copy);
    }
    let mut empty = Connection::open_in_memory()?;
    schema::migrate(&mut empty, 0, schema::CURRENT)?;
    Ok(empty)
}

/// Takes over what is attached as `source`, then migrates it.
fn copy(mut db: Connection, version: i64) -> Result<Connection, ErrorKind> {
    schema::migrate(&mut db, 0, version)?;
    let transaction = db.transaction()?;
    for table in schema::small_tables(version) {
        transaction.execute_batch(&format!("INSERT INTO main.{table} SELECT * FROM source.{table}"))?;
    }
    let undo = schema::undo_columns(version);
    transaction.execute_batch(&format!(
        "INSERT INTO main.undo ({undo}, data) SELECT {undo}, x'' FROM source.undo"
    ))?;
    transaction.commit()?;
    db.execute_batch("DETACH source")?;
    schema::migrate(&mut db, version, schema::CURRENT)?;
    Ok(db)
}

/// Hands `look` an empty database in memory with the group's file attached as `source`, and its
/// schema; `None` where there is no file, or nothing in it yet.
fn read<T>(
    files: &Files,
    look: impl Fn(Connection, i64) -> Result<T, ErrorKind>,
) -> Result<Option<T>, ErrorKind> {
    let mut last = Err(ErrorKind::Busy);
    for turn in 0..ATTEMPTS {
        let before = Stamp::of(files)?;
        // What SQLite cannot read beside a dead run it can read from a copy.
        let case = before.case(turn % 2 == 0);
        let seen = attempt(files, case, &look);
        match case {
            // SQLite itself keeps together what is seen beside a writer.
            Case::Beside if seen.is_ok() => return seen,
            Case::Beside => last = seen,
            _ if before == Stamp::of(files)? => return seen,
            _ => {}
        }
    }
    last
}

fn attempt<T>(
    files: &Files,
    case: Case,
    look: &impl Fn(Connection, i64) -> Result<T, ErrorKind>,
) -> Result<Option<T>, ErrorKind> {
    match case {
        Case::Nothing => Ok(None),
        Case::Beside => attach(&files.db, "mode=ro&readonly_shm=1", look),
        Case::Alone => attach(&files.db, "mode=ro&immutable=1", look),
        Case::Apart => {
            let private = tempfile::tempdir()?;
            let db = private.path().join("copy.db");
            fs::copy(&files.db, &db)?;
            fs::copy(files.wal(), beside(&db, "-wal"))?;
            attach(&db, "mode=rw", look)
        }
    }
}

fn attach<T>(
    path: &Path,
    how: &str,
    look: &impl Fn(Connection, i64) -> Result<T, ErrorKind>,
) -> Result<Option<T>, ErrorKind> {
    let db = Connection::open_in_memory()?;
    db.execute("ATTACH ?1 AS source", params![uri(path, how)])?;
    match schema::version(&db, "source")? {
        0 => Ok(None),
        version => look(db, version).map(Some),
    }
}

/// `path` as SQLite takes it together with parameters.
fn uri(path: &Path, how: &str) -> String {
    let mut uri = String::from(if cfg!(windows) { "file:///" } else { "file:" });
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b':' => {
                uri.push(char::from(*byte));
            }
            b'\\' if cfg!(windows) => uri.push('/'),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?" + how
}

/// How to look: see the head of this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Nothing,
    Beside,
    Alone,
    Apart,
}

/// What the files look like from outside: if it is the same before and after, nobody wrote.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    db: Option<(u64, SystemTime)>,
    wal: Option<(u64, SystemTime)>,
    shm: bool,
    /// SQLite's other journal: there only while the file is being made.
    unborn: bool,
}

impl Stamp {
    fn of(files: &Files) -> Result<Self, ErrorKind> {
        Ok(Self {
            db: stat(&files.db)?,
            wal: stat(&files.wal())?,
            shm: stat(&files.shm())?.is_some(),
            unborn: stat(&beside(&files.db, "-journal"))?.is_some(),
        })
    }

    /// The index beside a log that holds nothing may not be ready, and is not needed.
    fn case(&self, may_be_beside: bool) -> Case {
        let log = self.wal.is_some_and(|(length, _)| length > LOG_HEADER);
        match self.db {
            None => Case::Nothing,
            Some(_) if self.unborn => Case::Nothing,
            Some(_) if !log => Case::Alone,
            Some(_) if self.shm && may_be_beside => Case::Beside,
            Some(_) => Case::Apart,
        }
    }
}

fn stat(path: &Path) -> Result<Option<(u64, SystemTime)>, ErrorKind> {
    match path.metadata() {
        Ok(found) => Ok(Some((found.len(), found.modified()?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_become_a_parameter() {
        assert_eq!(
            uri(Path::new("/s/a?b%20 c#/ü.db"), "mode=ro"),
            "file:/s/a%3Fb%2520%20c%23/%C3%BC.db?mode=ro"
        );
    }
}
