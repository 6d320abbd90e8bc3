//! Looks names up: their addresses as the system does it, their SRV and TXT records by asking a
//! name server.
//!
//! Nothing here waits on the runtime's thread. The system's look-up cannot be taken back once it has
//! begun; so it keeps a slot until it has ended, and there are few: a plugin that asks for slow
//! names and gives up waits for itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::dns::{Answer, Record, Type, answer, question};
use crate::grants::Name;

/// How long one server may take for one answer, and how often each is asked.
const PATIENCE: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 2;

/// Name servers of the system that are asked, and addresses of a name that are tried.
const MOST_SERVERS: usize = 3;
const MOST_ADDRESSES: usize = 16;

/// Most bytes of an answer that comes as one datagram.
const DATAGRAM: usize = 4096;

/// Why a name was not looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// Look-ups that were given up are still at work.
    #[error("earlier look-ups are still at work")]
    Busy,
    /// It was, and failed.
    #[error("{0}")]
    Failed(String),
}

impl From<io::Error> for ResolveError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Looks names up for one plugin.
#[derive(Debug)]
pub(crate) struct Resolver {
    /// The only server that is asked, if not the system decides.
    server: Option<SocketAddr>,
    slots: Arc<Semaphore>,
}

impl Resolver {
    /// At most `slots` look-ups of the system are at work at a time.
    pub(crate) fn new(server: Option<SocketAddr>, slots: usize) -> Self {
        Self { server, slots: Arc::new(Semaphore::new(slots)) }
    }

    /// The addresses of a name, in the order in which they are to be tried; none: it has none.
    pub(crate) async fn addresses(&self, name: &Name) -> Result<Vec<IpAddr>, ResolveError> {
        let Some(server) = self.server else { return self.ask_system(name.as_str().to_owned()).await };
        let servers = [server];
        let mut found = match tokio::join!(ask(&servers, name, Type::Aaaa), ask(&servers, name, Type::A)) {
            (Err(_), old) => old?,
            (Ok(new), Err(error)) if new.is_empty() => return Err(error),
            (Ok(mut new), old) => {
                new.extend(old.unwrap_or_default());
                new
            }
        };
        let address = |record| match record {
            Record::Address(address) => Some(address),
            Record::Srv(_) | Record::Txt(_) => None,
        };
        Ok(found.drain(..).filter_map(address).take(MOST_ADDRESSES).collect())
    }

    async fn ask_system(&self, name: String) -> Result<Vec<IpAddr>, ResolveError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| ResolveError::Busy)?;
        beside(move || {
            let _slot = slot;
            let mut found: Vec<IpAddr> = Vec::new();
            for address in (name, 0).to_socket_addrs()?.map(|address| address.ip()) {
                if !found.contains(&address) && found.len() < MOST_ADDRESSES {
                    found.push(address);
                }
            }
            Ok(found)
        })
        .await
    }

    /// The records of a name, at most 64; none: it has none.
    pub(crate) async fn records(&self, name: &Name, kind: Type) -> Result<Vec<Record>, ResolveError> {
        let servers = match self.server {
            Some(server) => vec![server],
            None => beside(system_servers).await?,
        };
        ask(&servers, name, kind).await
    }
}

/// Does what waits on a thread of its own. Not on the runtime's: its end would wait for a name server
/// that never answers, and a plugin chooses whom is asked.
async fn beside<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ResolveError> {
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("look-up".into());
    thread.spawn(move || drop(tell.send(act())))?;
    Ok(told.await.unwrap_or_else(|_| Err(io::Error::other("the look-up panicked")))?)
}

