//! The `outrigger` command.
#![forbid(unsafe_code)]

mod cli;
mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: this process may be the beginning of a plugin's.
    outrigger::host_main_if_requested();
    command::main()
}
