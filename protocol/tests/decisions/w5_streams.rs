//! W5: data after a reset never returns its connection credit, and after N cancels everything
//! stalls; one large item deadlocks in a small window.

use outrigger_protocol::{Code, Credit, Error, Kind, Limits, Method, PeerError, Role, StreamId, StreamKind};

use crate::support::frames;
use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;

/// The smallest windows that are allowed.
fn small() -> Limits {
    Limits { stream_window: 64 << 10, connection_window: 64 << 10, ..Limits::default() }
}

fn items(events: &[Seen]) -> usize {
    let count = |event: &Seen| if let Seen::Items { items, .. } = event { items.len() } else { 0 };
    events.iter().map(count).sum()
}

/// Each round leaves data on its way for a stream that is over, more than a tenth of the window.
#[test]
fn after_many_cancels_nothing_stalls() {
    let ends: [fn(&mut Pair, StreamId, u64); 3] = [
        |pair, stream, _| pair.broker.connection.reset_stream(stream, Code::CANCELLED),
        |pair, _, call| {
            pair.plugin.connection.fail(frames::id(call), &Error::new(Code::CANCELLED, "stopped"));
        },
        |pair, _, _| {
            pair.now += std::time::Duration::from_secs(4000);
            assert_eq!(pair.broker.expire(pair.now).len(), 1, "out of time");
        },
    ];
    for end in ends {
        let mut pair = Pair::with(small(), small());
        for round in 0..50 {
            let call = pair.open_call(round, Method::READ, round);
            let stream = pair.open_stream(call);
            pair.settle();
            pair.plugin.connection.push_item(stream, &vec![0u8; 30_000]).unwrap();
            pair.send(Role::Broker, usize::MAX); // on its way
            end(&mut pair, stream, call.0);
            pair.settle();
            pair.plugin.connection.reply(call, &());
            pair.settle();
        }
        let call = pair.open_call(999, Method::READ, 999);
        let stream = pair.open_stream(call);
        for _ in 0..100 {
            pair.plugin.connection.push_item(stream, &vec![0u8; 30_000]).unwrap();
        }
        pair.plugin.connection.reply(call, &());
        let (broker, _) = pair.settle();
        assert_eq!(items(&broker), 100);
        assert!(matches!(broker.last(), Some(Seen::Reply { context: 999, .. })), "it has not stalled");
    }
}

#[test]
fn one_item_of_1_mib_passes_the_smallest_window() {
    let mut pair = Pair::with(small(), small());
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    let item = vec![7u8; (1 << 20) - 8];
    pair.plugin.connection.push_item(stream, serde_bytes::Bytes::new(&item)).unwrap();
    pair.plugin.connection.reply(call, &());
    let (broker, _) = pair.settle();
    assert_eq!(items(&broker), 1);
    assert!(matches!(broker.last(), Some(Seen::Reply { .. })));
}

#[test]
fn an_item_above_1_mib_is_refused_where_it_is_made() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    let item = vec![7u8; (1 << 20) - 7];
    assert!(pair.plugin.connection.push_item(stream, serde_bytes::Bytes::new(&item)).is_err());
    assert_eq!(pair.plugin.connection.stream_waiting(stream), Some(0), "nothing was appended");
}

#[test]
fn credit_never_falls() {
    let mut plugin = End::alone(Role::Plugin);
    plugin.hear(&frames::call(1, 1, Method::READ));
    let stream = plugin.connection.open_stream(frames::id(1), StreamKind::Items).unwrap();
    plugin.hear(&frames::credit(stream.0, 1 << 20, 1 << 30));
    plugin.hear(&frames::credit(stream.0, 0, 0));
    plugin.hear(&frames::credit(0, 0, 0));
    plugin.connection.push_item(stream, &vec![0u8; 900_000]).unwrap();
    plugin.say();
    assert_eq!(plugin.connection.stream_waiting(stream), Some(0), "all within the credit once given");
}

/// Holds S18.
#[test]
fn data_without_credit_ends_the_connection() {
    let one = Limits { stream_window: 70_000, connection_window: 1 << 20, ..Limits::default() };
    let all = Limits { stream_window: 70_000, connection_window: 70_000, ..Limits::default() };
    for limits in [one, all] {
        let mut broker = End::new(Role::Broker, limits, Limits::default());
        broker.call(1, Method::READ, 1);
        broker.say();
        broker.hear(&frames::open(2, 1, StreamKind::Bytes));
        broker.hear(&frames::data(2, &[0; 65_536]));
        broker.hear(&frames::data(2, &[0; 4464]));
        assert_eq!(broker.refuse(&frames::data(2, &[0])), PeerError::CreditExceeded(StreamId(2)));
    }
}

