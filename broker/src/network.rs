//! Network by name: answers what a plugin asks of the network (decisions P5).
//!
//! The plugin names a host and a port. The broker connects to it, if that is granted (`reach.rs`), and
//! hands the connected stream over. It keeps no copy, so that the plugin's close is seen at the other
//! end.
//!
//! A plugin can ask for four things at a time. Each ends in its time, with a cancel, or with the
//! plugin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outrigger_protocol::{
    Blame, CallId, Code, Codec, ConnectHost, Effect, Error, HostConnected, Lookup, Method, Retry, SrvRecords,
    TxtRecords,
};
use outrigger_transport::{Handle, Link};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::callers::Caller;
use crate::dns::{Record, Type};
use crate::grants::{Name, Refusal};
use crate::reach::{NO_NAME, Reach, Tried, Unreached};
use crate::resolve::ResolveError;
use crate::said::{Asked, body, refuse};
use crate::traffic::Traffic;
use crate::unread::Unread;

/// What a plugin may have asked for at a time.
pub(crate) const MOST_OPEN: usize = 4;

/// How often bytes are counted while streams are open.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// An answer.
enum Found {
    Stream(TcpStream, SocketAddr),
    Srv(SrvRecords),
    Txt(TxtRecords),
}

/// Answers one plugin.
pub(crate) struct Network {
    link: Link<Caller>,
    unread: Arc<Unread>,
    reach: Arc<Reach>,
    traffic: Arc<Traffic>,
    open: Vec<(CallId, AbortHandle)>,
    work: JoinSet<Result<Found, Error>>,
    clock: Interval,
}

