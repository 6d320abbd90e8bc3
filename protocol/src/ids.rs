//! Numbers and names that identify things, one type each, so that none is taken for another.
//!
//! Call and stream numbers live on one connection and are never reused there. Operation and
//! session IDs are UUIDs that the caller hands in: this room has no source of randomness.
//! Hrefs, revisions and anchors are opaque bytes of the plugin: they are compared, never read.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{blob, printable};

/// The number of a call or a stream on one connection: odd from the broker's side, even from the
/// plugin's, rising, never reused (decisions W4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}", self.0)
    }
}

/// The number of a stream; streams and calls draw from the same counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.0)
    }
}

/// The object that a call is meant for, named by the side that exports it. 0 is the host itself.
/// Object IDs are capabilities: a peer can only name what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ObjectId(pub u32);

impl ObjectId {
    /// The plugin host as a whole: the only object that exists before `initialize`.
    pub const HOST: Self = Self(0);
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {}", self.0)
    }
}

/// One intended change of one item at one member. The same on every retry; other content needs a
/// new one (decisions X1). UUIDv7, made by the engine's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OperationId(pub Uuid);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One connection, from HELLO to its end; shown in logs on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(pub Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Opaque bytes with a meaning: see each type's own text.
macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub Box<[u8]>);

        impl $name {
            /// The bytes as the plugin gave them.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<&[u8]> for $name {
            fn from(bytes: &[u8]) -> Self {
                Self(bytes.into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.as_bytes().into())
            }
        }

        impl From<Vec<u8>> for $name {
            fn from(bytes: Vec<u8>) -> Self {
                Self(bytes.into())
            }
        }

        impl fmt::Display for $name {
            /// Text; control characters become `\u{NN}` and other bytes `\xNN`, so that a plugin cannot draw on a
            /// terminal.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                printable::fmt_id(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                blob::serialize(&self.0, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                blob::deserialize(deserializer).map(Self)
            }
        }
    };
}

opaque! {
    /// What a member calls an item: a file name, a URL path, a row ID. OpenSync's `uid`.
    /// Any bytes; at most [`crate::limits::MAX_HREF`].
    Href
}
opaque! {
    /// What a member says that changes when an item changes: an etag, or inode, size and times.
    /// OpenSync's `hash`. Equal revisions that are *settled* mean equal content.
    Revision
}
opaque! {
    /// Where a member's change feed stood when a listing began (a sync-token). Kept by the engine,
    /// handed back at the next run.
    Anchor
}
opaque! {
    /// Where a page of a listing ended; handed back for the next. At most
    /// [`crate::limits::MAX_HREF`].
    Cursor
}
opaque! {
    /// The identity of the store behind a collection. Another one means: nothing that is missing
    /// was deleted.
    StoreId
}

/// SHA-256 of an item's bytes exactly as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RawDigest(pub [u8; 32]);

impl RawDigest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Debug for RawDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawDigest({self})")
    }
}

impl fmt::Display for RawDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for RawDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        blob::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for RawDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = blob::deserialize(deserializer)?;
        let array: [u8; 32] =
            (*bytes).try_into().map_err(|_| serde::de::Error::invalid_length(bytes.len(), &"32 bytes"))?;
        Ok(Self(array))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_a_plugin_cannot_draw_on_a_terminal() {
        let href = Href::from(&b"a\x1b[2J\xff.vcf"[..]);
        assert_eq!(href.to_string(), "a\\u{1b}[2J\\xff.vcf");
    }

    #[test]
    fn the_digest_is_sha256() {
        assert_eq!(
            RawDigest::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
