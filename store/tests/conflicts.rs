//! What a person sees of a conflict, and what becomes of it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;

use common::{GROUP, base, contacts, content, open};
use outrigger_engine::{
    Conflict, Content, DisputedCopy, Entry, Key, MemberIndex, Observed, Quarantine, Record, Row, RowId,
    Supplied,
};
use outrigger_protocol::{Href, RawDigest, Revision};
use outrigger_store::{Collection, ErrorKind, Kept, OpenConflict, Resolution, Store};
use uuid::Uuid;

const ROW: RowId = RowId(4);
const LAPTOP: MemberIndex = MemberIndex(0);
const SERVER: MemberIndex = MemberIndex(1);
const PHONE: MemberIndex = MemberIndex(2);

fn key(name: &str) -> Key {
    Key(name.as_bytes().into())
}

fn entry(name: &str, have: u64, observed: Option<u64>) -> Option<Entry> {
    let present =
        |seed| Observed::Present { revision: Revision::from("1"), settled: true, content: content(seed) };
    let (agreed, rewritten) = (content(1), false);
    Some(Entry {
        href: Href::from(name),
        agreed,
        have,
        rewritten,
        observed: observed.map_or(Observed::Gone, present),
    })
}

/// Agreed on 1; the laptop has made 2 of it and the phone 3, the server has deleted it.
fn row() -> Row {
    Row {
        id: ROW,
        key: key("uid"),
        version: 2,
        base: Some(content(1)),
        entries: vec![entry("a.vcf", 2, Some(2)), entry("b", 2, None), entry("c", 2, Some(3))],
        supplied: None,
        conflict: Some(Conflict { contents: vec![Some(content(2)), None, Some(content(3))] }),
        quarantine: Vec::new(),
    }
}

/// The bytes that `content` is the digest of.
fn kept(seed: u64) -> Kept {
    Kept { format: "vcard".into(), data: seed.to_le_bytes().into() }
}

fn supplied(seed: u64) -> Supplied {
    let Kept { format, data } = kept(seed);
    Supplied { content: content(seed), format, data }
}

fn disputed() -> Record {
    let copy = |member, seed| {
        let Kept { format, data } = kept(seed);
        DisputedCopy { member, format, data }
    };
    Record::Disputed(ROW, vec![copy(LAPTOP, 2), copy(PHONE, 3)])
}

fn apply(store: &Store, records: Vec<Record>) {
    store.apply(&contacts(), records).wait().unwrap();
}

fn apply_row(store: &Store, row: Row) {
    apply(store, vec![Record::Row(Box::new(row))]);
}

/// A run that began at 100 has raised the conflict.
fn scene() -> (tempfile::TempDir, Store) {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let run = store.begin_run(100, Uuid::from_u128(100)).wait().unwrap();
    let (mut calm, four) = (row(), Row { id: RowId(9), key: key("other"), ..row() });
    calm.conflict = None;
    apply(&store, vec![base(ROW.0, 1), Record::Row(Box::new(row())), disputed()]);
    apply_row(&store, Row { id: RowId(5), key: key("calm"), ..calm });
    apply_row(&store, four);
    store.end_run(run, 101, "").wait().unwrap();
    (state, store)
}

fn conflict(store: &Store) -> Option<OpenConflict> {
    store.conflict(&contacts(), ROW).wait().unwrap()
}

fn loaded(store: &Store, id: RowId) -> Row {
    let rows = store.load(&contacts()).wait().unwrap().rows.to_vec();
    rows.into_iter().find(|row| row.id == id).unwrap()
}

fn resolve(store: &Store, resolution: Resolution) -> Result<(), outrigger_store::Error> {
    store.resolve(&contacts(), ROW, resolution).wait()
}

