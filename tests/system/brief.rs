//! Sockets that last as long as one handshake, when somebody is killed in the middle of it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use outrigger::broker::{ConnectBy, PluginSpec, start};
use outrigger::sandbox::{Helper, Profile, Program};

use crate::support::host::{block_on, connected, hostile};
use crate::support::{Link, World, no_process_is_left, until};

/// Where the programs of an engine lie, and what its plugin does before it dials.
const WORLD: &str = "OUTRIGGER_TEST_WORLD";
const DEED: &str = "OUTRIGGER_TEST_DEED_BEFORE_DIALLING";

/// An engine that starts a plugin over a named connection: this program once more.
fn engine(world: &World, runtime: &Path, deed: &str) -> Child {
    let mut engine = Command::new(std::env::current_exe().unwrap());
    engine.args(["--exact", "brief::b12_what_a_start_left_that_was_killed_is_swept_and_nothing_that_lives"]);
    engine.env(WORLD, world.root()).env(DEED, deed).env("XDG_RUNTIME_DIR", runtime);
    engine.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// What that engine does.
async fn starts(world: PathBuf, deed: OsString) {
    let program =
        Program::Executable { path: world.join("hostile_plugin"), args: vec!["start".into(), deed] };
    let mut spec = PluginSpec::new("phone", program);
    (spec.connect, spec.helper) = (ConnectBy::Name, Helper::Executable(world.join("outrigger")));
    spec.policy.profile = Profile::None; // in a sandbox nothing can be dialled
    let host = start(spec).await.unwrap();
    connected(&host).await.unwrap();
    host.stop().await;
}

fn sockets(runtime: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(runtime.join("outrigger")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".lock")).collect()
}

/// The socket that appears when an engine is in the middle of a handshake.
fn next_socket(runtime: &Path, before: &[String]) -> String {
    until("a socket appears", || sockets(runtime).into_iter().find(|name| !before.contains(name)))
}

/// Holds S79.
#[test]
fn b12_what_a_start_left_that_was_killed_is_swept_and_nothing_that_lives() {
    if let Some((world, deed)) = std::env::var_os(WORLD).zip(std::env::var_os(DEED)) {
        return block_on(starts(world.into(), deed));
    }
    let world = World::empty(Link::Named);
    drop(hostile(&world, "start", "none")); // puts it there
    let runtime = tempfile::Builder::new().prefix("o").tempdir_in("/tmp").unwrap();
    let mut killed = engine(&world, runtime.path(), "hang");
    let left = next_socket(runtime.path(), &[]);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(sockets(runtime.path()), std::slice::from_ref(&left), "a killed one cleans nothing");

    let mut living = engine(&world, runtime.path(), "hang");
    let lives = next_socket(runtime.path(), &[left]);
    assert!(engine(&world, runtime.path(), "none").wait().unwrap().success());
    assert_eq!(sockets(runtime.path()), [lives]);
    assert!(living.try_wait().unwrap().is_none(), "it was still in its handshake");
    living.kill().unwrap();
    living.wait().unwrap();
    assert!(engine(&world, runtime.path(), "none").wait().unwrap().success());
    let left: Vec<_> = fs::read_dir(runtime.path().join("outrigger")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    no_process_is_left(world.root());
}
