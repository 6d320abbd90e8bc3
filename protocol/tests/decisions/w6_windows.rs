//! W6: 64 calls of 1 MiB each way are 64 MiB a plugin; the CREDIT that would free us sits behind the
//! reader that stopped. Here: the windows of calls, and who waits for whom. Their answers:
//! `w6_answers.rs`.

use outrigger_protocol::{Code, Error, Header, Kind, Limits, Method, PeerError, Role, StreamKind};

use crate::support::frames;
use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;

#[test]
fn more_unanswered_calls_than_announced_end_the_connection() {
    let mut plugin = End::alone(Role::Plugin);
    for n in 0..64 {
        plugin.hear(&frames::call(2 * n + 1, 1, Method::COMMIT));
    }
    assert_eq!(plugin.refuse(&frames::call(129, 1, Method::COMMIT)), PeerError::TooManyCalls);
}

#[test]
fn calls_within_calls_have_a_window_of_their_own_and_no_more() {
    let mut plugin = End::alone(Role::Plugin);
    let parent = plugin.call(1, Method::ASK, 1).0;
    for n in 0..64 {
        plugin.hear(&frames::call(2 * n + 1, 1, Method::COMMIT));
    }
    for n in 64..64 + 512 {
        plugin.hear(&frames::nested_call(2 * n + 1, 1, parent));
    }
    assert_eq!(plugin.refuse(&frames::nested_call(9999, 1, parent)), PeerError::TooManyCalls);
}

#[test]
fn more_bytes_of_calls_than_announced_end_the_connection() {
    let limits = Limits { call_bytes: 1 << 20, ..Limits::default() };
    let mut plugin = End::new(Role::Plugin, limits, Limits::default());
    let mut kept = 0;
    let error = loop {
        let call = frames::with_ext(frames::call_header(2 * kept + 1, 1, Method::COMMIT), &[], &[0; 500_000]);
        match plugin.take_in(&call, std::time::Duration::ZERO).1 {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, PeerError::TooManyCalls);
    assert!(kept >= 3 && kept * 500_000 <= 3 << 20, "{kept} calls");
}

#[test]
fn a_caller_keeps_to_what_the_other_announced() {
    let limits = Limits { max_calls: 2, call_bytes: 100_000, max_body: 64 << 10, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    let [first, _] = [1, 2].map(|n| pair.broker.call(n, Method::COMMIT, n));
    let refusal = pair.broker.try_call(3, Method::COMMIT, Default::default(), 3, pair.now).unwrap_err();
    assert_eq!((refusal.context, refusal.error.code), (3, Code::OVERLOADED));
    pair.settle();
    pair.plugin.connection.reply(first, &());
    pair.settle();
    pair.broker.call(3, Method::COMMIT, 3);
    pair.settle();
}

#[test]
fn a_caller_keeps_to_the_bytes_that_the_other_announced() {
    let limits = Limits { call_bytes: 100_000, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    let body = vec![0u8; 60_000];
    for n in 0..2 {
        let target = outrigger_protocol::ObjectId(n);
        pair.broker.connection.call(target, Method::COMMIT, &body, Default::default(), n, pair.now).unwrap();
    }
    assert!(!pair.broker.connection.has_room(Method::COMMIT));
    pair.settle();
}

/// Answers need no credit: 64 calls are answered while not a byte of data may be sent.
/// Holds S17.
#[test]
fn calls_and_answers_pass_where_data_stands_still() {
    let mut pair = Pair::new();
    pair.consume = false;
    let call = pair.open_call(0, Method::READ, 100);
    let stream = pair.open_stream(call);
    for _ in 0..20 {
        pair.plugin.connection.push_item(stream, &vec![0u8; 60_000]).unwrap();
    }
    pair.settle();
    for n in 1..64 {
        let call = pair.open_call(n, Method::COMMIT, n);
        pair.plugin.connection.reply(call, &vec![0u8; 10_000]);
        assert!(matches!(pair.settle().0[..], [Seen::Reply { .. }]));
    }
    assert!(pair.plugin.connection.stream_waiting(stream) > Some(0));
}

#[test]
fn a_frame_larger_than_announced_is_refused_by_its_header() {
    let limits = Limits { max_body: 64 << 10, ..Limits::default() };
    let mut plugin = End::new(Role::Plugin, limits, Limits::default());
    let header = Header { body_len: (64 << 10) + 1, ..frames::call_header(1, 1, Method::COMMIT) };
    assert!(matches!(plugin.refuse(&header.encode()), PeerError::FrameTooLarge { .. }));
    let header = Header { body_len: (64 << 10) + 1, ..Header::new(Kind::DATA, 2) };
    assert!(matches!(End::alone(Role::Plugin).refuse(&header.encode()), PeerError::FrameTooLarge { .. }));
}

/// Whatever is said in it: a terminal frame fits what the peer takes.
#[test]
fn an_answer_or_error_that_is_too_large_is_still_one_end() {
    let limits = Limits { max_body: 64 << 10, ..Limits::default() };
    for size in [60_000, 70_000, 2 << 20] {
        let mut pair = Pair::with(limits, Limits::default());
        let replied = pair.open_call(1, Method::COMMIT, 1);
        let failed = pair.open_call(2, Method::COMMIT, 2);
        pair.plugin.connection.reply(replied, &vec![0u8; size]);
        let mut error = Error::new(Code::REMOTE, "é".repeat(size / 2));
        error.effect = outrigger_protocol::Effect::Partial;
        pair.plugin.connection.fail(failed, &error.because(Code::IO, "x".repeat(size)));
        let (broker, _) = pair.settle();
        assert_eq!(broker.len(), 2, "{size}");
        let (_, error) = broker[1].failure().unwrap();
        assert_eq!((error.code, error.effect), (Code::REMOTE, outrigger_protocol::Effect::Partial));
        if size > 64 << 10 {
            let (_, error) = broker[0].failure().unwrap();
            let done = outrigger_protocol::Effect::Done;
            assert_eq!((error.code, error.effect), (Code::TOO_LARGE, done), "only the answer failed");
        }
    }
}

#[test]
fn an_answer_that_is_too_large_behind_data_is_still_one_end() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    pair.plugin.connection.push_item(stream, &1u8).unwrap();
    assert!(pair.plugin.connection.reply(call, &vec![0u8; 2 << 20]));
    let (broker, _) = pair.settle();
    assert!(matches!(broker[..], [Seen::Failed { context: 1, .. }]), "{broker:?}");
}

#[test]
fn a_sender_opens_as_many_streams_as_were_announced() {
    let limits = Limits { max_streams: 3, ..Limits::default() };
    let mut pair = Pair::with(limits, Limits::default());
    let call = pair.open_call(1, Method::READ, 1);
    let opened = (0..5).filter_map(|_| pair.plugin.connection.open_stream(call, StreamKind::Items)).count();
    assert_eq!(opened, 3);
    pair.settle();
}
