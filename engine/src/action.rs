//! Action: what the engine asks its driver to do.
//!
//! Calls to one member are made in the order of their actions; the two members overlap. Each
//! action but [`Action::Finished`] is answered by the events that its text names.

use outrigger_protocol::{Anchor, CommitItem, ReadItem};

use crate::journal::Record;
use crate::row::Side;

/// The number of one read, commit or compare call; unique in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(pub u64);

/// The number of one journal transaction; unique in a run, rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Call `get_changes`. Answered by [`crate::Event::Listed`] for each entry, then
    /// [`crate::Event::ListEnd`] or [`crate::Event::ListFailed`].
    List {
        /// The member.
        side: Side,
        /// Ask for everything, whatever the anchor.
        slow: bool,
        /// Changes since here suffice; `None` in a slow listing.
        anchor: Option<Anchor>,
    },
    /// Call `read`. Answered by [`crate::Event::ReadItem`] for each item, then
    /// [`crate::Event::ReadEnd`] or [`crate::Event::ReadFailed`].
    Read {
        /// The member.
        side: Side,
        /// The call's number, named in its events.
        batch: BatchId,
        /// At most 240, and the request fits what the member takes ([`crate::Settings::max_body`]).
        items: Vec<ReadItem>,
    },
    /// Make the records durable in one transaction, after those of all lower tickets. Answered by
    /// [`crate::Event::Journaled`] or [`crate::Event::JournalFailed`].
    Journal {
        /// The transaction's number.
        ticket: Ticket,
        /// Never empty.
        records: Vec<Record>,
    },
    /// Call `commit`. Answered by [`crate::Event::Committed`] or [`crate::Event::CommitFailed`].
    Commit {
        /// The member.
        side: Side,
        /// The call's number, named in its events.
        batch: BatchId,
        /// At most 240 writes, and the request fits what the member takes.
        items: Vec<CommitItem<'static>>,
    },
    /// Call `compare`. Answered by [`crate::Event::Compared`] or [`crate::Event::CompareFailed`]. At
    /// most eight are open at once.
    Compare {
        /// The member whose plugin is asked: it named the format ([`crate::Settings::compares`]).
        side: Side,
        /// The call's number, named in its events.
        batch: BatchId,
        /// What both items are in.
        format: String,
        /// What A holds. With the other one it fits what the member takes.
        left: Vec<u8>,
        /// What B holds.
        right: Vec<u8>,
    },
    /// The run is over; the last report is [`crate::Report::Ended`]. No action follows.
    Finished,
}