#[cfg(unix)]
fn system_servers() -> io::Result<Vec<SocketAddr>> {
    match std::fs::read_to_string("/etc/resolv.conf") {
        Ok(text) => Ok(servers_in(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(servers_in("")),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn system_servers() -> io::Result<Vec<SocketAddr>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the name servers of this system are not known"))
}

/// The servers that a `resolv.conf` names; without one, this machine is.
#[cfg_attr(not(unix), expect(dead_code, reason = "the file is one of Unix"))]
fn servers_in(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| line.trim_start().strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok();
    let mut servers: Vec<SocketAddr> =
        text.lines().filter_map(address).take(MOST_SERVERS).map(|address| (address, 53).into()).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    servers
}

/// Asks one server after the other, twice.
async fn ask(servers: &[SocketAddr], name: &Name, kind: Type) -> Result<Vec<Record>, ResolveError> {
    let mut failed = ResolveError::Failed("there is no name server".into());
    for server in servers.iter().cycle().take(servers.len() * ATTEMPTS) {
        let mut id = [0; 2]; // one that nobody else knows
        getrandom::fill(&mut id).map_err(|error| ResolveError::Failed(error.to_string()))?;
        let question = question(u16::from_be_bytes(id), name.as_str(), kind);
        match timeout(PATIENCE, exchange(*server, &question)).await {
            Ok(Ok(Answer::Records(records))) => return Ok(records),
            Ok(Ok(Answer::Failed(code))) => {
                failed = ResolveError::Failed(format!("the name server {server} failed, code {code}"));
            }
            Ok(Ok(Answer::Truncated)) => failed = ResolveError::Failed(format!("{server} answers in part")),
            Ok(Err(error)) => failed = ResolveError::Failed(format!("the name server {server}: {error}")),
            Err(_) => failed = ResolveError::Failed(format!("the name server {server} does not answer")),
        }
    }
    Err(failed)
}

/// One question and its answer: a datagram each, and over TCP if that does not hold it.
async fn exchange(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = [0; DATAGRAM];
    loop {
        let count = socket.recv(&mut buffer).await?;
        match answer(question, buffer.get(..count).unwrap_or_default()) {
            Some(Answer::Truncated) => return exchange_whole(server, question).await,
            Some(answer) => return Ok(answer),
            None => {} // whoever sent that: it is no answer
        }
    }
}

async fn exchange_whole(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).unwrap_or_default(); // a name has 253 bytes at most
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    answer(question, &message).ok_or_else(|| io::Error::other("it answers something else"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_are_those_of_the_file_three_at_most() {
        let text = "# nameserver 9.9.9.9\nsearch a b\nnameserver 10.0.0.1\n nameserver\t::1 \nnameserver x\n\
                    nameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        let servers: Vec<String> = servers_in(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[::1]:53", "10.0.0.2:53"]);
        assert_eq!(servers_in(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    /// A look-up that nobody waits for any more keeps its slot.
    #[tokio::test]
    async fn p6_a_look_up_of_the_system_is_done_beside_and_there_are_few() {
        let resolver = Resolver::new(None, 1);
        let found = resolver.addresses(&"localhost".parse().unwrap()).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
        let _taken = Arc::clone(&resolver.slots).try_acquire_owned().unwrap();
        let busy = resolver.addresses(&"localhost".parse().unwrap()).await;
        assert!(matches!(busy, Err(ResolveError::Busy)));
    }

    /// One that hangs holds up nobody: not whoever gave it up, and not the end of the runtime.
    #[test]
    fn p6_a_look_up_that_hangs_does_not_hold_up_the_end() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (begun, limit) = (std::time::Instant::now(), Duration::from_secs(20));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let hangs = beside(move || Ok(released.recv_timeout(limit).is_err()));
            assert!(timeout(Duration::from_millis(1), hangs).await.is_err());
        });
        drop(runtime);
        assert!(begun.elapsed() < limit / 2);
        drop(release);
    }

    /// It cannot say all in a datagram, so it is asked again over TCP; what comes from elsewhere, or
    /// answers something else, is passed over.
    #[tokio::test]
    async fn an_answer_that_does_not_fit_is_asked_for_again_whole() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let datagrams = UdpSocket::bind(server).await.unwrap();
        let serving = async {
            let mut buffer = [0; 512];
            let (count, from) = datagrams.recv_from(&mut buffer).await.unwrap();
            let mut reply = buffer[..count].to_vec();
            datagrams.send_to(&[7; 40], from).await.unwrap();
            reply[2] |= 0x82; // an answer, truncated
            datagrams.send_to(&reply, from).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut message = vec![0; length.into()];
            stream.read_exact(&mut message).await.unwrap();
            message[2] |= 0x80;
            message[7] = 1;
            message.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 3, 2, b'o', b'k']);
            stream.write_u16(u16::try_from(message.len()).unwrap()).await.unwrap();
            stream.write_all(&message).await.unwrap();
        };
        let resolver = Resolver::new(Some(server), 1);
        let name = "example.org".parse().unwrap();
        let (found, ()) = tokio::join!(resolver.records(&name, Type::Txt), serving);
        let text = outrigger_protocol::TxtRecord { data: b"ok"[..].into() };
        assert_eq!(found.unwrap(), [Record::Txt(text)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_given_up() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolver = Resolver::new(Some(silent.local_addr().unwrap()), 1);
        let failed = resolver.records(&"example.org".parse().unwrap(), Type::Srv).await.unwrap_err();
        assert!(failed.to_string().contains("does not answer"), "{failed}");
    }
}
