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

impl std::ops::Add for Figures {
    type Output = Self;

    /// Of both together; where one is not known, neither is the sum.
    fn add(self, other: Self) -> Self {
        let bytes = self.bytes.zip(other.bytes).map(|(mut all, more)| {
            all += more;
            all
        });
        let (connections, refused) = (self.connections + other.connections, self.refused + other.refused);
        Self { connections, refused, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_known_where_both_are() {
        let known = Figures { connections: 2, refused: 1, bytes: Some(Bytes { sent: 3, received: 4 }) };
        let twice = Figures { connections: 4, refused: 2, bytes: Some(Bytes { sent: 6, received: 8 }) };
        assert_eq!(known + known, twice);
        let silent = Figures { bytes: None, ..known };
        assert_eq!(
            (known + silent, silent + known),
            (Figures { bytes: None, ..twice }, Figures { bytes: None, ..twice })
        );
    }
}
