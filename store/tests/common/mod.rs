//! Batches that can be told apart after a crash: number `n` leaves everything at `n`.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use outrigger_engine::{
    Content, Digest, Entry, Intent, Key, Observed, Record, Row, RowId, Side, Snapshot, Undo,
};
use outrigger_protocol::{Anchor, CommitKind, Href, OperationId, RawDigest, Revision};
use outrigger_store::{Collection, Store};
use uuid::Uuid;

pub(crate) const GROUP: &str = "work";
pub(crate) const ROWS: u64 = 8;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn contacts() -> Collection {
    Collection::new("contacts", "laptop", "server")
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
        entries: [Some(entry(id, n)), Some(entry(id, n))],
        conflict: None,
        // Now and then longer than a page, so that a row is more than one write.
        quarantine: Some("x".repeat(usize::try_from(n * id * 997 % 9000).unwrap())),
    }
}

pub(crate) fn operation(n: u64) -> OperationId {
    OperationId(Uuid::from_u128(u128::from(n)))
}

pub(crate) fn intent(row: u64, n: u64) -> Intent {
    Intent {
        operation: operation(n),
        row: RowId(row),
        side: Side::B,
        kind: CommitKind::Update,
        href: Href::from("/dav/contacts/1.vcf"),
        key: Key(b"uid".as_slice().into()),
        expected: Some((Revision::from("\"etag\""), content(n - 1))),
        content: Some(content(n)),
        version: n,
    }
}

pub(crate) fn undo(n: u64, size: usize) -> Undo {
    let data = vec![b'u'; size];
    Undo { operation: operation(n), side: Side::A, href: Href::from("1.vcf"), format: "vcard".into(), data }
}

pub(crate) fn batch(n: u64) -> Vec<Record> {
    let mut records =
        vec![Record::Undo(undo(n, 100)), Record::Intent(intent(1, n)), Record::Settled(operation(n - 1))];
    records.extend((1..=ROWS).map(|id| Record::Row(Box::new(row(id, n)))));
    records.push(Record::Anchor(Side::A, Anchor::from(&*n.to_string())));
    records
}

/// The number of the batch that `snapshot` is after. Anything half fails here.
pub(crate) fn number(snapshot: &Snapshot) -> u64 {
    let Some(n) = snapshot.rows.first().map(|row| row.version) else {
        assert_eq!(*snapshot, Snapshot::default());
        return 0;
    };
    let expected: Vec<Row> = (1..=ROWS).map(|id| row(id, n)).collect();
    assert_eq!(snapshot.rows, expected);
    assert_eq!(snapshot.intents, [intent(1, n)]);
    assert_eq!(snapshot.anchors, [Some(Anchor::from(&*n.to_string())), None]);
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
