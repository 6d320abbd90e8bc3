//! Batches that can be told apart after a crash: number `n` leaves everything at `n`.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use outrigger_engine::{
    Conflict, Content, Digest, DisputedCopy, Entry, Intent, Key, MemberIndex, Observed, Quarantine, Record,
    Row, RowId, Snapshot, Supplied, Undo,
};
use outrigger_protocol::{Anchor, CommitKind, Href, OperationId, RawDigest, Revision};
use outrigger_store::{Collection, Store};
use uuid::Uuid;

pub(crate) const GROUP: &str = "work";
pub(crate) const ROWS: u64 = 8;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn contacts() -> Collection {
    Collection::new("contacts", ["laptop", "server", "phone"])
}

pub(crate) fn open(state: &Path) -> Store {
    Store::open(state, GROUP, PATIENCE).unwrap()
}

/// In memory where the system has a place for that: for hundreds of states that meet no power cut.
pub(crate) fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn content(seed: u64) -> Content {
    let raw = RawDigest::of(&seed.to_le_bytes());
    Content { digest: Digest(RawDigest::of(&raw.0).0), raw }
}

pub(crate) fn entry(id: u64, n: u64) -> Entry {
    Entry {
        href: Href::from(&*format!("/dav/contacts/{id:08}.vcf")),
        agreed: content(id + n),
        have: n,
        rewritten: false,
        observed: Observed::Present {
            revision: Revision::from(&*format!("\"etag-{id}-{n}\"")),
            settled: true,
            content: content(id + n),
        },
    }
}

pub(crate) fn row(id: u64, n: u64) -> Row {
    Row {
        id: RowId(id),
        key: Key(format!("uid-{id}@example.org").into_bytes().into()),
        version: n,
        base: Some(content(id + n)),
        entries: vec![Some(entry(id, n)), Some(entry(id, n)), None],
        // Of what is beside a row, something comes and something goes with each batch.
        supplied: (id + n).is_multiple_of(3).then(|| Box::new(supplied(n))),
        conflict: (id + n).is_multiple_of(2).then(|| conflict(n)),
        // Now and then longer than a page, so that a row is more than one write.
        quarantine: vec![Quarantine {
            member: MemberIndex::at(usize::try_from((id + n) % 3).unwrap()),
            reason: "x".repeat(usize::try_from(n * id * 997 % 9000).unwrap()),
        }],
    }
}

pub(crate) fn supplied(n: u64) -> Supplied {
    Supplied { content: content(n), format: "vcard".into(), data: n.to_le_bytes().into() }
}

pub(crate) fn conflict(n: u64) -> Conflict {
    Conflict { contents: vec![Some(content(n)), None, Some(content(n + 1))] }
}

pub(crate) fn disputed(n: u64) -> Vec<DisputedCopy> {
    let copy = |member, n: u64| DisputedCopy {
        member: MemberIndex(member),
        format: "vcard".into(),
        data: n.to_le_bytes().into(),
    };
    vec![copy(0, n), copy(2, n + 1)]
}

pub(crate) fn base(row: u64, n: u64) -> Record {
    Record::Base {
        row: RowId(row),
        content: content(n),
        format: "vcard".into(),
        data: n.to_le_bytes().into(),
    }
}

pub(crate) fn operation(n: u64) -> OperationId {
    OperationId(Uuid::from_u128(u128::from(n)))
}

pub(crate) fn intent(row: u64, n: u64) -> Intent {
    Intent {
        operation: operation(n),
        row: RowId(row),
        member: MemberIndex(1),
        kind: CommitKind::Update,
        href: Href::from("/dav/contacts/1.vcf"),
        key: Key(b"uid".as_slice().into()),
        expected: Some((Revision::from("\"etag\""), content(n - 1))),
        content: Some(content(n)),
        version: n,
    }
}

pub(crate) fn undo(n: u64, size: usize) -> Undo {
    Undo {
        operation: operation(n),
        row: RowId(1),
        key: Key(b"uid".as_slice().into()),
        kind: CommitKind::Update,
        member: MemberIndex(0),
        href: Href::from("1.vcf"),
        own: false,
        format: "vcard".into(),
        data: vec![b'u'; size],
    }
}

pub(crate) fn batch(n: u64) -> Vec<Record> {
    let mut records = vec![
        Record::Undo(undo(n, 100)),
        base(1, n),
        Record::Intent(intent(1, n)),
        Record::Settled(operation(n - 1)),
    ];
    records.extend((1..=ROWS).map(|id| Record::Row(Box::new(row(id, n)))));
    records.extend(
        (1..=ROWS).filter(|id| (id + n).is_multiple_of(2)).map(|id| Record::Disputed(RowId(id), disputed(n))),
    );
    records.push(Record::Anchor(MemberIndex(0), Anchor::from(&*n.to_string())));
    records
}

/// The number of the batch that `snapshot` is after. Anything half fails here.
pub(crate) fn number(snapshot: &Snapshot) -> u64 {
    let Some(n) = snapshot.rows.iter().next().map(|row| row.version) else {
        let nothing = Snapshot { anchors: vec![None; 3], stores: vec![None; 3], ..Snapshot::default() };
        assert_eq!(*snapshot, nothing);
        return 0;
    };
    let expected: Vec<Row> = (1..=ROWS).map(|id| row(id, n)).collect();
    assert_eq!(snapshot.rows.to_vec(), expected);
    assert_eq!(snapshot.intents, [intent(1, n)]);
    assert_eq!(snapshot.anchors, [Some(Anchor::from(&*n.to_string())), None, None]);
    assert_eq!(snapshot.last_row, ROWS);
    n
}

/// This test program once more, as another process that does one thing.
pub(crate) fn child(name: &str, state: &Path, stdin: Stdio) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .env("OUTRIGGER_STORE_TEST_STATE", state)
        .stdin(stdin)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// The number that a line of the child acknowledges; the harness's own lines have none.
pub(crate) fn acknowledged(line: &str) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}

/// The state directory, if this process is such a child: a person may run ignored tests too.
pub(crate) fn child_state() -> Option<std::ffi::OsString> {
    std::env::var_os("OUTRIGGER_STORE_TEST_STATE")
}

/// What the child does: batch after batch, four on their way, until it is killed.
pub(crate) fn apply_for_ever() {
    use std::io::Write as _;
    let Some(state) = child_state() else { return };
    let store = open(Path::new(&state));
    let start = number(&store.load(&contacts()).wait().unwrap());
    store.begin_run(1, Uuid::from_u128(u128::from(start))).wait().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    for n in start + 1.. {
        let sender = sender.clone();
        store.apply(&contacts(), batch(n)).then(move |answer| {
            answer.unwrap();
            // One write per line: whole or not at all.
            std::io::stdout().write_all(format!("acknowledged {n}\n").as_bytes()).unwrap();
            sender.send(()).unwrap();
        });
        if n - start >= IN_FLIGHT {
            receiver.recv().unwrap();
        }
    }
}

pub(crate) const IN_FLIGHT: u64 = 4;