/// Windows of all streams count for one connection, data of streams that are over included.
/// Holds S18.
#[test]
fn discarded_data_needs_credit_as_well() {
    let mut broker = End::new(Role::Broker, small(), Limits::default());
    broker.call(1, Method::READ, 1);
    broker.say();
    broker.hear(&[frames::open(2, 1, StreamKind::Bytes), frames::open(4, 1, StreamKind::Bytes)].concat());
    broker.hear(&frames::data(2, &[0; 60_000]));
    broker.connection.reset_stream(StreamId(4), Code::CANCELLED);
    broker.hear(&frames::data(4, &[0; 5536]));
    assert_eq!(broker.connection.counters.discarded, 5536);
    assert_eq!(broker.refuse(&frames::data(4, &[0; 5537])), PeerError::CreditExceeded(StreamId(4)));
}

#[test]
fn a_terminal_frame_ends_all_streams_of_its_call() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let other = pair.open_call(2, Method::READ, 2);
    let (first, second) = (pair.open_stream(call), pair.open_stream(call));
    let kept = pair.open_stream(other);
    pair.settle();
    pair.plugin.connection.fail(call, &Error::new(Code::IO, "broken"));
    for over in [first, second] {
        assert_eq!(pair.plugin.connection.stream_waiting(over), None);
    }
    pair.plugin.connection.push_item(kept, &7u8).unwrap();
    assert_eq!(items(&pair.settle().0), 1);
    assert_eq!(pair.broker.hear(&frames::data(first.0, b"late")), [], "discarded");
}

/// What ended no longer counts, on either side: a sender may open as many as were announced.
#[test]
fn streams_that_ended_make_room_before_their_answer_comes() {
    let limits = Limits { max_streams: 2, ..Limits::default() };
    let mut pair = Pair::with(limits, limits);
    let (first, second) = (pair.open_call(1, Method::READ, 1), pair.open_call(2, Method::READ, 2));
    let (ends, waits) = (pair.open_stream(first), pair.open_stream(first));
    assert!(pair.plugin.connection.open_stream(second, StreamKind::Items).is_none());
    pair.consume = false;
    for _ in 0..10 {
        pair.plugin.connection.push_item(waits, &vec![0u8; 60_000]).unwrap();
    }
    pair.plugin.connection.push_item(ends, &1u8).unwrap();
    pair.plugin.connection.reply(first, &());
    pair.settle();
    assert_eq!(pair.plugin.connection.stream_waiting(ends), None, "drained and ended");
    assert!(pair.plugin.connection.stream_waiting(waits).is_some(), "waits for credit");
    pair.open_stream(second);
    pair.settle();
}

#[test]
fn a_reset_from_the_reader_stops_the_sender_and_frees_its_answer() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    pair.consume = false;
    for _ in 0..10 {
        pair.plugin.connection.push_item(stream, &vec![0u8; 60_000]).unwrap();
    }
    pair.plugin.connection.reply(call, &());
    pair.settle();
    assert!(pair.plugin.connection.is_flushed(), "the answer waits for data without credit");
    pair.broker.connection.reset_stream(stream, Code::CANCELLED);
    let reset = pair.broker.say();
    assert_eq!(pair.plugin.hear(&reset), [Seen::StreamReset { call, stream }]);
    assert!(!pair.plugin.connection.is_flushed(), "now it can leave");
    assert!(matches!(pair.settle().0[..], [Seen::Reply { context: 1, .. }]));
}

/// The connector is done, the reader is not: a cancel must not wait for credit that never comes.
#[test]
fn a_cancel_ends_a_call_whose_answer_waits_for_credit() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    pair.consume = false;
    for _ in 0..10 {
        pair.plugin.connection.push_item(stream, &vec![0u8; 60_000]).unwrap();
    }
    pair.plugin.connection.reply(call, &());
    pair.settle();
    assert!(pair.plugin.connection.stream_waiting(stream).is_some(), "waits for credit");
    assert_eq!(pair.plugin.hear(&frames::cancel(call.0)), [], "nobody works on it any more");
    let said = frames::parse(&pair.plugin.say());
    let ends = said.iter().filter(|(header, _)| header.id == call.0);
    assert_eq!(ends.map(|(header, _)| header.kind).collect::<Vec<_>>(), [Kind::ERROR], "one end");
    assert_eq!(pair.plugin.connection.stream_waiting(stream), None);
    assert_eq!(pair.plugin.hear(&frames::cancel(call.0)), [], "and a late cancel changes nothing");
    assert_eq!(pair.plugin.say(), [0u8; 0]);
}

#[test]
fn a_sender_breaks_off_its_own_stream() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    pair.plugin.connection.push_item(stream, &1u8).unwrap();
    pair.settle();
    pair.plugin.connection.reset_stream(stream, Code::IO);
    assert_eq!(pair.settle().0, [Seen::StreamReset { call, stream }], "the reader is told");
}

