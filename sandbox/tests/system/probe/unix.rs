//! Reaching other programs of the same user over sockets of this machine.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::kernel::HIGH_BITS;
use super::network::{bind, connect, family, listen, send_to, socket, with_message};
use super::raw::{Attempt, at, call, into};
use super::{Failed, Probe, Targets};

pub(super) const PROBES: &[Probe] = &[
    ("abstract_socket", |to| connect(&stream()?, &hidden(&to.ipc.abstract_name))),
    ("abstract_socket_bind", |_| bind(&stream()?, &hidden(&format!("probe-{}", std::process::id())))),
    ("path_socket", |to| connect(&stream()?, &name(&to.ipc.stream))),
    ("path_socket_bind_in_grant", |to| {
        let socket = stream()?;
        bind(&socket, &name(&to.write.join("socket")))?;
        listen(&socket)
    }),
    ("session_bus", |to| connect(&stream()?, &name(&to.ipc.bus))),
    ("datagram_socket", |to| send_to(&datagram()?, &name(&to.ipc.datagram))),
    ("pair_of_datagrams_to_path", |to| send_to(&pair(libc::SOCK_DGRAM)?, &name(&to.ipc.datagram))),
    ("pair_of_datagrams_to_path_by_sendmsg", by_sendmsg),
    ("pair_of_datagrams_connects", |to| connect(&pair(libc::SOCK_DGRAM)?, &name(&to.ipc.datagram))),
    ("pair_of_raw_to_path", |to| send_to(&pair(libc::SOCK_RAW)?, &name(&to.ipc.datagram))),
    ("socket_with_high_bits", |to| {
        let family = i64::from(libc::AF_UNIX) | HIGH_BITS;
        let socket = super::raw::descriptor(call!(libc::SYS_socket, family, libc::SOCK_STREAM, 0))?;
        connect(&socket, &name(&to.ipc.stream))
    }),
    ("pair_with_high_bits", |_| {
        let (kind, mut both) = (i64::from(libc::SOCK_DGRAM) | HIGH_BITS, [0_i32; 2]);
        call!(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, into(&mut both)).map(drop)
    }),
    ("pair_of_packets", |_| pair(libc::SOCK_SEQPACKET).map(drop)),
    ("connection_connects_elsewhere", connection),
];

fn stream() -> Attempt<OwnedFd> {
    socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)
}

fn datagram() -> Attempt<OwnedFd> {
    socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)
}

/// One end of a connected pair; the other is closed.
fn pair(kind: i32) -> Attempt<OwnedFd> {
    let mut both = [0_i32; 2];
    call!(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, into(&mut both))?;
    // SAFETY: the kernel has just made these descriptors for us; nobody else knows their numbers.
    let [one, other] = both.map(|number| unsafe { OwnedFd::from_raw_fd(number) });
    std::mem::forget(other); // a datagram end without a peer is disconnected; this process ends soon
    Ok(one)
}

/// A `sockaddr_un` of a path.
fn name(path: &Path) -> Vec<u8> {
    [&family(libc::AF_UNIX), path.as_os_str().as_bytes(), b"\0"].concat()
}

/// A `sockaddr_un` of an abstract name.
fn hidden(name: &str) -> Vec<u8> {
    [&family(libc::AF_UNIX), b"\0".as_slice(), name.as_bytes()].concat()
}

fn by_sendmsg(to: &Targets) -> Attempt {
    let socket = pair(libc::SOCK_DGRAM)?;
    with_message(&name(&to.ipc.datagram), |message| {
        call!(libc::SYS_sendmsg, socket.as_raw_fd(), at(&message.msg_hdr), 0).map(drop)
    })
}

/// The connection itself, which is a connected stream, so no kernel lets it go elsewhere.
fn connection(to: &Targets) -> Attempt {
    let address = name(&to.ipc.stream);
    match call!(libc::SYS_connect, 0, at(address.as_slice()), address.len()) {
        Err(Failed::Errno(libc::ENOTSOCK)) => super::skipped("standard input is no socket"),
        other => other.map(drop),
    }
}
