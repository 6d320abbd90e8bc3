//! One message at a time over a socket that keeps messages apart, descriptors included.
//!
//! `SOCK_SEQPACKET`, so no length prefix, no partial read, and the descriptors of one message
//! can never arrive glued to the bytes of another (compare decisions W10).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, sendmsg, socketpair,
};
use serde::{Serialize, de::DeserializeOwned};

/// The most descriptors in one message. The kernel's own limit is 253.
pub(super) const MAX_DESCRIPTORS: usize = 128;

/// The longest message. Well below the smallest default send buffer, so that one send is enough.
pub(super) const MAX_MESSAGE: usize = 128 * 1024;

/// What a look at the socket brought.
#[derive(Debug)]
pub(super) enum Received<M> {
    /// A message, and the descriptors that came with it.
    Message(M, Vec<OwnedFd>),
    /// Nothing yet.
    Nothing,
    /// The other end is closed: nothing will come any more.
    Closed,
}

/// Whether to wait for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until there is one.
    Forever,
    /// Not at all.
    No,
}

/// Two connected ends, both close-on-exec.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Whether a descriptor is an end of such a pair.
pub(super) fn is_channel(socket: impl AsFd) -> bool {
    rustix::net::sockopt::socket_type(socket.as_fd()) == Ok(SocketType::SEQPACKET)
}

/// Sends one message. Never waits: the few messages of a start fit any send buffer.
pub(super) fn send(socket: impl AsFd, message: &impl Serialize) -> io::Result<()> {
    send_with(socket, message, &[])
}

/// Sends one message and descriptors with it.
pub(super) fn send_with(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_MESSAGE || descriptors.len() > MAX_DESCRIPTORS {
        return Err(Errno::MSGSIZE.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::MSGSIZE.into());
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// Receives one message.
pub(super) fn receive<M: DeserializeOwned>(socket: impl AsFd, wait: Wait) -> io::Result<Received<M>> {
    match receive_bytes(socket.as_fd(), wait) {
        Ok((bytes, _)) if bytes.is_empty() => Ok(Received::Closed),
        Ok((bytes, descriptors)) => Ok(Received::Message(serde_json::from_slice(&bytes)?, descriptors)),
        Err(Errno::AGAIN) => Ok(Received::Nothing),
        Err(error) => Err(error.into()),
    }
}

fn receive_bytes(socket: BorrowedFd<'_>, wait: Wait) -> Result<(Vec<u8>, Vec<OwnedFd>), Errno> {
    let flags = if wait == Wait::No { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
    let mut bytes = vec![0; next_length(socket, flags)?];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = flags | RecvFlags::CMSG_CLOEXEC;
    let received = retried(|| recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags))?;
    let descriptors = descriptors(&mut control);
    if received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC) {
        return Err(Errno::MSGSIZE);
    }
    bytes.truncate(received.bytes);
    Ok((bytes, descriptors))
}

/// How long the next message is: 0 at the end. Looking first keeps the keeper from owning a
/// buffer for the longest message that could ever come.
fn next_length(socket: BorrowedFd<'_>, flags: RecvFlags) -> Result<usize, Errno> {
    let mut nothing = [0; 0];
    let peek = flags | RecvFlags::PEEK | RecvFlags::TRUNC;
    match retried(|| recv(socket, &mut nothing[..], peek)) {
        Ok((_, length)) if length > MAX_MESSAGE => Err(Errno::MSGSIZE),
        Ok((_, length)) => Ok(length),
        Err(error) => Err(error),
    }
}

/// Tries again after a signal, and after the peer closed its end without reading all that we
/// sent: the kernel reports that once, as a reset, *before* it hands out what the peer had said.
fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR | Errno::CONNRESET) => {}
            other => return other,
        }
    }
}

fn descriptors(control: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    rights.flatten().collect()
}

/// Waits until a descriptor has something to read or its other end is closed; false if the
/// deadline came first.
pub(super) fn wait_readable(descriptor: impl AsFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut descriptors = [PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN)];
        match poll(&mut descriptors, Some(&timespec(left))) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A duration as the kernel takes it; one that is too long for it waits as long as it can.
pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec::try_from(duration).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_message_and_its_descriptors_arrive_together() {
        let (a, b) = pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send_with(&a, &"one", &[writer.as_fd()]).unwrap();
        send(&a, &"two").unwrap();
        drop(writer);
        let Received::Message(first, mut descriptors) = receive::<String>(&b, Wait::Forever).unwrap() else {
            panic!("no message");
        };
        assert_eq!((first.as_str(), descriptors.len()), ("one", 1));
        std::fs::File::from(descriptors.remove(0)).write_all(b"x").unwrap();
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "x");
        assert!(
            matches!(receive::<String>(&b, Wait::No).unwrap(), Received::Message(m, d) if m == "two" && d.is_empty())
        );
        assert!(matches!(receive::<String>(&b, Wait::No).unwrap(), Received::Nothing));
    }

    #[test]
    fn what_was_said_before_a_reset_is_still_heard() {
        let (a, b) = pair().unwrap();
        send(&a, &"never read").unwrap();
        send(&b, &"last words").unwrap();
        drop(b);
        assert!(
            matches!(receive::<String>(&a, Wait::No).unwrap(), Received::Message(m, _) if m == "last words")
        );
        assert!(matches!(receive::<String>(&a, Wait::No).unwrap(), Received::Closed));
    }

    #[test]
    fn what_is_too_long_is_refused_whole() {
        let (a, b) = pair().unwrap();
        assert!(send(&a, &"x".repeat(MAX_MESSAGE)).is_err());
        assert!(matches!(receive::<String>(&b, Wait::No).unwrap(), Received::Nothing));
        send(&a, &"x".repeat(MAX_MESSAGE - 2)).unwrap();
    }

    #[test]
    fn waiting_ends_at_the_deadline_or_at_the_end() {
        let (a, b) = pair().unwrap();
        assert!(!wait_readable(&a, Instant::now()).unwrap());
        drop(b);
        assert!(wait_readable(&a, Instant::now() + Duration::from_secs(5)).unwrap());
    }
}
