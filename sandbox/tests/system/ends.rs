//! How a plugin ends, and how the broker gets to know.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use outrigger_sandbox::Exit;
use rustix::process::{Signal, WaitOptions, waitpid};

use crate::probe::raw::call;
use crate::runner::{Case, Test};
use crate::support::{PATIENCE, Started, Watch, first_party, is_reaped, readable, role, shell, start};

pub(crate) const CASES: &[Case] = &[
    ("p1_exit_code_is_reported", code),
    ("p1_signal_is_reported", signal),
    ("p1_panic_of_a_first_party_plugin_is_its_exit_code", panic),
    ("p1_end_of_the_connection_lets_it_leave", end_of_connection),
    ("p1_grandchild_that_holds_the_log_does_not_hang_the_wait", held_log),
    ("p1_terminate_is_a_request_and_kill_is_not", ladder),
    ("p1_kill_reaches_a_stopped_plugin", stopped),
    ("p1_kill_reaches_a_daemon", daemon),
    ("p1_killed_keeper_takes_the_plugin_along", keeper_killed),
    ("p1_keeper_outlives_signals_that_mean_the_plugin", keeper_signalled),
    ("p1_orphans_are_reaped_while_the_plugin_lives", orphans),
    ("p1_the_descriptor_of_a_child_wakes_its_watcher", wakes),
    ("p1_starts_and_ends_leave_no_descriptor_and_no_zombie", no_leaks),
];

/// Those that not every machine can run.
pub(crate) fn tests() -> Vec<Test> {
    let tests = [
        Test::plain(
            "p1_a_number_that_was_given_away_is_not_signalled",
            a_number_that_was_given_away_is_not_signalled,
        ),
        Test::plain(
            "p1_nor_is_it_for_what_is_left",
            a_number_that_was_given_away_is_not_signalled_for_what_is_left,
        ),
    ];
    tests.map(|test| Test { missing: Box::new(no_choice_of_numbers), ..test }).into()
}

fn code() {
    for program in [first_party("code-3"), role("code-3")] {
        assert_eq!(start(program).end().exit, Exit::Code(3));
    }
}

fn signal() {
    for program in [first_party("abort"), role("abort")] {
        assert_eq!(start(program).end().exit, Exit::Signal(6));
    }
    let mut started = start(first_party("wait"));
    Watch::of(started.child.pid()).signal(Signal::KILL);
    assert_eq!(started.end().exit, Exit::Signal(9));
}

fn panic() {
    let mut started = start(first_party("panic"));
    assert_eq!(started.end().exit, Exit::Code(101));
    let log = crate::support::Log::new(started.child.take_stderr().unwrap());
    assert!(log.rest().contains("on purpose"));
}

fn end_of_connection() {
    let mut started = start(role("wait"));
    drop(started.connection.shutdown(std::net::Shutdown::Both));
    assert_eq!(started.end().exit, Exit::Code(0));
}

fn held_log() {
    let mut started = start(first_party("daemon-and-leave"));
    let daemon = started.log.pid("daemon ");
    assert_eq!(started.end().exit, Exit::Code(0));
    // The status came first. The daemon, which holds the log, is ended after it.
    assert!(started.child.wait_gone(PATIENCE).unwrap());
    assert!(rustix::process::test_kill_process(daemon).is_err(), "the daemon is still there");
    assert_eq!(started.log.rest(), "");
}

fn ladder() {
    let mut started = start(shell("trap 'echo asked' TERM; echo up; while :; do read x; done"));
    assert_eq!(started.log.line(), "up");
    started.child.terminate();
    assert_eq!(started.log.line(), "asked");
    assert_eq!(started.child.poll_exit().unwrap(), None);
    started.child.kill();
    assert_eq!(started.end().exit, Exit::Signal(9));

    let mut obedient = start(first_party("wait"));
    obedient.child.terminate();
    assert_eq!(obedient.end().exit, Exit::Signal(15));
}

fn stopped() {
    let mut started = start(first_party("wait"));
    Watch::of(started.child.pid()).stop();
    started.child.terminate(); // pends while it is stopped
    started.child.kill();
    assert_eq!(started.end().exit, Exit::Signal(9));
}

fn daemon() {
    let mut started = start(first_party("daemon"));
    let daemon = Watch::new(started.log.pid("daemon "));
    assert!(daemon.lives());
    started.child.kill();
    assert_eq!(started.end().exit, Exit::Signal(9));
    assert!(started.child.wait_gone(PATIENCE).unwrap());
    assert!(!daemon.lives());
}

