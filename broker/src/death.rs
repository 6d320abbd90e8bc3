//! How a plugin ended.

use std::fmt;

use outrigger_sandbox::Exit;

/// The report on the end of a plugin process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The member's name.
    pub plugin: String,
    /// Exit code or signal; `None` when it could not be learnt in time.
    pub exit: Option<Exit>,
    /// The last lines that it printed, in its words, escaped.
    pub last_words: Vec<String>,
    /// Calls that were open when it ended.
    pub calls_in_flight: usize,
    /// Why the connection ended, as this side saw it.
    pub connection: Option<String>,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plugin of {} ", self.plugin)?;
        match self.exit {
            Some(exit) => write!(f, "{exit}")?,
            None => f.write_str("broke its connection")?,
        }
        if self.calls_in_flight > 0 {
            write!(f, " with {} call(s) open", self.calls_in_flight)?;
        }
        if let Some(words) = self.last_words.last() {
            write!(f, "; it said last: \"{words}\"")?;
        }
        Ok(())
    }
}
