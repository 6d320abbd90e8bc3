//! Whole manifests: what each key means, and what is said of hostile ones.

use outrigger_sandbox::{Guarantee, OnUnsupported, Policy, Profile, Protected};

use super::*;

const HEAD: &str =
    "id = \"people\"\nversion = \"1\"\nlicense = \"MIT\"\nprotocol = \"0.9\"\ncommand = [\"./p\"]\n";

fn parse(text: &str) -> std::result::Result<Manifest, ConfigError> {
    Manifest::parse(text, Path::new("/opt/people/plugin.toml"))
}

/// What is said of a `[sandbox]`, without the file's name.
fn complaint(sandbox: &str) -> String {
    told(&format!("{HEAD}[sandbox]\n{sandbox}"))
}

fn told(text: &str) -> String {
    let error = parse(text).expect_err(text);
    let told = error.to_string().replace("/opt/people/plugin.toml:", "");
    match error.hint {
        Some(hint) => format!("{told} ({hint})"),
        None => told,
    }
}

/// Holds S72.
#[test]
fn every_key_is_read() {
    let manifest = parse(
        r#"
id = "people"
name = "People"
description = "In a table."
version = "1.2.0-rc.1"
license = "MIT OR Apache-2.0"
protocol = "0.9 - 1.0"
object_types = ["contact"]
formats = ["vcard"]
command = ["/usr/bin/python3", "-B", "./bin/people.py"]
start_timeout = "90s"
[sandbox]
profile = "network"
read = ["{plugin}", "/usr/share/zoneinfo/"]
write = ["{path}", "{folder:db}"]
execute = ["/usr/bin/env"]
network = ["DAV.example.org:443", "{host:url}"]
memory = "256MiB"
processes = 4
file_size = "1GiB"
require = ["fs_read"]
on_unsupported = "weaken"
[check]
options = { path = "{scratch}" }
"#,
    )
    .unwrap();
    assert_eq!((manifest.id.as_str(), manifest.name.as_deref()), ("people", Some("People")));
    assert_eq!(
        (manifest.version.as_str(), manifest.protocol.to_string()),
        ("1.2.0-rc.1", "0.9 - 1.0".into())
    );
    assert_eq!(manifest.program, Path::new("/usr/bin/python3"));
    assert_eq!(manifest.start_timeout, Some(std::time::Duration::from_secs(90)));
    assert_eq!(manifest.args, ["-B", "/opt/people/bin/people.py"]);
    assert_eq!(manifest.covered, [Path::new("/usr/bin/python3"), Path::new("/opt/people/bin/people.py")]);
    assert_eq!(manifest.check, [("path".to_owned(), "{scratch}".to_owned())]);
    let wishes = &manifest.wishes;
    let texts = |wishes: &[PathWish]| wishes.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&wishes.read), ["{plugin}", "/usr/share/zoneinfo"]);
    assert_eq!(texts(&wishes.write), ["{option:path}", "{folder:db}"]);
    assert_eq!(texts(&wishes.execute), ["/usr/bin/env", "/usr/bin/python3"], "also what runs from elsewhere");
    assert_eq!(
        wishes.network,
        [HostWish::Fixed("dav.example.org:443".into()), HostWish::Option("url".into())]
    );
    assert_eq!(
        (wishes.memory, wishes.processes, wishes.file_size),
        (Some(256 << 20), Some(4), Some(1 << 30))
    );
    assert_eq!((wishes.profile, wishes.on_unsupported), (Profile::Network, OnUnsupported::Weaken));
    assert_eq!(wishes.require, [Guarantee::FsRead]);
}

#[test]
fn without_a_sandbox_table_it_wishes_nothing() {
    let manifest = parse(HEAD).unwrap();
    assert_eq!(manifest.wishes, Wishes::default());
    let policy = manifest.wishes.fill(&[], manifest.folder(), &[], &[]).unwrap();
    assert_eq!(policy, Policy { execute: vec!["/opt/people".into()], ..Policy::default() });
}

