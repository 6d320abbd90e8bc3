//! Undo: what a run took away is what the next run writes to all.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;

use common::{GROUP, contacts, content, entry, open, operation};
use outrigger_engine::{Canonical, Conflict, Key, MemberIndex, Record, Row, RowId, Supplied, Undo};
use outrigger_protocol::{CommitKind, Href};
use outrigger_store::{Collection, RunId, Store, UndoId, UndoOutcome};
use uuid::Uuid;

fn key(name: &str) -> Key {
    Key(name.as_bytes().into())
}

fn row(id: u64, name: &str) -> Row {
    Row {
        id: RowId(id),
        key: key(name),
        version: 3,
        base: Some(content(1)),
        entries: vec![Some(entry(id, 3)), Some(entry(id, 3)), None],
        supplied: None,
        conflict: None,
        quarantine: Vec::new(),
    }
}

fn tombstone(id: u64, name: &str) -> Row {
    Row { base: None, ..row(id, name) }
}

#[test]
fn what_was_kept_for_a_write_that_did_not_happen_goes_with_its_intent() {
    let undo = |n| Record::Undo(common::undo(n, 9));
    let scene = Scene::new(Vec::new(), vec![undo(1), undo(2), Record::Intent(common::intent(1, 2))]);
    scene.store.apply(&contacts(), vec![Record::NotDone(operation(2))]).wait().unwrap();
    let left = scene.store.undo_entries(scene.run).wait().unwrap();
    assert_eq!(left.iter().map(|entry| entry.operation).collect::<Vec<_>>(), [operation(1)]);
    assert!(scene.store.load(&contacts()).wait().unwrap().intents.is_empty());
}

/// Bytes of a row called `name` that were overwritten at a member.
fn overwritten(id: u64, name: &str, member: u16, data: &str) -> Record {
    Record::Undo(Undo {
        operation: operation(1),
        row: RowId(id),
        key: key(name),
        kind: CommitKind::Update,
        member: MemberIndex(member),
        href: Href::from("a.txt"),
        own: false,
        format: "text".into(),
        data: data.into(),
    })
}

fn supplied(data: &str) -> Supplied {
    let content = Canonical::of("text", data.as_bytes()).content;
    Supplied { content, format: "text".into(), data: data.into() }
}

struct Scene {
    store: Store,
    run: RunId,
    state: tempfile::TempDir,
}

impl Scene {
    /// A run that took `undo` away and left `rows`.
    fn new(rows: Vec<Row>, undo: Vec<Record>) -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = open(state.path());
        let run = store.begin_run(7, Uuid::nil()).wait().unwrap();
        let rows = rows.into_iter().map(|row| Record::Row(Box::new(row)));
        store.apply(&contacts(), undo.into_iter().chain(rows).collect()).wait().unwrap();
        store.end_run(run, 8, "done").wait().unwrap();
        Self { store, run, state }
    }

    fn ids(&self) -> Vec<UndoId> {
        self.store.undo_entries(self.run).wait().unwrap().iter().map(|entry| entry.id).collect()
    }

    fn undo(&self, items: Option<Vec<UndoId>>) -> Vec<(UndoId, UndoOutcome)> {
        let undone = self.store.undo(&[contacts()], self.run, items).wait().unwrap();
        undone.into_iter().map(|one| (one.entry, one.outcome)).collect()
    }

    /// Undoes all of it.
    fn outcomes(&self) -> Vec<UndoOutcome> {
        self.undo(None).into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn rows(&self) -> Vec<Row> {
        self.store.load(&contacts()).wait().unwrap().rows.to_vec()
    }
}

fn restored(row: u64, created: bool) -> UndoOutcome {
    UndoOutcome::Restored { row: RowId(row), created }
}

fn with(mut row: Row, data: &str) -> Row {
    row.supply(supplied(data));
    row
}

/// Whichever was written first.
#[test]
fn what_a_member_had_made_itself_comes_back_before_what_it_had_been_brought() {
    let own = |record| match record {
        Record::Undo(undo) => Record::Undo(Undo { own: true, ..undo }),
        other => other,
    };
    let scene = Scene::new(
        vec![row(1, "u")],
        vec![overwritten(1, "u", 0, "agreed"), own(overwritten(1, "u", 1, "edited"))],
    );
    let [first, second] = scene.ids()[..] else { panic!("two entries") };
    let left = UndoOutcome::Superseded { by: second, same: false };
    assert_eq!(scene.undo(None), [(first, left), (second, restored(1, false))]);
    assert_eq!(scene.rows()[0].supplied.as_ref().unwrap().data, b"edited");
}

