//! Codec: bodies to bytes and back. The only file that names bincode (invariant 5).
//!
//! Codec 1 is bincode 2 through serde with fixed-width little-endian integers. bincode is no
//! longer maintained, so the bytes are pinned by the golden vectors under `vectors/`: another
//! encoder that produces them can take its place. Codec 2 is JSON, for peers that have only a
//! standard library; byte strings are base64 there. In both, a body must be used up to its last
//! byte, is limited in size, and an empty body is the value "nothing".

mod json;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::chunks::{Chunks, MIN_SHARED};
use crate::limits::MAX_BODY;

pub(crate) use json::from_json;

const BINARY: Configuration<LittleEndian, Fixint, Limit<MAX_BODY>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_BODY>();

/// How bodies are encoded on a connection; the two ends agree on it in HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// Number 1: bincode, fixed-width little-endian integers.
    #[default]
    Bincode,
    /// Number 2: JSON.
    Json,
}

/// A body that cannot be encoded or decoded, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(String);

impl Codec {
    /// All that this build speaks, best first.
    pub const ALL: [Self; 2] = [Self::Bincode, Self::Json];

    /// The codec's number in HELLO.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Bincode => 1,
            Self::Json => 2,
        }
    }

    /// The codec of a number; `None` for one that this build does not speak.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.number() == number)
    }

    /// Appends the bytes of `value` to `out`.
    ///
    /// # Errors
    /// The body would exceed [`MAX_BODY`]; `out` is as it was.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T, out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.encode_within(value, out, MAX_BODY)
    }

    /// As [`Codec::encode`], onto any buffer, for a receiver that takes at most `limit` bytes.
    pub(crate) fn encode_within<T: Serialize + ?Sized, O: Out>(
        self,
        value: &T,
        out: &mut O,
        limit: usize,
    ) -> Result<(), BodyError> {
        let start = out.copied().len();
        let mut appender = Appender { out, length: 0, limit };
        let written = match self {
            Self::Bincode => encode_binary(value, &mut appender),
            Self::Json => json::encode(value, &mut appender),
        };
        written.and_then(|()| appender.fits()).inspect_err(|_| out.cut(start))
    }

    /// As [`Codec::encode_within`]; byte strings of the value that are among `shared`, and large, are
    /// referred to where the codec writes them as they are: JSON does not. After an error the
    /// caller takes the whole frame off.
    pub(crate) fn encode_shared<T: Serialize + ?Sized>(
        self,
        value: &T,
        shared: &[Bytes],
        out: &mut Chunks,
        limit: usize,
    ) -> Result<(), BodyError> {
        let shared = if self == Self::Bincode { shared } else { &[] };
        self.encode_within(value, &mut Sharing { out, shared }, limit)
    }

    /// Reads a value from all of `bytes`; strings and byte strings borrow from it where the codec
    /// can. At worst a hostile body costs memory in proportion to its own length.
    ///
    /// # Errors
    /// The bytes are not exactly one such value.
    pub fn decode<'a, T: Deserialize<'a>>(self, bytes: &'a [u8]) -> Result<T, BodyError> {
        match self {
            Self::Bincode => decode_binary(bytes),
            Self::Json => json::decode(bytes),
        }
    }
}

fn encode_binary<T: Serialize + ?Sized, O: Out>(
    value: &T,
    out: &mut Appender<'_, O>,
) -> Result<(), BodyError> {
    let written = bincode::serde::encode_into_writer(value, out, BINARY);
    written.map_err(|error| BodyError(error.to_string()))
}

fn decode_binary<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BodyError> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, BINARY)
        .map_err(|error| BodyError(error.to_string()))?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(BodyError(format!("{} bytes too many", bytes.len() - used)))
    }
}

/// A buffer that bodies are appended to.
pub(crate) trait Out {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// What was copied into it, as one piece.
    fn copied(&self) -> &[u8];

    /// Takes off all but the first `length` copied bytes.
    fn cut(&mut self, length: usize);
}

impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn copied(&self) -> &[u8] {
        self
    }

    fn cut(&mut self, length: usize) {
        self.truncate(length);
    }
}

impl Out for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn copied(&self) -> &[u8] {
        self
    }

    fn cut(&mut self, length: usize) {
        self.truncate(length);
    }
}

/// A buffer that refers to large pieces where it has them.
struct Sharing<'a> {
    out: &'a mut Chunks,
    shared: &'a [Bytes],
}

impl Sharing<'_> {
    /// The shared piece that lies in the same place, if `bytes` are worth a reference.
    fn piece(&self, bytes: &[u8]) -> Option<Bytes> {
        if bytes.len() < MIN_SHARED {
            return None;
        }
        self.shared.iter().find(|piece| std::ptr::eq(piece.as_ref(), bytes)).cloned()
    }
}

impl Out for Sharing<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match self.piece(bytes) {
            Some(piece) => self.out.push(piece),
            None => self.out.own.extend_from_slice(bytes),
        }
    }

    fn copied(&self) -> &[u8] {
        &self.out.own
    }

    fn cut(&mut self, length: usize) {
        self.out.truncate(length);
    }
}

/// Where an encoder writes: the end of a buffer. What is beyond the limit is counted, so that whoever
/// made it hears by how much, and not kept.
struct Appender<'a, O> {
    out: &'a mut O,
    length: usize,
    limit: usize,
}

impl<O: Out> Appender<'_, O> {
    fn append(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len());
        if self.length <= self.limit {
            self.out.put(bytes);
        }
    }

    fn fits(&self) -> Result<(), BodyError> {
        let Self { length, limit, .. } = self;
        if length <= limit {
            return Ok(());
        }
        Err(BodyError(format!("{length} bytes, above the limit of {limit}")))
    }
}

impl<O: Out> Writer for Appender<'_, O> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.append(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_be_used_up() {
        for codec in Codec::ALL {
            let mut bytes = Vec::new();
            codec.encode(&7u32, &mut bytes).unwrap();
            assert_eq!(codec.decode::<u32>(&bytes), Ok(7));
            bytes.push(b'0' + u8::from(codec == Codec::Json));
            assert!(codec.decode::<(u32, ())>(&bytes).is_err());
            bytes.push(b' ');
            bytes.push(b'x');
            assert!(codec.decode::<u32>(&bytes).is_err(), "{codec:?}");
        }
    }

    #[test]
    fn nothing_is_no_byte_in_every_codec() {
        for codec in Codec::ALL {
            let mut bytes = Vec::new();
            codec.encode(&(), &mut bytes).unwrap();
            assert!(bytes.is_empty());
            assert_eq!(codec.decode::<()>(&bytes), Ok(()));
        }
    }

    #[test]
    fn too_large_a_body_leaves_the_buffer_alone() {
        for codec in Codec::ALL {
            let mut bytes = vec![1];
            let error = codec.encode(&"x".repeat(MAX_BODY), &mut bytes).unwrap_err().to_string();
            assert!(error.ends_with("bytes, above the limit of 1048576"), "{error}");
            assert_eq!(bytes, [1]);
        }
    }

    #[test]
    fn strings_borrow_from_the_frame() {
        for codec in Codec::ALL {
            let mut bytes = Vec::new();
            codec.encode("abc", &mut bytes).unwrap();
            let text: &str = codec.decode(&bytes).unwrap();
            assert!(bytes.as_ptr_range().contains(&text.as_ptr()));
        }
    }

    #[test]
    fn numbers_and_codecs_belong_together() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_number(codec.number()), Some(codec));
        }
        assert_eq!(Codec::from_number(3), None);
    }
}
