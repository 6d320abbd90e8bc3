//! What a run holds of a collection that is in step: bytes that are allocated, per item, once all
//! members have listed all they have. What the allocator adds is not counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

use allocation_counter::measure;
use outrigger_engine::{
    Action, CollectionSync, Content, Digest, Entry, Event, Key, MemberIndex, Observed, Report, Row, RowId,
    Settings, Snapshot,
};
use outrigger_protocol::{Change, ChangeKind, Extensions, Href, OperationId, RawDigest, Revision};

/// Items of an address book that is large.
const ITEMS: u64 = 10_000;

/// Most bytes per item at two members.
const AT_TWO: u64 = 400;

/// Most bytes per item for each member more.
const PER_MEMBER: u64 = 150;

/// 36 bytes, as programs give them out.
fn uid(item: u64) -> String {
    uuid::Uuid::from_u128(u128::from(item).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        .to_string()
}

fn href(item: u64) -> Href {
    Href::from(format!("{}.vcf", uid(item)).as_str())
}

/// 40 bytes, as a server's entity tag.
fn revision(item: u64) -> Revision {
    Revision::from(format!("{item:040x}").as_str())
}

fn content(item: u64) -> Content {
    let raw = RawDigest::of(uid(item).as_bytes());
    Content { digest: Digest(raw.0), raw }
}

/// All members hold what was agreed.
fn row(item: u64, members: usize) -> Row {
    let content = content(item);
    let observed = Observed::Present { revision: revision(item), settled: true, content };
    let entry = Entry { href: href(item), agreed: content, have: 2, rewritten: false, observed };
    let key = Key(uid(item).as_bytes().into());
    let entries = vec![Some(entry); members];
    Row { id: RowId(item + 1), version: 2, base: Some(content), entries, ..Row::new(key, members) }
}

fn change(item: u64) -> Change {
    Change {
        href: href(item),
        kind: ChangeKind::Unknown,
        revision: revision(item),
        settled: true,
        object_type: "contact".into(),
        format: "vcard".into(),
        ext: Extensions::default(),
    }
}

fn start(members: usize) -> CollectionSync {
    let rows = (0..ITEMS).map(|item| row(item, members)).collect();
    let nothing = || vec![None; members];
    let snapshot = Snapshot {
        rows,
        anchors: nothing(),
        stores: vec![None; members],
        last_row: ITEMS,
        ..Snapshot::default()
    };
    CollectionSync::new(snapshot, Settings::for_members(members), Box::new(|| OperationId(uuid::Uuid::nil())))
}

fn list_all(sync: &mut CollectionSync, members: usize) {
    while sync.poll_output().is_some() {}
    for member in (0..members).map(MemberIndex::at) {
        for item in 0..ITEMS {
            sync.receive(Event::Listed { member, change: change(item) });
        }
    }
}

/// Nothing has changed, and nothing is to be done.
fn end(sync: &mut CollectionSync, members: usize) {
    for member in (0..members).map(MemberIndex::at) {
        sync.receive(Event::ListEnd { member, complete: true, count: ITEMS, anchor: None, store: None });
    }
    assert_eq!(std::iter::from_fn(|| sync.poll_output()).collect::<Vec<_>>(), [Action::Finished]);
    let reports: Vec<Report> = std::iter::from_fn(|| sync.poll_event()).collect();
    let Some(Report::Ended(summary)) = reports.last() else { panic!("no end") };
    assert!(summary.is_clean(), "{summary:?}");
}

/// Bytes per item that a settled run of so many members holds.
fn per_item(members: usize) -> u64 {
    let mut sync = None;
    let held = measure(|| {
        let mut run = start(members);
        list_all(&mut run, members);
        sync = Some(run);
    });
    end(&mut sync.unwrap(), members);
    u64::try_from(held.bytes_current).unwrap() / ITEMS
}

#[test]
fn a_settled_item_costs_400_bytes_at_two_members_and_150_for_each_more() {
    let two = per_item(2);
    assert!((200..=AT_TWO).contains(&two), "{two} bytes per item at two members");
    for members in [3, 5] {
        let more = (per_item(members) - two) / (members as u64 - 2);
        assert!((50..=PER_MEMBER).contains(&more), "{more} bytes per item and member at {members} members");
    }
}
