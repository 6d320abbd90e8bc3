//! `[member.NAME]`: one place that takes part, and the plugin that knows it.

use std::time::Duration;

use outrigger_broker::{Budget, ConnectBy};
use outrigger_sandbox::{Profile, Protected};

use super::error::{ConfigError, Position};
use super::fields::{Fields, Result, Value, not_built_yet, path_text, plain_or_path, unknown_key};
use super::locate::{LocateConfig, refuse_with_locate};
use super::name::is_valid_name;
use super::sandbox::{self, Sandbox, SandboxConfig};

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberConfig {
    /// Its name.
    pub name: String,
    /// The plugin that serves it.
    pub plugin: String,
    /// Whether a run fails when the member is not there. Otherwise it is caught up later.
    pub required: bool,
    /// Nothing is ever written to it.
    pub read_only: bool,
    /// Nothing is ever deleted on it.
    pub no_delete: bool,
    /// The times in its items can be compared with those of others.
    pub reliable_times: bool,
    /// How its end is found, where it is not started.
    pub locate: Option<LocateConfig>,
    /// How its plugin gets its connection.
    pub connect: ConnectBy,
    /// The plugin's own settings, in the order of the file; values as text, paths complete.
    pub options: Vec<(String, String)>,
    /// What the user says of what its plugin may do.
    pub sandbox: SandboxConfig,
    /// No call to its plugin may take longer, nor go so long without a sign of life; `None`: as each
    /// method says.
    pub calls_timeout: Option<Duration>,
    /// How often its plugin may crash before it is not started any more.
    pub restart: Budget,
    /// Where it stands in the file.
    pub at: Position,
}

impl MemberConfig {
    /// The plugin's setting called `name`.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The setting that says where its items lie, if the plugin is one of ours.
    pub(crate) fn place(&self) -> Option<&str> {
        self.option(known(&self.plugin)?.place)
    }

    pub(super) fn read(value: Value<'_>, protected: &[Protected]) -> Result<Self> {
        let place = format!("in member `{}`", value.name);
        let mut fields = value.fields()?;
        fields.not_built_yet(&["via"])?;
        let plugin = fields.take("plugin");
        let locate = fields.read("locate", |locate| LocateConfig::read(locate, value.name))?;
        if locate.is_some() {
            refuse_with_locate(&fields, &["connection"])?;
        }
        let required = fields.read("required", |value| value.truth())?.unwrap_or(true);
        let read_only = fields.read("read_only", |value| value.truth())?.unwrap_or(false);
        let no_delete = fields.read("no_delete", |value| value.truth())?.unwrap_or(false);
        let reliable_times = fields.read("reliable_times", |value| value.truth())?.unwrap_or(false);
        let connect = fields.read("connection", connection)?.unwrap_or_default();
        let confined = fields.read("sandbox", |value| {
            let read = sandbox::read(value, protected)?;
            let means_nothing = locate.is_some() && read.policy != SandboxConfig::default();
            if means_nothing { Err(not_confined(&value)) } else { Ok(read) }
        })?;
        let Sandbox { policy: sandbox, calls_timeout, restart } = confined.unwrap_or_default();
        check_connection(&value, connect, &sandbox)?;
        let grouped = fields.take("options");
        let plugin = match (plugin, &locate) {
            (Some(plugin), None) => plugin_name(plugin)?,
            (Some(plugin), Some(_)) => name_of_found(plugin)?,
            (None, Some(locate)) => locate.name.to_string(),
            (None, None) => return Err(no_plugin(value, &fields, &place)),
        };
        let options = Options { plugin: &plugin, place: &place }.read(&mut fields, grouped)?;
        check_required(&value, &plugin, &options)?;
        if !read_only && sandbox.write.is_none() {
            check_place(&value, &plugin, &options, protected)?;
        }
        let name = value.name.to_owned();
        let at = value.position();
        Ok(Self {
            name,
            plugin,
            required,
            read_only,
            no_delete,
            reliable_times,
            locate,
            connect,
            options,
            sandbox,
            calls_timeout,
            restart,
            at,
        })
    }
}

/// What a first-party plugin takes, so that a slip is found before anything starts.
struct Known {
    plugin: &'static str,
    options: &'static [(&'static str, Kind)],
    required: &'static [&'static str],
    /// Which of them says where the items lie.
    place: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Path,
    Text,
    Truth,
}

const KNOWN: &[Known] = &[Known {
    plugin: "vdir",
    options: &[("path", Kind::Path), ("extension", Kind::Text), ("marker", Kind::Truth)],
    required: &["path"],
    place: "path",
}];

/// Whether the plugin is part of this command.
pub(super) fn is_built_in(plugin: &str) -> bool {
    known(plugin).is_some()
}

fn known(plugin: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.plugin == plugin)
}

fn plugin_name(value: Value<'_>) -> Result<String> {
    let name = value.text()?;
    if is_valid_name(name) {
        return Ok(name.to_owned());
    }
    Err(value.error(format!("\"{}\" cannot be the name of a plugin", name.escape_debug())))
}