#[test]
fn a_person_sees_what_each_member_holds_and_what_was_agreed() {
    let (state, store) = scene();
    let seen = conflict(&store).unwrap();
    assert_eq!((seen.row, &seen.key, seen.raised), (ROW, &key("uid"), Some(100)));
    assert_eq!((seen.agreed, &seen.base), (row().base, &Some(kept(1))));
    let held: Vec<_> = seen.members.iter().map(|held| (held.content, held.copy.clone())).collect();
    assert_eq!(held, [(Some(content(2)), Some(kept(2))), (None, None), (Some(content(3)), Some(kept(3)))]);
    let names: Vec<_> = seen.members.iter().map(|held| held.href.clone()).collect();
    assert_eq!(names, [Some(Href::from("a.vcf")), None, Some(Href::from("c"))]);
    let all = store.conflicts(&contacts()).wait().unwrap();
    assert_eq!(all.iter().map(|one| one.row).collect::<Vec<_>>(), [ROW, RowId(9)]);
    assert_eq!(all[0], seen);
    assert!(all[1].members.iter().all(|held| held.copy.is_none()), "bytes that nobody kept");
    let copy = Store::open_copy(state.path(), GROUP).unwrap();
    assert_eq!(copy.conflicts(&contacts()).wait().unwrap(), all, "beside a run");
    store.close().unwrap();
    assert_eq!(conflict(&copy), Some(seen), "and after it");
    assert_eq!(copy.conflict(&contacts(), RowId(5)).wait().unwrap(), None);
    assert_eq!(copy.conflicts(&Collection::new("none", ["a"])).wait().unwrap(), []);
}

#[test]
fn where_there_is_no_state_there_is_no_conflict() {
    let state = tempfile::tempdir().unwrap();
    let copy = Store::open_copy(state.path(), GROUP).unwrap();
    assert_eq!(copy.conflicts(&contacts()).wait().unwrap(), []);
}

#[test]
fn a_conflict_is_as_old_as_what_is_in_it() {
    let (_state, store) = scene();
    let next = |started: u64, change: &dyn Fn(&mut Row)| {
        let run = store.begin_run(started, Uuid::from_u128(started.into())).wait().unwrap();
        let mut next = loaded(&store, ROW);
        change(&mut next);
        apply_row(&store, next);
        store.end_run(run, started, "").wait().unwrap();
        conflict(&store).and_then(|conflict| conflict.raised)
    };
    let contents = |row: &mut Row, place: usize, content: Option<Content>| {
        row.conflict.as_mut().unwrap().contents[place] = content;
    };
    assert_eq!(next(200, &|row| row.version += 1), Some(100), "the same conflict");
    assert_eq!(next(300, &|row| contents(row, 2, Some(content(4)))), Some(300), "another edit");
    assert_eq!(next(400, &|row| contents(row, 2, None)), Some(400), "a deletion");
    // Whoever joins later and has nothing does not make it younger.
    let four = Collection::new("contacts", ["laptop", "server", "phone", "tablet"]);
    store.begin_run(500, Uuid::from_u128(500)).wait().unwrap();
    let row = store.load(&four).wait().unwrap().rows.to_vec().remove(0);
    store.apply(&four, vec![Record::Row(Box::new(row))]).wait().unwrap();
    let seen = store.conflict(&four, ROW).wait().unwrap().unwrap();
    assert_eq!((seen.raised, seen.members.len()), (Some(400), 4));
    // Nor does what somebody held who has left.
    let mut row = store.load(&four).wait().unwrap().rows.to_vec().remove(0);
    row.conflict.as_mut().unwrap().contents[3] = Some(content(6));
    store.apply(&four, vec![Record::Row(Box::new(row))]).wait().unwrap();
    assert_eq!(store.conflict(&four, ROW).wait().unwrap().unwrap().raised, Some(500));
    assert_eq!(conflict(&store).unwrap().raised, Some(400));
}

#[test]
fn bytes_of_a_conflict_go_with_it() {
    let (_state, store) = scene();
    apply_row(&store, Row { conflict: None, ..row() });
    assert_eq!(conflict(&store), None);
    apply_row(&store, row());
    let copies =
        || -> Vec<_> { conflict(&store).unwrap().members.into_iter().map(|held| held.copy).collect() };
    assert_eq!(copies(), [None, None, None]);
    apply(&store, vec![disputed()]);
    let newer = DisputedCopy { member: SERVER, format: "vcard".into(), data: vec![9] };
    apply(&store, vec![Record::Disputed(ROW, vec![newer])]);
    let nine = Kept { format: "vcard".into(), data: vec![9] };
    assert_eq!(copies(), [None, Some(nine), None], "replaced as a whole");
}

