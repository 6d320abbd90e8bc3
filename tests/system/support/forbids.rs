//! Hosts that forbid things, played by a seccomp filter around whatever a test starts.

use std::collections::BTreeMap;
use std::thread;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// Rules by the number of the call; none: whatever its arguments.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What a host forbids.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Forbids {
    /// Namespaces, as the filters of containers do it: `EPERM`, and `ENOSYS` for the call whose
    /// arguments no filter can see.
    Namespaces,
    /// What namespaces are made for: the call succeeds, and what comes after it is refused with
    /// `EPERM`. So AppArmor does it on Ubuntu.
    Mounts,
    /// Landlock, as a kernel without it.
    Landlock,
}

impl Forbids {
    /// Does something under such a filter, which holds for all that it starts, and for nobody else.
    pub(crate) fn around<T: Send>(self, act: impl FnOnce() -> T + Send) -> T {
        let filters: Vec<BpfProgram> = self.rules().into_iter().map(compile).collect();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                filters.iter().for_each(|filter| apply_filter(filter).unwrap()); // of this thread alone
                act()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Each filter: calls, and what they are answered.
    fn rules(self) -> Vec<(Rules, i32)> {
        let all = |calls: &[i64]| calls.iter().map(|call| (*call, Vec::new())).collect::<Rules>();
        match self {
            Self::Namespaces => vec![
                (all(&[libc::SYS_clone3]), libc::ENOSYS),
                (
                    Rules::from([
                        (libc::SYS_unshare, Vec::new()),
                        (libc::SYS_setns, Vec::new()),
                        (libc::SYS_clone, vec![new_user()]),
                    ]),
                    libc::EPERM,
                ),
            ],
            Self::Mounts => {
                let calls = [libc::SYS_mount, libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_move_mount];
                vec![(all(&calls), libc::EPERM)]
            }
            Self::Landlock => {
                let calls = [
                    libc::SYS_landlock_create_ruleset,
                    libc::SYS_landlock_add_rule,
                    libc::SYS_landlock_restrict_self,
                ];
                vec![(all(&calls), libc::ENOSYS)]
            }
        }
    }
}

fn new_user() -> SeccompRule {
    let flag = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
    let has = SeccompCmpOp::MaskedEq(flag);
    SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Qword, has, flag).unwrap()]).unwrap()
}

fn compile((rules, errno): (Rules, i32)) -> BpfProgram {
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    SeccompFilter::new(rules, SeccompAction::Allow, answer, arch).unwrap().try_into().unwrap()
}
