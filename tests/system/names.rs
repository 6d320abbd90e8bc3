//! Items that a store calls otherwise than it did: the plugin says so, and they are the same items in
//! the next run (decisions X4; OpenSync D 45).

use std::collections::BTreeSet;
use std::fs;

use crate::support::host::example;
use crate::support::{LAPTOP, PHONE, Run, World, card, over_both_connections};

over_both_connections!(
    x4_items_that_get_their_lasting_names_after_the_commit_are_the_same_in_the_next_run,
    x4_without_a_word_they_would_be_deleted_and_made_anew,
    x4_names_that_were_acknowledged_outlive_their_plugin,
    x4_a_store_that_has_moved_everything_says_so_before_it_lists,
    x4_new_names_are_taken_from_the_listing_to_the_end_and_refused_at_other_times,
    d45_an_item_whose_uid_the_server_changes_is_the_same_in_the_next_run,
);

/// The phone's store names items as `deed` says.
fn naming(world: &World, deed: &str) {
    let program = world.path("naming_plugin");
    if !program.exists() {
        let built = example("naming_plugin", "tests/system/naming_plugin.rs");
        fs::hard_link(&built, &program).or_else(|_| fs::copy(&built, &program).map(drop)).unwrap();
    }
    world.configure("", &format!("[plugin.naming]\ncommand = [{program:?}, \"{deed}\"]\n"));
    let usual = "plugin = \"vdir\"\npath = \"./phone\"";
    let text = fs::read_to_string(world.config()).unwrap();
    assert!(text.contains(usual));
    world.configure_as(&text.replace(usual, "plugin = \"naming\"\npath = \"./phone\""));
}

/// A card that only its name tells from others.
fn nameless(name: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nN:{name};;;;\r\nEND:VCARD\r\n")
}

fn three(world: &World) {
    for name in ["Anna", "Bert", "Carl"] {
        world.put(LAPTOP, format!("{name}.vcf"), nameless(name));
    }
}

/// What the phone calls its items.
fn names(world: &World) -> BTreeSet<String> {
    world.items(PHONE).into_keys().map(|name| name.into_string().unwrap()).collect()
}

/// What the phone calls the item of that content.
fn name_of(world: &World, content: &str) -> String {
    let found = world.items(PHONE).into_iter().find(|(_, data)| data == content.as_bytes());
    found.unwrap().0.into_string().unwrap()
}

fn wrote(run: Run, laptop: [u64; 3], phone: [u64; 3]) -> Run {
    run.wrote(LAPTOP, laptop).wrote(PHONE, phone)
}

fn x4_items_that_get_their_lasting_names_after_the_commit_are_the_same_in_the_next_run(world: World) {
    naming(&world, "late");
    three(&world);
    wrote(world.sync_well(), [0; 3], [3, 0, 0]);
    let lasting = names(&world);
    assert!(lasting.len() == 3 && lasting.iter().all(|name| name.starts_with("lasting-")), "{lasting:?}");
    world.assert_at_rest(0);

    // Edits and deletions of either side find them.
    world.put(PHONE, name_of(&world, &nameless("Anna")), nameless("Anne"));
    world.put(LAPTOP, "Bert.vcf", nameless("Bart"));
    world.delete(LAPTOP, "Carl.vcf");
    world.put(LAPTOP, "Dora.vcf", nameless("Dora"));
    wrote(world.sync_well(), [0, 1, 0], [1, 1, 1]);
    assert_eq!(world.get(LAPTOP, "Anna.vcf"), nameless("Anne"));
    assert_eq!(names(&world).intersection(&lasting).count(), 2);
    world.assert_equal();
    world.assert_at_rest(0);
}

/// What the story above would come to: it can fail.
fn x4_without_a_word_they_would_be_deleted_and_made_anew(world: World) {
    naming(&world, "quiet");
    three(&world);
    wrote(world.sync_well(), [0; 3], [3, 0, 0]);
    wrote(world.sync_well(), [3, 0, 3], [0; 3]);
}

