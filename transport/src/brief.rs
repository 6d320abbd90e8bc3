//! Sockets with a name that is needed for one handshake, and what a process that was killed in the
//! middle of one left behind.
//!
//! Beside each lies a lock, `NAME.lock`: it is there before the socket and goes after it, and is held as
//! long as the process lives that listens. So whether one is alive is told by its lock and by nothing
//! else, as for ends that are found.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::held::Held;

/// Digits of a name.
const DIGITS: usize = 32;

/// Shows that who listens at a socket is alive. Goes with it.
#[derive(Debug)]
pub(crate) struct Alive {
    socket: PathBuf,
    lock: Held,
}

impl Alive {
    /// To be had before the socket. What dead ones left in the same folder is removed.
    ///
    /// # Errors
    /// `AddrInUse`: another one has the name. Or the folder takes no file.
    pub(crate) fn before(socket: &Path) -> io::Result<Self> {
        let lock = Held::take(&lock_of(socket))?.ok_or(io::ErrorKind::AddrInUse)?;
        let alive = Self { socket: socket.to_owned(), lock };
        if let Some(folder) = socket.parent() {
            sweep(folder);
        }
        Ok(alive)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let _the_next_start_removes_it = self.lock.leave(&self.socket);
    }
}

fn lock_of(socket: &Path) -> PathBuf {
    socket.with_extension("lock")
}

/// Removes the sockets whose makers have ended. One that cannot be looked at, or not be removed, is left.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let lock = entry.path();
        if is_lock(&lock)
            && let Ok(Some(dead)) = Held::take(&lock)
        {
            let _somebody_else_may = dead.leave(&lock.with_extension(""));
        }
    }
}

/// Whether a file is the lock of such a socket. Others lie there too.
fn is_lock(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".lock"));
    name.is_some_and(|name| name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn b12_the_next_one_sweeps_what_is_dead_and_nothing_that_lives_or_is_not_its_own() {
        let root = tempfile::tempdir().unwrap();
        let socket = |digit: &str| root.path().join(digit.repeat(DIGITS));
        let living = Alive::before(&socket("a")).unwrap();
        let _listener = UnixListener::bind(&living.socket).unwrap();
        // As after a kill: nobody holds the lock. The second was killed before it listened.
        drop(UnixListener::bind(socket("b")).unwrap());
        for digit in ["b", "c"] {
            drop(Held::take(&lock_of(&socket(digit))).unwrap().unwrap());
        }
        let others = ["broker.lock", "broker.sock", "notes.lock"];
        others.iter().for_each(|other| fs::write(root.path().join(other), "").unwrap());
        assert_eq!(names(root.path()).len(), 5 + others.len());
        drop(Alive::before(&socket("d")).unwrap());
        let stay = ["a".repeat(DIGITS), "a".repeat(DIGITS) + ".lock"];
        let stay = stay.iter().map(String::as_str).chain(others).collect::<Vec<_>>();
        assert_eq!(names(root.path()), stay);
        assert_eq!(Alive::before(&socket("a")).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        UnixListener::bind(socket("e")).unwrap();
        drop(living);
        assert!(!socket("a").exists());
    }
}
