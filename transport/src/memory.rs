//! A pair in memory, for tests: a connection whose every byte is under control.
//!
//! The idea: [`pair`] makes two ends; each is a [`Carrier`] and, with the feature `tokio`, an
//! asynchronous stream. A [`Line`] is one direction. Through it a test can **cut** the connection
//! after exactly so many bytes, **hold** bytes back until it releases them, and **split** every
//! read and write into portions. Between the two ends lies a buffer of a fixed size for each
//! direction, so that a peer that does not read is felt as over a socket.
//!
//! What it promises: bytes come out in order and none is lost; what was written before a cut is
//! still read, then comes the end, as when the process at the other end dies; no clock decides
//! anything.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::carrier::{Carrier, Wait};

/// Bytes that lie between two ends unless a test says otherwise: about what a Unix socket holds.
pub const CAPACITY: usize = 128 << 10;

/// Makes a connected pair that holds at most `capacity` bytes in each direction.
#[must_use]
pub fn pair(capacity: usize) -> (MemoryEnd, MemoryEnd) {
    let wire = Arc::new(Wire {
        state: Mutex::new(State { lines: [Bytes::new(capacity), Bytes::new(capacity)], broken: false }),
        changed: Condvar::new(),
    });
    (MemoryEnd { wire: Arc::clone(&wire), out: 0 }, MemoryEnd { wire, out: 1 })
}

/// One end of a pair. When it is dropped, the other end reads what was written, then the end.
#[derive(Debug)]
pub struct MemoryEnd {
    wire: Arc<Wire>,
    /// The direction that this end writes.
    out: usize,
}

/// One direction of a pair, in the hands of the test.
#[derive(Debug, Clone)]
pub struct Line {
    wire: Arc<Wire>,
    at: usize,
}

#[derive(Debug)]
struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    lines: [Bytes; 2],
    broken: bool,
}

/// The bytes of one direction.
#[derive(Debug)]
struct Bytes {
    buffer: VecDeque<u8>,
    capacity: usize,
    /// Most bytes of one read or write.
    portion: usize,
    /// Bytes that may still be written before the connection breaks.
    until_cut: Option<u64>,
    /// Bytes that may still be read while the line is held.
    released: Option<usize>,
    /// Bytes written so far.
    carried: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Bytes {
    const fn new(capacity: usize) -> Self {
        Self {
            buffer: VecDeque::new(),
            capacity,
            portion: usize::MAX,
            until_cut: None,
            released: None,
            carried: 0,
            reader: None,
            writer: None,
        }
    }

    /// Bytes that a read gets now.
    fn readable(&self) -> usize {
        self.buffer.len().min(self.portion).min(self.released.unwrap_or(usize::MAX))
    }

    /// Bytes that a write may add now.
    fn writable(&self) -> usize {
        let until_cut = self.until_cut.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        self.capacity.saturating_sub(self.buffer.len()).min(self.portion).min(until_cut)
    }

    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.readable().min(buffer.len());
        for (to, byte) in buffer.iter_mut().zip(self.buffer.drain(..count)) {
            *to = byte;
        }
        self.released = self.released.map(|released| released - count);
        count
    }

    fn put(&mut self, bytes: &[u8]) -> usize {
        let count = self.writable().min(bytes.len());
        self.buffer.extend(bytes.iter().take(count));
        self.carried += count as u64;
        self.until_cut = self.until_cut.map(|left| left - count as u64);
        count
    }
}

impl State {
    /// Reads from a direction; `None`: nothing to read yet.
    fn read(&mut self, at: usize, buffer: &mut [u8]) -> Option<usize> {
        let line = &mut self.lines[at];
        let count = line.take(buffer);
        let ended = self.broken && line.buffer.is_empty();
        (count > 0 || ended || buffer.is_empty()).then_some(count)
    }

