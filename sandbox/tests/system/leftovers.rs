//! Nothing of a plugin is left, in each tier, whoever is killed; and nothing adds up over many
//! starts.
//!
//! The plugin leaves a daemon behind, which holds on to the plugin's end of the connection. The far
//! end of that reads the end of file once the last process has gone, wherever it hid.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use outrigger_sandbox::{Ceiling, Child, Connection, Launch, Policy, Profile, Tier};
use rustix::process::Signal;

use crate::matrix::tier_missing;
use crate::runner::Test;
use crate::support::{Log, PATIENCE, Watch, eventually, launch, readable, role};

/// How many starts an ordinary run makes in each tier; `OUTRIGGER_CYCLES` says otherwise.
const CYCLES: usize = 300;

/// When nothing may be left; on an emulated machine time says nothing.
const SOON: Duration = Duration::from_secs(1);

/// What is killed.
const VICTIMS: [&str; 4] = ["broker", "keeper", "plugin", "nothing"];

pub(crate) fn tests() -> Vec<Test> {
    [Tier::Namespaced, Tier::Landlocked].into_iter().flat_map(tests_of).collect()
}

fn tests_of(tier: Tier) -> Vec<Test> {
    let killed = VICTIMS.map(|victim| {
        test(format!("p1_kill_{victim}_leaves_no_daemon_{tier}"), tier, move || killed(victim, tier))
    });
    let cycles = test(format!("no_start_leaves_anything_{tier}"), tier, move || cycles(tier));
    killed.into_iter().chain([cycles]).collect()
}

fn test(name: String, tier: Tier, body: impl Fn() + 'static) -> Test {
    let missing = move || tier_missing(tier);
    Test { name, body: Box::new(body), missing: Box::new(missing) }
}

/// Confines a launch to a tier.
fn confine(launch: &mut Launch, tier: Tier) {
    let at_most = Ceiling { tier: Some(tier), landlock_abi: None };
    launch.policy = Policy { profile: Profile::Strict, at_most, ..Policy::default() };
}

/// `role keeping TIER`: a broker that starts the plugin with its own standard input as connection,
/// says who is who, and stays until it is killed or told to end.
pub(crate) fn broker(tier: &str) -> i32 {
    let tier = if tier == "namespaced" { Tier::Namespaced } else { Tier::Landlocked };
    let (mut launch, _unused) = launch(role("daemon-beside"));
    let connection = rustix::io::dup(rustix::stdio::stdin()).unwrap();
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null").unwrap()).unwrap();
    launch.connection = Connection::Inherited(connection);
    confine(&mut launch, tier);
    let mut child = outrigger_sandbox::launch(launch).unwrap();
    println!("keeper {}\nplugin {}", child.keeper_pid(), child.pid());
    let mut log = Log::new(child.take_stdout().unwrap());
    println!("{}", log.line());
    follow(&mut child)
}

fn follow(child: &mut Child) -> ! {
    child.wait(PATIENCE * 10).unwrap();
    child.wait_gone(PATIENCE).unwrap();
    loop {
        std::thread::park();
    }
}

/// The plugin, and the daemon: both keep descriptor 0.
pub(crate) fn daemon_beside() -> i32 {
    let mut command = Command::new("/proc/self/exe");
    command.args(["role", "daemon-between"]).stdin(Stdio::inherit()).stdout(Stdio::inherit());
    command.status().unwrap();
    println!("daemon is there");
    loop {
        std::thread::park();
    }
}

/// Starts the daemon and goes, so that it belongs to nobody.
#[allow(clippy::zombie_processes)] // to leave it behind is the purpose
pub(crate) fn daemon_between() -> i32 {
    rustix::process::setsid().ok();
    Command::new("/proc/self/exe").args(["role", "stay"]).stdin(Stdio::inherit()).spawn().unwrap();
    0
}

fn start_broker(tier: Tier) -> (Process, Log, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["role", "keeping", &tier.to_string()]).stdin(std::os::fd::OwnedFd::from(theirs));
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(command);
    let log = Log::new(process.stdout.take().unwrap().into());
    (process, log, ours)
}

fn killed(victim: &str, tier: Tier) {
    let (mut broker, mut log, mut connection) = start_broker(tier);
    let (keeper, plugin) = (Watch::new(log.pid("keeper ")), Watch::new(log.pid("plugin ")));
    assert_eq!(log.line(), "daemon is there");
    let begun = Instant::now();
    match victim {
        "broker" => broker.kill().unwrap(),
        "keeper" => keeper.signal(Signal::KILL),
        "plugin" => plugin.signal(Signal::KILL),
        _ => plugin.signal(Signal::TERM),
    }
    assert!(readable(&connection, PATIENCE), "something holds the connection");
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
    let took = begun.elapsed();
    println!("     nothing was left after {took:?}");
    assert!(took < SOON || std::env::var_os("OUTRIGGER_EMULATED").is_some(), "{took:?}");
    assert!(keeper.ends() && plugin.ends());
    let left = || groups(&BTreeSet::from([keeper.pid.as_raw_nonzero().get().unsigned_abs()]));
    assert!(eventually(|| left().is_empty()), "control groups are left: {:?}", left());
    broker.kill().ok();
    broker.wait().unwrap();
}

/// All control groups of these keepers; other tests may run meanwhile.
pub(crate) fn groups(keepers: &BTreeSet<u32>) -> BTreeSet<String> {
    let is_theirs = |name: &str| {
        let keeper = name.strip_prefix("outrigger-").and_then(|name| name.split_once('-'));
        keeper.and_then(|(keeper, _)| keeper.parse().ok()).is_some_and(|keeper| keepers.contains(&keeper))
    };
    let mut found = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
                let is_theirs = entry.file_name().to_str().is_some_and(is_theirs);
                found.extend(is_theirs.then(|| entry.path().display().to_string()));
            }
        }
    }
    found
}

/// What must not grow.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    descriptors: usize,
    children: String,
    mounts: usize,
    temporary: usize,
}

fn traces() -> Traces {
    // Others use the folder of temporary files at the same time.
    let is_ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains("outrigger");
    let temporary = fs::read_dir(std::env::temp_dir()).unwrap().flatten().filter(is_ours).count();
    Traces {
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        children: fs::read_to_string("/proc/thread-self/children").unwrap(),
        mounts: fs::read_to_string("/proc/self/mounts").unwrap().lines().count(),
        temporary,
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// One start and end; returns the keeper that there was.
fn cycle(tier: Tier) -> u32 {
    let (mut launch, connection) = launch(crate::support::first_party("code-3"));
    confine(&mut launch, tier);
    launch.policy.processes = Some(2); // so that it has a group
    let mut child = outrigger_sandbox::launch(launch).unwrap();
    assert!(child.wait_gone(PATIENCE).unwrap());
    drop(connection);
    child.keeper_pid()
}

/// Holds S80.
fn cycles(tier: Tier) {
    let wanted = std::env::var("OUTRIGGER_CYCLES").ok().and_then(|number| number.parse().ok());
    for _ in 0..20 {
        cycle(tier); // what is made once is there now
    }
    let (before, resident) = (traces(), resident_kib());
    let keepers: BTreeSet<u32> = (0..wanted.unwrap_or(CYCLES)).map(|_| cycle(tier)).collect();
    let grown = resident_kib().saturating_sub(resident);
    assert_eq!((traces(), groups(&keepers)), (before, BTreeSet::new()));
    println!("     {} starts, grown by {grown} KiB", wanted.unwrap_or(CYCLES));
    assert!(grown < 1024, "grown by {grown} KiB");
}
