//! Lists inside bodies: at most [`MAX_LIST`] elements, and memory only as elements arrive.
//!
//! A length that a peer claims reserves nothing (invariant 4): serde's own `Vec` reserves up to
//! 1 MiB on a claim alone. Used through `#[serde(with = "crate::list")]`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::MAX_LIST;

/// Writes a list as any `Vec`.
pub(crate) fn serialize<T: Serialize, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list)
}

/// Reads a list, element by element.
pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    at_most::<MAX_LIST, T, D>(deserializer)
}

/// The same with a limit of its own.
pub(crate) fn at_most<'de, const MAX: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor::<T, MAX>(PhantomData))
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        if elements.size_hint().is_some_and(|claimed| claimed > MAX) {
            return Err(A::Error::custom("list too long"));
        }
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::custom("list too long"));
            }
            list.push(element);
        }
        Ok(list)
    }
}
