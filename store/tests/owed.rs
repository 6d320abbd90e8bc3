//! Owed: what the next run has to write is counted, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;

use common::{GROUP, content, entry, open, row};
use outrigger_engine::{Conflict, Entry, MemberIndex, Observed, Quarantine, Record, Row};
use outrigger_store::{Collection, owed};

const MEMBERS: [&str; 3] = ["laptop", "server", "phone"];

/// A row that all have agreed on at version 3, of which each member has this version.
fn at(have: [u64; 3]) -> Row {
    let entries = have.map(|have| Some(Entry { agreed: content(have), ..entry(1, have) }));
    let (conflict, quarantine, supplied) = (None, Vec::new(), None);
    Row { base: Some(content(3)), entries: entries.to_vec(), conflict, quarantine, supplied, ..row(1, 3) }
}

/// A deletion at version 3.
fn deleted(have: [u64; 3]) -> Row {
    Row { base: None, ..at(have) }
}

/// Items owed at the first two of three members; the second takes no deletions.
fn count(row: Row) -> u64 {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    store.apply(&Collection::new("c", MEMBERS), vec![Record::Row(Box::new(row))]).wait().unwrap();
    let [seen, beside] = [Collection::new("c", ["laptop", "server"]), Collection::new("other", MEMBERS)];
    let counts = owed(state.path(), GROUP, &[(seen, vec![true, false]), (beside, vec![true; 3])]).unwrap();
    assert_eq!(counts[1], 0, "of a collection that is not known");
    counts[0]
}

fn gone(mut row: Row, member: usize) -> Row {
    row.entries[member].as_mut().unwrap().observed = Observed::Gone;
    row
}

#[test]
fn what_members_are_behind_with_is_owed_and_nothing_else() {
    assert_eq!([at([3, 3, 3]), at([1, 3, 3]), at([3, 1, 3])].map(count), [0, 1, 1]);
    assert_eq!(count(at([3, 3, 1])), 0, "a member that does not count");
    assert_eq!(
        count(Row { entries: vec![Some(entry(1, 3)), None, None], ..at([3; 3]) }),
        0,
        "never took part"
    );
    // Who has the very bytes has them.
    let mut same = at([1, 3, 3]);
    same.entries[0].as_mut().unwrap().agreed = content(3);
    assert_eq!(count(same), 0);
    // A deletion is owed where the item still is; otherwise it is only to be taken note of.
    let deletions = [deleted([1, 3, 3]), gone(deleted([1, 3, 3]), 0), deleted([3, 1, 3])];
    assert_eq!(deletions.map(count), [1, 0, 0]);
}

#[test]
fn what_waits_for_a_person_or_a_change_is_not_owed() {
    let conflict = Some(Conflict { contents: vec![Some(content(1)); 3] });
    assert_eq!(count(Row { conflict, ..at([1, 3, 3]) }), 0);
    let quarantine = vec![Quarantine { member: MemberIndex(0), reason: "too large".into() }];
    assert_eq!(count(Row { quarantine, ..at([1, 3, 3]) }), 0);
}

#[test]
fn of_a_group_without_state_nothing_is_owed_and_none_is_made() {
    let state = tempfile::tempdir().unwrap();
    let of = [(Collection::new("c", MEMBERS), vec![true; 3])];
    assert_eq!(owed(state.path(), GROUP, &of).unwrap(), [0]);
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}
