//! What is enforced on a plugin, and what is not: shown to the user in every status.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Tier;

/// One thing that a sandbox can guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// It reads only the files that were granted.
    FsRead,
    /// It changes only the files that were granted.
    FsWrite,
    /// It does not see whether other files and processes exist, nor what they are like from outside.
    FsMetadata,
    /// Of all files it executes only those that were granted. What it can read it can also load and
    /// run by its own means: that gives it nothing that it has not got.
    Exec,
    /// It reaches only the hosts that were granted.
    Network,
    /// It reaches no socket, queue or shared memory of other programs.
    IpcIsolation,
    /// It looks into no other process and does nothing to any. That they exist, and how they are
    /// scheduled, is hidden from it where [`Guarantee::FsMetadata`] holds.
    ProcessIsolation,
    /// Its memory is bounded.
    Memory,
    /// The number of its processes is bounded.
    Processes,
    /// Its share of the processor is bounded.
    Cpu,
    /// The space it fills on disk is bounded.
    Disk,
    /// Nothing of it outlives the broker.
    CleanupOnBrokerDeath,
    /// Its environment and its descriptors are exactly those that were given.
    EnvAndDescriptorsClean,
    /// No program that it executes gives it more rights than it has.
    NoNewPrivileges,
}

impl Guarantee {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 14] = [
        Self::FsRead,
        Self::FsWrite,
        Self::FsMetadata,
        Self::Exec,
        Self::Network,
        Self::IpcIsolation,
        Self::ProcessIsolation,
        Self::Memory,
        Self::Processes,
        Self::Cpu,
        Self::Disk,
        Self::CleanupOnBrokerDeath,
        Self::EnvAndDescriptorsClean,
        Self::NoNewPrivileges,
    ];

    /// What every sandbox must give, or its plugin is not started: it keeps to its files, its
    /// programs, its hosts and its own processes, and nothing of it is left over.
    pub const BASIC: [Self; 9] = [
        Self::FsRead,
        Self::FsWrite,
        Self::Exec,
        Self::Network,
        Self::IpcIsolation,
        Self::ProcessIsolation,
        Self::CleanupOnBrokerDeath,
        Self::EnvAndDescriptorsClean,
        Self::NoNewPrivileges,
    ];

    /// The word for it in manifests, in the configuration and in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FsRead => "fs_read",
            Self::FsWrite => "fs_write",
            Self::FsMetadata => "fs_metadata",
            Self::Exec => "exec",
            Self::Network => "network",
            Self::IpcIsolation => "ipc_isolation",
            Self::ProcessIsolation => "process_isolation",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::CleanupOnBrokerDeath => "cleanup_on_broker_death",
            Self::EnvAndDescriptorsClean => "env_and_descriptors_clean",
            Self::NoNewPrivileges => "no_new_privileges",
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How far a guarantee holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It holds, whatever the plugin does.
    Enforced,
    /// It holds against mistakes and crashes; a plugin that means harm can get around it.
    Advisory {
        /// How it can be got around.
        reason: String,
        /// What the user could do about it; empty if nothing.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        hint: String,
    },
    /// It does not hold.
    Unavailable {
        /// Why not.
        reason: String,
        /// What the user could do about it; empty if nothing.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        hint: String,
    },
}

impl Standing {
    /// Holds against mistakes only.
    pub fn advisory(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Advisory { reason: reason.into(), hint: hint.into() }
    }

    /// Does not hold.
    pub fn unavailable(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), hint: hint.into() }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enforced => f.write_str("enforced"),
            Self::Advisory { reason, hint } if hint.is_empty() => write!(f, "advisory: {reason}"),
            Self::Advisory { reason, hint } => write!(f, "advisory: {reason} ({hint})"),
            Self::Unavailable { reason, hint } if hint.is_empty() => write!(f, "unavailable: {reason}"),
            Self::Unavailable { reason, hint } => write!(f, "unavailable: {reason} ({hint})"),
        }
    }
}

/// What is enforced on one plugin: every [`Guarantee`] with its [`Standing`].
///
/// The plugin's own process writes it after the layers are in place and before any foreign code
/// runs, so it tells what was done, not what was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    #[serde(default)]
    tier: Tier,
    #[serde(flatten)]
    standings: BTreeMap<Guarantee, Standing>,
}

impl Report {
    /// A report in which nothing holds, for one reason. Layers then [`set`](Self::set) what they give.
    pub fn nothing(reason: &str, hint: &str) -> Self {
        let standings = Guarantee::ALL.map(|guarantee| (guarantee, Standing::unavailable(reason, hint)));
        Self { tier: Tier::None, standings: BTreeMap::from(standings) }
    }

    /// The same for a sandbox of this tier.
    #[must_use]
    pub fn of(self, tier: Tier) -> Self {
        Self { tier, ..self }
    }

    /// What the sandbox is built from.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Writes down how far a guarantee holds.
    pub fn set(&mut self, guarantee: Guarantee, standing: Standing) {
        self.standings.insert(guarantee, standing);
    }

    /// How far a guarantee holds. One that the report does not name (an older helper) does not hold.
    pub fn standing(&self, guarantee: Guarantee) -> Standing {
        let unnamed = || Standing::unavailable("the helper does not report it", "");
        self.standings.get(&guarantee).cloned().unwrap_or_else(unnamed)
    }

    /// Whether a guarantee holds whatever the plugin does.
    pub fn enforces(&self, guarantee: Guarantee) -> bool {
        self.standing(guarantee) == Standing::Enforced
    }

    /// Every guarantee with its standing, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = (Guarantee, Standing)> + '_ {
        Guarantee::ALL.into_iter().map(|guarantee| (guarantee, self.standing(guarantee)))
    }

    /// Those of `required` that are not enforced.
    pub fn unmet(&self, required: &[Guarantee]) -> Vec<(Guarantee, Standing)> {
        let unmet = required.iter().filter(|guarantee| !self.enforces(**guarantee));
        unmet.map(|guarantee| (*guarantee, self.standing(*guarantee))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_every_guarantee() {
        let report = Report::nothing("not built yet", "");
        assert_eq!(report.iter().count(), Guarantee::ALL.len());
        assert!(report.iter().all(|(_, standing)| standing != Standing::Enforced));
    }

    #[test]
    fn names_are_those_of_serde() {
        for guarantee in Guarantee::ALL {
            let json = serde_json::to_string(&guarantee).unwrap();
            assert_eq!(json, format!("\"{}\"", guarantee.name()));
        }
    }

    #[test]
    fn json_reads_like_a_status() {
        let mut report = Report::nothing("not built yet", "");
        report.set(Guarantee::EnvAndDescriptorsClean, Standing::Enforced);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["tier"], "none");
        assert_eq!(json["env_and_descriptors_clean"]["standing"], "enforced");
        assert_eq!(json["fs_read"]["reason"], "not built yet");
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    }

    #[test]
    fn what_a_report_does_not_name_does_not_hold() {
        let report: Report = serde_json::from_str("{}").unwrap();
        assert!(!report.enforces(Guarantee::Memory));
    }
}
