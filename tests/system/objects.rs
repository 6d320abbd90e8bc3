//! What plugins see of their member and their group in real runs, and that a collection is made once
//! (decisions W11, X1).

use std::collections::BTreeSet;
use std::fs;

use outrigger::store::Store;

use crate::support::host::example;
use crate::support::{DEADLINE, LAPTOP, PHONE, Run, World, over_both_connections};

over_both_connections!(
    w11_a_plugin_sees_what_runs_find_out_of_its_member_and_its_group,
    w11_a_run_that_finds_nothing_new_tells_and_keeps_nothing,
    w11_a_slow_sync_that_was_done_is_seen_to_be_over,
    w11_two_feeds_of_one_type_have_no_anchor_together,
    w11_a_plan_tells_and_keeps_nothing,
    x5_a_feed_that_its_plugin_breaks_off_goes_on_from_its_checkpoint,
    x1_a_collection_that_is_answered_with_another_name_is_left_alone,
    x1_a_create_whose_answer_was_lost_makes_no_second_collection,
);

/// The phone is the showing plugin, with these lines in its table; the group pairs its `kontakte`
/// with `book`, or what else it is told.
fn configure(world: &World, lines: &str, group: &str) {
    let program = world.path("showing_plugin");
    if !program.exists() {
        let built = example("showing_plugin", "tests/system/showing_plugin.rs");
        fs::hard_link(&built, &program).or_else(|_| fs::copy(&built, &program).map(|_| ())).unwrap();
    }
    let connection = world.connection();
    world.configure_as(&format!(
        "state = \"./state\"\n\
         [plugin.showing]\ncommand = [{program:?}]\n\
         [member.laptop]\nplugin = \"vdir\"\npath = \"./laptop\"\nextension = \"vcf\"\n{connection}\n\
         [member.phone]\nplugin = \"showing\"\npath = \"./phone\"\n{connection}\n{lines}\n\
         [group.contacts]\nmembers = [\"laptop\", \"phone\"]\n{group}\n"
    ));
}

const PAIR: &str = "collections = [{ laptop = \"book\", phone = \"kontakte\" }]";

fn contacts(feed: &str, more: &str) -> String {
    format!("collections = \"kontakte\"\ntypes = \"contact\"\nfeed = \"{feed}\"\n{more}")
}

