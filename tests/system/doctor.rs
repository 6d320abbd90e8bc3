//! `doctor` tells what plugins get: the same as a start of them reports, on this host and on hosts
//! that forbid something. That a report is true is the matrix's to show (`sandbox/tests/system/matrix`),
//! which runs its probes in sandboxes that the same `prepare` made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::Value;

use crate::status::every_key_is_documented;
use crate::support::host::example;
use crate::support::{Forbids, LAPTOP, Link, PHONE, Run, Running, World, no_process_is_left};

const KINDS: [&str; 2] = ["first_party", "program"];

/// A member with a plugin of our own, and one with a program that has a manifest.
fn world(require: &str) -> World {
    let world = World::new(Link::Inherited);
    world.configure_as(&format!(
        "state = \"./state\"\n[group.contacts]\nmembers = [\"{LAPTOP}\", \"{PHONE}\"]\ncollections = \"all\"\n\
         [member.{LAPTOP}]\nplugin = \"vdir\"\npath = \"./{LAPTOP}\"\n\
         [member.{PHONE}]\nplugin = \"notes\"\n[member.{PHONE}.sandbox]\nwrite = [\"./{PHONE}\"]\n\
         [plugin.notes]\nmanifest = \"./notes/plugin.toml\"\n"
    ));
    fs::create_dir(world.path("notes")).unwrap();
    fs::copy(example("echo_plugin", "examples/echo_plugin.rs"), world.path("notes/echo")).unwrap();
    let manifest = format!(
        "id = \"echo\"\nname = \"An echo\"\nversion = \"1.0\"\nlicense = \"MIT\"\nprotocol = \"0.9\"\n\
         command = [\"./echo\"]\n[sandbox]\n{require}"
    );
    fs::write(world.path("notes/plugin.toml"), manifest).unwrap();
    world.run(["plugin", "trust", "notes", "--yes"]).expect(0);
    world
}

fn doctor(world: &World) -> Value {
    world.run(["doctor", "--json"]).json()
}

/// The report of the best sandbox that a kind of plugin gets, by what doctor says.
fn told<'d>(doctor: &'d Value, kind: &str) -> &'d Value {
    let tier = doctor["gets"][kind].as_str().unwrap_or_else(|| panic!("{kind} gets nothing: {doctor:#}"));
    &doctor["tiers"][tier][kind]["sandbox"]
}

/// What a start of both members reports is what doctor says of their kinds.
fn agrees(world: &World) -> Value {
    let doctor = doctor(world);
    let check = world.run(["check", "--json"]).expect(0).json();
    for (index, kind) in KINDS.into_iter().enumerate() {
        assert_eq!(check["members"][index]["found"]["sandbox"], *told(&doctor, kind), "{kind}");
    }
    doctor
}

#[test]
fn doctor_tells_what_plugins_get() {
    let world = world("");
    let doctor = agrees(&world);
    every_key_is_documented(&doctor);
    assert_eq!(doctor["exit"], 0, "{doctor:#}");
    let text = world.run(["doctor"]).expect(0);
    text.says(&["tier namespaced", "tier landlocked", "fs_read", "it reads only what it was granted"]);
    assert_eq!(fs::read_dir(world.path("tmp")).unwrap().count(), 0, "doctor left something");
}

#[test]
fn a_host_that_forbids_namespaces_gives_the_lower_tier_and_says_so() {
    let world = world("");
    let cases = [
        (Forbids::Namespaces, "Function not implemented", "some containers' filters"),
        (Forbids::Mounts, "Operation not permitted", "AppArmor"),
    ];
    for (forbids, reason, hint) in cases {
        let doctor = forbids.around(|| agrees(&world));
        assert_eq!(doctor["exit"], 0, "{doctor:#}");
        assert_eq!(doctor["machine"]["filtered"], true, "{doctor:#}");
        for kind in KINDS {
            assert_eq!(doctor["gets"][kind], "landlocked", "{doctor:#}");
            let missing = &doctor["tiers"]["namespaced"][kind];
            assert!(missing["sandbox"].is_null(), "{missing:#}");
            assert!(missing["missing"].as_str().unwrap().contains(reason), "{forbids:?}: {missing:#}");
            assert!(missing["hint"].as_str().unwrap().contains(hint), "{forbids:?}: {missing:#}");
        }
        let said = ["programs are started in the tier landlocked", reason, hint];
        forbids.around(|| world.run(["doctor"])).expect(0).says(&said);
    }
}

#[test]
fn what_requires_more_than_a_host_gives_is_refused() {
    let world = world("require = [\"fs_metadata\"]\n");
    for forbids in [Forbids::Namespaces, Forbids::Mounts] {
        let refused = forbids.around(|| world.run(["check"])).expect(7);
        refused.says(&["laptop", "ok: plugin vdir", "fs_metadata", "namespaces", "hint", "`require = []`"]);
        let json = forbids.around(|| world.run(["check", "--json"])).expect(7).json();
        assert!(json["members"][1]["found"].is_null(), "{json:#}");
    }
    if doctor(&world)["gets"]["program"] == "namespaced" {
        world.run(["check"]).expect(0).says(&["plugin notes in process"]);
    }
    // The hint works.
    let text = fs::read_to_string(world.config()).unwrap();
    let table = format!("[member.{PHONE}.sandbox]\n");
    world.configure_as(&text.replace(&table, &format!("{table}require = []\n")));
    Forbids::Mounts.around(|| world.run(["check"])).expect(0);
}

