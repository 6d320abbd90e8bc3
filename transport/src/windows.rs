//! Windows: a named pipe, blocking.

use std::io::{self, Read as _, Write as _};

use interprocess::local_socket::Stream;

use crate::carrier::{Carrier, Wait};

/// A connected named pipe. It cannot look whether bytes have come without waiting for them, so a
/// plugin on Windows learns of a cancel only when it next waits for the broker.
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

    fn wait_writable(&mut self) -> io::Result<()> {
        Ok(())
    }
}
