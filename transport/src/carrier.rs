//! Carrier: a duplex byte stream, as a blocking driver needs it.

use std::io::{self, IoSlice};
use std::time::Duration;

use crate::handles::Handle;

/// Most runs of bytes that one system call writes.
pub(crate) const MAX_RUNS: usize = 16;

/// How long to wait for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: `WouldBlock` when none have come.
    No,
    /// At most this long: `TimedOut` when none have come.
    For(Duration),
    /// Until some come or the other side closes.
    Forever,
}

/// A duplex byte stream between this process and one peer.
pub trait Carrier: Send {
    /// Reads what has come, at least one byte; 0 = the other side closed.
    ///
    /// # Errors
    /// `WouldBlock` and `TimedOut` as [`Wait`] says; others end the connection.
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize>;

    /// Whether descriptors can come with the bytes (decisions W10).
    fn passes_handles(&self) -> bool {
        false
    }

    /// As [`Carrier::read`], with the descriptors that came with the bytes, where this carrier passes
    /// any. [`Carrier::read`] closes them.
    ///
    /// # Errors
    /// As [`Carrier::read`]; also that descriptors came and there was no room for them.
    fn read_with_handles(
        &mut self,
        buffer: &mut [u8],
        wait: Wait,
        handles: &mut Vec<Handle>,
    ) -> io::Result<usize> {
        let _none_come = handles;
        self.read(buffer, wait)
    }

    /// Writes without waiting, at least one byte.
    ///
    /// # Errors
    /// `WouldBlock` when the other side does not read; others end the connection.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes several runs of bytes, in order, as far as there is room; where a carrier has no way
    /// to do that at once, the first.
    ///
    /// # Errors
    /// As [`Carrier::try_write`].
    fn try_write_vectored(&mut self, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write(runs.first().map_or(&[], |run| run))
    }

    /// Waits until bytes can be written, or, when `or_read`, some have come to be read; at most
    /// `limit`.
    ///
    /// # Errors
    /// `TimedOut` when neither happened; others end the connection.
    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()>;
}
