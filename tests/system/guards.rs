//! What a guard stops, it names with the command that goes on; here that very command is run.

use std::fs;

use crate::groups::{assert_all_equal, assert_nothing_to_do, names, three};
use crate::support::{LAPTOP, Link, PHONE, Run, World, card};

const NAS: &str = "nas";

fn world() -> World {
    World::new(Link::Inherited)
}

/// Puts so many items on the laptop, each with that text, and synchronises.
fn fill(world: &World, count: usize, text: &str) {
    write(world, count, text);
    world.sync_well();
    world.assert_equal();
}

fn write(world: &World, count: usize, text: &str) {
    for number in 0..count {
        let name = format!("c{number:02}");
        world.put(LAPTOP, format!("{name}.vcf"), card(&name, text));
    }
}

/// All is done, and nothing is left to do.
#[track_caller]
fn assert_done(world: &World) {
    world.assert_equal();
    world.assert_at_rest(0);
}

#[test]
fn a_mass_deletion_goes_on_by_the_command_that_is_named() {
    let world = world();
    fill(&world, 20, "c");
    for number in 0..12 {
        world.delete(PHONE, format!("c{number:02}.vcf"));
    }
    let stopped = world.sync().expect(5).wrote(LAPTOP, [0, 0, 0]);
    world.paste(&stopped.stdout, "--allow-deletes 12").expect(0);
    assert_eq!(world.items(LAPTOP).len(), 8);
    assert_done(&world);
}

/// Where they should not have gone, one command has them back, and nothing is deleted.
#[test]
fn what_was_deleted_by_mistake_comes_back_by_the_command_that_is_named() {
    let world = world();
    fill(&world, 20, "c");
    for number in 0..12 {
        world.delete(PHONE, format!("c{number:02}.vcf"));
    }
    world.put(PHONE, "c15.vcf", card("c15", "edited"));
    let stopped = world.sync().expect(5).says(&["or have the sync put them back; what was edited"]);
    world.paste(&stopped.stdout, "reset phone contacts --new-store").expect(3).says(&["+12 ~0 −0"]);
    assert_eq!((world.items(LAPTOP).len(), world.items(PHONE).len()), (20, 20));
    // In larger groups nobody knows who it was. However many are missing: a member that is met for the first
    // time gets all.
    let world = three("");
    write(&world, 60, "c");
    world.sync_well();
    (0..33).for_each(|number| world.delete(PHONE, format!("c{number:02}.vcf")));
    let stopped = world.sync().expect(5).says(&["where MEMBER is the one that lost them;"]);
    // One command, that is good for one of two: it is written down once.
    let once_more = "the same command once more";
    let people = stopped.stdout.lines().filter(|line| !line.starts_with('{')).collect::<String>();
    assert_eq!(people.matches("--allow-deletes 33").count(), 1, "{stopped:?}");
    assert!(people.contains(&format!("{once_more} for nas")), "{stopped:?}");
    let status = world.run(["status"]).expect(5).says(&[&format!("{once_more}, for nas")]);
    assert_eq!(status.stdout.matches("--allow-deletes 33").count(), 1, "{status:?}");
    let command = stopped.stdout.replace("MEMBER", PHONE);
    world.paste(&command, "reset phone contacts --new-store").expect(0).says(&["+33 ~0 −0"]);
    assert_eq!((world.items(LAPTOP).len(), world.items(PHONE).len()), (60, 60));
    // Where what the laptop holds is everybody's, that would delete the rest of them.
    let world = three("mode = \"mirror:laptop\"");
    write(&world, 20, "c");
    world.sync_well();
    (0..12).for_each(|number| world.delete(LAPTOP, format!("c{number:02}.vcf")));
    let title = "contacts/book   laptop → phone, nas\n";
    let stopped =
        world.sync().expect(5).says(&["laptop must have them, for what it holds is everybody's", title]);
    world.run(["status"]).expect(5).says(&["contacts   laptop → phone, nas\n"]);
    assert!(!stopped.stdout.contains("--new-store"), "{stopped:?}");
}

#[test]
fn an_emptying_goes_on_by_the_command_that_is_named() {
    let world = world();
    fill(&world, 2, "c");
    (0..2).for_each(|number| world.delete(PHONE, format!("c{number:02}.vcf")));
    let stopped = world.sync().expect(5).wrote(LAPTOP, [0, 0, 0]);
    world.paste(&stopped.stdout, "--allow-deletes 2").expect(0);
    assert_eq!(world.items(LAPTOP).len(), 0);
    assert_done(&world);
}

