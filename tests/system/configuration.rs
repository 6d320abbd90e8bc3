//! The command line and the configuration: what is wrong is named with its place, before anything
//! is touched.

use std::fs;

use crate::support::host::example;
use crate::support::{LAPTOP, Link, PHONE, World, card, over_both_connections};

over_both_connections!(check_says_what_there_is, init_writes_what_check_and_sync_take);

fn check_says_what_there_is(world: World) {
    fs::create_dir(world.member(PHONE).join("work")).unwrap();
    let before = world.tree();
    let run = world.run(["check"]).expect(0);
    before.assert_untouched(&world.tree());
    let run = run.says(&[
        "contacts/laptop",
        "contacts/phone",
        "collections   \"book\", \"work\"",
        "env_and_descriptors_clean",
    ]);
    assert!(run.stdout.contains("enforced: "), "{run:?}");
    let of_each = match world.link() {
        Link::Inherited => "advisory: each file is bounded",
        Link::Named => "unavailable: the profile is `none`",
    };
    assert_eq!(run.stdout.matches(of_each).count(), 2, "a line a member: {run:?}");
    fs::remove_dir_all(world.member(PHONE)).unwrap();
    world.run(["check"]).expect(4).says(&["phone", "No such file", "required = false"]);
}

fn init_writes_what_check_and_sync_take(world: World) {
    fs::remove_file(world.config()).unwrap();
    let members =
        ["--member", "laptop=vdir:./laptop", "--member", "phone=vdir:./phone", "--group", "contacts"];
    let init = |world: &World| world.run(["init"].into_iter().chain(members));
    init(&world).expect(0).says(&["wrote", "check contacts", "sync contacts"]);
    let written = fs::read_to_string(world.config()).unwrap();
    init(&world).expect(2).says(&["is there already, and is never overwritten", "-c FILE"]);
    assert_eq!(fs::read_to_string(world.config()).unwrap(), written);
    let [before, after] = ["path = \"./laptop\"\n", "path = \"./phone\"\n"].map(|line| {
        assert!(written.contains(line), "{written}");
        format!("{line}{}", world.connection())
    });
    let connected = written.replace("path = \"./laptop\"\n", &before).replace("path = \"./phone\"\n", &after);
    world.configure_as(&connected);
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    world.run(["check", "contacts"]).expect(0);
    world.sync_well().wrote(PHONE, [1, 0, 0]);
    world.assert_equal();
}

#[test]
fn a_plugin_that_is_not_there_is_named_with_what_was_meant() {
    let world = World::new(Link::Inherited);
    let text = fs::read_to_string(world.config()).unwrap();
    let with = |plugin: &str| {
        let text = text.replacen("\"vdir\"", &format!("\"{plugin}\""), 1);
        world.configure_as(&format!("{text}[plugin.people]\ncommand = [\"./gone\", \"x\"]\n"));
    };
    let before = world.members();
    with("poeple");
    for verb in ["sync", "status"] {
        world.run([verb]).expect(2).says(&["no plugin is called `poeple`", "did you mean `people`?"]);
    }
    with("crm");
    world.sync().expect(2).says(&["the plugins are: vdir, people", "[plugin.crm]"]);
    with("people");
    let gone = world.path("gone");
    world.sync().expect(7).says(&["the plugin of laptop could not be started", gone.to_str().unwrap()]);
    for (before, now) in before.iter().zip(&world.members()) {
        before.assert_untouched(now);
    }
}

#[test]
fn init_needs_somebody_to_ask_or_all_the_answers() {
    let world = World::empty(Link::Inherited);
    world.run(["init"]).expect(2).says(&["nobody is there to ask", "--member"]);
    world.run(["init", "--member", "laptop=vdir"]).expect(2).says(&["NAME=PLUGIN:PLACE"]);
    let refused = world.run(["init", "--member", "a b=vdir:x", "--member", "c=vdir:y"]).expect(2);
    assert!(!world.config().exists(), "{refused:?}");
}

