//! The one connection that writes, and how it is set up.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::{error::ErrorKind, files::Files, run::RunId, schema, system};

/// Statements kept prepared: all of them.
const CACHED_STATEMENTS: usize = 64;

/// How long a checkpoint waits for a reader; readers are short.
const BUSY: Duration = Duration::from_secs(1);

/// `auto_vacuum` counts only in an empty file, so it stands before the journal mode, which writes
/// the header. `synchronous` = FULL: a commit is on the disk before it is answered; `fullfsync`:
/// also on macOS. The log is cut back to `journal_size_limit` after a large transaction.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA journal_size_limit = 4194304;
    PRAGMA foreign_keys = OFF;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -2048;
";

/// The connection, and what is known of it beyond the tables.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) connection: Connection,
    /// The run that undo bytes belong to.
    pub(crate) run: Option<RunId>,
    /// Whether anything was kept since it began.
    pub(crate) has_kept: bool,
    /// The disk failed under a commit: what it holds is not known before the file is opened anew.
    pub(crate) failed: Option<ErrorKind>,
    /// Whether a commit waits for the disk.
    waits: bool,
}

impl Db {
    /// Takes over a connection whose tables are there.
    pub(crate) fn new(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        Self { connection, run: None, has_kept: false, failed: None, waits: true }
    }

    /// Opens the group's file, or makes it. The caller holds the group's lock.
    ///
    /// # Errors
    /// A file that is foreign, newer or damaged is left as it is; further what the system says.
    pub(crate) fn open(files: &Files) -> Result<Self, ErrorKind> {
        // A run that ended well leaves no log behind.
        let unclean = files.wal().metadata().is_ok_and(|log| log.len() > 0);
        if !files.db.exists() {
            drop(system::create_file(&files.db)?);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&files.db, flags)?;
        if connection.is_readonly("main")? {
            return Err(ErrorKind::ReadOnly);
        }
        connection.busy_timeout(BUSY)?;
        let version = schema::version(&connection, "main")?;
        if unclean {
            check(&connection)?;
        }
        configure(&connection)?;
        schema::migrate(&mut connection, version, schema::CURRENT)?;
        Ok(Self::new(connection))
    }

    /// Brings the log into the file and closes it: one file is left. A reader that is in the way
    /// is no error, the log then stays for the next time.
    pub(crate) fn close(self) -> Result<(), ErrorKind> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.close().map_err(|(_, error)| error.into())
    }

    /// Says whether the next commits are on the disk before they are answered, or soon. What comes soon
    /// and is lost with the machine is the last of what was written, never something in between.
    pub(crate) fn wait_for_the_disk(&mut self, waits: bool) -> Result<(), ErrorKind> {
        if self.waits != waits {
            let level = if waits { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.waits = waits;
        }
        Ok(())
    }

    pub(crate) fn execute(&self, sql: &str) -> Result<(), ErrorKind> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

fn check(db: &Connection) -> Result<(), ErrorKind> {
    let found: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(ErrorKind::corrupt(found)) }
}

fn configure(db: &Connection) -> Result<(), ErrorKind> {
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(ErrorKind::NoLog { mode });
    }
    Ok(db.execute_batch(SETTINGS)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &tempfile::TempDir) -> (Files, Result<Db, ErrorKind>) {
        let files = Files::new(dir.path(), "g").unwrap();
        system::create_dir(&files.dir).unwrap();
        let db = Db::open(&files);
        (files, db)
    }

    fn pragma(db: &Db, name: &str) -> String {
        let value: rusqlite::types::Value =
            db.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
        match value {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_commit_is_on_the_disk_before_it_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let (_, db) = open(&dir);
            let db = db.unwrap();
            assert_eq!(pragma(&db, "synchronous"), "2");
            assert_eq!(pragma(&db, "journal_mode"), "wal");
            assert_eq!(pragma(&db, "auto_vacuum"), "2");
            assert_eq!(pragma(&db, "foreign_keys"), "0");
            db.close().unwrap();
        }
    }

    #[test]
    fn after_the_close_there_is_one_file_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (files, db) = open(&dir);
        assert!(files.wal().exists() && files.shm().exists());
        db.unwrap().close().unwrap();
        let left: Vec<_> = files.dir.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(left, [files.db]);
    }

    #[cfg(unix)]
    #[test]
    fn all_files_belong_to_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (files, db) = open(&dir);
        for file in [&files.db, &files.wal(), &files.shm()] {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        db.unwrap().close().unwrap();
    }

    #[test]
    fn what_is_no_database_is_called_damage_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path(), "g").unwrap();
        system::create_dir(&files.dir).unwrap();
        let text = "no database, but long enough to have had a header. ".repeat(20);
        std::fs::write(&files.db, &text).unwrap();
        assert!(matches!(open(&dir).1, Err(ErrorKind::Corrupt { .. })));
        assert_eq!(std::fs::read_to_string(&files.db).unwrap(), text);
    }

    #[test]
    fn what_is_foreign_or_newer_is_refused_and_left_alone() {
        for (pragma, value) in [("application_id", 7), ("user_version", 99)] {
            let dir = tempfile::tempdir().unwrap();
            let (files, db) = open(&dir);
            db.unwrap().close().unwrap();
            Connection::open(&files.db).unwrap().pragma_update(None, pragma, value).unwrap();
            let before = std::fs::read(&files.db).unwrap();
            let error = open(&dir).1.unwrap_err();
            assert!(matches!(error, ErrorKind::Foreign { .. } | ErrorKind::Newer { .. }), "{error}");
            assert_eq!(std::fs::read(&files.db).unwrap(), before);
        }
    }
}
