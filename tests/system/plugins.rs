//! Plugins through the broker alone: the whole life of a good one, and what each misdeed of a bad
//! one costs (invariants 3, 4, 6 of ARCHITECTURE.md; decisions W4, W8, P1, P6).

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use outrigger::broker::{ConnectBy, Death, Instance, PluginHost, PluginSpec, SinkClient, StartError, start};
use outrigger::protocol::{
    Blame, Change, Code, CommitItem, CommitKind, CommitOutcome, Connect, ConnectDone, Effect, Error,
    GetChanges, Group, Href, Initialize, Listing, Member, Method, ObjectId, OperationId, RawDigest, ReadItem,
    ReadOutcome, Revision,
};
use outrigger::sandbox::{Exit, Helper, Program};

use crate::support::{Link, World, no_process_is_left, over_both_connections, processes, until};

over_both_connections!(
    the_whole_life_of_the_echo_plugin,
    one_that_exits_before_it_connects_is_known_to_have_done_so_at_once,
    w8_one_that_never_speaks_is_given_up_after_the_handshake_limit,
    w8_one_that_sends_a_byte_a_second_is_given_up_after_the_handshake_limit,
    w8_what_is_no_handshake_ends_it,
    a_crash_at_any_place_is_told_with_signal_words_and_calls,
    what_breaks_the_protocol_ends_the_connection_and_nothing_else,
    ten_mebibytes_on_both_outputs_cost_nothing,
    w3_a_call_that_hangs_ends_at_its_deadline_and_its_plugin_soon_after,
    p1_a_plugin_has_its_own_environment_and_three_descriptors,
    what_a_plugin_started_ends_with_it,
);

/// How long what happens at once may take on a busy machine.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);

/// How long a plugin that ignores everything can put off its end: every rung of the way out.
pub(crate) const EVERY_RUNG: Duration = Duration::from_secs(20);

pub(crate) fn block_on<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(crate::support::DEADLINE, story).await.expect("it hangs") })
}

/// An example program. `cargo test` builds them all; a run of this test alone may have to.
pub(crate) fn example(name: &str, source: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let own = std::env::current_exe().unwrap();
    let profile = own.ancestors().nth(2).unwrap();
    let examples = profile.join("examples");
    BUILT.call_once(|| {
        let age = |path: PathBuf| fs::metadata(path).and_then(|found| found.modified()).ok();
        let sources = [
            ("echo_plugin", "examples/echo_plugin.rs"),
            ("hostile_plugin", "tests/system/hostile_plugin.rs"),
            ("new_plugin", "src/command/plugin/templates/rust/main.rs"),
            ("asking_plugin", "tests/system/asking_plugin.rs"),
            ("level0_plugin", "tests/system/level0_plugin.rs"),
            ("comparing_plugin", "tests/system/comparing_plugin.rs"),
            ("showing_plugin", "tests/system/showing_plugin.rs"),
        ];
        let is_fresh = |(name, source): (&str, &str)| {
            age(examples.join(name)).is_some_and(|built| {
                Some(built) >= age(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(source))
            })
        };
        if !sources.into_iter().all(is_fresh) {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["build", "--quiet", "--examples", "--target-dir"]).arg(profile.parent().unwrap());
            if profile.ends_with("release") {
                cargo.arg("--release");
            }
            let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
            assert!(built.success(), "the examples could not be built");
        }
    });
    let program = examples.join(name);
    assert!(program.exists(), "{} is missing: it is built from {source}", program.display());
    program
}

fn connect_by(link: Link) -> ConnectBy {
    match link {
        Link::Inherited => ConnectBy::Inherited,
        Link::Named => ConnectBy::Name,
    }
}

/// An example in a world, so that its processes can be told from others.
pub(crate) fn spec(world: &World, name: &str, args: &[&str]) -> PluginSpec {
    let program = world.path(name);
    if !program.exists() {
        let built = example(name, name);
        fs::hard_link(&built, &program).or_else(|_| fs::copy(&built, &program).map(|_| ())).unwrap();
    }
    let args = args.iter().map(Into::into).collect();
    let mut spec = PluginSpec::new(name, Program::Executable { path: program, args });
    spec.connect = connect_by(world.link());
    spec.helper = Helper::Executable(world.program());
    spec
}

