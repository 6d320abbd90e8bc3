//! Reaching what was not granted, over every kind of socket but those of the same machine.

use std::os::fd::{AsRawFd, OwnedFd};

use super::kernel::HIGH_BITS;
use super::raw::{self, Attempt, at, call, into, zeroed};
use super::{Failed, Probe, Targets, skipped};

pub(super) const PROBES: &[Probe] = &[
    ("tcp_connect", |to| connect(&stream()?, &v4(to.network.tcp4))),
    ("tcp_connect_v6", |to| if_v6(to).and_then(|()| connect(&stream6()?, &v6(to.network.tcp6)))),
    ("tcp_connect_v4_in_v6", |to| if_v6(to).and_then(|()| connect(&stream6()?, &mapped(to.network.tcp4)))),
    ("tcp_connect_without_waiting", without_waiting),
    ("tcp_send_with_syn_by_sendto", |to| syn_by_sendto(&stream()?, &v4(to.network.tcp4))),
    ("tcp_send_with_syn_by_sendto_v6", |to| {
        if_v6(to).and_then(|()| syn_by_sendto(&stream6()?, &v6(to.network.tcp6)))
    }),
    ("tcp_send_with_syn_and_high_bits", |to| {
        let (socket, address) = (stream()?, v4(to.network.tcp4));
        let flag = i64::from(libc::MSG_FASTOPEN) | HIGH_BITS;
        call!(libc::SYS_sendto, socket.as_raw_fd(), at("x"), 1, flag, at(&address), address.len()).map(drop)
    }),
    ("tcp_send_with_syn_by_sendmsg", syn_by_sendmsg),
    ("tcp_send_with_syn_by_sendmmsg", syn_by_sendmmsg),
    ("tcp_send_with_syn_by_option", syn_by_option),
    ("tcp_bind", |_| bind(&stream()?, &v4(0))),
    ("tcp_bind_granted_port", bind_granted),
    ("tcp_bind_v6", |to| if_v6(to).and_then(|()| bind(&stream6()?, &v6(0)))),
    ("tcp_listen_after_bind", |_| {
        let socket = stream()?;
        bind(&socket, &v4(0))?;
        listen(&socket)
    }),
    ("tcp_listen_without_bind", |_| listen(&stream()?)),
    ("tcp_listen_without_bind_v6", |to| if_v6(to).and_then(|()| listen(&stream6()?))),
    ("udp_send", |to| send_to(&datagram()?, &v4(to.network.udp4))),
    ("udp_send_v6", |to| if_v6(to).and_then(|()| send_to(&datagram6()?, &v6(to.network.udp6)))),
    ("udp_send_connected", |to| {
        let socket = datagram()?;
        connect(&socket, &v4(to.network.udp4))?;
        write(&socket)
    }),
    ("udp_send_to_granted_port", |to| send_to(&datagram()?, &v4(to.network.granted))),
    ("udp_bind", |_| bind(&datagram()?, &v4(0))),
    ("udp_lite", |_| socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE).map(drop)),
    ("mptcp_connect", |to| connect(&mptcp(libc::AF_INET)?, &v4(to.network.tcp4))),
    ("mptcp_connect_v6", |to| {
        if_v6(to).and_then(|()| connect(&mptcp(libc::AF_INET6)?, &v6(to.network.tcp6)))
    }),
    ("mptcp_connect_granted_port", |to| connect(&mptcp(libc::AF_INET)?, &v4(to.network.granted))),
    ("sctp", |_| socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP).map(drop)),
    ("smc", |_| socket(AF_SMC, libc::SOCK_STREAM, 0).map(drop)),
    ("vsock", |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).map(drop)),
    ("netlink_route", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE).map(drop)),
    ("netlink_audit", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT).map(drop)),
    ("netlink_udev", |_| socket(libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_KOBJECT_UEVENT).map(drop)),
    ("raw_socket", |_| socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).map(drop)),
    ("raw_socket_v6", |_| socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6).map(drop)),
    ("ping_socket", |_| socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP).map(drop)),
    ("packet_socket", |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0).map(drop)),
    ("crypto_socket", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0).map(drop)),
    ("any_other_family", |_| any_other_family()),
];

const AF_SMC: i32 = 43;

pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> Attempt<OwnedFd> {
    let made = raw::descriptor(call!(libc::SYS_socket, family, kind | libc::SOCK_CLOEXEC, protocol));
    match made {
        // The kernel was built without it, or the sandbox says so: no way in.
        Err(Failed::Errno(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)) if !is_inet(family) => {
            Err(Failed::Errno(libc::EAFNOSUPPORT))
        }
        other => other,
    }
}

fn is_inet(family: i32) -> bool {
    [libc::AF_INET, libc::AF_INET6].contains(&family)
}

fn stream() -> Attempt<OwnedFd> {
    socket(libc::AF_INET, libc::SOCK_STREAM, 0)
}

fn stream6() -> Attempt<OwnedFd> {
    socket(libc::AF_INET6, libc::SOCK_STREAM, 0)
}

fn datagram() -> Attempt<OwnedFd> {
    socket(libc::AF_INET, libc::SOCK_DGRAM, 0)
}

