//! `[member.NAME.sandbox]`: what its plugin may do, in the words that manifests use too.

use std::path::PathBuf;
use std::time::Duration;

use outrigger_broker::{Budget, Grant};
use outrigger_sandbox::{Guarantee, OnUnsupported, Policy, Profile, Protected};

use super::fields::{Result, Value};

/// The most crashes that a budget may allow: each is kept.
const MOST_CRASHES: u64 = 1000;

/// What the user says of a member's sandbox. Each word that is said takes the place of what the
/// plugin wishes, whether it is less or more: it is the user's machine. What is not said is as the
/// plugin wishes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxConfig {
    /// How much it may do beyond its grants. Only here can that be [`Profile::None`].
    pub profile: Option<Profile>,
    /// What it may read.
    pub read: Option<Vec<PathBuf>>,
    /// What it may change.
    pub write: Option<Vec<PathBuf>>,
    /// What it may read and execute.
    pub execute: Option<Vec<PathBuf>>,
    /// What it may reach, each `host:port`.
    pub network: Option<Vec<String>>,
    /// Bytes of all its processes together.
    pub memory: Option<u64>,
    /// Processes and threads at once.
    pub processes: Option<u32>,
    /// Bytes of the longest file that it may write.
    pub file_size: Option<u64>,
    /// What must be enforced.
    pub require: Option<Vec<Guarantee>>,
    /// What to do where that cannot be.
    pub on_unsupported: Option<OnUnsupported>,
}

impl SandboxConfig {
    /// The policy of a plugin that wishes `wished`.
    #[must_use]
    pub fn over(&self, wished: Policy) -> Policy {
        let said = self.clone();
        Policy {
            profile: self.profile_over(wished.profile),
            read: said.read.unwrap_or(wished.read),
            write: said.write.unwrap_or(wished.write),
            execute: said.execute.unwrap_or(wished.execute),
            network: said.network.unwrap_or(wished.network),
            memory: said.memory.or(wished.memory),
            processes: said.processes.or(wished.processes),
            file_size: said.file_size.or(wished.file_size),
            require: said.require.unwrap_or(wished.require),
            on_unsupported: said.on_unsupported.unwrap_or(wished.on_unsupported),
            ..wished
        }
    }

    /// Whoever names hosts wants them to be reached.
    fn profile_over(&self, wished: Profile) -> Profile {
        match (self.profile, &self.network) {
            (Some(profile), _) => profile,
            (None, Some(hosts)) if hosts.is_empty() => Profile::Strict,
            (None, Some(_)) => Profile::Network,
            (None, None) => wished,
        }
    }
}

/// What the table says.
#[derive(Default)]
pub(super) struct Sandbox {
    pub(super) policy: SandboxConfig,
    pub(super) calls_timeout: Option<Duration>,
    pub(super) restart: Budget,
}

/// Reads the table; relative paths in it are seen from the configuration file. A grant to write to
/// one of the `protected` places is refused.
pub(super) fn read(value: Value<'_>, protected: &[Protected]) -> Result<Sandbox> {
    let mut fields = value.fields()?;
    fields.not_built_yet(&["cpu_seconds"])?;
    let policy = SandboxConfig {
        profile: fields.read("profile", profile)?,
        read: fields.read("read", |value| each(value, |path| path.path()))?,
        write: fields.read("write", |value| each(value, |path| writable(path, protected)))?,
        execute: fields.read("execute", |value| each(value, |path| path.path()))?,
        network: fields.read("network", network)?,
        memory: fields.read("memory", memory)?,
        processes: fields.read("processes", processes)?,
        file_size: fields.read("file_size", |value| value.size())?,
        require: fields.read("require", |value| each(value, guarantee))?,
        on_unsupported: fields.read("on_unsupported", on_unsupported)?,
    };
    let calls_timeout = fields.read("calls_timeout", |value| value.duration())?;
    let restart = fields.read("restart", restart)?.unwrap_or_default();
    fields.finish("in the sandbox")?;
    Ok(Sandbox { policy, calls_timeout, restart })
}

/// How often the plugin may crash.
fn restart(value: Value<'_>) -> Result<Budget> {
    let otherwise = Budget::default();
    let mut fields = value.fields()?;
    let budget = Budget {
        max: fields.read("max", crashes)?.unwrap_or(otherwise.max),
        within: fields.read("within", |value| value.duration())?.unwrap_or(otherwise.within),
    };
    fields.finish("in `restart`")?;
    Ok(budget)
}

fn crashes(value: Value<'_>) -> Result<u32> {
    let number = value.number(MOST_CRASHES)?;
    u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
        value.error("`max` must be at least 1").hint("with 1, a plugin that has crashed is not started again")
    })
}

