//! Report: what a run tells the user, as values.
//!
//! Texts that a member wrote are marked by their field's name (`words`): print them as such.

use outrigger_protocol::{Code, CommitKind, Href};

use crate::row::{Key, RowId, Side};

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The member's listing ended well.
    Listed {
        /// The member.
        side: Side,
        /// Entries.
        count: u64,
        /// Whether it says all: everything there is, or all changes since the anchor. False: a part
        /// is missing, and what was not listed is left alone.
        complete: bool,
    },
    /// A write that this run is going to make (or would make, in a dry run), as decided before the
    /// first write. In a first synchronisation creates are decided while items arrive and are told
    /// only by the final counts.
    Planned {
        /// The member to be written.
        side: Side,
        /// What is done.
        kind: CommitKind,
        /// What A and B call the item; `None`: it is not there.
        names: [Option<Href>; 2],
        /// What it is called across members.
        key: Key,
    },
    /// A new or changed conflict waits for a person.
    Conflict {
        /// Its row.
        row: RowId,
        /// What A and B call the item; `None`: it was deleted there.
        names: [Option<Href>; 2],
        /// What it is called across members.
        key: Key,
    },
    /// An item is left alone until its content changes.
    Quarantined {
        /// Its row.
        row: RowId,
        /// The member that holds it.
        side: Side,
        /// What the member calls it.
        href: Href,
        /// Why. May quote a member.
        reason: String,
    },
    /// The member's plugin died, and what it was working on is charged.
    Charged {
        /// The member.
        side: Side,
        /// Items that it may have died over.
        items: usize,
        /// Those of them that it has now died over three times: they are set aside from the next run
        /// on.
        set_aside: usize,
    },
    /// An item could not be brought across in this run; the next run tries again.
    Pending {
        /// The member that would have been read or written.
        side: Side,
        /// What that member, or the other, calls the item.
        href: Href,
        /// Why. May quote a member.
        reason: String,
    },
    /// A read or a commit failed as a whole, and not for want of the member: the items in it wait for
    /// the next run. Or a comparison failed: the two items are taken for different.
    CallFailed {
        /// The member.
        side: Side,
        /// Why. May quote the member.
        words: String,
    },
    /// More items of this member were left pending or quarantined, or more calls failed, than were told one by one.
    Untold {
        /// The member.
        side: Side,
        /// How many.
        count: u64,
    },
    /// Too many deletions: nothing is written to this member in this run.
    GuardStop {
        /// The member.
        side: Side,
        /// Deletions planned there: the number that [`crate::Settings::allow_deletes`] must name.
        planned: u64,
        /// Items known there.
        total: u64,
        /// Up to ten of the items, as the member calls them.
        names: Vec<Href>,
    },
    /// The member is another store than at the last run: it is left alone.
    StoreChanged {
        /// The member.
        side: Side,
    },
    /// The member failed or broke the contract: it is left alone for the rest of the run.
    MemberFailed {
        /// The member.
        side: Side,
        /// What kind of failure.
        class: FailureClass,
        /// Why. May quote the member.
        words: String,
    },
    /// The state could not be made durable: the run wrote nothing more.
    JournalFailed {
        /// Why.
        reason: String,
    },
    /// The run is over. The last report.
    Ended(Summary),
}

/// Why a member is left alone: who has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// It broke the contract: its plugin has a defect, or lies. Trying again does not help.
    Contract,
    /// It could not list, or is gone; the code of that error tells the rest.
    Call(Code),
    /// It is another store than at the last run ([`Report::StoreChanged`]).
    OtherStore,
}

/// What happened at one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Entries in its listing.
    pub listed: u64,
    /// Items whose bytes were received from it.
    pub read: u64,
    /// Items created on it.
    pub created: u64,
    /// Items updated on it.
    pub updated: u64,
    /// Items deleted on it.
    pub deleted: u64,
    /// Writes that it was sent and that are not known to be done.
    pub in_doubt: u64,
    /// Writes that are owed to it and kept because it is read-only.
    pub kept: u64,
}

/// What a whole run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Per member.
    pub sides: [Counts; 2],
    /// Conflicts that wait, new ones included.
    pub conflicts: u64,
    /// Conflicts raised by this run.
    pub new_conflicts: u64,
    /// Items left alone.
    pub quarantined: u64,
    /// Items with news that did not reach the other member (kept ones are counted apart).
    pub pending: u64,
    /// Members that a guard stopped.
    pub guard: [bool; 2],
    /// Members that failed, were lost or could not be listed in full.
    pub failed: [bool; 2],
    /// [`crate::Settings::allow_deletes`] let deletions through: it must not be given again.
    pub leave_used: bool,
    /// The state could not be made durable.
    pub journal_failed: bool,
    /// It was a dry run.
    pub dry_run: bool,
}

impl Summary {
    /// Whether everything that could be done was done.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let failed = self.failed.iter().chain(&self.guard).any(|flag| *flag);
        let left = self.conflicts
            + self.quarantined
            + self.pending
            + self.sides.iter().map(|s| s.in_doubt).sum::<u64>();
        !failed && !self.journal_failed && left == 0
    }
}
