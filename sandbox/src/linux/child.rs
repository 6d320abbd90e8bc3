//! The broker's end of a plugin: start it, watch it, end it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::channel::{self, Received, Wait};
use super::layers::cgroup;
use super::leader::Leader;
use super::messages::{Notice, Order};
use super::proc;
use super::scope;
use super::spawn::{self, Process};
use crate::{Deadlines, Descriptor, Ended, Exit, Launch, LaunchError, Report};

/// How long a helper that closed its end may take to end: it is about to, if it is one.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Starts the helper and waits for its report. The plugin's code does not run yet.
///
/// # Errors
///
/// The step that failed. Whatever had been started by then has been ended.
pub fn prepare(launch: Launch) -> Result<Prepared, LaunchError> {
    const STEP: &str = "preparing the sandbox";
    spawn::check(&launch)?;
    let deadlines = launch.deadlines;
    let no_scope = scope::settle(&launch);
    let mut process = Process::spawn(&launch.helper, &launch.program.label())?;
    match process.send_start(launch, no_scope) {
        // What a helper said before it went, or how it ended, says more than a broken socket.
        Err(error) if !means_gone(&error) => return Err(LaunchError::Channel { step: STEP, error }),
        _ => {}
    }
    match answer(&mut process, STEP, deadlines.report)? {
        (Notice::Report(report), mut descriptors) => {
            process.listener = descriptors.pop();
            Ok(Prepared { process, report, deadlines })
        }
        (other, _) => Err(refusal(other, STEP)),
    }
}

/// Whether a send failed because the other end is closed: which of the errors it is depends on
/// whether it had something left to read, and on which moment of its end we met.
fn means_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | NotConnected)
}

/// The next notice of the helper, and what comes with it, within the time it is given.
fn answer(
    process: &mut Process,
    step: &'static str,
    after: Duration,
) -> Result<(Notice, Vec<OwnedFd>), LaunchError> {
    let failed = |error| LaunchError::Channel { step, error };
    if !channel::wait_readable(&process.control, Instant::now() + after).map_err(failed)? {
        process.kill(); // it may be any program, and not listen to us
        return Err(LaunchError::Deadline { step, after });
    }
    match channel::receive(&process.control, Wait::No).map_err(failed)? {
        Received::Message(notice, descriptors) => Ok((notice, descriptors)),
        Received::Closed | Received::Nothing => Err(silence(process, step)),
    }
}

/// The helper closed its end. A program that is no helper may do so and live on.
fn silence(process: &mut Process, step: &'static str) -> LaunchError {
    let by_itself = process.ends_within(LAST_MOMENT).unwrap_or(false);
    process.kill();
    let (status, exit) = match process.reap() {
        Ok(Some(status)) => (format!("ended ({status})"), exit(status).filter(|_| by_itself)),
        _ => ("ended".into(), None),
    };
    LaunchError::HelperEnded { step, status, exit, path: process.path.clone() }
}

fn exit(status: ExitStatus) -> Option<Exit> {
    status.code().map(Exit::Code).or(status.signal().map(Exit::Signal))
}

fn refusal(notice: Notice, step: &'static str) -> LaunchError {
    match notice {
        Notice::Failed(failure) => failure.into(),
        Notice::ExecFailed(error) => error.into(),
        other => LaunchError::OutOfTurn { step, answer: format!("{other:?}") },
    }
}

/// A plugin whose sandbox is in place and which waits for "go". Dropping it ends it.
#[derive(Debug)]
pub struct Prepared {
    process: Process,
    report: Report,
    deadlines: Deadlines,
}

impl Prepared {
    /// What is enforced on it.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Says "go", and waits until the program runs.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Exec`] if the program could not be executed; otherwise the step that failed.
    pub fn start(self) -> Result<Child, LaunchError> {
        const STEP: &str = "starting the plugin";
        let Self { mut process, report, deadlines } = self;
        process.order(Order::Go);
        let (notice, mut descriptors) = answer(&mut process, STEP, deadlines.start)?;
        match notice {
            Notice::Started { pid } => match plugin_number(pid) {
                Some(pid) => Ok(Child {
                    process,
                    report,
                    pid,
                    plugin: descriptors.pop().map(Leader::new),
                    ended: None,
                    gone: false,
                }),
                None => Err(LaunchError::OutOfTurn { step: STEP, answer: format!("process {pid}") }),
            },
            other => Err(refusal(other, STEP)),
        }
    }
}

