//! `doctor`: what this machine can enforce on plugins, and whether the groups are well.

use outrigger::config::{Config, Places};
use outrigger::doctor::{diagnose, drift};
use outrigger::report::Failure;
use outrigger::sandbox::Program;

use super::terminal::Progress;
use super::{Ended, block_on, config_file, print};
use crate::cli::{Cli, DoctorArgs};

/// Looks, and says what it found.
pub(crate) fn doctor(cli: &Cli, args: &DoctorArgs) -> Ended {
    let mut found = diagnose(&own_program()?)?;
    match config(cli, args.verify) {
        Ok(None) => {}
        Err(failure) => found.add_failure(&failure),
        Ok(Some(config)) => {
            found.look_at(&config);
            if args.verify {
                let progress = Progress::new(args.json);
                let drift = block_on(drift(&config, &args.groups, &progress));
                progress.finish();
                found.add_drift(drift?);
            }
        }
    }
    if args.json {
        let text = found.json().map_err(|error| Failure::internal("doctor").because(&error))?;
        print(|out| writeln!(out, "{text}"))?;
    } else {
        print(|out| found.write(out))?;
    }
    Ok(found.exit())
}

/// The configuration. One that nobody named need not be there, unless its groups are to be verified.
fn config(cli: &Cli, must_be: bool) -> Result<Option<Config>, Failure> {
    let file = match config_file(cli) {
        Err(_) if !must_be => return Ok(None),
        file => file?,
    };
    if cli.config.is_none() && !must_be && !file.exists() {
        return Ok(None);
    }
    Ok(Some(Config::load(&file, &Places::from_environment())?))
}

/// This command, as a program that says its version and ends: one that is surely there.
fn own_program() -> Result<Program, Failure> {
    let path = std::env::current_exe();
    let path = path.map_err(|error| Failure::internal("where this command is").because(&error))?;
    Ok(Program::Executable { path, args: vec!["--version".into()] })
}
