//! The configuration: a TOML text, read strictly.
//!
//! Whatever is not understood is refused with its line and column, because a mistyped key that is
//! skipped would be a policy that does not hold. Words of the format that this version cannot act
//! on yet are refused as such.
//!
//! Paths: `~` is the user's home; a relative path is seen from the folder of the configuration
//! file, not from the working directory, so that a run by a timer and one by hand mean the same.
//! That holds for `state`, a plugin's executable, the sandbox's grants, the paths of first-party
//! plugins, and for any plugin's option or argument that begins with `~/`, `./` or `../`. Others reach
//! the plugin as written.

mod collections;
mod conflict;
mod draft;
mod duration;
mod error;
mod fields;
mod group;
mod locate;
mod manifest;
mod member;
mod name;
mod nearest;
mod places;
mod plugin;
mod policy;
mod sandbox;
mod size;
mod url;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use outrigger_engine::MemberIndex;
use outrigger_sandbox::Protected;
use toml::de::DeTable;

pub use collections::{Collections, ListedCollection};
pub use conflict::Conflict;
#[cfg(unix)]
pub(crate) use conflict::PLACES_OF_FILES;
pub use draft::{Draft, DraftMember};
pub use error::{ConfigError, Position};
use fields::{Fields, Result, Source, Value};
pub use group::GroupConfig;
pub use locate::{LocateConfig, PlaceOfEnd};
pub use manifest::{HostWish, MANIFEST, Manifest, PathWish, ProtocolRange, Unfit, Wish, Wishes, beyond};
pub use member::MemberConfig;
use name::check_names;
pub use name::is_valid_name;
pub(crate) use nearest::nearest;
pub use places::Places;
pub use plugin::{PluginConfig, PluginSource};
pub use policy::{JournalLimits, Policies, ReadOnly};
pub use sandbox::SandboxConfig;
pub use size::parse_size;

/// A configuration that holds together: every name in it leads somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that it came from.
    pub file: PathBuf,
    /// Where groups keep what they know.
    pub state: PathBuf,
    /// Whether plugins are started and found by the broker that runs as a process of its own.
    pub broker: bool,
    /// What can be had back.
    pub journal: JournalLimits,
    /// Plugins that are not built in, in the order of the file.
    pub plugins: Vec<PluginConfig>,
    /// In the order of the file.
    pub members: Vec<MemberConfig>,
    /// In the order of the file.
    pub groups: Vec<GroupConfig>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or its text cannot be used.
    pub fn load(file: &Path, places: &Places) -> std::result::Result<Self, ConfigError> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let text = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        Self::parse(&text, &file, places)
    }

    /// Reads a text as if it stood in `file`, which need not be there.
    ///
    /// # Errors
    /// The text cannot be used.
    pub fn parse(text: &str, file: &Path, places: &Places) -> std::result::Result<Self, ConfigError> {
        let base = file.parent().unwrap_or(Path::new(""));
        let source = Source { file, text, base, places };
        let document = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            source.error(offset, error.message().lines().next().unwrap_or("not TOML"))
        })?;
        read(Fields::new(&source, document.get_ref()), &source)
    }

    /// The member called `name`.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&MemberConfig> {
        self.members.iter().find(|member| member.name == name)
    }

    /// What no plugin may be granted to write to, besides what the broker itself protects: state and
    /// configuration.
    pub(crate) fn protected(&self) -> Vec<Protected> {
        protected(&self.state, &self.file)
    }

    /// What no plugin may be granted at all: state and configuration, and the runtime directory.
    #[must_use]
    pub fn secret(&self) -> Vec<Protected> {
        let sockets =
            outrigger_broker::runtime_path().map(|path| Protected::new("the runtime directory", path));
        self.protected().into_iter().chain(sockets).collect()
    }

    /// Whether a group is not run without this member: it is required, or what all others mirror.
    pub(crate) fn needs(&self, group: &GroupConfig, member: MemberIndex) -> bool {
        group.mirror == Some(member) || self.member(group.member(member)).is_none_or(|member| member.required)
    }

    /// The places of the members of a group whose content is everybody's, as far as the configuration says so.
    #[must_use]
    pub fn authorities(&self, group: &GroupConfig) -> Vec<usize> {
        let is_authority = |name: &String| self.member(name).is_some_and(|member| group.is_authority(member));
        group.members.iter().enumerate().filter(|(_, name)| is_authority(name)).map(|(at, _)| at).collect()
    }

    /// The plugin called `name`, if it is not built in.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<&PluginConfig> {
        self.plugins.iter().find(|plugin| plugin.name == name)
    }

    /// The group called `name`.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupConfig> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The name among the groups that `name` was meant to be.
    #[must_use]
    pub fn nearest_group(&self, name: &str) -> Option<&str> {
        nearest(name, self.groups.iter().map(|group| group.name.as_str()))
    }

    /// A complaint about something in this file that only shows when it is used: a plugin that is
    /// not there, a folder that is gone.
    #[must_use]
    pub fn error(&self, at: Position, what: impl Into<String>, hint: Option<String>) -> ConfigError {
        ConfigError { file: self.file.clone(), at: Some(at), what: what.into(), hint }
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> ConfigError {
    let what = format!("cannot be read: {error}");
    let hint = (error.kind() == std::io::ErrorKind::NotFound)
        .then(|| "`outrigger init` writes one; `-c FILE` names another".to_owned());
    ConfigError { file: file.to_owned(), at: None, what, hint }
}

fn read<'s>(mut fields: Fields<'s>, source: &Source<'_>) -> Result<Config> {
    fields.not_built_yet(&["metrics"])?;
    let state = fields.read("state", |value| value.path())?;
    let state = state.or_else(|| source.places.state()).ok_or_else(|| {
        source
            .error(0, "`state` is missing, and the home directory is not known")
            .hint("say where state is kept")
    })?;
    let broker = fields.read("broker", |value| value.truth())?.unwrap_or_default();
    let defaults = fields.take("defaults");
    let plugins = named_tables("plugin", fields.take("plugin"))?;
    let members = fields.take("member");
    let groups = fields.take("group");
    fields.finish("at the top")?;

    let plugins = plugins.into_iter().map(PluginConfig::read).collect::<Result<_>>()?;
    let members = named_tables("member", members)?;
    let names: Vec<&str> = members.iter().map(|member| member.name).collect();
    let protected: Vec<Protected> =
        source.places.protected.iter().cloned().chain(protected(&state, source.file)).collect();
    let members =
        members.iter().map(|value| MemberConfig::read(*value, &protected)).collect::<Result<_>>()?;
    let (policies, journal) = read_defaults(defaults, &names)?;
    let groups = named_tables("group", groups)?;
    let groups =
        groups.iter().map(|value| GroupConfig::read(*value, &policies, &names)).collect::<Result<_>>()?;
    let config = Config { file: source.file.to_owned(), state, broker, journal, plugins, members, groups };
    config.groups.iter().try_for_each(|group| check_places(&config, group))?;
    Ok(config)
}

