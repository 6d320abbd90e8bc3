//! A control group of this process's own, where it is not root: what systemd hands over.
//!
//! Systemd owns the tree of groups. In a unit with `Delegate=` it leaves the unit's own group to
//! whoever runs there. Elsewhere (a login, another unit) the user's own manager is asked for a scope,
//! which is a unit around a process that runs already. Either is done once in the life of this
//! process. Nothing but this process moves; what it starts from then on is born there.
//!
//! The call is made by `busctl`, which is a part of systemd. A manager that lies harms nobody but its
//! own user: what came of it is looked up in `/proc`. One that does not answer costs a few seconds, once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Pid, PidfdFlags, geteuid, getpid, pidfd_open};

use super::channel::wait_readable;
use super::layers::{cgroup, needs_group, wanted};
use super::sys;
use crate::{Launch, Program};

/// How long the manager may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after its answer it may take to move us.
const MOVING: Duration = Duration::from_secs(5);

/// The most that is kept of what `busctl` has to say.
const LONGEST: usize = 300;

/// Sees to it that this process is in a group that it may divide, before it starts a plugin. Says why
/// there is none, where it takes one and the manager was asked; `None` if all is well, or nothing of
/// that can be had here.
pub(super) fn settle(launch: &Launch) -> Option<String> {
    static HANDED: OnceLock<()> = OnceLock::new();
    static ASKED: OnceLock<Option<String>> = OnceLock::new();
    if !wanted(&launch.policy) {
        return None;
    }
    // At the first plugin of any kind: as long as there is no other process in the group.
    HANDED.get_or_init(use_what_is_handed_over);
    if !needs_group(&launch.policy, matches!(launch.program, Program::Executable { .. })) {
        return None;
    }
    ASKED.get_or_init(|| (!geteuid().is_root()).then(ask_if_of_use)?.err()).clone()
}

/// A failure is told by what comes of it: there is no group to be had.
fn use_what_is_handed_over() {
    if let Some(own) = cgroup::own().filter(|own| cgroup::is_handed_over(own) && is_alone(own)) {
        cgroup::step_aside(&own).ok();
    }
}

/// Whether no other process is in a group.
fn is_alone(group: &Path) -> bool {
    let own = getpid().to_string();
    std::fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|processes| processes.trim_end() == own)
}

/// In a group that is ours the manager is not needed.
fn ask_if_of_use() -> Result<(), String> {
    match cgroup::own() {
        Some(own) if access(&own, Access::WRITE_OK).is_err() => ask(),
        _ => Ok(()),
    }
}

fn ask() -> Result<(), String> {
    let runtime = runtime_directory();
    find_manager(&runtime.join("systemd/private"))
        .map_err(|why| format!("there is no systemd user manager to ask for a scope: {why}"))?;
    let failed = |why| format!("the systemd user manager was asked for a scope: {why}");
    let scope = format!("outrigger-{}.scope", getpid());
    call(busctl(&runtime, &scope), PATIENCE).map_err(failed)?;
    let own = wait_to_be_in(&scope).map_err(failed)?;
    cgroup::step_aside(&own).map_err(|error| failed(format!("{}: {error}", own.display())))
}

/// Where the sockets of the user's manager lie, also for a process that was not told.
fn runtime_directory() -> PathBuf {
    let usual = || PathBuf::from(format!("/run/user/{}", geteuid().as_raw()));
    let told = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    told.filter(|path| path.is_absolute()).unwrap_or_else(usual)
}

/// Whether this user's manager listens there, in our namespace of processes: elsewhere our number would
/// be that of another process. Where there is none this is one call. It does not wait.
fn find_manager(socket: &Path) -> Result<(), String> {
    let failed = |error: rustix::io::Errno| format!("{}: {}", socket.display(), io::Error::from(error));
    let address = SocketAddrUnix::new(socket).map_err(failed)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let connection = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
    connect(&connection, &address).map_err(failed)?;
    match sys::peer(connection.as_fd()) {
        Ok((process, user)) if process > 0 && user == geteuid().as_raw() => Ok(()),
        Ok(_) => Err(format!("{}: it belongs to somebody else, or runs elsewhere", socket.display())),
        Err(error) => Err(format!("{}: {error}", socket.display())),
    }
}

