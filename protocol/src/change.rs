//! Change: what happened to one item at one member.
//!
//! A listing (`get_changes`) streams [`Change`]s without content; `read` streams [`ReadResult`]s
//! with it; `commit` sends [`CommitItem`]s. Content is bytes with a format name and is never
//! re-serialised. Bytes are borrowed from the received frame: copy what must outlive it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::blob;
use crate::error::Error;
use crate::extension::Extensions;
use crate::ids::{Anchor, Href, OperationId, RawDigest, Revision};
use crate::limits::MAX_HREF;
use crate::text;

/// What a member says of an item. The first five are OpenSync's, with its wire values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChangeKind {
    /// The item is there; whether it changed is for the engine to tell from the revision. What a
    /// member without a memory (a folder) says of everything.
    Unknown,
    /// The item is new since the anchor.
    Added,
    /// The item is there as it was.
    Unmodified,
    /// The item was deleted since the anchor. Evidence in itself (decisions S2).
    Deleted,
    /// The item changed since the anchor.
    Modified,
    /// Something is there that cannot be read: neither there nor deleted.
    Unreadable,
}

/// One entry of a listing: an item by name, revision and kind, without its content.
/// OpenSync's OSyncChange (uid, hash, type, format, object type).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What the member calls the item.
    pub href: Href,
    /// What happened to it.
    pub kind: ChangeKind,
    /// Changes whenever the content does. Empty for a deletion.
    pub revision: Revision,
    /// Whether a later change is certain to change the revision. False while the item is younger
    /// than the store's clock tick (decisions S6): it is then read again at the next run.
    pub settled: bool,
    /// Object type: `contact`, `event`, `todo`, `note`, `file`, or another of the plugin's.
    #[serde(deserialize_with = "text::one")]
    pub object_type: String,
    /// Encoding of the content: `vcard`, `icalendar`, or another of the plugin's.
    #[serde(deserialize_with = "text::one")]
    pub format: String,
    /// Additions of later versions.
    #[serde(default)]
    pub ext: Extensions,
}

/// The tag of a checkpoint in [`Change::ext`].
const CHECKPOINT: u16 = 2;

impl Change {
    /// Marks that `anchor` stands for the feed up to and with this change: where the listing breaks
    /// behind it, the next one may go on from there.
    #[must_use]
    pub fn with_checkpoint(mut self, anchor: &Anchor) -> Self {
        self.ext.set(CHECKPOINT, anchor.as_bytes());
        self
    }

    /// The anchor that it is marked with. One above [`MAX_HREF`] counts as none.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Anchor> {
        self.ext.get(CHECKPOINT).filter(|anchor| anchor.len() <= MAX_HREF).map(Anchor::from)
    }
}

/// What to read: an item, and the content that the reader has already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadItem {
    /// What the member calls the item.
    pub href: Href,
    /// When the content has this digest, `NotModified` answers instead of the content.
    pub known: Option<RawDigest>,
}

/// The answer for one [`ReadItem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadResult<'a> {
    /// Which of the asked items, counted from 0. Each is answered once, in order.
    pub index: u32,
    /// What was found.
    #[serde(borrow)]
    pub outcome: ReadOutcome<'a>,
}

/// What reading one item found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ReadOutcome<'a> {
    /// The item as it is stored.
    Item {
        /// The revision that the content has.
        revision: Revision,
        /// See [`Change::settled`].
        settled: bool,
        /// Encoding of the content.
        #[serde(borrow)]
        format: Cow<'a, str>,
        /// The content, exactly as stored.
        #[serde(borrow, with = "blob::cow")]
        data: Cow<'a, [u8]>,
    },
    /// The content has the digest that the reader named.
    NotModified {
        /// The revision that it has now.
        revision: Revision,
        /// See [`Change::settled`].
        settled: bool,
    },
    /// No item of this name: second evidence of a deletion (decisions S2).
    NotFound,
    /// The item could not be read.
    Failed(Error),
}

/// What a commit does to its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommitKind {
    /// The item must not be there yet.
    Create,
    /// The item must be there at the named revision.
    Update,
    /// The item must be there at the named revision, and goes away.
    Delete,
}

/// One write. Conditional always: a member that finds another state answers
/// [`crate::Code::PRECONDITION`] (or `EXISTS`) and changes nothing (decisions S5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitItem<'a> {
    /// The same on every retry of this write (decisions X1).
    pub operation: OperationId,
    /// What to do.
    pub kind: CommitKind,
    /// The item. For a create: empty (the member chooses), or the name to use if it is free.
    pub href: Href,
    /// The revision that the item must have (update, delete).
    pub expected: Option<Revision>,
    /// The digest of the content that the item must have (update, delete).
    pub expected_digest: Option<RawDigest>,
    /// The item's key across members (the UID of a vCard); names a created item.
    #[serde(borrow, with = "blob::cow")]
    pub key: Cow<'a, [u8]>,
    /// Object type of the content.
    #[serde(borrow)]
    pub object_type: Cow<'a, str>,
    /// Encoding of the content.
    #[serde(borrow)]
    pub format: Cow<'a, str>,
    /// SHA-256 of `data`; binds the operation to this content.
    pub digest: RawDigest,
    /// The new content; empty for a delete.
    #[serde(borrow, with = "blob::cow")]
    pub data: Cow<'a, [u8]>,
}

/// The answer for one [`CommitItem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitResult {
    /// Which write this answers.
    pub operation: OperationId,
    /// What became of it.
    pub outcome: CommitOutcome,
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum CommitOutcome {
    /// Done and durable.
    Done {
        /// What the member calls the item now.
        href: Href,
        /// The revision of what is stored now; empty after a delete.
        revision: Revision,
        /// See [`Change::settled`].
        settled: bool,
        /// SHA-256 of what is stored, where the member knows it. Differs from what was sent when
        /// the member rewrites (decisions S4). `None`: read it back.
        digest: Option<RawDigest>,
    },
    /// Not done, or not known to be: see the error's effect.
    Failed(Error),
}
