//! `plan -o FILE` and `sync --plan FILE`: what was shown is done, and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::groups::{assert_all_equal, names, three};
use crate::support::{LAPTOP, Link, PHONE, Run, World, card};

/// Both members hold these cards.
fn world(uids: &[&str]) -> World {
    let world = World::new(Link::Inherited);
    for uid in uids {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    world
}

/// Plans into `plan.json`.
fn plan(world: &World) -> Run {
    world.run(["plan", "contacts", "-o", "plan.json"])
}

fn execute(world: &World) -> Run {
    world.run(["sync", "--plan", "plan.json", "--json"])
}

#[test]
fn a_plan_is_done_just_as_it_was_shown() {
    let world = world(&["anna", "bert", "carl", "dora"]);
    world.put(LAPTOP, "anna.vcf", card("anna", "new"));
    world.delete(PHONE, "bert.vcf");
    world.put(PHONE, "emil.vcf", card("emil", "new"));
    fs::create_dir(world.member(PHONE).join("work")).unwrap();
    fs::write(world.member(PHONE).join("work/w.vcf"), card("w", "w")).unwrap();
    let members = world.members();
    let planned = plan(&world)
        .expect(0)
        .says(&["kept in plan.json; to do just that:", "make this collection on laptop"]);
    members.iter().zip(&world.members()).for_each(|(before, now)| before.assert_untouched(now));
    let file = fs::metadata(world.path("plan.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let done = world.paste(&planned.stdout, "sync --plan").expect(0);
    assert!(!done.stdout.contains("pending") && !done.stdout.contains("note"), "{done:?}");
    done.says(&["+1 ~1 −1", "+1 ~0 −0"]);
    assert!(world.member(LAPTOP).join("work/w.vcf").exists());
    world.assert_equal();
    world.assert_at_rest(0);
    // Once more: all of it is done.
    execute(&world).expect(0).says(&["3 planned writes of 3 not made"]).wrote(LAPTOP, [0, 0, 0]);
}

#[test]
fn what_has_changed_since_is_refused_item_by_item_and_the_rest_is_done() {
    let world = world(&["anna", "bert", "carl", "dora", "emil"]);
    for uid in ["anna", "bert"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "new"));
    }
    world.delete(LAPTOP, "carl.vcf");
    plan(&world).expect(0);
    // Another edit than the one that was shown; one that nobody was shown; one where a deletion was.
    world.put(LAPTOP, "bert.vcf", card("bert", "newer"));
    world.put(PHONE, "dora.vcf", card("dora", "new"));
    world.put(PHONE, "carl.vcf", card("carl", "new"));
    let run =
        execute(&world).expect(4).counted("pending", 3).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 1, 0]);
    let run = run.says(&["it is not in the plan, or has changed since", "2 planned writes of 3 not made"]);
    for name in ["bert.vcf", "dora.vcf", "carl.vcf"] {
        assert!(run.stdout.contains(&format!("pending   \"{name}\"")), "{name}: {run:?}");
    }
    assert_eq!(world.get(PHONE, "anna.vcf"), card("anna", "new"));
    assert_eq!(world.get(PHONE, "bert.vcf"), card("bert", "old"));
    assert_eq!(world.get(PHONE, "carl.vcf"), card("carl", "new"));
    // Nothing of it is lost: a sync, or the next plan, does it.
    plan(&world).expect(0);
    execute(&world).expect(0).wrote(LAPTOP, [1, 1, 0]).wrote(PHONE, [0, 1, 0]);
    world.assert_equal();
    world.assert_at_rest(0);
}

#[test]
fn only_what_was_planned_is_run() {
    let world = world(&["anna"]);
    for member in [LAPTOP, PHONE] {
        fs::create_dir(world.member(member).join("work")).unwrap();
    }
    world.put(LAPTOP, "anna.vcf", card("anna", "new"));
    plan(&world).expect(0);
    fs::write(world.member(LAPTOP).join("work/w.vcf"), card("w", "w")).unwrap();
    fs::create_dir(world.member(LAPTOP).join("more")).unwrap();
    let run = execute(&world).expect(0).wrote(PHONE, [0, 1, 0]);
    assert!(!run.stdout.contains("contacts/work"), "{run:?}");
    assert!(!world.member(PHONE).join("work/w.vcf").exists() && !world.member(PHONE).join("more").exists());
    world.run(["sync", "--plan", "plan.json", "contacts"]).expect(2);
    // A plan that has nothing to do does nothing.
    world.sync_well();
    plan(&world).expect(0);
    world.put(LAPTOP, "anna.vcf", card("anna", "newer"));
    execute(&world).expect(0).says(&["nothing was planned, nothing is done"]);
    assert_eq!(world.get(PHONE, "anna.vcf"), card("anna", "new"));
}

