//! The twin for systems on which plugins cannot be started yet: it compiles, and says so.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use crate::{Descriptor, Ended, FirstParty, Handover, Launch, LaunchError, Report, Unsupported};

/// Does nothing here: no process of ours is ever started as a helper on this system.
pub fn host_main_if_requested(_first_party: impl Fn(&str) -> Option<FirstParty>) {}

/// There is no Landlock here.
pub fn landlock_abi() -> Option<u32> {
    None
}

/// Always fails here.
///
/// # Errors
///
/// [`Unsupported`].
pub fn prepare(_launch: Launch) -> Result<Prepared, LaunchError> {
    Err(Unsupported { system: std::env::consts::OS }.into())
}

/// A plugin that is ready to start; there is none on this system.
#[derive(Debug)]
pub struct Prepared(Infallible);

impl Prepared {
    /// What is enforced.
    pub fn report(&self) -> &Report {
        match self.0 {}
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// None, since there is nothing to start.
    pub fn start(self) -> Result<Child, LaunchError> {
        match self.0 {}
    }
}

/// A plugin that was started; there is none on this system.
#[derive(Debug)]
pub struct Child(Infallible);

#[allow(missing_docs, clippy::missing_errors_doc)] // the Linux twin documents each of them
impl Child {
    pub fn pid(&self) -> u32 {
        match self.0 {}
    }

    pub fn keeper_pid(&self) -> u32 {
        match self.0 {}
    }

    pub fn report(&self) -> &Report {
        match self.0 {}
    }

    pub fn take_stdout(&mut self) -> Option<Descriptor> {
        match self.0 {}
    }

    pub fn take_stderr(&mut self) -> Option<Descriptor> {
        match self.0 {}
    }

    pub fn take_listener(&mut self) -> Option<Descriptor> {
        match self.0 {}
    }

    pub fn poll_exit(&mut self) -> io::Result<Option<Ended>> {
        match self.0 {}
    }

    pub fn wait(&mut self, _timeout: Duration) -> io::Result<Option<Ended>> {
        match self.0 {}
    }

    pub fn poll_gone(&mut self) -> io::Result<bool> {
        match self.0 {}
    }

    pub fn wait_gone(&mut self, _timeout: Duration) -> io::Result<bool> {
        match self.0 {}
    }

    pub fn terminate(&self) {
        match self.0 {}
    }

    pub fn kill(&self) {
        match self.0 {}
    }

    pub fn destroy(&mut self) {
        match self.0 {}
    }

    pub fn peak_rss(&self) -> Option<u64> {
        match self.0 {}
    }

    pub fn hand_over(self) -> io::Result<(Handover, Lent)> {
        match self.0 {}
    }

    pub fn adopt(_handover: Handover) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What stays with the process that handed a plugin over; there is none on this system.
#[derive(Debug)]
pub struct Lent(Infallible);

impl Lent {
    /// Takes away what is left of the keeper.
    ///
    /// # Errors
    ///
    /// None, since there is nothing to take away.
    pub fn reap(self) -> io::Result<()> {
        match self.0 {}
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Child {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self.0 {}
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Child {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        match self.0 {}
    }
}
