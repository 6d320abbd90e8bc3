//! Conflicts that a run raised, as a person goes on with them.

use outrigger_engine::{Key, RowId};
use outrigger_protocol::Href;

use super::called::called;

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Raised {
    /// Its row in its collection.
    pub(crate) row: RowId,
    /// What each member calls the item, in their order; `None`: it is not there.
    pub(super) names: Vec<Option<Href>>,
    /// What it is called across members.
    pub(super) key: Key,
    /// A plan has not looked at the contents: the policy of the group may settle it.
    pub(super) is_for_policy: bool,
    /// What it is called on the command line; `None`: it is not looked up, or waits no more.
    pub(crate) known: Option<Known>,
}

/// What a conflict is called.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// As much of its ID as is shown.
    pub(crate) short: String,
    /// All digits.
    pub(crate) id: String,
    /// What a person calls the item. A member's words.
    pub(crate) title: String,
}

impl Known {
    /// The command line that shows it, and how to settle it.
    pub(super) fn command(&self) -> String {
        format!("{} conflicts show {}", called(), self.short)
    }
}
