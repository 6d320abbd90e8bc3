//! Plugins through the broker alone: the whole life of a good one, and what each misdeed of a bad
//! one costs (invariants 3, 4, 6 of ARCHITECTURE.md; decisions W4, W8, P1, P6).

use std::fs;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outrigger::broker::{Death, PluginSpec, StartError, start};
use outrigger::protocol::{
    Blame, Code, CommitItem, CommitKind, CommitOutcome, Connect, ConnectDone, Effect, Href,
};
use outrigger::sandbox::{Exit, Helper, Program};

use crate::support::host::{
    AT_ONCE, EVERY_RUNG, answers_until, block_on, commit, connected, finish, hostile, initialize, list, live,
    read, spec, write,
};
use crate::support::{Link, World, no_process_is_left, over_both_connections, processes, until};

over_both_connections!(
    the_whole_life_of_the_echo_plugin,
    one_that_exits_before_it_connects_is_known_to_have_done_so_at_once,
    w8_one_that_never_speaks_is_given_up_after_the_handshake_limit,
    w8_one_that_sends_a_byte_a_second_is_given_up_after_the_handshake_limit,
    w8_one_that_never_speaks_holds_up_no_other,
    w8_what_is_no_handshake_ends_it,
    a_crash_at_any_place_is_told_with_signal_words_and_calls,
    what_breaks_the_protocol_ends_the_connection_and_nothing_else,
    ten_mebibytes_on_both_outputs_cost_nothing,
    p1_a_plugin_has_its_own_environment_and_three_descriptors,
    what_a_plugin_started_ends_with_it,
);

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

/// Holds S70.
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

/// Over and over: its end is known by its process and by its connection, and neither may be heard
/// before its answer.
/// Holds S19.
#[test]
fn the_last_answer_of_a_process_that_exits_at_once_arrives() {
    let world = World::empty(Link::Inherited);
    block_on(async {
        for _ in 0..20 {
            let host = start(hostile(&world, "hello", "last-words")).await.unwrap();
            let error = host.initialize(&initialize(&[])).await.unwrap_err();
            assert_eq!((error.code, &*error.message), (Code::NOT_FOUND, "last words"));
            assert_eq!(host.wait().await.exit, Some(Exit::Code(3)));
        }
    });
    no_process_is_left(world.root());
}

/// That it cannot even be executed is told as such, not as the end of a connection.
/// Holds S71.
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

/// Holds S69.
fn w8_one_that_never_speaks_is_given_up_after_the_handshake_limit(world: World) {
    given_up(&world, "start", "hang");
    given_up(&world, "hello", "hang");
    given_up(&world, "hello", "deaf"); // not even a signal is heard
}

/// Holds S69.
fn w8_one_that_sends_a_byte_a_second_is_given_up_after_the_handshake_limit(world: World) {
    given_up(&world, "hello", "drip");
}

/// Holds S69.
fn w8_one_that_never_speaks_holds_up_no_other(world: World) {
    block_on(async {
        let good = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&good).await.unwrap();
        let mut silent = hostile(&world, "start", "hang");
        silent.handshake_limit = Duration::from_secs(1);
        let is_over = AtomicBool::new(false);
        let given_up = async {
            refused(silent).await;
            is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(given_up, answers_until(&sink, || is_over.load(Ordering::Relaxed)));
        finish(instance, &sink).await.unwrap();
        good.stop().await;
    });
    no_process_is_left(world.root());
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

/// Holds S11.
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
            let why = death.fault.clone().unwrap_or_else(|| death.exit.unwrap().to_string());
            assert!(told.contains(&why), "{deed}: {told}: {death}");
            assert!(death.connection.is_some() || *deed == "close", "{deed}: {death:?}");
            assert_eq!(read(&sink, &["first"]).await.unwrap().len(), 1, "{deed}");
        }
        finish(instance, &sink).await.unwrap();
        good.stop().await;
    });
    no_process_is_left(world.root());
}

/// Eight answers of a mebibyte have room: the other commits are made when those are answered.
///
/// Holds S53.
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

/// The code says that some server is gone; the plugin is not.
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

/// Holds S22, S41, S68.
fn ten_mebibytes_on_both_outputs_cost_nothing(world: World) {
    let floods = ["start", "initialize", "get_changes", "finalize", "end"].map(|place| (place, "flood"));
    for (place, deed) in floods.into_iter().chain([("start", "babble")]) {
        block_on(async {
            let host = start(hostile(&world, place, deed)).await.unwrap();
            live(&host).await.unwrap_or_else(|error| panic!("{place}: {error}"));
            let (death, _) = host.stop().await;
            assert_eq!(death.exit, Some(Exit::Code(0)), "{place}: {death}");
            assert_eq!(death.last_words.last().map(String::as_str), Some("the flood is over"), "{place}");
        });
        no_process_is_left(world.root());
    }
}

/// Holds S77.
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
            let given = "environment [\"GREETING=hello\", \"OUTRIGGER_FD=0\"";
            let rest = environment.strip_prefix(given).unwrap_or_else(|| panic!("{environment}"));
            let usual = ["", "HOME=/tmp", "TMPDIR=/tmp", "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"];
            let more: Vec<&str> =
                rest.trim_end_matches(']').split(", ").map(|more| more.trim_matches('"')).collect();
            assert!(more.iter().all(|more| usual.contains(more)), "{environment}");
            assert!(open.contains("\"0:pipe:"), "descriptor 0 is no longer the connection: {open}");
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

/// It may start programs.
fn with_a_shell(mut spec: PluginSpec) -> PluginSpec {
    spec.policy.execute = vec!["/usr".into()];
    spec
}

fn what_a_plugin_started_ends_with_it(world: World) {
    for place in ["initialize", "discover"] {
        block_on(async {
            let host = start(with_a_shell(hostile(&world, place, "daemon"))).await.unwrap();
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
        let host = start(with_a_shell(hostile(&world, "discover", "daemon"))).await.unwrap();
        live(&host).await.unwrap();
        drop(host);
    });
    no_process_is_left(world.root());
}
