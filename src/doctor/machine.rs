//! What is to be seen of the machine without starting anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Settings that forbid namespaces, and where the kernel shows them. Not every kernel has each.
const SETTINGS: [(&str, &str); 3] = [
    ("user.max_user_namespaces", "/proc/sys/user/max_user_namespaces"),
    ("kernel.unprivileged_userns_clone", "/proc/sys/kernel/unprivileged_userns_clone"),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    ),
];

/// The machine, as far as sandboxes depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The system that this was built for, such as `linux`.
    pub system: &'static str,
    /// The kernel's release; `None` if it does not tell.
    pub kernel: Option<String>,
    /// The version of Landlock that sandboxes use; `None` if there is none.
    pub landlock_abi: Option<u32>,
    /// The versions of control groups that are mounted.
    pub cgroups: Vec<u8>,
    /// Whether a systemd user manager runs for this user.
    pub user_manager: bool,
    /// Whether this is root.
    pub root: bool,
    /// Whether somebody else's seccomp filter holds for this process, as in most containers.
    pub filtered: bool,
    /// Settings of the kernel that can forbid namespaces, as far as it has them.
    pub settings: BTreeMap<&'static str, String>,
    /// Where sockets lie.
    pub runtime: Runtime,
}

/// The runtime directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Runtime {
    /// Where it is or would be; `None` where there is no need of one.
    pub path: Option<PathBuf>,
    /// Whether it is there.
    pub exists: bool,
    /// Why it cannot be used; `None` if it can.
    pub unsafe_because: Option<String>,
}

impl Machine {
    pub(super) fn look() -> Self {
        let status = read("/proc/self/status");
        let mounts = read("/proc/self/mountinfo");
        let user = field(&status, "Uid", 1).unwrap_or_default();
        Self {
            system: std::env::consts::OS,
            kernel: Some(read("/proc/sys/kernel/osrelease").trim().to_owned())
                .filter(|text| !text.is_empty()),
            landlock_abi: outrigger_sandbox::landlock_abi(),
            cgroups: cgroups(&mounts),
            user_manager: has_user_manager(&user),
            root: user == "0",
            filtered: field(&status, "Seccomp", 0).is_some_and(|mode| mode != "0"),
            settings: settings(),
            runtime: Runtime::look(),
        }
    }
}

impl Runtime {
    /// Whether nobody squats there.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.unsafe_because.is_none()
    }

    fn look() -> Self {
        outrigger_broker::runtime_path().map(Self::at).unwrap_or_default()
    }

    #[cfg(unix)]
    fn at(path: PathBuf) -> Self {
        let (exists, unsafe_because) = match outrigger_broker::check_private_folder(&path) {
            Ok(()) => (true, None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (false, None),
            Err(error) => (true, Some(error.to_string())),
        };
        Self { path: Some(path), exists, unsafe_because }
    }

    #[cfg(not(unix))]
    fn at(path: PathBuf) -> Self {
        Self { path: Some(path), ..Self::default() }
    }
}

/// What cannot be read tells nothing.
fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A word after `name:` in a text like `/proc/self/status`.
fn field(status: &str, name: &str, index: usize) -> Option<String> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().nth(index).map(str::to_owned)
}

/// From lines such as `31 25 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw`.
fn cgroups(mounts: &str) -> Vec<u8> {
    let mounted = |kind: &str| {
        let of =
            |line: &str| line.split_once(" - ").and_then(|(_, rest)| rest.split(' ').next()) == Some(kind);
        mounts.lines().any(of)
    };
    [(1, "cgroup"), (2, "cgroup2")]
        .into_iter()
        .filter(|(_, kind)| mounted(kind))
        .map(|(version, _)| version)
        .collect()
}

/// Its private socket is there exactly while it runs.
fn has_user_manager(user: &str) -> bool {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = (!user.is_empty()).then(|| PathBuf::from("/run/user").join(user));
    let places = runtime.into_iter().chain(usual);
    places.map(|place| place.join("systemd/private")).any(|socket| socket.exists())
}

fn settings() -> BTreeMap<&'static str, String> {
    let set =
        |(name, path): (&'static str, &str)| Some((name, fs::read_to_string(path).ok()?.trim().to_owned()));
    SETTINGS.into_iter().filter_map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_are_told_apart_by_version() {
        let v1 = "31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let v2 = "33 25 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert!(cgroups("").is_empty());
        assert_eq!((cgroups(v1), cgroups(v2)), (vec![1], vec![2]));
        assert_eq!(cgroups(&format!("{v2}{v1}")), [1, 2]);
        assert!(cgroups("nonsense - cgroup2nd x").is_empty());
    }

    #[test]
    fn a_field_of_a_status_is_a_word() {
        let status = "Name:\tx\nUid:\t1000\t0\t0\t0\nSeccomp_filters:\t3\nSeccomp:\t2\n";
        assert_eq!(field(status, "Uid", 1).unwrap(), "0");
        assert_eq!(field(status, "Seccomp", 0).unwrap(), "2");
        assert_eq!(field(status, "Gid", 0), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_use_is_not_safe() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        assert!(Runtime::at(path.clone()).is_safe() && !Runtime::at(path.clone()).exists);
        fs::create_dir(&path).unwrap();
        for (mode, safe) in [(0o700, true), (0o755, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Runtime::at(path.clone()).is_safe(), safe, "{mode:o}");
        }
        std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
        assert!(!Runtime::at(folder.path().join("link")).is_safe());
    }
}
