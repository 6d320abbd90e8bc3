//! A plugin host that was found: it is met, used and let go, and never ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use outrigger_protocol::{Handshake, Role, Secret, limits};
use outrigger_sandbox::Report;
use outrigger_transport::{Link, LinkError, SocketStream};
use tokio::task::JoinSet;

use crate::greet::hello;
use crate::host::PluginHost;
use crate::locate::Located;
use crate::log::PluginLog;
use crate::reach::Reach;
use crate::supervise::Parts;

/// How a plugin host that was found is to be met.
#[derive(Debug, Clone)]
pub struct FoundSpec {
    /// What to call it in logs and errors: the member's name.
    pub name: String,
    /// What it was enrolled with.
    pub secret: Secret,
    /// How long the handshake may take.
    pub handshake_limit: Duration,
    /// As for a plugin that is started: [`crate::PluginSpec::calls_timeout`].
    pub calls_timeout: Option<Duration>,
}

impl FoundSpec {
    /// With the default limits.
    #[must_use]
    pub fn new(name: impl Into<String>, secret: Secret) -> Self {
        Self { name: name.into(), secret, handshake_limit: limits::HANDSHAKE_TIME, calls_timeout: None }
    }
}

/// What can be said of the confinement of a program that was there before us: nothing.
#[must_use]
pub fn unconfined() -> Report {
    let hint = "only a plugin that Outrigger starts can be confined";
    Report::nothing("not sandboxed: the program was found, not started", hint)
}

/// Shakes hands with an end that was found: both prove the secret, this side first. It is disconnected
/// when the host is stopped, or when the last handle is dropped; its process is left alone.
///
/// # Errors
/// It does not know the secret, does not fit, or is busy with another broker for too long. At worst a
/// hostile end costs the handshake's time, and what any plugin may cost.
pub async fn meet(located: Located, spec: FoundSpec) -> Result<PluginHost, LinkError> {
    let begun = Instant::now();
    let FoundSpec { name, secret, handshake_limit, calls_timeout } = spec;
    let log = Arc::new(PluginLog::new(name.clone()));
    let (events, shared, said) = PluginHost::wiring(&log);
    let io = SocketStream::new(located.socket)?;
    let handshake = Handshake::dial(hello(calls_timeout, false)?, Some(secret));
    let (link, driver) = Link::establish(io, handshake, Role::Broker, handshake_limit, events).await?;
    let parts = Parts {
        name,
        pid: located.peer.pid,
        report: unconfined(),
        link,
        watch: None,
        attachment: None,
        log,
        outputs: JoinSet::new(),
        shared,
        start: begun.elapsed(),
        calls_timeout,
        reach: Reach::default(),
    };
    Ok(PluginHost::run(parts, said, driver))
}
