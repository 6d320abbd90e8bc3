//! `sync` and `plan`.

use outrigger::config::Config;
use outrigger::report::{Failure, RunReport, write_run};
use outrigger::run::{Options, run};

use super::asker::Terminal;
use super::terminal::Progress;
use super::{Ended, block_on, load, print};
use crate::cli::{Cli, PlanArgs, SyncArgs};

/// Brings the members of groups to the same state.
pub(crate) fn sync(cli: &Cli, args: &SyncArgs) -> Ended {
    let targets =
        args.targets.iter().map(|target| (target.group.clone(), target.collection.clone())).collect();
    let options = Options {
        targets,
        allow_deletes: args.allow_deletes,
        command: super::called(cli),
        asker: Terminal::open(),
        ..Options::default()
    };
    let report = go(&load(cli)?, &options, args.quiet)?;
    tell(&report, args.json, args.quiet)?;
    Ok(report.exit())
}

/// Shows what a sync would do.
pub(crate) fn plan(cli: &Cli, args: &PlanArgs) -> Ended {
    let targets = args.groups.iter().map(|group| (group.clone(), None)).collect();
    let options = Options { targets, dry_run: true, command: super::called(cli), ..Options::default() };
    let report = go(&load(cli)?, &options, false)?;
    tell(&report, args.json, false)?;
    Ok(report.exit())
}

pub(super) fn go(config: &Config, options: &Options, quiet: bool) -> Result<RunReport, Failure> {
    let progress = Progress::new(quiet);
    let report = block_on(run(config, options, &progress));
    progress.finish();
    report
}

fn tell(report: &RunReport, json: bool, quiet: bool) -> Result<(), Failure> {
    if !quiet {
        print(|out| write_run(report, out))?;
    } else {
        for failure in report.groups.iter().flat_map(|group| &group.failures) {
            let _told = failure.write(&mut anstream::stderr());
        }
    }
    if json {
        print(|out| report.summary().write(out))?;
    }
    Ok(())
}
