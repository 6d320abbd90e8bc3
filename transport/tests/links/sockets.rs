//! Over real sockets.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use outrigger_protocol::{Code, Role};
use outrigger_transport::{Ending, LinkError, SocketCarrier, SocketStream};

use crate::support::{call, establish, establish_blocking, run, serve_blocking, teller, within};

const LIMIT: Duration = Duration::from_secs(30);

fn carrier(socket: UnixStream) -> SocketCarrier {
    SocketCarrier::new(socket.into())
}

fn stream(socket: UnixStream) -> SocketStream {
    SocketStream::new(socket.into()).unwrap()
}

#[test]
fn both_drivers_talk_over_a_socket_pair() {
    within(LIMIT, || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || serve_blocking(carrier(theirs)));
        run(async {
            let (teller, mut told) = teller();
            let (link, driver) = establish(stream(ours), Role::Broker, teller).await.unwrap();
            let driver = tokio::spawn(driver);
            for round in 0..10 {
                for context in 0..60 {
                    let body = vec![round; 10_000];
                    link.with(|connection| call(connection, context, &body, Duration::ZERO)).unwrap();
                }
                for context in 0..60 {
                    assert_eq!(told.recv().await.unwrap(), (context, Ok(vec![round; 10_000])));
                }
            }
            link.with(|connection| connection.goodbye());
            assert!(matches!(driver.await.unwrap(), Ending::Done));
        });
        assert!(matches!(server.join().unwrap(), Err(LinkError::Closed { mid_frame: false })));
    });
}

/// A process that dies leaves what was sent to it unread: the system calls that a reset.
/// Holds S23.
#[test]
fn a_peer_that_dies_with_unread_calls_has_closed_the_connection() {
    within(LIMIT, || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (established, wait) = std::sync::mpsc::channel();
        let peer = std::thread::spawn(move || {
            let link = establish_blocking::<()>(carrier(theirs), Role::Plugin).unwrap();
            wait.recv().unwrap();
            drop(link);
        });
        run(async {
            let (teller, mut told) = teller();
            let (link, driver) = establish(stream(ours), Role::Broker, teller).await.unwrap();
            let driver = tokio::spawn(driver);
            link.with(|connection| call(connection, 1, b"unread", Duration::ZERO)).unwrap();
            tokio::task::yield_now().await;
            established.send(()).unwrap();
            let (_, outcome) = told.recv().await.unwrap();
            assert_eq!(outcome.unwrap_err().code, Code::DISCONNECTED);
            let ending = driver.await.unwrap();
            assert!(matches!(ending, Ending::Failed(LinkError::Closed { mid_frame: false })), "{ending:?}");
        });
        peer.join().unwrap();
    });
}

/// Calls from many threads, each waiting for its own answer: one lost wake-up and a caller hangs.
#[test]
fn no_wake_up_is_lost_between_threads() {
    const CALLERS: usize = 8;
    const CALLS: usize = 25_000;
    within(LIMIT, || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || serve_blocking(carrier(theirs)));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        let begun = Instant::now();
        runtime.block_on(async {
            let (link, driver) = establish(stream(ours), Role::Broker, Waking).await.unwrap();
            let driver = tokio::spawn(driver);
            let mut callers = tokio::task::JoinSet::new();
            for caller in 0..CALLERS {
                let link = link.clone();
                callers.spawn(async move {
                    for _ in 0..CALLS {
                        ask(&link, caller).await;
                    }
                });
            }
            callers.join_all().await;
            link.with(|connection| connection.goodbye());
            assert!(matches!(driver.await.unwrap(), Ending::Done));
        });
        println!("{} calls from {CALLERS} tasks on 3 threads in {:?}", CALLERS * CALLS, begun.elapsed());
        drop(server.join().unwrap());
    });
}

type Told = tokio::sync::oneshot::Sender<()>;

struct Waking;

impl outrigger_transport::Handler<Told> for Waking {
    fn event(
        &mut self,
        event: outrigger_protocol::Event<'_, Told>,
        _: &mut outrigger_protocol::Connection<Told>,
    ) {
        if let outrigger_protocol::Event::Reply { context, .. } = event {
            context.send(()).unwrap();
        }
    }
}

async fn ask(link: &outrigger_transport::Link<Told>, caller: usize) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let target = outrigger_protocol::ObjectId(u32::try_from(caller).unwrap());
    let (options, now) = (outrigger_protocol::CallOptions::default(), link.now());
    link.send(|connection| connection.call(target, crate::support::ECHO, &[0u8; 4][..], options, tell, now))
        .unwrap();
    told.await.unwrap();
}

/// Both drivers, over a socket: large pieces arrive whole and in order, whatever room there is.
#[test]
fn p6_large_pieces_arrive_in_order() {
    within(LIMIT, || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || serve_blocking(carrier(theirs)));
        run(async {
            let (teller, mut told) = teller();
            let (link, driver) = establish(stream(ours), Role::Broker, teller).await.unwrap();
            let driver = tokio::spawn(driver);
            let pieces: Vec<bytes::Bytes> =
                (0..40u8).map(|piece| vec![piece; 5000 * (1 + usize::from(piece) % 9)].into()).collect();
            for (context, piece) in pieces.iter().enumerate() {
                let (target, options) = (outrigger_protocol::ObjectId(1), Default::default());
                let shared = (serde_bytes::Bytes::new(piece), std::slice::from_ref(piece));
                let act = |connection: &mut outrigger_protocol::Connection<usize>| {
                    let call = (target, crate::support::ECHO);
                    connection.call_sharing(call.0, call.1, shared, options, context, Duration::ZERO).is_ok()
                };
                assert!(link.send(act));
            }
            for (context, piece) in pieces.iter().enumerate() {
                let (ended, outcome) = told.recv().await.unwrap();
                assert!(ended == context && outcome.unwrap() == piece[..], "{context}");
            }
            link.with(|connection| connection.goodbye());
            assert!(matches!(driver.await.unwrap(), Ending::Done));
        });
        drop(server.join().unwrap());
    });
}
