//! The layers of the sandbox, applied by the plugin's own processes before any foreign code runs,
//! and the report of what they gave.
//!
//! ```text
//!   helper    makes the control group
//!   init      only in tier *namespaced*: maps its user, builds the root      `enter`
//!   plugin    joins the group, limits, Landlock, capabilities, seccomp       `apply`
//! ```
//!
//! A layer that cannot be had does not stop the others: the report says what is missing, and whether
//! that matters is the broker's to say. Once a layer has begun, failing means not starting.

pub(super) mod cgroup;
mod doorway;
pub(super) mod image;
mod landlock;
mod limits;
pub(super) mod places;
mod root;
mod seccomp;
mod standings;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::process::{getegid, geteuid, getpid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::messages::Start;
use crate::{Failure, PROXY_PORT, Policy, Profile, Program, Report, Tier};
use cgroup::{Bounds, Cgroup};
use limits::Limits;
use places::{Place, Rights};
use seccomp::Needs;

/// Where programs are looked for, if the environment does not say.
pub(super) const SEARCH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Whether there is to be a sandbox at all.
pub(super) fn wanted(policy: &Policy) -> bool {
    policy.profile != Profile::None && policy.at_most.tier != Some(Tier::None)
}

/// Whether a control group is made to bound it: for one process with one thread, for ever, only if its
/// memory matters: most are our own, and shall start fast.
pub(super) fn needs_group(policy: &Policy, program: bool) -> bool {
    wanted(policy) && (processes(policy, program) != 1 || policy.bounds_memory())
}

fn processes(policy: &Policy, program: bool) -> u32 {
    policy.processes.unwrap_or(if program { Policy::PROCESSES } else { 1 })
}

/// What a program reads of itself where `/proc` is the host's. Not the folder: the host's mounts,
/// connections and sockets are in there as well, and its control groups.
const OF_ITSELF: [&str; 11] = [
    "/proc/self/auxv",
    "/proc/self/cmdline",
    "/proc/self/comm",
    "/proc/self/environ",
    "/proc/self/fd",
    "/proc/self/fdinfo",
    "/proc/self/limits",
    "/proc/self/maps",
    "/proc/self/stat",
    "/proc/self/statm",
    "/proc/self/status",
];

/// What one plugin is confined to: its policy, with the defaults for what it leaves open.
#[derive(Debug)]
pub(super) struct Confinement {
    policy: Policy,
    /// It is a program, not a plugin of our own: it expects what programs expect.
    program: bool,
    /// What it sees, by the names of the system as it is outside.
    places: Vec<Place>,
    memory: u64,
    processes: u32,
    ports: Vec<u16>,
    /// Why the broker got no control group of its own, where it tried.
    no_scope: Option<String>,
    /// Who runs it, as seen from outside.
    user: (u32, u32),
}

impl Confinement {
    /// Looks up all that is needed to know, while the whole system can be seen.
    pub(super) fn of(start: &Start) -> Self {
        let policy = start.policy.clone();
        let program = match &start.program {
            Program::FirstParty { .. } => None,
            Program::Executable { path, .. } => Some(path.clone()),
        };
        let search = start.environment.iter().find(|(name, _)| name == "PATH");
        let search = search.map_or_else(|| SEARCH.into(), |(_, value)| value.clone());
        let mut this = Self {
            program: program.is_some(),
            places: Vec::new(),
            memory: policy.memory.unwrap_or(Policy::MEMORY),
            processes: processes(&policy, program.is_some()),
            ports: policy.ports(),
            no_scope: start.no_scope.clone(),
            user: (geteuid().as_raw(), getegid().as_raw()),
            policy,
        };
        if this.wanted() {
            this.places = places::places(program.as_deref(), &search, &this.policy);
        }
        this
    }

    /// Whether there is to be a sandbox at all.
    pub(super) fn wanted(&self) -> bool {
        wanted(&self.policy)
    }

    /// Whether namespaces are to be tried.
    pub(super) fn namespaces(&self) -> bool {
        self.wanted() && self.policy.at_most.tier.is_none_or(|tier| tier == Tier::Namespaced)
    }

    /// Whether the network is to be an empty one of its own.
    pub(super) fn own_network(&self) -> bool {
        self.ports.is_empty()
    }

    /// Whether one listener is to be in that network, as the only thing there.
    fn proxied(&self) -> bool {
        self.policy.proxied && self.own_network()
    }

    /// The ports that it may connect to: of every host, or the one of its own network.
    fn connects_to(&self, tier: Tier) -> Vec<u16> {
        if self.proxied() && tier == Tier::Namespaced { vec![PROXY_PORT] } else { self.ports.clone() }
    }

    /// Makes the control group, where one is needed.
    pub(super) fn group(&self) -> Cgroup {
        if !needs_group(&self.policy, self.program) {
            return Cgroup::none("for one process alone no control group is made");
        }
        // Its init may be one of the processes in there.
        let processes = (!self.single()).then(|| self.processes.saturating_add(1));
        Cgroup::make(Bounds { memory: self.memory, processes }).or_because(self.no_scope.as_deref())
    }

