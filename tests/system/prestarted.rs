//! Ends that are found instead of started: an application that runs anyway, with its own user.

pub(crate) mod desk;
mod strangers;

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrigger::broker::{FoundSpec, Locator, meet};
use outrigger::protocol::Secret;
use outrigger_transport::LinkError;

use crate::support::host::{AT_ONCE, block_on};
use crate::support::{LAPTOP, PHONE, card, processes, until};
use desk::{Desk, Language, NAME};

/// Holds S87.
#[test]
fn it_is_found_used_left_running_and_found_again() {
    found_used_left_and_found_again(Language::Rust);
}

/// Holds S87.
#[test]
#[ignore = "needs python3"]
fn one_in_python_is_found_used_left_running_and_found_again() {
    found_used_left_and_found_again(Language::Python);
}

fn found_used_left_and_found_again(language: Language) {
    let desk = Desk::new().in_language(language);
    let mut app = desk.app();
    app.does("add anna Anna");
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    // The first meeting: both sides show the same code.
    desk.sync().expect(6).says(&[
        "contacts waits to be approved",
        &app.code,
        &format!("`outrigger -c {} peers approve contacts", desk.world.config().display()),
    ]);
    desk.run(&["peers", "list"]).expect(0).says(&["waits to be approved", &app.code]);
    desk.approve(&app);
    desk.sync().expect(0).wrote(LAPTOP, [1, 0, 0]).wrote(PHONE, [1, 0, 0]);
    assert!(!desk.file("offer").exists(), "its secret lies about though it was fetched");
    app.lives();
    // It changes while it runs, and is found again; its user and the broker do not get into each other's way.
    app.does("edit anna Anna Dahl");
    desk.sync().expect(0).wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 0, 0]);
    assert!(desk.world.get(LAPTOP, "anna.vcf").contains("FN:Anna Dahl"));
    desk.sync().expect(0).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    assert_eq!(app.contacts(), ["Anna Dahl", "Bert"]);
    app.lives();
    app.quits();
    assert!(!desk.file("json").exists() && !desk.file("sock").exists(), "what it left goes with it");
}

/// Holds S87.
#[test]
fn a_run_waits_for_an_end_that_starts_after_it() {
    let desk = Desk::with(&format!("locate = {{ rendezvous = \"{NAME}\", wait = \"60s\" }}"));
    let app = desk.app();
    desk.approve(&app);
    app.quits();
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    let sync = desk.start(&["sync", "contacts", "--json"]);
    // The other member runs: this one is being waited for.
    until("the folder's plugin runs", || (processes(desk.world.root()).len() > 2).then_some(()));
    let mut app = desk.app();
    sync.wait().expect(0).wrote(PHONE, [1, 0, 0]);
    assert_eq!(app.contacts(), ["Bert"]);
    app.lives();
}

#[test]
fn one_that_is_not_there_is_told_and_need_not_be_there() {
    let desk = Desk::new();
    let words = ["the end of phone was not found", "no end called contacts", "start the program", "wait"];
    desk.sync().expect(4).says(&words);
    desk.run(&["check"]).expect(4).says(&words);
    desk.configure(&format!("required = false\nlocate = {{ rendezvous = \"{NAME}\" }}"));
    desk.sync().expect(0).says(&["no end called contacts"]);
}

/// The next run finds it again, and nothing was done twice.
#[test]
fn one_that_quits_in_the_middle_of_a_call_ends_that_call_and_comes_back() {
    quits_and_comes_back(Language::Rust);
}

/// The same over the JSON codec.
#[test]
#[ignore = "needs python3"]
fn one_in_python_that_quits_in_the_middle_of_a_call_comes_back() {
    quits_and_comes_back(Language::Python);
}

