//! Whole runs in which a plugin dies, hangs, floods or lies: it is started again, what was begun is
//! ended, what it dies over is set aside, and nobody else notices.

use std::fs;

use serde_json::Value;

use crate::support::host::example;
use crate::support::{LAPTOP, Link, PHONE, Run, World, card, over_both_connections};

over_both_connections!(
    a_plugin_that_dies_once_is_started_again_and_the_run_comes_to_its_end,
    x2_a_write_that_was_done_before_the_plugin_died_is_not_done_twice,
    an_item_that_a_plugin_dies_over_is_set_aside_and_the_rest_comes_across,
    an_item_that_cannot_be_read_is_set_aside_too,
    a_crash_loop_ends_and_other_groups_go_on,
    a_plugin_that_crashes_hangs_floods_or_lies_costs_its_own_rows_only,
);

/// The phone's plugin goes wrong; `more` are lines of its sandbox, then whole tables.
pub(crate) fn mortal<const WORDS: usize>(world: &World, how: [&str; WORDS], more: &str) {
    let program = world.path("mortal_plugin");
    if !program.exists() {
        let built = example("mortal_plugin", "tests/system/mortal_plugin.rs");
        fs::hard_link(&built, &program).or_else(|_| fs::copy(&built, &program).map(drop)).unwrap();
    }
    let words = [&[program.to_str().unwrap()], &how[..]].concat();
    let command = format!("[plugin.mortal]\ncommand = {words:?}\n");
    world.configure("", &format!("{command}[member.phone.sandbox]\n{more}"));
    let usual = "plugin = \"vdir\"\npath = \"./phone\"";
    let text = fs::read_to_string(world.config()).unwrap();
    assert!(text.contains(usual));
    world.configure_as(&text.replace(usual, "plugin = \"mortal\"\npath = \"./phone\""));
}

/// Once only; the file that remembers it lies where the plugin may write.
pub(crate) fn once(world: &World) -> String {
    format!("once={}", world.member(PHONE).join(".died").display())
}

/// Another group, which has nothing to do with the first.
fn others(world: &World) -> String {
    let members = ["desk", "shelf"].map(|name| {
        fs::create_dir_all(world.member(name).join("book")).unwrap();
        format!("[member.{name}]\nplugin = \"vdir\"\npath = \"./{name}\"\n{}\n", world.connection())
    });
    world.put("desk", "olga.vcf", card("olga", "Olga"));
    format!("{}[group.others]\nmembers = [\"desk\", \"shelf\"]\n", members.concat())
}

/// Cards on both sides, in two collections.
fn filled(world: &World) {
    for name in ["anna", "bert", "carl", "dora", "emil"] {
        world.put(LAPTOP, format!("{name}.vcf"), card(name, name));
    }
    world.put(PHONE, "fred.vcf", card("fred", "fred"));
    for member in [LAPTOP, PHONE] {
        fs::create_dir_all(world.member(member).join("work")).unwrap();
    }
    fs::write(world.member(LAPTOP).join("work/gina.vcf"), card("gina", "gina")).unwrap();
}

pub(crate) fn plugin(run: &Run, member: &str) -> Value {
    let json = run.json();
    let of = |plugin: &&Value| plugin["member"] == member;
    json["plugins"].as_array().unwrap().iter().find(of).unwrap().clone()
}

#[track_caller]
fn assert_all_there(world: &World) {
    world.assert_equal();
    assert_eq!(world.items(LAPTOP).len(), 6);
    let gina = fs::read_to_string(world.member(PHONE).join("work/gina.vcf")).unwrap();
    assert_eq!(gina, card("gina", "gina"));
}

