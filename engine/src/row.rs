//! Row: one item across the group, and what each member holds of it.
//!
//! A row keeps, per member, what was *agreed* (the content that the group settled on, as that
//! member stores it) and what was last *observed* (decisions X5). The difference between the two
//! is the member's news; it survives a run that does not act on it.

use outrigger_protocol::{Href, RawDigest, Revision};

/// Which of the two members of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The first member of the group.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// 0 or 1: the member's place in the group.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }
}

/// The number of a row in its collection; given by the engine, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub u64);

/// What an item is called across members: the UID of a vCard or iCalendar object; the href where
/// the content has none (decisions S7).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub Box<[u8]>);

/// SHA-256 of an item's canonical form: equal for contents that mean the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({:02x}{:02x}{:02x}{:02x}…)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// A content, by its digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// Of the canonical form: what comparison goes by.
    pub digest: Digest,
    /// Of the bytes: what conditional reads and writes go by.
    pub raw: RawDigest,
}

/// What a member was last seen to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// An item at this revision with this content.
    Present {
        /// The revision, as the member named it.
        revision: Revision,
        /// Whether equality of the revision proves equality of content (decisions S6).
        settled: bool,
        /// What it holds; all zero while it could not be read.
        content: Content,
    },
    /// Nothing, with proof (decisions S2).
    Gone,
}

/// What one member has to do with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the member calls the item. Empty once the item is gone and its name is used again. A
    /// store must not count on it to be unique.
    pub href: Href,
    /// The content that was agreed, as this member stores it.
    pub agreed: Content,
    /// The row's version that `agreed` belongs to; below the row's version, a write is owed.
    /// 0: nothing was agreed with this member yet.
    pub have: u64,
    /// The member stores something else than what was written to it, and that is not an edit
    /// (decisions S4). Also set while the member has not said what it stored: `agreed` is what was
    /// sent then, until it is read back.
    pub rewritten: bool,
    /// What it was last seen to hold.
    pub observed: Observed,
}

/// Two contents that contradict each other, waiting for a person. Raised once; while neither
/// changes it is only counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The contents at A and B when it was raised; `None`: deleted there.
    pub contents: [Option<Content>; 2],
}

/// One item across the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub id: RowId,
    /// What it is called across members.
    pub key: Key,
    /// Counts agreed states.
    pub version: u64,
    /// What A and B have to do with it; `None`: never had it.
    pub entries: [Option<Entry>; 2],
    /// An open conflict.
    pub conflict: Option<Conflict>,
    /// Why the row is left alone (quarantine), in words for a person.
    pub quarantine: Option<String>,
}
