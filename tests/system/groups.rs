//! Groups of more than two: who is written, who is waited for, and what settles a conflict.

use std::fs;
use std::time::Duration;

use crate::support::{Link, Run, Running, World, card};

/// A world whose group has these members, each with an empty address book called `book`.
pub(crate) fn group(members: &[String], of_member: impl Fn(&str) -> String, of_group: &str) -> World {
    let world = World::empty(Link::Inherited);
    let mut text = "state = \"./state\"\n".to_owned();
    for member in members {
        fs::create_dir_all(world.member(member).join("book")).unwrap();
        let more = of_member(member);
        text += &format!("[member.{member}]\nplugin = \"vdir\"\npath = \"./{member}\"\n{more}\n");
    }
    text += &format!("[group.contacts]\nmembers = {members:?}\ncreate_collections = true\n{of_group}\n");
    fs::write(world.config(), text).unwrap();
    world
}

pub(crate) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Three members, with these lines for the group.
pub(crate) fn three(of_group: &str) -> World {
    group(&names(&["laptop", "phone", "nas"]), |_| String::new(), of_group)
}

const THREE: [&str; 3] = ["laptop", "phone", "nas"];

/// Lets all three agree on an item.
fn agreed(world: &World, uid: &str, content: &str) {
    world.put("laptop", format!("{uid}.vcf"), content);
    world.sync_well();
}

#[track_caller]
pub(crate) fn assert_all_equal(world: &World, members: &[String]) {
    for member in &members[1..] {
        assert_eq!(world.contents(&members[0]), world.contents(member), "{} and {member}", members[0]);
    }
}

#[track_caller]
pub(crate) fn assert_nothing_to_do(world: &World, members: &[String], code: i32) -> Run {
    let run = world.sync().expect(code);
    for member in members {
        for count in ["created", "updated", "deleted", "read"] {
            assert_eq!(run.count(member, count), 0, "{count} at {member}\n{run:?}");
        }
    }
    run
}

#[test]
fn a_hundred_members_come_to_hold_the_same() {
    let members: Vec<String> = (0..100).map(|number| format!("m{number}")).collect();
    let world = group(&members, |_| String::new(), "");
    for (member, uid) in [("m0", "anna"), ("m42", "bert"), ("m99", "carl")] {
        world.put(member, format!("{uid}.vcf"), card(uid, uid));
    }
    let run = world.sync_well().wrote("m0", [2, 0, 0]).wrote("m17", [3, 0, 0]).wrote("m99", [2, 0, 0]);
    run.says(&["m0 ⇄ m1 ⇄ m2 ⇄ m3 ⇄ m4 ⇄ 95 more", "   95 more 2   "]);
    assert_all_equal(&world, &members);
    assert_nothing_to_do(&world, &members, 0);
    // However few descriptors a shell gives it.
    let mut few = std::process::Command::new("/bin/sh");
    world.place(&mut few);
    few.args(["-c", "ulimit -S -n 256 && exec \"$@\"", "sh"]).arg(world.program());
    few.arg("-c").arg(world.config()).args(["sync", "-q"]);
    Running::new(few.spawn().unwrap()).wait().expect(0);
    // Of a change, everybody else hears; a deletion goes everywhere.
    world.put("m17", "anna.vcf", card("anna", "Anna, edited"));
    world.delete("m3", "bert.vcf");
    world.sync_well().wrote("m17", [0, 0, 1]).wrote("m3", [0, 1, 0]).wrote("m50", [0, 1, 1]);
    assert_all_equal(&world, &members);
    assert_nothing_to_do(&world, &members, 0);
}

