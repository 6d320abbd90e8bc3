//! What only Linux has: renames with a condition, early write-back, the names of file systems.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Advice, RenameFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::stamp::Tick;

/// Renames unless `to` is there (`AlreadyExists`). `false`: the file system cannot.
pub(crate) fn rename_new(folder: BorrowedFd<'_>, from: &[u8], to: &[u8]) -> io::Result<bool> {
    supported(rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE))
}

/// Exchanges two names in one step. `false`: the file system cannot.
pub(crate) fn exchange(folder: BorrowedFd<'_>, one: &[u8], other: &[u8]) -> io::Result<bool> {
    supported(rustix::fs::renameat_with(folder, one, folder, other, RenameFlags::EXCHANGE))
}

fn supported(result: rustix::io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Starts to write what the file holds, without waiting. "Not needed" makes the kernel start
/// write-back of dirty pages, as `sync_file_range` would, which no safe binding offers (measured:
/// no difference). A hint: where it fails, the sync that follows does all the work.
pub(crate) fn start_writing(file: &File) {
    rustix::fs::fadvise(file.as_fd(), 0, None, Advice::DontNeed).ok();
}

/// Makes durable whatever was written to the file system of `folder`.
pub(crate) fn sync_all(folder: BorrowedFd<'_>) -> io::Result<bool> {
    rustix::fs::syncfs(folder)?;
    Ok(true)
}

/// The clock that stamps files; it runs at most one tick behind the exact one.
pub(crate) fn now() -> i128 {
    let time = clock_gettime(ClockId::RealtimeCoarse);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

// From the kernel's magic.h.
const EXT: i64 = 0xEF53;
const XFS: i64 = 0x5846_5342;
const BTRFS: i64 = 0x9123_683E;
const TMPFS: i64 = 0x0102_1994;
const F2FS: i64 = 0xF2F5_2010;
const FAT: i64 = 0x4D44;
const EXFAT: i64 = 0x2011_BAB0;
const FUSE: i64 = 0x6573_5546;

/// How finely the file system of `folder` stamps.
pub(crate) fn tick(folder: BorrowedFd<'_>) -> Tick {
    match kind(folder) {
        EXT | XFS | BTRFS | TMPFS if stamps_are_exact() => Tick::Exact,
        EXT | XFS | BTRFS | TMPFS | F2FS => Tick::Kernel,
        _ => Tick::Unknown,
    }
}

/// Whether an inode has the same number after the next mount. These make numbers up as they go.
pub(crate) fn keeps_inodes(folder: BorrowedFd<'_>) -> bool {
    !matches!(kind(folder), FAT | EXFAT | FUSE)
}

/// The number that tells which file system it is; 0 is none.
#[allow(clippy::useless_conversion, reason = "the type differs between architectures")]
fn kind(folder: BorrowedFd<'_>) -> i64 {
    rustix::fs::fstatfs(folder).map_or(0, |stat| i64::from(stat.f_type))
}

/// Linux 6.13 brought exact stamps to these four; nothing but the version tells.
fn stamps_are_exact() -> bool {
    let uname = rustix::system::uname();
    version(uname.release().to_bytes()).is_some_and(|version| version >= (6, 13))
}

fn version(release: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = std::str::from_utf8(release).ok()?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_kernel_is_read() {
        assert_eq!(version(b"6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(version(b"4.4.0"), Some((4, 4)));
        assert_eq!(version(b"strange"), None);
    }
}
