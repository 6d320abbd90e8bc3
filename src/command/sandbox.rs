//! `sandbox run`: any command under a policy, to see what the policy does.

mod program;
mod proxy;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use outrigger::config::Places;
use outrigger::exit::Exit as Code;
use outrigger::report::{Failure, write_standings};
use outrigger::sandbox::{
    Ceiling, Child, Connection, Deadlines, Descriptor, ExecError, ExecFailure, Exit, Helper, Launch,
    LaunchError, OnUnsupported, Policy, Prepared, Profile, Program, Protected, Report, Tier, prepare,
};

use self::proxy::Proxy;
use crate::cli::{SandboxArgs, SandboxRunArgs, SandboxVerb, WantedTier};

/// As `env`, `timeout` and others have it.
const NO_SANDBOX: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// How long each step of the start may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the command was not run, and the exit code that says so.
#[derive(Debug)]
struct Refusal {
    code: u8,
    failure: Failure,
}

impl Refusal {
    fn new(code: u8, what: impl Into<String>) -> Self {
        Self { code, failure: Failure::new(Code::Plugin, what) }
    }

    fn because(self, error: &dyn std::error::Error) -> Self {
        Self { failure: self.failure.because(error), ..self }
    }

    fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage.code(), what)
    }
}

/// Does it; the exit code is that of the command, if it ran.
pub(crate) fn sandbox(args: &SandboxArgs) -> ExitCode {
    let SandboxVerb::Run(args) = &args.verb;
    let code = run(args).unwrap_or_else(|refusal| {
        // Where standard error is closed, the exit code has to say it.
        let _told = refusal.failure.write(&mut anstream::stderr());
        refusal.code
    });
    code.into()
}

fn run(args: &SandboxRunArgs) -> Result<u8, Refusal> {
    let policy = policy(args)?;
    let prepared = prepare(launch(args, policy.clone())?).map_err(unprepared)?;
    judge(args, &policy, &prepared)?;
    let mut child = prepared.start().map_err(not_started)?;
    let failed = |error: io::Error| Refusal::new(NO_SANDBOX, "the command was lost").because(&error);
    let proxy = proxy(&mut child, &policy)?;
    let copies = pass_on(&mut child).map_err(failed)?;
    let exit = wait(&mut child).map_err(failed)?;
    if let Some(proxy) = proxy {
        proxy.end(args.report);
    }
    // Nothing of it is left, so both pipes end, as soon as all that is in them was taken.
    copies.into_iter().for_each(|copy| drop(copy.join()));
    exit_code(exit)
}

/// What it may do. Nothing is granted by a slip: a path that is not there is an error.
fn policy(args: &SandboxRunArgs) -> Result<Policy, Refusal> {
    let network = proxy::grants(&args.connect)?;
    Ok(Policy {
        profile: if network.is_empty() { Profile::Strict } else { Profile::Network },
        read: program::there(&args.read)?,
        write: program::there(&args.write)?,
        execute: program::there(&args.execute)?,
        proxied: proxy::is_needed(&network),
        network,
        memory: args.memory,
        processes: args.processes,
        file_size: args.file_size,
        require: args.require.clone(),
        on_unsupported: if args.weaken { OnUnsupported::Weaken } else { OnUnsupported::Refuse },
        at_most: Ceiling { tier: args.tier.map(tier), landlock_abi: None },
    })
}

fn tier(wanted: WantedTier) -> Tier {
    match wanted {
        WantedTier::Namespaced => Tier::Namespaced,
        WantedTier::Landlocked => Tier::Landlocked,
    }
}

fn launch(args: &SandboxRunArgs, policy: Policy) -> Result<Launch, Refusal> {
    let (name, rest) = args.command.split_first().ok_or_else(|| Refusal::usage("there is no command"))?;
    let path = program::find(name, std::env::var_os("PATH").as_deref())?;
    let input =
        input().map_err(|error| Refusal::new(NO_SANDBOX, "standard input is lost").because(&error))?;
    Ok(Launch {
        program: Program::Executable { path, args: rest.iter().map(OsString::clone).collect() },
        connection: Connection::Inherited(input),
        environment: if policy.proxied { proxy::environment() } else { Vec::new() },
        locks: Vec::new(),
        policy,
        protected: protected(),
        deadlines: Deadlines { report: PATIENCE, start: PATIENCE },
        helper: Helper::Own,
    })
}

/// What no plugin may be granted, as far as it is known without a configuration.
fn protected() -> Vec<Protected> {
    let places = Places::from_environment();
    let ours = [
        ("the state directory", places.state()),
        ("the configuration", places.config_file()),
        ("the runtime directory", outrigger::broker::runtime_path()),
    ];
    ours.into_iter().filter_map(|(what, path)| Some(Protected::new(what, path?))).collect()
}

