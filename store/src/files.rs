//! Where a group's files lie.

use std::{
    ffi::OsString,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind};

/// The longest escaped name: with the longest ending, still a file name everywhere.
const MAX_NAME: usize = 200;

/// The files of one group.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// `STATE/groups`.
    pub(crate) dir: PathBuf,
    /// The database.
    pub(crate) db: PathBuf,
    /// The lock: never deleted, so that two processes never lock two files of one name.
    pub(crate) lock: PathBuf,
}

impl Files {
    /// Names the files of `group` below the state directory; touches nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that is empty or too long.
    pub(crate) fn new(state: &Path, group: &str) -> Result<Self, Error> {
        let dir = state.join("groups");
        let name = escape(group);
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Error::new(&dir, ErrorKind::Invalid("a group's name that is empty or too long")));
        }
        let file = |ending: &str| dir.join(format!("{name}.{ending}"));
        Ok(Self { db: file("db"), lock: file("lock"), dir })
    }

    /// SQLite's write-ahead log.
    pub(crate) fn wal(&self) -> PathBuf {
        beside(&self.db, "-wal")
    }

    /// SQLite's index of the log.
    pub(crate) fn shm(&self) -> PathBuf {
        beside(&self.db, "-shm")
    }
}

/// The lock of the member at `place`: `STATE/members/DIGEST.lock`. A digest, because a place may be
/// longer than a file name.
pub(crate) fn member_lock(state: &Path, place: &str) -> PathBuf {
    let digest = Sha256::digest(place);
    let name = digest.iter().take(16).fold(String::new(), |mut name, byte| {
        let _infallible = write!(name, "{byte:02x}");
        name
    });
    state.join("members").join(name + ".lock")
}

/// `path` with `ending` behind its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// A group's name as part of a file name: small letters, digits, `-` and `_` stay, every other
/// byte becomes `%XX`. Capitals too: two groups must not share a file where the file system folds
/// case.
fn escape(group: &str) -> String {
    group.bytes().fold(String::new(), |mut name, byte| {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(name, "%{byte:02X}")),
        }
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_directory_or_meet_another() {
        for (group, name) in
            [("work", "work"), ("../x", "%2E%2E%2Fx"), ("Work", "%57ork"), ("ü", "%C3%BC"), ("a\0b", "a%00b")]
        {
            assert_eq!(escape(group), name);
        }
        let files = Files::new(Path::new("/s"), "a/b").unwrap();
        assert_eq!(files.db, Path::new("/s/groups/a%2Fb.db"));
        assert_eq!(files.wal(), Path::new("/s/groups/a%2Fb.db-wal"));
    }

    #[test]
    fn a_name_that_is_no_file_name_is_refused() {
        for group in ["", &"x".repeat(201), &"/".repeat(67)] {
            assert!(matches!(Files::new(Path::new("/s"), group).unwrap_err().kind(), ErrorKind::Invalid(_)));
        }
    }
}
