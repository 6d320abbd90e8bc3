//! Items that a member calls otherwise, as the machine sees them: one set, all or none of it, durable
//! before the answer (decisions X4; OpenSync D 45). Played by hand: what is in flight matters here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod folding;
mod hand;

use hand::{A, B, World, card, change, done};
use outrigger_engine::{Access, Action, BatchId, Event, Key, MemberIndex, Record, Report};
use outrigger_protocol::{Code, CommitKind, CommitResult, Error, Href, ReadOutcome};

fn is_read_of(member: MemberIndex) -> impl Fn(&Action) -> bool {
    move |action| matches!(action, Action::Read { member: whose, .. } if *whose == member)
}

fn is_commit(action: &Action) -> bool {
    matches!(action, Action::Commit { .. })
}

/// Two members in step: `a`, `b` and so on at the first are `b-a`, `b-b` at the second.
fn in_step(items: &[(&str, &str)]) -> World {
    let mut world = World::new(items, &[]);
    assert_eq!(world.run().len(), items.len());
    for (name, data) in items {
        let made = world.stores[1].iter().find(|(_, made)| made == data).unwrap().0.clone();
        let mut play = world.play();
        play.finish();
        play.rename(B, &[(&made, &format!("b-{name}"))]);
        play.finish();
        assert_eq!(play.renamed, [Ok(())]);
        world.moved(B, &[(&made, &format!("b-{name}"))]);
    }
    assert_eq!(world.run(), Vec::<String>::new());
    world
}

/// OpenSync D 45: the next run maps to the new name.
#[test]
fn x4_d45_an_item_without_a_uid_keeps_its_row_and_is_deleted_and_created_nowhere() {
    for (member, old) in [(A, "one"), (B, "b-one")] {
        let mut world = in_step(&[("one", "text of one")]);
        let id = world.id(member, old);
        assert!(id.is_some());
        // At the very end: the run is over.
        let mut play = world.play();
        play.finish();
        play.rename(member, &[(old, "lasting")]);
        play.finish();
        assert_eq!(play.renamed, [Ok(())]);
        world.moved(member, &[(old, "lasting")]);
        assert_eq!(world.run(), Vec::<String>::new());
        assert_eq!((world.kept.rows.len(), world.id(member, "lasting")), (1, id));
        assert_eq!(world.run(), Vec::<String>::new());
        // And it is the same item for an edit that comes later.
        world.stores[member.index()].insert("lasting".into(), "another text".into());
        let other = if member == A { "Update b-one at 1" } else { "Update one at 0" };
        assert_eq!(world.run(), [other]);
    }
}

#[test]
fn x4_without_a_word_an_item_without_a_uid_that_has_another_name_is_another_item() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    world.moved(A, &[("one", "lasting")]);
    let wrote = world.run();
    assert!(wrote[0].starts_with("Create") && wrote[1] == "Delete b-one at 1", "{wrote:?}");
}

#[test]
fn x4_a_listing_begins_with_the_new_names() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    world.wrote.clear();
    let mut play = world.play();
    let list = play.until(|action| matches!(action, Action::List { member: B, .. }));
    play.world.moved(B, &[("b-one", "x"), ("b-two", "y")]);
    play.rename(B, &[("b-one", "x"), ("b-two", "y")]);
    play.perform(list);
    play.finish();
    assert_eq!(play.renamed, [Ok(())]);
    assert_eq!((&world.wrote[..], world.kept.rows.len()), (&[][..], 2));
}

/// A listing that names an item a second time breaks the contract; this one does not.
#[test]
fn x4_a_listing_that_goes_on_with_the_new_names_names_nothing_twice() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    let mut play = world.play();
    play.until(|action| matches!(action, Action::List { member: A, .. }));
    let data = play.world.stores[0]["one"].clone();
    play.sync.receive(Event::Listed { member: A, change: change("one", &data) });
    play.world.moved(A, &[("one", "lasting")]);
    play.rename(A, &[("one", "lasting")]);
    play.list_more(A, 1);
    play.finish();
    assert!(
        !std::iter::from_fn(|| play.sync.poll_event())
            .any(|report| matches!(report, Report::MemberFailed { .. }))
    );
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!(world.kept.rows.len(), 2);
}

#[test]
fn x4_two_items_take_each_others_name_in_one_set() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two"), ("three", "text of three")]);
    let before = ["one", "two", "three"].map(|name| world.id(A, name));
    let names = [("one", "two"), ("two", "one"), ("three", "four")];
    let mut play = world.play();
    play.finish();
    play.rename(A, &names);
    play.finish();
    world.moved(A, &names);
    assert_eq!(["two", "one", "four"].map(|name| world.id(A, name)), before);
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!(["two", "one", "four"].map(|name| world.id(A, name)), before);
    let keys = ["two", "one", "four"].map(|name| world.row(A, name).unwrap().key.clone());
    assert_eq!(keys, ["two", "one", "four"].map(|name| Key(name.as_bytes().into())));
}

