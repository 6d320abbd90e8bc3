//! What members are granted, by the example of whole configurations.

use std::fs;

use super::*;
use crate::config::Places;

/// A folder with a trusted plugin `people`, and what a configuration there grants to the member `a`.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        fs::create_dir(world.path("people")).unwrap();
        fs::write(world.path("people/main"), "").unwrap();
        world.wishes("write = [\"{path}\"]\nread = [\"{option:in}\"]\nmemory = \"8MiB\"");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn wishes(&self, sandbox: &str) {
        let text = format!(
            "id = \"people\"\nversion = \"1\"\nlicense = \"MIT\"\nprotocol = \"0.9\"\ncommand = [\"./main\", \"-v\"]\n\
             start_timeout = \"90s\"\n[sandbox]\n{sandbox}\n"
        );
        fs::write(self.path("people/plugin.toml"), text).unwrap();
    }

    fn config(&self, member: &str) -> Config {
        let text = format!(
            "state = \"./state\"\n[plugin.people]\nmanifest = \"./people\"\n[plugin.plain]\n\
             command = [\"./plain\", \"./script\", \"-x\", \"/usr/share\"]\n[member.a]\n{member}"
        );
        Config::parse(&text, &self.path("c.toml"), &Places::default()).unwrap()
    }

    fn trust(&self, config: &Config) {
        let file = self.path("people/plugin.toml");
        let examined = consent::examine(&config.state, Some("people"), &file).unwrap();
        consent::trust(&config.state, "people", &examined).unwrap();
    }

    fn granted(&self, member: &str) -> Result<Granted, Failure> {
        let config = self.config(member);
        let member = config.member("a").unwrap();
        let found = match config.plugin(&member.plugin) {
            Some(plugin) => Found::of(plugin),
            None => Found::ours(Program::FirstParty { name: member.plugin.clone() }),
        };
        if member.plugin == "people" {
            self.trust(&config);
        }
        grant(&config, member, found, false)
    }

    fn policy(&self, member: &str) -> Policy {
        self.granted(member).unwrap().policy
    }
}

#[test]
fn vdir_may_write_to_its_place_and_to_nothing_else() {
    let world = World::new();
    let policy = world.policy("plugin = \"vdir\"\npath = \"./cards\"");
    assert_eq!(policy, Policy { write: vec![world.path("cards")], ..Policy::default() });
    let policy = world.policy("plugin = \"vdir\"\npath = \"./cards\"\nread_only = true");
    assert_eq!(policy, Policy { read: vec![world.path("cards")], ..Policy::default() });
    let policy =
        world.policy("plugin = \"vdir\"\npath = \"./cards\"\n[member.a.sandbox]\nread = [\"./more\"]");
    assert_eq!((policy.read, policy.write), (vec![world.path("more")], vec![world.path("cards")]));
}

#[test]
fn a_command_may_read_what_it_names_and_write_what_its_options_name() {
    let world = World::new();
    let policy = world.policy("plugin = \"plain\"\npath = \"./db\"");
    assert_eq!(policy.read, [&world.path("script"), Path::new("/usr/share")]);
    assert_eq!(policy.write, [world.path("db")], "it was told to work on it");
    let policy = world.policy("plugin = \"plain\"\n[member.a.sandbox]\nread = [\"./more\"]");
    assert_eq!(policy.read.len(), 3, "its script cannot be taken away: {:?}", policy.read);
}

/// Holds S72.
#[test]
fn a_manifest_is_granted_what_it_wishes_for_this_member() {
    let world = World::new();
    let granted = world.granted("plugin = \"people\"\npath = \"./db\"").unwrap();
    let program = Program::Executable { path: world.path("people/main"), args: vec!["-v".into()] };
    assert_eq!((granted.program, granted.start_timeout), (program, Some(Duration::from_secs(90))));
    let expected = Policy {
        write: vec![world.path("db")],
        execute: vec![world.path("people")],
        memory: Some(8 << 20),
        ..Policy::default()
    };
    assert_eq!(granted.policy, expected, "an option that is not set grants nothing");
}

#[test]
fn the_user_narrows_and_widens() {
    let world = World::new();
    let policy = world.policy(
        "plugin = \"people\"\npath = \"./db\"\nin = \"./in\"\n[member.a.sandbox]\nwrite = []\nmemory = \"16MiB\"\n\
         network = [\"h:1\"]",
    );
    assert_eq!((policy.write, policy.memory), (Vec::new(), Some(16 << 20)));
    assert_eq!((policy.read, policy.network), (vec![world.path("in")], vec!["h:1".to_owned()]));
    assert_eq!(policy.profile, Profile::Network);
    let policy = world.policy("plugin = \"people\"\npath = \"./db\"\n[member.a.sandbox]\nprofile = \"none\"");
    assert_eq!(policy.profile, Profile::None);
}

