//! Asks the kernel how many bytes went over a TCP socket that another process holds (netlink,
//! `sock_diag(7)`): by its two ends and its cookie, without a copy of it.
//!
//! Every number here is the kernel's layout: `nlmsghdr`, `inet_diag_req_v2`, `inet_diag_msg`,
//! `nlattr`, `tcp_info`. In the byte order of this machine, but for ports and addresses.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::socket_cookie;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with,
};

use crate::figures::Bytes;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const TCP: u8 = 6;
/// Which part of the answer is wanted, as a bit and as an attribute: `tcp_info`.
const WITH_INFO: u8 = 1 << 1;
const INET_DIAG_INFO: u16 = 2;

/// The groups that hear of TCP sockets which end: IPv4 and IPv6.
const ENDED_GROUPS: u32 = 1 << 0 | 1 << 2;

/// Most that is listened to at a time of what ends on this machine.
const MOST_ENDED: usize = 1024;

/// Bytes of the two headers before the attributes, and where the cookie stands.
const HEADERS: usize = 16 + 72;
const COOKIE: usize = 16 + 4 + 40;

/// A socket that was handed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    local: SocketAddr,
    peer: SocketAddr,
    pub(crate) cookie: u64,
}

impl Watched {
    pub(crate) fn new(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self { local: stream.local_addr()?, peer: stream.peer_addr()?, cookie: socket_cookie(stream)? })
    }

    fn question(&self) -> Vec<u8> {
        let family = if self.local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let mut message = Vec::with_capacity(72);
        message.extend_from_slice(&72u32.to_ne_bytes());
        message.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        message.extend_from_slice(&[0; 8]); // number, sender
        message.extend_from_slice(&[u8::try_from(family.as_raw()).unwrap_or_default(), TCP, WITH_INFO, 0]);
        message.extend_from_slice(&u32::MAX.to_ne_bytes()); // in any state
        message.extend_from_slice(&self.local.port().to_be_bytes());
        message.extend_from_slice(&self.peer.port().to_be_bytes());
        message.extend_from_slice(&address(self.local.ip()));
        message.extend_from_slice(&address(self.peer.ip()));
        message.extend_from_slice(&[0; 4]); // any interface
        message.extend_from_slice(&self.cookie.to_ne_bytes());
        message
    }
}

fn address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// A way to ask, and an ear for what ends.
#[derive(Debug)]
pub(crate) struct SockDiag {
    asks: OwnedFd,
    /// Not everywhere may a user listen.
    hears: Option<OwnedFd>,
}

impl SockDiag {
    /// # Errors
    /// The system has no such thing, or not for us.
    pub(crate) fn open() -> io::Result<Self> {
        let hears = netlink().and_then(|socket| {
            bind(&socket, &SocketAddrNetlink::new(0, ENDED_GROUPS))?;
            Ok(socket)
        });
        Ok(Self { asks: netlink()?, hears: hears.ok() })
    }

    /// Whether [`SockDiag::ended`] will tell of a socket that has ended.
    pub(crate) const fn hears(&self) -> bool {
        self.hears.is_some()
    }

    /// What went over the socket so far; `None`: it has ended.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn ask(&self, watched: &Watched) -> io::Result<Option<Bytes>> {
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.asks, &watched.question(), SendFlags::DONTWAIT, &kernel)?;
        let mut buffer = [0; 2048];
        // The kernel has answered before the question returns: nothing is waited for.
        let (count, _) = recv(&self.asks, &mut buffer, RecvFlags::DONTWAIT)?;
        let message = buffer.get(..count).unwrap_or_default();
        match told(message) {
            Some((cookie, bytes)) if cookie == watched.cookie => Ok(Some(bytes)),
            // What is left of one that has ended, for a minute, has no figures.
            None if is_absent(message) || is_socket(message) => Ok(None),
            _ => Err(io::Error::other("an answer that cannot be read")),
        }
    }

    /// The sockets of this machine that have ended, by their cookies, with what went over them.
    pub(crate) fn ended(&self) -> Vec<(u64, Bytes)> {
        let mut all = Vec::new();
        let Some(hears) = &self.hears else { return all };
        let mut buffer = [0; 2048];
        for _ in 0..MOST_ENDED {
            match recv(hears, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((count, _)) => all.extend(told(buffer.get(..count).unwrap_or_default())),
                Err(Errno::NOBUFS | Errno::INTR) => {} // some were missed: these are samples
                Err(_) => break,
            }
        }
        all
    }
}

