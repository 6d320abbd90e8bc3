//! Plugins with a manifest, by the command alone: refused until the user agrees, stopped again when
//! an update wants more, started when it does not.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::status::every_key_is_documented;
use crate::support::host::example;
use crate::support::{LAPTOP, Link, PHONE, Run, Running, World, no_process_is_left, processes, until};

/// A world whose phone is served by `examples/echo_plugin.rs`, from a folder with a manifest.
struct Notes(World);

const WISHES: &str = "read = [\"{option:first}\"]\nmemory = \"64MiB\"\n";

impl Notes {
    fn new() -> Self {
        let world = World::new(Link::Inherited);
        let text = fs::read_to_string(world.config()).unwrap();
        let text =
            text.replace(&format!("plugin = \"vdir\"\npath = \"./{PHONE}\"\n"), "plugin = \"notes\"\n");
        world.configure_as(&format!("{text}\n[plugin.notes]\nmanifest = \"./notes/plugin.toml\"\n"));
        fs::create_dir(world.path("notes")).unwrap();
        fs::copy(example("echo_plugin", "examples/echo_plugin.rs"), world.path("notes/echo")).unwrap();
        let notes = Self(world);
        notes.wishes(WISHES);
        notes
    }

    fn manifest(&self) -> PathBuf {
        self.0.path("notes/plugin.toml")
    }

    /// What an update of the manifest says.
    fn wishes(&self, sandbox: &str) {
        let text = format!(
            "id = \"echo\"\nname = \"An echo\"\nversion = \"1.0\"\nlicense = \"MIT\"\nprotocol = \"0.9\"\n\
             command = [\"./echo\"]\n[sandbox]\n{sandbox}"
        );
        fs::write(self.manifest(), text).unwrap();
    }

    /// Other bytes that do the same.
    fn update(&self) {
        let path = self.0.path("notes/echo");
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(b"later");
        fs::remove_file(&path).unwrap(); // a program that runs is not written to
        fs::write(&path, bytes).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode).unwrap();
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Run {
        self.0.run(args)
    }

    /// A sync in which the plugin runs: it lists its note, which the other member cannot hold.
    #[track_caller]
    fn syncs(&self) -> Run {
        self.run(&["sync", "contacts"]).expect(4).says(&["listing   laptop 0   phone 1"])
    }

    fn trusted(&self) -> String {
        fs::read_to_string(self.0.state().join("trusted.toml")).unwrap_or_default()
    }
}

/// The one command that goes on, as a hint names it.
fn hint(notes: &Notes) -> String {
    format!("outrigger -c {} plugin trust notes", notes.0.config().display())
}

#[test]
fn a_plugin_runs_when_its_user_has_agreed_and_stops_when_it_wants_more() {
    let notes = Notes::new();
    for verb in ["sync", "plan", "check"] {
        let words = ["the plugin notes is not trusted yet", &hint(&notes)];
        notes.run(&[verb, "contacts"]).expect(7).says(&words);
    }
    let agrees = format!("`{} --yes` agrees without a question", hint(&notes));
    notes.run(&["plugin", "trust", "notes"]).expect(2).says(&["nobody is there to ask", &agrees]);
    notes.run(&["status"]).says(&[&format!("`{}` asks", hint(&notes))]);
    assert_eq!(notes.trusted(), "", "nobody agreed");

    let told = [
        "An echo",
        "read what the option `first` names",
        "use up to 64 MiB of memory",
        "have up to 64 processes and threads (the default)",
        "notes is trusted",
    ];
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(0).says(&told);
    notes.run(&["check", "contacts"]).expect(0).says(&["plugin notes in process"]);
    notes.syncs();

    // Other bytes and less: it runs, and that is said.
    let before = notes.trusted();
    notes.update();
    notes.wishes("read = [\"{option:first}\"]\nmemory = \"32MiB\"\n");
    notes.run(&["plan", "contacts"]).says(&["phone 1"]);
    assert_eq!(notes.trusted(), before, "a plan writes nothing");
    let said = "the plugin notes has changed, and wants no more than before";
    notes.syncs().says(&[said]);
    assert!(notes.trusted().contains("updated = "), "{}", notes.trusted());
    let again = notes.syncs();
    assert!(!again.stderr.contains(said), "once: {again:?}");
    notes.run(&["status"]).says(&["note      phone has changed since you trusted notes"]);

    // More: it stops, and tells what.
    notes.wishes("read = [\"{option:first}\"]\nmemory = \"32MiB\"\nnetwork = [\"evil.example:443\"]\n");
    let more = "now wants more: to use the network; to reach evil.example:443";
    notes.run(&["sync", "contacts"]).expect(7).says(&[more, &hint(&notes)]);
    notes.run(&["status"]).says(&[more]);
    let info = notes.run(&["plugin", "info", "notes"]).expect(0);
    info.says(&["wants more", "+       reach evil.example:443"]);
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(0);
    notes.syncs();

    notes.run(&["plugin", "distrust", "notes"]).expect(0).says(&["not trusted any more"]);
    notes.run(&["sync", "contacts"]).expect(7).says(&["is not trusted yet"]);
}

