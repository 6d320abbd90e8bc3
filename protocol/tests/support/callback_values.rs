//! One fixed value of every type that a plugin's own calls, pages and bulk streams use.

use outrigger_protocol::{
    Anchor, Answered, Ask, AskKind, BulkDigest, BulkDone, BulkOpen, ChangesPage, Compare, Compared,
    ConnectHost, Cursor, GetChangesPage, HostConnected, Href, Lookup, MemberUpdate, MemberUpdated, ObjectId,
    RaiseSlowSync, ReadPage, Remarshal, Remarshalled, Rename, SecretText, Snapshot, SrvRecord, SrvRecords,
    StreamEnd, StreamKind, StreamOpen, TxtRecord, TxtRecords, Verdict,
};

use super::values;

pub(crate) fn get_changes_page() -> GetChangesPage {
    let cursor = Some(Cursor::from(&b"\x00page 2"[..]));
    GetChangesPage { slow_sync: false, anchor: Some(Anchor::from("t1")), cursor, max: 500 }
}

pub(crate) fn changes_pages() -> [ChangesPage; 2] {
    let next = Some(Cursor::from("page 3"));
    let more = ChangesPage { changes: vec![values::change()], next, complete: false, anchor: None };
    let anchor = Some(Anchor::from("t2"));
    [more, ChangesPage { changes: Vec::new(), next: None, complete: true, anchor }]
}

pub(crate) fn read_page() -> ReadPage<'static> {
    ReadPage { results: values::read_results().into() }
}

pub(crate) fn member_update() -> MemberUpdate {
    MemberUpdate {
        operation: values::operation(),
        generation: 3,
        set: vec![("path".into(), "/srv/ada".into())],
        unset: vec!["read_only".into()],
    }
}

pub(crate) fn member_updated() -> MemberUpdated {
    MemberUpdated { applied: true, member: values::member() }
}

pub(crate) fn raise_slow_sync() -> RaiseSlowSync {
    RaiseSlowSync { operation: values::operation(), object_type: "contact".into() }
}

pub(crate) fn ask() -> Ask {
    let choices = vec!["work".into(), "home".into()];
    Ask { kind: AskKind::Choice, prompt: "Which account?".into(), choices }
}

pub(crate) fn answered() -> Answered {
    Answered { text: SecretText::new("hunter2".into()) }
}

pub(crate) fn snapshots() -> [Snapshot; 2] {
    [Snapshot::Member(values::member()), Snapshot::Group(values::group())]
}

pub(crate) fn remarshal() -> Remarshal {
    Remarshal { format: "people-row".into(), data: b"1;Ada\x00"[..].into() }
}

pub(crate) fn remarshalled() -> Remarshalled {
    Remarshalled { data: b"1;Ada\x00"[..].into() }
}

pub(crate) fn compare() -> Compare {
    Compare { format: "people-row".into(), left: b"1;Ada"[..].into(), right: b"2;Ada"[..].into() }
}

pub(crate) fn verdicts() -> [Compared; 3] {
    [Verdict::Same, Verdict::Similar, Verdict::Different].map(|verdict| Compared { verdict })
}

pub(crate) fn stream_open() -> StreamOpen {
    let bulk = BulkOpen {
        offset: 65_536,
        length: Some(1_000_000),
        quota: None,
        object_version: b"e1"[..].into(),
        resume: true,
    };
    StreamOpen { call: 1, kind: StreamKind::Bytes, bulk: Some(bulk) }
}

pub(crate) fn stream_ends() -> [StreamEnd; 3] {
    let digests = [BulkDigest::None, BulkDigest::Sha256([3; 32].into()), BulkDigest::Blake3([4; 32].into())];
    digests.map(|digest| {
        let quota_exceeded = digest == BulkDigest::None;
        StreamEnd { items: 0, bytes: 934_464, bulk: Some(BulkDone { digest, quota_exceeded }) }
    })
}

pub(crate) fn connect_host() -> ConnectHost {
    ConnectHost { host: "dav.example.org".into(), port: 443 }
}

pub(crate) fn host_connected() -> HostConnected {
    HostConnected { address: "[2001:db8::7]:443".into() }
}

pub(crate) fn lookup() -> Lookup {
    Lookup { name: "_caldavs._tcp.example.org".into() }
}

pub(crate) fn srv_records() -> SrvRecords {
    let target = "dav.example.org".into();
    SrvRecords { records: vec![SrvRecord { priority: 0, weight: 5, port: 443, target }] }
}

pub(crate) fn txt_records() -> TxtRecords {
    TxtRecords { records: vec![TxtRecord { data: b"path=/dav/\xff"[..].into() }] }
}

pub(crate) fn rename() -> Rename {
    let name = |name: &str| Href::from(name);
    let names = vec![(name("tmp-1.vcf"), name("ada.vcf")), (name("a.vcf"), Href::from(&b"b\xff.vcf"[..]))];
    Rename { sink: ObjectId(3), names }
}