#[test]
fn init_finds_slips_before_it_writes() {
    let world = World::empty(Link::Inherited);
    let init = |a: &str, b: &str, group: &str| {
        let run = world.run(["init", "--member", a, "--member", b, "--group", group]);
        assert!(!world.config().exists(), "{run:?}");
        run.expect(2)
    };
    init("a b=vdir:x", "c=vdir:y", "g").says(&["`a b` cannot be the name of a member", "letters, digits"]);
    init("a=vdir:x", "b=vdir:y", "a/b").says(&["`a/b` cannot be the name of a group"]);
    init("a=vdri:x", "b=vdir:y", "g").says(&["no plugin is called `vdri`", "did you mean `vdir`?"]);
    init("a=carddav:x", "b=vdir:y", "g").says(&["no plugin is called `carddav`", "the plugins are: vdir"]);
    init("a=vdir:x", "A=vdir:y", "g").says(&["both members are called `A`"]);
    let same =
        init("a=vdir:./x", "b=vdir:x/", "g").says(&["`a` and `b` are the same place", "another `path`"]);
    assert!(!same.stderr.contains("outrigger.toml:"), "no line of a file that is not there: {same:?}");
}

#[test]
fn init_says_what_is_odd_about_a_place_and_how_to_go_on() {
    let world = World::empty(Link::Inherited);
    fs::create_dir_all(world.path("bare")).unwrap();
    fs::write(world.path("bare/anna.vcf"), card("anna", "Anna")).unwrap();
    let args = ["init", "--member", "a=vdir:bare", "--member", "b=vdir:missing", "--group", "g"];
    let run = crate::support::Running::new(world.command(args).spawn().unwrap()).wait().expect(0);
    let missing = world.path("missing").display().to_string();
    let run = run.says(&[&format!("{missing}, is not there yet"), "holds items and no folders"]);
    // In the usual place there is no need to name it; a relative place is seen from here.
    assert!(run.stdout.contains("next:  outrigger check g"), "{run:?}");
    let written = fs::read_to_string(world.path("home/.config/outrigger/config.toml")).unwrap();
    assert!(written.contains(&format!("path = \"{missing}\"")), "{written}");
    world.run(args).expect(0).says(&[&format!("next:  outrigger -c {} check g", world.config().display())]);
}

#[test]
fn two_members_at_one_place_are_refused_before_anything_starts() {
    let world = World::new(Link::Inherited);
    let text = fs::read_to_string(world.config()).unwrap().replace("./phone", "laptop/");
    world.configure_as(&text);
    for verb in ["sync", "plan", "check", "status"] {
        world.run([verb]).expect(2).says(&["outrigger.toml:7:9: `laptop` and `phone` are the same place"]);
    }
}

#[test]
fn what_a_plugin_printed_too_much_is_told_once_and_by_its_size() {
    let world = World::new(Link::Inherited);
    let noisy = example("hostile_plugin", "tests/system/hostile_plugin.rs");
    let text = fs::read_to_string(world.config()).unwrap().replacen("\"vdir\"", "\"noisy\"", 1);
    let command = format!("command = [\"{}\", \"discover\", \"flood\"]", noisy.display());
    world.configure_as(&format!("{text}[plugin.noisy]\n{command}\n"));
    let run = world.run(["check", "-v"]).expect(0);
    let told = run.stderr.lines().filter(|line| line.contains("it said more than is logged"));
    assert_eq!(told.count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("WARN"), "{}", run.stderr);
}

#[test]
fn a_requirement_that_cannot_be_met_says_what_to_take_out() {
    let world = World::new(Link::Inherited);
    world.configure("", "[member.phone.sandbox]\nrequire = [\"disk\"]");
    for verb in ["sync", "check"] {
        let run = world.run([verb]).expect(7);
        let run = run.says(&["disk (advisory", "take it out of `require` in [member.phone.sandbox]"]);
        assert!(!format!("{run:?}").contains("shows what the plugin says"), "it never ran: {run:?}");
    }
    world.configure("", "[member.phone.sandbox]\nrequire = [\"disk\"]\non_unsupported = \"weaken\"");
    world.sync_well();
}