#[test]
fn who_names_hosts_has_a_network() {
    let wishes = parse(&format!("{HEAD}[sandbox]\nnetwork = [\"h:1\"]")).unwrap().wishes;
    assert_eq!(wishes.profile, Profile::Network);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let without = |key: &str| {
        HEAD.lines().filter(|line| !line.starts_with(key)).fold(String::new(), |a, b| a + b + "\n")
    };
    for key in ["id", "version", "license", "protocol", "command"] {
        let told = told(&without(key));
        assert!(
            told.starts_with(&format!("1:1: the key `{key}` is missing (write, for example: {key} = ")),
            "{told}"
        );
    }
    let cases = [
        (format!("{HEAD}versoin = 1"), "6:1: unknown key `versoin` in a manifest (did you mean `version`?)"),
        (
            format!("{HEAD}[sandbox]\nreed = []"),
            "7:1: unknown key `reed` in [sandbox] of a manifest (did you mean `read`?)",
        ),
        (format!("{HEAD}start_timeout = \"11m\""), "6:17: `start_timeout` is at most 10m"),
        (
            format!("{HEAD}[check]\noptoins = {{}}"),
            "7:1: unknown key `optoins` in [check] (did you mean `options`?)",
        ),
        (
            HEAD.replace("\"MIT\"", "\"MIT/X\""),
            "3:11: `license` is no SPDX expression: \"MIT/X\" is no identifier (write it as \"MIT OR Apache-2.0\")",
        ),
        (
            HEAD.replace("0.9", ">=0.9"),
            "4:12: `protocol` is no range of versions (write \"0.9\", or \"0.9 - 1.2\" for all from the first to the last)",
        ),
        (
            HEAD.replace("\"people\"", "\"../x\""),
            "1:6: this cannot be an `id` (use letters, digits, - and _, at most 64)",
        ),
        (HEAD.replace("\"1\"", "\"1\\n2\""), "2:11: this cannot be a `version` (write it as \"1.2.0\")"),
        (
            HEAD.replace("\"./p\"", ""),
            "5:11: `command` is empty (name the executable: command = [\"./plugin\"])",
        ),
        (format!("{HEAD}name = \"a\\u001b[2J\""), "6:8: `name` must be one line of at most 400 characters"),
        ("id = ".into(), "1:6: string values must be quoted, expected literal string"),
    ];
    for (text, expected) in cases {
        assert_eq!(told(&text), expected, "for:\n{text}");
    }
}

#[test]
fn a_command_does_not_lead_out_of_its_folder() {
    for command in ["../p", "a/../../p", "~/p", "", "./..", "./a/.."] {
        let told = told(&HEAD.replace("\"./p\"", &format!("\"{command}\"")));
        assert!(told.contains("`command` cannot name"), "{command}: {told}");
    }
    let told = told(&HEAD.replace("\"./p\"", "\"./p\", \"./../secret\""));
    assert!(told.contains("5:19: `command` cannot name \"./../secret\""), "{told}");
}

/// Case by case what a hostile author would try.
#[test]
fn no_trick_with_a_path_is_a_wish() {
    for key in ["read", "write", "execute"] {
        for (path, why) in [
            ("/", "the root is never granted"),
            ("//", "the root is never granted"),
            ("/proc/1/root", "/proc is never granted"),
            ("/proc", "/proc is never granted"),
            ("/sys", "/sys is never granted"),
            ("/dev/shm", "/dev is never granted"),
            ("/srv/../etc", "no path from the root on"),
            ("..", "no path from the root on"),
            ("data", "no path from the root on"),
            ("~/.ssh", "no path from the root on"),
            ("", "no path from the root on"),
            ("{option:path}/../x", "stands alone"),
            ("{option:path}{plugin}", "stands alone"),
            ("{option:}", "stands for nothing"),
            ("{home}", "stands for nothing"),
            ("{data}", "stands for nothing"),
            ("{plugin:x}", "stands for nothing"),
        ] {
            let told = complaint(&format!("{key} = [\"{path}\"]"));
            assert!(
                told.starts_with("7:") && told.contains(why) && told.ends_with(')'),
                "{key} {path}: {told}"
            );
        }
    }
    assert!(complaint("write = [\"{plugin}\"]").contains("cannot write to its own folder"));
}

