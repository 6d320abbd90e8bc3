//! Members that are not there, or not as they should be; and what the shell sees of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrigger::store::Store;

use crate::support::{
    LAPTOP, Link, PHONE, Running, World, card, no_process_is_left, over_both_connections, processes, until,
};

over_both_connections!(
    a_member_that_is_not_there_stops_the_group_and_is_named,
    a_member_that_need_not_be_there_is_waited_for,
    s2_a_disk_without_its_marker_is_not_mounted,
    s7_the_second_item_of_a_uid_is_left_alone,
    an_item_that_is_too_large_is_named_and_the_rest_goes_on,
    nothing_is_written_to_a_member_that_is_read_only,
    an_interrupted_run_is_gone_on_with,
);

fn a_member_that_is_not_there_stops_the_group_and_is_named(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.sync_well();
    fs::rename(world.member(PHONE), world.path("away")).unwrap();
    world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    let before = world.members();
    let run = world.sync().expect(4);
    run.says(&[
        "the plugin of phone cannot say what it has",
        "the plugin vdir says",
        "phone",
        "No such file",
    ]);
    before[0].assert_untouched(&world.members()[0]);
    fs::rename(world.path("away"), world.member(PHONE)).unwrap();
    world.sync_well().wrote(PHONE, [1, 0, 0]);
    world.assert_equal();
}

fn a_member_that_need_not_be_there_is_waited_for(world: World) {
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("path = \"./phone\"\n", "path = \"./phone\"\nrequired = false\n"));
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.sync_well();
    fs::rename(world.member(PHONE), world.path("away")).unwrap();
    world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    world.delete(LAPTOP, "anna.vcf");
    world.sync_well().says(&["waiting   phone is not there", "1 group waiting"]).wrote(LAPTOP, [0, 0, 0]);
    world.run(["check"]).expect(0).says(&["No such file"]);
    fs::rename(world.path("away"), world.member(PHONE)).unwrap();
    // Nothing of what was owed is forgotten; emptying is asked about as ever.
    world.sync_well().wrote(PHONE, [1, 0, 1]);
    world.assert_equal();
    // A mistake in its table is no absence.
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("required = false\n", "required = false\nextension = \"txt\"\n"));
    world.sync().expect(2).says(&["extension"]);
}

fn s2_a_disk_without_its_marker_is_not_mounted(world: World) {
    let text = fs::read_to_string(world.config()).unwrap();
    let marked = "path = \"./phone\"\nmarker = true\nrequired = false\n";
    world.configure_as(&text.replace("path = \"./phone\"\n", marked));
    fs::write(world.member(PHONE).join(".outrigger-marker"), "").unwrap();
    for uid in ["anna", "bert"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, uid));
    }
    world.sync_well().wrote(PHONE, [2, 0, 0]);
    // What is seen of a mount point when nothing is mounted there.
    fs::rename(world.member(PHONE), world.path("disk")).unwrap();
    fs::create_dir_all(world.member(PHONE).join("book")).unwrap();
    world.sync_well().says(&["waiting", "mounted"]).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    assert_eq!((world.items(LAPTOP).len(), world.items(PHONE).len()), (2, 0));
    fs::remove_dir_all(world.member(PHONE)).unwrap();
    fs::rename(world.path("disk"), world.member(PHONE)).unwrap();
    world.assert_at_rest(0);
    // The right one that was never marked.
    let marker = world.member(PHONE).join(".outrigger-marker");
    fs::remove_file(&marker).unwrap();
    world.run(["check"]).expect(0).says(&["is missing", "make that file, empty"]);
    fs::write(&marker, "").unwrap();
    assert!(!world.run(["check"]).expect(0).stdout.contains("is missing"));
    world.assert_at_rest(0);
}

fn s7_the_second_item_of_a_uid_is_left_alone(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    world.sync_well();
    world.put(LAPTOP, "copy of anna.vcf", card("anna", "Anna, copied and edited"));
    world.put(LAPTOP, "bert.vcf", card("bert", "Bert, edited"));
    let run =
        world.sync().expect(4).counted("quarantined", 1).wrote(PHONE, [0, 1, 0]).wrote(LAPTOP, [0, 0, 0]);
    run.says(&["left", "copy of anna.vcf", "anna.vcf"]);
    assert_eq!(world.items(PHONE).len(), 2);
    world.assert_at_rest(4).counted("quarantined", 1);
    // The one that was there first goes on as before.
    world.put(PHONE, "anna.vcf", card("anna", "Anna, of the phone"));
    world.sync().expect(4).wrote(LAPTOP, [0, 1, 0]);
    assert_eq!(world.get(LAPTOP, "anna.vcf"), card("anna", "Anna, of the phone"));
    world.delete(LAPTOP, "copy of anna.vcf");
    world.sync_well().counted("quarantined", 0).wrote(PHONE, [0, 0, 0]);
    world.assert_equal();
    world.assert_at_rest(0);
}