/// Says what is enforced, where that was asked for or matters, and whether it suffices.
fn judge(args: &SandboxRunArgs, policy: &Policy, prepared: &Prepared) -> Result<(), Refusal> {
    let report = prepared.report();
    if policy.proxied && report.tier() != Tier::Namespaced {
        let _told = tell(report);
        return Err(proxy::unavailable(report.tier()));
    }
    let missing = missing(args, policy, report);
    if args.report || missing.is_some() {
        // Where standard error is closed, nobody wanted to know.
        let _told = tell(report);
    }
    match missing {
        Some(what) if !args.weaken => {
            let refusal = Refusal::new(NO_SANDBOX, what);
            let hint = "`--weaken` runs it all the same; `outrigger doctor` shows what this machine can do";
            Err(Refusal { failure: refusal.failure.hint(hint), ..refusal })
        }
        _ => Ok(()),
    }
}

fn tell(report: &Report) -> io::Result<()> {
    use std::io::Write as _;
    let mut err = anstream::stderr().lock();
    writeln!(err, "sandbox  tier {}", report.tier())?;
    write_standings(report, "sandbox  ", &mut err)
}

/// What is required and not enforced.
fn missing(args: &SandboxRunArgs, policy: &Policy, report: &Report) -> Option<String> {
    let unmet: Vec<&str> =
        report.unmet(&policy.required()).iter().map(|(guarantee, _)| guarantee.name()).collect();
    if !unmet.is_empty() {
        return Some(format!("required and not enforced here: {}", unmet.join(", ")));
    }
    let wanted = args.tier.map(tier).filter(|wanted| *wanted != report.tier());
    wanted.map(|wanted| format!("this machine does not give the tier {wanted}"))
}

/// The proxy of a command that has one.
fn proxy(child: &mut Child, policy: &Policy) -> Result<Option<Proxy>, Refusal> {
    let started = child.take_listener().map(|listener| Proxy::start(listener, &policy.network));
    started.transpose().map_err(|error| Refusal::new(NO_SANDBOX, "there is no proxy").because(&error))
}

fn unprepared(error: LaunchError) -> Refusal {
    Refusal::new(NO_SANDBOX, "the sandbox cannot be had").because(&error)
}

fn not_started(error: LaunchError) -> Refusal {
    let code = match &error {
        LaunchError::Exec(ExecError { kind, .. }) => match kind {
            ExecFailure::Missing | ExecFailure::InterpreterMissing => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        },
        _ => NO_SANDBOX,
    };
    Refusal::new(code, "the command cannot be run").because(&error)
}

/// Copies what it prints to where this command prints.
fn pass_on(child: &mut Child) -> io::Result<Vec<JoinHandle<()>>> {
    let (out, err) = outputs()?;
    let pairs = [(child.take_stdout(), out), (child.take_stderr(), err)];
    Ok(pairs.into_iter().filter_map(|(from, to)| Some(copy(from?, to))).collect())
}

fn copy(from: Descriptor, to: Descriptor) -> JoinHandle<()> {
    thread::spawn(move || {
        // Between files `io::copy` splices, and that keeps a position of its own in a file: what this
        // command says meanwhile would be written over.
        let to: &mut dyn io::Write = &mut File::from(to);
        // Where nobody reads any more, the pipe is closed, and the command hears of it.
        let _copied = io::copy(&mut File::from(from), to);
    })
}

fn wait(child: &mut Child) -> io::Result<Exit> {
    const LONG: Duration = Duration::from_secs(3600);
    loop {
        if let Some(ended) = child.wait(LONG)? {
            return Ok(ended.exit);
        }
    }
}

/// As a shell has it.
fn exit_code(exit: Exit) -> Result<u8, Refusal> {
    match exit {
        Exit::Code(code) => Ok(code.to_le_bytes()[0]),
        Exit::Signal(signal) => Ok(128_u8.saturating_add(signal.to_le_bytes()[0])),
        Exit::KeeperLost => Err(Refusal::new(NO_SANDBOX, format!("the command {exit}"))),
    }
}

#[cfg(unix)]
fn input() -> io::Result<Descriptor> {
    use std::os::fd::AsFd as _;
    io::stdin().as_fd().try_clone_to_owned()
}

#[cfg(unix)]
fn outputs() -> io::Result<(Descriptor, Descriptor)> {
    use std::os::fd::AsFd as _;
    Ok((io::stdout().as_fd().try_clone_to_owned()?, io::stderr().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn input() -> io::Result<Descriptor> {
    use std::os::windows::io::AsHandle as _;
    io::stdin().as_handle().try_clone_to_owned()
}

#[cfg(windows)]
fn outputs() -> io::Result<(Descriptor, Descriptor)> {
    use std::os::windows::io::AsHandle as _;
    Ok((io::stdout().as_handle().try_clone_to_owned()?, io::stderr().as_handle().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(exit_code(Exit::Code(3)).unwrap(), 3);
        assert_eq!(exit_code(Exit::Signal(9)).unwrap(), 137);
        assert_eq!(exit_code(Exit::KeeperLost).unwrap_err().code, NO_SANDBOX);
    }

    #[test]
    fn a_command_that_cannot_be_executed_is_told_from_one_that_is_not_there() {
        let code = |kind| not_started(ExecError { path: "/x".into(), kind, errno: 1 }.into()).code;
        assert_eq!(code(ExecFailure::Missing), NOT_FOUND);
        assert_eq!(code(ExecFailure::WrongFormat), NOT_EXECUTABLE);
    }
}
