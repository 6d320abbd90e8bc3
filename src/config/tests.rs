//! Whole texts: what they mean, and what is said of those that mean nothing.

mod mistakes;

use std::path::Path;

use outrigger_engine::{Access, ConflictPolicy, EditVsDelete, MaxDelete, MemberIndex};
use outrigger_sandbox::{Guarantee, OnUnsupported, Profile};

use super::*;

fn places() -> Places {
    Places { home: Some("/home/ana".into()), ..Places::default() }
}

fn parse(text: &str) -> Result<Config> {
    Config::parse(text, Path::new("/etc/o/c.toml"), &places())
}

/// The complaint about `text`, as a user sees it, hint included.
fn complaint(text: &str) -> String {
    let error = parse(text).unwrap_err();
    let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{error}{hint}").replace("/etc/o/c.toml:", "")
}

const TWO: &str =
    "[member.a]\nplugin = \"vdir\"\npath = \"/a\"\n[member.b]\nplugin = \"vdir\"\npath = \"/b\"\n";

/// Two members, and a group with these lines, the first of which is line 9.
fn group(lines: &str) -> String {
    format!("{TWO}[group.g]\nmembers = [\"a\", \"b\"]\n{lines}\n")
}

#[test]
fn a_short_text_gets_the_defaults() {
    let config = parse(&group("")).unwrap();
    assert_eq!(config.state, Path::new("/home/ana/.local/state/outrigger"));
    assert!(!config.broker);
    assert_eq!(config.journal, JournalLimits { days: 30, size: 1 << 30 });
    let group = config.group("g").unwrap();
    assert_eq!(group.members, ["a", "b"]);
    assert_eq!(group.collections, Collections::All);
    assert!(!group.create_collections);
    let policies = &group.policies;
    assert_eq!(
        (group.conflict_policy(), policies.edit_vs_delete),
        (ConflictPolicy::Queue, EditVsDelete::Edit)
    );
    assert_eq!((policies.max_delete.count, policies.max_delete.percent), (5, 25));
    assert_eq!((policies.max_update, policies.max_create_on_slow), (90, 20));
    assert_eq!((policies.read_only, policies.match_content), (ReadOnly::Keep, true));
    let member = config.member("a").unwrap();
    assert!(member.required && !member.read_only && !member.no_delete && !member.reliable_times);
    assert_eq!(member.sandbox, SandboxConfig::default());
}

/// Everything that can be said.
const LONG: &str = r#"
state = "var"
broker = true
[defaults]
conflict = { prefer = "laptop" }
edit_vs_delete = "ask"
readonly = "error"
match = "key"
max_delete = { count = 10 }
max_update = 80
journal = { days = 7, size = "10MiB" }

[member.laptop]
plugin = "vdir"
path = "~/contacts"
extension = "vcf"

[member.usb]
plugin = "vdir"
options = { path = "../usb", marker = true }
required = false
read_only = true
no_delete = true
reliable_times = true
[member.usb.sandbox]
profile = "strict"
read = ["~/in"]
write = ["out"]
network = ["dav.example.org:443"]
memory = "256MiB"
processes = 1
calls_timeout = "30s"
restart = { max = 3, within = "1h" }
require = ["fs_read", "memory"]
on_unsupported = "weaken"

[member.third]
plugin = "vdir"
path = "/third"

[group.backup]
members = ["laptop", "usb"]
collections = ["family", { laptop = "book", usb = "x" }]
create_collections = true
max_delete = { percent = 50 }
max_create_on_slow = 200

[group.other]
members = ["usb", "third"]
edit_vs_delete = "delete"

[group.all]
members = ["usb", "third", "laptop"]
collections = [{ laptop = "l", third = "t", usb = "u" }, "x"]
readonly = "revert"
"#;

#[test]
fn a_long_text_says_everything() {
    let config = parse(LONG).unwrap();
    assert_eq!(config.state, Path::new("/etc/o/var"));
    assert!(config.broker);
    assert_eq!(config.journal, JournalLimits { days: 7, size: 10 << 20 });
    assert_eq!(config.member("laptop").unwrap().option("path"), Some("/home/ana/contacts"));
    let usb = config.member("usb").unwrap();
    assert_eq!(usb.option("path"), Some("/etc/o/../usb"));
    assert_eq!(usb.option("marker"), Some("true"));
    assert!(!usb.required && usb.read_only && usb.no_delete && usb.reliable_times);
}

