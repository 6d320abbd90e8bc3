//! From what was done to what it guarantees: the report.

use super::cgroup::Cgroup;
use super::landlock;
use super::limits::Limits;
use crate::{Failure, Guarantee, Policy, Report, Standing, Tier};

/// What was done, and what failed.
pub(super) struct Facts<'f> {
    pub(super) policy: &'f Policy,
    pub(super) tier: Tier,
    /// Why there are no namespaces.
    pub(super) no_namespaces: Option<&'f Failure>,
    pub(super) landlock: &'f Result<landlock::Applied, Failure>,
    pub(super) seccomp: &'f Result<(), Failure>,
    pub(super) cgroup: &'f Cgroup,
    pub(super) limits: &'f Limits,
    /// It makes TCP connections itself, in the network of the machine.
    pub(super) tcp: bool,
    /// It is one process with one thread.
    pub(super) single: bool,
    pub(super) root: bool,
}

/// The report of a sandbox that nobody asked for.
pub(super) fn unconfined() -> Report {
    let mut report = Report::nothing("the profile is `none`", "");
    report.set(Guarantee::NoNewPrivileges, Standing::Enforced);
    report.set(Guarantee::EnvAndDescriptorsClean, Standing::Enforced);
    report.set(
        Guarantee::CleanupOnBrokerDeath,
        Standing::advisory(
            "holds against crashes and daemons; without a sandbox a plugin can kill its keeper",
            "",
        ),
    );
    report
}

impl Facts<'_> {
    /// What all that guarantees.
    pub(super) fn report(&self) -> Report {
        let mut report = Report::nothing("", "").of(self.tier);
        for guarantee in Guarantee::ALL {
            report.set(guarantee, self.standing(guarantee));
        }
        report
    }

    fn standing(&self, guarantee: Guarantee) -> Standing {
        use Guarantee as G;
        match guarantee {
            G::FsRead => self.if_either(self.namespaced(), &self.landlock()),
            G::FsWrite => self.if_either(self.namespaced(), &self.landlock().and_then(|_| self.seccomp())),
            G::FsMetadata => self.if_namespaced("names and metadata of all files can be seen"),
            G::Exec => Self::if_done(&self.landlock()),
            G::Network if self.tcp => Self::if_done(&self.ports()),
            G::Network | G::IpcIsolation => Self::if_done(&self.seccomp()),
            G::ProcessIsolation => {
                self.if_either(self.namespaced(), &self.landlock().and_then(|_| self.seccomp()))
            }
            G::Memory => self.memory(),
            G::Processes => self.processes(),
            G::Cpu => self.cpu(),
            G::Disk => self.disk(),
            G::CleanupOnBrokerDeath => self.if_either(self.namespaced(), &self.seccomp()),
            G::EnvAndDescriptorsClean | G::NoNewPrivileges => Standing::Enforced,
        }
    }

    fn namespaced(&self) -> bool {
        self.tier == Tier::Namespaced
    }

    fn landlock(&self) -> Result<(), Standing> {
        self.landlock.as_ref().map(drop).map_err(|failure| missing(failure, landlock_hint(failure)))
    }

    fn seccomp(&self) -> Result<(), Standing> {
        let hint = "a kernel with CONFIG_SECCOMP_FILTER on x86_64, aarch64 or riscv64 has it";
        self.seccomp.as_ref().copied().map_err(|failure| missing(failure, hint))
    }

    fn ports(&self) -> Result<(), Standing> {
        match self.landlock {
            Ok(applied) if !applied.restricts_ports() => Err(Standing::unavailable(
                format!("version {} of Landlock cannot restrict ports, from 4 on it can", applied.abi),
                "name hosts instead of ports, or use Linux 6.7 or later",
            )),
            _ => self.landlock().and_then(|()| self.seccomp()),
        }
    }

    fn if_done(done: &Result<(), Standing>) -> Standing {
        done.clone().err().unwrap_or(Standing::Enforced)
    }

    fn if_either(&self, one: bool, other: &Result<(), Standing>) -> Standing {
        if one { Standing::Enforced } else { Self::if_done(other) }
    }

    fn if_namespaced(&self, otherwise: &str) -> Standing {
        match self.no_namespaces {
            _ if self.namespaced() => Standing::Enforced,
            Some(failure) => Standing::unavailable(
                format!("{otherwise}, as there are no namespaces: {failure}"),
                namespaces_hint(failure),
            ),
            None => Standing::unavailable(format!("{otherwise}, as no namespaces were to be used"), ""),
        }
    }

    /// One thread in one process, and no way to another.
    fn single(&self) -> bool {
        self.single && self.seccomp.is_ok()
    }

    fn memory(&self) -> Standing {
        let Err(why) = &self.cgroup.memory else { return Standing::Enforced };
        let (open, hint) = match self.single() {
            true if !self.policy.bounds_memory() => (OF_THE_KERNEL, "set or require `memory`"),
            true => (OF_THE_KERNEL, GROUP_HINT),
            false => ("what is shared", GROUP_HINT),
        };
        let bounded = "only what each process has of its own is bounded";
        Standing::advisory(format!("{bounded}, not {open}: {why}"), hint)
    }

    /// The kernel counts the processes of a user within a user namespace, but never those of root.
    fn processes(&self) -> Standing {
        match &self.cgroup.processes {
            _ if self.single() => Standing::Enforced,
            Ok(_) => Standing::Enforced,
            Err(_) if self.limits.processes.is_some() && !self.root => Standing::Enforced,
            Err(why) => group(why),
        }
    }

    /// At most one processor, which is all that one thread can have anyway.
    fn cpu(&self) -> Standing {
        match &self.cgroup.cpu {
            _ if self.single() => Standing::Enforced,
            Ok(_) => Standing::Enforced,
            Err(why) => group(why),
        }
    }

    fn disk(&self) -> Standing {
        if !self.policy.write.is_empty() {
            return Standing::advisory(
                "each file is bounded, the number of files in the folders granted is not",
                "",
            );
        }
        self.if_either(self.namespaced(), &self.landlock())
    }
}

