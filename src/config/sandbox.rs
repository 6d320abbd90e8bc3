//! `[member.NAME.sandbox]`: what its plugin may do, in the words that manifests use too.

use std::path::PathBuf;
use std::time::Duration;

use outrigger_broker::Grant;
use outrigger_sandbox::{Guarantee, OnUnsupported, Policy, Profile, Protected};

use super::fields::{Result, Value};

/// What the table says.
#[derive(Default)]
pub(super) struct Sandbox {
    pub(super) policy: Policy,
    pub(super) calls_timeout: Option<Duration>,
}

/// Reads the table; relative paths in it are seen from the configuration file. A grant to write to
/// one of the `protected` places is refused.
pub(super) fn read(value: Value<'_>, protected: &[Protected]) -> Result<Sandbox> {
    let otherwise = Policy::default();
    let mut fields = value.fields()?;
    fields.not_built_yet(&["cpu_seconds", "restart"])?;
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
    fields.finish("in the sandbox")?;
    Ok(Sandbox { policy, calls_timeout })
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
    text.parse::<Grant>().map(|_| text.to_owned()).map_err(|error| {
        value.error(error.to_string()).hint(
            "write it as \"dav.example.org:443\", \"127.0.0.1:8080\", \"[::1]:8080\", \"10.0.0.0/8:443\", or \"*:443\" \
             for any public host",
        )
    })
}
