//! `plugin.toml`: what a plugin is, how it is started, and what it wishes to be allowed.
//!
//! Its author wrote it, so it is as hostile as the plugin: read strictly, at most [`LONGEST`] bytes,
//! every path in it checked. It allows nothing by itself: the user consents to it
//! (`crate::consent`), and may narrow it.

mod filling;
mod license;
mod protocol;
mod widening;
mod wishes;

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::error::ConfigError;
use super::fields::{Fields, Result, Source, Value};
use super::name::is_valid_name;
use super::places::Places;
pub use filling::Unfit;
pub use protocol::ProtocolRange;
pub use widening::{Wish, beyond};
pub use wishes::{HostWish, PathWish, Wishes};

/// What the file is called where only its folder is named.
pub const MANIFEST: &str = "plugin.toml";

/// Most bytes of a manifest that are read.
const LONGEST: u64 = 64 << 10;

/// Most entries of any list in it.
const MOST_ENTRIES: usize = 64;

/// Most characters of any text that is shown.
const LONGEST_TEXT: usize = 400;

/// A manifest that holds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The file, an absolute path.
    pub file: PathBuf,
    /// All of it, as it was read.
    pub text: String,
    /// What its author calls the plugin, for programs.
    pub id: String,
    /// The same, for people.
    pub name: Option<String>,
    /// What it is good for.
    pub description: Option<String>,
    /// Its version.
    pub version: String,
    /// An SPDX expression. Its form is checked, not whether such a licence exists.
    pub license: String,
    /// Which versions of the protocol it speaks.
    pub protocol: ProtocolRange,
    /// Kinds of objects that it serves, such as `contact`.
    pub object_types: Vec<String>,
    /// Formats that it serves.
    pub formats: Vec<String>,
    /// The executable, an absolute path.
    pub program: PathBuf,
    /// Its arguments, without the zeroth.
    pub args: Vec<OsString>,
    /// What the digest covers besides the manifest: the files that `command` names.
    pub covered: Vec<PathBuf>,
    /// How long its start may take, up to the end of the handshake; `None`: as long as any.
    pub start_timeout: Option<Duration>,
    /// What it wishes to be allowed.
    pub wishes: Wishes,
    /// Settings for `plugin check`.
    pub check: Vec<(String, String)>,
}

impl Manifest {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is no ordinary file, is too long, or its text cannot be used.
    pub fn load(file: &Path) -> std::result::Result<Self, ConfigError> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let text = read_text(&file)?;
        Self::parse(&text, &file)
    }

    /// Reads a text as if it stood in `file`, which need not be there.
    ///
    /// # Errors
    /// The text cannot be used.
    pub fn parse(text: &str, file: &Path) -> std::result::Result<Self, ConfigError> {
        let base = file.parent().unwrap_or(Path::new(""));
        // Without a home: a manifest knows no user.
        let source = Source { file, text, base, places: &Places::default() };
        let document = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            source.error(offset, error.message().lines().next().unwrap_or("not TOML"))
        })?;
        read(Fields::new(&source, document.get_ref()), &source)
    }

    /// The folder that it lies in, which the plugin may read and execute.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }
}

fn read_text(file: &Path) -> Result<String> {
    let complaint = |what: String| ConfigError { file: file.to_owned(), at: None, what, hint: None };
    let unreadable = |error: std::io::Error| complaint(format!("cannot be read: {error}"));
    let found = fs::metadata(file).map_err(unreadable)?;
    if !found.is_file() {
        let error = complaint("is no ordinary file".into());
        return Err(error.hint(format!("name the {MANIFEST} itself")));
    }
    let mut text = String::new();
    // One byte more than may be, so that a file that grows is found out.
    let opened = fs::File::open(file).map_err(unreadable)?;
    opened.take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LONGEST {
        return Err(complaint(format!("is longer than {} KiB", LONGEST >> 10)));
    }
    Ok(text)
}

fn read<'s>(mut fields: Fields<'s>, source: &Source<'s>) -> Result<Manifest> {
    let [id, version, license, protocol, command] =
        ["id", "version", "license", "protocol", "command"].map(|key| (key, fields.take(key)));
    let name = fields.read("name", shown)?;
    let description = fields.read("description", shown)?;
    let object_types = fields.read("object_types", words)?.unwrap_or_default();
    let formats = fields.read("formats", words)?.unwrap_or_default();
    let start_timeout = fields.read("start_timeout", |value| value.start_timeout())?;
    let wishes = fields.read("sandbox", Wishes::read)?.unwrap_or_default();
    let check = fields.read("check", check)?.unwrap_or_default();
    fields.finish("in a manifest")?;
    let need = |(key, value): (&str, Option<Value<'s>>)| value.ok_or_else(|| missing(source, key));
    let id = identity(need(id)?)?;
    let version = version_text(need(version)?)?;
    let license = license_text(need(license)?)?;
    let protocol = protocol_range(need(protocol)?)?;
    let Command { program, args, covered } = command_line(need(command)?, source.base)?;
    let (file, text) = (source.file.to_owned(), source.text.to_owned());
    let mut manifest = Manifest {
        file,
        text,
        id,
        name,
        description,
        version,
        license,
        protocol,
        object_types,
        formats,
        program,
        args,
        covered,
        start_timeout,
        wishes,
        check,
    };
    // What is executed from elsewhere is a wish like any other: it is shown, and compared.
    if !manifest.program.starts_with(source.base) {
        manifest.wishes.execute.push(PathWish::Fixed(manifest.program.clone()));
    }
    Ok(manifest)
}

