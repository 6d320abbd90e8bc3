//! Members: each served by a plugin in a process of its own, for the length of a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrigger_broker::{Instance, PluginHost, PluginSpec, SinkClient, StartBy, StartError};
use outrigger_protocol::{
    CreateCollection, Discovered, Error, Group, Initialize, Member, OperationId, Sink, Snapshot,
};
use outrigger_sandbox::{Descriptor, FirstParty, Helper, LaunchError, Program};

use super::found;
use super::grants::{Found, Granted, Leave, grant};
use super::keeper::Keeper;
use crate::config::{Config, MemberConfig, nearest};
use crate::exit::Exit;
use crate::report::{Failure, PluginReport};

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
/// made or started.
///
/// # Errors
/// No plugin has that name.
pub(crate) fn check_plugin(config: &Config, member: &MemberConfig, plugins: &Plugins) -> Result<(), Failure> {
    if member.locate.is_some() { Ok(()) } else { find_plugin(config, member, plugins).map(|_| ()) }
}

/// What the member's plugin is.
fn find_plugin(config: &Config, member: &MemberConfig, plugins: &Plugins) -> Result<Found, Failure> {
    let name = &member.plugin;
    let known = plugins.find(name).map(Found::Program).or_else(|| config.plugin(name).map(Found::of));
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

/// Why a member cannot take part.
pub(crate) struct StartFailure {
    pub(crate) member: String,
    pub(crate) failure: Failure,
    pub(crate) required: bool,
}

/// A member whose plugin runs and has said what it has.
pub(crate) struct MemberSession {
    member: String,
    plugin: String,
    host: PluginHost,
    instance: Instance,
    keeper: Arc<Keeper>,
    pub(super) discovered: Discovered,
}

/// What a member is started with.
#[derive(Clone, Copy)]
pub(crate) struct Start<'s> {
    pub(crate) config: &'s Config,
    pub(crate) member: &'s MemberConfig,
    pub(crate) plugins: &'s Plugins,
    /// How the command was called, for hints; empty: `outrigger`.
    pub(crate) command: &'s str,
    /// Nothing is written down.
    pub(crate) only_looks: bool,
}

impl Start<'_> {
    /// What is started, and what it may do. Found out beside: it reads files.
    async fn granted(&self) -> Result<Granted, Failure> {
        let found = find_plugin(self.config, self.member, self.plugins)?;
        let (config, member, command) = (self.config.clone(), self.member.clone(), self.command.to_owned());
        let only_looks = self.only_looks;
        let granted = tokio::task::spawn_blocking(move || {
            grant(&config, &member, found, Leave { command: &command, only_looks })
        });
        granted.await.unwrap_or_else(|panic| Err(Failure::internal("what a plugin may do").because(&panic)))
    }
}

impl MemberSession {
    /// Starts the plugin, which is shown its `group`, and asks for its collections. `keeper` makes what
    /// answers its questions, of the member as it is configured.
    pub(crate) async fn start(
        start: &Start<'_>,
        locks: Vec<Descriptor>,
        group: Group,
        keeper: impl FnOnce(Member) -> Keeper,
    ) -> Result<Self, StartFailure> {
        let started = Self::try_start(start, locks, group, keeper).await;
        started.map_err(|failure| StartFailure {
            member: start.member.name.clone(),
            failure,
            required: start.member.required,
        })
    }

    async fn try_start(
        start: &Start<'_>,
        locks: Vec<Descriptor>,
        group: Group,
        keeper: impl FnOnce(Member) -> Keeper,
    ) -> Result<Self, Failure> {
        let member = start.member;
        let host = match &member.locate {
            Some(locate) => found::find(start.config, member, locate, start.only_looks).await?,
            None => spawn(start, locks).await?,
        };
        let configured = Member::new(&member.name, member.options.clone());
        let keeper = Arc::new(keeper(configured.clone()));
        let seen = keeper.state().await.snapshot(&configured);
        let initialized = host.initialize_with(Initialize::new(seen, group), keeper.clone()).await;
        let instance = initialized.map_err(|error| plugin_failure(member, "refused its settings", &error))?;
        let discovered = instance.discover().await;
        let discovered =
            discovered.map_err(|error| plugin_failure(member, "cannot say what it has", &error))?;
        let (member, plugin) = (member.name.clone(), member.plugin.clone());
        Ok(Self { member, plugin, host, instance, keeper, discovered })
    }

