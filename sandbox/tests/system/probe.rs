//! The attacker: a plugin that tries everything it should not be able to do, and a few things that
//! it should.
//!
//! It reads its [`Targets`] from its connection and prints, for each probe, first `begin NAME` and
//! then a [`Verdict`] as a line of JSON. Every probe that can run in a child process does, so that
//! one which is killed does not end the others. Where forks are not allowed it runs in this
//! process, and whoever started it starts it again with those that are left. What each probe
//! should get stands in `matrix/table.rs`.

mod attributes;
mod controls;
mod environment;
mod executing;
mod ipc;
mod kernel;
mod metadata;
mod network;
mod processes;
pub(crate) mod raw;
mod reading;
mod resources;
mod signals;
mod targets;
mod unix;
mod writing;

use std::io::{self, BufRead, Write};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use raw::{Attempt, End};
pub(crate) use targets::{Ipc, Limits, Network, Processes, Targets};

/// One attack or one control: `Ok` means that it got what it wanted.
type Probe = (&'static str, fn(&Targets) -> Attempt);

/// What stopped a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The kernel refused.
    Errno(i32),
    /// The kernel ended it.
    Signal(i32),
    /// It could not be tried here.
    Skipped(String),
    /// The probe itself went wrong: no verdict.
    Wrong(String),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or_else(|| Self::Wrong(error.to_string()), Self::Errno)
    }
}

/// What a probe got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What a probe got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// What it wanted.
    Open,
    /// Nothing: the kernel refused, or ended it.
    Blocked {
        /// The number of the error, or minus the number of the signal.
        errno: i32,
    },
    /// It could not be tried.
    Skipped { why: String },
    /// It went wrong.
    Broken { why: String },
}

impl From<Attempt> for Outcome {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Ok(()) => Self::Open,
            Err(Failed::Errno(errno)) => Self::Blocked { errno },
            Err(Failed::Signal(libc::SIGALRM)) => Self::Broken { why: "it hung".into() },
            Err(Failed::Signal(signal)) => Self::Blocked { errno: -signal },
            Err(Failed::Skipped(why)) => Self::Skipped { why },
            Err(Failed::Wrong(why)) => Self::Broken { why },
        }
    }
}

/// All attacks, each of which may be ended by the kernel.
const ATTACKS: [&[Probe]; 12] = [
    reading::PROBES,
    writing::PROBES,
    attributes::PROBES,
    metadata::PROBES,
    executing::PROBES,
    network::PROBES,
    unix::PROBES,
    ipc::PROBES,
    processes::PROBES,
    signals::PROBES,
    kernel::PROBES,
    resources::PROBES,
];

/// What must be looked at in the plugin's own process.
const AT_HOME: [&[Probe]; 2] = [environment::PROBES, controls::PROBES];

/// The names of all probes, in the order in which they run.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ATTACKS.into_iter().chain(AT_HOME).flatten().map(|probe| probe.0)
}

/// The parent of the plugin's own process: 0 if it stands in another pid namespace.
static PARENT: OnceLock<i32> = OnceLock::new();

/// Runs the probes that the first line of standard input names.
pub(crate) fn run() -> i32 {
    PARENT.get_or_init(|| rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get()));
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).unwrap();
    let targets: Targets = serde_json::from_str(&line).unwrap();
    let wanted = |probe: &&Probe| targets.only.is_empty() || targets.only.iter().any(|name| name == probe.0);
    for probe in AT_HOME.into_iter().flatten().filter(wanted) {
        begin(probe.0);
        tell(probe.0, (probe.1)(&targets));
    }
    for probe in ATTACKS.into_iter().flatten().filter(wanted) {
        begin(probe.0);
        attack(*probe, &targets);
    }
    0
}

/// Runs a probe in a child, or here if there can be none.
fn attack((name, body): Probe, targets: &Targets) {
    let told = raw::in_child(|| {
        // SAFETY: takes no pointer; without a handler the signal ends this process, as is meant.
        unsafe { libc::alarm(10) };
        tell(name, body(targets));
        0
    });
    match told {
        Ok(End::Code(0)) => {}
        Ok(End::Code(code)) => tell(name, Err(Failed::Wrong(format!("it left with {code}")))),
        Ok(End::Signal(signal)) => tell(name, Err(Failed::Signal(signal))),
        Err(_) => tell(name, body(targets)),
    }
}

fn begin(name: &str) {
    say(&format!("begin {name}"));
}

fn tell(name: &str, attempt: Attempt) {
    let verdict = Verdict { name: name.into(), outcome: attempt.into() };
    say(&serde_json::to_string(&verdict).unwrap());
}

/// Writes a line whole, without a buffer that a child would inherit.
fn say(line: &str) {
    io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
    io::stdout().lock().flush().unwrap();
}

/// A probe that cannot be tried.
fn skipped<T>(why: &str) -> Attempt<T> {
    Err(Failed::Skipped(why.into()))
}

/// An attempt that failed without an error of the system.
fn check(is_so: bool) -> Attempt {
    if is_so { Ok(()) } else { Err(Failed::Errno(0)) }
}

/// The parent of the plugin's own process.
fn parent() -> Attempt<i32> {
    match *PARENT.get().unwrap() {
        0 => Err(Failed::Errno(libc::ESRCH)), // of another world
        parent => Ok(parent),
    }
}

/// Reads a file as text.
fn read_text(file: impl AsRef<std::path::Path>) -> Attempt<String> {
    Ok(String::from_utf8_lossy(&raw::read(file)?).into_owned())
}
