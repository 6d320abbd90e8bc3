//! How many of the streams that a plugin was sent it has not read.
//!
//! A descriptor on its way is kept open by the kernel, or still by this process, and is counted for
//! the user, not for the plugin. So a plugin that asks for streams and reads none gets no more after
//! 16. That it has read is not believed: it has to give back a number that was sent behind them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Streams on their way from which on a plugin has to prove that it reads.
const ASK_AT: usize = 8;

/// Most of them.
const MOST: usize = 16;

/// Counted by who sends, and told by who reads what the plugin says.
#[derive(Debug, Default)]
pub(crate) struct Unread(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since the last that is known to have been read.
    sent: usize,
    /// The number that was sent, and how many streams before it.
    asked: Option<(u64, usize)>,
}

impl Unread {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may be on its way, besides `coming`.
    pub(crate) fn has_room(&self, coming: usize) -> bool {
        self.lock().sent + coming < MOST
    }

    /// One more is. Returns a number to send behind it, if proof is wanted.
    pub(crate) fn sent(&self) -> Option<u64> {
        let mut state = self.lock();
        state.sent += 1;
        if state.sent < ASK_AT || state.asked.is_some() {
            return None;
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).ok()?; // asked again with the next
        let number = u64::from_le_bytes(random) | 1; // 0 is that of an ordinary PING
        state.asked = Some((number, state.sent));
        Some(number)
    }

    /// A number has come back. Returns whether it is the one that was sent.
    pub(crate) fn hear(&self, number: u64) -> bool {
        let mut state = self.lock();
        let Some((_, read)) = state.asked.take_if(|(asked, _)| *asked == number) else { return false };
        state.sent -= read;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_does_not_read_gets_no_more_streams() {
        let unread = Unread::default();
        let numbers: Vec<u64> = (0..MOST).filter_map(|_| unread.sent()).collect();
        assert_eq!(numbers.len(), 1, "asked once");
        assert!(!unread.has_room(0));
        assert!(!unread.hear(0) && !unread.hear(numbers[0] ^ 2), "a guess");
        assert!(!unread.has_room(0));
        assert!(unread.hear(numbers[0]));
        assert!(unread.has_room(MOST - ASK_AT - 1), "those sent behind the number may be unread");
        assert!(!unread.has_room(MOST - ASK_AT));
        assert!(!unread.hear(numbers[0]), "once");
        assert!(unread.sent().is_some(), "asked again");
    }
}
