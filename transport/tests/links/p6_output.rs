//! Decision P6: a connection has one owner of its output. The caller encodes and writes, the task
//! only what is gathered or after the socket had no room.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use outrigger_protocol::{CallOptions, Code, Connection, Event, ObjectId, Role};
use outrigger_transport::memory::{CAPACITY, MemoryEnd, pair};
use outrigger_transport::{Handler, Link};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::support::{
    Counting, Counts, ECHO, End, Silent, call, establish, establish_blocking, run, serve_blocking, teller,
    within,
};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn p6_a_call_alone_is_written_by_its_caller() {
    run(async {
        let (ours, theirs) = pair(CAPACITY);
        let outgoing = ours.outgoing();
        let (teller, _told) = teller();
        let (client, _server) =
            tokio::join!(establish(ours, Role::Broker, teller), establish(theirs, Role::Plugin, Silent));
        let (link, _driver_that_never_runs) = client.unwrap();
        let before = outgoing.carried();
        link.send(|connection| call(connection, 1, &[7; 1000], Duration::ZERO)).unwrap();
        assert!(outgoing.carried() > before + 1000, "it has left");
        let after_one = outgoing.carried();
        link.send(|connection| call(connection, 2, &[7; 1000], Duration::ZERO)).unwrap();
        assert_eq!(outgoing.carried(), after_one, "the next is gathered until the task has run");
    });
}

#[test]
fn p6_the_task_writes_on_when_there_was_no_room() {
    within(LIMIT, || {
        let (ours, theirs) = pair(4096);
        let line = ours.outgoing();
        run(async {
            let (teller, _told) = teller();
            let (client, server) =
                tokio::join!(establish(ours, Role::Broker, teller), establish(theirs, Role::Plugin, Silent));
            let ((link, driver), (_their_link, serving)) = (client.unwrap(), server.unwrap());
            link.send(|connection| call(connection, 1, &[7; 20_000], Duration::ZERO)).unwrap();
            assert_eq!(line.waiting(), 4096, "the caller wrote what there was room for");
            tokio::spawn(driver);
            tokio::spawn(serving);
            tokio::task::spawn_blocking(move || line.wait_carried(20_000)).await.unwrap();
        });
    });
}

/// Calls with a large piece each, which is not copied.
fn share<C>(connection: &mut Connection<C>, contexts: impl IntoIterator<Item = C>) {
    for (target, context) in (0..).zip(contexts) {
        let piece = bytes::Bytes::from(vec![7; 6000]);
        let shared = (serde_bytes::Bytes::new(&piece), std::slice::from_ref(&piece));
        let (options, now) = (CallOptions::default(), Duration::ZERO);
        assert!(connection.call_sharing(ObjectId(target), ECHO, shared, options, context, now).is_ok());
    }
}

#[test]
fn p6_pieces_that_are_not_copied_still_leave_with_one_write() {
    within(LIMIT, || {
        let (ours, theirs) = pair(CAPACITY);
        let (io, peer) = (Counts::default(), std::thread::spawn(move || serve_blocking(theirs)));
        let counted = Counting { end: ours, counts: io.clone() };
        let mut link = establish_blocking::<usize>(counted, Role::Broker).unwrap();
        io.take();
        share(link.connection(), 0..7);
        link.flush().unwrap();
        assert_eq!(io.take().0, 1, "the blocking driver");
        drop(link);
        assert!(peer.join().unwrap().is_err());
    });
    run(async {
        let (ours, theirs) = pair(CAPACITY);
        let (io, (teller, _told)) = (Counts::default(), teller());
        let counted = Counting { end: ours, counts: io.clone() };
        let (client, _server) =
            tokio::join!(establish(counted, Role::Broker, teller), establish(theirs, Role::Plugin, Silent));
        let (link, _driver) = client.unwrap();
        io.take();
        link.send(|connection| share(connection, 0..7));
        assert_eq!(io.take().0, 1, "the asynchronous driver");
    });
}

type Told = tokio::sync::oneshot::Sender<()>;

/// Wakes callers.
struct Waking;

impl Handler<Told> for Waking {
    fn event(&mut self, event: Event<'_, Told>, _: &mut Connection<Told>) {
        if let Event::Reply { context, .. } = event {
            context.send(()).unwrap();
        }
    }
}

async fn ask(link: &Link<Told>, target: u32) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (options, now) = (CallOptions::default(), link.now());
    link.send(|connection| connection.call(ObjectId(target), ECHO, &[7u8; 100][..], options, tell, now))
        .unwrap();
    told.await.unwrap();
}

