//! `sync` and `plan`.

use std::path::Path;
use std::sync::Arc;

use outrigger::config::Config;
use outrigger::conflicts::name_raised;
use outrigger::engine::Allow;
use outrigger::plan::{Plan, file_word};
use outrigger::protocol::Printable;
use outrigger::report::{Failure, GuardStop, RunReport, Summary, called, write_errors, write_run};
use outrigger::run::{Options, run};
use outrigger::store::{RunId, status};

use super::asker::Terminal;
use super::terminal::Progress;
use super::{Ended, block_on, load, print};
use crate::cli::{Cli, PlanArgs, SyncArgs, Target};

/// Brings the members of groups to the same state.
pub(crate) fn sync(cli: &Cli, args: &SyncArgs) -> Ended {
    let allow = args.leave.allow();
    let ended = load(cli).and_then(|config| {
        let options = Options {
            allow,
            retry_crashed: args.retry_crashed,
            verify: args.verify,
            asker: Terminal::open(),
            ..options(&args.targets)
        };
        match &args.plan {
            Some(file) => execute(&config, &Plan::load(&config, file)?, options, args.quiet),
            None => go(&config, &options, args.quiet),
        }
    });
    Output::new(args.json, args.quiet).tell(ended.map(|report| note_other_number(report, allow)))
}

/// Does what is in a plan, and nothing else.
fn execute(config: &Config, plan: &Plan, options: Options, quiet: bool) -> Result<RunReport, Failure> {
    if plan.is_empty() {
        return Ok(RunReport { empty_plan: true, ..RunReport::default() });
    }
    let options = Options { targets: plan.targets(), plan: Some(Arc::new(plan.clone())), ..options };
    go(config, &options, quiet)
}

/// A number that does not fit allows nothing, and one that does is good for one member; whoever gave it
/// shall not wonder.
fn note_other_number(mut report: RunReport, allowed: Allow) -> RunReport {
    for stop in report.summary().outcome.guard {
        let allowed = match stop.guard.as_str() {
            "deletes" => allowed.deletes,
            "updates" => allowed.updates,
            _ => allowed.creates,
        };
        let Some(allowed) = allowed else { continue };
        let group = report.groups.iter_mut().find(|group| group.name == stop.group);
        let GuardStop { guard, planned, .. } = stop;
        let note = if allowed == planned {
            format!("--allow-{guard} {allowed} is good for one member, and was made use of: give it again")
        } else {
            format!("--allow-{guard} {allowed} does not fit: it must name exactly {planned}")
        };
        group.into_iter().for_each(|group| group.notes.push(note.clone()));
    }
    report
}

/// Shows what a sync would do, and perhaps keeps it.
pub(crate) fn plan(cli: &Cli, args: &PlanArgs) -> Ended {
    let keep_plan = args.output.is_some();
    let options = Options { dry_run: true, keep_plan, allow: args.leave.allow(), ..options(&args.targets) };
    let mut output = Output::new(args.json, args.quiet);
    let ended = load(cli).and_then(|config| {
        let report = plan_with(&config, &options, args.quiet)?;
        if let Some(file) = &args.output {
            output.tail = Some(keep(&config, &report, file, args.leave.allow())?);
        }
        Ok(report)
    });
    output.tell(ended)
}

/// Keeps a plan. Returns what is said of it: the command that does it.
fn keep(config: &Config, report: &RunReport, file: &Path, allow: Allow) -> Result<String, Failure> {
    let plan = Plan::of(config, report);
    plan.save(config, file)?;
    let mut command = format!("{} sync --plan {}", called(), file_word(file));
    let leave = [("deletes", allow.deletes), ("updates", allow.updates), ("creates", allow.creates)];
    for (what, number) in leave.into_iter().filter_map(|(what, number)| Some((what, number?))) {
        command += &format!(" --allow-{what} {number}");
    }
    Ok(format!("kept in {}; to do just that:   {command}", Printable(file.display().to_string())))
}

fn options(targets: &[Target]) -> Options {
    let targets = targets.iter().map(|target| (target.group.clone(), target.collection.clone())).collect();
    Options { targets, ..Options::default() }
}

fn go(config: &Config, options: &Options, quiet: bool) -> Result<RunReport, Failure> {
    let progress = Progress::new(quiet);
    let report = block_on(run(config, options, &progress));
    progress.finish();
    let mut report = report?;
    if !report.dry_run {
        name_raised(config, &mut report);
    }
    Ok(report)
}

/// A plan takes no lock, so a run may go on beside it: then it says so.
fn plan_with(config: &Config, options: &Options, quiet: bool) -> Result<RunReport, Failure> {
    let last_runs = || config.groups.iter().map(|group| last_run(config, &group.name)).collect::<Vec<_>>();
    let before = last_runs();
    let mut report = go(config, options, quiet)?;
    for (group, (before, now)) in config.groups.iter().zip(before.into_iter().zip(last_runs())) {
        let planned = report.groups.iter_mut().find(|planned| planned.name == group.name);
        if let (Some(planned), Some(note)) = (planned, note(&group.name, before, now)) {
            planned.notes.push(note);
        }
    }
    Ok(report)
}

/// The number of a group's last run, and whether it has ended.
type LastRun = Option<(RunId, bool)>;

fn last_run(config: &Config, group: &str) -> LastRun {
    // A state that cannot be read was complained of by the plan itself.
    let last = status(&config.state, group).ok()?.last_run?;
    Some((last.id, last.finished.is_some()))
}

fn note(group: &str, before: LastRun, now: LastRun) -> Option<String> {
    if matches!(now, Some((_, false))) {
        Some(format!("a run of {group} goes on, or was cut off: it may have done a part of this"))
    } else if before != now {
        Some(format!("a run of {group} ended meanwhile: plan again to see what is left to do"))
    } else {
        None
    }
}

/// What is printed.
struct Output {
    json: bool,
    quiet: bool,
    /// Below the account.
    tail: Option<String>,
}

impl Output {
    const fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, tail: None }
    }

    /// Prints what came of it. A program gets its object also when the command could not begin.
    fn tell(&self, ended: Result<RunReport, Failure>) -> Ended {
        match ended {
            Ok(report) => {
                self.write(&report)?;
                self.object(|| report.summary())?;
                Ok(report.exit())
            }
            Err(failure) => {
                self.object(|| Summary::failed(&failure))?;
                Err(failure)
            }
        }
    }

    fn write(&self, report: &RunReport) -> Result<(), Failure> {
        if !self.quiet {
            return print(|out| {
                write_run(report, out)?;
                self.tail.iter().try_for_each(|tail| writeln!(out, "{tail}"))
            });
        }
        // Where standard error is closed, the exit code has to say it.
        let _told = write_errors(report, &mut anstream::stderr());
        Ok(())
    }

    fn object(&self, summary: impl FnOnce() -> Summary) -> Result<(), Failure> {
        if self.json { print(|out| summary().write(out)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_when_a_run_went_on_beside_it() {
        let (first, second) = (RunId(1), RunId(2));
        assert_eq!(note("g", None, None), None);
        assert_eq!(note("g", Some((first, true)), Some((first, true))), None);
        let ended = note("g", Some((first, true)), Some((second, true))).unwrap();
        assert!(ended.contains("a run of g ended meanwhile"), "{ended}");
        let goes_on = note("g", None, Some((first, false))).unwrap();
        assert!(goes_on.contains("goes on, or was cut off"), "{goes_on}");
    }
}
