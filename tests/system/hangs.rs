//! Plugins that hang, stand still or do not listen: what ends their calls and them, and that nobody
//! else waits for it (invariant 8 of ARCHITECTURE.md; decisions W3, P6).

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use outrigger::broker::{Death, PluginHost, PluginSpec, start};
use outrigger::protocol::{Blame, Code, CommitKind, Effect, Error, Method, ObjectId};
use outrigger::sandbox::Exit;
use tokio::task::JoinHandle;

use crate::support::host::{
    AT_ONCE, EVERY_RUNG, answers_until, block_on, commit, connected, finish, hostile, initialize, list, live,
    read, signal, spec, write,
};
use crate::support::{Link, World, no_process_is_left, over_both_connections};

over_both_connections!(
    w3_a_call_that_hangs_ends_at_its_deadline_and_its_plugin_soon_after,
    a_stopped_process_is_found_out_and_ended_and_no_other_notices,
);

/// What a call may take where it is meant to run out of time.
const SHORT_CALLS: Duration = Duration::from_millis(500);

/// Holds S7, S34.
fn w3_a_call_that_hangs_ends_at_its_deadline_and_its_plugin_soon_after(world: World) {
    let limit = SHORT_CALLS;
    // The last one does not even hear SIGTERM.
    for (place, deed) in
        [("initialize", "hang"), ("get_changes", "hang"), ("read", "drip"), ("commit", "deaf")]
    {
        block_on(async {
            let mut spec = hostile(&world, place, deed);
            spec.calls_timeout = Some(limit);
            let host = start(spec).await.unwrap();
            let begun = Instant::now();
            let error = live(&host).await.unwrap_err();
            let after = begun.elapsed();
            assert!(matches!(error.code, Code::DEADLINE | Code::IDLE_TIMEOUT), "{place}: {error:?}");
            assert!(after >= limit && after < limit + AT_ONCE, "{place}: {after:?}");
            assert_eq!(error.effect, Effect::Unknown, "{place}: {error:?}");
            // Nobody has to ask for its end.
            let death = host.wait().await;
            assert!(begun.elapsed() < EVERY_RUNG, "{place}: {:?}", begun.elapsed());
            let signal = if deed == "deaf" { 9 } else { 15 };
            assert_eq!(death.exit, Some(Exit::Signal(signal)), "{place}: {death}");
        });
        no_process_is_left(world.root());
    }
}

/// A plugin that is stopped, then called with an item of `size`: how the call ends and when, and how
/// the plugin does.
async fn stopped(mut spec: PluginSpec, size: usize) -> (Error, Duration, Death) {
    (spec.name, spec.calls_timeout) = ("phone".into(), Some(SHORT_CALLS));
    let host = start(spec).await.unwrap();
    let (_instance, sink) = connected(&host).await.unwrap();
    signal(&host, Signal::SIGSTOP);
    let begun = Instant::now();
    let error = commit(&sink, write(CommitKind::Create, "", None, &"x".repeat(size))).await.unwrap_err();
    (error, begun.elapsed(), host.wait().await)
}

/// It neither reads nor answers, nor hears SIGTERM: our own clocks end its call, and it. One of
/// the calls is more than a socket holds.
/// Holds S35.
fn a_stopped_process_is_found_out_and_ended_and_no_other_notices(world: World) {
    block_on(async {
        let good = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&good).await.unwrap();
        let begun = Instant::now();
        let dying = [1, 900_000].map(|size| tokio::spawn(stopped(spec(&world, "echo_plugin", &[]), size)));
        answers_until(&sink, || dying.iter().all(JoinHandle::is_finished)).await;
        assert!(begun.elapsed() < EVERY_RUNG, "{:?}", begun.elapsed());
        for stopped in dying {
            let (error, after, death) = stopped.await.unwrap();
            assert!(after >= SHORT_CALLS && after < SHORT_CALLS + AT_ONCE, "{after:?}");
            assert_eq!((error.blame, error.effect), (Blame::Plugin, Effect::Unknown), "{error:?}");
            assert_eq!(&*error.message, "commit: not answered in time");
            let told = "the plugin of phone was ended: it answered neither a call in time nor its cancel";
            assert_eq!((death.to_string().as_str(), death.exit), (told, Some(Exit::Signal(9))));
        }
        finish(instance, &sink).await.unwrap();
        good.stop().await;
    });
    no_process_is_left(world.root());
}

