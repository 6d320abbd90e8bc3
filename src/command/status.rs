//! `status`: how each group stands, without touching anything.
//!
//! Counts come from the tables of the state. What a member refused, and what a guard stopped, no
//! table knows: that comes from what the last runs noted.

mod owed;
mod plugins;
mod write;

use outrigger::config::{Config, GroupConfig};
use outrigger::exit::Exit;
use outrigger::report::{Absent, Failure, FailureSummary, GuardStop, Kept, Outcome};
use outrigger::run::{Note, Plugins, check_plugin, notes, store_failure, unknown_group};
use outrigger::store::{CollectionStatus, Error, Run, Status, status as status_of};
use serde::Serialize;

use owed::owed;
use plugins::PluginStatus;

use super::waiting::{Waiting, waiting};
use super::{Ended, load, print};
use crate::cli::{Cli, StatusArgs};

/// What `--json` prints.
#[derive(Default, Serialize)]
struct StatusReport {
    exit: u8,
    /// Why nothing can be told at all.
    failures: Vec<FailureSummary>,
    groups: Vec<GroupStatus>,
}

/// How one group stands.
#[derive(Serialize)]
struct GroupStatus {
    group: String,
    exit: u8,
    members: Vec<String>,
    /// The places of those whose content is everybody's.
    #[serde(skip)]
    authorities: Vec<usize>,
    /// Members whose ends are found instead of started, and so run in no sandbox.
    not_sandboxed: Vec<String>,
    items: u64,
    conflicts: u64,
    quarantined: u64,
    /// Items that did not come across in the last run.
    pending: u64,
    in_doubt: u64,
    /// Items that the next run has to write at one member or more.
    owed: u64,
    /// What the last run kept back for members that take no such writes.
    kept_back: Vec<KeptBack>,
    /// Conflicts, items that are left alone and pending ones, one by one; at most 20 a collection.
    waiting: Vec<Waiting>,
    /// Members that a guard stopped in the last run.
    guard: Vec<GuardStop>,
    /// Members that were not there in the last run and need not be.
    absent: Vec<Absent>,
    /// Plugins that crashed lately.
    plugins: Vec<PluginStatus>,
    /// What else went wrong in the last run.
    failures: Vec<FailureSummary>,
    /// What is to be known of the members' plugins: no sandbox, no consent.
    notes: Vec<Note>,
    /// Seconds since 1970, when the last run ended; null: never, or see `unfinished`.
    last_run: Option<u64>,
    /// What the last run ended with; null: it did not end, or there was none.
    last_exit: Option<u8>,
    /// The last run goes on at this moment, or was cut off.
    unfinished: bool,
}

/// What a member is not brought.
#[derive(Serialize)]
struct KeptBack {
    member: String,
    changes: u64,
}

/// Says how each group stands.
pub(crate) fn status(cli: &Cli, args: &StatusArgs) -> Ended {
    let report = match look(cli, args) {
        Ok(report) => report,
        Err(failure) if args.json => {
            let (exit, failures) = (failure.exit.code(), vec![FailureSummary::of(&failure)]);
            print_json(&StatusReport { exit, failures, ..StatusReport::default() })?;
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    if args.json {
        print_json(&report)?;
    } else {
        print(|out| report.groups.iter().try_for_each(|group| group.write(out)))?;
    }
    Ok(exit_of(report.exit))
}

fn print_json(report: &StatusReport) -> Result<(), Failure> {
    let text = serde_json::to_string(report).map_err(|error| Failure::internal("status").because(&error))?;
    print(|out| writeln!(out, "{text}"))
}

fn look(cli: &Cli, args: &StatusArgs) -> Result<StatusReport, Failure> {
    let config = load(cli)?;
    let groups = wanted(&config, args)?;
    let groups: Vec<_> = groups.into_iter().map(|group| read(&config, group)).collect();
    let exit = groups.iter().map(|group| exit_of(group.exit)).fold(Exit::Done, Exit::or_worse).code();
    Ok(StatusReport { exit, groups, failures: Vec::new() })
}

fn wanted<'c>(config: &'c Config, args: &StatusArgs) -> Result<Vec<&'c GroupConfig>, Failure> {
    if args.groups.is_empty() {
        return Ok(config.groups.iter().collect());
    }
    let group = |name: &String| config.group(name).ok_or_else(|| unknown_group(config, name));
    args.groups.iter().map(group).collect()
}

/// A state that cannot be read is told of, and does not hide the other groups.
fn read(config: &Config, group: &GroupConfig) -> GroupStatus {
    let status = of_state(config, group).unwrap_or_else(|error| GroupStatus::unreadable(group, &error));
    let members = group.members.iter().filter_map(|name| config.member(name));
    let notes = members.flat_map(|member| notes(config, member)).collect();
    let is_found = |name: &&String| config.member(name).is_some_and(|member| member.locate.is_some());
    let not_sandboxed = group.members.iter().filter(is_found).cloned().collect();
    let members = group.members.iter().filter_map(|name| config.member(name));
    let broken = members.filter_map(|member| check_plugin(config, member, &Plugins::default()).err());
    GroupStatus { notes, not_sandboxed, authorities: config.authorities(group), ..status }.with(broken)
}

