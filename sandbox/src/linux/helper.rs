//! The helper: what our own executable becomes when it is started as `outrigger host …`.
//!
//! In order: take over the control socket, close what was inherited, hear what to start, get the
//! signals and the session right, fork. From there on it is [`keeper`](super::keeper),
//! [`init`](super::init) and [`plugin`](super::plugin).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::exit;
use std::time::{Duration, Instant};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Pid, Signal, chdir, getpid, kill_process, set_child_subreaper, setsid};
use rustix::stdio::{dup2_stdin, stdin};

use super::channel::{self, Received, Wait};
use super::init::Init;
use super::keeper::{Keeper, Watched};
use super::layers::{Confinement, cgroup::Cgroup};
use super::messages::{Inner, Notice, Start};
use super::names::{FAILED, name_process};
use super::plugin::{Body, Plugin};
use super::sys::{self, Disposition};
use crate::{Failure, FirstParty, HOST_ARGUMENT, Tier};

/// How long building the namespaces may take: mounts of a network file system can hang.
const ENTERING: Duration = Duration::from_secs(5);

/// Becomes the sandbox helper if this process was started as one; otherwise returns at once.
///
/// Call it as the very first thing in `main`, before any thread is started and any file opened:
/// the helper closes every descriptor that it did not ask for, and refuses to work beside other
/// threads. `first_party` finds the plugins within this executable by name.
///
/// A process is a helper if its first argument is [`HOST_ARGUMENT`] *and* its standard input is
/// the socket that a broker gave it, so a program may still have a command of that name.
pub fn host_main_if_requested(first_party: impl Fn(&str) -> Option<FirstParty>) {
    let named = std::env::args_os().nth(1).is_some_and(|argument| argument == HOST_ARGUMENT);
    if named && channel::is_channel(stdin()) {
        run(&first_party);
    }
}

fn run(first_party: &dyn Fn(&str) -> Option<FirstParty>) -> ! {
    let alone = sys::close_inherited().map_err(|error| Failure::system("closing what it inherited", &error));
    // Without the control socket there is nobody to tell.
    let Ok(control) = take_control() else { exit(FAILED) };
    let inherited = alone.and_then(|()| hear(&control));
    match inherited.and_then(|inherited| split(inherited, first_party)) {
        Ok(Role::Keeper(keeper)) => keeper.run(control),
        Ok(Role::Init(init)) => {
            drop(control); // never the plugin's
            init.run()
        }
        Ok(Role::Plugin(plugin, confinement)) => {
            drop(control); // never the plugin's
            plugin.run(&confinement)
        }
        Err(failure) => give_up(&control, failure),
    }
}

fn give_up(control: &OwnedFd, failure: Failure) -> ! {
    // If even this cannot be said, the broker sees the helper end with this code.
    channel::send(control, &Notice::Failed(failure)).ok();
    exit(FAILED)
}

/// Moves the control socket off descriptor 0, where the plugin's own will be.
fn take_control() -> io::Result<OwnedFd> {
    let control = fcntl_dupfd_cloexec(stdin(), 3)?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(control)
}

/// What the broker sent.
struct Inherited {
    start: Start,
    broker: OwnedFd,
    stdin: OwnedFd,
    locks: Vec<OwnedFd>,
}

fn hear(control: &OwnedFd) -> Result<Inherited, Failure> {
    const STEP: &str = "reading what to start";
    match channel::receive(control, Wait::Forever).map_err(|error| Failure::system(STEP, &error))? {
        Received::Message(start, descriptors) => sort(start, descriptors).ok_or_else(|| {
            Failure::new(STEP, "the descriptors of the broker and of the connection did not come along")
        }),
        // The broker has gone; it will not read this either.
        Received::Nothing | Received::Closed => {
            Err(Failure::new(STEP, "the broker closed the control socket"))
        }
    }
}

fn sort(start: Start, descriptors: Vec<OwnedFd>) -> Option<Inherited> {
    let mut descriptors = descriptors.into_iter();
    let (broker, stdin) = (descriptors.next()?, descriptors.next()?);
    Some(Inherited { start, broker, stdin, locks: descriptors.collect() })
}

/// What this process is after the fork.
enum Role {
    Keeper(Keeper),
    Init(Init),
    Plugin(Box<Plugin>, Confinement),
}

fn split(inherited: Inherited, first_party: &dyn Fn(&str) -> Option<FirstParty>) -> Result<Role, Failure> {
    let body = Body::find(&inherited.start.program, first_party)?;
    settle(&inherited.start.program.label()).map_err(|error| Failure::system("settling down", &error))?;
    let confinement = Confinement::of(&inherited.start);
    let group = confinement.group();
    // Before any fork, or the end of a very short plugin would be missed.
    let events = sys::signal_descriptor(&[libc::SIGCHLD])
        .map_err(|error| Failure::system("watching for its end", &error))?;
    let parts = Parts { inherited, body, confinement, group, events };
    if parts.confinement.namespaces() { parts.try_namespaces() } else { parts.fork(None) }
}

