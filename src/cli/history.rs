//! `log`, `undo`, `reset` and `forget`: what was done, and starting over.

use std::path::PathBuf;

use clap::Args;

/// Show the last runs, or what one run overwrote and deleted
///
/// Starts no plugin and writes nothing. What a run overwrote or deleted is kept for a while (`journal` in the
/// configuration), and can be had back with `outrigger undo`.
#[derive(Debug, Args)]
#[command(after_help = LOG_HELP)]
pub(crate) struct LogArgs {
    /// A group; all if none is named
    #[arg(value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// A run, by its number: what it overwrote and deleted, item by item
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<i64>,

    /// Runs that are shown of each group
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,

    /// Show also runs that did nothing, and that nothing stopped
    #[arg(long)]
    pub(crate) all: bool,

    /// Print one JSON object as the only line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Bring back what a run overwrote or deleted
///
/// The next sync writes it to all members, as it would an edit; what that overwrites is kept in its turn.
/// Items that the run made stay. In a group with a member whose content is everybody's (`mode = "mirror:…"`,
/// `readonly = "revert"`) only --to is of use. Waits 5 s for a run that is busy with the group, and ends
/// with 75 if it does not end.
#[derive(Debug, Args)]
#[command(after_help = UNDO_HELP)]
pub(crate) struct UndoArgs {
    /// The run, as `outrigger log` names it: GROUP:NUMBER, or the number where there is one group
    #[arg(value_name = "RUN", value_parser = run)]
    pub(crate) run: RunName,

    /// Items of it, by the numbers that `outrigger log` shows; all if none is named
    #[arg(value_name = "ITEM")]
    pub(crate) items: Vec<i64>,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Write what one item was into this new file, and undo nothing; `-` is standard output
    ///
    /// The file is readable by you alone. One that is there already is never overwritten.
    #[arg(long, value_name = "FILE", requires = "items", conflicts_with_all = ["dry_run", "json"])]
    pub(crate) to: Option<PathBuf>,

    /// Print one JSON object as the only line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Have a member list everything at the next sync, and compare it anew
///
/// For a member that seems to be out of step. Changes no item, and that sync deletes nothing: the one after
/// it asks for each item that was left out by its name, and takes it for deleted if it is gone. To have
/// back what the member lacks, see --new-store.
#[derive(Debug, Args)]
#[command(after_help = RESET_HELP)]
pub(crate) struct ResetArgs {
    /// The member
    #[arg(value_name = "MEMBER")]
    pub(crate) member: String,

    /// A group that it is in; all of them if none is named
    #[arg(value_name = "GROUP")]
    pub(crate) group: Option<String>,

    /// It is another store than before: a new account, another disk, an emptied folder
    ///
    /// What was known of its items is forgotten. The next sync meets it for the first time: what others have
    /// is made there, what it has is made at the others, and nothing is deleted. If what it holds is everybody's
    /// (`mode = "mirror:…"`, `readonly = "revert"`), what it lacks is deleted at the others.
    #[arg(long)]
    pub(crate) new_store: bool,
}

/// Forget what is known of a group: its members meet for the first time at the next sync
///
/// Items are not touched, neither now nor then: nothing is deleted and nothing overwritten, unless the
/// group has a member whose content is everybody's. What can be undone is forgotten, and what waits in
/// `outrigger conflicts`.
#[derive(Debug, Args)]
#[command(after_help = FORGET_HELP)]
pub(crate) struct ForgetArgs {
    /// The group; it need not be in the configuration any more
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// A run: its group, where that is said, and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunName {
    pub(crate) group: Option<String>,
    pub(crate) number: i64,
}

fn run(text: &str) -> Result<RunName, &'static str> {
    const SHAPE: &str = "write it as `outrigger log` shows it: GROUP:NUMBER, or NUMBER";
    let (group, number) = match text.rsplit_once(':') {
        Some((group, number)) => (Some(group.to_owned()), number),
        None => (None, text),
    };
    let number = number.parse().map_err(|_| SHAPE)?;
    if group.as_deref() == Some("") { Err(SHAPE) } else { Ok(RunName { group, number }) }
}

const LOG_HELP: &str = "\
Examples:
  outrigger log
  outrigger log contacts
  outrigger log contacts 12";

const UNDO_HELP: &str = "\
Exit codes: 0 done; 2 there is no such run or item, or it cannot be undone here; 75 a run is busy with the group.

Examples:
  outrigger undo contacts:12 --dry-run
  outrigger undo contacts:12
  outrigger undo contacts:12 48 51
  outrigger undo contacts:12 48 --to anna.vcf";

const RESET_HELP: &str = "\
Examples:
  outrigger reset phone
  outrigger reset phone contacts --new-store";

const FORGET_HELP: &str = "\
Examples:
  outrigger forget contacts
  outrigger forget contacts --yes";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_number_and_perhaps_a_group() {
        let name = |group: Option<&str>, number| Ok(RunName { group: group.map(str::to_owned), number });
        assert_eq!(run("12"), name(None, 12));
        assert_eq!(run("contacts:12"), name(Some("contacts"), 12));
        assert!(
            run("contacts").is_err() && run(":1").is_err() && run("contacts:").is_err() && run("").is_err()
        );
    }
}