/// At each step of its life. Nothing is lost, nothing doubled, and the next run has nothing to do.
/// Holds S61.
fn a_plugin_that_dies_once_is_started_again_and_the_run_comes_to_its_end(world: World) {
    let begin = ["initialize", "discover", "connect", "get_changes"];
    let end = ["read", "commit", "after-commit", "committed_all", "sync_done", "disconnect"];
    for place in begin.into_iter().chain(end) {
        let world = World::new(world.link());
        filled(&world);
        let once = once(&world);
        mortal(&world, [place, "kill", &once], "");
        let run = world.sync().expect(0).says(&["was ended by signal 9 (SIGKILL)", "it crashed once"]);
        let phone = plugin(&run, PHONE);
        assert_eq!((&phone["crashes"], &phone["restarts"]), (&1.into(), &1.into()), "{place}: {phone}");
        assert_eq!(plugin(&run, LAPTOP)["crashes"], 0, "{place}");
        assert!(phone["cpu_ms"].is_u64() && phone["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
        // Of what was done when it died nobody has heard; it is found to be there.
        let written = if place == "after-commit" { 1 } else { 6 };
        assert_eq!(run.count(PHONE, "created"), written, "{place}: each is written once, and counted");
        assert_all_there(&world);
        world.assert_at_rest(0);
        world.run(["status"]).expect(0).says(&["the plugin of phone, once lately"]);
    }
}

/// The link that all collections share is opened again before any of them is, wherever it was lost.
#[test]
fn a_main_sink_is_connected_again_in_the_next_process() {
    for place in ["main", "main-done", "connect", "get_changes", "after-commit"] {
        let world = World::new(Link::Inherited);
        filled(&world);
        let once = once(&world);
        mortal(&world, [place, "kill", &once, "main"], "");
        let phone = plugin(&world.sync().expect(0), PHONE);
        assert_eq!((&phone["crashes"], &phone["restarts"]), (&1.into(), &1.into()), "{place}: {phone}");
        assert_all_there(&world);
        world.assert_at_rest(0);
    }
}

/// The answer is lost with the plugin: the next one is asked what became of it before anything else.
fn x2_a_write_that_was_done_before_the_plugin_died_is_not_done_twice(world: World) {
    filled(&world);
    world.sync_well();
    let once = once(&world);
    mortal(&world, ["after-commit", "kill", &once], "");
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna 2"));
    world.delete(LAPTOP, "bert.vcf");
    world.put(LAPTOP, "hugo.vcf", card("hugo", "hugo"));
    let run = world.sync().expect(0);
    assert_eq!(plugin(&run, PHONE)["crashes"], 1);
    assert_all_there(&world);
    assert_eq!(world.get(PHONE, "anna.vcf"), card("anna", "Anna 2"));
    world.assert_at_rest(0);
}

/// Holds S62.
fn an_item_that_a_plugin_dies_over_is_set_aside_and_the_rest_comes_across(world: World) {
    filled(&world);
    world.put(LAPTOP, "bert.vcf", card("bert", "poison"));
    // As many crashes as the budget has: they do not count.
    mortal(&world, ["commit", "kill", "over=poison"], "restart = { max = 3 }");
    let run = world.sync().expect(4).counted("quarantined", 1);
    let phone = plugin(&run, PHONE);
    assert_eq!((&phone["crashes"], &phone["restarts"]), (&3.into(), &3.into()), "{phone}");
    assert_eq!((&phone["set_aside"], &phone["open_until"]), (&1.into(), &Value::Null), "{phone}");
    let words = ["bert.vcf", "it cannot be written: the plugin crashed over it three times"];
    let released = format!("outrigger -c {} sync contacts/book --retry-crashed", world.config().display());
    run.says(&words).says(&[&released, "phone: 3 crashes, 3 restarts, 1 item set aside; "]);
    assert!(!world.has(PHONE, "bert.vcf") && world.items(PHONE).len() == 5);
    assert_eq!(world.items(LAPTOP).len(), 6);
    world.run(["status"]).expect(4).says(&words).says(&["or a sync with --retry-crashed"]);
    // It is not asked for it again, until it is another.
    let again = world.sync().expect(4).counted("quarantined", 1);
    assert_eq!(plugin(&again, PHONE)["crashes"], 0);
    world.put(LAPTOP, "bert.vcf", card("bert", "antidote"));
    world.sync_well();
    assert_all_there(&world);
}

fn an_item_that_cannot_be_read_is_set_aside_too(world: World) {
    filled(&world);
    world.put(PHONE, "poison.vcf", card("poison", "p"));
    mortal(&world, ["read", "kill", "over=poison"], "");
    let run = world.sync().expect(4).counted("quarantined", 1);
    assert_eq!(plugin(&run, PHONE)["crashes"], 3);
    run.says(&["poison.vcf", "it cannot be read: the plugin crashed over it three times"]);
    assert_eq!((world.items(LAPTOP).len(), world.items(PHONE).len()), (6, 7), "the rest has come across");
    let again = world.sync().expect(4).counted("quarantined", 1);
    assert_eq!(plugin(&again, PHONE)["crashes"], 0);
    // The plugin was mended, and the user says so.
    mortal(&world, ["nowhere", "", "always"], "");
    world.sync().expect(4);
    world.run(["sync", "contacts", "--json", "--retry-crashed"]).expect(0);
    world.assert_equal();
    world.assert_at_rest(0);
}

/// Its crashes never count together, so the circuit stays closed; the run comes to an end all the same.
#[test]
fn a_plugin_that_dies_too_slowly_for_its_budget_is_given_up_for_this_run() {
    for place in ["start", "initialize", "main", "get_changes"] {
        let world = World::new(Link::Inherited);
        filled(&world);
        mortal(&world, [place, "kill", "always", "main"], "restart = { max = 3, within = \"1ms\" }");
        let run = world.sync().expect(7).says(&["SIGKILL"]);
        assert!(run.json()["failures"].as_array().is_some_and(|failures| !failures.is_empty()));
        world.run(["status"]).expect(7);
    }
}

/// A server that is away is no crash, however often, and nothing is charged with it.
#[test]
fn a_plugin_that_loses_its_server_has_not_crashed() {
    let world = World::new(Link::Inherited);
    filled(&world);
    mortal(&world, ["commit", "lose", "always"], "");
    for _ in 0..4 {
        let run = world.sync().expect(7).counted("quarantined", 0).says(&["the server hung up"]);
        assert_eq!(
            (plugin(&run, PHONE)["crashes"].clone(), plugin(&run, PHONE)["restarts"].clone()),
            (0.into(), 0.into())
        );
    }
    mortal(&world, ["nowhere", "", "always"], "");
    world.sync_well();
    assert_all_there(&world);
}

/// Nobody waits for the end of a call three times in one run: each run hangs once, and the third one
/// knows the culprit.
#[test]
fn an_item_that_a_plugin_hangs_over_is_found_by_three_runs() {
    let world = World::new(Link::Inherited);
    filled(&world);
    world.put(LAPTOP, "bert.vcf", card("bert", "poison"));
    mortal(&world, ["commit", "hang", "over=poison"], "calls_timeout = \"1s\"\n");
    for crashes in [1, 1, 1] {
        let run = world.sync().expect(7).says(&["not answered in time"]);
        assert_eq!(plugin(&run, PHONE)["crashes"], crashes);
    }
    let run = world.sync().expect(4).counted("quarantined", 1);
    assert_eq!(plugin(&run, PHONE)["crashes"], 0);
    assert_eq!(world.items(PHONE).len(), 5);
    world.run(["status"]).expect(4).says(&["three times"]);
}

/// Holds S58.
fn a_crash_loop_ends_and_other_groups_go_on(world: World) {
    for place in ["initialize", "get_changes"] {
        let world = World::new(world.link());
        filled(&world);
        let more = format!("restart = {{ max = 2 }}\n{}", others(&world));
        mortal(&world, [place, "kill", "always"], &more);
        let run = world.run(["sync", "--json"]).expect(7);
        let said = ["the plugin of phone crashed 2 times", "is not started again for 10 minutes", "SIGKILL"];
        run.says(&said).says(&["1 group in sync, 1 group with trouble"]);
        assert_eq!(world.get("shelf", "olga.vcf"), card("olga", "Olga"));
        let command = format!("`outrigger -c {}", world.config().display());
        let mend = format!("{command} sync contacts --retry-crashed` starts it at once");
        world.run(["status"]).expect(7).says(&["2 times lately", &mend]);
        world.run(["sync"]).expect(7).says(&[&format!("{command} -v check` shows what it says")]);
        let status = world.run(["status", "--json"]).expect(7).json();
        let told = &status["groups"][0]["plugins"][0];
        assert_eq!((&told["member"], &told["crashes"]), (&PHONE.into(), &2.into()));
        assert!(told["open_until"].is_u64() && status["groups"][1]["plugins"] == Value::Array(vec![]));
        // The next run does not try, and still runs the other group.
        world.delete("desk", "olga.vcf");
        world.put("desk", "paul.vcf", card("paul", "Paul"));
        let died = world.run(["sync", "--json"]).expect(7).says(&["crashed 2 times"]);
        assert!(died.json()["plugins"].as_array().unwrap().iter().all(|plugin| plugin["member"] != PHONE));
        assert!(world.member("shelf").join("book/paul.vcf").exists());
        // Mended: the user says so.
        mortal(&world, ["nowhere", "", "always"], "restart = { max = 2 }");
        world.sync().expect(7);
        world.run(["sync", "contacts", "--json", "--retry-crashed"]).expect(0);
        assert_all_there(&world);
    }
}

/// The other group is kept the same, and nothing of the first is lost or made up.
/// Holds S63.
fn a_plugin_that_crashes_hangs_floods_or_lies_costs_its_own_rows_only(world: World) {
    for deed in ["kill", "hang", "flood", "lie"] {
        let world = World::new(world.link());
        filled(&world);
        let more = format!("calls_timeout = \"1s\"\nrestart = {{ max = 2 }}\n{}", others(&world));
        mortal(&world, ["get_changes", deed, "always"], &more);
        let before = [LAPTOP, PHONE].map(|member| world.items(member));
        let run = world.run(["sync", "--json"]).expect(7);
        assert_eq!(world.get("shelf", "olga.vcf"), card("olga", "Olga"), "{deed}");
        for member in ["desk", "shelf"] {
            assert_eq!(plugin(&run, member)["crashes"], 0, "{deed}");
        }
        let json = run.json();
        let failures = json["failures"].as_array().unwrap();
        assert!(
            !failures.is_empty() && failures.iter().all(|failure| failure["group"] == "contacts"),
            "{json:#}"
        );
        let others: Vec<&Value> =
            json["collections"].as_array().unwrap().iter().filter(|one| one["group"] == "others").collect();
        assert!(others.len() == 1 && others[0]["exit"] == 0, "{deed}: {json:#}");
        assert_eq!([LAPTOP, PHONE].map(|member| world.items(member)), before, "{deed}");
        // The same run with a plugin in order.
        mortal(&world, ["nowhere", "", "always"], "");
        world.run(["sync", "contacts", "--json", "--retry-crashed"]).expect(0);
        assert_all_there(&world);
    }
}