fn hostile(world: &World, place: &str, deed: &str) -> PluginSpec {
    spec(world, "hostile_plugin", &[place, deed])
}

pub(crate) fn initialize(options: &[(&str, &str)]) -> Initialize {
    let options = options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Initialize::new(Member::new("m", options), Group::new("g", vec!["m".into()]))
}

/// The life of a plugin up to a run that has listed.
pub(crate) async fn connected(host: &PluginHost) -> Result<(Instance, SinkClient), Error> {
    let instance = host.initialize(&initialize(&[])).await?;
    let mut sinks = instance.discover().await?.sinks;
    let sink = instance.sink(sinks.remove(0));
    sink.connect(&Connect { slow_sync: false, read_only: false, anchor: None }).await?;
    sink.connect_done(&ConnectDone { slow_sync: false }).await?;
    Ok((instance, sink))
}

pub(crate) async fn list(sink: &SinkClient) -> Result<(Vec<Change>, Listing), Error> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let each = Arc::clone(&seen);
    let request = GetChanges { slow_sync: false, anchor: None };
    let end = sink.get_changes(&request, move |change| each.lock().unwrap().push(change)).await?;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    Ok((seen, end))
}

pub(crate) async fn read(sink: &SinkClient, hrefs: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let items = hrefs.iter().map(|href| ReadItem { href: Href::from(*href), known: None }).collect();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let each = Arc::clone(&seen);
    let take = move |result: outrigger::protocol::ReadResult<'_>| {
        let data = match result.outcome {
            ReadOutcome::Item { data, .. } => Some(data.into_owned()),
            _ => None,
        };
        each.lock().unwrap().push(data);
    };
    sink.read(items, take).await?;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    Ok(seen)
}

pub(crate) fn write(
    kind: CommitKind,
    href: &str,
    expected: Option<&Revision>,
    text: &str,
) -> CommitItem<'static> {
    let data = text.as_bytes().to_vec();
    CommitItem {
        operation: OperationId(uuid::Uuid::now_v7()),
        kind,
        href: Href::from(href),
        expected: expected.cloned(),
        expected_digest: None,
        key: b"new".as_slice().into(),
        object_type: "note".into(),
        format: "text".into(),
        digest: RawDigest::of(&data),
        data: data.into(),
    }
}

pub(crate) async fn commit(sink: &SinkClient, item: CommitItem<'static>) -> Result<CommitOutcome, Error> {
    let mut results = sink.commit(vec![item]).await?.results;
    Ok(results.remove(0).outcome)
}

/// The rest of the life.
pub(crate) async fn finish(instance: Instance, sink: &SinkClient) -> Result<(), Error> {
    sink.committed_all().await?;
    sink.sync_done().await?;
    sink.disconnect().await?;
    instance.finalize().await
}

/// All of it, for a plugin that may go wrong anywhere.
pub(crate) async fn live(host: &PluginHost) -> Result<(), Error> {
    let (instance, sink) = connected(host).await?;
    list(&sink).await?;
    read(&sink, &["note-1"]).await?;
    commit(&sink, write(CommitKind::Create, "", None, "x")).await?;
    finish(instance, &sink).await
}

