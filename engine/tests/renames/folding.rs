//! An item without a UID whose name changes in case only (decisions S3), at a member whose file system may
//! take both names for one or not: it answers to the name that it lists.

use outrigger_engine::Key;

use crate::hand::{A, B, World};
use crate::in_step;

#[test]
fn s3_a_name_that_changes_in_case_is_one_rename_and_concerns_nobody_else() {
    for (member, old, new) in [(A, "note", "NOTE"), (B, "b-note", "B-Note")] {
        let mut world = in_step(&[("note", "text"), ("other", "another text")]);
        let id = world.id(member, old);
        world.moved(member, &[(old, new)]);
        assert_eq!(world.run(), Vec::<String>::new());
        assert_eq!((world.kept.rows.len(), world.id(member, new)), (2, id));
        assert_eq!(world.run(), Vec::<String>::new());
        // It is the same item for edits and deletions that come later.
        let (other, theirs) = if member == A { (B, "b-note") } else { (A, "note") };
        world.stores[member.index()].insert(new.into(), "edited".into());
        assert_eq!(world.run(), [format!("Update {theirs} at {}", other.0)]);
        world.stores[other.index()].remove(theirs);
        assert_eq!(world.run(), [format!("Delete {new} at {}", member.0)]);
    }
}

#[test]
fn s3_an_edit_comes_along_with_the_rename_or_against_it() {
    let mut world = in_step(&[("note", "text")]);
    world.moved(A, &[("note", "Note")]);
    world.stores[0].insert("Note".into(), "edited too".into());
    assert_eq!(world.run(), ["Update b-note at 1"]);
    assert_eq!(world.row(A, "Note").map(|row| row.key), Some(Key((*b"Note").into())), "called as it is now");
    world.moved(A, &[("Note", "note")]);
    world.stores[1].insert("b-note".into(), "edited there".into());
    assert_eq!(world.run(), ["Update note at 0"]);
    assert_eq!((world.kept.rows.len(), world.stores[0].len()), (1, 1));
}

#[test]
fn s3_where_both_names_are_there_they_are_two_items() {
    let mut world = in_step(&[("note", "text")]);
    world.stores[0].insert("NOTE".into(), "another text".into());
    let wrote = world.run();
    assert!(wrote.len() == 1 && wrote[0].starts_with("Create"), "{wrote:?}");
    assert_eq!(world.kept.rows.len(), 2);
    // Also where the one that was there has news of its own, and another one is gone.
    let mut world = in_step(&[("note", "text"), ("other", "another text")]);
    world.stores[0].insert("note".into(), "edited".into());
    world.stores[0].insert("Note".into(), "a third text".into());
    world.stores[0].remove("other");
    let mut wrote = world.run();
    wrote.sort();
    assert!(
        wrote[0].starts_with("Create") && wrote[1..] == ["Delete b-other at 1", "Update b-note at 1"],
        "{wrote:?}"
    );
}

/// Nobody can say which one became which; all of it is still there afterwards.
#[test]
fn s3_of_several_that_fold_to_one_name_none_is_taken_for_another() {
    let mut world = in_step(&[("note", "text"), ("NOTE", "another text")]);
    world.moved(A, &[("note", "Note")]);
    world.stores[0].insert("nOTE".into(), "a third text".into());
    let wrote = world.run();
    assert_eq!(wrote.iter().filter(|write| write.starts_with("Create")).count(), 2, "{wrote:?}");
    let texts = |world: &World, place: usize| {
        let mut texts: Vec<String> = world.stores[place].values().cloned().collect();
        texts.sort();
        texts
    };
    assert_eq!(texts(&world, 0), texts(&world, 1));
}

/// Names say nothing where there is a UID.
#[test]
fn s3_another_uid_under_a_name_that_folds_to_the_same_is_another_item() {
    let text = |uid: &str| format!("BEGIN:VCARD\r\nUID:{uid}\r\nFN:x\r\nEND:VCARD\r\n");
    let mut world = World::new(&[("a.vcf", &text("one"))], &[]);
    world.run();
    world.stores[0] = [("A.vcf".to_owned(), text("two"))].into();
    let wrote = world.run();
    assert!(wrote.iter().any(|write| write.starts_with("Create")), "{wrote:?}");
    assert!(wrote.iter().any(|write| write.starts_with("Delete")), "{wrote:?}");
    assert_eq!(world.stores[1].values().collect::<Vec<_>>(), [&text("two")]);
}
