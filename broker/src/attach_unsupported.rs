//! The twin for systems on which plugins cannot be started yet: there is no broker to attach to.

use std::io;

use outrigger_sandbox::{Child, Launch, LaunchError};

/// Why a broker in a process of its own did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The plugin requires what the machine does not give.
    #[error(transparent)]
    Launch(LaunchError),
    /// There is none on this system.
    #[error("a broker runs as a process of its own on Linux only: {0}")]
    Io(io::Error),
}

/// The connection to a broker; there is none on this system.
#[derive(Debug)]
pub(crate) enum Attachment {}

impl Attachment {
    #[expect(clippy::unused_async, reason = "the Linux twin waits")]
    pub(crate) async fn goodbye(&self) {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the Linux twin waits")]
    pub(crate) async fn is_lost(&self) -> bool {
        match *self {}
    }
}

#[expect(clippy::unused_async, reason = "the Linux twin waits")]
pub(crate) async fn launch(_plan: Launch) -> Result<(Child, Attachment), AttachError> {
    Err(AttachError::Io(io::ErrorKind::Unsupported.into()))
}
