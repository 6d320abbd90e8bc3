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
pub(super) fn has_namespaces(user: User) -> bool {
    let mut command = user.command(Path::new("/proc/self/exe"));
    command.args(["role", "unshare"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status: ExitStatus| status.success())
}

/// Why the probes cannot show here, without a sandbox, that they get through: something else holds
/// them back.
pub(super) fn hardened(user: User) -> Option<String> {
    let confined = (status("Seccomp") != "0").then(|| "the tests are confined by a seccomp filter".into());
    let set = || SETTINGS.iter().find_map(|(file, most)| too_much(file, *most));
    let namespaces = || (!has_namespaces(user)).then(|| "this user may not make namespaces here".into());
    let rights =
        || (user == User::Root && !all_rights()).then(|| "this root has not all rights of root".into());
    confined.or_else(set).or_else(namespaces).or_else(rights)
}

/// Settings of the kernel that take from every user what a probe tries, and the most that leaves it.
const SETTINGS: [(&str, u32); 3] = [
    ("/proc/sys/kernel/yama/ptrace_scope", 0),
    ("/proc/sys/kernel/io_uring_disabled", 0),
    ("/proc/sys/kernel/perf_event_paranoid", 2),
];

fn too_much(file: &str, most: u32) -> Option<String> {
    let value: u32 = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (value > most).then(|| format!("{file} is {value}"))
}

/// Whether root is root of the machine, with every right that a probe needs (`capabilities(7)`).
fn all_rights() -> bool {
    const NEEDED: [u32; 14] = [2, 7, 12, 13, 16, 18, 19, 20, 21, 22, 23, 25, 27, 34];
    let rights = u64::from_str_radix(&status("CapEff"), 16).unwrap_or(0);
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    users.split_whitespace().eq(["0", "0", "4294967295"])
        && NEEDED.iter().all(|right| rights & (1 << right) != 0)
}

fn status(name: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
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
