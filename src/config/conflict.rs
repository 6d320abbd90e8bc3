//! `conflict`: what happens when members hold different things that were not agreed on.

use std::ffi::OsString;

use outrigger_engine::{ConflictPolicy, MemberIndex};

use super::fields::{Result, Value, command};

/// How conflicts are settled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Conflict {
    /// Not at all: they wait for a person.
    #[default]
    Queue,
    /// This member wins.
    Prefer(String),
    /// What was changed last wins, where that can be told.
    Newest,
    /// All stay, each as an item of its own.
    KeepBoth,
    /// By a merge of what was changed, where nothing was changed twice.
    Merge,
    /// By a command of the user's, which is given what was agreed and both contents.
    Command(Vec<OsString>),
}

/// Where these stand in a command, it is given the path of a file: what was agreed, both contents, and
/// where the result is to be.
pub(crate) const PLACES_OF_FILES: [&str; 4] = ["{base}", "{left}", "{right}", RESULT];
const RESULT: &str = "{result}";

const WORDS: [(&str, Conflict); 4] = [
    ("queue", Conflict::Queue),
    ("keep-both", Conflict::KeepBoth),
    ("newest", Conflict::Newest),
    ("merge", Conflict::Merge),
];

const SHAPES: &str = "write \"queue\", \"keep-both\", \"newest\", \"merge\", { prefer = \"member\" } or { command = \
                      [\"…\"] }";

impl Conflict {
    pub(super) fn read(value: Value<'_>, members: &[&str]) -> Result<Self> {
        if value.is_table() {
            return Self::table(value, members);
        }
        let word = value.text()?;
        let known = WORDS.into_iter().find(|(known, _)| *known == word);
        known
            .map(|(_, conflict)| conflict)
            .ok_or_else(|| value.error(format!("`conflict` cannot be \"{word}\"")).hint(SHAPES))
    }

    fn table(value: Value<'_>, members: &[&str]) -> Result<Self> {
        let mut fields = value.fields()?;
        let prefer = fields.read("prefer", |name| preferred(name, members))?;
        let command = fields.read("command", settling)?;
        fields.finish("in `conflict`")?;
        match (prefer, command) {
            (Some(member), None) => Ok(Self::Prefer(member)),
            (None, Some(argv)) => Ok(Self::Command(argv)),
            (None, None) => Err(value.error("`conflict` says nothing").hint(SHAPES)),
            (Some(_), Some(_)) => Err(value.error("`conflict` says two things").hint(SHAPES)),
        }
    }

    /// What that means among these members. A preference for somebody else means nothing there:
    /// conflicts are queued.
    pub(super) fn among(self, members: &[String]) -> Self {
        match self {
            Self::Prefer(member) if !members.contains(&member) => Self::Queue,
            other => other,
        }
    }

    /// What the engine is told; the members in the order of their group.
    pub(crate) fn policy(&self, members: &[String]) -> ConflictPolicy {
        match self {
            Self::Queue => ConflictPolicy::Queue,
            Self::Newest => ConflictPolicy::Newest,
            Self::KeepBoth => ConflictPolicy::KeepBoth,
            Self::Merge | Self::Command(_) => ConflictPolicy::Resolve,
            Self::Prefer(name) => match members.iter().position(|member| member == name) {
                Some(place) => ConflictPolicy::Prefer(MemberIndex::at(place)),
                None => ConflictPolicy::Queue,
            },
        }
    }

    /// What plugins are told that it is called.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Prefer(_) => "prefer",
            Self::Newest => "newest",
            Self::KeepBoth => "keep-both",
            Self::Merge => "merge",
            Self::Command(_) => "command",
        }
    }
}

fn preferred(value: Value<'_>, members: &[&str]) -> Result<String> {
    let member = value.text()?;
    if !members.contains(&member) {
        return Err(value.error(format!("no member is called `{member}`")).did_you_mean(member, members));
    }
    Ok(member.to_owned())
}

/// A command that says where it wants its files has to say where it leaves the result.
fn settling(value: Value<'_>) -> Result<Vec<OsString>> {
    let argv = command(value)?;
    let names = |place: &str| argv.iter().any(|word| word.to_str().is_some_and(|word| word.contains(place)));
    if PLACES_OF_FILES.into_iter().any(names) && !names(RESULT) {
        return Err(value.error("the command has no `{result}`").hint(
            "say where it leaves its result, or name none of the files: then all four are added at its end",
        ));
    }
    Ok(argv)
}
