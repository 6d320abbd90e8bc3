//! `check`: tries the configuration without touching an item.

use outrigger::run::{Options, check as check_members};

use super::{Ended, block_on, called, load, print};
use crate::cli::{CheckArgs, Cli};

/// Starts every member's plugin once, and says what it found.
pub(crate) fn check(cli: &Cli, args: &CheckArgs) -> Ended {
    let config = load(cli)?;
    let targets = args.groups.iter().map(|group| (group.clone(), None)).collect();
    let options = Options { targets, dry_run: true, command: called(cli), ..Options::default() };
    let report = block_on(check_members(&config, &options))?;
    print(|out| report.write(out))?;
    Ok(report.exit())
}
