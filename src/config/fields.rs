//! A parsed TOML text, walked by hand, so that every complaint knows its line and column.
//!
//! Why not derived: a member's table mixes our keys with the plugin's own, and deriving loses the
//! places of both there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::duration::parse_duration;
use super::error::{ConfigError, Position};
use super::nearest::nearest;
use super::places::Places;
use super::size::parse_size;

pub(super) type Result<T> = std::result::Result<T, ConfigError>;

/// The longest that a plugin may ask a run to wait for its start.
const LONGEST_START: Duration = Duration::from_secs(600);

/// The text that is being read, and what its relative paths and `~` mean.
pub(super) struct Source<'s> {
    pub(super) file: &'s Path,
    pub(super) text: &'s str,
    pub(super) base: &'s Path,
    pub(super) places: &'s Places,
}

impl Source<'_> {
    /// A complaint about the byte at `offset`.
    pub(super) fn error(&self, offset: usize, what: impl Into<String>) -> ConfigError {
        let at = Some(Position::of(self.text, offset));
        ConfigError { file: self.file.to_owned(), at, what: what.into(), hint: None }
    }
}

impl ConfigError {
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds "did you mean" if one of `known` is near to `word`; else lists them.
    pub(super) fn did_you_mean(self, word: &str, known: &[&str]) -> Self {
        match nearest(word, known.iter().copied()) {
            Some(meant) => self.hint(format!("did you mean `{meant}`?")),
            None if known.is_empty() => self,
            None => self.hint(format!("known here: {}", known.join(", "))),
        }
    }
}

/// One value, with the key that it stands behind.
#[derive(Clone, Copy)]
pub(super) struct Value<'s> {
    pub(super) source: &'s Source<'s>,
    pub(super) name: &'s str,
    key_at: usize,
    at: usize,
    value: &'s DeValue<'s>,
}

impl<'s> Value<'s> {
    fn new(source: &'s Source<'s>, key: &'s Spanned<DeString<'s>>, value: &'s Spanned<DeValue<'s>>) -> Self {
        let (key_at, at) = (key.span().start, value.span().start);
        Self { source, name: key.get_ref(), key_at, at, value: value.get_ref() }
    }

    /// A complaint about the value.
    pub(super) fn error(&self, what: impl Into<String>) -> ConfigError {
        self.source.error(self.at, what)
    }

    /// A complaint about the key.
    pub(super) fn key_error(&self, what: impl Into<String>) -> ConfigError {
        self.source.error(self.key_at, what)
    }

    /// Where the key stands.
    pub(super) fn position(&self) -> Position {
        Position::of(self.source.text, self.key_at)
    }

    fn wrong(&self, wanted: &str) -> ConfigError {
        self.error(format!("`{}` must be {wanted}, not {}", self.name, kind(self.value)))
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn text(&self) -> Result<&'s str> {
        self.value.as_str().ok_or_else(|| self.wrong("a text in quotes"))
    }

    pub(super) fn truth(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// A whole number of at most `most`.
    pub(super) fn number(&self, most: u64) -> Result<u64> {
        let integer = self.value.as_integer().ok_or_else(|| self.wrong("a whole number"))?;
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|number| *number <= most)
            .ok_or_else(|| self.error(format!("`{}` must lie between 0 and {most}", self.name)))
    }

    /// A text such as `256MiB`, or a number of bytes.
    pub(super) fn size(&self) -> Result<u64> {
        if self.value.is_integer() {
            return self.number(i64::MAX.unsigned_abs());
        }
        parse_size(self.text()?).ok_or_else(|| {
            self.error(format!("`{}` is not a size", self.name))
                .hint("write a number with a unit, such as \"256MiB\"")
        })
    }

    /// A text such as `30s`.
    pub(super) fn duration(&self) -> Result<Duration> {
        parse_duration(self.text()?).ok_or_else(|| {
            self.error(format!("`{}` is not a length of time", self.name))
                .hint("write a number with a unit (ms, s, m, h), such as \"30s\"")
        })
    }

    /// How long a plugin may take to start; at most ten minutes, since a run waits for it.
    pub(super) fn start_timeout(&self) -> Result<Duration> {
        match self.duration()? {
            limit if limit <= LONGEST_START => Ok(limit),
            _ => Err(self.error(format!("`{}` is at most 10m", self.name))),
        }
    }

