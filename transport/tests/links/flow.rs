//! How bytes flow: few writes, no mutual waiting, nothing lost at the end.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use outrigger_protocol::{Code, Connection, Event, Level, Log, PeerError, Role, limits};
use outrigger_transport::memory::{CAPACITY, MemoryEnd, pair};
use outrigger_transport::{BlockingLink, Carrier, Ending, Handler, Link, LinkError, Wait};

use crate::support::{
    Counting, Counts, Driven, Echo, Silent, call, echo, end_of, establish, establish_blocking, run, serve,
    serve_blocking, teller, within,
};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn sixty_four_calls_are_one_write_and_their_answers_one_read() {
    within(LIMIT, || {
        let (ours, theirs) = pair(CAPACITY);
        let server = std::thread::spawn(move || serve_blocking(theirs));
        run(async {
            let counts = Counts::default();
            let (teller, mut told) = teller();
            let io = Counting { end: ours, counts: counts.clone() };
            let (link, driver) = establish(io, Role::Broker, teller).await.unwrap();
            counts.take();
            for context in 0..64 {
                link.with(|connection| call(connection, context, &[7; 1024], Duration::ZERO)).unwrap();
            }
            let driver = tokio::spawn(driver);
            for context in 0..64 {
                assert_eq!(told.recv().await.unwrap(), (context, Ok(vec![7; 1024])));
            }
            // 64 KiB of the 70 in the first read: the decoder's first size.
            assert_eq!(counts.take(), (1, 2));
            link.close();
            driver.await.unwrap();
        });
        assert!(server.join().unwrap().is_err(), "closed without a goodbye");
    });
}

#[test]
fn a_call_alone_is_one_write_and_one_read() {
    within(LIMIT, || {
        let (ours, theirs) = pair(CAPACITY);
        let counts = Counts::default();
        let server = std::thread::spawn(move || serve_blocking(theirs));
        let io = Counting { end: ours, counts: counts.clone() };
        let mut link = establish_blocking::<usize>(io, Role::Broker).unwrap();
        counts.take();
        for context in 0..10 {
            call(link.connection(), context, &[7; 1024], Duration::ZERO).unwrap();
            link.flush().unwrap();
            link.take_in(Wait::Forever).unwrap();
            let mut answers = 0;
            link.events(|event, _| answers += usize::from(end_of(event).is_some())).unwrap();
            assert_eq!((answers, counts.take()), (1, (1, 1)));
        }
        drop(link);
        assert!(server.join().unwrap().is_err());
    });
}

/// Logs `count` lines to a side that is busy writing, without reading anything.
fn flood(link: &mut BlockingLink<()>, count: usize) {
    for _ in 0..count {
        link.connection().log(&Log { level: Level::Info, message: "x".repeat(1000) });
    }
    link.flush().unwrap();
}

/// Counts log lines.
struct Lines(tokio::sync::mpsc::UnboundedSender<()>);

impl Handler<usize> for Lines {
    fn event(&mut self, event: Event<'_, usize>, _: &mut Connection<usize>) {
        if matches!(event, Event::Log(_)) {
            self.0.send(()).unwrap();
        }
    }
}

/// Holds S2.
#[test]
fn a_peer_that_does_not_read_does_not_stop_us_from_reading() {
    within(LIMIT, || {
        let (ours, theirs) = pair(4096);
        let hears_nothing = theirs.incoming();
        let (tell, established) = std::sync::mpsc::channel();
        let (go, wait) = std::sync::mpsc::channel();
        let peer = std::thread::spawn(move || {
            let mut link = establish_blocking(theirs, Role::Plugin).unwrap();
            tell.send(()).unwrap();
            wait.recv().unwrap();
            flood(&mut link, 500);
        });
        run(async {
            let (tell, mut lines) = tokio::sync::mpsc::unbounded_channel();
            let (link, driver) = establish(ours, Role::Broker, Lines(tell)).await.unwrap();
            established.recv().unwrap();
            hears_nothing.hold();
            for context in 0..64 {
                link.with(|connection| call(connection, context, &[7; 1024], Duration::ZERO)).unwrap();
            }
            tokio::spawn(driver);
            go.send(()).unwrap();
            for _ in 0..500 {
                lines.recv().await.unwrap();
            }
            assert_eq!(hears_nothing.waiting(), 4096, "and it has not read");
        });
        peer.join().unwrap();
    });
}