fn quits_and_comes_back(language: Language) {
    for killed in [false, true] {
        let desk = Desk::new().in_language(language);
        let mut app = desk.app();
        desk.approve(&app);
        app.does("hold");
        desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
        let sync = desk.start(&["sync", "contacts", "--json"]);
        app.hears("a broker waits");
        if killed {
            drop(app)
        } else {
            app.quits()
        }
        let run = sync.wait().expect(7).says(&["phone"]);
        let json = run.json();
        assert_eq!(json["pending"], 1, "{json:#}");
        assert!(run.stdout.contains("broke its connection"), "{run:?}");
        let mut app = desk.app();
        desk.sync().expect(0).wrote(PHONE, [1, 0, 0]);
        desk.sync().expect(0).wrote(PHONE, [0, 0, 0]).wrote(LAPTOP, [0, 0, 0]);
        assert_eq!(app.contacts(), ["Bert"]);
    }
}

/// It is looked for again, and the run comes to its end with the one that came back.
#[test]
fn one_that_comes_back_within_a_run_is_found_again() {
    let desk = Desk::with(&format!("locate = {{ rendezvous = \"{NAME}\", wait = \"60s\" }}"));
    let mut app = desk.app();
    desk.approve(&app);
    app.does("hold");
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    let sync = desk.start(&["sync", "contacts", "--json"]);
    app.hears("a broker waits");
    drop(app);
    let mut app = desk.app();
    let run = sync.wait().expect(0).wrote(PHONE, [1, 0, 0]).says(&["it was lost once", "was found again"]);
    let json = run.json();
    let phone = json["plugins"].as_array().unwrap().iter().find(|one| one["member"] == PHONE).unwrap();
    assert_eq!((&phone["crashes"], &phone["restarts"]), (&1.into(), &1.into()), "{phone:#}");
    assert_eq!(phone["pid"], app.pid().as_raw());
    assert_eq!(app.contacts(), ["Bert"]);
    app.lives();
    desk.sync().expect(0).wrote(PHONE, [0, 0, 0]).wrote(LAPTOP, [0, 0, 0]);
}

/// A call that runs out of time costs the connection, and nothing else.
#[test]
fn one_that_hangs_is_disconnected_and_never_ended() {
    let locate = format!("locate = {{ rendezvous = \"{NAME}\" }}\nsandbox = {{ calls_timeout = \"200ms\" }}");
    let desk = Desk::with(&locate);
    let mut app = desk.app();
    desk.approve(&app);
    app.does("hold");
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    desk.sync().expect(7).says(&["not answered in time (deadline, effect unknown)"]);
    app.lives();
    app.does("release");
    desk.sync().expect(0);
    assert_eq!(app.contacts(), ["Bert"]);
    app.lives();
}

/// Decisions X3: what the old engine asked for is over before the new one is READY.
#[test]
fn x3_a_new_engine_is_served_once_the_calls_of_the_old_one_are_over() {
    let desk = Desk::new();
    let mut app = desk.app();
    desk.approve(&app);
    app.does("hold");
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    let old = desk.start(&["sync", "contacts", "--json"]);
    app.hears("a broker waits");
    kill(Pid::from_raw(old.pid), Signal::SIGKILL).unwrap();
    old.wait();
    let new = desk.start(&["sync", "contacts", "--json"]);
    // It has found the end, which still works on the old one's call.
    until("the new run has connected", || {
        let found = fs::read_dir(format!("/proc/{}/fd", new.pid)).ok()?;
        let sockets = found.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        (sockets.filter(|link| link.to_string_lossy().starts_with("socket:")).count() > 3).then_some(())
    });
    assert!(app.contacts().is_empty());
    app.does("release");
    // What the old one asked for was done before the new one looked: it is not asked for again.
    new.wait().expect(0).wrote(PHONE, [0, 0, 0]);
    assert_eq!(app.contacts(), ["Bert"]);
    desk.sync().expect(0).wrote(PHONE, [0, 0, 0]).wrote(LAPTOP, [0, 0, 0]);
}

