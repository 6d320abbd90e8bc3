//! What a member's plugin is, and what it may do: what it wishes, and what the user says of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_protocol::Printable;
use outrigger_sandbox::{OnUnsupported, Policy, Profile, Program, brought_by, passes_through};
use serde::Serialize;

use crate::config::{Config, Manifest, MemberConfig, PluginConfig, PluginSource};
use crate::consent::{self, Standing};
use crate::exit::Exit;
use crate::report::{Failure, as_called};

/// What a member's `plugin` leads to.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// Something that runs without a question: ours, the embedder's, or a command of the user's.
    Program { program: Program, start_timeout: Option<Duration> },
    /// A manifest of the plugin that the configuration calls by this name.
    Manifest { plugin: String, file: PathBuf },
}

impl Found {
    /// What starts as soon as any.
    pub(super) fn ours(program: Program) -> Self {
        Self::Program { program, start_timeout: None }
    }

    pub(super) fn of(plugin: &PluginConfig) -> Self {
        match &plugin.source {
            PluginSource::Command { path, args, start_timeout } => {
                let program = Program::Executable { path: path.clone(), args: args.clone() };
                Self::Program { program, start_timeout: *start_timeout }
            }
            PluginSource::Manifest(file) => {
                Self::Manifest { plugin: plugin.name.clone(), file: file.clone() }
            }
        }
    }
}

/// What is started, and what it may do.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) program: Program,
    pub(super) policy: Policy,
    /// How long its start may take; `None`: as long as any.
    pub(super) start_timeout: Option<Duration>,
}

/// Grants a member's plugin what it wishes and the user allows. Reads the files that its digest
/// covers, so it may take a while. A run that `only_looks` writes nothing down.
///
/// # Errors
/// The user has not consented; or a wish cannot be granted as the member is configured.
pub(super) fn grant(
    config: &Config,
    member: &MemberConfig,
    found: Found,
    only_looks: bool,
) -> Result<Granted, Failure> {
    match found {
        Found::Program { program, start_timeout } => {
            let mut policy = member.sandbox.over(wished(&program, member));
            policy.read.extend(named(&program));
            if let Program::Executable { path, .. } = &program {
                brought_by(path).grant(&mut policy);
            }
            Ok(Granted { program, policy: tidy(policy), start_timeout })
        }
        Found::Manifest { plugin, file } => {
            let manifest = consent::admit(&config.state, &plugin, &file, only_looks)?;
            let policy = would_grant(config, member, &manifest)?;
            let program = Program::Executable { path: manifest.program, args: manifest.args };
            Ok(Granted { program, policy, start_timeout: manifest.start_timeout })
        }
    }
}

/// What a member's plugin with this manifest is granted, if its user agrees: the wishes with the
/// member's options filled in, and what the configuration says over them.
///
/// # Errors
/// A wish cannot be granted as the member is configured.
pub fn would_grant(config: &Config, member: &MemberConfig, manifest: &Manifest) -> Result<Policy, Failure> {
    let mut policy = member.sandbox.over(filled(manifest, config, member)?);
    // Whatever the user says: it could not start.
    policy.execute.push(manifest.folder().to_owned());
    manifest.brings.grant(&mut policy);
    Ok(tidy(policy))
}

/// What a plugin without a manifest wishes: a first-party one its place, a command every path that
/// the member's options name, for it was told to work on them.
fn wished(program: &Program, member: &MemberConfig) -> Policy {
    let place: Vec<PathBuf> = match program {
        Program::FirstParty { .. } => member.place().map(PathBuf::from).into_iter().collect(),
        Program::Executable { .. } => {
            let values = member.options.iter().map(|(_, value)| PathBuf::from(value));
            values.filter(|path| path.is_absolute()).collect()
        }
    };
    if member.read_only {
        Policy { read: place, ..Policy::default() }
    } else {
        Policy { write: place, ..Policy::default() }
    }
}

/// The paths that a command line names, its script for one: without them it could not start.
fn named(program: &Program) -> Vec<PathBuf> {
    match program {
        Program::FirstParty { .. } => Vec::new(),
        Program::Executable { args, .. } => {
            args.iter().map(PathBuf::from).filter(|path| path.is_absolute()).collect()
        }
    }
}

