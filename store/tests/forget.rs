//! Starting over, as a whole or in part, and whether what is there holds together.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;

use std::{fs, path::Path, time::Duration};

use common::{GROUP, batch, contacts, number, open, row, undo};
use outrigger_engine::{MemberIndex, MemberState, Record, Row, RowId};
use outrigger_protocol::{Anchor, StoreId};
use outrigger_store::{Collection, ErrorKind, Status, Store, check, forget, status};
use rusqlite::Connection;
use uuid::Uuid;

/// A run of two members that have everything.
fn scene() -> (tempfile::TempDir, Store) {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let run = store.begin_run(1, Uuid::nil()).wait().unwrap();
    let mut records = batch(3);
    for member in (0..2).map(MemberIndex) {
        records.push(Record::Anchor(member, Anchor::from("3")));
        records.push(Record::Store(member, StoreId::from("s")));
    }
    store.apply(&contacts(), records).wait().unwrap();
    store.end_run(run, 2, "").wait().unwrap();
    (state, store)
}

#[test]
fn a_member_that_is_reset_lists_everything_and_keeps_what_it_knows() {
    let (_state, store) = scene();
    let object_types = [("contact".to_owned(), Some(Anchor::from("3")))].into();
    store.keep_member("server", MemberState { object_types, ..MemberState::default() }).wait().unwrap();
    let before = store.load(&contacts()).wait().unwrap();
    assert_eq!(store.reset(&["server", "nobody"]).wait().unwrap(), ["server"]);
    let mut expected = before.clone();
    expected.anchors[1] = None;
    assert_eq!(store.load(&contacts()).wait().unwrap(), expected);
    let member = store.member("server").wait().unwrap();
    assert!(member.is_slow_everywhere() && member.generation == 1, "{member:?}");
    assert_eq!(member.object_types, [("contact".to_owned(), None)].into());
    assert!(!store.member("laptop").wait().unwrap().is_slow_everywhere());
    // A run that began before that does not lower it; the next one does.
    let mut later = member.clone();
    assert!(!later.lower(&MemberState::default()) && later.lower(&member));
    store.reset(&["server"]).wait().unwrap();
    assert!(!store.member("server").wait().unwrap().lower(&member), "asked for again");
}

#[test]
fn a_member_that_is_forgotten_begins_anew_and_the_others_go_on() {
    let (state, store) = scene();
    let mut alone = row(20, 1);
    alone.entries = vec![None, alone.entries[1].clone(), None];
    let fresh = Row { id: RowId(21), entries: vec![None; 3], ..row(20, 2) };
    assert!(alone.supplied.is_some() && fresh.supplied.is_none());
    alone.supplied = None;
    let records = [alone, fresh].map(|row| Record::Row(Box::new(row))).into();
    store.apply(&contacts(), records).wait().unwrap();
    assert_eq!(store.forget_members(&["server"]).wait().unwrap(), ["server"]);
    let after = store.load(&contacts()).wait().unwrap();
    let expected: Vec<Row> = (1..=8)
        .map(|id| {
            let mut row = row(id, 3);
            row.entries[1] = None;
            row.quarantine.retain(|one| one.member != MemberIndex(1));
            row
        })
        .collect();
    assert_eq!(after.rows.to_vec(), expected, "what only it had is gone");
    assert_eq!(after.anchors, [Some(Anchor::from("3")), None, None]);
    assert_eq!(after.stores, [Some(StoreId::from("s")), None, None]);
    assert_eq!((after.intents.len(), after.last_row), (0, 21));
    assert!(store.member("server").wait().unwrap().is_slow_everywhere());
    assert_eq!(check(state.path(), GROUP).unwrap(), <[String; 0]>::default());
}

