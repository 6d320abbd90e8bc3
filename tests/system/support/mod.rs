//! A world of one test, and what can be done and seen in it.

mod cards;
mod forbids;
pub(crate) mod host;
mod processes;
#[cfg(target_arch = "x86_64")]
pub(crate) mod trace;
mod tree;
mod world;

use std::time::{Duration, Instant};

pub(crate) use cards::{card, event, todo};
pub(crate) use forbids::Forbids;
pub(crate) use processes::{Process, no_process_is_left, processes};
pub(crate) use tree::{Tree, tree};
pub(crate) use world::{LAPTOP, Link, PHONE, Run, Running, World};

/// How long anything may take before a test gives up: far above what it takes, since the machine
/// may be busy with much else.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for a condition that no event tells of. `what` says what was waited for in vain.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "in vain for {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Makes each story a test over the inherited and one over the named connection.
macro_rules! over_both_connections {
    ($($story:ident),* $(,)?) => {
        mod inherited {
            $(#[test] fn $story() { super::$story($crate::support::World::new($crate::support::Link::Inherited)); })*
        }
        mod named {
            $(#[test] fn $story() { super::$story($crate::support::World::new($crate::support::Link::Named)); })*
        }
    };
}
pub(crate) use over_both_connections;
