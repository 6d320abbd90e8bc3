//! The command line: names, arguments and help texts, and nothing else.
//!
//! No logic lives here, so that man pages, shell completions and the reference
//! `tests/system/help.txt` can be made from it.

mod conflicts;
mod history;
#[cfg_attr(not(unix), allow(dead_code, reason = "the help is the same everywhere"))]
mod peers;
mod plugin;
mod sandbox;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use outrigger::engine::Allow;

pub(crate) use conflicts::{
    ConflictsArgs, ConflictsListArgs, ConflictsResolveArgs, ConflictsShowArgs, ConflictsVerb, How,
};
pub(crate) use history::{ForgetArgs, LogArgs, ResetArgs, RunName, UndoArgs};
#[cfg_attr(not(unix), allow(unused_imports, reason = "the help is the same everywhere"))]
pub(crate) use peers::{PeersApproveArgs, PeersArgs, PeersListArgs, PeersRevokeArgs, PeersVerb};
pub(crate) use plugin::{
    Language, PluginArgs, PluginCheckArgs, PluginDistrustArgs, PluginInfoArgs, PluginNewArgs,
    PluginReplayArgs, PluginRunArgs, PluginTrustArgs, PluginVerb, SubjectArgs,
};
pub(crate) use sandbox::{DoctorArgs, SandboxArgs, SandboxRunArgs, SandboxVerb, WantedTier};

/// Keep contacts, calendars and files the same, through plugins that run isolated
///
/// Members are the places (a folder, a server, a program); a group says which of them hold the
/// same items. Each member is served by a plugin in a process of its own.
#[derive(Debug, Parser)]
#[command(name = "outrigger", version, after_help = ROOT_HELP, disable_help_subcommand = true)]
#[command(max_term_width = 100)]
pub(crate) struct Cli {
    /// Configuration file
    ///
    /// Without it: $XDG_CONFIG_HOME/outrigger/config.toml, or ~/.config/outrigger/config.toml.
    #[arg(short, long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Say more on stderr: -v the steps and what plugins print, -vv also their starts and ends
    #[arg(short, long, global = true, help_heading = GLOBAL, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// How messages on stderr are written
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) log_format: LogFormat,

    /// When to use colour; NO_COLOR is respected
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) color: Color,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// If a terminal watches.
    #[default]
    Auto,
    /// Even into a file.
    Always,
    /// Not at all.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Sync(SyncArgs),
    Plan(PlanArgs),
    Status(StatusArgs),
    Conflicts(ConflictsArgs),
    Log(LogArgs),
    Undo(UndoArgs),
    Reset(ResetArgs),
    Forget(ForgetArgs),
    Check(CheckArgs),
    Doctor(DoctorArgs),
    Sandbox(SandboxArgs),
    Init(InitArgs),
    Demo(DemoArgs),
    Peers(PeersArgs),
    Plugin(PluginArgs),
    Broker(BrokerArgs),
}

/// Bring the members of groups to the same state
///
/// Starts one plugin process per member, asks each what it has, and writes to every member what
/// the others have new. Deletions come last, and a run that would delete, update or create
/// suspiciously much stops before it does. Items that several members changed stay as they are and wait
/// for a decision, unless the configuration says how to settle that.
/// Whatever is overwritten or deleted is kept in the journal.
#[derive(Debug, Args)]
#[command(after_help = SYNC_HELP)]
pub(crate) struct SyncArgs {
    /// Groups, or single collections of them; all groups if none is named
    #[arg(value_name = "GROUP[/COLLECTION]", value_parser = target)]
    pub(crate) targets: Vec<Target>,

    /// Print one JSON object as the last line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,

    /// Do what is in this plan, as `outrigger plan -o FILE` wrote it, and nothing else
    ///
    /// What has changed since waits, and is told (exit code 4): plan anew for it.
    #[arg(long, value_name = "FILE", conflicts_with = "targets")]
    pub(crate) plan: Option<PathBuf>,

    /// Have every member list everything, and read every item, to find what changed behind its revision
    #[arg(long)]
    pub(crate) verify: bool,

    #[command(flatten)]
    pub(crate) leave: AllowArgs,

    /// Try once more what was set aside because a plugin crashed
    ///
    /// Starts plugins that have crashed too often, and tries the items that they crashed over. Good after
    /// a plugin was mended.
    #[arg(long)]
    pub(crate) retry_crashed: bool,

    /// Print nothing but errors and the JSON object
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Leave to go on in spite of a guard.
#[derive(Debug, Args)]
pub(crate) struct AllowArgs {
    /// Go on although the guard stopped the last run before it deleted N items
    ///
    /// The number must be the one that the guard named, so that an old command line cannot allow
    /// another, larger deletion. It is good once: for the first collection that it fits.
    #[arg(long, value_name = "N")]
    pub(crate) allow_deletes: Option<u64>,

