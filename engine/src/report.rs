//! Report: what a run tells the user, as values.
//!
//! Texts that a member wrote are marked by their field's name (`words`): print them as such.

use outrigger_protocol::{Code, CommitKind, Href, RawDigest};

use crate::row::{Key, MemberIndex, RowId};

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The member's listing ended well.
    Listed {
        /// The member.
        member: MemberIndex,
        /// Entries.
        count: u64,
        /// Whether it says all: everything there is, or all changes since the anchor. False: a part
        /// is missing, and what was not listed is left alone.
        complete: bool,
    },
    /// A write that this run is going to make (or would make, in a dry run), as decided before the
    /// first write. In a first synchronisation creates are decided while items arrive and are told
    /// only by the final counts.
    Planned(PlannedWrite),
    /// A write that is owed to a member that takes none, or no deletions: it is kept. At the end of a
    /// run; of each member the first ones, [`Counts::kept`] counts them all.
    Kept(PlannedWrite),
    /// A new or changed conflict waits for a person.
    Conflict {
        /// Its row.
        row: RowId,
        /// What each member calls the item, in their order; `None`: it is not there.
        names: Vec<Option<Href>>,
        /// What it is called across members.
        key: Key,
        /// In a dry run: the policy may settle it, so that a run would ask nobody. Not so in a run.
        is_for_policy: bool,
    },
    /// An item is left alone until its content changes.
    Quarantined {
        /// Its row.
        row: RowId,
        /// The member that holds it.
        member: MemberIndex,
        /// What the member calls it.
        href: Href,
        /// Why. May quote a member.
        reason: String,
    },
    /// The member's plugin died, and what it was working on is charged.
    Charged {
        /// The member.
        member: MemberIndex,
        /// Items that it may have died over.
        items: usize,
        /// Those of them that it has now died over three times: they are set aside from the next run
        /// on.
        set_aside: usize,
    },
    /// An item could not be brought across in this run; the next run tries again.
    Pending {
        /// The member that would have been read or written.
        member: MemberIndex,
        /// What that member, or another, calls the item.
        href: Href,
        /// Why. May quote a member.
        reason: String,
    },
    /// A read or a commit failed as a whole, and not for want of the member: the items in it wait for
    /// the next run. Or a comparison failed: the two items are taken for different.
    CallFailed {
        /// The member.
        member: MemberIndex,
        /// Why. May quote the member.
        words: String,
    },
    /// More items of this member were left pending or quarantined, or more calls failed, than were told one by one.
    Untold {
        /// The member.
        member: MemberIndex,
        /// How many.
        count: u64,
    },
    /// More is to be done to a member than is taken for a wish: nothing is written to it in this run.
    GuardStop {
        /// The member.
        member: MemberIndex,
        /// What there is too much of.
        guard: Guard,
        /// Writes of that kind planned there: the number that [`crate::Settings::allow`] must name.
        planned: u64,
        /// Rows among them in conflict, which a policy may settle: they count as all that could come of it.
        disputed: u64,
        /// Items known there.
        total: u64,
        /// Up to ten of the items, as the member calls them; of creates, as others call them.
        names: Vec<Href>,
    },
    /// The member is another store than at the last run: it is left alone.
    StoreChanged {
        /// The member.
        member: MemberIndex,
    },
    /// The member failed or broke the contract: it is left alone for the rest of the run.
    MemberFailed {
        /// The member.
        member: MemberIndex,
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

/// A write as it was planned: enough to tell whether it is still the same
/// ([`crate::Settings::only`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedWrite {
    /// The member to be written.
    pub member: MemberIndex,
    /// What is done.
    pub kind: CommitKind,
    /// What each member calls the item, in their order; `None`: it is not there.
    pub names: Vec<Option<Href>>,
    /// What it is called across members.
    pub key: Key,
    /// What the member holds now (update, delete).
    pub expected: Option<RawDigest>,
    /// What it is to hold (create, update).
    pub content: Option<RawDigest>,
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
    /// Writes that it was sent, in this run or before, and that nobody knows to be done or not.
    pub in_doubt: u64,
    /// Writes that are owed to it and kept because it takes none, or no deletions.
    pub kept: u64,
}

/// What is counted before a run writes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// Deletions ([`crate::MaxDelete`]).
    Deletes,
    /// Updates of nearly everything ([`crate::Settings::max_update`]).
    Updates,
    /// Creates after a slow listing of a collection that was in step before
    /// ([`crate::Settings::max_create_on_slow`]): this is how duplicates flood an address book.
    Creates,
}

/// What a run came to at one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemberSummary {
    /// What happened there.
    pub counts: Counts,
    /// A guard stopped it.
    pub guard: bool,
    /// It failed, was lost or could not be listed in full.
    pub failed: bool,
}

/// What a whole run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Per member, in their order.
    pub members: Vec<MemberSummary>,
    /// Conflicts that wait, new ones included.
    pub conflicts: u64,
    /// Conflicts raised by this run.
    pub new_conflicts: u64,
    /// Conflicts settled by this run: by the policy, a merge, or a command.
    pub resolved: u64,
    /// Items left alone at one member or more.
    pub quarantined: u64,
    /// Items with news that did not reach every member (kept ones are counted apart).
    pub pending: u64,
    /// The leave for these guards ([`crate::Settings::allow`]) was made use of: it must not be given
    /// again.
    pub used: Vec<Guard>,
    /// The state could not be made durable.
    pub journal_failed: bool,
    /// It was a dry run.
    pub dry_run: bool,
}

impl Summary {
    /// Whether everything that could be done was done.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_well = |member: &MemberSummary| !member.failed && !member.guard && member.counts.in_doubt == 0;
        let left = self.conflicts + self.quarantined + self.pending;
        self.members.iter().all(is_well) && !self.journal_failed && left == 0
    }
}