    /// Writes to a direction; `None`: there is no room at the moment.
    fn write(&mut self, at: usize, bytes: &[u8]) -> Option<io::Result<usize>> {
        if self.broken {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let line = &mut self.lines[at];
        let count = line.put(bytes);
        self.broken = line.until_cut == Some(0);
        (count > 0 || bytes.is_empty()).then_some(Ok(count))
    }

    fn has_room(&self, at: usize) -> bool {
        self.broken || self.lines[at].writable() > 0
    }

    fn has_bytes(&self, at: usize) -> bool {
        let line = &self.lines[at];
        line.readable() > 0 || (self.broken && line.buffer.is_empty())
    }
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes whoever may have waited for that.
    fn change<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state);
        self.tell(state);
        result
    }

    /// The same for what may have to wait; `park` then leaves a waker, under the same lock.
    fn attempt<R>(
        &self,
        act: impl FnOnce(&mut State) -> Option<R>,
        park: impl FnOnce(&mut State),
    ) -> Option<R> {
        let mut state = self.lock();
        let result = act(&mut state);
        match &result {
            Some(_) => self.tell(state),
            None => park(&mut state),
        }
        result
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let wakers = state.lines.each_mut().map(|line| [line.reader.take(), line.writer.take()]);
        drop(state);
        self.changed.notify_all();
        wakers.into_iter().flatten().flatten().for_each(Waker::wake);
    }

    /// Sleeps while `idle` holds.
    fn wait_while(&self, idle: impl Fn(&State) -> bool) {
        let state = self.lock();
        drop(self.changed.wait_while(state, |state| idle(state)).unwrap_or_else(PoisonError::into_inner));
    }

    /// The same, for at most `limit`.
    fn wait_within(&self, limit: Duration, idle: impl Fn(&State) -> bool) -> io::Result<()> {
        let waited = self.changed.wait_timeout_while(self.lock(), limit, |state| idle(state));
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl Line {
    fn change(&self, act: impl FnOnce(&mut Bytes)) {
        self.wire.change(|state| act(&mut state.lines[self.at]));
    }

    /// Breaks the connection, in both directions, once `count` more bytes were written in this
    /// one. They still arrive; 0 breaks it now.
    pub fn cut_after(&self, count: u64) {
        self.change(|line| line.until_cut = Some(count));
        self.wire.change(|state| state.broken |= count == 0);
    }

    /// Splits every read and write of this direction into portions of at most `portion` bytes.
    pub fn split(&self, portion: usize) {
        self.change(|line| line.portion = portion.max(1));
    }

    /// Holds back all that is not read yet, until it is released.
    pub fn hold(&self) {
        self.change(|line| line.released = Some(0));
    }

    /// Lets `count` more of the held bytes through.
    pub fn release(&self, count: usize) {
        self.change(|line| line.released = line.released.map(|released| released.saturating_add(count)));
    }

    /// Holds nothing back any more.
    pub fn release_all(&self) {
        self.change(|line| line.released = None);
    }

    /// Bytes written so far.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.wire.lock().lines[self.at].carried
    }

    /// Bytes written and not yet read.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.wire.lock().lines[self.at].buffer.len()
    }

    /// Waits until `count` bytes were written in all, or the connection is broken.
    pub fn wait_carried(&self, count: u64) {
        self.wire.wait_while(|state| !state.broken && state.lines[self.at].carried < count);
    }
}

impl MemoryEnd {
    /// The direction that this end writes.
    #[must_use]
    pub fn outgoing(&self) -> Line {
        Line { wire: Arc::clone(&self.wire), at: self.out }
    }

    /// The direction that this end reads.
    #[must_use]
    pub fn incoming(&self) -> Line {
        Line { wire: Arc::clone(&self.wire), at: self.input() }
    }

    const fn input(&self) -> usize {
        1 - self.out
    }

    /// Waits until there is something to read, as `wait` says.
    fn wait_readable(&self, wait: Wait) -> io::Result<()> {
        let idle = |state: &State| !state.has_bytes(self.input());
        match wait {
            Wait::No => {}
            Wait::Forever => self.wire.wait_while(idle),
            Wait::For(limit) => return self.wire.wait_within(limit, idle),
        }
        Ok(())
    }
}