/// Whatever it is that is kept beside a row, and if it is the only thing of its kind: it goes when the
/// row is written without it.
#[test]
fn what_is_beside_a_row_goes_when_the_row_has_none() {
    let plain = || Row { conflict: None, ..row() };
    let reason = "bad".to_owned();
    let beside: [Record; 3] = [
        Record::Row(Box::new(Row { supplied: Some(Box::new(supplied(1))), ..plain() })),
        Record::Row(Box::new(Row { quarantine: vec![Quarantine { member: PHONE, reason }], ..plain() })),
        disputed(),
    ];
    for record in beside {
        let state = tempfile::tempdir().unwrap();
        let store = open(state.path());
        apply(&store, vec![record]);
        apply_row(&store, plain());
        assert_eq!(loaded(&store, ROW), plain());
        apply_row(&store, row());
        assert!(conflict(&store).unwrap().members.iter().all(|held| held.copy.is_none()));
    }
}

#[test]
fn the_latest_two_bases_are_kept_until_the_row_goes() {
    let (state, store) = scene();
    let of = |store: &Store, seed: u64| store.base(&contacts(), ROW, content(seed).raw).wait().unwrap();
    apply(&store, vec![base(ROW.0, 2), base(ROW.0, 3), base(9, 7)]);
    assert_eq!([1, 2, 3, 7].map(|seed| of(&store, seed)), [None, Some(kept(2)), Some(kept(3)), None]);
    apply(&store, vec![base(ROW.0, 2), base(ROW.0, 4)]);
    assert_eq!([2, 3, 4].map(|seed| of(&store, seed)), [Some(kept(2)), None, Some(kept(4))], "used again");
    apply(&store, vec![base(ROW.0, 4)]);
    assert_eq!([2, 4].map(|seed| of(&store, seed)), [Some(kept(2)), Some(kept(4))], "each once");
    let copy = Store::open_copy(state.path(), GROUP).unwrap();
    assert_eq!(of(&copy, 4), Some(kept(4)), "a plan merges too");
    apply(&store, vec![Record::DropRow(ROW)]);
    assert_eq!(of(&store, 4), None);
    assert_eq!(store.base(&contacts(), RowId(9), content(7).raw).wait().unwrap(), Some(kept(7)));
}

#[test]
fn nothing_of_a_dropped_row_comes_back() {
    let (_state, store) = scene();
    apply(&store, vec![Record::DropRow(ROW)]);
    assert_eq!(conflict(&store), None);
    let again = Row { entries: vec![None; 3], ..row() };
    apply_row(&store, again.clone());
    assert_eq!(loaded(&store, ROW), again);
    assert!(conflict(&store).unwrap().members.iter().all(|held| held.copy.is_none()));
}

#[test]
fn what_one_member_holds_is_taken_for_all() {
    let (_state, store) = scene();
    resolve(&store, Resolution::Take(PHONE)).unwrap();
    let mut expected = row();
    assert!(expected.choose(PHONE));
    assert_eq!(loaded(&store, ROW), expected);
    assert_eq!((expected.base, expected.version), (Some(content(3)), 3));
    assert_eq!(store.base(&contacts(), ROW, content(3).raw).wait().unwrap(), Some(kept(3)), "to merge with");
    assert_eq!(conflict(&store), None);
    let error = resolve(&store, Resolution::Take(LAPTOP)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoConflict));
    assert!(error.hint().unwrap().contains("list the conflicts again"));
}

#[test]
fn to_take_what_was_deleted_deletes() {
    for resolution in [Resolution::Take(SERVER), Resolution::Delete] {
        let (_state, store) = scene();
        resolve(&store, resolution).unwrap();
        let mut expected = row();
        expected.choose_deletion();
        assert_eq!(loaded(&store, ROW), expected);
        assert_eq!((expected.base, expected.conflict), (None, None));
    }
}

