//! Zombie writers (decisions X3): no run begins beside a process that may still write to one of its
//! members, whichever group or run that process belongs to.

use std::fs;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::trace::{Step, interfere, measure};
use crate::support::{LAPTOP, Link, PHONE, Run, Running, World, card, no_process_is_left, processes, until};

/// A third member, which a second group keeps the same as *phone*; there it is called *mobile*.
const TABLET: &str = "tablet";

fn world() -> World {
    let world = World::new(Link::Inherited);
    fs::create_dir_all(world.member(TABLET).join("book")).unwrap();
    world.configure(
        "",
        "[member.tablet]\nplugin = \"vdir\"\npath = \"./tablet\"\n\
         [member.mobile]\nplugin = \"vdir\"\npath = \"./tablet/../phone\"\n\
         [group.second]\nmembers = [\"tablet\", \"mobile\"]\n",
    );
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.put(PHONE, "bert.vcf", card("bert", "Bert"));
    world
}

/// The command that is followed: a child of this process.
fn followed(world: &World) -> i32 {
    let own = i32::try_from(std::process::id()).unwrap();
    let found = processes(world.root()).into_iter().find(|process| process.parent == own);
    found.expect("the command runs").pid
}

/// Whether a command has started anything.
fn plugin_of(world: &World, command: i32) -> bool {
    processes(world.root()).iter().any(|process| process.parent == command)
}

/// Waits until a run stands before a lock that somebody else holds.
fn until_it_waits(world: &World, run: &Running, lock: &str) {
    let folder = world.state().join(lock);
    let open = format!("/proc/{}/fd", run.pid);
    until("the run waits for a lock", || {
        let mut open = fs::read_dir(&open).ok()?.flatten();
        open.any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&folder)))
            .then_some(())
    });
}

/// Starts the command from another thread: the one that follows a run reaps its own children.
fn start<const N: usize>(world: &World, args: [&str; N]) -> Running {
    thread::scope(|scope| scope.spawn(|| world.start(args)).join().unwrap())
}

fn refused(run: Run, words: &[&str]) {
    let run = run.expect(75);
    assert_eq!(run.json()["plugins"].as_array().map(Vec::len), Some(0), "a plugin was started: {run:?}");
    run.says(words).says(&["another run holds the lock (process ", "wait until the other run has ended"]);
}

/// Holds a plugin of the first group in the middle of a write, does something, and lets it go on.
fn held_in_a_write(world: &Rc<World>, deed: impl FnOnce(&World) + 'static) {
    // The same story as far as the first write that makes an item.
    let writes = measure(&self::world()).count(Step::Writing);
    let there = Rc::clone(world);
    let (seen, done) = interfere(world, Step::Writing, writes / 2, move || deed(&there));
    assert!(done, "it never wrote: {seen:?}");
}

#[test]
fn x3_a_run_that_is_killed_in_a_write_and_started_again_at_once_waits_for_the_last_writer() {
    let world = Rc::new(world());
    let waiting = Rc::new(std::cell::RefCell::new(None));
    let kept = Rc::clone(&waiting);
    held_in_a_write(&world, move |world| {
        let killed = followed(world);
        kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
        let begun = Instant::now();
        let impatient = start(world, ["sync", "contacts", "--json"]);
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
        // The plugin is in its write all the while: this one gives up.
        refused(impatient.wait(), &["another run is busy with the group contacts"]);
        // This one is let through once the old plugin has gone.
        let patient = start(world, ["sync", "contacts", "--json"]);
        until_it_waits(world, &patient, "groups");
        assert!(!plugin_of(world, patient.pid), "a plugin was started beside the old one");
        kept.replace(Some(patient));
    });
    waiting.take().unwrap().wait().expect(0);
    no_process_is_left(world.root());
    world.assert_equal();
    world.assert_at_rest(0);
}

#[test]
fn x3_a_second_group_on_a_member_waits_until_the_first_is_done_with_it() {
    let world = Rc::new(world());
    let waiting = Rc::new(std::cell::RefCell::new(None));
    let kept = Rc::clone(&waiting);
    held_in_a_write(&world, move |world| {
        refused(
            start(world, ["sync", "second", "--json"]).wait(),
            &["the member mobile cannot be used now", "members/"],
        );
        // A plan changes nothing, and so waits for nobody. It may tell of a file that is half there.
        assert_ne!(start(world, ["plan", "second"]).wait().status.code(), Some(75));
        let patient = start(world, ["sync", "second", "--json"]);
        until_it_waits(world, &patient, "members");
        kept.replace(Some(patient));
    });
    waiting.take().unwrap().wait().expect(0);
    no_process_is_left(world.root());
    world.run(["sync"]).expect(0);
    world.run(["sync"]).expect(0);
    world.assert_equal();
    assert_eq!(world.items(TABLET).len(), 2);
}

#[test]
fn x3_a_second_group_waits_for_the_last_writer_of_a_killed_one() {
    let world = Rc::new(world());
    held_in_a_write(&world, |world| {
        kill(Pid::from_raw(followed(world)), Signal::SIGKILL).unwrap();
        refused(start(world, ["sync", "second", "--json"]).wait(), &["the member mobile cannot be used now"]);
    });
    no_process_is_left(world.root());
    world.run(["sync"]).expect(0);
    world.run(["sync"]).expect(0);
    world.assert_equal();
}

#[test]
fn x3_a_group_whose_members_are_one_place_is_refused() {
    let world = world();
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("[\"tablet\", \"mobile\"]", "[\"phone\", \"mobile\"]"));
    let members = world.members();
    for command in ["sync", "plan"] {
        world
            .run([command, "second"])
            .expect(2)
            .says(&["phone and mobile of the group second are the same place"]);
    }
    members[1].assert_untouched(&world.members()[1]);
}
