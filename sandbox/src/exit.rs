//! How a plugin ended, and what it had used by then.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a plugin ended, as its keeper saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It left with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The keeper went first (somebody killed it, or memory ran out), so nobody saw the end of
    /// the plugin. The kernel ends it with its keeper; its process group was killed after that.
    KeeperLost,
}

impl Exit {
    /// Whether it left with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "left with code {code}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}{}", signal_name(*signal)),
            Self::KeeperLost => f.write_str("lost its keeper process and was ended"),
        }
    }
}

/// The names of the signals that end plugins in practice; their numbers are the same on every
/// architecture of Linux.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

/// What a plugin had used when it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The most resident memory of any one of its processes. From the `ru_maxrss` of its end
    /// (a dead process has no `VmHWM`): it counts the largest descendant that it waited for, and
    /// never falls below the few MiB of the helper that the plugin grew out of.
    pub peak_rss_bytes: u64,
    /// The most resident memory of its keeper (`VmHWM`).
    pub keeper_peak_rss_bytes: u64,
    /// Processor time in its own code.
    pub user_time: Duration,
    /// Processor time in the kernel on its behalf.
    pub system_time: Duration,
}

/// The end of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// What it had used; `None` if the keeper did not live to tell.
    pub usage: Option<Usage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_reads_as_the_end_of_a_sentence() {
        assert_eq!(Exit::Code(3).to_string(), "left with code 3");
        assert_eq!(Exit::Signal(11).to_string(), "was ended by signal 11 (SIGSEGV)");
        assert_eq!(Exit::Signal(64).to_string(), "was ended by signal 64");
    }

    #[test]
    fn only_code_zero_is_success() {
        assert!(Exit::Code(0).success());
        assert!(![Exit::Code(1), Exit::Signal(15), Exit::KeeperLost].iter().any(|exit| exit.success()));
    }
}
