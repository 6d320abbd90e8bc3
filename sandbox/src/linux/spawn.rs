//! Starts the helper and hands it what it needs.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::channel;
use super::messages::{Order, Start};
use crate::{Connection, Helper, Launch, LaunchError, Policy, Profile, Program, Protected, Token, reserved};

/// Our own executable, as the kernel has it open for us.
///
/// This is a descriptor of the running file rather than a name: after an upgrade in place
/// `/proc/self/exe` still leads to the old file, even to a deleted one, so the helper that a long
/// `watch` starts is always of the version that knows how to talk to it (decisions P2). The child
/// resolves it before it executes anything, so `self` is still this program.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// The longest token: it has to fit a pipe that nobody reads yet.
const MAX_TOKEN: usize = 4096;

/// Checks what can be checked before anything is started.
pub(super) fn check(launch: &Launch) -> Result<(), LaunchError> {
    let invalid = |reason: &str| Err(LaunchError::Invalid { reason: reason.into() });
    if matches!(&launch.program, Program::Executable { path, .. } if !path.is_absolute()) {
        return invalid("the path of the program must be absolute");
    }
    if launch.locks.len() > channel::MAX_DESCRIPTORS - 2 {
        return invalid("there are too many locks");
    }
    if launch.environment.iter().any(|(name, value)| !is_variable(name, value)) {
        return invalid(
            "an environment variable has an empty name, or a name with '=', or a zero byte in it",
        );
    }
    if matches!(&launch.connection, Connection::Named { token, .. } if !is_line(token)) {
        return invalid("the token must be one line of at most 4096 bytes");
    }
    if matches!(&launch.connection, Connection::Named { .. }) && launch.policy.profile != Profile::None {
        return invalid("a plugin in a sandbox can open no socket, so it cannot dial one by name");
    }
    check_network(&launch.policy)?;
    check_grants(launch)
}

/// A plugin that connects by itself can lead a socket that it was given elsewhere, so it is given
/// none (decisions P5).
fn check_network(policy: &Policy) -> Result<(), LaunchError> {
    let ports = policy.ports().len();
    if ports > 0 && (ports < policy.network.len() || policy.proxied) {
        let reason = "`network` grants hosts and ports (`tcp:PORT`) at once; they exclude each other";
        return Err(LaunchError::Invalid { reason: reason.into() });
    }
    Ok(())
}

/// Where there is no grant, this looks at no file: most starts.
fn check_grants(launch: &Launch) -> Result<(), LaunchError> {
    let policy = &launch.policy;
    for grant in policy.read.iter().chain(&policy.execute).chain(&policy.write) {
        check_grant(grant)?;
        // What is ours to keep is not for plugins to read either.
        launch.protected.iter().try_for_each(|place| place.check(grant))?;
    }
    if policy.write.is_empty() {
        return Ok(());
    }
    let mut protected = Protected::program();
    if let Helper::Executable(path) = &launch.helper {
        protected.push(Protected::new("the sandbox helper", path));
    }
    if let Program::Executable { path, .. } = &launch.program {
        protected.push(Protected::new("the plugin's executable", path));
    }
    protected.extend_from_slice(&launch.protected);
    Ok(policy.check_writes(&protected)?)
}

fn check_grant(grant: &Path) -> Result<(), LaunchError> {
    let invalid = |reason: &str| {
        Err(LaunchError::Invalid { reason: format!("the grant {} {reason}", grant.display()) })
    };
    if !grant.is_absolute() {
        return invalid("is not an absolute path");
    }
    match reserved(&grant.canonicalize().unwrap_or_else(|_| grant.to_owned())) {
        None => Ok(()),
        Some(what) => invalid(&format!("leads to {what}, which is never granted")),
    }
}

fn is_variable(name: &OsStr, value: &OsStr) -> bool {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    !name.is_empty() && !name.contains(&b'=') && !name.contains(&0) && !value.contains(&0)
}

