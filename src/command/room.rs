//! Room for groups of many members: each holds a few descriptors, and a process may usually have 1,024.

use outrigger::config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of one member, with room for starting it again: two sockets and their ends, what it
/// prints, its process, its lock.
const EACH: u64 = 16;

/// Those of everything else.
const OTHERS: u64 = 128;

/// Raises the limit of this process as far as the largest group needs, and as far as the system lets it.
/// Where it does not, members that cannot be started say so.
pub(super) fn make(config: &Config) {
    let members = config.groups.iter().map(|group| group.members.len()).max().unwrap_or_default();
    let wanted = OTHERS + EACH * members as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let current = Some(maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        let _told_when_it_is_too_little = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}
