//! `[plugin.NAME]`: a plugin that is not built in, by its manifest, or by the command that starts it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Position;
use super::fields::{Result, Value, plain_or_path};
use super::manifest::MANIFEST;
use super::member::is_built_in;

/// A plugin of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginConfig {
    /// What members call it.
    pub name: String,
    /// What is known of it.
    pub source: PluginSource,
    /// Where it stands in the file.
    pub at: Position,
}

/// What the configuration says of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// The command that starts it. Who wrote that has consented to it.
    Command {
        /// The executable, an absolute path.
        path: PathBuf,
        /// Its arguments, without the zeroth.
        args: Vec<OsString>,
        /// How long its start may take; `None`: as long as any.
        start_timeout: Option<Duration>,
    },
    /// Its manifest, an absolute path. It is started when the user has consented to what that says.
    Manifest(PathBuf),
}

impl PluginConfig {
    pub(super) fn read(value: Value<'_>) -> Result<Self> {
        if is_built_in(value.name) {
            let what = format!("the plugin `{}` is built in", value.name);
            return Err(value.key_error(what).hint("give yours another name"));
        }
        let place = format!("in plugin `{}`", value.name);
        let mut fields = value.fields()?;
        let (command, manifest) = (fields.take("command"), fields.take("manifest"));
        let start = fields.take("start_timeout");
        fields.finish(&place)?;
        let source = match (command, manifest) {
            (Some(command), None) => started_by(command, start),
            (None, Some(_)) if start.is_some() => Err(value
                .key_error(format!("`start_timeout` is said {place}"))
                .hint("leave it out: the manifest says it")),
            (None, Some(manifest)) => manifest_file(manifest).map(PluginSource::Manifest),
            (Some(_), Some(manifest)) => Err(manifest
                .key_error(format!("both `command` and `manifest` are said {place}"))
                .hint("leave `command` out: the manifest says it")),
            (None, None) => Err(value
                .key_error(format!("`manifest` or `command` is missing {place}"))
                .hint("name its plugin.toml, or the command that starts it")),
        };
        Ok(Self { name: value.name.to_owned(), source: source?, at: value.position() })
    }
}

/// A folder stands for the manifest in it.
fn manifest_file(value: Value<'_>) -> Result<PathBuf> {
    let path = value.path()?;
    Ok(if path.is_dir() { path.join(MANIFEST) } else { path })
}

fn started_by(command: Value<'_>, start: Option<Value<'_>>) -> Result<PluginSource> {
    let (path, args) = command_line(command)?;
    let start_timeout = start.map(|limit| limit.start_timeout()).transpose()?;
    Ok(PluginSource::Command { path, args, start_timeout })
}

/// The first word is a path, since `PATH` is not searched; of the others, those that can be nothing
/// else.
fn command_line(value: Value<'_>) -> Result<(PathBuf, Vec<OsString>)> {
    let words = value.list()?;
    let Some((program, args)) = words.split_first() else {
        return Err(value.error("`command` is empty").hint("name the executable: command = [\"./plugin\"]"));
    };
    let args = args.iter().map(|word| word.text().and_then(|_| plain_or_path(word)).map(OsString::from));
    Ok((program.path()?, args.collect::<Result<_>>()?))
}
