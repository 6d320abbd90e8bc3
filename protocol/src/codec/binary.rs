//! Codec 1: bincode 2, fixed-width little-endian integers. The only file that names it.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

use super::{Appender, BodyError};
use crate::limits::MAX_BODY;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_BODY>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_BODY>();

pub(super) fn encode<T: Serialize + ?Sized>(value: &T, out: Appender<'_>) -> Result<(), BodyError> {
    let written = bincode::serde::encode_into_writer(value, out, CONFIG);
    written.map_err(|error| BodyError(error.to_string()))
}

pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BodyError> {
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, CONFIG)
        .map_err(|error| BodyError(error.to_string()))?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(BodyError(format!("{} bytes too many", bytes.len() - used)))
    }
}

impl Writer for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.append(bytes).map_err(EncodeError::Other)
    }
}
