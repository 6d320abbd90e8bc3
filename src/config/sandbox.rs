//! `[member.NAME.sandbox]`: what its plugin may do, in the words that manifests use too.

use std::path::PathBuf;
use std::time::Duration;

use outrigger_broker::Budget;
use outrigger_sandbox::{Guarantee, OnUnsupported, Policy, Profile, Protected};

use super::fields::{Result, Value};

/// The most crashes that a budget may allow: each is kept.
const MOST_CRASHES: u64 = 1000;

/// What the table says.
#[derive(Default)]
pub(super) struct Sandbox {
    pub(super) policy: Policy,
    pub(super) calls_timeout: Option<Duration>,
    pub(super) restart: Budget,
}

/// Reads the table; relative paths in it are seen from the configuration file. A grant to write to
/// one of the `protected` places is refused.
pub(super) fn read(value: Value<'_>, protected: &[Protected]) -> Result<Sandbox> {
    let otherwise = Policy::default();
    let mut fields = value.fields()?;
    fields.not_built_yet(&["cpu_seconds"])?;
    let policy = Policy {
        profile: fields.read("profile", profile)?.unwrap_or(otherwise.profile),
        read: fields.read("read", |value| each(value, |path| path.path()))?.unwrap_or_default(),
        write: fields
            .read("write", |value| each(value, |path| writable(path, protected)))?
            .unwrap_or_default(),
        network: fields.read("network", |value| each(value, endpoint))?.unwrap_or_default(),
        memory: fields.read("memory", |value| value.size())?,
        processes: fields.read("processes", processes)?,
        require: fields.read("require", |value| each(value, guarantee))?.unwrap_or_default(),
        on_unsupported: fields.read("on_unsupported", on_unsupported)?.unwrap_or(otherwise.on_unsupported),
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

fn guarantee(value: Value<'_>) -> Result<Guarantee> {
    value.word(&Guarantee::ALL.map(|guarantee| (guarantee.name(), guarantee)))
}

fn on_unsupported(value: Value<'_>) -> Result<OnUnsupported> {
    value.word(&[("refuse", OnUnsupported::Refuse), ("weaken", OnUnsupported::Weaken)])
}

fn processes(value: Value<'_>) -> Result<u32> {
    let number = value.number(u64::from(u32::MAX))?;
    u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
        value.error("`processes` must be at least 1").hint("a plugin is a process itself: 1 means no others")
    })
}

fn endpoint(value: Value<'_>) -> Result<String> {
    let text = value.text()?;
    if is_endpoint(text) {
        return Ok(text.to_owned());
    }
    Err(value
        .error(format!("\"{text}\" is not a host and a port"))
        .hint("write it as \"dav.example.org:443\""))
}

/// Whether a text is `host:port`, with brackets around an IPv6 address: without them nobody can
/// tell where the address ends.
fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_whole = bare.is_some() || !host.contains(':');
    let host = bare.unwrap_or(host);
    let clean = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@[]".contains(c));
    host_is_whole && clean && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_port() {
        for text in ["dav.example.org:443", "127.0.0.1:80", "[::1]:8080"] {
            assert!(is_endpoint(text), "{text}");
        }
        for text in
            ["", "host", ":1", "[]:1", "host:0", "host:70000", "::1", "https://host:1", "a b:1", "u@h:1"]
        {
            assert!(!is_endpoint(text), "{text}");
        }
    }
}
