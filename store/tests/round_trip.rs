//! What was applied is what is loaded: against a model, through a restart, and from a copy.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;

use common::{GROUP, contacts, content as content_of, entry as entry_of, open, quick_dir, row};
use outrigger_engine::{
    Charge, Conflict, Content, Digest, DisputedCopy, Entry, Intent, Key, MemberIndex, Observed, Quarantine,
    Record, Row, RowId, Snapshot, Supplied, Undo,
};
use outrigger_protocol::{Anchor, CommitKind, Href, OperationId, RawDigest, Revision, StoreId};
use outrigger_store::{Collection, ErrorKind, Store};
use proptest::{collection::vec, option, prelude::*};
use uuid::Uuid;

fn bytes() -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..12).prop_map(Into::into)
}

fn content() -> impl Strategy<Value = Content> {
    // Few, so that what is observed often equals what was agreed.
    (0..3_u8, 0..3_u8).prop_map(|(a, b)| Content { digest: Digest([a; 32]), raw: RawDigest([b; 32]) })
}

fn member(members: u16) -> impl Strategy<Value = MemberIndex> {
    (0..members).prop_map(MemberIndex)
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

/// For each member something or nothing.
fn each<T: std::fmt::Debug>(
    members: u16,
    of: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<Option<T>>> {
    vec(option::of(of), usize::from(members))
}

fn supplied() -> impl Strategy<Value = Box<Supplied>> {
    (content(), ".*", bytes())
        .prop_map(|(content, format, data)| Box::new(Supplied { content, format, data: data.into() }))
}

fn quarantine(members: u16) -> impl Strategy<Value = Vec<Quarantine>> {
    each(members, ".*").prop_map(|reasons| {
        let places = (0..).map(MemberIndex).zip(reasons);
        places.filter_map(|(member, reason)| Some(Quarantine { member, reason: reason? })).collect()
    })
}

fn rows(members: u16) -> impl Strategy<Value = Row> {
    let conflict = each(members, content()).prop_map(|contents| Conflict { contents });
    let beside = (option::of(supplied()), option::of(conflict), quarantine(members));
    (row_id(), bytes(), number(), option::of(content()), each(members, entry()), beside).prop_map(
        |(id, key, version, base, entries, (supplied, conflict, quarantine))| Row {
            id,
            key: Key(key),
            version,
            base,
            entries,
            supplied,
            conflict,
            quarantine,
        },
    )
}

fn disputed(members: u16) -> impl Strategy<Value = Vec<DisputedCopy>> {
    each(members, bytes()).prop_map(|copies| {
        let places = (0..).map(MemberIndex).zip(copies);
        let copy = |(member, data): (_, Option<Box<[u8]>>)| {
            Some(DisputedCopy { member, format: "vcard".into(), data: data?.into() })
        };
        places.filter_map(copy).collect()
    })
}

fn kind() -> impl Strategy<Value = CommitKind> {
    prop_oneof![Just(CommitKind::Create), Just(CommitKind::Update), Just(CommitKind::Delete)]
}

fn intent(members: u16) -> impl Strategy<Value = Intent> {
    let expected = option::of((bytes().prop_map(Revision), content()));
    let write = (kind(), bytes(), bytes(), expected, option::of(content()), number());
    (operation(), row_id(), member(members), write).prop_map(
        |(operation, row, member, (kind, href, key, expected, content, version))| Intent {
            operation,
            row,
            member,
            kind,
            href: Href(href),
            key: Key(key),
            expected,
            content,
            version,
        },
    )
}

fn undo(members: u16) -> impl Strategy<Value = Undo> {
    (operation(), row_id(), member(members), kind(), bytes(), ".*", bytes()).prop_map(
        |(operation, row, member, kind, href, format, data)| Undo {
            operation,
            row,
            key: Key(href.clone()),
            kind,
            member,
            href: Href(href),
            own: data.len() % 2 == 1,
            format,
            data: data.into(),
        },
    )
}

fn record(members: u16) -> impl Strategy<Value = Record> {
    let of = move || member(members);
    prop_oneof![
        1 => undo(members).prop_map(Record::Undo),
        4 => intent(members).prop_map(Record::Intent),
        2 => operation().prop_map(Record::Settled),
        1 => operation().prop_map(Record::NotDone),
        6 => rows(members).prop_map(|row| Record::Row(Box::new(row))),
        1 => row_id().prop_map(Record::DropRow),
        1 => (row_id(), disputed(members)).prop_map(|(row, copies)| Record::Disputed(row, copies)),
        1 => (of(), bytes()).prop_map(|(member, anchor)| Record::Anchor(member, Anchor(anchor))),
        1 => (of(), bytes()).prop_map(|(member, store)| Record::Store(member, StoreId(store))),
        2 => (of(), 0u8..3, 0u8..4).prop_map(|(member, subject, crashes)| {
            Record::Charge(Charge { member, subject: RawDigest([subject; 32]), crashes })
        }),
    ]
}

/// A group of so many members, and what happens to it.
fn history() -> impl Strategy<Value = (u16, Vec<Vec<Record>>)> {
    (1..=5_u16).prop_flat_map(|members| (Just(members), vec(vec(record(members), 0..12), 0..6)))
}

/// What the records mean, without any file.
fn apply(model: &mut Snapshot, record: Record) {
    match record {
        Record::Undo(_) | Record::Base { .. } | Record::Disputed(..) => {}
        Record::Intent(intent) => {
            model.last_row = model.last_row.max(intent.row.0);
            match model.intents.iter_mut().find(|open| open.operation == intent.operation) {
                Some(open) => *open = intent,
                None => model.intents.push(intent),
            }
        }
        Record::Settled(operation) | Record::NotDone(operation) => {
            model.intents.retain(|open| open.operation != operation);
        }
        Record::Row(row) => {
            model.last_row = model.last_row.max(row.id.0);
            without(model, row.id);
            model.rows.push(*row);
        }
        Record::DropRow(id) => without(model, id),
        Record::Anchor(member, anchor) => model.anchors[member.index()] = Some(anchor),
        Record::Store(member, store) => model.stores[member.index()] = Some(store),
        Record::Charge(charge) => {
            model.charges.retain(|one| (one.member, one.subject) != (charge.member, charge.subject));
            model.charges.extend((charge.crashes > 0).then_some(charge));
        }
    }
}

fn without(model: &mut Snapshot, id: RowId) {
    model.rows = model.rows.iter().filter(|row| row.id != id).collect();
}

fn load(store: &Store) -> Snapshot {
    store.load(&contacts()).wait().unwrap()
}

fn nothing(members: u16) -> Snapshot {
    let count = usize::from(members);
    Snapshot { anchors: vec![None; count], stores: vec![None; count], ..Snapshot::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_was_applied_is_loaded((members, batches) in history()) {
        let state = quick_dir();
        let group = Collection::new("contacts", (0..members).map(|member| format!("m{member}")));
        let load = |store: &Store| store.load(&group).wait().unwrap();
        let mut model = nothing(members);
        let store = open(state.path());
        store.begin_run(0, Uuid::nil()).wait().unwrap();
        prop_assert_eq!(&load(&store), &model);
        for batch in batches {
            batch.iter().cloned().for_each(|record| apply(&mut model, record));
            store.apply(&group, batch).wait().unwrap();
        }
        let mut rows = model.rows.to_vec();
        rows.sort_by_key(|row| row.id);
        model.rows = rows.into_iter().collect();
        model.charges.sort_by_key(|charge| (charge.member, charge.subject.0));
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
    let calendar = Collection::new("calendar", contacts().members);
    store.apply(&contacts(), vec![Record::Row(Box::new(row(1, 1)))]).wait().unwrap();
    store.apply(&calendar, vec![Record::Row(Box::new(row(1, 2)))]).wait().unwrap();
    store.apply(&contacts(), vec![Record::DropRow(RowId(1))]).wait().unwrap();
    assert_eq!(load(&store).rows.to_vec(), []);
    assert_eq!(store.load(&calendar).wait().unwrap().rows.to_vec(), [row(1, 2)]);
}

/// A row of three members, each with something of its own in every place.
fn distinct() -> Row {
    Row {
        entries: (0..3).map(|member| Some(entry_of(member, 1))).collect(),
        conflict: Some(Conflict { contents: (0..3).map(|member| Some(content_of(member))).collect() }),
        quarantine: (0..3).map(|n| Quarantine { member: MemberIndex(n), reason: n.to_string() }).collect(),
        ..row(1, 1)
    }
}

/// The same row, as it is to a group with the members that were in these places (`None`: another one).
fn seen_by(row: &Row, places: &[Option<usize>]) -> Row {
    let contents = &row.conflict.as_ref().unwrap().contents;
    let of =
        |number: u16, place: usize| Quarantine { member: MemberIndex(number), reason: place.to_string() };
    Row {
        entries: places.iter().map(|place| row.entries[(*place)?].clone()).collect(),
        conflict: Some(Conflict { contents: places.iter().map(|place| contents[(*place)?]).collect() }),
        quarantine: (0..).zip(places).filter_map(|(number, place)| Some(of(number, (*place)?))).collect(),
        ..row.clone()
    }
}

#[test]
fn state_belongs_to_names_not_to_places() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let mut records = vec![Record::Row(Box::new(distinct()))];
    records.extend((0..3).map(|n| Record::Anchor(MemberIndex(n), Anchor::from(&*n.to_string()))));
    store.apply(&contacts(), records).wait().unwrap();
    let load = |members: &[&str]| store.load(&Collection::new("contacts", members.to_vec())).wait().unwrap();
    let anchors = |places: [Option<usize>; 3]| places.map(|place| Some(Anchor::from(&*place?.to_string())));
    for (members, places) in [
        (["laptop", "server", "phone"], [Some(0), Some(1), Some(2)]),
        (["phone", "laptop", "server"], [Some(2), Some(0), Some(1)]),
        (["tablet", "phone", "laptop"], [None, Some(2), Some(0)]),
    ] {
        let seen = load(&members);
        assert_eq!(seen.rows.to_vec(), [seen_by(&distinct(), &places)], "{members:?}");
        assert_eq!(seen.anchors, anchors(places), "{members:?}");
    }
    assert_eq!(load(&["server"]).rows.to_vec(), [seen_by(&distinct(), &[Some(1)])]);
    let others = load(&["tablet", "watch"]);
    assert_eq!((others.rows.len(), others.last_row), (0, 1), "nothing to them, but no number twice");
}

#[test]
fn what_belongs_to_a_member_outlives_its_absence() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let changed = Collection::new("contacts", ["tablet", "laptop"]);
    let keep = |group: &Collection, row: &Row| {
        store.apply(group, vec![Record::Row(Box::new(row.clone()))]).wait().unwrap();
    };
    keep(&contacts(), &distinct());
    // The phone and the server leave, a tablet comes and gets the item; the row goes on.
    let mut next = seen_by(&distinct(), &[None, Some(0)]);
    (next.version, next.base) = (2, Some(content_of(9)));
    next.entries = vec![Some(entry_of(7, 2)), Some(entry_of(8, 2))];
    next.quarantine = vec![Quarantine { member: MemberIndex(0), reason: "new".into() }];
    keep(&changed, &next);
    assert_eq!(store.load(&changed).wait().unwrap().rows.to_vec(), [next.clone()]);
    // Back again, they know what they knew, and what is agreed is what was agreed without them.
    let back = load(&store).rows.to_vec().remove(0);
    assert_eq!((back.version, back.base), (next.version, next.base));
    let of = |row: &Row, place: usize| row.entries[place].clone();
    assert_eq!(back.entries, [of(&next, 1), of(&distinct(), 1), of(&distinct(), 2)]);
    assert_eq!(back.quarantine, distinct().quarantine[1..]);
    // What has no conflict any more has none for anybody.
    keep(&changed, &Row { conflict: None, ..next });
    assert_eq!(load(&store).rows.to_vec()[0].conflict, None);
}

/// What a person supplied is there before any member has the item.
#[test]
fn a_row_that_nobody_has_yet_is_loaded() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let fresh = Row { entries: vec![None; 3], ..row(2, 1) };
    assert!(fresh.supplied.is_some());
    store.apply(&contacts(), vec![Record::Row(Box::new(fresh.clone()))]).wait().unwrap();
    assert_eq!(load(&store).rows.to_vec(), std::slice::from_ref(&fresh));
    assert_eq!(
        load(&Store::open_copy(state.path(), GROUP).unwrap()).rows.to_vec(),
        std::slice::from_ref(&fresh),
        "a plan needs it"
    );
    // Also if only members of earlier times have it.
    let others = Collection::new("contacts", ["tablet"]);
    store
        .apply(&contacts(), vec![Record::Row(Box::new(Row { entries: distinct().entries, ..fresh }))])
        .wait()
        .unwrap();
    assert_eq!(store.load(&others).wait().unwrap().rows.len(), 1);
}

#[test]
fn members_of_one_name_are_refused() {
    let state = tempfile::tempdir().unwrap();
    let twice = Collection::new("contacts", ["a", "b", "a"]);
    let error = open(state.path()).load(&twice).wait().unwrap_err();
    assert!(error.to_string().contains("same name"), "{error}");
}

#[test]
fn what_is_for_another_number_of_members_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let store = open(state.path());
    let pair = Collection::new("contacts", ["laptop", "server"]);
    let contents = vec![None; 3];
    let two = Row { entries: vec![None, None], conflict: None, ..row(1, 1) };
    for record in [
        Record::Row(Box::new(row(1, 1))),
        Record::Row(Box::new(Row { conflict: Some(Conflict { contents }), ..two.clone() })),
        Record::Row(Box::new(Row { quarantine: distinct().quarantine, ..two })),
        Record::Anchor(MemberIndex(2), Anchor::from("1")),
    ] {
        let error = store.apply(&pair, vec![record]).wait().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error}");
    }
    assert_eq!(store.load(&pair).wait().unwrap().rows.to_vec(), []);
}
