//! Those who only look: beside a run, after one, after a crash. They write nothing.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::SystemTime,
};

use common::{GROUP, acknowledged, apply_for_ever, batch, child, contacts, number, open};
use outrigger_store::{ErrorKind, Status, Store, UndoId, status};
use uuid::Uuid;

#[test]
#[ignore = "the other process of the tests here"]
fn child_that_applies() {
    apply_for_ever();
}

type Picture = BTreeMap<PathBuf, (SystemTime, Vec<u8>)>;

/// Names, times and bytes of all files of the group.
fn picture(state: &Path) -> Picture {
    let files = fs::read_dir(state.join("groups")).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| (path.clone(), (path.metadata().unwrap().modified().unwrap(), fs::read(path).unwrap())))
        .collect()
}

/// Looks in both ways, and finds batch `n` and the files as they were.
fn looks_at(state: &Path, n: u64, files: usize) {
    let before = picture(state);
    assert_eq!(before.len(), files, "{:?}", before.keys());
    let copy = Store::open_copy(state, GROUP).unwrap();
    assert_eq!(number(&copy.load(&contacts()).wait().unwrap()), n);
    let told = status(state, GROUP).unwrap();
    assert_eq!(told, copy.status().wait().unwrap());
    assert_eq!((told.collections[0].rows, told.collections[0].intents), (8, 1));
    // What is planned on the copy stays in the copy.
    copy.begin_run(9, Uuid::from_u128(9)).wait().unwrap();
    copy.apply(&contacts(), batch(n + 1)).wait().unwrap();
    assert_eq!(number(&copy.load(&contacts()).wait().unwrap()), n + 1);
    copy.close().unwrap();
    assert!(picture(state) == before, "something was written");
}

#[test]
fn where_nothing_is_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    assert_eq!(status(&state, GROUP).unwrap(), Status::default());
    let copy = Store::open_copy(&state, GROUP).unwrap();
    assert_eq!(number(&copy.load(&contacts()).wait().unwrap()), 0);
    assert!(copy.try_clone_lock().unwrap().is_none());
    drop(copy);
    assert!(!state.exists());
}

#[test]
fn after_a_clean_end() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    store.begin_run(1, Uuid::nil()).wait().unwrap();
    store.apply(&contacts(), batch(3)).wait().unwrap();
    store.close().unwrap();
    looks_at(state.path(), 3, 2);
}

#[test]
fn after_a_crash_with_and_without_the_index_of_the_log() {
    let state = tempfile::tempdir().unwrap();
    let (mut process, lines) = child("child_that_applies", state.path(), Stdio::null());
    lines.filter_map(|line| acknowledged(&line.unwrap())).nth(20).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    let n = number(&Store::open_copy(state.path(), GROUP).unwrap().load(&contacts()).wait().unwrap());
    looks_at(state.path(), n, 4);
    fs::remove_file(state.path().join("groups/work.db-shm")).unwrap();
    looks_at(state.path(), n, 3);
    assert_eq!(number(&open(state.path()).load(&contacts()).wait().unwrap()), n);
}

#[test]
fn beside_a_run_of_another_process() {
    let state = tempfile::tempdir().unwrap();
    let (mut process, lines) = child("child_that_applies", state.path(), Stdio::null());
    let mut numbers = lines.filter_map(|line| acknowledged(&line.unwrap()));
    let mut last = numbers.next().unwrap();
    for _ in 0..50 {
        let copy = Store::open_copy(state.path(), GROUP).unwrap();
        let seen = number(&copy.load(&contacts()).wait().unwrap());
        assert!(seen >= last, "{last} was acknowledged, {seen} is seen");
        let told = status(state.path(), GROUP).unwrap();
        assert_eq!((told.collections[0].rows, told.collections[0].intents), (8, 1));
        assert_eq!(told.last_run.unwrap().finished, None);
        last = numbers.next().unwrap();
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn beside_a_run_of_this_process() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let run = store.begin_run(5, Uuid::from_u128(5)).wait().unwrap();
    for n in 1..50 {
        store.apply(&contacts(), batch(n)).wait().unwrap();
        let copy = Store::open_copy(state.path(), GROUP).unwrap();
        assert_eq!(number(&copy.load(&contacts()).wait().unwrap()), n);
        assert_eq!(status(state.path(), GROUP).unwrap().undo_bytes, n * 100);
    }
    store.end_run(run, 6, r#"{"done":true}"#).wait().unwrap();
    let last = status(state.path(), GROUP).unwrap().last_run.unwrap();
    assert_eq!((last.id, last.started, last.finished), (run, 5, Some(6)));
    assert_eq!(last.outcome.as_deref(), Some(r#"{"done":true}"#));
    store.close().unwrap();
}

#[test]
fn a_copy_knows_what_can_be_undone_and_finds_the_bytes_in_the_file() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let run = store.begin_run(1, Uuid::nil()).wait().unwrap();
    store.apply(&contacts(), batch(3)).wait().unwrap();
    let kept = store.undo_entries(run).wait().unwrap();
    assert_eq!((kept.len(), kept[0].size, kept[0].member.as_str()), (1, 100, "laptop"));
    assert_eq!(store.undo_content(kept[0].id).wait().unwrap(), Some(vec![b'u'; 100]));
    let copy = Store::open_copy(state.path(), GROUP).unwrap();
    assert_eq!(copy.undo_entries(run).wait().unwrap(), kept);
    assert_eq!(copy.undo_content(kept[0].id).wait().unwrap(), Some(vec![b'u'; 100]));
    assert_eq!(copy.undo_content(UndoId(kept[0].id.0 + 1)).wait().unwrap(), None);
}

#[test]
fn what_is_foreign_is_refused_to_readers_too() {
    let state = tempfile::tempdir().unwrap();
    let groups = state.path().join("groups");
    fs::create_dir(&groups).unwrap();
    fs::write(groups.join("work.db"), "neither a database nor ours ".repeat(50)).unwrap();
    for error in
        [status(state.path(), GROUP).unwrap_err(), Store::open_copy(state.path(), GROUP).unwrap_err()]
    {
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    }
}
