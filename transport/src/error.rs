//! Why a link ended.

use std::io;
use std::time::Duration;

use outrigger_protocol::{Decoder, HandshakeError, PeerError};

use crate::handles::Uninvited;

/// Why a connection could not be made, or ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The operating system says so.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The other side broke a rule of the protocol.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The two ends could not agree.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The other side said nothing for too long while the connection was made.
    #[error("the other end did not complete the handshake in time")]
    HandshakeTime,
    /// The other side does not read: it has hung, or was stopped.
    #[error("the other end has not taken a byte for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The other side closed the connection.
    #[error("the other end closed the connection{}", if *.mid_frame { " in the middle of a frame" } else { "" })]
    Closed {
        /// Bytes of an unfinished frame had come.
        mid_frame: bool,
    },
}

impl LinkError {
    /// What a failed read says. A peer that died with something unread has closed the connection,
    /// though the system calls it a reset.
    pub(crate) fn from_read(error: io::Error, decoder: &Decoder) -> Self {
        if error.get_ref().is_some_and(|inner| inner.is::<Uninvited>()) {
            return PeerError::Handles("from a plugin").into();
        }
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Closed { mid_frame: decoder.is_mid_frame() }
            }
            _ => Self::Io(error),
        }
    }
}

/// 32 fresh random bytes for a HELLO.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn nonce() -> Result<[u8; 32], LinkError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}