/// What a program that is found is called in messages; nothing is started for it.
fn name_of_found(value: Value<'_>) -> Result<String> {
    let name = plugin_name(value)?;
    if !is_built_in(&name) {
        return Ok(name);
    }
    Err(value
        .error(format!("the plugin {name} is built in: it is started, not found"))
        .hint("leave out one of `plugin` and `locate`"))
}

fn not_confined(sandbox: &Value<'_>) -> ConfigError {
    let error = sandbox.key_error("a program that is found cannot be confined");
    error.hint("only `calls_timeout` and `restart` hold for it; leave out the rest of its sandbox")
}

/// `inherited` needs no name; `named` is for plugins whose launcher cannot pass a connection on.
fn connection(value: Value<'_>) -> Result<ConnectBy> {
    match value.text()? {
        "inherited" => Ok(ConnectBy::Inherited),
        "named" => Ok(ConnectBy::Name),
        other => Err(value
            .error(format!("`connection` cannot be \"{other}\""))
            .did_you_mean(other, &["inherited", "named"])),
    }
}

/// In a sandbox there are no sockets to be opened, so nothing can be dialled by name.
fn check_connection(member: &Value<'_>, connect: ConnectBy, sandbox: &SandboxConfig) -> Result<()> {
    if connect == ConnectBy::Inherited || sandbox.profile == Some(Profile::None) {
        return Ok(());
    }
    Err(member
        .key_error(
            "a plugin in a sandbox cannot dial: `connection = \"named\"` does not go with it".to_owned(),
        )
        .hint("leave `connection` out, or write `profile = \"none\"` in its sandbox table"))
}

fn no_plugin(member: Value<'_>, fields: &Fields<'_>, place: &str) -> ConfigError {
    let error = member.key_error(format!("the key `plugin` is missing {place}"));
    let left: Vec<&str> = fields.left().map(|value| value.name).collect();
    match super::nearest::nearest("plugin", left) {
        Some(slip) => error.hint(format!("is `{slip}` meant to be `plugin`?")),
        None => error.hint("say which plugin serves it: plugin = \"vdir\""),
    }
}

fn check_required(member: &Value<'_>, plugin: &str, options: &[(String, String)]) -> Result<()> {
    let required = known(plugin).map_or(&[][..], |known| known.required);
    match required.iter().find(|key| !options.iter().any(|(option, _)| option == *key)) {
        Some(key) => {
            Err(member.key_error(format!("the plugin {plugin} needs `{key}` in member `{}`", member.name)))
        }
        None => Ok(()),
    }
}

/// A first-party plugin is granted to write to its place, which must hold nothing of ours.
fn check_place(
    member: &Value<'_>,
    plugin: &str,
    options: &[(String, String)],
    protected: &[Protected],
) -> Result<()> {
    let Some(known) = known(plugin) else { return Ok(()) };
    let Some((_, place)) = options.iter().find(|(key, _)| key == known.place) else { return Ok(()) };
    let checked = protected.iter().try_for_each(|what| what.check(place.as_ref()));
    checked.map_err(|error| {
        let what = format!("`{}` in member `{}`: {error}", known.place, member.name);
        member.key_error(what).hint("give the member a folder that holds nothing but its items")
    })
}

/// Reads the plugin's own settings: the keys that are not ours, and those below `options`.
struct Options<'p> {
    plugin: &'p str,
    place: &'p str,
}

impl Options<'_> {
    fn read(&self, fields: &mut Fields<'_>, grouped: Option<Value<'_>>) -> Result<Vec<(String, String)>> {
        let mut options = Vec::new();
        for value in fields.rest() {
            self.add(&value, fields.known(), &mut options)?;
        }
        let grouped = grouped.map(|value| value.fields()).transpose()?;
        for value in grouped.into_iter().flat_map(|mut fields| fields.rest()) {
            self.add(&value, &[], &mut options)?;
        }
        Ok(options)
    }

    fn add(&self, value: &Value<'_>, ours: &[&str], options: &mut Vec<(String, String)>) -> Result<()> {
        if options.iter().any(|(key, _)| key == value.name) {
            return Err(value.key_error(format!("`{}` is said twice {}", value.name, self.place)));
        }
        options.push((value.name.to_owned(), self.text(value, ours)?));
        Ok(())
    }

    fn text(&self, value: &Value<'_>, ours: &[&str]) -> Result<String> {
        let Some(known) = known(self.plugin) else { return foreign(value) };
        match known.options.iter().find(|(name, _)| *name == value.name) {
            Some((_, Kind::Path)) => path_text(value),
            Some((_, Kind::Text)) => value.text().map(str::to_owned),
            Some((_, Kind::Truth)) => value.truth().map(|truth| truth.to_string()),
            None => {
                let all: Vec<&str> =
                    known.options.iter().map(|(name, _)| *name).chain(ours.iter().copied()).collect();
                Err(unknown_key(value, self.place, &all))
            }
        }
    }
}

/// A setting of a plugin that we know nothing of.
fn foreign(value: &Value<'_>) -> Result<String> {
    if value.is_table() {
        return Err(not_built_yet(value, "a secret (or any table) as a plugin's option"));
    }
    plain_or_path(value)
}
