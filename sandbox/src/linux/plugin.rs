//! The child of the fork: it becomes the plugin.
//!
//! In order: die with its parent, take descriptor 0 and the environment, apply the layers, check
//! what is open, report, wait for "go", then execute the program or run our own.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::exit;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};
use rustix::stdio::dup2_stdin;

use super::channel::{self, Received, Wait};
use super::layers::{self, Confinement, cgroup::Cgroup};
use super::messages::{Notice, Order, Start};
use super::names::{FAILED, name_process};
use super::sys::{self, Disposition};
use crate::{ExecError, ExecFailure, Failure, FirstParty, Program, Tier};

/// The exit code of a plugin that could not be executed, as a shell has it.
const NOT_EXECUTED: i32 = 127;

/// The exit code of a first-party plugin that panicked, as Rust has it.
const PANICKED: i32 = 101;

/// What the process will run, found before the fork.
pub(super) enum Body {
    /// A function of our own.
    FirstParty(FirstParty),
    /// An executable: its path, and its arguments from the zeroth on.
    Executable(CString, Vec<CString>),
}

impl Body {
    /// Looks it up, without touching any file.
    pub(super) fn find(
        program: &Program,
        first_party: &dyn Fn(&str) -> Option<FirstParty>,
    ) -> Result<Self, Failure> {
        match program {
            Program::FirstParty { name } => first_party(name).map(Self::FirstParty).ok_or_else(|| {
                Failure::new(
                    "looking up the plugin",
                    format!("there is no plugin {name:?} within this executable"),
                )
            }),
            Program::Executable { path, args } => Self::executable(path.as_os_str(), args)
                .map_err(|error| Failure::new("reading the arguments", error.to_string())),
        }
    }

    fn executable(path: &OsStr, args: &[OsString]) -> Result<Self, std::ffi::NulError> {
        let argv: Result<_, _> =
            [path].into_iter().chain(args.iter().map(OsString::as_os_str)).map(c_string).collect();
        Ok(Self::Executable(c_string(path)?, argv?))
    }
}

fn c_string(string: &OsStr) -> Result<CString, std::ffi::NulError> {
    CString::new(string.as_bytes())
}

/// The child of the fork.
pub(super) struct Plugin {
    pub(super) start: Start,
    pub(super) body: Body,
    /// What becomes descriptor 0.
    pub(super) stdin: OwnedFd,
    pub(super) parent: Pid,
    pub(super) tier: Tier,
    /// Why it is not a higher one.
    pub(super) no_namespaces: Option<Failure>,
    pub(super) group: Cgroup,
    /// To the keeper. Close-on-exec: that it closes tells the keeper that the program runs.
    pub(super) channel: OwnedFd,
}

impl Plugin {
    /// Becomes the plugin.
    pub(super) fn run(self, confinement: &Confinement) -> ! {
        let Self { mut start, body, stdin, parent, tier, no_namespaces, group, channel } = self;
        let done = leash(parent)
            .map_err(|error| Failure::system("tying the plugin to its keeper", &error))
            .and_then(|()| take_over(&mut start, &body, stdin, tier))
            .and_then(|()| layers::apply(confinement, tier, group, no_namespaces.as_ref()))
            .and_then(|report| check_descriptors(&channel).map(|()| report));
        match done {
            Ok(report) => tell(&channel, &Notice::Report(report)),
            Err(failure) => {
                tell(&channel, &Notice::Failed(failure));
                exit(FAILED)
            }
        }
        await_go(&channel);
        match body {
            Body::FirstParty(body) => run_first_party(body, channel),
            Body::Executable(path, args) => execute(&path, &args, &start, &channel),
        }
    }
}

/// Ties this process to its parent's life: a session of its own, which the broker can end by its
/// number if the keeper is gone, and SIGKILL when the parent ends.
///
/// The death signal is tied to the *thread* that forked, which is why the broker must not use it.
/// Keeper and init have one thread only. The parent may have ended before the signal was set: hence
/// the second look.
fn leash(parent: Pid) -> io::Result<()> {
    setsid()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() == Some(parent) { Ok(()) } else { exit(FAILED) }
}

/// Takes what a plugin has from its start: the connection, and its environment.
fn take_over(start: &mut Start, body: &Body, stdin: OwnedFd, tier: Tier) -> Result<(), Failure> {
    dup2_stdin(&stdin).map_err(|error| Failure::system("passing the connection", &error.into()))?;
    drop(stdin);
    match body {
        Body::Executable(..) => add_defaults(&mut start.environment, tier),
        Body::FirstParty(_) => {
            name_process("plugin", &start.program.label());
            sys::set_environment(&start.environment)
                .map_err(|error| Failure::system("setting the environment", &error))?;
        }
    }
    Ok(())
}