/// Sixty-four callers, each of which makes its next call when it is answered.
#[test]
fn p6_what_many_callers_say_leaves_with_one_write() {
    const ROUNDS: usize = 10;
    within(LIMIT, || {
        let (ours, theirs) = pair(CAPACITY);
        let counts = Counts::default();
        let server = std::thread::spawn(move || serve_blocking(theirs));
        run(async {
            let io = Counting { end: ours, counts: counts.clone() };
            let incoming = io.end.incoming();
            let (link, driver) = establish(io, Role::Broker, Waking).await.unwrap();
            let driver = tokio::spawn(driver);
            counts.take();
            for _ in 0..ROUNDS {
                incoming.hold(); // until all are answered
                let carried = incoming.carried();
                let callers = (0..64).map(|target| {
                    let link = link.clone();
                    tokio::spawn(async move { ask(&link, target).await })
                });
                let callers: Vec<_> = callers.collect();
                let line = incoming.clone();
                tokio::task::spawn_blocking(move || line.wait_carried(carried + 64 * 136)).await.unwrap();
                incoming.release_all();
                for caller in callers {
                    caller.await.unwrap();
                }
            }
            let (writes, _) = counts.take();
            assert!(writes <= 2 * ROUNDS, "{writes} writes for {ROUNDS} rounds");
            link.close();
            driver.await.unwrap();
        });
        assert!(server.join().unwrap().is_err());
    });
}

fn short(connection: &mut Connection<usize>, context: usize, total: Duration, now: Duration) {
    let options = CallOptions { total: Some(total), ..CallOptions::default() };
    let target = ObjectId(u32::try_from(context).unwrap());
    connection.call(target, ECHO, &[0u8; 2000][..], options, context, now).unwrap();
}

/// Whoever made the call wrote it, so the task was not needed for that: it must hear of the clock.
#[tokio::test(start_paused = true)]
async fn p6_a_call_that_its_caller_wrote_has_a_deadline() {
    for capacity in [CAPACITY, 100] {
        let (ours, theirs) = pair(capacity);
        let (teller, mut told) = teller();
        let (client, _server) =
            tokio::join!(establish(ours, Role::Broker, teller), establish(theirs, Role::Plugin, Silent));
        let (link, driver) = client.unwrap();
        tokio::spawn(driver);
        tokio::task::yield_now().await; // it sleeps
        for (context, seconds) in [(0, 100), (1, 50), (2, 5)] {
            let (begun, now, total) = (Instant::now(), link.now(), Duration::from_secs(seconds));
            link.send(|connection| short(connection, context, total, now));
            if context == 2 {
                let (ended, outcome): End = told.recv().await.unwrap();
                assert_eq!((ended, outcome.unwrap_err().code), (2, Code::DEADLINE));
                assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
            }
        }
    }
}

/// An end that has no room any more, from a moment that another thread waits for.
struct Full {
    end: MemoryEnd,
    step: Arc<AtomicUsize>,
}

const OPEN: usize = 0;
const ARMED: usize = 1;
const FULL: usize = 2;
const NOTICED: usize = 3;

fn await_step(step: &AtomicUsize, wanted: usize) {
    while step.load(Ordering::SeqCst) < wanted {
        std::hint::spin_loop();
    }
}

impl AsyncRead for Full {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_read(context, buffer)
    }
}

impl AsyncWrite for Full {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.step.load(Ordering::SeqCst) == OPEN {
            return Pin::new(&mut self.end).poll_write(context, bytes);
        }
        if self.step.compare_exchange(ARMED, FULL, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            await_step(&self.step, NOTICED);
        }
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One call is made from another thread, while the task finds that there is no room and lies down.
async fn call_meanwhile() {
    let (ours, theirs) = pair(CAPACITY);
    let (teller, mut told) = teller();
    let step = Arc::new(AtomicUsize::new(OPEN));
    let ours = Full { end: ours, step: Arc::clone(&step) };
    let (client, _server) =
        tokio::join!(establish(ours, Role::Broker, teller), establish(theirs, Role::Plugin, Silent));
    let (link, driver) = client.unwrap();
    let driver = tokio::spawn(driver);
    step.store(ARMED, Ordering::SeqCst);
    let other = link.clone();
    let meanwhile = std::thread::spawn(move || {
        await_step(&step, FULL);
        let now = other.now();
        step.store(NOTICED, Ordering::SeqCst);
        other.with(|connection| short(connection, 1, Duration::from_millis(1), now));
    });
    let now = link.now();
    link.with(|connection| short(connection, 0, Duration::from_secs(60), now));
    let (ended, outcome) = told.recv().await.unwrap();
    assert_eq!((ended, outcome.unwrap_err().code), (1, Code::DEADLINE));
    meanwhile.join().unwrap();
    driver.abort();
}

#[test]
fn p6_a_call_made_while_the_task_lies_down_has_a_deadline() {
    within(LIMIT, || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            for _ in 0..500 {
                call_meanwhile().await;
            }
        });
    });
}
