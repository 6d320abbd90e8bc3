//! Bodies of every type with arbitrary values: encoded and decoded they are the same, the bytes
//! are those of the description (not only of bincode), and JSON keeps them as well.

use std::fmt::Debug;

use outrigger_protocol::{
    Abort, Anchor, Answered, Ask, AskKind, Blame, BulkDigest, BulkDone, BulkOpen, Change, ChangeKind,
    ChangesPage, Code, Codec, Commit, CommitItem, CommitKind, CommitOutcome, CommitResult, Committed,
    Compare, Compared, Connect, ConnectDone, ConnectHost, Connected, CreateCollection, Discovered, Effect,
    Error, Extensions, FormatInfo, GetChanges, GetChangesPage, Goodbye, Group, HostConnected, Initialize,
    Initialized, Level, Listing, Log, Lookup, Member, MemberObjectType, MemberUpdate, MemberUpdated,
    ObjectId, OperationId, Progress, RaiseSlowSync, RawDigest, Read, ReadItem, ReadOutcome, ReadPage,
    ReadResult, Remarshal, Remarshalled, Rename, Retry, SecretText, Sink, Snapshot, SrvRecord, SrvRecords,
    StreamEnd, StreamKind, StreamOpen, StreamReset, TxtRecord, TxtRecords, Verdict,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::{annotate, frames};

/// Choices, taken from bytes: proptest shrinks those.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn number(&mut self) -> u64 {
        match self.byte() % 4 {
            0 => self.byte().into(),
            1 => 1 << 53, // what JSON can carry
            _ => u64::from_le_bytes([(); 8].map(|()| self.byte())) >> 11,
        }
    }

    fn small(&mut self) -> u32 {
        u32::try_from(self.number() % (1 << 32)).unwrap()
    }

    fn port(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(20)).map(|_| self.byte()).collect()
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 8] = ['a', '"', '\\', '\n', '\0', 'é', '語', '\u{10ffff}'];
        (0..self.below(9)).map(|_| LETTERS[self.below(8)]).collect()
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| each(self)).collect()
    }

    fn maybe<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| some(self))
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn texts(&mut self) -> Vec<String> {
        self.list(Self::text)
    }

    fn digest(&mut self) -> RawDigest {
        RawDigest([self.byte(); 32])
    }

    fn operation(&mut self) -> OperationId {
        OperationId(uuid::Uuid::from_u128(u128::from(self.number()) << 64 | u128::from(self.number())))
    }

    fn anchor(&mut self) -> Option<Anchor> {
        self.maybe(|choices| Anchor::from(choices.bytes()))
    }

    fn ext(&mut self) -> Extensions {
        let mut ext = Extensions::default();
        for _ in 0..self.below(4) {
            let tag = u16::from_le_bytes([self.byte(), self.byte()]) & !1;
            ext.set(tag, &self.bytes());
        }
        ext
    }

    fn code(&mut self) -> Code {
        Code(u16::from_le_bytes([self.byte(), self.byte()]))
    }

    fn error(&mut self) -> Error {
        let mut error = Error::new(self.code(), self.text())
            .by(self.pick(&[
                Blame::Caller,
                Blame::Plugin,
                Blame::Member,
                Blame::Broker,
                Blame::Configuration,
            ]))
            .with_effect(self.pick(&[Effect::NotStarted, Effect::Done, Effect::Partial, Effect::Unknown]));
        let after = Retry::After(self.small());
        error.retry = self.pick(&[Retry::Never, after, Retry::WithFix]);
        for _ in 0..self.below(17) {
            error = error.because(self.code(), self.text());
        }
        error.ext = self.ext();
        error
    }

    fn change(&mut self) -> Change {
        use ChangeKind::{Added, Deleted, Modified, Unknown, Unmodified, Unreadable};
        Change {
            href: self.bytes().into(),
            kind: self.pick(&[Unknown, Added, Unmodified, Deleted, Modified, Unreadable]),
            revision: self.bytes().into(),
            settled: self.flag(),
            object_type: self.text(),
            format: self.text(),
            ext: self.ext(),
        }
    }

    fn read_result(&mut self) -> ReadResult<'static> {
        let outcome = match self.below(4) {
            0 => ReadOutcome::Item {
                revision: self.bytes().into(),
                settled: self.flag(),
                format: self.text().into(),
                data: self.bytes().into(),
            },
            1 => ReadOutcome::NotModified { revision: self.bytes().into(), settled: self.flag() },
            2 => ReadOutcome::NotFound,
            _ => ReadOutcome::Failed(self.error()),
        };
        ReadResult { index: self.small(), outcome }
    }

    fn commit_item(&mut self) -> CommitItem<'static> {
        CommitItem {
            operation: self.operation(),
            kind: self.pick(&[CommitKind::Create, CommitKind::Update, CommitKind::Delete]),
            href: self.bytes().into(),
            expected: self.maybe(|choices| choices.bytes().into()),
            expected_digest: self.maybe(Self::digest),
            key: self.bytes().into(),
            object_type: self.text().into(),
            format: self.text().into(),
            digest: self.digest(),
            data: self.bytes().into(),
        }
    }

    fn commit_result(&mut self) -> CommitResult {
        let outcome = if self.flag() {
            CommitOutcome::Failed(self.error())
        } else {
            CommitOutcome::Done {
                href: self.bytes().into(),
                revision: self.bytes().into(),
                settled: self.flag(),
                digest: self.maybe(Self::digest),
            }
        };
        CommitResult { operation: self.operation(), outcome }
    }

    fn member(&mut self) -> Member {
        Member {
            object: ObjectId(self.small()),
            name: self.text(),
            generation: self.number(),
            options: self.list(|choices| (choices.text(), choices.text())),
            object_types: self.list(|choices| MemberObjectType {
                object_type: choices.text(),
                slow_sync: choices.flag(),
                anchor: choices.anchor(),
            }),
            ext: self.ext(),
        }
    }

    fn group(&mut self) -> Group {
        Group {
            object: ObjectId(self.small()),
            name: self.text(),
            generation: self.number(),
            members: self.texts(),
            object_types: self.texts(),
            conflict: self.text(),
            last_run: self.maybe(Self::number),
            ext: self.ext(),
        }
    }

    fn sink(&mut self) -> Sink {
        Sink {
            object: ObjectId(self.small()),
            name: self.text(),
            object_types: self.texts(),
            formats: self.texts(),
            read_only: self.flag(),
            store: self.maybe(|choices| choices.bytes().into()),
            unavailable: self.maybe(Self::error),
            ext: self.ext(),
        }
    }
}

