//! The small bodies: progress, log, streams, the end.

use serde::{Deserialize, Serialize};

use crate::bulk::{BulkDone, BulkOpen};
use crate::{number, text};

/// Body of PROGRESS: how far a call is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Units done (items, unless the method says otherwise).
    #[serde(with = "number")]
    pub done: u64,
    /// Units in all, where known.
    #[serde(default, with = "number::option")]
    pub total: Option<u64>,
    /// Nothing can happen for this long (a rate limit); 0 = at work. Milliseconds.
    pub waiting_ms: u32,
}

/// How urgent a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// The user must act.
    Error,
    /// Something went wrong and was mended.
    Warn,
    /// Part of the ordinary story.
    Info,
    /// For the connector's author.
    Debug,
}

/// Body of LOG: a line in the words of its sender; print it marked as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How urgent.
    pub level: Level,
    /// The line, at most [`crate::limits::MAX_TEXT`] bytes.
    #[serde(deserialize_with = "text::one")]
    pub message: String,
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StreamKind {
    /// Encoded items, each after its length (`u32`, little-endian). A frame holds many, an item
    /// may span frames.
    Items,
    /// Bytes without inner structure.
    Bytes,
}

/// Body of STREAM_OPEN; the header's number is the stream's. Whoever opens sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamOpen {
    /// The call that the stream belongs to; its terminal frame ends the stream.
    #[serde(with = "number")]
    pub call: u64,
    /// What it carries.
    pub kind: StreamKind,
    /// For a stream of bytes: which bytes.
    #[serde(default)]
    pub bulk: Option<BulkOpen>,
}

/// Body of STREAM_END: what was sent, so that a loss is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamEnd {
    /// Items sent; 0 on a stream of bytes.
    #[serde(with = "number")]
    pub items: u64,
    /// Bytes of DATA bodies sent.
    #[serde(with = "number")]
    pub bytes: u64,
    /// For a stream of bytes: what they were.
    #[serde(default)]
    pub bulk: Option<BulkDone>,
}

/// Body of STREAM_RESET: why a stream ends early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamReset {
    /// What happened.
    pub code: crate::error::Code,
}

/// Body of GOODBYE: calls above this number were not started (decisions W9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goodbye {
    /// The highest number of a call that was accepted; 0 = none.
    #[serde(with = "number")]
    pub last_accepted: u64,
}

/// Body of ABORT: which rule was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// In words.
    #[serde(deserialize_with = "text::one")]
    pub reason: String,
}

/// Body of CREDIT: absolute offsets in bytes of DATA bodies, raw in every codec; they never fall
/// (decisions W5). A header with number 0 speaks of the connection only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// How far the stream may go.
    pub stream: u64,
    /// How far all streams together may go.
    pub connection: u64,
    /// How far the stream is durable at the receiver.
    pub durable: u64,
}

impl Credit {
    /// The 24 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.stream.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.connection.to_le_bytes());
        bytes[16..].copy_from_slice(&self.durable.to_le_bytes());
        bytes
    }

    /// Reads them; `None` unless there are exactly 24.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (stream, rest) = body.split_first_chunk()?;
        let (connection, rest) = rest.split_first_chunk()?;
        let durable = rest.try_into().ok()?;
        Some(Self {
            stream: u64::from_le_bytes(*stream),
            connection: u64::from_le_bytes(*connection),
            durable: u64::from_le_bytes(durable),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_24_bytes_or_nothing() {
        let credit = Credit { stream: 1, connection: 2, durable: 3 };
        assert_eq!(Credit::decode(&credit.encode()), Some(credit));
        assert_eq!(Credit::decode(&credit.encode()[..23]), None);
        assert_eq!(Credit::decode(&[0; 25]), None);
    }
}
