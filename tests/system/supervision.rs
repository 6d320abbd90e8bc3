//! A supervised plugin, through the broker alone: started when it is needed, again after a crash
//! and not for ever, and stopped when nobody needs it.

use std::fs;
use std::io::{ErrorKind, IoSlice};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use outrigger::broker::{
    Budget, Care, Circuit, ConnectBy, Death, Down, Lease, PluginSpec, Supervised, TryError, start,
};
use outrigger::sandbox::{Exit, Helper, Policy, Profile, Program};
use outrigger_transport::{Carrier as _, SocketCarrier};

use crate::support::host::{AT_ONCE, block_on, connected, example, live, signal, spec};
use crate::support::{Link, Process, World, no_process_is_left, over_both_connections, processes, until};

over_both_connections!(
    a_plugin_that_is_killed_at_any_place_is_named_and_leaves_nothing,
    a_crash_loop_ends_when_its_budget_is_spent,
    x3_the_next_process_starts_when_the_last_of_the_old_one_has_gone,
    what_no_restart_mends_is_not_tried_again,
    one_that_nobody_needs_is_stopped_and_started_again_when_it_is_needed,
);

/// An example under supervision.
fn supervised(world: &World, care: Care, name: &'static str, args: &[&str]) -> Supervised {
    let mut first = spec(world, name, args);
    first.policy.execute = vec!["/usr".into()]; // a daemon is started by a shell
    let (program, helper, policy) = (first.program.clone(), first.helper.clone(), first.policy.clone());
    Supervised::new("phone", care, move || {
        let mut spec = PluginSpec::new("phone", program.clone());
        (spec.connect, spec.helper, spec.policy) = (first.connect, helper.clone(), policy.clone());
        async { start(spec).await.map_err(TryError::from) }
    })
}

fn budget(max: u32) -> Care {
    Care { budget: Budget { max, ..Budget::default() }, ..Care::default() }
}

fn idle(after: Duration) -> Care {
    Care { idle: Some(after), ..Care::default() }
}