#[test]
fn a_collection_is_made_only_where_the_plan_makes_it() {
    let world = World::new(Link::Inherited);
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    plan(&world).expect(0);
    fs::remove_dir(world.member(PHONE).join("book")).unwrap();
    let run = execute(&world).expect(4).says(&["book is not made at phone: that is not in the plan"]);
    assert!(!world.member(PHONE).join("book").exists());
    world.paste(&run.stdout.replace("FILE", "plan.json"), "plan contacts -o").expect(0);
    execute(&world).expect(0).wrote(PHONE, [1, 0, 0]);
    world.assert_equal();
}

#[test]
fn a_plan_of_something_else_is_refused_with_the_way_on() {
    let world = world(&["anna"]);
    world.put(LAPTOP, "anna.vcf", card("anna", "new"));
    plan(&world).expect(0);
    let good = fs::read_to_string(world.path("plan.json")).unwrap();
    let with = |text: &str| {
        fs::write(world.path("plan.json"), text).unwrap();
        execute(&world).expect(2)
    };
    with("").says(&["plan.json is no plan, or a damaged one", "plan -o FILE"]);
    with(&good[..good.len() / 2]).says(&["a damaged one"]);
    with(&good.replace("\"update\"", "\"rename\"")).says(&["a damaged one"]);
    with(&good.replace("\"outrigger_plan\": 1", "\"outrigger_plan\": 9")).says(&["a plan of format 9"]);
    with(&good.replace("\"group\": \"contacts\"", "\"group\": \"contcts\""))
        .says(&["did you mean `contacts`?"]);
    world.run(["sync", "--plan", "none.json"]).expect(2).says(&["none.json cannot be read"]);
    // Another policy may decide otherwise; a comment does not.
    fs::write(world.path("plan.json"), &good).unwrap();
    world.configure("conflict = { prefer = \"phone\" }", "");
    let other = execute(&world).expect(2).says(&["another configuration of the group contacts"]);
    assert_eq!(other.json()["exit"], 2);
    world.configure("# a comment", "");
    execute(&world).expect(0).wrote(PHONE, [0, 1, 0]);
}

#[test]
fn a_plan_that_cannot_be_kept_leaves_what_was_there() {
    let world = world(&["anna"]);
    fs::create_dir(world.path("folder")).unwrap();
    world.run(["plan", "-o", "folder"]).expect(2).says(&["the plan cannot be written to folder"]);
    world.run(["plan", "-o", "none/plan.json"]).expect(2);
    let names: Vec<_> = fs::read_dir(world.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with('.')), "{names:?}");
}

/// What a policy would make of a conflict was not shown, so no plan does it; nor does a command run.
#[test]
fn a_plan_settles_no_conflict() {
    let names = ["a0", "a1", "a2", "a3"];
    let world = world(&[&names[..], &["bert"]].concat());
    let script = format!("#!/bin/sh\ntouch '{}'\ncp \"$2\" \"$4\"\n", world.path("ran").display());
    fs::write(world.path("settle"), script).unwrap();
    fs::set_permissions(world.path("settle"), fs::Permissions::from_mode(0o700)).unwrap();
    let policies = ["\"newest\"", "\"merge\"", "\"keep-both\"", "{ command = [\"./settle\"] }"];
    for (name, policy) in names.iter().zip(policies) {
        world.configure(&format!("conflict = {policy}"), "");
        let text = fs::read_to_string(world.config()).unwrap();
        world.configure_as(&text.replace("\"vdir\"\n", "\"vdir\"\nreliable_times = true\n"));
        // So that what was agreed before is known.
        world.put(LAPTOP, format!("{name}.vcf"), card(name, "base"));
        world.sync_well();
        let rev = |day: u8| format!("REV:2026010{day}T000000Z\r\nEND:");
        let left = card(name, "left").replace("END:", &rev(1));
        let right = card(name, "base").replace("END:", &format!("NOTE:right\r\n{}", rev(2)));
        let file = format!("{name}.vcf");
        world.put(LAPTOP, &file, &left);
        world.put(PHONE, &file, &right);
        world.put(LAPTOP, "bert.vcf", card("bert", name));
        plan(&world).expect(3).says(&[&format!("{file}\" at phone; a sync settles it by the policy")]);
        let run = execute(&world).expect(4).counted("conflicts", 0).counted("pending", 1);
        run.wrote(PHONE, [0, 1, 0]).says(&["it is in conflict, and no part of the plan"]);
        assert_eq!((world.get(LAPTOP, &file), world.get(PHONE, &file)), (left, right), "{policy}");
        assert!(!world.path("ran").exists(), "{policy}");
        // Nobody was asked, so the next sync settles it.
        world.sync_well().says(&["1 conflict settled"]);
        world.assert_equal();
    }
    assert!(world.path("ran").exists(), "the command that was not run before");
}

