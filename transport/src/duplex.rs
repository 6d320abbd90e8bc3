//! What the asynchronous driver needs of a byte stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::handles::Handle;

/// A duplex byte stream that may be able to send descriptors along (decisions W10).
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {
    /// Whether it can.
    fn passes_handles(&self) -> bool {
        false
    }

    /// Writes several runs of bytes, at least one byte, and a descriptor with the first of them. Its
    /// caller closes its own copy then.
    ///
    /// # Errors
    /// This stream passes none; or as of any write.
    fn poll_write_handle(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[IoSlice<'_>],
        handle: &Handle,
    ) -> Poll<io::Result<usize>> {
        let _ = (context, runs, handle);
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

#[cfg(windows)]
impl Duplex for crate::local::Stream {}

impl<T: Duplex + ?Sized> Duplex for Box<T> {
    fn passes_handles(&self) -> bool {
        (**self).passes_handles()
    }

    fn poll_write_handle(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[IoSlice<'_>],
        handle: &Handle,
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self).poll_write_handle(context, runs, handle)
    }
}

/// Any byte stream: it sends no descriptors.
#[derive(Debug)]
pub struct Plain<T>(pub T);

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for Plain<T> {}

impl<T: AsyncRead + Unpin> AsyncRead for Plain<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Plain<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, runs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
