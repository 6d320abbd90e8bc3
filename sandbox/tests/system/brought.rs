//! What a program's first line, or a link on the way to it, brings into the sandbox: nothing that its
//! author chose to read. Each attack gets through without a sandbox.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use outrigger_sandbox::{
    Ceiling, Guarantee, LaunchError, Policy, Profile, Program, Protected, Standing, Tier, brought_by,
};

use crate::matrix::tier_missing;
use crate::runner::Test;
use crate::support::{Log, PATIENCE, executable, launch};

const SECRET: &str = "the key of somebody";

/// A program that prints the files that it is given, and then the script that it runs.
const SHOW: &str = "/usr/bin/cat";

/// A folder with a plugin, and one beside it with what the plugin must not see.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for folder in ["plugin", "home/bin", "home/lib", "crm/venv/bin", "crm/venv/lib"] {
            fs::create_dir_all(world.path(folder)).unwrap();
        }
        for secret in ["home/key", "home/lib/key"] {
            fs::write(world.path(secret), SECRET).unwrap();
            fs::set_permissions(world.path(secret), PermissionsExt::from_mode(0o600)).unwrap();
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// A program of the plugin's own that shows files, by some name.
    fn show(&self, name: &str) -> String {
        fs::copy(SHOW, self.path(name)).unwrap();
        self.text(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn script(&self, line: &str) -> Program {
        let path = self.path("plugin/main");
        fs::write(&path, format!("#!{line}\n")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        executable(path, &[])
    }

    /// What it may do: its own folder is its own, as for a plugin with a manifest.
    fn policy(&self, tier: Tier) -> Policy {
        let profile = if tier == Tier::None { Profile::None } else { Profile::Strict };
        let at_most = Ceiling { tier: Some(tier), landlock_abi: None };
        Policy { profile, at_most, execute: vec![self.path("plugin"), SHOW.into()], ..Policy::default() }
    }
}

/// What it printed; `None` if it could not be executed.
fn printed(program: Program, policy: Policy) -> Option<String> {
    let (mut launch, _connection) = launch(program);
    launch.policy = policy;
    let tier = launch.policy.at_most.tier;
    let mut child = match outrigger_sandbox::launch(launch) {
        Err(LaunchError::Exec(_)) => return None,
        other => other.unwrap(),
    };
    assert_eq!(Some(child.report().tier()), tier);
    if tier != Some(Tier::None) {
        assert_eq!(child.report().standing(Guarantee::FsRead), Standing::Enforced);
    }
    let log = Log::new(child.take_stdout().unwrap());
    child.wait(PATIENCE).unwrap().expect("it did not end in time");
    Some(log.rest())
}

fn shows(program: Program, policy: Policy) -> bool {
    printed(program, policy).is_some_and(|text| text.contains(SECRET))
}

/// First lines that name a file to be read.
fn lines(world: &World) -> [String; 3] {
    let (key, env) = (world.text("home/key"), world.show("plugin/env"));
    [
        format!("{env} {key}"),
        format!("/usr/bin/env -S -u {key} {SHOW} {key}"),
        format!("/usr/bin/env -S A={key} {SHOW} {key}"),
    ]
}

fn a_first_line_names_no_file_to_be_read(tier: Tier) {
    let world = World::new();
    for line in lines(&world) {
        let program = || world.script(&line);
        assert!(shows(program(), world.policy(Tier::None)), "{line}: it shows nothing at all");
        let mut policy = world.policy(tier);
        assert!(!shows(program(), policy.clone()), "{line}: it was read");
        brought_by(&world.path("plugin/main")).grant(&mut policy);
        assert!(!shows(program(), policy), "{line}: it counted as an interpreter");
    }
}

/// Once the user has agreed to what it brings, it runs.
fn what_is_granted_of_it_runs(tier: Tier) {
    let world = World::new();
    let tool = world.show("home/bin/tool");
    symlink("tool", world.path("home/bin/python")).unwrap();
    symlink(world.path("home/bin/python"), world.path("plugin/python")).unwrap();
    for line in [world.text("plugin/python"), world.text("home/bin/python"), tool] {
        let program = world.script(&format!("{line} {}", world.text("home/lib/key")));
        assert_eq!(printed(program.clone(), world.policy(tier)), None, "{line}: nobody agreed");
        let mut policy = world.policy(tier);
        let brought = brought_by(&world.path("plugin/main")).beside(&world.path("plugin"));
        assert_eq!(brought.read, [world.path("home/lib")]);
        brought.grant(&mut policy);
        assert!(shows(program, policy), "{line}");
    }
}

/// A program, its interpreter, or a link to either, in a folder that it may write.
fn what_it_could_replace_starts_nothing() {
    let world = World::new();
    let crm = world.path("crm");
    symlink(SHOW, crm.join("venv/bin/sh")).unwrap();
    symlink(&crm, world.path("by-another-name")).unwrap();
    symlink(crm.join("venv/bin/sh"), world.path("plugin/sh")).unwrap();
    let refused = |program: Program, grant: &Path, more: Option<&str>| {
        let (mut launch, _connection) = launch(program);
        launch.policy = Policy { write: vec![grant.to_owned()], ..Policy::default() };
        launch.policy.execute.extend(more.map(|path| world.path(path)));
        outrigger_sandbox::launch(launch).unwrap_err().to_string()
    };
    for grant in [&crm, &world.path("by-another-name")] {
        for program in ["crm/venv/bin/sh", "by-another-name/venv/bin/sh", "plugin/sh"] {
            let said = refused(executable(world.path(program), &[]), grant, None);
            assert!(said.contains("covers the plugin's executable"), "{program}: {said}");
            let said = refused(world.script(&world.text(program)), grant, None);
            assert!(said.contains("covers what the plugin is executed by"), "{program}: {said}");
        }
        let said = refused(executable(SHOW.into(), &[]), grant, Some("plugin/sh"));
        assert!(said.contains("leads through a folder that it may change"), "{said}");
    }
}

/// What is ours is nobody's interpreter, by whatever name.
fn what_is_ours_is_nobodys_program() {
    let world = World::new();
    world.show("home/bin/tool");
    symlink(world.path("home/bin/tool"), world.path("plugin/link")).unwrap();
    let refused = |program: Program| {
        let (mut launch, _connection) = launch(program);
        launch.protected = vec![Protected::new("the state directory", world.path("home"))];
        launch.policy = world.policy(Tier::Landlocked);
        brought_by(&world.path("plugin/main")).grant(&mut launch.policy);
        outrigger_sandbox::launch(launch).unwrap_err().to_string()
    };
    let said = refused(executable(world.path("plugin/link"), &[]));
    assert!(said.contains("lies within the state directory"), "{said}");
    for name in ["plugin/link", "home/bin/tool"] {
        let said = refused(world.script(&world.text(name)));
        assert!(said.contains("lies within the state directory"), "{name}: {said}");
    }
}

fn test(name: &str, tier: Tier, body: fn(Tier)) -> Test {
    Test {
        name: format!("{name}_{tier}"),
        body: Box::new(move || body(tier)),
        missing: Box::new(move || tier_missing(tier).or_else(no_program)),
    }
}

fn no_program() -> Option<String> {
    (!Path::new(SHOW).exists()).then(|| format!("there is no {SHOW}"))
}

pub(crate) fn tests() -> Vec<Test> {
    let in_tiers = |tier| {
        [
            test("p2_a_first_line_names_no_file_to_be_read", tier, a_first_line_names_no_file_to_be_read),
            test("p2_what_is_granted_of_a_first_line_runs", tier, what_is_granted_of_it_runs),
        ]
    };
    let plain = [
        Test::plain("p2_what_a_plugin_could_replace_starts_nothing", what_it_could_replace_starts_nothing),
        Test::plain("p2_what_is_ours_is_nobodys_program", what_is_ours_is_nobodys_program),
    ];
    [Tier::Namespaced, Tier::Landlocked].into_iter().flat_map(in_tiers).chain(plain).collect()
}
