//! Both sides changed an item: nothing is overwritten, nothing stops, and it is said once.

use std::fs;

use crate::support::{LAPTOP, PHONE, World, card, over_both_connections};

over_both_connections!(
    a_conflict_waits_and_the_rest_goes_on,
    a_conflict_at_first_contact_overwrites_nothing,
    the_same_edit_on_both_sides_is_no_conflict,
    a_preferred_member_wins_and_the_loser_is_in_the_journal,
    the_newest_wins_where_all_that_say_so_can_be_believed,
    an_edit_beats_a_deletion,
    a_deletion_beats_an_edit_where_that_is_wanted,
    x5_a_waiting_conflict_does_not_hold_back_later_news,
);

fn a_conflict_waits_and_the_rest_goes_on(world: World) {
    for uid in ["anna", "bert"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    world.put(LAPTOP, "anna.vcf", card("anna", "of the laptop"));
    world.put(PHONE, "anna.vcf", card("anna", "of the phone"));
    world.put(PHONE, "bert.vcf", card("bert", "new"));
    let run = world.sync().expect(3).counted("conflicts", 1).wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 0, 0]);
    let raised =
        |stdout: &str| stdout.lines().filter(|line| line.trim_start().starts_with("conflict ")).count();
    assert_eq!(raised(&run.stdout), 1, "{run:?}");
    // The command that goes on is named with it.
    let shown = world.paste(&run.stdout, "conflicts show").expect(0);
    shown.says(&["contacts/book", "\"anna.vcf\"", "--take laptop"]);
    assert_eq!(world.get(LAPTOP, "anna.vcf"), card("anna", "of the laptop"));
    assert_eq!(world.get(PHONE, "anna.vcf"), card("anna", "of the phone"));
    // It is counted from now on, and not raised again.
    for _ in 0..2 {
        let run = world.assert_at_rest(3).counted("conflicts", 1);
        assert_eq!(raised(&run.stdout), 0, "{run:?}");
    }
    world.run(["status"]).expect(3).says(&[
        "1 in conflict",
        "\"anna.vcf\" at laptop",
        "\"anna.vcf\" at phone",
    ]);
    // One that changed once more is raised once more.
    world.put(PHONE, "anna.vcf", card("anna", "of the phone, again"));
    let run = world.sync().expect(3).counted("conflicts", 1);
    assert_eq!(raised(&run.stdout), 1, "{run:?}");
    world.put(PHONE, "anna.vcf", card("anna", "of the laptop"));
    world.sync_well().counted("conflicts", 0);
    world.assert_equal();
    world.run(["status"]).expect(0).says(&["0 in conflict"]);
}

fn a_conflict_at_first_contact_overwrites_nothing(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "of the laptop"));
    world.put(PHONE, "other name.vcf", card("anna", "of the phone"));
    let before = world.members();
    let run = world.sync().expect(3).counted("conflicts", 1).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    let names = serde_json::json!({"laptop": "anna.vcf", "phone": "other name.vcf"});
    assert_eq!(run.json()["collections"][0]["items"][0]["names"], names, "{run:?}");
    for (before, now) in before.iter().zip(&world.members()) {
        before.assert_untouched(now);
    }
    world.put(LAPTOP, "anna.vcf", card("anna", "of the phone"));
    world.sync_well().counted("conflicts", 0).wrote(PHONE, [0, 0, 0]);
    world.assert_equal();
}

fn the_same_edit_on_both_sides_is_no_conflict(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "old"));
    world.sync_well();
    for member in [LAPTOP, PHONE] {
        world.put(member, "anna.vcf", card("anna", "new"));
    }
    world.sync_well().counted("conflicts", 0).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    world.assert_at_rest(0);
    for member in [LAPTOP, PHONE] {
        world.delete(member, "anna.vcf");
    }
    world.sync_well().wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    world.put(PHONE, "anna.vcf", card("anna", "old"));
    world.sync_well().wrote(LAPTOP, [1, 0, 0]);
}

fn a_preferred_member_wins_and_the_loser_is_in_the_journal(world: World) {
    world.configure("conflict = { prefer = \"phone\" }", "");
    world.put(LAPTOP, "anna.vcf", card("anna", "old"));
    world.sync_well();
    world.put(LAPTOP, "anna.vcf", card("anna", "of the laptop"));
    world.put(PHONE, "anna.vcf", card("anna", "of the phone"));
    world.sync_well().counted("conflicts", 0).wrote(LAPTOP, [0, 1, 0]);
    assert_eq!(world.get(LAPTOP, "anna.vcf"), card("anna", "of the phone"));
    world.assert_equal();
    assert!(world.journal().contains(&card("anna", "of the laptop").into_bytes()), "x6");
}

