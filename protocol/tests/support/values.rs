//! One fixed value of every type: what the golden vectors hold.

use std::time::Duration;

use outrigger_protocol::{
    Anchor, Blame, Change, ChangeKind, Code, Commit, CommitItem, CommitKind, CommitOutcome, CommitResult,
    Committed, Connect, CreateCollection, Dedupe, Discovered, Effect, Error, Extensions, FormatInfo, Group,
    Href, Initialize, Initialized, Listing, Member, MemberObjectType, ObjectId, OperationId, RawDigest, Read,
    ReadItem, ReadOutcome, ReadResult, Retry, Revision, SecretText, Sink, StoreId, StreamKind, StreamOpen,
};

pub(crate) const CARD: &[u8] = b"BEGIN:VCARD\r\nFN:Ada\r\nEND:VCARD\r\n";

pub(crate) fn operation() -> OperationId {
    OperationId(uuid::Uuid::from_u128(0x0190_1234_5678_7abc_8def_0123_4567_89ab))
}

pub(crate) fn ext() -> Extensions {
    let mut ext = Extensions::default();
    ext.set(2, b"later");
    ext.set(256, b"");
    ext
}

pub(crate) fn error() -> Error {
    let mut error = Error::new(Code::REMOTE, "the server said no")
        .by(Blame::Member)
        .with_effect(Effect::Unknown)
        .retry_after(Duration::from_secs(30))
        .because(Code::IO, "connection reset")
        .because(Code(999), "from the future");
    error.ext = ext();
    error
}

pub(crate) fn plain_error() -> Error {
    let error = Error::new(Code::PRECONDITION, "another revision");
    Error { retry: Retry::WithFix, ..error }
}

pub(crate) fn change() -> Change {
    Change {
        href: Href::from("a.vcf"),
        kind: ChangeKind::Modified,
        revision: Revision::from("e1"),
        settled: true,
        object_type: "contact".into(),
        format: "vcard".into(),
        ext: ext(),
    }
}

pub(crate) fn change_with_checkpoint() -> Change {
    change().with_checkpoint(&Anchor::from("token-8"))
}

pub(crate) fn member() -> Member {
    Member {
        object: ObjectId(1),
        name: "phone".into(),
        generation: 3,
        options: vec![("path".into(), "/home/ada".into()), ("read_only".into(), String::new())],
        object_types: vec![
            MemberObjectType {
                object_type: "contact".into(),
                slow_sync: false,
                anchor: Some(Anchor::from("t1")),
            },
            MemberObjectType { object_type: "event".into(), slow_sync: true, anchor: None },
        ],
        ext: ext(),
    }
}

pub(crate) fn group() -> Group {
    Group {
        object: ObjectId(2),
        name: "home".into(),
        generation: 4,
        members: vec!["phone".into(), "server".into()],
        object_types: vec!["contact".into()],
        conflict: "queue".into(),
        last_run: Some(1_700_000_000),
        ext: Extensions::default(),
    }
}

pub(crate) fn sink() -> Sink {
    Sink {
        object: ObjectId(2),
        name: "contacts".into(),
        object_types: vec!["contact".into()],
        formats: vec!["vcard".into(), "vcard3".into()],
        read_only: false,
        store: Some(StoreId::from("store-1")),
        unavailable: None,
        ext: Extensions::default(),
    }
}

pub(crate) fn broken_sink() -> Sink {
    Sink { store: None, unavailable: Some(plain_error()), ext: ext(), ..sink() }
}

pub(crate) fn sink_with_dedupe() -> Sink {
    sink().with_dedupe(Dedupe::Token)
}

pub(crate) fn initialize() -> Initialize {
    let secrets = vec![("password".into(), SecretText::new("hunter2".into()))];
    Initialize { member: member(), group: group(), secrets }
}

pub(crate) fn discovered() -> Discovered {
    Discovered { main: Some(ObjectId(9)), sinks: vec![sink(), broken_sink()], can_create: true }
}

pub(crate) fn initialized() -> Initialized {
    let formats = vec![FormatInfo { name: "people-row".into(), plain: false, compare: true }];
    Initialized { instance: ObjectId(1), formats }
}

pub(crate) fn stream_open() -> StreamOpen {
    StreamOpen { call: 1, kind: StreamKind::Items, bulk: None }
}

pub(crate) fn create_collection() -> CreateCollection {
    let object_types = vec!["event".into(), "todo".into()];
    CreateCollection { operation: operation(), name: "new".into(), object_types }
}

pub(crate) fn connect() -> Connect {
    Connect { slow_sync: false, read_only: false, anchor: Some(Anchor::from("t1")) }
}

pub(crate) fn listing() -> Listing {
    Listing { complete: true, count: 258, anchor: Some(Anchor::from("t2")) }
}

pub(crate) fn read() -> Read {
    Read {
        items: vec![
            ReadItem { href: Href::from("a.vcf"), known: Some(RawDigest([7; 32])) },
            ReadItem { href: Href::from(&b"\xff\x00"[..]), known: None },
        ],
    }
}

pub(crate) fn read_results() -> [ReadResult<'static>; 4] {
    let item = ReadOutcome::Item {
        revision: Revision::from("e1"),
        settled: true,
        format: "vcard".into(),
        data: CARD.into(),
    };
    let not_modified = ReadOutcome::NotModified { revision: Revision::from("e1"), settled: false };
    let outcomes = [item, not_modified, ReadOutcome::NotFound, ReadOutcome::Failed(error())];
    let mut index = 0;
    outcomes.map(|outcome| {
        index += 1;
        ReadResult { index: index - 1, outcome }
    })
}

fn commit_item(kind: CommitKind) -> CommitItem<'static> {
    let (new, deletes) = (kind == CommitKind::Create, kind == CommitKind::Delete);
    CommitItem {
        operation: operation(),
        kind,
        href: if new { Href::default() } else { Href::from("a.vcf") },
        expected: (!new).then(|| Revision::from("e1")),
        expected_digest: (!new).then_some(RawDigest([9; 32])),
        key: b"uid-1"[..].into(),
        object_type: "contact".into(),
        format: "vcard".into(),
        digest: if deletes { RawDigest([0; 32]) } else { RawDigest::of(CARD) },
        data: if deletes { b""[..].into() } else { CARD.into() },
    }
}

pub(crate) fn commit_items() -> [CommitItem<'static>; 3] {
    [CommitKind::Create, CommitKind::Update, CommitKind::Delete].map(commit_item)
}

pub(crate) fn commit() -> Commit<'static> {
    Commit { items: commit_items().into() }
}

pub(crate) fn commit_results() -> [CommitResult; 3] {
    let done = CommitOutcome::Done {
        href: Href::from("a.vcf"),
        revision: Revision::from("e2"),
        settled: false,
        digest: Some(RawDigest::of(CARD)),
    };
    let unread = CommitOutcome::Done {
        href: Href::from("b.vcf"),
        revision: Revision::default(),
        settled: true,
        digest: None,
    };
    [done, unread, CommitOutcome::Failed(plain_error())]
        .map(|outcome| CommitResult { operation: operation(), outcome })
}

pub(crate) fn committed() -> Committed {
    Committed { results: commit_results().into() }
}