/// Ten of them bring what is new, so that whoever gives also takes.
#[test]
#[ignore = "needs minutes: 99,000 files are written by processes that wait for the disk"]
fn a_hundred_members_come_to_hold_a_thousand_items_each() {
    let members: Vec<String> = (0..100).map(|number| format!("m{number}")).collect();
    let world = group(&members, |_| String::new(), "");
    for number in 0..1000 {
        let uid = format!("c{number}");
        world.put(&members[number % 10], format!("{uid}.vcf"), card(&uid, &uid));
    }
    let run = world.start(["sync", "contacts", "--json"]).wait_up_to(Duration::from_secs(900));
    run.expect(0).wrote("m0", [900, 0, 0]).wrote("m99", [1000, 0, 0]);
    assert_eq!(world.contents("m99").len(), 1000);
    assert_all_equal(&world, &members);
    assert_nothing_to_do(&world, &members, 0);
}

#[test]
fn the_group_goes_on_without_a_member_that_need_not_be_there() {
    let members = names(&THREE);
    let optional = |member: &str| if member == "nas" { "required = false".to_owned() } else { String::new() };
    let world = group(&members, optional, "");
    for uid in ["anna", "bert", "carl"] {
        world.put("laptop", format!("{uid}.vcf"), card(uid, uid));
    }
    world.sync_well().wrote("nas", [3, 0, 0]);
    fs::rename(world.member("nas"), world.path("away")).unwrap();
    world.put("laptop", "anna.vcf", card("anna", "Anna, edited"));
    world.put("laptop", "new.vcf", card("new", "New"));
    world.delete("phone", "bert.vcf");
    let run = world.sync_well().wrote("phone", [1, 1, 0]).wrote("laptop", [0, 0, 1]).counted("pending", 0);
    run.says(&["waiting   nas is not there", "nas (not there)", "1 group waiting"]);
    assert_nothing_to_do(&world, &members, 0);
    world.run(["status", "contacts"]).expect(0).says(&["absent    nas was not there"]);
    // What it is owed it gets, and what it has anew everybody gets.
    fs::rename(world.path("away"), world.member("nas")).unwrap();
    world.put("nas", "dora.vcf", card("dora", "Dora"));
    world.sync_well().wrote("nas", [1, 1, 1]).wrote("laptop", [1, 0, 0]).wrote("phone", [1, 0, 0]);
    assert_all_equal(&world, &members);
    assert_nothing_to_do(&world, &members, 0);
}

#[test]
fn a_group_without_a_required_member_or_with_one_alone_is_not_run() {
    let members = names(&THREE);
    let optional =
        |member: &str| if member == "laptop" { String::new() } else { "required = false".to_owned() };
    let world = group(&members, optional, "");
    world.put("laptop", "anna.vcf", card("anna", "Anna"));
    world.sync_well();
    world.put("phone", "bert.vcf", card("bert", "Bert"));
    let away = |member: &str| fs::rename(world.member(member), world.path(format!("{member} away"))).unwrap();
    away("laptop");
    world.sync().expect(4).wrote("nas", [0, 0, 0]).says(&["the plugin of laptop cannot say what it has"]);
    fs::rename(world.path("laptop away"), world.member("laptop")).unwrap();
    away("phone");
    away("nas");
    world.sync().expect(4).says(&["fewer than two members of the group contacts are there"]);
}

#[test]
fn a_member_that_joins_gets_collections_that_others_have_and_one_that_lost_them_does_not() {
    let members = names(&THREE);
    let world = group(&members, |_| String::new(), "");
    let whole = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), whole.replace(", \"nas\"]", "]")).unwrap();
    world.put("laptop", "anna.vcf", card("anna", "Anna"));
    world.sync_well().wrote("phone", [1, 0, 0]);
    fs::write(world.config(), whole).unwrap();
    fs::remove_dir(world.member("nas").join("book")).unwrap();
    world.sync_well().wrote("nas", [1, 0, 0]).wrote("phone", [0, 0, 0]);
    // Now it had it: what is gone is not made anew.
    fs::rename(world.member("nas").join("book"), world.path("away")).unwrap();
    world.sync().expect(5).says(&["the collection book was at nas and is not there any more"]);
    assert!(!world.member("nas").join("book").exists());
}

