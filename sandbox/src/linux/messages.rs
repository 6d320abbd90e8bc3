//! What broker and helper say to each other over the control socket.
//!
//! Both ends are the same executable, so these words may change with any release. JSON keeps
//! them readable in `strace`, and no byte of the plugin's ever stands among them.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::{Ended, ExecError, Failure, Policy, Program, Report};

/// The first message, broker to helper. With it travel, in this order: a pidfd of the broker,
/// the plugin's descriptor 0, and the locks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// What runs.
    pub(super) program: Program,
    /// Its whole environment.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// What it may do.
    pub(super) policy: Policy,
    /// Why the broker got no control group of its own, where it tried.
    pub(super) no_scope: Option<String>,
}

/// Every later message, broker to keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// The report is good enough: start.
    Go,
    /// Ask the plugin to end (SIGTERM to its process group).
    Terminate,
    /// End everything now.
    Kill,
}

/// Every message back. `Report`, then `Started`, then `Ended`; or one of the failures.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Notice {
    /// The sandbox is in place; the plugin waits for "go". The listener of a proxied one comes along.
    Report(Report),
    /// A step before "go" failed.
    Failed(Failure),
    /// The program runs. With it travels a pidfd of its process.
    Started {
        /// Its process.
        pid: i32,
    },
    /// "Go" was given, and the program could not be executed.
    ExecFailed(ExecError),
    /// The plugin ended; the keeper now ends what it left behind.
    Ended(Ended),
}

/// What the first process of namespaces says to the keeper. `Ready`, then `Ended`; or `Failed`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Inner {
    /// The plugin was forked in there. The listener of a proxied one comes along.
    Ready,
    /// A step on the way there failed.
    Failed(Failure),
    /// The plugin ended; everything else in there does now.
    Ended(Ended),
}
