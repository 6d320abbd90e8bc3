//! `log`, `undo`, `reset`, `forget`: what was done, how to have it back, and how to start over.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use outrigger::store::Store;
use serde_json::Value;

use crate::groups::{group, names};
use crate::healing::mortal;
use crate::status::every_key_is_documented;
use crate::support::{DEADLINE, LAPTOP, Link, PHONE, World, card};

const TABLET: &str = "tablet";

/// Three members that hold these cards.
fn world(uids: &[&str]) -> World {
    let world = World::new(Link::Inherited);
    let text = fs::read_to_string(world.config()).unwrap();
    let text = text.replace("[\"laptop\", \"phone\"]", "[\"laptop\", \"phone\", \"tablet\"]");
    fs::create_dir_all(world.member(TABLET).join("book")).unwrap();
    world.configure_as(&format!("{text}\n[member.{TABLET}]\nplugin = \"vdir\"\npath = \"./{TABLET}\"\n"));
    for uid in uids {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    world
}

/// What an item says at each member.
fn at_all(world: &World, name: &str) -> [String; 3] {
    [LAPTOP, PHONE, TABLET].map(|member| world.get(member, name))
}

/// The number of the last run, and of its items by what they were called.
fn last_run(world: &World) -> (String, Value) {
    let runs = world.run(["log", "--json"]).expect(0).json();
    let number = runs["runs"][0]["number"].to_string();
    let items = world.run(["log", "contacts", &number, "--json"]).expect(0).json();
    (number, items)
}

fn item(items: &Value, name: &str) -> String {
    let all = items["items"].as_array().unwrap();
    all.iter().find(|item| item["name"] == name).unwrap()["item"].to_string()
}

#[test]
fn a_deletion_is_undone_at_all_members() {
    let world = world(&["anna", "bert", "carl", "dora", "emil"]);
    for uid in ["anna", "bert"] {
        world.delete(PHONE, format!("{uid}.vcf"));
    }
    world.sync_well().wrote(LAPTOP, [0, 0, 2]).wrote(TABLET, [0, 0, 2]);
    let log = world
        .run(["log"])
        .expect(0)
        .says(&["contacts:2   20", "+0 ~0 −4   exit 0   4 copies can be had back"]);
    let run = log.stdout.lines().next().unwrap().split(' ').next().unwrap().to_owned();
    // Runs that did nothing are left out, unless they are asked for.
    world.assert_at_rest(0);
    let quiet = world.run(["log"]).expect(0).says(&["1 run did nothing and is left out; --all shows it"]);
    assert!(quiet.stdout.starts_with("contacts:2 "), "{quiet:?}");
    world.run(["log", "--all"]).expect(0).says(&["contacts:3   20", "+0 ~0 −0   exit 0"]);
    let shown = world.run(["log", "contacts", "2"]).expect(0);
    shown.says(&[
        "deleted at laptop   \"old\" (\"anna.vcf\")   book",
        "deleted at tablet   \"old\" (\"bert.vcf\")   book",
    ]);
    // What would be, is said without doing it.
    let before = world.tree();
    world
        .run(["undo", &run, "--dry-run"])
        .expect(0)
        .says(&["\"anna.vcf\")   book: comes back", "nothing was done"]);
    before.assert_untouched(&world.tree());
    let undone = world.run(["undo", &run]).expect(0);
    assert_eq!(undone.stdout.matches("comes back").count(), 2, "{undone:?}");
    assert_eq!(undone.stdout.matches("is the same as").count(), 2, "{undone:?}");
    assert!(!world.has(LAPTOP, "anna.vcf"), "the next sync does it");
    let plan = world.run(["plan"]).expect(0);
    assert_eq!(plan.stdout.matches("create on").count(), 6, "{plan:?}");
    assert_eq!(plan.stdout.matches(": what was chosen or undone, \"anna\"\n").count(), 3, "{plan:?}");
    let synced = world.paste(&undone.stdout, "sync contacts").expect(0);
    synced.says(&["+6 ~0 −0"]);
    for member in [LAPTOP, PHONE, TABLET] {
        assert_eq!(world.items(member).len(), 5, "{member}");
        assert!(world.contents(member).contains(&card("anna", "old")));
    }
    world.assert_at_rest(0);
    world.run(["undo", &run]).expect(0).says(&["is so already", "there is nothing to undo"]);
    world.assert_at_rest(0);
}

#[test]
fn an_overwrite_is_undone_item_by_item_at_all_members() {
    let world = world(&["anna", "bert"]);
    for uid in ["anna", "bert"] {
        world.put(TABLET, format!("{uid}.vcf"), card(uid, "new"));
    }
    world.sync_well().wrote(LAPTOP, [0, 2, 0]);
    let (number, items) = last_run(&world);
    assert_eq!(items["items"].as_array().unwrap().len(), 4);
    let anna = item(&items, "anna.vcf");
    // There is one group: its name need not be said.
    world.run(["undo", &number, &anna]).expect(0).says(&["becomes what it was"]);
    let line = |member: &str| {
        format!("update on {member}: \"anna.vcf\", with what was chosen or undone, \"anna\"\n")
    };
    world.run(["plan"]).expect(0).says(&[&line(LAPTOP), &line(PHONE), &line(TABLET)]);
    world.sync_well().wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 1, 0]).wrote(TABLET, [0, 1, 0]);
    assert_eq!(at_all(&world, "anna.vcf"), [(); 3].map(|()| card("anna", "old")));
    assert_eq!(at_all(&world, "bert.vcf"), [(); 3].map(|()| card("bert", "new")));
    world.assert_at_rest(0);
    // What the undoing overwrote can be had back in its turn.
    let (number, items) = last_run(&world);
    world.run(["undo", &format!("contacts:{number}"), &item(&items, "anna.vcf")]).expect(0);
    world.sync_well();
    assert_eq!(at_all(&world, "anna.vcf"), [(); 3].map(|()| card("anna", "new")));
}

