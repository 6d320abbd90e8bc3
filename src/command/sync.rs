//! `sync` and `plan`.

use outrigger::config::Config;
use outrigger::report::{Failure, RunReport, Summary, write_errors, write_run};
use outrigger::run::{Options, run};
use outrigger::store::{RunId, status};

use super::asker::Terminal;
use super::terminal::Progress;
use super::{Ended, block_on, load, print};
use crate::cli::{Cli, PlanArgs, SyncArgs, Target};

/// Brings the members of groups to the same state.
pub(crate) fn sync(cli: &Cli, args: &SyncArgs) -> Ended {
    let options = Options {
        allow_deletes: args.allow_deletes,
        retry_crashed: args.retry_crashed,
        asker: Terminal::open(),
        ..options(&args.targets)
    };
    let output = Output { json: args.json, quiet: args.quiet };
    let ended = load(cli).and_then(|config| go(&config, &options, args.quiet));
    output.tell(ended.map(|report| note_other_number(report, args.allow_deletes)))
}

/// A number that does not fit allows nothing; whoever gave it shall not wonder.
fn note_other_number(mut report: RunReport, allowed: Option<u64>) -> RunReport {
    let Some(allowed) = allowed else { return report };
    for stop in report.summary().outcome.guard {
        let group = report.groups.iter_mut().find(|group| group.name == stop.group);
        let note = format!("--allow-deletes {allowed} does not fit: it must name exactly {}", stop.planned);
        group.into_iter().for_each(|group| group.notes.push(note.clone()));
    }
    report
}

/// Shows what a sync would do.
pub(crate) fn plan(cli: &Cli, args: &PlanArgs) -> Ended {
    let options = Options { dry_run: true, ..options(&args.targets) };
    let output = Output { json: args.json, quiet: args.quiet };
    output.tell(load(cli).and_then(|config| plan_with(&config, &options, args.quiet)))
}

fn options(targets: &[Target]) -> Options {
    let targets = targets.iter().map(|target| (target.group.clone(), target.collection.clone())).collect();
    Options { targets, ..Options::default() }
}

fn go(config: &Config, options: &Options, quiet: bool) -> Result<RunReport, Failure> {
    let progress = Progress::new(quiet);
    let report = block_on(run(config, options, &progress));
    progress.finish();
    report
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
}

impl Output {
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
            return print(|out| write_run(report, out));
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
