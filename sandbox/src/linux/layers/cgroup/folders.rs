//! Groups as folders: what ours are called, how they are made, and how those that are left over are
//! found.
//!
//! Whoever keeps a group holds a lock on it. That, and not the number in its name, tells who lives:
//! brokers in several process namespaces may see the same groups, and not each other.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::getpid;
use rustix::rand::{GetRandomFlags, getrandom};

/// What the names of all our groups begin with.
const PREFIX: &str = "outrigger-";

/// What a group within one of ours is called, where there is one.
pub(super) const WITHIN: &str = "plugin";

/// What bounds, by the names of the kernel.
pub(super) const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// A name for the groups of this keeper, which nobody else has: in another process namespace there may
/// be another keeper of the same number.
pub(super) fn new_name() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom(&mut random, GetRandomFlags::empty())?; // so few bytes come whole
    let number = getpid().as_raw_nonzero().get().unsigned_abs();
    Ok(format!("{}{:016x}", names_of(number), u64::from_ne_bytes(random)))
}

/// What the names of the groups of a keeper begin with.
pub(super) fn names_of(keeper: u32) -> String {
    format!("{PREFIX}{keeper}-")
}

/// Makes a group. As long as somebody holds what comes back it is not left over.
pub(super) fn create(folder: &Path) -> io::Result<File> {
    const ATTEMPTS: usize = 64;
    let made = (0..ATTEMPTS).find_map(|_| create_once(folder).transpose());
    made.unwrap_or_else(|| Err(io::Error::other("others take it away")))
}

/// `None` if somebody took it for left over before it was locked.
fn create_once(folder: &Path) -> io::Result<Option<File>> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let Ok(group) = File::open(folder) else { return Ok(None) };
    flock(&group, FlockOperation::LockExclusive)?; // who sweeps has it for a moment only
    Ok(folder.exists().then_some(group))
}

/// Takes away the groups that nobody holds. One with processes in it stays.
pub(super) fn sweep(around: &Path) {
    named(around, PREFIX).iter().for_each(|group| take_away(group));
}

/// Takes a group away, unless somebody holds it.
pub(super) fn take_away(group: &Path) {
    let Ok(handle) = File::open(group) else { return };
    if flock(&handle, FlockOperation::NonBlockingLockExclusive).is_ok() {
        remove(group);
    }
}

/// Takes a group away that is ours, with the one within it. One with processes in it stays.
pub(super) fn remove(group: &Path) {
    fs::remove_dir(group.join(WITHIN)).ok(); // most have none
    fs::remove_dir(group).ok();
}

/// The groups in this one whose names begin so.
pub(super) fn named(around: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(around).into_iter().flatten().flatten();
    let fits = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
    entries.filter(fits).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_whoever_sweeps_and_what_is_left_over_goes() {
        let around = tempfile::tempdir().unwrap();
        let of_others = around.path().join("user.slice");
        fs::create_dir(&of_others).unwrap();
        // The number of a process that there is, and of one that there cannot be.
        let names = [new_name().unwrap(), format!("{}0", names_of(u32::MAX))];
        let [ours, strange] = names.map(|name| around.path().join(name));
        let held = [create(&ours).unwrap(), create(&strange).unwrap()];
        sweep(around.path());
        assert!(ours.exists() && strange.exists());
        drop(held);
        sweep(around.path());
        assert!(!ours.exists() && !strange.exists() && of_others.exists());
    }

    #[test]
    fn two_keepers_of_one_number_never_share_a_group() {
        let [one, other] = [new_name().unwrap(), new_name().unwrap()];
        assert_ne!(one, other);
        let prefix = names_of(std::process::id());
        assert!(one.starts_with(&prefix) && other.starts_with(&prefix));
    }

    #[test]
    fn a_group_that_was_swept_before_it_was_locked_is_made_again() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join(new_name().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| (0..2000).for_each(|_| sweep(around.path())));
            for _ in 0..200 {
                let held = create(&folder).unwrap();
                assert!(folder.exists(), "it is held and gone");
                drop(held);
                take_away(&folder);
            }
        });
    }
}
