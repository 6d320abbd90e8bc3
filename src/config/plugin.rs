//! `[plugin.NAME]`: a plugin that is not built in, by the command that starts it.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::Position;
use super::fields::{Result, Value, plain_or_path};
use super::member::is_built_in;

/// A plugin of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginConfig {
    /// What members call it.
    pub name: String,
    /// The executable, an absolute path.
    pub path: PathBuf,
    /// Its arguments, without the zeroth.
    pub args: Vec<OsString>,
    /// Where it stands in the file.
    pub at: Position,
}

impl PluginConfig {
    pub(super) fn read(value: Value<'_>) -> Result<Self> {
        if is_built_in(value.name) {
            let what = format!("the plugin `{}` is built in", value.name);
            return Err(value.key_error(what).hint("give yours another name"));
        }
        let place = format!("in plugin `{}`", value.name);
        let mut fields = value.fields()?;
        let command = fields.take("command");
        fields.finish(&place)?;
        let command = command.ok_or_else(|| value.key_error(format!("the key `command` is missing {place}")));
        let (path, args) = command.and_then(command_line)?;
        Ok(Self { name: value.name.to_owned(), path, args, at: value.position() })
    }
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
