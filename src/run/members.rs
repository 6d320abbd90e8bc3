//! Members: which plugin serves each, and what is said when it cannot.

use std::collections::BTreeMap;

use outrigger_broker::StartError;
use outrigger_protocol::Error;
use outrigger_sandbox::{FirstParty, Guarantee, Helper, LaunchError, Profile, Program, Standing};
use outrigger_transport::LinkError;

use super::found::BROKER_HINT;
use super::grants::Found;
use crate::config::{Config, ConfigError, Manifest, MemberConfig, nearest};
use crate::exit::Exit;
use crate::report::Failure;

const TOO_SLOW: &str = "`outrigger -v check` shows what the plugin says. If it only needs longer, say so: \
                        `start_timeout = \"90s\"` in its manifest, or beside its `command`";

/// The names of first-party plugins.
const BUILT_IN: [&str; 1] = ["vdir"];

/// The first-party plugin called `name`, as the body of its process.
#[must_use]
pub fn first_party(name: &str) -> Option<FirstParty> {
    match name {
        "vdir" => Some(outrigger_plugin_vdir::serve),
        _ => None,
    }
}

/// Plugins of the program that embeds this library, beside the first-party ones, by the name that
/// the configuration calls them.
#[derive(Debug, Clone, Default)]
pub struct Plugins {
    /// What runs for each name. A first-party plugin of the same name is hidden.
    pub programs: BTreeMap<String, Program>,
    /// Which executable becomes the helper of every plugin's process; by default our own, which
    /// then calls [`crate::host_main_if_requested`] first.
    pub helper: Helper,
}

impl Plugins {
    fn find(&self, name: &str) -> Option<Program> {
        let built_in = || first_party(name).map(|_| Program::FirstParty { name: name.to_owned() });
        self.programs.get(name).cloned().or_else(built_in)
    }
}

/// Fails where the member's plugin is none that could be started: what can be said before anything is
/// made or started. Reads its manifest, if it has one.
///
/// # Errors
/// No plugin has that name, or its manifest cannot be used.
pub fn check_plugin(config: &Config, member: &MemberConfig, plugins: &Plugins) -> Result<(), Failure> {
    if member.locate.is_some() {
        return Ok(());
    }
    match find_plugin(config, member, plugins)? {
        Found::Program { .. } => Ok(()),
        Found::Manifest { plugin, file } => {
            let read = Manifest::load(&file).map(drop);
            read.map_err(|error| unusable(config, &plugin, error).into())
        }
    }
}

/// A mistake in a manifest has its place there; one that cannot be read at all has it where the
/// configuration names it.
fn unusable(config: &Config, plugin: &str, error: ConfigError) -> ConfigError {
    let named = config.plugin(plugin).filter(|_| error.at.is_none());
    let Some(named) = named else { return error };
    let hint = error.hint.clone().unwrap_or_else(|| format!("correct `manifest` in [plugin.{plugin}]"));
    config.error(named.at, format!("the manifest of the plugin {plugin}: {error}"), Some(hint))
}

/// What the member's plugin is.
pub(super) fn find_plugin(
    config: &Config,
    member: &MemberConfig,
    plugins: &Plugins,
) -> Result<Found, Failure> {
    let name = &member.plugin;
    let known = plugins.find(name).map(Found::ours).or_else(|| config.plugin(name).map(Found::of));
    if let Some(found) = known {
        return Ok(found);
    }
    let ours = BUILT_IN.into_iter().chain(plugins.programs.keys().map(String::as_str));
    let known = ours.chain(config.plugins.iter().map(|plugin| plugin.name.as_str())).collect();
    let unknown = no_such_plugin(name, known);
    Err(config.error(member.at, unknown.message, unknown.hint).into())
}

/// The failure of a name that no first-party plugin has; `None` if one has it.
#[must_use]
pub fn unknown_plugin(name: &str) -> Option<Failure> {
    first_party(name).is_none().then(|| no_such_plugin(name, BUILT_IN.to_vec()))
}

fn no_such_plugin(name: &str, known: Vec<&str>) -> Failure {
    let failure = Failure::usage(format!("no plugin is called `{name}`"));
    match nearest(name, known.iter().copied()) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint(format!(
            "the plugins are: {}; `[plugin.{name}]` with its `manifest` or `command` adds one",
            known.join(", ")
        )),
    }
}