fn is_line(token: &Token) -> bool {
    let token = token.reveal();
    !token.is_empty() && token.len() < MAX_TOKEN && !token.contains(['\n', '\0'])
}

/// A helper that was started: its process, and the socket to it. Dropping it ends everything.
#[derive(Debug)]
pub(super) struct Process {
    /// `None` once it was reaped or left to be reaped later; or another process is its parent.
    process: Option<process::Child>,
    /// A pidfd of it, where another process is its parent.
    adopted: Option<OwnedFd>,
    pub(super) id: u32,
    pub(super) control: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    /// What listens in the plugin's own network, where it is proxied.
    pub(super) listener: Option<OwnedFd>,
}

impl Process {
    /// Starts the helper. `std` takes the quick way (`posix_spawn`), since nothing here needs a
    /// hook between fork and exec, and so a large broker pays no more than a small one.
    pub(super) fn spawn(helper: &Helper, label: &str) -> Result<Self, LaunchError> {
        reap_orphans();
        let path = match helper {
            Helper::Own => Path::new(OWN_EXECUTABLE),
            Helper::Executable(path) => path,
        };
        let error = |error| LaunchError::Helper { path: path.to_owned(), error };
        let (control, theirs) = channel::pair().map_err(error)?;
        let mut process = command(path, label, theirs).spawn().map_err(error)?;
        Ok(Self {
            id: process.id(),
            control,
            path: path.to_owned(),
            stdout: process.stdout.take().map(OwnedFd::from),
            stderr: process.stderr.take().map(OwnedFd::from),
            process: Some(process),
            adopted: None,
            listener: None,
        })
    }

    /// One whose parent is another process.
    pub(super) fn adopted(id: u32, control: OwnedFd, pidfd: OwnedFd, outputs: [OwnedFd; 2]) -> Self {
        let [stdout, stderr] = outputs.map(Some);
        let (process, adopted, path) = (None, Some(pidfd), PathBuf::new());
        Self { process, adopted, id, control, path, stdout, stderr, listener: None }
    }

    /// What is left to its parent when somebody else holds the control socket: nothing is said over it
    /// from here any more, and this end of it is closed.
    pub(super) fn without_control(&mut self) -> io::Result<Self> {
        let (nowhere, _) = channel::pair()?;
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (process, path) = (self.process.take(), self.path.clone());
        let (adopted, id) = (self.adopted.take(), self.id);
        let control = std::mem::replace(&mut self.control, nowhere.try_clone()?);
        drop(control);
        Ok(Self { process, adopted, id, control: nowhere, path, stdout, stderr, listener: None })
    }

    /// Sends the first message; takes the plugin's end of the connection and the locks, so that
    /// this process does not hold on to them.
    pub(super) fn send_start(&self, launch: Launch, no_scope: Option<String>) -> io::Result<()> {
        let (stdin, environment) = connect(launch.connection, launch.environment)?;
        let broker = pidfd_open(getpid(), PidfdFlags::empty())?;
        let start = Start { program: launch.program, environment, policy: launch.policy, no_scope };
        let locks = launch.locks.iter().map(AsFd::as_fd);
        let descriptors: Vec<BorrowedFd<'_>> =
            [broker.as_fd(), stdin.as_fd()].into_iter().chain(locks).collect();
        channel::send_with(&self.control, &start, &descriptors)
    }

    /// Asks the keeper for something. One that cannot hear has gone, and with it the plugin.
    pub(super) fn order(&self, order: Order) {
        channel::send(&self.control, &order).ok();
    }

    /// Kills the helper itself. What it keeps dies with it, apart from grandchildren.
    pub(super) fn kill(&mut self) {
        // Both fail only if it has ended.
        if let Some(process) = &mut self.process {
            process.kill().ok();
        } else if let Some(process) = &self.adopted {
            pidfd_send_signal(process, Signal::KILL).ok();
        }
    }

