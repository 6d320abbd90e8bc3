//! What a plugin asks of the engine: the bodies of its own calls, and what it is told unasked.
//!
//! An object is known by the number that came with its snapshot: a plugin can only name what it
//! was given. A get is local; a set is one compare-and-set (decisions W11).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{Href, ObjectId, OperationId};
use crate::limits::MAX_HREF;
use crate::member::{Group, Member};
use crate::secret::SecretText;
use crate::{blob, list, number, text};

/// Sets options of a member, if its snapshot is still the one that the plugin knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberUpdate {
    /// The same on every retry: what was done once is answered again, not done again.
    pub operation: OperationId,
    /// The generation that the plugin has seen.
    #[serde(with = "number")]
    pub generation: u64,
    /// Options to set: name and value.
    #[serde(deserialize_with = "text::pairs")]
    pub set: Vec<(String, String)>,
    /// Options to take away.
    #[serde(deserialize_with = "text::list")]
    pub unset: Vec<String>,
}

/// What became of a [`MemberUpdate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberUpdated {
    /// Whether it was done. If not, the member had changed meanwhile.
    pub applied: bool,
    /// The member as it is now.
    pub member: Member,
}

/// Asks that everything be compared at the next occasion. Monotone: only a finished run lowers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaiseSlowSync {
    /// The same on every retry.
    pub operation: OperationId,
    /// Of this object type; empty means all.
    #[serde(deserialize_with = "text::one")]
    pub object_type: String,
}

/// Says that a collection calls items otherwise than before (decisions X4): the whole set is taken
/// at once, or none of it, and it is durable before the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The plugin's sink that names them.
    pub sink: ObjectId,
    /// The old and the new name of each item. No old name twice, no new name twice, none empty or
    /// above [`crate::limits::MAX_HREF`]; two items may take each other's name.
    #[serde(with = "list")]
    pub names: Vec<(Href, Href)>,
}

impl Rename {
    /// What is wrong with a set of names by itself, in words. Whether a new name is another item's,
    /// only the engine knows.
    #[must_use]
    pub fn flaw(names: &[(Href, Href)]) -> Option<&'static str> {
        let old: BTreeSet<&Href> = names.iter().map(|(old, _)| old).collect();
        let new: BTreeSet<&Href> = names.iter().map(|(_, new)| new).collect();
        if old.len() < names.len() || new.len() < names.len() {
            return Some("a name is in it twice");
        }
        let is_bad = |name: &&Href| name.as_bytes().is_empty() || name.as_bytes().len() > MAX_HREF;
        let is_flawed = old.iter().chain(&new).any(is_bad);
        is_flawed.then_some("a name is empty, or beyond the limit of a name")
    }
}

/// What kind of answer a question wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AskKind {
    /// A secret: not shown while it is typed.
    Password,
    /// A line of text.
    Text,
    /// One of the choices.
    Choice,
    /// `yes` or `no`.
    Confirm,
}

/// Asks the user. The prompt is in the plugin's words: show it marked as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// What kind of answer.
    pub kind: AskKind,
    /// The question; at most [`crate::limits::MAX_TEXT`] bytes together with the choices.
    #[serde(deserialize_with = "text::one")]
    pub prompt: String,
    /// For [`AskKind::Choice`]: two or more.
    #[serde(deserialize_with = "text::list")]
    pub choices: Vec<String>,
}

/// What the user answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// In the user's words; one of the choices, or `yes` or `no`, where that was asked.
    pub text: SecretText,
}

/// Body of SNAPSHOT: an object as it is now. Applied only if it is newer than what is known, and
/// never under a running handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Snapshot {
    /// A member.
    Member(Member),
    /// A group.
    Group(Group),
}

impl Snapshot {
    /// The object that it shows.
    #[must_use]
    pub const fn object(&self) -> ObjectId {
        match self {
            Self::Member(member) => member.object,
            Self::Group(group) => group.object,
        }
    }

    /// Its generation: only a higher one is newer.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        match self {
            Self::Member(member) => member.generation,
            Self::Group(group) => group.generation,
        }
    }
}

/// Asks an instance to take the bytes of a non-plain format apart and to make them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remarshal {
    /// The format's name.
    #[serde(deserialize_with = "text::one")]
    pub format: String,
    /// Bytes that the plugin gave.
    #[serde(with = "blob")]
    pub data: Box<[u8]>,
}

/// The bytes made again: the same, or the plugin's pair of functions is no identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remarshalled {
    /// The bytes.
    #[serde(with = "blob")]
    pub data: Box<[u8]>,
}

/// Asks an instance whether two items of its format mean the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The format's name.
    #[serde(deserialize_with = "text::one")]
    pub format: String,
    /// One item.
    #[serde(with = "blob")]
    pub left: Box<[u8]>,
    /// The other.
    #[serde(with = "blob")]
    pub right: Box<[u8]>,
}

/// The answer of [`Compare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// What the plugin thinks.
    pub verdict: Verdict,
}

/// How two items compare. OpenSync's same, similar and mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// They mean the same, whatever the bytes.
    Same,
    /// They are about the same thing and differ.
    Similar,
    /// They have nothing to do with each other.
    Different,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(names: &[(&str, &str)]) -> Option<&'static str> {
        let names: Vec<_> = names.iter().map(|(old, new)| (Href::from(*old), Href::from(*new))).collect();
        Rename::flaw(&names)
    }

    #[test]
    fn x4_a_set_of_names_has_no_name_twice_and_none_that_no_item_can_have() {
        let (longest, longer) = ("x".repeat(MAX_HREF), "x".repeat(MAX_HREF + 1));
        assert_eq!(flaw(&[]), None);
        assert_eq!(flaw(&[("a", "b"), ("b", "a"), ("c", &longest)]), None);
        assert!(flaw(&[("a", "b"), ("a", "c")]).unwrap().contains("twice"));
        assert!(flaw(&[("a", "c"), ("b", "c")]).unwrap().contains("twice"));
        for bad in [("a", ""), ("", "a"), ("a", &*longer), (&*longer, "a")] {
            assert!(flaw(&[bad]).unwrap().contains("limit"), "{bad:?}");
        }
    }
}
