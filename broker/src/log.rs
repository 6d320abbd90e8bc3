//! What a plugin says: its log frames, standard output and standard error.
//!
//! Everything is the plugin's words and is marked as such: control characters are escaped, and
//! lines go to `tracing` under the target `plugin`. Past a rate, output is read and discarded, so
//! that a flood costs neither memory nor the plugin's calls. It is read at a rate too: a plugin that
//! floods fills its own pipe and waits there, and what it costs this process is bounded whatever its
//! lines are. How much was discarded is said at the end. The last lines are kept for the report of its death.

use std::collections::VecDeque;
use std::io::BufRead as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outrigger_protocol::{Level, Printable};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, sleep};

/// Lines of each output that are kept for the last words.
const KEPT_LINES: usize = 10;
/// Bytes kept of one line.
const MAX_LINE: usize = 2048;
/// Bytes a second that are logged, and how many may come at once.
const RATE: f64 = 65_536.0;
const BURST: f64 = 262_144.0;
/// What a line costs beside its bytes, so that empty ones are no way past the rate.
const LINE_COST: f64 = 64.0;
/// Bytes that are read at once: what a pipe holds.
const CHUNK: usize = 64 << 10;
/// Lines that are logged before others get their turn.
const TURN: usize = 16;
/// How long an output is left alone of which something was discarded.
const PAUSE: Duration = Duration::from_millis(1);

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

/// What became of a part of what was read.
struct Turn<'a> {
    /// To be logged, escaped.
    lines: Vec<String>,
    /// Not looked at yet.
    rest: &'a [u8],
    /// Something was discarded.
    floods: bool,
}

impl PluginLog {
    pub(crate) fn new(name: String) -> Self {
        let state = State { last: Default::default(), budget: BURST, refilled: Instant::now(), discarded: 0 };
        Self { name, state: Mutex::new(state) }
    }

