//! What a broker says first, over a stream from wherever it came.

use std::time::Duration;

use outrigger_protocol::{AuthKind, Hello, IdleTimes};
use outrigger_transport::{LinkError, nonce};
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to a plugin.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// This broker's HELLO: no call may take longer than `calls_timeout`.
///
/// # Errors
/// The system has no randomness to give.
pub(crate) fn hello(calls_timeout: Option<Duration>) -> Result<Hello, LinkError> {
    let software = concat!("outrigger ", env!("CARGO_PKG_VERSION"));
    let mut hello = Hello::new(software, AuthKind::Inherited, nonce()?);
    hello.idle = calls_timeout.map(IdleTimes::at_most).unwrap_or_default();
    Ok(hello)
}
