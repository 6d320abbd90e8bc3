//! Groups as folders: what ours are called, how they are made, and how those that are left over are
//! found.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

/// What a group's name begins with; the number of the keeper's process follows.
const PREFIX: &str = "outrigger-";

/// What bounds, by the names of the kernel.
pub(super) const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The name of the groups of this keeper.
pub(super) fn own_name() -> String {
    name_of(getpid().as_raw_nonzero().get().unsigned_abs())
}

/// The name of the groups of a keeper.
pub(super) fn name_of(keeper: u32) -> String {
    format!("{PREFIX}{keeper}")
}

/// Makes a group, unless it is there.
pub(super) fn create(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What a group within one of ours is called, where there is one.
pub(super) const WITHIN: &str = "plugin";

/// Takes a group away, with the one within it.
///
/// # Errors
///
/// It has processes in it, or is not there.
pub(super) fn take_away(folder: &Path) -> io::Result<()> {
    fs::remove_dir(folder.join(WITHIN)).ok(); // most have none
    fs::remove_dir(folder)
}

/// Takes away the groups of keepers that have gone. One with processes in it stays.
pub(super) fn sweep(around: &Path) {
    let Ok(entries) = fs::read_dir(around) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let keeper =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse().ok());
        if keeper.and_then(Pid::from_raw).is_some_and(|keeper| test_kill_process(keeper) == Err(Errno::SRCH))
        {
            take_away(&entry.path()).ok();
        }
    }
}