    /// One process with one thread, for ever.
    fn single(&self) -> bool {
        self.processes == 1
    }

    /// What it sees once it is inside: some of it is there only then.
    fn inside(&self, tier: Tier) -> Vec<Place> {
        let own: &[(&str, Rights)] = match tier {
            _ if !self.program => &[],
            Tier::Namespaced => &[("/proc", Rights::READ), ("/tmp", Rights::WRITE)],
            Tier::Landlocked | Tier::None => &OF_ITSELF.map(|path| (path, Rights::READ)),
        };
        let own = own.iter().filter_map(|(path, rights)| Place::find(Path::new(path), *rights));
        self.places.iter().cloned().chain(own).collect()
    }

    fn needs(&self, tier: Tier, landlock: Option<landlock::Applied>) -> Needs {
        let namespaced = tier == Tier::Namespaced;
        let scopes = landlock.is_some_and(landlock::Applied::scopes);
        Needs {
            only_signals: (!namespaced && !scopes).then(|| getpid().as_raw_nonzero().get()),
            namespaced,
            owns_all: self.places.iter().all(|place| place.rights.write),
            keeps_length: !namespaced && !landlock.is_some_and(landlock::Applied::protects_length),
            tcp: !self.connects_to(tier).is_empty(),
            single: self.single(),
        }
    }

    fn limits(&self, tier: Tier, group: &Cgroup) -> Limits {
        let bounded = group.memory.is_ok();
        Limits {
            file_size: self.policy.file_size.unwrap_or(Policy::FILE_SIZE),
            address_space: self.single().then_some(self.memory),
            data: (!self.single() && !bounded).then_some(self.memory),
            // Its init is one of them.
            processes: (tier == Tier::Namespaced && !self.single()).then_some(u64::from(self.processes) + 1),
        }
    }
}

/// What the plugin adds to its environment, where the broker gave nothing else: a program expects
/// these.
pub(super) fn defaults(tier: Tier) -> Vec<(OsString, OsString)> {
    let scratch = [("HOME", "/tmp"), ("TMPDIR", "/tmp")].into_iter().filter(|_| tier == Tier::Namespaced);
    let always = [("PATH", SEARCH), ("LANG", "C.UTF-8")].into_iter().filter(|_| tier != Tier::None);
    scratch.chain(always).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Settles in namespaces that were just made; this process is the first in them. Returns what listens
/// in their network, if that was asked for.
pub(super) fn enter(confinement: &Confinement) -> Result<Option<OwnedFd>, Failure> {
    map_user(confinement.user).map_err(|error| Failure::system("mapping its user", &error))?;
    rustix::system::sethostname(b"sandbox").ok(); // the name of the host is not worth failing for
    let listener = confinement.proxied().then(doorway::open).transpose();
    let listener = listener.map_err(|error| Failure::system("listening for its proxy", &error))?;
    root::build(&confinement.places, confinement.program)?;
    Ok(listener)
}

/// Its user and group stay who they are; there are no others.
fn map_user((user, group): (u32, u32)) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

/// Without any, and none to be had from a program: an ordinary user has none to drop.
fn drop_capabilities() -> io::Result<()> {
    for number in 0..64 {
        if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)).is_err() {
            break; // the last one was before, or none of them is ours to remove
        }
    }
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Applies the layers that a process applies to itself. The last one is seccomp: from then on this
/// is a plugin.
pub(super) fn apply(
    confinement: &Confinement,
    tier: Tier,
    group: Cgroup,
    no_namespaces: Option<&Failure>,
) -> Result<Report, Failure> {
    set_no_new_privs(true).map_err(|error| Failure::system("giving up privileges", &error.into()))?;
    if tier == Tier::None {
        return Ok(standings::unconfined());
    }
    group.join().map_err(|error| Failure::system("joining its control group", &error))?;
    let limits = confinement.limits(tier, &group);
    limits::apply(&limits).map_err(|error| Failure::system("limiting it", &error))?;
    let landlock = landlock::apply(
        &confinement.inside(tier),
        &confinement.connects_to(tier),
        confinement.policy.at_most.landlock_abi,
    );
    drop_capabilities().map_err(|error| Failure::system("dropping capabilities", &error))?;
    let seccomp = seccomp::apply(&confinement.needs(tier, landlock.as_ref().ok().copied()));
    let facts = standings::Facts {
        policy: &confinement.policy,
        tier,
        no_namespaces,
        landlock: &landlock,
        seccomp: &seccomp,
        cgroup: &group,
        limits: &limits,
        tcp: !confinement.ports.is_empty(),
        single: confinement.single(),
        root: geteuid().is_root(),
    };
    Ok(facts.report())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_one_process_or_is_not_confined_needs_no_group() {
        let of = |profile, processes, program| {
            needs_group(&Policy { profile, processes, ..Policy::default() }, program)
        };
        assert!(of(Profile::Strict, None, true) && of(Profile::Network, Some(2), false));
        assert!(!of(Profile::Strict, None, false) && !of(Profile::Strict, Some(1), true));
        assert!(!of(Profile::None, None, true));
    }
}
