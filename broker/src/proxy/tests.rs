//! The proxy over real sockets, and within one process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

/// How long an answer may take: far beyond what it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy that serves, and what it told.
struct Serving {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Refused>>>,
    end: oneshot::Sender<()>,
    done: JoinHandle<io::Result<Figures>>,
}

fn serve(entries: &[String]) -> Serving {
    let told: Arc<Mutex<Vec<Refused>>> = Arc::default();
    let hears = Arc::clone(&told);
    let proxy = Proxy::new(entries, move |refused| hears.lock().unwrap().push(refused.clone())).unwrap();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel();
    let done = tokio::spawn(Arc::new(proxy).serve(listener, async { drop(ended.await) }));
    Serving { address, told, end, done }
}

impl Serving {
    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What the proxy answers to these bytes until it closes.
    async fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.client().await;
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("it closes").unwrap();
        answer
    }

    async fn figures(self) -> Figures {
        drop(self.end);
        self.done.await.unwrap().unwrap()
    }
}

async fn server() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn connect(host: &str, port: u16) -> Vec<u8> {
    format!("CONNECT {host}:{port} HTTP/1.1\r\n\r\n").into_bytes()
}

async fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("it answers").unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(expected));
}

const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

#[tokio::test]
async fn bytes_go_both_ways_each_end_is_passed_on_and_all_is_counted() {
    let (listener, port) = server().await;
    let proxy = serve(&[format!("127.0.0.1:{port}")]);
    let mut client = proxy.client().await;
    client.write_all(&[&connect("127.0.0.1", port)[..], b"early"].concat()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    expect(&mut client, CONNECTED).await;
    client.write_all(b" and late").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"early and late");
    server.write_all(b"an answer after the end").await.unwrap();
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"an answer after the end");
    let bytes = Some(Bytes { sent: 14, received: 23 });
    assert_eq!(proxy.figures().await, Figures { connections: 1, refused: 0, bytes });
}

/// What was sent before the end arrives, though nobody waits for it in there any more.
#[tokio::test]
async fn the_last_bytes_of_a_client_that_has_gone_arrive() {
    let (listener, port) = server().await;
    let proxy = serve(&[format!("127.0.0.1:{port}")]);
    let mut client = proxy.client().await;
    client.write_all(&connect("127.0.0.1", port)).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    expect(&mut client, CONNECTED).await;
    client.write_all(&[7; 100_000]).await.unwrap();
    drop(client);
    let figures = tokio::spawn(proxy.figures());
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), 100_000);
    drop(server);
    assert_eq!(figures.await.unwrap().bytes.unwrap().sent, 100_000);
}

/// A reset is no end in good order, or half a file would look whole.
#[tokio::test]
async fn what_breaks_off_on_one_side_breaks_off_on_the_other() {
    let (listener, port) = server().await;
    let proxy = serve(&[format!("127.0.0.1:{port}")]);
    let mut client = proxy.client().await;
    client.write_all(&connect("127.0.0.1", port)).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    expect(&mut client, CONNECTED).await;
    server.set_zero_linger().unwrap();
    drop(server);
    let broken = client.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
}

/// A server that does not read holds its writer up, and nobody else.
#[tokio::test]
async fn whoever_writes_waits_for_whoever_reads() {
    let (listener, port) = server().await;
    let proxy = serve(&[format!("127.0.0.1:{port}")]);
    let mut client = proxy.client().await;
    client.write_all(&connect("127.0.0.1", port)).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    expect(&mut client, CONNECTED).await;
    const MOST: usize = 64 << 20; // far more than two sockets hold
    let written = tokio::spawn(async move {
        client.write_all(&vec![7; MOST]).await.unwrap();
        drop(client);
    });
    let mut other = proxy.client().await;
    other.write_all(&connect("127.0.0.1", port)).await.unwrap();
    expect(&mut other, CONNECTED).await;
    assert!(!written.is_finished(), "64 MiB were taken, and nobody reads");
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), MOST);
    written.await.unwrap();
}

#[tokio::test]
async fn p5_what_is_not_granted_is_refused_and_told_with_what_would_allow_it() {
    let (listener, port) = server().await;
    let proxy = serve(&[format!("localhost:{port}"), "*:1".into()]);
    let page = String::from_utf8(proxy.answer(&connect("Other.org", port)).await).unwrap();
    assert!(page.starts_with("HTTP/1.1 403 ") && page.contains("is not granted"), "{page}");
    // A granted name that leads inside, as its owner may let it.
    let page = String::from_utf8(proxy.answer(&connect("localhost", port)).await).unwrap();
    assert!(page.starts_with("HTTP/1.1 403 ") && page.contains("is not public"), "{page}");
    let socks = [&[5, 1, 0, 5, 1, 0, 1, 169, 254, 169, 254][..], &[0, 1]].concat();
    assert_eq!(proxy.answer(&socks).await, [5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
    let told = std::mem::take(&mut *proxy.told.lock().unwrap());
    let told: Vec<(&str, bool, &str)> =
        told.iter().map(|told| (&*told.wanted, told.address.is_some(), &*told.entry)).collect();
    let (other, local) = (format!("other.org:{port}"), format!("localhost:{port}"));
    assert_eq!(told[0], (&*format!("Other.org:{port}"), false, &*other));
    assert_eq!((told[1].0, told[1].1), (&*local, true));
    assert!(told[1].2 == format!("127.0.0.1:{port}") || told[1].2 == format!("[::1]:{port}"));
    assert_eq!(told[2], ("169.254.169.254:1", true, "169.254.169.254:1"));
    assert_eq!(
        proxy.figures().await,
        Figures { refused: 3, bytes: Some(Bytes::default()), ..Figures::default() }
    );
    drop(listener);
}

#[tokio::test]
async fn what_is_no_host_and_what_does_not_answer_is_told_apart() {
    let (listener, port) = server().await;
    drop(listener);
    let proxy = serve(&[format!("127.0.0.1:{port}")]);
    for (host, status) in [("127.0.0.1", "502"), ("a\u{e4}.org", "400"), ("a..b", "400")] {
        let page = String::from_utf8(proxy.answer(&connect(host, port)).await).unwrap();
        assert!(page.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {page}");
    }
    assert!(proxy.told.lock().unwrap().is_empty());
}

/// Time passes by itself where nothing else can happen.
#[tokio::test]
async fn whoever_says_nothing_is_let_go() {
    let (mut client, server) = pair().await;
    tokio::time::pause();
    let proxy = Proxy::new(&[], |_| {}).unwrap();
    client.write_all(b"CONNECT a.o").await.unwrap();
    Arc::new(proxy).attend(server).await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

async fn pair() -> (TcpStream, TcpStream) {
    let (listener, port) = server().await;
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// The next one has its turn when another has ended.
#[tokio::test]
async fn there_are_so_many_connections_at_a_time() {
    let proxy = serve(&[]);
    let mut silent = Vec::new();
    for _ in 0..MOST_OPEN {
        let mut client = proxy.client().await;
        client.write_all(&[5, 1, 0]).await.unwrap();
        expect(&mut client, &[5, 0]).await; // it is served
        silent.push(client);
    }
    let mut late = proxy.client().await;
    late.write_all(&[5, 1, 0]).await.unwrap();
    let heard = tokio::spawn(async move { expect(&mut late, &[5, 0]).await });
    for _ in 0..1000 {
        tokio::task::yield_now().await; // to the proxy, which would have answered by now
    }
    assert!(!heard.is_finished(), "one more is served");
    silent.pop();
    heard.await.unwrap();
}
