//! What an end that waits to be found says of itself: the content of `ends/NAME.json`.
//!
//! A hint and no more: whatever it says, the truth is the proof in the handshake. JSON, so that an
//! end can be written in any language.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::codec::from_json;
use crate::enrolled::Fingerprint;
use crate::hello::Version;

/// The name that an end is found by. It becomes part of file names: letters, digits, `-` and `_`,
/// beginning with a letter or a digit, at most [`EndName::LONGEST`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EndName(String);

impl EndName {
    /// Most characters, so that a socket's path holds it below every runtime directory.
    pub const LONGEST: usize = 30;

    /// Takes a text that can be the name of an end; `None` if it cannot.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (first && text.len() <= Self::LONGEST && text.chars().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EndName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| D::Error::custom("this cannot be the name of an end"))
    }
}

/// The content of `ends/NAME.json`. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The name that it wants to be found by: that of the file.
    pub name: EndName,
    /// Where it listens: the absolute path of a socket.
    pub endpoint: String,
    /// Its process, for people: whether it lives is told by its lock.
    pub pid: u32,
    /// Program and version, for people, in its own words.
    pub software: String,
    /// The protocols that it speaks, as in HELLO.
    pub protocols: Vec<Version>,
    /// What its secret is told by.
    pub fingerprint: Fingerprint,
}

impl Announcement {
    /// Most bytes of one.
    pub const LARGEST: usize = 8 << 10;

    /// It as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Serialising our own plain structures cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads one.
    ///
    /// # Errors
    /// Says in words what is wrong with it. At worst a hostile text costs a few times its length.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > Self::LARGEST {
            return Err(format!("{} bytes are too many for an announcement", bytes.len()));
        }
        from_json(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::Secret;
    use crate::hello::VERSION;

    fn announcement() -> Announcement {
        Announcement {
            name: EndName::new("notes").unwrap(),
            endpoint: "/run/x.sock".into(),
            pid: 7,
            software: "notes 1".into(),
            protocols: vec![VERSION],
            fingerprint: Fingerprint::of(&Secret([7; 32])),
        }
    }

    #[test]
    fn it_comes_back_and_ignores_what_it_does_not_know() {
        let json = String::from_utf8(announcement().to_json()).unwrap();
        let newer = json.replacen('{', "{\"from_the_future\":[1],", 1);
        assert_eq!(Announcement::from_json(newer.as_bytes()).unwrap(), announcement());
    }

    #[test]
    fn garbage_is_an_error_in_words() {
        let json = String::from_utf8(announcement().to_json()).unwrap();
        let wrong = [
            String::new(),
            "[]".into(),
            "{}".into(),
            json.replace("notes\"", "../etc\""),
            json.replace(":7,", ":-7,"),
            "x".repeat(Announcement::LARGEST + 1),
        ];
        for text in wrong {
            assert!(Announcement::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_can_be_part_of_a_file_name() {
        let longest = "a".repeat(EndName::LONGEST);
        for name in ["a", "thunderbird-default", "Notes_2", &longest] {
            assert!(EndName::new(name).is_some(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a.b", "-a", "é", "a\0", &format!("{longest}a")] {
            assert!(EndName::new(name).is_none(), "{name}");
        }
    }
}
