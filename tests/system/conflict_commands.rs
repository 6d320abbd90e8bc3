//! `conflicts`: what waits is listed, shown side by side, and settled in any order; the next sync does it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use outrigger::store::Store;
use serde_json::Value;

use crate::status::every_key_is_documented;
use crate::support::{DEADLINE, LAPTOP, Link, PHONE, Run, Running, World, card};

const TABLET: &str = "tablet";

/// A policy that keeps what was agreed, and settles nothing.
const KEEPS_BASE: &str = "conflict = { command = [\"false\"] }";

fn world(in_group: &str) -> World {
    let world = World::new(Link::Inherited);
    world.configure(in_group, "");
    world
}

/// The same with a third member.
fn three(in_group: &str) -> World {
    let world = world(in_group);
    let text = fs::read_to_string(world.config()).unwrap();
    let text = text.replace("[\"laptop\", \"phone\"]", "[\"laptop\", \"phone\", \"tablet\"]");
    fs::create_dir_all(world.member(TABLET).join("book")).unwrap();
    world.configure_as(&format!("{text}\n[member.{TABLET}]\nplugin = \"vdir\"\npath = \"./{TABLET}\"\n"));
    world
}

/// A card with a number and an address.
fn person(uid: &str, number: &str, address: &str) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:Name of {uid}\r\nN:{uid};;;;\r\nTEL;TYPE=cell:{number}\r\n\
         EMAIL:{address}\r\nEND:VCARD\r\n"
    )
}

/// All members agree on an item, and then each of these writes its own. Returns the ID of the conflict.
fn contradict(world: &World, uid: &str, edits: &[(&str, String)]) -> String {
    let name = format!("{uid}.vcf");
    world.put(LAPTOP, &name, person(uid, "1", "a@example.org"));
    world.sync();
    edits.iter().for_each(|(member, content)| world.put(member, &name, content));
    world.sync().expect(3);
    id(world, uid)
}

/// Both change the number, each to its own.
fn clash(world: &World, uid: &str) -> String {
    let number = |number: &str| person(uid, number, "a@example.org");
    contradict(world, uid, &[(LAPTOP, number("2")), (PHONE, number("3"))])
}

fn conflicts(world: &World) -> Vec<Value> {
    let json = world.run(["conflicts", "--json"]).json();
    json["conflicts"].as_array().unwrap().clone()
}

fn id(world: &World, uid: &str) -> String {
    let all = conflicts(world);
    let one = all
        .iter()
        .find(|one| one["key"] == uid)
        .unwrap_or_else(|| panic!("{uid} is in no conflict: {all:#?}"));
    one["id"].as_str().unwrap()[..6].to_owned()
}

fn resolve(world: &World, id: &str, how: &[&str]) -> Run {
    world.run([&["conflicts", "resolve", id], how].concat())
}

/// The numbers of an item at each member.
fn at_all(world: &World, members: &[&str], name: &str) -> Vec<String> {
    members.iter().map(|member| world.get(member, name)).collect()
}

