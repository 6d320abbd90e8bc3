//! A peer that keeps no rules: what it can reach, and what it cannot.

use std::time::Duration;

use outrigger_protocol::{CallId, Code, Error, Kind, Limits, Method, PeerError, Role, StreamId, StreamKind};

use crate::support::frames;
use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;

/// A plugin with a call of the broker in work and a stream of its own for it.
fn sender() -> (End, StreamId) {
    let mut plugin = End::alone(Role::Plugin);
    plugin.hear(&frames::call(1, 1, Method::READ));
    let stream = plugin.connection.open_stream(CallId(1), StreamKind::Items).unwrap();
    (plugin, stream)
}

#[test]
fn credit_near_the_end_of_numbers_overflows_nothing() {
    for credit in [u64::MAX, u64::MAX - 1, 1 << 63, i64::MAX as u64] {
        let (mut plugin, stream) = sender();
        plugin.hear(&frames::credit(stream.0, credit, credit));
        plugin.connection.push_item(stream, &vec![0u8; 500_000]).unwrap();
        plugin.say();
        assert_eq!(plugin.connection.stream_waiting(stream), Some(0));
        plugin.hear(&frames::credit(stream.0, 0, u64::MAX));
        plugin.connection.push_item(stream, &vec![0u8; 500_000]).unwrap();
        plugin.say();
        assert_eq!(plugin.connection.stream_waiting(stream), Some(0));
    }
}

#[test]
fn windows_near_the_end_of_numbers_overflow_nothing() {
    let windows = Limits {
        stream_window: u64::MAX,
        connection_window: u64::MAX,
        call_bytes: u64::MAX,
        max_calls: u32::MAX,
        max_streams: u32::MAX,
        dispatch_window: u32::MAX,
        ..Limits::default()
    };
    let mut pair = Pair::with(windows, windows);
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    pair.plugin.connection.push_item(stream, &vec![0u8; 500_000]).unwrap();
    pair.plugin.connection.reply(call, &());
    let (broker, _) = pair.settle();
    assert!(matches!(broker.last(), Some(Seen::Reply { .. })));
}

/// Holds S4.
#[test]
fn an_answer_while_our_cancel_is_queued_is_the_answer() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::COMMIT, 1);
    assert!(pair.broker.connection.cancel(call, pair.now).is_none());
    assert!(pair.broker.connection.cancel(call, pair.now).is_none());
    let seen = pair.broker.hear(&frames::reply(call.0));
    assert!(matches!(seen[..], [Seen::Reply { context: 1, .. }]));
    pair.plugin.connection.reply(call, &());
    let (broker, plugin) = pair.settle();
    assert_eq!((broker, plugin), (vec![], vec![]), "the cancel finds nothing, the second answer is late");
    assert_eq!(pair.broker.connection.counters.late, 1);
}

#[test]
fn an_error_for_a_call_with_open_streams_ends_them() {
    let mut broker = End::alone(Role::Broker);
    broker.call(1, Method::READ, 1);
    broker.say();
    broker.hear(&frames::open(2, 1, StreamKind::Items));
    broker.hear(&frames::data(2, &frames::item(b"half")[..6]));
    let seen = broker.hear(&frames::error(1, &Error::new(Code::IO, "broke")));
    assert!(matches!(seen[..], [Seen::Failed { context: 1, .. }]));
    assert_eq!(broker.hear(&frames::data(2, b"the rest")), []);
    assert_eq!(broker.hear(&frames::end(2, 9, 9)), [], "late");
}

#[test]
fn a_peer_that_resets_streams_of_either_side_reaches_only_those() {
    let (mut plugin, stream) = sender();
    let other = plugin.connection.open_stream(CallId(1), StreamKind::Items).unwrap();
    let seen = plugin.hear(&frames::reset(stream.0));
    assert_eq!(seen, [Seen::StreamReset { call: CallId(1), stream }]);
    assert_eq!(plugin.hear(&frames::reset(stream.0)), [], "again: nothing");
    assert_eq!(plugin.connection.stream_waiting(other), Some(0));
    assert_eq!(plugin.connection.push_item(stream, &1u8), Ok(None));
}

