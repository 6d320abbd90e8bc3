//! Runs: the last ones of each group, as they were kept.

use std::io::{self, Write};

use outrigger_protocol::Printable;
use outrigger_store::Run;
use serde::Serialize;

use crate::config::{Config, GroupConfig};
use crate::report::{Failure, FailureSummary, Kept, MemberSummary, plural};
use crate::{clock, run, state};

/// The last runs of several groups. Keys are only ever added.
#[derive(Debug, Clone, Default, Serialize)]
pub struct History {
    /// The exit code.
    pub exit: u8,
    /// Why nothing, or not all, can be told.
    pub failures: Vec<FailureSummary>,
    /// By group, latest first.
    pub runs: Vec<RunSummary>,
    /// Runs that did nothing, among these or before them.
    pub left_out: usize,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunSummary {
    /// What it is called on the command line: `GROUP:NUMBER`.
    pub run: String,
    /// Its group.
    pub group: String,
    /// Its number there.
    pub number: i64,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// When it ended; null: it goes on, or was cut off.
    pub finished: Option<u64>,
    /// What it ended with; null: it did not end, or an earlier version did it.
    pub exit: Option<u8>,
    /// Items made, at all members.
    pub created: u64,
    /// Items updated.
    pub updated: u64,
    /// Items deleted.
    pub deleted: u64,
    /// Copies that it overwrote or deleted and that can be had back: one for each item and member.
    pub kept: u64,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// The latest `limit` runs of each of these groups; of all, if none is named. Unless `all` are wanted, those
/// that did nothing and that nothing stopped are left out. Takes no lock and writes nothing.
///
/// # Errors
/// A group that the configuration does not have.
pub fn runs(config: &Config, groups: &[&str], limit: usize, all: bool) -> Result<History, Failure> {
    let named = groups.iter().map(|name| config.group(name).ok_or_else(|| run::unknown_group(config, name)));
    let named = named.collect::<Result<Vec<&GroupConfig>, Failure>>()?;
    let wanted = if groups.is_empty() { config.groups.iter().collect() } else { named };
    let mut history = History::default();
    for group in wanted {
        match of_group(config, group) {
            Ok(runs) => history.add(runs, limit, all),
            Err(failure) => history.note(&failure),
        }
    }
    Ok(history)
}

fn of_group(config: &Config, group: &GroupConfig) -> Result<Vec<RunSummary>, Failure> {
    let store = state::look(config, group)?;
    let runs = state::ask(group, store.runs(u32::MAX))?;
    Ok(runs.iter().map(|run| RunSummary::of(&group.name, run)).collect())
}

impl History {
    /// Of a command that could not begin.
    #[must_use]
    pub fn failed(failure: &Failure) -> Self {
        let mut history = Self::default();
        history.note(failure);
        history
    }

    fn add(&mut self, mut runs: Vec<RunSummary>, limit: usize, all: bool) {
        let known = runs.len();
        runs.retain(|run| all || run.is_news());
        self.left_out += known - runs.len();
        runs.truncate(limit);
        self.runs.extend(runs);
    }

    fn note(&mut self, failure: &Failure) {
        self.exit = failure.exit.code();
        self.failures.push(FailureSummary::of(failure));
    }

    /// Writes a line for each run.
    ///
    /// # Errors
    /// `to` takes no more.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        if self.runs.is_empty() && self.failures.is_empty() && self.left_out == 0 {
            return writeln!(to, "nothing was synchronised yet");
        }
        self.runs.iter().try_for_each(|run| writeln!(to, "{}", run.line()))?;
        match self.left_out {
            0 => Ok(()),
            1 => writeln!(to, "1 run did nothing and is left out; --all shows it"),
            more => writeln!(to, "{more} runs did nothing and are left out; --all shows them"),
        }
    }
}

impl RunSummary {
    pub(super) fn of(group: &str, run: &Run) -> Self {
        let kept: Option<Kept> = run.outcome.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let members =
            || kept.iter().flat_map(|kept| &kept.outcome.collections).flat_map(|one| one.members.values());
        let sum = |count: fn(&MemberSummary) -> u64| members().map(count).sum();
        Self {
            run: format!("{group}:{}", run.id.0),
            group: group.to_owned(),
            number: run.id.0,
            started: run.started,
            finished: run.finished,
            exit: kept.as_ref().map(|kept| kept.outcome.exit),
            created: sum(|member| member.created),
            updated: sum(|member| member.updated),
            deleted: sum(|member| member.deleted),
            kept: run.undo_entries,
            kept_bytes: run.undo_bytes,
        }
    }

    /// Whether anything was done, or in the way. That conflicts wait is told by each run.
    fn is_news(&self) -> bool {
        let has_done = self.created + self.updated + self.deleted + self.kept > 0;
        has_done || self.finished.is_none() || !matches!(self.exit, Some(0 | 3))
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { run, created, updated, deleted, .. } = self;
        let ended = match (self.finished, self.exit) {
            (Some(_), Some(exit)) => format!("exit {exit}"),
            (Some(_), None) => "ended".to_owned(),
            (None, _) => "goes on, or was cut off".to_owned(),
        };
        let kept = match self.kept {
            0 => String::new(),
            kept => format!("   {} can be had back", plural(kept, "copy", "copies")),
        };
        let started = clock::moment(self.started);
        format!("{}   {started}   +{created} ~{updated} −{deleted}   {ended}{kept}", Printable(run))
    }
}
