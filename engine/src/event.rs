//! Event: what the driver tells the engine.
//!
//! What comes from a member (entries, read results, commit results) is checked: a member that
//! breaks the contract is left alone for the rest of the run ([`crate::Report::MemberFailed`]).
//! Events for a member that is already left alone are ignored.

use outrigger_protocol::{Anchor, Change, CommitResult, Error, ReadResult, StoreId, Verdict};

use crate::action::{BatchId, Ticket};
use crate::row::Side;

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// An entry of the member's listing.
    Listed {
        /// The member.
        side: Side,
        /// The entry.
        change: Change,
    },
    /// The listing ended by its end mark ([`outrigger_protocol::Listing`]).
    ListEnd {
        /// The member.
        side: Side,
        /// Everything that is there was listed.
        complete: bool,
        /// Entries that the member says it sent.
        count: u64,
        /// Where the feed stood when the listing began.
        anchor: Option<Anchor>,
        /// The identity of the store behind the collection, where the member names one.
        store: Option<StoreId>,
    },
    /// The listing ended without its end mark.
    ListFailed {
        /// The member.
        side: Side,
        /// Why. [`outrigger_protocol::Code::SLOW_SYNC`] makes the engine ask once more, for
        /// everything.
        error: Error,
        /// As in [`Event::ListEnd`].
        store: Option<StoreId>,
    },
    /// An answer for one item of a read. The bytes are copied only if they are needed later.
    ReadItem {
        /// The member.
        side: Side,
        /// The call.
        batch: BatchId,
        /// The answer.
        result: ReadResult<'a>,
    },
    /// The read is over.
    ReadEnd {
        /// The member.
        side: Side,
        /// The call.
        batch: BatchId,
    },
    /// The read failed; the answers that came before stand.
    ReadFailed {
        /// The member.
        side: Side,
        /// The call.
        batch: BatchId,
        /// Why.
        error: Error,
    },
    /// The records are durable.
    Journaled {
        /// The transaction.
        ticket: Ticket,
    },
    /// The records are not durable, and the store can take no more in this run: nothing is written
    /// to any member from here on.
    JournalFailed {
        /// The transaction.
        ticket: Ticket,
        /// Why, in words for a person.
        reason: String,
    },
    /// The commit was answered.
    Committed {
        /// The member.
        side: Side,
        /// The call.
        batch: BatchId,
        /// One result per write.
        results: Vec<CommitResult>,
    },
    /// The commit failed as a whole. Unless the error's effect is
    /// [`outrigger_protocol::Effect::NotStarted`], its writes are in doubt and are read back at the
    /// next run.
    CommitFailed {
        /// The member.
        side: Side,
        /// The call.
        batch: BatchId,
        /// Why.
        error: Error,
    },
    /// The plugin compared two items. [`Verdict::Same`] makes them agreed as they are, if both
    /// members still hold what was compared; anything else is no news. A plugin that lies here
    /// keeps its member different, and overwrites nothing.
    Compared {
        /// The member.
        side: Side,
        /// The call.
        batch: BatchId,
        /// What the plugin thinks.
        verdict: Verdict,
    },
    /// The comparison failed: the two are taken for different.
    CompareFailed {
        /// The member.
        side: Side,
        /// The call.
        batch: BatchId,
        /// Why.
        error: Error,
    },
    /// The member's plugin died while it worked on these calls. What of them it had not answered is
    /// charged ([`crate::Charge`]). Comes before [`Event::MemberLost`], which ends those calls.
    Crashed {
        /// The member.
        side: Side,
        /// The reads and commits that were with the plugin; not those that waited on this side.
        open: Vec<BatchId>,
    },
    /// The member cannot be reached any more in this run. May come at any time; calls that were
    /// open need no other answer.
    MemberLost {
        /// The member.
        side: Side,
        /// Why.
        error: Error,
    },
}
