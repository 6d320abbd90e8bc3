//! What was applied is what is loaded: against a model, through a restart, and from a copy.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;

use common::{GROUP, contacts, open, quick_dir, row};
use outrigger_engine::{
    Charge, Conflict, Content, Digest, Entry, Intent, Key, Observed, Record, Row, RowId, Side, Snapshot, Undo,
};
use outrigger_protocol::{Anchor, CommitKind, Href, OperationId, RawDigest, Revision, StoreId};
use outrigger_store::{Collection, Store};
use proptest::{collection::vec, option, prelude::*};
use uuid::Uuid;

fn bytes() -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..12).prop_map(Into::into)
}

fn content() -> impl Strategy<Value = Content> {
    // Few, so that what is observed often equals what was agreed.
    (0..3_u8, 0..3_u8).prop_map(|(a, b)| Content { digest: Digest([a; 32]), raw: RawDigest([b; 32]) })
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}

fn operation() -> impl Strategy<Value = OperationId> {
    (0..6_u128).prop_map(|n| OperationId(Uuid::from_u128(n)))
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..9_u64, Just(i64::MAX.unsigned_abs())]
}

fn row_id() -> impl Strategy<Value = RowId> {
    (0..9_u64).prop_map(RowId)
}

fn observed() -> impl Strategy<Value = Observed> {
    let present = (bytes(), any::<bool>(), content()).prop_map(|(revision, settled, content)| {
        Observed::Present { revision: Revision(revision), settled, content }
    });
    prop_oneof![present, Just(Observed::Gone)]
}

fn entry() -> impl Strategy<Value = Entry> {
    (bytes(), content(), number(), any::<bool>(), observed()).prop_map(
        |(href, agreed, have, rewritten, observed)| Entry {
            href: Href(href),
            agreed,
            have,
            rewritten,
            observed,
        },
    )
}

fn rows() -> impl Strategy<Value = Row> {
    let conflict = [option::of(content()), option::of(content())].prop_map(|contents| Conflict { contents });
    let entries = [option::of(entry()), option::of(entry())];
    (row_id(), bytes(), number(), entries, option::of(conflict), option::of(".*")).prop_map(
        |(id, key, version, entries, conflict, quarantine)| Row {
            id,
            key: Key(key),
            version,
            entries,
            conflict,
            quarantine,
        },
    )
}

fn intent() -> impl Strategy<Value = Intent> {
    let kind = prop_oneof![Just(CommitKind::Create), Just(CommitKind::Update), Just(CommitKind::Delete)];
    let expected = option::of((bytes().prop_map(Revision), content()));
    (operation(), row_id(), side(), kind, bytes(), bytes(), expected, option::of(content()), number())
        .prop_map(|(operation, row, side, kind, href, key, expected, content, version)| Intent {
            operation,
            row,
            side,
            kind,
            href: Href(href),
            key: Key(key),
            expected,
            content,
            version,
        })
}

fn undo() -> impl Strategy<Value = Undo> {
    (operation(), side(), bytes(), ".*", bytes()).prop_map(|(operation, side, href, format, data)| Undo {
        operation,
        side,
        href: Href(href),
        format,
        data: data.into(),
    })
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        1 => undo().prop_map(Record::Undo),
        4 => intent().prop_map(Record::Intent),
        2 => operation().prop_map(Record::Settled),
        6 => rows().prop_map(|row| Record::Row(Box::new(row))),
        1 => row_id().prop_map(Record::DropRow),
        1 => (side(), bytes()).prop_map(|(side, anchor)| Record::Anchor(side, Anchor(anchor))),
        1 => (side(), bytes()).prop_map(|(side, store)| Record::Store(side, StoreId(store))),
        2 => (side(), 0u8..3, 0u8..4).prop_map(|(side, subject, crashes)| {
            Record::Charge(Charge { side, subject: RawDigest([subject; 32]), crashes })
        }),
    ]
}

/// What the records mean, without any file.
fn apply(model: &mut Snapshot, record: Record) {
    match record {
        Record::Undo(_) => {}
        Record::Intent(intent) => {
            model.last_row = model.last_row.max(intent.row.0);
            match model.intents.iter_mut().find(|open| open.operation == intent.operation) {
                Some(open) => *open = intent,
                None => model.intents.push(intent),
            }
        }
        Record::Settled(operation) => model.intents.retain(|open| open.operation != operation),
        Record::Row(row) => {
            model.last_row = model.last_row.max(row.id.0);
            model.rows.retain(|known| known.id != row.id);
            model.rows.push(*row);
        }
        Record::DropRow(id) => model.rows.retain(|row| row.id != id),
        Record::Anchor(side, anchor) => model.anchors[side.index()] = Some(anchor),
        Record::Store(side, store) => model.stores[side.index()] = Some(store),
        Record::Charge(charge) => {
            model.charges.retain(|one| (one.side, one.subject) != (charge.side, charge.subject));
            model.charges.extend((charge.crashes > 0).then_some(charge));
        }
    }
}

fn load(store: &Store) -> Snapshot {
    store.load(&contacts()).wait().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_was_applied_is_loaded(batches in vec(vec(record(), 0..12), 0..6)) {
        let state = quick_dir();
        let mut model = Snapshot::default();
        let store = open(state.path());
        store.begin_run(0, Uuid::nil()).wait().unwrap();
        for batch in batches {
            batch.iter().cloned().for_each(|record| apply(&mut model, record));
            store.apply(&contacts(), batch).wait().unwrap();
        }
        model.rows.sort_by_key(|row| row.id);
        model.charges.sort_by_key(|charge| (charge.side, charge.subject.0));
        prop_assert_eq!(&load(&store), &model);
        prop_assert_eq!(&load(&Store::open_copy(state.path(), GROUP).unwrap()), &model);
        store.close().unwrap();
        prop_assert_eq!(&load(&Store::open_copy(state.path(), GROUP).unwrap()), &model);
        prop_assert_eq!(&load(&open(state.path())), &model);
    }
}

#[test]
fn collections_do_not_meet() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let calendar = Collection::new("calendar", "laptop", "server");
    store.apply(&contacts(), vec![Record::Row(Box::new(row(1, 1)))]).wait().unwrap();
    store.apply(&calendar, vec![Record::Row(Box::new(row(1, 2)))]).wait().unwrap();
    store.apply(&contacts(), vec![Record::DropRow(RowId(1))]).wait().unwrap();
    assert_eq!(load(&store).rows, []);
    assert_eq!(store.load(&calendar).wait().unwrap().rows, [row(1, 2)]);
}

#[test]
fn state_belongs_to_names_not_to_sides() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let mut one = row(1, 1);
    one.entries[1] = None;
    store.apply(&contacts(), vec![Record::Row(Box::new(one.clone()))]).wait().unwrap();
    let swapped = store.load(&Collection::new("contacts", "server", "laptop")).wait().unwrap();
    assert_eq!(swapped.rows[0].entries, [None, one.entries[0].clone()]);
    let others = store.load(&Collection::new("contacts", "phone", "tablet")).wait().unwrap();
    assert_eq!((others.rows.len(), others.last_row), (0, 1), "nothing to them, but no number twice");
    assert_eq!(load(&store).rows, [one]);
}

#[test]
fn members_of_one_name_are_refused() {
    let state = tempfile::tempdir().unwrap();
    let error = open(state.path()).load(&Collection::new("contacts", "a", "a")).wait().unwrap_err();
    assert!(error.to_string().contains("same name"), "{error}");
}