/// Holds S15.
fn an_item_that_is_too_large_is_named_and_the_rest_goes_on(world: World) {
    let photo = "QUJD".repeat(300_000);
    let large =
        card("large", "Large").replace("END:VCARD", &format!("PHOTO;ENCODING=b:{photo}\r\nEND:VCARD"));
    world.put(LAPTOP, "large.vcf", &large);
    world.put(LAPTOP, "small.vcf", card("small", "Small"));
    let run = world.sync().expect(4).wrote(PHONE, [1, 0, 0]);
    run.says(&["large.vcf", &format!("{} bytes long", large.len()), "983040"]);
    assert!(!world.has(PHONE, "large.vcf"));
    world.sync().expect(4).wrote(PHONE, [0, 0, 0]).wrote(LAPTOP, [0, 0, 0]);
    // Made smaller, it goes on.
    world.put(LAPTOP, "large.vcf", card("large", "Without the photo"));
    world.sync_well().wrote(PHONE, [1, 0, 0]);
    // Just below the limit is fine, also as one of several.
    for uid in ["one", "two", "three"] {
        let photo = "QUJD".repeat(240_000);
        world.put(
            PHONE,
            format!("{uid}.vcf"),
            card(uid, "x").replace("END:VCARD", &format!("NOTE:{photo}\r\nEND:VCARD")),
        );
    }
    world.sync_well().wrote(LAPTOP, [3, 0, 0]);
    world.assert_equal();
    world.assert_at_rest(0);
}

fn nothing_is_written_to_a_member_that_is_read_only(world: World) {
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("path = \"./phone\"\n", "path = \"./phone\"\nread_only = true\n"));
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.put(PHONE, "bert.vcf", card("bert", "Bert"));
    let before = world.members();
    world.sync().expect(0).wrote(LAPTOP, [1, 0, 0]).wrote(PHONE, [0, 0, 0]).says(&["kept back"]);
    before[1].assert_untouched(&world.members()[1]);
    world.put(PHONE, "bert.vcf", card("bert", "Bert, edited"));
    world.sync().expect(0).wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 0, 0]);
}

fn an_interrupted_run_is_gone_on_with(world: World) {
    for number in 0..600 {
        world.put(LAPTOP, format!("c{number}.vcf"), card(&format!("c{number}"), "c"));
    }
    let running = world.start(["sync", "contacts", "--json"]);
    until("the first item has come across", || (!world.items(PHONE).is_empty()).then_some(()));
    kill(Pid::from_raw(running.pid), Signal::SIGINT).unwrap();
    let run = running.wait();
    assert!(matches!(run.status.code(), Some(0 | 130)), "{run:?}");
    if run.status.code() == Some(130) {
        run.says(&["interrupted", "the next run goes on from there"]);
    }
    no_process_is_left(world.root());
    world.sync_well();
    assert_eq!(world.items(PHONE).len(), 600);
    world.assert_equal();
    world.assert_at_rest(0);
}

#[test]
fn x3_a_group_that_is_held_is_not_touched() {
    let world = World::new(Link::Inherited);
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.sync_well();
    world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    let held = Store::open(&world.state(), "contacts", Duration::ZERO).unwrap();
    let run = world
        .sync()
        .expect(75)
        .says(&["another run is busy with the group contacts", &std::process::id().to_string()]);
    assert_eq!(run.json()["plugins"].as_array().map(Vec::len), Some(0), "no plugin was started");
    assert!(!world.has(PHONE, "bert.vcf"));
    drop(held);
    world.sync_well().wrote(PHONE, [1, 0, 0]);
}

/// Three times: the command is killed in the middle of its writes, once with its plugins stopped,
/// and the next run is started before anybody has looked.
/// Holds S36.
#[test]
fn x3_a_run_that_follows_a_killed_one_at_once_waits_for_its_last_process() {
    for (link, stop_plugins) in [(Link::Inherited, false), (Link::Named, false), (Link::Inherited, true)] {
        let world = World::new(link);
        for number in 0..400 {
            world.put(LAPTOP, format!("c{number}.vcf"), card(&format!("c{number}"), "c"));
        }
        let killed = world.start(["sync", "contacts"]);
        until("the first item has come across", || (!world.items(PHONE).is_empty()).then_some(()));
        if stop_plugins {
            for process in plugins(&world, killed.pid) {
                kill(Pid::from_raw(process), Signal::SIGSTOP).unwrap();
            }
        }
        kill(Pid::from_raw(killed.pid), Signal::SIGKILL).unwrap();
        let next = world.start(["sync", "contacts", "--json"]);
        let killed = killed.wait();
        assert_eq!(killed.status.code(), None, "{killed:?}");
        next.wait().expect(0);
        no_process_is_left(world.root());
        assert_eq!(world.items(PHONE).len(), 400);
        world.assert_equal();
        world.assert_at_rest(0);
    }
}