#[test]
fn a_collection_may_be_called_otherwise_at_each_of_three() {
    let named = "collections = [{ laptop = \"book\", phone = \"people\", nas = \"cards\" }]";
    let world = three(named);
    world.put("laptop", "anna.vcf", card("anna", "Anna"));
    world.sync_well();
    for folder in ["phone/people", "nas/cards"] {
        assert!(world.path(folder).join("anna.vcf").exists(), "{folder}");
    }
    assert!(world.items("phone").is_empty(), "another collection is left alone");
}

#[test]
fn a_deletion_reaches_every_other_member_in_one_run() {
    let world = three("");
    for uid in ["anna", "bert", "carl", "dora", "emil", "fritz"] {
        world.put("laptop", format!("{uid}.vcf"), card(uid, uid));
    }
    world.sync_well();
    world.delete("phone", "bert.vcf");
    world.sync_well().wrote("laptop", [0, 0, 1]).wrote("nas", [0, 0, 1]);
    world.delete("phone", "anna.vcf");
    world.put("laptop", "carl.vcf", card("carl", "Carl, edited"));
    world.sync_well().wrote("laptop", [0, 0, 1]).wrote("nas", [0, 1, 1]);
    assert_all_equal(&world, &names(&THREE));
    assert_nothing_to_do(&world, &names(&THREE), 0);
}

/// The command that the guard names lets just these happen.
#[test]
fn a_member_that_rewrites_everything_is_stopped_and_the_command_goes_on() {
    let world = three("");
    for number in 0..30 {
        world.put("laptop", format!("c{number}.vcf"), card(&format!("c{number}"), "c"));
    }
    world.sync_well();
    for number in 0..30 {
        world.put("phone", format!("c{number}.vcf"), card(&format!("c{number}"), "rewritten"));
    }
    let run = world.sync().expect(5).wrote("laptop", [0, 0, 0]).wrote("nas", [0, 0, 0]);
    let run = run.says(&["before anything was written to laptop: 30 of its 30 items would be updated"]);
    assert_eq!(run.json()["guard"][0]["guard"], "updates");
    world
        .run(["status"])
        .expect(5)
        .says(&["30 of the 30 items of nas would be updated", "--allow-updates 30"]);
    let command = ["sync", "contacts/book", "--json", "--allow-updates"];
    world.run(command.into_iter().chain(["29"])).expect(5).says(&["--allow-updates 29 does not fit"]);
    // Each leave is good for one member.
    world.run(command.into_iter().chain(["30"])).expect(5);
    world.run(command.into_iter().chain(["30"])).expect(0);
    assert_all_equal(&world, &names(&THREE));
}

#[test]
fn two_edits_of_an_item_are_merged_where_nothing_was_changed_twice() {
    let world = three("conflict = \"merge\"");
    let anna = |tel: &str, mail: &str| {
        card("anna", "Anna").replace("END:", &format!("TEL:{tel}\r\nEMAIL:{mail}\r\nEND:"))
    };
    agreed(&world, "anna", &anna("1", "a@x"));
    world.put("phone", "anna.vcf", anna("2", "a@x"));
    world.put("nas", "anna.vcf", anna("1", "b@y"));
    world.sync_well().counted("conflicts", 0).says(&["1 conflict settled"]);
    for member in THREE {
        assert_eq!(world.get(member, "anna.vcf"), anna("2", "b@y"), "{member}");
    }
    assert_nothing_to_do(&world, &names(&THREE), 0);
    world.put("phone", "anna.vcf", anna("3", "b@y"));
    world.put("nas", "anna.vcf", anna("4", "b@y"));
    world.sync().expect(3).counted("conflicts", 1);
    assert_nothing_to_do(&world, &names(&THREE), 3);
}

