//! A plugin that does one thing wrong: `outrigger-faulty-plugin [--fault NAME]
//! [--codec 1|2] [--level 0|1] [--dedupe WORD]`.
//!
//! It keeps its items in memory and speaks the protocol by hand, frame by frame, since an SDK would
//! not let it do most of this. Without a fault it keeps every rule. `tests/faults.rs` says which
//! rule each fault breaks.
#![forbid(unsafe_code)]

#[cfg(unix)]
use outrigger_protocol::Codec;

#[cfg(unix)]
mod items;
#[cfg(unix)]
mod link;
#[cfg(unix)]
mod server;

fn main() -> std::process::ExitCode {
    // The tests' own sandbox helper: a test runner cannot be one.
    outrigger_sandbox::host_main_if_requested(|_| None);
    run()
}

#[cfg(unix)]
fn run() -> std::process::ExitCode {
    let mut args = std::env::args().skip(1);
    let (mut fault, mut dedupe) = (String::new(), None);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        let number: u16 = value.parse().unwrap_or_default();
        match arg.as_str() {
            "--fault" => fault = value,
            "--codec" => drop(Codec::from_number(number).map(|codec| link::CODEC.set(codec))),
            "--dedupe" => dedupe = Some(value),
            "--level" => drop(u8::try_from(number).map(|level| link::LEVEL.set(level))),
            _ => {}
        }
    }
    let ended = link::Link::meet(&fault).and_then(|link| server::Server::new(link, fault, dedupe).serve());
    match ended {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _nobody_listens = writeln!(std::io::stderr(), "the connection ended: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
fn run() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