#[test]
fn only_the_user_can_do_without_a_sandbox() {
    assert!(complaint("profile = \"none\"").contains("cannot be \"none\" in a manifest"));
    assert!(complaint("profile = \"strict\"\nnetwork = [\"h:1\"]").contains("names hosts"));
    assert!(complaint("profile = \"netwrok\"").contains("did you mean `network`?"));
    assert!(complaint("network = [\"{host:url}\", \"tcp:1\"]").contains("beside hosts"));
    assert!(complaint("memory = 64").contains("at least 4 MiB"));
    assert!(complaint("network = [\"host\"]").contains("is not a host and a port"));
    assert!(complaint("network = [\"{host}\"]").contains("stands for nothing"));
    assert!(complaint("require = [\"fs_raed\"]").contains("did you mean `fs_read`?"));
}

#[test]
fn a_manifest_is_short_and_an_ordinary_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(MANIFEST);
    let load = || Manifest::load(&file).unwrap_err().to_string();
    assert!(load().contains("cannot be read"));
    fs::write(&file, format!("{HEAD}#{}", "x".repeat(64 << 10))).unwrap();
    assert!(load().contains("longer than 64 KiB"));
    fs::write(&file, b"id = \"\xff\"").unwrap();
    assert!(load().contains("cannot be read"));
    assert!(Manifest::load(folder.path()).unwrap_err().to_string().contains("no ordinary file"));
    let many = vec!["\"/a\""; 65].join(", ");
    assert!(complaint(&format!("read = [{many}]")).contains("more than 64 entries"));
}

#[test]
fn deep_nesting_ends_before_the_stack_does() {
    let deep = format!("{HEAD}x = {}{}", "[".repeat(30_000), "]".repeat(30_000));
    assert!(parse(&deep).is_err());
    let keys = format!("{HEAD}{}x = 1", "a.".repeat(30_000));
    assert!(parse(&keys).is_err());
}

