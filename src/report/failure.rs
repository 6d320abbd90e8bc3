//! Why the command could not do what it was asked.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use outrigger_protocol::{Printable, Words};

use super::called::as_called;
use crate::config::ConfigError;
use crate::exit::Exit;

/// An error as the user sees it. The hint is apart from the error, so that what to do never hides
/// what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed, in one line, without a full stop.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<Cause>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What the command ends with.
    pub exit: Exit,
}

/// One step of why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Said by us or the system.
    Ours(String),
    /// Said by a plugin; printed as its words.
    Plugin {
        /// Which one.
        plugin: String,
        /// What it said.
        words: String,
    },
}

impl Failure {
    /// A failure without causes.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, exit }
    }

    /// A defect of ours, or a machine that lacks something basic.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, message)
    }

    /// Something that the user wrote is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds an error and everything behind it as causes.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(Cause::Ours(error.to_string()));
            next = error.source();
        }
        self
    }

    /// Adds one step of why.
    #[must_use]
    pub fn because_of(mut self, why: &dyn fmt::Display) -> Self {
        self.causes.push(Cause::Ours(why.to_string()));
        self
    }

    /// Adds what a plugin said.
    #[must_use]
    pub fn said_by(mut self, plugin: impl Into<String>, words: impl Into<String>) -> Self {
        self.causes.push(Cause::Plugin { plugin: plugin.into(), words: words.into() });
        self
    }

    /// Says what to do. The commands in it are as the user can call them ([`as_called`]).
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(as_called(&hint.into())), ..self }
    }

    /// Writes it for people, with colours.
    ///
    /// # Errors
    /// `to` takes no more.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        writeln!(to, "{RED}error:{PLAIN} {self}")?;
        self.write_rest("", to)
    }

    /// Writes the causes and the hint, below a line that tells the failure itself.
    pub(super) fn write_rest(&self, indent: &str, to: &mut dyn Write) -> io::Result<()> {
        for cause in &self.causes {
            writeln!(to, "{indent}  {DIM}caused by:{PLAIN} {cause}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(to, "{indent}  {GREEN}hint:{PLAIN} {}", Printable(hint)),
            None => Ok(()),
        }
    }
}

pub(super) const PLAIN: &str = "\x1b[0m";
pub(super) const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const DIM: &str = "\x1b[2m";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may name what a plugin or a folder is called.
        write!(f, "{}", Printable(&self.message))
    }
}

impl Error for Failure {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It may quote what a peer or a file said.
            Self::Ours(text) => write!(f, "{}", Printable(text)),
            Self::Plugin { plugin, words } => write!(f, "the plugin {plugin} says: {}", Words(words)),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::usage(error.to_string());
        error.hint.into_iter().fold(failure, Self::hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(failure: &Failure) -> String {
        let mut stream = anstream::StripStream::new(Vec::new());
        failure.write(&mut stream).unwrap();
        String::from_utf8(stream.into_inner()).unwrap()
    }

    #[test]
    fn an_error_tells_what_why_and_what_to_do() {
        let failure = Failure::new(Exit::Plugin, "the member laptop was left out")
            .because(&io::Error::other("answered call 17 with an error"))
            .said_by("vdir", "cannot open \"x\"\x1b[0m")
            .hint("allow the folder in [member.laptop.sandbox]");
        assert_eq!(
            written(&failure),
            "error: the member laptop was left out\n  \
             caused by: answered call 17 with an error\n  \
             caused by: the plugin vdir says: \"cannot open \\\"x\\\"\\u{1b}[0m\"\n  \
             hint: allow the folder in [member.laptop.sandbox]\n"
        );
    }

    #[test]
    fn b4_a_cause_that_quotes_somebody_cannot_write_to_the_terminal() {
        let quoting = io::Error::other("he said \x1b[2J\u{202e}\u{9b}1m\nerror: run this");
        let text = written(&Failure::internal("it broke").because(&quoting));
        assert_eq!(
            text,
            "error: it broke\n  caused by: he said \\u{1b}[2J\\u{202e}\\u{9b}1m\\nerror: run this\n"
        );
    }

    #[test]
    fn a_name_in_a_message_cannot_act_on_the_terminal() {
        let failure = Failure::usage("no collection \x1b[2J").hint("make \x07 it");
        assert_eq!(written(&failure), "error: no collection \\u{1b}[2J\n  hint: make \\u{7} it\n");
    }

    #[test]
    fn the_whole_chain_of_an_error_is_told() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = Failure::internal("it broke").because(&Outer(io::Error::other("inner")));
        assert_eq!(written(&failure), "error: it broke\n  caused by: outer\n  caused by: inner\n");
    }

    #[test]
    fn a_wrong_configuration_is_a_usage_error_with_its_place_and_hint() {
        let text = "[defaults]\nconflct = 1";
        let places = crate::config::Places { home: Some("/home/ana".into()), ..Default::default() };
        let error = crate::config::Config::parse(text, "/c.toml".as_ref(), &places).unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(
            written(&failure),
            "error: /c.toml:2:1: unknown key `conflct` in [defaults]\n  hint: did you mean `conflict`?\n"
        );
    }
}
