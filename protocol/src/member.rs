//! Member, Group and Sink: the objects that OpenSync meant to be transparent on the remote side.
//!
//! They travel as snapshots with a generation: reading one costs no round trip, and it never
//! changes under a running handler (decisions W11). A set goes to the engine as one
//! compare-and-set: [`crate::MemberUpdate`].

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::extension::Extensions;
use crate::ids::{Anchor, ObjectId, StoreId};
use crate::{list, number, text};

/// What a plugin may know of the member that it serves. OpenSync's OSyncMember.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The object to call for a change of it.
    pub object: ObjectId,
    /// The name that the user gave it.
    #[serde(deserialize_with = "text::one")]
    pub name: String,
    /// Rises with each change of this snapshot.
    #[serde(with = "number")]
    pub generation: u64,
    /// Settings of the plugin, in the order of the configuration; values as text.
    #[serde(deserialize_with = "text::pairs")]
    pub options: Vec<(String, String)>,
    /// State per object type.
    #[serde(with = "list")]
    pub object_types: Vec<MemberObjectType>,
    /// Additions of later versions.
    #[serde(default)]
    pub ext: Extensions,
}

impl Member {
    /// A member with options, of generation 0, that nothing else is known of yet.
    #[must_use]
    pub fn new(name: impl Into<String>, options: Vec<(String, String)>) -> Self {
        Self {
            object: ObjectId::HOST,
            name: name.into(),
            generation: 0,
            options,
            object_types: Vec::new(),
            ext: Extensions::default(),
        }
    }

    /// The option called `name`.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What a member knows of one object type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberObjectType {
    /// `contact`, `event`, …
    #[serde(deserialize_with = "text::one")]
    pub object_type: String,
    /// Everything is to be compared. Raised by anyone, lowered only by a finished run.
    pub slow_sync: bool,
    /// Where the member's feed stood at the last finished run.
    pub anchor: Option<Anchor>,
}

/// What a plugin may know of the group that its member belongs to. OpenSync's OSyncGroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its object; it takes no call that changes it: a group belongs to the user.
    pub object: ObjectId,
    /// The name that the user gave it.
    #[serde(deserialize_with = "text::one")]
    pub name: String,
    /// Rises with each change of this snapshot.
    #[serde(with = "number")]
    pub generation: u64,
    /// Names of all members, in order.
    #[serde(deserialize_with = "text::list")]
    pub members: Vec<String>,
    /// Object types that the group synchronises; empty means all.
    #[serde(deserialize_with = "text::list")]
    pub object_types: Vec<String>,
    /// Name of the conflict policy: `queue`, …
    #[serde(deserialize_with = "text::one")]
    pub conflict: String,
    /// When the last run finished, in seconds since 1970.
    #[serde(default, with = "number::option")]
    pub last_run: Option<u64>,
    /// Additions of later versions.
    #[serde(default)]
    pub ext: Extensions,
}

impl Group {
    /// A group of members, of generation 0, that queues its conflicts and has not run yet.
    #[must_use]
    pub fn new(name: impl Into<String>, members: Vec<String>) -> Self {
        Self {
            object: ObjectId::HOST,
            name: name.into(),
            generation: 0,
            members,
            object_types: Vec::new(),
            conflict: "queue".into(),
            last_run: None,
            ext: Extensions::default(),
        }
    }
}

/// One collection of a member (an address book, a folder): the end that changes come from and go
/// to. OpenSync's sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// The object to call. Valid as long as the instance.
    pub object: ObjectId,
    /// The collection's name, unique in the member; pairs collections across members.
    #[serde(deserialize_with = "text::one")]
    pub name: String,
    /// Object types that it holds; empty means any.
    #[serde(deserialize_with = "text::list")]
    pub object_types: Vec<String>,
    /// Formats that it takes, best first; empty means any.
    #[serde(deserialize_with = "text::list")]
    pub formats: Vec<String>,
    /// No commit is accepted.
    pub read_only: bool,
    /// Identity of the store behind it, where there is one (decisions S2).
    pub store: Option<StoreId>,
    /// The collection cannot be used now, and why.
    pub unavailable: Option<Error>,
    /// Additions of later versions.
    #[serde(default)]
    pub ext: Extensions,
}