#[test]
fn a_long_text_says_what_plugins_may_do() {
    let config = parse(LONG).unwrap();
    let MemberConfig { sandbox, calls_timeout, restart, .. } = config.member("usb").unwrap();
    assert_eq!(sandbox.write.as_deref().unwrap(), [Path::new("/etc/o/out")]);
    assert_eq!(sandbox.network.as_deref().unwrap(), ["dav.example.org:443"]);
    assert_eq!((sandbox.memory, sandbox.processes), (Some(256 << 20), Some(1)));
    assert_eq!(
        (sandbox.profile, sandbox.on_unsupported),
        (Some(Profile::Strict), Some(OnUnsupported::Weaken))
    );
    assert_eq!(sandbox.require.as_deref().unwrap(), [Guarantee::FsRead, Guarantee::Memory]);
    assert_eq!(*calls_timeout, Some(std::time::Duration::from_secs(30)));
    assert_eq!((restart.max, restart.within.as_secs()), (3, 3600));
    let usual = config.member("laptop").unwrap().restart;
    assert_eq!((usual.max, usual.within.as_secs()), (5, 600));
}

#[test]
fn a_long_text_says_how_groups_are_kept_the_same() {
    let config = parse(LONG).unwrap();
    let backup = config.group("backup").unwrap();
    let Collections::Listed(listed) = &backup.collections else { panic!("{:?}", backup.collections) };
    assert_eq!(listed[0].at_members, ["family", "family"]);
    assert_eq!((listed[1].name.as_str(), &listed[1].at_members), ("book", &vec!["book".into(), "x".into()]));
    // The group says one half of the guard, the defaults the other.
    assert_eq!(backup.policies.max_delete, MaxDelete { count: 10, percent: 50, ..MaxDelete::default() });
    assert_eq!((backup.policies.max_update, backup.policies.max_create_on_slow), (80, 200));
    assert_eq!((backup.policies.read_only, backup.policies.match_content), (ReadOnly::Error, false));
    assert_eq!(backup.conflict_policy(), ConflictPolicy::Prefer(MemberIndex(0)));

    // A preference for a member of other groups cannot hold here.
    let other = config.group("other").unwrap();
    assert_eq!(
        (&other.policies.conflict, other.conflict_policy()),
        (&Conflict::Queue, ConflictPolicy::Queue)
    );
    assert_eq!(other.policies.edit_vs_delete, EditVsDelete::Delete);
}

#[test]
fn a_group_of_many_names_each_collection_at_every_member_in_their_order() {
    let config = parse(LONG).unwrap();
    let all = config.group("all").unwrap();
    assert_eq!(all.members, ["usb", "third", "laptop"]);
    assert_eq!(all.conflict_policy(), ConflictPolicy::Prefer(MemberIndex(2)));
    let Collections::Listed(listed) = &all.collections else { panic!("{:?}", all.collections) };
    assert_eq!(
        (listed[0].name.as_str(), &listed[0].at_members[..]),
        ("u", &["u", "t", "l"].map(String::from)[..])
    );
    assert_eq!(listed[1].at_members, ["x", "x", "x"]);
}

#[test]
fn every_way_to_settle_a_conflict_is_a_policy_of_the_engine() {
    for (conflict, policy, word) in [
        ("\"queue\"", ConflictPolicy::Queue, "queue"),
        ("\"newest\"", ConflictPolicy::Newest, "newest"),
        ("\"keep-both\"", ConflictPolicy::KeepBoth, "keep-both"),
        ("\"merge\"", ConflictPolicy::Resolve, "merge"),
        ("{ prefer = \"b\" }", ConflictPolicy::Prefer(MemberIndex(1)), "prefer"),
        ("{ command = [\"meld\", \"~/x\"] }", ConflictPolicy::Resolve, "command"),
    ] {
        let config = parse(&group(&format!("conflict = {conflict}"))).unwrap();
        let group = config.group("g").unwrap();
        assert_eq!((group.conflict_policy(), group.policies.conflict.word()), (policy, word));
        if let Conflict::Command(argv) = &group.policies.conflict {
            assert_eq!(*argv, ["meld", "/home/ana/x"]);
        }
    }
}