impl Network {
    pub(crate) fn new(link: Link<Caller>, unread: Arc<Unread>, reach: Reach) -> Self {
        let mut clock = interval(SAMPLE_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (reach, traffic) = (Arc::new(reach), Arc::default());
        Self { link, unread, reach, traffic, open: Vec::new(), work: JoinSet::new(), clock }
    }

    /// What the plugin does, for people.
    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Whether a call is answered here.
    pub(crate) const fn answers(method: Method) -> bool {
        matches!(method, Method::CONNECT_HOST | Method::LOOKUP_SRV | Method::LOOKUP_TXT)
    }

    /// Takes a call on a member that was given to the plugin.
    pub(crate) fn call(&mut self, call: Asked) {
        if let Some(error) = self.refusal(&call) {
            return self.fail(call.id, &error);
        }
        let (id, codec, reach) = (call.id, self.link.session().codec, Arc::clone(&self.reach));
        let work = self.work.spawn(async move {
            let late = |_| Err(failed(Code::DEADLINE, &call, "it took too long".into()));
            timeout(call.total, find(&call, codec, &reach)).await.unwrap_or_else(late)
        });
        self.open.push((id, work));
    }

    /// Why a call is refused before it is looked at.
    fn refusal(&self, call: &Asked) -> Option<Error> {
        let wants_stream = call.method == Method::CONNECT_HOST;
        if wants_stream && !self.link.session().has_handles() {
            let why = "this connection passes no streams: the feature `handles` is not in both HELLOs";
            return Some(refuse(Code::UNIMPLEMENTED, call, why));
        }
        if self.open.len() >= MOST_OPEN {
            return Some(overloaded(call, "four are open already, wait for one of them"));
        }
        if wants_stream && !self.unread.has_room(self.open.len()) {
            return Some(overloaded(call, "the plugin does not read the streams that it was sent"));
        }
        None
    }

    fn fail(&self, id: CallId, error: &Error) {
        self.link.with(|connection| connection.fail(id, error));
    }

    /// Gives a call up. Returns whether it was one of these.
    pub(crate) fn cancel(&mut self, id: CallId) -> bool {
        let Some(at) = self.open.iter().position(|(open, _)| *open == id) else { return false };
        let (_, work) = self.open.swap_remove(at);
        work.abort();
        self.fail(id, &Error::new(Code::CANCELLED, "the plugin gave up").by(Blame::Caller));
        true
    }

    /// Waits for the next answer and sends it, and counts meanwhile; for ever, if nothing is asked and
    /// nothing is open.
    pub(crate) async fn turn(&mut self) {
        let is_watching = self.traffic.is_watching();
        tokio::select! {
            Some(done) = self.work.join_next_with_id() => self.found(done),
            _ = self.clock.tick(), if is_watching => self.traffic.sample(),
            else => std::future::pending().await,
        }
    }

    /// One that was cancelled was answered then; what it has found is dropped.
    fn found(&mut self, done: Result<(Id, Result<Found, Error>), JoinError>) {
        let (task, found) = done.unwrap_or_else(|panic| {
            (panic.id(), Err(Error::new(Code::INTERNAL, "what was to answer it panicked").by(Blame::Broker)))
        });
        let Some(at) = self.open.iter().position(|(_, work)| work.id() == task) else { return };
        let (id, _) = self.open.swap_remove(at);
        match found {
            Ok(Found::Stream(stream, address)) => self.hand_over(id, stream, address),
            Ok(Found::Srv(records)) => drop(self.link.with(|connection| connection.reply(id, &records))),
            Ok(Found::Txt(records)) => drop(self.link.with(|connection| connection.reply(id, &records))),
            Err(error) => {
                if error.code == Code::PERMISSION {
                    self.traffic.refused();
                }
                self.fail(id, &error);
            }
        }
    }

    fn hand_over(&self, id: CallId, stream: TcpStream, address: SocketAddr) {
        let stream = stream.into_std().and_then(|stream| stream.set_nonblocking(false).map(|()| stream));
        let handle = stream.and_then(|stream| {
            self.traffic.connected(&stream);
            handle(stream)
        });
        let handle = match handle {
            Ok(handle) => handle,
            Err(error) => return self.fail(id, &Error::new(Code::IO, error.to_string()).by(Blame::Broker)),
        };
        let number = self.unread.sent();
        let body = HostConnected { address: address.to_string() };
        self.link.with_handle(id, handle, |connection| {
            let is_needed = connection.reply_with_handle(id, &body);
            number.into_iter().for_each(|number| connection.ping_as(number)); // behind it
            is_needed
        });
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "the other systems have none")]
fn handle(stream: std::net::TcpStream) -> std::io::Result<Handle> {
    Ok(stream.into())
}

#[cfg(not(unix))]
fn handle(_: std::net::TcpStream) -> std::io::Result<Handle> {
    Err(std::io::ErrorKind::Unsupported.into())
}

async fn find(call: &Asked, codec: Codec, reach: &Reach) -> Result<Found, Error> {
    if call.method == Method::CONNECT_HOST {
        let request: ConnectHost = body(call, codec)?;
        return connect(call, &request, reach, call.total).await;
    }
    let request: Lookup = body(call, codec)?;
    let name: Name = request.name.parse().map_err(|()| refuse(Code::INVALID, call, NO_NAME))?;
    reach.grants.check_lookup(&name).map_err(|refusal| refused(call, name.as_str(), &refusal))?;
    let kind = if call.method == Method::LOOKUP_SRV { Type::Srv } else { Type::Txt };
    let found = reach.resolver.records(&name, kind).await.map_err(|error| unresolved(call, &name, &error))?;
    Ok(if kind == Type::Srv { Found::Srv(srv_records(found)) } else { Found::Txt(txt_records(found)) })
}

fn srv_records(found: Vec<Record>) -> SrvRecords {
    let srv = |record| match record {
        Record::Srv(record) => Some(record),
        Record::Address(_) | Record::Txt(_) => None,
    };
    let mut records: Vec<_> = found.into_iter().filter_map(srv).collect();
    records.sort_by_key(|record| record.priority);
    SrvRecords { records }
}

/// As many as an answer has room for, also where the codec makes text of them.
fn txt_records(found: Vec<Record>) -> TxtRecords {
    const ROOM: usize = 32 << 10;
    let txt = |record| match record {
        Record::Txt(record) => Some(record),
        Record::Address(_) | Record::Srv(_) => None,
    };
    let mut room = ROOM;
    let fits = |record: &outrigger_protocol::TxtRecord| {
        let left = room.checked_sub(record.data.len() + 32);
        left.map(|left| room = left).is_some()
    };
    TxtRecords { records: found.into_iter().filter_map(txt).take_while(fits).collect() }
}

/// Connects.
async fn connect(
    call: &Asked,
    request: &ConnectHost,
    reach: &Reach,
    limit: Duration,
) -> Result<Found, Error> {
    let reached = reach.connect(&request.host, request.port, limit).await;
    let (stream, address) = reached.map_err(|error| unreached(call, &request.host, error))?;
    Ok(Found::Stream(stream, address))
}

fn unreached(call: &Asked, host: &str, error: Unreached) -> Error {
    match error {
        Unreached::Invalid(why) => refuse(Code::INVALID, call, why),
        Unreached::Refused(host, refusal) => refused(call, &host, &refusal),
        Unreached::Unresolved(name, error) => unresolved(call, &name, &error),
        Unreached::SlowLookUp => failed(Code::DEADLINE, call, format!("{host}: the look-up took too long")),
        Unreached::NoAddress => failed(Code::IO, call, format!("{host} has no address")),
        Unreached::Unconnected(tried) => unconnected(call, host, &tried),
    }
}

/// The first address that was tried says what kind of failure it is.
fn unconnected(call: &Asked, host: &str, tried: &[Tried]) -> Error {
    let code = |tried: &Tried| if tried.error.is_some() { Code::IO } else { Code::DEADLINE };
    let first = tried.first().map_or(Code::IO, code);
    let failure = failed(first, call, format!("{host}: no connection could be made"));
    tried.iter().fold(failure, |failure, tried| failure.because(code(tried), tried.to_string()))
}

/// What no grant allows: what would, and that only the user can say so.
fn refused(call: &Asked, host: &str, refusal: &Refusal) -> Error {
    const WHERE: &str = "to `network` in the sandbox of this member";
    let why = match refusal {
        Refusal::NotListed { entry } => {
            format!("{entry} is not granted; to allow it, add \"{entry}\" {WHERE}")
        }
        Refusal::NotPublic { address, entry } => format!(
            "{host} leads to {address}, which is not a public address, and only a grant of that address itself \
             opens it; if it is meant, add \"{entry}\" {WHERE}"
        ),
    };
    let error = Error::new(Code::PERMISSION, format!("{}: {why}", call.method)).by(Blame::Configuration);
    Error { retry: Retry::WithFix, ..error }
}

fn unresolved(call: &Asked, name: &Name, error: &ResolveError) -> Error {
    match error {
        ResolveError::Busy => overloaded(call, &error.to_string()),
        ResolveError::Failed(why) => failed(Code::IO, call, format!("{name} cannot be looked up: {why}")),
    }
}

/// What failed out there, and may work later.
fn failed(code: Code, call: &Asked, why: String) -> Error {
    const LATER: u32 = 30_000;
    let error = Error::new(code, format!("{}: {why}", call.method)).by(Blame::Member);
    Error { retry: Retry::After(LATER), ..error.with_effect(Effect::NotStarted) }
}

fn overloaded(call: &Asked, why: &str) -> Error {
    const SOON: u32 = 100;
    Error { retry: Retry::After(SOON), ..refuse(Code::OVERLOADED, call, why) }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
