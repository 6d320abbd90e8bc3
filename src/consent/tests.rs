//! How a plugin stands after each change of its files, and what becomes of the note of it.

use std::fs;
use std::path::PathBuf;

use super::*;

/// A plugin that lies somewhere, and a state directory.
struct World {
    root: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(world.root.path().join("plugin")).unwrap();
        world.says("read = [\"{plugin}\"]\nwrite = [\"{folder:path}\"]");
        world.is("#!/bin/sh\n");
        world
    }

    fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    fn manifest(&self) -> PathBuf {
        self.root.path().join("plugin").join("plugin.toml")
    }

    /// What the manifest wishes now.
    fn says(&self, sandbox: &str) {
        self.is_called("people", sandbox);
    }

    fn is_called(&self, id: &str, sandbox: &str) {
        let text = format!(
            "id = \"{id}\"\nversion = \"1\"\nlicense = \"MIT\"\nprotocol = \"0.9\"\ncommand = [\"./main\", \"./data\"]\n\
             [sandbox]\n{sandbox}\n"
        );
        fs::write(self.manifest(), text).unwrap();
    }

    /// What its program is now.
    fn is(&self, program: &str) {
        fs::write(self.root.path().join("plugin/main"), program).unwrap();
        fs::write(self.root.path().join("plugin/data"), "").unwrap();
    }

    fn examined(&self) -> Examined {
        examine(&self.state(), Some("crm"), &self.manifest()).unwrap()
    }

    fn trust(&self) {
        trust(&self.state(), "crm", &self.examined()).unwrap();
    }

    fn admit(&self, only_looks: bool) -> Result<Manifest, Failure> {
        admit(&self.state(), "crm", &self.manifest(), only_looks)
    }

    fn trusted(&self) -> String {
        fs::read_to_string(self.state().join("trusted.toml")).unwrap_or_default()
    }
}

const AS_TRUSTED: Standing = Standing::Trusted { updated: None };

#[test]
fn nobody_is_trusted_before_he_was() {
    let world = World::new();
    assert_eq!(world.examined().standing, Standing::Untrusted);
    let failure = world.admit(false).unwrap_err();
    assert_eq!((failure.exit, failure.message.as_str()), (Exit::Plugin, "the plugin crm is not trusted yet"));
    assert_eq!(failure.hint.unwrap(), "`outrigger plugin trust crm` shows what it wants, and asks");
    assert!(!world.state().exists(), "nothing is written");
    world.trust();
    assert_eq!(world.examined().standing, AS_TRUSTED);
    assert!(world.admit(false).is_ok());
    let before = world.trusted();
    assert!(before.contains("[crm]") && before.contains("id = \"people\"\nversion"), "{before}");
    assert!(distrust(&world.state(), "crm").unwrap() && !distrust(&world.state(), "crm").unwrap());
    assert!(world.admit(false).is_err());
}

#[test]
fn other_bytes_that_want_no_more_are_started_and_noted() {
    let world = World::new();
    world.trust();
    let digest = world.examined().digest;
    world.is("#!/bin/sh\n# mended\n");
    assert_eq!(world.examined().standing, Standing::Updated { less: Vec::new() });
    let before = world.trusted();
    assert!(world.admit(true).is_ok());
    assert_eq!(world.trusted(), before, "a plan writes nothing");
    assert!(world.admit(false).is_ok());
    let now = world.examined();
    assert_ne!(now.digest, digest);
    assert!(matches!(now.standing, Standing::Trusted { updated: Some(_) }), "{:?}", now.standing);
    world.trust();
    assert_eq!(world.examined().standing, AS_TRUSTED, "the user took note");
}

#[test]
fn what_a_command_names_is_covered_and_what_lies_beside_is_not() {
    let world = World::new();
    let digest = world.examined().digest;
    fs::write(world.root.path().join("plugin/library"), "x").unwrap();
    assert_eq!(world.examined().digest, digest);
    fs::write(world.root.path().join("plugin/data"), "x").unwrap();
    assert_ne!(world.examined().digest, digest);
}

/// It was computed by `sha256sum plugin.toml main data | sha256sum`.
#[test]
fn anybody_can_compute_the_digest() {
    let known = "sha256:d36467921b077f08fc6de842283f889176734124be7be05222e97870f4071261";
    assert_eq!(World::new().examined().digest, known);
}

