//! `doctor`: what this machine can enforce on plugins.

use outrigger::doctor::diagnose;
use outrigger::report::Failure;
use outrigger::sandbox::Program;

use super::{Ended, print};
use crate::cli::DoctorArgs;

/// Looks, and says what it found.
pub(crate) fn doctor(args: &DoctorArgs) -> Ended {
    let found = diagnose(&own_program()?)?;
    if args.json {
        let text = found.json().map_err(|error| Failure::internal("doctor").because(&error))?;
        print(|out| writeln!(out, "{text}"))?;
    } else {
        print(|out| found.write(out))?;
    }
    Ok(found.exit())
}

/// This command, as a program that says its version and ends: one that is surely there.
fn own_program() -> Result<Program, Failure> {
    let path = std::env::current_exe();
    let path = path.map_err(|error| Failure::internal("where this command is").because(&error))?;
    Ok(Program::Executable { path, args: vec!["--version".into()] })
}
