//! What the broker hands in to start a plugin: plain data and descriptors.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Policy, Protected};

/// An open file, socket or pipe that its holder closes.
#[cfg(unix)]
pub type Descriptor = std::os::fd::OwnedFd;
/// An open file, socket or pipe that its holder closes.
#[cfg(windows)]
pub type Descriptor = std::os::windows::io::OwnedHandle;

/// The body of a first-party plugin; what it returns is the exit code of its process.
pub type FirstParty = fn() -> i32;

/// Everything about one start of a plugin.
#[derive(Debug)]
pub struct Launch {
    /// What runs.
    pub program: Program,
    /// How it gets its connection.
    pub connection: Connection,
    /// Its whole environment, apart from `OUTRIGGER_FD` or `OUTRIGGER_ENDPOINT`, which tell of
    /// the connection. Nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// Descriptors that the keeper holds until the last process of the plugin has gone: give
    /// duplicates of the open-file-description locks of group and members (decisions X3).
    pub locks: Vec<Descriptor>,
    /// What it may do. What its program brings with it from elsewhere ([`brought_by`](crate::brought_by))
    /// has to be part of it, or it is not there.
    pub policy: Policy,
    /// What it may not be granted at all: the state directory, say. To write it may not be granted our
    /// executable, its libraries, those of helper and plugin, and what executes the plugin (decisions P2).
    pub protected: Vec<Protected>,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// Which executable is the helper.
    pub helper: Helper,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// A plugin within our own executable. It runs in the helper's process without a second
    /// exec, so its sandbox needs no grant for the executable (decisions P2).
    FirstParty {
        /// The name that [`host_main_if_requested`](crate::host_main_if_requested) looks up.
        name: String,
    },
    /// Any executable.
    Executable {
        /// Where it is: an absolute path. `PATH` is not searched.
        #[serde(with = "crate::os_path")]
        path: PathBuf,
        /// Its arguments, without the zeroth.
        args: Vec<OsString>,
    },
}

impl Program {
    /// A short word for it in process lists: the name, or the last part of the path.
    pub fn label(&self) -> String {
        match self {
            Self::FirstParty { name } => name.clone(),
            Self::Executable { path, .. } => {
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
        }
    }
}

/// How a plugin gets its connection.
#[derive(Debug)]
pub enum Connection {
    /// A connected end. It becomes descriptor 0, and `OUTRIGGER_FD=0` says so. No other process
    /// keeps it, so its end of file means that the plugin closed it or has gone.
    Inherited(Descriptor),
    /// The plugin dials by name: `OUTRIGGER_ENDPOINT` is the path, and the first line on its
    /// standard input is the token with which it proves who it is.
    Named {
        /// The path of the socket.
        endpoint: PathBuf,
        /// Good for one connection.
        token: Token,
    },
}

/// A one-time secret. It never stands in an argument, in the environment or in a log, and the
/// helper and the keeper never see it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token as it will stand on the plugin's standard input, a newline after it.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How long each step of a start may take. This room has no opinion of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// From starting the helper to its report.
    pub report: Duration,
    /// From "go" to the program running.
    pub start: Duration,
}

/// Which executable is the helper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Helper {
    /// The one that runs now, even if its file has been replaced since.
    #[default]
    Own,
    /// Another one whose `main` calls [`host_main_if_requested`](crate::host_main_if_requested)
    /// first: for programs that cannot, such as test runners.
    Executable(#[serde(with = "crate::os_path")] PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_print_itself() {
        let connection = Connection::Named { endpoint: "/run/x".into(), token: Token::new("s3cret") };
        assert!(!format!("{connection:?}").contains("s3cret"));
    }

    #[test]
    fn a_label_is_the_last_part_of_the_path() {
        let program = Program::Executable { path: "/opt/plugins/crm".into(), args: Vec::new() };
        assert_eq!(program.label(), "crm");
    }
}
