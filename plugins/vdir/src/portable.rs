//! The twin of `unix.rs` for other systems (Windows), by path and with std alone. It can do less,
//! and says so: no exchange of names (the window is documented at the crate), no durable folder
//! (renames there are durable when the system says so), no inode in a revision. Names that are not
//! Unicode cannot be named.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use outrigger_plugin_sdk::protocol::StoreId;

use crate::stamp::{Stat, Tick};

/// A folder.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            Ok(Self(path.into()))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    fn path(&self, name: &[u8]) -> io::Result<PathBuf> {
        let name = std::str::from_utf8(name).map_err(|_| io::ErrorKind::InvalidFilename)?;
        Ok(self.0.join(name))
    }

    pub(crate) fn names(&self, each: &mut dyn FnMut(&[u8], bool)) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            each(entry.file_name().as_encoded_bytes(), entry.file_type().map_or(true, |kind| kind.is_file()));
        }
        Ok(())
    }

    pub(crate) fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(from_metadata(&fs::symlink_metadata(self.path(name)?)?))
    }

    pub(crate) fn open_file(&self, name: &[u8]) -> io::Result<File> {
        File::open(self.path(name)?)
    }

    pub(crate) fn create(&self, name: &[u8], _private: bool) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name)?)
    }

    pub(crate) fn rename_new(&self, _: &[u8], _: &[u8]) -> io::Result<bool> {
        Ok(false)
    }

    pub(crate) fn exchange(&self, _: &[u8], _: &[u8]) -> io::Result<bool> {
        Ok(false)
    }

    pub(crate) fn rename_over(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        fs::rename(self.path(from)?, self.path(to)?)
    }

    pub(crate) fn link(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        use io::ErrorKind as K;
        fs::hard_link(self.path(from)?, self.path(to)?).map_err(|error| match error.kind() {
            K::AlreadyExists | K::NotFound | K::StorageFull => error,
            _ => K::Unsupported.into(),
        })
    }

    pub(crate) fn remove(&self, name: &[u8]) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    /// Not there: each file is synced by itself.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the twin of a call that can fail")]
    pub(crate) fn sync_all(&self) -> io::Result<bool> {
        Ok(false)
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the twin of a call that can fail")]
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "the twin of a call that looks")]
    pub(crate) fn tick(&self) -> Tick {
        Tick::Unknown
    }

    pub(crate) fn is_at(&self, path: &Path) -> bool {
        path == self.0 && path.is_dir()
    }

    pub(crate) fn is_writable(&self) -> bool {
        fs::metadata(&self.0).is_ok_and(|metadata| !metadata.permissions().readonly())
    }

    /// The birth time of the folder.
    pub(crate) fn identity(&self) -> io::Result<Option<StoreId>> {
        let birth = nanoseconds(fs::metadata(&self.0)?.created());
        Ok((birth != 0).then(|| StoreId::from(format!("b{birth:x}").into_bytes())))
    }
}

/// Looks at an open file.
pub(crate) fn stat_file(file: &File) -> io::Result<Stat> {
    Ok(from_metadata(&file.metadata()?))
}

/// New files have the rights of their folder here.
#[allow(clippy::unnecessary_wraps, reason = "the twin of a call that can fail")]
pub(crate) fn take_after(_: &File, _: &Stat) -> io::Result<()> {
    Ok(())
}

/// Makes a folder.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// A hint only.
pub(crate) fn start_writing(_: &File) {}

/// The system's clock.
pub(crate) fn now() -> i128 {
    nanoseconds(Ok(SystemTime::now()))
}

/// No inode and no ctime to be had: the birth time stands in for the inode, so that a file put in
/// the place of another shows.
fn from_metadata(metadata: &Metadata) -> Stat {
    let birth = nanoseconds(metadata.created());
    let mtime = nanoseconds(metadata.modified());
    Stat {
        inode: u64::try_from(birth).unwrap_or(0),
        size: metadata.len(),
        mtime,
        ctime: mtime,
        mode: 0,
        owner: (0, 0),
        regular: metadata.is_file(),
    }
}

fn nanoseconds(time: io::Result<SystemTime>) -> i128 {
    let age = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    age.map_or(0, |age| i128::try_from(age.as_nanos()).unwrap_or(0))
}