/// All that the processes after the fork are made from.
struct Parts {
    inherited: Inherited,
    body: Body,
    confinement: Confinement,
    group: Cgroup,
    events: OwnedFd,
}

impl Parts {
    /// Tries the higher tier, by doing it: what forbids namespaces shows itself at very different
    /// steps. If it cannot be had, the lower one is.
    fn try_namespaces(self) -> Result<Role, Failure> {
        let failed = |error: io::Error| Failure::system("talking to the sandbox", &error);
        let (keepers, plugins) = channel::pair().map_err(failed)?;
        let (ours, inits) = channel::pair().map_err(failed)?;
        match sys::fork_into_namespaces(self.confinement.own_network(), self.group.cradle()) {
            Ok(None) => Ok(Role::Init(self.init(plugins, inits))),
            Ok(Some(init)) => {
                drop((plugins, inits));
                match first_word(&ours, init) {
                    Ok(listener) => Ok(Role::Keeper(self.keeper(init, keepers, Some(ours), listener))),
                    Err(failure) => self.fork(Some(failure)),
                }
            }
            Err(error) => self.fork(Some(Failure::system("making namespaces", &error))),
        }
    }

    /// Forks into keeper and plugin, without namespaces.
    fn fork(self, no_namespaces: Option<Failure>) -> Result<Role, Failure> {
        let (keepers, plugins) =
            channel::pair().map_err(|error| Failure::system("talking to the plugin", &error))?;
        let parent = getpid();
        let forked = self.group.cradle().map_or_else(sys::fork, sys::fork_into_group);
        match forked.map_err(|error| Failure::system("forking", &error))? {
            Some(plugin) => Ok(Role::Keeper(self.keeper(plugin, keepers, None, None))),
            None => {
                let tier = if self.confinement.wanted() { Tier::Landlocked } else { Tier::None };
                let (plugin, confinement) = self.plugin(parent, tier, no_namespaces, plugins);
                Ok(Role::Plugin(Box::new(plugin), confinement))
            }
        }
    }

    fn keeper(self, child: Pid, plugin: OwnedFd, init: Option<OwnedFd>, listener: Option<OwnedFd>) -> Keeper {
        let Inherited { broker, locks, .. } = self.inherited;
        let watched = Watched { child, broker, events: self.events, plugin, init };
        Keeper::new(watched, listener, self.group.into_folders(), locks)
    }

    /// What the child does not take along is closed by being dropped here.
    fn plugin(
        self,
        parent: Pid,
        tier: Tier,
        no_namespaces: Option<Failure>,
        channel: OwnedFd,
    ) -> (Plugin, Confinement) {
        let Self { inherited: Inherited { start, stdin, .. }, body, confinement, group, .. } = self;
        (Plugin { start, body, stdin, parent, tier, no_namespaces, group, channel }, confinement)
    }

    fn init(self, plugins: OwnedFd, keeper: OwnedFd) -> Init {
        let (plugin, confinement) = self.plugin(Pid::INIT, Tier::Namespaced, None, plugins);
        Init { plugin: Box::new(plugin), confinement, keeper }
    }
}

/// Whether the plugin was forked within its namespaces, and what listens for it there. If not, nothing
/// is left of them.
fn first_word(init: &OwnedFd, process: Pid) -> Result<Option<OwnedFd>, Failure> {
    const STEP: &str = "entering namespaces";
    let failure = match channel::wait_readable(init, Instant::now() + ENTERING) {
        Ok(true) => match channel::receive(init, Wait::No) {
            Ok(Received::Message(Inner::Ready, mut listener)) => return Ok(listener.pop()),
            Ok(Received::Message(Inner::Failed(failure), _)) => failure,
            Ok(_) => Failure::new(STEP, "its first process ended"),
            Err(error) => Failure::system(STEP, &error),
        },
        Ok(false) => Failure::new(STEP, format!("it was not done after {ENTERING:?}")),
        Err(error) => Failure::system(STEP, &error),
    };
    kill_process(process, Signal::KILL).ok();
    sys::reap_next();
    Err(failure)
}

/// What keeper and plugin both need: known signals, a session without a terminal, a folder that
/// keeps no file system busy, and orphans that come to us instead of to init.
///
/// The umask stays the user's: a plugin that writes the user's files writes them as the user
/// would.
fn settle(label: &str) -> io::Result<()> {
    calm_signals()?;
    setsid()?;
    chdir("/")?;
    set_child_subreaper(Some(getpid()))?;
    name_process("keep", label);
    Ok(())
}

/// Ignored and blocked signals are inherited from whoever started the broker (`nohup`, a shell, a
/// runtime), and a keeper that inherits an ignored SIGCHLD never sees its plugin end. What the
/// Rust runtime set up for this very process stays: SIGPIPE as an error, and the guard pages.
fn calm_signals() -> io::Result<()> {
    const OF_THE_RUNTIME: [i32; 3] = [libc::SIGPIPE, libc::SIGSEGV, libc::SIGBUS];
    for signal in (1..=64).filter(|signal| !OF_THE_RUNTIME.contains(signal)) {
        sys::set_disposition(signal, Disposition::Default);
    }
    sys::block_only(&[libc::SIGCHLD])
}
