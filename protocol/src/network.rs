//! What a plugin asks of the network: a connection to a host by its name, and the records of a name.
//!
//! A plugin in a sandbox opens no connection itself. It names a host and a port; the broker looks
//! whether the user has granted them, connects, and hands the connected socket over (decisions P5).
//! All of it is asked on the member, like [`crate::Ask`].

use serde::{Deserialize, Serialize};

use crate::{blob, list, text};

/// Asks for a connected TCP stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectHost {
    /// A name, or an address as text (an IPv6 address without brackets); at most
    /// [`crate::limits::MAX_HOST`] bytes.
    #[serde(deserialize_with = "text::one")]
    pub host: String,
    /// The TCP port; not 0.
    pub port: u16,
}

/// The stream is connected. It rides with the REPLY, as its one descriptor (decisions W10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConnected {
    /// The address that it is connected to, with its port: `192.0.2.7:443`, `[2001:db8::7]:443`.
    #[serde(deserialize_with = "text::one")]
    pub address: String,
}

/// Asks for records of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The whole name, such as `_caldavs._tcp.example.org`; at most [`crate::limits::MAX_HOST`] bytes.
    #[serde(deserialize_with = "text::one")]
    pub name: String,
}

/// Where a service is (RFC 2782). The names in it are as much, and as little, to be believed as any
/// answer of the name system, and reaching one of them needs a grant of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SrvRecord {
    /// The lowest is tried first.
    pub priority: u16,
    /// Among those of one priority: a larger share for a larger weight.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host, without the dot at its end; empty: the service is decidedly not there.
    #[serde(deserialize_with = "text::one")]
    pub target: String,
}

/// The SRV records of a name, the lowest priority first; none where the name has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SrvRecords {
    /// At most [`crate::limits::MAX_RECORDS`].
    #[serde(with = "list")]
    pub records: Vec<SrvRecord>,
}

/// A TXT record: its strings, put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TxtRecord {
    /// The bytes; mostly `key=value` in ASCII.
    #[serde(with = "blob")]
    pub data: Box<[u8]>,
}

/// The TXT records of a name; none where the name has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TxtRecords {
    /// At most [`crate::limits::MAX_RECORDS`].
    #[serde(with = "list")]
    pub records: Vec<TxtRecord>,
}
