//! Who is at the other end of a local socket, as the kernel says.

use std::io;
use std::os::fd::AsFd;

#[cfg(target_os = "linux")]
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// The process that listened, or connected, when the connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process, for people: it may have ended, and its number may be another's by now. 0: it has none
    /// here, since it lives in another process namespace.
    pub pid: u32,
}

/// Fails unless the other end of a connected socket belongs to this user. Before any byte is read.
///
/// # Errors
/// `PermissionDenied`: it belongs to another user. `Unsupported`: this system does not say.
#[cfg(target_os = "linux")]
pub fn same_user(socket: impl AsFd) -> io::Result<Peer> {
    // Not rustix: its type for processes has no value for one without a number.
    let peer = getsockopt(&socket, PeerCredentials)?;
    let (theirs, own) = (peer.uid(), rustix::process::geteuid().as_raw());
    if theirs != own {
        let text = format!("the process at the other end belongs to user {theirs}, this one to user {own}");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(Peer { pid: peer.pid().cast_unsigned() })
}

/// Fails: this system has no way to say.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub fn same_user(_socket: impl AsFd) -> io::Result<Peer> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system does not say who is at a socket's other end"))
}
