//! Members that break the contract, and a driver that says anything at any time: nothing panics,
//! the run ends, and only the member that lies is left alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

use std::borrow::Cow;

use outrigger_engine::{Action, BatchId, CollectionSync, Event, Report, Settings, Side, Snapshot, Ticket};
use outrigger_protocol::{
    Change, ChangeKind, Code, CommitOutcome, CommitResult, Effect, Error, Extensions, Href, OperationId,
    ReadOutcome, ReadResult, Revision,
};
use proptest::prelude::*;

fn start() -> CollectionSync {
    let mut next = 0;
    let operations = Box::new(move || {
        next += 1;
        OperationId(uuid::Uuid::from_u128(next))
    });
    CollectionSync::new(Snapshot::default(), Settings::default(), operations)
}

fn change(href: &str) -> Change {
    Change {
        href: Href::from(href),
        kind: ChangeKind::Unknown,
        revision: Revision::from("1"),
        settled: true,
        object_type: "contact".into(),
        format: "vcard".into(),
        ext: Extensions::default(),
    }
}

fn list(sync: &mut CollectionSync, side: Side, hrefs: &[&str]) {
    for href in hrefs {
        sync.receive(Event::Listed { side, change: change(href) });
    }
    let count = hrefs.len() as u64;
    sync.receive(Event::ListEnd { side, complete: true, count, anchor: None, store: None });
}

fn actions(sync: &mut CollectionSync) -> Vec<Action> {
    std::iter::from_fn(|| sync.poll_output()).collect()
}

fn failed_members(sync: &mut CollectionSync) -> Vec<Side> {
    let reports = std::iter::from_fn(|| sync.poll_event());
    reports
        .filter_map(|report| if let Report::MemberFailed { side, .. } = report { Some(side) } else { None })
        .collect()
}

fn item(index: u32) -> ReadResult<'static> {
    let data = Cow::Borrowed(&b"BEGIN:VCARD\r\nUID:u\r\nFN:a\r\nEND:VCARD\r\n"[..]);
    let outcome =
        ReadOutcome::Item { revision: Revision::from("1"), settled: true, format: "vcard".into(), data };
    ReadResult { index, outcome }
}

/// Up to the commit of one new item of A to B.
fn committing() -> (CollectionSync, BatchId, OperationId) {
    let mut sync = start();
    list(&mut sync, Side::A, &["a"]);
    list(&mut sync, Side::B, &[]);
    loop {
        for action in actions(&mut sync) {
            match action {
                Action::Read { side, batch, .. } => {
                    sync.receive(Event::ReadItem { side, batch, result: item(0) });
                    sync.receive(Event::ReadEnd { side, batch });
                }
                Action::Journal { ticket, .. } => sync.receive(Event::Journaled { ticket }),
                Action::Commit { batch, items, .. } => return (sync, batch, items[0].operation),
                Action::List { .. } | Action::Finished => {}
            }
        }
    }
}

fn done(operation: OperationId, href: &str) -> CommitResult {
    let outcome = CommitOutcome::Done {
        href: Href::from(href),
        revision: Revision::from("1"),
        settled: true,
        digest: None,
    };
    CommitResult { operation, outcome }
}

#[test]
fn an_item_listed_twice_costs_the_member_its_run() {
    let mut sync = start();
    list(&mut sync, Side::A, &["a", "b", "a"]);
    assert_eq!(failed_members(&mut sync), [Side::A]);
    list(&mut sync, Side::B, &["x"]);
    let asked: Vec<_> = actions(&mut sync);
    assert!(
        asked.iter().any(|action| matches!(action, Action::Read { side: Side::B, .. })),
        "B goes on: {asked:?}"
    );
}

#[test]
fn an_item_without_a_name_or_after_the_end_costs_the_member_its_run() {
    let mut sync = start();
    list(&mut sync, Side::A, &[""]);
    assert_eq!(failed_members(&mut sync), [Side::A]);
    let mut sync = start();
    list(&mut sync, Side::A, &["a"]);
    sync.receive(Event::Listed { side: Side::A, change: change("b") });
    assert_eq!(failed_members(&mut sync), [Side::A]);
}

#[test]
fn answers_out_of_order_or_missing_cost_the_member_its_run() {
    for wrong in [Some(1), Some(u32::MAX), None] {
        let mut sync = start();
        list(&mut sync, Side::A, &["a"]);
        list(&mut sync, Side::B, &[]);
        let batch = actions(&mut sync).into_iter().find_map(|action| match action {
            Action::Read { batch, .. } => Some(batch),
            _ => None,
        });
        let batch = batch.unwrap();
        if let Some(index) = wrong {
            sync.receive(Event::ReadItem { side: Side::A, batch, result: item(index) });
        }
        sync.receive(Event::ReadEnd { side: Side::A, batch });
        assert_eq!(failed_members(&mut sync), [Side::A]);
    }
}

