//! Journal: what must be durable before the next step, as values.
//!
//! The engine hands out [`Record`]s and waits until the store has made them durable; the store
//! hands back a [`Snapshot`] at the next start. The order is the promise: undo bytes and intent
//! before a write is sent, the row after its answer, the anchor last.

use outrigger_protocol::{Anchor, CommitKind, Href, OperationId, Revision, StoreId};

use crate::charge::Charge;
use crate::row::{Content, Key, MemberIndex, Row, RowId};
use crate::rows::Rows;

/// A write that is about to be sent, or was sent and not yet answered (decisions X1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The write's ID, the same on every retry.
    pub operation: OperationId,
    /// The row it belongs to.
    pub row: RowId,
    /// The member it is meant for.
    pub member: MemberIndex,
    /// What it does.
    pub kind: CommitKind,
    /// The item (update, delete), or empty (create: the member chooses).
    pub href: Href,
    /// The row's key, for finding a create whose answer was lost.
    pub key: Key,
    /// The state that the write is conditional on (update, delete).
    pub expected: Option<(Revision, Content)>,
    /// The content it brings (create, update).
    pub content: Option<Content>,
    /// The row's version that this brings to the member.
    pub version: u64,
}

/// Bytes that a write is about to overwrite or delete (decisions X6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    /// The write that takes them away.
    pub operation: OperationId,
    /// The row that they belong to.
    pub row: RowId,
    /// What the item is called across members.
    pub key: Key,
    /// Whether they are overwritten or deleted.
    pub kind: CommitKind,
    /// The member that held them.
    pub member: MemberIndex,
    /// What it called them.
    pub href: Href,
    /// They are the member's own, and were overruled; not what it had been brought or agreed on.
    pub own: bool,
    /// Encoding of the content.
    pub format: String,
    /// The content.
    pub data: Vec<u8>,
}

/// What one member holds of an item in conflict, for the person who has to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputedCopy {
    /// The member.
    pub member: MemberIndex,
    /// Encoding of the content.
    pub format: String,
    /// The content.
    pub data: Vec<u8>,
}

/// One thing to make durable. A batch of records is one transaction: all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Keep these bytes.
    Undo(Undo),
    /// This write is about to be sent.
    Intent(Intent),
    /// This write is answered: the intent is closed.
    Settled(OperationId),
    /// This write is known not to have happened, and will never be sent again: the intent is closed, and
    /// the bytes that were kept for it go. The member still holds them.
    NotDone(OperationId),
    /// The row now looks like this (new or changed). If it has no conflict any more, its disputed
    /// copies go.
    Row(Box<Row>),
    /// The row is gone, and all that is kept with it.
    DropRow(RowId),
    /// The bytes of what a row is going to agree on, for merging later edits with. The latest two of
    /// a row suffice. Only under [`crate::ConflictPolicy::Resolve`].
    Base {
        /// The row.
        row: RowId,
        /// Its digests.
        content: Content,
        /// Encoding of the content.
        format: String,
        /// The content.
        data: Vec<u8>,
    },
    /// What the members held of a row when its conflict was raised: replaces what is kept of it.
    Disputed(RowId, Vec<DisputedCopy>),
    /// The member's feed stood here, and everything in it is durable as observed.
    Anchor(MemberIndex, Anchor),
    /// The identity of the store behind the member's collection.
    Store(MemberIndex, StoreId),
    /// So many crashes are held against this; none: forget it.
    Charge(Charge),
}

/// What the store knows of one collection of a group when a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// All rows, in no particular order, each with an entry place for every member.
    pub rows: Rows,
    /// Writes without a durable answer, oldest first.
    pub intents: Vec<Intent>,
    /// Where each member's feed stood, in the order of members.
    pub anchors: Vec<Option<Anchor>>,
    /// The store identity last seen at each member, in the order of members.
    pub stores: Vec<Option<StoreId>>,
    /// The highest row number ever given.
    pub last_row: u64,
    /// Crashes that are held against items, in no particular order.
    pub charges: Vec<Charge>,
}