/// The grant that a reader sends back never falls, whatever ends in between.
#[test]
fn what_a_reader_grants_never_falls() {
    let mut broker = End::new(Role::Broker, small(), Limits::default());
    broker.call(1, Method::READ, 1);
    broker.say();
    let (mut highest, mut number) = (0, 2);
    for round in 0..40 {
        broker.hear(&frames::open(number, 1, StreamKind::Bytes));
        broker.hear(&frames::data(number, &[0; 33_000]));
        broker.connection.consumed(StreamId(number), 33_000).unwrap();
        if round % 3 == 0 {
            broker.connection.reset_stream(StreamId(number), Code::CANCELLED);
        } else {
            broker.hear(&frames::end(number, 0, 33_000));
        }
        for (header, body) in frames::parse(&broker.say()) {
            if header.kind == Kind::CREDIT {
                let credit = Credit::decode(&body).unwrap();
                assert!(credit.connection >= highest);
                highest = credit.connection;
            }
        }
        number += 2;
    }
    assert!(highest >= 40 * 33_000);
}

/// Holds S17.
#[test]
fn streams_are_served_in_turn() {
    let mut plugin = End::alone(Role::Plugin);
    plugin.hear(&frames::call(1, 1, Method::READ));
    let streams: Vec<StreamId> =
        (0..5).map(|_| plugin.connection.open_stream(frames::id(1), StreamKind::Items).unwrap()).collect();
    for stream in &streams[..2] {
        plugin.connection.push_item(*stream, &vec![0u8; 250_000]).unwrap();
    }
    let sent: Vec<u64> = frames::kinds(&plugin.say())
        .into_iter()
        .filter(|(kind, _)| *kind == Kind::DATA)
        .map(|(_, id)| id)
        .collect();
    assert!(sent.windows(2).take(6).all(|two| two[0] != two[1]), "{sent:?}");
}

/// A stream of bytes is not a row of items, whatever stands in it.
#[test]
fn a_stream_of_bytes_comes_out_as_bytes() {
    let mut broker = End::alone(Role::Broker);
    broker.call(1, Method::READ, 1);
    broker.say();
    broker.hear(&frames::open(2, 1, StreamKind::Bytes));
    let bytes = frames::item(b"not an item");
    let seen = broker.hear(&frames::data(2, &bytes));
    assert!(matches!(&seen[..], [Seen::Items { items, .. }] if items[..] == [bytes.clone()]), "{seen:?}");
}

/// Holds S15.
#[test]
fn items_around_the_limit_pass_or_are_refused_with_both_sizes() {
    const LENGTH: usize = 8; // in front of bytes in codec 1
    const MOST: usize = (1 << 20) - LENGTH;
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    for (size, fits) in [(0, true), (1, true), (MOST - 1, true), (MOST, true), (MOST + 1, false)] {
        let item = vec![7u8; size];
        let pushed = pair.plugin.connection.push_item(stream, serde_bytes::Bytes::new(&item));
        assert_eq!(pushed.is_ok(), fits, "{size}");
        if let Err(error) = pushed {
            assert_eq!(error.to_string(), "1048577 bytes, above the limit of 1048576");
        }
        let (seen, _) = pair.settle();
        let arrived: Vec<usize> = seen
            .iter()
            .filter_map(|event| match event {
                Seen::Items { items, .. } => Some(items.iter().map(Vec::len)),
                _ => None,
            })
            .flatten()
            .collect();
        let expected: &[usize] = if fits { &[size + LENGTH] } else { &[] };
        assert_eq!(arrived, expected, "{size}");
    }
}

/// A reader that takes nothing of one stream stops that stream: no other, no call, no ping.
/// Holds S17, S18.
#[test]
fn a_stream_without_credit_delays_no_other() {
    let limits = Limits { connection_window: 256 << 10, ..small() };
    let mut pair = Pair::with(limits, limits);
    pair.consume = false;
    let slow = pair.open_call(1, Method::READ, 1);
    let stuck = pair.open_stream(slow);
    for _ in 0..20 {
        pair.plugin.connection.push_item(stuck, serde_bytes::Bytes::new(&[7u8; 10_000])).unwrap();
    }
    pair.settle();
    assert!(pair.plugin.connection.stream_waiting(stuck) > Some(0));
    let other = pair.open_call(2, Method::READ, 2);
    let stream = pair.open_stream(other);
    pair.plugin.connection.push_item(stream, &7u8).unwrap();
    pair.plugin.connection.reply(other, &());
    pair.broker.connection.ping();
    let (seen, _) = pair.settle();
    assert_eq!(items(&seen), 1);
    assert!(seen.contains(&Seen::Pong));
    assert!(seen.iter().any(|event| matches!(event, Seen::Reply { context: 2, .. })), "{seen:?}");
    assert!(pair.plugin.connection.stream_waiting(stuck) > Some(0), "it still waits");
}