fn the_whole_life_of_the_echo_plugin(world: World) {
    block_on(async {
        let host = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let facts = host.facts().clone();
        let ours = processes(world.root());
        assert!(ours.iter().any(|process| process.pid == facts.pid.cast_signed()), "{ours:?}");
        let instance = host.initialize(&initialize(&[("first", "hello, world")])).await.unwrap();
        let again = host.initialize(&initialize(&[])).await.unwrap_err();
        assert_eq!(again.code, Code::INVALID_STATE, "one instance a host");
        let discovered = instance.discover().await.unwrap();
        assert_eq!(discovered.sinks.iter().map(|sink| sink.name.as_str()).collect::<Vec<_>>(), ["notes"]);
        let sink = instance.sink(discovered.sinks[0].clone());
        let early = list(&sink).await.unwrap_err();
        assert_eq!(
            (early.code, early.effect),
            (Code::INVALID_STATE, Effect::NotStarted),
            "w2: not before connect"
        );
        sink.connect(&Connect { slow_sync: false, read_only: false, anchor: None }).await.unwrap();
        sink.connect_done(&ConnectDone { slow_sync: false }).await.unwrap();

        let (listed, end) = list(&sink).await.unwrap();
        assert_eq!((listed.len(), end.count, end.complete), (1, 1, true));
        assert_eq!(read(&sink, &["first", "none"]).await.unwrap(), [Some(b"hello, world".to_vec()), None]);

        let created = commit(&sink, write(CommitKind::Create, "", None, "one")).await.unwrap();
        let CommitOutcome::Done { href, revision, .. } = created else { panic!("{created:?}") };
        assert_eq!(href, Href::from("new"));
        let twice = commit(&sink, write(CommitKind::Create, "new", None, "one")).await.unwrap();
        assert!(matches!(&twice, CommitOutcome::Failed(error) if error.code == Code::EXISTS), "{twice:?}");
        let updated = commit(&sink, write(CommitKind::Update, "new", Some(&revision), "two")).await.unwrap();
        let CommitOutcome::Done { revision: second, .. } = updated else { panic!("{updated:?}") };
        let stale = commit(&sink, write(CommitKind::Delete, "new", Some(&revision), "")).await.unwrap();
        assert!(
            matches!(&stale, CommitOutcome::Failed(error) if error.code == Code::PRECONDITION),
            "{stale:?}"
        );
        assert_eq!(read(&sink, &["new"]).await.unwrap(), [Some(b"two".to_vec())]);
        let deleted = commit(&sink, write(CommitKind::Delete, "new", Some(&second), "")).await.unwrap();
        assert!(matches!(deleted, CommitOutcome::Done { .. }), "{deleted:?}");
        assert_eq!(read(&sink, &["new"]).await.unwrap(), [None]);

        finish(instance, &sink).await.unwrap();
        assert!(host.death().is_none());
        let (death, ended) = host.stop().await;
        assert_eq!((death.exit, death.calls_in_flight, death.connection), (Some(Exit::Code(0)), 0, None));
        assert!(ended.and_then(|ended| ended.usage).is_some_and(|usage| usage.peak_rss_bytes > 1 << 20));
        assert!(processes(world.root()).is_empty(), "stop() returns when the last process has gone");
    });
}

/// Why it could not be started, and what became of it.
async fn refused(spec: PluginSpec) -> (String, Death) {
    match start(spec).await {
        Err(StartError::Handshake { error, death, .. }) => (error.to_string(), *death),
        other => panic!("it was started, or not even that: {other:?}"),
    }
}

fn one_that_exits_before_it_connects_is_known_to_have_done_so_at_once(world: World) {
    for (deed, exit, words) in [
        ("exit", Exit::Code(3), "left with code 3"),
        ("abort", Exit::Signal(6), "SIGABRT"),
        ("segv", Exit::Signal(11), "SIGSEGV"),
    ] {
        block_on(async {
            let begun = Instant::now();
            let (_, death) = refused(hostile(&world, "start", deed)).await;
            // One second; a busy machine gets more, but far less than the handshake's limit of ten.
            assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
            assert_eq!(death.exit, Some(exit), "{death}");
            assert_eq!(death.last_words, [format!("about to {deed} at start")]);
            assert!(death.to_string().contains(words), "{death}");
        });
        no_process_is_left(world.root());
    }
}

/// That it cannot even be executed is told as such, not as the end of a connection.
#[test]
fn p1_a_program_that_cannot_run_is_named() {
    let world = World::empty(Link::Inherited);
    fs::write(world.path("no program"), "neither").unwrap();
    for (path, words) in [("nothing", "nothing"), ("no program", "no program")] {
        let path = world.path(path);
        let mut spec = PluginSpec::new("m", Program::Executable { path, args: Vec::new() });
        spec.helper = Helper::Executable(world.program());
        let error = block_on(start(spec)).unwrap_err();
        assert!(matches!(error, StartError::Launch { .. }) && error.to_string().contains(words), "{error}");
        no_process_is_left(world.root());
    }
}