#[test]
fn what_waits_is_raised_once_and_settled_in_any_order() {
    let world = world("");
    let ids: BTreeMap<&str, String> =
        ["anna", "bert", "carl", "dora"].into_iter().map(|uid| (uid, clash(&world, uid))).collect();
    let list = world.run(["conflicts"]).expect(3);
    for (uid, id) in &ids {
        let line = list.stdout.lines().find(|line| line.contains(id.as_str())).unwrap();
        assert!(line.contains(&format!("\"Name of {uid}\"   TEL   laptop ≠ phone   since 20")), "{line}");
    }
    // A sync in between changes nothing of it.
    let again = world.assert_at_rest(3).counted("conflicts", 4);
    assert!(!again.stdout.contains("\nconflict "), "{again:?}");
    assert!(ids.iter().all(|(uid, known)| id(&world, uid) == *known));
    world.paste(&again.stdout, "conflicts contacts").expect(3).says(&["Name of anna"]);
    resolve(&world, &ids["carl"], &["--take", PHONE])
        .expect(0)
        .says(&["laptop   is overwritten", "phone   stays"]);
    resolve(&world, &ids["anna"], &["--take", LAPTOP]).expect(0);
    // By the beginning of its ID, in capitals.
    resolve(&world, &ids["dora"][..5].to_uppercase(), &["--delete"]).expect(0).says(&["laptop   is deleted"]);
    let left = world.run(["conflicts", "list", "contacts"]).expect(3);
    assert_eq!(left.stdout.matches("Name of ").count(), 1, "{left:?}");
    world.sync().expect(3).counted("conflicts", 1).wrote(LAPTOP, [0, 1, 1]).wrote(PHONE, [0, 1, 1]);
    resolve(&world, &ids["bert"], &["--take", LAPTOP]).expect(0);
    world.run(["conflicts"]).expect(0).says(&["no conflict waits"]);
    world.sync_well().wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 1, 0]);
    world.assert_equal();
    assert_eq!(world.get(PHONE, "carl.vcf"), person("carl", "3", "a@example.org"));
    assert_eq!(world.get(PHONE, "anna.vcf"), person("anna", "2", "a@example.org"));
    assert!(!world.has(LAPTOP, "dora.vcf"));
    for lost in [person("carl", "2", "a@example.org"), person("dora", "3", "a@example.org")] {
        assert!(world.journal().contains(&lost.into_bytes()), "x6");
    }
    world.assert_at_rest(0);
}

#[test]
fn a_sync_names_what_it_raised_with_the_command_that_shows_it() {
    let world = world("");
    // The items of a first contact, more of them than are told.
    for number in 0..13 {
        let (uid, name) = (format!("c{number:02}"), format!("c{number:02}.vcf"));
        world.put(LAPTOP, &name, person(&uid, "2", "a@example.org"));
        world.put(PHONE, &name, person(&uid, "3", "a@example.org"));
    }
    let run = world.sync().expect(3).counted("conflicts", 13);
    let known: BTreeMap<String, Value> =
        conflicts(&world).into_iter().map(|one| (one["id"].as_str().unwrap().to_owned(), one)).collect();
    let told: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("conflict ")).collect();
    assert_eq!(told.len(), 11, "{run:?}");
    for line in &told[..10] {
        let id = line.split_whitespace().nth(1).unwrap();
        let (_, one) = known.iter().find(|(known, _)| known.starts_with(id)).unwrap();
        assert!(
            line.contains(&format!("contacts/book   \"Name of {}\"", one["key"].as_str().unwrap())),
            "{line}"
        );
        world.paste(line, "conflicts show").expect(0).says(&[id, "--take phone"]);
    }
    assert!(told[10].contains("… and 3 more"), "{told:?}");
    world.paste(told[10], "conflicts list").expect(3).says(&["Name of c00", "Name of c12"]);
    // Programs are told the same of each.
    let items = run.json()["collections"][0]["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 13);
    for item in &items {
        let conflict = &item["conflict"];
        assert_eq!(conflict["title"], known[conflict["id"].as_str().unwrap()]["title"], "{item}");
        world.paste(conflict["command"].as_str().unwrap(), "conflicts show").expect(0);
    }
    // One that was settled and raised anew is told anew, under its new name; the others are not.
    world.put(LAPTOP, "c05.vcf", person("c05", "4", "a@example.org"));
    let again = world.sync().expect(3);
    let told: Vec<&str> = again.stdout.lines().filter(|line| line.starts_with("conflict ")).collect();
    let [line] = told[..] else { panic!("{again:?}") };
    assert!(line.contains(&id(&world, "c05")) && line.contains("\"Name of c05\""), "{line}");
    // A plan raises nothing, and so names none.
    world.put(LAPTOP, "c06.vcf", person("c06", "5", "a@example.org"));
    let plan = world.run(["plan", "--json"]);
    assert!(plan.stdout.contains("  conflict  \"c06\": \"c06.vcf\" at laptop"), "{plan:?}");
    assert!(plan.json()["collections"][0]["items"][0]["conflict"].is_null(), "{plan:?}");
}