/// Holds S40.
#[test]
fn a_second_answer_of_ours_is_not_sent() {
    let (mut plugin, _) = sender();
    assert!(plugin.connection.fail(CallId(1), &Error::new(Code::IO, "x")));
    assert!(!plugin.connection.reply(CallId(1), &()));
    assert!(!plugin.connection.fail(CallId(1), &Error::new(Code::IO, "x")));
    assert!(!plugin.connection.reply(CallId(77), &()), "never asked");
    let answers = frames::kinds(&plugin.say());
    assert_eq!(answers.iter().filter(|(kind, _)| *kind == Kind::ERROR).count(), 1);
    assert!(plugin.connection.open_stream(CallId(1), StreamKind::Items).is_none());
}

#[test]
fn nothing_is_added_to_a_stream_whose_call_was_answered() {
    let (mut plugin, stream) = sender();
    plugin.connection.push_item(stream, &1u8).unwrap();
    plugin.connection.reply(CallId(1), &());
    assert_eq!(plugin.connection.push_item(stream, &2u8), Ok(None));
    let end = frames::parse(&plugin.say());
    let end: outrigger_protocol::StreamEnd = outrigger_protocol::Codec::Bincode.decode(&end[2].1).unwrap();
    assert_eq!((end.items, end.bytes), (1, 5));
}

#[test]
fn frames_of_the_handshake_and_garbage_end_a_connection() {
    for kind in [Kind::HELLO, Kind::HELLO_OK, Kind::PROOF, Kind::REFUSED] {
        let error = End::alone(Role::Broker).refuse(&frames::raw(kind, 0, &[]));
        assert_eq!(error, PeerError::Unexpected(kind));
    }
    for (kind, id) in [(Kind::ERROR, 1), (Kind::PROGRESS, 1), (Kind::STREAM_OPEN, 2), (Kind::GOODBYE, 0)] {
        let mut broker = End::alone(Role::Broker);
        broker.call(1, Method::READ, 1);
        broker.say();
        let error = broker.refuse(&frames::raw(kind, id, &[0xff; 7]));
        assert!(matches!(error, PeerError::Body { kind: named, .. } if named == kind), "{error}");
        assert_eq!(broker.hang_up().len(), 1, "its calls still end");
    }
    for length in [0, 23, 25] {
        let error = End::alone(Role::Broker).refuse(&frames::raw(Kind::CREDIT, 0, &vec![0; length]));
        assert!(matches!(error, PeerError::Body { .. }));
    }
}

/// The end of a stream is checked against what came, in both directions of the lie.
#[test]
fn a_stream_that_ends_with_another_count_ends_the_connection() {
    for (items, bytes) in [(0, 7), (2, 7), (1, 6), (1, 8), (u64::MAX, u64::MAX), (1, 0)] {
        let mut broker = End::alone(Role::Broker);
        broker.call(1, Method::READ, 1);
        broker.say();
        broker
            .hear(&[frames::open(2, 1, StreamKind::Items), frames::data(2, &frames::item(b"abc"))].concat());
        assert_eq!(broker.refuse(&frames::end(2, items, bytes)), PeerError::WrongCount(StreamId(2)));
    }
}

/// A peer that never reads: what this side says of itself stays bounded (memory is counted in
/// `memory.rs`), and an ordinary peer that reads slowly is not cut off for our own bulk.
#[test]
fn large_answers_of_ours_do_not_count_against_a_slow_reader() {
    let mut plugin = End::alone(Role::Plugin);
    for n in 0..64 {
        plugin.hear(&frames::call(2 * n + 1, 1, Method::COMMIT));
    }
    for n in 0..64 {
        plugin.connection.reply(CallId(2 * n + 1), &vec![0u8; 900_000]);
    }
    assert_eq!(plugin.hear(&frames::raw(Kind::PING, 0, &[])), []);
    assert!(plugin.say().len() > 50 << 20);
}

#[test]
fn a_flood_of_pings_is_cut_off_as_such() {
    let mut plugin = End::alone(Role::Plugin);
    let pings = frames::raw(Kind::PING, 0, &[]).repeat(100_000);
    assert_eq!(plugin.refuse(&pings), PeerError::NotReading);
    let mut reads = End::alone(Role::Plugin);
    for chunk in pings.chunks(28 * 1000) {
        reads.hear(chunk);
        assert_eq!(reads.say().len(), 28 * 1000);
    }
}