/// Waits until the keeper of a process, a child of this one, is not even a zombie.
fn until_reaped(lease: &Lease) {
    let keeper = format!("/proc/{}", lease.facts().keeper_pid.unwrap());
    let begun = Instant::now();
    until("the keeper is reaped", || (!Path::new(&keeper).exists()).then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

fn killed(death: &Death) -> bool {
    death.exit == Some(Exit::Signal(9)) && death.to_string().contains("was ended by signal 9 (SIGKILL)")
}

/// At each step of its life: the call that was open names the signal, no process and no zombie is
/// left, and the next one runs.
/// Holds S56, S57.
fn a_plugin_that_is_killed_at_any_place_is_named_and_leaves_nothing(world: World) {
    let calls = ["initialize", "discover", "connect", "connect_done", "get_changes", "read", "commit"];
    let ends = ["committed_all", "sync_done", "disconnect", "finalize"];
    for place in calls.into_iter().chain(ends) {
        block_on(async {
            let phone = supervised(&world, Care::default(), "hostile_plugin", &[place, "kill"]);
            let lease = phone.lease().await.unwrap();
            let error = live(&lease).await.unwrap_err();
            assert!(error.to_string().contains("signal 9 (SIGKILL)"), "{place}: {error}");
            until_reaped(&lease);
            assert!(processes(world.root()).is_empty(), "{place}: all has gone when the call fails");
            assert!(!phone.runs().await && !phone.runs().await, "{place}");
            assert_eq!(phone.health().crashes, 1, "{place}: counted once");
            assert!(killed(&phone.last_death().unwrap()), "{place}");
            let next = phone.lease().await.unwrap();
            assert_ne!(next.facts().pid, lease.facts().pid);
            let health = phone.health();
            assert_eq!((health.starts, health.crashes), (2, 1), "{place}");
            assert!(health.peak_rss_bytes > Some(1 << 20) && health.cpu_time.is_some(), "{health:?}");
            phone.stop().await;
            assert!(processes(world.root()).is_empty(), "{place}");
            assert_eq!(phone.health().crashes, 1, "{place}: a stop is no crash");
        });
    }
}

/// Holds S58.
fn a_crash_loop_ends_when_its_budget_is_spent(world: World) {
    block_on(async {
        let phone = supervised(&world, budget(3), "hostile_plugin", &["start", "exit"]);
        let down = phone.lease().await.unwrap_err();
        let Down::Open { crashes: 3, last: Some(last), .. } = &down else { panic!("{down:?}") };
        assert_eq!(last.exit, Some(Exit::Code(3)));
        assert!(matches!(phone.circuit(), Circuit::Open { .. }));
        no_process_is_left(world.root());
        // Nothing is tried from here on, nor in the process that goes on from what was kept.
        let care = Care { crashes: phone.crashes(), now: Duration::from_secs(60), ..budget(3) };
        let later = supervised(&world, care, "hostile_plugin", &["start", "exit"]);
        for (phone, crashes) in [(&phone, 3), (&later, 0)] {
            let begun = Instant::now();
            assert!(matches!(phone.lease().await, Err(Down::Open { .. })));
            assert!(begun.elapsed() < AT_ONCE && phone.health().crashes == crashes);
        }
        // Others run meanwhile, and a fourth crash would have been needed by a budget of four.
        let care = Care { crashes: phone.crashes(), now: Duration::from_secs(60), ..budget(4) };
        let other = supervised(&world, care, "echo_plugin", &[]);
        live(&other.lease().await.unwrap()).await.unwrap();
        other.stop().await;
    });
    no_process_is_left(world.root());
}

/// What the old process left behind holds its output open, and is ended before the next begins.
/// Holds S59.
fn x3_the_next_process_starts_when_the_last_of_the_old_one_has_gone(world: World) {
    block_on(async {
        let phone = supervised(&world, Care::default(), "hostile_plugin", &["discover", "daemon"]);
        let old = phone.lease().await.unwrap();
        let _kept = connected(&old).await.unwrap();
        let daemons = || processes(world.root()).into_iter().filter(|one| one.command.contains("x sleep"));
        until("both daemons run", || (daemons().count() == 2).then_some(()));
        signal(&old, Signal::SIGKILL);
        let begun = Instant::now();
        assert!(killed(&old.wait().await));
        assert!(begun.elapsed() < AT_ONCE, "its end is seen, not that of its output: {:?}", begun.elapsed());
        let next = phone.lease().await.unwrap();
        assert_eq!(daemons().count(), 0);
        let left = processes(world.root());
        let is_old =
            |pid: i32| [old.facts().pid, old.facts().keeper_pid.unwrap()].contains(&pid.unsigned_abs());
        assert!(left.iter().all(|process| !is_old(process.pid)), "{left:?}");
        drop(next);
        phone.stop().await;
    });
    no_process_is_left(world.root());
}

/// What the old process left behind is traced, so that nobody can take it away: no other is started.
#[test]
fn x3_no_process_is_started_beside_one_that_cannot_be_ended() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let phone = supervised(&world, Care::default(), "hostile_plugin", &["discover", "daemon"]);
        let old = phone.lease().await.unwrap();
        let _kept = connected(&old).await.unwrap();
        let daemon = |one: &Process| one.command.contains("x sleep");
        let daemon = until("a daemon runs", || processes(world.root()).into_iter().find(daemon));
        let daemon = Pid::from_raw(daemon.pid);
        ptrace::seize(daemon, ptrace::Options::empty()).unwrap();
        signal(&old, Signal::SIGKILL);
        assert!(killed(&old.wait().await));
        for _ in 0..2 {
            let down = phone.lease().await.unwrap_err();
            assert!(matches!(down, Down::Lingers { .. }), "{down:?}");
        }
        assert_eq!((phone.health().starts, phone.health().crashes), (1, 1));
        waitpid(daemon, None).unwrap();
    });
    no_process_is_left(world.root());
}

/// Behind the last answer it may leave by itself; killed there, it has crashed.
#[test]
fn one_that_leaves_in_peace_before_the_goodbye_has_not_crashed() {
    for (deed, crashes) in [("leave", 0), ("kill", 1)] {
        let world = World::empty(Link::Inherited);
        block_on(async {
            let phone = supervised(&world, Care::default(), "hostile_plugin", &["finalize", deed]);
            let lease = phone.lease().await.unwrap();
            drop(live(&lease).await);
            lease.wait().await;
            phone.stop().await;
            assert_eq!(
                (phone.health().crashes, phone.crashes().len()),
                (crashes, crashes as usize),
                "{deed}"
            );
        });
        no_process_is_left(world.root());
    }
}

fn what_no_restart_mends_is_not_tried_again(world: World) {
    let (connect, profile) = match world.link() {
        Link::Inherited => (ConnectBy::Inherited, Profile::Strict),
        Link::Named => (ConnectBy::Name, Profile::None), // in a sandbox nothing can be dialled
    };
    let usual = Policy { profile, ..Policy::default() };
    let echo = Program::Executable { path: example("echo_plugin", "echo_plugin"), args: Vec::new() };
    let nowhere = Program::Executable { path: "/nowhere/at/all".into(), args: Vec::new() };
    let refuse = Program::Executable {
        path: example("hostile_plugin", "hostile_plugin"),
        args: vec!["hello".into(), "refuse".into()],
    };
    let too_much = Policy { write: vec![world.program()], ..usual.clone() };
    for (what, program, policy) in
        [("sandbox", echo, too_much), ("manifest", nowhere, usual.clone()), ("authentication", refuse, usual)]
    {
        let helper = world.program();
        let phone = Supervised::new("phone", Care::default(), move || {
            let mut spec = PluginSpec::new("phone", program.clone());
            (spec.connect, spec.policy) = (connect, policy.clone());
            spec.helper = Helper::Executable(helper.clone());
            async { start(spec).await.map_err(TryError::from) }
        });
        block_on(async {
            let down = phone.lease().await.unwrap_err();
            assert!(matches!(down, Down::Refused(_)), "{what}: {down:?}");
            assert!(matches!(phone.lease().await, Err(Down::Still { .. })), "{what}");
            assert_eq!((phone.circuit(), phone.health().crashes), (Circuit::Refused, 0), "{what}");
        });
        no_process_is_left(world.root());
    }
}