#[test]
fn what_the_user_says_stands_in_for_a_wish_that_cannot_be_granted() {
    let world = World::new();
    let member = "plugin = \"people\"\npath = \"./state\"\n";
    assert!(world.granted(member).is_err());
    let policy = world.policy(&format!("{member}[member.a.sandbox]\nwrite = [\"./db\"]\nexecute = []"));
    assert_eq!((policy.write, policy.execute), (vec![world.path("db")], vec![world.path("people")]));
}

/// A link in a folder that the plugin can write to may lead anywhere by the next start.
#[test]
fn a_grant_within_one_to_write_is_not_followed() {
    let world = World::new();
    let policy = world.policy("plugin = \"people\"\npath = \"./db\"\nin = \"./db/link\"");
    assert_eq!((policy.read, policy.write), (Vec::new(), vec![world.path("db")]));
    let policy = world.policy("plugin = \"people\"\npath = \"./db\"\nin = \"./db/../in\"");
    assert_eq!(policy.read, [world.path("db/../in")], "this one lies beside it");
}

#[cfg(unix)]
#[test]
fn a_grant_that_leads_through_one_to_write_is_not_followed() {
    let world = World::new();
    fs::create_dir(world.path("db")).unwrap();
    std::os::unix::fs::symlink("db", world.path("docs")).unwrap();
    let granted =
        |path: &str| world.policy(&format!("plugin = \"people\"\npath = \"./db\"\nin = {path:?}")).read;
    assert_eq!(granted("./docs/link"), Vec::<PathBuf>::new());
    assert_eq!(granted("./docs"), [world.path("docs")], "another name of the same folder");
    assert_eq!(granted("./in"), [world.path("in")]);
}

#[test]
fn no_wish_opens_the_state() {
    let world = World::new();
    for path in ["./state", "./state/groups", "./"] {
        let failure =
            world.granted(&format!("plugin = \"people\"\npath = \"./x\"\nin = {path:?}")).unwrap_err();
        let told = failure.causes[0].to_string();
        assert!(told.contains("the state directory"), "{path}: {told}");
        let hint = failure.hint.unwrap();
        assert!(hint.contains("[member.a.sandbox]"), "{hint}");
    }
}

fn noted(world: &World, member: &str) -> Vec<(&'static str, String)> {
    let config = world.config(member);
    let notes = notes(&config, config.member("a").unwrap());
    notes.into_iter().map(|note| (note.what, note.words)).collect()
}

#[test]
fn what_opens_a_sandbox_is_noted() {
    let world = World::new();
    let vdir = "plugin = \"vdir\"\npath = \"./x\"\n";
    assert_eq!(noted(&world, vdir), []);
    let none =
        noted(&world, &format!("{vdir}[member.a.sandbox]\nprofile = \"none\"\non_unsupported = \"weaken\""));
    assert_eq!(none.len(), 1, "{none:?}");
    assert_eq!(none[0].0, "no_sandbox");
    let weak = noted(&world, &format!("{vdir}[member.a.sandbox]\non_unsupported = \"weaken\""));
    assert_eq!((weak.len(), weak[0].0), (1, "weaken"));
    assert!(weak[0].1.ends_with("in [member.a.sandbox]"), "{weak:?}");
}

#[test]
fn how_a_plugin_stands_is_noted() {
    let world = World::new();
    let member = "plugin = \"people\"\npath = \"./db\"\n";
    let what = |member: &str| noted(&world, member).into_iter().map(|note| note.0).collect::<Vec<_>>();
    assert_eq!(what(member), ["untrusted"]);
    world.trust(&world.config(member));
    assert_eq!(what(member), [""; 0]);
    world.wishes("on_unsupported = \"weaken\"");
    assert_eq!(what(member), ["untrusted", "weaken"]);
    world.trust(&world.config(member));
    assert_eq!(what(member), ["weaken"]);
    assert!(noted(&world, member)[0].1.ends_with("in its manifest"));
    assert_eq!(what(&format!("{member}[member.a.sandbox]\non_unsupported = \"refuse\"")), [""; 0]);
    fs::write(world.path("people/main"), "mended").unwrap();
    assert_eq!(what(member), ["updated", "weaken"]);
    fs::remove_file(world.path("people/main")).unwrap();
    assert_eq!(what(member), ["untrusted"]);
}
