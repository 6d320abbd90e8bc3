//! Synchronises a group.
#![forbid(unsafe_code)]

mod journal;
mod row;

pub use journal::{Intent, Record, Snapshot, Undo};
pub use row::{Conflict, Content, Digest, Entry, Key, Observed, Row, RowId, Side};
