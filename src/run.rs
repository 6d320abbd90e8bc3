//! A run: where deciding (engine), doing (broker) and remembering (store) meet.
//!
//! Groups are run one after the other (`group`). For each: the state is opened and locked, one
//! plugin a member is started, collections are paired, and for each pair the engine is driven to
//! its end (`drive`). Nothing is decided here.

mod calls;
mod check;
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
mod objects;
mod options;
mod origin;
mod pairs;
mod session;
mod starting;
mod stored;
mod targets;

use std::cell::Cell;
use std::path::Path;
use std::time::Instant;

use crate::config::Config;
use crate::report::{Failure, GroupReport, RunReport};
use group::GroupRun;

pub use check::{CheckReport, check};
pub use grants::{Note, notes, would_grant};
pub use keeper::Asker;
pub use members::{Plugins, check_plugin, first_party, unknown_plugin};
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
    let leave = Cell::new(options.allow_deletes);
    for (group, collections) in targets::wanted(config, options)? {
        let empty = GroupReport::new(&group.name, group.members.clone());
        let mut run = GroupRun { config, group, options, collections, watcher, leave: &leave, report: empty };
        let mut plugins = Vec::new();
        if let Err(failure) = run.run(&mut plugins).await {
            run.report.failures.push(failure);
        }
        report.groups.push(run.report);
        report.plugins.extend(plugins);
    }
    report.duration = begun.elapsed();
    report.peak_rss_bytes = peak_rss();
    Ok(report)
}

/// The most memory that this process held, where the system tells.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
