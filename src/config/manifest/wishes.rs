//! The `[sandbox]` of a manifest: what a plugin wishes, in the words of the configuration. Paths and
//! hosts may be words that a member's options fill in.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use outrigger_sandbox::{Guarantee, OnUnsupported, Profile, reserved};

use super::super::fields::{Result, Value};
use super::super::sandbox::{endpoint, guarantee, memory, not_mixed, on_unsupported, processes};
use super::entries;

/// What a plugin wishes to be allowed. Its own folder it may read and execute without a word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Never [`Profile::None`].
    pub profile: Profile,
    /// What it wants to read.
    pub read: Vec<PathWish>,
    /// What it wants to change.
    pub write: Vec<PathWish>,
    /// What it wants to read and execute.
    pub execute: Vec<PathWish>,
    /// What it wants to reach.
    pub network: Vec<HostWish>,
    /// Bytes; `None`: the default of every sandbox. So for the others.
    pub memory: Option<u64>,
    /// Processes and threads at once.
    pub processes: Option<u32>,
    /// Bytes of the longest file.
    pub file_size: Option<u64>,
    /// What must be enforced for it to be started.
    pub require: Vec<Guarantee>,
    /// What to do where that cannot be.
    pub on_unsupported: OnUnsupported,
}

/// A path, or what stands for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathWish {
    /// `{plugin}`: the folder of the manifest.
    Plugin,
    /// `{option:NAME}`: what the member's option holds. `{path}` is `{option:path}`.
    Option(String),
    /// `{folder:NAME}`: the folder that it lies in. For files that others appear beside, such as a
    /// database's journal.
    FolderOf(String),
    /// An absolute path.
    Fixed(PathBuf),
}

/// A host with a port, or what stands for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostWish {
    /// `{host:NAME}`: host and port of the URL that the member's option holds.
    Option(String),
    /// `host:port`, in lower case.
    Fixed(String),
}

impl Wishes {
    pub(super) fn read(value: Value<'_>) -> Result<Self> {
        let mut fields = value.fields()?;
        let read = fields.read("read", |value| paths(value, path))?.unwrap_or_default();
        let write = fields.read("write", |value| paths(value, writable))?.unwrap_or_default();
        let execute = fields.read("execute", |value| paths(value, path))?.unwrap_or_default();
        let network = fields.read("network", hosts)?.unwrap_or_default();
        let wishes = Self {
            profile: fields
                .read("profile", |value| profile(value, &network))?
                .unwrap_or(of_network(&network)),
            read,
            write,
            execute,
            network,
            memory: fields.read("memory", memory)?,
            processes: fields.read("processes", processes)?,
            file_size: fields.read("file_size", |value| value.size())?,
            require: fields.read("require", guarantees)?.unwrap_or_default(),
            on_unsupported: fields.read("on_unsupported", on_unsupported)?.unwrap_or_default(),
        };
        fields.finish("in [sandbox] of a manifest")?;
        Ok(wishes)
    }
}

impl fmt::Display for PathWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plugin => f.write_str("{plugin}"),
            Self::Option(name) => write!(f, "{{option:{name}}}"),
            Self::FolderOf(name) => write!(f, "{{folder:{name}}}"),
            Self::Fixed(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for HostWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(name) => write!(f, "{{host:{name}}}"),
            Self::Fixed(endpoint) => f.write_str(endpoint),
        }
    }
}

fn paths(value: Value<'_>, path: fn(Value<'_>) -> Result<PathWish>) -> Result<Vec<PathWish>> {
    entries(value)?.into_iter().map(path).collect()
}

fn path(value: Value<'_>) -> Result<PathWish> {
    let text = value.text()?;
    if let Some(word) = word(value)? {
        return match word {
            ("plugin", "") => Ok(PathWish::Plugin),
            ("path", "") => Ok(PathWish::Option("path".into())),
            ("option", name) if !name.is_empty() => Ok(PathWish::Option(name.into())),
            ("folder", name) if !name.is_empty() => Ok(PathWish::FolderOf(name.into())),
            _ => Err(unknown_word(value, "{plugin}, {path}, {option:NAME} or {folder:NAME}")),
        };
    }
    let path = Path::new(text);
    let plain = path.is_absolute() && path.components().all(|part| part != Component::ParentDir);
    if !plain || text.contains('\0') {
        return Err(value
            .error(format!("\"{}\" is no path from the root on", text.escape_debug()))
            .hint("what lies elsewhere on each machine comes from an option: \"{option:NAME}\""));
    }
    match reserved(path) {
        None => Ok(PathWish::Fixed(path.components().collect())),
        Some(what) => Err(value
            .error(format!("\"{}\" cannot be wished: {what} is never granted", text.escape_debug()))
            .hint("name the folders that the plugin needs")),
    }
}

fn writable(value: Value<'_>) -> Result<PathWish> {
    match path(value)? {
        PathWish::Plugin => Err(value
            .error("a plugin cannot write to its own folder")
            .hint("what it keeps belongs into a folder that an option names: \"{option:NAME}\"")),
        wish => Ok(wish),
    }
}

/// `{option:path}` as its two parts; `None` for what is no word.
fn word<'v>(value: Value<'v>) -> Result<Option<(&'v str, &'v str)>> {
    let text = value.text()?;
    if !text.contains(['{', '}']) {
        return Ok(None);
    }
    let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    match inside {
        Some(inside) if !inside.contains(['{', '}']) => {
            Ok(Some(inside.split_once(':').unwrap_or((inside, ""))))
        }
        _ => Err(value
            .error(format!("\"{}\": a word in braces stands alone", text.escape_debug()))
            .hint("write \"{option:NAME}\", and nothing before or behind it")),
    }
}

fn unknown_word(value: Value<'_>, known: &str) -> super::ConfigError {
    let text = value.text().unwrap_or_default();
    value.error(format!("\"{}\" stands for nothing", text.escape_debug())).hint(format!("write {known}"))
}

fn hosts(value: Value<'_>) -> Result<Vec<HostWish>> {
    not_mixed(value)?;
    entries(value)?.into_iter().map(host).collect()
}

fn host(value: Value<'_>) -> Result<HostWish> {
    match word(value)? {
        None => Ok(HostWish::Fixed(endpoint(value)?.to_ascii_lowercase())),
        Some(("host", name)) if !name.is_empty() => Ok(HostWish::Option(name.into())),
        Some(_) => Err(unknown_word(value, "{host:NAME}, the option that holds the URL")),
    }
}

/// Whoever names hosts wants to reach them.
fn of_network(network: &[HostWish]) -> Profile {
    if network.is_empty() { Profile::Strict } else { Profile::Network }
}

fn profile(value: Value<'_>, network: &[HostWish]) -> Result<Profile> {
    match value.text()? {
        "strict" if !network.is_empty() => Err(value
            .error("`profile` is \"strict\", and `network` names hosts")
            .hint("leave one of them out")),
        "none" => Err(value
            .error("`profile` cannot be \"none\" in a manifest")
            .hint("only the user's configuration can do without a sandbox")),
        _ => value.word(&[("strict", Profile::Strict), ("network", Profile::Network)]),
    }
}

fn guarantees(value: Value<'_>) -> Result<Vec<Guarantee>> {
    entries(value)?.into_iter().map(guarantee).collect()
}
