//! Codec 2: JSON (RFC 8259), and the JSON of the handshake.
//!
//! Objects with the field names of the types, enums without data as strings and with data as an
//! object of one key, bytes as base64. Unknown keys are errors; a key that may be absent says so
//! in its type. "Nothing" is no byte at all, not `null`, so that it is the same in every codec.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Appender, BodyError, Out};
use crate::printable::Printable;
use crate::text;

/// Deepest nesting of brackets. Bodies need six.
const MAX_DEPTH: usize = 16;

pub(super) fn encode<T: Serialize + ?Sized, O: Out>(
    value: &T,
    out: &mut Appender<'_, O>,
) -> Result<(), BodyError> {
    let start = out.out.copied().len();
    serde_json::to_writer(&mut *out, value).map_err(|error| BodyError(error.to_string()))?;
    if out.out.copied().get(start..) == Some(b"null") {
        out.out.cut(start);
    }
    Ok(())
}

pub(super) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BodyError> {
    from_json(if bytes.is_empty() { b"null" } else { bytes }).map_err(BodyError)
}

/// Bytes kept of an error that may quote the peer.
const MAX_ERROR: usize = 200;

/// Reads one JSON text. The error quotes the peer: printable, and short.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, String> {
    if depth(json) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH}"));
    }
    serde_json::from_slice(json)
        .map_err(|error| Printable(text::front(&error.to_string(), MAX_ERROR)).to_string())
}

/// Deepest nesting of brackets outside strings.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<O: Out> io::Write for Appender<'_, O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        let deep = format!("{}{}", "[".repeat(17), "]".repeat(17));
        assert!(from_json::<serde_json::Value>(deep.as_bytes()).unwrap_err().contains("nested"));
        assert_eq!(depth(br#"{"a":"[[[[\"[["}"#), 1);
    }

    #[test]
    fn an_error_that_quotes_the_peer_cannot_draw_on_a_terminal() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Empty {}
        let error = from_json::<Empty>(b"{\"\\u001b[2J\": 1}").unwrap_err();
        assert!(error.contains("unknown field") && !error.contains('\x1b'), "{error}");
    }
}