#[test]
fn members_stand_side_by_side_with_what_was_agreed() {
    let world = world(KEEPS_BASE);
    let edits =
        [(LAPTOP, person("anna", "2", "a@example.org")), (PHONE, person("anna", "1", "anna@example.net"))];
    let id = contradict(&world, "anna", &edits);
    let shown = world.run(["conflicts", "show", &id]).expect(0);
    let rows = [
        "          agreed before           laptop                  phone",
        "EMAIL     a@example.org           a@example.org           anna@example.net",
        "TEL cell  1                       2                       1",
    ];
    let shown = shown.says(&rows).says(&["contacts/book", "\"Name of anna\"", "since 20"]);
    assert!(!shown.stdout.contains('\u{1b}'), "no colour but on a terminal");
    assert!(shown.stdout.lines().take(7).all(|line| line.chars().count() <= 80), "{shown:?}");
    // The command that it names takes both edits.
    world.paste(&shown.stdout, "--merge").expect(0);
    world.sync_well().wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 1, 0]);
    assert_eq!(world.get(LAPTOP, "anna.vcf"), person("anna", "2", "anna@example.net"));
    world.assert_equal();
    world.assert_at_rest(0);
}

#[test]
fn what_cannot_be_merged_says_why_and_waits() {
    let world = world("");
    let id = clash(&world, "anna");
    let shown = world.run(["conflicts", "show", &id]).expect(0);
    assert!(!shown.stdout.contains("--merge"), "{shown:?}");
    let refused =
        resolve(&world, &id, &["--merge"]).expect(2).says(&["what all of them had before is not kept"]);
    world.paste(&refused.stderr, "conflicts show").expect(0).says(&["--take laptop"]);
    world.configure(KEEPS_BASE, "");
    let id = clash(&world, "bert");
    resolve(&world, &id, &["--merge"]).expect(2).says(&["the same was changed twice"]);
    assert_eq!(conflicts(&world).len(), 2);
}

#[test]
fn keeping_both_makes_a_second_item_at_all_members() {
    let world = three("");
    let id = clash(&world, "anna");
    resolve(&world, &id, &["--keep-both"]).expect(0).says(&["phone   is overwritten", "another item"]);
    world.sync_well();
    for member in [LAPTOP, PHONE, TABLET] {
        let contents = world.contents(member);
        assert_eq!(contents.len(), 2, "{member}: {contents:?}");
        assert!(contents.contains(&person("anna", "2", "a@example.org")), "{member}: {contents:?}");
        let copy = contents.iter().find(|content| content.contains("TEL;TYPE=cell:3")).unwrap();
        assert!(copy.contains("FN:Name of anna (phone\\, 20") && !copy.contains("UID:anna\r"), "{copy}");
    }
    world.assert_at_rest(0);
}

/// Of three, one has not changed the item: what it has is what was agreed.
#[test]
fn a_member_that_changed_nothing_shows_what_was_agreed() {
    let world = three(KEEPS_BASE);
    let edits =
        [(LAPTOP, person("anna", "2", "a@example.org")), (PHONE, person("anna", "1", "anna@example.net"))];
    let id = contradict(&world, "anna", &edits);
    let shown = world.run(["conflicts", "show", &id]).expect(0);
    let held = "tablet   \"anna.vcf\"   as it was agreed before";
    let shown = shown.says(&["agreed before: tablet", held, "--take tablet"]);
    world.paste(&shown.stdout, "--merge").expect(0).says(&["tablet   is overwritten"]);
    world.sync_well();
    let merged = person("anna", "2", "anna@example.net");
    assert_eq!(at_all(&world, &[LAPTOP, PHONE, TABLET], "anna.vcf"), [&*merged, &merged, &merged]);
    world.assert_at_rest(0);
}

