//! What a broker says first, over a stream from wherever it came.

use std::time::Duration;

use outrigger_protocol::{AuthKind, HANDLES, Hello, IdleTimes};
use outrigger_transport::{LinkError, nonce};

/// This broker's HELLO: no call may take longer than `calls_timeout`; `handles`: streams can be
/// passed to the plugin.
///
/// # Errors
/// The system has no randomness to give.
pub(crate) fn hello(calls_timeout: Option<Duration>, handles: bool) -> Result<Hello, LinkError> {
    let software = concat!("outrigger ", env!("CARGO_PKG_VERSION"));
    let mut hello = Hello::new(software, AuthKind::Inherited, nonce()?);
    hello.idle = calls_timeout.map(IdleTimes::at_most).unwrap_or_default();
    hello.features.extend(handles.then(|| HANDLES.to_owned()));
    Ok(hello)
}