    /// Go on although the guard stopped the last run before it updated N items
    ///
    /// As with --allow-deletes.
    #[arg(long, value_name = "N")]
    pub(crate) allow_updates: Option<u64>,

    /// Go on although the guard stopped the last run before it created N items
    ///
    /// As with --allow-deletes.
    #[arg(long, value_name = "N")]
    pub(crate) allow_creates: Option<u64>,
}

impl AllowArgs {
    /// The leave that they give.
    pub(crate) fn allow(&self) -> Allow {
        Allow { deletes: self.allow_deletes, updates: self.allow_updates, creates: self.allow_creates }
    }
}

/// Show what a sync would do, and write nothing at all
///
/// Reads every member of the groups as a sync would. No member, no state, no anchor is written.
#[derive(Debug, Args)]
#[command(after_help = PLAN_HELP)]
pub(crate) struct PlanArgs {
    /// Groups, or single collections of them; all groups if none is named
    #[arg(value_name = "GROUP[/COLLECTION]", value_parser = target)]
    pub(crate) targets: Vec<Target>,

    /// Print one JSON object as the last line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,

    /// Keep it in this file, for `outrigger sync --plan FILE`, which does just that
    ///
    /// The file is readable by you alone, and is replaced if it is there.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) leave: AllowArgs,

    /// Print nothing but errors and the JSON object: the exit code says whether anything is in the way
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Show how each group stands: last run, what waits, what went wrong
///
/// Starts no plugin and writes nothing: it tells what the last runs left. The exit code says what
/// a person has to look at, as after a sync.
#[derive(Debug, Args)]
#[command(after_help = STATUS_HELP)]
pub(crate) struct StatusArgs {
    /// Groups; all if none is named
    #[arg(value_name = "GROUP")]
    pub(crate) groups: Vec<String>,

    /// Print one JSON object as the only line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Try the configuration without touching an item
///
/// Reads the configuration, starts each member's plugin, and asks it for its collections. Says
/// what the sandbox of each plugin enforces on this machine.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Groups; all if none is named
    #[arg(value_name = "GROUP")]
    pub(crate) groups: Vec<String>,

    /// Print one JSON object as the only line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a configuration for two places, or more
///
/// Asks for the type and the place of two, unless they are given. Never overwrites a file,
/// and synchronises nothing.
#[derive(Debug, Args)]
#[command(after_help = INIT_HELP)]
pub(crate) struct InitArgs {
    /// A member: its name, its plugin, and the place that the plugin shall look at
    #[arg(long = "member", value_name = "NAME=PLUGIN:PLACE", value_parser = new_member)]
    pub(crate) members: Vec<NewMember>,

    /// Name of their group
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
}

/// Show a sync from beginning to end, with two address books in a temporary folder
///
/// Synchronises them through two plugin processes, changes both, makes a conflict, synchronises
/// again, and says what happened and where to look.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave the folder where it is, to look around in it
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Start and find plugins for several runs, in a process of its own
///
/// Runs until it is told to end (SIGTERM, or Ctrl-C), one for each user. Runs and programs whose
/// configuration says `broker = true` have it start their plugins, and find their ends, instead of
/// doing so themselves. It needs no configuration. Plugins end with the run that asked for them, and
/// with the broker.
#[derive(Debug, Args)]
#[command(after_help = BROKER_HELP)]
pub(crate) struct BrokerArgs {}

/// A group, or one collection of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) collection: Option<String>,
}

fn target(text: &str) -> Result<Target, &'static str> {
    // Group names have no slash; names of collections may.
    let (group, collection) = match text.split_once('/') {
        Some((_, "")) => return Err("the collection after the slash is missing"),
        Some((group, collection)) => (group, Some(collection.to_owned())),
        None => (text, None),
    };
    if group.is_empty() {
        return Err("the name of the group is missing");
    }
    Ok(Target { group: group.to_owned(), collection })
}

/// A member that `init` shall write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewMember {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) place: String,
}

fn new_member(text: &str) -> Result<NewMember, &'static str> {
    const SHAPE: &str = "write it as NAME=PLUGIN:PLACE, such as laptop=vdir:~/contacts";
    let (name, rest) = text.split_once('=').ok_or(SHAPE)?;
    let (plugin, place) = rest.split_once(':').ok_or(SHAPE)?;
    if name.is_empty() || plugin.is_empty() || place.is_empty() {
        return Err(SHAPE);
    }
    Ok(NewMember { name: name.to_owned(), plugin: plugin.to_owned(), place: place.to_owned() })
}

const GLOBAL: &str = "Options of every command";

