//! Packets: whole messages between two processes of one user, descriptors with them.
//!
//! For processes of ours that start things for each other; never for a plugin. `SOCK_SEQPACKET`: no
//! length, no half of a message, and descriptors come with the message that they were sent with.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    listen, recvmsg, sendmsg, socket_with,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::ends::check_socket;
use crate::held::remove;
use crate::local::check_length;
use crate::peer::{Peer, same_user};
use crate::unix::retry;
use crate::watched::watch_descriptor;

/// The longest message, in bytes: well below the smallest default send buffer.
const LONGEST: usize = 128 * 1024;

/// The most descriptors with one message. The kernel's own limit is 253.
const MOST: usize = 160;

/// How many may wait to be accepted.
const BACKLOG: i32 = 128;

/// A socket that waits for processes of this user.
#[derive(Debug)]
pub struct PacketListener(AsyncFd<OwnedFd>);

impl PacketListener {
    /// Listens at `path`, which must be free, in a folder that only this user can use. Call it within
    /// a runtime.
    ///
    /// # Errors
    /// The path is taken, or too long for a socket.
    pub fn bind(path: &Path) -> io::Result<Self> {
        check_length(path)?;
        let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listen(&socket, BACKLOG)?;
        watch_descriptor(socket, Interest::READABLE | Interest::WRITABLE).map(Self)
    }

    /// The same in place of whatever lies there: for who holds the lock of that place.
    ///
    /// # Errors
    /// It cannot be removed, or the path is too long for a socket.
    pub fn bind_anew(path: &Path) -> io::Result<Self> {
        remove(path)?;
        Self::bind(path)
    }

    /// Waits for the next process. One of another user is let go unheard.
    ///
    /// # Errors
    /// There is no descriptor left for it.
    pub async fn accept(&self) -> io::Result<(Packets, Peer)> {
        loop {
            let mut ready = self.0.readable().await?;
            match retry(|| accept_with(self.0.get_ref(), SocketFlags::CLOEXEC)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => return Err(error),
                // One that has gone again, or another user's, is closed before it is heard.
                Ok(socket) => {
                    if let Ok(peer) = same_user(&socket) {
                        return Ok((
                            Packets(watch_descriptor(socket, Interest::READABLE | Interest::WRITABLE)?),
                            peer,
                        ));
                    }
                }
            }
        }
    }
}

/// A connection of whole messages.
#[derive(Debug)]
pub struct Packets(AsyncFd<OwnedFd>);

impl Packets {
    /// Connects to the process of this user that listens at `path`, and asks the kernel who that is.
    /// Waits as long as too many others wait there. Call it within a runtime.
    ///
    /// # Errors
    /// `NotFound` and `ConnectionRefused`: nobody listens there. `PermissionDenied`: what lies there,
    /// or who listens, is another user's.
    pub async fn connect(path: &Path) -> io::Result<(Self, Peer)> {
        check_socket(path)?;
        let (address, socket) = (SocketAddrUnix::new(path)?, socket(SocketFlags::CLOEXEC)?);
        let connected =
            tokio::task::spawn_blocking(move || retry(|| connect(&socket, &address)).map(|()| socket));
        let socket = connected.await.map_err(io::Error::other)??;
        let peer = same_user(&socket)?;
        Ok((Self(watch_descriptor(socket, Interest::READABLE | Interest::WRITABLE)?), peer))
    }

    /// Sends one message. Waits as long as the other end has no room for it.
    ///
    /// # Errors
    /// It is longer than 128 KiB, or has more than 160 descriptors; or the other end has gone.
    pub async fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if message.is_empty() || message.len() > LONGEST || descriptors.len() > MOST {
            let text = format!(
                "{} bytes, {} descriptors: too much for one message",
                message.len(),
                descriptors.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        loop {
            let mut ready = self.0.writable().await?;
            match retry(|| send(self.0.get_ref(), message, descriptors)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                sent => return sent,
            }
        }
    }

    /// Waits for the next message; `None`: the other end has closed, or gone.
    ///
    /// # Errors
    /// It is too long, or this process has no descriptor left for one that came. What came is closed.
    pub async fn receive(&self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        loop {
            let mut ready = self.0.readable().await?;
            match retry(|| receive(self.0.get_ref())).flatten() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Ok((message, _)) if message.is_empty() => return Ok(None),
                received => return received.map(Some),
            }
        }
    }
}

fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn send(socket: &OwnedFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(rustix::io::Errno::NOBUFS); // the space is for the most
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(socket.as_fd(), &[IoSlice::new(message)], &mut control, flags).map(|_| ())
}

/// Reads one message. An inner error: it, or its descriptors, did not fit.
fn receive(socket: &OwnedFd) -> rustix::io::Result<io::Result<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut message = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut message)], &mut control, flags)?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors: Vec<OwnedFd> = descriptors.flatten().collect();
    if received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC) {
        let text = "a message, or what came with it, was too much for this process";
        return Ok(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
    }
    message.truncate(received.bytes);
    Ok(Ok((message, descriptors)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    async fn both(folder: &Path) -> (PacketListener, Packets, Packets) {
        let path = folder.join("s");
        let listener = PacketListener::bind(&path).unwrap();
        let (accepted, dialled) = tokio::join!(listener.accept(), Packets::connect(&path));
        let ((one, peer), (other, listens)) = (accepted.unwrap(), dialled.unwrap());
        assert_eq!((peer.pid, listens.pid), (std::process::id(), std::process::id()));
        (listener, one, other)
    }

    #[test]
    fn messages_arrive_whole_and_with_their_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let (_listener, one, other) = both(folder.path()).await;
            let (mut reader, writer) = io::pipe().unwrap();
            one.send(b"first", &[writer.as_fd()]).await.unwrap();
            drop(writer);
            one.send(&[7; LONGEST], &[]).await.unwrap();
            let (first, mut descriptors) = other.receive().await.unwrap().unwrap();
            assert_eq!((&first[..], descriptors.len()), (&b"first"[..], 1));
            fs::File::from(descriptors.remove(0)).write_all(b"x").unwrap();
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            assert_eq!(read, "x", "nobody holds a second one");
            let (second, none) = other.receive().await.unwrap().unwrap();
            assert!(second == [7; LONGEST] && none.is_empty());
            assert!(one.send(&[7; LONGEST + 1], &[]).await.is_err());
            one.send(b"never read", &[]).await.unwrap();
            drop(other);
            assert!(one.receive().await.unwrap().is_none());
        });
    }

    #[test]
    fn the_socket_is_for_its_user_alone_and_has_one_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        block_on(async {
            assert_eq!(Packets::connect(&path).await.unwrap_err().kind(), io::ErrorKind::NotFound);
            let listener = PacketListener::bind(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(PacketListener::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            drop(listener);
            assert_eq!(Packets::connect(&path).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        });
    }

    #[test]
    fn one_that_does_not_read_makes_the_sender_wait_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        block_on(async {
            let (_listener, one, other) = both(folder.path()).await;
            let flood = async { while one.send(&[0; LONGEST], &[]).await.is_ok() {} };
            let ended = async {
                tokio::task::yield_now().await;
                drop(other);
            };
            tokio::join!(flood, ended);
        });
    }
}
