//! `status` tells what the last runs left, and what programs are told of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::groups::{group, names, three};
use crate::support::{LAPTOP, Link, PHONE, World, card, over_both_connections};

over_both_connections!(
    a_guard_that_waits_is_shown_until_it_is_answered,
    a_member_that_was_not_there_is_shown,
    a_failed_run_is_shown_until_one_succeeds,
    what_waits_in_one_collection_outlives_a_run_of_another,
    programs_are_told_what_people_are_told,
);

/// Eight items on both sides, in `book` and in `work`.
fn filled(world: &World) {
    for member in [LAPTOP, PHONE] {
        fs::create_dir(world.member(member).join("work")).unwrap();
    }
    for number in 0..8 {
        let (name, card) = (format!("c{number}.vcf"), card(&format!("c{number}"), "c"));
        world.put(LAPTOP, &name, &card);
        fs::write(world.member(LAPTOP).join("work").join(&name), &card).unwrap();
    }
    world.sync_well();
    world.run(["status"]).expect(0);
}

/// Deletes so much of a collection that the guard stops.
fn delete_most(world: &World, collection: &str) {
    for number in 0..7 {
        fs::remove_file(world.member(PHONE).join(collection).join(format!("c{number}.vcf"))).unwrap();
    }
}

fn a_guard_that_waits_is_shown_until_it_is_answered(world: World) {
    filled(&world);
    delete_most(&world, "book");
    world.sync().expect(5);
    let command = "sync contacts/book --allow-deletes 7";
    world.run(["status"]).expect(5).says(&["stopped   book: 7 of the 8 items of laptop", command]);
    let json = world.run(["status", "--json"]).expect(5).json();
    assert_eq!((&json["exit"], &json["groups"][0]["guard"][0]["planned"]), (&5.into(), &7.into()));
    let other = world.run(["sync", "contacts/book", "--allow-deletes", "6"]).expect(5);
    other.says(&["--allow-deletes 6 does not fit: it must name exactly 7"]);
    world.run(["sync", "contacts/book", "--allow-deletes", "7"]).expect(0);
    let run = world.run(["status"]).expect(0);
    assert!(!run.stdout.contains("stopped"), "{run:?}");
}

fn a_member_that_was_not_there_is_shown(world: World) {
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("path = \"./phone\"\n", "path = \"./phone\"\nrequired = false\n"));
    fs::rename(world.member(PHONE), world.path("away")).unwrap();
    world.sync_well();
    world.run(["status"]).expect(0).says(&["absent    phone was not there"]);
    // What must be there and is not is a failure.
    world.configure_as(&text);
    world.sync().expect(4);
    let run = world.run(["status"]).expect(4);
    run.says(&["failed    the plugin of phone cannot say what it has", "No such file"]);
    fs::rename(world.path("away"), world.member(PHONE)).unwrap();
    world.sync_well();
    let run = world.run(["status"]).expect(0);
    assert!(!run.stdout.contains("absent") && !run.stdout.contains("failed"), "{run:?}");
}

fn a_failed_run_is_shown_until_one_succeeds(world: World) {
    filled(&world);
    // The same name, another folder.
    fs::rename(world.member(PHONE).join("work"), world.path("work")).unwrap();
    fs::create_dir(world.member(PHONE).join("work")).unwrap();
    world.sync().expect(5);
    world.run(["status"]).expect(5).says(&["failed    work at phone", "another store"]);
    fs::remove_dir(world.member(PHONE).join("work")).unwrap();
    fs::rename(world.path("work"), world.member(PHONE).join("work")).unwrap();
    world.sync_well();
    world.run(["status"]).expect(0);
    // A slip on the command line is no state of the group.
    world.run(["sync", "contacts/wrk"]).expect(2);
    world.run(["status"]).expect(0);
}

fn what_waits_in_one_collection_outlives_a_run_of_another(world: World) {
    filled(&world);
    delete_most(&world, "book");
    delete_most(&world, "work");
    world.sync().expect(5);
    world.run(["sync", "contacts/book", "--allow-deletes", "7"]).expect(0);
    let run = world.run(["status"]).expect(5).says(&["stopped   work"]);
    assert!(!run.stdout.contains("stopped   book"), "{run:?}");
}

fn programs_are_told_what_people_are_told(world: World) {
    let photo = "QUJD".repeat(300_000);
    let large = card("large", "L").replace("END:VCARD", &format!("PHOTO;ENCODING=b:{photo}\r\nEND:VCARD"));
    world.put(LAPTOP, "large.vcf", large);
    let told = world.sync().expect(4).json();
    assert_eq!((&told["exit"], &told["collections"][0]["name"]), (&4.into(), &"book".into()));
    assert_eq!(told["collections"][0]["items"][0]["names"]["laptop"], "large.vcf");
    let status = world.run(["status", "--json"]).expect(4).json();
    assert_eq!(status["groups"][0]["last_exit"], 4);
    every_key_is_documented(&told);
    every_key_is_documented(&status);
    // A configuration that cannot be read is told on both channels.
    world.configure_as("[membr]");
    for verb in ["sync", "plan", "status"] {
        let run = world.run([verb, "--json"]).expect(2);
        assert!(run.stderr.contains("unknown key `membr`"), "{run:?}");
        let object = run.json();
        assert_eq!(object["exit"], 2);
        assert!(object["failures"][0]["message"].as_str().unwrap().contains("unknown key"), "{object}");
    }
}

