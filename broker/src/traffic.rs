//! What a plugin does on the network through this broker: figures for people, no more. Nothing is
//! limited by them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Streams that were handed over.
    pub connections: u64,
    /// Requests that no grant allows.
    pub refused: u64,
    /// Bytes over these streams; `None`: the system does not say.
    pub bytes: Option<Bytes>,
}

/// Bytes of TCP's payload, as far as they were seen: sampled about every second and when a stream
/// ends. What moved after the last sample may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// Sent by the plugin, and taken by the other side.
    pub sent: u64,
    /// Received from the other side.
    pub received: u64,
}

/// Counts for one plugin.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<Figures>);

impl Traffic {
    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn connected(&self) {
        self.lock().connections += 1;
    }

    pub(crate) fn refused(&self) {
        self.lock().refused += 1;
    }

    pub(crate) fn figures(&self) -> Figures {
        *self.lock()
    }
}
