//! A place that one process has at a time, and what shows that it does: a lock that is a file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::private::{is_still, lock_private};

/// A place in a folder that only this user can use. It is held until this is dropped, or the process
/// ends, however it does; the file stays.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    lock: File,
}

impl Held {
    /// How often a holder that waits looks whether what it left is still there: somebody may have
    /// cleaned the folder.
    pub const REPAIR: Duration = Duration::from_secs(5);

    /// Takes the place whose lock is at `path`. `None`: somebody holds it.
    ///
    /// # Errors
    /// The file cannot be made, or is not one that only this user can use.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let lock = lock_private(path)?;
        Ok(lock.map(|lock| Self { path: path.to_owned(), lock }))
    }

    /// Takes it again, if its file was removed or is another one. False: another process holds the
    /// place by now.
    ///
    /// # Errors
    /// As [`Held::take`].
    pub fn keep(&mut self) -> io::Result<bool> {
        if !self.is_still() {
            let Some(again) = Self::take(&self.path)? else { return Ok(false) };
            *self = again;
        }
        Ok(true)
    }

    /// Whether the place is still this process's: if not, what lies there may be another's.
    #[must_use]
    pub fn is_still(&self) -> bool {
        is_still(&self.lock, &self.path).unwrap_or(false)
    }

    /// Gives the place up and removes its file; before that, what lies beside it at `socket`. Whatever
    /// is no longer its own stays. Whoever waits for the lock looks whether its file is still there.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn leave(&self, socket: &Path) -> io::Result<()> {
        if !self.is_still() {
            return Ok(());
        }
        remove(socket)?;
        remove(&self.path)
    }
}

/// Removes a file, if there is one.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b14_a_place_whose_file_was_removed_is_taken_again_unless_another_was_first() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let mut first = Held::take(&path).unwrap().unwrap();
        assert!(Held::take(&path).unwrap().is_none() && first.is_still());
        fs::remove_file(&path).unwrap();
        assert!(!first.is_still() && first.keep().unwrap() && first.is_still());
        fs::remove_file(&path).unwrap();
        let second = Held::take(&path).unwrap().unwrap();
        assert!(!first.keep().unwrap());
        drop(second);
        assert!(first.keep().unwrap());
    }

    #[test]
    fn b12_only_what_is_still_its_own_is_removed_by_who_leaves() {
        let root = tempfile::tempdir().unwrap();
        let (path, socket) = (root.path().join("lock"), root.path().join("socket"));
        let first = Held::take(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let second = Held::take(&path).unwrap().unwrap();
        fs::write(&socket, "the second's").unwrap();
        first.leave(&socket).unwrap();
        assert!(second.is_still() && socket.exists());
        second.leave(&socket).unwrap();
        assert!(!path.exists() && !socket.exists());
    }
}
