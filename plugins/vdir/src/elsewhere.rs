//! The twin of `linux.rs` for other Unix systems: it can do less, and says so.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::stamp::Tick;

/// Not used here: the caller links and removes, which is as safe and costs one call more.
pub(crate) fn rename_new(_: BorrowedFd<'_>, _: &[u8], _: &[u8]) -> io::Result<bool> {
    Ok(false)
}

/// Not used here: the caller's replacement has a window, see the documentation of the crate.
pub(crate) fn exchange(_: BorrowedFd<'_>, _: &[u8], _: &[u8]) -> io::Result<bool> {
    Ok(false)
}

/// A hint only.
pub(crate) fn start_writing(_: &File) {}

/// Not there: each file is synced by itself.
pub(crate) fn sync_all(_: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(false)
}

/// The system's clock.
pub(crate) fn now() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| i128::try_from(age.as_nanos()).unwrap_or(0))
}

/// Taken for granted.
pub(crate) fn keeps_inodes(_: BorrowedFd<'_>) -> bool {
    true
}

/// Nothing is known of the file system.
pub(crate) fn tick(_: BorrowedFd<'_>) -> Tick {
    Tick::Unknown
}
