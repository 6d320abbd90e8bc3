//! A run: where deciding (engine), doing (broker) and remembering (store) meet.
//!
//! Groups are run one after the other (`group`). For each: the state is opened and locked, one
//! plugin a member is started, collections are mapped, and for each of them the engine is driven to
//! its end (`drive`). Nothing is decided here.

mod calls;
mod check;
mod collections;
mod crew;
mod disputed;
mod drive;
mod found;
mod grants;
mod group;
mod heal;
mod journal;
mod keeper;
mod locks;
mod main_sink;
mod members;
mod names;
mod objects;
mod open;
mod options;
mod origin;
mod part;
mod resolve;
mod resources;
mod retry;
mod session;
mod shared;
mod starting;
mod stored;
mod targets;
mod together;
#[cfg(unix)]
mod tool;

use std::path::Path;
use std::time::Instant;

use crate::config::{Config, GroupConfig};
use crate::report::{Failure, GroupReport, PluginReport, RunReport};

pub use check::{CheckReport, check};
pub use grants::{Note, notes, would_grant};
pub use keeper::Asker;
pub use members::{Plugins, check_plugin, first_party, unknown_plugin};
pub use open::{Closed, OpenGroup};
pub use options::{Options, Unwatched, Watcher};
pub use stored::store_failure;
pub use targets::unknown_group;

/// Runs the groups that `options` names. What goes wrong in one group is in its report, and does
/// not stop the others.
///
/// # Errors
/// A target that the configuration does not have.
pub async fn run(config: &Config, options: &Options, watcher: &dyn Watcher) -> Result<RunReport, Failure> {
    let begun = Instant::now();
    let mut report = RunReport { dry_run: options.dry_run, ..RunReport::default() };
    let mut allow = options.allow;
    for (group, collections) in targets::wanted(config, options)? {
        let options = Options { allow, ..options.clone() };
        let (of_group, plugins) = match OpenGroup::begin(config, group, collections, options).await {
            Ok(mut open) => {
                let of_group = open.run(watcher).await;
                allow = open.leave();
                closed(of_group, open.close().await)
            }
            Err(failure) => (failed(config, group, failure), Vec::new()),
        };
        report.groups.push(of_group);
        report.plugins.extend(plugins);
    }
    report.duration = begun.elapsed();
    report.peak_rss_bytes = peak_rss();
    Ok(report)
}

fn failed(config: &Config, group: &GroupConfig, failure: Failure) -> GroupReport {
    let authorities = config.authorities(group);
    GroupReport {
        authorities,
        failures: vec![failure],
        ..GroupReport::new(&group.name, group.members.clone())
    }
}

/// The report of a group that was closed behind it, and what its plugins had used.
fn closed(mut report: GroupReport, closed: Closed) -> (GroupReport, Vec<PluginReport>) {
    report.notes.extend(closed.notes);
    report.failures.extend(closed.failure);
    (report, closed.plugins)
}

/// The most memory that this process held, where the system tells.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