/// What a first line or a link names lies outside of the manifest, and is agreed to like the rest.
#[test]
fn an_interpreter_elsewhere_is_shown_and_agreed_to() {
    let notes = Notes::new();
    let (tool, other) = (notes.0.path("tool/bin/echo"), notes.0.path("other/bin/echo"));
    for path in [&tool, &other] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::create_dir_all(path.parent().unwrap().with_file_name("lib")).unwrap();
        fs::copy(notes.0.path("notes/echo"), path).unwrap();
    }
    let runs = |interpreter: &Path| {
        let path = notes.0.path("notes/main");
        fs::write(&path, format!("#!{}\n", interpreter.display())).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let text = fs::read_to_string(notes.manifest()).unwrap();
    fs::write(notes.manifest(), text.replace("./echo", "./main")).unwrap();
    runs(&notes.0.path("notes/echo"));
    let own = notes.run(&["plugin", "trust", "notes", "--yes"]).expect(0);
    assert_eq!(own.stdout.matches("execute /").count(), 1, "its folder, in the member: {own:?}");
    notes.syncs();

    // Nothing but the first line is another.
    runs(&tool);
    let wants = format!(
        "now wants more: to read {}; to execute {}",
        notes.0.path("tool/lib").display(),
        tool.display()
    );
    notes.run(&["sync", "contacts"]).expect(7).says(&[&wants, &hint(&notes)]);
    notes.run(&["status"]).says(&[&wants]);
    let info = notes.run(&["plugin", "info", "notes"]).expect(0);
    info.says(&["    +       execute ", &format!("    execute {}", tool.display())]);
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(0);
    notes.syncs();
    notes.syncs();

    // Nor does a link in its folder change any file that the digest covers.
    let link = notes.0.path("notes/python");
    std::os::unix::fs::symlink(&tool, &link).unwrap();
    runs(&link);
    notes.syncs();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let wants = format!("to execute {}", other.display());
    notes.run(&["sync", "contacts"]).expect(7).says(&[&wants]);

    // What nobody can agree to.
    let ours = notes.0.state().join("bin/echo");
    fs::create_dir_all(ours.parent().unwrap()).unwrap();
    fs::copy(&tool, &ours).unwrap();
    runs(&ours);
    let refused = ["cannot grant that", "by its first line or a link", "lies within the state directory"];
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(0).says(&refused);
    notes.run(&["sync", "contacts"]).expect(7).says(&["lies within the state directory"]);
}

/// Each start asks anew; what is refused is not tried again.
#[test]
fn a_plugin_that_wants_more_when_it_is_started_again_in_a_run_is_refused() {
    let notes = Notes::new();
    let program = notes.0.path("notes/echo");
    fs::remove_file(&program).unwrap();
    fs::copy(example("mortal_plugin", "tests/system/mortal_plugin.rs"), &program).unwrap();
    let hangs = |wishes: &str| {
        notes.wishes(wishes);
        let text = fs::read_to_string(notes.manifest()).unwrap();
        let args = "\"./echo\", \"initialize\", \"hang\", \"always\"";
        fs::write(notes.manifest(), text.replace("\"./echo\"", args)).unwrap();
    };
    hangs(WISHES);
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(0);
    let command = notes.0.command(["-c"]).arg(notes.0.config()).args(["sync", "--json"]).spawn().unwrap();
    let sync = Running::new(command);
    let plugin = || processes(notes.0.root()).into_iter().find(|one| one.command.contains("hang always"));
    let plugin = until("the plugin runs", plugin);
    hangs(&format!("{WISHES}network = [\"evil.example:443\"]\n"));
    kill(Pid::from_raw(plugin.pid), Signal::SIGKILL).unwrap();
    sync.wait()
        .expect(7)
        .says(&["now wants more: to use the network; to reach evil.example:443", &hint(&notes)]);
    notes.run(&["status"]).says(&["the plugin of phone, once lately"]);
    no_process_is_left(notes.0.root());
}

