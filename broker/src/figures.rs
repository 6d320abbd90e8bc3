//! Figures of what a plugin does on the network.

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

/// Bytes of TCP's payload, as far as they were seen: sampled about every second, when they are asked
/// for, and when a stream ends. What moved after the last sample may be missing; a close may count as
/// a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// Sent by the plugin.
    pub sent: u64,
    /// Received from the other side.
    pub received: u64,
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
    }
}