    /// A line in a LOG frame.
    pub(crate) fn said(&self, level: Level, message: &str) {
        let admitted = self.state().refill(Instant::now()).admit(message.as_bytes());
        let Some(line) = admitted else { return };
        let plugin = self.name.as_str();
        match level {
            Level::Error => tracing::error!(target: "plugin", plugin, "{line}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, "{line}"),
            Level::Info => tracing::info!(target: "plugin", plugin, "{line}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
        }
    }

    /// The last lines that it printed, oldest first; those of standard error last. Not escaped.
    pub(crate) fn last_words(&self) -> Vec<String> {
        self.state().last.iter().flatten().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    /// Bytes that were not logged: they came past the rate, or in a line that was too long.
    fn discarded(&self) -> u64 {
        self.state().discarded
    }

    /// Says how much of what the plugin said is not in the log, if anything is not: once, at its end.
    /// `frames` is what its connection did not listen to.
    pub(crate) fn sum_up(&self, frames: u64) {
        let (plugin, bytes) = (self.name.as_str(), self.discarded());
        if bytes > 0 || frames > 0 {
            tracing::warn!(target: "plugin", plugin, discarded_bytes = bytes, discarded_frames = frames, "it said more than is logged");
        }
    }

    /// Reads an output of the plugin to its end. Memory: one buffer, one line, and those of a turn.
    /// Time: a few lines before others get their turn; of a flood one buffer a [`PAUSE`], at the cost of
    /// a look at its end.
    pub(crate) async fn drain(&self, mut from: impl AsyncRead + Unpin, output: Output) {
        let (mut buffer, mut line) = (vec![0; CHUNK], Vec::new());
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let mut read = buffer.get(..count).unwrap_or_default();
            while !read.is_empty() {
                let turn = self.turn(read, &mut line, output);
                read = turn.rest;
                self.log(&turn.lines);
                if turn.floods {
                    sleep(PAUSE).await;
                } else {
                    tokio::task::yield_now().await;
                }
            }
        }
        if !line.is_empty() {
            self.log(&self.turn(b"\n", &mut line, output).lines);
        }
    }

    fn log(&self, lines: &[String]) {
        for line in lines {
            tracing::info!(target: "plugin", plugin = self.name.as_str(), "{line}");
        }
    }

    /// Takes in what was read: a few lines, and all at once what is past the rate. `line` is one that
    /// has not come to its end.
    fn turn<'a>(&self, read: &'a [u8], line: &mut Vec<u8>, output: Output) -> Turn<'a> {
        let mut state = self.state();
        state.refill(Instant::now());
        let before = state.discarded;
        let (mut lines, mut rest) = (Vec::new(), read);
        while lines.len() < TURN && !rest.is_empty() {
            let (more, after) = first_line(rest);
            rest = after.unwrap_or_default();
            state.lengthen(line, more);
            if after.is_none() {
                break;
            }
            state.keep(line, output);
            let admitted = state.admit(line);
            line.clear();
            match admitted {
                Some(text) => lines.push(text),
                None => state.discard(std::mem::take(&mut rest), line, output),
            }
        }
        Turn { lines, rest, floods: state.discarded > before }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds what was earned since the last time.
    fn refill(&mut self, now: Instant) -> &mut Self {
        let earned = now.duration_since(self.refilled).as_secs_f64() * RATE;
        self.refilled = now;
        self.budget = (self.budget + earned).min(BURST);
        self
    }

    /// Escapes a line, unless the plugin has said too much lately.
    fn admit(&mut self, line: &[u8]) -> Option<String> {
        let cost = line.len() as f64 + LINE_COST;
        if self.budget < cost {
            self.discarded += line.len() as u64 + 1;
            return None;
        }
        self.budget -= cost;
        Some(Printable(line).to_string())
    }

    /// Adds to a line, as far as it is kept.
    fn lengthen(&mut self, line: &mut Vec<u8>, more: &[u8]) {
        let kept = more.len().min(MAX_LINE - line.len().min(MAX_LINE));
        line.extend_from_slice(more.get(..kept).unwrap_or_default());
        self.discarded += (more.len() - kept) as u64;
    }

    /// Drops whole lines, all but the last ones: no work for each. What has no end becomes `line`.
    fn discard(&mut self, lines: &[u8], line: &mut Vec<u8>, output: Output) {
        let mut from_the_end = lines.rsplit(|byte| *byte == b'\n');
        let unfinished = from_the_end.next().unwrap_or_default();
        let last: Vec<_> = from_the_end.take(KEPT_LINES).collect();
        for whole in last.into_iter().rev() {
            self.keep(whole.get(..MAX_LINE).unwrap_or(whole), output);
        }
        self.discarded += (lines.len() - unfinished.len()) as u64;
        self.lengthen(line, unfinished);
    }

    fn keep(&mut self, line: &[u8], output: Output) {
        let last = &mut self.last[output as usize];
        // The oldest line's memory is used again: a flood costs no allocations.
        let oldest = if last.len() == KEPT_LINES { last.pop_front() } else { None };
        let mut kept = oldest.unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(line);
        last.push_back(kept);
    }
}

/// What stands before the first end of a line, and what follows that; `None`: there is no end.
fn first_line(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut after = bytes;
    // This is how the standard library looks for a byte quickly; a slice is always there.
    let count = after.skip_until(b'\n').unwrap_or(bytes.len());
    match bytes.get(..count).and_then(|line| line.strip_suffix(b"\n")) {
        Some(line) => (line, Some(after)),
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use tokio::io::ReadBuf;

    use super::*;

    #[test]
    fn b4_a_line_of_the_log_cannot_move_a_cursor_or_turn_the_text() {
        let log = PluginLog::new("p".into());
        let line = log.state().admit("a\x1b[2Jb\u{202e}c\u{9b}".as_bytes()).unwrap();
        assert_eq!(line, "a\\u{1b}[2Jb\\u{202e}c\\u{9b}");
    }

    /// Holds S22, S41.
    #[tokio::test(start_paused = true)]
    async fn a_flood_is_discarded_and_counted() {
        let log = PluginLog::new("p".into());
        let flood = vec![b'x'; 100 << 20];
        log.drain(&flood[..], Output::Stdout).await; // one line without an end
        assert_eq!(log.discarded(), (100 << 20) - MAX_LINE as u64);
        let lines = b"hello world\n".repeat(1 << 18);
        log.drain(&b"and then it died\n"[..], Output::Stderr).await;
        log.drain(&lines[..], Output::Stdout).await;
        assert!(log.discarded() > 102 << 20, "{}", log.discarded());
        assert!(log.last_words().len() <= KEPT_LINES + 1);
        assert_eq!(log.last_words().last().map(String::as_str), Some("and then it died"));
    }

    /// Has the same byte for whoever reads, as often as that is.
    struct Endless<'a> {
        byte: u8,
        reads: &'a mut usize,
    }

    impl AsyncRead for Endless<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            *self.reads += 1;
            assert!(*self.reads < 10_000, "it is read without an end");
            buffer.initialize_unfilled().fill(self.byte);
            buffer.advance(buffer.capacity());
            Poll::Ready(Ok(()))
        }
    }

    /// Also one of empty lines, and one of a line that never ends.
    /// Holds S22.
    #[tokio::test(start_paused = true)]
    async fn a_flood_is_read_one_pipe_a_millisecond() {
        for byte in [b'\n', b'x'] {
            let (log, mut reads) = (PluginLog::new("p".into()), 0);
            let flood = log.drain(Endless { byte, reads: &mut reads }, Output::Stdout);
            assert!(tokio::time::timeout(Duration::from_secs(1), flood).await.is_err());
            assert!((500..=1001).contains(&reads), "{reads}");
        }
    }

    /// Holds S22.
    #[tokio::test(start_paused = true)]
    async fn a_few_lines_are_logged_before_others_get_their_turn() {
        let (log, mut reads) = (PluginLog::new("p".into()), 0);
        let mut drain = pin!(log.drain(Endless { byte: b'\n', reads: &mut reads }, Output::Stdout));
        for turns in 1..=3 {
            assert!(drain.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let logged = (BURST - log.state().budget) / LINE_COST;
            assert_eq!(logged, (turns * TURN) as f64);
        }
    }

    /// Wherever the pieces end in which they are read.
    #[tokio::test(start_paused = true)]
    async fn the_last_lines_of_a_flood_are_kept_whole() {
        for ending in ["the end", "the end\n"] {
            let log = PluginLog::new("p".into());
            let lines = (0..200_000).map(|number| format!("line {number}\n"));
            let text = lines.collect::<String>() + ending;
            log.drain(text.as_bytes(), Output::Stdout).await;
            let mut expected: Vec<_> = (199_991..200_000).map(|number| format!("line {number}")).collect();
            expected.push("the end".to_owned());
            assert_eq!(log.last_words(), expected);
            assert!(log.discarded() > 1 << 20, "{}", log.discarded());
        }
    }
}
