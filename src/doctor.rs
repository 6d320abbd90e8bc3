//! What this machine can enforce on plugins: found by starting two that do nothing.
//!
//! A plugin of our own and a program are prepared and started by the same
//! [`prepare`] as every plugin, with what a plugin with one folder gets by default. So what is told
//! here is what plugins get, not what a kernel of this version should give.

mod drift;
mod machine;
mod states;
mod words;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use outrigger_sandbox::{
    Ceiling, Connection, Deadlines, Ended, FirstParty, Guarantee, Helper, Launch, LaunchError, Policy,
    Program, Report, Standing, Tier, prepare,
};
use serde::Serialize;

use crate::config::Config;
use crate::exit::Exit;
use crate::report::{Failure, FailureSummary};
pub use drift::{Drift, DriftItem, drift};
pub use machine::{Machine, Runtime};
pub use states::StateCheck;

/// The name of the plugin of our own that does nothing. No configuration can name it.
const TRIAL: &str = "doctor";

/// How long any step of a start may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The body of the plugin that does nothing, by its name.
#[must_use]
pub fn trial(name: &str) -> Option<FirstParty> {
    (name == TRIAL).then_some(|| 0)
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    exit: u8,
    gets: Kinds<Option<Tier>>,
    refused: Kinds<Vec<Guarantee>>,
    tiers: Tiers,
    machine: Machine,
    /// What is kept of each group.
    states: Vec<StateCheck>,
    /// What members hold beside what is kept of it; null: nobody asked.
    drift: Option<Drift>,
    /// Why that could not be looked at.
    failures: Vec<FailureSummary>,
}

/// The same of both kinds of plugin.
#[derive(Debug, Clone, Serialize)]
struct Kinds<T> {
    /// A plugin within our own executable: one process with one thread.
    first_party: T,
    /// Any executable.
    program: T,
}

#[derive(Debug, Serialize)]
struct Tiers {
    namespaced: Kinds<Got>,
    landlocked: Kinds<Got>,
}

/// What one kind of plugin got in one tier.
#[derive(Debug, Clone, Default, Serialize)]
struct Got {
    /// What is enforced; `None` if the tier cannot be had.
    sandbox: Option<Report>,
    /// Why it cannot be had.
    missing: Option<String>,
    /// What could be done about that.
    hint: Option<String>,
}

/// Starts both kinds of plugin in both tiers, and looks around. `program` is what stands for any
/// program: something that soon ends with 0.
///
/// # Errors
/// There is nowhere to put a folder to grant.
pub fn diagnose(program: &Program) -> Result<Diagnosis, Failure> {
    let folder = Folder::new()?;
    let own = Trial { folder: &folder.0, program: Program::FirstParty { name: TRIAL.into() } };
    let other = Trial { folder: &folder.0, program: program.clone() };
    let found = Kinds { first_party: own.both(), program: other.both() };
    let machine = Machine::look();
    Ok(Diagnosis::of(found, machine))
}

impl Diagnosis {
    fn of(found: Kinds<Found>, machine: Machine) -> Self {
        let Kinds { first_party, program } = found;
        let refused = Kinds { first_party: first_party.refused.clone(), program: program.refused.clone() };
        let gets = Kinds { first_party: first_party.tier(), program: program.tier() };
        let well = gets.first_party.is_some() && gets.program.is_some() && machine.runtime.is_safe();
        Self {
            exit: if well { Exit::Done.code() } else { Exit::Plugin.code() },
            gets,
            refused,
            tiers: Tiers {
                namespaced: Kinds { first_party: first_party.namespaced, program: program.namespaced },
                landlocked: Kinds { first_party: first_party.landlocked, program: program.landlocked },
            },
            machine,
            states: Vec::new(),
            drift: None,
            failures: Vec::new(),
        }
    }

    /// Looks at what is kept of the groups of a configuration too.
    pub fn look_at(&mut self, config: &Config) {
        self.states = states::states(config);
        let worst = self.states.iter().map(StateCheck::exit).fold(Exit::Done, Exit::or_worse);
        self.worsen(worst);
    }

