//! Starting a plugin: process, connection, handshake, within one limit.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outrigger_protocol::{Handshake, Role, Secret, SessionId};
use outrigger_sandbox::{Child, Connection, Deadlines, Launch, LaunchError, Protected, Token, launch};
#[cfg(unix)]
use outrigger_transport::SocketStream;
use outrigger_transport::{Duplex, Endpoint, Link, LinkError, Listener, runtime_dir, runtime_path};
use tokio::time::timeout;

use crate::attach::{self, AttachError, Attachment};
use crate::death::Death;
use crate::greet::hello;
use crate::host::PluginHost;
use crate::log::PluginLog;
use crate::network::MOST_OPEN;
use crate::reach::Reach;
use crate::spec::{ConnectBy, PluginSpec, StartBy};
use crate::supervise::{Parts, is_lost};
use crate::watch::{Watch, finish_output, read_output};

/// How long a process that failed its handshake may take to say how it ended.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// How long what a process sent before it ended may take to be read.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

const TOO_SLOW: &str = "it did not complete the handshake in time";

/// Why a plugin could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process could not be started.
    #[error("{name}: the plugin could not be started: {error}")]
    Launch {
        /// The member's name.
        name: String,
        /// Which step failed.
        error: Box<LaunchError>,
    },
    /// The broker that was to start it did not.
    #[error("{name}: {error}")]
    Broker {
        /// The member's name.
        name: String,
        /// Why not.
        error: Box<AttachError>,
    },
    /// The connection could not be prepared.
    #[error("{name}: no connection could be made for the plugin: {error}")]
    Io {
        /// The member's name.
        name: String,
        /// What failed.
        error: io::Error,
    },
    /// The process runs, or ran, but did not become a plugin.
    #[error("{name}: {}{death}", if death.fault.is_some() { String::new() } else { format!("{error}; ") })]
    Handshake {
        /// The member's name.
        name: String,
        /// What failed.
        error: Box<LinkError>,
        /// What became of the process.
        death: Box<Death>,
    },
}

