//! Plugins that one process starts and another uses. Here both are this one, so that it shows who
//! holds what; that they can be two is tried where there is a broker.

use std::time::Duration;

use outrigger_sandbox::{Child, Exit, Handover, Lent};
use rustix::process::{Pid, Signal};

use crate::runner::Case;
use crate::support::{Log, PATIENCE, Watch, first_party, is_reaped, launch, readable};

pub(crate) const CASES: &[Case] = &[
    ("what_is_handed_over_is_used_by_who_adopts_it", used),
    ("what_is_handed_over_ends_with_who_adopted_it", ends),
    ("a_keeper_that_does_not_answer_is_ended_by_who_adopted_it", destroyed),
    ("what_is_no_plugin_is_not_adopted", stray),
];

/// A plugin that waits, adopted; what stayed behind; its connection.
fn adopted() -> (Child, Lent, std::os::unix::net::UnixStream) {
    let (launch, connection) = launch(first_party("wait"));
    let child = outrigger_sandbox::launch(launch).unwrap();
    let (pid, report) = (child.pid(), child.report().clone());
    let (handover, lent) = child.hand_over().unwrap();
    let child = Child::adopt(handover).unwrap();
    assert_eq!((child.pid(), child.report()), (pid, &report));
    (child, lent, connection)
}

fn used() {
    let (mut child, lent, connection) = adopted();
    let log = Log::new(child.take_stdout().unwrap());
    assert!(child.poll_exit().unwrap().is_none());
    drop(connection);
    let ended = child.wait(PATIENCE).unwrap().unwrap();
    assert_eq!(ended.exit, Exit::Code(0));
    assert!(ended.usage.is_some() && child.wait_gone(PATIENCE).unwrap());
    log.rest();
    let keeper = child.keeper_pid();
    assert!(readable(&lent, PATIENCE));
    lent.reap().unwrap();
    assert!(is_reaped(Pid::from_raw(keeper.cast_signed()).unwrap()));
    let (mut child, _lent, _connection) = adopted();
    child.kill();
    assert_eq!(child.wait(PATIENCE).unwrap().unwrap().exit, Exit::Signal(9));
}

/// Nobody says anything: the socket is closed, as the kernel does it for one that was killed.
fn ends() {
    let (child, lent, _connection) = adopted();
    let plugin = Watch::of(child.pid());
    assert!(!readable(&lent, Duration::ZERO));
    drop(child);
    assert!(readable(&lent, PATIENCE) && plugin.ends());
    lent.reap().unwrap();
}

fn destroyed() {
    let (mut child, lent, _connection) = adopted();
    let (keeper, plugin) = (Watch::of(child.keeper_pid()), Watch::of(child.pid()));
    keeper.signal(Signal::STOP);
    child.destroy();
    assert!(readable(&lent, PATIENCE) && plugin.ends());
    assert_eq!(child.wait(PATIENCE).unwrap().unwrap().exit, Exit::KeeperLost);
}

fn stray() {
    let (launch, _connection) = launch(first_party("wait"));
    let (mut handover, lent) = outrigger_sandbox::launch(launch).unwrap().hand_over().unwrap();
    let control = handover.descriptors.remove(0);
    let note = handover.note.clone();
    assert!(Child::adopt(handover).is_err(), "a descriptor is missing");
    let pipes = std::iter::repeat_with(|| std::io::pipe().unwrap().0.into());
    assert!(Child::adopt(Handover { note, descriptors: pipes.take(5).collect() }).is_err());
    drop(control);
    assert!(readable(&lent, PATIENCE), "it outlived its control socket");
}
