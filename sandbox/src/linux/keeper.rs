//! The parent of the fork: it watches the broker and the plugin, and leaves nothing behind.
//!
//! It never runs foreign code, holds the locks, and sits in a session of its own, so that what a
//! terminal or the plugin sends to a process group does not reach it. It ends everything when the
//! broker ends (its pidfd), when the broker closes the control socket (an embedder may drop the
//! broker and live on), when it is told to, and when the plugin ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::exit;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, kill_process_group, pidfd_open};
use rustix::stdio::{dup2_stderr, dup2_stdout};
use serde::de::DeserializeOwned;

use super::channel::{self, Received, Wait, timespec};
use super::layers::cgroup::Kept;
use super::messages::{Inner, Notice, Order};
use super::proc;
use super::sys::{self, Disposition, Reaped};
use crate::{Ended, Exit, Failure, Usage};

/// How soon to look again for what is left while ending everything: the end of a grandchild makes
/// its children ours without any event.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How far the plugin has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Applying its layers, then waiting for "go".
    Preparing,
    /// "Go" was given; no word yet.
    Released,
    /// It runs.
    Running,
    /// It said what failed, and is about to end.
    Failed,
    /// It has ended and was reaped; its number may mean another process by now.
    Ended,
}

/// What a keeper listens to.
pub(super) struct Watched {
    /// The child: the plugin, or the first process of its namespaces.
    pub(super) child: Pid,
    /// A pidfd of the broker.
    pub(super) broker: OwnedFd,
    /// Readable while a child has ended.
    pub(super) events: OwnedFd,
    /// To the plugin until it runs.
    pub(super) plugin: OwnedFd,
    /// To the first process of its namespaces, where it has some.
    pub(super) init: Option<OwnedFd>,
}

/// The parent of the fork.
pub(super) struct Keeper {
    child: Pid,
    /// The plugin; with namespaces, once it has said something.
    plugin: Option<Pid>,
    /// A pidfd of it, for the broker.
    pidfd: Option<OwnedFd>,
    phase: Phase,
    broker: OwnedFd,
    events: OwnedFd,
    channel: Option<OwnedFd>,
    init: Option<OwnedFd>,
    /// To be handed over with the report.
    listener: Option<OwnedFd>,
    /// The control groups, to be removed at the end.
    groups: Kept,
    /// Never looked at: they are held until this process ends, when nothing is left.
    _locks: Vec<OwnedFd>,
}

/// What has something to say.
struct Ready {
    control: bool,
    broker: bool,
    events: bool,
    channel: bool,
    init: bool,
}

impl Keeper {
    pub(super) fn new(
        watched: Watched,
        listener: Option<OwnedFd>,
        groups: Kept,
        locks: Vec<OwnedFd>,
    ) -> Self {
        let Watched { child, broker, events, plugin, init } = watched;
        let plugin_is_child = init.is_none().then_some(child);
        Self {
            child,
            plugin: plugin_is_child,
            pidfd: plugin_is_child.and_then(pidfd_of), // not reaped yet, so it is no other
            phase: Phase::Preparing,
            broker,
            events,
            channel: Some(plugin),
            init,
            listener,
            groups,
            _locks: locks,
        }
    }

    /// Keeps it until nothing is left of it.
    pub(super) fn run(mut self, control: OwnedFd) -> ! {
        // If the log pipes cannot be closed, that only delays the end of the log.
        let_go_of_the_log().ok();
        ignore_signals();
        while self.turn(&control) {}
        self.end_all(&control);
        self.groups.remove();
        exit(0)
    }

    /// Deals with whatever has happened; false if everything is to end.
    fn turn(&mut self, control: &OwnedFd) -> bool {
        let Ok(ready) = self.wait(control) else { return false };
        if ready.channel {
            self.hear(control);
        }
        if ready.init {
            self.hear_init(control);
        }
        if ready.events {
            self.reap(control);
        }
        !ready.broker && self.phase != Phase::Ended && (!ready.control || self.obey(control))
    }

    fn wait(&self, control: &OwnedFd) -> io::Result<Ready> {
        let watch = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        // One that is closed by now is not looked at: the end of the broker stands in for it.
        let mut watched = [
            Some(control.as_fd()),
            Some(self.broker.as_fd()),
            Some(self.events.as_fd()),
            self.channel.as_ref().map(AsFd::as_fd),
            self.init.as_ref().map(AsFd::as_fd),
        ]
        .map(|descriptor| watch(descriptor.unwrap_or(self.broker.as_fd())));
        while let Err(error) = poll(&mut watched, None) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        let ready = |index: usize| watched.get(index).is_some_and(|watched| !watched.revents().is_empty());
        let channel = self.channel.is_some() && ready(3);
        let init = self.init.is_some() && ready(4);
        Ok(Ready { control: ready(0), broker: ready(1), events: ready(2), channel, init })
    }

    /// Does what the broker says; false if everything is to end.
    fn obey(&mut self, control: &OwnedFd) -> bool {
        match next::<Order>(control) {
            Received::Message(Order::Go, _) => self.release(),
            Received::Message(Order::Terminate, _) => self.terminate(),
            Received::Message(Order::Kill, _) | Received::Closed => false,
            Received::Nothing => true,
        }
    }

    fn release(&mut self) -> bool {
        if let (Phase::Preparing, Some(channel)) = (self.phase, &self.channel) {
            self.phase = Phase::Released;
            // A plugin that cannot hear it has ended; that is the next event.
            channel::send(channel, &Order::Go).ok();
        }
        true
    }

