//! Event: what the driver tells the engine.
//!
//! What comes from a member (entries, read results, commit results) is checked: a member that
//! breaks the contract is left alone for the rest of the run ([`crate::Report::MemberFailed`]).
//! Events for a member that is already left alone are ignored.

use outrigger_protocol::{Anchor, Change, CommitResult, Error, Href, ReadResult, StoreId, Verdict};

use crate::action::{BatchId, Ticket};
use crate::row::MemberIndex;

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// An entry of the member's listing.
    Listed {
        /// The member.
        member: MemberIndex,
        /// The entry.
        change: Change,
    },
    /// The listing ended by its end mark ([`outrigger_protocol::Listing`]).
    ListEnd {
        /// The member.
        member: MemberIndex,
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
        member: MemberIndex,
        /// Why. [`outrigger_protocol::Code::SLOW_SYNC`] makes the engine ask once more, for
        /// everything.
        error: Error,
        /// As in [`Event::ListEnd`].
        store: Option<StoreId>,
    },
    /// An answer for one item of a read. The bytes are copied only if they are needed later.
    ReadItem {
        /// The member.
        member: MemberIndex,
        /// The call.
        batch: BatchId,
        /// The answer.
        result: ReadResult<'a>,
    },
    /// The read is over.
    ReadEnd {
        /// The member.
        member: MemberIndex,
        /// The call.
        batch: BatchId,
    },
    /// The read failed; the answers that came before stand.
    ReadFailed {
        /// The member.
        member: MemberIndex,
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
        member: MemberIndex,
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
        member: MemberIndex,
        /// The call.
        batch: BatchId,
        /// Why.
        error: Error,
    },
    /// The plugin compared two items. [`Verdict::Same`] makes them agreed as they are, if both
    /// still hold what was compared; anything else is no news. A plugin that lies here
    /// keeps its member different, and overwrites nothing.
    Compared {
        /// The member.
        member: MemberIndex,
        /// The call.
        batch: BatchId,
        /// What the plugin thinks.
        verdict: Verdict,
    },
    /// What came of two contents in conflict.
    Resolved {
        /// The number of the action.
        batch: BatchId,
        /// The content for all members, in the format of both; or why a person must choose. What is
        /// not what it claims to be (another UID, too large, empty) is refused.
        result: Result<Vec<u8>, String>,
    },
    /// The comparison failed: the two are taken for different.
    CompareFailed {
        /// The member.
        member: MemberIndex,
        /// The call.
        batch: BatchId,
        /// Why.
        error: Error,
    },
    /// The member calls items otherwise than before (decisions X4). May come at any time, also while it
    /// works on a call, and after [`crate::Action::Finished`]. Answered by [`crate::Action::Renamed`],
    /// perhaps behind an [`crate::Action::Journal`]. The most that a member that lies brings about is that
    /// two of its own items change places: their contents are compared as edits then.
    Renamed {
        /// The member.
        member: MemberIndex,
        /// A number of the driver's, named in the answer.
        batch: BatchId,
        /// Old and new name of each item; a name that is not known is passed over.
        names: Vec<(Href, Href)>,
    },
    /// The member's plugin died while it worked on these calls. What of them it had not answered is
    /// charged ([`crate::Charge`]). Comes before [`Event::MemberLost`], which ends those calls.
    Crashed {
        /// The member.
        member: MemberIndex,
        /// The reads and commits that were with the plugin; not those that waited on this side.
        open: Vec<BatchId>,
    },
    /// The member cannot be reached any more in this run. May come at any time; calls that were
    /// open need no other answer.
    MemberLost {
        /// The member.
        member: MemberIndex,
        /// Why.
        error: Error,
    },
}

impl Event<'_> {
    /// The member that it is about, where it is about one.
    pub(crate) const fn member(&self) -> Option<MemberIndex> {
        match self {
            Event::Listed { member, .. }
            | Event::ListEnd { member, .. }
            | Event::ListFailed { member, .. }
            | Event::ReadItem { member, .. }
            | Event::ReadEnd { member, .. }
            | Event::ReadFailed { member, .. }
            | Event::Committed { member, .. }
            | Event::CommitFailed { member, .. }
            | Event::Compared { member, .. }
            | Event::CompareFailed { member, .. }
            | Event::Renamed { member, .. }
            | Event::Crashed { member, .. }
            | Event::MemberLost { member, .. } => Some(*member),
            Event::Journaled { .. } | Event::JournalFailed { .. } | Event::Resolved { .. } => None,
        }
    }
}