#[test]
fn other_bytes_alone_are_started_and_noted() {
    let notes = Notes::new();
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(0);
    notes.update();
    let said = ["the plugin notes has changed"];
    notes.syncs().says(&said);
    let json = notes.run(&["status", "--json"]).json();
    let note = &json["groups"][0]["notes"][0];
    assert_eq!(
        (&note["member"], &note["plugin"], &note["what"]),
        (&PHONE.into(), &"notes".into(), &"updated".into())
    );
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(0);
    let json = notes.run(&["status", "--json"]).json();
    assert_eq!(json["groups"][0]["notes"], serde_json::json!([]), "the user took note");
}

#[test]
fn a_manifest_that_cannot_be_used_costs_its_member_and_is_told_with_its_place() {
    let notes = Notes::new();
    notes.wishes("reed = []\n");
    let words = ["notes/plugin.toml:8:1: unknown key `reed`", "did you mean `read`?"];
    for args in [&["sync", "contacts"][..], &["check"], &["status"], &["plugin", "info", "notes"]] {
        notes.run(args).expect(2).says(&words);
    }
    notes.wishes("network = [\"tcp:443\", \"a.example:443\"]\n");
    let words = ["notes/plugin.toml:8:23: `network` names ports", "name hosts, which the broker"];
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(2).says(&words);
    fs::remove_file(notes.manifest()).unwrap();
    let words =
        ["the manifest of the plugin notes", "cannot be read", "correct `manifest` in [plugin.notes]"];
    for verb in ["sync", "plan", "status"] {
        let line = format!("{}:", notes.0.config().display());
        notes.run(&[verb, "contacts"]).expect(2).says(&words).says(&[&line]);
    }
}

/// To agree to what can never start would mean nothing.
#[test]
fn a_plugin_of_another_protocol_is_not_trusted() {
    let notes = Notes::new();
    let text = fs::read_to_string(notes.manifest()).unwrap().replace("\"0.9\"", "\"7.0\"");
    fs::write(notes.manifest(), text).unwrap();
    notes.run(&["plugin", "info", "notes"]).expect(0).says(&["7.0: it cannot be started, for this is"]);
    notes.run(&["plugin", "trust", "notes", "--yes"]).expect(7).says(&["speaks version 7.0 of the protocol"]);
    assert_eq!(notes.trusted(), "");
    assert_eq!(notes.run(&["plugin", "info", "notes", "--json"]).json()["may_start"], false);
}

#[test]
fn what_a_manifest_requires_the_user_can_do_without() {
    let notes = Notes::new();
    notes.wishes("write = [\"/srv\"]\nrequire = [\"disk\"]\n");
    notes
        .run(&["plugin", "trust", "notes", "--yes"])
        .expect(0)
        .says(&["only where these are enforced: disk"]);
    let words = ["disk (advisory", "its manifest requires it; `require = []` in [member.phone.sandbox]"];
    notes.run(&["check", "contacts"]).expect(7).says(&words);
    let text = fs::read_to_string(notes.0.config()).unwrap();
    notes.0.configure_as(&format!("{text}[member.phone.sandbox]\nrequire = []\n"));
    notes.run(&["check", "contacts"]).expect(0);
}

#[test]
fn a_manifest_cannot_draw_on_the_terminal() {
    let notes = Notes::new();
    notes.wishes("read = [\"/a\\u001b[2J\", \"{option:\\u202e}\"]\n");
    for args in [&["plugin", "info", "notes"][..], &["plugin", "trust", "notes", "--yes"]] {
        let run = notes.run(args).expect(0).says(&["read /a\\u{1b}[2J", "the option `\\u{202e}`"]);
        assert!(!run.stdout.contains(['\u{1b}', '\u{202e}']), "{run:?}");
    }
    notes.wishes("read = [\"/b\\u001b[2J\"]\n");
    let run = notes.run(&["sync", "contacts"]).expect(7).says(&["wants more: to read /b\\u{1b}[2J"]);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains('\u{1b}'), "{run:?}");
    let run = notes.run(&["status"]).says(&["/b\\u{1b}[2J"]);
    assert!(!run.stdout.contains('\u{1b}'), "{run:?}");
}

