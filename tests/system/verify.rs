//! `doctor` on groups: what is kept of them holds together, and is what members hold.

use std::fs;

use outrigger::engine::{Canonical, Observed, Record};
use outrigger::store::{Collection, Store};

use crate::status::every_key_is_documented;
use crate::support::{DEADLINE, LAPTOP, Link, PHONE, World, card, tree};

fn world() -> World {
    let world = World::new(Link::Inherited);
    for uid in ["anna", "bert", "carl"] {
        world.put(LAPTOP, format!("{uid}.vcf"), card(uid, "old"));
    }
    world.sync_well();
    world
}

/// Makes the state say that both hold the same of an item, at the revisions that they have, though each
/// holds its own.
fn drift(world: &World, uid: &str) {
    for member in [LAPTOP, PHONE] {
        world.put(member, format!("{uid}.vcf"), card(uid, member));
    }
    world.sync().expect(3);
    let store = Store::open(&world.state(), "contacts", DEADLINE).unwrap();
    let collection = Collection::new("book", [LAPTOP, PHONE]);
    let rows = store.load(&collection).wait().unwrap().rows;
    let mut row = rows.iter().find(|row| row.key.0[..] == *uid.as_bytes()).unwrap();
    let believed = Canonical::of("vcard", card(uid, "neither").as_bytes()).content;
    row.conflict = None;
    row.base = Some(believed);
    for entry in row.entries.iter_mut().flatten() {
        (entry.agreed, entry.have) = (believed, row.version);
        let Observed::Present { content, settled, .. } = &mut entry.observed else { panic!("{uid} is gone") };
        (*content, *settled) = (believed, true);
    }
    store.apply(&collection, vec![Record::Row(Box::new(row))]).wait().unwrap();
    store.close().unwrap();
}

#[test]
fn what_no_sync_would_see_is_found_and_brought_across() {
    let world = world();
    world
        .run(["doctor", "--verify"])
        .expect(0)
        .says(&["contacts: holds together", "every item is as the state says"]);
    drift(&world, "anna");
    // What a sync would see by itself is no drift.
    world.put(PHONE, "bert.vcf", card("bert", "new"));
    let before = [tree(&world.state()), tree(&world.member(LAPTOP)), tree(&world.member(PHONE))];
    let found = world.run(["doctor", "--verify", "contacts"]).expect(4);
    let now = [tree(&world.state()), tree(&world.member(LAPTOP)), tree(&world.member(PHONE))];
    before.iter().zip(&now).for_each(|(before, now)| before.assert_untouched(now));
    let lines: Vec<&str> = found.stdout.lines().filter(|line| line.starts_with("drift")).collect();
    let line = "drift        contacts/book: \"anna.vcf\" at laptop, \"anna.vcf\" at phone: members contradict each other";
    assert_eq!(lines, [line], "{found:?}");
    let json = world.run(["doctor", "--verify", "--json"]).expect(4).json();
    every_key_is_documented(&json["drift"]);
    every_key_is_documented(&json["states"]);
    assert_eq!(json["drift"]["items"][0]["what"], "conflict");
    world.sync_well();
    world.paste(&found.stdout, "sync contacts --verify").expect(3);
    world.run(["doctor", "--verify"]).expect(0);
    world.run(["doctor", "contacts"]).expect(2);
    world.run(["doctor", "--verify", "contcts"]).expect(2).says(&["did you mean `contacts`?"]);
}

#[test]
fn a_state_that_does_not_hold_together_is_found() {
    let world = world();
    world.run(["doctor"]).expect(0).says(&["state        contacts: holds together"]);
    let db = world.state().join("groups/contacts.db");
    let good = fs::read(&db).unwrap();
    fs::write(&db, "no database, and long enough to be looked at".repeat(99)).unwrap();
    world.run(["doctor"]).expect(1).says(&["the state of the group contacts cannot be used"]);
    // A page of it was lost.
    let mut damaged = good.clone();
    let page = damaged.len() / 4096 - 2;
    damaged[page * 4096..][..4096].fill(0);
    fs::write(&db, damaged).unwrap();
    let json = world.run(["doctor", "--json"]).expect(1).json();
    let state = &json["states"][0];
    assert!(!state["findings"].as_array().unwrap().is_empty() || state["failure"].is_object(), "{state:#}");
    fs::write(&db, good).unwrap();
    world.run(["doctor"]).expect(0);
}

#[test]
fn a_configuration_that_is_wrong_is_told_beside_what_the_machine_gives() {
    let world = world();
    fs::write(world.config(), "state = 7").unwrap();
    world.run(["doctor"]).expect(2).says(&["groups       ", "outrigger.toml:1", "are started in the tier"]);
}
