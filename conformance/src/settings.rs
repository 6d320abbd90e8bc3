//! What is checked, and how patiently.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_protocol::limits;
use outrigger_sandbox::{Helper, Policy, Program, Protected};

/// A plugin to be checked.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What to call it in reports.
    pub name: String,
    /// What runs.
    pub program: Program,
    /// Its settings, as `initialize` brings them. `{scratch}` in a value stands for a folder that
    /// is fresh for each conversation and goes away with it.
    pub options: Vec<(String, String)>,
    /// Its whole environment, besides what tells of the connection.
    pub environment: Vec<(OsString, OsString)>,
    /// What it may do. The scratch folder is granted beside it.
    pub policy: Policy,
    /// What it may not be granted at all, whatever its policy says: the state directory, say.
    pub protected: Vec<Protected>,
    /// Which executable is the sandbox helper.
    pub helper: Helper,
}

impl Subject {
    /// A plugin without settings, under the default policy, with an empty environment.
    #[must_use]
    pub fn new(name: impl Into<String>, program: Program) -> Self {
        Self {
            name: name.into(),
            program,
            options: Vec::new(),
            environment: Vec::new(),
            policy: Policy::default(),
            protected: Vec::new(),
            helper: Helper::default(),
        }
    }

    /// An executable; its absolute path.
    #[must_use]
    pub fn executable(path: PathBuf, args: Vec<OsString>) -> Self {
        let program = Program::Executable { path, args };
        Self::new(program.label(), program)
    }
}

/// How long things may take, and how much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From the start of the process to its HELLO.
    pub handshake: Duration,
    /// Any one answer, without a sign of life.
    pub answer: Duration,
    /// From CANCEL to the answer of the cancelled call.
    pub cancel: Duration,
    /// From the end of the connection to the end of the process.
    pub exit: Duration,
    /// Items that are written and listed for the rule `memory`.
    pub items: usize,
    /// How much the plugin's memory may grow meanwhile, in bytes.
    pub growth: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            handshake: limits::HANDSHAKE_TIME,
            answer: Duration::from_secs(60),
            cancel: Duration::from_secs(1),
            exit: Duration::from_secs(5),
            items: 10_000,
            growth: 64 << 20,
        }
    }
}
