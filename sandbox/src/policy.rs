//! What a plugin asks for and may do: plain data, one vocabulary for manifest and configuration.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{GrantError, Guarantee, LaunchError, Protected, Report};

/// What a plugin may do.
///
/// It travels to the helper whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How much the plugin may do beyond its grants.
    pub profile: Profile,
    /// Files and folders that it may read.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may change.
    pub write: Vec<PathBuf>,
    /// Files and folders that it may read and execute, besides its own executable.
    pub execute: Vec<PathBuf>,
    /// Hosts that it may reach, each `host:port`; or ports, each `tcp:port`.
    pub network: Vec<String>,
    /// Whether it reaches the hosts over a proxy, as programs do that cannot ask a broker. It then may
    /// connect to [`PROXY_PORT`](crate::PROXY_PORT) of a network of its own, in which there is nothing
    /// else, and what listens there comes out as `Child::take_listener`. Only in tier *namespaced*;
    /// elsewhere it reaches nothing.
    pub proxied: bool,
    /// Memory of all its processes together, in bytes; else [`Policy::MEMORY`].
    pub memory: Option<u64>,
    /// How many processes and threads it may have at once; else [`Policy::PROCESSES`]. With 1 it
    /// cannot start any.
    pub processes: Option<u32>,
    /// The longest file that it may write, in bytes; else [`Policy::FILE_SIZE`].
    pub file_size: Option<u64>,
    /// What must be enforced for it to be started at all, besides [`Guarantee::BASIC`].
    pub require: Vec<Guarantee>,
    /// What to do when a required guarantee cannot be given.
    pub on_unsupported: OnUnsupported,
    /// The most that is used of what the machine offers: everything, unless somebody wants to see
    /// how it goes with less.
    pub at_most: Ceiling,
}

/// The most that is used of what the machine offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ceiling {
    /// The highest tier that is tried.
    pub tier: Option<Tier>,
    /// The highest version of Landlock's interface that is used.
    pub landlock_abi: Option<u32>,
}

/// What a sandbox is built from. Which one a plugin gets is found out by trying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Nothing: the profile is [`Profile::None`], or nobody has built one.
    #[default]
    None,
    /// Landlock, seccomp and limits.
    Landlocked,
    /// The same within namespaces of its own.
    Namespaced,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Landlocked => "landlocked",
            Self::Namespaced => "namespaced",
        })
    }
}

/// How much a plugin may do beyond its grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Its grants only, no network.
    #[default]
    Strict,
    /// Its grants, and the hosts that are listed.
    Network,
    /// No sandbox: it can do what its user can do.
    None,
}

/// What to do when a required guarantee cannot be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnsupported {
    /// Do not start the plugin.
    #[default]
    Refuse,
    /// Start it all the same; the report shows what is missing.
    Weaken,
}

impl Policy {
    /// Bytes of memory where a policy does not say.
    pub const MEMORY: u64 = 1 << 30;

    /// Bytes of memory below which no program starts, found by trying: `true` needs 3 MiB to map the C
    /// library. Less is refused where it is written.
    pub const LEAST_MEMORY: u64 = 4 << 20;

    /// Processes and threads of a program where its policy does not say. A plugin of our own has one.
    pub const PROCESSES: u32 = 64;

    /// Bytes of the longest file where a policy does not say.
    pub const FILE_SIZE: u64 = 1 << 30;

    /// Whether no grant to write opens any of these places. Any order of the two lists will do: the
    /// first that is found is told.
    ///
    /// # Errors
    ///
    /// The grant, and what it would open.
    pub fn check_writes(&self, protected: &[Protected]) -> Result<(), GrantError> {
        self.write.iter().try_for_each(|grant| protected.iter().try_for_each(|place| place.check(grant)))
    }

    /// The ports that it may connect to by itself, wherever they are: the entries `tcp:PORT` of
    /// `network`. Everywhere else the broker connects for it.
    pub fn ports(&self) -> Vec<u16> {
        let network = self.network.iter().filter(|_| self.profile == Profile::Network);
        network.filter_map(|entry| entry.strip_prefix("tcp:")?.parse().ok()).collect()
    }