/// Whatever it says on its way out, in its log or to the broker, is told as its words.
#[test]
fn b4_words_of_a_plugin_that_does_not_start_cannot_reach_the_terminal_raw() {
    let world = World::empty(Link::Inherited);
    for (place, deed, said) in [
        ("start", "draw", "it said last: \"gone\\u{1b}"),
        ("hello", "refuse", "the other end refused, and says: \"gone\\u{1b}"),
    ] {
        let error = block_on(start(hostile(&world, place, deed))).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(error.contains(r#"[2J\u{9b}1m\u{202e}\" hint: run \"this""#), "{error}");
        assert!(!error.chars().any(|c| c.is_control() || c == '\u{202e}'), "{error:?}");
    }
    no_process_is_left(world.root());
}

fn given_up(world: &World, place: &str, deed: &str) {
    let mut spec = hostile(world, place, deed);
    spec.handshake_limit = Duration::from_secs(1);
    let begun = Instant::now();
    let (error, death) = block_on(refused(spec));
    let after = begun.elapsed();
    assert!(after >= Duration::from_millis(900) && after < Duration::from_secs(1) + AT_ONCE, "{after:?}");
    assert!(death.exit.is_some_and(|exit| !exit.success()), "{error}: {death}");
    no_process_is_left(world.root());
}

fn w8_one_that_never_speaks_is_given_up_after_the_handshake_limit(world: World) {
    given_up(&world, "start", "hang");
    given_up(&world, "hello", "hang");
    given_up(&world, "hello", "deaf"); // not even a signal is heard
}

fn w8_one_that_sends_a_byte_a_second_is_given_up_after_the_handshake_limit(world: World) {
    given_up(&world, "hello", "drip");
}

fn w8_what_is_no_handshake_ends_it(world: World) {
    for deed in ["garbage", "huge", "close"] {
        let begun = Instant::now();
        let (error, death) = block_on(refused(hostile(&world, "hello", deed)));
        assert!(begun.elapsed() < AT_ONCE, "{deed}: {:?}: {error}: {death}", begun.elapsed());
        assert!(death.last_words.contains(&format!("about to {deed} at hello")), "{death:?}");
        no_process_is_left(world.root());
    }
}

fn a_crash_at_any_place_is_told_with_signal_words_and_calls(world: World) {
    let places = [
        "initialize",
        "discover",
        "connect",
        "connect_done",
        "get_changes",
        "read",
        "commit",
        "committed_all",
        "sync_done",
        "disconnect",
        "finalize",
    ];
    let deeds = [
        ("segv", Exit::Signal(11), "was ended by signal 11 (SIGSEGV)"),
        ("abort", Exit::Signal(6), "was ended by signal 6 (SIGABRT)"),
        ("kill", Exit::Signal(9), "was ended by signal 9 (SIGKILL)"),
        ("exit", Exit::Code(3), "left with code 3"),
    ];
    for (number, place) in places.into_iter().enumerate() {
        let (deed, exit, words) = deeds[number % deeds.len()];
        block_on(async {
            let host = start(hostile(&world, place, deed)).await.unwrap();
            let begun = Instant::now();
            let error = live(&host).await.unwrap_err();
            assert!(begun.elapsed() < AT_ONCE, "{place}: {:?}", begun.elapsed());
            assert_eq!((error.code, error.blame), (Code::DISCONNECTED, Blame::Plugin), "{place}: {error:?}");
            let told = format!("{error:?}");
            assert!(
                told.contains(words) && told.contains(&format!("about to {deed} at {place}")),
                "{place}: {told}"
            );
            // What may have been done to the store is not known.
            assert_ne!(error.effect, Effect::NotStarted, "{place}: {error:?}");
            let death = host.wait().await;
            assert_eq!((death.exit, death.calls_in_flight), (Some(exit), 1), "{place}: {death:?}");
            // Further calls end at once.
            let late = host.initialize(&initialize(&[])).await.unwrap_err();
            assert_eq!((late.code, late.effect), (Code::DISCONNECTED, Effect::NotStarted));
            assert_eq!(host.stop().await.0, death);
        });
        no_process_is_left(world.root());
    }
}

fn what_breaks_the_protocol_ends_the_connection_and_nothing_else(world: World) {
    // A raw socket behind the SDK's back is to be had only where the connection is inherited.
    let deeds: &[&str] =
        if world.link() == Link::Named { &[] } else { &["garbage", "huge", "unissued", "parity", "close"] };
    block_on(async {
        // Another plugin, which has nothing to do with it.
        let good = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&good).await.unwrap();
        for deed in deeds {
            let host = start(hostile(&world, "get_changes", deed)).await.unwrap();
            let (_instance, bad) = connected(&host).await.unwrap();
            let begun = Instant::now();
            let (failed, answered) = tokio::join!(list(&bad), read(&sink, &["first"]));
            assert_eq!(answered.unwrap(), [Some(b"hello".to_vec())], "{deed}");
            let error = failed.unwrap_err();
            assert_eq!((error.code, error.blame), (Code::DISCONNECTED, Blame::Plugin), "{deed}: {error:?}");
            let told = format!("{error:?}");
            let (death, _) = host.stop().await;
            assert!(begun.elapsed() < EVERY_RUNG, "{deed}: {:?}", begun.elapsed());
            // Also of one that lives on, and first has to be ended.
            assert!(told.contains(&death.exit.unwrap().to_string()), "{deed}: {told}: {death}");
            assert!(death.connection.is_some() || *deed == "close", "{deed}: {death:?}");
            assert_eq!(read(&sink, &["first"]).await.unwrap().len(), 1, "{deed}");
        }
        finish(instance, &sink).await.unwrap();
        good.stop().await;
    });
    no_process_is_left(world.root());
}

/// A plugin that takes one call, which runs out of time; and how another ends, which waits for room.
async fn one_call_too_many(spec: PluginSpec) -> (PluginHost, Error) {
    let host = start(PluginSpec { calls_timeout: Some(Duration::from_millis(500)), ..spec }).await.unwrap();
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

/// The code says that some server is gone; the plugin is not.
/// Eight answers of a mebibyte have room: the other commits are made when those are answered.
#[test]
fn w6_commits_for_whose_answers_there_is_no_room_wait_for_it() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let host = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&host).await.unwrap();
        let mut commits = tokio::task::JoinSet::new();
        for n in 0..40 {
            let (sink, name) = (sink.clone(), format!("note {n}"));
            let item = CommitItem {
                key: name.as_bytes().to_vec().into(),
                ..write(CommitKind::Create, "", None, &name)
            };
            commits.spawn(async move { commit(&sink, item).await });
        }
        for outcome in commits.join_all().await {
            assert!(matches!(outcome, Ok(CommitOutcome::Done { .. })), "{outcome:?}");
        }
        assert!(list(&sink).await.unwrap().0.len() >= 40);
        finish(instance, &sink).await.unwrap();
        host.stop().await;
    });
    no_process_is_left(world.root());
}

