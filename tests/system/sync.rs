//! Two address books become the same, and stay untouched when they are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::Value;

use crate::support::{LAPTOP, PHONE, World, card, event, over_both_connections, todo, tree};

over_both_connections!(
    first_sync_brings_each_what_the_other_has,
    a_second_run_writes_nothing_and_fetches_nothing,
    the_last_line_of_stdout_is_one_object_of_this_shape,
    what_is_put_back_to_the_old_text_comes_back,
    the_defect_of_the_most_used_peer_is_not_here,
    what_is_put_back_after_a_conflict_made_equal_comes_back,
    what_is_put_back_after_a_conflict_with_one_side_restored_comes_back,
    collections_pair_by_name_and_missing_ones_are_made,
    collections_that_are_named_pair_as_named,
    items_are_bytes_and_arrive_as_they_are,
    appointments_and_tasks_travel_beside_cards,
    s6_a_change_that_restores_size_and_time_is_seen,
    s7_without_a_uid_the_name_is_the_item,
    names_may_be_any_bytes,
    foreign_and_hidden_files_are_left_alone,
);

/// Both ways to cast two members: what holds from A to B holds from B to A.
const BOTH_WAYS: [[&str; 2]; 2] = [[LAPTOP, PHONE], [PHONE, LAPTOP]];

fn first_sync_brings_each_what_the_other_has(world: World) {
    for uid in ["anna", "bert", "carl"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "at the laptop"));
    }
    for uid in ["dora", "emil"] {
        world.put(PHONE, format!("{uid}.vcf"), card(uid, "at the phone"));
    }
    for member in [LAPTOP, PHONE] {
        world.put(member, "both.vcf", card("both", "at both"));
    }
    let run = world.sync_well().wrote(LAPTOP, [2, 0, 0]).wrote(PHONE, [3, 0, 0]);
    assert_eq!((run.count(LAPTOP, "listed"), run.count(PHONE, "listed")), (4, 3));
    assert_eq!(world.contents(LAPTOP).len(), 6);
    world.assert_equal();
    assert_eq!(world.get(PHONE, "anna.vcf"), card("anna", "at the laptop"));
    world.assert_at_rest(0);
}

fn a_second_run_writes_nothing_and_fetches_nothing(world: World) {
    let uids: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
    for (number, uid) in uids.iter().enumerate() {
        let member = if number % 2 == 0 { LAPTOP } else { PHONE };
        world.put(member, format!("{uid}.vcf"), card(uid, "one"));
    }
    // Source files that are as young as files can be, and copies that this run has just written.
    world.sync_well();
    world.assert_at_rest(0);
    for uid in &uids[..10] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "two"));
    }
    for uid in &uids[10..20] {
        world.put(PHONE, format!("{uid}.vcf"), card(uid, "two"));
    }
    world.delete(PHONE, "c39.vcf");
    world.sync_well().wrote(PHONE, [0, 10, 0]).wrote(LAPTOP, [0, 10, 1]);
    world.assert_equal();
    world.assert_at_rest(0);
    world.assert_at_rest(0);
    // A file that was saved with the same text is looked at, once, and not written.
    world.put(LAPTOP, "c0.vcf", card("c0", "two"));
    let before = world.members();
    world.sync_well().wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    for (before, now) in before.iter().zip(&world.members()) {
        before.assert_untouched(now);
    }
    world.assert_at_rest(0);
}