#[test]
fn results_for_unknown_writes_twice_or_without_a_name_cost_the_member_its_run() {
    let stranger = OperationId(uuid::Uuid::from_u128(77));
    let wrong: [fn(OperationId, OperationId) -> Vec<CommitResult>; 4] = [
        |_, _| vec![],
        |ours, _| vec![done(ours, "x"), done(ours, "y")],
        |ours, stranger| vec![done(ours, "x"), done(stranger, "y")],
        |ours, _| vec![done(ours, "")],
    ];
    for results in wrong {
        let (mut sync, batch, operation) = committing();
        sync.receive(Event::Committed { side: Side::B, batch, results: results(operation, stranger) });
        assert_eq!(failed_members(&mut sync), [Side::B]);
    }
}

#[test]
fn a_rejected_anchor_is_asked_again_for_everything_once() {
    let mut sync = start();
    drop(actions(&mut sync));
    for _ in 0..2 {
        sync.receive(Event::ListFailed {
            side: Side::A,
            error: Error::new(Code::SLOW_SYNC, "unknown token"),
        });
    }
    let again = Action::List { side: Side::A, slow: true, anchor: None };
    assert_eq!(actions(&mut sync), [again]);
    assert_eq!(failed_members(&mut sync), [Side::A]);
}

#[test]
fn an_item_that_a_member_cannot_hold_is_left_alone_and_the_member_is_not() {
    let (mut sync, batch, operation) = committing();
    let outcome = CommitOutcome::Failed(Error::new(Code::FORMAT, "no such property"));
    sync.receive(Event::Committed {
        side: Side::B,
        batch,
        results: vec![CommitResult { operation, outcome }],
    });
    let reports: Vec<Report> = std::iter::from_fn(|| sync.poll_event()).collect();
    assert!(reports.iter().any(|report| matches!(report, Report::Quarantined { side: Side::B, .. })));
    assert!(!reports.iter().any(|report| matches!(report, Report::MemberFailed { .. })));
}

#[test]
fn without_a_journal_nothing_more_is_sent() {
    let (mut sync, ..) = committing();
    sync.receive(Event::JournalFailed {
        ticket: Ticket(u64::MAX),
        reason: "unknown tickets are ignored".into(),
    });
    assert!(actions(&mut sync).is_empty());
    let mut sync = start();
    list(&mut sync, Side::A, &["a"]);
    list(&mut sync, Side::B, &[]);
    let read = actions(&mut sync).into_iter().find_map(|action| match action {
        Action::Read { batch, .. } => Some(batch),
        _ => None,
    });
    let batch = read.unwrap();
    sync.receive(Event::ReadItem { side: Side::A, batch, result: item(0) });
    sync.receive(Event::ReadEnd { side: Side::A, batch });
    let ticket = actions(&mut sync).into_iter().find_map(|action| match action {
        Action::Journal { ticket, .. } => Some(ticket),
        _ => None,
    });
    sync.receive(Event::JournalFailed { ticket: ticket.unwrap(), reason: "disk full".into() });
    assert_eq!(actions(&mut sync), [Action::Finished]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any event at any time.
    #[test]
    fn no_sequence_of_events_panics(events in proptest::collection::vec(any::<(u8, bool, u8, u8)>(), 0..60)) {
        let mut sync = start();
        let mut operations = Vec::new();
        for (kind, is_b, number, more) in events {
            for action in actions(&mut sync) {
                if let Action::Commit { items, .. } = action {
                    operations.extend(items.iter().map(|item| item.operation));
                }
            }
            let side = if is_b { Side::B } else { Side::A };
            let (batch, ticket) = (BatchId(u64::from(number % 12)), Ticket(u64::from(number % 12)));
            let error = Error::new(Code(u16::from(more % 27)), "x")
                .with_effect(if more % 2 == 0 { Effect::Unknown } else { Effect::NotStarted });
            let operation = operations.get(number as usize % 3).copied()
                .unwrap_or(OperationId(uuid::Uuid::from_u128(u128::from(number % 4))));
            let href = ["a", "b", "u.vcf", ""][more as usize % 4];
            sync.receive(match kind % 14 {
                0 | 1 => Event::Listed { side, change: change(href) },
                2 | 3 => Event::ListEnd {
                    side, complete: number % 4 != 0, count: u64::from(more % 3), anchor: None, store: None,
                },
                4 => Event::ListFailed { side, error },
                5 | 6 => Event::ReadItem { side, batch, result: item(u32::from(more % 3)) },
                7 => Event::ReadItem {
                    side,
                    batch,
                    result: ReadResult {
                        index: u32::from(more % 2),
                        outcome: if more % 3 == 0 { ReadOutcome::NotFound } else { ReadOutcome::Failed(error) },
                    },
                },
                8 => Event::ReadEnd { side, batch },
                9 => Event::Journaled { ticket },
                10 => Event::Committed { side, batch, results: vec![done(operation, href)] },
                11 => Event::CommitFailed { side, batch, error },
                12 if more > 200 => Event::MemberLost { side, error },
                _ => Event::ReadFailed { side, batch, error },
            });
        }
    }
}