/// The manifest's wishes with this member's options filled in; not those in whose place the user
/// says something else.
fn filled(manifest: &Manifest, config: &Config, member: &MemberConfig) -> Result<Policy, Failure> {
    let (said, mut wishes) = (&member.sandbox, manifest.wishes.clone());
    wishes.read.retain(|_| said.read.is_none());
    wishes.write.retain(|_| said.write.is_none());
    wishes.execute.retain(|_| said.execute.is_none());
    wishes.network.retain(|_| said.network.is_none());
    let filled = manifest.fill(&wishes, &member.options, &config.secret());
    filled.map_err(|unfit| {
        let what = format!("the plugin of {} cannot be granted what it wants", member.name);
        let failure = Failure::new(Exit::Plugin, what).because(&unfit);
        failure.hint(format!("{}; or say in [member.{}.sandbox] what it may do", unfit.hint, member.name))
    })
}

/// Leaves out what a grant to write gives already. Not only for order's sake: a link that the plugin
/// put into a folder of its own would else, at the next start, be followed to what it may not see.
fn tidy(mut policy: Policy) -> Policy {
    let write = policy.write.clone();
    let replaceable = |path: &Path| write.iter().any(|grant| passes_through(path, grant));
    policy.write.retain(|path| !replaceable(path));
    policy.read.retain(|path| !write.contains(path) && !replaceable(path));
    for list in [&mut policy.read, &mut policy.write, &mut policy.execute] {
        list.sort();
        list.dedup();
    }
    policy
}

/// Something about a member's plugin that its user should know at every look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The member.
    pub member: String,
    /// Its plugin.
    pub plugin: String,
    /// In one word, for programs: `no_sandbox`, `weaken`, `untrusted` or `updated`.
    pub what: &'static str,
    /// In one line, for people.
    pub words: String,
}

/// What is to be known of a member's plugin before it starts: that it has no sandbox, or may be
/// started with less than it requires; that it waits for consent, or was updated since. Starts
/// nothing, writes nothing, asks nobody.
#[must_use]
pub fn notes(config: &Config, member: &MemberConfig) -> Vec<Note> {
    let examined = match config.plugin(&member.plugin).map(|plugin| &plugin.source) {
        Some(PluginSource::Manifest(file)) => {
            Some(consent::examine(&config.state, Some(&member.plugin), file))
        }
        _ => None,
    };
    let wished = match &examined {
        Some(Ok(examined)) => examined.manifest.wishes.on_unsupported,
        _ => OnUnsupported::Refuse,
    };
    let of_consent = examined.and_then(|examined| consent_note(&member.plugin, examined));
    let lines = of_consent.into_iter().chain(sandbox_note(member, wished));
    lines
        .map(|(what, words)| (what, as_called(&words)))
        .map(|(what, words)| Note { member: member.name.clone(), plugin: member.plugin.clone(), what, words })
        .collect()
}

type Line = (&'static str, String);

fn sandbox_note(member: &MemberConfig, wished: OnUnsupported) -> Option<Line> {
    let table = format!("[member.{}.sandbox]", member.name);
    if member.sandbox.profile == Some(Profile::None) {
        return Some((
            "no_sandbox",
            format!("has no sandbox and can do what you can: `profile = \"none\"` in {table}"),
        ));
    }
    let (weakened, place) = match member.sandbox.on_unsupported {
        Some(said) => (said, table),
        None => (wished, "its manifest".to_owned()),
    };
    let weakened = weakened == OnUnsupported::Weaken;
    weakened.then(|| {
        let words = format!(
            "is started even where its sandbox cannot be enforced: `on_unsupported = \"weaken\"` in {place}"
        );
        ("weaken", words)
    })
}

fn consent_note(plugin: &str, examined: Result<consent::Examined, Failure>) -> Option<Line> {
    let standing = match examined {
        Ok(examined) => examined.standing,
        // Told as a failure before anything starts: see `check_plugin`.
        Err(failure) if failure.exit == Exit::Usage => return None,
        Err(failure) => return Some(("untrusted", format!("cannot be started: {failure}"))),
    };
    if let Some(why) = standing.refusal(plugin) {
        return Some(("untrusted", format!("is not started: {why}; `outrigger plugin trust {plugin}` asks")));
    }
    let changed = matches!(standing, Standing::Updated { .. } | Standing::Trusted { updated: Some(_) });
    changed.then(|| {
        let words = format!(
            "has changed since you trusted {}, and wants no more than before; `outrigger plugin trust {0}` \
             takes note",
            Printable(plugin)
        );
        ("updated", words)
    })
}

#[cfg(test)]
mod tests;