/// Holds S2, S42.
#[test]
fn two_blocking_ends_never_wait_for_each_other() {
    within(LIMIT, || {
        let (ours, theirs) = pair(4096);
        let talk = |end: MemoryEnd, role| {
            let mut link = establish_blocking(end, role).unwrap();
            flood(&mut link, 2000); // both at once, a thousand times what fits between them
            let mut lines = 0;
            while lines < 2000 {
                link.events(|event, _| lines += usize::from(matches!(event, Event::Log(_)))).unwrap();
                if lines < 2000 {
                    link.take_in(Wait::Forever).unwrap();
                }
            }
            link
        };
        let peer = std::thread::spawn(move || talk(theirs, Role::Plugin));
        let ours = talk(ours, Role::Broker);
        peer.join().unwrap();
        drop(ours);
    });
}

/// What a peer still answers before it exits.
const LAST_ANSWERS: usize = 50;

/// An end that answers so many calls and exits at once; what is sent to it meanwhile finds nobody.
fn answer_and_exit(end: MemoryEnd) {
    let mut link = establish_blocking::<()>(end, Role::Plugin).unwrap();
    let mut calls = 0;
    while calls < LAST_ANSWERS {
        link.take_in(Wait::Forever).unwrap();
        let each = |event: Event<'_, ()>, connection: &mut Connection<()>| {
            calls += usize::from(matches!(event, Event::Call(_)));
            echo(&event, connection);
        };
        link.events(each).unwrap();
    }
    link.flush().unwrap();
}

/// Holds S19, S23.
#[test]
fn the_last_frames_of_an_exiting_peer_are_delivered_then_the_end() {
    within(LIMIT, || {
        let (ours, theirs) = pair(CAPACITY);
        let peer = std::thread::spawn(move || answer_and_exit(theirs));
        run(async {
            let (teller, mut told) = teller();
            let incoming = ours.incoming();
            let (link, driver) = establish(ours, Role::Broker, teller).await.unwrap();
            incoming.hold();
            for context in 0..LAST_ANSWERS {
                let now = link.now();
                link.with(|connection| call(connection, context, b"last words", now)).unwrap();
            }
            let driver = tokio::spawn(driver);
            tokio::task::spawn_blocking(move || peer.join().unwrap()).await.unwrap();
            // It has exited. A write fails before its answers are read.
            link.with(|connection| call(connection, LAST_ANSWERS, b"too late", link.now())).unwrap();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            incoming.release_all();
            for context in 0..LAST_ANSWERS {
                assert_eq!(told.recv().await.unwrap(), (context, Ok(b"last words".to_vec())));
            }
            let (context, outcome) = told.recv().await.unwrap();
            assert_eq!((context, outcome.unwrap_err().code), (LAST_ANSWERS, Code::DISCONNECTED));
            let ending = driver.await.unwrap();
            assert!(matches!(ending, Ending::Failed(LinkError::Closed { mid_frame: false })), "{ending:?}");
        });
    });
}

#[test]
fn a_call_after_the_end_is_refused_with_its_context() {
    run(async {
        let (ours, theirs) = pair(CAPACITY);
        let (teller, mut told) = teller();
        let (client, server) =
            tokio::join!(establish(ours, Role::Broker, teller), establish(theirs, Role::Plugin, Silent));
        let ((link, driver), server) = (client.unwrap(), server.unwrap());
        link.with(|connection| call(connection, 5, b"open", Duration::ZERO)).unwrap();
        drop(server);
        driver.await;
        assert_eq!(told.recv().await.unwrap().0, 5);
        let (context, outcome) =
            link.with(|connection| call(connection, 6, b"too late", Duration::ZERO)).unwrap_err();
        assert_eq!((context, outcome.unwrap_err().code), (6, Code::DISCONNECTED));
        assert_eq!(told.recv().await, None);
    });
}

/// Holds S9.
#[test]
fn a_driver_that_is_dropped_ends_its_calls() {
    run(async {
        let (ours, theirs) = pair(CAPACITY);
        let (teller, mut told) = teller();
        let (client, _server) =
            tokio::join!(establish(ours, Role::Broker, teller), establish(theirs, Role::Plugin, Echo));
        let (link, driver) = client.unwrap();
        link.with(|connection| call(connection, 3, b"open", Duration::ZERO)).unwrap();
        let driver = tokio::spawn(driver);
        driver.abort();
        let (context, outcome) = told.recv().await.unwrap();
        assert_eq!((context, outcome.unwrap_err().code), (3, Code::DISCONNECTED));
        assert!(link.with(|connection| call(connection, 4, b"", Duration::ZERO)).is_err());
    });
}

