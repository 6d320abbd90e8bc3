//! Members that break the contract, and a driver that says anything at any time: nothing panics,
//! the run ends, and only the member that lies is left alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

use std::borrow::Cow;

use outrigger_engine::{
    Action, BatchId, CollectionSync, Event, FailureClass, ListingLimits, MemberIndex, Record, Report,
    Settings, Snapshot, Ticket,
};
use outrigger_protocol::{
    Change, ChangeKind, Code, CommitOutcome, CommitResult, Effect, Error, Extensions, Href, OperationId,
    ReadOutcome, ReadResult, Revision, Verdict,
};
use proptest::prelude::*;

const A: MemberIndex = MemberIndex(0);
const B: MemberIndex = MemberIndex(1);
const C: MemberIndex = MemberIndex(2);

fn start() -> CollectionSync {
    start_for(2)
}

/// So many members; the plugin of A compares.
fn start_for(members: usize) -> CollectionSync {
    let mut next = 0;
    let operations = Box::new(move || {
        next += 1;
        OperationId(uuid::Uuid::from_u128(next))
    });
    let mut settings = Settings::for_members(members);
    settings.members[A.index()].compares = vec!["vcard".into()];
    CollectionSync::new(Snapshot::default(), settings, operations)
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

fn list(sync: &mut CollectionSync, member: MemberIndex, hrefs: &[&str]) {
    for href in hrefs {
        sync.receive(Event::Listed { member, change: change(href) });
    }
    let count = hrefs.len() as u64;
    sync.receive(Event::ListEnd { member, complete: true, count, anchor: None, store: None });
}

fn actions(sync: &mut CollectionSync) -> Vec<Action> {
    std::iter::from_fn(|| sync.poll_output()).collect()
}

fn failed_members(sync: &mut CollectionSync) -> Vec<MemberIndex> {
    let reports = std::iter::from_fn(|| sync.poll_event());
    reports
        .filter_map(
            |report| if let Report::MemberFailed { member, .. } = report { Some(member) } else { None },
        )
        .collect()
}

fn item(index: u32) -> ReadResult<'static> {
    item_called("a", index)
}

fn item_called(name: &str, index: u32) -> ReadResult<'static> {
    let data = Cow::Owned(format!("BEGIN:VCARD\r\nUID:u\r\nFN:{name}\r\nEND:VCARD\r\n").into_bytes());
    let outcome =
        ReadOutcome::Item { revision: Revision::from("1"), settled: true, format: "vcard".into(), data };
    ReadResult { index, outcome }
}

/// Up to the commit of one new item of A to B.
fn committing() -> (CollectionSync, BatchId, OperationId) {
    committing_for(2)
}

