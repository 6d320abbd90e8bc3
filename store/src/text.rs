//! Small text files in the state directory: read whole, replaced whole.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use crate::system;

/// Most bytes that are read.
const LONGEST: u64 = 4 << 20;

/// The text of `STATE/NAME`; empty if there is none.
///
/// # Errors
/// It cannot be read, or is longer than 4 MiB.
pub fn read_text(state: &Path, name: &str) -> io::Result<String> {
    let path = state.join(name);
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
        Ok(found) if found.len() > LONGEST => Err(io::Error::other("longer than 4 MiB")),
        Ok(_) => fs::read_to_string(&path),
    }
}

/// Replaces the text of `STATE/NAME` by what `change` makes of it; `None` leaves it. Readable by its
/// owner alone, durable before this returns, and never half of it: a crash leaves the one or the
/// other. Others who change it meanwhile wait for the lock beside it, `NAME.lock`.
///
/// # Errors
/// It cannot be read or written, or `change` failed; then it stays as it was.
pub fn change_text<E: From<io::Error>>(
    state: &Path,
    name: &str,
    change: impl FnOnce(String) -> Result<Option<String>, E>,
) -> Result<(), E> {
    system::create_dir(state)?;
    let lock = system::create_file(&state.join(format!("{name}.lock")))?;
    lock.lock()?; // let go of when it is closed
    match change(read_text(state, name)?)? {
        Some(text) => Ok(replace(state, name, &text)?),
        None => Ok(()),
    }
}

fn replace(state: &Path, name: &str, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(state)?; // for its owner alone
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(state.join(name)).map_err(|error| error.error)?;
    if cfg!(unix) { File::open(state)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn add_line(state: &Path, line: &str) -> io::Result<()> {
        change_text(state, "notes", |text| Ok(Some(format!("{text}{line}\n"))))
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
    fn a_change_that_fails_or_wants_nothing_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        add_line(folder.path(), "one").unwrap();
        change_text(folder.path(), "notes", |_| io::Result::Ok(None)).unwrap();
        change_text(folder.path(), "notes", |_| Err(io::Error::other("no"))).unwrap_err();
        assert_eq!(read_text(folder.path(), "notes").unwrap(), "one\n");
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