fn keeper_killed() {
    // A grandchild in the plugin's group: the kernel ends only the plugin with its keeper.
    let mut started = start(shell("sleep 1000 & echo grandchild $!; wait"));
    let grandchild = Watch::new(started.log.pid("grandchild "));
    let plugin = Watch::of(started.child.pid());
    Watch::of(started.child.keeper_pid()).signal(Signal::KILL);
    assert!(plugin.ends());
    let ended = started.end();
    assert_eq!((ended.exit, ended.usage), (Exit::KeeperLost, None));
    assert!(started.child.poll_gone().unwrap());
    assert!(grandchild.ends(), "the broker did not end the group");

    let mut started = start(first_party("wait"));
    started.child.destroy();
    assert_eq!(started.end().exit, Exit::KeeperLost);
}

fn keeper_signalled() {
    let mut started = start(first_party("wait"));
    let keeper = Watch::of(started.child.keeper_pid());
    [Signal::TERM, Signal::INT, Signal::HUP].into_iter().for_each(|signal| keeper.signal(signal));
    started.child.terminate();
    assert_eq!(started.end().exit, Exit::Signal(15), "the keeper did not live to tell");
}

fn orphans() {
    let mut started = start(first_party("brief-orphan"));
    let orphan = started.log.pid("brief ");
    assert_eq!(started.log.line(), "waiting");
    assert!(is_reaped(orphan), "it is a zombie of the keeper");
    assert_eq!(started.child.poll_exit().unwrap(), None);
}

fn wakes() {
    let mut started = start(first_party("wait"));
    assert!(!readable(started.child.as_fd(), Duration::ZERO));
    started.connection.shutdown(std::net::Shutdown::Both).unwrap();
    assert!(readable(started.child.as_fd(), PATIENCE));
    assert!(started.end().exit.success());
}

/// Holds S80.
fn no_leaks() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let cycle = || {
        let mut started = start(first_party("code-3"));
        started.end();
        assert!(started.child.wait_gone(PATIENCE).unwrap());
        started.child.keeper_pid()
    };
    cycle();
    let before = open();
    let keepers: Vec<u32> = (0..50).map(|_| cycle()).collect();
    assert_eq!(open(), before);
    for keeper in keepers {
        assert!(!std::path::Path::new(&format!("/proc/{keeper}")).exists(), "zombie {keeper}");
    }
    File::create("/dev/null").unwrap().write_all(b"still able to open").unwrap();
}

/// The last process number that was given out; who writes it chooses the next.
const LAST_NUMBER: &str = "/proc/sys/kernel/ns_last_pid";

fn no_choice_of_numbers() -> Option<String> {
    let chosen = fs::read(LAST_NUMBER).and_then(|number| fs::write(LAST_NUMBER, number));
    chosen.err().map(|error| format!("needs the choice of process numbers: {error}"))
}

/// A process that gives back what it is told, with a number of its own choice, and a group of it.
fn with_number(number: u32) -> Child {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        fs::write(LAST_NUMBER, (number - 1).to_string()).unwrap();
        let mut cat = Command::new("cat");
        let mut cat = cat.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        if cat.id() == number {
            return cat;
        }
        cat.kill().unwrap(); // others take numbers too
        cat.wait().unwrap();
    }
    panic!("{number} is not to be had")
}

/// Gives the number of a plugin that has ended to another process, which must not notice how the rest ends.
fn ends_beside_a_stranger(started: &mut Started) {
    let mut stranger = with_number(started.child.pid());
    started.child.destroy();
    stranger.stdin.take().unwrap().write_all(b"alive").unwrap();
    let mut said = String::new();
    stranger.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(stranger.wait().unwrap().success());
    assert_eq!(said, "alive");
}

/// The broker has not heard of the end yet.
/// Holds S65.
fn a_number_that_was_given_away_is_not_signalled() {
    let mut started = start(role("code-3"));
    assert!(Watch::of(started.child.keeper_pid()).ends());
    ends_beside_a_stranger(&mut started);
    assert_eq!(started.end().exit, Exit::Code(3));
}

/// The broker has heard of the end, and the keeper stays: what is left is traced, and cannot be taken away.
/// Holds S65.
fn a_number_that_was_given_away_is_not_signalled_for_what_is_left() {
    const SEIZE: i64 = 0x4206;
    let mut started = start(first_party("daemon"));
    let daemon = started.log.pid("daemon ");
    call!(libc::SYS_ptrace, SEIZE, daemon.as_raw_nonzero().get(), 0, 0).unwrap();
    let left = Watch::new(daemon);
    Watch::of(started.child.pid()).signal(Signal::KILL);
    assert_eq!(started.end().exit, Exit::Signal(9));
    assert!(left.ends(), "the keeper did not end it");
    assert!(!started.child.poll_gone().unwrap());
    ends_beside_a_stranger(&mut started);
    waitpid(Some(daemon), WaitOptions::empty()).unwrap();
}
