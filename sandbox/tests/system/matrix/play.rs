//! Runs the probe in a sandbox, again and again until every one of its attempts has a verdict.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;

use outrigger_sandbox::{
    Ceiling, Exit, Guarantee, LaunchError, OnUnsupported, Policy, Profile, Program, Report, Tier,
};

use super::Setup;
use super::field::{Field, LIMITS, QUIET, RUNNER};
use super::judge::{self, Verdicts};
use super::witness::Before;
use crate::probe::{self, Outcome, Targets, Verdict};
use crate::support::{PATIENCE, Started, first_party, role, start_with};

/// The secret of the broker. Nothing of it may reach plugin, helper or keeper.
pub(super) const SECRET: &str = "s3cret-of-the-broker";

/// Plays one setup in this process, which is the broker; what is not as it should be is printed.
pub(super) fn play(setup: &Setup) -> i32 {
    block_signals();
    let leaked = leak();
    let mut field = Field::new(SECRET, &leaked);
    field.targets.confined = setup.tier != Tier::None;
    field.targets.own = (!setup.first_party).then(|| std::env::current_exe().unwrap());
    let before = Before::look(&field);
    let open = descriptors();
    if setup.port_without_landlock() {
        refuses(setup, &field);
    }
    let (report, verdicts) = rounds(setup, &field);
    assert_eq!(descriptors(), open, "descriptors of the broker were left open");
    if std::env::var_os(super::SHOW).is_some() {
        show(&report, &verdicts);
    }
    let differences = judge::differences(setup, &report, &verdicts, &before.noticed(&field), &mut field);
    differences.iter().for_each(|difference| println!("  {difference}"));
    i32::from(!differences.is_empty())
}

/// Everything there is to know of a run, for whoever asks.
fn show(report: &Report, verdicts: &Verdicts) {
    report.iter().for_each(|(guarantee, standing)| println!("{guarantee:26} {standing}"));
    verdicts.iter().for_each(|(name, outcome)| println!("{name:48} {outcome:?}"));
}

/// The probes send these two; the broker has to live on and to count them.
fn block_signals() {
    use crate::probe::raw::{at, call};
    let set = (1_u64 << (libc::SIGURG - 1)) | (1 << (libc::SIGIO - 1));
    call!(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, at(&set), 0, 8).unwrap();
}

/// A descriptor that a C library in the embedder may have left open for every child.
fn leak() -> File {
    let file = tempfile::tempfile().unwrap();
    (&file).write_all(SECRET.as_bytes()).unwrap();
    // Far up, where no descriptor of the plugin's own will be.
    let leaked = rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 900).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    leaked.into()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A port that cannot be granted alone is not granted, unless somebody insists.
fn refuses(setup: &Setup, field: &Field) {
    let (mut launch, _connection) = crate::support::launch(role("probe"));
    launch.policy = Policy { on_unsupported: OnUnsupported::Refuse, ..policy(setup, &field.targets) };
    match outrigger_sandbox::launch(launch) {
        Err(LaunchError::NotEnforced { missing }) => assert_eq!(missing[0].0, Guarantee::Network),
        other => panic!("{other:?}"),
    }
}

fn rounds(setup: &Setup, field: &Field) -> (Report, Verdicts) {
    let mut verdicts = Verdicts::new();
    loop {
        let left: Vec<String> =
            probe::names().filter(|name| !verdicts.contains_key(*name)).map(Into::into).collect();
        let known = verdicts.len();
        let report = round(setup, &Targets { only: left.clone(), ..field.targets.clone() }, &mut verdicts);
        if verdicts.len() == probe::names().count() {
            return (report, verdicts);
        }
        assert!(verdicts.len() > known, "the probe ended before {}", left[0]);
    }
}

/// Runs the probes that are left, or as many of them as it lives to see.
fn round(setup: &Setup, targets: &Targets, verdicts: &mut Verdicts) -> Report {
    let policy = policy(setup, targets);
    let program = if setup.first_party { first_party("probe") } else { role("probe") };
    let mut started = start(program, policy);
    look_for_secrets(&started);
    writeln!(started.connection, "{}", serde_json::to_string(targets).unwrap()).unwrap();
    let begun = listen(&mut started, verdicts);
    let exit = started.end().exit;
    assert!(started.child.wait_gone(PATIENCE).unwrap(), "something of the plugin was left");
    if let Some(name) = begun {
        verdicts.insert(name, ended(exit));
    }
    started.child.report().clone()
}

pub(super) fn start(program: Program, policy: Policy) -> Started {
    start_with(program, |launch| {
        launch.policy = policy;
        launch.environment = vec![("LANG".into(), "C.UTF-8".into())];
    })
}

/// Hears verdicts until the log ends, which it does with the last process. Returns the probe
/// that had begun and never came back.
fn listen(started: &mut Started, verdicts: &mut Verdicts) -> Option<String> {
    let mut begun = None;
    while let Some(line) = started.log.next_line() {
        if let Some(name) = line.strip_prefix("begin ") {
            begun = Some(name.to_owned());
        } else {
            let Verdict { name, outcome } = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            begun.take_if(|begun| *begun == name);
            verdicts.insert(name, outcome);
        }
    }
    begun
}

/// What the end of the probe's own process says of the attempt that was under way.
fn ended(exit: Exit) -> Outcome {
    match exit {
        Exit::Code(0) => Outcome::Open, // it became another program
        Exit::Signal(signal) => Outcome::Blocked { errno: -signal },
        exit => Outcome::Broken { why: format!("the plugin {exit}") },
    }
}

/// Neither the environment nor the arguments of keeper and plugin may have it.
fn look_for_secrets(started: &Started) {
    for pid in [started.child.pid(), started.child.keeper_pid()] {
        for file in ["environ", "cmdline"] {
            // What cannot even be read tells nobody anything.
            let content = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&content).contains(SECRET), "{pid} has the secret in {file}");
        }
    }
}

/// What the probe is granted: a folder to read, one to write, two programs, perhaps a port.
pub(crate) fn policy(setup: &Setup, targets: &Targets) -> Policy {
    let profile = match (setup.tier, setup.port || setup.proxied) {
        (Tier::None, _) => Profile::None,
        (_, true) => Profile::Network,
        (_, false) => Profile::Strict,
    };
    Policy {
        profile,
        read: vec![targets.read.clone()],
        write: vec![targets.write.clone()],
        execute: vec![RUNNER.into(), QUIET.into()],
        network: setup.port.then(|| format!("tcp:{}", targets.network.granted)).into_iter().collect(),
        proxied: setup.proxied,
        memory: Some(LIMITS.memory),
        processes: Some(if setup.first_party { 1 } else { LIMITS.processes }),
        file_size: Some(LIMITS.file_size),
        // Refused otherwise: see `refuses`.
        on_unsupported: if setup.port_without_landlock() {
            OnUnsupported::Weaken
        } else {
            OnUnsupported::Refuse
        },
        at_most: Ceiling { tier: Some(setup.tier), landlock_abi: setup.abi },
        ..Policy::default()
    }
}
