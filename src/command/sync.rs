//! `sync` and `plan`.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use outrigger::config::Config;
use outrigger::conflicts::name_raised;
use outrigger::engine::{Allow, Guard};
use outrigger::plan::{Plan, file_word};
use outrigger::protocol::Printable;
use outrigger::report::{
    Failure, GuardStop, RunReport, Summary, called, shell_word, write_errors, write_run,
};
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
        let (guard, allowed) = match stop.guard.as_str() {
            "deletes" => (Guard::Deletes, allowed.deletes),
            "updates" => (Guard::Updates, allowed.updates),
            _ => (Guard::Creates, allowed.creates),
        };
        let Some(allowed) = allowed else { continue };
        let is_used = is_used(&report, guard);
        let group = report.groups.iter_mut().find(|group| group.name == stop.group);
        let GuardStop { guard, planned, .. } = stop;
        let note = if is_used {
            format!(
                "--allow-{guard} {allowed} is good for one member, and was made use of: give {planned} next"
            )
        } else {
            format!("--allow-{guard} {allowed} does not fit: it must name exactly {planned}")
        };
        group.into_iter().for_each(|group| group.notes.push(note.clone()));
    }
    report
}

/// Whether the leave for this guard was made use of.
fn is_used(report: &RunReport, guard: Guard) -> bool {
    let mut collections = report.groups.iter().flat_map(|group| &group.collections);
    collections.any(|collection| collection.summary.used.contains(&guard))
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
            output.guarded = plan_again(&report, args, file);
        }
        Ok(report)
    });
    output.tell(ended)
}

/// Keeps a plan. Returns what is said of it: the command that does it.
fn keep(config: &Config, report: &RunReport, file: &Path, allow: Allow) -> Result<String, Failure> {
    let plan = Plan::of(config, report);
    plan.save(config, file)?;
    let shown = Printable(file.display().to_string()).to_string();
    if plan.is_empty() {
        return Ok(format!("nothing was planned: {shown} holds an empty plan"));
    }
    let command = format!("{} sync --plan {}{}", called(), file_word(file), options_of(allow));
    Ok(format!("kept in {shown}; to do just that:   {command}"))
}

/// What is said where a guard stopped a member: none of that is in the plan. A leave is good for one member,
/// so where it was made use of, another plan has to have the rest.
fn plan_again(report: &RunReport, args: &PlanArgs, file: &Path) -> Option<String> {
    let stops = report.summary().outcome.guard;
    let given = args.leave.allow();
    let leave = |guard, word, given: Option<u64>| match is_used(report, guard) {
        true => given,
        false => stops.iter().find(|stop| stop.guard == word).map(|stop| stop.planned),
    };
    let allow = Allow {
        deletes: leave(Guard::Deletes, "deletes", given.deletes),
        updates: leave(Guard::Updates, "updates", given.updates),
        creates: leave(Guard::Creates, "creates", given.creates),
    };
    match stops.is_empty() {
        true => None,
        false if allow == given => {
            Some("what a guard stopped is not in it: do this plan first, then make another".to_owned())
        }
        false => {
            let targets: String =
                args.targets.iter().map(|target| format!(" {}", target_word(target))).collect();
            let command = format!("{} plan{targets}{} -o {}", called(), options_of(allow), file_word(file));
            Some(format!("what a guard stopped is not in it; to plan that too:   {command}"))
        }
    }
}

/// As it can be typed; the group alone where nothing safe names the collection.
fn target_word(Target { group, collection }: &Target) -> String {
    let whole = collection.as_ref().and_then(|collection| shell_word(&format!("{group}/{collection}")));
    whole.or_else(|| shell_word(group)).unwrap_or_else(|| "GROUP".to_owned())
}

/// The options that give this leave.
fn options_of(allow: Allow) -> String {
    let leave = [("deletes", allow.deletes), ("updates", allow.updates), ("creates", allow.creates)];
    let given = leave.into_iter().filter_map(|(what, number)| Some(format!(" --allow-{what} {}", number?)));
    given.collect()
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
    /// The same of what a guard stopped: that is said also to whoever wants to hear of errors only.
    guarded: Option<String>,
}

impl Output {
    const fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, tail: None, guarded: None }
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
                self.tail.iter().chain(&self.guarded).try_for_each(|tail| writeln!(out, "{tail}"))
            });
        }
        // Where standard error is closed, the exit code has to say it.
        let mut err = anstream::stderr();
        let _told = write_errors(report, &mut err);
        let _told = self.guarded.iter().try_for_each(|guarded| writeln!(err, "{guarded}"));
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
