//! Unix: a connected socket for the asynchronous driver.
//!
//! Why not the runtime's own: that one listens for *may be read* and *may be written* at once, so
//! each time the peer takes our bytes in, this side is woken to hear that there is room, which it
//! had never missed. Here the runtime is asked about room only after the socket had none.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{SendFlags, send};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::duplex::Duplex;
use crate::handles::Handle;
use crate::unix::{receive_none, retry, send_handle, send_runs};
use crate::watched::watch_descriptor;

/// A connected stream socket, as [`crate::Link`] takes it. What must not wait says so per call, so
/// the descriptor itself may be in either mode.
#[derive(Debug)]
pub struct SocketStream {
    socket: AsyncFd<OwnedFd>,
    /// The same socket once more, while nobody waits for room in it. Made in advance: when it is
    /// needed, the process may have no descriptor left.
    spare: Option<OwnedFd>,
    /// That one, while there is no room.
    full: Option<AsyncFd<OwnedFd>>,
}

impl SocketStream {
    /// Takes a connected stream socket, and a second descriptor of it. Call it within a runtime.
    /// From then on it needs none, and works on when the process has none left.
    ///
    /// # Errors
    /// There is no descriptor left, or the runtime cannot watch it.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let spare = Some(socket.try_clone()?);
        Ok(Self { socket: watch_descriptor(socket, Interest::READABLE)?, spare, full: None })
    }

    /// Writes what there is room for, or waits for room.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        length: usize,
        send: impl Fn(&OwnedFd) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match retry(|| send(self.socket.get_ref())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_room(context))?,
                sent => {
                    if sent.as_ref().is_ok_and(|count| *count == length)
                        && let Some(full) = self.full.take()
                    {
                        self.spare = Some(full.into_inner());
                    }
                    return Poll::Ready(sent);
                }
            }
        }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.full {
            // There was none though the runtime said so: what it said is over.
            Some(full) => ready!(full.poll_write_ready(context))?.clear_ready(),
            None => {
                let spare = self.spare.take().map(|spare| watch_descriptor(spare, Interest::WRITABLE));
                self.full = spare.transpose()?;
            }
        }
        let Some(full) = &self.full else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        full.poll_write_ready(context).map_ok(|_| ())
    }
}

impl Duplex for SocketStream {
    fn passes_handles(&self) -> bool {
        let address = rustix::net::getsockname(self.socket.get_ref());
        address.is_ok_and(|address| address.address_family() == rustix::net::AddressFamily::UNIX)
    }

    fn poll_write_handle(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[IoSlice<'_>],
        handle: &Handle,
    ) -> Poll<io::Result<usize>> {
        let length = runs.iter().map(|run| run.len()).sum();
        self.poll_send(context, length, |socket| send_handle(socket, runs, handle))
    }
}

impl AsyncRead for SocketStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            let space = buffer.initialize_unfilled();
            let length = space.len();
            match retry(|| receive_none(self.socket.get_ref(), &mut *space)).flatten() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    if 0 < count && count < length {
                        ready.clear_ready(); // that was all there was
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
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.poll_send(context, bytes.len(), |socket| send(socket, bytes, flags))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = runs.iter().map(|run| run.len()).sum();
        self.poll_send(context, length, |socket| send_runs(socket, runs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(
            rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Write).map_err(Into::into),
        )
    }
}
