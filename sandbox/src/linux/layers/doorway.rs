//! The one thing in an otherwise empty network: a listener, behind which somebody outside is a proxy.
//!
//! Sockets belong to the network they were made in, whoever holds them. So whoever is given this one
//! hears the plugin, and the plugin gets nowhere else.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use super::super::sys;
use crate::PROXY_PORT;

/// Listens at [`PROXY_PORT`] of the loopback, which a new network has, but switched off.
pub(super) fn open() -> io::Result<OwnedFd> {
    sys::raise_loopback(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?)?;
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, PROXY_PORT))?.into())
}