/// What the laptop holds is everybody's there: undoing anything else would say done, and nothing would be.
#[test]
fn where_one_members_content_is_everybodys_an_item_is_had_back_as_a_file() {
    for (of_group, of_laptop) in
        [("mode = \"mirror:laptop\"", ""), ("readonly = \"revert\"", "read_only = true")]
    {
        let of_member = |name: &str| if name == LAPTOP { of_laptop.to_owned() } else { String::new() };
        let world = group(&names(&[LAPTOP, PHONE]), of_member, of_group);
        for uid in ["anna", "bert", "carl"] {
            world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
        }
        world.sync_well();
        world.delete(LAPTOP, "anna.vcf");
        world.put(LAPTOP, "bert.vcf", card("bert", "new"));
        world.sync_well().wrote(PHONE, [0, 1, 1]);
        let (number, items) = last_run(&world);
        let before = world.tree();
        let says = ["what laptop holds is everybody's in contacts", "put it back at laptop"];
        for how in ["--dry-run", "--json"] {
            world.run(["undo", &number, how]).expect(2).says(&says);
        }
        world.run(["undo", &number]).expect(2).says(&says);
        before.assert_untouched(&world.tree());
        let refused = world.run(["undo", &number, &item(&items, "anna.vcf")]).expect(2).says(&says);
        world.paste(&refused.stderr, "--to FILE").expect(0);
        let file = world.path("FILE");
        assert_eq!(fs::read_to_string(&file).unwrap(), card("anna", "old"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // Put back there, it is everybody's again.
        fs::rename(file, world.file(LAPTOP, "anna.vcf")).unwrap();
        world.sync_well().wrote(PHONE, [1, 0, 0]);
        assert_eq!(world.get(PHONE, "anna.vcf"), card("anna", "old"));
    }
}

#[test]
fn one_item_goes_into_a_new_file_and_nothing_else_changes() {
    let world = world(&["anna", "bert"]);
    for uid in ["anna", "bert"] {
        world.put(PHONE, format!("{uid}.vcf"), card(uid, "new"));
    }
    world.sync_well();
    let (number, items) = last_run(&world);
    let (anna, bert) = (item(&items, "anna.vcf"), item(&items, "bert.vcf"));
    // Not even a run is in its way.
    let run = Store::open(&world.state(), "contacts", DEADLINE).unwrap();
    let shown = world.run(["undo", &number, &anna, "--to", "-"]).expect(0);
    assert_eq!((shown.stdout, shown.stderr), (card("anna", "old"), String::new()));
    drop(run);
    let before = world.tree();
    for (args, why) in [
        (&["--to", "-"][..], "required"),
        (&[&anna, &bert, "--to", "new.vcf"], "name just one"),
        (&["99", "--to", "new.vcf"], "has no item 99"),
        (&[&anna, "--to", "outrigger.toml"], "outrigger.toml is there already, and stays as it is"),
        (&[&anna, "--to", "none/new.vcf"], "none/new.vcf cannot be written"),
        (&[&anna, "--to", "new.vcf", "--dry-run"], "cannot be used with"),
    ] {
        world.run([&["undo", &number], args].concat()).expect(2).says(&[why]);
    }
    world.run(["undo", "99", &anna, "--to", "new.vcf"]).expect(2).says(&["no run 99"]);
    before.assert_untouched(&world.tree());
    world.run(["undo", &number, &anna, "--to", "new.vcf"]).expect(0);
    assert_eq!(fs::read_to_string(world.path("new.vcf")).unwrap(), card("anna", "old"));
    world.assert_at_rest(0);
}

/// What lost comes back, and not the older content that a third member still had.
#[test]
fn a_wrong_choice_is_taken_back() {
    for policy in ["", "conflict = { prefer = \"tablet\" }"] {
        let world = world(&["anna"]);
        let text = fs::read_to_string(world.config()).unwrap();
        world.configure_as(&text.replace("[group.contacts]", &format!("[group.contacts]\n{policy}")));
        world.put(PHONE, "anna.vcf", card("anna", "of the phone"));
        world.put(TABLET, "anna.vcf", card("anna", "of the tablet"));
        if policy.is_empty() {
            world.sync().expect(3);
            let waiting = world.run(["conflicts", "--json"]).json();
            let id = waiting["conflicts"][0]["id"].as_str().unwrap();
            world.run(["conflicts", "resolve", id, "--take", TABLET]).expect(0);
        }
        world.sync_well();
        assert_eq!(at_all(&world, "anna.vcf"), [(); 3].map(|()| card("anna", "of the tablet")));
        let (number, _) = last_run(&world);
        world.run(["undo", &number]).expect(0).says(&["becomes what it was", "is left"]);
        world.sync_well();
        assert_eq!(at_all(&world, "anna.vcf"), [(); 3].map(|()| card("anna", "of the phone")), "{policy}");
    }
}

/// Neither `log` nor `undo` knows of it, and a timer that tries again and again keeps nothing more.
#[test]
fn a_write_that_was_refused_left_nothing_to_have_back() {
    let world = World::new(Link::Inherited);
    world.put(LAPTOP, "anna.vcf", card("anna", "old"));
    world.sync_well();
    world.put(LAPTOP, "anna.vcf", card("anna", "new"));
    for deed in ["refuse", "refuse-all"] {
        mortal(&world, ["commit", deed, "always"], "");
        for _ in 0..2 {
            let run = world.sync().wrote(PHONE, [0, 0, 0]).says(&["no space left"]);
            assert_eq!(world.journal(), Vec::<Vec<u8>>::new(), "{deed}: {run:?}");
        }
    }
    let (number, items) = last_run(&world);
    assert_eq!(items["items"].as_array().unwrap().len(), 0, "{items}");
    world.run(["undo", &number]).says(&["nothing"]);
    mortal(&world, ["nowhere", "", "always"], "");
    world.sync_well().wrote(PHONE, [0, 1, 0]);
    assert_eq!(world.journal(), [card("anna", "old").into_bytes()]);
}

#[test]
fn what_was_edited_since_is_not_overwritten_without_a_word() {
    let world = world(&["anna", "bert"]);
    world.put(PHONE, "anna.vcf", card("anna", "new"));
    world.sync_well();
    let (number, _) = last_run(&world);
    world.run(["undo", &number]).expect(0);
    world.put(TABLET, "anna.vcf", card("anna", "of the tablet"));
    world.sync().expect(3).counted("conflicts", 1).wrote(TABLET, [0, 0, 0]);
    assert_eq!(world.get(TABLET, "anna.vcf"), card("anna", "of the tablet"));
}

#[test]
fn what_is_no_run_or_item_is_said_and_nothing_is_undone() {
    let world = world(&["anna"]);
    let unknown = world.run(["undo", "99"]).expect(2).says(&["no run 99 of contacts"]);
    world.paste(&unknown.stderr, "log contacts").expect(0).says(&["contacts:1"]);
    let missing = world.run(["undo", "contacts:1", "7"]).expect(2).says(&["run 1 of contacts has no item 7"]);
    world.paste(&missing.stderr, "log contacts 1").expect(0).says(&["overwrote and deleted nothing"]);
    world.run(["undo", "contacts:1"]).expect(0).says(&["there is nothing to undo"]);
    world.run(["undo", "contcts:1"]).expect(2).says(&["did you mean `contacts`?"]);
    world.run(["undo", "one"]).expect(2).says(&["GROUP:NUMBER"]);
    world.run(["log", "contcts"]).expect(2).says(&["did you mean `contacts`?"]);
    world.run(["log", "contacts:1"]).expect(0).says(&["contacts:1"]);
    let json = world.run(["undo", "99", "--json"]).expect(2).json();
    assert_eq!(json["exit"], 2);
    // Of a group that was never synchronised nothing is known, and no state is made to find that out.
    fs::remove_dir_all(world.state()).unwrap();
    world.run(["undo", "1"]).expect(2);
    world.run(["log"]).expect(0).says(&["nothing was synchronised yet"]);
    world.run(["reset", PHONE]).expect(0).says(&["nothing was known of phone"]);
    assert!(!world.state().exists());
}

#[test]
fn programs_are_told_what_people_are_told_of_the_past() {
    let world = world(&["anna"]);
    world.put(PHONE, "anna.vcf", card("anna", "new"));
    world.sync_well();
    let runs = world.run(["log", "--json", "-n", "1"]).expect(0).json();
    every_key_is_documented(&runs);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    assert_eq!((&runs["runs"][0]["updated"], &runs["runs"][0]["kept"]), (&2.into(), &2.into()));
    let (number, items) = last_run(&world);
    every_key_is_documented(&items);
    let first = &items["items"][0];
    assert_eq!(
        (&first["what"], &first["member"], &first["title"]),
        (&"overwritten".into(), &"laptop".into(), &"old".into())
    );
    let undone = world.run(["undo", &number, "--json"]).expect(0).json();
    every_key_is_documented(&undone);
    assert_eq!(
        (&undone["items"][0]["outcome"], &undone["items"][1]["by"]),
        (&"restored".into(), &first["item"])
    );
}

#[test]
fn a_run_that_is_busy_is_waited_for_and_not_disturbed() {
    let world = world(&["anna"]);
    world.put(PHONE, "anna.vcf", card("anna", "new"));
    world.sync_well();
    let run = Store::open(&world.state(), "contacts", DEADLINE).unwrap();
    for args in [&["undo", "2"][..], &["reset", PHONE], &["forget", "contacts", "--yes"]] {
        world.run(args).expect(75).says(&["another run is busy with the group contacts"]);
    }
    world.run(["log", "contacts", "2"]).expect(0);
    world.run(["undo", "2", "--dry-run"]).expect(0);
    drop(run);
}

/// A slow listing proves nothing: what it leaves out is not taken for deleted.
#[test]
fn a_member_that_is_reset_is_compared_anew_and_deletes_nothing() {
    let world = world(&["anna", "bert", "carl"]);
    let run = world.run(["reset", PHONE]).expect(0).says(&["phone lists everything", "nothing is deleted"]);
    world.delete(PHONE, "anna.vcf");
    world.put(PHONE, "bert.vcf", card("bert", "new"));
    world.paste(&run.stdout, "sync contacts").expect(0).says(&["−0"]);
    assert!(world.has(LAPTOP, "anna.vcf"));
    assert_eq!(at_all(&world, "bert.vcf"), [(); 3].map(|()| card("bert", "new")));
    world.run(["reset", "phon"]).expect(2).says(&["did you mean `phone`?"]);
    world.run(["reset", PHONE, "contcts"]).expect(2).says(&["did you mean `contacts`?"]);
}

#[test]
fn a_member_is_reset_in_all_its_groups_or_in_one() {
    let world = World::new(Link::Inherited);
    world.configure(
        "",
        "[group.other]\nmembers = [\"phone\", \"laptop\"]\n[member.nas]\nplugin = \"vdir\"\npath = \"./nas\"",
    );
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.run(["sync"]).expect(0);
    let run = world.run(["reset", PHONE]).expect(0).says(&["sync contacts", "sync other"]);
    assert_eq!(run.stdout.lines().count(), 3, "{run:?}");
    let run = world.run(["reset", PHONE, "other", "--new-store"]).expect(0).says(&["sync other"]);
    assert_eq!(run.stdout.lines().count(), 2, "{run:?}");
    world
        .run(["reset", "nas", "other"])
        .expect(2)
        .says(&["nas is no member of the group other", "phone, laptop"]);
    world.run(["sync"]).expect(0);
    world.assert_equal();
}

#[test]
fn a_group_that_is_forgotten_meets_for_the_first_time_and_loses_nothing() {
    let world = world(&["anna", "bert"]);
    world.put(PHONE, "anna.vcf", card("anna", "new"));
    world.sync_well();
    let before = world.members();
    let asked = world.run(["forget", "contacts"]).expect(2).says(&["not touched", "nobody is there to ask"]);
    world.run(["log", "contacts"]).expect(0).says(&["contacts:2"]);
    let done =
        world.paste(&asked.stderr, "--yes").expect(0).says(&["contacts is forgotten", "No item was touched"]);
    world.run(["log", "contacts"]).expect(0).says(&["nothing was synchronised yet"]);
    for (before, now) in before.iter().zip(&world.members()) {
        before.assert_untouched(now);
    }
    world.paste(&done.stdout, "sync contacts").expect(0).says(&["+0 ~0 −0"]);
    assert_eq!(at_all(&world, "anna.vcf"), [(); 3].map(|()| card("anna", "new")));
    // One that is not in the configuration any more is forgotten too; one that never was is a slip.
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("[group.contacts]", "[group.people]"));
    world.run(["forget", "contacts", "--yes"]).expect(0);
    world.run(["forget", "peple", "--yes"]).expect(2).says(&["did you mean `people`?"]);
}