#[test]
fn who_wants_more_stops_until_the_user_agrees() {
    let world = World::new();
    world.trust();
    let before = world.trusted();
    world.says("read = [\"/etc\"]\nwrite = [\"{path}\"]");
    let Standing::Widened { more, less } = world.examined().standing else { panic!() };
    assert_eq!(more.iter().map(ToString::to_string).collect::<Vec<_>>(), ["read /etc"]);
    let gone = "change the folder that holds what the option `path` names";
    assert_eq!(less.iter().map(ToString::to_string).collect::<Vec<_>>(), [gone]);
    let failure = world.admit(false).unwrap_err();
    assert_eq!(failure.message, "the plugin crm was updated, and now wants more: to read /etc");
    assert_eq!(world.trusted(), before, "a refusal changes nothing");
    world.trust();
    assert!(world.admit(false).is_ok());
}

/// Else an author could take a wish back, be forgotten, and have it again without a question.
#[test]
fn who_wanted_less_for_a_while_is_asked_again() {
    let world = World::new();
    world.trust();
    world.says("");
    let Standing::Updated { less } = world.examined().standing else { panic!() };
    assert_eq!(less.len(), 1);
    assert!(world.admit(false).is_ok());
    world.says("write = [\"{folder:path}\"]");
    assert!(matches!(world.examined().standing, Standing::Widened { .. }));
}

#[test]
fn another_plugin_does_not_inherit_trust() {
    let world = World::new();
    world.trust();
    world.is_called("other", "");
    assert_eq!(world.examined().standing, Standing::Another);
    assert!(world.admit(false).unwrap_err().message.contains("another one"));
    world.says("write = [\"{folder:path}\"]");
    world.trust();
    let elsewhere = world.root.path().join("elsewhere");
    fs::rename(world.root.path().join("plugin"), &elsewhere).unwrap();
    let found = examine(&world.state(), Some("crm"), &elsewhere.join("plugin.toml")).unwrap();
    assert_eq!(found.standing, Standing::Another);
}

#[test]
fn consent_that_was_taken_back_meanwhile_is_not_given_again_by_an_update() {
    let world = World::new();
    world.trust();
    world.is("#!/bin/sh\n# mended\n");
    let pin = Pin::of(&world.examined(), Some(1));
    distrust(&world.state(), "crm").unwrap();
    pins::update(&world.state(), "crm", &world.manifest(), pin).unwrap();
    assert_eq!(world.examined().standing, Standing::Untrusted);
}

#[test]
fn a_note_that_cannot_be_read_trusts_nobody() {
    let world = World::new();
    world.trust();
    fs::write(world.state().join("trusted.toml"), "[crm]\nmanifest = 3\n").unwrap();
    let failure = world.admit(false).unwrap_err();
    assert!(failure.message.contains("trusted.toml cannot be used"), "{failure}");
    assert!(
        trust(&world.state(), "crm", &Examined { standing: Standing::Untrusted, ..world_of(&world) })
            .is_err()
    );
}

fn world_of(world: &World) -> Examined {
    examine(&world.root.path().join("no state"), Some("crm"), &world.manifest()).unwrap()
}

#[test]
fn what_a_manifest_names_must_be_an_ordinary_file() {
    let world = World::new();
    fs::remove_file(world.root.path().join("plugin/main")).unwrap();
    let failure = examine(&world.state(), Some("crm"), &world.manifest()).unwrap_err();
    assert!(failure.message.contains("plugin/main, which the plugin's manifest names"), "{failure}");
    fs::create_dir(world.root.path().join("plugin/main")).unwrap();
    let failure = examine(&world.state(), Some("crm"), &world.manifest()).unwrap_err();
    assert_eq!(failure.causes[0].to_string(), "it is no ordinary file");
}

#[test]
fn a_plugin_of_another_protocol_is_refused_by_its_manifest() {
    let world = World::new();
    let text = fs::read_to_string(world.manifest()).unwrap().replace("0.9", "7.0");
    fs::write(world.manifest(), text).unwrap();
    world.trust();
    assert!(
        world
            .admit(false)
            .unwrap_err()
            .message
            .contains("speaks version 7.0 of the protocol, and this is 0.9")
    );
}
