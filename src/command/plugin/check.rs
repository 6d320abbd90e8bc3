//! `plugin check`: the conformance kit on the terminal.

use std::time::Duration;

use outrigger::exit::Exit;
use outrigger_conformance::{Obstacle, Report, Settings, check as drive};

use super::subject::subject;
use crate::cli::{Cli, PluginCheckArgs};
use crate::command::{Ended, print, secret};

/// Drives the plugin through all rules, and prints what it came to.
pub(super) fn check(cli: &Cli, args: &PluginCheckArgs) -> Ended {
    let subject = subject(&args.subject, secret(cli))?;
    let answer = Duration::from_secs(args.patience);
    let settings = Settings { items: args.items, answer, ..Settings::default() };
    let report = drive(&subject, &settings);
    print(|out| if args.json { writeln!(out, "{}", report.json()) } else { report.write(out) })?;
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    match (&report.obstacle, report.broken().next()) {
        (_, Some(_)) => Exit::Plugin,
        (Some(Obstacle::Settings(_)), None) => Exit::Usage,
        (Some(Obstacle::Other(_)), None) => Exit::Partial,
        (None, None) => Exit::Done,
    }
}
