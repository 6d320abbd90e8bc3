//! What a run is asked to do, and whom it tells meanwhile.

use std::sync::Arc;

use outrigger_engine::Allow;

use super::keeper::Asker;
use super::members::Plugins;
use crate::plan::Plan;

/// What a run is asked to do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Groups and the collections of them that are wanted; all when empty.
    pub targets: Vec<(String, Option<String>)>,
    /// Decide, and write nothing at all.
    pub dry_run: bool,
    /// The user's leave for what a guard stopped, each good for one member of one collection in the whole
    /// run.
    pub allow: Allow,
    /// Keep all that a dry run finds to do in its report, for [`Plan::of`].
    pub keep_plan: bool,
    /// Do what is in this plan and still the same, and nothing else. [`Self::targets`] must be its own.
    pub plan: Option<Arc<Plan>>,
    /// Have every member list everything, and read every item, whatever its revision says.
    pub verify: bool,
    /// What was set aside because a plugin crashed is tried once more: members, and items.
    pub retry_crashed: bool,
    /// Plugins besides the first-party ones.
    pub plugins: Plugins,
    /// Asks the user what a plugin wants to know; nobody is there without it.
    pub asker: Option<Arc<dyn Asker>>,
}

/// What is told while a run goes on.
pub trait Watcher: Send + Sync {
    /// A phase of a collection, in a few words.
    fn phase(&self, group: &str, collection: &str, words: &str);

    /// Writes that are answered, of those that are known to be needed; `total` grows while items
    /// are still being looked at.
    fn written(&self, done: u64, total: u64);
}

/// A watcher that looks away.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn phase(&self, _group: &str, _collection: &str, _words: &str) {}
    fn written(&self, _done: u64, _total: u64) {}
}