fn of_state(config: &Config, group: &GroupConfig) -> Result<GroupStatus, Error> {
    let mut found = status_of(&config.state, &group.name)?;
    found.collections.retain(|collection| group.collections.has(&collection.name));
    let waiting = waiting(&config.state, group, &found)?;
    let owed = owed(config, group, &found)?;
    let plugins = PluginStatus::of_group(config, group, &found);
    Ok(GroupStatus { owed, ..GroupStatus::of(group, &found, waiting, plugins) })
}

impl GroupStatus {
    /// With what the next run would fail over before it starts anything.
    fn with(mut self, failures: impl Iterator<Item = Failure>) -> Self {
        for failure in failures {
            self.exit = exit_of(self.exit).or_worse(failure.exit).code();
            self.failures.push(FailureSummary::of(&failure));
        }
        self
    }

    fn unreadable(group: &GroupConfig, error: &Error) -> Self {
        let failure = FailureSummary::of(&store_failure(&group.name, error));
        let mut status = Self::of(group, &Status::default(), Vec::new(), Vec::new());
        status.exit = failure.exit;
        status.failures.push(failure);
        status
    }

    fn of(
        group: &GroupConfig,
        found: &Status,
        mut waiting: Vec<Waiting>,
        plugins: Vec<PluginStatus>,
    ) -> Self {
        let total = |count: fn(&CollectionStatus) -> u64| found.collections.iter().map(count).sum();
        let (last, kept) = (found.last_run.as_ref(), kept(&found.runs));
        let pending = kept.collections.iter().map(|collection| collection.pending).sum();
        waiting.extend(kept.collections.iter().flat_map(|one| Waiting::pending(&group.members, one)));
        let mut status = Self {
            group: group.name.clone(),
            exit: 0,
            members: group.members.clone(),
            authorities: Vec::new(),
            not_sandboxed: Vec::new(),
            items: total(|collection| collection.rows),
            conflicts: total(|collection| collection.conflicts),
            quarantined: total(|collection| collection.quarantined),
            pending,
            in_doubt: total(|collection| collection.intents),
            owed: 0,
            kept_back: kept_back(&group.members, &kept),
            waiting,
            guard: kept.guard,
            absent: kept.absent,
            plugins,
            failures: kept.failures,
            notes: Vec::new(),
            last_run: last.and_then(|run| run.finished),
            last_exit: last.and_then(read_outcome).map(|last| last.outcome.exit),
            unfinished: last.is_some_and(|run| run.finished.is_none()),
        };
        // Conflicts are counted as they stand now: those of the last run may be settled.
        let collections = kept.collections.iter().map(|collection| exit_of(collection.exit));
        let collections = collections.filter(|exit| *exit != Exit::Conflicts);
        status.exit = collections.fold(status.exit(), Exit::or_worse).code();
        status
    }

    /// What a person has to look at.
    fn exit(&self) -> Exit {
        let behind = self.quarantined + self.pending + self.in_doubt > 0 || self.unfinished;
        let failures = self.failures.iter().map(|failure| exit_of(failure.exit));
        [
            (self.conflicts > 0, Exit::Conflicts),
            (behind, Exit::Partial),
            (!self.guard.is_empty(), Exit::Guard),
            (self.plugins.iter().any(PluginStatus::is_open), Exit::Plugin),
        ]
        .into_iter()
        .filter_map(|(holds, exit)| holds.then_some(exit))
        .chain(failures)
        .fold(Exit::Done, Exit::or_worse)
    }
}

fn kept_back(members: &[String], kept: &Outcome) -> Vec<KeptBack> {
    let of = |member: &String| {
        let at = kept.collections.iter().filter_map(|collection| collection.members.get(member));
        KeptBack { member: member.clone(), changes: at.map(|counts| counts.kept).sum() }
    };
    members.iter().map(of).filter(|kept| kept.changes > 0).collect()
}

/// What the last runs left to be told.
fn kept(runs: &[Run]) -> Outcome {
    Kept::merged(runs.iter().filter_map(read_outcome))
}

/// What a run noted; `None` if it was cut off, or by a version that noted it differently.
fn read_outcome(run: &Run) -> Option<Kept> {
    serde_json::from_str(run.outcome.as_deref()?).ok()
}

/// A number in the state that is none of ours is a defect.
fn exit_of(code: u8) -> Exit {
    Exit::of_code(code).unwrap_or(Exit::Internal)
}