/// Through the library, as an embedder finds it: one broker at a time, and its end is noticed without a
/// call.
/// Holds S82, S84, S87.
#[test]
fn a_second_broker_waits_and_the_end_of_an_idle_one_is_noticed() {
    let desk = Desk::new();
    let mut app = desk.app();
    let locator = Locator::Socket { path: desk.file("sock") };
    let key = fs::read_to_string(desk.world.path(format!("profile/outrigger-{NAME}.key"))).unwrap();
    let secret = Secret::from_hex(key.trim()).unwrap();
    let pid = app.child.id();
    block_on(async {
        let find = async |limit| {
            let located = locator.locate(Duration::ZERO).await.unwrap();
            assert_eq!(located.peer.pid, pid);
            let spec = FoundSpec { handshake_limit: limit, ..FoundSpec::new("m", secret.clone()) };
            meet(located, spec).await
        };
        let first = find(AT_ONCE).await.unwrap();
        let early = find(Duration::from_millis(100)).await;
        assert!(matches!(early, Err(LinkError::HandshakeTime)), "{early:?}");
        let (death, used) = first.stop().await;
        assert!(death.exit.is_none() && used.is_none(), "nothing is known of its process: {death}");
        app.lives();
        let second = find(AT_ONCE).await.unwrap();
        app.quits();
        let death = tokio::time::timeout(AT_ONCE, second.wait()).await.expect("nobody noticed");
        assert!(death.connection.is_some(), "{death:?}");
    });
}

#[test]
fn it_is_shown_as_not_sandboxed_wherever_that_can_be_seen() {
    let desk = Desk::new();
    let app = desk.app();
    desk.approve(&app);
    desk.run(&["check"]).expect(0).says(&["unavailable: not sandboxed: the program was found, not started"]);
    let json = desk.sync().expect(0).json();
    let plugin = json["plugins"].as_array().unwrap().iter().find(|one| one["member"] == PHONE).unwrap();
    assert_eq!(plugin["pid"], app.pid().as_raw());
    let mut sandbox = plugin["sandbox"].as_object().unwrap().clone();
    assert_eq!(sandbox.remove("tier").unwrap(), "none");
    assert_eq!(sandbox.len(), 14);
    assert!(sandbox.values().all(|one| one["standing"] == "unavailable"), "{sandbox:#?}");
    desk.run(&["status"]).expect(0).says(&["phone is not sandboxed"]);
    assert_eq!(desk.run(&["status", "--json"]).json()["groups"][0]["not_sandboxed"][0], PHONE);
}

#[test]
fn a_plan_finds_it_and_writes_nothing() {
    let desk = Desk::new();
    let mut app = desk.app();
    desk.approve(&app);
    app.does("add anna Anna");
    let before = crate::support::tree(&desk.world.state());
    let run = desk.run(&["plan", "contacts", "--json"]);
    run.says(&["create"]);
    before.assert_untouched(&crate::support::tree(&desk.world.state()));
    assert_eq!(app.contacts(), ["Anna"]);
}

/// Holds S79, S86.
#[test]
fn an_end_that_was_killed_leaves_an_entry_that_is_removed() {
    let desk = Desk::new();
    let app = desk.app();
    desk.approve(&app);
    drop(app);
    assert!(desk.file("json").exists() && desk.file("sock").exists());
    desk.sync().expect(4).says(&["has ended; what it left was removed"]);
    assert!(!desk.file("json").exists() && !desk.file("sock").exists());
    let _app = desk.app();
    desk.sync().expect(0);
}

/// B14: what a cleaner of temporary files takes away is put back, within seconds.
/// Holds S81.
#[test]
fn b14_a_socket_that_was_removed_is_there_again_soon() {
    let desk = Desk::with(&format!("locate = {{ rendezvous = \"{NAME}\", wait = \"30s\" }}"));
    let mut app = desk.app();
    desk.approve(&app);
    app.does("add anna Anna");
    fs::remove_file(desk.file("sock")).unwrap();
    desk.sync().expect(0).wrote(LAPTOP, [1, 0, 0]);
}