#[test]
fn x4_a_set_that_cannot_be_is_refused_as_a_whole() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two"), ("three", "text of three")]);
    let kept = world.kept.clone();
    let long = "x".repeat(5000);
    let cases: [(&[(&str, &str)], Code); 6] = [
        (&[("one", "four"), ("two", "three")], Code::EXISTS),
        (&[("one", "four"), ("two", "four")], Code::INVALID),
        (&[("one", "four"), ("one", "five")], Code::INVALID),
        (&[("one", "four"), ("two", "")], Code::INVALID),
        (&[("one", "four"), ("", "five")], Code::INVALID),
        (&[("one", "four"), ("two", &long)], Code::INVALID),
    ];
    let mut play = world.play();
    play.finish();
    for (names, code) in cases {
        play.renamed.clear();
        play.rename(A, names);
        let answer = play.sync.poll_output().expect("it is answered at once");
        play.perform(answer);
        assert_eq!(play.renamed, [Err(code)], "{names:?}");
        assert_eq!(play.sync.poll_output(), None);
    }
    assert_eq!(world.kept, kept);
    assert_eq!(world.run(), Vec::<String>::new());
}

#[test]
fn x4_new_names_are_durable_before_the_answer() {
    let mut world = in_step(&[("one", "text of one")]);
    let mut play = world.play();
    play.finish();
    play.rename(A, &[("one", "lasting")]);
    let Some(Action::Journal { ticket, records }) = play.sync.poll_output() else { panic!("it asks first") };
    assert!(matches!(&records[..], [Record::Row(_)]), "{records:?}");
    assert_eq!(play.sync.poll_output(), None, "no answer before it is durable");
    play.sync.receive(Event::Journaled { ticket });
    assert!(matches!(
        play.sync.poll_output(),
        Some(Action::Renamed { member: A, batch: BatchId(7), result: Ok(()) })
    ));
}

/// Also those that wait behind the transaction that failed, and in the middle of a run.
#[test]
fn x4_what_cannot_be_kept_is_not_acknowledged() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    for is_over in [true, false] {
        let mut play = world.play();
        if is_over {
            play.finish();
        } else {
            play.until(|action| matches!(action, Action::List { .. }));
        }
        play.rename(A, &[("one", "lasting")]);
        play.rename(B, &[("b-two", "other")]);
        play.rename(B, &[("nobody", "other")]);
        let is_journal = |action: &Action| matches!(action, Action::Journal { .. });
        let Action::Journal { ticket, .. } = play.until(is_journal) else { unreachable!() };
        play.sync.receive(Event::JournalFailed { ticket, reason: "disk full".into() });
        play.rename(A, &[("two", "late")]);
        while let Some(action) = play.sync.poll_output() {
            assert!(matches!(action, Action::Renamed { .. } | Action::Finished), "{action:?}");
            play.perform(action);
        }
        assert!(play.is_over);
        // What nothing had to be kept for is answered as it was.
        assert_eq!(play.renamed, [Ok(()), Err(Code::IO), Err(Code::IO), Err(Code::IO)]);
    }
}

#[test]
fn x4_a_name_that_is_not_known_is_passed_over_and_so_a_set_may_come_again() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    let mut play = world.play();
    play.finish();
    for names in [&[("nobody", "two"), ("one", "lasting")][..], &[("one", "lasting"), ("nobody", "two")], &[]]
    {
        play.rename(A, names);
        play.finish();
    }
    assert_eq!(play.renamed, [Ok(()), Ok(()), Ok(())]);
    world.moved(A, &[("one", "lasting")]);
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!(world.kept.rows.len(), 2);
}

/// Nothing is called so any more: that is no proof of a deletion.
#[test]
fn x4_a_look_under_the_old_name_that_finds_nothing_proves_nothing() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    world.wrote.clear();
    let mut play = world.play();
    let list = play.until(|action| matches!(action, Action::List { member: A, .. }));
    // It is missing in the listing, and asked for.
    let hidden = play.world.stores[0].remove("one").unwrap();
    play.perform(list);
    let Action::Read { member, batch, items } = play.until(is_read_of(A)) else { unreachable!() };
    assert_eq!(items[0].href, Href::from("one"));
    play.world.stores[0].insert("lasting".into(), hidden);
    play.rename(A, &[("one", "lasting")]);
    play.answer(member, batch, vec![ReadOutcome::NotFound]);
    play.finish();
    assert_eq!(world.wrote, Vec::<String>::new());
    assert_eq!(world.run(), Vec::<String>::new());
    assert!(world.id(A, "lasting").is_some() && world.kept.rows.len() == 2);
}

