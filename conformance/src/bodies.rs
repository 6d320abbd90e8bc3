//! Bodies to bytes and back: the one file of this room that calls the codec.

use outrigger_protocol::Codec;
use serde::{Deserialize, Serialize};

/// The bytes of a body; empty for what cannot be encoded, which none of the kit's bodies is.
pub(crate) fn encode<T: Serialize + ?Sized>(codec: Codec, body: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _fits = codec.encode(body, &mut bytes);
    bytes
}

/// Reads a body.
pub(crate) fn decode<'a, T: Deserialize<'a>>(codec: Codec, bytes: &'a [u8]) -> Result<T, String> {
    codec.decode(bytes).map_err(|error| error.to_string())
}
