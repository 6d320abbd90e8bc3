//! Why a plugin was not started. Each message names the step; none looks like an end of file.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Exit, GrantError, Guarantee, Standing};

/// This system cannot start plugins in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugins cannot be started on {system} yet, only on Linux")]
pub struct Unsupported {
    /// The system that this was compiled for.
    pub system: &'static str,
}

/// Why a plugin was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// This system cannot do it.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The launch itself makes no sense; nothing was started.
    #[error("the plugin cannot be started like that: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The helper could not be started.
    #[error("failed to start the sandbox helper {}: {error}", path.display())]
    Helper {
        /// The executable.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Talking to the helper failed.
    #[error("failed to talk to the sandbox helper while {step}: {error}")]
    Channel {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The helper ended without a word.
    #[error(
        "the sandbox helper {status} while {step}; does the `main` of {} call `host_main_if_requested` first?",
        path.display()
    )]
    HelperEnded {
        /// What it was doing.
        step: &'static str,
        /// How it ended.
        status: String,
        /// The same, if it ended by itself.
        exit: Option<Exit>,
        /// The executable.
        path: PathBuf,
    },
    /// The helper said what nobody expected: most likely it is of another version.
    #[error("the sandbox helper answered out of turn while {step}: {answer}")]
    OutOfTurn {
        /// What was being done.
        step: &'static str,
        /// What it said.
        answer: String,
    },
    /// A step took too long. Whatever had been started has been killed.
    #[error("the sandbox helper was not done with {step} after {after:?}")]
    Deadline {
        /// What it was doing.
        step: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// The helper could not do a step, and said so.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The policy grants to write to what no plugin may change; nothing was started.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The policy requires what this machine does not give.
    #[error("the plugin requires what cannot be enforced here: {}", sentence(missing))]
    NotEnforced {
        /// Each requirement that is not met, and how far it holds.
        missing: Vec<(Guarantee, Standing)>,
    },
    /// The program could not be executed.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

impl LaunchError {
    /// How a process ended that was killed before the program ran (by somebody, or for want of memory).
    /// `None`: that is not what went wrong.
    #[must_use]
    pub fn killed(&self) -> Option<Exit> {
        match self {
            Self::Failed(Failure { exit: Some(exit @ Exit::Signal(_)), .. })
            | Self::HelperEnded { exit: Some(exit @ Exit::Signal(_)), .. } => Some(*exit),
            _ => None,
        }
    }
}

fn sentence(missing: &[(Guarantee, Standing)]) -> String {
    let parts: Vec<_> =
        missing.iter().map(|(guarantee, standing)| format!("{guarantee} ({standing})")).collect();
    parts.join(", ")
}

/// A step that the helper could not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("the sandbox helper failed while {step}: {reason}")]
pub struct Failure {
    /// What it was doing.
    pub step: String,
    /// What went wrong.
    pub reason: String,
    /// The number of the system's error, if it was one.
    pub errno: Option<i32>,
    /// How the process ended that was at it, if it did not come to its end.
    pub exit: Option<Exit>,
}

impl Failure {
    /// A step that failed for a reason of our own.
    pub fn new(step: &str, reason: impl Into<String>) -> Self {
        Self { step: step.into(), reason: reason.into(), errno: None, exit: None }
    }

    /// A step that the system refused.
    pub fn system(step: &str, error: &io::Error) -> Self {
        Self { errno: error.raw_os_error(), ..Self::new(step, error.to_string()) }
    }

    /// A step whose process ended in the middle of it.
    pub fn ended(step: &str, exit: Exit) -> Self {
        Self { exit: Some(exit), ..Self::new(step, format!("its process {exit}")) }
    }
}

/// A program that could not be executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("failed to start {}: {kind} (error {errno})", path.display())]
pub struct ExecError {
    /// The program.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: ExecFailure,
    /// What the system said, as a number.
    pub errno: i32,
}

/// What is wrong with a program that could not be executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExecFailure {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// The file is there, what should run it is not.
    #[error("the file is there, but the interpreter after its #! or the loader it was linked for is not")]
    InterpreterMissing,
    /// It must not be executed.
    #[error("it must not be executed; give it execute permission, on a file system that allows it")]
    NotExecutable,
    /// The kernel does not know how to run it.
    #[error("it is not a program for this machine: built for another architecture, or a script without #!")]
    WrongFormat,
    /// Something else, in the system's words.
    #[error("{0}")]
    Other(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_ways_to_fail_have_three_messages() {
        let kinds = [ExecFailure::Missing, ExecFailure::NotExecutable, ExecFailure::WrongFormat];
        let messages = kinds.map(|kind| ExecError { path: "/opt/crm".into(), kind, errno: 2 }.to_string());
        assert!(messages.iter().all(|message| message.starts_with("failed to start /opt/crm: ")));
        assert!(messages[0] != messages[1] && messages[1] != messages[2] && messages[0] != messages[2]);
    }

    #[test]
    fn a_failure_keeps_the_number() {
        let failure = Failure::system("changing the folder", &io::Error::from_raw_os_error(13));
        assert_eq!(failure.errno, Some(13));
        assert!(failure.to_string().contains("while changing the folder"), "{failure}");
    }
}
