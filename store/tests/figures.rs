//! How long it takes: `cargo test --release -p outrigger-store --test figures -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, for people")]

mod common;

use std::time::{Duration, Instant};

use common::{GROUP, entry, intent, open, operation, row};
use outrigger_engine::{MemberIndex, Record, Row};
use outrigger_protocol::Anchor;
use outrigger_store::{Collection, Store, owed, status};

fn contacts() -> Collection {
    Collection::new("contacts", ["laptop", "server"])
}

fn item(id: u64, n: u64) -> Row {
    Row {
        supplied: None,
        conflict: None,
        quarantine: Vec::new(),
        entries: vec![Some(entry(id, n)), Some(entry(id, n))],
        ..row(id, n)
    }
}

fn records(ids: std::ops::Range<u64>, n: u64) -> Vec<Record> {
    ids.map(|id| Record::Row(Box::new(item(id, n)))).collect()
}

fn median(name: &str, times: usize, mut run: impl FnMut(u64)) {
    let mut taken: Vec<Duration> = (0..times)
        .map(|time| {
            let start = Instant::now();
            run(time as u64);
            start.elapsed()
        })
        .collect();
    taken.sort();
    println!(
        "{name:44} median {:>10.3?}  best {:>10.3?}  worst {:>10.3?}",
        taken[times / 2],
        taken[0],
        taken[times - 1]
    );
}

#[test]
#[ignore = "measures"]
fn figures() {
    let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = open(state.path());
    median("apply 300,000 new rows", 1, |_| {
        store.apply(&contacts(), records(1..300_001, 1)).wait().unwrap();
    });
    median("load 300,000 rows", 7, |_| {
        assert_eq!(store.load(&contacts()).wait().unwrap().rows.len(), 300_000);
    });
    median("apply 256 intents", 21, |time| {
        let intents = (0..256).map(|i| Record::Intent(intent(i + 1, 1_000_000 + time * 256 + i))).collect();
        store.apply(&contacts(), intents).wait().unwrap();
    });
    median("apply 256 rows + 256 settled", 21, |time| {
        let mut all = records(1..257, 2 + time);
        all.extend((0..256).map(|i| Record::Settled(operation(1_000_000 + time * 256 + i))));
        store.apply(&contacts(), all).wait().unwrap();
    });
    median("apply 1 row", 101, |time| {
        store.apply(&contacts(), records(1..2, 100 + time)).wait().unwrap();
    });
    median("apply 64 × 1 row, asked together", 21, |time| {
        let (sender, receiver) = std::sync::mpsc::channel();
        for id in 1..65 {
            let sender = sender.clone();
            store.apply(&contacts(), records(id..id + 1, time)).then(move |answer| drop(sender.send(answer)));
        }
        drop(sender);
        receiver.iter().for_each(|answer| answer.unwrap());
    });
    let anchors = (0..2).map(|at| Record::Anchor(MemberIndex(at), Anchor::from("1")));
    store.apply(&contacts(), anchors.collect()).wait().unwrap();
    let of = [(contacts(), vec![true; 2])];
    median("owed beside a run", 21, |_| assert_eq!(owed(state.path(), GROUP, &of).unwrap(), [0]));
    let mut behind = item(1, 1_000);
    behind.entries[0] = Some(entry(1, 1));
    store.apply(&contacts(), vec![Record::Row(Box::new(behind))]).wait().unwrap();
    median("owed beside a run, one is", 21, |_| assert_eq!(owed(state.path(), GROUP, &of).unwrap(), [1]));
    median("status beside a run", 21, |_| drop(status(state.path(), GROUP).unwrap()));
    median("open a copy beside a run", 11, |_| drop(Store::open_copy(state.path(), GROUP).unwrap()));
    store.close().unwrap();
    median("status", 21, |_| drop(status(state.path(), GROUP).unwrap()));
    median("open and close", 21, |_| open(state.path()).close().unwrap());
}