#[test]
fn a_deletion_against_an_edit_is_settled_either_way() {
    let world = world("edit_vs_delete = \"ask\"");
    for uid in ["anna", "bert", "carl"] {
        world.put(LAPTOP, format!("{uid}.vcf"), person(uid, "1", "a@example.org"));
    }
    world.sync_well();
    for uid in ["anna", "bert"] {
        world.put(LAPTOP, format!("{uid}.vcf"), person(uid, "2", "a@example.org"));
        world.delete(PHONE, format!("{uid}.vcf"));
    }
    world.sync().expect(3).counted("conflicts", 2);
    let [anna, bert] = ["anna", "bert"].map(|uid| id(&world, uid));
    world.run(["conflicts"]).expect(3).says(&["laptop, not at phone"]);
    world.run(["conflicts", "show", &anna]).expect(0).says(&["phone   does not have it", "TEL;TYPE=cell:2"]);
    let refused =
        resolve(&world, &anna, &["--take", PHONE]).expect(2).says(&["phone does not have this item"]);
    world
        .paste(&refused.stderr, "--delete")
        .expect(0)
        .says(&["laptop   is deleted", "phone   stays as it is"]);
    resolve(&world, &bert, &["--take", LAPTOP]).expect(0).says(&["phone   gets it"]);
    world.sync_well().wrote(LAPTOP, [0, 0, 1]).wrote(PHONE, [1, 0, 0]);
    world.assert_equal();
    world.assert_at_rest(0);
}

/// Written by hand, and before the next sync somebody edits the item: neither is lost.
#[test]
fn what_was_chosen_before_is_shown_beside_a_later_edit_and_no_policy_overrules_it() {
    let world = world("");
    let id = clash(&world, "anna");
    let chosen = person("anna", "7", "a@example.org");
    fs::write(world.path("anna.vcf"), &chosen).unwrap();
    resolve(&world, &id, &["--content", "anna.vcf"]).expect(0);
    world.put(PHONE, "anna.vcf", person("anna", "8", "a@example.org"));
    world.configure("conflict = { prefer = \"phone\" }", "");
    world.sync().expect(3);
    let again = self::id(&world, "anna");
    let shown = world.run(["conflicts", "show", &again]).expect(0);
    shown.says(&["(chosen before)", "7", "--chosen", "--take phone"]);
    resolve(&world, &again, &["--chosen"]).expect(0);
    world.sync_well().wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 1, 0]);
    assert_eq!(at_all(&world, &[LAPTOP, PHONE], "anna.vcf"), [&*chosen, &chosen]);
    world.assert_at_rest(0);
}

/// A member that is only behind has no part in it: the two edits are put together on what both had.
#[test]
fn a_merge_is_made_on_what_both_had_also_where_one_was_away() {
    let world = three("conflict = \"merge\"");
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&format!("{text}required = false\n"));
    world.put(LAPTOP, "anna.vcf", person("anna", "1", "a@example.org"));
    world.sync_well();
    world.put(LAPTOP, "anna.vcf", person("anna", "2", "a@example.org"));
    let away = world.path("away");
    fs::rename(world.member(TABLET), &away).unwrap();
    world.sync();
    fs::rename(&away, world.member(TABLET)).unwrap();
    world.put(TABLET, "anna.vcf", person("anna", "1", "anna@example.net"));
    world.sync();
    world.sync_well();
    let both = person("anna", "2", "anna@example.net");
    assert_eq!(at_all(&world, &[LAPTOP, PHONE, TABLET], "anna.vcf"), [&*both, &both, &both]);
    world.assert_at_rest(0);
}

