//! Secret text: a password on its way. Wiped when dropped, never shown.
//!
//! It travels in two places only: in `initialize` and in the answer of `ask`, in frames that carry
//! [`crate::Flags::SECRET`].

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

use crate::list;
use crate::text::{self, Text};

/// A secret in memory: shown as `***`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the secret over.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself: keep it as short as can be.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The reason would quote what stood there instead, and reasons are shown.
        text::one(deserializer).map(Self::new).map_err(|_| D::Error::custom("a secret is not text"))
    }
}

/// Adds to a buffer that may hold a secret. Where that moves it, no copy stays behind.
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    if buffer.capacity() - buffer.len() < bytes.len() {
        let mut old = std::mem::take(buffer);
        *buffer = moved(&mut old, bytes.len());
    }
    buffer.extend_from_slice(bytes);
}

/// A copy with room for `more` bytes; the original is wiped.
pub(crate) fn moved(old: &mut Vec<u8>, more: usize) -> Vec<u8> {
    let mut new = Vec::with_capacity((old.len() + more).max(2 * old.capacity()));
    new.extend_from_slice(old);
    old.as_mut_slice().zeroize();
    new
}

/// Takes `length` bytes at `from` out of the middle; what was behind moves up, and zeros follow.
pub(crate) fn take_out(buffer: &mut [u8], from: usize, length: usize) {
    buffer.copy_within(from + length.., from);
    let left = buffer.len() - length;
    buffer[left..].zeroize();
}

/// A list of names with their secrets.
pub(crate) mod pairs {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        pairs: &[(String, SecretText)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        list::serialize(pairs, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, SecretText)>, D::Error> {
        let pairs: Vec<(Text, SecretText)> = list::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(name, secret)| (name.0, secret)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = SecretText::new("hunter2".into());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }

    /// Holds S48.
    #[test]
    fn a_malformed_secret_is_not_quoted() {
        for codec in Codec::ALL {
            let mut bytes = Vec::new();
            codec.encode(&vec!["hunter2"], &mut bytes).unwrap();
            let error = codec.decode::<SecretText>(&bytes).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = Codec::Json.decode::<SecretText>(b"12345").unwrap_err().to_string();
        assert!(!error.contains("12345"), "{error}");
    }

    #[test]
    fn a_buffer_that_moves_leaves_zeros_behind() {
        let mut old = b"hunter2".to_vec();
        let new = moved(&mut old, 100);
        assert_eq!((&new[..], &old[..]), (&b"hunter2"[..], &[0; 7][..]));
        assert!(new.capacity() >= 107);
        let mut buffer = b"abc".to_vec();
        append(&mut buffer, &[b'd'; 1000]);
        assert!(buffer.starts_with(b"abcd") && buffer.len() == 1003);
    }

    #[test]
    fn what_is_taken_out_of_a_buffer_leaves_zeros_behind() {
        let mut buffer = *b"one hunter2 two";
        take_out(&mut buffer, 4, 8);
        assert_eq!(&buffer, b"one two\0\0\0\0\0\0\0\0");
        let mut buffer = *b"one hunter2";
        take_out(&mut buffer, 3, 8);
        assert_eq!(&buffer, b"one\0\0\0\0\0\0\0\0");
    }
}