    /// Answers what the plugin asks.
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// What its plugin serves it with.
    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// A client of its main sink, where it has one.
    pub(super) fn main_sink(&self) -> Option<SinkClient> {
        self.discovered.main.map(|object| self.instance.main_sink(object))
    }

    /// A client of one of its sinks.
    pub(crate) fn sink(&self, sink: Sink) -> SinkClient {
        self.instance.sink(sink)
    }

    /// Tells the plugin what its member or its group is now; it sees it from its next call on.
    pub(super) fn tell(&self, snapshot: Snapshot) {
        self.instance.tell(snapshot);
    }

    /// Makes a collection, under an operation that is durable before it is sent.
    pub(super) async fn create_collection(&self, operation: OperationId, name: &str) -> Result<Sink, Error> {
        let request = CreateCollection { operation, name: name.to_owned(), object_types: Vec::new() };
        self.instance.create_collection(&request).await
    }

    /// Ends the plugin, and says what it had used.
    pub(crate) async fn stop(self) -> PluginReport {
        let facts = self.host.facts().clone();
        if let Err(error) = self.instance.finalize().await {
            tracing::debug!(member = self.member, %error, "finalize");
        }
        let network = self.host.traffic(); // before its streams end with it
        let (_, ended) = self.host.stop().await;
        let usage = ended.and_then(|ended| ended.usage);
        PluginReport {
            plugin: self.plugin,
            member: self.member,
            pid: facts.pid,
            start: facts.start,
            peak_rss_bytes: usage.map(|usage| usage.peak_rss_bytes),
            keeper_peak_rss_bytes: usage.map(|usage| usage.keeper_peak_rss_bytes),
            network,
            sandbox: facts.report,
        }
    }
}

/// Starts the member's plugin.
async fn spawn(start: &Start<'_>, locks: Vec<Descriptor>) -> Result<PluginHost, Failure> {
    let Granted { program, policy } = start.granted().await?;
    let &Start { config, member, plugins, .. } = start;
    let mut spec = PluginSpec::new(&member.name, program);
    spec.helper = plugins.helper.clone();
    spec.start = if config.broker { StartBy::Broker } else { StartBy::Own };
    spec.connect = member.connect;
    spec.policy = policy;
    spec.protected = config.protected();
    spec.locks = locks;
    spec.calls_timeout = member.calls_timeout;
    outrigger_broker::start(spec).await.map_err(|error| start_failure(member, &error))
}

fn start_failure(member: &MemberConfig, error: &StartError) -> Failure {
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
    let name = &member.name;
    match error {
        StartError::Launch { error, .. } if matches!(**error, LaunchError::NotEnforced { .. }) => {
            if member.sandbox.require.is_none() {
                return Some(format!(
                    "its manifest requires it; `require = []` in [member.{name}.sandbox], or `on_unsupported = \
                     \"weaken\"` there, starts it without"
                ));
            }
            Some(format!(
                "take it out of `require` in [member.{name}.sandbox], or write `on_unsupported = \"weaken\"` \
                 there: the plugin then runs without it"
            ))
        }
        StartError::Broker { .. } => Some(found::BROKER_HINT.to_owned()),
        // It never ran, so it has said nothing.
        StartError::Launch { .. } | StartError::Io { .. } => None,
        StartError::Handshake { .. } => Some("`outrigger -v check` shows what the plugin says".to_owned()),
    }
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
pub(super) fn plugin_failure_of(session: &MemberSession, what: &str, error: &Error) -> Failure {
    failure_of(&session.member, &session.plugin, what, error)
}

fn failure_of(member: &str, plugin: &str, what: &str, error: &Error) -> Failure {
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
        _ => failure,
    }
}