/// Three edits of three properties are one item, without a person.
#[test]
fn a_merge_takes_the_edits_of_all_members() {
    let world = three("conflict = \"merge\"");
    world.put(LAPTOP, "anna.vcf", person("anna", "1", "a@example.org"));
    world.sync_well();
    world.put(LAPTOP, "anna.vcf", person("anna", "2", "a@example.org"));
    world.put(PHONE, "anna.vcf", person("anna", "1", "anna@example.net"));
    let noted = person("anna", "1", "a@example.org").replace("END:", "NOTE:of the tablet\r\nEND:");
    world.put(TABLET, "anna.vcf", noted);
    world.sync_well();
    let all = person("anna", "2", "anna@example.net").replace("END:", "NOTE:of the tablet\r\nEND:");
    assert_eq!(at_all(&world, &[LAPTOP, PHONE, TABLET], "anna.vcf"), [&*all, &all, &all]);
    world.assert_at_rest(0);
}

/// What an editor is that runs this script on the file.
fn editor(world: &World, script: &str) -> PathBuf {
    let file = world.path("editor");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    file
}

fn edit(world: &World, id: &str, script: &str) -> Run {
    let config = world.config();
    let mut command = world.command(["-c", config.to_str().unwrap(), "conflicts", "resolve", id, "--edit"]);
    command.env("PATH", "/usr/bin:/bin").env("EDITOR", editor(world, script));
    Running::new(command.spawn().unwrap()).wait()
}

#[test]
fn an_editor_makes_one_of_both() {
    let world = world("");
    let id = clash(&world, "anna");
    edit(&world, &id, "exit 3").expect(2).says(&["the editor", "exit status: 3"]);
    edit(&world, &id, ":").expect(2).says(&["nothing was changed"]);
    // What was written is not lost if it cannot be taken.
    let refused =
        edit(&world, &id, "echo more >> \"$1\"").expect(2).says(&["<<<<<<<", "what you wrote stays in"]);
    let kept = refused.stderr.lines().find_map(|line| line.split("stays in ").nth(1)).unwrap();
    assert!(fs::read_to_string(kept).unwrap().ends_with("more\n"));
    assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
    let script =
        "cp \"$1\" seen; stat -c '%a %n' \"$1\" > mode; grep -v '^<<<\\|^===\\|^>>>\\|cell:3' seen > \"$1\"";
    edit(&world, &id, script).expect(0);
    let seen = fs::read_to_string(world.path("seen")).unwrap();
    let marks = "<<<<<<< laptop\nTEL;TYPE=cell:2\r\n======= phone\nTEL;TYPE=cell:3\r\n>>>>>>> \n";
    assert!(seen.contains(marks), "{seen}");
    let mode = fs::read_to_string(world.path("mode")).unwrap();
    assert!(mode.starts_with("600 ") && mode.trim_end().ends_with(".vcf"), "{mode}");
    world.sync_well().wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 1, 0]);
    assert_eq!(world.get(PHONE, "anna.vcf"), person("anna", "2", "a@example.org"));
    assert_eq!(fs::read_dir(world.path("tmp")).unwrap().count(), 1, "only what was kept is left");
}

#[test]
fn a_file_may_be_what_all_shall_have() {
    let world = world("");
    let id = clash(&world, "anna");
    let file = world.path("anna.vcf");
    for (content, why) in [
        (person("bert", "7", "a@example.org"), "it has not the UID \"anna\""),
        (String::new(), "it is empty"),
        ("no card".into(), "it has not the UID"),
        (format!("{}{}", person("anna", "7", "x"), "x".repeat(1 << 20)), "larger than an item may be"),
    ] {
        fs::write(&file, content).unwrap();
        resolve(&world, &id, &["--content", "anna.vcf"]).expect(2).says(&[why]);
    }
    resolve(&world, &id, &["--content", "none.vcf"]).expect(2).says(&["none.vcf cannot be read"]);
    let content = person("anna", "7", "a@example.org");
    fs::write(&file, &content).unwrap();
    let config = world.config();
    let mut command =
        world.command(["-c", config.to_str().unwrap(), "conflicts", "resolve", &id, "--content", "-"]);
    command.stdin(Stdio::from(fs::File::open(&file).unwrap()));
    Running::new(command.spawn().unwrap()).wait().expect(0).says(&["laptop   is overwritten"]);
    world.sync_well().wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 1, 0]);
    assert_eq!(at_all(&world, &[LAPTOP, PHONE], "anna.vcf"), [&*content, &content]);
    world.assert_at_rest(0);
}