/// Starts a plugin and shakes hands with it.
///
/// # Errors
/// See [`StartError`]. Whatever was started has been ended.
pub async fn start(spec: PluginSpec) -> Result<PluginHost, StartError> {
    let begun = Instant::now();
    let name = spec.name.clone();
    let (limit, calls_timeout) = (spec.handshake_limit, spec.calls_timeout);
    let io_error = |error| StartError::Io { name: name.clone(), error };
    let reach = Reach::of(&spec, MOST_OPEN)
        .map_err(|error| io_error(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let (theirs, ours) = prepare(&spec).map_err(io_error)?;
    let (mut child, attachment) = spawn(spec, theirs).await?;
    let report = child.report().clone();
    let log = Arc::new(PluginLog::new(name.clone()));
    let outputs = read_output(&mut child, &log);
    let mut watch = Watch::new(child).map_err(io_error)?;
    let (events, shared, said) = PluginHost::wiring(&log);
    let greeting = async {
        let secret = ours.secret();
        let io = ours.connect().await?;
        let session = SessionId(uuid::Uuid::new_v4());
        let left = limit.saturating_sub(begun.elapsed());
        let handshake = Handshake::listen(hello(calls_timeout, io.passes_handles())?, secret, session);
        Link::establish_over(io, handshake, Role::Broker, left, events).await
    };
    let mut greeting = std::pin::pin!(timeout(limit, greeting));
    let greeted = tokio::select! {
        greeted = &mut greeting => Some(greeted),
        // What it said before it went may say why; one that dials may not have come so far.
        _ = watch.ended() => timeout(LEFT_BEHIND, greeting).await.ok(),
    };
    let greeted = match greeted {
        Some(greeted) => greeted.unwrap_or(Err(LinkError::HandshakeTime)),
        None => Err(LinkError::Closed { mid_frame: false }),
    };
    match greeted {
        Ok((link, driver)) => {
            let (start, pid) = (begun.elapsed(), watch.child().pid());
            let watch = Some(watch);
            let parts = Parts {
                name,
                pid,
                report,
                link,
                watch,
                attachment,
                log,
                outputs,
                shared,
                start,
                calls_timeout,
                reach,
            };
            Ok(PluginHost::run(parts, said, driver))
        }
        Err(error) => {
            let death = post_mortem(&name, watch, &log, outputs, &error).await;
            let death = Death { with_broker: is_lost(&attachment).await, ..death };
            Err(StartError::Handshake { name, error: Box::new(error), death: Box::new(death) })
        }
    }
}

/// Ends a process that did not become a plugin, and says how it ended.
async fn post_mortem(
    name: &str,
    mut watch: Watch,
    log: &Arc<PluginLog>,
    outputs: tokio::task::JoinSet<()>,
    error: &LinkError,
) -> Death {
    // One that closed its connection is ending by itself; its own exit says more than our signal.
    let by_itself = matches!(error, LinkError::Closed { .. });
    let waited = if by_itself {
        timeout(LAST_MOMENT, watch.ended()).await
    } else {
        timeout(Duration::ZERO, watch.ended()).await
    };
    watch.child().kill();
    let ended = match waited {
        Ok(ended) => Ok(ended),
        Err(_) => timeout(LAST_MOMENT, watch.ended()).await,
    };
    watch.destroy();
    finish_output(outputs).await;
    log.sum_up(0);
    Death {
        plugin: name.to_owned(),
        exit: ended.ok().and_then(Result::ok).map(|ended| ended.exit),
        last_words: log.last_words(),
        calls_in_flight: 0,
        connection: Some(error.to_string()),
        fault: matches!(error, LinkError::HandshakeTime).then(|| TOO_SLOW.to_owned()),
        with_broker: false,
    }
}

/// Starts the process, here or through the broker.
async fn spawn(spec: PluginSpec, connection: Connection) -> Result<(Child, Option<Attachment>), StartError> {
    let (name, start) = (spec.name.clone(), spec.start);
    let plan = plan(spec, connection);
    if start == StartBy::Own {
        return spawn_here(name, plan).await.map(|child| (child, None));
    }
    match attach::launch(plan).await {
        Ok((child, attachment)) => Ok((child, Some(attachment))),
        Err(AttachError::Launch(error)) => Err(StartError::Launch { name, error: Box::new(error) }),
        Err(error) => Err(StartError::Broker { name, error: Box::new(error) }),
    }
}

fn plan(spec: PluginSpec, connection: Connection) -> Launch {
    let sockets = runtime_path().map(|path| Protected::new("the runtime directory", path));
    Launch {
        program: spec.program,
        connection,
        environment: spec.environment,
        locks: spec.locks,
        policy: spec.policy,
        protected: spec.protected.into_iter().chain(sockets).collect(),
        deadlines: Deadlines { report: spec.handshake_limit, start: spec.handshake_limit },
        helper: spec.helper,
    }
}

/// Starts the process beside the runtime's thread: it takes milliseconds.
async fn spawn_here(name: String, plan: Launch) -> Result<Child, StartError> {
    let launched = tokio::task::spawn_blocking(move || launch(plan)).await;
    match launched {
        Ok(Ok(child)) => Ok(child),
        Ok(Err(error)) => Err(StartError::Launch { name, error: Box::new(error) }),
        Err(panic) => Err(StartError::Io { name, error: io::Error::other(panic.to_string()) }),
    }
}

/// Our end of a connection that is being made.
enum OurEnd {
    #[cfg(unix)]
    Pair(std::os::unix::net::UnixStream),
    Waiting {
        listener: Listener,
        secret: Secret,
    },
}

impl OurEnd {
    fn secret(&self) -> Option<Secret> {
        match self {
            #[cfg(unix)]
            Self::Pair(_) => None,
            Self::Waiting { secret, .. } => Some(secret.clone()),
        }
    }

    async fn connect(self) -> io::Result<Box<dyn Duplex>> {
        match self {
            #[cfg(unix)]
            Self::Pair(stream) => Ok(Box::new(SocketStream::new(stream.into())?)),
            Self::Waiting { listener, .. } => Ok(Box::new(listener.accept().await?)),
        }
    }
}

/// Makes both ends of a connection.
fn prepare(spec: &PluginSpec) -> io::Result<(Connection, OurEnd)> {
    match spec.connect {
        #[cfg(unix)]
        ConnectBy::Inherited => {
            let (theirs, ours) = std::os::unix::net::UnixStream::pair()?;
            Ok((Connection::Inherited(theirs.into()), OurEnd::Pair(ours)))
        }
        #[cfg(not(unix))]
        ConnectBy::Inherited => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "connections are inherited on Unix only"))
        }
        ConnectBy::Name => {
            let endpoint = Endpoint::fresh(&runtime_dir()?)?;
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
            let token: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            let listener = Listener::bind(&endpoint)?;
            let theirs =
                Connection::Named { endpoint: endpoint.to_string().into(), token: Token::new(token) };
            Ok((theirs, OurEnd::Waiting { listener, secret: Secret(secret) }))
        }
    }
}