/// Has the call made, and waits for the answer.
fn call(mut busctl: Command, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    let mut busctl = busctl.spawn().map_err(|error| format!("`busctl`: {error}"))?;
    let said = busctl.stderr.take();
    let ended = has_ended(&busctl, deadline).unwrap_or(false);
    if !ended {
        busctl.kill().ok(); // fails only if it has ended by now
    }
    match busctl.wait() {
        Ok(status) if status.success() => Ok(()),
        _ if !ended => Err(format!("no answer within {patience:?}")),
        Ok(status) => Err(said.map(first_line).filter(|line| !line.is_empty()).unwrap_or(status.to_string())),
        Err(error) => Err(error.to_string()),
    }
}

/// The call as `busctl` wants it. It finds the bus by the directory alone: an application may have been
/// given another bus, where no manager is.
fn busctl(runtime: &Path, scope: &str) -> Command {
    const MANAGER: [&str; 4] = [
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
    ];
    let (timeout, pid) = (format!("--timeout={}", PATIENCE.as_secs()), getpid().to_string());
    let mut command = Command::new("busctl");
    command.args(["--user", &timeout, "call"]).args(MANAGER).args(["ssa(sv)a(sa(sv))", scope, "fail"]);
    // Two properties, each with the type of its value, and no other units.
    command.args(["2", "PIDs", "au", "1", &pid, "Delegate", "b", "true", "0"]);
    command.env("XDG_RUNTIME_DIR", runtime).env_remove("DBUS_SESSION_BUS_ADDRESS");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn has_ended(process: &Child, deadline: Instant) -> io::Result<bool> {
    let process: OwnedFd = pidfd_open(Pid::from_child(process), PidfdFlags::empty())?;
    wait_readable(&process, deadline)
}

/// The beginning of what it said before it ended. It does not wait for more.
fn first_line(said: ChildStderr) -> String {
    let mut buffer = [0; LONGEST];
    let is_there = wait_readable(&said, Instant::now()).unwrap_or(false);
    let length = if is_there { rustix::io::read(&said, &mut buffer).unwrap_or(0) } else { 0 };
    let text = String::from_utf8_lossy(&buffer[..length]);
    text.lines().next().unwrap_or_default().to_owned()
}

/// The manager answers before it acts, and the kernel tells nobody that a process has moved: so look.
fn wait_to_be_in(scope: &str) -> Result<PathBuf, String> {
    let deadline = Instant::now() + MOVING;
    loop {
        match cgroup::own() {
            Some(own) if own.ends_with(scope) => return Ok(own),
            _ if Instant::now() > deadline => return Err("it agreed, and did not move this process".into()),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// What comes of a `busctl` that does this.
    fn called(script: &str, patience: Duration) -> Result<(), String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        call(command, patience)
    }

    #[test]
    fn what_the_manager_answers_is_told_and_bounded() {
        assert_eq!(called("exit 0", PATIENCE), Ok(()));
        assert_eq!(
            called("echo Access denied >&2; echo more >&2; exit 1", PATIENCE),
            Err("Access denied".into())
        );
        assert!(called("exit 3", PATIENCE).unwrap_err().contains('3'));
        let long = called("head -c 9999 /dev/zero | tr '\\0' x >&2; exit 1", PATIENCE).unwrap_err();
        assert_eq!(long.len(), LONGEST);
    }

    #[test]
    fn one_that_does_not_answer_or_floods_is_ended() {
        let patience = Duration::from_millis(50);
        for script in ["exec sleep 60", "exec cat /dev/zero >&2"] {
            assert_eq!(called(script, patience), Err("no answer within 50ms".into()));
        }
        assert!(call(Command::new("/nonexistent/busctl"), PATIENCE).unwrap_err().contains("No such file"));
    }

    /// Who waits for it to close holds nobody up.
    #[test]
    fn what_is_left_of_it_is_not_waited_for() {
        let begun = Instant::now();
        assert!(called("sleep 60 & exit 1", PATIENCE).is_err());
        assert!(begun.elapsed() < PATIENCE);
    }

    #[test]
    fn a_manager_is_looked_for_where_it_listens() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("private");
        assert!(find_manager(&socket).unwrap_err().contains("No such file"));
        let listening = UnixListener::bind(&socket).unwrap();
        assert_eq!(find_manager(&socket), Ok(()));
        drop(listening);
        assert!(find_manager(&socket).unwrap_err().contains("refused"));
    }
}
