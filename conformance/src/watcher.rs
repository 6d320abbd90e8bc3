//! Watching a check while it goes on: a slow plugin may take minutes.

use crate::rule::Rule;
use crate::verdict::Verdict;

/// Hears of a check while it goes on, and may end it.
pub trait Watcher: Send + Sync {
    /// A rule held for the first time, or is broken. One that held may still be broken later; one that
    /// is broken stays so.
    fn rule(&self, _rule: Rule, _verdict: &Verdict) {}

    /// So many of the items for the rule `memory` are written.
    fn written(&self, _done: usize, _of: usize) {}

    /// Whether the check is to end now; asked ten times a second while the plugin is waited for.
    fn is_over(&self) -> bool {
        false
    }
}

/// A watcher that looks away.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {}
