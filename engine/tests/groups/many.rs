//! A hundred members and forty object types: in a collection each, in one, and as their plugins see them.

use outrigger_engine::{FoundCollection, MemberIndex, MemberState};

use crate::sim::stories::{rest, texts};
use crate::sim::{Edit, World, card};

const MEMBERS: usize = 100;
const TYPES: u8 = 40;

fn name(object_type: u8) -> String {
    format!("type{object_type}")
}

/// An item of a type, like no other.
fn item(uid: u8, object_type: u8) -> Vec<u8> {
    let text = String::from_utf8(card(Some(uid), uid)).unwrap();
    text.replace("END:", &format!("X-TYPE:{}\r\nEND:", name(object_type))).into_bytes()
}

fn put(world: &mut World, at: usize, uid: u8, object_type: u8) {
    let href = format!("{uid}.vcf");
    world.write(MemberIndex::at(at), href.as_bytes(), item(uid, object_type));
}

/// How many items everybody has; the same ones.
#[track_caller]
fn assert_all_hold(world: &World, items: usize) {
    let first = texts(world, MemberIndex(0));
    assert_eq!(first.len(), items);
    assert!(world.all().all(|at| texts(world, at) == first));
}

/// As groups have them: one run a collection.
#[test]
fn a_hundred_members_come_to_agree_on_each_of_forty_object_types() {
    for object_type in 0..TYPES {
        let mut world = World::new(MEMBERS);
        world.settings.object_type = name(object_type);
        for (at, uid) in [(0, 0), (usize::from(object_type) + 1, 1), (99, 2)] {
            put(&mut world, at, uid, object_type);
        }
        assert_eq!(world.run().writes.len(), 3 * (MEMBERS - 1), "each once to each of the others");
        rest(&mut world);
        assert_all_hold(&world, 3);
        world.edit(MemberIndex(50), Edit::Delete { uid: 1 });
        assert_eq!(world.run().writes.len(), MEMBERS - 1);
        rest(&mut world);
        assert_all_hold(&world, 2);
    }
}

/// Each type is another member's news, so all of them give and take at once. The simulated members see to
/// it that each item is written as what it is.
#[test]
fn a_hundred_members_come_to_agree_on_forty_object_types_in_one_collection() {
    let mut world = World::new(MEMBERS);
    (0..TYPES).for_each(|number| put(&mut world, usize::from(number) * 2, number, number));
    let outcome = world.run();
    assert!(outcome.summary().is_clean(), "in one run: {:?}", outcome.reports);
    assert_eq!(outcome.writes.len(), usize::from(TYPES) * (MEMBERS - 1), "each once to each of the others");
    rest(&mut world);
    assert_all_hold(&world, usize::from(TYPES));
}

#[test]
fn a_hundred_members_with_forty_object_types_are_known_by_all_of_them() {
    let found = |object_type| FoundCollection {
        name: name(object_type),
        object_types: vec![name(object_type)],
        anchor: None,
    };
    let found: Vec<FoundCollection> = (0..TYPES).map(found).collect();
    let mut members = vec![MemberState::default(); MEMBERS];
    assert!(members.iter_mut().all(|member| member.learn(&found)), "news for each");
    assert!(!members.iter_mut().any(|member| member.learn(&found)), "once");
    let mut names: Vec<String> = (0..TYPES).map(name).collect();
    names.sort();
    assert_eq!(MemberState::all_types(&members.iter().collect::<Vec<_>>()), names);
}