#[test]
fn goodbye_ends_it_for_good() {
    within(LIMIT, || {
        let (ours, theirs) = pair(CAPACITY);
        let server = std::thread::spawn(move || serve_blocking(theirs));
        run(async {
            let (teller, mut told) = teller();
            let (link, driver) = establish(ours, Role::Broker, teller).await.unwrap();
            link.with(|connection| call(connection, 1, b"first", Duration::ZERO)).unwrap();
            link.with(|connection| connection.goodbye());
            assert!(matches!(driver.await, Ending::Done));
            assert_eq!(
                told.recv().await.unwrap(),
                (1, Ok(b"first".to_vec())),
                "what was accepted is finished"
            );
        });
        assert!(matches!(server.join().unwrap(), Err(LinkError::Closed { mid_frame: false })));
    });
}

/// The other side says something that breaks a rule, and hears which.
/// Holds S13, S26.
#[test]
fn a_claim_of_4_gib_costs_the_connection_and_no_memory() {
    within(LIMIT, || {
        let (ours, theirs) = pair(CAPACITY);
        let peer = std::thread::spawn(move || {
            let mut link = establish_blocking::<()>(Claiming(theirs), Role::Plugin).unwrap();
            link.connection().ping();
            link.flush().unwrap();
            let mut ended = Ok(());
            while ended.is_ok() {
                link.take_in(Wait::Forever).unwrap();
                ended = link.events(|_, _| ());
            }
            ended.unwrap_err()
        });
        run(async {
            let (_link, driver) = establish(ours, Role::Broker, teller().0).await.unwrap();
            let Ending::Failed(LinkError::Peer(error)) = driver.await else { panic!("it went on") };
            let PeerError::FrameTooLarge { actual, limit, .. } = error else { panic!("{error}") };
            assert_eq!((actual, limit), (u32::MAX, limits::MAX_BODY));
        });
        let heard = peer.join().unwrap();
        assert!(heard.to_string().contains("4294967295 bytes"), "it was told why: {heard}");
    });
}

/// Makes every PING claim a body of 4 GiB.
struct Claiming(MemoryEnd);

impl Carrier for Claiming {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        self.0.read(buffer, wait)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut bytes = bytes.to_vec();
        if bytes.get(4) == Some(&outrigger_protocol::Kind::PING.0) {
            bytes[..4].fill(0xff);
        }
        self.0.try_write(&bytes)
    }

    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()> {
        self.0.wait_writable(limit, or_read)
    }
}

/// Uses its own link within an event.
struct Reentrant(Arc<OnceLock<Link<usize>>>);

impl Handler<usize> for Reentrant {
    fn event(&mut self, _: Event<'_, usize>, _: &mut Connection<usize>) {
        self.0.get().unwrap().with(|connection| connection.goodbye());
    }
}

#[test]
fn a_handler_that_uses_its_own_link_fails_at_once_instead_of_waiting_for_ever() {
    within(LIMIT, || {
        let (ours, theirs) = pair(4096);
        let server = std::thread::spawn(|| serve(Driven::Blocking, theirs));
        run(async {
            let own = Arc::new(OnceLock::new());
            let (link, driver) = establish(ours, Role::Broker, Reentrant(Arc::clone(&own))).await.unwrap();
            own.set(link.clone()).unwrap();
            link.with(|connection| call(connection, 1, b"", Duration::ZERO)).unwrap();
            let panic = tokio::spawn(driver).await.unwrap_err().into_panic();
            let words = panic.downcast_ref::<&str>().unwrap();
            assert!(words.contains("called from within a handler"), "{words}");
            // It is over, and not locked.
            assert!(link.with(|connection| call(connection, 2, b"", Duration::ZERO)).is_err());
            // Nor is a use within another let through.
            let nested = AssertUnwindSafe(|| link.with(|_| link.now() + link.with(|_| Duration::ZERO)));
            assert!(std::panic::catch_unwind(nested).is_err());
            link.with(|_| ());
        });
        server.join().unwrap();
    });
}