/// The same, with more members that have nothing.
fn committing_for(members: usize) -> (CollectionSync, BatchId, OperationId) {
    let mut sync = start_for(members);
    list(&mut sync, A, &["a"]);
    for at in 1..members {
        list(&mut sync, MemberIndex::at(at), &[]);
    }
    loop {
        for action in actions(&mut sync) {
            match action {
                Action::Read { member, batch, .. } => {
                    sync.receive(Event::ReadItem { member, batch, result: item(0) });
                    sync.receive(Event::ReadEnd { member, batch });
                }
                Action::Journal { ticket, .. } => sync.receive(Event::Journaled { ticket }),
                Action::Commit { member: B, batch, items } => return (sync, batch, items[0].operation),
                _ => {}
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
    for others in [&[B][..], &[B, C]] {
        let mut sync = start_for(others.len() + 1);
        list(&mut sync, A, &["a", "b", "a"]);
        assert_eq!(failed_members(&mut sync), [A]);
        for other in others {
            list(&mut sync, *other, &["x"]);
        }
        let asked = actions(&mut sync);
        for other in others {
            let is_read = |action: &Action| matches!(action, Action::Read { member, .. } if member == other);
            assert!(asked.iter().any(is_read), "{other:?} goes on: {asked:?}");
        }
    }
}

fn start_with(settings: Settings) -> CollectionSync {
    CollectionSync::new(Snapshot::default(), settings, Box::new(|| OperationId(uuid::Uuid::nil())))
}

/// Lists so many items that cannot be read; each becomes a row at once.
fn list_unreadable(sync: &mut CollectionSync, member: MemberIndex, count: u64) {
    for number in 0..count {
        let change = Change { kind: ChangeKind::Unreadable, ..change(&format!("item{number}")) };
        sync.receive(Event::Listed { member, change });
    }
}

#[test]
fn a_listing_beyond_its_limits_costs_the_member_its_run_and_says_which() {
    let names = "item0".len() + "1contactvcard".len();
    let limits = [
        (ListingLimits { entries: 10, ..ListingLimits::default() }, "more than 10 items"),
        (ListingLimits { name_bytes: 10 * names as u64, ..ListingLimits::default() }, "more than 180 bytes"),
    ];
    for (listing, words) in limits {
        for (count, fails) in [(10, false), (11, true)] {
            let mut sync = start_with(Settings { listing, ..Settings::default() });
            list_unreadable(&mut sync, A, count);
            let said: Vec<Report> = std::iter::from_fn(|| sync.poll_event()).collect();
            let failed = |report: &Report| matches!(report, Report::MemberFailed { member: A, class: FailureClass::Contract, words: why } if why.contains(words));
            assert_eq!(said.iter().any(failed), fails, "{count} entries: {said:?}");
            // The listing of one that failed is not waited for.
            actions(&mut sync);
            list(&mut sync, B, &[]);
            assert_eq!(!actions(&mut sync).is_empty(), fails);
        }
    }
}

#[test]
fn a_listing_that_is_asked_for_anew_is_counted_anew() {
    let listing = ListingLimits { entries: 10, ..ListingLimits::default() };
    let mut sync = start_with(Settings { listing, ..Settings::default() });
    list_unreadable(&mut sync, A, 9);
    let error = Error::new(Code::SLOW_SYNC, "all of it");
    sync.receive(Event::ListFailed { member: A, error, store: None });
    list_unreadable(&mut sync, A, 10);
    assert_eq!(failed_members(&mut sync), []);
}

#[test]
fn items_that_cannot_be_read_are_told_of_up_to_a_number_and_then_counted() {
    let mut sync = start();
    list_unreadable(&mut sync, A, 250);
    let count = 250;
    sync.receive(Event::ListEnd { member: A, complete: true, count, anchor: None, store: None });
    list(&mut sync, B, &[]);
    while let Some(action) = sync.poll_output() {
        if let Action::Journal { ticket, .. } = action {
            sync.receive(Event::Journaled { ticket });
        }
    }
    let said: Vec<Report> = std::iter::from_fn(|| sync.poll_event()).collect();
    let told = said.iter().filter(|report| matches!(report, Report::Pending { .. })).count();
    assert_eq!(told, 100);
    assert!(said.contains(&Report::Untold { member: A, count: 150 }), "{:?}", said.last());
    let Some(Report::Ended(summary)) = said.last() else { panic!("no end") };
    assert_eq!(summary.pending, 250, "what is only counted counts");
}

#[test]
fn a_word_or_a_revision_beyond_the_limit_costs_the_member_its_run() {
    let long = || "x".repeat(5 << 10);
    let changes = [
        Change { object_type: long(), ..change("a") },
        Change { format: long(), ..change("a") },
        Change { revision: Revision::from(long().as_str()), ..change("a") },
    ];
    for change in changes {
        let mut sync = start();
        sync.receive(Event::Listed { member: A, change });
        assert_eq!(failed_members(&mut sync), [A]);
    }
}

#[test]
fn what_a_member_says_of_a_failure_is_not_kept_at_length() {
    let mut sync = start();
    list(&mut sync, A, &["a"]);
    list(&mut sync, B, &["b"]);
    let mut kept = Vec::new();
    while let Some(action) = sync.poll_output() {
        match action {
            Action::Read { member, batch, .. } => {
                let outcome = ReadOutcome::Failed(Error::new(Code::INVALID, "é".repeat(4 << 10)));
                let result = ReadResult { index: 0, outcome };
                sync.receive(Event::ReadItem { member, batch, result });
                sync.receive(Event::ReadEnd { member, batch });
            }
            Action::Journal { ticket, records } => {
                kept.extend(records);
                sync.receive(Event::Journaled { ticket });
            }
            _ => {}
        }
    }
    let reason = kept.iter().find_map(|record| match record {
        outrigger_engine::Record::Row(row) => row.quarantine.first(),
        _ => None,
    });
    assert_eq!(reason.map(|quarantine| quarantine.reason.chars().count()), Some(500));
}

#[test]
fn an_item_without_a_name_or_after_the_end_costs_the_member_its_run() {
    let mut sync = start();
    list(&mut sync, A, &[""]);
    assert_eq!(failed_members(&mut sync), [A]);
    let mut sync = start();
    list(&mut sync, A, &["a"]);
    sync.receive(Event::Listed { member: A, change: change("b") });
    assert_eq!(failed_members(&mut sync), [A]);
}

#[test]
fn answers_out_of_order_or_missing_cost_the_member_its_run() {
    for wrong in [Some(1), Some(u32::MAX), None] {
        let mut sync = start();
        list(&mut sync, A, &["a"]);
        list(&mut sync, B, &[]);
        let batch = actions(&mut sync).into_iter().find_map(|action| match action {
            Action::Read { batch, .. } => Some(batch),
            _ => None,
        });
        let batch = batch.unwrap();
        if let Some(index) = wrong {
            sync.receive(Event::ReadItem { member: A, batch, result: item(index) });
        }
        sync.receive(Event::ReadEnd { member: A, batch });
        assert_eq!(failed_members(&mut sync), [A]);
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
    for (members, results) in (2..=3).flat_map(|members| wrong.map(|results| (members, results))) {
        let (mut sync, batch, operation) = committing_for(members);
        sync.receive(Event::Committed { member: B, batch, results: results(operation, stranger) });
        assert_eq!(failed_members(&mut sync), [B]);
    }
}

#[test]
fn a_rejected_anchor_is_asked_again_for_everything_once() {
    let mut sync = start();
    drop(actions(&mut sync));
    for _ in 0..2 {
        sync.receive(Event::ListFailed {
            member: A,
            error: Error::new(Code::SLOW_SYNC, "unknown token"),
            store: None,
        });
    }
    let again = Action::List { member: A, slow: true, anchor: None };
    assert_eq!(actions(&mut sync), [again]);
    assert_eq!(failed_members(&mut sync), [A]);
}

#[test]
fn an_item_that_a_member_cannot_hold_is_left_alone_and_the_member_is_not() {
    let (mut sync, batch, operation) = committing();
    let outcome = CommitOutcome::Failed(Error::new(Code::FORMAT, "no such property"));
    sync.receive(Event::Committed { member: B, batch, results: vec![CommitResult { operation, outcome }] });
    let reports: Vec<Report> = std::iter::from_fn(|| sync.poll_event()).collect();
    assert!(reports.iter().any(|report| matches!(report, Report::Quarantined { member: B, .. })));
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
    list(&mut sync, A, &["a"]);
    list(&mut sync, B, &[]);
    let read = actions(&mut sync).into_iter().find_map(|action| match action {
        Action::Read { batch, .. } => Some(batch),
        _ => None,
    });
    let batch = read.unwrap();
    sync.receive(Event::ReadItem { member: A, batch, result: item(0) });
    sync.receive(Event::ReadEnd { member: A, batch });
    let ticket = actions(&mut sync).into_iter().find_map(|action| match action {
        Action::Journal { ticket, .. } => Some(ticket),
        _ => None,
    });
    sync.receive(Event::JournalFailed { ticket: ticket.unwrap(), reason: "disk full".into() });
    assert_eq!(actions(&mut sync), [Action::Finished]);
}

/// Up to the two reads of one item that the members hold differently.
fn comparing() -> (CollectionSync, [BatchId; 2]) {
    let mut sync = start();
    for member in [A, B] {
        list(&mut sync, member, &["a"]);
    }
    give(&mut sync);
    let batches = reads(&mut sync);
    (sync, batches)
}

/// The reads that are asked for, of A and B.
fn reads(sync: &mut CollectionSync) -> [BatchId; 2] {
    let batches = actions(sync).into_iter().filter_map(|action| match action {
        Action::Read { batch, .. } => Some(batch),
        _ => None,
    });
    batches.collect::<Vec<_>>().try_into().unwrap()
}

/// Answers both.
fn give(sync: &mut CollectionSync) {
    for (member, batch) in [A, B].into_iter().zip(reads(sync)) {
        answer(sync, member, batch);
    }
}

/// What `member` holds.
fn answer(sync: &mut CollectionSync, member: MemberIndex, batch: BatchId) {
    sync.receive(Event::ReadItem { member, batch, result: item_called(["a", "b"][member.index()], 0) });
    sync.receive(Event::ReadEnd { member, batch });
}

/// Up to the comparison of what they hold.
fn compared() -> (CollectionSync, BatchId) {
    let (mut sync, batches) = comparing();
    for (member, batch) in [A, B].into_iter().zip(batches) {
        answer(&mut sync, member, batch);
    }
    match actions(&mut sync).as_slice() {
        [Action::Compare { member: A, batch, .. }] => (sync, *batch),
        other => panic!("{other:?}"),
    }
}

/// Plays the run to its end; the versions of its rows, the conflicts that it raised, and who failed.
fn finish(sync: &mut CollectionSync) -> (Vec<u64>, u64, Vec<MemberIndex>) {
    let mut versions = Vec::new();
    loop {
        for action in actions(sync) {
            match action {
                Action::Journal { ticket, records } => {
                    let rows = records.iter().filter_map(|record| match record {
                        Record::Row(row) => Some(row.version),
                        _ => None,
                    });
                    versions.extend(rows);
                    sync.receive(Event::Journaled { ticket });
                }
                Action::Finished => {
                    let reports: Vec<Report> = std::iter::from_fn(|| sync.poll_event()).collect();
                    let Some(Report::Ended(summary)) = reports.last() else { panic!("{reports:?}") };
                    let failed = [A, B].into_iter().filter(|member| summary.members[member.index()].failed);
                    return (versions, summary.new_conflicts, failed.collect());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_verdict_counts_once_and_of_the_plugin_that_was_asked() {
    let verdict = Verdict::Same;
    let (mut sync, batch) = compared();
    sync.receive(Event::Compared { member: B, batch, verdict });
    sync.receive(Event::Compared { member: A, batch: BatchId(batch.0 + 1), verdict });
    assert!(actions(&mut sync).is_empty(), "it waits for the verdict");
    sync.receive(Event::Compared { member: A, batch, verdict: Verdict::Similar });
    sync.receive(Event::Compared { member: A, batch, verdict });
    assert_eq!(finish(&mut sync), (vec![0], 1, vec![]));
    let (mut sync, batch) = compared();
    sync.receive(Event::Compared { member: A, batch, verdict });
    assert_eq!(finish(&mut sync), (vec![2], 0, vec![]));
}

#[test]
fn a_verdict_does_not_count_once_a_member_is_left_alone() {
    for member in [A, B] {
        let (mut sync, batch) = compared();
        sync.receive(Event::MemberLost { member, error: Error::new(Code::DISCONNECTED, "gone") });
        sync.receive(Event::Compared { member: A, batch, verdict: Verdict::Same });
        assert_eq!(finish(&mut sync), (vec![0], 0, vec![member]), "neither agreed nor in conflict");
    }
}

#[test]
fn a_member_that_does_not_give_what_is_to_be_compared_costs_no_conflict() {
    let revision = Revision::from("1");
    let answers = [
        (Some(ReadOutcome::NotModified { revision, settled: true }), vec![A]),
        (None, vec![A]),
        (Some(ReadOutcome::NotFound), vec![]),
        (Some(ReadOutcome::Failed(Error::new(Code::IO, "not now"))), vec![]),
    ];
    for (outcome, breaches) in answers {
        let (mut sync, batches) = comparing();
        if let Some(outcome) = outcome {
            let result = ReadResult { index: 0, outcome };
            sync.receive(Event::ReadItem { member: A, batch: batches[0], result });
        }
        sync.receive(Event::ReadEnd { member: A, batch: batches[0] });
        answer(&mut sync, B, batches[1]);
        assert_eq!(finish(&mut sync), (vec![0], 0, breaches));
    }
    let (mut sync, batches) = comparing();
    answer(&mut sync, A, batches[0]);
    let error = Error::new(Code::OVERLOADED, "not now");
    sync.receive(Event::ReadFailed { member: B, batch: batches[1], error });
    assert_eq!(finish(&mut sync), (vec![0], 0, vec![]), "it waits for the next run");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any event at any time, of members that there are and of one that there is not.
    #[test]
    fn no_sequence_of_events_panics(
        members in 2usize..=3,
        events in prop::collection::vec(any::<(u8, u8, u8, u8)>(), 0..60),
    ) {
        let mut sync = start_for(members);
        let mut operations = Vec::new();
        for (kind, whose, number, more) in events {
            for action in actions(&mut sync) {
                if let Action::Commit { items, .. } = action {
                    operations.extend(items.iter().map(|item| item.operation));
                }
            }
            let member = MemberIndex::at(usize::from(whose) % (members + 1));
            let (batch, ticket) = (BatchId(u64::from(number % 12)), Ticket(u64::from(number % 12)));
            let error = Error::new(Code(u16::from(more % 27)), "x")
                .with_effect(if more % 2 == 0 { Effect::Unknown } else { Effect::NotStarted });
            let operation = operations.get(number as usize % 3).copied()
                .unwrap_or(OperationId(uuid::Uuid::from_u128(u128::from(number % 4))));
            let href = ["a", "b", "u.vcf", ""][more as usize % 4];
            let verdict = [Verdict::Same, Verdict::Similar, Verdict::Different][more as usize % 3];
            let name = ["a", "b", "c", "d"][member.index()];
            sync.receive(match kind % 19 {
                0 | 1 => Event::Listed { member, change: change(href) },
                2 | 3 => Event::ListEnd {
                    member, complete: number % 4 != 0, count: u64::from(more % 3), anchor: None, store: None,
                },
                4 => Event::ListFailed { member, error, store: None },
                5 | 6 => Event::ReadItem { member, batch, result: item_called(name, u32::from(more % 3)) },
                7 => Event::ReadItem {
                    member,
                    batch,
                    result: ReadResult {
                        index: u32::from(more % 2),
                        outcome: if more % 3 == 0 { ReadOutcome::NotFound } else { ReadOutcome::Failed(error) },
                    },
                },
                8 => Event::ReadEnd { member, batch },
                9 => Event::Journaled { ticket },
                10 => Event::Committed { member, batch, results: vec![done(operation, href)] },
                11 => Event::CommitFailed { member, batch, error },
                12 if more > 200 => Event::MemberLost { member, error },
                13 => Event::Compared { member, batch, verdict },
                14 => Event::CompareFailed { member, batch, error },
                15 => Event::Resolved { batch, result: if more % 2 == 0 { Ok(vec![more]) } else { Err("no".into()) } },
                16 => Event::Renamed { member, batch, names: vec![(Href::from(href), Href::from(name))] },
                17 => Event::Crashed { member, open: vec![batch, BatchId(batch.0 + 1)] },
                18 if more > 200 => Event::JournalFailed { ticket, reason: "disk full".into() },
                _ => Event::ReadFailed { member, batch, error },
            });
        }
    }
}