#[test]
fn a_goodbye_with_any_number_loses_no_context() {
    for last in [0, 1, 3, 4, 5, u64::MAX] {
        let mut broker = End::alone(Role::Broker);
        for n in 0..3 {
            broker.call(n, Method::READ, n);
        }
        broker.say();
        broker.hear(&frames::goodbye(last));
        let mut contexts: Vec<u32> = broker.not_accepted().iter().filter_map(Seen::context).collect();
        contexts.extend(broker.hang_up().iter().filter_map(Seen::context));
        contexts.sort_unstable();
        assert_eq!(contexts, [0, 1, 2], "{last}");
    }
}

#[test]
fn the_length_of_an_item_may_come_in_pieces() {
    let mut broker = End::alone(Role::Broker);
    broker.call(1, Method::READ, 1);
    broker.say();
    broker.hear(&frames::open(2, 1, StreamKind::Items));
    let bytes = [frames::item(b"one"), frames::item(b""), frames::item(b"two")].concat();
    let mut items = Vec::new();
    for byte in &bytes {
        for event in broker.hear(&frames::data(2, &[*byte])) {
            let Seen::Items { items: some, bytes, stream, .. } = event else { panic!("{event:?}") };
            items.extend(some);
            broker.connection.consumed(stream, bytes).unwrap();
        }
    }
    assert_eq!(items, [&b"one"[..], b"", b"two"]);
    assert_eq!(broker.hear(&frames::end(2, 3, bytes.len() as u64)).len(), 1);
}

#[test]
fn an_hour_of_silence_ends_calls_and_nothing_else() {
    let mut pair = Pair::new();
    pair.open_call(1, Method::READ, 1);
    pair.now = Duration::from_secs(3600);
    assert_eq!(pair.broker.expire(pair.now).len(), 1);
    assert_eq!(pair.broker.connection.next_deadline(), None);
    pair.broker.connection.ping();
    assert!(pair.settle().0.contains(&Seen::Pong));
}

/// An answer is for one call, once: the second of a peer is late, and costs nothing but itself.
/// Holds S40.
#[test]
fn a_second_answer_of_the_peer_is_late_and_a_change_after_the_answer_is_dropped() {
    let mut broker = End::alone(Role::Broker);
    broker.call(1, Method::GET_CHANGES, 1);
    broker.call(2, Method::READ, 2);
    broker.say();
    broker.hear(&frames::open(2, 1, StreamKind::Items));
    broker.hear(&frames::end(2, 0, 0));
    assert_eq!(broker.hear(&frames::reply(1)).len(), 1);
    assert_eq!(broker.hear(&frames::reply(1)), []);
    assert_eq!(broker.hear(&frames::error(1, &Error::new(Code::IO, "and yet"))), []);
    assert_eq!(broker.hear(&frames::data(2, &frames::item(b"one more"))), []);
    assert_eq!((broker.connection.counters.late, broker.connection.counters.discarded), (2, 12));
    assert!(matches!(broker.hear(&frames::reply(3))[..], [Seen::Reply { context: 2, .. }]));
}

/// Text is looked at once, where it comes in; bytes are never looked at.
/// Holds S21, S27.
#[test]
fn bytes_that_are_no_text_are_refused_where_text_stands_and_pass_where_bytes_do() {
    let mut log = frames::log("abcd");
    let at = log.len() - 2;
    log[at] = 0xff;
    let error = End::alone(Role::Broker).refuse(&log);
    assert!(matches!(error, PeerError::Body { kind: Kind::LOG, .. }), "{error}");
    let href = outrigger_protocol::Href::from(&b"\xff\xfe/\x00"[..]);
    for codec in outrigger_protocol::Codec::ALL {
        let bytes = frames::encoded_in(codec, &href);
        assert_eq!(codec.decode::<outrigger_protocol::Href>(&bytes).unwrap(), href);
    }
}

/// Holds S27.
#[test]
fn a_text_of_10_mib_is_refused_where_it_is_made_with_its_context() {
    let mut broker = End::alone(Role::Broker);
    let (text, options) = ("x".repeat(10 << 20), outrigger_protocol::CallOptions::default());
    let target = outrigger_protocol::ObjectId(1);
    let refusal =
        broker.connection.call(target, Method::CREATE_COLLECTION, &text, options, 5, Duration::ZERO);
    let refusal = refusal.unwrap_err();
    assert_eq!((refusal.context, refusal.error.code), (5, Code::TOO_LARGE));
    assert!(broker.say().is_empty());
}
