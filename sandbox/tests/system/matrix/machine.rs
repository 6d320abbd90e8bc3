//! What this machine offers to a user, found out without the code that is to be tested.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize};

use crate::probe::raw::call;

/// Who runs the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum User {
    /// The administrator.
    Root,
    /// Anybody: whoever runs the tests, or if that is root, one without rights.
    Anybody,
}

/// A user without rights: "nobody" nearly everywhere. One with an account, or dbus-daemon refuses.
const NOBODY: u32 = 65534;

impl User {
    /// Why the tests cannot be run as this user.
    pub(super) fn missing(self) -> Option<String> {
        (self == Self::Root && !is_root()).then(|| "not run as root".into())
    }

    /// A command that this user runs, from an executable that everybody can reach.
    pub(super) fn command(self, executable: &Path) -> Command {
        let mut command = Command::new(executable);
        if self == Self::Anybody && is_root() {
            command.uid(NOBODY).gid(NOBODY); // std drops the supplementary groups as well
        }
        command
    }
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The version of Landlock that the kernel has; 0 if none.
pub(crate) fn landlock_abi() -> u32 {
    const VERSION: i32 = 1;
    let answer = call!(libc::SYS_landlock_create_ruleset, 0, 0, VERSION);
    answer.ok().and_then(|version| u32::try_from(version).ok()).unwrap_or(0)
}

/// Whether this user may make namespaces, and mount within them: tried by a process of its own.
pub(super) fn has_namespaces(user: User, executable: &Path) -> bool {
    let mut command = user.command(executable);
    command.args(["role", "unshare"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status: ExitStatus| status.success())
}

/// The role that tries: a mount in a mount namespace tells what a call to `unshare` does not, as
/// some systems refuse only what comes after it.
pub(crate) fn unshare() -> i32 {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET;
    let done = call!(libc::SYS_unshare, flags | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS).is_ok()
        && std::fs::write("/proc/self/setgroups", "deny").is_ok()
        && std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).is_ok()
        && std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).is_ok()
        && call!(libc::SYS_mount, c"none".as_ptr(), c"/".as_ptr(), 0, libc::MS_REC | libc::MS_PRIVATE, 0)
            .is_ok()
        && call!(libc::SYS_mount, c"none".as_ptr(), c"/tmp".as_ptr(), c"tmpfs".as_ptr(), 0, 0).is_ok();
    i32::from(!done)
}
