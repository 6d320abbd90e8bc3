//! What fails for a while, and says when trying again can help, is tried again in the same run.

use std::fs;

use crate::support::host::example;
use crate::support::{LAPTOP, Link, PHONE, Run, World, card};

/// The phone's connector fails at `place` so often, and asks each time to be tried again after `wait`.
fn world(place: &str, times: u32, wait: &str) -> World {
    let world = World::new(Link::Inherited);
    let program = world.path("flaky_plugin");
    let built = example("flaky_plugin", "tests/system/flaky_plugin.rs");
    fs::hard_link(&built, &program).or_else(|_| fs::copy(&built, &program).map(drop)).unwrap();
    let command = [program.to_str().unwrap(), place, &times.to_string(), wait].map(str::to_owned);
    world.configure("", &format!("[plugin.flaky]\ncommand = {command:?}\n"));
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(
        &text.replace("plugin = \"vdir\"\npath = \"./phone\"", "plugin = \"flaky\"\npath = \"./phone\""),
    );
    world.put(LAPTOP, "anna.vcf", card("anna", "of the laptop"));
    world.put(PHONE, "bert.vcf", card("bert", "of the phone"));
    world
}

fn assert_synchronised(world: &World, run: &Run, place: &str) {
    for member in [LAPTOP, PHONE] {
        assert_eq!(world.items(member).len(), 2, "{place} {member}: {run:?}");
    }
}

const PLACES: [&str; 9] = [
    "initialize",
    "discover",
    "connect",
    "connect_done",
    "get_changes",
    "read",
    "read-item",
    "commit",
    "commit-item",
];

#[test]
fn what_fails_three_times_for_a_while_comes_through_in_the_same_run() {
    for place in PLACES {
        let world = world(place, 3, "1");
        let run = world.sync_well();
        assert_synchronised(&world, &run, place);
        assert!(!run.stdout.contains("busy"), "{place}: {run:?}");
        run.wrote(LAPTOP, [1, 0, 0]).wrote(PHONE, [1, 0, 0]);
        world.assert_at_rest(0);
    }
}

#[test]
fn what_fails_on_is_told_once_and_brought_by_a_later_run() {
    for place in PLACES {
        let world = world(place, 4, "1");
        let run = world.sync().expect(4);
        let told = run.stdout.lines().filter(|line| !line.starts_with('{') && line.contains("busy"));
        assert_eq!(told.count(), 1, "{place}: {run:?}");
    }
}

/// Neither somebody who does not ask for it, nor somebody who asks for more patience than a run has.
#[test]
fn nobody_else_is_tried_again() {
    for wait in ["never", "10001"] {
        for place in PLACES {
            let world = world(place, 1, wait);
            let run = world.sync().expect(4).says(&["the server is busy, 0 more"]);
            assert!(world.items(PHONE).len() + world.items(LAPTOP).len() < 4, "{place}: {run:?}");
        }
    }
}
