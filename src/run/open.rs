//! Open: a group whose state, locks and plugins stay from one sync to the next.

use std::cell::Cell;
use std::sync::Arc;

use outrigger_engine::Allow;

use super::group::GroupRun;
use super::options::{Options, Watcher};
use super::resources::Resources;
use super::session::MemberSession;
use super::targets::unknown_group;
use super::{heal, stored, together};
use crate::config::{Config, GroupConfig};
use crate::exit::Exit;
use crate::report::{Failure, GroupReport, PluginReport};

/// A group that is synchronised again and again: its state stays open and locked, and its plugins keep
/// running, until it is closed. Nobody else can sync it, or another group with one of its members,
/// meanwhile.
///
/// Dropping it ends its plugins too, but tells nobody what they had used.
pub struct OpenGroup<'c> {
    config: &'c Config,
    group: &'c GroupConfig,
    options: Options,
    /// Those that are wanted; all when empty.
    collections: Vec<String>,
    resources: Resources,
    /// A sync was dropped before its end.
    is_cut_off: bool,
}

/// What is left of a group that was closed.
#[derive(Debug)]
pub struct Closed {
    /// What its plugins had used.
    pub plugins: Vec<PluginReport>,
    /// What a person is told of their crashes.
    pub notes: Vec<String>,
    /// Why its state could not be closed well; what was acknowledged is durable all the same.
    pub failure: Option<Failure>,
}

impl<'c> OpenGroup<'c> {
    /// Opens and locks the state of the group called `name`, and locks its members; waits up to 5 s for
    /// whoever holds a lock. The plugins are started by the first sync. Of the targets in `options` only
    /// the collections of this group count.
    ///
    /// # Errors
    /// The configuration has no such group, or names plugins that are not there; or the state or a lock
    /// cannot be had.
    pub async fn open(config: &'c Config, name: &str, options: Options) -> Result<Self, Failure> {
        let group = config.group(name).ok_or_else(|| unknown_group(config, name))?;
        let wanted = options.targets.iter().filter(|(target, _)| *target == group.name);
        let collections: Option<Vec<String>> = wanted.map(|(_, collection)| collection.clone()).collect();
        Self::begin(config, group, collections.unwrap_or_default(), options).await
    }

    pub(super) async fn begin(
        config: &'c Config,
        group: &'c GroupConfig,
        collections: Vec<String>,
        options: Options,
    ) -> Result<Self, Failure> {
        let resources = Resources::acquire(config, group, &options).await?;
        Ok(Self { config, group, options, collections, resources, is_cut_off: false })
    }

    /// Synchronises the group once, with the plugins of the last time where they still run; whatever goes
    /// wrong is in the report. What the options allow in spite of a guard, and that crashed plugins are
    /// tried once more, is good for the first sync.
    ///
    /// A sync that is dropped before its end is a run that was cut off. Whatever is asked of the group then
    /// fails: a plugin of it may still be on its way out. Opening it anew waits for that (decisions X3).
    pub async fn sync(&mut self, watcher: &dyn Watcher) -> GroupReport {
        let report = self.run(watcher).await;
        self.options.allow = Allow::default();
        self.options.retry_crashed = false;
        report
    }

    /// The same; what is left of the user's leave stays.
    pub(super) async fn run(&mut self, watcher: &dyn Watcher) -> GroupReport {
        let Self { config, group, options, collections, .. } = self;
        let leave = Cell::new(options.allow);
        let plan = options.plan.as_ref().and_then(|plan| plan.word()).map(str::to_owned);
        let authorities = config.authorities(group);
        let report =
            GroupReport { plan, authorities, ..GroupReport::new(&group.name, group.members.clone()) };
        let mut run = GroupRun { config, group, options, collections, watcher, leave: &leave, report };
        let synced = match std::mem::replace(&mut self.is_cut_off, true) {
            true => return GroupReport { failures: vec![cut_off(group)], ..run.report },
            false => run.sync(&mut self.resources).await,
        };
        run.report.failures.extend(synced.err());
        let report = run.report;
        self.options.allow = leave.get();
        self.is_cut_off = false;
        report
    }

    /// What is left of the user's leave.
    pub(super) const fn leave(&self) -> Allow {
        self.options.allow
    }

    /// Asks all members that run which collections they have now; a sync goes by what was found last.
    /// One that cannot say keeps what it had said.
    ///
    /// # Errors
    /// The first one that cannot say.
    pub async fn look_again(&self) -> Result<(), Failure> {
        let sessions = self.resources.sessions.iter().flatten();
        let looked = together::all(sessions.map(MemberSession::look_again)).await;
        looked.into_iter().collect()
    }

    /// Ends its plugins and closes its state.
    pub async fn close(mut self) -> Closed {
        let notes = self.resources.sessions.iter().flatten().filter_map(MemberSession::note).collect();
        let plugins = self.stop().await;
        let Resources { store, .. } = self.resources;
        let closed = match Arc::into_inner(store) {
            Some(store) => stored::beside(&self.group.name, move || store.close()).await,
            None => Ok(()), // a plugin's last request is about to end, and closes it
        };
        Closed { plugins, notes, failure: closed.err() }
    }

    /// Ends all plugins, and says what they had used. A crash in their last moments counts too.
    async fn stop(&mut self) -> Vec<PluginReport> {
        let sessions = self.resources.sessions.iter_mut().filter_map(Option::take);
        let mut plugins = Vec::new();
        for (report, crashes) in together::a_few(sessions.map(MemberSession::stop)).await {
            if report.crashes > 0 {
                heal::keep(&self.resources.store, &self.group.name, &report.member, crashes).await;
            }
            plugins.push(report);
        }
        plugins
    }
}

impl std::fmt::Debug for OpenGroup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenGroup").field("group", &self.group.name).finish_non_exhaustive()
    }
}

fn cut_off(group: &GroupConfig) -> Failure {
    Failure::new(Exit::Locked, format!("a sync of {} was cut off in this process", group.name))
        .hint("close the group and open it anew")
}
