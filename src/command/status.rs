//! `status`: how each group stands, without touching anything.

use std::io::{self, Write};

use outrigger::config::{Config, GroupConfig};
use outrigger::exit::Exit;
use outrigger::report::Failure;
use outrigger::store::{ErrorKind, Status, status as status_of};
use serde::Serialize;

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
    let found = status_of(&config.state, &group.name);
    let found = found.map_err(|error| {
        let exit =
            if matches!(error.kind(), ErrorKind::Locked { .. }) { Exit::Locked } else { Exit::Internal };
        let failure =
            Failure::new(exit, format!("the state of {} cannot be read", group.name)).because(&error);
        error.hint().map_or(failure.clone(), |hint| failure.hint(hint))
    })?;
    Ok(summary(group, &found))
}

fn summary(group: &GroupConfig, found: &Status) -> GroupStatus {
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
        "  {items} items, {conflicts} conflicts, {quarantined} left alone, {in_doubt} in doubt; {last}"
    )
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
