//! Listings: pushed under credit, flat in memory, broken off when nobody wants them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use outrigger_plugin_sdk::protocol::{
    Change, ChangeKind, Code, Extensions, Href, Listing, Method, Revision, limits,
};
use outrigger_plugin_sdk::{ChangeSink, serve_on};
use outrigger_transport::memory::{CAPACITY, MemoryEnd, pair};
use outrigger_transport::{Carrier, LinkError, Wait};

use crate::client::{Client, decoded, listing, part, start_run};
use crate::connector::Connector;

/// Bytes of one change on the wire, at least.
const SIZE: u64 = 60;

/// What may be pushed and not yet be received: a window of credit, two frames that wait for more,
/// and what lies in the memory pair and the decoder.
const AHEAD: u64 = limits::STREAM_WINDOW + 4 * limits::MAX_DATA as u64 + CAPACITY as u64;

fn change(number: u64) -> Change {
    Change {
        href: Href::from(&*number.to_string()),
        kind: ChangeKind::Unknown,
        revision: Revision::from("1"),
        settled: true,
        object_type: "note".into(),
        format: "plain".into(),
        ext: Extensions::default(),
    }
}

/// A connector that lists `count` changes, and how many it has pushed.
fn listing_of(count: u64) -> (Connector, Arc<AtomicU64>) {
    let pushed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pushed);
    let connector = Connector::new().on_changes(move |changes: &mut ChangeSink<'_, '_>| {
        for number in 0..count {
            changes.push(&change(number))?;
            counter.store(number + 1, Ordering::SeqCst);
        }
        Ok(())
    });
    (connector, pushed)
}

/// Counts writes.
pub(crate) struct Counting {
    end: MemoryEnd,
    writes: Arc<AtomicUsize>,
}

impl Counting {
    pub(crate) fn new(end: MemoryEnd) -> (Self, Arc<AtomicUsize>) {
        let writes = Arc::new(AtomicUsize::new(0));
        (Self { end, writes: Arc::clone(&writes) }, writes)
    }
}

impl Carrier for Counting {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        self.end.read(buffer, wait)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.end.try_write(bytes);
        self.writes.fetch_add(usize::from(written.is_ok()), Ordering::SeqCst);
        written
    }

    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()> {
        self.end.wait_writable(limit, or_read)
    }
}

/// Holds S42.
#[test]
fn a_long_listing_needs_no_more_memory_than_a_short_one() {
    const COUNT: u64 = 1_000_000;
    let (connector, pushed) = listing_of(COUNT);
    let (ours, theirs) = pair(CAPACITY);
    let (theirs, writes) = Counting::new(theirs);
    let served = std::thread::spawn(move || {
        let mut ended = None;
        let used = allocation_counter::measure(|| ended = Some(serve_on(connector, Box::new(theirs), None)));
        ended.unwrap().unwrap();
        used.bytes_max
    });
    let mut client = Client::meet(ours);
    let (_, sinks) = client.instance();
    client.begin_run(sinks[0]);
    let call = client.send(sinks[0], Method::GET_CHANGES, &listing());
    let mut received = 0u64;
    while !client.is_answered(call) {
        client.turn(true).unwrap();
        for href in client.hrefs.drain(..) {
            assert_eq!(href, received.to_string(), "in order");
            received += 1;
        }
        let ahead = pushed.load(Ordering::SeqCst) - received;
        assert!(ahead * SIZE <= AHEAD, "{ahead} changes ahead");
    }
    let end: Listing = decoded(client.wait(call));
    assert_eq!((end.count, received), (COUNT, COUNT));
    client.leave();
    let peak = served.join().unwrap();
    let writes = writes.load(Ordering::SeqCst);
    println!("{COUNT} changes: peak {peak} bytes, {writes} writes");
    assert!(peak < 2 << 20, "{peak} bytes at the peak");
    assert!(COUNT / writes as u64 > 100, "{writes} writes");
}

