//! `locate`: where the end of a member is that is found instead of started.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use outrigger_protocol::EndName;

use super::fields::{Fields, Result, Value, command};

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

/// Refuses what would only hold for a plugin that we start.
pub(super) fn refuse_with_locate(fields: &Fields<'_>, keys: &[&str]) -> Result<()> {
    match fields.left().find(|value| keys.contains(&value.name)) {
        Some(value) => Err(value
            .key_error(format!("`{}` means nothing for an end that is found", value.name))
            .hint("only a plugin that Outrigger starts is connected and confined by it")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Places};

    fn parse(text: &str) -> Result<Config> {
        let places = Places { home: Some("/home/ana".into()), ..Places::default() };
        Config::parse(text, Path::new("/c.toml"), &places)
    }

    /// The member `a`, with a `locate`, and more lines.
    fn located(locate: &str) -> String {
        format!("[member.a]\nlocate = {{ {locate} }}\n")
    }

    #[test]
    fn an_end_that_is_found_has_one_way_a_name_and_a_patience() {
        let find = |text: &str| {
            let config = parse(&located(text)).unwrap_or_else(|error| panic!("{error}"));
            let member = config.member("a").unwrap();
            (member.plugin.clone(), member.locate.clone().unwrap())
        };
        let (plugin, found) = find("rendezvous = \"notes\"");
        assert_eq!(
            (plugin.as_str(), found.place, found.wait),
            ("notes", PlaceOfEnd::Rendezvous, Duration::ZERO)
        );
        let (_, found) =
            find("rendezvous = \"notes\", activate = [\"gtk-launch\", \"~/notes\"], wait = \"5s\"");
        let argv = vec!["gtk-launch".into(), "/home/ana/notes".into()];
        assert_eq!((found.place, found.wait), (PlaceOfEnd::Activate(argv), Duration::from_secs(5)));
        let (plugin, found) = find("socket = \"~/s\"");
        assert_eq!((plugin.as_str(), found.name.as_str()), ("a", "a"));
        assert_eq!(found.place, PlaceOfEnd::Socket("/home/ana/s".into()));
        let (_, found) = find("command = [\"where\"], name = \"b\"");
        assert_eq!((found.name.as_str(), found.wait), ("b", Duration::from_secs(10)));
        assert_eq!(
            parse(&format!("{}plugin = \"crm\"", located("socket = \"/s\""))).unwrap().members[0].plugin,
            "crm"
        );
    }

    #[test]
    fn a_mistake_in_locate_is_told_with_its_place() {
        let cases = [
            (located(""), "2:10: `locate` names no way, or several"),
            (located("socket = \"/s\", command = [\"c\"]"), "names no way, or several"),
            (located("activate = [\"c\"]"), "names no way, or several"),
            (located("rendezvous = \"x\", name = \"y\""), "names no way, or several"),
            (located("rendezvous = \"a/b\""), "2:25: \"a/b\" cannot be the name of an end"),
            (located("rendezvouz = \"x\""), "2:12: unknown key `rendezvouz` in `locate`"),
            (located("command = []"), "2:22: `command` is empty"),
            (located("socket = \"/s\", wait = \"soon\""), "`wait` is not a length of time"),
            (
                format!("{}connection = \"named\"", located("socket = \"/s\"")),
                "3:1: `connection` means nothing",
            ),
            (format!("{}plugin = \"vdir\"", located("socket = \"/s\"")), "3:10: the plugin vdir is built in"),
            (format!("{}sandbox.read = [\"/x\"]", located("socket = \"/s\"")), "cannot be confined"),
            (
                format!("[member.{}]\nlocate = {{ socket = \"/s\" }}", "m".repeat(31)),
                "2:10: this end needs a `name`",
            ),
        ];
        for (text, words) in cases {
            let complaint = parse(&text).unwrap_err().to_string().replace("/c.toml:", "");
            assert!(complaint.contains(words), "{complaint}");
        }
        let limit = format!("{}sandbox.calls_timeout = \"5s\"", located("socket = \"/s\""));
        assert_eq!(parse(&limit).unwrap().members[0].calls_timeout, Some(Duration::from_secs(5)));
    }
}
