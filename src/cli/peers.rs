//! `peers …`: who is trusted among ends that are found.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use outrigger::protocol::EndName;

/// See and decide which programs that are found are trusted
///
/// A member with `locate` is a program that runs anyway, and is found instead of started. It proves
/// a secret each time; the first time, you compare a code that both sides show.
#[derive(Debug, Args)]
pub(crate) struct PeersArgs {
    #[command(subcommand)]
    pub(crate) verb: PeersVerb,
}

/// What to do with the ends that are found.
#[derive(Debug, Subcommand)]
pub(crate) enum PeersVerb {
    List(PeersListArgs),
    Approve(PeersApproveArgs),
    Revoke(PeersRevokeArgs),
}

/// Show which ends are trusted, and which wait for it
///
/// Those that are there, and those that are known. Connects to none of them.
#[derive(Debug, Args)]
pub(crate) struct PeersListArgs {
    /// Print one JSON object as the only line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Trust the program that has announced itself under a name
///
/// Compare the code with the one that the program shows. What is trusted from then on is the
/// secret behind the code, whoever has it. Approving again replaces what was approved before.
#[derive(Debug, Args)]
#[command(after_help = APPROVE_HELP)]
pub(crate) struct PeersApproveArgs {
    /// The end, as `locate` names it
    #[arg(value_name = "NAME", value_parser = end_name)]
    pub(crate) name: EndName,

    /// The code that the program shows; without it you are asked
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,

    /// Take the secret from this file, for a program that does not announce itself
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    pub(crate) key: Option<PathBuf>,
}

/// Trust a name no longer
///
/// A connection that is open is not ended by it; no new one is made.
#[derive(Debug, Args)]
pub(crate) struct PeersRevokeArgs {
    /// The end, as `locate` names it
    #[arg(value_name = "NAME", value_parser = end_name)]
    pub(crate) name: EndName,
}

fn end_name(text: &str) -> Result<EndName, &'static str> {
    EndName::new(text).ok_or("a name has letters, digits, - and _, at most 30")
}

const APPROVE_HELP: &str = "\
Examples:
  outrigger peers list
  outrigger peers approve notes 4F7K-9QX2-M0TR
  outrigger peers approve notes --key ~/.notes/outrigger-notes.key";
