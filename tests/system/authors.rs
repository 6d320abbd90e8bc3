//! The verbs for authors of plugins: `plugin check`, `run`, `replay`, `new`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::python::people_in;
use crate::support::host::example;
use crate::support::{Link, World, no_process_is_left};

/// Enough that a listing does not fit the smallest window.
const ITEMS: [&str; 2] = ["--items", "1000"];

/// A conversation of long ago.
const OLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/recordings/echo.recording");

fn plugin(world: &World, args: &[&str]) -> Output {
    let mut command = Command::new(world.program());
    command.current_dir(world.root()).env_clear().arg("plugin").args(args);
    command.env("TMPDIR", world.path("tmp")).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn echo() -> String {
    path(example("echo_plugin", "examples/echo_plugin.rs"))
}

fn path(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}

/// What cannot be tried of a plugin whose one collection is always there: no format of its own,
/// nothing to be made, and no new names.
const NOT_TRIED: [&str; 3] = ["create-again", "remarshal", "new-names"];

/// Every rule holds but those that cannot be tried.
fn passes(world: &World, args: &[&str], not_tried: &[&str]) {
    let args = [&["check"], args, &ITEMS, &["--json"]].concat();
    let output = plugin(world, &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules = report["rules"].as_array().unwrap();
    let left: Vec<&Value> =
        rules.iter().filter(|rule| rule["verdict"] != "ok").map(|rule| &rule["rule"]).collect();
    assert_eq!(left, not_tried, "{report:#}");
    assert!(fs::read_dir(world.path("tmp")).unwrap().next().is_none(), "its folders go away with it");
}

#[test]
fn vdir_keeps_every_rule() {
    passes(&World::empty(Link::Inherited), &["vdir"], &["remarshal", "new-names"]);
}

#[test]
fn the_echo_plugin_keeps_every_rule() {
    passes(&World::empty(Link::Inherited), &[&echo()], &NOT_TRIED);
}

#[test]
fn x4_a_plugin_that_says_new_names_is_tried_by_them() {
    let naming = path(example("naming_plugin", "tests/system/naming_plugin.rs"));
    let args = [&*naming, "--option", "path={scratch}", "--option", "deed=late"];
    passes(&World::empty(Link::Inherited), &args, &["create-again", "remarshal"]);
}

/// Nobody has agreed to anything yet, so what is ours is no more to be had than in a run.
#[test]
fn what_is_ours_is_not_granted_to_what_is_only_tried() {
    let world = World::new(Link::Inherited);
    let usual = world.path("home/.local/state/outrigger");
    for folder in [&usual, &world.state(), &world.path("notes"), &world.path("harmless")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::copy(echo(), world.path("notes/echo")).unwrap();
    let tried = |verb: &[&str], wish: &Path, config: Option<PathBuf>| {
        let text = format!(
            "id = \"n\"\nversion = \"1\"\nlicense = \"MIT\"\nprotocol = \"0.9\"\ncommand = [\"./echo\"]\n\
             [sandbox]\nread = [{wish:?}]\n"
        );
        fs::write(world.path("notes/plugin.toml"), text).unwrap();
        let named = config.map(|file| ["-c".to_owned(), path(file)]);
        let args = named.into_iter().flatten().chain(["plugin".to_owned()]);
        text_of(world.command(args).args(verb))
    };
    let verbs: [&[&str]; 3] = [&["check", "notes"], &["run", "notes"], &["replay", OLD, "notes"]];
    for verb in verbs {
        for (wish, config) in [(&usual, None), (&world.state(), Some(world.config()))] {
            let told = tried(verb, wish, config);
            assert!(told.contains("the state directory"), "{verb:?}: {told}");
        }
    }
    let told = tried(&["run", "notes"], &world.path("harmless"), Some(world.config()));
    assert!(told.contains("frames to the plugin"), "{told}");
    // By a link that its folder holds, or as an executable without a manifest.
    fs::copy(echo(), usual.join("echo")).unwrap();
    std::os::unix::fs::symlink(usual.join("echo"), world.path("harmless/echo")).unwrap();
    let told = text_of(world.command(["plugin", "run", "harmless/echo"]).args(&[] as &[&str]));
    assert!(told.contains("the state directory"), "{told}");
}

fn text_of(command: &mut Command) -> String {
    text(&command.output().unwrap())
}

#[test]
fn what_new_writes_in_rust_keeps_every_rule() {
    let world = World::empty(Link::Inherited);
    let made = plugin(&world, &["new", "notes", "--lang", "rust"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made));
    let source = "src/command/plugin/templates/rust/main.rs";
    let compiled = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).unwrap();
    assert_eq!(
        fs::read(world.path("notes/src/main.rs")).unwrap(),
        compiled,
        "what is written is what is compiled"
    );
    // In the place where cargo would put it.
    let built = world.path("notes/target/debug/notes");
    fs::create_dir_all(built.parent().unwrap()).unwrap();
    fs::copy(example("new_plugin", source), built).unwrap();
    passes(&world, &["notes"], &NOT_TRIED);
    assert_eq!(
        plugin(&world, &["new", "notes", "--lang", "rust"]).status.code(),
        Some(2),
        "never over a folder"
    );
}

#[test]
#[ignore = "needs python3"]
fn what_new_writes_in_python_keeps_every_rule() {
    let world = World::empty(Link::Inherited);
    let made = plugin(&world, &["new", "demo", "--lang", "python"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made));
    passes(&world, &["demo"], &NOT_TRIED);
}

/// The format of this one is not plain, so that is tried too. With its manifest, as it is shipped.
#[test]
#[ignore = "needs python3"]
fn the_table_of_people_keeps_every_rule() {
    let world = World::empty(Link::Inherited);
    passes(&world, &[&path(people_in(&world))], &["create-again", "new-names"]);
}

/// Written from docs/protocol.md by somebody who had seen nothing else. What streams are for is left
/// out at level 0.
#[test]
#[ignore = "needs python3"]
fn a_plugin_from_the_document_alone_keeps_every_rule_of_level_0() {
    let world = World::empty(Link::Inherited);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/level0_from_the_document.py");
    let args = [&["check", program, "--option", "path={scratch}"], &ITEMS[..], &["--json"]].concat();
    let output = plugin(&world, &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["level"], 0);
    let rules = report["rules"].as_array().unwrap();
    let left: Vec<&Value> =
        rules.iter().filter(|rule| rule["verdict"] != "ok").map(|rule| &rule["rule"]).collect();
    assert_eq!(
        left,
        ["stream-counts", "stream-once", "credit", "cancel", "remarshal", "new-names"],
        "{report:#}"
    );
}

#[test]
fn a_plugin_that_refuses_its_settings_is_told_from_one_that_is_wrong() {
    let world = World::empty(Link::Inherited);
    let refused = plugin(&world, &["check", "vdir", "--option", "path=relative", ITEMS[0], ITEMS[1]]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("give it others with --option"), "{}", text(&refused));
    let wrong = plugin(&world, &["check", "/bin/true"]);
    assert_eq!(wrong.status.code(), Some(7), "{}", text(&wrong));
    assert!(text(&wrong).contains("FAILED     handshake"), "{}", text(&wrong));
    assert_eq!(plugin(&world, &["check", "nowhere"]).status.code(), Some(2));
}

/// What was tried until then is told at once; neither the process nor its folder is left.
#[test]
fn an_interrupted_check_says_what_it_has_found() {
    let world = World::empty(Link::Inherited);
    let hostile = path(example("hostile_plugin", "tests/system/hostile_plugin.rs"));
    let mut command = Command::new(world.program());
    command.current_dir(world.root()).env_clear().env("TMPDIR", world.path("tmp"));
    command.args(["plugin", "check", &hostile, "--patience", "3600", "--", "discover", "hang"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let before: Vec<String> = lines.by_ref().take_while(|line| !line.contains("empty-body")).collect();
    assert!(before.iter().any(|line| line.starts_with("  ok         handshake")), "{before:#?}");
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:#?}");
    for told in ["  not tried  discover       interrupted", "Not everything could be tried: interrupted"] {
        assert!(rest.iter().any(|line| line == told), "{rest:#?}");
    }
    assert!(!rest.iter().any(|line| line.contains("FAILED")), "{rest:#?}");
    no_process_is_left(world.root());
    assert!(fs::read_dir(world.path("tmp")).unwrap().next().is_none(), "its folder goes away with it");
}

/// Holds S29, S74.
#[test]
fn an_old_conversation_is_still_the_same() {
    let world = World::empty(Link::Inherited);
    let replayed = plugin(&world, &["replay", OLD, &echo()]);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));
    assert!(text(&replayed).starts_with("the same, in "), "{}", text(&replayed));
}

#[test]
fn a_plugin_that_says_something_else_now_is_found_out() {
    let world = World::empty(Link::Inherited);
    let recorded = plugin(&world, &["run", &echo(), "--option", "first=hello", "--record", "now"]);
    assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded));
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let recording = fs::read_to_string(world.path("now")).unwrap();
    // Only the settings: then the plugin answers with another content.
    let changed: String = recording
        .lines()
        .map(|line| {
            format!(
                "{}\n",
                if line.starts_with('>') { line.replace(&hex("hello"), &hex("jelly")) } else { line.into() }
            )
        })
        .collect();
    fs::write(world.path("then"), changed).unwrap();
    let replayed = plugin(&world, &["replay", "then", &echo()]);
    assert_eq!(replayed.status.code(), Some(7), "{}", text(&replayed));
    assert!(text(&replayed).contains("\"data\":\"jelly\""), "{}", text(&replayed));
}

#[test]
fn a_store_whose_revisions_are_never_the_same_says_the_same_again() {
    let world = World::empty(Link::Inherited);
    let recorded = plugin(&world, &["run", "vdir", "--write", "--record", "now"]);
    assert_eq!(recorded.status.code(), Some(0), "{}", text(&recorded));
    let replayed = plugin(&world, &["replay", "now", "vdir"]);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));
}

#[test]
fn a_trace_shows_frames_decoded() {
    let world = World::empty(Link::Inherited);
    let traced = plugin(&world, &["run", &echo(), "--trace", "--option", "first=hi\u{1b}[2J"]);
    assert_eq!(traced.status.code(), Some(0), "{}", text(&traced));
    let text = text(&traced);
    for part in
        ["← HELLO 0", "→ CALL 1 initialize on object 0", "← REPLY 9 get_changes", "\"count\":1", "\\u001b[2J"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "a plugin cannot draw");
}