#[test]
fn what_a_member_takes_is_a_matter_of_the_member_and_its_group() {
    let access = |lines: &str, member: u16, read_only, no_delete| {
        let config = parse(&group(lines)).unwrap();
        config.group("g").unwrap().access(MemberIndex(member), read_only, no_delete)
    };
    assert_eq!(access("", 0, false, false), Access::Full);
    assert_eq!(access("", 0, false, true), Access::NoDelete);
    assert_eq!(access("", 0, true, true), Access::ReadOnly);
    assert_eq!(access("readonly = \"error\"", 0, true, false), Access::ReadOnly);
    assert_eq!(access("readonly = \"revert\"", 0, true, false), Access::Authority);
    assert_eq!(access("readonly = \"revert\"", 1, false, true), Access::NoDelete);
    assert_eq!(access("mode = \"mirror:b\"", 1, false, false), Access::Authority);
    assert_eq!(access("mode = \"mirror:b\"", 0, true, false), Access::ReadOnly);
    let mirror = parse(&group("mode = \"mirror:b\"\n[defaults]\nreadonly = \"revert\"")).unwrap();
    let mirror = mirror.group("g").unwrap();
    assert_eq!(mirror.conflict_policy(), ConflictPolicy::Prefer(MemberIndex(1)));
    assert_eq!(mirror.access(MemberIndex(0), true, false), Access::ReadOnly, "two cannot both be right");
}

#[test]
fn members_and_groups_keep_the_order_of_the_file() {
    let config =
        parse(&format!("{TWO}[group.z]\nmembers = [\"b\", \"a\"]\n[group.c]\nmembers = [\"a\", \"b\"]"))
            .unwrap();
    assert_eq!(config.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["z", "c"]);
    assert_eq!(config.group("z").unwrap().members, ["b", "a"]);
    assert_eq!(config.nearest_group("zz"), Some("z"));
}

#[test]
fn a_foreign_plugin_gets_its_options_as_text_with_paths_made_whole() {
    let config = parse("[member.m]\nplugin = \"crm\"\ndb = \"~/crm.sqlite\"\nport = 8080\nratio = 0.5\nhex = 0xff\non = true\nkey = \"~\"\nword = \"a/b\"").unwrap();
    let member = config.member("m").unwrap();
    let options: Vec<(&str, &str)> =
        member.options.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [
        ("db", "/home/ana/crm.sqlite"),
        ("port", "8080"),
        ("ratio", "0.5"),
        ("hex", "0xff"),
        ("on", "true"),
        ("key", "/home/ana"),
        ("word", "a/b"),
    ];
    assert_eq!(options, expected);
}

#[test]
fn p2_a_grant_to_write_to_what_is_ours_is_refused_where_it_stands() {
    let runtime = Protected::new("the runtime directory", "/run/user/7/outrigger");
    let places = Places { protected: vec![runtime], ..places() };
    let parse = |grants: &str| {
        let text = format!("state = \"~/s\"\n{TWO}[member.a.sandbox]\nwrite = [{grants}]\nread = [\"/\"]");
        Config::parse(&text, Path::new("/etc/o/c.toml"), &places)
    };
    let refused = |grants: &str| parse(grants).unwrap_err().to_string();
    assert_eq!(
        refused("\"/a\", \"~\""),
        "/etc/o/c.toml:9:16: the grant /home/ana covers the state directory, /home/ana/s"
    );
    assert!(refused("\"~/s/groups\"").contains("/home/ana/s/groups lies within the state directory"));
    assert!(refused("\".\"").contains("/etc/o covers the configuration, /etc/o/c.toml"));
    assert!(refused("\"/run/user\"").contains("covers the runtime directory, /run/user/7/outrigger"));
    assert_eq!(parse("\"/a\", \"~/s-2\"").unwrap().members[0].sandbox.write.as_ref().unwrap().len(), 2);
}

#[test]
fn what_is_decided_but_not_built_is_refused_by_name() {
    let cases = [
        ("metrics = \"x\"".to_owned(), "`metrics`"),
        ("[member.a]\nplugin = \"x\"\nvia = { ssh = \"nas\" }".into(), "`via`"),
        (
            "[member.a]\nplugin = \"x\"\npassword = { prompt = true }".into(),
            "a secret (or any table) as a plugin's option",
        ),
        (group("every = \"15m\""), "`every`"),
        (group("collections = \"from:a\""), "`collections = \"from:…\"`"),
    ];
    for (text, what) in cases {
        let complaint = complaint(&text);
        assert!(complaint.contains(&format!("{what} is not built yet")), "{complaint}");
    }
}

#[test]
fn a_draft_is_a_configuration() {
    let member = |name: &str, place: &str| DraftMember {
        name: name.into(),
        plugin: "vdir".into(),
        place: place.into(),
    };
    let draft = Draft {
        group: "backup".into(),
        members: vec![member("laptop", "~/contacts"), member("usb", "/m/a \"b\"\\\n")],
    };
    let config = parse(&draft.to_string()).unwrap();
    assert_eq!(config.member("laptop").unwrap().option("path"), Some("/home/ana/contacts"));
    assert_eq!(config.member("usb").unwrap().option("path"), Some("/m/a \"b\"\\\n"));
    let group = config.group("backup").unwrap();
    assert!(group.create_collections && group.collections == Collections::All);
}

