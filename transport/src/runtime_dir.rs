//! The folder for sockets: private to the user, checked before it is used.

use std::io;
use std::path::PathBuf;

#[cfg(unix)]
use crate::private::private_folder;

/// Longest base whose sockets every system takes.
#[cfg(unix)]
const MAX_BASE: usize = 50;

/// Where sockets with names lie: `$XDG_RUNTIME_DIR/outrigger`, or `/tmp/outrigger-UID` where that
/// variable names nothing that a socket's path could begin with. Touches nothing. `None`: this system
/// has no such folder.
#[cfg(unix)]
#[must_use]
pub fn runtime_path() -> Option<PathBuf> {
    Some(match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(base) if base.is_absolute() && base.as_os_str().len() < MAX_BASE => base.join("outrigger"),
        _ => PathBuf::from(format!("/tmp/outrigger-{}", rustix::process::geteuid().as_raw())),
    })
}

/// Where sockets with names lie. `None`: pipes have names of their own.
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
pub fn runtime_dir() -> io::Result<PathBuf> {
    let path = runtime_path().ok_or(io::ErrorKind::Unsupported)?;
    private_folder(&path).map(|()| path)
}

/// Pipes have names of their own.
///
/// # Errors
/// None on this system.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the Unix twin can fail")]
pub fn runtime_dir() -> io::Result<PathBuf> {
    Ok(PathBuf::new())
}
