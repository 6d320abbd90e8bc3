//! The verbs of the command line: from arguments to a report on the terminal.
//!
//! Results go to stdout, messages and progress to stderr. What a verb does is the library's
//! business (`outrigger::run`); here is only what needs a terminal.

mod asker;
#[cfg(target_os = "linux")]
mod broker;
mod check;
mod conflicts;
mod demo;
mod doctor;
mod editor;
mod history;
mod init;
mod line;
#[cfg(unix)]
mod peers;
mod plugin;
#[cfg(unix)]
mod room;
mod sandbox;
mod status;
mod sync;
mod terminal;
mod waiting;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use outrigger::config::{Config, Places};
use outrigger::exit::Exit;
use outrigger::report::Failure;
use outrigger::sandbox::Protected;

use crate::cli::{Cli, Verb};

/// Runs the command that this process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::set_up(&cli);
    outrigger::report::call_us(call_of(&cli));
    let ended = match &cli.verb {
        Verb::Sync(args) => sync::sync(&cli, args),
        Verb::Plan(args) => sync::plan(&cli, args),
        Verb::Status(args) => status::status(&cli, args),
        Verb::Conflicts(args) => conflicts::conflicts(&cli, args),
        Verb::Log(args) => history::log(&cli, args),
        Verb::Undo(args) => history::undo(&cli, args),
        Verb::Reset(args) => history::reset(&cli, args),
        Verb::Forget(args) => history::forget(&cli, args),
        Verb::Check(args) => check::check(&cli, args),
        Verb::Doctor(args) => doctor::doctor(&cli, args),
        Verb::Sandbox(args) => return sandbox::sandbox(args), // the code is another program's
        Verb::Init(args) => init::init(&cli, args),
        Verb::Demo(args) => demo::demo(args),
        #[cfg(unix)]
        Verb::Peers(args) => peers::peers(&cli, args),
        #[cfg(not(unix))]
        Verb::Peers(_) => Err(Failure::new(Exit::Plugin, "ends are found on Unix only")),
        Verb::Plugin(args) => plugin::plugin(&cli, args),
        #[cfg(target_os = "linux")]
        Verb::Broker(_) => broker::broker(),
        #[cfg(not(target_os = "linux"))]
        Verb::Broker(_) => {
            Err(Failure::new(Exit::Plugin, "a broker runs as a process of its own on Linux only"))
        }
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // Where standard error is closed, the exit code has to say it.
            let _told = failure.write(&mut anstream::stderr());
            failure.exit.into()
        }
    }
}

/// How a verb ends.
type Ended = Result<Exit, Failure>;

/// The configuration file that this command is about.
fn config_file(cli: &Cli) -> Result<PathBuf, Failure> {
    let places = Places::from_environment();
    cli.config.clone().or_else(|| places.config_file()).ok_or_else(|| {
        Failure::usage("the home directory is not known").hint("name the configuration with `-c FILE`")
    })
}

/// What a plugin that is only tried may not be granted either. Without a configuration that can be read,
/// what is ours is where it usually is.
fn secret(cli: &Cli) -> Vec<Protected> {
    let places = Places::from_environment();
    let config = config_file(cli).ok().and_then(|file| Config::load(&file, &places).ok());
    config.map_or_else(|| places.secret(), |config| config.secret())
}

/// How this command was called, as the user can call it again.
fn call_of(cli: &Cli) -> String {
    let Some(file) = &cli.config else { return "outrigger".to_owned() };
    let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let file = file.to_str().and_then(outrigger::report::shell_word);
    format!("outrigger -c {}", file.as_deref().unwrap_or("FILE"))
}

fn load(cli: &Cli) -> Result<Config, Failure> {
    let config = Config::load(&config_file(cli)?, &Places::from_environment())?;
    if config.groups.is_empty() {
        let failure =
            Failure::usage(format!("{} has no group: nothing is to be done", config.file.display()));
        return Err(
            failure.hint("add [group.NAME] with members = [\"…\", \"…\"], as `outrigger init` writes it")
        );
    }
    #[cfg(unix)]
    room::make(&config);
    Ok(config)
}

/// Runs a future on a runtime of one thread, until it ends, or the user or the system interrupts.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = future => ended,
            () = interrupt() => Err(interrupted()),
        }
    });
    // A lock that is waited for, or a process that is being started, is not waited for any more.
    runtime.shutdown_background();
    ended
}

/// Waits until the user interrupts, or the system or a service manager ends us. A hangup is left to the
/// system, for `nohup` has it ignored.
#[cfg(unix)]
async fn interrupt() {
    use tokio::signal::unix::{SignalKind, signal};
    let [Ok(mut interrupt), Ok(mut terminate)] =
        [SignalKind::interrupt(), SignalKind::terminate()].map(signal)
    else {
        // The system's own way: it ends at once.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn interrupt() {
    let _interrupted = tokio::signal::ctrl_c().await;
}

/// A runtime of one thread.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::internal("no runtime").because(&error))
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted")
        .hint("what is written down is consistent; the next run goes on from there")
}

/// Writes a result to standard output.
fn print(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let written = write(&mut out).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::internal("the result cannot be written").because(&error))
        }
        _ => Ok(()),
    }
}
