//! Descriptors that the runtime watches.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime that this is called within watch a descriptor, which `owner` owns and gives to
/// nobody else: the newer constructor is `unsafe` since a descriptor might be closed under it.
///
/// # Errors
/// It cannot be watched: a file of a disk, for one.
#[allow(deprecated, reason = "sound for a descriptor that is owned")]
pub fn watch_descriptor<T: AsRawFd>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, interest)
}