fn the_last_line_of_stdout_is_one_object_of_this_shape(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "Anna"));
    let run = world.sync_well();
    let json = run.json();
    let known = [
        ["absent", "collections", "conflicts", "duration_ms"],
        ["exit", "failures", "guard", "members"],
        ["peak_rss_bytes", "pending", "plugins", "quarantined"],
    ];
    assert_eq!(keys(&json), known.concat());
    assert_eq!(keys(&json["members"]), [LAPTOP, PHONE]);
    for member in [LAPTOP, PHONE] {
        let member = &json["members"][member];
        assert_eq!(keys(member), ["created", "deleted", "kept", "listed", "read", "updated"]);
        assert!(member.as_object().unwrap().values().all(Value::is_u64), "{member}");
    }
    for count in ["conflicts", "quarantined", "pending", "duration_ms"] {
        assert!(json[count].is_u64(), "{count}: {json:#}");
    }
    assert!(json["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
    let plugins = json["plugins"].as_array().unwrap();
    let of: Vec<&str> = plugins.iter().map(|plugin| plugin["member"].as_str().unwrap()).collect();
    assert_eq!(of, [LAPTOP, PHONE]);
    for plugin in plugins {
        let known = [
            ["cpu_ms", "crashes", "keeper_peak_rss_bytes", "member", "network"].as_slice(),
            &["open_until", "peak_rss_bytes", "pid", "plugin"],
            &["restarts", "sandbox", "set_aside", "start_ms"],
        ];
        assert_eq!(keys(plugin), known.concat());
        assert!(plugin["cpu_ms"].is_u64() && plugin["open_until"].is_null(), "{plugin}");
        assert_eq!((&plugin["restarts"], &plugin["crashes"]), (&0.into(), &0.into()));
        assert_eq!(plugin["plugin"], "vdir");
        assert!(plugin["pid"].as_u64().unwrap() > 1 && plugin["start_ms"].is_u64());
        assert!(plugin["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
        assert!(plugin["keeper_peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
        let mut sandbox = plugin["sandbox"].as_object().unwrap().clone();
        assert!(sandbox.remove("tier").unwrap().is_string());
        assert!(sandbox.values().all(|standing| standing["standing"].is_string()));
    }
    assert_ne!(plugins[0]["pid"], plugins[1]["pid"]);
    // Quietly, the object is all there is.
    let quiet = world.run(["sync", "contacts", "--json", "--quiet"]).expect(0);
    assert_eq!(quiet.stdout.lines().count(), 1, "{quiet:?}");
    quiet.json();
}

fn keys(object: &Value) -> Vec<&str> {
    let keys: BTreeSet<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.into_iter().collect()
}

/// Issue point 4: a changes, sync, b changes back to the old text, sync: a has the old text.
fn what_is_put_back_to_the_old_text_comes_back(world: World) {
    let [old, new] = ["old", "new"].map(|text| card("u1", text));
    world.put(LAPTOP, "u1.vcf", &old);
    world.sync_well();
    for [a, b] in [BOTH_WAYS, BOTH_WAYS].concat() {
        world.put(a, "u1.vcf", &new);
        world.sync_well().wrote(b, [0, 1, 0]);
        assert_eq!(world.get(b, "u1.vcf"), new);
        world.put(b, "u1.vcf", &old);
        world.sync_well().wrote(a, [0, 1, 0]);
        assert_eq!(world.get(a, "u1.vcf"), old);
        world.assert_equal();
        world.assert_at_rest(0);
        // And by the same member that made the change.
        world.put(a, "u1.vcf", &new);
        world.sync_well().wrote(b, [0, 1, 0]);
        world.put(a, "u1.vcf", &old);
        world.sync_well().wrote(b, [0, 1, 0]);
        world.assert_equal();
    }
}

/// As it was reported: two on B, sync; zero on B, sync; two on A, sync.
fn the_defect_of_the_most_used_peer_is_not_here(world: World) {
    for [a, b] in BOTH_WAYS {
        let [one, two, zero] = ["one", "two", "zero"].map(|text| card("u1", text));
        world.put(a, "u1.vcf", &one);
        world.sync_well();
        world.put(b, "u1.vcf", &two);
        world.sync_well().wrote(a, [0, 1, 0]);
        world.put(b, "u1.vcf", &zero);
        world.sync_well().wrote(a, [0, 1, 0]);
        world.put(a, "u1.vcf", &two);
        world.sync_well().wrote(b, [0, 1, 0]);
        assert_eq!(world.get(b, "u1.vcf"), two);
        world.assert_equal();
    }
}

/// Makes a conflict about `u1` that was `old` before: a says `a`, b says `b`.
fn conflict(world: &World, [a, b]: [&str; 2]) {
    for member in [a, b] {
        world.put(member, "u1.vcf", card("u1", "old"));
    }
    world.sync_well();
    world.put(a, "u1.vcf", card("u1", "of a"));
    world.put(b, "u1.vcf", card("u1", "of b"));
    world.sync().expect(3).counted("conflicts", 1).wrote(a, [0, 0, 0]).wrote(b, [0, 0, 0]);
}

fn what_is_put_back_after_a_conflict_made_equal_comes_back(world: World) {
    for [a, b] in BOTH_WAYS {
        // The loser takes the winner's text; then the winner takes what the loser had said.
        conflict(&world, [a, b]);
        world.put(b, "u1.vcf", card("u1", "of a"));
        world.sync_well().counted("conflicts", 0).wrote(a, [0, 0, 0]).wrote(b, [0, 0, 0]);
        for (member, text) in [(a, "of b"), (b, "of a"), (b, "old"), (a, "of b")] {
            let other = if member == a { b } else { a };
            world.put(member, "u1.vcf", card("u1", text));
            world.sync_well().wrote(other, [0, 1, 0]);
            assert_eq!(world.get(other, "u1.vcf"), card("u1", text));
            world.assert_at_rest(0);
        }
    }
}

fn what_is_put_back_after_a_conflict_with_one_side_restored_comes_back(world: World) {
    for [a, b] in BOTH_WAYS {
        // b takes its edit back, so a's wins; then everything is said once more.
        conflict(&world, [a, b]);
        world.put(b, "u1.vcf", card("u1", "old"));
        world.sync_well().counted("conflicts", 0).wrote(b, [0, 1, 0]);
        assert_eq!(world.get(b, "u1.vcf"), card("u1", "of a"));
        for (member, text) in [(b, "old"), (a, "of a"), (b, "of b"), (a, "old")] {
            let other = if member == a { b } else { a };
            world.put(member, "u1.vcf", card("u1", text));
            world.sync_well().wrote(other, [0, 1, 0]);
            assert_eq!(world.get(other, "u1.vcf"), card("u1", text));
            world.assert_equal();
        }
    }
}

fn collections_pair_by_name_and_missing_ones_are_made(world: World) {
    for (member, collection) in [(LAPTOP, "work"), (PHONE, "family"), (PHONE, "Füße & Co")] {
        let folder = world.member(member).join(collection);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.vcf"), card("a", collection)).unwrap();
    }
    world.configure("create_collections = false", "");
    let twice = world.sync().expect(2); // said twice in one table
    assert!(twice.stderr.contains("duplicate key"), "{twice:?}");
    let text = fs::read_to_string(world.config()).unwrap();
    world.configure_as(&text.replace("create_collections = true\n", ""));
    let refused = world.sync().expect(4).says(&["has no collection called", "create_collections = true"]);
    assert_eq!(refused.count(LAPTOP, "created") + refused.count(PHONE, "created"), 0);
    world.configure("", "");
    world.sync_well().wrote(LAPTOP, [2, 0, 0]).wrote(PHONE, [1, 0, 0]);
    for collection in ["work", "family", "Füße & Co"] {
        for member in [LAPTOP, PHONE] {
            let made = fs::read_to_string(world.member(member).join(collection).join("a.vcf")).unwrap();
            assert_eq!(made, card("a", collection));
        }
    }
    world.assert_at_rest(0);
    // One of them alone.
    fs::write(world.member(LAPTOP).join("work").join("b.vcf"), card("b", "b")).unwrap();
    world.put(LAPTOP, "c.vcf", card("c", "c"));
    world.run(["sync", "contacts/work", "--json"]).expect(0).wrote(PHONE, [1, 0, 0]);
    assert!(!world.has(PHONE, "c.vcf"));
    world
        .run(["sync", "contacts/nonesuch", "--json"])
        .expect(2)
        .says(&["no collection is called `nonesuch`"]);
}

fn collections_that_are_named_pair_as_named(world: World) {
    let text = fs::read_to_string(world.config()).unwrap();
    let named = "collections = [{ laptop = \"book\", phone = \"Kontakte\" }]";
    world.configure_as(&text.replace("collections = \"all\"", named));
    world.put(LAPTOP, "a.vcf", card("a", "Anna"));
    fs::create_dir(world.member(LAPTOP).join("other")).unwrap();
    world.sync_well().wrote(PHONE, [1, 0, 0]);
    assert!(world.member(PHONE).join("Kontakte").join("a.vcf").exists());
    assert!(!world.has(PHONE, "a.vcf") && !world.member(PHONE).join("other").exists());
}

fn items_are_bytes_and_arrive_as_they_are(world: World) {
    let strange: [(&str, &[u8]); 5] = [
        ("bare.vcf", b"BEGIN:VCARD\nVERSION:3.0\nUID:bare\nFN:Bare line ends  \nEND:VCARD"),
        ("latin.vcf", b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:latin\r\nFN:Ren\xe9\r\nEND:VCARD\r\n"),
        ("folded.vcf", b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:fol\r\n ded\r\nFN:A very\r\n  long\r\n\tname\r\nX-Y;b=2;A=1:z\r\nEND:VCARD\r\n\r\n"),
        ("photo.vcf", b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:photo\r\nFN:P\r\nPHOTO;ENCODING=BASE64;TYPE=JPEG:/9j/4AAQ\r\n SkZJRg==\r\nX-FOO:v1,v2\r\nEND:VCARD\r\n"),
        ("no-card.vcf", b"this is no card at all\0\xff"),
    ];
    for (index, (name, content)) in strange.iter().enumerate() {
        world.put([LAPTOP, PHONE][index % 2], name, content);
    }
    world.sync_well();
    let sent: BTreeSet<Vec<u8>> = strange.iter().map(|(_, content)| content.to_vec()).collect();
    for member in [LAPTOP, PHONE] {
        let found: BTreeSet<Vec<u8>> = world.items(member).into_values().collect();
        assert_eq!(found, sent, "{member}");
    }
    world.assert_at_rest(0);
}

fn appointments_and_tasks_travel_beside_cards(world: World) {
    world.put(LAPTOP, "meeting.ics", event("meeting", "Meeting"));
    world.put(PHONE, "milk.ics", todo("milk", "Buy milk"));
    world.put(PHONE, "anna.vcf", card("anna", "Anna"));
    world.sync_well().wrote(LAPTOP, [2, 0, 0]).wrote(PHONE, [1, 0, 0]);
    world.assert_equal();
    world.put(PHONE, "meeting.ics", event("meeting", "Moved"));
    world.sync_well().wrote(LAPTOP, [0, 1, 0]);
    assert_eq!(world.get(LAPTOP, "meeting.ics"), event("meeting", "Moved"));
    world.delete(LAPTOP, "milk.ics");
    world.sync_well().wrote(PHONE, [0, 0, 1]);
    world.assert_equal();
    world.assert_at_rest(0);
}

fn s6_a_change_that_restores_size_and_time_is_seen(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "one"));
    world.sync_well();
    for (text, by_rename) in [("two", false), ("six", true), ("ten", false)] {
        let file = world.file(LAPTOP, "anna.vcf");
        let before = fs::metadata(&file).unwrap();
        if by_rename {
            let aside = file.with_extension("tmp");
            fs::write(&aside, card("anna", text)).unwrap();
            fs::File::options()
                .write(true)
                .open(&aside)
                .unwrap()
                .set_modified(before.modified().unwrap())
                .unwrap();
            fs::rename(&aside, &file).unwrap();
        } else {
            world.put(LAPTOP, "anna.vcf", card("anna", text));
            fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .set_modified(before.modified().unwrap())
                .unwrap();
        }
        let after = fs::metadata(&file).unwrap();
        assert_eq!((after.len(), after.modified().unwrap()), (before.len(), before.modified().unwrap()));
        world.sync_well().wrote(PHONE, [0, 1, 0]);
        assert_eq!(world.get(PHONE, "anna.vcf"), card("anna", text));
    }
}

fn s7_without_a_uid_the_name_is_the_item(world: World) {
    let card = |name: &str| format!("BEGIN:VCARD\r\nVERSION:2.1\r\nFN:{name}\r\nEND:VCARD\r\n");
    world.put(LAPTOP, "a.vcf", card("one"));
    world.put(LAPTOP, "b.vcf", card("other"));
    world.sync_well().wrote(PHONE, [2, 0, 0]);
    world.assert_equal();
    world.put(LAPTOP, "a.vcf", card("one, edited"));
    world.sync_well().wrote(PHONE, [0, 1, 0]);
    world.assert_equal();
    world.assert_at_rest(0);
}

/// Holds S21.
fn names_may_be_any_bytes(world: World) {
    let names: [&[u8]; 5] = [
        b"caf\xe9.vcf",
        b"\xff\xfe.vcf",
        b"with space & quote'.vcf",
        b"\xe5\xb1\xb1\xe7\x94\xb0.vcf",
        b"new\nline.vcf",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let uid = format!("odd-{number}");
        world.put([LAPTOP, PHONE][number % 2], OsStr::from_bytes(name), card(&uid, "one"));
    }
    world.sync_well().wrote(LAPTOP, [2, 0, 0]).wrote(PHONE, [3, 0, 0]);
    world.assert_equal();
    world.assert_at_rest(0);
    for (number, name) in names.into_iter().enumerate() {
        let uid = format!("odd-{number}");
        world.put([LAPTOP, PHONE][number % 2], OsStr::from_bytes(name), card(&uid, "two"));
    }
    world.sync_well().wrote(LAPTOP, [0, 2, 0]).wrote(PHONE, [0, 3, 0]);
    world.assert_equal();
    world.delete(LAPTOP, OsStr::from_bytes(names[0]));
    world.sync_well().wrote(PHONE, [0, 0, 1]);
    world.assert_equal();
}

fn foreign_and_hidden_files_are_left_alone(world: World) {
    let book = world.member(LAPTOP).join("book");
    for (name, content) in [
        (".hidden.vcf", "x"),
        ("color", "#ff0000"),
        ("displayname", "Book"),
        ("a.vcf~", "y"),
        (".#lock", "z"),
    ] {
        fs::write(book.join(name), content).unwrap();
    }
    fs::create_dir_all(book.join("folder.vcf")).unwrap();
    fs::write(book.join("folder.vcf").join("inside.vcf"), card("inside", "x")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", book.join("link.vcf")).unwrap();
    nix::unistd::mkfifo(&book.join("pipe.vcf"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(world.member(LAPTOP).join(".hidden")).unwrap();
    fs::write(world.member(LAPTOP).join("file"), "no folder").unwrap();
    let before = tree(&world.member(LAPTOP));
    world.put(PHONE, "anna.vcf", card("anna", "Anna"));
    world.sync_well().wrote(LAPTOP, [1, 0, 0]).wrote(PHONE, [0, 0, 0]);
    world.delete(LAPTOP, "anna.vcf");
    // The folder itself has other times now; what is in it has not.
    let after = tree(&world.member(LAPTOP));
    before.assert_same_below(&after, &book);
    assert_eq!(world.items(PHONE).len(), 1);
}
