//! `plugin …`: the verbs for those who use plugins of others, and for authors.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Trust the plugins of others; check, watch and begin your own
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    pub(crate) verb: PluginVerb,
}

/// What to do with a plugin.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginVerb {
    Info(PluginInfoArgs),
    Trust(PluginTrustArgs),
    Distrust(PluginDistrustArgs),
    Check(PluginCheckArgs),
    Run(PluginRunArgs),
    Replay(PluginReplayArgs),
    New(PluginNewArgs),
}

/// Show what a plugin is, what it wants, and whether you trust it
///
/// Reads its manifest and compares it with what you agreed to. Starts nothing.
#[derive(Debug, Args)]
pub(crate) struct PluginInfoArgs {
    /// What the configuration calls it; or a plugin.toml, or the folder of one
    #[arg(value_name = "NAME|PATH")]
    pub(crate) plugin: String,

    /// Print one JSON object instead, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Agree to what a plugin with a manifest wants
///
/// Shows it as `plugin info` does, and asks. Until then the plugin is not started. It is asked again
/// when an update of the plugin wants more; an update that does not is started, and told of.
#[derive(Debug, Args)]
#[command(after_help = TRUST_HELP)]
pub(crate) struct PluginTrustArgs {
    /// What the configuration calls it
    #[arg(value_name = "NAME")]
    pub(crate) plugin: String,

    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Take it back: the plugin is not started any more
#[derive(Debug, Args)]
pub(crate) struct PluginDistrustArgs {
    /// What the configuration calls it
    #[arg(value_name = "NAME")]
    pub(crate) plugin: String,
}

/// Which plugin, and how it is started.
#[derive(Debug, Args)]
pub(crate) struct SubjectArgs {
    /// An executable, a folder with a plugin.toml, or the name of a first-party plugin
    #[arg(value_name = "PATH|NAME")]
    pub(crate) plugin: String,

    /// A setting of the plugin; `{scratch}` in the value is a fresh folder
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = option)]
    pub(crate) options: Vec<(String, String)>,

    /// Start it without a sandbox
    #[arg(long)]
    pub(crate) no_sandbox: bool,

    /// Arguments of the executable
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<OsString>,
}

/// Drive a plugin through the rules of the protocol
///
/// Starts it several times, plays conversations that try its manners, and prints a line for each
/// rule. Works with any executable in any language. docs/plugins.md explains the rules.
#[derive(Debug, Args)]
#[command(after_help = CHECK_HELP)]
pub(crate) struct PluginCheckArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,

    /// Print one JSON object instead, for programs
    #[arg(long)]
    pub(crate) json: bool,

    /// Items that are written and listed for the rule `memory`
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) items: usize,

    /// Seconds that any one answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) patience: u64,
}

/// Play one ordinary conversation with a plugin, to watch or to keep it
///
/// Connects each of its collections, lists it and reads its first items.
#[derive(Debug, Args)]
pub(crate) struct PluginRunArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,

    /// Print every frame: when, which way, header and decoded body; secrets are blanked
    #[arg(long)]
    pub(crate) trace: bool,

    /// Write the conversation to a file, for `plugin replay`; secrets are blanked
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Also create, update and delete an item
    #[arg(long)]
    pub(crate) write: bool,
}

/// Repeat a recorded conversation, and compare what the plugin says now
#[derive(Debug, Args)]
pub(crate) struct PluginReplayArgs {
    /// What `plugin run --record` wrote
    #[arg(value_name = "FILE")]
    pub(crate) recording: PathBuf,

    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
}

/// Write a connector that works at once, to begin with
#[derive(Debug, Args)]
#[command(after_help = NEW_HELP)]
pub(crate) struct PluginNewArgs {
    /// Its name; a folder of that name is made
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// The language to write it in
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
}

/// A language that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    Python,
}

fn option(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE, such as path={scratch}"),
    }
}

const TRUST_HELP: &str = "\
Exit codes: 0 it is trusted now, 7 you did not agree, or its manifest cannot be used, 2 there is no
such plugin.

Examples:
  outrigger plugin trust people
  outrigger plugin trust people --yes";

const CHECK_HELP: &str = "\
Exit codes: 0 every rule that could be tried holds, 7 a rule is broken, 2 the plugin refuses its
settings, 4 something else kept rules from being tried.

Examples:
  outrigger plugin check vdir
  outrigger plugin check ./target/debug/my-plugin --option path={scratch}
  outrigger plugin check ./my_plugin.py --json -- --verbose";

const NEW_HELP: &str = "\
Examples:
  outrigger plugin new notes --lang rust
  (cd notes && cargo build) && outrigger plugin check notes
  outrigger plugin new demo --lang python && outrigger plugin check demo";