/// B11: sockets have paths of a hundred bytes; a folder of twice that cannot hold one.
/// Holds S78.
#[test]
fn b11_it_meets_below_a_runtime_directory_of_any_length() {
    let mut desk = Desk::new();
    let long = desk.runtime.path().join("d".repeat(200));
    fs::create_dir(&long).unwrap();
    // The usual folder is shared with all other tests: the name has to be this test's own.
    desk.name = format!("b11-{}", std::process::id());
    desk.environment = long;
    desk.configure(&format!("locate = {{ rendezvous = \"{}\" }}", desk.name));
    let mut app = desk.app();
    desk.approve(&app);
    app.does("add anna Anna");
    desk.sync().expect(0).wrote(LAPTOP, [1, 0, 0]);
    app.quits();
    let user = nix::unistd::geteuid();
    fs::remove_file(format!("/tmp/outrigger-{user}/ends/{}.lock", desk.name)).unwrap();
}

#[test]
fn a_command_makes_it_appear_and_it_stays() {
    let desk = Desk::new();
    let app = desk.app();
    desk.approve(&app);
    app.quits();
    // What the application reads: until this goes, and then it quits.
    let input = desk.world.path("input");
    nix::unistd::mkfifo(&input, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writer = fs::File::options().read(true).write(true).open(&input).unwrap();
    let script = format!("exec '{}' {NAME} profile <input", desk.program().display());
    desk.configure(&format!(
        "locate = {{ rendezvous = \"{NAME}\", activate = [\"/bin/sh\", \"-c\", \"{script}\"], wait = \"30s\" }}"
    ));
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    desk.sync().expect(0).wrote(PHONE, [1, 0, 0]);
    let pid = |desk: &Desk| {
        let json: serde_json::Value = serde_json::from_slice(&fs::read(desk.file("json")).unwrap()).unwrap();
        json["pid"].as_u64().unwrap()
    };
    let first = pid(&desk);
    assert!(fs::exists(format!("/proc/{first}")).unwrap(), "it ended with the run");
    desk.sync().expect(0);
    assert_eq!(pid(&desk), first, "it was there, and was not started again");
    drop(writer);
    until("it quits", || (!desk.file("json").exists()).then_some(()));
    desk.configure(&format!("locate = {{ rendezvous = \"{NAME}\", activate = [\"no-such-command\"] }}"));
    desk.sync().expect(2).says(&["\"no-such-command\" cannot be run"]);
}

#[test]
fn a_socket_or_a_command_of_the_users_says_where_it_is() {
    let desk = Desk::new();
    let mut app = desk.app();
    app.does("add anna Anna");
    let socket = desk.file("sock");
    let socket = socket.display();
    desk.configure(&format!("locate = {{ socket = \"{socket}\" }}"));
    desk.sync().expect(6).says(&["phone was never approved", "--key FILE"]);
    let key = format!("{}", desk.world.path(format!("profile/outrigger-{NAME}.key")).display());
    desk.run(&["peers", "approve", "phone", "--key", &key]).expect(0).says(&[&app.code]);
    desk.sync().expect(0).wrote(LAPTOP, [1, 0, 0]);
    let command = |script: &str| {
        let script = script.replace('"', "\\\"");
        desk.configure(&format!(
            "locate = {{ command = [\"/bin/sh\", \"-c\", \"{script}\"], name = \"phone\", wait = \"5s\" }}"
        ));
        desk.sync()
    };
    // It is not waited for once it has spoken.
    command(&format!("echo '{{\"socket\": \"{socket}\"}}'; exec sleep 1000")).expect(0);
    command("echo here").expect(2).says(&["did not say where the end is", "{\"socket\": \"/path\"}"]);
    command("exit 3").expect(2).says(&["did not say where the end is"]);
    command("echo '{\"socket\": \"here\"}'").expect(2).says(&["not absolute"]);
    app.lives();
}