#[test]
fn a_command_is_given_both_edits_and_what_was_agreed_and_a_plan_does_not_run_it() {
    let world = three("");
    let log = world.path("ran");
    let script = format!(
        "grep -h FN: {{base}} {{left}} {{right}} >> {0}; sed s/left/both/ {{left}} > {{result}}",
        log.display()
    );
    let conflict = format!("conflict = {{ command = [\"sh\", \"-c\", {script:?}] }}");
    let text = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), format!("{text}{conflict}\n")).unwrap();
    agreed(&world, "anna", &card("anna", "base"));
    world.put("laptop", "anna.vcf", card("anna", "left"));
    world.put("nas", "anna.vcf", card("anna", "right"));
    world.run(["plan", "contacts"]).expect(3);
    assert!(!log.exists());
    world.sync_well().counted("conflicts", 0);
    assert_eq!(fs::read_to_string(&log).unwrap(), "FN:base\r\nFN:left\r\nFN:right\r\n");
    for member in THREE {
        assert_eq!(world.get(member, "anna.vcf"), card("anna", "both"), "{member}");
    }
    assert_eq!(fs::read_dir(world.path("tmp")).unwrap().count(), 0, "nothing lies about");
}

#[test]
fn why_a_command_settled_nothing_is_told_and_the_conflict_waits() {
    let world = three("conflict = { command = [\"sh\", \"-c\", \"echo no display >&2; exit 7\"] }");
    agreed(&world, "anna", &card("anna", "base"));
    world.put("laptop", "anna.vcf", card("anna", "left"));
    world.put("phone", "anna.vcf", card("anna", "right"));
    let run = world.sync().expect(3).counted("conflicts", 1);
    run.says(&[
        "note      contacts/book: a conflict waits: the command ended with exit status: 7: no display",
    ]);
}

#[test]
fn a_preferred_member_wins_over_all_others_and_both_edits_can_be_kept() {
    let world = three("conflict = { prefer = \"nas\" }");
    agreed(&world, "anna", &card("anna", "base"));
    for member in THREE {
        world.put(member, "anna.vcf", card("anna", member));
    }
    world.sync_well().wrote("nas", [0, 0, 0]).wrote("laptop", [0, 1, 0]).wrote("phone", [0, 1, 0]);
    assert_all_equal(&world, &names(&THREE));
    let world = three("conflict = \"keep-both\"");
    agreed(&world, "anna", &card("anna", "base"));
    world.put("laptop", "anna.vcf", card("anna", "Anna L"));
    world.put("phone", "anna.vcf", card("anna", "Anna P"));
    world.sync_well();
    assert_all_equal(&world, &names(&THREE));
    let kept = world.contents("nas");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().any(|item| item.contains("phone")), "the member is named: {kept:?}");
}

#[test]
fn what_is_mirrored_is_not_written_and_what_others_change_is_taken_back() {
    let world = three("mode = \"mirror:nas\"");
    for uid in ["anna", "bert", "carl", "dora"] {
        world.put("nas", format!("{uid}.vcf"), card(uid, uid));
    }
    world.sync_well().wrote("laptop", [4, 0, 0]).wrote("nas", [0, 0, 0]);
    world.put("laptop", "anna.vcf", card("anna", "Anna, edited"));
    world.delete("phone", "bert.vcf");
    world.sync_well().wrote("nas", [0, 0, 0]).wrote("laptop", [0, 1, 0]).wrote("phone", [1, 0, 0]);
    assert_all_equal(&world, &names(&THREE));
    assert_nothing_to_do(&world, &names(&THREE), 0);
    // Without it nobody is right.
    let text = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), text.replace("path = \"./nas\"", "path = \"./nas\"\nrequired = false"))
        .unwrap();
    fs::rename(world.member("nas"), world.path("away")).unwrap();
    world.put("laptop", "anna.vcf", card("anna", "Anna, edited"));
    world.sync_well().wrote("phone", [0, 0, 0]).says(&["waiting   nas is not there"]);
}

