//! Time: simulated, so that nothing here waits for it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use outrigger_protocol::{
    AuthKind, CallId, CallOptions, Code, Connection, Event, Handshake, Hello, ObjectId, Progress, Role,
    limits,
};
use outrigger_transport::memory::{CAPACITY, MemoryEnd, pair};
use outrigger_transport::{BlockingLink, Carrier, Handler, Link, LinkError, Wait};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::support::{ECHO, Silent, dialling, establish, teller};

fn options(total: u64, idle: u64) -> CallOptions {
    let seconds = |count| Some(Duration::from_secs(count));
    CallOptions { total: seconds(total), idle: seconds(idle), ..CallOptions::default() }
}

/// Says for a while that it is at work, and never answers.
struct Progressing(u32);

impl Handler<()> for Progressing {
    fn event(&mut self, event: Event<'_, ()>, connection: &mut Connection<()>) {
        if let Event::Call(call) = event {
            connection.progress(call.id, &Progress { done: 0, total: None, waiting_ms: self.0 * 1000 });
        }
    }
}

/// How long a call takes to fail, and with which code.
async fn fails_after<H: Handler<()> + 'static>(server: H, options: CallOptions) -> (Duration, Code) {
    let (ours, theirs) = pair(CAPACITY);
    let (teller, mut told) = teller();
    let (client, server) =
        tokio::join!(establish(ours, Role::Broker, teller), establish(theirs, Role::Plugin, server));
    let ((link, driver), (_server, serving)) = (client.unwrap(), server.unwrap());
    tokio::spawn(driver);
    tokio::spawn(serving);
    let begun = Instant::now();
    let now = link.now();
    link.with(|connection| connection.call(ObjectId(1), ECHO, &(), options, 1, now)).unwrap();
    let (_, outcome) = told.recv().await.unwrap();
    (begun.elapsed(), outcome.unwrap_err().code)
}

/// The runtime's timers count in milliseconds.
fn assert_about((took, code): (Duration, Code), seconds: u64, expected: Code) {
    let expected_time = Duration::from_secs(seconds);
    assert!(took >= expected_time && took <= expected_time + Duration::from_millis(2), "{took:?}");
    assert_eq!(code, expected);
}

/// Holds S30.
#[tokio::test(start_paused = true)]
async fn a_call_fails_when_its_total_time_is_over() {
    assert_about(fails_after(Silent, options(5, 60)).await, 5, Code::DEADLINE);
}

/// Holds S30.
#[tokio::test(start_paused = true)]
async fn a_call_fails_when_it_shows_no_life() {
    assert_about(fails_after(Silent, options(60, 5)).await, 5, Code::IDLE_TIMEOUT);
}

/// Holds S33, S43.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_rate_limit_extends_the_idle_clock_and_not_the_total() {
    assert_about(fails_after(Progressing(30), options(300, 5)).await, 35, Code::IDLE_TIMEOUT);
    assert_about(fails_after(Progressing(30), options(20, 5)).await, 20, Code::DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_deadline_is_noticed_behind_a_longer_one() {
    let (ours, theirs) = pair(CAPACITY);
    let (teller, mut told) = teller();
    let (client, server) =
        tokio::join!(establish(ours, Role::Broker, teller), establish(theirs, Role::Plugin, Silent));
    let ((link, driver), (_server, serving)) = (client.unwrap(), server.unwrap());
    tokio::spawn(driver);
    tokio::spawn(serving);
    let begun = Instant::now();
    for (context, total) in [(0, 100), (1, 50), (2, 75)] {
        let (target, now) = (ObjectId(context), link.now());
        let call = |connection: &mut Connection<usize>| {
            connection.call(target, ECHO, &(), options(total, 1000), context as usize, now)
        };
        link.with(call).unwrap();
        tokio::task::yield_now().await;
    }
    for (context, seconds) in [(1, 50), (2, 75), (0, 100)] {
        let (ended, outcome) = told.recv().await.unwrap();
        assert_eq!(ended, context);
        assert_about((begun.elapsed(), outcome.unwrap_err().code), seconds, Code::DEADLINE);
    }
}

/// A plugin that waits a second for each call, five at a time, and says nothing meanwhile.
async fn wait_and_answer(end: MemoryEnd) {
    let (tell, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let mut hello = Hello::new("plugin", AuthKind::Inherited, [1; 32]);
    hello.limits.dispatch_window = 5;
    let dial = Handshake::dial(hello, None);
    let (link, driver) =
        Link::establish(end, dial, Role::Plugin, limits::HANDSHAKE_TIME, Told(tell)).await.unwrap();
    tokio::spawn(driver);
    let window = Arc::new(Semaphore::new(5));
    while let Some(call) = calls.recv().await {
        let (link, turn) = (link.clone(), Arc::clone(&window).acquire_owned().await.unwrap());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            link.with(|connection| connection.reply(call, serde_bytes::Bytes::new(b"done")));
            drop(turn);
        });
    }
}

