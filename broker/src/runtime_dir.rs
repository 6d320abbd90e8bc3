//! The folder for sockets: private to the user, checked before it is used.

use std::io;
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;

/// Where the sockets of plugins that dial lie: `$XDG_RUNTIME_DIR/outrigger`, or `outrigger-UID` among
/// the temporary files. Touches nothing. `None`: this system has no such folder.
#[cfg(unix)]
#[must_use]
pub fn runtime_path() -> Option<PathBuf> {
    Some(match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(base) if base.is_absolute() && base.as_os_str().len() < 50 => base.join("outrigger"),
        _ => PathBuf::from(format!("/tmp/outrigger-{}", rustix::process::geteuid().as_raw())),
    })
}

/// Where the sockets of plugins that dial lie. `None`: pipes have names of their own.
#[cfg(not(unix))]
#[must_use]
pub fn runtime_path() -> Option<PathBuf> {
    None
}

/// [`runtime_path`], made if it is not there.
///
/// # Errors
/// The folder cannot be made, or belongs to another user, or others may write to it: somebody
/// squats on the name.
#[cfg(unix)]
pub(crate) fn runtime_dir() -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = runtime_path().ok_or(io::ErrorKind::Unsupported)?;
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    check_runtime_dir(&path).map(|()| path)
}

/// Whether a folder is this user's, and nobody else can use it. Makes nothing.
///
/// # Errors
/// It is not there, or it belongs to another user, or others may use it, or it is a link: somebody
/// squats on the name.
#[cfg(unix)]
pub fn check_runtime_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let uid = rustix::process::geteuid().as_raw();
    let found = std::fs::symlink_metadata(path)?;
    if found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let text = format!(
        "{}: not a folder that only this user can use (user {}, mode {:o})",
        path.display(),
        found.uid(),
        found.mode() & 0o7777
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// Pipes have names of their own.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix twin can fail")]
pub(crate) fn runtime_dir() -> io::Result<PathBuf> {
    Ok(PathBuf::new())
}