/// A keeper that is stopped cannot end anything, and a plugin may still be writing: as long as it
/// holds the lock, no run begins.
/// Holds S36.
#[test]
fn x3_no_run_begins_while_a_process_of_a_killed_one_is_left() {
    let world = World::new(Link::Inherited);
    for number in 0..400 {
        world.put(LAPTOP, format!("c{number}.vcf"), card(&format!("c{number}"), "c"));
    }
    let killed = world.start(["sync", "contacts"]);
    until("the first item has come across", || (!world.items(PHONE).is_empty()).then_some(()));
    let keepers = keepers(&world, killed.pid);
    assert_eq!(keepers.len(), 2);
    for keeper in &keepers {
        kill(Pid::from_raw(*keeper), Signal::SIGSTOP).unwrap();
    }
    kill(Pid::from_raw(killed.pid), Signal::SIGKILL).unwrap();
    killed.wait();
    let next = world.start(["sync", "contacts", "--json"]).wait().expect(75);
    assert_eq!(next.json()["plugins"].as_array().map(Vec::len), Some(0), "no plugin was started");
    for keeper in &keepers {
        kill(Pid::from_raw(*keeper), Signal::SIGCONT).unwrap();
    }
    no_process_is_left(world.root());
    world.sync_well();
    world.assert_equal();
}

/// The keepers of a command's plugins: its children.
fn keepers(world: &World, command: i32) -> Vec<i32> {
    let all = processes(world.root());
    all.iter().filter(|process| process.parent == command).map(|process| process.pid).collect()
}

/// The plugin processes below a command: the children of its children.
fn plugins(world: &World, command: i32) -> Vec<i32> {
    let all = processes(world.root());
    let keepers = keepers(world, command);
    all.iter().filter(|process| keepers.contains(&process.parent)).map(|process| process.pid).collect()
}