#[test]
fn a_mass_update_goes_on_by_the_command_that_is_named() {
    let world = world();
    fill(&world, 30, "old");
    write(&world, 30, "new");
    let stopped = world.sync().expect(5).wrote(PHONE, [0, 0, 0]);
    world.run(["sync", "--allow-updates", "29"]).expect(5);
    world.run(["sync", "--allow-deletes", "30"]).expect(5);
    world.paste(&stopped.stdout, "--allow-updates 30").expect(0);
    assert_eq!(world.get(PHONE, "c00.vcf"), card("c00", "new"));
    assert_done(&world);
}

/// Everything listed anew, and all at once much that is new: so an address book comes to have everything
/// twice.
#[test]
fn many_creates_after_a_slow_sync_go_on_by_the_command_that_is_named() {
    let world = world();
    fill(&world, 3, "c");
    world.run(["reset", PHONE]).expect(0);
    write(&world, 33, "c");
    let stopped = world.sync().expect(5).wrote(PHONE, [0, 0, 0]);
    world.paste(&stopped.stdout, "--allow-creates 30").expect(0);
    assert_done(&world);
}

#[test]
fn another_store_in_the_same_place_goes_on_by_the_command_that_is_named() {
    let world = world();
    fill(&world, 8, "c");
    let book = world.member(PHONE).join("book");
    fs::rename(&book, world.path("unplugged")).unwrap();
    fs::create_dir(&book).unwrap();
    let stopped = world.sync().expect(5).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    let hint = stopped.json()["failures"][0]["hint"].as_str().unwrap().to_owned();
    let planned = world.run(["plan"]).expect(5);
    assert!(planned.stdout.contains("--new-store"), "{planned:?}");
    // The same for people and for programs: it is filled, and nothing is deleted.
    assert!(hint.contains("reset phone contacts --new-store"), "{hint}");
    world.paste(&stopped.stdout, "--new-store").expect(0);
    assert_eq!((world.items(LAPTOP).len(), world.items(PHONE).len()), (8, 8));
    assert_done(&world);
}

#[test]
fn a_collection_that_has_gone_is_made_anew_by_the_command_that_is_named() {
    let world = world();
    fill(&world, 8, "c");
    fs::remove_dir_all(world.member(PHONE).join("book")).unwrap();
    let stopped = world.sync().expect(5);
    world.paste(&stopped.stdout, "--new-store").expect(0).says(&["nothing is deleted"]);
    let run = world.sync_well().wrote(PHONE, [8, 0, 0]).wrote(LAPTOP, [0, 0, 0]);
    run.says(&["8 → phone"]);
    assert_done(&world);
}

/// The leave of one guard is none for another.
#[test]
fn two_guards_of_one_run_are_both_named() {
    let world = world();
    fill(&world, 30, "old");
    write(&world, 30, "new");
    for number in 30..60 {
        let name = format!("d{number}");
        world.put(PHONE, format!("{name}.vcf"), card(&name, "d"));
    }
    world.run(["reset", LAPTOP]).expect(0);
    let stopped = world.sync().expect(5);
    let updates = world.paste(&stopped.stdout, "--allow-updates 30").expect(5);
    assert!(!updates.stdout.contains("--allow-updates"), "{updates:?}");
    world.run(["sync", "--allow-updates", "30", "--allow-creates", "30"]);
    world.sync();
    let left = world.run(["status"]);
    assert!(!left.stdout.contains("--allow-updates"), "{left:?}");
}

/// Runs the command that is named for as long as there is one: each member that a guard stopped has its own.
#[track_caller]
fn go_on(world: &World, mut run: Run, command: &str, members: usize) {
    for _ in 0..members {
        run = world.paste(&run.expect(5).stdout, command);
        assert!(!run.stdout.contains("does not fit"), "{run:?}");
    }
    run.expect(0);
    assert_all_equal(world, &names(&[LAPTOP, PHONE, NAS]));
    assert_nothing_to_do(world, &names(&[LAPTOP, PHONE, NAS]), 0);
}