#[test]
fn what_is_not_there_is_said_with_the_way_on() {
    let world = world("");
    let id = clash(&world, "anna");
    let none = world.run(["conflicts", "show", "ffffffffffff"]).expect(2).says(&["no conflict is called"]);
    world.paste(&none.stderr, "conflicts").expect(3).says(&[&id]);
    resolve(&world, &id, &["--take", "phon"]).expect(2).says(&["did you mean `phone`?"]);
    resolve(&world, &id, &[]).expect(2);
    resolve(&world, &id, &["--take", PHONE, "--delete"]).expect(2);
    world.run(["conflicts", "contcts"]).expect(2).says(&["did you mean `contacts`?"]);
    // One that is mistyped leaves the other as it is.
    world.run(["conflicts", "resolve", &id, "0000000000000000", "--take", PHONE]).expect(2);
    assert_eq!(conflicts(&world).len(), 1);
    resolve(&world, &id, &["--take", PHONE]).expect(0);
    resolve(&world, &id, &["--take", LAPTOP]).expect(2).says(&["no conflict is called", "it may be settled"]);
    world.sync_well();
    assert_eq!(world.get(LAPTOP, "anna.vcf"), person("anna", "3", "a@example.org"), "the first choice holds");
}

/// Nobody decides about what he was not shown.
#[test]
fn what_has_changed_since_is_another_conflict() {
    let world = world("");
    let id = clash(&world, "anna");
    world.put(PHONE, "anna.vcf", person("anna", "4", "a@example.org"));
    world.sync().expect(3).counted("conflicts", 1);
    resolve(&world, &id, &["--take", LAPTOP]).expect(2).says(&["something has changed"]);
    let id = self::id(&world, "anna");
    resolve(&world, &id, &["--take", LAPTOP]).expect(0);
    // And what comes after the choice, and before the sync, is not lost either.
    world.put(PHONE, "anna.vcf", person("anna", "5", "a@example.org"));
    world.sync().expect(3).counted("conflicts", 1).wrote(PHONE, [0, 0, 0]);
    assert_eq!(world.get(PHONE, "anna.vcf"), person("anna", "5", "a@example.org"));
}

#[test]
fn looking_needs_no_lock_and_settling_does() {
    let world = world("");
    let id = clash(&world, "anna");
    let run = Store::open(&world.state(), "contacts", DEADLINE).unwrap();
    world.run(["conflicts"]).expect(3);
    world.run(["conflicts", "show", &id]).expect(0);
    resolve(&world, &id, &["--take", PHONE])
        .expect(75)
        .says(&["another run is busy with the group contacts"]);
    drop(run);
    let before = world.tree();
    world.run(["conflicts"]).expect(3);
    world.run(["conflicts", "show", &id]).expect(0);
    before.assert_untouched(&world.tree());
    resolve(&world, &id, &["--take", PHONE]).expect(0);
}

#[test]
fn b4_no_item_acts_on_the_terminal() {
    let world = world("");
    let evil = |number: &str| {
        person("anna", number, "a@example.org").replace("Name of anna", "A\u{1b}[2J\u{202e}\u{9b}1m\x07")
    };
    let id = contradict(&world, "anna", &[(LAPTOP, evil("2")), (PHONE, evil("\u{1b}]0;owned\x07"))]);
    for args in [&["conflicts"][..], &["conflicts", "show", &id]] {
        let run = world.run(args);
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!run.stdout.contains(bad), "{run:?}");
        assert!(run.stdout.contains("A\\u{1b}[2J\\u{202e}"), "{run:?}");
    }
}