/// A card that says when it was changed.
fn revised(name: &str, day: Option<u8>) -> String {
    let rev = day.map(|day| format!("REV:202601{day:02}T120000Z\r\n")).unwrap_or_default();
    card("anna", name).replace("END:VCARD", &format!("{rev}END:VCARD"))
}

fn the_newest_wins_where_all_that_say_so_can_be_believed(world: World) {
    world.configure("conflict = \"newest\"", "");
    let doubted = fs::read_to_string(world.config()).unwrap();
    let believed = |member: &str, text: &str| {
        let path = format!("path = \"./{member}\"\n");
        text.replace(&path, &format!("{path}reliable_times = true\n"))
    };
    let one = believed(LAPTOP, &doubted);
    world.configure_as(&believed(PHONE, &one));
    world.put(LAPTOP, "anna.vcf", revised("old", Some(1)));
    world.sync_well();
    for (newer, older) in [(LAPTOP, PHONE), (PHONE, LAPTOP)] {
        world.put(older, "anna.vcf", revised("older", Some(2)));
        world.put(newer, "anna.vcf", revised(newer, Some(3)));
        let run = world.sync_well().counted("conflicts", 0).wrote(older, [0, 1, 0]).wrote(newer, [0, 0, 0]);
        run.says(&["1 conflict settled"]);
        assert_eq!(world.get(older, "anna.vcf"), revised(newer, Some(3)));
        world.assert_equal();
        assert!(world.journal().contains(&revised("older", Some(2)).into_bytes()), "x6");
        world.assert_at_rest(0);
    }
    // Who does not say, or says the same, is no older; and one who is not believed says nothing.
    let waits = |days: [Option<u8>; 2]| {
        for (member, day) in [LAPTOP, PHONE].into_iter().zip(days) {
            world.put(member, "anna.vcf", revised(&format!("{member} {day:?}"), day));
        }
        world.sync().expect(3).counted("conflicts", 1).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    };
    waits([Some(4), None]);
    waits([Some(5), Some(5)]);
    world.configure_as(&one);
    waits([Some(6), Some(7)]);
    world.configure_as(&believed(PHONE, &one));
    world.put(LAPTOP, "anna.vcf", revised("last", Some(8)));
    world.sync_well().counted("conflicts", 0).wrote(PHONE, [0, 1, 0]);
    world.assert_equal();
}

fn an_edit_beats_a_deletion(world: World) {
    for [edits, deletes] in [[LAPTOP, PHONE], [PHONE, LAPTOP]] {
        world.put(edits, "anna.vcf", card("anna", "old"));
        world.put(edits, "bert.vcf", card("bert", "bert"));
        world.sync_well();
        world.put(edits, "anna.vcf", card("anna", edits));
        world.delete(deletes, "anna.vcf");
        world.sync_well().wrote(deletes, [1, 0, 0]).wrote(edits, [0, 0, 0]);
        assert_eq!(world.get(deletes, "anna.vcf"), card("anna", edits));
        world.assert_equal();
        world.assert_at_rest(0);
    }
}

fn a_deletion_beats_an_edit_where_that_is_wanted(world: World) {
    world.configure("edit_vs_delete = \"delete\"", "");
    for uid in ["anna", "bert"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    world.put(LAPTOP, "anna.vcf", card("anna", "edited"));
    world.delete(PHONE, "anna.vcf");
    world.sync_well().wrote(LAPTOP, [0, 0, 1]);
    assert!(!world.has(LAPTOP, "anna.vcf"));
    assert!(world.journal().contains(&card("anna", "edited").into_bytes()), "x6");
}

fn x5_a_waiting_conflict_does_not_hold_back_later_news(world: World) {
    world.put(LAPTOP, "anna.vcf", card("anna", "old"));
    world.sync_well();
    for member in [LAPTOP, PHONE] {
        world.put(member, "anna.vcf", card("anna", member));
    }
    world.sync().expect(3);
    for text in ["one", "two"] {
        world.put(LAPTOP, "bert.vcf", card("bert", text));
        world.sync().expect(3);
        assert_eq!(world.get(PHONE, "bert.vcf"), card("bert", text));
    }
    // The state goes, the conflict stays: whoever forgets does not decide.
    fs::remove_dir_all(world.state()).unwrap();
    world.sync().expect(3).counted("conflicts", 1).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
}
