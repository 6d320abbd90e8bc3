//! Handles: connected TCP streams that ride with frames, from the broker to a plugin (decisions W10).
//!
//! The kernel hands descriptors out with the read that brings the first byte of the message that
//! they were sent with; bytes that were written before may come in the same read. So a descriptor
//! belongs to the frame that begins within the read that brought it, and a frame that says it has
//! one and has not, or a descriptor without a frame, is a broken rule. Whatever goes wrong, a
//! descriptor that nobody takes is closed.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(all(feature = "tokio", unix))]
use std::os::fd::{AsFd, BorrowedFd};

use outrigger_protocol::{PeerError, limits::MAX_HANDLES};

/// A connected TCP stream on its way. Closed when it is dropped. On systems that pass none there is
/// no value of this type.
#[derive(Debug)]
pub struct Handle {
    #[cfg(unix)]
    socket: OwnedFd,
    #[cfg(not(unix))]
    never: std::convert::Infallible,
}

#[cfg(unix)]
impl Handle {
    pub(crate) const fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The stream, in blocking mode. Looked at first: an other end that sends a file, or a socket
    /// of another kind, is not believed.
    ///
    /// # Errors
    /// It is no connected TCP stream.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        use rustix::net::{AddressFamily, SocketType, getpeername, sockopt::socket_type};
        let family = getpeername(&self.socket)?.map(|address| address.address_family());
        let is_ip = matches!(family, Some(AddressFamily::INET | AddressFamily::INET6));
        if !is_ip || socket_type(&self.socket)? != SocketType::STREAM {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no connected TCP stream"));
        }
        let stream = TcpStream::from(self.socket);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

#[cfg(unix)]
impl From<TcpStream> for Handle {
    fn from(stream: TcpStream) -> Self {
        Self::new(stream.into())
    }
}

#[cfg(not(unix))]
impl Handle {
    /// There is none to make a stream of.
    ///
    /// # Errors
    /// None: there is no value to call it with.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        match self.never {}
    }
}

#[cfg(unix)]
/// Descriptors came and this process could not take them all: its own fault, not the other end's.
#[derive(Debug, thiserror::Error)]
#[error("descriptors were lost on their way in: this process may not open any more")]
pub(crate) struct Lost;

/// Descriptors came where none is taken.
#[derive(Debug, thiserror::Error)]
#[error("descriptors came where none is taken")]
pub(crate) struct Uninvited;

/// One that has come, and the bytes that came with it, counted from the first of the connection.
#[derive(Debug)]
struct Arrival {
    from: u64,
    to: u64,
    handle: Handle,
}

/// Descriptors that have come before their frames were whole: at most 64.
#[derive(Debug)]
pub(crate) struct Arrivals {
    received: u64,
    waiting: VecDeque<Arrival>,
}

impl Arrivals {
    /// None yet; `held` bytes came with the handshake and are still to be looked at.
    pub(crate) fn new(held: usize) -> Self {
        Self { received: held as u64, waiting: VecDeque::new() }
    }

    /// Bytes have come, and descriptors with them.
    ///
    /// # Errors
    /// More than may wait. All of them are closed.
    pub(crate) fn came(&mut self, count: usize, brought: Vec<Handle>) -> Result<(), PeerError> {
        let (from, to) = (self.received, self.received + count as u64);
        self.received = to;
        if self.waiting.len() + brought.len() > MAX_HANDLES {
            return Err(PeerError::Handles("more than any frame announces"));
        }
        self.waiting.extend(brought.into_iter().map(|handle| Arrival { from, to, handle }));
        Ok(())
    }

    /// Takes out what belongs to a frame that is whole. `untaken`: bytes that have come from its
    /// first on.
    ///
    /// # Errors
    /// The frame says that it has one and none came with it; or one came with an earlier frame that
    /// said nothing of it.
    pub(crate) fn claim(&mut self, handles: u8, untaken: usize) -> Result<Option<Handle>, PeerError> {
        let begins = self.received.saturating_sub(untaken as u64);
        if self.waiting.front().is_some_and(|first| first.to <= begins) {
            return Err(PeerError::Handles("more than the frames say"));
        }
        if handles == 0 {
            return Ok(None);
        }
        let is_own = self.waiting.front().is_some_and(|first| first.from <= begins);
        let own = if is_own { self.waiting.pop_front() } else { None };
        own.map(|arrival| Some(arrival.handle)).ok_or(PeerError::Handles("fewer than the frame says"))
    }

    /// No whole frame is left.
    ///
    /// # Errors
    /// Descriptors are, and no frame has begun that may say they are its own.
    pub(crate) fn rest(&self, is_mid_frame: bool) -> Result<(), PeerError> {
        if is_mid_frame || self.waiting.is_empty() {
            return Ok(());
        }
        Err(PeerError::Handles("more than the frames say"))
    }
}
