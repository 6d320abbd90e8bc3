//! Action: what the engine asks its driver to do.
//!
//! Calls to one member are made in the order of their actions; different members overlap. Each
//! action but [`Action::Finished`] is answered by the events that its text names.

use outrigger_protocol::{Anchor, CommitItem, Error, ReadItem};

use crate::journal::{DisputedCopy, Record};
use crate::row::{Content, MemberIndex, RowId};

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
        member: MemberIndex,
        /// Ask for everything, whatever the anchor.
        slow: bool,
        /// Changes since here suffice; `None` in a slow listing.
        anchor: Option<Anchor>,
    },
    /// Call `read`. Answered by [`crate::Event::ReadItem`] for each item, then
    /// [`crate::Event::ReadEnd`] or [`crate::Event::ReadFailed`].
    Read {
        /// The member.
        member: MemberIndex,
        /// The call's number, named in its events.
        batch: BatchId,
        /// At most 240, and the request fits what the member takes ([`crate::MemberSettings::max_body`]).
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
        member: MemberIndex,
        /// The call's number, named in its events.
        batch: BatchId,
        /// At most 240 writes, and the request fits what the member takes.
        items: Vec<CommitItem<'static>>,
    },
    /// Call `compare`. Answered by [`crate::Event::Compared`] or [`crate::Event::CompareFailed`]. At
    /// most eight are open at once.
    Compare {
        /// The member whose plugin is asked: it named the format ([`crate::MemberSettings::compares`]).
        member: MemberIndex,
        /// The call's number, named in its events.
        batch: BatchId,
        /// What both items are in.
        format: String,
        /// What one of them holds. With the other one it fits what the member takes.
        left: Vec<u8>,
        /// What another holds.
        right: Vec<u8>,
    },
    /// Make one content of those that are in conflict, from what was agreed before and all of them
    /// ([`crate::ConflictPolicy::Resolve`]). Answered by [`crate::Event::Resolved`]. At most eight are
    /// open at once.
    Resolve {
        /// The number, named in the event.
        batch: BatchId,
        /// Whose kept base is meant ([`Record::Base`]).
        row: RowId,
        /// What was agreed before; `None`: nothing.
        base: Option<Content>,
        /// What members hold, in their order: two to eight contents of one format.
        copies: Vec<DisputedCopy>,
    },
    /// The answer to [`crate::Event::Renamed`]: what the member said is durable, or why it was refused
    /// as a whole. It needs no answer.
    Renamed {
        /// The member.
        member: MemberIndex,
        /// The number of the event.
        batch: BatchId,
        /// Why it was refused.
        result: Result<(), Error>,
    },
    /// The run is over; the last report is [`crate::Report::Ended`]. No action follows, but what
    /// [`crate::Event::Renamed`] asks for.
    Finished,
}