fn options(options: &[(&str, &str)]) -> Vec<(String, String)> {
    options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn wishes(sandbox: &str) -> Wishes {
    parse(&format!("{HEAD}[sandbox]\n{sandbox}")).unwrap().wishes
}

fn fill(sandbox: &str, given: &[(&str, &str)]) -> std::result::Result<Policy, String> {
    let secret = [Protected::new("the state directory", "/home/ana/state")];
    let protected = [Protected::new("the executable", "/usr/bin/outrigger")];
    let filled = wishes(sandbox).fill(&options(given), Path::new("/opt/people"), &secret, &protected);
    filled.map_err(|unfit| format!("{unfit} ({})", unfit.hint))
}

#[test]
fn options_fill_the_words_and_need_not_be_there() {
    let sandbox = "read = [\"{option:in}\", \"{plugin}\"]\nwrite = [\"{path}\", \"{folder:db}\"]\n\
                   network = [\"{host:url}\", \"h:1\"]";
    let given = [("path", "/not/there"), ("db", "/not/here/x.db"), ("url", "https://DAV.example.org/x")];
    let policy = fill(sandbox, &given).unwrap();
    assert_eq!(policy.read, [Path::new("/opt/people")], "an option that is not set grants nothing");
    assert_eq!(policy.write, [Path::new("/not/there"), Path::new("/not/here")]);
    assert_eq!(policy.network, ["dav.example.org:443", "h:1"]);
    assert_eq!(policy.profile, Profile::Network);
}

#[test]
fn an_option_grants_only_what_it_may_name() {
    for (sandbox, value, why) in [
        ("write = [\"{path}\"]", "people.db", "is none from the root on"),
        ("write = [\"{path}\"]", "/", "the root is never granted"),
        ("read = [\"{path}\"]", "/proc/self", "/proc is never granted"),
        ("read = [\"{path}\"]", "/home/ana", "holds the state directory"),
        ("write = [\"{folder:path}\"]", "/home/ana/state/x", "holds the state directory"),
        ("write = [\"{folder:path}\"]", "/x", "the root is never granted"),
        ("write = [\"{path}\"]", "/usr", "holds the executable"),
        ("write = [\"{path}\"]", "/opt/people/data", "holds what it may execute, /opt/people,"),
        ("write = [\"{path}\"]", "/opt", "holds what it may execute, /opt/people,"),
        ("write = [\"{path}\"]\nexecute = [\"{option:path}\"]", "/srv/x", "holds what it may execute"),
        ("network = [\"{host:path}\"]", "/srv/x", "names none"),
    ] {
        let told = fill(sandbox, &[("path", value)]).unwrap_err();
        assert!(told.contains(why) && told.ends_with(')'), "{sandbox} {value}: {told}");
    }
    assert!(fill("read = [\"{path}\"]", &[("path", "/usr")]).is_ok(), "to read the executable is no harm");
}

/// Its own folder it may read, so nothing of ours may lie there.
#[test]
fn a_plugin_has_a_folder_of_its_own() {
    let secret = [Protected::new("the state directory", "/home/ana/state")];
    let fill = |folder: &str| Wishes::default().fill(&[], Path::new(folder), &secret, &[]);
    let told = fill("/home/ana").unwrap_err().to_string();
    assert_eq!(
        told,
        "it wants {plugin}, which is /home/ana; that holds the state directory, /home/ana/state, or lies in it"
    );
    assert!(fill("/").unwrap_err().to_string().contains("the root is never granted"));
    assert!(fill("/home/ana/plugins/people").is_ok());
}

#[cfg(unix)]
#[test]
fn a_path_of_the_manifests_own_is_there_and_is_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir(root.join("real")).unwrap();
    std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
    let read = |name: &str| fill(&format!("read = [{:?}]", root.join(name).display().to_string()), &[]);
    assert_eq!(read("real").unwrap().read, [root.join("real")]);
    assert!(read("link").unwrap_err().contains("which is a link to"));
    assert!(
        read("gone").unwrap_err().contains("which is not there (a manifest names what is on every machine")
    );
    let execute = |name: &str| fill(&format!("execute = [{:?}]", root.join(name).display().to_string()), &[]);
    assert!(execute("link").is_ok(), "an interpreter often is one");
    assert!(execute("gone").is_err());
    std::os::unix::fs::symlink("/proc/self", root.join("kernel")).unwrap();
    assert!(execute("kernel").unwrap_err().contains("/proc is never granted"));
    let path = root.join("kernel").display().to_string();
    assert!(fill("read = [\"{path}\"]", &[("path", &path)]).unwrap_err().contains("/proc is never granted"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::default()
    })]

    /// Damaged at any place, a manifest is read or refused, with a line that is there.
    #[test]
    fn a_damaged_manifest_is_read_or_refused(at in 0_usize..400, cut in 0_usize..20, put in "\\PC{0,8}") {
        let whole = format!(
            "{HEAD}[sandbox]\nread = [\"{{option:in}}\", \"/usr/share\"]\nnetwork = [\"{{host:url}}\", \"h:1\"]\n\
             memory = \"8MiB\"\nrequire = [\"fs_read\"]\n[check]\noptions = {{ path = \"x\" }}\n"
        );
        let chars: Vec<char> = whole.chars().collect();
        let at = at.min(chars.len());
        let rest = &chars[(at + cut).min(chars.len())..];
        let text: String = chars[..at].iter().copied().chain(put.chars()).chain(rest.iter().copied()).collect();
        match parse(&text) {
            Ok(manifest) => proptest::prop_assert_eq!(manifest.text, text),
            Err(error) => {
                let line = error.at.map(|at| at.line).unwrap_or_default();
                proptest::prop_assert!((1..=text.lines().count() + 1).contains(&line), "{error}");
            }
        }
    }
}
