//! Text inside bodies: looked at in the frame, then copied.
//!
//! A length that a peer claims reserves nothing (invariant 4): bincode reserves what a `String`
//! claims, up to the limit of a whole body, before it looks whether the bytes are there. Read as
//! a borrowed `str` they are checked first. Used through `#[serde(deserialize_with = …)]`.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::list;

/// Reads one text.
pub(crate) fn one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Text::deserialize(deserializer).map(|text| text.0)
}

/// Reads a list of texts.
pub(crate) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list: Vec<Text> = list::deserialize(deserializer)?;
    Ok(list.into_iter().map(|text| text.0).collect())
}

/// Reads a list of pairs of texts.
pub(crate) fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let list: Vec<(Text, Text)> = list::deserialize(deserializer)?;
    Ok(list.into_iter().map(|(name, value)| (name.0, value.0)).collect())
}

/// The front of `text`, at most `most` bytes.
pub(crate) fn front(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// One text, read as [`one`] reads it.
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(text.to_owned()))
    }
}