/// Holds S72.
#[test]
fn a_plugin_that_is_not_built_in_is_named_with_its_command() {
    let config = parse(
        "[plugin.people]\ncommand = [\"bin/py\", \"./people.py\", \"-v\", \"~/x\"]\n\
         [plugin.crm]\ncommand = [\"/opt/crm\"]\n[member.a]\nplugin = \"people\"\nanything = 3\n",
    )
    .unwrap();
    let command = |name| match config.plugin(name).map(|plugin| plugin.source.clone()) {
        Some(PluginSource::Command { path, args, .. }) => (path, args),
        other => panic!("{other:?}"),
    };
    let (path, args) = command("people");
    assert_eq!(path, Path::new("/etc/o/bin/py"));
    assert_eq!(args, ["/etc/o/people.py", "-v", "/home/ana/x"]);
    assert_eq!(command("crm").0, Path::new("/opt/crm"));
    assert_eq!(config.member("a").unwrap().option("anything"), Some("3"));
    for (text, told) in [
        ("[plugin.vdir]\ncommand = [\"x\"]", "1:9: the plugin `vdir` is built in (give yours another name)"),
        (
            "[plugin.p]",
            "1:9: `manifest` or `command` is missing in plugin `p` (name its plugin.toml, or the command that \
             starts it)",
        ),
        (
            "[plugin.p]\ncommand = [\"x\"]\nmanifest = \"y\"",
            "3:1: both `command` and `manifest` are said in plugin `p` (leave `command` out: the manifest says it)",
        ),
        (
            "[plugin.p]\nmanifest = \"y\"\nstart_timeout = \"90s\"",
            "1:9: `start_timeout` is said in plugin `p` (leave it out: the manifest says it)",
        ),
        ("[plugin.p]\ncomand = [\"x\"]", "2:1: unknown key `comand` in plugin `p` (did you mean `command`?)"),
        ("[plugin.p]\ncommand = \"x\"", "2:11: `command` must be a list in brackets, not a text"),
        (
            "[plugin.p]\ncommand = []",
            "2:11: `command` is empty (name the executable: command = [\"./plugin\"])",
        ),
        ("[plugin.p]\ncommand = [\"x\", 3]", "2:17: `command` must be a text in quotes, not a number"),
        (
            "[plugin.\"a b\"]",
            "1:9: \"a b\" cannot be the name of a plugin (use letters, digits, - and _, at most 64)",
        ),
    ] {
        assert_eq!(complaint(text).trim_start(), told, "{text}");
    }
}

#[test]
fn a_file_that_is_not_there_is_told_with_the_way_to_make_one() {
    let error = Config::load(Path::new("/nonexistent/c.toml"), &places()).unwrap_err();
    assert_eq!((error.at, error.hint.is_some()), (None, true));
    assert!(error.to_string().starts_with("/nonexistent/c.toml: cannot be read: "), "{error}");
}

#[test]
fn no_cut_of_a_good_text_is_misread_or_crashes() {
    let whole = group("collections = [{ a = \"x\", b = \"y\" }]\nconflict = { prefer = \"a\" }");
    for cut in 0..whole.len() {
        // A cut may be a good shorter text; it must only never panic.
        if let Err(error) = parse(&whole[..cut]) {
            assert!(error.at.is_some(), "{error}");
        }
    }
}

#[test]
fn relative_paths_do_not_depend_on_where_one_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "state = \"s\"").unwrap();
    assert_eq!(Config::load(&file, &places()).unwrap().state, folder.path().join("s"));
}

#[test]
fn two_members_at_one_place_are_a_slip() {
    let same = |b: &str| group("").replace("path = \"/b\"", &format!("path = \"{b}\""));
    for b in ["/a", "/a/", "/./a"] {
        assert_eq!(
            complaint(&same(b)),
            "4:9: `a` and `b` are the same place: /a (give one of them another `path`, or take the group `g` out)",
            "{b}"
        );
    }
    let third = group("").replace("[\"a\", \"b\"]", "[\"a\", \"b\", \"c\"]");
    let third = format!("{third}[member.c]\nplugin = \"vdir\"\npath = \"/b\"\n");
    assert!(complaint(&third).contains("`b` and `c` are the same place: /b"), "{}", complaint(&third));
    // In two groups, or in none, a place may have two names.
    parse("[member.a]\nplugin = \"vdir\"\npath = \"/a\"\n[member.b]\nplugin = \"vdir\"\npath = \"/a\"\n")
        .unwrap();
}
