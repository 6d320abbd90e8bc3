//! An end of a memory pair that counts what is done with it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use outrigger_transport::memory::MemoryEnd;
use outrigger_transport::{Carrier, Wait};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts the writes, and the reads that brought something.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) writes: Arc<AtomicUsize>,
    pub(crate) reads: Arc<AtomicUsize>,
}

impl Counts {
    /// What was counted since the last time.
    pub(crate) fn take(&self) -> (usize, usize) {
        (self.writes.swap(0, Ordering::SeqCst), self.reads.swap(0, Ordering::SeqCst))
    }
}

/// One end of a pair, counted.
pub(crate) struct Counting {
    pub(crate) end: MemoryEnd,
    pub(crate) counts: Counts,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.end).poll_read(context, buffer);
        self.counts.reads.fetch_add(usize::from(read.is_ready()), Ordering::SeqCst);
        read
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.counts.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.end).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        runs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(context, &gathered(runs))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Carrier for Counting {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        self.counts.reads.fetch_add(1, Ordering::SeqCst);
        self.end.read(buffer, wait)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.counts.writes.fetch_add(1, Ordering::SeqCst);
        self.end.try_write(bytes)
    }

    fn try_write_vectored(&mut self, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write(&gathered(runs))
    }

    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()> {
        self.end.wait_writable(limit, or_read)
    }
}

/// As the system sees what is written with one call.
fn gathered(runs: &[IoSlice<'_>]) -> Vec<u8> {
    runs.iter().flat_map(|run| run.to_vec()).collect()
}
