//! `locate`: where the end of a member is that is found instead of started.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_protocol::EndName;

use super::fields::{Fields, Result, Value, plain_or_path};

/// How long a command that makes an end appear may take.
const ACTIVATION: Duration = Duration::from_secs(30);

/// How long a command that says where an end is may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How a member's end is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocateConfig {
    /// Where it is.
    pub place: PlaceOfEnd,
    /// What it is called, and approved as.
    pub name: EndName,
    /// How long a run waits for it to appear; none: not at all.
    pub wait: Duration,
}

/// Where an end is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceOfEnd {
    /// It announces itself in the runtime directory.
    Rendezvous,
    /// It waits on a socket.
    Socket(PathBuf),
    /// A command makes it appear; then it announces itself.
    Activate(Vec<OsString>),
    /// A command says where it waits.
    Command(Vec<OsString>),
}

impl LocateConfig {
    /// Reads the table of a member; what does not announce itself is approved under the member's name,
    /// unless another is given.
    pub(super) fn read(value: Value<'_>, member: &str) -> Result<Self> {
        let mut fields = value.fields()?;
        let rendezvous = fields.read("rendezvous", end_name)?;
        let name = fields.read("name", end_name)?;
        let wait = fields.read("wait", |value| value.duration())?;
        let socket = fields.read("socket", |value| value.path())?;
        let activate = fields.read("activate", command)?;
        let ask = fields.read("command", command)?;
        fields.finish("in `locate`")?;
        let (place, name, usual) = match (rendezvous, socket, activate, ask, name) {
            (Some(name), None, None, None, None) => (PlaceOfEnd::Rendezvous, name, Duration::ZERO),
            (Some(name), None, Some(argv), None, None) => (PlaceOfEnd::Activate(argv), name, ACTIVATION),
            (None, Some(path), None, None, name) => {
                (PlaceOfEnd::Socket(path), named(&value, name, member)?, Duration::ZERO)
            }
            (None, None, None, Some(argv), name) => {
                (PlaceOfEnd::Command(argv), named(&value, name, member)?, ANSWER)
            }
            _ => return Err(value.error("`locate` names no way, or several").hint(WAYS)),
        };
        Ok(Self { place, name, wait: wait.unwrap_or(usual) })
    }
}

const WAYS: &str = "write one of { rendezvous = \"NAME\" }, { rendezvous = \"NAME\", activate = [\"…\"] }, \
                    { socket = \"PATH\" } and { command = [\"…\"] }";

fn end_name(value: Value<'_>) -> Result<EndName> {
    let text = value.text()?;
    EndName::new(text).ok_or_else(|| {
        value
            .error(format!("\"{}\" cannot be the name of an end", text.escape_debug()))
            .hint("use letters, digits, - and _, at most 30")
    })
}

fn named(value: &Value<'_>, name: Option<EndName>, member: &str) -> Result<EndName> {
    name.or_else(|| EndName::new(member)).ok_or_else(|| {
        value.error("this end needs a `name`").hint("the member's own is too long for an end: 30 at most")
    })
}

/// A command of the user's: what can be nothing else is a path; the rest is searched in `PATH`.
fn command(value: Value<'_>) -> Result<Vec<OsString>> {
    let words = value.list()?;
    if words.is_empty() {
        return Err(value.error(format!("`{}` is empty", value.name)));
    }
    words.iter().map(|word| word.text().and_then(|_| plain_or_path(word)).map(OsString::from)).collect()
}

/// Refuses what would only hold for a plugin that we start.
pub(super) fn refuse_with_locate(fields: &Fields<'_>, keys: &[&str]) -> Result<()> {
    match fields.left().find(|value| keys.contains(&value.name)) {
        Some(value) => Err(value
            .key_error(format!("`{}` means nothing for an end that is found", value.name))
            .hint("only a plugin that Outrigger starts is connected and confined by it")),
        None => Ok(()),
    }
}
