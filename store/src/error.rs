//! What can go wrong, typed, each with a hint for the person who has to act.

use std::{fmt, io, path::Path, sync::Arc};

use rusqlite::ErrorCode;

/// A failure, and the file or directory that it is about.
///
/// Cloned where one failed commit is the answer to several requests.
#[derive(Debug, Clone)]
pub struct Error {
    path: Arc<Path>,
    kind: ErrorKind,
}

impl Error {
    pub(crate) fn new(path: &Path, kind: impl Into<ErrorKind>) -> Self {
        Self { path: path.into(), kind: kind.into() }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The file or directory concerned.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to do next, as one sentence for a person; `None` where only a bug report helps.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.kind.hint()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}

/// What went wrong with a store.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another run, or a process that one left behind, holds the group or the member.
    #[error("another run holds the lock{}", match .holder { Some(pid) => format!(" (process {pid})"), None => String::new() })]
    Locked {
        /// The process that took the lock, if it could be read. It may be gone while a helper
        /// that inherited the lock still ends.
        holder: Option<u32>,
    },
    /// A newer version of this program wrote the file.
    #[error("written by a newer version (schema {found}, this version knows {known})")]
    Newer {
        /// The file's schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// A database, but not one of ours.
    #[error("not a state file of this program (application ID {application_id:#010x})")]
    Foreign {
        /// What the file says it is.
        application_id: i64,
    },
    /// The file is damaged.
    #[error("the state file is damaged: {detail}")]
    Corrupt {
        /// What was found, in the words of the check that found it.
        detail: String,
    },
    /// No space left; nothing of the request was kept.
    #[error("no space left on the disk")]
    Full,
    /// The disk failed: what it holds is not known before the store is opened again.
    #[error("the disk failed: {detail}")]
    Disk {
        /// What it failed at.
        detail: String,
    },
    /// The file system or the directory cannot be written.
    #[error("cannot be written: read-only, or owned by somebody else")]
    ReadOnly,
    /// The file system cannot do what a write-ahead log needs.
    #[error("the file system does not support a write-ahead log (journal mode stays {mode:?})")]
    NoLog {
        /// The journal mode that SQLite fell back to.
        mode: String,
    },
    /// Runs start and end faster than the state can be read without taking part.
    #[error("the state changes while it is read")]
    Busy,
    /// Undo bytes without a run that they would belong to.
    #[error("undo bytes can only be kept within a run")]
    NoRun,
    /// A conflict that is not open, or whose contents have changed since it was raised.
    #[error("this conflict is not open, or has changed")]
    NoConflict,
    /// A value that cannot be stored.
    #[error("cannot be stored: {0}")]
    Invalid(&'static str),
    /// The store's thread has ended; whether the request was carried out is not known.
    #[error("the store has stopped")]
    Stopped,
    /// The system refused a file operation.
    #[error("{0}")]
    Io(#[source] Arc<io::Error>),
    /// SQLite refused for another reason.
    #[error("{0}")]
    Sqlite(#[source] Arc<rusqlite::Error>),
}

impl ErrorKind {
    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt { detail: detail.into() }
    }

    const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Locked { .. } => "wait until the other run has ended, or end it",
            Self::Busy => "try again",
            Self::Newer { .. } => "use the newer version again; this one leaves the file as it is",
            Self::Foreign { .. } => "move the file away if it is not needed; it was not touched",
            Self::Corrupt { .. } => {
                "keep a copy for a bug report, then restore a backup, or move the file and its -wal away: \
                 the next sync compares all items again and deletes nothing"
            }
            Self::Full => "free some space and run again: nothing that was acknowledged is lost",
            Self::ReadOnly => "check owner and mode of the state directory, and how its disk is mounted",
            Self::NoConflict => {
                "sync, then list the conflicts again: it was settled, or an item has changed since"
            }
            Self::NoLog { .. } => "put the state directory on a local disk",
            Self::Io(_) | Self::Disk { .. } => "check the state directory and its disk",
            Self::NoRun | Self::Invalid(_) | Self::Stopped | Self::Sqlite(_) => return None,
        })
    }
}

impl From<io::Error> for ErrorKind {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::Io(Arc::new(error)),
        }
    }
}

impl From<rusqlite::Error> for ErrorKind {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::corrupt(error.to_string()),
            Some(ErrorCode::SystemIoFailure) => Self::Disk { detail: error.to_string() },
            Some(_) => Self::Sqlite(Arc::new(error)),
            None => match error {
                E::FromSqlConversionFailure(..)
                | E::InvalidColumnType(..)
                | E::IntegralValueOutOfRange(..) => Self::corrupt(error.to_string()),
                other => Self::Sqlite(Arc::new(other)),
            },
        }
    }
}

impl From<rusqlite::types::FromSqlError> for ErrorKind {
    /// A column holds what was never written there.
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::corrupt(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_where_what_and_what_next() {
        let error = Error::new(Path::new("/s/work.db"), ErrorKind::Full);
        assert_eq!(error.to_string(), "/s/work.db: no space left on the disk");
        assert!(error.hint().unwrap().starts_with("free some space"));
        let error = Error::new(Path::new("/s/work.lock"), ErrorKind::Locked { holder: Some(7) });
        assert_eq!(error.to_string(), "/s/work.lock: another run holds the lock (process 7)");
    }

    #[test]
    fn the_systems_words_become_ours() {
        let kind = |kind: io::ErrorKind| ErrorKind::from(io::Error::from(kind));
        assert!(matches!(kind(io::ErrorKind::StorageFull), ErrorKind::Full));
        assert!(matches!(kind(io::ErrorKind::QuotaExceeded), ErrorKind::Full));
        assert!(matches!(kind(io::ErrorKind::ReadOnlyFilesystem), ErrorKind::ReadOnly));
        assert!(matches!(kind(io::ErrorKind::PermissionDenied), ErrorKind::ReadOnly));
        assert!(matches!(kind(io::ErrorKind::NotFound), ErrorKind::Io(_)));
    }
}
