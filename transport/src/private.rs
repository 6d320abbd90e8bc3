//! Folders and files that only this user can use. Each is looked at before it is trusted: who owns it,
//! who else may use it, and that no symbolic link led there.
//!
//! It keeps other users out, and plugins in a sandbox. A process of the same user that is in none
//! can do all that this one can.

use std::fs::{self, DirBuilder, File, Metadata, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Makes a folder of mode 0700 unless it is there.
///
/// # Errors
/// It cannot be made, or what is there is not a folder that only this user can use.
pub fn private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(named(path, &error)),
        _ => {}
    }
    check_private_folder(path)
}

/// Whether a folder is one that only this user can use. Makes nothing.
///
/// # Errors
/// It is not there, or it is something else.
pub fn check_private_folder(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_dir() && is_ours_alone(&found) { Ok(()) } else { Err(squatted(path, "folder", &found)) }
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// `NotFound`; `PermissionDenied`: not a file that only this user can use, or a symbolic link;
/// `InvalidData`: larger than `most`.
pub fn read_private(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let file = open(path, File::options().read(true))?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        let text = format!("{}: more than {most} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(bytes)
}

/// Replaces a file, or makes it, with mode 0600: whoever reads it sees all of the old or all of the
/// new, also after a crash.
///
/// # Errors
/// The folder takes no file.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let beside = path.with_extension(format!("{:016x}.tmp", u64::from_le_bytes(random)));
    let written = write_new(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _was_perhaps_not_made = fs::remove_file(&beside);
    }
    written.map_err(|error| named(path, &error))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Takes the lock that is a file, which it makes, and which only its holder removes. It is held until
/// the last descriptor is closed, so by no process that has ended. `None`: somebody holds it.
///
/// # Errors
/// The file cannot be made, or is not one that only this user can use.
pub fn lock_private(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = open(path, File::options().read(true).write(true).create(true).mode(0o600))?;
        match file.try_lock() {
            Ok(()) if is_still(&file, path)? => return Ok(Some(file)),
            Ok(()) => {} // it was removed meanwhile: the lock on it says nothing
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(named(path, &error)),
        }
    }
}

/// Whether `path` still leads to the open file.
///
/// # Errors
/// The system does not say.
pub(crate) fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    Ok(fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (open.dev(), open.ino())))
}

fn open(path: &Path, options: &mut fs::OpenOptions) -> io::Result<File> {
    // Not blocking: what lies there may be a pipe of somebody else's.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let opened = options.custom_flags(flags.cast_signed()).open(path);
    let file = opened.map_err(|error| match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => squatted(path, "file", &found),
        _ => named(path, &error),
    })?;
    let found = file.metadata()?;
    if found.is_file() && is_ours_alone(&found) { Ok(file) } else { Err(squatted(path, "file", &found)) }
}

fn is_ours_alone(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0
}

pub(crate) fn squatted(path: &Path, wanted: &str, found: &Metadata) -> io::Error {
    let link = if found.is_symlink() { "a symbolic link, " } else { "" };
    let text = format!(
        "{}: not a {wanted} that only this user can use ({link}user {}, mode {:o})",
        path.display(),
        found.uid(),
        found.mode() & 0o7777
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

pub(crate) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn refused<T: std::fmt::Debug>(result: io::Result<T>, words: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn b16_a_folder_of_another_mode_or_behind_a_link_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (folder, link) = (root.path().join("f"), root.path().join("l"));
        private_folder(&folder).unwrap();
        private_folder(&folder).unwrap();
        chmod(&folder, 0o777);
        refused(private_folder(&folder), "mode 777");
        chmod(&folder, 0o700);
        symlink(&folder, &link).unwrap();
        refused(private_folder(&link), "a symbolic link");
    }

    #[test]
    fn a_file_is_written_whole_and_read_by_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.json");
        write_private(&path, b"old").unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(read_private(&path, 3).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(read_private(&path, 2).unwrap_err().kind(), io::ErrorKind::InvalidData);
        chmod(&path, 0o640);
        refused(read_private(&path, 3), "mode 640");
        let link = root.path().join("link");
        symlink(&path, &link).unwrap();
        refused(read_private(&link, 3), "a symbolic link");
        assert_eq!(read_private(&root.path().join("b"), 3).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// A pipe without a writer would hold up whoever opens it.
    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        refused(read_private(&path, 3), "not a file");
        refused(lock_private(&path), "not a file");
    }

    #[test]
    fn a_lock_has_one_holder_also_after_its_file_was_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("lock");
        let first = lock_private(&path).unwrap().unwrap();
        assert!(lock_private(&path).unwrap().is_none());
        assert!(is_still(&first, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_still(&first, &path).unwrap());
        drop(first);
        assert!(lock_private(&path).unwrap().is_some());
    }
}
