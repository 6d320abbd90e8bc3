//! A program is in one control group, or in one of each hierarchy: they hold what the report says, and
//! go when it does. One process is in one only where its memory matters.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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
    [Tier::Namespaced, Tier::Landlocked].into_iter().flat_map(tests_of).collect()
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
    let Standing::Advisory { reason } = started.child.report().standing(Guarantee::Memory) else {
        panic!("{:?}", started.child.report())
    };
    assert!(reason.contains("set or require `memory`"), "{reason}");
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
    let is_in = read("cgroup.procs").lines().any(|pid| pid == plugin.to_string());
    is_in && files.into_iter().zip(wanted).any(|(file, wanted)| read(file).trim_end() == wanted)
}