/// It is deleted all the same, in its time.
#[test]
fn x4_a_look_under_the_new_name_that_finds_nothing_is_proof() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    let mut play = world.play();
    play.until(|action| matches!(action, Action::List { member: A, .. }));
    play.rename(A, &[("one", "lasting")]);
    play.world.stores[0].remove("one");
    play.list(A);
    play.finish();
    assert_eq!(world.wrote.last().unwrap(), "Delete b-one at 1");
}

#[test]
fn x4_an_update_that_was_sent_under_the_old_name_leaves_the_new_one() {
    let mut world = in_step(&[("one", "text of one")]);
    world.stores[0].insert("one".into(), "edited".into());
    let mut play = world.play();
    let commit = play.until(is_commit);
    play.perform_commit_and_rename(commit, "b-one", "lasting");
    play.finish();
    assert!(world.id(B, "lasting").is_some() && world.id(B, "b-one").is_none());
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!(world.kept.intents, []);
}

/// "Done" of a deletion of what was not called so any more is no proof either.
#[test]
fn x4_a_deletion_that_was_sent_under_the_old_name_is_looked_at_and_sent_again() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    world.stores[0].remove("one");
    let mut play = world.play();
    let Action::Commit { member, batch, items } = play.until(is_commit) else { unreachable!() };
    assert_eq!((items[0].kind, &items[0].href), (CommitKind::Delete, &Href::from("b-one")));
    play.world.moved(B, &[("b-one", "lasting")]);
    play.rename(B, &[("b-one", "lasting")]);
    let results = vec![CommitResult { operation: items[0].operation, outcome: done("b-one", "") }];
    play.sync.receive(Event::Committed { member, batch, results });
    play.finish();
    assert_eq!(world.wrote.last().unwrap(), "Delete lasting at 1");
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!((world.kept.rows.len(), world.stores[1].len()), (1, 1));
}

/// The deletion is still owed; its row must not hold what another item is called now.
#[test]
fn x4_the_name_of_an_item_that_is_gone_can_be_taken() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    world.access = Access::NoDelete;
    world.stores[1].remove("b-one");
    assert_eq!(world.run(), Vec::<String>::new());
    let two = world.id(B, "b-two");
    let mut play = world.play();
    play.finish();
    play.rename(B, &[("b-two", "b-one")]);
    let Some(Action::Journal { ticket, records }) = play.sync.poll_output() else { panic!() };
    assert_eq!(records.len(), 2, "both rows at once");
    records.into_iter().for_each(|record| play.world.keep(record));
    play.sync.receive(Event::Journaled { ticket });
    play.finish();
    assert_eq!(play.renamed, [Ok(())]);
    world.moved(B, &[("b-two", "b-one")]);
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!((world.id(B, "b-one"), world.stores[1].len()), (two, 1));
    world.access = Access::Full;
    assert_eq!(world.run(), ["Delete one at 0"]);
}

/// The member lists the new name before it says so: against the rule, and no harm.
#[test]
fn x4_a_new_item_whose_name_a_known_one_takes_is_that_one() {
    let mut world = in_step(&[("one", "text of one"), ("two", "text of two")]);
    world.moved(A, &[("one", "lasting")]);
    let mut play = world.play();
    play.until(|action| matches!(action, Action::List { member: A, .. }));
    play.list(A);
    play.rename(A, &[("one", "lasting")]);
    play.finish();
    assert_eq!(play.renamed, [Ok(())]);
    assert_eq!(world.wrote, Vec::<String>::new());
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!(world.kept.rows.len(), 2);
}

/// It looks like one that has none, and would be matched with nothing from then on.
#[test]
fn x4_a_uid_that_is_the_name_too_stays_the_key() {
    let mut world = in_step(&[("u1", &card("u1", "Ada"))]);
    let mut play = world.play();
    play.finish();
    play.rename(A, &[("u1", "lasting")]);
    play.finish();
    world.moved(A, &[("u1", "lasting")]);
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!(world.row(A, "lasting").unwrap().key, Key((*b"u1").into()));
    // Moved without a word, it is known by its UID.
    world.moved(A, &[("lasting", "moved")]);
    assert_eq!(world.run(), Vec::<String>::new());
    assert_eq!(world.kept.rows.len(), 1);
}

#[test]
fn x4_nothing_is_taken_in_a_plan_and_from_a_member_that_is_left_alone() {
    let mut world = in_step(&[("one", "text of one")]);
    let kept = world.kept.clone();
    let mut plan = world.play_with(|settings| settings.dry_run = true);
    plan.rename(A, &[("one", "lasting")]);
    plan.finish();
    assert_eq!(plan.renamed, [Err(Code::READ_ONLY)]);
    let mut play = world.play();
    play.sync.receive(Event::MemberLost { member: A, error: Error::new(Code::DISCONNECTED, "gone") });
    play.rename(A, &[("one", "lasting")]);
    play.finish();
    assert_eq!(play.renamed, [Err(Code::DISCONNECTED)]);
    assert_eq!(world.kept, kept);
}