/// What no limit of a process counts.
const OF_THE_KERNEL: &str = "what the kernel holds for it, in pipes and sockets";

/// How a control group can be had.
const GROUP_HINT: &str = "run as root, or in a systemd unit with `Delegate=yes`, or with a systemd user manager (`loginctl enable-linger`)";

fn group(why: &str) -> Standing {
    Standing::unavailable(why, GROUP_HINT)
}

fn missing(failure: &Failure, hint: &str) -> Standing {
    Standing::unavailable(failure.to_string(), hint)
}

fn landlock_hint(failure: &Failure) -> &'static str {
    if failure.errno == Some(libc::EOPNOTSUPP) {
        "boot the kernel with `landlock` in its `lsm=` parameter"
    } else {
        "use Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK, and `landlock` in its `lsm=` parameter"
    }
}

/// The known causes, by how they show.
fn namespaces_hint(failure: &Failure) -> &'static str {
    match failure.errno {
        Some(libc::ENOSPC) => "raise the sysctl `user.max_user_namespaces`",
        Some(libc::EPERM | libc::EACCES) => {
            "the sysctl `kernel.unprivileged_userns_clone=0`, AppArmor (`kernel.apparmor_restrict_unprivileged_userns=1`, \
             until this program has a profile) or a container's own filter forbids them"
        }
        Some(libc::ENOSYS) => "use Linux 5.12 or later; some containers' filters answer so too",
        Some(libc::EINVAL) => "use a kernel with CONFIG_USER_NS",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::Way;
    use super::*;

    /// What is done on the usual hosts, to be changed by each test.
    struct Host {
        policy: Policy,
        tier: Tier,
        landlock: Result<landlock::Applied, Failure>,
        seccomp: Result<(), Failure>,
        cgroup: Cgroup,
        limits: Limits,
        tcp: bool,
        single: bool,
        root: bool,
    }

    fn host(tier: Tier) -> Host {
        Host {
            policy: Policy::default(),
            tier,
            landlock: Ok(landlock::Applied { abi: 6 }),
            seccomp: Ok(()),
            cgroup: Cgroup::none("no group"),
            limits: Limits { data: Some(1), ..Limits::default() },
            tcp: false,
            single: false,
            root: false,
        }
    }

    fn standing(host: &Host, guarantee: Guarantee) -> Standing {
        let failure = Failure { errno: Some(libc::EPERM), ..Failure::new("making namespaces", "no") };
        let facts = Facts {
            policy: &host.policy,
            tier: host.tier,
            no_namespaces: (host.tier == Tier::Landlocked).then_some(&failure),
            landlock: &host.landlock,
            seccomp: &host.seccomp,
            cgroup: &host.cgroup,
            limits: &host.limits,
            tcp: host.tcp,
            single: host.single,
            root: host.root,
        };
        facts.report().standing(guarantee)
    }

    fn enforced(host: &Host, guarantee: Guarantee) -> bool {
        standing(host, guarantee) == Standing::Enforced
    }

    #[test]
    fn without_namespaces_metadata_is_open_and_the_report_says_why() {
        let Standing::Unavailable { reason, hint } = standing(&host(Tier::Landlocked), Guarantee::FsMetadata)
        else {
            panic!("metadata counts as hidden");
        };
        assert!(reason.contains("making namespaces") && hint.contains("AppArmor"), "{reason} {hint}");
        assert!(enforced(&host(Tier::Namespaced), Guarantee::FsMetadata));
    }

    #[test]
    fn without_landlock_programs_are_not_confined() {
        let host = Host { landlock: Err(Failure::new("looking", "nothing")), ..host(Tier::Namespaced) };
        assert!(enforced(&host, Guarantee::FsRead) && !enforced(&host, Guarantee::Exec));
    }

    #[test]
    fn landlock_alone_leaves_modes_open() {
        let host = Host { seccomp: Err(Failure::new("seccomp", "nothing")), ..host(Tier::Landlocked) };
        assert!(enforced(&host, Guarantee::FsRead) && !enforced(&host, Guarantee::FsWrite));
        assert!(!enforced(&host, Guarantee::ProcessIsolation) && !enforced(&host, Guarantee::IpcIsolation));
    }

    #[test]
    fn ports_need_version_4() {
        let with =
            |abi| Host { tcp: true, landlock: Ok(landlock::Applied { abi }), ..host(Tier::Namespaced) };
        assert!(enforced(&with(4), Guarantee::Network) && !enforced(&with(3), Guarantee::Network));
    }

    #[test]
    fn memory_needs_a_group_also_of_a_plugin_that_stays_alone() {
        let said = |host: &Host| match standing(host, Guarantee::Memory) {
            Standing::Advisory { reason, hint } => (reason, hint),
            standing => panic!("{standing}"),
        };
        let (reason, hint) = said(&host(Tier::Namespaced));
        assert!(reason.ends_with("not what is shared: no group") && hint == GROUP_HINT, "{reason} {hint}");
        let single = Host { single: true, ..host(Tier::Landlocked) };
        let (reason, hint) = said(&single);
        assert!(reason.ends_with("in pipes and sockets: no group"), "{reason}");
        assert_eq!(hint, "set or require `memory`");
        let limited = Policy { memory: Some(1), ..Policy::default() };
        assert_eq!(said(&Host { policy: limited, ..single }).1, GROUP_HINT);
        let mut cgroup = Cgroup::none("");
        cgroup.memory = Ok(Way::Moved);
        assert!(enforced(&Host { cgroup, ..host(Tier::Landlocked) }, Guarantee::Memory));
    }

    #[test]
    fn one_thread_is_one_process_with_one_processor_at_most() {
        let single = Host { single: true, ..host(Tier::Landlocked) };
        assert!(enforced(&single, Guarantee::Processes) && enforced(&single, Guarantee::Cpu));
        let unfiltered = Host { seccomp: Err(Failure::new("seccomp", "nothing")), ..single };
        assert!(!enforced(&unfiltered, Guarantee::Processes) && !enforced(&unfiltered, Guarantee::Cpu));
    }

    #[test]
    fn processes_of_root_need_a_group() {
        let limits = Limits { processes: Some(9), ..Limits::default() };
        assert!(enforced(&Host { limits, ..host(Tier::Namespaced) }, Guarantee::Processes));
        assert!(!enforced(&Host { limits, root: true, ..host(Tier::Namespaced) }, Guarantee::Processes));
    }

    #[test]
    fn a_folder_to_write_can_be_filled() {
        let policy = Policy { write: vec!["/srv".into()], ..Policy::default() };
        assert!(matches!(
            standing(&Host { policy, ..host(Tier::Namespaced) }, Guarantee::Disk),
            Standing::Advisory { .. }
        ));
        assert!(enforced(&host(Tier::Landlocked), Guarantee::Disk));
    }
}