/// Stopped at every kind of place by somebody who no longer waits for its call. One that is deaf
/// does not even hear SIGTERM.
/// Holds S7, S37.
#[test]
fn a_plugin_that_ignores_everything_is_stopped_in_bounded_time() {
    std::thread::scope(|scope| {
        for (place, deed, signal) in
            [("get_changes", "deaf", 9), ("end", "deaf", 9), ("get_changes", "drip", 15), ("end", "hang", 15)]
        {
            scope.spawn(move || {
                let world = World::empty(Link::Inherited);
                block_on(async {
                    let host = start(hostile(&world, place, deed)).await.unwrap();
                    let (_instance, sink) = connected(&host).await.unwrap();
                    drop(tokio::time::timeout(Duration::from_millis(300), list(&sink)).await);
                    let begun = Instant::now();
                    let (death, _) = host.stop().await;
                    assert!(begun.elapsed() < EVERY_RUNG, "{place} {deed}: {:?}", begun.elapsed());
                    assert_eq!(death.exit, Some(Exit::Signal(signal)), "{place} {deed}: {death}");
                });
                no_process_is_left(world.root());
            });
        }
    });
}

/// A plugin that takes one call, which runs out of time; and how another ends, which waits for room.
async fn one_call_too_many(spec: PluginSpec) -> (PluginHost, Error) {
    let host = start(PluginSpec { calls_timeout: Some(SHORT_CALLS), ..spec }).await.unwrap();
    let request = initialize(&[]);
    let another = ObjectId(1);
    // In this order: when the second is made, there is no room.
    let (first, waiting) = tokio::join!(
        biased;
        host.initialize(&request),
        host.call::<_, ()>(another, Method::DISCOVER, &(), None)
    );
    assert_eq!(first.unwrap_err().code, Code::DEADLINE);
    (host, waiting.unwrap_err())
}

/// No call is left that could tell of room by its end.
#[test]
fn b3_a_call_that_waits_for_room_ends_with_the_plugin() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let begun = Instant::now();
        let (host, error) = one_call_too_many(hostile(&world, "hello", "stare")).await;
        assert!(begun.elapsed() < EVERY_RUNG, "{:?}", begun.elapsed());
        assert_eq!((error.code, error.effect), (Code::DISCONNECTED, Effect::NotStarted), "{error:?}");
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// An answer that comes too late ends no call, and makes room all the same.
#[test]
fn b3_a_call_that_waits_for_room_goes_on_when_an_answer_comes_too_late() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let (host, error) = one_call_too_many(hostile(&world, "hello", "dawdle")).await;
        assert_eq!((error.code, &*error.message), (Code::NOT_FOUND, "so late"), "it was sent and answered");
        assert_eq!(host.death(), None);
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// P6, invariant 6: while one floods with 100 MiB and then hangs, another answers as if it were alone.
/// Holds S22, S41.
#[test]
fn p6_a_plugin_that_floods_and_hangs_does_not_delay_another() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let good = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&good).await.unwrap();
        let floods = start(hostile(&world, "discover", "flood-much")).await.unwrap();
        let hangs = start(hostile(&world, "discover", "hang")).await.unwrap();
        let bad = tokio::spawn(async move {
            let instance = floods.initialize(&initialize(&[])).await.unwrap();
            instance.discover().await.unwrap();
            floods.stop().await.0
        });
        let hanging = tokio::spawn(async move {
            let instance = hangs.initialize(&initialize(&[])).await.unwrap();
            let called = tokio::time::timeout(Duration::from_secs(1), instance.discover()).await;
            assert!(called.is_err(), "it hangs");
            hangs.stop().await.0
        });
        answers_until(&sink, || bad.is_finished() && hanging.is_finished()).await;
        assert_eq!(bad.await.unwrap().last_words.last().map(String::as_str), Some("the flood is over"));
        assert!(!hanging.await.unwrap().exit.unwrap().success());
        finish(instance, &sink).await.unwrap();
        good.stop().await;
    });
    no_process_is_left(world.root());
}

