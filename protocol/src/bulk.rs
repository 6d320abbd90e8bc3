//! Bulk data: what opens and what closes a stream of bytes that travels beside a call.
//!
//! The bodies are fixed now; the machines that run on them come with side effects. A bulk transfer
//! is a stream of kind `Bytes`: its data, credit, end and reset are those of any stream. The offset
//! is implied from the opening one; `durable` in CREDIT says how much is safe at the receiver, and
//! is where a broken transfer goes on.

use serde::{Deserialize, Serialize};

use crate::{blob, number};

/// In the STREAM_OPEN of a stream of bytes: what is about to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkOpen {
    /// Where in the object the first byte belongs. Bytes.
    #[serde(with = "number")]
    pub offset: u64,
    /// Bytes to come, where known.
    #[serde(default, with = "number::option")]
    pub length: Option<u64>,
    /// Most bytes that the receiver asked for, from `offset`; more than that fails the call.
    #[serde(default, with = "number::option")]
    pub quota: Option<u64>,
    /// Changes when the object does: a transfer is not continued into another version.
    #[serde(with = "blob")]
    pub object_version: Box<[u8]>,
    /// A broken transfer goes on at `offset`: the receiver keeps what it has up to there. If not,
    /// it begins anew.
    pub resume: bool,
}

/// In the STREAM_END of a stream of bytes: what had been sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkDone {
    /// Of all bytes of the object up to the end of this stream, from offset 0.
    pub digest: BulkDigest,
    /// There was more than the quota.
    pub quota_exceeded: bool,
}

/// The digest of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum BulkDigest {
    /// None was taken.
    None,
    /// SHA-256: 32 bytes. Every peer has it.
    Sha256(#[serde(with = "blob")] Box<[u8]>),
    /// BLAKE3: 32 bytes; needs the feature `blake3` in both HELLOs.
    Blake3(#[serde(with = "blob")] Box<[u8]>),
}