impl Drop for MemoryEnd {
    fn drop(&mut self) {
        self.wire.change(|state| state.broken = true);
    }
}

impl Carrier for MemoryEnd {
    fn read(&mut self, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
        self.wait_readable(wait)?;
        let read = self.wire.attempt(|state| state.read(self.input(), buffer), |_| ());
        read.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.wire.attempt(|state| state.write(self.out, bytes), |_| ());
        written.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    fn wait_writable(&mut self, limit: Duration, or_read: bool) -> io::Result<()> {
        let readable = |state: &State| or_read && state.has_bytes(self.input());
        self.wire.wait_within(limit, |state| !state.has_room(self.out) && !readable(state))
    }
}

#[cfg(feature = "tokio")]
mod asynchronous {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{MemoryEnd, State};

    impl AsyncRead for MemoryEnd {
        fn poll_read(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let (at, waker) = (self.input(), context.waker());
            let read = |state: &mut State| state.read(at, buffer.initialize_unfilled());
            let park = |state: &mut State| state.lines[at].reader = Some(waker.clone());
            match self.wire.attempt(read, park) {
                Some(count) => buffer.advance(count),
                None => return Poll::Pending,
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for MemoryEnd {
        fn poll_write(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let (at, waker) = (self.out, context.waker());
            let park = |state: &mut State| state.lines[at].writer = Some(waker.clone());
            self.wire.attempt(|state| state.write(at, bytes), park).map_or(Poll::Pending, Poll::Ready)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.wire.change(|state| state.broken = true);
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(end: &mut MemoryEnd, wait: Wait) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 64];
        let count = end.read(&mut buffer, wait)?;
        Ok(buffer[..count].to_vec())
    }

    #[test]
    fn a_cut_comes_after_exactly_so_many_bytes_and_they_still_arrive() {
        let (mut a, mut b) = pair(CAPACITY);
        a.outgoing().cut_after(5);
        assert_eq!(b.try_write(b"back").unwrap(), 4);
        assert_eq!(a.try_write(b"forth").unwrap(), 5);
        assert_eq!(a.try_write(b"!").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(b.try_write(b"!").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(read(&mut a, Wait::Forever).unwrap(), b"back");
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"forth");
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"", "then the end");
    }

    #[test]
    fn a_write_across_the_cut_is_accepted_up_to_it() {
        let (mut a, _b) = pair(CAPACITY);
        a.outgoing().cut_after(3);
        assert_eq!(a.try_write(b"forth").unwrap(), 3);
        assert!(a.try_write(b"th").is_err());
    }

    #[test]
    fn held_bytes_come_when_they_are_released() {
        let (mut a, mut b) = pair(CAPACITY);
        b.incoming().hold();
        a.try_write(b"abcdef").unwrap();
        assert_eq!(read(&mut b, Wait::No).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        b.incoming().release(2);
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"ab");
        drop(a);
        assert!(read(&mut b, Wait::No).is_err(), "the end stands behind what is held");
        b.incoming().release_all();
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"cdef");
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"");
    }

    /// Holds S24.
    #[test]
    fn every_read_and_write_is_split() {
        let (mut a, mut b) = pair(CAPACITY);
        a.outgoing().split(2);
        assert_eq!(a.try_write(b"abc").unwrap(), 2);
        assert_eq!(a.try_write(b"c").unwrap(), 1);
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"ab");
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"c");
        assert_eq!(b.incoming().carried(), 3);
    }

    #[test]
    fn a_full_buffer_is_felt_and_room_wakes_the_writer() {
        let (mut a, mut b) = pair(4);
        assert_eq!(a.try_write(b"abcdef").unwrap(), 4);
        assert_eq!(a.try_write(b"ef").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let writer = std::thread::spawn(move || {
            a.wait_writable(Duration::from_secs(30), true).unwrap();
            a.try_write(b"ef").unwrap()
        });
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"abcd");
        assert_eq!(writer.join().unwrap(), 2);
        assert_eq!(read(&mut b, Wait::Forever).unwrap(), b"ef");
    }
}
