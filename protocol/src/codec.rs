//! Codec: bodies to bytes and back. The only file that names bincode (invariant 5).
//!
//! Codec 1 is bincode 2 through serde with fixed-width little-endian integers. bincode is no
//! longer maintained, so the bytes are pinned by the golden vectors under `vectors/`: another
//! encoder that produces them can take its place. The limit is always set, and a body must be
//! used up to its last byte.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Deserialize, Serialize};

use crate::limits::MAX_BODY;

/// The number of bincode in HELLO.
pub const BINCODE: u16 = 1;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_BODY>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_BODY>();

/// A body that cannot be encoded or decoded, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(String);

/// Appends the bytes of `value` to `out`.
///
/// # Errors
/// The body would exceed [`MAX_BODY`]; `out` is as it was.
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), BodyError> {
    let start = out.len();
    let written = bincode::serde::encode_into_writer(value, Appender { out, limit: MAX_BODY }, CONFIG);
    written.map_err(|error| {
        out.truncate(start);
        BodyError(error.to_string())
    })
}

/// As [`encode`], for a receiver that takes at most `limit` bytes.
pub(crate) fn encode_within<T: Serialize + ?Sized>(
    value: &T,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), BodyError> {
    let start = out.len();
    encode(value, out)?;
    let length = out.len() - start;
    if length <= limit {
        return Ok(());
    }
    out.truncate(start);
    Err(too_large(length, limit))
}

/// Reads a value from all of `bytes`; strings and byte strings borrow from it. At worst a hostile
/// body costs memory in proportion to its own length.
///
/// # Errors
/// The bytes are not exactly one such value.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BodyError> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, CONFIG)
        .map_err(|error| BodyError(error.to_string()))?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(BodyError(format!("{} bytes too many", bytes.len() - used)))
    }
}

/// The error of a body of `actual` bytes where `limit` are accepted.
pub(crate) fn too_large(actual: usize, limit: usize) -> BodyError {
    BodyError(format!("{actual} bytes, above the limit of {limit}"))
}

struct Appender<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
}

impl bincode::enc::write::Writer for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.limit = self
            .limit
            .checked_sub(bytes.len())
            .ok_or(bincode::error::EncodeError::Other("the body is larger than a frame may be"))?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_be_used_up() {
        let mut bytes = Vec::new();
        encode(&7u32, &mut bytes).unwrap();
        assert_eq!(decode::<u32>(&bytes), Ok(7));
        bytes.push(0);
        assert!(decode::<u32>(&bytes).is_err());
    }

    #[test]
    fn too_large_a_body_leaves_the_buffer_alone() {
        let mut bytes = vec![1];
        assert!(encode(serde_bytes::Bytes::new(&vec![0; MAX_BODY]), &mut bytes).is_err());
        assert_eq!(bytes, [1]);
    }

    #[test]
    fn strings_borrow_from_the_frame() {
        let mut bytes = Vec::new();
        encode("abc", &mut bytes).unwrap();
        let text: &str = decode(&bytes).unwrap();
        assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
    }
}