/// One of two is used for as long as it takes until the other has been stopped.
/// Holds S60.
fn one_that_nobody_needs_is_stopped_and_started_again_when_it_is_needed(world: World) {
    block_on(async {
        // Less than any start takes, so both grow old enough while they are starting.
        let [used, unused] =
            [(); 2].map(|()| supervised(&world, idle(Duration::from_millis(1)), "echo_plugin", &[]));
        let lease = used.lease().await.unwrap();
        let (instance, sink) = connected(&lease).await.unwrap();
        let old = unused.lease().await.unwrap();
        live(&old).await.unwrap();
        let facts = old.facts().clone();
        let ended = old.clone();
        drop(old);
        let death = ended.wait().await;
        assert_eq!(death.exit, Some(Exit::Code(0)), "by a goodbye, and in peace: {death}");
        crate::support::host::finish(instance, &sink).await.unwrap();
        assert_eq!((used.health().idle_stops, lease.death()), (0, None), "it was in use");
        let again = unused.lease().await.unwrap();
        assert_ne!(again.facts().pid, facts.pid);
        assert_eq!(unused.health().idle_stops, 1);
        live(&again).await.unwrap();
        let health = unused.health();
        assert_eq!((health.starts, health.crashes), (2, 0));
        assert!(unused.crashes().is_empty(), "and is no crash");
        drop((lease, again));
    });
    no_process_is_left(world.root());
}

/// Its idle time runs out while it is started again for somebody: who watched the old process finds the
/// new one in use, and leaves it alone.
#[test]
fn one_that_is_needed_again_when_its_idle_time_ends_is_not_stopped() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let phone = supervised(&world, idle(Duration::from_millis(1)), "echo_plugin", &[]);
        let old = phone.lease().await.unwrap();
        signal(&old, Signal::SIGKILL);
        old.wait().await;
        drop(old); // nobody needs it, for longer than its idle time, until the next has started
        let new = phone.lease().await.unwrap();
        assert!(phone.runs().await, "asked behind the look of the old one's watcher");
        live(&new).await.unwrap();
        assert_eq!((phone.health().starts, phone.health().idle_stops, new.death()), (2, 0, None));
        let ended = new.clone();
        drop(new);
        assert_eq!(ended.wait().await.exit, Some(Exit::Code(0)), "now nobody needs it");
    });
    no_process_is_left(world.root());
}

/// The thread that asked for it, and the one that forked, are gone before it is used.
/// Holds S64.
#[test]
fn a_plugin_survives_the_thread_that_started_it() {
    let world = World::empty(Link::Inherited);
    let spec = spec(&world, "echo_plugin", &[]);
    let started = std::thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().thread_keep_alive(Duration::from_millis(1)).build().unwrap();
        let host = runtime.block_on(outrigger::broker::start(spec)).unwrap();
        (runtime, host)
    });
    let (runtime, host) = started.join().unwrap();
    runtime.block_on(async {
        live(&host).await.unwrap();
        let (death, _) = host.stop().await;
        assert_eq!(death.exit, Some(Exit::Code(0)), "{death}");
    });
    no_process_is_left(world.root());
}

/// A plugin need not ignore SIGPIPE: a write raises none. Here it is blocked, so one would be seen to wait.
/// Holds S66.
#[test]
fn a_write_to_a_broker_that_has_gone_is_an_error_and_no_signal() {
    SigSet::from(Signal::SIGPIPE).thread_block().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let mut carrier = SocketCarrier::new(theirs.into());
    let written = [carrier.try_write(b"x"), carrier.try_write_vectored(&[IoSlice::new(b"x")])];
    for written in written {
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let waiting = status.lines().find_map(|line| line.strip_prefix("SigPnd:")).unwrap();
    let waiting = u64::from_str_radix(waiting.trim(), 16).unwrap();
    assert_eq!(waiting & (1 << (Signal::SIGPIPE as u32 - 1)), 0, "{waiting:x}");
}