fn missing(source: &Source<'_>, key: &str) -> ConfigError {
    let example = match key {
        "id" => "\"people\"",
        "version" => "\"0.1.0\"",
        "license" => "\"MIT OR Apache-2.0\"",
        "protocol" => "\"0.9\"",
        _ => "[\"./people.py\"]",
    };
    let error = source.error(0, format!("the key `{key}` is missing"));
    error.hint(format!("write, for example: {key} = {example}"))
}

/// A text for people: one line, of a bearable length.
fn shown(value: Value<'_>) -> Result<String> {
    let text = value.text()?;
    if text.chars().count() > LONGEST_TEXT || text.contains(char::is_control) {
        return Err(
            value.error(format!("`{}` must be one line of at most {LONGEST_TEXT} characters", value.name))
        );
    }
    Ok(text.to_owned())
}

fn identity(value: Value<'_>) -> Result<String> {
    let id = value.text()?;
    if is_valid_name(id) {
        return Ok(id.to_owned());
    }
    Err(value.error("this cannot be an `id`").hint("use letters, digits, - and _, at most 64"))
}

fn version_text(value: Value<'_>) -> Result<String> {
    let text = value.text()?;
    let right = |c: char| c.is_ascii_alphanumeric() || ".-+~_".contains(c);
    if !text.is_empty() && text.len() <= 64 && text.chars().all(right) {
        return Ok(text.to_owned());
    }
    Err(value.error("this cannot be a `version`").hint("write it as \"1.2.0\""))
}

fn license_text(value: Value<'_>) -> Result<String> {
    let text = shown(value)?;
    match license::check(&text) {
        Ok(()) => Ok(text),
        Err(why) => Err(value
            .error(format!("`license` is no SPDX expression: {why}"))
            .hint("write it as \"MIT OR Apache-2.0\"")),
    }
}

fn protocol_range(value: Value<'_>) -> Result<ProtocolRange> {
    let range = ProtocolRange::parse(value.text()?);
    range.ok_or_else(|| {
        value
            .error("`protocol` is no range of versions")
            .hint("write \"0.9\", or \"0.9 - 1.2\" for all from the first to the last")
    })
}

/// Names of kinds or formats.
fn words(value: Value<'_>) -> Result<Vec<String>> {
    let word = |value: Value<'_>| {
        let text = value.text()?;
        let right = |c: char| c.is_ascii_graphic();
        if text.is_empty() || text.len() > 100 || !text.chars().all(right) {
            return Err(value.error(format!("`{}` holds names without blanks", value.name)));
        }
        Ok(text.to_owned())
    };
    entries(value)?.into_iter().map(word).collect()
}

/// The entries of a list, not too many.
fn entries(value: Value<'_>) -> Result<Vec<Value<'_>>> {
    let list = value.list()?;
    if list.len() > MOST_ENTRIES {
        return Err(value.error(format!("`{}` has more than {MOST_ENTRIES} entries", value.name)));
    }
    Ok(list)
}

/// The options of `[check]`.
fn check(value: Value<'_>) -> Result<Vec<(String, String)>> {
    let mut fields = value.fields()?;
    let options = fields.take("options");
    fields.finish("in [check]")?;
    let Some(options) = options else { return Ok(Vec::new()) };
    let pair = |value: Value<'_>| match value.text() {
        Ok(text) => Ok((value.name.to_owned(), text.to_owned())),
        Err(error) => Err(error.hint("write them as `options = { path = \"{scratch}\" }`")),
    };
    options.fields()?.rest().into_iter().map(pair).collect()
}

struct Command {
    program: PathBuf,
    args: Vec<OsString>,
    covered: Vec<PathBuf>,
}

/// The executable lies below the manifest, or is named by an absolute path (an interpreter, say).
/// `PATH` is not searched. Of the arguments, those that begin with `./` are paths.
fn command_line(value: Value<'_>, folder: &Path) -> Result<Command> {
    let words = entries(value)?;
    let Some((program, rest)) = words.split_first() else {
        return Err(value.error("`command` is empty").hint("name the executable: command = [\"./plugin\"]"));
    };
    let program = below(*program, folder)?;
    let mut command = Command { covered: vec![program.clone()], program, args: Vec::new() };
    for word in rest {
        if word.text()?.starts_with("./") {
            let path = below(*word, folder)?;
            command.args.push(path.clone().into_os_string());
            command.covered.push(path);
        } else {
            command.args.push(word.text()?.into());
        }
    }
    Ok(command)
}

/// A path seen from the manifest that does not lead out of its folder, or an absolute one.
fn below(value: Value<'_>, folder: &Path) -> Result<PathBuf> {
    let text = value.text()?;
    let leads_out = Path::new(text).components().any(|part| part == Component::ParentDir);
    if text.is_empty() || text.contains('\0') || leads_out || text.starts_with('~') {
        return Err(value
            .error(format!("`{}` cannot name \"{}\"", value.name, text.escape_debug()))
            .hint("a plugin lies with its manifest: name what is in the same folder, or below it"));
    }
    Ok(folder.join(text).components().collect())
}

#[cfg(test)]
mod tests;