/// Fails for a key that docs/json.md does not know, except below keys that are names.
pub(crate) fn every_key_is_documented(value: &Value) {
    let documentation = include_str!("../../docs/json.md");
    match value {
        Value::Array(values) => values.iter().for_each(every_key_is_documented),
        Value::Object(object) => {
            for (key, value) in object {
                assert!(documentation.contains(&format!("`{key}`")), "{key} is in no documentation");
                if !["members", "names", "sandbox", "policy"].contains(&key.as_str()) {
                    every_key_is_documented(value);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn a_state_that_cannot_be_read_does_not_hide_the_other_groups() {
    let world = World::new(crate::support::Link::Inherited);
    world.configure("", "[group.other]\nmembers = [\"laptop\", \"phone\"]");
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.sync_well();
    fs::write(
        world.state().join("groups/other.db"),
        "no database, and long enough to be looked at".repeat(99),
    )
    .unwrap();
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(world.state().join("groups/other.db"), mode).unwrap();
    world.run(["status"]).expect(1).says(&["1 item,", "the state of the group other cannot be used", "hint"]);
}

/// Of many that are pending for a reason each, the rest is counted.
#[test]
fn pending_items_beyond_those_that_are_named_are_counted() {
    let world = World::new(Link::Inherited);
    for number in 0..24 {
        world.put(LAPTOP, format!("c{number}.vcf"), "");
    }
    world.sync().expect(4).counted("pending", 24);
    let status = world.run(["status"]).expect(4).says(&["24 pending", "and 4 more (at most 20"]);
    assert_eq!(status.stdout.matches(".vcf is empty").count(), 20, "{status:?}");
}

/// What `status` says is owed, to people and to programs.
#[track_caller]
fn owed(world: &World, items: u64) {
    let json = world.run(["status", "--json"]).json();
    every_key_is_documented(&json);
    assert_eq!(json["groups"][0]["owed"], items, "{json:#}");
    let people = world.run(["status"]);
    assert_eq!(people.stdout.contains(" for the next sync, "), items > 0, "{people:?}");
}

#[test]
fn what_the_next_sync_writes_is_counted_until_it_has() {
    let world = three("");
    for uid in ["anna", "bert", "carl", "dora"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    owed(&world, 0);
    // A conflict waits for a person, and what he chose for the next sync.
    for member in [LAPTOP, PHONE] {
        world.put(member, "anna.vcf", card("anna", member));
    }
    world.sync().expect(3);
    owed(&world, 0);
    let id = world.run(["conflicts", "--json"]).json()["conflicts"][0]["id"].as_str().unwrap().to_owned();
    world.run(["conflicts", "resolve", &id, "--keep-both"]).expect(0);
    owed(&world, 2);
    let status = world.run(["status"]);
    world.paste(&status.stdout, "sync contacts").expect(0);
    owed(&world, 0);
    // What was deleted and is undone, and what was overwritten.
    world.delete(PHONE, "bert.vcf");
    world.put(PHONE, "carl.vcf", card("carl", "new"));
    world.sync_well();
    owed(&world, 0);
    let run = world.run(["log", "--json"]).json()["runs"][0]["run"].as_str().unwrap().to_owned();
    world.run(["undo", &run]).expect(0);
    owed(&world, 2);
    world.sync_well();
    owed(&world, 0);
}

#[test]
fn what_a_member_that_is_away_is_owed_is_counted_and_what_it_never_takes_is_not() {
    let of_member = |name: &str| match name {
        "nas" => "required = false".to_owned(),
        "tv" => "read_only = true".to_owned(),
        "box" => "no_delete = true".to_owned(),
        _ => String::new(),
    };
    let world = group(&names(&[LAPTOP, PHONE, "nas", "tv", "box"]), of_member, "readonly = \"keep\"");
    for uid in ["anna", "bert", "carl", "dora"] {
        world.put("tv", format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    fs::rename(world.member("nas"), world.path("away")).unwrap();
    world.put(LAPTOP, "anna.vcf", card("anna", "new"));
    world.delete(LAPTOP, "bert.vcf");
    world.put(LAPTOP, "emil.vcf", card("emil", "new"));
    world.sync_well();
    owed(&world, 3);
    fs::rename(world.path("away"), world.member("nas")).unwrap();
    world.sync_well().wrote("nas", [1, 1, 1]);
    // What the others take none of is no news.
    assert!(world.has("box", "bert.vcf") && world.has("tv", "bert.vcf"));
    owed(&world, 0);
}

#[test]
fn what_is_not_synchronised_any_more_is_not_counted() {
    let world = World::new(Link::Inherited);
    filled(&world);
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("collections = \"all\"", "collections = [\"work\"]"));
    world.run(["status"]).expect(0).says(&["  8 items, "]);
}
