//! The account of a run for people.
//!
//! ```text
//! contacts/family   laptop ⇄ server
//!   listing   laptop 1 000   server 1 000 (changes only)   0.3 s
//!   changes   12 → server   3 → laptop   1 delete   2 conflicts
//!   done      +4 ~11 −1   2 conflicts wait: outrigger conflicts contacts
//! conflict    3fa9c1   contacts/family   "Anna García": outrigger conflicts show 3fa9c1
//! Summary     1 group in sync, 2 conflicts   exit 3
//! ```

mod account;
mod raised;
mod told;
mod words;

use std::io::{self, Write};

use outrigger_protocol::Printable;

use super::collection::CollectionReport;
use super::failure::{BOLD, Failure, PLAIN};
use super::run::{GroupReport, PluginReport, RunReport};
use crate::exit::Exit;
use account::Account;
pub use words::joined;
pub(crate) use words::plural;

/// Writes the account of a run.
///
/// # Errors
/// `to` takes no more.
pub fn write_run(run: &RunReport, to: &mut dyn Write) -> io::Result<()> {
    for group in &run.groups {
        write_group(group, run.dry_run, to)?;
    }
    run.plugins.iter().try_for_each(|plugin| write_plugin(plugin, to))?;
    if !run.dry_run {
        raised::write_raised(run, to)?;
    }
    let parts = summary_parts(run).join(", ");
    writeln!(to, "{BOLD}Summary{PLAIN}     {parts}   exit {}", run.exit().code())
}

fn write_group(group: &GroupReport, dry_run: bool, to: &mut dyn Write) -> io::Result<()> {
    for collection in &group.collections {
        Account { group, collection, dry_run }.write(to)?;
    }
    if group.collections.is_empty() {
        let members = joined(&group.members, |at| group.authorities.contains(&at));
        writeln!(to, "{BOLD}{}{PLAIN}   {members}", group.name)?;
    }
    for waiting in &group.waiting {
        let why = Printable(&waiting.why);
        writeln!(to, "  waiting   {} is not there; what is owed to it is kept: {why}", waiting.member)?;
    }
    for failure in &group.failures {
        write_failure(failure, to)?;
    }
    group.notes.iter().try_for_each(|note| writeln!(to, "  note      {note}"))
}

/// What a plugin took, where that is worth telling: one that crashed.
fn write_plugin(plugin: &PluginReport, to: &mut dyn Write) -> io::Result<()> {
    let PluginReport { member, crashes, restarts, set_aside, peak_rss_bytes, cpu_time, .. } = plugin;
    if *crashes == 0 {
        return Ok(());
    }
    let counts = [
        plural(u64::from(*crashes), "crash", "crashes"),
        plural(u64::from(*restarts), "restart", "restarts"),
        plural(*set_aside, "item set aside", "items set aside"),
    ];
    write!(to, "plugin      {member}: {}", counts.join(", "))?;
    if let Some(bytes) = peak_rss_bytes {
        write!(to, "; {:.1} MiB at most", *bytes as f64 / f64::from(1 << 20))?;
    }
    if let Some(time) = cpu_time {
        write!(to, ", {:.2} s of processor time", time.as_secs_f64())?;
    }
    writeln!(to)
}

/// Writes only what stopped a group or a member: what a quiet run still says.
///
/// # Errors
/// `to` takes no more.
pub fn write_errors(run: &RunReport, to: &mut dyn Write) -> io::Result<()> {
    for group in &run.groups {
        for collection in &group.collections {
            Account { group, collection, dry_run: run.dry_run }.write_stops(to)?;
        }
        group.failures.iter().try_for_each(|failure| failure.write(to))?;
    }
    Ok(())
}

fn write_failure(failure: &Failure, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "  failed    {failure}")?;
    failure.write_rest("          ", to)
}

fn summary_parts(run: &RunReport) -> Vec<String> {
    let groups =
        |holds: &dyn Fn(&GroupReport) -> bool| run.groups.iter().filter(|group| holds(group)).count() as u64;
    let total = |count: fn(&CollectionReport) -> u64| -> u64 {
        run.groups.iter().flat_map(|group| &group.collections).map(count).sum()
    };
    let is_well = |group: &GroupReport| matches!(group.exit(), Exit::Done | Exit::Conflicts);
    let in_sync =
        if run.dry_run { ["group read", "groups read"] } else { ["group in sync", "groups in sync"] };
    let parts = [
        (groups(&|group| is_well(group) && group.waiting.is_empty()), in_sync),
        (groups(&|group| !group.waiting.is_empty()), ["group waiting", "groups waiting"]),
        (groups(&|group| !is_well(group)), ["group with trouble", "groups with trouble"]),
        (total(|collection| collection.summary.conflicts), ["conflict", "conflicts"]),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, [one, many])| plural(count, one, many))
        .collect();
    match parts.is_empty() {
        true if run.empty_plan => vec!["nothing was planned, nothing is done".to_owned()],
        true => vec!["no groups".to_owned()],
        false => parts,
    }
}

#[cfg(test)]
mod tests;
