//! Why no end was found.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

/// Why no end was found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// It is not there now; it may be later.
    #[error("{why}{}", after(.waited))]
    NotThere {
        /// What was looked for, and what was found instead.
        why: String,
        /// For how long it was waited for.
        waited: Duration,
    },
    /// What lies there may be another's: it was not connected to, or let go unheard.
    #[error("{0}")]
    NotOurs(io::Error),
    /// A command of the configuration failed.
    #[error("the command {program:?} {why}")]
    Command {
        /// Its program.
        program: OsString,
        /// What became of it.
        why: String,
    },
    /// The system does not do what it should.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn after(time: &Duration) -> String {
    if time.is_zero() { String::new() } else { format!(" (waited {} s for it)", time.as_secs_f32()) }
}