pub(super) fn start_failure(member: &MemberConfig, error: &StartError) -> Failure {
    let exit = match error {
        StartError::Broker { .. } => Exit::Partial,
        _ => Exit::Plugin,
    };
    let failure = Failure::new(exit, format!("the plugin of {} could not be started", member.name));
    let failure = failure.because(error);
    match start_hint(member, error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn start_hint(member: &MemberConfig, error: &StartError) -> Option<String> {
    match error {
        StartError::Broker { .. } => Some(BROKER_HINT.to_owned()),
        // It never ran, so it has said nothing.
        StartError::Launch { error, .. } => match &**error {
            LaunchError::NotEnforced { missing } => Some(hint_to_require(member, missing)),
            _ => None,
        },
        StartError::Io { .. } => None,
        StartError::Handshake { error, .. } if matches!(**error, LinkError::HandshakeTime) => {
            Some(TOO_SLOW.to_owned())
        }
        StartError::Handshake { .. } => Some("`outrigger -v check` shows what the plugin says".to_owned()),
    }
}

/// Who requires what is missing, and how to start without it.
fn hint_to_require(member: &MemberConfig, missing: &[(Guarantee, Standing)]) -> String {
    let (name, sandbox) = (&member.name, &member.sandbox);
    // Said first: `require` cannot take these away.
    let basic = missing.iter().any(|(guarantee, _)| Guarantee::BASIC.contains(guarantee));
    if basic && sandbox.profile != Some(Profile::None) {
        return format!(
            "every sandbox requires it; `outrigger doctor` shows what this machine lacks. \
             `on_unsupported = \"weaken\"` in [member.{name}.sandbox] starts the plugin without"
        );
    }
    if sandbox.require.is_none() {
        return format!(
            "its manifest requires it; `require = []` in [member.{name}.sandbox], or `on_unsupported = \
             \"weaken\"` there, starts it without"
        );
    }
    format!(
        "take it out of `require` in [member.{name}.sandbox], or write `on_unsupported = \"weaken\"` \
         there: the plugin then runs without it"
    )
}

/// What a plugin answered, as a failure that quotes it.
pub(crate) fn plugin_failure(member: &MemberConfig, what: &str, error: &Error) -> Failure {
    let (name, failure) = (&member.name, failure_of(&member.name, &member.plugin, what, error));
    if failure.exit == Exit::Partial && member.required {
        return failure.hint(format!(
            "see that the place of {name} is there and can be read; `required = false` in [member.{name}] lets \
             runs go without it"
        ));
    }
    failure
}

/// The same of a plugin that runs.
pub(super) fn failure_of(member: &str, plugin: &str, what: &str, error: &Error) -> Failure {
    use outrigger_protocol::{Blame, Code};
    let exit = match (error.code, error.blame) {
        (Code::AUTH, _) => Exit::Credentials,
        (_, Blame::Configuration) => Exit::Usage,
        (_, Blame::Member) => Exit::Partial,
        _ => Exit::Plugin,
    };
    let failure =
        Failure::new(exit, format!("the plugin of {member} {what}")).said_by(plugin, error.to_string());
    match exit {
        Exit::Usage => failure.hint(format!("mend [member.{member}] in the configuration")),
        _ if error.code == Code::PANIC => failure.hint("`outrigger -v check` shows what it printed"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Places;

    /// What is said where the kernel lacks one guarantee, to a member with these lines.
    fn hint(missing: Guarantee, lines: &str) -> String {
        let text = format!(
            "state = \"/s\"\n[member.a]\nplugin = \"vdir\"\npath = \"/a\"\n{lines}\n[member.b]\nplugin = \
             \"vdir\"\npath = \"/b\"\n[group.g]\nmembers = [\"a\", \"b\"]\n"
        );
        let config = Config::parse(&text, Path::new("/c.toml"), &Places::default()).unwrap();
        let standing = Standing::Unavailable { reason: "an old kernel".into(), hint: String::new() };
        let error = Box::new(LaunchError::NotEnforced { missing: vec![(missing, standing)] });
        let failure =
            start_failure(config.member("a").unwrap(), &StartError::Launch { name: "a".into(), error });
        assert_eq!(failure.exit, Exit::Plugin);
        failure.hint.unwrap()
    }

    #[test]
    fn what_every_sandbox_requires_is_not_laid_at_the_door_of_the_manifest() {
        for lines in ["", "[member.a.sandbox]\nrequire = [\"disk\"]"] {
            let said = hint(Guarantee::FsRead, lines);
            assert!(said.contains("outrigger doctor") && said.contains("on_unsupported"), "{said}");
            assert!(!said.contains("`require") && !said.contains("manifest"), "{said}");
        }
    }

    #[test]
    fn a_defect_of_a_plugin_says_where_to_look() {
        use outrigger_protocol::Code;
        let failure = failure_of("a", "p", "failed in initialize", &Error::new(Code::PANIC, "KeyError"));
        assert_eq!(failure.exit, Exit::Plugin);
        assert_eq!(failure.hint.unwrap(), "`outrigger -v check` shows what it printed");
    }

    #[test]
    fn what_was_asked_for_beyond_that_is_said_to_whoever_asked() {
        assert!(hint(Guarantee::Disk, "").starts_with("its manifest"));
        let ours = "[member.a.sandbox]\nrequire = [\"disk\"]";
        assert!(hint(Guarantee::Disk, ours).starts_with("take it out of `require`"));
        let bare = "[member.a.sandbox]\nprofile = \"none\"\nrequire = [\"fs_read\"]";
        assert!(hint(Guarantee::FsRead, bare).starts_with("take it out of `require`"));
    }
}
