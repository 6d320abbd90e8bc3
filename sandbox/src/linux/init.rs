//! The first process of a plugin's namespaces. It builds the root, forks the plugin, and then does
//! what a first process has to do: reap whatever ends. It tells how the plugin ended, and ends: the
//! kernel then ends all that is left in there.

use std::os::fd::{AsFd, OwnedFd};
use std::process::exit;

use rustix::process::{Pid, Signal, set_parent_process_death_signal};

use super::channel;
use super::layers::{self, Confinement};
use super::messages::Inner;
use super::names::FAILED;
use super::plugin::Plugin;
use super::sys::{self, Reaped};
use crate::{Ended, Failure};

/// The first process of new namespaces.
pub(super) struct Init {
    pub(super) plugin: Box<Plugin>,
    pub(super) confinement: Confinement,
    /// To the keeper.
    pub(super) keeper: OwnedFd,
}

impl Init {
    /// Builds the sandbox; becomes the plugin in one process, and reaps in the other.
    pub(super) fn run(self) -> ! {
        let Self { plugin, confinement, keeper } = self;
        let built = leash().and_then(|()| layers::enter(&confinement));
        match built.and_then(|listener| Ok((fork()?, listener))) {
            Ok((None, listener)) => {
                drop((keeper, listener)); // never the plugin's
                plugin.run(&confinement)
            }
            Ok((Some(child), listener)) => {
                drop(plugin);
                tell(&keeper, &Inner::Ready, listener.as_ref());
                drop(listener);
                reap(child, &keeper)
            }
            Err(failure) => {
                tell(&keeper, &Inner::Failed(failure), None);
                exit(FAILED)
            }
        }
    }
}

/// Ends with the keeper. One that has ended before this was set does not hear that we are ready.
fn leash() -> Result<(), Failure> {
    let set = set_parent_process_death_signal(Some(Signal::KILL));
    set.map_err(|error| Failure::system("tying the sandbox to its keeper", &error.into()))
}

fn fork() -> Result<Option<Pid>, Failure> {
    sys::fork().map_err(|error| Failure::system("forking in the sandbox", &error))
}

fn tell(keeper: &OwnedFd, word: &Inner, with: Option<&OwnedFd>) {
    let descriptors: Vec<_> = with.map(AsFd::as_fd).into_iter().collect();
    if channel::send_with(keeper, word, &descriptors).is_err() {
        exit(FAILED);
    }
}

fn reap(plugin: Pid, keeper: &OwnedFd) -> ! {
    sys::give_back_code();
    loop {
        match sys::reap_next() {
            Reaped::Child(pid, how, usage) if pid == plugin => {
                tell(keeper, &Inner::Ended(Ended { exit: how, usage: Some(usage) }), None);
                exit(0)
            }
            Reaped::NoneLeft => exit(FAILED),
            Reaped::Child(..) | Reaped::AllAlive => {}
        }
    }
}