#[test]
fn where_a_guard_stops_two_of_three_its_command_goes_on_with_one_after_the_other() {
    // Each has a count of its own.
    let world = three("");
    write(&world, 30, "c");
    world.sync_well();
    (0..20).for_each(|number| world.delete(PHONE, format!("c{number:02}.vcf")));
    go_on(&world, world.sync(), "--allow-deletes 20", 2);
    assert_eq!(world.items(NAS).len(), 10);
    (20..30).for_each(|number| world.delete(PHONE, format!("c{number:02}.vcf")));
    go_on(&world, world.sync(), "--allow-deletes 10", 2);
    assert_eq!(world.items(NAS).len(), 0);
    let world = three("");
    write(&world, 30, "old");
    world.sync_well();
    write(&world, 30, "new");
    go_on(&world, world.sync(), "--allow-updates 30", 2);
    assert_eq!(world.get(NAS, "c00.vcf"), card("c00", "new"));
    world.run(["reset", PHONE]).expect(0);
    write(&world, 60, "new");
    go_on(&world, world.sync(), "--allow-creates 30", 2);
    assert_eq!(world.items(NAS).len(), 60);
}

/// Another folder in the place of a member's address book.
fn replug(world: &World, member: &str) {
    let book = world.member(member).join("book");
    fs::rename(&book, world.path(format!("unplugged {member}"))).unwrap();
    fs::create_dir(&book).unwrap();
}

#[test]
fn another_store_of_any_of_three_goes_on_by_the_command_that_is_named() {
    for member in [LAPTOP, PHONE, NAS] {
        let world = three("");
        let other = if member == LAPTOP { PHONE } else { LAPTOP };
        write(&world, 40, "c");
        world.sync_well();
        // What is under way: a conflict, a deletion, an edit, and an item of the new store alone.
        world.put(member, "c01.vcf", card("c01", "of the old store"));
        world.put(other, "c01.vcf", card("c01", "of the other"));
        world.sync().expect(3);
        replug(&world, member);
        world.delete(other, "c02.vcf");
        world.put(other, "c03.vcf", card("c03", "edited"));
        world.put(member, "own.vcf", card("own", "of the new store"));
        let stopped = world.sync().expect(5).wrote(member, [0, 0, 0]);
        assert!(stopped.stdout.contains("another store"), "{stopped:?}");
        let again = world.paste(&stopped.stdout, "--new-store");
        assert!(!again.stdout.contains("stopped "), "{again:?}");
        again.expect(0);
        assert_all_equal(&world, &names(&[LAPTOP, PHONE, NAS]));
        assert_nothing_to_do(&world, &names(&[LAPTOP, PHONE, NAS]), 0);
        assert_eq!(world.items(NAS).len(), 40);
        assert_eq!(world.get(member, "c03.vcf"), card("c03", "edited"));
        assert_eq!(world.get(member, "c01.vcf"), card("c01", "of the other"));
        assert!(!world.has(member, "c02.vcf") && world.has(NAS, "own.vcf"));
    }
}

/// With the store of a mirrored member all of it is exchanged: nobody is told otherwise.
#[test]
fn another_store_whose_content_is_everybodys_is_not_said_to_delete_nothing() {
    let world = three("mode = \"mirror:laptop\"");
    write(&world, 4, "c");
    world.sync_well();
    replug(&world, LAPTOP);
    write(&world, 1, "c");
    let says = ["laptop is another store", "what it does not hold is deleted at the others"];
    let stopped = world.sync().expect(5).wrote(PHONE, [0, 0, 0]).wrote(NAS, [0, 0, 0]).says(&says);
    let reset =
        world.paste(&stopped.stdout, "--new-store").expect(0).says(&["what it does not hold is deleted"]);
    assert!(!(stopped.stdout + &reset.stdout).contains("nothing is deleted"));
    assert_all_equal(&world, &names(&[LAPTOP, PHONE, NAS]));
    assert_eq!(world.journal().len(), 6, "x6");
    // Of all other members it is true.
    replug(&world, NAS);
    let stopped = world.sync().expect(5).says(&["nothing is deleted"]);
    world.paste(&stopped.stdout, "--new-store").expect(0).says(&["nothing is deleted"]);
    assert_eq!(world.items(NAS).len(), 1);
    world.run(["forget", "contacts", "--yes"]).expect(0).says(&["and deletes what the member does not hold"]);
}