#[test]
fn what_was_taken_away_is_told_by_run_and_by_item() {
    let scene =
        Scene::new(vec![row(1, "u")], vec![overwritten(1, "u", 0, "abc"), overwritten(1, "u", 1, "de")]);
    let run = scene.store.runs(1).wait().unwrap().remove(0);
    assert_eq!((run.id, run.undo_entries, run.undo_bytes), (scene.run, 2, 5));
    let entry = scene.store.undo_entries(scene.run).wait().unwrap().remove(1);
    assert_eq!(
        (entry.row, entry.key, entry.kind),
        (Some(RowId(1)), Some(key("u")), Some(CommitKind::Update))
    );
    assert_eq!((entry.collection.as_str(), entry.member.as_str(), entry.size), ("contacts", "server", 2));
    let copy = Store::open_copy(scene.state.path(), GROUP).unwrap();
    assert_eq!(copy.runs(1).wait().unwrap(), [run]);
}

#[test]
fn undoing_in_a_copy_tells_what_would_be_done_and_does_nothing() {
    let scene = Scene::new(
        vec![row(1, "u"), row(2, "v")],
        vec![overwritten(1, "u", 0, "abc"), overwritten(2, "v", 1, "de")],
    );
    let copy = Store::open_copy(scene.state.path(), GROUP).unwrap();
    let tried = copy.undo(&[contacts()], scene.run, None).wait().unwrap();
    assert_eq!(scene.rows(), [row(1, "u"), row(2, "v")]);
    let outcomes: Vec<_> = tried.into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [restored(1, false), restored(2, false)]);
    assert_eq!(scene.outcomes(), outcomes);
}

#[test]
fn an_item_gets_back_what_was_there_before_the_run() {
    let scene = Scene::new(
        vec![row(1, "u")],
        vec![overwritten(1, "u", 0, "before"), overwritten(1, "u", 0, "within")],
    );
    let ids = scene.ids();
    let superseded = UndoOutcome::Superseded { by: ids[0], same: false };
    assert_eq!(scene.undo(None), [(ids[0], restored(1, false)), (ids[1], superseded)]);
    assert_eq!(scene.rows(), [with(row(1, "u"), "before")]);
}

#[test]
fn of_what_several_members_held_the_first_counts_and_the_others_can_be_had() {
    let taken = ["one", "one", "two"];
    let undo = (0..3).map(|member| overwritten(1, "u", member, taken[usize::from(member)])).collect();
    let scene = Scene::new(vec![row(1, "u")], undo);
    let by = scene.ids()[0];
    let superseded = |same| UndoOutcome::Superseded { by, same };
    assert_eq!(scene.outcomes(), [restored(1, false), superseded(true), superseded(false)]);
    assert_eq!(scene.rows(), [with(row(1, "u"), "one")]);
    let last = scene.ids()[2];
    assert_eq!(scene.undo(Some(vec![last])), [(last, restored(1, false))]);
    assert_eq!(scene.rows()[0].supplied, Some(Box::new(supplied("two"))));
}

#[test]
fn what_is_gone_is_made_anew() {
    let scene =
        Scene::new(vec![row(5, "other")], vec![overwritten(1, "u", 0, "x"), overwritten(1, "u", 1, "y")]);
    let superseded = UndoOutcome::Superseded { by: scene.ids()[0], same: false };
    assert_eq!(scene.outcomes(), [restored(6, true), superseded], "one item, not two");
    let fresh = scene.rows().remove(1);
    assert_eq!((fresh.id, &fresh.key, fresh.entries.clone()), (RowId(6), &key("u"), vec![None; 3]));
    assert_eq!((fresh.base, fresh.supplied), (Some(supplied("x").content), Some(Box::new(supplied("x")))));
    assert_eq!(scene.store.load(&contacts()).wait().unwrap().last_row, 6);
}

