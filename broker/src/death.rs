//! How a plugin ended.

use std::fmt;

use outrigger_protocol::Words;
use outrigger_sandbox::Exit;

/// The report on the end of a plugin process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The member's name.
    pub plugin: String,
    /// Exit code or signal; `None` when it could not be learnt in time.
    pub exit: Option<Exit>,
    /// The last lines that it printed, as it printed them: to be shown as [`Words`] alone.
    pub last_words: Vec<String>,
    /// Calls that were open when it ended.
    pub calls_in_flight: usize,
    /// Why the connection ended, as this side saw it.
    pub connection: Option<String>,
    /// What it was ended for, where that was our doing: how it ended then says nothing of it.
    pub fault: Option<String>,
    /// The broker that had started it has ended, or was about to, and it with that one: no fault of its own.
    pub with_broker: bool,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plugin of {} ", self.plugin)?;
        match (&self.fault, self.exit) {
            _ if self.with_broker => f.write_str("was ended with the broker that started it")?,
            (Some(_), _) => f.write_str("was ended")?,
            (None, Some(exit)) => write!(f, "{exit}")?,
            (None, None) => f.write_str("broke its connection")?,
        }
        match self.calls_in_flight {
            0 => {}
            1 => f.write_str(" with 1 call open")?,
            calls => write!(f, " with {calls} calls open")?,
        }
        if let (false, Some(fault)) = (self.with_broker, &self.fault) {
            write!(f, ": {fault}")?;
        }
        if let Some(words) = self.last_words.last() {
            write!(f, "; it said last: {}", Words(words))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b4_last_words_are_quoted_and_cannot_draw_or_end_their_quotation() {
        let said = "bye\x1b[2J\u{202e}\" hint: run \"rm".to_owned();
        let death = Death {
            plugin: "phone".into(),
            exit: None,
            last_words: vec![said],
            calls_in_flight: 0,
            connection: None,
            fault: None,
            with_broker: false,
        };
        assert_eq!(
            death.to_string(),
            r#"the plugin of phone broke its connection; it said last: "bye\u{1b}[2J\u{202e}\" hint: run \"rm""#
        );
    }
}