    /// Tells of drift too.
    pub fn add_drift(&mut self, drift: Drift) {
        self.worsen(drift.exit());
        self.drift = Some(drift);
    }

    /// Tells why something could not be looked at.
    pub fn add_failure(&mut self, failure: &Failure) {
        self.worsen(failure.exit);
        self.failures.push(FailureSummary::of(failure));
    }

    fn worsen(&mut self, exit: Exit) {
        self.exit = self.exit().or_worse(exit).code();
    }

    /// What the command ends with: [`Exit::Plugin`] if a plugin would be refused for what this machine
    /// lacks, as `sync` would end then, or if the runtime directory is not safe; or as a run would with a
    /// state that does not hold together; or [`Exit::Partial`] for drift.
    #[must_use]
    pub fn exit(&self) -> Exit {
        Exit::of_code(self.exit).unwrap_or(Exit::Internal)
    }

    /// The same for programs: one object. Keys are only ever added.
    ///
    /// # Errors
    /// Never in practice: it is made of texts and numbers.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// What one kind of plugin got.
#[derive(Debug)]
struct Found {
    namespaced: Got,
    landlocked: Got,
    /// What every sandbox must give, and the best one here does not.
    refused: Vec<Guarantee>,
    best: Option<Tier>,
}

impl Found {
    /// The tier that it gets, unless it is refused.
    fn tier(&self) -> Option<Tier> {
        self.best.filter(|_| self.refused.is_empty())
    }
}

/// One kind of plugin, to be started.
struct Trial<'f> {
    folder: &'f Path,
    program: Program,
}

impl Trial<'_> {
    fn both(&self) -> Found {
        let best = self.start(None);
        let refused = best.as_ref().map(|report| unmet(&self.policy(None), report)).unwrap_or_default();
        let tier = best.as_ref().ok().map(Report::tier);
        let (namespaced, landlocked) = match best {
            Ok(report) if report.tier() == Tier::Namespaced => {
                (Got::report(report), Got::of(self.start(Some(Tier::Landlocked))))
            }
            // The reason why it is not the other tier stands in this one.
            Ok(report) => (Got::nothing_higher_than(&report), Got::report(report)),
            Err(why) => (Got::of(Err(why.clone())), Got::of(Err(why))),
        };
        Found { namespaced, landlocked, refused, best: tier }
    }

    fn policy(&self, tier: Option<Tier>) -> Policy {
        let at_most = Ceiling { tier, landlock_abi: None };
        Policy { write: vec![self.folder.to_owned()], at_most, ..Policy::default() }
    }

    /// Starts it and waits for its end; the report, or what went wrong.
    fn start(&self, tier: Option<Tier>) -> Result<Report, String> {
        let told = |error: LaunchError| error.to_string();
        let prepared = prepare(self.launch(tier).map_err(|error| error.to_string())?).map_err(told)?;
        let report = prepared.report().clone();
        let mut child = prepared.start().map_err(told)?;
        let ended = child.wait(PATIENCE).map_err(|error| error.to_string())?;
        match ended {
            Some(Ended { exit, .. }) if exit.success() => Ok(report),
            Some(Ended { exit, .. }) => Err(format!("what was started for a trial {exit}")),
            None => Err(format!("what was started for a trial did not end within {PATIENCE:?}")),
        }
    }

    fn launch(&self, tier: Option<Tier>) -> std::io::Result<Launch> {
        let nothing = File::open(if cfg!(windows) { "NUL" } else { "/dev/null" })?;
        Ok(Launch {
            program: self.program.clone(),
            connection: Connection::Inherited(nothing.into()),
            environment: Vec::new(),
            locks: Vec::new(),
            policy: self.policy(tier),
            protected: Vec::new(),
            deadlines: Deadlines { report: PATIENCE, start: PATIENCE },
            helper: Helper::Own,
        })
    }
}