#[test]
fn it_goes_to_the_item_that_has_its_key_now() {
    let undo = || vec![overwritten(1, "u", 0, "x")];
    let namesake = Scene::new(vec![row(5, "u")], undo());
    assert_eq!(namesake.outcomes(), [restored(5, false)]);
    // Deleted, which not every member knows yet, and made anew by somebody.
    let both = Scene::new(vec![tombstone(1, "u"), row(5, "u")], undo());
    assert_eq!(both.outcomes(), [restored(5, false)]);
    assert_eq!(both.rows(), [tombstone(1, "u"), with(row(5, "u"), "x")]);
    let deleted = Scene::new(vec![tombstone(1, "u")], undo());
    assert_eq!(deleted.store.status().wait().unwrap().collections[0].rows, 0, "a tombstone is no item");
    assert_eq!(deleted.outcomes(), [restored(1, true)]);
    assert_eq!(deleted.rows(), [with(tombstone(1, "u"), "x")]);
    let dead_namesake = Scene::new(vec![tombstone(5, "u")], undo());
    assert_eq!(dead_namesake.outcomes(), [restored(5, true)]);
}

#[test]
fn its_name_comes_back_with_it_unless_another_has_that() {
    let undo = || vec![overwritten(1, "old", 0, "x")];
    let renamed = Scene::new(vec![row(1, "new")], undo());
    assert_eq!(renamed.outcomes(), [restored(1, false)]);
    assert_eq!(renamed.rows(), [Row { key: key("old"), ..with(row(1, "new"), "x") }]);
    let taken = Scene::new(vec![row(1, "new"), row(2, "old")], undo());
    assert_eq!(taken.outcomes(), [restored(1, false)]);
    assert_eq!(taken.rows()[0].key, key("new"));
}

#[test]
fn what_is_so_already_is_left_alone() {
    let before = Row { base: Some(supplied("x").content), ..row(1, "u") };
    let scene = Scene::new(vec![before.clone()], vec![overwritten(1, "u", 0, "x")]);
    assert_eq!(scene.outcomes(), [UndoOutcome::Unchanged { row: RowId(1) }]);
    assert_eq!(scene.rows(), std::slice::from_ref(&before));
    // A conflict about it is settled by that.
    let conflict = Some(Conflict { contents: vec![Some(content(1)), Some(content(2)), None] });
    let scene = Scene::new(vec![Row { conflict, ..before }], vec![overwritten(1, "u", 0, "x")]);
    assert_eq!(scene.outcomes(), [restored(1, false)]);
    assert_eq!(scene.rows()[0].conflict, None);
}

#[test]
fn what_cannot_be_undone_is_told() {
    let scene = Scene::new(Vec::new(), vec![overwritten(1, "u", 0, "x"), overwritten(2, "v", 0, "y")]);
    let [first, second] = scene.ids()[..] else { panic!("two entries") };
    let nowhere = UndoId(77);
    let undone = scene.undo(Some(vec![nowhere, second]));
    assert_eq!(undone, [(second, restored(1, true)), (nowhere, UndoOutcome::Missing)]);
    let calendar = Collection::new("calendar", ["laptop"]);
    let undone = scene.store.undo(&[calendar], scene.run, Some(vec![first])).wait().unwrap();
    assert_eq!(undone[0].outcome, UndoOutcome::OtherCollection);
    assert_eq!(scene.store.undo(&[contacts()], RunId(99), None).wait().unwrap(), []);
    assert_eq!(scene.rows().len(), 1, "the second only");
    let names: Vec<_> =
        scene.store.status().wait().unwrap().collections.into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["contacts"], "nothing is made of a collection that nothing is undone in");
}

#[test]
fn several_collections_are_undone_together() {
    let scene = Scene::new(vec![row(1, "u")], Vec::new());
    let calendar = Collection::new("calendar", ["laptop", "phone"]);
    let run = scene.store.begin_run(9, Uuid::from_u128(9)).wait().unwrap();
    scene.store.apply(&calendar, vec![overwritten(1, "u", 1, "x")]).wait().unwrap();
    scene.store.apply(&contacts(), vec![overwritten(1, "u", 1, "y")]).wait().unwrap();
    let undone = scene.store.undo(&[contacts(), calendar.clone()], run, None).wait().unwrap();
    let outcomes: Vec<_> = undone.into_iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [restored(1, true), restored(1, false)]);
    let row = scene.store.load(&calendar).wait().unwrap().rows.to_vec().remove(0);
    assert_eq!((row.entries.len(), row.supplied), (2, Some(Box::new(supplied("x")))));
}
