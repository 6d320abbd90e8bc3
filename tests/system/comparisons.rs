//! A plugin that knows what means the same in its format is asked before a conflict is raised.

use crate::support::host::example;
use crate::support::{LAPTOP, PHONE, World, card, over_both_connections};

over_both_connections!(
    what_a_plugin_takes_for_the_same_is_no_conflict_and_no_write,
    what_means_the_same_at_first_contact_stays_as_it_is,
    a_comparison_that_fails_leaves_a_conflict_and_the_rest_goes_on,
    one_that_dies_or_hangs_over_a_pair_is_not_asked_about_it_again,
);

/// The phone's plugin compares, or does `deed` instead.
fn compare(world: &World, deed: &str) {
    let program = world.path("comparing_plugin");
    if !program.exists() {
        let built = example("comparing_plugin", "tests/system/comparing_plugin.rs");
        std::fs::hard_link(&built, &program).or_else(|_| std::fs::copy(&built, &program).map(drop)).unwrap();
    }
    let (usual, connection) = ("plugin = \"vdir\"\npath = \"./phone\"", world.connection());
    // No clock runs out but that of a plugin that hangs.
    let plugin = format!(
        "[plugin.comparing]\ncommand = [{program:?}, \"{deed}\"]\n[member.phone.sandbox]\n\
         calls_timeout = \"3s\"\n"
    );
    world.configure("", &plugin);
    let text = std::fs::read_to_string(world.config()).unwrap();
    let comparing = "plugin = \"comparing\"\npath = \"./phone\"";
    assert!(text.contains(usual) && text.contains(connection));
    world.configure_as(&text.replace(usual, comparing));
}

/// Both hold two cards that are agreed, and then change one of them.
fn both_edited(world: &World, [laptop, phone]: [&str; 2]) {
    for uid in ["anna", "bert"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    edit(world, [laptop, phone]);
}

fn edit(world: &World, [laptop, phone]: [&str; 2]) {
    world.put(LAPTOP, "anna.vcf", card("anna", laptop));
    world.put(PHONE, "anna.vcf", card("anna", phone));
}

fn what_a_plugin_takes_for_the_same_is_no_conflict_and_no_write(world: World) {
    compare(&world, "case");
    both_edited(&world, ["Anna", "ANNA"]);
    let untouched = world.members();
    world.run(["plan", "contacts", "--json"]).expect(0).counted("conflicts", 0);
    world.sync_well().counted("conflicts", 0).wrote(LAPTOP, [0; 3]).wrote(PHONE, [0; 3]);
    for (before, now) in untouched.iter().zip(&world.members()) {
        before.assert_untouched(now);
    }
    world.assert_at_rest(0);

    // An edit of one is news, also if it means what the other has.
    world.put(PHONE, "anna.vcf", card("anna", "anna"));
    world.sync_well().wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0; 3]);
    world.assert_equal();

    // Something else is a conflict, until it means the same again.
    edit(&world, ["Anna", "Bea"]);
    world.run(["plan", "contacts", "--json"]).expect(3).counted("conflicts", 1);
    world.sync().expect(3).counted("conflicts", 1).wrote(LAPTOP, [0; 3]).wrote(PHONE, [0; 3]);
    world.assert_at_rest(3);
    world.put(LAPTOP, "anna.vcf", card("anna", "bea"));
    world.sync_well().counted("conflicts", 0).wrote(LAPTOP, [0; 3]).wrote(PHONE, [0; 3]);
    world.assert_at_rest(0);
    assert_eq!(world.get(PHONE, "anna.vcf"), card("anna", "Bea"));
}

fn what_means_the_same_at_first_contact_stays_as_it_is(world: World) {
    compare(&world, "case");
    edit(&world, ["Anna", "ANNA"]);
    world.sync_well().counted("conflicts", 0).wrote(LAPTOP, [0; 3]).wrote(PHONE, [0; 3]);
    world.assert_at_rest(0);
    world.delete(LAPTOP, "anna.vcf");
    world.put(LAPTOP, "bert.vcf", card("bert", "new"));
    world.sync_well().wrote(PHONE, [1, 0, 1]);
}

fn a_comparison_that_fails_leaves_a_conflict_and_the_rest_goes_on(world: World) {
    compare(&world, "fail");
    both_edited(&world, ["Anna", "ANNA"]);
    world.put(LAPTOP, "bert.vcf", card("bert", "new"));
    let run = world.sync().expect(4).counted("conflicts", 1).wrote(PHONE, [0, 1, 0]);
    run.says(&["failed    phone", "a comparison", "what is that"]);
    world.assert_at_rest(3);
}

fn one_that_dies_or_hangs_over_a_pair_is_not_asked_about_it_again(world: World) {
    // One that dies is started again in the same run; one that hung waits for the next.
    for (deed, code, updated, words) in
        [("die", 3, 1, "ended by signal"), ("hang", 7, 0, "a comparison: compare")]
    {
        compare(&world, "case");
        both_edited(&world, ["Anna", "ANNA"]);
        world.put(LAPTOP, "bert.vcf", card("bert", deed));
        world.put(LAPTOP, "carl.vcf", card("carl", "Carl"));
        world.put(PHONE, "carl.vcf", card("carl", "CARL"));
        compare(&world, deed);
        let run = world.sync().expect(code).counted("conflicts", 2);
        run.wrote(PHONE, [0, updated, 0]).says(&[words]);
        world.sync().expect(3).counted("conflicts", 2).wrote(PHONE, [0, 1 - updated, 0]);
        world.assert_at_rest(3);
        edit(&world, ["same", "same"]);
        world.delete(PHONE, "carl.vcf");
        world.put(PHONE, "carl.vcf", card("carl", "Carl"));
        world.sync_well().counted("conflicts", 0);
        world.delete(PHONE, "carl.vcf");
        world.sync_well();
    }
}