fn unmet(policy: &Policy, report: &Report) -> Vec<Guarantee> {
    report.unmet(&policy.required()).into_iter().map(|(guarantee, _)| guarantee).collect()
}

impl Got {
    fn report(report: Report) -> Self {
        Self { sandbox: Some(report), ..Self::default() }
    }

    fn of(found: Result<Report, String>) -> Self {
        match found {
            Ok(report) => Self::report(report),
            Err(why) => Self { missing: Some(why), ..Self::default() },
        }
    }

    /// Why there are no namespaces: the report of the lower tier says it of what only they give.
    fn nothing_higher_than(report: &Report) -> Self {
        let (missing, hint) = match report.standing(Guarantee::FsMetadata) {
            Standing::Unavailable { reason, hint } => (reason, hint),
            other => (other.to_string(), String::new()),
        };
        Self { sandbox: None, missing: Some(missing), hint: Some(hint).filter(|hint| !hint.is_empty()) }
    }
}

/// A folder to grant, removed again.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("outrigger-doctor-{}", std::process::id()));
        let failed = |error: std::io::Error| {
            Failure::internal(format!("failed to make {}", path.display())).because(&error)
        };
        fs::create_dir(&path).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(report: Report) -> Found {
        let refused = unmet(&Policy::default(), &report);
        let best = Some(report.tier());
        Found { namespaced: Got::report(report), landlocked: Got::default(), refused, best }
    }

    fn whole() -> Report {
        let mut report = Report::nothing("", "").of(Tier::Namespaced);
        Guarantee::ALL.into_iter().for_each(|guarantee| report.set(guarantee, Standing::Enforced));
        report
    }

    fn diagnosis(program: Report, runtime: Runtime) -> Diagnosis {
        let machine = Machine { runtime, ..Machine::default() };
        Diagnosis::of(Kinds { first_party: found(whole()), program: found(program) }, machine)
    }

    #[test]
    fn what_every_sandbox_needs_decides() {
        let mut report = whole();
        report.set(Guarantee::Memory, Standing::advisory("no group", ""));
        assert_eq!(diagnosis(report.clone(), Runtime::default()).exit(), Exit::Done);
        report.set(Guarantee::Exec, Standing::unavailable("no Landlock", "boot another kernel"));
        let refused = diagnosis(report, Runtime::default());
        assert_eq!(refused.exit(), Exit::Plugin);
        let json: serde_json::Value = serde_json::from_str(&refused.json().unwrap()).unwrap();
        assert_eq!(json["refused"]["program"], serde_json::json!(["exec"]));
        assert!(json["gets"]["program"].is_null() && json["gets"]["first_party"] == "namespaced");
    }

    #[test]
    fn a_runtime_directory_of_somebody_else_is_an_error() {
        let squatted = Runtime { unsafe_because: Some("user 5".into()), ..Runtime::default() };
        assert_eq!(diagnosis(whole(), squatted).exit(), Exit::Plugin);
    }

    #[test]
    fn the_reason_against_namespaces_is_told_once_and_as_it_was() {
        let mut report = whole().of(Tier::Landlocked);
        report.set(Guarantee::FsMetadata, Standing::unavailable("no namespaces: EPERM", "a sysctl"));
        let got = Got::nothing_higher_than(&report);
        assert_eq!(
            (got.missing.unwrap(), got.hint.unwrap()),
            ("no namespaces: EPERM".into(), "a sysctl".into())
        );
    }

    #[test]
    fn a_hint_is_a_key_of_its_own_and_never_empty() {
        let json = |standing: Standing| serde_json::to_value(standing).unwrap();
        let partly = serde_json::json!({"standing": "advisory", "reason": "no group", "hint": "be root"});
        assert_eq!(json(Standing::advisory("no group", "be root")), partly);
        let not = serde_json::json!({"standing": "unavailable", "reason": "none were to be used"});
        assert_eq!(json(Standing::unavailable("none were to be used", "")), not);
    }

    #[test]
    fn only_its_own_name_is_the_trial() {
        assert!(trial("doctor").is_some() && trial("vdir").is_none());
    }
}