#[test]
fn a_reader_that_goes_away_changes_nothing() {
    let world = World::new(Link::Inherited);
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    for args in [&["sync", "contacts", "--json"][..], &["plan"], &["status"], &["check"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = world.command(["-c".as_ref(), world.config().as_os_str()]);
        command.args(args).stdout(Stdio::from(writer));
        let child = command.spawn().unwrap();
        drop(command);
        Running::new(child).wait().expect(0);
    }
    no_process_is_left(world.root());
    world.assert_equal();
}

/// Run by a user who may not write there; root may write anywhere, so the test becomes somebody else.
#[test]
fn a_folder_that_may_not_be_written_is_said_to_be_so() {
    let world = World::somewhere(Link::Inherited, &std::env::temp_dir());
    let nobody = nix::unistd::geteuid().is_root().then_some(65_534);
    if let Some(id) = nobody {
        world.give_to(id);
    }
    let sync = || {
        let mut command = world.command(["-c".as_ref(), world.config().as_os_str()]);
        command.args(["sync", "contacts", "--json"]);
        if let Some(id) = nobody {
            command.uid(id).gid(id);
        }
        let run = Running::new(command.spawn().unwrap()).wait();
        no_process_is_left(world.root());
        run
    };
    let book = world.member(PHONE).join("book");
    let mode =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    mode(&book, 0o555);
    // A folder that cannot be written is a read-only member: nothing is lost, and it is said.
    sync().expect(0).wrote(PHONE, [0, 0, 0]).says(&["kept back"]);
    mode(&book, 0o000);
    sync().expect(4).says(&["phone", "Permission denied"]);
    mode(&book, 0o755);
    sync().expect(0).wrote(PHONE, [1, 0, 0]);
    // One item that cannot be read is named, and the rest goes on.
    world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    world.put(LAPTOP, "secret.vcf", card("secret", "x"));
    fs::set_permissions(world.file(LAPTOP, "secret.vcf"), fs::Permissions::from_mode(0o000)).unwrap();
    if let Some(id) = nobody {
        std::os::unix::fs::chown(world.file(LAPTOP, "secret.vcf"), Some(id), Some(id)).unwrap();
    }
    sync().expect(4).wrote(PHONE, [1, 0, 0]).says(&["secret.vcf", "Permission denied"]);
    // A state directory that cannot be written.
    fs::remove_dir_all(world.state()).unwrap();
    mode(world.root(), 0o555);
    sync().expect(1).says(&["state", "cannot be written", "check owner and mode"]);
    mode(world.root(), 0o755);
}

/// The command reads its configuration from a pipe, so that it can be replaced when it has begun
/// and has not yet started its plugins.
#[test]
fn p2_an_upgrade_in_the_middle_of_a_run_does_not_mix_versions() {
    let world = World::new(Link::Inherited);
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    let text = fs::read_to_string(world.config()).unwrap();
    fs::remove_file(world.config()).unwrap();
    nix::unistd::mkfifo(&world.config(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let running = world.start(["sync", "contacts"]);
    let mut config = fs::File::options().write(true).open(world.config()).unwrap(); // once it reads
    fs::remove_file(world.program()).unwrap();
    fs::write(world.program(), "#!/bin/sh\necho the new version >&2\nexit 99\n").unwrap();
    fs::set_permissions(world.program(), fs::Permissions::from_mode(0o755)).unwrap();
    config.write_all(text.as_bytes()).unwrap();
    drop(config);
    running.wait().expect(0);
    assert!(world.has(PHONE, "anna.vcf"));
    no_process_is_left(world.root());
}

#[test]
fn a_missing_state_directory_is_made_private() {
    let world = World::new(Link::Inherited);
    world.sync_well();
    for path in [world.state(), world.state().join("groups"), world.state().join("groups/contacts.db")] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn the_demo_of_the_readme_shows_two_plugin_processes() {
    let world = World::empty(Link::Inherited);
    let run = Running::new(world.command(["demo"]).spawn().unwrap()).wait().expect(0);
    let run = run.says(&[
        "laptop was served by the plugin vdir in process",
        "phone was served by the plugin vdir",
        "1 conflict",
    ]);
    let pids: std::collections::BTreeSet<&str> =
        run.stdout.lines().filter_map(|line| line.split_once("in process ")?.1.split(',').next()).collect();
    assert!(
        pids.len() >= 6 && pids.iter().all(|pid| pid.parse::<u32>().is_ok()),
        "three runs of two: {pids:?}"
    );
    no_process_is_left(world.root());
    assert_eq!(fs::read_dir(world.path("tmp")).unwrap().count(), 0, "the folder is gone again");
    let kept = Running::new(world.command(["demo", "--keep"]).spawn().unwrap()).wait().expect(0);
    let folder = fs::read_dir(world.path("tmp")).unwrap().next().unwrap().unwrap().path();
    kept.says(&[folder.to_str().unwrap()]);
    let mut text = String::new();
    fs::File::open(folder.join("outrigger.toml")).unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("[group.contacts]"));
}

#[test]
fn a_named_connection_leaves_no_name_behind() {
    let world = World::new(Link::Named);
    // Short enough for a socket, wherever the world lies.
    let runtime = tempfile::Builder::new().prefix("o").tempdir_in("/tmp").unwrap();
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    let mut command = world.command(["-c".as_ref(), world.config().as_os_str()]);
    command.args(["sync", "contacts"]).env("XDG_RUNTIME_DIR", runtime.path());
    Running::new(command.spawn().unwrap()).wait().expect(0);
    let folder = runtime.path().join("outrigger");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o077, 0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

/// A program is in the middle of saving it, or a crash has cut it: others keep what they have.
#[test]
fn a_file_that_is_empty_or_cut_is_no_edit() {
    let world = World::new(Link::Inherited);
    let names: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
    for name in &names {
        world.put(LAPTOP, format!("{name}.vcf"), card(name, "old"));
    }
    world.sync_well();
    for name in &names[1..] {
        world.put(LAPTOP, format!("{name}.vcf"), "");
    }
    world.put(LAPTOP, "c0.vcf", &card("c0", "new")[..30]);
    world.put(LAPTOP, "new.vcf", "");
    for _ in 0..2 {
        let run = world.sync().expect(4).wrote(PHONE, [0, 0, 0]).wrote(LAPTOP, [0, 0, 0]);
        run.counted("pending", 11).says(&[
            "c1.vcf is empty. It may be in the middle of being written",
            "c0.vcf is cut: a line END:VCARD is missing",
        ]);
    }
    assert!(names.iter().all(|name| world.get(PHONE, format!("{name}.vcf")) == card(name, "old")));
    assert!(!world.has(PHONE, "new.vcf"));
    // What was being written is written now.
    for name in names.iter().map(String::as_str).chain(["new"]) {
        world.put(LAPTOP, format!("{name}.vcf"), card(name, "new"));
    }
    world.sync_well().wrote(PHONE, [1, 10, 0]);
    world.assert_equal();
    world.assert_at_rest(0);
}
