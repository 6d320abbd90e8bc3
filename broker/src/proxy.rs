//! A proxy for a foreign program, which cannot ask a broker: it obeys `https_proxy` or `ALL_PROXY`
//! instead, as nearly every one does.
//!
//! It speaks the least that serves (`proxy/greeting.rs`): `CONNECT` of HTTP, and SOCKS 5. What may be
//! reached, and how, is the same as for plugins that ask (`reach.rs`, decisions P5): names are looked up
//! here, their addresses are checked, and private ones have to be granted themselves.
//!
//! Whoever connects is hostile. It has 10 s for at most 8 KiB of greeting, one place of 64, and two
//! buffers of 16 KiB; a reader that is slow slows its writer.

mod greeting;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::figures::{Bytes, Figures};
use crate::grants::{self, BadGrant, Grants};
use crate::reach::{Reach, Unreached};
use crate::resolve::Resolver;
use greeting::{Failing, Greeting, Step, Wanted};

/// Connections at a time. More wait until they are accepted.
const MOST_OPEN: usize = 64;

/// How long a client may take to say what it wants.
const GREETING_LIMIT: Duration = Duration::from_secs(10);

/// How long what clients have left behind may take to arrive, once they have gone.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// How soon to accept again when there are no descriptors left.
const RETRY: Duration = Duration::from_millis(100);

const BUFFER: usize = 16 << 10;

/// Something that a client wanted and no grant allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where to: `host:port`, made of letters, digits, dots, hyphens, underscores, colons and brackets.
    pub wanted: String,
    /// The address that a granted name leads to, which is not public.
    pub address: Option<IpAddr>,
    /// The entry that would allow it.
    pub entry: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => {
                write!(
                    f,
                    "{} leads to {address}, which is not public, and only its own grant opens it",
                    self.wanted
                )
            }
            None => write!(f, "{} is not granted", self.wanted),
        }
    }
}

/// A proxy for one program.
pub struct Proxy {
    reach: Reach,
    tell: Box<dyn Fn(&Refused) + Send + Sync>,
    connections: AtomicU64,
    refused: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Proxy {
    /// One that lets through what is in the list. `tell` hears of everything else that was wanted.
    ///
    /// # Errors
    /// An entry cannot be read.
    pub fn new(
        entries: &[String],
        tell: impl Fn(&Refused) + Send + Sync + 'static,
    ) -> Result<Self, BadGrant> {
        let reach =
            Reach { grants: Grants::parse(entries, false)?, resolver: Resolver::new(None, MOST_OPEN) };
        let [connections, refused, sent, received] = Default::default();
        Ok(Self { reach, tell: Box::new(tell), connections, refused, sent, received })
    }

    /// Serves whoever connects, until `end`; then what they have left behind has 2 s to arrive. Returns
    /// what went through: payload that was passed on.
    ///
    /// # Errors
    /// The listener is none that the runtime can watch.
    pub async fn serve(
        self: Arc<Self>,
        listener: std::net::TcpListener,
        end: impl Future<Output = ()>,
    ) -> io::Result<Figures> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut open = JoinSet::new();
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                Some(_) = open.join_next() => {}
                accepted = listener.accept(), if open.len() < MOST_OPEN => match accepted {
                    Ok((client, _)) => drop(open.spawn(Arc::clone(&self).attend(client))),
                    Err(_) => sleep(RETRY).await,
                },
            }
        }
        let rest = async { while open.join_next().await.is_some() {} };
        timeout(LAST_BYTES, rest).await.ok(); // dropping it ends those that are left
        Ok(self.figures())
    }

    fn figures(&self) -> Figures {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let bytes = Bytes { sent: of(&self.sent), received: of(&self.received) };
        Figures { connections: of(&self.connections), refused: of(&self.refused), bytes: Some(bytes) }
    }

    /// Whatever fails costs this client only; the end of its connection says so.
    async fn attend(self: Arc<Self>, mut client: TcpStream) {
        let Ok(Ok(Some(wanted))) = timeout(GREETING_LIMIT, greet(&mut client)).await else { return };
        match self.reach.connect(&wanted.host, wanted.port, Duration::MAX).await {
            Ok((server, _)) => {
                self.connections.fetch_add(1, Ordering::Relaxed);
                self.relay(client, server, &wanted).await;
            }
            Err(error) => {
                let answer = self.sorry(&wanted, error);
                client.write_all(&answer).await.ok();
            }
        }
    }

    fn sorry(&self, wanted: &Wanted, error: Unreached) -> Vec<u8> {
        let (failing, why) = match error {
            Unreached::Refused(_, refusal) => (Failing::Refused, self.refuse(wanted, refusal).to_string()),
            Unreached::Invalid(why) => (Failing::Invalid, why.to_owned()),
            Unreached::SlowLookUp => (Failing::Late, error.to_string()),
            other => (Failing::Unreachable, other.to_string()),
        };
        wanted.dialect.failed(failing, &why)
    }

    fn refuse(&self, wanted: &Wanted, refusal: grants::Refusal) -> Refused {
        let (address, entry) = match refusal {
            grants::Refusal::NotListed { entry } => (None, entry),
            grants::Refusal::NotPublic { address, entry } => (Some(address), entry),
        };
        let is_v6 = wanted.host.contains(':');
        let host = if is_v6 { format!("[{}]", wanted.host) } else { wanted.host.clone() };
        let refused = Refused { wanted: format!("{host}:{}", wanted.port), address, entry };
        self.refused.fetch_add(1, Ordering::Relaxed);
        (self.tell)(&refused);
        refused
    }

    /// Copies both ways until both have ended. What breaks off on one side breaks off on the other: an
    /// end in good order would make half a file look whole.
    async fn relay(&self, mut client: TcpStream, mut server: TcpStream, wanted: &Wanted) {
        let done = self.copy(&mut client, &mut server, wanted).await;
        if done.is_err() {
            for stream in [client, server] {
                stream.set_zero_linger().ok();
            }
        }
    }

    async fn copy(&self, client: &mut TcpStream, server: &mut TcpStream, wanted: &Wanted) -> io::Result<()> {
        client.write_all(&wanted.dialect.connected()).await?;
        server.write_all(&wanted.rest).await?;
        self.sent.fetch_add(wanted.rest.len() as u64, Ordering::Relaxed);
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let (there, back) =
            (copy(from_client, to_server, &self.sent), copy(from_server, to_client, &self.received));
        tokio::try_join!(there, back).map(drop)
    }
}

/// What the client wants; `None`: nothing that there is, and it was told so.
async fn greet(client: &mut TcpStream) -> io::Result<Option<Wanted>> {
    let mut greeting = Greeting::default();
    let mut buffer = [0; 1024];
    loop {
        match greeting.step() {
            Step::Connect(wanted) => return Ok(Some(wanted)),
            Step::Say(answer) => client.write_all(&answer).await?,
            Step::Close(answer) => return client.write_all(&answer).await.map(|()| None),
            Step::Read => match client.read(&mut buffer).await? {
                0 => return Ok(None),
                count => greeting.receive(buffer.get(..count).unwrap_or_default()),
            },
        }
    }
}

/// Copies to the end, and passes the end on.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else {
            return to.shutdown().await;
        };
        to.write_all(read).await?;
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "proxy/tests.rs"]
mod tests;
