//! Small text files in the state directory: read whole, replaced whole.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{error::Error, lock, system};

/// Most bytes that are read.
const LONGEST: u64 = 4 << 20;

/// How long one change waits for another, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The text of `STATE/NAME`; empty if there is none.
///
/// # Errors
/// It cannot be read, is not UTF-8, or is longer than 4 MiB.
pub fn read_text(state: &Path, name: &str) -> io::Result<String> {
    let file = match File::open(state.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        file => file?,
    };
    let mut text = String::new();
    match file.take(LONGEST + 1).read_to_string(&mut text)? as u64 {
        ..=LONGEST => Ok(text),
        _ => Err(io::Error::other("longer than 4 MiB")),
    }
}

/// The right to replace a text: whoever else wants to change it waits for the lock beside it,
/// `NAME.lock`, until this is dropped. What the change is made from is read while this is held.
#[derive(Debug)]
pub struct TextChange {
    folder: PathBuf,
    name: String,
    _lock: File,
}

impl TextChange {
    /// Takes the lock; makes the folder. Blocks for 5 s at most.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) after that; the place cannot hold a lock.
    pub fn begin(state: &Path, name: &str) -> Result<Self, Error> {
        system::create_dir(state).map_err(|error| Error::new(state, error))?;
        let beside = state.join(format!("{name}.lock"));
        let lock = lock::take(&beside, PATIENCE).map_err(|kind| Error::new(&beside, kind))?;
        Ok(Self { folder: state.to_owned(), name: name.to_owned(), _lock: lock })
    }

    /// Replaces the text. It is readable by its owner alone, durable before this returns, and never
    /// half of it: a crash leaves the one or the other.
    ///
    /// # Errors
    /// It cannot be written; then it stays as it was.
    pub fn replace(self, text: &str) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?; // for its owner alone
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(self.folder.join(&self.name)).map_err(|error| error.error)?;
        system::sync_dir(&self.folder)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    fn add_line(state: &Path, line: &str) -> io::Result<()> {
        let change = TextChange::begin(state, "notes").unwrap();
        let text = read_text(state, "notes")?;
        change.replace(&format!("{text}{line}\n"))
    }

    #[test]
    fn a_text_is_replaced_whole_and_belongs_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b");
        assert_eq!(read_text(&state, "notes").unwrap(), "");
        add_line(&state, "one").unwrap();
        add_line(&state, "two").unwrap();
        assert_eq!(read_text(&state, "notes").unwrap(), "one\ntwo\n");
        let mut names: Vec<_> =
            fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["notes", "notes.lock"], "nothing else stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(state.join("notes")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_change_that_is_given_up_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        add_line(folder.path(), "one").unwrap();
        drop(TextChange::begin(folder.path(), "notes").unwrap());
        assert_eq!(read_text(folder.path(), "notes").unwrap(), "one\n");
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("notes")).unwrap();
        file.set_len(LONGEST).unwrap();
        assert_eq!(read_text(folder.path(), "notes").unwrap().len() as u64, LONGEST);
        file.set_len(LONGEST + 1).unwrap();
        read_text(folder.path(), "notes").unwrap_err();
    }

    #[test]
    fn who_changes_it_at_the_same_time_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let state = folder.path();
                scope.spawn(move || {
                    (0..5).for_each(|line| add_line(state, &format!("{writer}-{line}")).unwrap())
                });
            }
        });
        assert_eq!(read_text(folder.path(), "notes").unwrap().lines().count(), 20);
    }
}
