//! Plugins through the broker alone: what stories about them share.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use nix::sys::signal::Signal;
use outrigger::broker::{ConnectBy, Instance, PluginHost, PluginSpec, SinkClient};
use outrigger::protocol::{
    Change, CommitItem, CommitKind, CommitOutcome, Connect, ConnectDone, Error, GetChanges, Group, Href,
    Initialize, Listing, Member, OperationId, RawDigest, ReadItem, ReadOutcome, Revision,
};
use outrigger::sandbox::{Helper, Profile, Program};

use super::{DEADLINE, Link, World};

/// How long what happens at once may take on a busy machine.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);

/// How long a plugin that ignores everything can put off its end: every rung of the way out.
pub(crate) const EVERY_RUNG: Duration = Duration::from_secs(20);

pub(crate) fn block_on<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, story).await.expect("it hangs") })
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
            ("counting_plugin", "tests/system/counting_plugin.rs"),
            ("asking_plugin", "tests/system/asking_plugin.rs"),
            ("level0_plugin", "tests/system/level0_plugin.rs"),
            ("comparing_plugin", "tests/system/comparing_plugin.rs"),
            ("reaching_plugin", "tests/system/reaching_plugin.rs"),
            ("showing_plugin", "tests/system/showing_plugin.rs"),
            ("flooding_plugin", "tests/system/flooding_plugin.rs"),
            ("prestarted", "examples/prestarted/main.rs"),
            ("mortal_plugin", "tests/system/mortal_plugin.rs"),
            ("flaky_plugin", "tests/system/flaky_plugin.rs"),
            ("naming_plugin", "tests/system/naming_plugin.rs"),
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
    if world.link() == Link::Named {
        spec.policy.profile = Profile::None; // in a sandbox nothing can be dialled
    }
    spec.helper = Helper::Executable(world.program());
    spec
}

pub(crate) fn hostile(world: &World, place: &str, deed: &str) -> PluginSpec {
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

/// Reads one item again and again until something has come about: that takes many answers. One that
/// waits for what comes about is the only one. How soon each comes is measured in
/// `broker/benches/flood.rs`.
pub(crate) async fn answers_until(sink: &SinkClient, come_about: impl Fn() -> bool) {
    let mut calls = 0;
    while !come_about() {
        assert_eq!(read(sink, &["first"]).await.unwrap(), [Some(b"hello".to_vec())]);
        calls += 1;
    }
    assert!(calls > 50, "only {calls} calls were answered");
}

pub(crate) fn signal(host: &PluginHost, signal: Signal) {
    let pid = i32::try_from(host.facts().pid).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}
