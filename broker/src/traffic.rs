//! What a plugin does on the network through this broker: figures for people, no more. Nothing is
//! limited by them.
//!
//! The broker keeps no copy of a stream, so it cannot count. It asks the kernel from time to time,
//! and listens for the end of each.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::figures::{Bytes, Figures};
use crate::sock_diag::{SockDiag, Watched};

/// Streams of one plugin that are watched at a time. Of others beyond, what they had carried when the
/// next was opened is all that counts.
const MOST_WATCHED: usize = 256;

/// How long the kernel may take to tell of a stream's end.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Counts for one plugin.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    connections: u64,
    refused: u64,
    /// Of streams that are not watched any more.
    done: Bytes,
    /// By cookie.
    live: HashMap<u64, Stream>,
    kernel: Kernel,
}

/// One that is watched.
#[derive(Debug)]
struct Stream {
    watched: Watched,
    known: Bytes,
    /// It is gone since then, and the kernel has not told yet with how much.
    gone: Option<Instant>,
}

/// The way to ask.
#[derive(Debug, Default)]
enum Kernel {
    /// Nothing was to be asked yet.
    #[default]
    Unasked,
    Answers(SockDiag),
    /// It does not say, or has not said once: no figure would be right.
    Silent,
}

impl Traffic {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream is about to be handed over.
    pub(crate) fn connected(&self, stream: &TcpStream) {
        let mut state = self.lock();
        state.connections += 1;
        if state.watch(stream).is_err() {
            state.kernel = Kernel::Silent;
        }
    }

    pub(crate) fn refused(&self) {
        self.lock().refused += 1;
    }

    /// Whether there is something to sample.
    pub(crate) fn is_watching(&self) -> bool {
        let state = self.lock();
        !state.live.is_empty() && matches!(state.kernel, Kernel::Answers(_))
    }

    /// Asks the kernel how far they all are. It answers at once.
    pub(crate) fn sample(&self) {
        self.lock().sample();
    }

    /// The figures now.
    pub(crate) fn figures(&self) -> Figures {
        let mut state = self.lock();
        state.sample();
        let mut all = state.done;
        state.live.values().for_each(|stream| all += stream.known);
        let is_known = !matches!(state.kernel, Kernel::Silent) && cfg!(target_os = "linux");
        Figures { connections: state.connections, refused: state.refused, bytes: is_known.then_some(all) }
    }
}

impl State {
    fn watch(&mut self, stream: &TcpStream) -> std::io::Result<()> {
        if matches!(self.kernel, Kernel::Unasked) {
            self.kernel = Kernel::Answers(SockDiag::open()?);
        }
        if self.live.len() >= MOST_WATCHED {
            self.sample();
            self.live.drain().for_each(|(_, stream)| self.done += stream.known);
        }
        let watched = Watched::new(stream)?;
        self.live.insert(watched.cookie, Stream { watched, known: Bytes::default(), gone: None });
        Ok(())
    }

    fn sample(&mut self) {
        let Kernel::Answers(kernel) = &self.kernel else { return };
        for (cookie, bytes) in kernel.ended() {
            if self.live.remove(&cookie).is_some() {
                self.done += bytes;
            }
        }
        let mut is_silent = false;
        let done = &mut self.done;
        self.live.retain(|_, stream| match kernel.ask(&stream.watched) {
            Ok(Some(bytes)) => {
                stream.known = bytes;
                true
            }
            Ok(None) => {
                let since = stream.gone.get_or_insert_with(Instant::now).elapsed();
                let waits = kernel.hears() && since < LAST_WORD;
                if !waits {
                    *done += stream.known; // nobody has heard with how much it ended
                }
                waits
            }
            Err(_) => {
                is_silent = true;
                true
            }
        });
        if is_silent {
            self.kernel = Kernel::Silent;
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn carry(traffic: &Traffic, count: usize) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut other = listener.accept().unwrap().0;
        traffic.connected(&ours);
        ours.write_all(&vec![7; count]).unwrap();
        other.read_exact(&mut vec![0; count]).unwrap();
        (ours, other)
    }

    #[test]
    fn bytes_are_counted_of_streams_that_are_open_and_of_those_that_have_ended() {
        let traffic = Traffic::default();
        traffic.refused();
        let first = carry(&traffic, 1000);
        let second = carry(&traffic, 200);
        let sent = |traffic: &Traffic| traffic.figures().bytes.unwrap().sent;
        assert_eq!(sent(&traffic), 1200);
        drop(first);
        let _third = carry(&traffic, 30);
        assert_eq!(sent(&traffic), 1230, "whether the kernel has told of its end or not");
        drop(second);
        assert_eq!(sent(&traffic), 1230);
        let figures = traffic.figures();
        assert_eq!((figures.connections, figures.refused), (3, 1));
    }

    /// What no sample has seen is told of when the stream ends.
    #[test]
    fn a_short_stream_counts_by_its_end() {
        let traffic = Traffic::default();
        drop(carry(&traffic, 777));
        let begun = std::time::Instant::now();
        while traffic.is_watching() {
            traffic.sample();
            assert!(begun.elapsed().as_secs() < 10, "it does not end");
        }
        assert_eq!(traffic.figures().bytes.unwrap().sent, 777);
    }

    #[test]
    fn more_streams_than_are_watched_still_count_as_far_as_they_were_seen() {
        let traffic = Traffic::default();
        let all: Vec<_> = (0..=MOST_WATCHED).map(|_| carry(&traffic, 10)).collect();
        assert_eq!(traffic.figures().bytes.unwrap().sent, 10 * all.len() as u64);
        assert_eq!(traffic.lock().live.len(), 1);
    }

    #[test]
    fn figures_that_cannot_be_had_are_not_guessed() {
        let traffic = Traffic::default();
        assert_eq!(traffic.figures().bytes, Some(Bytes::default()), "nothing went anywhere");
        let _open = carry(&traffic, 10);
        traffic.lock().kernel = Kernel::Silent;
        assert_eq!(traffic.figures(), Figures { connections: 1, refused: 0, bytes: None });
    }
}
