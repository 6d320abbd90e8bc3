//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// A place in a text, as editors count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
}

impl Position {
    /// The place of byte `offset` in `text`.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A configuration that cannot be used: the first thing that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Where in it; `None` if the file could not be read at all.
    pub at: Option<Position>,
    /// What is wrong, in one line.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(at) = self.at {
            write!(f, ":{at}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_as_an_editor_counts() {
        let text = "a = 1\nä = über\n";
        assert_eq!(Position::of(text, 0), Position { line: 1, column: 1 });
        assert_eq!(Position::of(text, text.find("über").unwrap()), Position { line: 2, column: 5 });
        assert_eq!(Position::of(text, 10_000), Position { line: 3, column: 1 });
    }

    #[test]
    fn an_error_reads_as_a_compiler_would_say_it() {
        let at = Some(Position { line: 3, column: 7 });
        let error = ConfigError { file: "c.toml".into(), at, what: "no".into(), hint: None };
        assert_eq!(error.to_string(), "c.toml:3:7: no");
    }
}