fn add_defaults(environment: &mut Vec<(OsString, OsString)>, tier: Tier) {
    for (name, value) in layers::defaults(tier) {
        if !environment.iter().any(|(known, _)| *known == name) {
            environment.push((name, value));
        }
    }
}

/// The report is about to say that the descriptors are clean: so look. Numbers are given out from
/// the lowest, so what was opened since all were closed is below a few dozen.
fn check_descriptors(channel: &OwnedFd) -> Result<(), Failure> {
    const HIGHEST: i32 = 256;
    let open = sys::open_descriptors(HIGHEST);
    let expected = [0, 1, 2, channel.as_raw_fd()];
    if open == expected {
        return Ok(());
    }
    Err(Failure::new("checking the descriptors", format!("open are {open:?} instead of {expected:?}")))
}

/// If the keeper cannot hear us, it has ended, and so shall we in a moment.
fn tell(channel: &OwnedFd, notice: &Notice) {
    if channel::send(channel, notice).is_err() {
        exit(FAILED);
    }
}

fn await_go(channel: &OwnedFd) {
    match channel::receive(channel, Wait::Forever) {
        Ok(Received::Message(Order::Go, _)) => {}
        _ => exit(FAILED),
    }
}

/// Runs a plugin of our own in this very process. It gets what any Rust program has at the start
/// of `main`: SIGPIPE ignored, everything else as the kernel has it.
fn run_first_party(body: FirstParty, channel: OwnedFd) -> ! {
    if let Err(error) = sys::block_only(&[]) {
        tell(&channel, &Notice::Failed(Failure::system("letting signals through", &error)));
        exit(FAILED);
    }
    drop(channel); // the keeper takes this for "started"
    exit(std::panic::catch_unwind(body).unwrap_or(PANICKED))
}

fn execute(path: &CString, args: &[CString], start: &Start, channel: &OwnedFd) -> ! {
    let error = match environment(&start.environment) {
        Ok(environment) => become_program(path, args, &environment),
        Err(error) => io::Error::other(error),
    };
    tell(channel, &Notice::ExecFailed(exec_error(OsStr::from_bytes(path.to_bytes()), &error)));
    exit(NOT_EXECUTED)
}

fn become_program(path: &CString, args: &[CString], environment: &[CString]) -> io::Error {
    // Our runtime ignores SIGPIPE, and what is ignored stays so through exec.
    sys::set_disposition(libc::SIGPIPE, Disposition::Default);
    match sys::block_only(&[]) {
        Ok(()) => sys::execute(path, args, environment),
        Err(error) => error,
    }
}

fn environment(variables: &[(OsString, OsString)]) -> Result<Vec<CString>, std::ffi::NulError> {
    let lines = variables.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    lines.map(CString::new).collect()
}

fn exec_error(path: &OsStr, error: &io::Error) -> ExecError {
    let errno = error.raw_os_error().unwrap_or(0);
    let kind = match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) if Path::new(path).exists() => ExecFailure::InterpreterMissing,
        Some(Errno::NOENT | Errno::NOTDIR) => ExecFailure::Missing,
        Some(Errno::ACCESS | Errno::PERM | Errno::ISDIR) => ExecFailure::NotExecutable,
        Some(Errno::NOEXEC | Errno::LIBBAD | Errno::INVAL) => ExecFailure::WrongFormat,
        _ => ExecFailure::Other(error.to_string()),
    };
    ExecError { path: readable(path), kind, errno }
}

/// A path as it can travel in JSON and stand in a message.
fn readable(path: &OsStr) -> PathBuf {
    match String::from_utf8(path.to_owned().into_vec()) {
        Ok(path) => path.into(),
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_first_party_plugin_is_named() {
        let found = Body::find(&Program::FirstParty { name: "vdri".into() }, &|_| None);
        assert!(found.is_err_and(|failure| failure.reason.contains("vdri")));
    }

    #[test]
    fn kinds_follow_the_number_and_the_file() {
        let kind =
            |path: &str, errno| exec_error(OsStr::new(path), &io::Error::from_raw_os_error(errno)).kind;
        assert_eq!(kind("/nonexistent", libc::ENOENT), ExecFailure::Missing);
        assert_eq!(kind("/proc/self/exe", libc::ENOENT), ExecFailure::InterpreterMissing);
        assert_eq!(kind("/proc/self/exe", libc::EACCES), ExecFailure::NotExecutable);
        assert_eq!(kind("/proc/self/exe", libc::ENOEXEC), ExecFailure::WrongFormat);
        assert!(matches!(kind("/proc/self/exe", libc::ENOMEM), ExecFailure::Other(_)));
    }

    #[test]
    fn an_environment_keeps_its_bytes() {
        let variables = [("A".into(), OsString::from_vec(vec![0xFF])), ("B".into(), "".into())];
        assert_eq!(environment(&variables).unwrap(), [c"A=\xff".to_owned(), c"B=".to_owned()]);
    }
}
