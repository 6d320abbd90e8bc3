//! Deletions travel too: last, guarded, proved, and never without a copy in the journal.

use std::fs;

use crate::support::{LAPTOP, PHONE, World, card, over_both_connections};

over_both_connections!(
    a_deletion_travels_and_can_be_had_back,
    a_mass_deletion_stops_before_it_and_says_how_to_go_on,
    a_leave_to_delete_is_good_for_one_collection,
    emptying_is_guarded_however_few_there_are,
    the_guard_of_one_collection_does_not_stop_another,
    s2_a_renamed_file_is_no_deletion,
    s2_another_folder_in_the_same_place_deletes_nothing,
    s2_nothing_is_made_where_a_disk_is_not_mounted,
);

fn fill(world: &World, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("c{number:02}.vcf")).collect();
    for (number, name) in names.iter().enumerate() {
        world.put(LAPTOP, name, card(&format!("c{number:02}"), "c"));
    }
    world.sync_well().wrote(PHONE, [count as u64, 0, 0]);
    names
}

/// Also an empty collection, which is no evidence by itself.
fn s2_nothing_is_made_where_a_disk_is_not_mounted(world: World) {
    fs::create_dir(world.member(LAPTOP).join("empty")).unwrap();
    fill(&world, 3);
    let (mounted, away) = (world.member(PHONE), world.path("away"));
    fs::rename(&mounted, &away).unwrap();
    fs::create_dir(&mounted).unwrap();
    fs::create_dir(world.member(LAPTOP).join("new")).unwrap();
    for verb in ["plan", "sync"] {
        world.run([verb]).expect(5).says(&["book was at phone", "empty is not made", "new is not made"]);
        assert_eq!(fs::read_dir(&mounted).unwrap().count(), 0, "{verb}");
    }
    fs::remove_dir(&mounted).unwrap();
    fs::rename(&away, &mounted).unwrap();
    world.sync_well();
    assert!(mounted.join("new").is_dir());
}

fn a_deletion_travels_and_can_be_had_back(world: World) {
    let names = fill(&world, 8);
    for (member, other, name) in [(LAPTOP, PHONE, &names[0]), (PHONE, LAPTOP, &names[1])] {
        let content = world.get(other, name);
        world.delete(member, name);
        world.sync_well().wrote(other, [0, 0, 1]).wrote(member, [0, 0, 0]);
        assert!(!world.has(other, name));
        assert!(world.journal().contains(&content.into_bytes()), "x6");
        world.assert_equal();
        world.assert_at_rest(0);
    }
}

fn a_mass_deletion_stops_before_it_and_says_how_to_go_on(world: World) {
    let names = fill(&world, 20);
    for name in &names[..12] {
        world.delete(PHONE, name);
    }
    world.put(LAPTOP, "new.vcf", card("new", "new"));
    let before = world.members();
    let stopped = world.sync().expect(5).wrote(LAPTOP, [0, 0, 0]);
    before[0].assert_untouched(&world.members()[0]);
    let command = command_in(&world, &stopped.stdout);
    assert_eq!(command, ["sync", "contacts/book", "--allow-deletes", "12"], "{stopped:?}");
    let named = names[..12].iter().filter(|name| stopped.stdout.contains(&format!("\"{name}\""))).count();
    assert_eq!(named, 10, "ten names are shown\n{stopped:?}");
    // Neither a number that was not named, nor trying again.
    world.run(["sync", "contacts", "--allow-deletes", "11"]).expect(5);
    world.run(["sync", "contacts", "--allow-deletes", "13"]).expect(5);
    world.sync().expect(5);
    assert_eq!(world.items(LAPTOP).len(), 21);
    // The command, as it stands there.
    world.run(&command).expect(0);
    world.assert_equal();
    assert_eq!(world.items(LAPTOP).len(), 9);
    world.assert_at_rest(0);
}

/// The arguments of the command that a message tells the user to run, behind those that every
/// command of a world has.
fn command_in(world: &World, text: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.contains("--allow-deletes")).expect("a command is named");
    let words: Vec<&str> = line.split_whitespace().collect();
    let config = world.config();
    assert_eq!(words[..3], ["outrigger", "-c", config.to_str().unwrap()], "{line}");
    words[3..].iter().map(|word| (*word).to_owned()).collect()
}

/// Two collections in which as many items would go: the leave is for the one that was looked at.
fn a_leave_to_delete_is_good_for_one_collection(world: World) {
    for book in ["book", "more"] {
        let folder = world.member(LAPTOP).join(book);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..16 {
            let name = format!("c{number:02}");
            fs::write(folder.join(format!("{name}.vcf")), card(&name, "c")).unwrap();
        }
    }
    world.sync_well().wrote(PHONE, [32, 0, 0]);
    for book in ["book", "more"] {
        for number in 0..8 {
            fs::remove_file(world.member(LAPTOP).join(book).join(format!("c{number:02}.vcf"))).unwrap();
        }
    }
    let left = |book: &str| fs::read_dir(world.member(PHONE).join(book)).unwrap().count();
    world.sync().expect(5);
    world.run(["sync", "contacts", "--allow-deletes", "8"]).expect(5);
    let after_one = [left("book"), left("more")];
    assert!(after_one[0].abs_diff(after_one[1]) >= 8, "one of them: {after_one:?}");
    world.run(["sync", "contacts", "--allow-deletes", "8"]).expect(0);
    assert_eq!(left("book"), left("more"));
}

fn emptying_is_guarded_however_few_there_are(world: World) {
    let names = fill(&world, 3);
    for name in &names {
        world.delete(LAPTOP, name);
    }
    let stopped = world.sync().expect(5).wrote(PHONE, [0, 0, 0]);
    assert_eq!(world.items(PHONE).len(), 3);
    world.run(command_in(&world, &stopped.stdout)).expect(0);
    assert_eq!(world.items(PHONE).len(), 0);
    assert_eq!(world.journal().len(), 3);
    world.assert_at_rest(0);
}

fn the_guard_of_one_collection_does_not_stop_another(world: World) {
    let names = fill(&world, 10);
    for name in &names {
        world.delete(LAPTOP, name);
    }
    let work = world.member(LAPTOP).join("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("w.vcf"), card("w", "w")).unwrap();
    world.sync().expect(5).wrote(PHONE, [1, 0, 0]);
    assert!(world.member(PHONE).join("work").join("w.vcf").exists());
}

fn s2_a_renamed_file_is_no_deletion(world: World) {
    fill(&world, 4);
    fs::rename(world.file(LAPTOP, "c00.vcf"), world.file(LAPTOP, "renamed.vcf")).unwrap();
    let before = world.members();
    world.sync_well().wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    before[1].assert_untouched(&world.members()[1]);
    world.put(PHONE, "c00.vcf", card("c00", "edited"));
    world.sync_well().wrote(LAPTOP, [0, 1, 0]);
    assert_eq!(world.get(LAPTOP, "renamed.vcf"), card("c00", "edited"));
    world.assert_equal();
}

fn s2_another_folder_in_the_same_place_deletes_nothing(world: World) {
    fill(&world, 4);
    fs::rename(world.member(PHONE).join("book"), world.path("unplugged")).unwrap();
    fs::create_dir(world.member(PHONE).join("book")).unwrap();
    world.sync().expect(5).says(&["another store"]).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    assert_eq!((world.items(LAPTOP).len(), world.items(PHONE).len()), (4, 0));
    // The right one is back.
    fs::remove_dir(world.member(PHONE).join("book")).unwrap();
    fs::rename(world.path("unplugged"), world.member(PHONE).join("book")).unwrap();
    world.assert_at_rest(0);
}