/// The value goes through both codecs and comes back.
macro_rules! comes_back {
    ($($type:ty: $value:expr;)*) => {
        $({
            let value = $value;
            let bytes = encoded(&value);
            assert_eq!(Codec::Bincode.decode::<$type>(&bytes).unwrap(), value);
            let mut json = Vec::new();
            Codec::Json.encode(&value, &mut json).unwrap();
            assert_eq!(Codec::Json.decode::<$type>(&json).unwrap(), value, "{}", json.escape_ascii());
        })*
    };
}

/// The bytes of codec 1, made twice.
fn encoded<T: Serialize + Debug>(value: &T) -> Vec<u8> {
    let bytes = frames::encoded(value);
    assert_eq!(bytes, annotate::bytes(&annotate::lines(value)), "{value:?}");
    bytes
}

fn requests(c: &mut Choices<'_>) {
    comes_back! {
        Initialize: Initialize {
            member: c.member(),
            group: c.group(),
            secrets: c.list(|c| (c.text(), SecretText::new(c.text()))),
        };
        Initialized: Initialized {
            instance: ObjectId(c.small()),
            formats: c.list(|c| FormatInfo { name: c.text(), plain: c.flag(), compare: c.flag() }),
        };
        Discovered: Discovered {
            main: c.maybe(|c| ObjectId(c.small())),
            sinks: c.list(Choices::sink),
            can_create: c.flag(),
        };
        CreateCollection: CreateCollection {
            operation: c.operation(),
            name: c.text(),
            object_types: c.texts(),
        };
        Connect: Connect { slow_sync: c.flag(), read_only: c.flag(), anchor: c.anchor() };
        Connected: Connected { slow_sync: c.flag() };
        ConnectDone: ConnectDone { slow_sync: c.flag() };
        GetChanges: GetChanges { slow_sync: c.flag(), anchor: c.anchor() };
        Listing: Listing { complete: c.flag(), count: c.number(), anchor: c.anchor() };
        Read: Read {
            items: c.list(|c| ReadItem { href: c.bytes().into(), known: c.maybe(Choices::digest) })
        };
        Commit<'_>: Commit { items: c.list(Choices::commit_item) };
        Committed: Committed { results: c.list(Choices::commit_result) };
    }
}

fn objects(c: &mut Choices<'_>) {
    comes_back! {
        Error: c.error();
        Change: c.change();
        ReadResult<'_>: c.read_result();
        CommitItem<'_>: c.commit_item();
        CommitResult: c.commit_result();
        Member: c.member();
        Group: c.group();
        Sink: c.sink();
    }
}

