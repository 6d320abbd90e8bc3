//! What only looks writes nothing at all: `plan`, `status`, `check`.

use std::fs;

use outrigger::store::Store;

use crate::support::{DEADLINE, LAPTOP, PHONE, World, card, over_both_connections, tree};

over_both_connections!(
    a_plan_writes_nothing_and_then_comes_true,
    a_plan_of_a_first_sync_does_not_even_make_the_state_directory,
    a_plan_shows_conflicts_guards_and_adoptions,
    status_writes_nothing_and_needs_no_plugin,
    looking_works_beside_a_run,
    a_quiet_plan_of_one_collection_says_only_what_is_in_the_way,
);

/// Runs the command; nothing in the world may change.
fn only_look(world: &World, args: &[&str], code: i32) -> crate::support::Run {
    let before = world.tree();
    let run = world.run(args).expect(code);
    before.assert_untouched(&world.tree());
    run
}

fn a_plan_writes_nothing_and_then_comes_true(world: World) {
    for uid in ["anna", "bert", "carl", "dora"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    world.put(LAPTOP, "anna.vcf", card("anna", "new"));
    world.delete(PHONE, "bert.vcf");
    world.put(PHONE, "emil.vcf", card("emil", "new"));
    fs::create_dir(world.member(PHONE).join("work")).unwrap();
    let first = only_look(&world, &["plan", "contacts", "--json"], 0);
    let first = first.says(&[
        "would     update on phone: \"anna.vcf\", with \"anna.vcf\" from laptop",
        "would     delete on laptop: \"bert.vcf\", deleted on phone",
        "would     create on laptop: a copy of \"emil.vcf\" from phone",
        "would     make this collection on laptop",
    ]);
    for member in [LAPTOP, PHONE] {
        assert_eq!(["created", "updated", "deleted"].map(|what| first.count(member, what)), [0; 3]);
    }
    let plan = |run: &crate::support::Run| -> Vec<String> {
        run.stdout.lines().filter(|line| line.contains("would")).map(str::to_owned).collect()
    };
    assert_eq!(plan(&only_look(&world, &["plan"], 0)), plan(&first), "two plans are the same");
    world.sync_well().wrote(LAPTOP, [1, 0, 1]).wrote(PHONE, [0, 1, 0]);
    let after = only_look(&world, &["plan", "contacts"], 0);
    assert!(plan(&after).is_empty() && after.stdout.contains("none"), "{after:?}");
}

fn a_plan_of_a_first_sync_does_not_even_make_the_state_directory(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.put(PHONE, "bert.vcf", card("bert", "Bert"));
    fs::create_dir(world.member(PHONE).join("work")).unwrap();
    let run = only_look(&world, &["plan", "contacts", "--json"], 0);
    run.says(&[
        "create on phone: a copy of \"anna.vcf\" from laptop",
        "create on laptop: a copy of \"bert.vcf\" from phone",
        "1 group read",
    ]);
    assert!(!world.state().exists());
    assert!(!world.member(LAPTOP).join("work").exists());
    only_look(&world, &["status"], 0).says(&["never synchronised"]);
    only_look(&world, &["check"], 0);
    assert!(!world.state().exists());
}

fn a_plan_shows_conflicts_guards_and_adoptions(world: World) {
    for uid in (0..10).map(|number| format!("c{number}")) {
        world.put(LAPTOP, format!("{uid}.vcf"), card(&uid, "old"));
    }
    world.sync_well();
    for member in [LAPTOP, PHONE] {
        world.put(member, "c0.vcf", card("c0", "the same"));
    }
    only_look(&world, &["plan", "contacts"], 0); // to be noted, not to be written
    for member in [LAPTOP, PHONE] {
        world.put(member, "c1.vcf", card("c1", member));
    }
    only_look(&world, &["plan", "contacts", "--json"], 3).counted("conflicts", 1);
    for number in 2..10 {
        world.delete(PHONE, format!("c{number}.vcf"));
    }
    only_look(&world, &["plan", "contacts"], 5).says(&["--allow-deletes 8"]);
    world.sync().expect(5);
}

fn status_writes_nothing_and_needs_no_plugin(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.sync_well();
    // The members need not be there.
    fs::rename(world.member(PHONE), world.path("elsewhere")).unwrap();
    only_look(&world, &["status"], 0).says(&["1 item,", "last run just now (exit 0)"]);
    let json = only_look(&world, &["status", "--json"], 0).json();
    let group = &json["groups"][0];
    assert_eq!((&group["group"], &group["items"]), (&"contacts".into(), &1.into()));
    assert!(group["last_run"].is_u64());
    assert_eq!((&json["exit"], &group["last_exit"]), (&0.into(), &0.into()));
    only_look(&world, &["status", "contacts"], 0).says(&["contacts   laptop"]);
    only_look(&world, &["status", "contcts"], 2).says(&["did you mean `contacts`?"]);
    fs::rename(world.path("elsewhere"), world.member(PHONE)).unwrap();
}

fn looking_works_beside_a_run(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.sync_well();
    world.put(LAPTOP, "anna.vcf", card("anna", "new"));
    let run = Store::open(&world.state(), "contacts", DEADLINE).unwrap();
    run.begin_run(1, Default::default()).wait().unwrap();
    let lock = tree(&world.state()).without_ctime();
    world.run(["status"]).expect(4).says(&["cut off"]);
    world.run(["plan", "contacts"]).expect(0).says(&[
        "update on phone: \"anna.vcf\", with \"anna.vcf\" from laptop",
        "note      a run of contacts goes on, or was cut off",
    ]);
    world.run(["check"]).expect(0);
    lock.assert_same_below(&tree(&world.state()).without_ctime(), &world.state());
    drop(run);
}

fn a_quiet_plan_of_one_collection_says_only_what_is_in_the_way(world: World) {
    for number in 0..8 {
        world.put(LAPTOP, format!("c{number}.vcf"), card(&format!("c{number}"), "c"));
    }
    fs::create_dir(world.member(LAPTOP).join("work")).unwrap();
    let quiet = only_look(&world, &["plan", "contacts/book", "-q"], 0);
    assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""));
    let told = only_look(&world, &["plan", "contacts/work"], 0);
    assert!(told.stdout.contains("contacts/work") && !told.stdout.contains("contacts/book"), "{told:?}");
    world.sync_well();
    for number in 0..7 {
        world.delete(PHONE, format!("c{number}.vcf"));
    }
    for verb in ["plan", "sync"] {
        let quiet = world.run([verb, "contacts/book", "-q"]).expect(5);
        assert!(quiet.stdout.is_empty() && quiet.stderr.contains("--allow-deletes 7"), "{quiet:?}");
    }
}
