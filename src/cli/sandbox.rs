//! `doctor` and `sandbox …`: the verbs that show what a sandbox does.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use outrigger::broker::Grant;
use outrigger::config::parse_size;
use outrigger::sandbox::{Guarantee, Policy};

/// Show what this machine can enforce on plugins, and whether what is kept of groups holds together
///
/// Starts a plugin of our own and a program, neither of which does anything, in each tier of the
/// sandbox, and tells what they got and what could be done about the rest. Then, if there is a configuration,
/// checks the state of each group. Writes nothing.
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_HELP)]
pub(crate) struct DoctorArgs {
    /// Groups to verify; all if none is named
    #[arg(value_name = "GROUP", requires = "verify")]
    pub(crate) groups: Vec<String>,

    /// Read every item of every member, and compare it with what is kept: finds what no sync would see
    ///
    /// Takes as long as a first sync, and writes nothing. What it finds, `outrigger sync --verify` brings
    /// across. Ends with 4 if there is any.
    #[arg(long)]
    pub(crate) verify: bool,

    /// Print one JSON object as the only line of stdout, for programs; see docs/json.md
    #[arg(long)]
    pub(crate) json: bool,
}

/// Try the sandbox by hand
#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    #[command(subcommand)]
    pub(crate) verb: SandboxVerb,
}

/// What to do in a sandbox.
#[derive(Debug, Subcommand)]
pub(crate) enum SandboxVerb {
    Run(SandboxRunArgs),
}

/// Run a command as a plugin would be run
///
/// It starts in `/` with the environment of a plugin, and gets the standard input, output and error of
/// this command, the latter two through pipes. Nothing of it is left when this command ends.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub(crate) struct SandboxRunArgs {
    /// A file or folder that it may read
    #[arg(long, value_name = "PATH")]
    pub(crate) read: Vec<PathBuf>,

    /// A file or folder that it may change
    #[arg(long, value_name = "PATH")]
    pub(crate) write: Vec<PathBuf>,

    /// A file or folder that it may read and execute, besides the command itself
    #[arg(long, value_name = "PATH")]
    pub(crate) execute: Vec<PathBuf>,

    /// A host and a port that it may reach through a proxy: `example.org:443`
    ///
    /// Also `127.0.0.1:8080` or `10.0.0.0/8:443` (these addresses), `*:443` (any public host), and
    /// `localhost:8080`. A name opens public addresses only. The command is told of the proxy by
    /// `https_proxy` and `ALL_PROXY` and has no other network. That needs the tier `namespaced`.
    /// `tcp:443` instead lets it connect by itself to that port of any address, in every tier.
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    pub(crate) connect: Vec<String>,

    /// Memory of all its processes together, such as 256MiB; at least 4MiB [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub(crate) memory: Option<u64>,

    /// Processes and threads at once; with 1 it can start none [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) processes: Option<u32>,

    /// The longest file that it may write [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) file_size: Option<u64>,

    /// Use this tier, and no other
    #[arg(long, value_enum, value_name = "TIER")]
    pub(crate) tier: Option<WantedTier>,

    /// A guarantee that must be enforced, besides those that every sandbox needs
    #[arg(long, value_name = "GUARANTEE", value_parser = guarantee)]
    pub(crate) require: Vec<Guarantee>,

    /// Run it also where something required cannot be enforced
    #[arg(long)]
    pub(crate) weaken: bool,

    /// Say on stderr what is enforced
    #[arg(long)]
    pub(crate) report: bool,

    /// The command, sought in PATH if there is no slash in it, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// A tier that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WantedTier {
    Namespaced,
    Landlocked,
}

fn size(text: &str) -> Result<u64, &'static str> {
    parse_size(text).ok_or("write it as a number and a unit, such as 256MiB")
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes < Policy::LEAST_MEMORY {
        let least = Policy::LEAST_MEMORY >> 20;
        return Err(format!("no program starts with so little: it must be at least {least}MiB"));
    }
    Ok(bytes)
}

fn guarantee(text: &str) -> Result<Guarantee, String> {
    let found = Guarantee::ALL.into_iter().find(|guarantee| guarantee.name() == text);
    found.ok_or_else(|| format!("the guarantees are {}", Guarantee::ALL.map(Guarantee::name).join(", ")))
}

fn endpoint(text: &str) -> Result<String, &'static str> {
    text.parse::<Grant>().map(|_| text.to_owned()).map_err(|_| {
        "write it as example.org:443, localhost:8080, 127.0.0.1:8080, [::1]:8080, 10.0.0.0/8:443, *:443 for any \
         public host, or tcp:443 for a port that it connects to by itself"
    })
}

const DOCTOR_HELP: &str = "\
Exit codes: 0 plugins can be started, 7 they would be refused, or the runtime directory is not safe.
docs/isolation.md explains tiers and guarantees.

Examples:
  outrigger doctor
  outrigger doctor --json";

const RUN_HELP: &str = "\
Exit codes: that of the command; 128 and the number of the signal that ended it; 127 there is no such
command, 126 it cannot be executed, 125 the sandbox cannot be had, 2 the command line is wrong.

Examples:
  outrigger sandbox run -- cat /etc/passwd
  outrigger sandbox run --read ~/contacts --report -- ls ~/contacts
  outrigger sandbox run --connect example.org:443 -- curl https://example.org/
  outrigger sandbox run --connect tcp:8080 --tier landlocked -- curl http://127.0.0.1:8080/
  outrigger sandbox run --tier landlocked --memory 64MiB -- python3 -c 'print(1)'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_granted_as_in_the_configuration() {
        for text in ["example.org:443", "*:443", "tcp:443", "[::1]:1", "10.0.0.0/8:25"] {
            assert_eq!(endpoint(text), Ok(text.to_owned()));
        }
        for text in ["", "443", "*", "*:", "*:0", "*:70000", "::1:443", "https://example.org:443"] {
            assert!(endpoint(text).unwrap_err().contains("example.org:443"), "{text}");
        }
    }

    #[test]
    fn guarantees_and_sizes_are_those_of_the_configuration() {
        assert_eq!(guarantee("fs_metadata"), Ok(Guarantee::FsMetadata));
        assert!(guarantee("metadata").unwrap_err().contains("fs_metadata"));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert!(size("1000").is_err());
        assert_eq!(memory("4MiB"), Ok(Policy::LEAST_MEMORY));
        assert!(memory("4095KiB").unwrap_err().contains("at least 4MiB"));
    }

    #[test]
    fn the_defaults_of_the_help_are_those_of_the_sandbox() {
        use clap::CommandFactory as _;
        let help = |flag: &str| {
            let command = crate::cli::Cli::command();
            let run = command.find_subcommand("sandbox").and_then(|it| it.find_subcommand("run")).unwrap();
            let told = run.get_arguments().find(|it| it.get_long() == Some(flag)).unwrap().get_help();
            let told = told.unwrap().to_string();
            told.rsplit_once("[default: ").unwrap().1.trim_end_matches(']').to_owned()
        };
        assert_eq!(size(&help("memory")), Ok(Policy::MEMORY));
        assert_eq!(size(&help("file-size")), Ok(Policy::FILE_SIZE));
        assert_eq!(help("processes"), Policy::PROCESSES.to_string());
    }
}
