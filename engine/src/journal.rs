//! Journal: what must be durable before the next step, as values.
//!
//! The engine hands out [`Record`]s and waits until the store has made them durable; the store
//! hands back a [`Snapshot`] at the next start. The order is the promise: undo bytes and intent
//! before a write is sent, the row after its answer, the anchor last.

use outrigger_protocol::{Anchor, CommitKind, Href, OperationId, Revision, StoreId};

use crate::charge::Charge;
use crate::row::{Content, Key, Row, RowId, Side};

/// A write that is about to be sent, or was sent and not yet answered (decisions X1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The write's ID, the same on every retry.
    pub operation: OperationId,
    /// The row it belongs to.
    pub row: RowId,
    /// The member it is meant for.
    pub side: Side,
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
    /// The row's version once this is done.
    pub version: u64,
}

/// Bytes that a write is about to overwrite or delete (decisions X6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undo {
    /// The write that takes them away.
    pub operation: OperationId,
    /// The member that held them.
    pub side: Side,
    /// What it called them.
    pub href: Href,
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
    /// This write is answered, or will never be sent: the intent is closed.
    Settled(OperationId),
    /// The row now looks like this (new or changed).
    Row(Box<Row>),
    /// The row is gone.
    DropRow(RowId),
    /// The member's feed stood here, and everything in it is durable as observed.
    Anchor(Side, Anchor),
    /// The identity of the store behind the member's collection.
    Store(Side, StoreId),
    /// So many crashes are held against this; none: forget it.
    Charge(Charge),
}

/// What the store knows of one pair of collections when a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// All rows, in no particular order.
    pub rows: Vec<Row>,
    /// Writes without a durable answer, oldest first.
    pub intents: Vec<Intent>,
    /// Where each member's feed stood.
    pub anchors: [Option<Anchor>; 2],
    /// The store identity last seen at each member.
    pub stores: [Option<StoreId>; 2],
    /// The highest row number ever given.
    pub last_row: u64,
    /// Crashes that are held against items, in no particular order.
    pub charges: Vec<Charge>,
}
