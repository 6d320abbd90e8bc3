//! seccomp: which system calls there are for a plugin, and with which arguments.
//!
//! Two filters. The first knows what programs need, and answers `ENOSYS` to everything else: what a
//! future kernel adds, what old ABIs number differently, and `clone3`, `openat2` and `io_uring`,
//! whose arguments no filter can see. Programs and libraries take that as an older kernel. The second
//! answers `EPERM` to what is dangerous, by number or by argument. Where both object, the kernel takes
//! the word of the one that was installed last.
//!
//! A call from another architecture (`int 0x80`) ends the process.

mod calls;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use crate::Failure;

/// What the filters depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// The only process that it may send signals to, where nothing else keeps signals within the
    /// sandbox (decisions P3).
    pub(super) only_signals: Option<i32>,
    /// It sees no process and no file but its own.
    pub(super) namespaced: bool,
    /// Everything that it can open is there for it to change: then it may also change modes.
    pub(super) owns_all: bool,
    /// Cutting a file off must be refused here: nothing else would.
    pub(super) keeps_length: bool,
    /// It makes TCP connections itself, be it only in a network of its own.
    pub(super) tcp: bool,
    /// It is one process with one thread, and stays so.
    pub(super) single: bool,
}

/// Puts both filters in force, for this process and all that it starts.
pub(super) fn apply(needs: &Needs) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::new("applying seccomp", error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| failed(&error))?;
    let known = calls::KNOWN.iter().map(|call| (*call, Vec::new())).collect();
    let (enosys, eperm) = (libc::ENOSYS.unsigned_abs(), libc::EPERM.unsigned_abs());
    let filters = [
        (known, SeccompAction::Errno(enosys), SeccompAction::Allow),
        (dangerous(needs), SeccompAction::Allow, SeccompAction::Errno(eperm)),
    ];
    for (rules, mismatch, found) in filters {
        let filter = SeccompFilter::new(rules, mismatch, found, arch).map_err(|error| failed(&error))?;
        let program = BpfProgram::try_from(filter).map_err(|error| failed(&error))?;
        apply_filter(&program).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Rules by the number of the call; without a rule it is refused whatever its arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// One argument, compared.
struct Argument(u8, SeccompCmpOp, u64);

fn is(index: u8, value: u64) -> Argument {
    Argument(index, SeccompCmpOp::Eq, value)
}

fn is_not(index: u8, value: u64) -> Argument {
    Argument(index, SeccompCmpOp::Ne, value)
}

/// The bits of `mask` are those of `value`.
fn bits(index: u8, mask: u64, value: u64) -> Argument {
    Argument(index, SeccompCmpOp::MaskedEq(mask), value)
}

fn has(index: u8, bit: u64) -> Argument {
    bits(index, bit, bit)
}

/// Collects what is refused.
#[derive(Default)]
struct Refused(Rules);

impl Refused {
    /// Refuses these calls altogether.
    fn all(&mut self, calls: &[i64]) {
        self.0.extend(calls.iter().map(|call| (*call, Vec::new())));
    }

    /// Refuses a call whose arguments are all so. What is refused altogether stays so.
    fn with<const N: usize>(&mut self, call: i64, arguments: [Argument; N]) {
        let rules = self.0.get(&call);
        if rules.is_some_and(Vec::is_empty) {
            return;
        }
        let conditions = arguments.map(|Argument(index, how, value)| {
            SeccompCondition::new(index, SeccompCmpArgLen::Dword, how, value)
        });
        let conditions: Result<Vec<_>, _> = conditions.into_iter().collect();
        match conditions.and_then(SeccompRule::new) {
            Ok(rule) => self.0.entry(call).or_default().push(rule),
            Err(_) => self.all(&[call]), // a rule of ours that makes no sense refuses everything
        }
    }

    /// Refuses each of these calls with such an argument.
    fn each(&mut self, calls: &[i64], argument: fn() -> Argument) {
        calls.iter().for_each(|call| self.with(*call, [argument()]));
    }
}

fn dangerous(needs: &Needs) -> Rules {
    let mut refused = Refused::default();
    refused.all(calls::DANGEROUS);
    sockets(&mut refused, needs.tcp);
    processes(&mut refused, needs);
    files(&mut refused, needs);
    refused.with(libc::SYS_personality, [is_not(0, 0xFFFF_FFFF), is_not(0, 0)]);
    for command in calls::FCNTL_REFUSED {
        refused.with(libc::SYS_fcntl, [is(1, *command)]);
    }
    for option in calls::PRCTL_REFUSED {
        refused.with(libc::SYS_prctl, [is(0, *option)]);
    }
    refused.0
}

/// No sockets but connected pairs, and what was passed to it; nothing that makes such a socket lead
/// elsewhere (decisions P4, P5).
fn sockets(refused: &mut Refused, tcp: bool) {
    const STREAM: u64 = libc::SOCK_STREAM.unsigned_abs() as u64;
    let kinds = |refused: &mut Refused, call| {
        for kind in (0..16).filter(|kind| *kind != STREAM) {
            refused.with(call, [bits(1, 0xF, kind)]);
        }
    };
    refused.all(&[libc::SYS_bind, libc::SYS_listen, libc::SYS_accept4]);
    #[cfg(not(target_arch = "s390x"))]
    refused.all(&[libc::SYS_accept]);
    refused.with(libc::SYS_socketpair, [is_not(0, number(libc::AF_UNIX))]);
    kinds(refused, libc::SYS_socketpair);
    if tcp {
        let [v4, v6] = [libc::AF_INET, libc::AF_INET6].map(number);
        refused.with(libc::SYS_socket, [is_not(0, v4), is_not(0, v6)]);
        refused.with(libc::SYS_socket, [is_not(2, 0), is_not(2, number(libc::IPPROTO_TCP))]);
        kinds(refused, libc::SYS_socket);
    } else {
        refused.all(&[libc::SYS_socket, libc::SYS_connect]);
    }
    // Connects on the way, past all rules for `connect`.
    let fast_open = || has(3, number(libc::MSG_FASTOPEN));
    refused.each(&[libc::SYS_sendto, libc::SYS_sendmmsg], fast_open);
    refused.each(&[libc::SYS_sendmsg], || has(2, number(libc::MSG_FASTOPEN)));
    // Everything about interfaces, routes and owners of sockets; and input into a terminal.
    refused.with(libc::SYS_ioctl, [bits(1, 0xFFFF_FF00, 0x8900)]);
    for request in calls::IOCTL_REFUSED {
        refused.with(libc::SYS_ioctl, [is(1, *request)]);
    }
}

fn number(constant: i32) -> u64 {
    u64::from(constant.unsigned_abs())
}

/// No namespaces; no other processes where those of others can be named.
fn processes(refused: &mut Refused, needs: &Needs) {
    for flag in calls::CLONE_REFUSED {
        refused.with(libc::SYS_clone, [has(0, number(*flag))]);
    }
    if needs.single {
        refused.all(&[libc::SYS_clone, libc::SYS_memfd_create]);
        #[cfg(target_arch = "x86_64")]
        refused.all(&[libc::SYS_fork, libc::SYS_vfork]);
    }
    for (call, process) in calls::OF_A_KIND_AND_PROCESS {
        refused.with(*call, [is_not(0, *process)]);
    }
    if needs.namespaced {
        beside_init(refused);
    } else {
        refused.all(&[libc::SYS_pidfd_open]);
        refused.each(calls::OF_A_PROCESS, || is_not(0, 0));
        refused.each(calls::ABOUT_A_PROCESS, || is_not(0, 0));
        for (call, _) in calls::OF_A_KIND_AND_PROCESS {
            refused.with(*call, [is_not(1, 0)]);
        }
    }
    if let Some(own) = needs.only_signals {
        refused.all(calls::SIGNALS);
        let own = u64::from(own.unsigned_abs());
        refused.with(libc::SYS_kill, [is_not(0, own)]);
        refused.with(libc::SYS_tgkill, [is_not(0, own)]);
        for command in calls::FCNTL_OWNERS {
            refused.with(libc::SYS_fcntl, [is(1, *command)]);
        }
    }
}

/// The only process in there that is not the plugin's is the first.
fn beside_init(refused: &mut Refused) {
    refused.each(calls::SIGNALS_TO, || is(0, 1));
    refused.each(calls::OF_A_PROCESS, || is(0, 1));
    for (call, _) in calls::OF_A_KIND_AND_PROCESS {
        refused.with(*call, [is(1, 1)]);
    }
    refused.with(libc::SYS_pidfd_open, [is(0, 1)]);
}

/// What reaches files past Landlock, where the plugin sees files that are not its own.
fn files(refused: &mut Refused, needs: &Needs) {
    if !needs.namespaced {
        refused.all(calls::BY_PATH);
        if !needs.owns_all {
            refused.all(calls::BY_DESCRIPTOR);
        }
    }
    if needs.keeps_length {
        const READ_AND_CUT: u64 = libc::O_TRUNC.unsigned_abs() as u64;
        const MASK: u64 = (libc::O_ACCMODE | libc::O_TRUNC).unsigned_abs() as u64;
        refused.all(&[libc::SYS_truncate]);
        refused.with(libc::SYS_openat, [bits(2, MASK, READ_AND_CUT)]);
        #[cfg(target_arch = "x86_64")]
        refused.with(libc::SYS_open, [bits(1, MASK, READ_AND_CUT)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Needs = Needs {
        only_signals: Some(42),
        namespaced: false,
        owns_all: false,
        keeps_length: true,
        tcp: true,
        single: false,
    };

    #[test]
    fn nothing_dangerous_is_known() {
        let both: Vec<_> = calls::DANGEROUS.iter().filter(|call| calls::KNOWN.contains(call)).collect();
        assert!(both.is_empty(), "{both:?}");
        assert!(!calls::KNOWN.contains(&libc::SYS_clone3) && !calls::KNOWN.contains(&libc::SYS_openat2));
    }

    #[test]
    fn every_rule_makes_sense() {
        for needs in [LEAST, Needs { tcp: false, single: true, ..LEAST }, Needs { namespaced: true, ..LEAST }]
        {
            let rules = dangerous(&needs);
            let refused = |call: i64| rules.get(&call).is_some_and(Vec::is_empty);
            assert!(!refused(libc::SYS_ioctl) && !refused(libc::SYS_sendto) && !refused(libc::SYS_prctl));
            let filter = SeccompFilter::new(
                rules,
                SeccompAction::Allow,
                SeccompAction::Errno(1),
                TargetArch::try_from(std::env::consts::ARCH).unwrap(),
            );
            assert!(BpfProgram::try_from(filter.unwrap()).unwrap().len() < 4096);
        }
    }

    #[test]
    fn what_is_refused_altogether_stays_so() {
        let mut refused = Refused::default();
        refused.all(&[7]);
        refused.with(7, [is(0, 1)]);
        assert!(refused.0[&7].is_empty());
    }
}
