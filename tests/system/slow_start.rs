//! A plugin that takes long to start, and says so: one setting governs how long it may take.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::host::example;
use crate::support::{LAPTOP, Link, PHONE, World, no_process_is_left, processes, until};

/// Starts `examples/echo_plugin.rs` once somebody has written a line into a pipe.
const SCRIPT: &str = "#!/bin/sh\nread line < slow/go && exec slow/echo\n";

/// A world whose phone is served by a plugin that waits for a word.
struct Slow(World);

impl Slow {
    fn new() -> Self {
        let world = World::new(Link::Inherited);
        fs::create_dir(world.path("slow")).unwrap();
        fs::copy(example("echo_plugin", "examples/echo_plugin.rs"), world.path("slow/echo")).unwrap();
        let script = SCRIPT.replace("slow/", &format!("{}/", world.path("slow").display()));
        fs::write(world.path("slow/start"), script).unwrap();
        fs::set_permissions(world.path("slow/start"), fs::Permissions::from_mode(0o755)).unwrap();
        let slow = Self(world);
        nix::unistd::mkfifo(&slow.go(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        slow
    }

    fn go(&self) -> PathBuf {
        self.0.path("slow/go")
    }

    fn may_take(&self, limit: &str) {
        self.0.configure_as(&format!(
            "state = \"./state\"\n[member.{LAPTOP}]\nplugin = \"vdir\"\npath = \"./{LAPTOP}\"\n\
             [member.{PHONE}]\nplugin = \"slow\"\n[member.{PHONE}.sandbox]\nexecute = [\"./slow\"]\n\
             [plugin.slow]\ncommand = [\"./slow/start\"]\nstart_timeout = \"{limit}\"\n\
             [group.contacts]\nmembers = [\"{LAPTOP}\", \"{PHONE}\"]\n"
        ));
    }
}

#[test]
fn a_plugin_may_take_as_long_to_start_as_its_configuration_says() {
    let slow = Slow::new();
    slow.may_take("1s");
    let late = slow.0.run(["check"]).expect(7);
    late.says(&["was ended: it did not complete the handshake in time", "`start_timeout = "]);
    slow.may_take("10m");
    let begun = Instant::now();
    let check = slow.0.start(["check"]);
    until("it has waited for longer than it might before", || {
        let is_there = processes(slow.0.root()).iter().any(|process| process.command.contains("slow/start"));
        (is_there && begun.elapsed() > Duration::from_millis(1500)).then_some(())
    });
    fs::write(slow.go(), "go\n").unwrap();
    check.wait().expect(0);
    no_process_is_left(slow.0.root());
}