#[test]
fn a_group_that_is_forgotten_is_gone_but_for_its_lock() {
    let (state, store) = scene();
    let again = || forget(state.path(), GROUP, Duration::ZERO);
    let error = again().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }), "{error}");
    assert_eq!(store.load(&contacts()).wait().unwrap().rows.len(), 8, "nothing was taken from a run");
    // As after a crash: with a log.
    let groups = state.path().join("groups");
    let crashed = ["db", "db-wal"].map(|ending| fs::read(groups.join(format!("{GROUP}.{ending}"))).unwrap());
    store.close().unwrap();
    for (ending, bytes) in ["db", "db-wal"].iter().zip(crashed) {
        fs::write(groups.join(format!("{GROUP}.{ending}")), bytes).unwrap();
    }
    assert!(again().unwrap());
    let left: Vec<_> = fs::read_dir(&groups).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, [format!("{GROUP}.lock").as_str()]);
    assert!(!again().unwrap(), "there was nothing");
    assert_eq!(status(state.path(), GROUP).unwrap(), Status::default());
    assert_eq!(number(&open(state.path()).load(&contacts()).wait().unwrap()), 0);
}

#[test]
fn to_forget_what_never_was_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    assert!(!forget(&state, GROUP, Duration::ZERO).unwrap());
    assert_eq!(check(&state, GROUP).unwrap(), <[String; 0]>::default());
    assert!(!state.exists());
}

/// What `check` says after SQL that no version of this program would do.
fn found_after(sql: &str) -> Vec<String> {
    let (state, store) = scene();
    let other = Collection::new("calendar", ["laptop"]);
    store.apply(&other, vec![Record::Row(Box::new(Row { entries: vec![None], ..plain(1) }))]).wait().unwrap();
    store.close().unwrap();
    let file = state.path().join(format!("groups/{GROUP}.db"));
    Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let before = fs::read(&file).unwrap();
    let found = check(state.path(), GROUP).unwrap();
    assert_eq!(fs::read(&file).unwrap(), before);
    found
}

fn plain(id: u64) -> Row {
    Row { supplied: None, conflict: None, quarantine: Vec::new(), ..row(id, 1) }
}

#[test]
fn what_does_not_hold_together_is_found() {
    assert_eq!(found_after(""), <[String; 0]>::default());
    for (sql, words) in [
        ("DELETE FROM rows WHERE row = 2", "lines of `entries` without their item"),
        ("INSERT INTO bases VALUES (90, 1, 99, x'', x'', '', x'')", "1 lines of `bases` without their item"),
        ("DELETE FROM members WHERE name = 'laptop'", "1 lines of `undo` without their member"),
        ("DELETE FROM collections WHERE name = 'calendar'", "1 lines of `rows` without their collection"),
        ("INSERT INTO disputed VALUES (1, 2, 1, '', x'')", "1 disputed contents of items without a conflict"),
        ("UPDATE entries SET have = 9 WHERE row = 1", "2 members that hold a later version of an item"),
        ("UPDATE collections SET last_row = 7 WHERE id = 1", "1 items with a number that was not given yet"),
        ("DELETE FROM runs", "1 undo entries without a run"),
        ("UPDATE undo SET data = x'01'", "1 undo entries with half of their bytes"),
        ("UPDATE entries SET digest = x'01' WHERE row = 3", "collection `contacts`: "),
    ] {
        let found = found_after(sql);
        assert!(
            found.iter().any(|found| found.starts_with(words) || found.ends_with(words)),
            "{sql}: {found:?}"
        );
    }
}

#[test]
fn a_damaged_file_is_found_out_beside_a_run_too() {
    let (state, store) = scene();
    assert_eq!(check(state.path(), GROUP).unwrap(), <[String; 0]>::default(), "beside a run");
    store.begin_run(5, Uuid::from_u128(5)).wait().unwrap();
    store.apply(&contacts(), vec![Record::Undo(undo(9, 300_000))]).wait().unwrap();
    store.close().unwrap();
    damage(state.path());
    let found = check(state.path(), GROUP);
    assert!(found.as_ref().is_ok_and(|found| !found.is_empty()), "{found:?}");
}

/// Makes a page of the long undo entry point at itself.
fn damage(state: &Path) {
    let path = state.join(format!("groups/{GROUP}.db"));
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.chunks(4096).rposition(|page| page[4..].iter().all(|byte| *byte == b'u')).unwrap();
    bytes[page * 4096..page * 4096 + 4].copy_from_slice(&u32::try_from(page + 1).unwrap().to_be_bytes());
    fs::write(&path, bytes).unwrap();
}