#[test]
fn what_a_person_wrote_goes_to_all() {
    let (_state, store) = scene();
    resolve(&store, Resolution::Content { supplied: supplied(8) }).unwrap();
    let mut expected = row();
    expected.supply(supplied(8));
    assert_eq!(loaded(&store, ROW), expected);
    assert_eq!(store.base(&contacts(), ROW, content(8).raw).wait().unwrap(), Some(kept(8)));
}

#[test]
fn a_collection_that_does_not_merge_keeps_no_bases() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    apply(&store, vec![Record::Row(Box::new(row())), disputed()]);
    resolve(&store, Resolution::Take(PHONE)).unwrap();
    assert_eq!(store.base(&contacts(), ROW, content(3).raw).wait().unwrap(), None);
}

#[test]
fn both_are_kept_as_items_of_their_own() {
    let (_state, store) = scene();
    let copies = vec![(key("new-1"), supplied(3)), (key("new-2"), supplied(6))];
    resolve(&store, Resolution::KeepBoth { winner: LAPTOP, copies }).unwrap();
    assert_eq!(loaded(&store, ROW).base, Some(content(2)));
    for (id, name, seed) in [(10, "new-1", 3), (11, "new-2", 6)] {
        let fresh = loaded(&store, RowId(id));
        assert_eq!((&fresh.key, fresh.base), (&key(name), Some(content(seed))));
        assert_eq!((fresh.entries, fresh.supplied), (vec![None; 3], Some(Box::new(supplied(seed)))));
        assert!(fresh.version > 0 && fresh.conflict.is_none());
    }
    assert_eq!(store.load(&contacts()).wait().unwrap().last_row, 11);
}

/// All or none: a choice that cannot be carried out changes nothing.
#[test]
fn a_wrong_choice_changes_nothing() {
    let (_state, store) = scene();
    let before = store.load(&contacts()).wait().unwrap();
    let clash = |first: &str, second: &str| Resolution::KeepBoth {
        winner: LAPTOP,
        copies: vec![(key(first), supplied(3)), (key(second), supplied(6))],
    };
    for wrong in [clash("new", "calm"), clash("new", "new"), Resolution::Take(MemberIndex(7))] {
        let error = resolve(&store, wrong).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error}");
        assert_eq!(store.load(&contacts()).wait().unwrap(), before);
    }
    for row in [RowId(5), RowId(77)] {
        for choice in
            [Resolution::Take(LAPTOP), Resolution::Delete, Resolution::Content { supplied: supplied(1) }]
        {
            let error = store.resolve(&contacts(), row, choice).wait().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::NoConflict), "{error}");
        }
    }
    assert_eq!(store.load(&contacts()).wait().unwrap(), before);
}

/// Whoever never had the item cannot have deleted it.
#[test]
fn nothing_is_deleted_for_a_member_that_never_had_the_item() {
    let (_state, store) = scene();
    apply_row(
        &store,
        Row { entries: vec![entry("a.vcf", 2, Some(2)), None, entry("c", 2, Some(3))], ..row() },
    );
    let error = resolve(&store, Resolution::Take(SERVER)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error}");
    assert!(conflict(&store).is_some());
}

#[test]
fn what_has_changed_since_it_was_shown_is_not_taken() {
    let (_state, store) = scene();
    apply_row(
        &store,
        Row { entries: vec![entry("a.vcf", 2, Some(6)), None, entry("c", 2, Some(3))], ..row() },
    );
    let error = resolve(&store, Resolution::Take(LAPTOP)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoConflict), "{error}");
    resolve(&store, Resolution::Take(PHONE)).unwrap();
    let row = loaded(&store, ROW);
    let laptop = row.entries[0].as_ref().unwrap();
    assert_eq!((laptop.agreed, row.base), (content(1), Some(content(3))), "the edit is still news");
}

#[test]
fn the_digest_of_the_tests_is_of_the_bytes_of_the_tests() {
    assert_eq!(content(3).raw, RawDigest::of(&kept(3).data));
}
