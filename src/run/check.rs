//! Check: what a run would find, without touching an item.

use std::io::{self, Write};

use outrigger_engine::MemberState;
use outrigger_protocol::{Printable, Words};
use outrigger_sandbox::Report;
use serde::Serialize;

use super::grants::{Note, notes};
use super::keeper::Keeper;
use super::objects::group_of;
use super::options::Options;
use super::session::{MemberSession, Start};
use super::targets::wanted;
use crate::config::Config;
use crate::exit::Exit;
use crate::report::{Failure, FailureSummary, write_standings};

/// What was found of every member of the checked groups.
#[derive(Debug, Default)]
pub struct CheckReport {
    members: Vec<MemberCheck>,
}

#[derive(Debug)]
struct MemberCheck {
    group: String,
    member: String,
    found: Result<Found, Failure>,
    notes: Vec<Note>,
    required: bool,
}

#[derive(Debug, Serialize)]
struct Found {
    plugin: String,
    pid: u32,
    start_ms: u64,
    collections: Vec<String>,
    sandbox: Report,
}

/// Starts the plugin of every member of the groups that `options` names, asks for its
/// collections, and ends it.
///
/// # Errors
/// A target that the configuration does not have.
pub async fn check(config: &Config, options: &Options) -> Result<CheckReport, Failure> {
    let mut report = CheckReport::default();
    for (group, _) in wanted(config, options)? {
        for name in &group.members {
            let Some(member) = config.member(name) else { continue };
            let start = Start {
                config,
                member,
                plugins: &options.plugins,
                only_looks: true,
                locks: Vec::new(),
                group: group_of(group, None, &[]),
                crashes: Vec::new(), // whoever checks wants to see
            };
            let keeper = |configured| Keeper::new(configured, MemberState::default(), None, None);
            let started = MemberSession::start(start, keeper).await;
            let found = match started {
                Ok(session) => Ok(found(session).await),
                Err(failed) => Err(failed.failure),
            };
            report.members.push(MemberCheck {
                group: group.name.clone(),
                member: name.clone(),
                found,
                notes: notes(config, member),
                required: member.required,
            });
        }
    }
    Ok(report)
}

async fn found(session: MemberSession) -> Found {
    let collections = session.discovered().sinks.iter().map(|sink| sink.name.clone()).collect();
    let (process, _) = session.stop().await;
    Found {
        plugin: process.plugin,
        pid: process.pid,
        start_ms: u64::try_from(process.start.as_millis()).unwrap_or(u64::MAX),
        collections,
        sandbox: process.sandbox,
    }
}

impl CheckReport {
    /// What the command ends with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let failed = self.members.iter().filter(|member| member.required);
        failed
            .filter_map(|member| member.found.as_ref().err())
            .map(|failure| failure.exit)
            .fold(Exit::Done, Exit::or_worse)
    }

    /// The same for programs: one object. Keys are only ever added.
    ///
    /// # Errors
    /// Never in practice: it is made of texts and numbers.
    pub fn json(&self) -> serde_json::Result<String> {
        let members = self.members.iter().map(MemberJson::of).collect();
        serde_json::to_string(&CheckJson { exit: self.exit().code(), failures: Vec::new(), members })
    }

    /// The object of a check that could not begin.
    ///
    /// # Errors
    /// Never in practice.
    pub fn failed(failure: &Failure) -> serde_json::Result<String> {
        let (exit, failures) = (failure.exit.code(), vec![FailureSummary::of(failure)]);
        serde_json::to_string(&CheckJson { exit, failures, members: Vec::new() })
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for checked in &self.members {
            write!(out, "{}/{}   ", checked.group, checked.member)?;
            match &checked.found {
                Ok(found) => found.write(out)?,
                Err(failure) => failure.write(out)?,
            }
            checked.notes.iter().try_for_each(|note| {
                writeln!(out, "  note          {} {}", note.member, Printable(&note.words))
            })?;
        }
        Ok(())
    }
}

/// What `check --json` prints.
#[derive(Serialize)]
struct CheckJson<'c> {
    exit: u8,
    failures: Vec<FailureSummary>,
    members: Vec<MemberJson<'c>>,
}

#[derive(Serialize)]
struct MemberJson<'c> {
    group: &'c str,
    member: &'c str,
    required: bool,
    /// Null: see `failure`.
    found: Option<&'c Found>,
    /// Null: see `found`.
    failure: Option<FailureSummary>,
    notes: &'c [Note],
}

impl<'c> MemberJson<'c> {
    fn of(checked: &'c MemberCheck) -> Self {
        let MemberCheck { group, member, found, notes, required } = checked;
        let failure = found.as_ref().err().map(FailureSummary::of);
        Self { group, member, required: *required, found: found.as_ref().ok(), failure, notes }
    }
}

impl Found {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "ok: plugin {} in process {}, ready after {} ms",
            self.plugin, self.pid, self.start_ms
        )?;
        let names: Vec<String> = self.collections.iter().map(|name| Words(name).to_string()).collect();
        writeln!(out, "  collections   {}", if names.is_empty() { "none".into() } else { names.join(", ") })?;
        write_standings(&self.sandbox, "  sandbox       ", out)
    }
}