#[test]
fn a_slow_broker_makes_a_push_wait() {
    let (connector, pushed) = listing_of(100_000);
    let (mut client, served, sink) = start_run(connector);
    let call = client.send(sink, Method::GET_CHANGES, &listing());
    let mut taken = 0;
    while taken < limits::STREAM_WINDOW - 4096 {
        taken += client.turn(false).unwrap(); // nothing counts as dealt with
        let ahead = pushed.load(Ordering::SeqCst) * SIZE;
        assert!(ahead <= taken + AHEAD, "{ahead} bytes pushed, {taken} taken");
    }
    assert!(!client.is_answered(call), "the window is used up");
    client.cancel(call);
    let error = client.wait(call).unwrap_err();
    assert_eq!(error.code, Code::CANCELLED, "{error}");
    assert!(pushed.load(Ordering::SeqCst) < 100_000);
    part(client, served);
}

/// Holds S39.
#[test]
fn a_push_says_that_the_call_was_cancelled() {
    let (tell, told) = channel();
    let connector = Connector::new().on_changes(move |changes| {
        let error = (0..).find_map(|number| changes.push(&change(number)).err()).unwrap();
        tell.send((error.code, changes.context().is_cancelled())).unwrap();
        Err(error)
    });
    let (mut client, served, sink) = start_run(connector);
    let call = client.send(sink, Method::GET_CHANGES, &listing());
    while client.hrefs.is_empty() {
        client.turn(true).unwrap();
    }
    client.cancel(call);
    assert_eq!(client.wait(call).unwrap_err().code, Code::CANCELLED);
    assert_eq!(told.recv().unwrap(), (Code::CANCELLED, true));
    part(client, served);
}

#[test]
fn a_push_says_that_the_broker_has_gone() {
    let (tell, told) = channel();
    let connector = Connector::new().on_changes(move |changes| {
        let error = (0..).find_map(|number| changes.push(&change(number)).err()).unwrap();
        tell.send(error.code).unwrap();
        Err(error)
    });
    let (mut client, served, sink) = start_run(connector);
    client.send(sink, Method::GET_CHANGES, &listing());
    while client.hrefs.is_empty() {
        client.turn(true).unwrap();
    }
    drop(client);
    assert_eq!(told.recv().unwrap(), Code::DISCONNECTED);
    assert!(served.join().unwrap().is_err());
}

/// Holds S15.
#[test]
fn an_item_that_is_too_large_fails_alone() {
    let connector = Connector::new().on_changes(|changes| {
        let large = Change { object_type: "x".repeat(limits::MAX_ITEM), ..change(0) };
        let error = changes.push(&large).unwrap_err();
        assert_eq!(error.code, Code::TOO_LARGE);
        assert!(error.message.contains("bytes, above the limit of 1048576"), "{error}");
        changes.push(&change(1))
    });
    let (mut client, served, sink) = start_run(connector);
    let end: Listing = decoded(client.call(sink, Method::GET_CHANGES, &listing()));
    assert_eq!((end.count, client.hrefs.as_slice()), (1, &["1".to_owned()][..]));
    part(client, served);
}

/// A broker that takes nothing any more once it is deaf; time passes when there is nothing to wait for.
struct Deaf {
    end: MemoryEnd,
    deaf: Arc<AtomicBool>,
}

impl Carrier for Deaf {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        self.end.read(buffer, wait)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.deaf.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.end.try_write(bytes)
    }

    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()> {
        if self.deaf.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.end.wait_writable(limit, or_read)
    }
}

#[test]
fn p6_a_broker_that_never_reads_ends_the_connection() {
    let deaf = Arc::new(AtomicBool::new(false));
    let (tell, told) = channel();
    let falls = Arc::clone(&deaf);
    let connector = Connector::new().on_changes(move |changes| {
        falls.store(true, Ordering::SeqCst);
        let error = (0..).find_map(|number| changes.push(&change(number)).err()).unwrap();
        tell.send(error.to_string()).unwrap();
        Err(error)
    });
    let (ours, end) = pair(CAPACITY);
    let served = std::thread::spawn(move || serve_on(connector, Box::new(Deaf { end, deaf }), None));
    let mut client = Client::meet(ours);
    let (_, sinks) = client.instance();
    client.begin_run(sinks[0]);
    client.send(sinks[0], Method::GET_CHANGES, &listing());
    client.link.flush().unwrap();
    let error = told.recv().unwrap();
    assert!(error.contains("the other end has not taken a byte for 30 s"), "{error}");
    let ended = served.join().unwrap().unwrap_err();
    assert!(matches!(ended, LinkError::Stalled(_)), "{ended}");
}
