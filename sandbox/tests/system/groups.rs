//! A program is in one control group, or in one of each hierarchy: they hold what the report says, and
//! go when it does. One process is in one only where its memory matters.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use outrigger_sandbox::{Ceiling, Guarantee, Policy, Profile, Standing, Tier};

use crate::leftovers::groups;
use crate::matrix::tier_missing;
use crate::runner::Test;
use crate::support::{PATIENCE, Started, first_party, role, start_with};

const MEMORY: u64 = 96 << 20;
const PROCESSES: u32 = 9;

type Bound = (Guarantee, [&'static str; 2], [&'static str; 2]);

/// What the files of a group say, with version 1 and with version 2. One more process is the first of
/// its namespaces.
const BOUNDS: [Bound; 3] = [
    (Guarantee::Memory, ["memory.limit_in_bytes", "memory.max"], ["100663296", "100663296"]),
    (Guarantee::Processes, ["pids.max", "pids.max"], ["10", "10"]),
    (Guarantee::Cpu, ["cpu.cfs_quota_us", "cpu.max"], ["100000", "100000 100000"]),
];

pub(crate) fn tests() -> Vec<Test> {
    let of_systemd = Test {
        name: "systemd_takes_no_bound_away_with_its_own_groups".into(),
        body: Box::new(kept),
        missing: Box::new(|| no_systemd().or_else(|| not_bounded(&start(Tier::Landlocked, PROCESSES)))),
    };
    let asked = Test {
        name: "a_process_is_moved_once_and_only_for_a_plugin_that_needs_a_group".into(),
        body: Box::new(asked),
        missing: Box::new(no_manager_to_ask),
    };
    let tiers = [Tier::Namespaced, Tier::Landlocked].into_iter().flat_map(tests_of);
    tiers.chain([of_systemd, asked]).collect()
}

fn tests_of(tier: Tier) -> [Test; 4] {
    let bounded = Test {
        name: format!("a_program_is_in_the_control_group_that_bounds_it_{tier}"),
        body: Box::new(move || bounded(tier)),
        missing: Box::new(move || tier_missing(tier).or_else(|| not_bounded(&start(tier, PROCESSES)))),
    };
    let told = Test {
        name: format!("what_no_control_group_bounds_is_not_called_enforced_{tier}"),
        body: Box::new(move || told(tier)),
        missing: Box::new(move || tier_missing(tier)),
    };
    let single = Test {
        name: format!("one_process_whose_memory_is_limited_is_in_a_control_group_{tier}"),
        body: Box::new(move || single(tier)),
        missing: Box::new(move || tier_missing(tier).or_else(|| not_bounded(&start(tier, PROCESSES)))),
    };
    let unasked = Test {
        name: format!("one_process_of_which_nobody_asks_has_no_control_group_{tier}"),
        body: Box::new(move || unasked(tier)),
        missing: Box::new(move || tier_missing(tier)),
    };
    [bounded, told, single, unasked]
}

fn start(tier: Tier, processes: u32) -> Started {
    start_with(role("wait"), |launch| {
        let at_most = Ceiling { tier: Some(tier), landlock_abi: None };
        let (processes, memory) = (Some(processes), Some(MEMORY));
        launch.policy = Policy { profile: Profile::Strict, processes, memory, at_most, ..Policy::default() };
    })
}

/// Only groups bound the time of a processor, so where that is bounded there are groups.
fn not_bounded(started: &Started) -> Option<String> {
    let standing = started.child.report().standing(Guarantee::Cpu);
    (standing != Standing::Enforced).then(|| format!("no control group can be made here: {standing}"))
}

fn bounded(tier: Tier) {
    let mut started = start(tier, PROCESSES);
    let folders = folders(&started);
    println!("     in {folders:?}");
    for bound in BOUNDS {
        assert_eq!(started.child.report().standing(bound.0), Standing::Enforced, "{}", bound.0);
        assert!(is_held(&started, &folders, bound), "{}: {folders:?}", bound.0);
    }
    rustix::net::shutdown(&started.connection, rustix::net::Shutdown::Both).unwrap();
    assert!(started.child.wait_gone(PATIENCE).unwrap());
    assert!(folders.iter().all(|folder| !folder.exists()), "{folders:?}");
}

fn told(tier: Tier) {
    for processes in [PROCESSES, 1] {
        let started = start(tier, processes);
        assert_eq!(started.child.report().tier(), tier);
        let folders = folders(&started);
        // Of a user without rights the kernel counts the processes in another way as well, and one
        // process has one processor.
        for bound in [BOUNDS[0], BOUNDS[2]].into_iter().take(if processes == 1 { 1 } else { 2 }) {
            let standing = started.child.report().standing(bound.0);
            println!("     {}: {standing}", bound.0);
            assert_eq!(standing == Standing::Enforced, is_held(&started, &folders, bound), "{folders:?}");
        }
    }
}