#[test]
fn a_plugins_own_disconnected_is_no_lost_connection() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        let host = start(hostile(&world, "initialize", "hang up")).await.unwrap();
        let begun = Instant::now();
        let error = host.initialize(&initialize(&[])).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(2), "it was waited for its end: {:?}", begun.elapsed());
        assert_eq!((error.code, &*error.message), (Code::DISCONNECTED, "the server hung up"));
        assert!(error.causes.is_empty(), "{error:?}");
        assert_eq!(host.death(), None);
        let (death, _) = host.stop().await;
        assert_eq!((death.exit, death.calls_in_flight), (Some(Exit::Code(0)), 0), "{death}");
    });
    no_process_is_left(world.root());
}

fn ten_mebibytes_on_both_outputs_cost_nothing(world: World) {
    for place in ["start", "initialize", "get_changes", "finalize", "end"] {
        block_on(async {
            let host = start(hostile(&world, place, "flood")).await.unwrap();
            live(&host).await.unwrap_or_else(|error| panic!("{place}: {error}"));
            let (death, _) = host.stop().await;
            assert_eq!(death.exit, Some(Exit::Code(0)), "{place}: {death}");
            assert_eq!(death.last_words.last().map(String::as_str), Some("the flood is over"), "{place}");
        });
        no_process_is_left(world.root());
    }
}