    /// Whether somebody wants all its memory bounded, be it limited or required, and not only by the
    /// default.
    pub(crate) fn bounds_memory(&self) -> bool {
        self.memory.is_some() || self.require.contains(&Guarantee::Memory)
    }

    /// All that must be enforced. Without a sandbox that is only what was asked for by name.
    pub fn required(&self) -> Vec<Guarantee> {
        let basic =
            |guarantee: &Guarantee| self.profile != Profile::None && Guarantee::BASIC.contains(guarantee);
        let all = Guarantee::ALL.into_iter();
        all.filter(|guarantee| basic(guarantee) || self.require.contains(guarantee)).collect()
    }

    /// Whether a plugin with this report may be started.
    ///
    /// # Errors
    ///
    /// [`LaunchError::NotEnforced`] with every requirement that is not met.
    pub fn check(&self, report: &Report) -> Result<(), LaunchError> {
        let missing = report.unmet(&self.required());
        match self.on_unsupported {
            OnUnsupported::Refuse if !missing.is_empty() => Err(LaunchError::NotEnforced { missing }),
            OnUnsupported::Refuse | OnUnsupported::Weaken => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Standing;

    fn requiring(guarantee: Guarantee) -> Policy {
        Policy { profile: Profile::None, require: vec![guarantee], ..Policy::default() }
    }

    #[test]
    fn a_sandbox_without_its_basics_refuses_unless_somebody_says_otherwise() {
        let report = Report::nothing("no Landlock", "");
        let LaunchError::NotEnforced { missing } = Policy::default().check(&report).unwrap_err() else {
            panic!("refused for another reason");
        };
        assert_eq!(missing.len(), Guarantee::BASIC.len());
        assert!(Policy { profile: Profile::None, ..Policy::default() }.check(&report).is_ok());
        let weaken = Policy { on_unsupported: OnUnsupported::Weaken, ..Policy::default() };
        assert!(weaken.check(&report).is_ok());
    }

    #[test]
    fn ports_are_the_entries_for_any_host() {
        let network = vec!["tcp:443".into(), "*:80".into(), "tcp:x".into()];
        let policy = Policy { profile: Profile::Network, network, ..Policy::default() };
        assert_eq!(policy.ports(), [443]);
        assert!(Policy { profile: Profile::Strict, ..policy }.ports().is_empty());
    }

    #[test]
    fn what_is_required_and_not_enforced_refuses() {
        let error = requiring(Guarantee::FsRead).check(&Report::nothing("not built yet", "")).unwrap_err();
        assert!(error.to_string().contains("fs_read"), "{error}");
        assert!(error.to_string().contains("not built yet"), "{error}");
    }

    #[test]
    fn advisory_is_not_enforced() {
        let mut report = Report::nothing("", "");
        report.set(Guarantee::Memory, Standing::advisory("no cgroup", ""));
        assert!(requiring(Guarantee::Memory).check(&report).is_err());
        report.set(Guarantee::Memory, Standing::Enforced);
        assert!(requiring(Guarantee::Memory).check(&report).is_ok());
    }

    #[test]
    fn weaken_starts_what_refuse_would_not() {
        let policy = Policy { on_unsupported: OnUnsupported::Weaken, ..requiring(Guarantee::FsRead) };
        assert!(policy.check(&Report::nothing("", "")).is_ok());
    }

    #[test]
    fn the_words_are_those_of_the_configuration() {
        let policy: Policy = serde_json::from_str(
            r#"{"profile":"network","read":["/srv"],"network":["dav.example.org:443"],"memory":1024,
                "require":["fs_read","cleanup_on_broker_death"],"on_unsupported":"weaken"}"#,
        )
        .unwrap();
        assert_eq!(policy.profile, Profile::Network);
        assert_eq!(policy.require, [Guarantee::FsRead, Guarantee::CleanupOnBrokerDeath]);
        assert!(serde_json::from_str::<Policy>(r#"{"reed":["/srv"]}"#).is_err());
    }
}