fn netlink() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?)
}

/// Whether the kernel says that there is no such socket.
fn is_absent(message: &[u8]) -> bool {
    const NLMSG_ERROR: u16 = 2;
    let error = number(message, 16).map(i32::from_ne_bytes);
    let absent = [Errno::NOENT, Errno::STALE].map(|errno| -errno.raw_os_error());
    number(message, 4).map(u16::from_ne_bytes) == Some(NLMSG_ERROR)
        && error.is_some_and(|error| absent.contains(&error))
}

fn is_socket(message: &[u8]) -> bool {
    number(message, 4).map(u16::from_ne_bytes) == Some(SOCK_DIAG_BY_FAMILY)
}

/// The cookie and the bytes of a socket that a message is about.
fn told(message: &[u8]) -> Option<(u64, Bytes)> {
    let cookie = number(message, COOKIE).map(u64::from_ne_bytes).filter(|_| is_socket(message))?;
    let mut attributes = message.get(HEADERS..)?;
    loop {
        let length = usize::from(number(attributes, 0).map(u16::from_ne_bytes)?).max(4);
        if number(attributes, 2).map(u16::from_ne_bytes)? == INET_DIAG_INFO {
            return Some((cookie, bytes(attributes.get(4..length)?)?));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// What `tcp_info` says. Older kernels do not tell apart what was sent twice, but know what has
/// arrived; the opening counts as a byte there.
fn bytes(info: &[u8]) -> Option<Bytes> {
    let field = |at| number(info, at).map(u64::from_ne_bytes);
    let sent = field(200).zip(field(208)).map(|(sent, again)| sent.saturating_sub(again));
    let acknowledged = field(120)?.saturating_sub(1);
    Some(Bytes { sent: sent.unwrap_or(acknowledged), received: field(128)? })
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[test]
    fn the_kernel_says_what_went_over_a_socket_and_when_it_has_ended() {
        let diag = SockDiag::open().unwrap();
        let (mut ours, mut other) = connection();
        let watched = Watched::new(&ours).unwrap();
        assert_eq!(diag.ask(&watched).unwrap(), Some(Bytes::default()));
        ours.write_all(&[7; 3000]).unwrap();
        other.write_all(&[7; 500]).unwrap();
        other.read_exact(&mut [0; 3000]).unwrap();
        ours.read_exact(&mut [0; 500]).unwrap();
        let all = Bytes { sent: 3000, received: 500 };
        assert_eq!(diag.ask(&watched).unwrap(), Some(all));
        let stranger = Watched { cookie: watched.cookie + 1, ..watched };
        assert_eq!(diag.ask(&stranger).unwrap(), None, "another socket between the same ends");
        drop(other);
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
        drop(ours);
        // The kernel tells of it when it gets round to it.
        let begun = std::time::Instant::now();
        let ended = loop {
            if let Some((_, bytes)) = diag.ended().into_iter().find(|(cookie, _)| *cookie == watched.cookie) {
                break bytes;
            }
            assert!(begun.elapsed().as_secs() < 10, "nobody tells of its end");
            std::thread::yield_now();
        };
        assert_eq!(ended.sent, 3000);
        assert!((500..=501).contains(&ended.received), "a close may count as a byte: {ended:?}");
        assert_eq!(diag.ask(&watched).unwrap(), None);
    }

    #[test]
    fn a_message_that_is_cut_anywhere_says_nothing() {
        let (ours, _other) = connection();
        let watched = Watched::new(&ours).unwrap();
        let asks = netlink().unwrap();
        sendto(&asks, &watched.question(), SendFlags::DONTWAIT, &SocketAddrNetlink::new(0, 0)).unwrap();
        let mut buffer = [0; 2048];
        let (count, _) = recv(&asks, &mut buffer, RecvFlags::DONTWAIT).unwrap();
        assert!(told(&buffer[..count]).is_some());
        assert!((0..HEADERS + 4 + 136).all(|cut| told(&buffer[..cut]).is_none()));
    }
}
