//! Members: each served by a plugin in a process of its own, for the length of a run.

use std::collections::BTreeMap;
use std::fs::File;

use outrigger_broker::{Instance, PluginHost, PluginSpec, SinkClient, StartError, start};
use outrigger_protocol::{CreateCollection, Discovered, Error, Group, Initialize, Member, Sink};
use outrigger_sandbox::{Descriptor, FirstParty, Helper, Program};

use crate::config::{Config, GroupConfig, MemberConfig};
use crate::exit::Exit;
use crate::report::{Failure, PluginReport};

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

/// The program of the member's plugin: what can be said before anything is made or started.
///
/// # Errors
/// No plugin has that name.
pub(crate) fn find_plugin(
    config: &Config,
    member: &MemberConfig,
    plugins: &Plugins,
) -> Result<Program, Failure> {
    if let Some(program) = plugins.find(&member.plugin) {
        return Ok(program);
    }
    let text = format!("no plugin is called `{}`", member.plugin);
    Err(config.error(member.at, text, Some("the plugins are: vdir".into())).into())
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
    pub(super) discovered: Discovered,
}

impl MemberSession {
    /// Starts the plugin and asks for its collections.
    pub(crate) async fn start(
        config: &Config,
        member: &MemberConfig,
        group: &GroupConfig,
        plugins: &Plugins,
        lock: Option<File>,
    ) -> Result<Self, StartFailure> {
        let started = Self::try_start(config, member, group, plugins, lock).await;
        started.map_err(|failure| StartFailure {
            member: member.name.clone(),
            failure,
            required: member.required,
        })
    }

    async fn try_start(
        config: &Config,
        member: &MemberConfig,
        group: &GroupConfig,
        plugins: &Plugins,
        lock: Option<File>,
    ) -> Result<Self, Failure> {
        let mut spec = PluginSpec::new(&member.name, find_plugin(config, member, plugins)?);
        spec.helper = plugins.helper.clone();
        spec.connect = member.connect;
        spec.policy = member.sandbox.clone();
        spec.locks = lock.into_iter().map(Descriptor::from).collect();
        let host = start(spec).await.map_err(|error| start_failure(member, &error))?;
        let initialized = host.initialize(&request(member, group)).await;
        let instance = initialized.map_err(|error| plugin_failure(member, "refused its settings", &error))?;
        let discovered = instance.discover().await;
        let discovered =
            discovered.map_err(|error| plugin_failure(member, "cannot say what it has", &error))?;
        Ok(Self { member: member.name.clone(), plugin: member.plugin.clone(), host, instance, discovered })
    }

    /// A client of one of its sinks.
    pub(crate) fn sink(&self, sink: Sink) -> SinkClient {
        self.instance.sink(sink)
    }

    /// Makes a collection.
    pub(crate) async fn create_collection(&self, name: &str) -> Result<Sink, Error> {
        let request = CreateCollection { name: name.to_owned(), object_types: Vec::new() };
        self.instance.create_collection(&request).await
    }

    /// Ends the plugin, and says what it had used.
    pub(crate) async fn stop(self) -> PluginReport {
        let facts = self.host.facts().clone();
        if let Err(error) = self.instance.finalize().await {
            tracing::debug!(member = self.member, %error, "finalize");
        }
        let (_, ended) = self.host.stop().await;
        let usage = ended.and_then(|ended| ended.usage);
        PluginReport {
            plugin: self.plugin,
            member: self.member,
            pid: facts.pid,
            start: facts.start,
            peak_rss_bytes: usage.map(|usage| usage.peak_rss_bytes),
            keeper_peak_rss_bytes: usage.map(|usage| usage.keeper_peak_rss_bytes),
            sandbox: facts.report,
        }
    }
}

/// What the plugin is told of its member and group.
fn request(member: &MemberConfig, group: &GroupConfig) -> Initialize {
    let conflict = match group.conflict {
        outrigger_engine::ConflictPolicy::Queue => "queue",
        outrigger_engine::ConflictPolicy::Prefer(_) => "prefer",
    };
    let member = Member::new(&member.name, member.options.clone());
    let group = Group { conflict: conflict.into(), ..Group::new(&group.name, group.members.to_vec()) };
    Initialize::new(member, group)
}

fn start_failure(member: &MemberConfig, error: &StartError) -> Failure {
    let failure = Failure::new(Exit::Plugin, format!("the plugin of {} could not be started", member.name));
    failure.because(error).hint("`outrigger -v check` shows what the plugin says")
}

/// What a plugin answered, as a failure that quotes it.
pub(crate) fn plugin_failure(member: &MemberConfig, what: &str, error: &Error) -> Failure {
    use outrigger_protocol::{Blame, Code};
    let exit = match (error.code, error.blame) {
        (Code::AUTH, _) => Exit::Credentials,
        (_, Blame::Configuration) => Exit::Usage,
        (_, Blame::Member) => Exit::Partial,
        _ => Exit::Plugin,
    };
    Failure::new(exit, format!("the plugin of {} {what}", member.name))
        .said_by(&member.plugin, error.to_string())
}
