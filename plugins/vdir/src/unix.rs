//! A folder on Unix: everything goes through its descriptor, so that a folder which is moved or
//! mounted over in the middle of a run is never mixed up with another.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use outrigger_plugin_sdk::protocol::StoreId;
use rustix::fs::{Access, AtFlags, FileType, Gid, Mode, OFlags, RawMode, Uid};

#[cfg(not(target_os = "linux"))]
use crate::elsewhere as kernel;
#[cfg(target_os = "linux")]
use crate::linux as kernel;
use crate::stamp::{Stat, Tick};

pub(crate) use kernel::{now, start_writing};

/// An open folder.
pub(crate) struct Dir(OwnedFd);

impl Dir {
    /// Opens the folder; `path` itself may be a symbolic link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Hands over every name and whether it may be a plain file. An error in the middle: some were
    /// not handed over.
    pub(crate) fn names(&self, each: &mut dyn FnMut(&[u8], bool)) -> io::Result<()> {
        let mut entries = rustix::fs::Dir::read_from(&self.0)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let plain = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
            each(entry.file_name().to_bytes(), plain);
        }
        Ok(())
    }

    /// Looks at the name itself, not at what a link points to. Opens nothing.
    pub(crate) fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(from_stat(&rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// Opens for reading; never waits for a pipe, never follows a link: no file has
    /// that name then.
    pub(crate) fn open_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            Err(rustix::io::Errno::LOOP) => Err(io::ErrorKind::NotFound.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a file that was not there, for its owner alone or as the umask says.
    pub(crate) fn create(&self, name: &[u8], private: bool) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if private { 0o600 } else { 0o666 });
        Ok(rustix::fs::openat(&self.0, name, flags, mode)?.into())
    }

    /// Renames unless `to` is there. `false`: not supported here, nothing happened.
    pub(crate) fn rename_new(&self, from: &[u8], to: &[u8]) -> io::Result<bool> {
        kernel::rename_new(self.0.as_fd(), from, to)
    }

    /// Exchanges two names. `false`: not supported here, nothing happened.
    pub(crate) fn exchange(&self, one: &[u8], other: &[u8]) -> io::Result<bool> {
        kernel::exchange(self.0.as_fd(), one, other)
    }

    /// Renames over whatever `to` is.
    pub(crate) fn rename_over(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Gives the file a second name, unless that is taken. `Unsupported`: there are no such links.
    pub(crate) fn link(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::linkat(&self.0, from, &self.0, to, AtFlags::empty()) {
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            other => Ok(other?),
        }
    }

    /// Removes a name.
    pub(crate) fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Makes all contents on the file system durable. `false`: not supported here.
    pub(crate) fn sync_all(&self) -> io::Result<bool> {
        kernel::sync_all(self.0.as_fd())
    }

    /// Makes names durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// How finely files are stamped here.
    pub(crate) fn tick(&self) -> Tick {
        kernel::tick(self.0.as_fd())
    }

    /// Whether `path` still leads here.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let (Ok(ours), Ok(there)) = (rustix::fs::fstat(&self.0), rustix::fs::stat(path)) else {
            return false;
        };
        (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
    }

    /// Whether files can be made here.
    pub(crate) fn is_writable(&self) -> bool {
        rustix::fs::accessat(&self.0, ".", Access::WRITE_OK, AtFlags::empty()).is_ok()
    }

    /// Birth time and inode of the folder. Both survive a reboot, which device numbers do not; a
    /// folder of the same name on another or a freshly made file system was born at another
    /// instant. Where no birth time is kept, the file system's own number stands in; where inodes
    /// last only until the next mount, they are left out; where neither is to be had, a folder has
    /// no identity.
    pub(crate) fn identity(&self) -> io::Result<Option<StoreId>> {
        let metadata = File::from(self.0.try_clone()?).metadata()?;
        let birth = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let inode = kernel::keeps_inodes(self.0.as_fd()).then(|| metadata.ino());
        Ok(match (birth, inode) {
            (Some(birth), inode) => Some(format!("b{:x}-i{:x}", birth.as_nanos(), inode.unwrap_or(0))),
            (None, Some(inode)) => Some(format!("f{:x}-i{inode:x}", rustix::fs::fstatvfs(&self.0)?.f_fsid)),
            (None, None) => None,
        }
        .map(|identity| StoreId::from(identity.into_bytes())))
    }
}

/// Looks at an open file.
pub(crate) fn stat_file(file: &File) -> io::Result<Stat> {
    Ok(from_stat(&rustix::fs::fstat(file)?))
}

/// Gives a new file the owner and the rights of the one that it replaces. The owner only where it
/// differs and we may: whoever runs us as root wants to keep his files.
pub(crate) fn take_after(file: &File, old: &Stat) -> io::Result<()> {
    let new = stat_file(file)?;
    if new.owner != old.owner {
        rustix::fs::fchown(file, Some(Uid::from_raw(old.owner.0)), Some(Gid::from_raw(old.owner.1))).ok();
    }
    #[allow(clippy::cast_possible_truncation, reason = "nine bits; the type is narrow on some systems")]
    let mode = Mode::from_raw_mode((old.mode & 0o777) as RawMode);
    Ok(rustix::fs::fchmod(file, mode)?)
}

/// Makes a folder, for its owner alone. Its name is not durable before the folder that it is in was
/// synced.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mkdir(path, Mode::from_raw_mode(0o700))?)
}

#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the types differ between systems")]
#[allow(clippy::useless_conversion, clippy::cast_lossless, reason = "the types differ between systems")]
fn from_stat(stat: &rustix::fs::Stat) -> Stat {
    Stat {
        inode: stat.st_ino as u64,
        size: stat.st_size as u64,
        mtime: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        ctime: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        mode: stat.st_mode as u32 & 0o7777,
        owner: (stat.st_uid, stat.st_gid),
        regular: FileType::from_raw_mode(stat.st_mode as RawMode) == FileType::RegularFile,
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}