    /// A plugin that does not run yet cannot end in good order: then false.
    fn terminate(&self) -> bool {
        let group = self.plugin.filter(|_| self.phase == Phase::Running);
        group.is_some_and(|group| kill_process_group(group, Signal::TERM).is_ok())
    }

    /// Passes on what the plugin says before it runs. The end of the channel means that it runs.
    fn hear(&mut self, control: &OwnedFd) {
        while let Some(channel) = &self.channel {
            match next::<Notice>(channel) {
                Received::Message(notice, _) => self.pass_on(&notice, control),
                Received::Closed => {
                    self.channel = None;
                    self.started(control);
                }
                Received::Nothing => return,
            }
        }
    }

    /// How the plugin ended in its namespaces, which only their first process sees.
    fn hear_init(&mut self, control: &OwnedFd) {
        let Some(init) = self.init.take() else { return };
        match next(&init) {
            Received::Message(Inner::Ended(ended), _) => {
                self.ended(ended.exit, ended.usage.unwrap_or_default(), control);
            }
            Received::Nothing => self.init = Some(init),
            Received::Message(..) | Received::Closed => {} // the end of that process says the rest
        }
    }

    fn pass_on(&mut self, notice: &Notice, control: &OwnedFd) {
        self.find_plugin();
        if matches!(notice, Notice::Failed(_) | Notice::ExecFailed(_)) {
            self.phase = Phase::Failed;
        }
        let listener = self.listener.take();
        let with: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
        // A broker that cannot hear has gone; its pidfd says so in the next turn.
        channel::send_with(control, notice, &with).ok();
    }

    /// Finds it in its namespaces. It waits for an answer, so it is there; nothing else has been forked in
    /// there yet.
    fn find_plugin(&mut self) {
        let first = || proc::children_of(self.child).first().copied();
        if self.plugin.is_none() {
            self.plugin = first();
            // It was there before this was opened, and after: so it is no other.
            self.pidfd = self.plugin.and_then(pidfd_of).filter(|_| first() == self.plugin);
        }
    }

    fn started(&mut self, control: &OwnedFd) {
        if self.phase == Phase::Released {
            self.phase = Phase::Running;
            let pid = self.plugin.map_or(0, |plugin| plugin.as_raw_nonzero().get());
            let pidfd: Vec<_> = self.pidfd.iter().map(AsFd::as_fd).collect();
            channel::send_with(control, &Notice::Started { pid }, &pidfd).ok(); // as `tell`
            self.pidfd = None;
            sys::give_back_code();
        }
    }

    /// Reaps whatever has ended: the plugin, and the orphans that it left to us. True if there is
    /// a child left.
    fn reap(&mut self, control: &OwnedFd) -> bool {
        // Taken off first: an end between this and the last look makes it readable again.
        let mut record = [0; 128];
        while rustix::io::read(&self.events, &mut record[..]).is_ok_and(|length| length > 0) {}
        loop {
            match sys::reap() {
                Reaped::Child(pid, exit, usage) if pid == self.child => {
                    self.hear_init(control);
                    self.ended(exit, usage, control);
                }
                Reaped::Child(..) => {}
                Reaped::AllAlive => return true,
                Reaped::NoneLeft => return false,
            }
        }
    }

    fn ended(&mut self, exit: Exit, usage: Usage, control: &OwnedFd) {
        self.hear(control); // its last words come before its end
        let keeper_peak_rss_bytes = proc::peak_rss(getpid()).unwrap_or(0);
        let usage = Some(Usage { keeper_peak_rss_bytes, ..usage });
        match self.phase {
            Phase::Running => tell(control, &Notice::Ended(Ended { exit, usage })),
            Phase::Failed => {}
            Phase::Ended => return,
            Phase::Preparing | Phase::Released => {
                tell(control, &Notice::Failed(Failure::ended("preparing the plugin", exit)));
            }
        }
        self.phase = Phase::Ended;
    }

    /// Kills and reaps until nothing is left: the children of what was killed become ours, as
    /// this process adopts orphans, also those that left the session (a daemon).
    fn end_all(&mut self, control: &OwnedFd) {
        while self.reap(control) {
            self.kill_all();
            let mut watched = [PollFd::from_borrowed_fd(self.events.as_fd(), PollFlags::IN)];
            // Whatever it says, the next thing to do is to look again.
            poll(&mut watched, Some(&timespec(LOOK_AGAIN))).ok();
        }
    }

    /// Only numbers that cannot have been given away: children that were not reaped, and the
    /// group of the plugin while it was not.
    fn kill_all(&self) {
        if let Some(group) = self.plugin.filter(|_| self.phase != Phase::Ended) {
            kill_process_group(group, Signal::KILL).ok();
        }
        for child in proc::children() {
            kill_process(child, Signal::KILL).ok();
        }
    }
}

fn pidfd_of(process: Pid) -> Option<OwnedFd> {
    pidfd_open(process, PidfdFlags::empty()).ok()
}

/// A word that cannot be understood counts as the end of the conversation.
fn next<M: DeserializeOwned>(channel: &OwnedFd) -> Received<M> {
    channel::receive(channel, Wait::No).unwrap_or(Received::Closed)
}

/// A broker that cannot hear has gone; its pidfd says so in the next turn.
fn tell(control: &OwnedFd, notice: &Notice) {
    channel::send(control, notice).ok();
}

/// The log belongs to the plugin: it has to end when the plugin's processes have gone.
fn let_go_of_the_log() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// Whoever signals all processes of a service or of a name means the plugins; the keeper has to
/// stay until they have gone. SIGKILL still works.
fn ignore_signals() {
    let signals = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
    for signal in signals.into_iter().chain([libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM]) {
        sys::set_disposition(signal, Disposition::Ignore);
    }
}
