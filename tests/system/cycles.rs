//! Many starts and ends of a plugin through the broker, over both connections: nothing adds up.
//!
//! The same below the broker, in each tier of the sandbox: `sandbox/tests/system/leftovers.rs`.

use std::fs;
use std::process::{Command, Stdio};

use outrigger::broker::start;

use crate::support::host::{block_on, connected, finish, spec};
use crate::support::{Link, World};

/// How many starts an ordinary run makes; `OUTRIGGER_CYCLES` says otherwise.
const CYCLES: usize = 50;

/// In a process of its own: the other tests open and close things as well.
const ALONE: &str = "OUTRIGGER_TEST_ALONE";

#[test]
fn no_plugin_leaves_anything_over_an_inherited_connection() {
    alone("cycles::no_plugin_leaves_anything_over_an_inherited_connection", Link::Inherited);
}

#[test]
fn no_plugin_leaves_anything_over_a_named_connection() {
    alone("cycles::no_plugin_leaves_anything_over_a_named_connection", Link::Named);
}

#[expect(clippy::print_stdout, reason = "whoever reads the output of the tests")]
fn alone(test: &str, link: Link) {
    if std::env::var_os(ALONE).is_some() {
        return many(link);
    }
    let runtime = tempfile::tempdir().unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(ALONE, "1").env("XDG_RUNTIME_DIR", runtime.path());
    let run = again.stdin(Stdio::null()).output().unwrap();
    let said = [run.stdout, run.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    said.lines().filter(|line| line.contains("grown by")).for_each(|line| println!("{line}"));
    let left = runtime.path().join("outrigger").read_dir().map_or(0, Iterator::count);
    assert_eq!(left, 0, "sockets are left");
}

/// What a process leaves traces in.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    descriptors: usize,
    threads: usize,
    children: String,
    mounts: usize,
}

fn traces() -> Traces {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    Traces {
        descriptors: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
        children: fs::read_to_string("/proc/thread-self/children").unwrap(),
        mounts: fs::read_to_string("/proc/self/mounts").unwrap().lines().count(),
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn cycle(world: &World) {
    block_on(async {
        let host = start(spec(world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&host).await.unwrap();
        finish(instance, &sink).await.unwrap();
        host.stop().await;
    });
}

#[expect(clippy::print_stdout, reason = "whoever reads the output of the tests")]
fn many(link: Link) {
    let world = World::empty(link);
    let wanted = std::env::var("OUTRIGGER_CYCLES").ok().and_then(|number| number.parse().ok());
    (0..10).for_each(|_| cycle(&world)); // what is made once is there now
    let (before, resident) = (traces(), resident_kib());
    (0..wanted.unwrap_or(CYCLES)).for_each(|_| cycle(&world));
    let grown = resident_kib().saturating_sub(resident);
    assert_eq!(traces(), before);
    println!("{} starts, grown by {grown} KiB", wanted.unwrap_or(CYCLES));
    assert!(grown < 1024, "grown by {grown} KiB");
}