#[test]
fn what_an_info_says_is_there_for_programs_too() {
    let notes = Notes::new();
    notes.wishes("write = [\"{path}\"]\nrequire = [\"fs_read\"]\n");
    let by_name = notes.run(&["plugin", "info", "notes", "--json"]).expect(0).json();
    assert_eq!(by_name["trust"], "untrusted");
    assert_eq!(
        (by_name["may_start"].as_bool(), by_name["require"][0].as_str()),
        (Some(false), Some("fs_read"))
    );
    assert_eq!(by_name["wishes"][0], "change what the option `path` names");
    let by_path = notes.run(&["plugin", "info", "./notes", "--json"]).expect(0).json();
    assert_eq!(by_path["digest"], by_name["digest"]);
    every_key_is_documented(&by_name);
    assert!(by_path["plugin"].is_null());
    let (place, member) = (notes.0.path("place").display().to_string(), &by_name["members"][0]);
    assert_eq!(member["member"], PHONE);
    assert_eq!(member["policy"]["write"], serde_json::json!([]), "the option is not set");
    let text = fs::read_to_string(notes.0.config()).unwrap();
    let with =
        |value: &str| text.replace("plugin = \"notes\"", &format!("plugin = \"notes\"\npath = \"{value}\""));
    notes.0.configure_as(&with("./place"));
    let may = ["in phone it may", &format!("change {place}")];
    notes.run(&["plugin", "info", "notes"]).expect(0).says(&may);
    notes.0.configure_as(&with("./state"));
    let cannot = ["phone cannot grant that: it wants {option:path}", "the state directory"];
    notes.run(&["plugin", "info", "notes"]).expect(0).says(&cannot);
    notes.run(&["plugin", "info", "vdir"]).expect(0).says(&["part of this command"]);
    notes.run(&["plugin", "info", "vdir", "--json"]).expect(2);
    notes.run(&["plugin", "info", "nots"]).expect(2).says(&["it names: notes"]);
    notes.run(&["plugin", "trust", "vdir"]).expect(2);
}

#[test]
fn what_opens_a_sandbox_is_shown_at_every_look() {
    let world = World::new(Link::Inherited);
    let open =
        "[member.phone.sandbox]\nprofile = \"none\"\n[member.laptop.sandbox]\non_unsupported = \"weaken\"\n";
    world.configure("", open);
    let lines = [
        "phone has no sandbox and can do what you can: `profile = \"none\"` in [member.phone.sandbox]",
        "laptop is started even where its sandbox cannot be enforced",
    ];
    world.run(["status"]).expect(0).says(&lines);
    world.run(["check"]).expect(0).says(&lines);
    let of = |json: &serde_json::Value| {
        let mut what = Vec::new();
        for note in json.as_array().unwrap() {
            what.push(format!("{} {}", note["member"].as_str().unwrap(), note["what"].as_str().unwrap()));
        }
        what
    };
    let status = world.run(["status", "--json"]).expect(0).json();
    assert_eq!(of(&status["groups"][0]["notes"]), ["laptop weaken", "phone no_sandbox"]);
    let check = world.run(["check", "--json"]).expect(0).json();
    assert_eq!(check["exit"], 0);
    check["members"].as_array().unwrap().iter().for_each(every_key_is_documented);
    let members = check["members"].as_array().unwrap();
    assert_eq!(
        members.iter().map(|member| member["member"].as_str().unwrap()).collect::<Vec<_>>(),
        [LAPTOP, PHONE]
    );
    assert_eq!(of(&members[1]["notes"]), ["phone no_sandbox"]);
    assert_eq!(members[1]["found"]["collections"], serde_json::json!(["book"]));
}

#[test]
fn a_place_that_holds_what_is_ours_is_refused_where_it_stands() {
    let world = World::new(Link::Inherited);
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("path = \"./phone\"", "path = \"./\""));
    let words = ["outrigger.toml:7:9: `path` in member `phone`: the grant ", "covers the "];
    world.run(["check"]).expect(2).says(&words);
}