/// The number of a process that can be a plugin: not the system's first one, and none that stands for many.
pub(super) fn plugin_number(pid: i32) -> Option<Pid> {
    if pid > 1 { Pid::from_raw(pid) } else { None }
}

/// A plugin that was started. Dropping it ends the plugin and everything it started, without
/// waiting for that.
///
/// An event loop watches it as a descriptor ([`AsFd`]): it is readable when there is something
/// for [`poll_exit`](Self::poll_exit) or [`poll_gone`](Self::poll_gone) to say.
///
/// Its end has two moments. [`Ended`] comes when its first process ends: from then on, read what
/// is left of its log with a deadline, and never wait for the end of the log. *Gone* comes when
/// every process it started has ended and the locks are released.
#[derive(Debug)]
pub struct Child {
    pub(super) process: Process,
    pub(super) report: Report,
    /// To be shown and looked up. Nothing is signalled by it: it may mean another process by now.
    pub(super) pid: Pid,
    /// What it is ended by; `None` if the keeper had no descriptor left for that.
    pub(super) plugin: Option<Leader>,
    pub(super) ended: Option<Ended>,
    pub(super) gone: bool,
}

impl Child {
    /// The process of the plugin. Also the number of its session and process group.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The process of its keeper.
    pub fn keeper_pid(&self) -> u32 {
        self.process.id
    }

    /// What is enforced on it.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The reading end of its standard output; once.
    pub fn take_stdout(&mut self) -> Option<Descriptor> {
        self.process.stdout.take()
    }

    /// The reading end of its standard error; once.
    pub fn take_stderr(&mut self) -> Option<Descriptor> {
        self.process.stderr.take()
    }

    /// What listens for it at [`PROXY_PORT`](crate::PROXY_PORT), a TCP socket of its own network; once,
    /// and only if it is [`Policy::proxied`](crate::Policy::proxied). Whoever connects is the plugin.
    pub fn take_listener(&mut self) -> Option<Descriptor> {
        self.process.listener.take()
    }

    /// How it ended, if it has. Does not wait.
    ///
    /// # Errors
    ///
    /// If the control socket cannot be read.
    pub fn poll_exit(&mut self) -> io::Result<Option<Ended>> {
        self.listen()?;
        Ok(self.ended)
    }

    /// Waits for it to end; `None` if the time is over first.
    ///
    /// # Errors
    ///
    /// As [`poll_exit`](Self::poll_exit).
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Option<Ended>> {
        let deadline = Instant::now() + timeout;
        while self.poll_exit()?.is_none() && channel::wait_readable(&self.process.control, deadline)? {}
        Ok(self.ended)
    }

    /// Whether all that it started has ended too, and the locks are released. Does not wait.
    ///
    /// # Errors
    ///
    /// As [`poll_exit`](Self::poll_exit).
    pub fn poll_gone(&mut self) -> io::Result<bool> {
        self.listen()?;
        Ok(self.gone)
    }

    /// Waits until all that it started has ended too; false if the time is over first.
    ///
    /// # Errors
    ///
    /// As [`poll_exit`](Self::poll_exit).
    pub fn wait_gone(&mut self, timeout: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + timeout;
        while !self.poll_gone()? && channel::wait_readable(&self.process.control, deadline)? {}
        Ok(self.gone)
    }

    /// Asks it to end: SIGTERM to its process group. The first rung; the caller has the clock.
    pub fn terminate(&self) {
        self.process.order(Order::Terminate);
    }

    /// Has the keeper end it and everything it started, now. The second rung.
    pub fn kill(&self) {
        self.process.order(Order::Kill);
    }

    /// Ends it without the keeper's help: the last rung, for a keeper that does not answer.
    /// The kernel ends the plugin with its keeper, and its process group is killed here; what left
    /// that group may survive. Once it is known to have
    /// ended, only the keeper is signalled.
    pub fn destroy(&mut self) {
        self.listen().ok(); // of one that has ended, the number may be another's by now
        if !self.gone {
            self.process.kill();
            self.kill_group();
        }
    }

    /// The most resident memory that its process has had so far; `None` once it has ended (then
    /// see [`Usage`](crate::Usage)).
    pub fn peak_rss(&self) -> Option<u64> {
        proc::peak_rss(self.pid).filter(|_| self.ended.is_none())
    }