const ROOT_HELP: &str = "\
Exit codes:
    0  all done
    1  internal error
    2  the command line or the configuration is wrong
    3  done, but conflicts wait for a decision
    4  partial: some items or members failed or are not done yet; trying again may help
    5  stopped by a guard: too much would be deleted, updated or created
    6  credentials are missing or refused
    7  a plugin is broken, was denied something, or is not trusted
   75  another run holds the lock of the group, or of a member; or a broker runs already
  130  interrupted; what is written down is consistent
  If several hold, the first of 1, 130, 2, 7, 6, 5, 75, 4, 3.

Results go to stdout; messages and progress go to stderr.

Examples:
  outrigger demo
  outrigger init --member laptop=vdir:~/contacts --member usb=vdir:/media/usb --group backup
  outrigger plan backup
  outrigger sync backup";

const SYNC_HELP: &str = "\
Exit codes: 0 all done, 3 conflicts wait, 4 partial, 5 stopped by the guard, 75 another run is busy;
the others are in `outrigger --help`.

Examples:
  outrigger sync
  outrigger sync contacts/family
  outrigger sync contacts --json | tail -n 1
  outrigger sync --plan contacts.plan
  outrigger sync contacts --allow-deletes 812";

const PLAN_HELP: &str = "\
Examples:
  outrigger plan
  outrigger plan contacts/family
  outrigger plan contacts -o contacts.plan
  outrigger plan contacts --json | tail -n 1";

const STATUS_HELP: &str = "\
Exit codes: 0 nothing waits, 3 conflicts wait, 4 items or members are behind, 5 the guard waits, or
what the last run failed with; all are in `outrigger --help`.

Examples:
  outrigger status
  outrigger status contacts --json";

const BROKER_HELP: &str = "\
Exit codes: 0 told to end, 7 the runtime directory cannot be used, 75 a broker of this user runs already.

Examples:
  outrigger broker
  outrigger -vv broker";

const INIT_HELP: &str = "\
Examples:
  outrigger init
  outrigger init --member laptop=vdir:~/contacts --member usb=vdir:/media/usb --group backup
  outrigger -c ./pair.toml init --member a=vdir:a --member b=vdir:b --group pair";

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::{env, fs};

    use clap::CommandFactory as _;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/help.txt");

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    /// The help of the command and of every verb, as one text.
    fn complete_help() -> String {
        let mut command = Cli::command().term_width(100);
        command.build();
        let mut text = String::new();
        add_help(&mut command, "outrigger", &mut text);
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// The help of a command, and of every verb below it.
    fn add_help(command: &mut clap::Command, called: &str, text: &mut String) {
        writeln!(text, "$ {called} --help\n{}", command.render_long_help()).unwrap();
        for verb in command.get_subcommands_mut() {
            let called = format!("{called} {}", verb.get_name());
            add_help(verb, &called, text);
        }
    }

    #[test]
    fn the_help_is_the_one_that_was_reviewed() {
        let now = complete_help();
        if env::var_os("UPDATE_HELP").is_some() {
            fs::write(GOLDEN, &now).unwrap();
        }
        let reviewed = fs::read_to_string(GOLDEN).unwrap_or_default();
        let how = "the help changed; if it is meant to, run `UPDATE_HELP=1 cargo test -p outrigger the_help_is` \
                   and review the difference in tests/system/help.txt";
        assert!(now == reviewed.replace("\r\n", "\n"), "{how}\n\nnow it is:\n{now}");
    }

    #[test]
    fn global_options_stand_before_or_after_the_verb() {
        for line in ["outrigger -c f -vv sync g", "outrigger sync g -c f -v -v"] {
            let cli = parse(line).unwrap();
            assert_eq!((cli.config, cli.verbose), (Some("f".into()), 2), "{line}");
        }
    }

    #[test]
    fn a_target_is_a_group_and_perhaps_a_collection() {
        let collection = |name: &str| Some(name.to_owned());
        assert_eq!(target("g"), Ok(Target { group: "g".into(), collection: None }));
        assert_eq!(target("g/a/b"), Ok(Target { group: "g".into(), collection: collection("a/b") }));
        assert!(target("g/").is_err() && target("/c").is_err() && target("").is_err());
    }

    #[test]
    fn a_place_may_contain_whatever_paths_contain() {
        let member = new_member("usb=vdir:C:\\a=b:c").unwrap();
        assert_eq!((&*member.name, &*member.plugin, &*member.place), ("usb", "vdir", "C:\\a=b:c"));
        for text in ["usb", "usb=vdir", "usb=:x", "=vdir:x", "usb=vdir:"] {
            assert!(new_member(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mistyped_verb_is_a_usage_error() {
        assert_eq!(parse("outrigger snyc").unwrap_err().exit_code(), 2);
        assert_eq!(parse("outrigger sync --allow-deletes many").unwrap_err().exit_code(), 2);
    }
}
