//! Additions that later versions make to frozen bodies: tagged entries, the same in every codec.
//!
//! Two places (decisions W7): raw entries between a frame's header and its body, and the `ext`
//! tail of Change, Error, Member, Group and Sink. A reader keeps to the tags it knows. An odd tag
//! must be understood, and is legal only beside the header of a CALL.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::blob;
use crate::limits::MAX_EXTENSIONS;

/// The `ext` tail of an object: ascending tags, each with bytes. Empty costs 8 bytes in bincode,
/// nothing of sense in JSON (an empty object).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions(Vec<(u16, Box<[u8]>)>);

impl Extensions {
    /// The bytes under `tag`.
    #[must_use]
    pub fn get(&self, tag: u16) -> Option<&[u8]> {
        let at = self.0.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        self.0.get(at).map(|(_, bytes)| &**bytes)
    }

    /// Sets the bytes under `tag`.
    pub fn set(&mut self, tag: u16, bytes: &[u8]) {
        match self.0.binary_search_by_key(&tag, |(tag, _)| *tag) {
            Ok(at) => self.0[at].1 = bytes.into(),
            Err(at) => self.0.insert(at, (tag, bytes.into())),
        }
    }

    fn push<E: serde::de::Error>(&mut self, tag: u16, bytes: Box<[u8]>) -> Result<(), E> {
        if self.0.len() == MAX_EXTENSIONS {
            return Err(E::custom("too many extensions"));
        }
        if self.0.last().is_some_and(|(last, _)| *last >= tag) {
            return Err(E::custom("extension tags must ascend"));
        }
        if tag % 2 == 1 {
            return Err(E::custom("an extension that must be understood is legal only beside a CALL"));
        }
        self.0.push((tag, bytes));
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Bytes(#[serde(with = "blob")] Box<[u8]>);

impl Serialize for Extensions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let mut map = serializer.serialize_map(Some(self.0.len()))?;
            for (tag, bytes) in &self.0 {
                map.serialize_entry(&tag.to_string(), &Bytes(bytes.clone()))?;
            }
            map.end()
        } else {
            serializer.collect_seq(self.0.iter().map(|(tag, bytes)| (tag, serde_bytes::Bytes::new(bytes))))
        }
    }
}

impl<'de> Deserialize<'de> for Extensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_map(ExtensionsVisitor)
        } else {
            deserializer.deserialize_seq(ExtensionsVisitor)
        }
    }
}

struct ExtensionsVisitor;

impl<'de> Visitor<'de> for ExtensionsVisitor {
    type Value = Extensions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("extension entries with ascending even tags")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut extensions = Extensions::default();
        while let Some((tag, bytes)) = entries.next_element::<(u16, Bytes)>()? {
            extensions.push::<A::Error>(tag, bytes.0)?;
        }
        Ok(extensions)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some((tag, bytes)) = entries.next_entry::<String, Bytes>()? {
            let tag: u16 = tag.parse().map_err(A::Error::custom)?;
            found.push((tag, bytes.0));
            if found.len() > MAX_EXTENSIONS {
                return Err(A::Error::custom("too many extensions"));
            }
        }
        found.sort();
        let mut extensions = Extensions::default();
        found.into_iter().try_for_each(|(tag, bytes)| extensions.push::<A::Error>(tag, bytes))?;
        Ok(extensions)
    }
}