fn single(tier: Tier) {
    let started = start(tier, 1);
    for guarantee in [Guarantee::Memory, Guarantee::Processes, Guarantee::Cpu] {
        assert_eq!(started.child.report().standing(guarantee), Standing::Enforced, "{guarantee}");
    }
    let folders = folders(&started);
    assert!(folders.len() == 1 && is_held(&started, &folders, BOUNDS[0]), "{folders:?}");
}

fn unasked(tier: Tier) {
    let started = start_with(first_party("wait"), |launch| {
        let at_most = Ceiling { tier: Some(tier), landlock_abi: None };
        launch.policy = Policy { at_most, ..Policy::default() };
    });
    let Standing::Advisory { hint, .. } = started.child.report().standing(Guarantee::Memory) else {
        panic!("{:?}", started.child.report())
    };
    assert_eq!(hint, "set or require `memory`");
    assert_eq!(folders(&started), Vec::<PathBuf>::new());
    assert_eq!(started.child.report().standing(Guarantee::Cpu), Standing::Enforced);
}

/// The groups that its keeper has made.
fn folders(started: &Started) -> Vec<PathBuf> {
    groups(&BTreeSet::from([started.child.keeper_pid()])).into_iter().map(Into::into).collect()
}

/// Whether the plugin is in exactly one group that bounds it so.
fn is_held(started: &Started, folders: &[PathBuf], (_, files, wanted): Bound) -> bool {
    folders.iter().filter(|folder| holds(folder, started.child.pid(), files, wanted)).count() == 1
}

fn holds(folder: &Path, plugin: u32, files: [&str; 2], wanted: [&str; 2]) -> bool {
    let read = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let is_among = |processes: &str| processes.lines().any(|pid| pid == plugin.to_string());
    let is_in = ["cgroup.procs", "plugin/cgroup.procs"].map(read).iter().any(|processes| is_among(processes));
    is_in && files.into_iter().zip(wanted).any(|(file, wanted)| read(file).trim_end() == wanted)
}

fn no_systemd() -> Option<String> {
    (!Path::new("/run/systemd/system").exists()).then(|| "systemd is not there".into())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Systemd puts its groups in order again when it loads its units anew, and when one begins.
fn kept() {
    let started = start(Tier::Landlocked, PROCESSES);
    let folders = folders(&started);
    let manager: &[&str] = if is_root() { &[] } else { &["--user"] };
    for (program, arguments) in
        [("systemctl", &["daemon-reload"][..]), ("systemd-run", &["--quiet", "--wait", "true"])]
    {
        let ended = Command::new(program).args(manager).args(arguments).status().unwrap();
        assert!(ended.success(), "{program}");
    }
    for bound in BOUNDS {
        assert!(is_held(&started, &folders, bound), "{}: {folders:?}", bound.0);
    }
}

fn own_group() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap()
}

fn no_manager_to_ask() -> Option<String> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default();
    let is_there = runtime.join("systemd/private").exists() && !is_root();
    let own = own_group();
    match () {
        () if !is_there => Some("no systemd user manager is there for this user".into()),
        () if own.contains("/user@") => Some("this process is in a group of its user already".into()),
        () => None,
    }
}

fn asked() {
    let output = Command::new(std::env::current_exe().unwrap()).args(["role", "asking"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let [pid, before, first_party, program, again, child] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}")
    };
    println!("     {program}");
    assert_eq!((first_party, child), (before, before));
    assert!(program.ends_with(&format!("/outrigger-{pid}.scope/main")), "{program}");
    assert_eq!(again, program);
}

/// `role asking`: where this process is before it starts anything, after a plugin of one process, after
/// a program, and after another; and where a child is that it had before.
pub(crate) fn asking() -> i32 {
    let own = || println!("{}", own_group().trim_end());
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    println!("{}", std::process::id());
    own();
    let strict = |launch: &mut outrigger_sandbox::Launch| launch.policy.profile = Profile::Strict;
    drop(start_with(first_party("code-3"), strict));
    own();
    for _ in 0..2 {
        drop(start_with(role("wait"), strict));
        own();
    }
    print!("{}", fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    0
}

/// `role timing`: what a group adds to the start of a program, one start of each in turn. A program that
/// may have one process has no group. The first start of all may have to get this process a group.
pub(crate) fn timing() -> i32 {
    const ROUNDS: usize = 30;
    let start = |processes| {
        let begun = Instant::now();
        drop(start_with(role("wait"), |launch| {
            let at_most = Ceiling { tier: Some(Tier::Landlocked), landlock_abi: None };
            launch.policy = Policy { processes: Some(processes), at_most, ..Policy::default() };
        }));
        begun.elapsed()
    };
    let (alone, first) = (start(1), start(PROCESSES));
    println!("     the first start without a group {alone:?}, with one {first:?}");
    let (mut without, mut with): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| (start(1), start(PROCESSES))).unzip();
    without.sort();
    with.sort();
    println!("     medians of {ROUNDS}: without {:?}, with {:?}", without[ROUNDS / 2], with[ROUNDS / 2]);
    0
}