fn x4_names_that_were_acknowledged_outlive_their_plugin(world: World) {
    naming(&world, "dies");
    three(&world);
    wrote(world.sync(), [0; 3], [3, 0, 0]);
    assert!(names(&world).iter().all(|name| name.starts_with("lasting-")));
    world.assert_at_rest(0);
}

fn x4_a_store_that_has_moved_everything_says_so_before_it_lists(world: World) {
    naming(&world, "moves");
    three(&world);
    wrote(world.sync_well(), [0; 3], [3, 0, 0]);
    let [anna, bert, carl] = ["Anna", "Bert", "Carl"].map(|name| name_of(&world, &nameless(name)));
    // Two take each other's name.
    let moves = format!("{anna} {bert}\n{bert} {anna}\n{carl} moved.vcf\n");
    fs::write(world.member(PHONE).join("moves"), moves).unwrap();
    wrote(world.sync_well(), [0; 3], [0; 3]);
    let moved = ["Anna", "Bert", "Carl"].map(|name| name_of(&world, &nameless(name)));
    assert_eq!(moved, [bert.as_str(), &anna, "moved.vcf"]);
    world.assert_at_rest(0);
    world.put(PHONE, &bert, nameless("Anne"));
    wrote(world.sync_well(), [0, 1, 0], [0; 3]);
    assert_eq!(world.get(LAPTOP, "Anna.vcf"), nameless("Anne"));
}

fn x4_new_names_are_taken_from_the_listing_to_the_end_and_refused_at_other_times(world: World) {
    naming(&world, "early");
    three(&world);
    fs::write(world.file(PHONE, "own.vcf"), nameless("Own")).unwrap();
    world.sync_well();
    let said = fs::read_to_string(world.member(PHONE).join("said")).unwrap();
    let not_now = "invalid state After(60000)";
    for (call, answer) in [
        ("initialize", not_now),
        ("discover", not_now),
        ("connect", not_now),
        ("connect_done", not_now),
        ("get_changes", "taken"),
        ("read", "taken"),
        ("commit", "taken"),
        ("committed_all", "taken"),
        ("sync_done", "taken"),
        ("disconnect", not_now),
        ("finalize", not_now),
    ] {
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with(&format!("{call}:"))).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| *line == format!("{call}: {answer}")), "{said}");
    }
    fs::remove_file(world.member(PHONE).join("said")).unwrap();
    world.run(["plan", "contacts"]).expect(0);
    let said = fs::read_to_string(world.member(PHONE).join("said")).unwrap();
    assert!(said.lines().all(|line| line.ends_with(": read-only Never")), "{said}");
}

/// The server's UID becomes everybody's; nothing is deleted or made for it.
fn d45_an_item_whose_uid_the_server_changes_is_the_same_in_the_next_run(world: World) {
    naming(&world, "uid");
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    let run = world.sync_well().wrote(PHONE, [2, 0, 0]);
    let updated = run.count(LAPTOP, "updated");
    run.wrote(LAPTOP, [0, updated, 0]);
    let run = world.sync_well().wrote(PHONE, [0; 3]);
    let later = run.count(LAPTOP, "updated");
    run.wrote(LAPTOP, [0, later, 0]);
    assert_eq!(updated + later, 2, "each gets its new UID once");
    assert!(world.get(LAPTOP, "anna.vcf").contains("UID:srv-"));
    world.assert_equal();
    world.assert_at_rest(0);
    // It is one item, for edits and deletions too.
    world.put(LAPTOP, "anna.vcf", world.get(LAPTOP, "anna.vcf").replace("Anna", "Anne"));
    world.delete(LAPTOP, "bert.vcf");
    wrote(world.sync_well(), [0; 3], [0, 1, 1]);
    world.assert_equal();
}
