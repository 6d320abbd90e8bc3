//! Whatever stops a run, what was acknowledged is there afterwards, and nothing is there by half.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;

use std::{fs, io::Write as _, path::Path, process::Stdio, time::Duration};

use common::{
    GROUP, IN_FLIGHT, acknowledged, apply_for_ever, batch, child, child_state, contacts, number, open,
    quick_dir, undo,
};
use outrigger_engine::Record;
use outrigger_store::{ErrorKind, RunId, Store};
use uuid::Uuid;

#[test]
#[ignore = "the other process of the tests here"]
fn child_that_applies() {
    apply_for_ever();
}

#[test]
#[ignore = "the other process of the tests here"]
fn child_that_holds_what_it_inherited() {
    std::io::stdout().write_all(b"ready\n").unwrap();
    while child_state().is_some() {
        std::thread::park();
    }
}

#[test]
fn killed_at_any_moment_it_has_all_that_was_acknowledged() {
    let state = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..24_u64 {
        let (mut process, mut lines) = child("child_that_applies", state.path(), Stdio::null());
        let mut numbers = lines.by_ref().filter_map(|line| acknowledged(&line.unwrap()));
        let seen = usize::try_from(round * 7919 % 31).unwrap();
        let enough = numbers.nth(seen).unwrap();
        process.kill().unwrap();
        let last = lines.filter_map(|line| acknowledged(&line.unwrap())).last().unwrap_or(enough);
        process.wait().unwrap();

        let store = open(state.path());
        let found = number(&store.load(&contacts()).wait().unwrap());
        assert!((last..=last + IN_FLIGHT).contains(&found), "acknowledged {last}, found {found}");
        let runs = store.runs(1).wait().unwrap();
        let kept = store.undo_entries(runs[0].id).wait().unwrap();
        assert_eq!(u64::try_from(kept.len()).unwrap(), found - before, "one per batch of this run");
        before = found;
    }
}

#[test]
fn killed_while_the_file_is_made_it_can_be_made_again() {
    for round in 0..18_usize {
        let state = tempfile::tempdir().unwrap();
        let made =
            state.path().join(["groups/work.db", "groups/work.db-wal", "groups/work.db-shm"][round % 3]);
        let (mut process, _lines) = child("child_that_applies", state.path(), Stdio::null());
        while !made.exists() {
            std::thread::yield_now();
        }
        process.kill().unwrap();
        process.wait().unwrap();
        found(state.path());
    }
}

const BATCHES: u64 = 3;

/// A few batches, then a crash: the file and its log as a dead process leaves them.
fn crashed() -> (Vec<u8>, Vec<u8>) {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    store.begin_run(1, Uuid::nil()).wait().unwrap();
    for n in 1..=BATCHES {
        store.apply(&contacts(), batch(n)).wait().unwrap();
    }
    let file = |ending| fs::read(state.path().join(format!("groups/{GROUP}.{ending}"))).unwrap();
    (file("db"), file("db-wal"))
}

fn restored(db: &[u8], wal: &[u8]) -> tempfile::TempDir {
    let state = quick_dir();
    let groups = state.path().join("groups");
    fs::create_dir(&groups).unwrap();
    fs::write(groups.join(format!("{GROUP}.db")), db).unwrap();
    fs::write(groups.join(format!("{GROUP}.db-wal")), wal).unwrap();
    state
}

/// What a copy sees, and a run after it; with which the run goes on.
fn found(state: &Path) -> u64 {
    let copy = Store::open_copy(state, GROUP).unwrap();
    let planned = number(&copy.load(&contacts()).wait().unwrap());
    let store = open(state);
    let n = number(&store.load(&contacts()).wait().unwrap());
    assert_eq!(planned, n);
    store.begin_run(2, Uuid::from_u128(2)).wait().unwrap();
    store.apply(&contacts(), batch(n + 1)).wait().unwrap();
    assert_eq!(number(&store.load(&contacts()).wait().unwrap()), n + 1);
    n
}

#[test]
fn a_log_torn_anywhere_holds_the_batches_up_to_there() {
    let (db, wal) = crashed();
    // At the end of each of its frames, and at a place of each that differs from one to the next.
    let (header, frame) = (32, 24 + 4096);
    let mut lengths: Vec<usize> =
        (header..=wal.len()).step_by(frame).chain((0..wal.len()).step_by(4057)).collect();
    lengths.sort_unstable();
    let found: Vec<u64> = lengths.iter().map(|length| found(restored(&db, &wal[..*length]).path())).collect();
    assert!(found.is_sorted(), "{found:?}");
    assert_eq!((found.first(), found.last()), (Some(&0), Some(&BATCHES)));
}

#[test]
fn a_log_with_a_wrong_bit_holds_the_batches_before_it() {
    let (db, wal) = crashed();
    let found: Vec<u64> = (0..wal.len())
        .step_by(8209)
        .map(|place| {
            let mut wal = wal.clone();
            wal[place] ^= 1;
            found(restored(&db, &wal).path())
        })
        .collect();
    assert!(found.is_sorted() && found.iter().all(|n| *n < BATCHES), "{found:?}");
}

#[test]
fn a_damaged_file_is_refused_with_a_hint() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    store.begin_run(1, Uuid::nil()).wait().unwrap();
    store.apply(&contacts(), batch(1)).wait().unwrap();
    store.close().unwrap();
    let mut db = fs::read(state.path().join("groups/work.db")).unwrap();
    let end = db.len();
    db[4096..end].fill(0xa5);
    // With a log beside it, as after a crash: the check at the start finds it.
    let (_, wal) = crashed();
    let error = Store::open(restored(&db, &wal[..32]).path(), GROUP, Duration::ZERO).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    assert!(error.hint().unwrap().contains("restore a backup"));
    // Without: whoever reads it is told.
    let state = restored(&db, b"");
    let told =
        Store::open(state.path(), GROUP, Duration::ZERO).and_then(|store| store.load(&contacts()).wait());
    assert!(matches!(told.unwrap_err().kind(), ErrorKind::Corrupt { .. }));
}

#[test]
fn a_helper_that_inherited_the_lock_keeps_it() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let lock = store.try_clone_lock().unwrap().unwrap();
    let (mut process, mut lines) = child("child_that_holds_what_it_inherited", state.path(), lock.into());
    assert!(lines.any(|line| line.unwrap().ends_with("ready")));
    store.close().unwrap();
    let error = Store::open(state.path(), GROUP, Duration::ZERO).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { holder: Some(pid) } if *pid == std::process::id()));
    process.kill().unwrap();
    process.wait().unwrap();
    Store::open(state.path(), GROUP, Duration::ZERO).unwrap();
}

#[test]
fn undo_bytes_of_a_write_in_doubt_outlive_every_limit() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let run = store.begin_run(1, Uuid::from_u128(1)).wait().unwrap();
    let mut records = batch(7);
    records.push(Record::Undo(undo(6, 10)));
    store.apply(&contacts(), records).wait().unwrap();
    drop(store);
    let store = open(state.path());
    let pruned = store.prune(1 << 40, Duration::ZERO, 0).wait().unwrap();
    assert_eq!((pruned.entries, pruned.bytes), (1, 10), "6 is settled, 7 is not");
    assert_eq!(store.undo_entries(run).wait().unwrap().len(), 1);
    assert_eq!(store.undo_entries(RunId(99)).wait().unwrap(), []);
}