fn datagram6() -> Attempt<OwnedFd> {
    socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)
}

fn mptcp(family: i32) -> Attempt<OwnedFd> {
    socket(family, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)
}

/// How every address begins.
pub(super) fn family(family: i32) -> [u8; 2] {
    u16::try_from(family).unwrap().to_ne_bytes()
}

/// A `sockaddr_in` of loopback.
pub(super) fn v4(port: u16) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&family(libc::AF_INET));
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    address
}

/// A `sockaddr_in6` of loopback. Port 0 asks for any.
fn v6(port: u16) -> [u8; 28] {
    let mut address = [0; 28];
    address[..2].copy_from_slice(&family(libc::AF_INET6));
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[23] = 1;
    address
}

/// Without IPv6 there is nothing to try.
fn if_v6(to: &Targets) -> Attempt {
    if to.network.tcp6 == 0 { skipped("there is no IPv6") } else { Ok(()) }
}

/// The same as [`v4`], as IPv6 says it.
fn mapped(port: u16) -> [u8; 28] {
    let mut address = [0; 28];
    address[..2].copy_from_slice(&family(libc::AF_INET6));
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[18..24].copy_from_slice(&[255, 255, 127, 0, 0, 1]);
    address
}

pub(super) fn connect(socket: &OwnedFd, address: &[u8]) -> Attempt {
    call!(libc::SYS_connect, socket.as_raw_fd(), at(address), address.len()).map(drop)
}

pub(super) fn bind(socket: &OwnedFd, address: &[u8]) -> Attempt {
    call!(libc::SYS_bind, socket.as_raw_fd(), at(address), address.len()).map(drop)
}

pub(super) fn listen(socket: &OwnedFd) -> Attempt {
    call!(libc::SYS_listen, socket.as_raw_fd(), 1).map(drop)
}

pub(super) fn send_to(socket: &OwnedFd, address: &[u8]) -> Attempt {
    call!(libc::SYS_sendto, socket.as_raw_fd(), at("x"), 1, 0, at(address), address.len()).map(drop)
}

fn write(socket: &OwnedFd) -> Attempt {
    call!(libc::SYS_write, socket.as_raw_fd(), at("x"), 1).map(drop)
}

/// A port that another listener has is refused after every check of a sandbox.
fn bind_granted(to: &Targets) -> Attempt {
    match bind(&stream()?, &v4(to.network.granted)) {
        Err(Failed::Errno(libc::EADDRINUSE)) => Ok(()),
        other => other,
    }
}

fn without_waiting(to: &Targets) -> Attempt {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
    match connect(&socket, &v4(to.network.tcp4)) {
        Err(Failed::Errno(libc::EINPROGRESS)) => {
            // That it has begun does not mean that anybody is there.
            let mut watched = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
            call!(libc::SYS_ppoll, into(&mut watched), 1, 0, 0, 0)?;
            write(&socket)
        }
        other => other,
    }
}

/// TCP Fast Open connects without `connect`.
fn syn_by_sendto(socket: &OwnedFd, address: &[u8]) -> Attempt {
    let flag = libc::MSG_FASTOPEN;
    call!(libc::SYS_sendto, socket.as_raw_fd(), at("x"), 1, flag, at(address), address.len()).map(drop)
}

/// A message of one byte to an address, and what it points to.
pub(super) fn with_message<T>(address: &[u8], send: impl FnOnce(libc::mmsghdr) -> T) -> T {
    let byte = [b'x'];
    let mut part: libc::iovec = zeroed();
    (part.iov_base, part.iov_len) = (byte.as_ptr().cast_mut().cast(), 1);
    let mut message: libc::mmsghdr = zeroed();
    message.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
    message.msg_hdr.msg_namelen = u32::try_from(address.len()).unwrap();
    (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (&raw mut part, 1);
    send(message)
}

fn syn_by_sendmsg(to: &Targets) -> Attempt {
    let socket = stream()?;
    with_message(&v4(to.network.tcp4), |message| {
        call!(libc::SYS_sendmsg, socket.as_raw_fd(), at(&message.msg_hdr), libc::MSG_FASTOPEN).map(drop)
    })
}

fn syn_by_sendmmsg(to: &Targets) -> Attempt {
    let socket = stream()?;
    with_message(&v4(to.network.tcp4), |mut message| {
        call!(libc::SYS_sendmmsg, socket.as_raw_fd(), into(&mut message), 1, libc::MSG_FASTOPEN).map(drop)
    })
}

/// The option puts the real connect off to the first write; the call itself is still `connect`.
fn syn_by_option(to: &Targets) -> Attempt {
    let socket = stream()?;
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT);
    call!(libc::SYS_setsockopt, socket.as_raw_fd(), level, option, at(&1_i32), 4).ok();
    connect(&socket, &v4(to.network.tcp4))?;
    write(&socket)
}

/// Every family that nobody has thought of.
fn any_other_family() -> Attempt {
    let known = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
    let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET];
    let mut last = Err(Failed::Errno(libc::EAFNOSUPPORT));
    for family in (0..64).filter(|family| !known.contains(family)) {
        for kind in kinds {
            last = socket(family, kind, 0).map(drop);
            if last.is_ok() {
                return last;
            }
        }
    }
    last
}