#[test]
fn without_landlock_no_plugin_is_started() {
    let world = world("");
    let hint = "use Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK";
    let run = Forbids::Landlock.around(|| world.run(["doctor", "--json"])).expect(7);
    let json = run.json();
    assert!(json["machine"]["landlock_abi"].is_null(), "{json:#}");
    for kind in KINDS {
        assert!(json["gets"][kind].is_null(), "{json:#}");
        assert!(json["refused"][kind].as_array().unwrap().contains(&"exec".into()), "{json:#}");
        let best = ["namespaced", "landlocked"].map(|tier| &json["tiers"][tier][kind]["sandbox"]);
        let exec = &best.into_iter().find(|report| !report.is_null()).unwrap()["exec"];
        assert_eq!(exec["standing"], "unavailable");
        assert!(exec["hint"].as_str().unwrap().starts_with(hint), "{exec}");
    }
    let words = ["programs are refused: every sandbox needs exec", hint, "Landlock     none"];
    Forbids::Landlock.around(|| world.run(["doctor"])).expect(7).says(&words);
    Forbids::Landlock.around(|| world.run(["check"])).expect(7).says(&["exec", hint]);
}

/// A limit on namespaces, set within namespaces of our own: nobody else sees it.
#[test]
#[ignore = "needs namespaces"]
fn the_hint_about_the_limit_on_namespaces_works() {
    let world = world("");
    let script = "limit=/proc/sys/user/max_user_namespaces
        grep -q 4294967295 /proc/self/uid_map && exit 99 # these are the namespaces of the whole host
        echo 0 > $limit && \"$0\" doctor --json && echo 100 > $limit && exec \"$0\" doctor --json";
    // Root of a namespace has not the runtime directory of the host's root.
    let sockets = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    world.place(&mut command);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("XDG_RUNTIME_DIR", sockets.path());
    command.args(["--user", "--map-root-user", "sh", "-c", script]).arg(world.program());
    let run = Running::new(command.spawn().unwrap()).wait().expect(0);
    no_process_is_left(world.root());
    let found: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let missing = &found[0]["tiers"]["namespaced"]["program"];
    assert!(missing["missing"].as_str().unwrap().contains("No space left"), "{missing:#}");
    assert_eq!(missing["hint"], "raise the sysctl `user.max_user_namespaces`");
    assert_eq!(found[0]["machine"]["settings"]["user.max_user_namespaces"], "0");
    assert_eq!(found[1]["gets"]["program"], "namespaced", "the hint did not help: {:#}", found[1]);
}

/// As root, with control groups of version 1 or 2 to be made, all of a program is bounded; as a user
/// who cannot make any, the reason says how it could be.
#[test]
#[ignore = "needs root"]
fn the_hint_about_control_groups_works() {
    let world = World::somewhere(Link::Inherited, &std::env::temp_dir());
    world.give_to(NOBODY);
    let memory = |run: Run| told(&run.json(), "program")["memory"].clone();
    let of_nobody = memory(as_nobody(&world));
    let told = of_nobody["hint"].as_str().unwrap_or_else(|| panic!("{of_nobody}"));
    assert_eq!(of_nobody["standing"], "advisory");
    assert!(told.contains("run as root, or in a systemd unit with `Delegate=yes`"), "{told}");
    let of_root = memory(world.run(["doctor", "--json"]));
    let reason = of_root["reason"].as_str().unwrap_or_default();
    assert!(of_root["standing"] == "enforced" || reason.contains("no control group hierarchy"), "{of_root}");
}

const NOBODY: u32 = 65_534;

fn as_nobody(world: &World) -> Run {
    let mut command = world.command(["doctor", "--json"]);
    let run = Running::new(command.uid(NOBODY).gid(NOBODY).spawn().unwrap()).wait();
    no_process_is_left(world.root());
    run.expect(0)
}

/// Holds S83.
#[test]
fn a_runtime_directory_that_others_can_use_is_an_error() {
    let world = World::empty(Link::Inherited);
    // Sockets have short names, so this one has to lie elsewhere.
    let base = tempfile::tempdir().unwrap();
    let place = base.path().join("outrigger");
    let run = || {
        let mut command = world.command(["doctor"]);
        Running::new(command.env("XDG_RUNTIME_DIR", base.path()).spawn().unwrap()).wait()
    };
    run().expect(0).says(&["made when it is needed"]);
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    run().expect(7).says(&["UNSAFE", "mode 755"]);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap();
    run().expect(0).says(&["only ours"]);
}
