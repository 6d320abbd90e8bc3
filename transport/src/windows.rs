//! Windows: a named pipe, blocking.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use interprocess::local_socket::Stream;

use crate::carrier::{Carrier, Wait};

/// A connected named pipe. Two limits, as long as the crate that we have it from cannot look whether
/// bytes have come, and reports an empty pipe as a closed one when it is told not to wait:
///
/// * [`Wait::No`] finds nothing, so a plugin learns of a cancel only when it next waits;
/// * [`Wait::For`] and every write wait without a limit. A broker that hangs is then noticed by
///   whoever started it; one that ends closes the pipe, which ends the wait.
#[derive(Debug)]
pub(crate) struct PipeCarrier(Stream);

impl PipeCarrier {
    pub(crate) const fn new(pipe: Stream) -> Self {
        Self(pipe)
    }
}

impl Carrier for PipeCarrier {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        if wait == Wait::No {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match self.0.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            other => other,
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn wait_writable(&mut self, _: Duration, _: bool) -> io::Result<()> {
        Ok(())
    }
}
