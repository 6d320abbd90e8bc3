//! Drift: items at which the state says that members are in step, and they are not.
//!
//! Two dry runs. The first has every member list everything and reads every item; the second goes by
//! revisions and anchors, as a sync does. What only the first one finds, no sync would find. In this order,
//! what is edited meanwhile is found by the second too, and is no drift.

use std::io::{self, Write};

use outrigger_protocol::{Printable, Words};
use serde::Serialize;

use crate::config::Config;
use crate::exit::Exit;
use crate::report::{Failure, FailureSummary, ItemSummary, RunReport, called};
use crate::run::{Options, Watcher, run};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Why not all could be looked at.
    failures: Vec<FailureSummary>,
    /// Items that are out of step.
    items: Vec<DriftItem>,
}

/// One item that is out of step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriftItem {
    group: String,
    collection: String,
    /// What a sync would do about it, if it saw it.
    #[serde(flatten)]
    item: ItemSummary,
}

/// Looks for drift in these groups; in all, if none is named. Writes nothing.
///
/// # Errors
/// A group that the configuration does not have.
pub async fn drift(config: &Config, groups: &[String], watcher: &dyn Watcher) -> Result<Drift, Failure> {
    let targets = groups.iter().map(|group| (group.clone(), None)).collect();
    let sees_all = Options { targets, dry_run: true, keep_plan: true, verify: true, ..Options::default() };
    let usual = Options { verify: false, ..sees_all.clone() };
    let all = run(config, &sees_all, watcher).await?;
    let seen = run(config, &usual, watcher).await?;
    Ok(Drift::between(&all, &seen))
}

impl Drift {
    fn between(all: &RunReport, seen: &RunReport) -> Self {
        let mut items = Vec::new();
        for group in &all.groups {
            let seen = seen.groups.iter().find(|seen| seen.name == group.name);
            for collection in &group.collections {
                let mut seen = seen.iter().flat_map(|seen| &seen.collections);
                let seen = seen.find(|seen| seen.name == collection.name);
                let is_news = |found: &&_| seen.is_none_or(|seen| !seen.found.contains(found));
                let of =
                    |item| DriftItem { group: group.name.clone(), collection: collection.name.clone(), item };
                let found = collection.found.iter().filter(is_news);
                items.extend(found.filter_map(|report| ItemSummary::of(group, report)).map(of));
            }
        }
        Self { failures: all.summary().outcome.failures, items }
    }

    /// Four if anything is out of step.
    pub(super) fn exit(&self) -> Exit {
        let drift = if self.items.is_empty() { Exit::Done } else { Exit::Partial };
        let failures = self.failures.iter().filter_map(|failure| Exit::of_code(failure.exit));
        failures.fold(drift, Exit::or_worse)
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for failure in &self.failures {
            writeln!(out, "verify       {}", Printable(&failure.message))?;
        }
        let mut groups: Vec<&str> = self.items.iter().map(|item| item.group.as_str()).collect();
        groups.dedup();
        if groups.is_empty() && self.failures.is_empty() {
            return writeln!(out, "verify       every item is as the state says");
        }
        self.items.iter().try_for_each(|item| writeln!(out, "drift        {}", item.line()))?;
        for group in groups {
            writeln!(
                out,
                "             a sync by itself does not see this; bring it across:   {} sync {group} --verify",
                called()
            )?;
        }
        Ok(())
    }
}

impl DriftItem {
    fn line(&self) -> String {
        let names = self.item.names.iter().map(|(member, name)| format!("{} at {member}", Words(name)));
        let names = names.collect::<Vec<_>>().join(", ");
        let Self { group, collection, item } = self;
        let to_do = match &item.member {
            Some(member) => format!("{} on {member}", item.what),
            None => "members contradict each other".to_owned(),
        };
        format!("{group}/{}: {names}: {to_do}", Printable(collection))
    }
}
