//! A peer that never reads: the blocking driver gives it up, and keeps no more than was announced.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use outrigger_protocol::{Codec, Header, Kind, Level, Log, Role, limits};
use outrigger_transport::memory::{CAPACITY, MemoryEnd, pair};
use outrigger_transport::{BlockingLink, Carrier, LinkError, Wait};

use crate::support::{establish_blocking, within};

/// What a peer that takes nothing any more may have sent, by the limits that it was told.
const MOST: u64 = 3 * (limits::CALL_BYTES + limits::MAX_BODY as u64 + limits::CONNECTION_WINDOW) / 2;

/// A peer that takes nothing any more once it is `deaf`, and then says `line` for ever. Time passes
/// when there is nothing to wait for.
struct Deaf {
    end: MemoryEnd,
    deaf: Arc<AtomicBool>,
    line: Vec<u8>,
    said: Arc<AtomicUsize>,
}

impl Deaf {
    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::SeqCst)
    }
}

impl Carrier for Deaf {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        if !self.is_deaf() {
            return self.end.read(buffer, wait);
        }
        let said = self.said.load(Ordering::SeqCst);
        let line = self.line.iter().cycle().skip(said % self.line.len());
        buffer.iter_mut().zip(line).for_each(|(to, byte)| *to = *byte);
        self.said.store(said + buffer.len(), Ordering::SeqCst);
        Ok(buffer.len())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_deaf() { Err(io::ErrorKind::WouldBlock.into()) } else { self.end.try_write(bytes) }
    }

    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()> {
        assert!(limit <= Duration::from_secs(30), "{limit:?}");
        if or_read && !self.line.is_empty() { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

/// How a flush to such a peer ends, and how many bytes were taken in meanwhile.
fn flush_to_the_deaf(line: Vec<u8>) -> (LinkError, u64) {
    let (ours, theirs) = pair(CAPACITY);
    let (deaf, said) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let carrier = Deaf { end: theirs, deaf: Arc::clone(&deaf), line, said: Arc::clone(&said) };
    let peer = std::thread::spawn(move || establish_blocking::<()>(ours, Role::Broker));
    let mut link: BlockingLink<()> = establish_blocking(carrier, Role::Plugin).unwrap();
    drop(peer.join().unwrap());
    deaf.store(true, Ordering::SeqCst);
    link.connection().log(&Log { level: Level::Info, message: "is anybody there?".into() });
    (link.flush().unwrap_err(), said.load(Ordering::SeqCst) as u64)
}

fn log_frame() -> Vec<u8> {
    let mut body = Vec::new();
    Codec::Bincode.encode(&Log { level: Level::Info, message: "x".repeat(1000) }, &mut body).unwrap();
    let header = Header { body_len: u32::try_from(body.len()).unwrap(), ..Header::new(Kind::LOG, 0) };
    [&header.encode()[..], &body].concat()
}

#[test]
fn p6_a_peer_that_takes_nothing_is_given_up() {
    let (error, _) = flush_to_the_deaf(Vec::new());
    assert!(matches!(error, LinkError::Stalled(_)), "{error}");
    assert_eq!(error.to_string(), "the other end has not taken a byte for 30 s");
}

#[test]
fn a_peer_that_talks_on_and_never_reads_costs_no_more_than_was_announced() {
    within(Duration::from_secs(30), || {
        let (error, taken) = flush_to_the_deaf(log_frame());
        assert!(matches!(error, LinkError::Stalled(_)), "{error}");
        assert!(taken <= MOST + (64 << 10), "{taken} bytes were taken in, of {MOST}");
        assert!(taken > limits::CALL_BYTES, "{taken} bytes: what was announced must be taken in");
    });
}
