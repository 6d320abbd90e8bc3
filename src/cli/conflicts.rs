//! `conflicts …`: what waits for a person.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// List what members contradict each other about, look at it, settle it
///
/// Works on what the last sync left, and starts no plugin. What is chosen here, the next sync carries out.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = CONFLICTS_HELP)]
pub(crate) struct ConflictsArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<ConflictsVerb>,

    #[command(flatten)]
    pub(crate) list: ConflictsListArgs,
}

/// What to do about conflicts.
#[derive(Debug, Subcommand)]
pub(crate) enum ConflictsVerb {
    List(ConflictsListArgs),
    Show(ConflictsShowArgs),
    Resolve(ConflictsResolveArgs),
}

/// List the conflicts that wait, each with its ID
///
/// Ends with 3 if any waits, as a sync does.
#[derive(Debug, Args)]
pub(crate) struct ConflictsListArgs {
    /// Groups; all if none is named
    #[arg(value_name = "GROUP")]
    pub(crate) groups: Vec<String>,

    /// Print one JSON object as the only line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show side by side what members hold of an item, and how to settle it
#[derive(Debug, Args)]
pub(crate) struct ConflictsShowArgs {
    /// The conflict: its ID, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// Print one JSON object as the only line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Settle conflicts, in any order; the next sync carries it out
///
/// What members hold and lose by it is kept in the journal (`outrigger log`). Waits 5 s for a run that is
/// busy with the group, and ends with 75 if it does not end.
#[derive(Debug, Args)]
#[command(after_help = RESOLVE_HELP)]
pub(crate) struct ConflictsResolveArgs {
    /// The conflicts: their IDs, or the beginnings of them
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,

    #[command(flatten)]
    pub(crate) how: How,
}

/// One of several ways to settle a conflict.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct How {
    /// What this member has goes to all
    #[arg(long, value_name = "MEMBER")]
    pub(crate) take: Option<String>,

    /// All changes go to all, where nothing was changed twice
    ///
    /// Needs what was agreed before: it is kept in groups with `conflict = "merge"` or a command.
    #[arg(long)]
    pub(crate) merge: bool,

    /// What was chosen before, and no member has yet, goes to all
    #[arg(long)]
    pub(crate) chosen: bool,

    /// What the first member has stays, each other content becomes an item of its own
    ///
    /// It gets a new UID, and the member's name and the day in its title.
    #[arg(long)]
    pub(crate) keep_both: bool,

    /// The item is deleted everywhere
    #[arg(long)]
    pub(crate) delete: bool,

    /// Make the content in an editor ($VISUAL, $EDITOR, or vi)
    #[arg(long)]
    pub(crate) edit: bool,

    /// The content of this file goes to all; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) content: Option<PathBuf>,
}

const CONFLICTS_HELP: &str = "\
Exit codes: 0 done, or nothing waits; 2 there is no such conflict (any more), or the choice does not fit it;
3 conflicts wait (list); 75 a run is busy with the group.

Examples:
  outrigger conflicts
  outrigger conflicts contacts
  outrigger conflicts show 3fa9c1
  outrigger conflicts resolve 3fa9c1 --take laptop";

const RESOLVE_HELP: &str = "\
Examples:
  outrigger conflicts resolve 3fa9c1 --merge
  outrigger conflicts resolve 3fa9c1 77ab04 --take laptop
  outrigger conflicts resolve 3fa9c1 --content anna.vcf";