/// Two members at one place are a slip: whatever is deleted there would be deleted at both. By the
/// text alone, for the line to be named; a run looks again, through links.
fn check_places(config: &Config, group: &GroupConfig) -> Result<()> {
    let mut seen: BTreeMap<(&str, PathBuf), &MemberConfig> = BTreeMap::new();
    for member in group.members.iter().filter_map(|name| config.member(name)) {
        let Some(place) = member.option("path").map(PathBuf::from) else { continue };
        let what =
            |other: &str| format!("`{other}` and `{}` are the same place: {}", member.name, place.display());
        if let Some(other) = seen.get(&(&*member.plugin, place.clone())) {
            let hint = format!("give one of them another `path`, or take the group `{}` out", group.name);
            return Err(config.error(member.at, what(&other.name), Some(hint)));
        }
        seen.insert((&member.plugin, place), member);
    }
    Ok(())
}

/// What no plugin may be granted to write to. The configuration too: who can write to it grants
/// himself the rest.
fn protected(state: &Path, file: &Path) -> Vec<Protected> {
    vec![Protected::new("the state directory", state), Protected::new("the configuration", file)]
}

/// The tables of `[plugin.…]`, `[member.…]` or `[group.…]`, in the order of the file.
fn named_tables<'s>(what: &str, value: Option<Value<'s>>) -> Result<Vec<Value<'s>>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let tables = value.fields()?.rest();
    check_names(what, &tables)?;
    Ok(tables)
}

fn read_defaults(value: Option<Value<'_>>, members: &[&str]) -> Result<(Policies, JournalLimits)> {
    let Some(value) = value else { return Ok(Default::default()) };
    let mut fields = value.fields()?;
    let policies = Policies::default().overridden(&mut fields, members)?;
    let journal = fields.read("journal", JournalLimits::read)?.unwrap_or_default();
    fields.finish("in [defaults]")?;
    Ok((policies, journal))
}

#[cfg(test)]
mod tests;
