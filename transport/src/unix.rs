//! Unix: connected sockets, named or inherited.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(feature = "tokio")]
use rustix::net::SendAncillaryMessage;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendFlags, recv, recvmsg, send, sendmsg,
};

use crate::carrier::{Carrier, Wait};
#[cfg(feature = "tokio")]
use crate::handles::Uninvited;
use crate::handles::{Handle, Lost};

/// A connected stream socket. Reads and writes are one system call each; what must not wait says
/// so per call, so the descriptor itself stays in blocking mode.
#[derive(Debug)]
pub struct SocketCarrier(OwnedFd);

impl SocketCarrier {
    /// Takes a connected stream socket.
    #[must_use]
    pub const fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Waits as long as `wait` says, where that is not what a read itself does.
    fn wait_readable(&self, wait: Wait) -> io::Result<RecvFlags> {
        if let Wait::For(limit) = wait
            && !self.wait(PollFlags::IN, limit)?
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(if wait == Wait::No { RecvFlags::DONTWAIT } else { RecvFlags::empty() })
    }

    fn wait(&self, flags: PollFlags, limit: Duration) -> io::Result<bool> {
        let limit = timespec(limit);
        let mut set = [PollFd::new(&self.0, flags)];
        Ok(retry(|| poll(&mut set, Some(&limit)))? > 0)
    }
}

impl Carrier for SocketCarrier {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        let flags = self.wait_readable(wait)?;
        retry(|| recv(&self.0, &mut *buffer, flags)).map(|(count, _)| count)
    }

    fn passes_handles(&self) -> bool {
        let address = rustix::net::getsockname(&self.0);
        address.is_ok_and(|address| address.address_family() == AddressFamily::UNIX)
    }

    fn read_with_handles(
        &mut self,
        buffer: &mut [u8],
        wait: Wait,
        handles: &mut Vec<Handle>,
    ) -> io::Result<usize> {
        let flags = self.wait_readable(wait)?;
        retry(|| receive(&self.0, &mut *buffer, handles, flags))?
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| send(&self.0, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL))
    }

    fn try_write_vectored(&mut self, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| send_runs(&self.0, runs))
    }

    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()> {
        let flags = if or_read { PollFlags::IN | PollFlags::OUT } else { PollFlags::OUT };
        if self.wait(flags, limit)? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

/// Sends several runs of bytes without waiting.
pub(crate) fn send_runs(socket: &OwnedFd, runs: &[IoSlice<'_>]) -> rustix::io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(socket, runs, &mut SendAncillaryBuffer::default(), flags)
}

/// Sends several runs of bytes without waiting, and a descriptor with the first of them.
#[cfg(feature = "tokio")]
pub(crate) fn send_handle(
    socket: &OwnedFd,
    runs: &[IoSlice<'_>],
    handle: &Handle,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let handles = [handle.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&handles)) {
        return Err(rustix::io::Errno::NOBUFS); // the space is for one
    }
    sendmsg(socket, runs, &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
}

/// The most descriptors that one message can bring on any system that we know. With less room the
/// kernel would drop some and say so in a flag only.
const MOST_AT_ONCE: usize = 253;

/// Reads once. An inner error: descriptors came and were lost, since this process has no number left
/// for them.
fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
    handles: &mut Vec<Handle>,
    flags: RecvFlags,
) -> rustix::io::Result<io::Result<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags | CLOSE_ON_EXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sockets) = message {
            handles.extend(sockets.map(Handle::new));
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Ok(Err(io::Error::other(Lost)));
    }
    Ok(Ok(message.bytes))
}

/// Reads once where no descriptor is taken. What comes gets no number in this process: the kernel
/// closes it. An inner error: some came.
#[cfg(feature = "tokio")]
pub(crate) fn receive_none(socket: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<io::Result<usize>> {
    let mut control = RecvAncillaryBuffer::default();
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::DONTWAIT)?;
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Ok(Err(io::Error::new(io::ErrorKind::InvalidData, Uninvited)));
    }
    Ok(Ok(message.bytes))
}

/// What comes is not inherited by what the plugin starts.
#[cfg(not(target_vendor = "apple"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty(); // this system cannot

/// Repeats a system call that a signal interrupted.
pub(crate) fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

pub(crate) fn timespec(limit: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    }
}

/// The connection that this process was started with, on descriptor 0. That is then the end of a pipe
/// that nobody writes to, so that a plugin that reads its standard input gets nothing: a sandbox may
/// have no null device.
///
/// # Errors
/// Descriptor 0 is not a connected socket.
pub fn inherited() -> io::Result<SocketCarrier> {
    let stdin = io::stdin();
    rustix::net::getpeername(stdin.as_fd())?;
    let socket = stdin.as_fd().try_clone_to_owned()?;
    let (nothing, _) = io::pipe()?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(SocketCarrier::new(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_read_waits_as_long_as_it_was_told() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut a, mut b) = (SocketCarrier::new(a.into()), SocketCarrier::new(b.into()));
        let mut buffer = [0; 8];
        assert_eq!(a.read(&mut buffer, Wait::No).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let short = Wait::For(Duration::from_millis(1));
        assert_eq!(a.read(&mut buffer, short).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(b.try_write(b"abc").unwrap(), 3);
        assert_eq!(a.read(&mut buffer, Wait::Forever).unwrap(), 3);
        drop(b);
        assert_eq!(a.read(&mut buffer, Wait::Forever).unwrap(), 0);
    }

    /// Holds S24.
    #[test]
    fn a_call_that_signals_interrupt_is_made_until_it_says_something_else() {
        let mut storm = 1000;
        let mut interrupted = |then: rustix::io::Result<u8>| {
            storm -= 1;
            if storm % 100 == 0 { then } else { Err(rustix::io::Errno::INTR) }
        };
        assert_eq!(retry(|| interrupted(Ok(7))).unwrap(), 7);
        let error = retry(|| interrupted(Err(rustix::io::Errno::AGAIN))).unwrap_err();
        assert_eq!((error.kind(), storm), (io::ErrorKind::WouldBlock, 800));
    }

    #[test]
    fn writing_to_a_peer_that_does_not_read_does_not_wait() {
        let (a, _b) = UnixStream::pair().unwrap();
        let mut a = SocketCarrier::new(a.into());
        let error = loop {
            if let Err(error) = a.try_write(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