/// Ten thousand answers that a plugin asked for and does not read fill what lies between, and stop
/// nobody but itself.
/// Holds S3.
#[test]
fn a_plugin_that_does_not_read_its_answers_stops_only_itself() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let good = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&good).await.unwrap();
        let mut spec = hostile(&world, "discover", "unread");
        spec.calls_timeout = Some(SHORT_CALLS);
        let bad = start(spec).await.unwrap();
        let ending = tokio::spawn(async move {
            let instance = bad.initialize(&initialize(&[])).await.unwrap();
            let error = instance.discover().await.unwrap_err();
            (error, bad.wait().await)
        });
        answers_until(&sink, || ending.is_finished()).await;
        let (error, death) = ending.await.unwrap();
        assert_eq!(error.code, Code::DEADLINE, "{error:?}");
        assert_eq!(death.exit, Some(Exit::Signal(15)), "{death}");
        finish(instance, &sink).await.unwrap();
        good.stop().await;
    });
    no_process_is_left(world.root());
}

/// W3: what a call may take says nothing of the start, which has a limit of its own.
/// Holds S7.
#[test]
fn w3_a_start_may_take_longer_than_a_call() {
    let world = World::empty(Link::Inherited);
    let limit = Duration::from_micros(1);
    block_on(async {
        let spec = PluginSpec { calls_timeout: Some(limit), ..hostile(&world, "initialize", "hang") };
        let host = start(spec).await.unwrap();
        assert!(host.facts().start > limit, "{:?}", host.facts().start);
        assert_eq!(host.initialize(&initialize(&[])).await.unwrap_err().code, Code::DEADLINE);
        host.stop().await;
    });
    no_process_is_left(world.root());
}

/// P6: PING is fatal only when no call is open.
#[test]
fn p6_a_ping_that_is_not_answered_ends_an_idle_plugin_and_no_busy_one() {
    const SHORT: Duration = Duration::from_millis(200);
    let world = World::empty(Link::Inherited);
    block_on(async {
        let host = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&host).await.unwrap();
        host.ping(AT_ONCE).await.unwrap();

        signal(&host, Signal::SIGSTOP); // it works on a call, and for long
        let hrefs = ["first"];
        let (called, asked) = tokio::join!(read(&sink, &hrefs), async {
            let asked = host.ping(SHORT).await;
            signal(&host, Signal::SIGCONT);
            asked
        });
        assert_eq!(asked.unwrap_err().code, Code::BUSY);
        assert_eq!(called.unwrap(), [Some(b"hello".to_vec())], "the call goes on");
        host.ping(AT_ONCE).await.unwrap();
        finish(instance, &sink).await.unwrap();

        signal(&host, Signal::SIGSTOP); // and now it has nothing to do
        let error = host.ping(SHORT).await.unwrap_err();
        assert_eq!((error.code, error.blame), (Code::IDLE_TIMEOUT, Blame::Plugin), "{error:?}");
        let death = host.wait().await;
        assert_eq!(death.exit, Some(Exit::Signal(9)), "{death}");
        assert!(death.connection.unwrap().contains("PING"));
        assert_eq!(host.ping(AT_ONCE).await.unwrap_err().code, Code::DISCONNECTED);
    });
    no_process_is_left(world.root());
}
