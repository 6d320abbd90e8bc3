//! Unix: a connected socket for the asynchronous driver.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::unix::retry;

/// A connected stream socket.
///
/// It asks to be told of room for writing only while it waits for some. The runtime's own sockets
/// ask always, so that whatever the peer reads wakes this side up: one wake-up more for each call.
#[derive(Debug)]
pub struct SocketStream {
    socket: AsyncFd<OwnedFd>,
    /// A duplicate that waits for room: the socket was full.
    full: Option<AsyncFd<OwnedFd>>,
}

impl SocketStream {
    /// Takes a connected stream socket, in blocking mode or not.
    ///
    /// # Errors
    /// The system cannot watch one more descriptor.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: watched(socket, Interest::READABLE)?, full: None })
    }

    /// Writes what there is room for.
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| send(self.socket.get_ref(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL))
    }

    /// Waits until there may be room: at first not at all, since there mostly is.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.full {
            Some(full) => full.poll_write_ready(context).map_ok(|mut ready| ready.clear_ready()),
            None => Poll::Ready(Ok(())),
        }
    }

    /// The socket is full: waits for room from now on.
    fn watch_room(&mut self) -> io::Result<()> {
        if self.full.is_none() {
            let socket = self.socket.get_ref().try_clone()?;
            self.full = Some(watched(socket, Interest::WRITABLE)?);
        }
        Ok(())
    }
}

/// A descriptor that the runtime watches.
#[allow(deprecated, reason = "sound for a descriptor that is owned; the other way is `unsafe`")]
fn watched(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for SocketStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let space = buffer.initialize_unfilled();
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            let socket = self.socket.get_ref();
            match retry(|| recv(socket, &mut *space, RecvFlags::DONTWAIT)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
                Ok((count, _)) => {
                    if count > 0 && count < space.len() {
                        ready.clear_ready(); // that was all: no need to try again
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for SocketStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_room(context))?;
            match self.send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.watch_room()?,
                sent => {
                    self.full = None;
                    return Poll::Ready(sent);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Write)?))
    }
}