/// P6, invariant 6: while one floods with 100 MiB and then hangs, another answers as if it were alone.
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
        let (mut calls, mut slowest) = (0, Duration::ZERO);
        while !(bad.is_finished() && hanging.is_finished()) {
            let begun = Instant::now();
            assert_eq!(read(&sink, &["first"]).await.unwrap(), [Some(b"hello".to_vec())]);
            slowest = slowest.max(begun.elapsed());
            calls += 1;
        }
        assert!(slowest < Duration::from_secs(1), "{slowest:?} for one of {calls} calls");
        assert_eq!(bad.await.unwrap().last_words.last().map(String::as_str), Some("the flood is over"));
        assert!(!hanging.await.unwrap().exit.unwrap().success());
        finish(instance, &sink).await.unwrap();
        good.stop().await;
    });
    no_process_is_left(world.root());
}

pub(crate) fn signal(host: &PluginHost, signal: Signal) {
    let pid = i32::try_from(host.facts().pid).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
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

fn w3_a_call_that_hangs_ends_at_its_deadline_and_its_plugin_soon_after(world: World) {
    let limit = Duration::from_millis(500);
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

/// Stopped at every kind of place by somebody who no longer waits for its call.
#[test]
fn a_plugin_that_ignores_everything_is_stopped_in_bounded_time() {
    std::thread::scope(|scope| {
        for (place, deed) in
            [("get_changes", "deaf"), ("end", "deaf"), ("get_changes", "drip"), ("end", "hang")]
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
                    assert!(death.exit.is_some(), "{place} {deed}: {death}");
                });
                no_process_is_left(world.root());
            });
        }
    });
}

fn p1_a_plugin_has_its_own_environment_and_three_descriptors(world: World) {
    // What a careless embedder leaks: a descriptor that is not closed on exec, and its environment.
    let (leaked, _other) = std::io::pipe().unwrap();
    nix::fcntl::fcntl(&leaked, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    assert!(std::env::var_os("PATH").is_some());
    let mut spec = hostile(&world, "initialize", "tell");
    spec.environment = vec![("GREETING".into(), "hello".into()), ("OUTRIGGER_FD".into(), "99".into())];
    let told = block_on(async {
        let host = start(spec).await.unwrap();
        let error = host.initialize(&initialize(&[])).await.unwrap_err();
        host.stop().await;
        error.message
    });
    let (environment, open) = told.split_once(" open ").unwrap();
    match world.link() {
        Link::Inherited => {
            assert_eq!(environment, "environment [\"GREETING=hello\", \"OUTRIGGER_FD=0\"]");
            assert!(open.contains("\"0:/dev/null\""), "descriptor 0 is no longer the connection: {open}");
        }
        Link::Named => {
            assert!(
                environment.starts_with("environment [\"GREETING=hello\", \"OUTRIGGER_ENDPOINT=/"),
                "{environment}"
            );
            assert!(!environment.contains("OUTRIGGER_FD"), "{environment}");
            assert!(open.contains("more input \"\""), "the token was taken: {open}");
        }
    }
    assert!(open.contains("\"1:pipe:") && open.contains("\"2:pipe:"), "{open}");
    // The SDK's own connection, and (named) the pipe of the token; the raw one of this program.
    let leaked = fs::read_link(format!("/proc/self/fd/{}", leaked.as_raw_fd())).unwrap();
    assert!(!open.contains(leaked.to_str().unwrap()), "{leaked:?} leaked: {open}");
    assert_eq!(
        open.matches("socket:").count(),
        if world.link() == Link::Inherited { 2 } else { 1 },
        "{open}"
    );
    assert!(open.matches("pipe:").count() <= 3, "{open}");
    no_process_is_left(world.root());
}

fn what_a_plugin_started_ends_with_it(world: World) {
    for place in ["initialize", "discover"] {
        block_on(async {
            let host = start(hostile(&world, place, "daemon")).await.unwrap();
            live(&host).await.unwrap();
            until("a daemon runs", || {
                processes(world.root())
                    .iter()
                    .any(|process| process.command.contains("x sleep"))
                    .then_some(())
            });
            let begun = Instant::now();
            host.stop().await;
            assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
            assert!(processes(world.root()).is_empty(), "stop() returns when the last process has gone");
        });
    }
    // The same when nobody stops it: the embedder forgets it, and lives on.
    block_on(async {
        let host = start(hostile(&world, "discover", "daemon")).await.unwrap();
        live(&host).await.unwrap();
        drop(host);
    });
    no_process_is_left(world.root());
}