#[test]
fn without_a_home_configuration_the_usual_place_is_named() {
    let world = World::empty(Link::Inherited);
    let place = world.path("home").join(".config/outrigger/config.toml");
    let run = crate::support::Running::new(world.command(["sync"]).spawn().unwrap()).wait().expect(2);
    run.says(&[&place.display().to_string(), "`outrigger init`"]);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let config = "[member.a]\nplugin = \"vdir\"\npath = \"~/a\"\n[member.b]\nplugin = \"vdir\"\npath = \"~/b\"\n\
                  [group.g]\nmembers = [\"a\", \"b\"]\ncreate_collections = true\n";
    fs::write(&place, config).unwrap();
    for member in ["a", "b"] {
        fs::create_dir_all(world.path("home").join(member)).unwrap();
    }
    fs::create_dir(world.path("home/a/book")).unwrap();
    crate::support::Running::new(world.command(["sync"]).spawn().unwrap()).wait().expect(0);
    assert!(world.path("home/b/book").is_dir());
    assert!(world.path("home/.local/state/outrigger/groups/g.db").is_file());
}

#[test]
fn a_mistake_is_named_with_its_line_and_what_was_meant() {
    let world = World::new(Link::Inherited);
    let good = fs::read_to_string(world.config()).unwrap();
    let cases = [
        (
            "create_collections",
            "creat_collections",
            &["unknown key `creat_collections`", "did you mean `create_collections`?"][..],
        ),
        ("plugin = \"vdir\"", "plugin = \"vdri\"", &["no plugin is called `vdri`", "did you mean `vdir`?"]),
        ("path =", "pth =", &["unknown key `pth`", "did you mean `path`?"]),
        (
            "members = [\"laptop\", \"phone\"]",
            "members = [\"laptop\", \"phon\"]",
            &["no member is called `phon`", "did you mean `phone`?"],
        ),
        ("state =", "sate =", &["unknown key `sate`", "did you mean `state`?"]),
        ("[group.contacts]", "[group.contacts", &["outrigger.toml:"]),
        ("collections = \"all\"", "collections = \"from:server\"", &["not built yet"]),
        ("collections = \"all\"", "every = \"15m\"", &["not built yet"]),
        ("collections = \"all\"", "conflict = \"newst\"", &["cannot be \"newst\"", "newest"]),
    ];
    let before = world.members();
    for (right, wrong, words) in cases {
        let text = good.replacen(right, wrong, 1);
        assert_ne!(text, good);
        world.configure_as(&text);
        let line = 1 + text[..text.find(wrong).unwrap()].lines().count();
        for command in ["sync", "plan", "check"] {
            let run = world.run([command]).expect(2).says(words);
            assert!(
                all(&run).contains(&format!("outrigger.toml:{line}:")) || right == "plugin = \"vdir\"",
                "line {line}: {run:?}"
            );
        }
    }
    assert!(!world.state().exists());
    for (before, now) in before.iter().zip(&world.members()) {
        before.assert_untouched(now);
    }
}

fn all(run: &crate::support::Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

#[test]
fn a_group_that_is_not_there_is_named_with_the_nearest() {
    let world = World::new(Link::Inherited);
    for command in ["sync", "plan", "check"] {
        let run = world
            .run([command, "contcts"])
            .expect(2)
            .says(&["no group is called `contcts`", "did you mean `contacts`?"]);
        assert!(run.stdout.is_empty(), "{run:?}");
    }
    assert!(!world.state().exists());
    world.run(["snyc"]).expect(2).says(&["sync"]);
    world.run(["sync", "--allow-deletes", "many"]).expect(2);
}

#[test]
fn one_collection_is_all_that_is_touched_where_one_is_named() {
    let world = World::new(Link::Inherited);
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    fs::create_dir(world.member(LAPTOP).join("work")).unwrap();
    world.run(["sync", "contacts/book"]).expect(0).says(&["contacts/book", "1 group in sync"]);
    assert!(world.has(PHONE, "anna.vcf"));
    assert!(!world.member(PHONE).join("work").exists(), "nobody asked for it");
    world
        .run(["sync", "contacts/bok"])
        .expect(2)
        .says(&["no collection is called `bok`", "did you mean `book`?"]);
    world.run(["sync", "contacts/else"]).expect(2).says(&["check` lists"]);
}

#[test]
fn a_configuration_without_a_group_is_no_success() {
    let world = World::empty(Link::Inherited);
    world.configure_as("");
    for verb in ["sync", "plan", "check", "status"] {
        world.run([verb]).expect(2).says(&["has no group", "[group.NAME]"]);
    }
}
