//! Starts a process that can do little, and says how little.
//!
//! # The idea
//!
//! A plugin is code that nobody vetted. The broker never starts it directly: it starts *itself*
//! again as a small **helper** (`outrigger host …`, hidden), which cleans up, forks, and becomes
//! a keeper and the plugin.
//!
//! ```text
//!   broker ──control socket── keeper        never runs foreign code; holds the group's locks
//!      │                        │ parent
//!      │                       init         only in namespaces: reaps, and they end with it
//!      │                        │ parent
//!      └─────connection────── plugin        descriptors 0, 1, 2 and nothing else
//! ```
//!
//! The *plugin* applies its own sandbox, reports through the keeper what is enforced, waits for
//! "go", and then executes the program, or becomes it if it is one of ours. The *keeper* outlives
//! it by a moment: it tells how the plugin ended, then ends and reaps whatever the plugin left
//! behind. It does the same when the broker ends, is killed, or merely drops its [`Child`].
//!
//! # Use
//!
//! Call [`host_main_if_requested`] as the very first thing in `main`. Then [`launch`] a program,
//! or [`prepare`] it, look at the [`Report`], and [`Prepared::start`] it. All calls block, with
//! the deadlines that are handed in; a start takes a few milliseconds. Nothing here needs a
//! runtime: [`Child`] is a descriptor that an event loop can watch.
//!
//! One process can start a plugin for another: [`Child::hand_over`], [`Child::adopt`]. It then ends
//! with either of them.
//!
//! # What it promises
//!
//! * The environment of a plugin is exactly the one given, and its descriptors are 0, 1 and 2,
//!   whatever the broker leaked.
//! * What could not be started is an error that names the step, never an end of file.
//! * How a plugin ended is told by the keeper's status, never guessed from a closed pipe.
//! * A lock handed in is held until the last process of the plugin has gone (decisions X3).
//! * A policy that grants to write to our executable, its libraries, or any other [`Protected`]
//!   place is refused before anything is started.
//! * Everything that is not enforced stands in the [`Report`].
//!
//! # Two tiers
//!
//! *Namespaced*: user, process, mount, IPC, host name and network namespaces, and within them
//! Landlock, seccomp, limits and a control group. *Landlocked*: the same without namespaces, where
//! the machine forbids them. Which of the two a plugin gets is found out by trying, and the
//! [`Report`] says what it lacks. A plugin whose sandbox lacks one of [`Guarantee::BASIC`] is not
//! started unless somebody says so.
//!
//! # What is not here
//!
//! Other systems than Linux: starting a plugin there is the error [`Unsupported`]. Connecting to
//! hosts: a plugin in a sandbox asks the broker, which does it. The proxy for programs that cannot ask:
//! only its listener is made here, in a network that this process has no other way into.

mod error;
mod exit;
mod handover;
mod launch;
mod os_path;
mod policy;
mod protected;
mod report;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(not(target_os = "linux"))]
use unsupported as system;

pub use error::{ExecError, ExecFailure, Failure, LaunchError, Unsupported};
pub use exit::{Ended, Exit, Usage};
pub use handover::{Handover, HandoverNote};
pub use launch::{Connection, Deadlines, Descriptor, FirstParty, Helper, Launch, Program, Token};
pub use policy::{Ceiling, OnUnsupported, Policy, Profile, Tier};
pub use protected::{GrantError, Protected, reserved};
pub use report::{Guarantee, Report, Standing};
pub use system::{Child, Lent, Prepared, host_main_if_requested, landlock_abi, prepare};

/// The first argument that makes our executable a helper: `outrigger host NAME`.
pub const HOST_ARGUMENT: &str = "host";

/// Where a proxy listens on the loopback of a plugin that is [`Policy::proxied`]. It is free in each
/// such network, since nothing else is there; and it is not among the ports that the kernel gives out.
pub const PROXY_PORT: u16 = 1080;

/// Prepares a plugin, checks the report against the policy, and starts it.
///
/// # Errors
///
/// [`LaunchError::NotEnforced`] if the policy requires what this machine does not give; otherwise
/// the step that failed. Whatever had been started by then has been ended.
pub fn launch(launch: Launch) -> Result<Child, LaunchError> {
    let policy = launch.policy.clone();
    let prepared = prepare(launch)?;
    policy.check(prepared.report())?;
    prepared.start()
}