    /// Takes in all that the keeper has said.
    fn listen(&mut self) -> io::Result<()> {
        while !self.gone {
            match channel::receive(&self.process.control, Wait::No)? {
                Received::Message(Notice::Ended(ended), _) => self.ended = Some(ended),
                Received::Message(..) => {}
                Received::Nothing => return Ok(()),
                Received::Closed => self.keeper_gone()?,
            }
        }
        Ok(())
    }

    fn keeper_gone(&mut self) -> io::Result<()> {
        self.kill_group();
        if self.ended.is_none() {
            self.ended = Some(Ended { exit: Exit::KeeperLost, usage: None });
            // Its processes end in their own time, which is nobody's to wait for.
            let keeper = self.process.id;
            std::thread::spawn(move || cgroup::remove_of(keeper));
        }
        self.process.reap()?;
        self.gone = true;
        Ok(())
    }

    /// For a keeper that goes before its plugin.
    fn kill_group(&self) {
        if let (None, Some(plugin)) = (self.ended, &self.plugin) {
            plugin.kill_group();
        }
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.control.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.process.control.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{self, Command};

    use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open};

    use super::*;
    use crate::{Handover, HandoverNote, Usage};

    /// A process that waits, in a group of its own.
    fn waiting() -> process::Child {
        Command::new("sleep").arg("60").process_group(0).spawn().unwrap()
    }

    fn pidfd(of: &process::Child) -> OwnedFd {
        pidfd_open(Pid::from_child(of), PidfdFlags::empty()).unwrap()
    }

    /// What is left of a process that has ended and was reaped.
    fn reaped() -> OwnedFd {
        let mut process = waiting();
        let pidfd = pidfd(&process);
        process.kill().unwrap();
        process.wait().unwrap();
        pidfd
    }

    /// A plugin that is adopted from this test, which plays its keeper at the socket that comes back.
    fn adopted(number: u32, plugin: OwnedFd) -> io::Result<(Child, OwnedFd)> {
        let (control, keeper) = channel::pair().unwrap();
        let note =
            HandoverNote { pid: number, keeper: number, report: Report::nothing("none of it is so", "") };
        let outputs = || OwnedFd::from(io::pipe().unwrap().0);
        let descriptors = vec![control, reaped(), plugin, outputs(), outputs()];
        Child::adopt(Handover { note, descriptors }).map(|child| (child, keeper))
    }

    /// Whether nobody has signalled it: of two signals the first one ends a process.
    fn is_spared(mut process: process::Child) -> bool {
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
        process.wait().unwrap().signal() == Some(Signal::TERM.as_raw())
    }

    fn end(keeper: &OwnedFd) {
        let usage = Some(Usage::default());
        channel::send(keeper, &Notice::Ended(Ended { exit: Exit::Code(0), usage })).unwrap();
    }

    /// The plugin has ended and was reaped, and its number means another process by now.
    #[test]
    fn b22_who_got_the_number_of_a_plugin_after_it_is_never_signalled() {
        for heard in [true, false] {
            let stranger = waiting();
            let (mut child, keeper) = adopted(stranger.id(), reaped()).unwrap();
            if heard {
                end(&keeper);
                assert!(child.poll_exit().unwrap().is_some());
            }
            child.destroy();
            drop(keeper);
            assert!(child.wait_gone(Duration::from_secs(20)).unwrap());
            child.destroy();
            drop(child);
            assert!(is_spared(stranger), "heard: {heard}");
        }
    }

    #[test]
    fn b22_nothing_is_signalled_once_it_is_known_to_have_ended() {
        let (process, other) = (waiting(), waiting());
        let (mut child, keeper) = adopted(process.id(), pidfd(&process)).unwrap();
        end(&keeper);
        child.poll_exit().unwrap();
        child.destroy();
        assert!(is_spared(process));
        let (mut child, _keeper) = adopted(other.id(), pidfd(&other)).unwrap();
        child.destroy();
        assert!(!is_spared(other), "one that has not ended is killed");
    }

    /// To kill process 1 would be to kill all that may be.
    #[test]
    fn a_number_that_no_plugin_can_have_is_not_adopted() {
        for number in [0, 1, u32::MAX, u32::MAX - 4] {
            let error = adopted(number, reaped()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{number}");
        }
    }
}