    /// A path; `~` is the home, relative ones are seen from the configuration file.
    pub(super) fn path(&self) -> Result<PathBuf> {
        let text = self.text()?;
        if text.is_empty() {
            return Err(self.error(format!("`{}` is empty", self.name)));
        }
        let resolved = self.source.places.resolve(text, self.source.base);
        resolved.ok_or_else(|| self.error("`~` means nothing here: the home directory is not known"))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.error(format!("`{}` cannot be \"{text}\"", self.name)).did_you_mean(text, &known)
        })
    }

    /// Anything that has one spelling as text: texts, numbers, true and false.
    pub(super) fn scalar(&self) -> Option<String> {
        match self.value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(truth) => Some(truth.to_string()),
            DeValue::Datetime(time) => Some(time.to_string()),
            DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }

    /// The values of a list.
    pub(super) fn list(&self) -> Result<Vec<Self>> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("a list in brackets"))?;
        Ok(list.iter().map(|item| Self { at: item.span().start, value: item.get_ref(), ..*self }).collect())
    }

    /// The keys of a table.
    pub(super) fn fields(&self) -> Result<Fields<'s>> {
        let table = self.value.as_table().ok_or_else(|| self.wrong("a table"))?;
        Ok(Fields::new(self.source, table))
    }
}

/// How a user calls the type of a value.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The keys of a table, taken one by one; what is left at the end is unknown.
pub(super) struct Fields<'s> {
    left: Vec<Value<'s>>,
    known: Vec<&'static str>,
}

impl<'s> Fields<'s> {
    pub(super) fn new(source: &'s Source<'s>, table: &'s DeTable<'s>) -> Self {
        let mut left: Vec<_> = table.iter().map(|(key, value)| Value::new(source, key, value)).collect();
        left.sort_by_key(|value| value.key_at); // as written, so that the first mistake is told first
        Self { left, known: Vec::new() }
    }

    /// Takes the value of `key`, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'s>> {
        self.known.push(key);
        self.take_named(key)
    }

    /// The same for a key that is a name of the user's.
    pub(super) fn take_named(&mut self, key: &str) -> Option<Value<'s>> {
        let index = self.left.iter().position(|value| value.name == key)?;
        Some(self.left.remove(index))
    }

    /// Takes the value of `key` and reads it, if it is there.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value<'s>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.take(key).map(read).transpose()
    }

    /// Refuses the keys of features that are decided on but not there yet.
    pub(super) fn not_built_yet(&mut self, keys: &[&str]) -> Result<()> {
        match self.left.iter().find(|value| keys.contains(&value.name)) {
            Some(value) => Err(not_built_yet(value, format!("`{}`", value.name))),
            None => Ok(()),
        }
    }

    /// What was not taken yet, as written.
    pub(super) fn left(&self) -> impl Iterator<Item = &Value<'s>> {
        self.left.iter()
    }

    /// Takes everything that is left.
    pub(super) fn rest(&mut self) -> Vec<Value<'s>> {
        std::mem::take(&mut self.left)
    }

    /// The keys that were asked for.
    pub(super) fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Complains about the first key that nobody asked for.
    pub(super) fn finish(self, place: &str) -> Result<()> {
        match self.left.first() {
            Some(value) => Err(unknown_key(value, place, &self.known)),
            None => Ok(()),
        }
    }
}

pub(super) fn unknown_key(value: &Value<'_>, place: &str, known: &[&str]) -> ConfigError {
    value.key_error(format!("unknown key `{}` {place}", value.name)).did_you_mean(value.name, known)
}

/// The complaint about something that the format has a word for and this version cannot do.
pub(super) fn not_built_yet(value: &Value<'_>, what: impl std::fmt::Display) -> ConfigError {
    value.key_error(format!("{what} is not built yet")).hint("leave it out; a later version will know it")
}

/// A path as text.
pub(super) fn path_text(value: &Value<'_>) -> Result<String> {
    let path = value.path()?;
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| value.error(format!("`{}` leads to a path that is not Unicode", value.name)))
}

/// A text for a plugin, taken for a path where it can be nothing else: a plugin has no home and no
/// working directory to understand it by.
pub(super) fn plain_or_path(value: &Value<'_>) -> Result<String> {
    let text = value
        .scalar()
        .ok_or_else(|| value.error(format!("`{}` must be a text, a number, or true or false", value.name)))?;
    let is_path = text == "~" || ["~/", "./", "../"].iter().any(|start| text.starts_with(start));
    if value.is_text() && is_path { path_text(value) } else { Ok(text) }
}

/// A command of the user's: what can be nothing else is a path; the rest is searched in `PATH`.
pub(super) fn command(value: Value<'_>) -> Result<Vec<OsString>> {
    let words = value.list()?;
    if words.is_empty() {
        return Err(value.error(format!("`{}` is empty", value.name)));
    }
    words.iter().map(|word| word.text().and_then(|_| plain_or_path(word)).map(OsString::from)).collect()
}
