//! Nothing outlives the broker, however it ends, and no lock is released early.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{self, Command, Stdio};

use rustix::process::Signal;

use crate::runner::Case;
use crate::support::{Log, Watch, first_party, is_reaped, launch, start};

pub(crate) const CASES: &[Case] = &[
    ("p1_killed_broker_leaves_nothing", killed),
    ("p1_dropped_child_leaves_nothing", dropped),
    ("p1_dropped_before_go_leaves_nothing", dropped_before_go),
    ("p2_upgrade_during_a_run_does_not_mix_versions", upgraded),
    ("x3_lock_is_held_until_the_last_process_has_gone", lock),
];

/// A broker in a process of its own, and what it started.
struct Broker {
    process: process::Child,
    log: Log,
}

impl Broker {
    fn start(executable: &Path, plugin: &str, lock: Option<&Path>) -> Self {
        let mut command = Command::new(executable);
        command.args(["role", "broker", plugin]).args(lock).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = Log::new(process.stdout.take().unwrap().into());
        Self { process, log }
    }

    fn here(plugin: &str, lock: Option<&Path>) -> Self {
        let mut broker = Self::start(&std::env::current_exe().unwrap(), plugin, lock);
        broker.begin();
        broker
    }

    fn begin(&mut self) {
        self.process.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
    }

    fn watch(&mut self, word: &str) -> Watch {
        Watch::new(self.log.pid(word))
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn killed() {
    let mut broker = Broker::here("daemon", None);
    let all = ["keeper ", "plugin ", "daemon "].map(|word| broker.watch(word));
    assert!(all.iter().all(Watch::lives));
    broker.kill();
    assert!(all.iter().all(Watch::ends));
}

fn dropped() {
    let mut started = start(first_party("daemon"));
    let daemon = Watch::new(started.log.pid("daemon "));
    let (plugin, keeper) = (Watch::of(started.child.pid()), Watch::of(started.child.keeper_pid()));
    drop(started.child);
    assert!(plugin.ends() && daemon.ends() && keeper.ends());
    // The next start takes away what was left of the keeper.
    start(first_party("code-3")).end();
    assert!(is_reaped(keeper.pid));
}

fn dropped_before_go() {
    let (launch, mut connection) = launch(first_party("wait"));
    drop(outrigger_sandbox::prepare(launch).unwrap());
    // Only the plugin held the connection, so this is its end.
    assert_eq!(std::io::Read::read(&mut connection, &mut [0]).unwrap(), 0);
}

fn upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let executable = folder.path().join("outrigger");
    fs::copy(std::env::current_exe().unwrap(), &executable).unwrap();
    let mut broker = Broker::start(&executable, "wait", None);
    // A package manager puts the new version in the place of the old one.
    fs::write(folder.path().join("new"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::rename(folder.path().join("new"), &executable).unwrap();
    broker.begin();
    let all = ["keeper ", "plugin "].map(|word| broker.watch(word));
    assert_eq!(broker.log.line(), "waiting");
    broker.kill();
    assert!(all.iter().all(Watch::ends));
}

fn lock() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut broker = Broker::here("daemon", Some(file.path()));
    let [keeper, plugin, daemon] = ["keeper ", "plugin ", "daemon "].map(|word| broker.watch(word));
    let ours = File::options().write(true).open(file.path()).unwrap();
    // The keeper is held back, so that the time between the two ends can be looked at.
    keeper.stop();
    broker.kill();
    // The plugin leaves by itself, as its connection ended; what it started does not.
    assert!(daemon.lives());
    assert!(ours.try_lock().is_err(), "the lock went with the broker");
    keeper.signal(Signal::CONT);
    ours.lock().unwrap();
    assert!(!plugin.lives() && !daemon.lives(), "the lock went before the last process");
    assert!(keeper.ends());
}
