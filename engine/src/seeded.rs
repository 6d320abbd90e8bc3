//! Seeded: defects on demand, so that the tests can show that they would find them.
//!
//! Each is one that such engines have had. None is compiled in without the feature `seeded-bugs`, which
//! only the tests of this room turn on.

use crate::state::Run;

/// A defect.
#[cfg_attr(not(feature = "seeded-bugs"), allow(unreachable_pub, reason = "only tests see it"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A write is sent before its intent and the bytes that it takes away are durable.
    SentBeforeDurable,
    /// The anchor is stored before the rows that its feed named.
    AnchorBeforeRows,
    /// What an incomplete listing leaves out is taken for deleted.
    DeletionFromIncompleteListing,
    /// After a write the member is taken to hold what it held before.
    DigestFromBeforeTheWrite,
    /// What we wrote ourselves is taken for an edit when it is listed.
    EchoTakenForEdit,
    /// Deletions do not wait for creates.
    DeletionBeforeCreate,
    /// What loses a conflict is not kept in the undo journal.
    LoserNotJournalled,
    /// A write that is sent again gets a new operation ID.
    RetryWithNewId,
    /// An update is sent without the state that it is conditional on.
    PreconditionDropped,
    /// The group agrees for a member that it has not seen.
    UnreachableAdvanced,
}

impl Run {
    #[cfg(feature = "seeded-bugs")]
    pub(crate) fn is_seeded(&self, bug: Bug) -> bool {
        self.settings.bug == Some(bug)
    }

    #[cfg(not(feature = "seeded-bugs"))]
    #[allow(clippy::unused_self, reason = "the twin looks")]
    pub(crate) const fn is_seeded(&self, _bug: Bug) -> bool {
        false
    }
}
