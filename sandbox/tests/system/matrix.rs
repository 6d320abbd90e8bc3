//! The matrix: every probe in every sandbox, as root and as a user without rights.
//!
//! Each setup is a test of its own. It runs in a process of its own (`role matrix SETUP`), which is
//! the broker: it holds secrets, listens, launches the probe, and compares the verdicts with
//! [`table`]. What this machine does not offer shows up as ignored, with the reason.

mod field;
mod judge;
mod machine;
mod play;
mod rows;
mod rule;
mod table;
mod witness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use outrigger_sandbox::Tier;
use serde::{Deserialize, Serialize};

use crate::runner::Test;
pub(crate) use field::QUIET;
pub(crate) use machine::{User, landlock_abi, unshare};
pub(crate) use play::policy;

/// One sandbox for one user.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// What the sandbox is built from, exactly.
    pub(crate) tier: Tier,
    /// Whether one port is granted.
    pub(crate) port: bool,
    /// Whether it is proxied: it has a network with one listener in it.
    pub(crate) proxied: bool,
    /// The highest version of Landlock that is used; all that there is if `None`.
    pub(crate) abi: Option<u32>,
    /// Who runs the broker.
    pub(crate) user: User,
    /// Whether the probe runs within our own executable, where it may have one process only.
    pub(crate) first_party: bool,
}

impl Setup {
    /// The name of a test of it.
    pub(crate) fn name(&self, of: &str) -> String {
        let port = match (self.port, self.proxied) {
            (true, _) => "_one_port",
            (_, true) => "_proxied",
            _ => "",
        };
        let abi = self.abi.map(|abi| format!("_landlock_abi_{abi}")).unwrap_or_default();
        let kind = if self.first_party { "_first_party" } else { "" };
        let user = match self.user {
            User::Root => "root",
            User::Anybody => "user",
        };
        format!("{of}_{}{port}{abi}{kind}_as_{user}", self.tier)
    }

    /// The version of Landlock that is used.
    pub(crate) fn used_abi(&self) -> u32 {
        landlock_abi().min(self.abi.unwrap_or(u32::MAX))
    }

    /// Whether a port is granted and no version of Landlock that knows ports is there: then either
    /// nothing can be reached or everything, and the report has to say which.
    pub(crate) fn port_without_landlock(&self) -> bool {
        self.port && self.used_abi() < 4
    }

    /// Why it cannot be played on this machine.
    pub(crate) fn missing(&self) -> Option<String> {
        let wanted = self.abi.unwrap_or(1);
        if let Some(reason) = self.user.missing() {
            return Some(reason);
        }
        if self.tier != Tier::None && landlock_abi() < wanted {
            return Some(format!("needs version {wanted} of Landlock, the kernel has {}", landlock_abi()));
        }
        let namespaced = self.tier == Tier::Namespaced;
        (namespaced && !machine::has_namespaces(self.user))
            .then(|| "this user may not make namespaces here".into())
    }
}

/// Why whoever runs the tests cannot have a strict sandbox of this tier here.
pub(crate) fn tier_missing(tier: Tier) -> Option<String> {
    let user = if machine::is_root() { User::Root } else { User::Anybody };
    Setup { tier, port: false, proxied: false, abi: None, user, first_party: false }.missing()
}

impl Setup {
    /// Why the attacks cannot succeed on this machine even without a sandbox.
    fn hardened(&self) -> Option<String> {
        (self.tier == Tier::None).then(|| machine::hardened(self.user)).flatten()
    }
}

/// With this in the environment, each setup prints its report and every verdict.
const SHOW: &str = "OUTRIGGER_SHOW_MATRIX";

/// Every setup of the matrix.
fn setups() -> Vec<Setup> {
    let user = User::Root;
    let plain = Setup { tier: Tier::None, port: false, proxied: false, abi: None, user, first_party: false };
    let mut setups = vec![plain];
    // Version 2 of Landlock knows no ports: then the empty network alone has to do.
    for (tier, abi) in [(Tier::Namespaced, None), (Tier::Namespaced, Some(2)), (Tier::Landlocked, None)] {
        setups.push(Setup { tier, abi, proxied: true, ..plain });
    }
    for tier in [Tier::Namespaced, Tier::Landlocked] {
        for abi in [None, Some(2), Some(4)] {
            setups.extend([false, true].map(|port| Setup { tier, abi, port, ..plain }));
        }
        setups.push(Setup { tier, first_party: true, ..plain });
    }
    let of = |user| setups.iter().map(move |setup| Setup { user, ..*setup });
    of(User::Root).chain(of(User::Anybody)).collect()
}

/// A test for each setup, and one that the table is whole.
pub(crate) fn tests() -> Vec<Test> {
    let test = |setup: Setup| Test {
        name: setup.name("matrix"),
        body: Box::new(move || run_as("matrix", &setup)),
        missing: Box::new(move || setup.missing().or_else(|| setup.hardened())),
    };
    let whole = Test::plain("matrix_has_a_row_for_every_probe", rows::every_probe_has_one);
    std::iter::once(whole).chain(setups().into_iter().map(test)).collect()
}

/// A folder with this executable in it that a user without rights can reach, as the one that it
/// was built in may be root's own.
fn reachable() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (own, copy) = (std::env::current_exe().unwrap(), folder.path().join("system"));
    fs::hard_link(&own, &copy).or_else(|_| fs::copy(&own, &copy).map(drop)).unwrap();
    folder
}

/// Plays a setup in a role, as its user, and fails with what that role printed.
pub(crate) fn run_as(role: &str, setup: &Setup) {
    let folder = reachable();
    let mut command = setup.user.command(&folder.path().join("system"));
    command.args(["role", role, &serde_json::to_string(setup).unwrap()]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("OUTRIGGER_SECRET", play::SECRET);
    command.envs(std::env::var_os(SHOW).map(|value| (SHOW, value)));
    let output = command.process_group(0).stdin(Stdio::null()).output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{said}{failed}", setup.name(role), output.status);
    if !said.is_empty() {
        println!("{said}");
    }
}

/// The role of the process that plays one setup.
pub(crate) fn broker(setup: &str) -> i32 {
    play::play(&serde_json::from_str(setup).unwrap())
}