fn small(c: &mut Choices<'_>) {
    comes_back! {
        Progress: Progress { done: c.number(), total: c.maybe(Choices::number), waiting_ms: c.small() };
        Log: Log { level: c.pick(&[Level::Error, Level::Warn, Level::Info, Level::Debug]), message: c.text() };
        StreamOpen: StreamOpen {
            call: c.number(),
            kind: c.pick(&[StreamKind::Items, StreamKind::Bytes]),
            bulk: c.maybe(|c| BulkOpen {
                offset: c.number(),
                length: c.maybe(Choices::number),
                quota: c.maybe(Choices::number),
                object_version: c.bytes().into(),
                resume: c.flag(),
            }),
        };
        StreamEnd: StreamEnd {
            items: c.number(),
            bytes: c.number(),
            bulk: c.maybe(|c| {
                let digests = [
                    BulkDigest::None,
                    BulkDigest::Sha256(c.bytes().into()),
                    BulkDigest::Blake3(c.bytes().into()),
                ];
                BulkDone { digest: digests[c.below(3)].clone(), quota_exceeded: c.flag() }
            }),
        };
        StreamReset: StreamReset { code: c.code() };
        Goodbye: Goodbye { last_accepted: c.number() };
        Abort: Abort { reason: c.text() };
    }
}

fn pages_and_callbacks(c: &mut Choices<'_>) {
    use AskKind::{Choice, Confirm, Password, Text};
    comes_back! {
        GetChangesPage: GetChangesPage {
            slow_sync: c.flag(),
            anchor: c.anchor(),
            cursor: c.maybe(|c| c.bytes().into()),
            max: c.small(),
        };
        ChangesPage: ChangesPage {
            changes: c.list(Choices::change),
            next: c.maybe(|c| c.bytes().into()),
            complete: c.flag(),
            anchor: c.anchor(),
        };
        ReadPage<'_>: ReadPage { results: c.list(Choices::read_result) };
        MemberUpdate: MemberUpdate {
            operation: c.operation(),
            generation: c.number(),
            set: c.list(|c| (c.text(), c.text())),
            unset: c.texts(),
        };
        MemberUpdated: MemberUpdated { applied: c.flag(), member: c.member() };
        RaiseSlowSync: RaiseSlowSync { operation: c.operation(), object_type: c.text() };
        Rename: Rename { sink: ObjectId(c.small()), names: c.list(|c| (c.bytes().into(), c.bytes().into())) };
        Ask: Ask { kind: c.pick(&[Password, Text, Choice, Confirm]), prompt: c.text(), choices: c.texts() };
        Answered: Answered { text: SecretText::new(c.text()) };
        Snapshot: if c.flag() { Snapshot::Member(c.member()) } else { Snapshot::Group(c.group()) };
        Remarshal: Remarshal { format: c.text(), data: c.bytes().into() };
        Remarshalled: Remarshalled { data: c.bytes().into() };
        Compare: Compare { format: c.text(), left: c.bytes().into(), right: c.bytes().into() };
        Compared: Compared { verdict: c.pick(&[Verdict::Same, Verdict::Similar, Verdict::Different]) };
    }
}

fn network(c: &mut Choices<'_>) {
    comes_back! {
        ConnectHost: ConnectHost { host: c.text(), port: c.port() };
        HostConnected: HostConnected { address: c.text() };
        Lookup: Lookup { name: c.text() };
        SrvRecords: SrvRecords {
            records: c.list(|c| SrvRecord {
                priority: c.port(),
                weight: c.port(),
                port: c.port(),
                target: c.text(),
            }),
        };
        TxtRecords: TxtRecords { records: c.list(|c| TxtRecord { data: c.bytes().into() }) };
    }
}

/// Every proper front of a body is an error, and so is a body with a byte behind it.
fn is_exact<T: Serialize + for<'de> Deserialize<'de>>(value: &T) {
    let mut bytes = frames::encoded(value);
    for length in 0..bytes.len() {
        assert!(Codec::Bincode.decode::<T>(&bytes[..length]).is_err());
    }
    bytes.push(0);
    assert!(Codec::Bincode.decode::<T>(&bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    /// Holds S28.
    #[test]
    fn every_request_and_answer_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        requests(&mut Choices(&bytes));
    }

    /// Holds S21, S27, S28.
    #[test]
    fn every_object_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        objects(&mut Choices(&bytes));
    }

    /// Holds S28.
    #[test]
    fn every_page_and_callback_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        pages_and_callbacks(&mut Choices(&bytes));
        network(&mut Choices(&bytes));
    }

    /// Holds S28.
    #[test]
    fn every_small_body_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        small(&mut Choices(&bytes));
    }

    #[test]
    fn a_body_is_exact(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut choices = Choices(&bytes);
        is_exact(&choices.change());
        is_exact(&choices.sink());
        is_exact(&choices.commit_result());
    }
}