/// Tells of calls.
struct Told(tokio::sync::mpsc::UnboundedSender<CallId>);

impl Handler<()> for Told {
    fn event(&mut self, event: Event<'_, ()>, _: &mut Connection<()>) {
        if let Event::Call(call) = event {
            self.0.send(call.id).unwrap();
        }
    }
}

/// What waits in a queue, or in silence, has its whole time once it is begun: total and idle.
/// Holds S8, S32, S33.
#[tokio::test(start_paused = true)]
async fn twenty_calls_that_wait_a_second_each_keep_their_three_also_after_an_hour_of_silence() {
    let (ours, theirs) = pair(CAPACITY);
    let (teller, mut told) = teller();
    tokio::spawn(wait_and_answer(theirs));
    let (link, driver) = establish(ours, Role::Broker, teller).await.unwrap();
    tokio::spawn(driver);
    for _ in 0..3 {
        let begun = Instant::now();
        for context in 0..20 {
            let (target, now) = (ObjectId(context), link.now());
            let call = |connection: &mut Connection<usize>| {
                connection.call(target, ECHO, &(), options(3, 3), context as usize, now)
            };
            link.with(call).unwrap();
        }
        for _ in 0..20 {
            assert_eq!(told.recv().await.unwrap().1.unwrap(), b"done");
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(5), "{took:?}");
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}

/// Holds S34, S69.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_has_as_long_as_it_was_given() {
    let (ours, _theirs) = pair(CAPACITY);
    let begun = Instant::now();
    let made = establish(ours, Role::Broker, Silent).await;
    assert!(matches!(made.err(), Some(LinkError::HandshakeTime)));
    let took = begun.elapsed();
    assert!(took >= limits::HANDSHAKE_TIME && took < limits::HANDSHAKE_TIME + Duration::from_millis(5));
}

/// Says nothing for as long as it is waited for, and notes how long that was.
struct Mute(std::sync::mpsc::Sender<Wait>);

impl Carrier for Mute {
    fn read(&mut self, _: &mut [u8], wait: Wait) -> io::Result<usize> {
        self.0.send(wait).unwrap();
        Err(io::ErrorKind::TimedOut.into())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn wait_writable(&mut self, _: Duration, _: bool) -> io::Result<()> {
        Ok(())
    }
}

/// Holds S69.
#[test]
fn the_blocking_driver_gives_a_silent_peer_ten_seconds() {
    let (tell, waited) = std::sync::mpsc::channel();
    let made = BlockingLink::<()>::establish(Box::new(Mute(tell)), dialling(None), Role::Plugin);
    assert!(matches!(made.unwrap_err(), LinkError::HandshakeTime));
    let Wait::For(limit) = waited.recv().unwrap() else { panic!("without a limit") };
    assert!(limit <= limits::HANDSHAKE_TIME && limit > limits::HANDSHAKE_TIME / 2);
}
