//! The secret of an end that is found instead of started: as text, and as what people compare.
//!
//! The fingerprint is SHA-256 over a label and the secret. The secret is 256 random bits, so nobody
//! gets from one to the other, and a fingerprint may be shown (decisions W8).

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::handshake::Secret;

const LABEL: &[u8] = b"outrigger fingerprint of an end\0";

/// Digits of a code: no letter among them is taken for another when it is read out.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Digits of a code that is shown: 60 bits, too many for another secret to be made that fits.
const CODE: usize = 12;

/// Wrong proofs that cost nothing but themselves.
const FREE_PROOFS: u32 = 5;

/// The longest that wrong proofs make anyone wait.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

impl Secret {
    /// Reads 64 hexadecimal digits. `None`: it is anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        bytes(text).map(Self)
    }

    /// The secret as 64 hexadecimal digits, for the file that keeps it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }
}

/// What a secret is told by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a secret.
    #[must_use]
    pub fn of(secret: &Secret) -> Self {
        let hasher = Sha256::new().chain_update(LABEL).chain_update(secret.0);
        Self(hasher.finalize().into())
    }

    /// The code that two people, or two windows, compare: `4F7K-9QX2-M0TR`.
    #[must_use]
    pub fn code(&self) -> String {
        let bits = self.0.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        let digit = |at: usize| {
            let index = usize::try_from(bits >> (59 - 5 * at) & 31).unwrap_or_default();
            DIGITS.get(index).map_or('0', |digit| char::from(*digit))
        };
        (0..CODE).fold(String::new(), |mut code, at| {
            if at > 0 && at % 4 == 0 {
                code.push('-');
            }
            code.push(digit(at));
            code
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code())
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        bytes(&text).map(Self).ok_or_else(|| D::Error::custom("a fingerprint has 64 hexadecimal digits"))
    }
}

/// How long the next attempt has to wait after `failed` wrong proofs in a row: nothing before the
/// fifth, then 1 s, then twice as long each time, an hour at most.
#[must_use]
pub fn proof_delay(failed: u32) -> Duration {
    match failed.checked_sub(FREE_PROOFS) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1 << more.min(12)).min(LONGEST_DELAY),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _a_string_takes_all = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_64_hexadecimal_digits() {
        assert_eq!(Secret::from_hex(&"0f".repeat(32)).unwrap().0, [15; 32]);
        assert_eq!(Secret([0xab; 32]).to_hex(), "ab".repeat(32));
        for text in [&"0f".repeat(31), &"zz".repeat(32), &"+f".repeat(32), "", &"é".repeat(32)] {
            assert!(Secret::from_hex(text).is_none(), "{text}");
        }
    }

    const VECTOR: &str = "7c1e41d141a76e21e8ab11bd4dbe3b97119e75ff78f3aa47cb45b908f5e89d2b";
    const VECTOR_CODE: &str = "FGF4-3MA1-MXQ2";

    /// The Python half has the same vector.
    #[test]
    fn a_fingerprint_and_its_code_are_the_same_in_every_language() {
        let fingerprint = Fingerprint::of(&Secret([7; 32]));
        assert_eq!(fingerprint.to_string(), VECTOR);
        assert_eq!(fingerprint.code(), VECTOR_CODE);
        let json = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), fingerprint);
        assert_ne!(Fingerprint::of(&Secret([8; 32])).code(), VECTOR_CODE);
    }

    #[test]
    fn wrong_proofs_cost_more_and_more_time_and_never_more_than_an_hour() {
        let seconds = [0, 4, 5, 6, 7, 100, u32::MAX].map(|failed| proof_delay(failed).as_secs());
        assert_eq!(seconds, [0, 0, 1, 2, 4, 3600, 3600]);
    }
}
