//! `check`: tries the configuration without touching an item.

use outrigger::report::Failure;
use outrigger::run::{CheckReport, Options, check as check_members};

use super::{Ended, block_on, load, print};
use crate::cli::{CheckArgs, Cli};

/// Starts every member's plugin once, and says what it found.
pub(crate) fn check(cli: &Cli, args: &CheckArgs) -> Ended {
    let report = match look(cli, args) {
        Err(failure) if args.json => {
            print_json(CheckReport::failed(&failure))?;
            return Err(failure);
        }
        looked => looked?,
    };
    if args.json {
        print_json(report.json())?
    } else {
        print(|out| report.write(out))?
    }
    Ok(report.exit())
}

fn look(cli: &Cli, args: &CheckArgs) -> Result<CheckReport, Failure> {
    let config = load(cli)?;
    let targets = args.groups.iter().map(|group| (group.clone(), None)).collect();
    let options = Options { targets, dry_run: true, ..Options::default() };
    block_on(check_members(&config, &options))
}

fn print_json(text: serde_json::Result<String>) -> Result<(), Failure> {
    let text = text.map_err(|error| Failure::internal("check").because(&error))?;
    print(|out| writeln!(out, "{text}"))
}
