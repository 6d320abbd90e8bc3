//! Frame: a fixed header of 28 bytes, raw extension entries, and a body.
//!
//! The header is specified by hand and not by serde, so that any language reads it with one
//! unpack (`<IBBBBQIHHI`), a frame is skipped without knowing its body, and every length is
//! checked before memory is reserved. Little-endian throughout.
//!
//! ```text
//! offset  0        4     5      6        7     8    16      20      22       24
//!         body_len kind  flags  handles  zero  id   target  method  ext_len  budget_ms
//!         u32      u8    u8     u8       u8    u64  u32     u16     u16      u32
//! ```
//! `body_len` counts the extension entries and the body.

use crate::ids::ObjectId;
use crate::kind::Kind;
use crate::limits::{HEADER, MAX_EXTENSIONS};
use crate::peer_error::PeerError;

/// Extension of a NESTED call: the number of the call that it is made for, `u64`.
pub(crate) const PARENT: u16 = 2;

/// Bits that qualify a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// A receiver that does not know the kind must say so.
    pub const CRITICAL: Self = Self(1);
    /// The call is made while serving another; it does not count in the dispatch window.
    pub const NESTED: Self = Self(2);
    /// The body holds a secret: buffers are wiped behind it, traces and recordings leave it out.
    pub const SECRET: Self = Self(4);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Time that a call may take, as it travels: what is left, not a moment, since clocks differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(pub u32);

impl Budget {
    /// No time is left: the call is answered `Deadline` and never dispatched (decisions W3).
    pub const EXPIRED: Self = Self(0);
    /// The method's default.
    pub const DEFAULT: Self = Self(u32::MAX);
}

/// The 28 bytes before every body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes that follow: extension entries and body.
    pub body_len: u32,
    /// What the frame is.
    pub kind: Kind,
    /// Its qualifying bits.
    pub flags: Flags,
    /// Descriptors that ride with it: 1 in the successful answer to `connect_host`, else 0 (decisions
    /// W10).
    pub handles: u8,
    /// Number of the call or stream; 0 where there is none.
    pub id: u64,
    /// The object called.
    pub target: ObjectId,
    /// The method called.
    pub method: u16,
    /// Bytes of extension entries at the start of what follows.
    pub ext_len: u16,
    /// Time left (CALL).
    pub budget: Budget,
}

impl Header {
    /// A header with only a kind and a number; the rest is zero.
    #[must_use]
    pub const fn new(kind: Kind, id: u64) -> Self {
        Self {
            body_len: 0,
            kind,
            flags: Flags::NONE,
            handles: 0,
            id,
            target: ObjectId::HOST,
            method: 0,
            ext_len: 0,
            budget: Budget(0),
        }
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..4].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[4] = self.kind.0;
        bytes[5] = self.flags.0;
        bytes[6] = self.handles;
        bytes[8..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.target.0.to_le_bytes());
        bytes[20..22].copy_from_slice(&self.method.to_le_bytes());
        bytes[22..24].copy_from_slice(&self.ext_len.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.budget.0.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// The reserved byte is not zero, or the extension entries are longer than what follows.
    pub fn decode(bytes: &[u8; HEADER]) -> Result<Self, PeerError> {
        let header = Self {
            body_len: u32::from_le_bytes(field(bytes, 0)),
            kind: Kind(bytes[4]),
            flags: Flags(bytes[5]),
            handles: bytes[6],
            id: u64::from_le_bytes(field(bytes, 8)),
            target: ObjectId(u32::from_le_bytes(field(bytes, 16))),
            method: u16::from_le_bytes(field(bytes, 20)),
            ext_len: u16::from_le_bytes(field(bytes, 22)),
            budget: Budget(u32::from_le_bytes(field(bytes, 24))),
        };
        if bytes[7] != 0 {
            return Err(PeerError::Header("the reserved byte is not zero"));
        }
        if u32::from(header.ext_len) > header.body_len {
            return Err(PeerError::Header("extension entries longer than the frame"));
        }
        Ok(header)
    }
}

/// `N` bytes of the header from `at`; offsets are constants of the layout above.
fn field<const N: usize>(bytes: &[u8; HEADER], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// One whole frame, borrowed from the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// Raw extension entries.
    pub ext: &'a [u8],
    /// Its body.
    pub body: &'a [u8],
}

/// The bytes under `tag` of entries that were checked.
pub(crate) fn extension(mut ext: &[u8], tag: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = ext.split_first_chunk::<4>() {
        let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (bytes, rest) = rest.split_at_checked(len)?;
        if u16::from_le_bytes([head[0], head[1]]) == tag {
            return Some(bytes);
        }
        ext = rest;
    }
    None
}

/// Checks raw extension entries: ascending tags that fill the space exactly. Returns the first
/// odd tag that `known` does not contain: one that must be understood and is not.
///
/// # Errors
/// The entries are malformed.
pub(crate) fn check_extensions(mut ext: &[u8], known: &[u16]) -> Result<Option<u16>, PeerError> {
    let mut last = None;
    let mut unknown = None;
    let mut count = 0;
    while let Some((head, rest)) = ext.split_first_chunk::<4>() {
        let tag = u16::from_le_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
        if last.is_some_and(|last| last >= tag) {
            return Err(PeerError::Extensions);
        }
        last = Some(tag);
        count += 1;
        if count > MAX_EXTENSIONS {
            return Err(PeerError::Extensions);
        }
        if tag % 2 == 1 && !known.contains(&tag) {
            unknown = unknown.or(Some(tag));
        }
        ext = rest.get(len..).ok_or(PeerError::Extensions)?;
    }
    if ext.is_empty() { Ok(unknown) } else { Err(PeerError::Extensions) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            body_len: 0x0102_0304,
            kind: Kind::CALL,
            flags: Flags::NESTED,
            handles: 6,
            id: 0x1112_1314_1516_1718,
            target: ObjectId(0x2122_2324),
            method: 0x3132,
            ext_len: 0x4142,
            budget: Budget(0x5152_5354),
        }
    }

    #[test]
    fn every_field_stands_where_the_document_says() {
        let hex: String = sample().encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "040302011002060018171615141312112423222132314241545352 51".replace(' ', ""));
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        assert_eq!(Header::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn a_reserved_byte_is_refused() {
        let mut bytes = sample().encode();
        bytes[7] = 1;
        assert!(matches!(Header::decode(&bytes), Err(PeerError::Header(_))));
    }

    #[test]
    fn an_entry_is_found_by_its_tag() {
        let entries = [&[2, 0, 1, 0, 9][..], &[4, 0, 0, 0], &[6, 0, 2, 0, 7, 8]].concat();
        assert_eq!(extension(&entries, 6), Some(&[7, 8][..]));
        assert_eq!(extension(&entries, 4), Some(&[][..]));
        assert_eq!(extension(&entries, 5), None);
        assert_eq!(extension(&entries[..8], 4), None);
    }

    #[test]
    fn w7_extension_entries_are_skipped_without_a_schema() {
        let entries = [&[2, 0, 1, 0, 9][..], &[5, 0, 0, 0]].concat();
        assert_eq!(check_extensions(&entries, &[5]), Ok(None));
        assert_eq!(check_extensions(&entries, &[]), Ok(Some(5)));
        assert_eq!(check_extensions(&entries[..4], &[]), Err(PeerError::Extensions));
        let falling = [&[4, 0, 0, 0][..], &[2, 0, 0, 0]].concat();
        assert_eq!(check_extensions(&falling, &[]), Err(PeerError::Extensions));
    }
}