    /// Whether it ends within a time.
    pub(super) fn ends_within(&self, limit: Duration) -> io::Result<bool> {
        let Some(id) = Pid::from_raw(self.id.cast_signed()) else { return Ok(false) };
        let process = pidfd_open(id, PidfdFlags::empty())?; // it is not reaped yet
        channel::wait_readable(&process, Instant::now() + limit)
    }

    /// Waits for the helper to end: only after it closed the control socket, which it does by
    /// ending, so this takes no time. Afterwards all that it held is released.
    pub(super) fn reap(&mut self) -> io::Result<Option<process::ExitStatus>> {
        self.process.take().map(|mut process| process.wait()).transpose()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Said as well as meant by closing the socket: somebody may hold a duplicate of it.
        self.order(Order::Kill);
        if let Some(process) = self.process.take() {
            orphans().push(process);
        }
        reap_orphans();
    }
}

/// The environment of the helper is empty too: what a plugin's manifest wants in its own
/// (`LD_PRELOAD`, say) must not reach the process that builds its sandbox.
fn command(path: &Path, label: &str, control: OwnedFd) -> Command {
    let mut command = Command::new(path);
    command.arg0("outrigger").args([crate::HOST_ARGUMENT, label]).env_clear();
    command.stdin(control).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What becomes descriptor 0, and the environment that tells of the connection.
fn connect(
    connection: Connection,
    mut environment: Vec<(OsString, OsString)>,
) -> io::Result<(OwnedFd, Vec<(OsString, OsString)>)> {
    let (stdin, name, value) = match connection {
        Connection::Inherited(end) => (end, "OUTRIGGER_FD", "0".into()),
        Connection::Named { endpoint, token } => (token_pipe(&token)?, "OUTRIGGER_ENDPOINT", endpoint.into()),
    };
    environment.retain(|(other, _)| other != "OUTRIGGER_FD" && other != "OUTRIGGER_ENDPOINT");
    environment.push((name.into(), value));
    Ok((stdin, environment))
}

/// The secret goes straight into the pipe: neither helper nor keeper ever has it in memory.
fn token_pipe(token: &Token) -> io::Result<OwnedFd> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(format!("{}\n", token.reveal()).as_bytes())?;
    Ok(reader.into())
}

/// Helpers whose owner went before they had ended. Each ends by itself within moments; what is
/// left of it is taken away when the next helper starts or goes.
static ORPHANS: Mutex<Vec<process::Child>> = Mutex::new(Vec::new());

fn orphans() -> std::sync::MutexGuard<'static, Vec<process::Child>> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reap_orphans() {
    orphans().retain_mut(|process| matches!(process.try_wait(), Ok(None)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_variable_is_checked_before_it_travels() {
        assert!(is_variable(OsStr::new("A"), OsStr::new("")));
        assert!(!is_variable(OsStr::new(""), OsStr::new("x")));
        assert!(!is_variable(OsStr::new("A=B"), OsStr::new("x")));
        assert!(!is_variable(OsStr::new("A"), OsStr::new("x\0y")));
    }

    #[test]
    fn a_token_is_one_line() {
        assert!(is_line(&Token::new("abc")));
        assert!(!is_line(&Token::new("a\nb")) && !is_line(&Token::new("")));
        assert!(!is_line(&Token::new("x".repeat(MAX_TOKEN))));
    }

    #[test]
    fn named_connections_get_the_endpoint_and_the_token() {
        let connection = Connection::Named { endpoint: "/run/o/s".into(), token: Token::new("abc") };
        let stale = vec![("OUTRIGGER_FD".into(), "7".into()), ("LANG".into(), "C".into())];
        let (stdin, environment) = connect(connection, stale).unwrap();
        assert_eq!(
            environment,
            [("LANG".into(), "C".into()), ("OUTRIGGER_ENDPOINT".into(), "/run/o/s".into())]
        );
        let mut line = String::new();
        std::fs::File::from(stdin).read_to_string(&mut line).unwrap();
        assert_eq!(line, "abc\n");
    }
}
