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
#[cfg(all(any(feature = "tokio", test), unix))]
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

    #[cfg(any(feature = "tokio", test))]
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

/// Descriptors came and this process could not take them all: its own fault, not the other end's.
#[cfg(unix)]
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A handle, and a number that tells it from others.
    fn handle() -> (Handle, i32) {
        use std::os::fd::AsRawFd as _;
        let socket = OwnedFd::from(UnixStream::pair().unwrap().0);
        let number = socket.as_raw_fd();
        (Handle::new(socket), number)
    }

    fn number(claimed: Result<Option<Handle>, PeerError>) -> Result<Option<i32>, PeerError> {
        use std::os::fd::AsRawFd as _;
        claimed.map(|handle| handle.map(|handle| handle.as_fd().as_raw_fd()))
    }

    /// Two reads before anything is looked at: a frame of 28 bytes with a stray one, and a frame of
    /// 60 with its own.
    #[test]
    fn w10_a_stray_one_is_not_given_to_the_next_frame() {
        let ((stray, _), (own, _)) = (handle(), handle());
        let mut arrivals = Arrivals::new(0);
        arrivals.came(28, vec![stray]).unwrap();
        arrivals.came(60, vec![own]).unwrap();
        assert_eq!(number(arrivals.claim(0, 88)), Ok(None), "it may belong to the next, of the same read");
        assert!(arrivals.claim(1, 60).is_err());
    }

    /// The first frame came with the handshake, the next two in reads of their own.
    #[test]
    fn w10_each_frame_gets_what_came_with_its_first_byte() {
        let ((one, first), (two, second)) = (handle(), handle());
        let mut arrivals = Arrivals::new(28);
        arrivals.came(70, vec![one]).unwrap(); // the end of nothing, 10 bytes of another, and 60
        arrivals.came(60, vec![two]).unwrap();
        assert_eq!(number(arrivals.claim(0, 158)), Ok(None));
        assert_eq!(number(arrivals.claim(0, 130)), Ok(None));
        assert_eq!(number(arrivals.claim(1, 120)), Ok(Some(first)));
        assert_eq!(number(arrivals.claim(1, 60)), Ok(Some(second)));
        assert_eq!(arrivals.rest(false), Ok(()));
    }
}
