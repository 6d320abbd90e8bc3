//! Without descriptors left nobody new is let in, and whoever is in lives on.

use std::fs::File;
use std::process::Command;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use outrigger::broker::{PluginHost, SinkClient, StartError, start};
use outrigger::protocol::{CommitKind, CommitOutcome};
use outrigger_transport::{Endpoint, Listener, dial};

use crate::support::host::{AT_ONCE, block_on, commit, connected, finish, list, read, signal, spec, write};
use crate::support::{Link, World, no_process_is_left};

/// Descriptors that the process of such a test may have: more than two plugins take.
const LIMIT: u64 = 100;

/// Set in a process that has the limit.
const LIMITED: &str = "OUTRIGGER_TEST_FEW_DESCRIPTORS";

/// Runs a test once more, in a process of its own: the limit is one of processes.
fn in_a_process_of_its_own(test: &str, story: fn()) {
    if std::env::var_os(LIMITED).is_some() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, LIMIT, hard).unwrap();
        return story();
    }
    let sockets = tempfile::tempdir().unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(LIMITED, "1").env("XDG_RUNTIME_DIR", sockets.path());
    let run = again.output().unwrap();
    let said = [run.stdout, run.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    let left = sockets.path().join("outrigger").read_dir().map_or(0, Iterator::count);
    assert_eq!(left, 0, "names of sockets are left");
}

/// Every descriptor that the process may still have.
#[derive(Default)]
struct Hoard(Vec<File>);

impl Hoard {
    /// Takes them all.
    fn fill(&mut self) {
        self.0.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
    }

    /// Takes them all, and waits until there are `count`: what was closed beside is back.
    async fn fill_to(&mut self, count: usize) {
        let begun = Instant::now();
        self.fill();
        while self.0.len() < count {
            assert!(begun.elapsed() < AT_ONCE, "{} of {count} descriptors came back", self.0.len());
            tokio::task::yield_now().await;
            self.fill();
        }
    }

    fn free(&mut self, count: usize) {
        self.0.truncate(self.0.len() - count);
    }
}

/// It answers small calls, and one that is larger than what its socket holds.
async fn lives(host: &PluginHost, sink: &SinkClient, what: &str) {
    assert_eq!(list(sink).await.unwrap().0.len(), 1, "{what}");
    signal(host, Signal::SIGSTOP);
    let large = write(CommitKind::Create, "large", None, &"x".repeat(900_000));
    // In this order: it reads on when there is no room any more.
    let (created, ()) = tokio::join!(biased; commit(sink, large), async { signal(host, Signal::SIGCONT) });
    let CommitOutcome::Done { revision, .. } = created.unwrap() else { panic!("{what}: not created") };
    let again = write(CommitKind::Delete, "large", Some(&revision), "");
    assert!(matches!(commit(sink, again).await.unwrap(), CommitOutcome::Done { .. }), "{what}");
    assert_eq!(read(sink, &["first"]).await.unwrap(), [Some(b"hello".to_vec())], "{what}");
}

fn few_descriptors(link: Link) {
    let world = World::empty(link);
    block_on(async {
        let good = start(spec(&world, "echo_plugin", &[])).await.unwrap();
        let (instance, sink) = connected(&good).await.unwrap();
        let mut hoard = Hoard::default();
        hoard.fill();
        let all = hoard.0.len();
        // With one more at each attempt, until it is enough.
        let mut refused = 0;
        let second = loop {
            lives(&good, &sink, &format!("{refused} descriptors")).await;
            hoard.free(refused);
            let begun = Instant::now();
            match start(spec(&world, "echo_plugin", &[])).await {
                Ok(host) => break host,
                Err(error) => assert_told(&error, refused),
            }
            assert!(begun.elapsed() < AT_ONCE, "with {refused} descriptors: {:?}", begun.elapsed());
            hoard.fill_to(all).await;
            refused += 1;
        };
        assert!(refused > 4, "{refused} descriptors suffice");
        hoard.fill();
        let (another, second_sink) = connected(&second).await.unwrap();
        lives(&second, &second_sink, "the second").await;
        lives(&good, &sink, "the first").await;
        finish(another, &second_sink).await.unwrap();
        second.stop().await;
        hoard.fill_to(all).await;
        finish(instance, &sink).await.unwrap();
        assert!(good.stop().await.0.exit.unwrap().success());
    });
    no_process_is_left(world.root());
}

/// Which plugin could not be started, and why.
fn assert_told(error: &StartError, free: usize) {
    let told = error.to_string();
    assert!(told.starts_with("echo_plugin: "), "{told}");
    assert!(told.contains("Too many open files"), "with {free} descriptors: {told}");
}

/// Somebody dials while there is no descriptor for him: he waits, or is hung up on.
fn dialled_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let endpoint = Endpoint::fresh(folder.path()).unwrap();
        let listener = Listener::bind(&endpoint).unwrap();
        let _dialled = [dial(&endpoint).unwrap(), dial(&endpoint).unwrap()];
        let mut hoard = Hoard::default();
        hoard.fill();
        for free in [0, 1] {
            hoard.free(free);
            let error = listener.accept().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(nix::libc::EMFILE), "with {free}: {error}");
            hoard.fill();
        }
        hoard.free(2);
        listener.accept().await.unwrap();
    });
}

/// Holds S20.
#[test]
fn without_descriptors_a_listener_says_so_at_once_and_lets_in_later() {
    let test = "descriptors::without_descriptors_a_listener_says_so_at_once_and_lets_in_later";
    in_a_process_of_its_own(test, dialled_in_vain);
}

/// Holds S20.
#[test]
fn without_descriptors_nothing_is_started_and_what_runs_lives_on() {
    let test = "descriptors::without_descriptors_nothing_is_started_and_what_runs_lives_on";
    in_a_process_of_its_own(test, || few_descriptors(Link::Inherited));
}

/// The same where plugins dial.
/// Holds S20.
#[test]
fn without_descriptors_nothing_is_started_by_name_and_what_runs_lives_on() {
    let test = "descriptors::without_descriptors_nothing_is_started_by_name_and_what_runs_lives_on";
    in_a_process_of_its_own(test, || few_descriptors(Link::Named));
}
