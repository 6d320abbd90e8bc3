//! `status`: how each group stands, without touching anything.

use std::io::{self, Write};

use outrigger::config::{Config, GroupConfig};
use outrigger::exit::Exit;
use outrigger::report::Failure;
use outrigger::run::store_failure;
use outrigger::store::{Error, Status, status as status_of};
use serde::Serialize;

use super::waiting::{SHOWN, Waiting, waiting};
use super::{Ended, load, print};
use crate::cli::{Cli, StatusArgs};

/// How one group stands.
#[derive(Serialize)]
struct GroupStatus {
    group: String,
    members: [String; 2],
    items: u64,
    conflicts: u64,
    quarantined: u64,
    in_doubt: u64,
    /// Conflicts and items that are left alone, one by one; at most 20 a collection.
    waiting: Vec<Waiting>,
    /// Seconds since 1970, when the last run ended; null: never, or see `unfinished`.
    last_run: Option<u64>,
    /// The last run goes on at this moment, or was cut off.
    unfinished: bool,
    last_outcome: Option<String>,
}

/// Says how each group stands.
pub(crate) fn status(cli: &Cli, args: &StatusArgs) -> Ended {
    let config = load(cli)?;
    let mut groups = Vec::new();
    for group in &config.groups {
        groups.push(read(&config, group)?);
    }
    if args.json {
        let text =
            serde_json::to_string(&groups).map_err(|error| Failure::internal("status").because(&error))?;
        print(|out| writeln!(out, "{text}"))?;
    } else {
        print(|out| groups.iter().try_for_each(|group| write(group, out)))?;
    }
    let conflicts = groups.iter().any(|group| group.conflicts > 0);
    Ok(if conflicts { Exit::Conflicts } else { Exit::Done })
}

fn read(config: &Config, group: &GroupConfig) -> Result<GroupStatus, Failure> {
    let failed = |error: &Error| store_failure(&group.name, error);
    let found = status_of(&config.state, &group.name).map_err(|error| failed(&error))?;
    let waiting = waiting(&config.state, group, &found).map_err(|error| failed(&error))?;
    Ok(summary(group, &found, waiting))
}

fn summary(group: &GroupConfig, found: &Status, waiting: Vec<Waiting>) -> GroupStatus {
    let total =
        |count: fn(&outrigger::store::CollectionStatus) -> u64| found.collections.iter().map(count).sum();
    let last = found.last_run.as_ref();
    GroupStatus {
        group: group.name.clone(),
        members: group.members.clone(),
        items: total(|collection| collection.rows),
        conflicts: total(|collection| collection.conflicts),
        quarantined: total(|collection| collection.quarantined),
        in_doubt: total(|collection| collection.intents),
        waiting,
        last_run: last.and_then(|run| run.finished),
        unfinished: last.is_some_and(|run| run.finished.is_none()),
        last_outcome: last.and_then(|run| run.outcome.clone()),
    }
}

fn write(group: &GroupStatus, out: &mut dyn Write) -> io::Result<()> {
    let GroupStatus { group: name, members: [a, b], items, conflicts, quarantined, in_doubt, .. } = group;
    let last = match (group.last_run, &group.last_outcome) {
        (Some(at), Some(outcome)) => format!("last run {} ({outcome})", ago(at)),
        _ if group.unfinished => {
            "the last run goes on, or was cut off; the next one goes on from there".to_owned()
        }
        _ => "never synchronised".to_owned(),
    };
    writeln!(out, "{name}   {a} ⇄ {b}")?;
    writeln!(
        out,
        "  {items} items, {conflicts} in conflict, {quarantined} left alone, {in_doubt} in doubt; {last}"
    )?;
    group.waiting.iter().try_for_each(|waiting| writeln!(out, "{}", waiting.line(&group.members)))?;
    match usize::try_from(conflicts + quarantined).unwrap_or(usize::MAX).saturating_sub(group.waiting.len()) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more (at most {SHOWN} of a collection are named)"),
    }
}

/// A moment, roughly, as people say it.
fn ago(at: u64) -> String {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    match now.saturating_sub(at) {
        0..60 => "just now".into(),
        seconds @ 60..7200 => format!("{} minutes ago", seconds / 60),
        seconds @ 7200..172_800 => format!("{} hours ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}
