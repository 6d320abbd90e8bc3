//! One run at a time per group, and per member, which may belong to several groups.
//!
//! The lock belongs to the open file description, not to the process: a helper that holds a copy
//! of the descriptor keeps the group locked until it has ended too, so that no run starts beside
//! the last writer of the one before (decisions X3).

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, ErrorKind},
    files::member_lock,
    system,
};

/// Between two attempts: from short, for a run that is just ending, to long.
const PAUSE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// Locks a member for a run. `place` is whatever tells it from all others; `state` is the state
/// directory, in which a lock file is made (and left, so that two processes never lock two files of
/// one name). While another run holds the member, waits up to `patience`. Blocks, as
/// [`Store::open`](crate::Store::open) does.
///
/// The lock belongs to the open file: duplicates that go to helper processes keep the member locked
/// until the last of them has ended. Runs with different state directories do not see each other.
///
/// # Errors
/// [`ErrorKind::Locked`] after `patience`; [`ErrorKind::Full`], [`ErrorKind::ReadOnly`] and
/// [`ErrorKind::Io`] for a place that cannot hold the lock.
pub fn lock_member(state: &Path, place: &str, patience: Duration) -> Result<File, Error> {
    let path = member_lock(state, place);
    let dir = path.parent().unwrap_or(state);
    system::create_dir(dir).map_err(|error| Error::new(dir, error))?;
    take(&path, patience).map_err(|kind| Error::new(&path, kind))
}

/// Takes the lock in `path`, and waits up to `patience` for whoever holds it.
///
/// # Errors
/// [`ErrorKind::Locked`] after `patience`; [`ErrorKind::Io`] and its relatives.
pub(crate) fn take(path: &Path, patience: Duration) -> Result<File, ErrorKind> {
    let mut file = system::create_file(path)?;
    let start = Instant::now();
    let mut pause = PAUSE[0];
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                return Err(ErrorKind::Locked { holder: holder(&mut file) });
            }
            Err(TryLockError::WouldBlock) => {
                thread::sleep(pause.min(patience.saturating_sub(start.elapsed())));
                pause = (pause * 2).min(PAUSE[1]);
            }
        }
    }
    sign(&mut file)?;
    Ok(file)
}

/// Says in the file who holds it: for the message that others get, never for a decision.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Who holds it, as far as can be read.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g.lock");
        let first = take(&path, Duration::ZERO).unwrap();
        let Err(ErrorKind::Locked { holder }) = take(&path, Duration::ZERO) else {
            panic!("the second got the lock");
        };
        assert_eq!(holder, Some(std::process::id()));
        drop(first);
        take(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn x3_a_member_is_locked_for_all_groups_of_a_state() {
        let dir = tempfile::tempdir().unwrap();
        let lock = |place: &str| lock_member(&dir.path().join("s"), place, Duration::ZERO);
        let first = lock("vdir\n/home/ana/contacts").unwrap();
        let error = lock("vdir\n/home/ana/contacts").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Locked { holder: Some(_) }), "{error}");
        let long = "x".repeat(10_000);
        let _another = lock(&long).unwrap();
        drop(first);
        lock("vdir\n/home/ana/contacts").unwrap();
    }

    #[test]
    fn patience_is_rewarded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g.lock");
        let first = take(&path, Duration::ZERO).unwrap();
        let waiting = thread::spawn({
            let path = path.clone();
            move || take(&path, Duration::from_secs(600)).map(drop)
        });
        drop(first);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn a_copy_of_the_descriptor_keeps_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g.lock");
        let first = take(&path, Duration::ZERO).unwrap();
        let copy = first.try_clone().unwrap();
        drop(first);
        assert!(matches!(take(&path, Duration::ZERO), Err(ErrorKind::Locked { .. })));
        drop(copy);
        take(&path, Duration::ZERO).unwrap();
    }
}