fn each<'s, T>(value: Value<'s>, read: impl Fn(Value<'s>) -> Result<T>) -> Result<Vec<T>> {
    value.list()?.into_iter().map(read).collect()
}

fn writable(value: Value<'_>, protected: &[Protected]) -> Result<PathBuf> {
    let grant = value.path()?;
    let checked = protected.iter().try_for_each(|place| place.check(&grant));
    checked.map(|()| grant).map_err(|error| {
        value.error(error.to_string()).hint("grant only the folders that the plugin keeps its items in")
    })
}

fn profile(value: Value<'_>) -> Result<Profile> {
    value.word(&[("strict", Profile::Strict), ("network", Profile::Network), ("none", Profile::None)])
}

pub(super) fn guarantee(value: Value<'_>) -> Result<Guarantee> {
    value.word(&Guarantee::ALL.map(|guarantee| (guarantee.name(), guarantee)))
}

pub(super) fn on_unsupported(value: Value<'_>) -> Result<OnUnsupported> {
    value.word(&[("refuse", OnUnsupported::Refuse), ("weaken", OnUnsupported::Weaken)])
}

/// So much that the smallest program starts.
pub(super) fn memory(value: Value<'_>) -> Result<u64> {
    let bytes = value.size()?;
    if bytes >= Policy::LEAST_MEMORY {
        return Ok(bytes);
    }
    let least = Policy::LEAST_MEMORY >> 20;
    Err(value
        .error(format!("`memory` is too little for any program to start: it must be at least {least} MiB"))
        .hint("write a number with a unit, such as \"64MiB\""))
}

pub(super) fn processes(value: Value<'_>) -> Result<u32> {
    let number = value.number(u64::from(u32::MAX))?;
    u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
        value.error("`processes` must be at least 1").hint("a plugin is a process itself: 1 means no others")
    })
}

fn network(value: Value<'_>) -> Result<Vec<String>> {
    not_mixed(value)?;
    each(value, endpoint)
}

/// Whoever connects to a port by himself needs no broker for hosts, and would get around it.
pub(super) fn not_mixed(value: Value<'_>) -> Result<()> {
    let entries = value.list()?;
    let is_port =
        |entry: &Value<'_>| entry.text().is_ok_and(|text| text.to_ascii_lowercase().starts_with("tcp:"));
    let first = entries.first().is_some_and(is_port);
    match entries.iter().find(|entry| is_port(entry) != first) {
        None => Ok(()),
        Some(other) => Err(other
            .error("`network` names ports (\"tcp:443\") beside hosts, and they do not go together")
            .hint(
                "name hosts, which the broker connects to, or ports, which the plugin connects to by itself",
            )),
    }
}

pub(super) fn endpoint(value: Value<'_>) -> Result<String> {
    let text = value.text()?;
    text.parse::<Grant>().map(|_| text.to_owned()).map_err(|error| {
        value.error(error.to_string()).hint(
            "write it as \"dav.example.org:443\", \"127.0.0.1:8080\", \"[::1]:8080\", \"10.0.0.0/8:443\", \"*:443\" for \
             any public host, or \"tcp:443\" for a port that it connects to by itself",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_says_takes_the_place_of_the_wish_and_nothing_else() {
        let wished = Policy {
            read: vec!["/a".into()],
            write: vec!["/b".into()],
            memory: Some(7),
            require: vec![Guarantee::FsRead],
            ..Policy::default()
        };
        assert_eq!(SandboxConfig::default().over(wished.clone()), wished);
        let said = SandboxConfig {
            read: Some(Vec::new()),
            memory: Some(9),
            on_unsupported: Some(OnUnsupported::Weaken),
            ..SandboxConfig::default()
        };
        let expected = Policy {
            read: Vec::new(),
            memory: Some(9),
            on_unsupported: OnUnsupported::Weaken,
            ..wished.clone()
        };
        assert_eq!(said.over(wished), expected);
    }

    #[test]
    fn hosts_are_named_to_be_reached() {
        let profile = |profile, hosts: Option<&[&str]>, wished| {
            let network = hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
            let said = SandboxConfig { profile, network, ..SandboxConfig::default() };
            said.over(Policy { profile: wished, ..Policy::default() }).profile
        };
        assert_eq!(profile(None, Some(&["h:1"]), Profile::Strict), Profile::Network);
        assert_eq!(profile(None, Some(&[]), Profile::Network), Profile::Strict);
        assert_eq!(profile(None, None, Profile::Network), Profile::Network);
        assert_eq!(profile(Some(Profile::Strict), Some(&["h:1"]), Profile::Network), Profile::Strict);
    }
}