#[test]
fn what_a_member_does_not_take_is_kept_said_or_taken_back_as_the_group_says() {
    let members = names(&THREE);
    let read_only =
        |member: &str| if member == "nas" { "read_only = true".to_owned() } else { String::new() };
    for (readonly, code, words) in [
        ("keep", 0, "1 change is kept back (read-only)"),
        ("error", 4, "1 change of contacts/book cannot be written to nas: it takes no writes"),
        ("revert", 0, ""),
    ] {
        let world = group(&members, read_only, &format!("readonly = {readonly:?}"));
        for uid in ["anna", "bert", "carl", "dora"] {
            world.put("nas", format!("{uid}.vcf"), card(uid, uid));
        }
        world.sync_well().wrote("phone", [4, 0, 0]);
        world.put("laptop", "anna.vcf", card("anna", "Anna, edited"));
        let run = world.sync().expect(code).wrote("nas", [0, 0, 0]);
        if readonly == "revert" {
            run.wrote("laptop", [0, 1, 0]);
            assert_all_equal(&world, &members);
        } else {
            run.wrote("phone", [0, 1, 0]).says(&[words]);
            world.run(["status"]).expect(code).says(&["1 change for nas, which takes no such writes"]);
        }
    }
}

#[test]
fn what_is_kept_back_and_called_an_error_is_named_with_the_way_out() {
    let members = names(&THREE);
    let read_only =
        |member: &str| if member == "nas" { "read_only = true".to_owned() } else { String::new() };
    let world = group(&members, read_only, "readonly = \"error\"");
    for number in 0..4 {
        let uid = format!("c{number}");
        world.put("nas", format!("{uid}.vcf"), card(&uid, &uid));
    }
    world.sync_well();
    world.put("laptop", "c0.vcf", card("c0", "edited"));
    world.delete("phone", "c1.vcf");
    world.put("phone", "new.vcf", card("new", "new"));
    let lines = [
        "kept      update on nas: \"c0.vcf\"",
        "kept      delete on nas: \"c1.vcf\"",
        "kept      create on nas: a copy of \"new.vcf\"",
    ];
    // Each run says so, until it is dealt with.
    for _ in 0..2 {
        let run = world
            .sync()
            .expect(4)
            .says(&lines)
            .says(&["3 changes of contacts/book cannot be written to nas"]);
        let json = run.json();
        let items = json["collections"][0]["items"].as_array().unwrap();
        assert_eq!((items.len(), &json["collections"][0]["untold"]), (3, &0.into()), "{json:#}");
        assert!(items.iter().all(|item| item["what"] == "kept" && item["member"] == "nas"), "{json:#}");
    }
    for number in 0..30 {
        let uid = format!("more{number}");
        world.put("laptop", format!("{uid}.vcf"), card(&uid, &uid));
    }
    let run = world.sync().expect(4).says(&["and 13 more", "33 changes of contacts/book"]);
    assert_eq!(run.stdout.matches("  kept      ").count(), 20, "{run:?}");
    // What the hint says first: all is taken back.
    let hint = run.json()["failures"][0]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("`readonly = \"revert\"`"), "{hint}");
    let text = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), text.replace("readonly = \"error\"", "readonly = \"revert\"")).unwrap();
    // Two members lose many items; each of them is asked about, and the command that is named goes on.
    let mut run = world.sync();
    for _ in 0..2 {
        run = world.paste(&run.expect(5).stdout, "--allow-deletes 31");
    }
    run.expect(0);
    assert_all_equal(&world, &members);
    assert_eq!(world.items("nas").len(), 4);
}

#[test]
fn nothing_is_deleted_on_a_member_that_takes_no_deletions() {
    let members = names(&THREE);
    let archive = |member: &str| if member == "nas" { "no_delete = true".to_owned() } else { String::new() };
    let world = group(&members, archive, "");
    for uid in ["anna", "bert", "carl", "dora"] {
        world.put("laptop", format!("{uid}.vcf"), card(uid, uid));
    }
    world.sync_well();
    world.delete("laptop", "anna.vcf");
    world.put("laptop", "bert.vcf", card("bert", "Bert, edited"));
    let run = world.sync_well().wrote("phone", [0, 1, 1]).wrote("nas", [0, 1, 0]);
    run.says(&["1 change is kept back (nothing is deleted there)"]);
    assert!(world.has("nas", "anna.vcf") && !world.has("phone", "anna.vcf"));
    assert_nothing_to_do(&world, &members, 0);
}