#[test]
fn what_is_no_card_is_shown_line_by_line() {
    let world = world("");
    let note = |text: &str| {
        format!("BEGIN:VCARD\r\nUID:anna\r\nUID:bert\r\nFN:two\r\nBEGIN:X\r\n{text}\r\nEND:VCARD\r\n")
    };
    world.put(LAPTOP, "n.vcf", note("old"));
    world.sync_well();
    world.put(LAPTOP, "n.vcf", note("of the laptop"));
    world.put(PHONE, "n.vcf", note("of the phone"));
    world.sync().expect(3);
    let id = conflicts(&world)[0]["id"].as_str().unwrap().to_owned();
    let shown = world.run(["conflicts", "show", &id]).expect(0);
    let shown = shown.says(&["--- laptop", "+++ phone", "- of the laptop", "+ of the phone", "BEGIN:X"]);
    assert!(!shown.stdout.contains("--keep-both"), "{shown:?}");
    resolve(&world, &id, &["--keep-both"]).expect(2).says(&["cannot be kept twice"]);
    resolve(&world, &id, &["--take", PHONE]).expect(0);
    world.sync_well();
    world.assert_equal();
}

#[test]
fn programs_are_told_what_people_are_told_of_conflicts() {
    let world = world(KEEPS_BASE);
    let id = clash(&world, "anna");
    let list = world.run(["conflicts", "list", "--json"]).expect(3).json();
    every_key_is_documented(&list);
    let one = &list["conflicts"][0];
    assert_eq!((&one["title"], &one["collection"]), (&"Name of anna".into(), &"book".into()));
    assert_eq!(one["members"]["phone"]["content"]["text"], person("anna", "3", "a@example.org"));
    assert_eq!(one["base"]["text"], person("anna", "1", "a@example.org"));
    let tel = &one["properties"][0];
    assert_eq!(
        (&tel["name"], &tel["members"]["laptop"][0], &tel["mergeable"]),
        (&"TEL".into(), &"2".into(), &false.into())
    );
    let shown = world.run(["conflicts", "show", &id, "--json"]).expect(0).json();
    assert_eq!(shown["conflicts"][0], *one);
    let failed = world.run(["conflicts", "show", "ffffff", "--json"]).expect(2).json();
    assert_eq!((&failed["exit"], &failed["conflicts"]), (&2.into(), &serde_json::json!([])));
    assert!(failed["failures"][0]["hint"].is_string());
}

/// Two groups, two collections: an ID is one for all of them.
#[test]
fn an_id_is_one_for_all_groups_and_collections() {
    let world = three("");
    let text = fs::read_to_string(world.config()).unwrap();
    let more = "[group.more]\nmembers = [\"laptop\", \"phone\"]\ncollections = [\"work\"]\n";
    let listed = text.replace("collections = \"all\"", "collections = [\"book\"]");
    world.configure_as(&format!("{listed}\n{more}"));
    for member in [LAPTOP, PHONE] {
        fs::create_dir_all(world.member(member).join("work")).unwrap();
        for book in ["book", "work"] {
            fs::write(world.member(member).join(book).join("anna.vcf"), card("anna", member)).unwrap();
        }
    }
    world.run(["sync"]).expect(3);
    let all = conflicts(&world);
    let places: Vec<_> =
        all.iter().map(|one| (one["group"].as_str().unwrap(), one["collection"].as_str().unwrap())).collect();
    assert_eq!(places, [("contacts", "book"), ("more", "work")]);
    assert_ne!(all[0]["id"], all[1]["id"]);
    resolve(&world, all[1]["id"].as_str().unwrap(), &["--take", PHONE])
        .expect(0)
        .says(&["more/work", "sync more/work"]);
    world.run(["sync"]).expect(3);
    assert_eq!(fs::read_to_string(world.member(LAPTOP).join("work/anna.vcf")).unwrap(), card("anna", PHONE));
    assert_eq!(world.get(LAPTOP, "anna.vcf"), card("anna", LAPTOP));
}
