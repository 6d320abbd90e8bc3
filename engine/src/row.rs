//! Row: one item across the group, and what each member holds of it.
//!
//! A row keeps what the group has *agreed* on, and per member what of that it has and what it was
//! last *observed* to hold (decisions X5). The difference between the two is the member's news; it
//! survives a run that does not act on it.

use outrigger_protocol::{Href, RawDigest, Revision};

/// A member's place in its group, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberIndex(pub u16);

impl MemberIndex {
    /// The place, for looking up what is kept per member.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The member at a place. A group has fewer than 65,535 members.
    #[must_use]
    pub fn at(place: usize) -> Self {
        Self(u16::try_from(place).unwrap_or(u16::MAX))
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
    /// What this member is known to hold of the group's affairs: what was agreed, as it stores that;
    /// or, where it is behind, what it held when the group agreed on something else.
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

/// Contents that contradict each other, waiting for a person. Raised once; while none of them
/// changes it is only counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What each member held when it was raised, in the order of members; `None`: nothing.
    pub contents: Vec<Option<Content>>,
}

/// Why an item of one member is left alone until its content changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The member that cannot be read or written.
    pub member: MemberIndex,
    /// Why, in words for a person. May quote a member.
    pub reason: String,
}

/// A content that comes from no member: a person's, the undo journal's, or a merge's. It goes to
/// all members, and is kept until one of them holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supplied {
    /// The digests of `data`.
    pub content: Content,
    /// Encoding of the content.
    pub format: String,
    /// The content.
    pub data: Vec<u8>,
}

/// One item across the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub id: RowId,
    /// What it is called across members.
    pub key: Key,
    /// Counts agreed states. 0: none yet.
    pub version: u64,
    /// What is agreed. `None`: nothing yet (version 0), or that the item is deleted: such a row stays
    /// until every member has taken note (decisions S1).
    pub base: Option<Content>,
    /// What each member has to do with it, in the order of members; `None`: it never had it.
    pub entries: Vec<Option<Entry>>,
    /// A content of nobody's that is to be written.
    pub supplied: Option<Box<Supplied>>,
    /// An open conflict.
    pub conflict: Option<Conflict>,
    /// Members at which the item is left alone, each with the reason.
    pub quarantine: Vec<Quarantine>,
}

impl Row {
    /// A row that nobody has anything to do with yet, in a group of so many members. The table gives
    /// the number.
    #[must_use]
    pub fn new(key: Key, members: usize) -> Self {
        Self {
            id: RowId(0),
            key,
            version: 0,
            base: None,
            entries: vec![None; members],
            supplied: None,
            conflict: None,
            quarantine: Vec::new(),
        }
    }
}