/// The command that goes on does no more than the plan either.
#[test]
fn a_guard_that_stops_a_plan_names_the_plan() {
    let names: Vec<String> = (0..30).map(|number| format!("c{number:02}")).collect();
    let world = world(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        world.put(LAPTOP, format!("{name}.vcf"), card(name, "new"));
    }
    world.run(["plan", "-o", "plan.json", "--allow-updates", "30"]).expect(0);
    world.put(LAPTOP, "other.vcf", card("other", "new"));
    let stopped = execute(&world).expect(5).wrote(PHONE, [0, 0, 0]);
    world.paste(&stopped.stdout, "sync --plan plan.json --allow-updates 30").expect(4).says(&["~30"]);
    assert!(!world.has(PHONE, "other.vcf"));
    // Also as `status` tells it.
    world.run(["status"]);
}

/// The leave is in the command that the plan names, and the number is looked at again.
#[test]
fn a_mass_deletion_can_be_looked_at_and_then_done() {
    let names: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
    let world = world(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names[..8] {
        world.delete(PHONE, format!("{name}.vcf"));
    }
    let empty = plan(&world).expect(5).says(&["nothing was planned", "what a guard stopped is not in it"]);
    assert!(!empty.stdout.contains("sync --plan"), "{empty:?}");
    assert_eq!(empty.stdout.matches("--allow-deletes").count(), 1, "one way on, not two: {empty:?}");
    let quiet = world.run(["plan", "contacts", "-o", "plan.json", "-q"]).expect(5);
    world.paste(&quiet.stderr, "plan contacts --allow-deletes 8 -o plan.json").expect(0);
    let planned = world.paste(&empty.stdout, "plan contacts --allow-deletes 8 -o plan.json").expect(0);
    assert!(!planned.stdout.contains("a guard"), "{planned:?}");
    assert_eq!(planned.stdout.matches("would     delete on laptop").count(), 8, "{planned:?}");
    let stopped = execute(&world).expect(5).wrote(LAPTOP, [0, 0, 0]);
    // They were stopped, and neither done nor changed.
    assert!(!stopped.stdout.contains("not made"), "{stopped:?}");
    assert_eq!(stopped.stdout.matches("sync --plan plan.json --allow-deletes 8").count(), 2, "{stopped:?}");
    world.paste(&stopped.stdout, "sync --plan plan.json --allow-deletes 8").expect(0).says(&["−8"]);
    world.assert_equal();
    // Where there is nothing to do, no command is named that would do it.
    let empty = plan(&world).expect(0).says(&["nothing was planned: plan.json holds an empty plan"]);
    assert!(!empty.stdout.contains("outrigger -c "), "{empty:?}");
}

/// A leave is good for one member, so a plan has the one, and the next plan the other.
#[test]
fn what_a_guard_stops_at_two_members_is_planned_in_two_plans() {
    let world = three("");
    for number in 0..10 {
        world.put(LAPTOP, format!("c{number}.vcf"), card(&format!("c{number}"), "old"));
    }
    world.sync_well();
    for number in 0..8 {
        world.delete(PHONE, format!("c{number}.vcf"));
    }
    for member in ["first", "second"] {
        let empty = plan(&world).expect(5);
        let planned = world.paste(&empty.stdout, "plan contacts --allow-deletes 8 -o plan.json");
        if member == "first" {
            let says = ["what a guard stopped is not in it: do this plan first, then make another"];
            world.paste(&planned.expect(5).says(&says).stdout, "sync --plan").expect(5).says(&["−8"]);
        } else {
            world.paste(&planned.expect(0).stdout, "sync --plan").expect(0).says(&["−8"]);
        }
    }
    assert_all_equal(&world, &names(&[LAPTOP, PHONE, "nas"]));
}