/// What the plugin has seen since it was looked last.
fn saw(world: &World) -> Vec<String> {
    let file = world.member(PHONE).join("saw");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What is kept of the phone.
fn kept(world: &World) -> outrigger::engine::MemberState {
    let store = Store::open(&world.state(), "contacts", DEADLINE).unwrap();
    let kept = store.member(PHONE).wait().unwrap();
    store.close().unwrap();
    kept
}

fn sync(world: &World) -> Run {
    world.run(["sync", "--json"])
}

fn w11_a_plugin_sees_what_runs_find_out_of_its_member_and_its_group(world: World) {
    configure(&world, &contacts("t1", ""), PAIR);
    sync(&world).expect(0);
    assert_eq!(
        saw(&world),
        [
            "initialize: member 0 [], group 0 [] new",
            "discover: member 0 [], group 0 [] new",
            // Told in this run, before the first call that could use it.
            "connect: member 1 [contact], group 2 [contact] new",
            "disconnect: member 1 [contact], group 2 [contact] new",
            // Told again, once the feed was dealt with.
            "finalize: member 2 [contact@t1], group 2 [contact] new",
        ]
    );
    // It holds notes as well now, and its feed has gone on.
    configure(&world, &contacts("t2", "").replace("contact\"", "contact note\""), PAIR);
    sync(&world).expect(0);
    assert_eq!(
        saw(&world),
        [
            "initialize: member 2 [contact@t1], group 3 [contact] ran",
            "discover: member 2 [contact@t1], group 3 [contact] ran",
            "connect: member 3 [contact@t1 note@t1], group 4 [contact note] ran",
            "disconnect: member 3 [contact@t1 note@t1], group 4 [contact note] ran",
            "finalize: member 4 [contact@t2 note@t2], group 4 [contact note] ran",
        ]
    );
}

fn w11_a_run_that_finds_nothing_new_tells_and_keeps_nothing(world: World) {
    configure(&world, &contacts("t1", ""), PAIR);
    sync(&world).expect(0);
    let (_, before) = (saw(&world), kept(&world));
    for targets in [&["sync"][..], &["sync", "contacts/book"]] {
        world.run(targets).expect(0);
        let calls = ["initialize", "discover", "connect", "disconnect", "finalize"];
        let same = calls.map(|call| format!("{call}: member 2 [contact@t1], group 3 [contact] ran"));
        assert_eq!(saw(&world), same, "no snapshot came");
        assert_eq!(kept(&world), before);
    }
}

fn w11_a_slow_sync_that_was_done_is_seen_to_be_over(world: World) {
    configure(&world, &contacts("t1", "raise = \"contact\""), PAIR);
    sync(&world).expect(0);
    let seen = saw(&world);
    assert_eq!(seen[2], "connect: member 2 [contact!], group 3 [contact] new");
    assert_eq!(seen[4], "finalize: member 4 [contact@t1], group 3 [contact] new");
}

fn w11_two_feeds_of_one_type_have_no_anchor_together(world: World) {
    let two = contacts("t1", "").replace("kontakte", "book kontakte");
    fs::create_dir(world.member(LAPTOP).join("kontakte")).unwrap();
    configure(&world, &two, "collections = \"all\"");
    sync(&world).expect(0);
    assert_eq!(saw(&world).pop().unwrap(), "finalize: member 1 [contact], group 2 [contact] new");
    // One of them goes away: what is left of the type is one feed.
    fs::remove_dir(world.member(LAPTOP).join("kontakte")).unwrap();
    configure(&world, &two.replace("book kontakte", "book"), "collections = \"all\"");
    sync(&world).expect(0);
    let seen = saw(&world);
    assert_eq!(seen[0], "initialize: member 1 [contact], group 2 [contact] ran");
    assert_eq!(seen[2], "connect: member 2 [contact@t1], group 2 [contact] ran");
}

fn w11_a_plan_tells_and_keeps_nothing(world: World) {
    configure(&world, &contacts("t1", ""), PAIR);
    let plan = world.run(["-v", "plan"]).expect(0);
    assert!(!plan.stderr.contains("kept"), "{plan:?}");
    assert!(saw(&world).iter().all(|line| line.ends_with(": member 0 [], group 0 [] new")));
    assert!(!world.state().exists());
}

fn x5_a_feed_that_its_plugin_breaks_off_goes_on_from_its_checkpoint(world: World) {
    let listed = || fs::read_to_string(world.member(PHONE).join("listed")).unwrap();
    configure(&world, &contacts("t1", "cut = \"t-half\""), PAIR);
    sync(&world).expect(4).says(&["the server is tired"]);
    configure(&world, &contacts("t1", ""), PAIR);
    sync(&world).expect(0);
    sync(&world).expect(0);
    assert_eq!(listed().lines().collect::<Vec<_>>(), ["", "t-half", "t1"]);
}

/// By its name the next run would not find it, and would make another one.
fn x1_a_collection_that_is_answered_with_another_name_is_left_alone(world: World) {
    let lines = "collections = \"\"\nanswers = \"other\"";
    configure(&world, lines, "collections = \"all\"\ncreate_collections = true");
    for _ in 0..2 {
        sync(&world)
            .expect(7)
            .says(&["book was made at phone, but is called other there", "pair the two names"]);
    }
    let made = fs::read_to_string(world.member(PHONE).join("made")).unwrap();
    assert_eq!(made.lines().count(), 1);
}

fn x1_a_create_whose_answer_was_lost_makes_no_second_collection(world: World) {
    let lists = |name: &str, answers: &str| {
        let lines = format!("collections = \"{name}\"\ntypes = \"contact\"\nanswers = \"{answers}\"");
        configure(&world, &lines, "collections = \"all\"\ncreate_collections = true");
    };
    let lines = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(world.member(PHONE).join(file)).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    lists("", "no");
    sync(&world).expect(4).says(&["could not be made at phone"]);
    let operation = lines("asked").remove(0);
    assert_eq!(uuid::Uuid::parse_str(&operation).unwrap().get_version_num(), 7);
    assert_eq!(kept(&world).creates.len(), 1);
    // Its store does not list the new one yet.
    lists("", "");
    sync(&world).expect(0);
    // Twice in the run in which its plugin died over it.
    assert_eq!(lines("asked"), vec![operation.clone(); 3], "the same operation");
    assert_eq!(lines("made"), [format!("{operation} book")]);
    assert!(kept(&world).creates.is_empty());
    assert_eq!(kept(&world).object_types.keys().collect::<Vec<_>>(), ["contact"], "it counts at once");
    // And once it is forgotten there, it is another one.
    sync(&world).expect(0);
    assert_eq!(lines("made").iter().collect::<BTreeSet<_>>().len(), 2);
}
