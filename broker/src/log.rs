//! What a plugin says: its log frames, standard output and standard error.
//!
//! Everything is the plugin's words and is marked as such: control characters are escaped, and
//! lines go to `tracing` under the target `plugin`. Past a rate, output is read, counted and discarded,
//! so that a flood costs neither memory nor the plugin's calls; how much that was is said at the end.
//! The last lines are kept for the report of its death.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use outrigger_protocol::{Level, Printable};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Lines of each output that are kept for the last words.
const KEPT_LINES: usize = 10;
/// Bytes kept of one line.
const MAX_LINE: usize = 2048;
/// Bytes a second that are logged, and how many may come at once.
const RATE: f64 = 65_536.0;
const BURST: f64 = 262_144.0;

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout = 0,
    Stderr = 1,
}

/// The log of one plugin process.
#[derive(Debug)]
pub(crate) struct PluginLog {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// As they were printed, whatever the rate: a plugin that floods may have last words too. Apart
    /// by output, so that what is left in one cannot push the other out.
    last: [VecDeque<Vec<u8>>; 2],
    budget: f64,
    refilled: Instant,
    discarded: u64,
}

impl PluginLog {
    pub(crate) fn new(name: String) -> Self {
        let state = State { last: Default::default(), budget: BURST, refilled: Instant::now(), discarded: 0 };
        Self { name, state: Mutex::new(state) }
    }

    /// A line in a LOG frame.
    pub(crate) fn said(&self, level: Level, message: &str) {
        let Some(line) = self.admit(message.as_bytes()) else { return };
        let plugin = self.name.as_str();
        match level {
            Level::Error => tracing::error!(target: "plugin", plugin, "{line}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, "{line}"),
            Level::Info => tracing::info!(target: "plugin", plugin, "{line}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
        }
    }

    /// A line of standard output or standard error; `None` when past the rate.
    fn printed(&self, line: &[u8], output: Output) {
        self.keep(line, output);
        let Some(line) = self.admit(line) else { return };
        tracing::info!(target: "plugin", plugin = self.name.as_str(), "{line}");
    }

    /// Escapes a line, unless the plugin has said too much lately.
    fn admit(&self, line: &[u8]) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = now.duration_since(state.refilled).as_secs_f64() * RATE;
        state.refilled = now;
        state.budget = (state.budget + earned).min(BURST);
        let cost = line.len() as f64 + 16.0;
        if state.budget < cost {
            state.discarded += line.len() as u64;
            return None;
        }
        state.budget -= cost;
        Some(Printable(line).to_string())
    }

    fn keep(&self, line: &[u8], output: Output) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut state.last[output as usize];
        // The oldest line's memory is used again: a flood costs no allocations.
        let oldest = if last.len() == KEPT_LINES { last.pop_front() } else { None };
        let mut kept = oldest.unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(line);
        last.push_back(kept);
    }

    /// The last lines that it printed, oldest first; those of standard error last. Not escaped.
    pub(crate) fn last_words(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last.iter().flatten().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    /// Bytes that came past the rate, and those beyond the longest line.
    fn discarded(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).discarded
    }

    /// Says how much of what the plugin said is not in the log, if anything is not: once, at its end.
    /// `frames` is what its connection did not listen to.
    pub(crate) fn sum_up(&self, frames: u64) {
        let (plugin, bytes) = (self.name.as_str(), self.discarded());
        if bytes > 0 || frames > 0 {
            tracing::warn!(target: "plugin", plugin, discarded_bytes = bytes, discarded_frames = frames, "it said more than is logged");
        }
    }

    /// Reads an output of the plugin to its end. Memory: one buffer and one line.
    pub(crate) async fn drain(&self, mut from: impl AsyncRead + Unpin, output: Output) {
        let mut buffer = vec![0; 16 << 10];
        let mut line = Vec::new();
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            self.take(buffer.get(..count).unwrap_or_default(), &mut line, output);
        }
        if !line.is_empty() {
            self.printed(&line, output);
        }
    }

    /// Takes what was read, line by line. `line` holds the beginning of one that has not ended.
    fn take(&self, read: &[u8], line: &mut Vec<u8>, output: Output) {
        for piece in read.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = MAX_LINE.saturating_sub(line.len());
            let (kept, cut) = text.split_at(text.len().min(room));
            line.extend_from_slice(kept);
            self.discard(cut.len());
            if text.len() < piece.len() {
                self.printed(line, output);
                line.clear(); // and not its memory
            }
        }
    }

    fn discard(&self, bytes: usize) {
        if bytes > 0 {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).discarded += bytes as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b4_a_line_of_the_log_cannot_move_a_cursor_or_turn_the_text() {
        let log = PluginLog::new("p".into());
        let line = log.admit("a\x1b[2Jb\u{202e}c\u{9b}".as_bytes()).unwrap();
        assert_eq!(line, "a\\u{1b}[2Jb\\u{202e}c\\u{9b}");
    }

    /// Holds S22, S41.
    #[tokio::test]
    async fn a_flood_is_discarded_and_counted() {
        let log = PluginLog::new("p".into());
        let flood = vec![b'x'; 100 << 20];
        log.drain(&flood[..], Output::Stdout).await; // one line without an end
        assert_eq!(log.discarded(), flood.len() as u64 - MAX_LINE as u64);
        let lines = b"hello world\n".repeat(1 << 18);
        log.drain(&b"and then it died\n"[..], Output::Stderr).await;
        let before = log.discarded();
        log.drain(&lines[..], Output::Stdout).await;
        assert!(log.discarded() > before + (1 << 20), "{}", log.discarded());
        assert!(log.last_words().len() <= KEPT_LINES + 1);
        assert_eq!(log.last_words().last().map(String::as_str), Some("and then it died"));
    }
}
