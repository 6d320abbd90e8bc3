//! W4: who "connects" an inherited pair? When may a late answer be forgotten?

use outrigger_protocol::{CallId, Code, Error, Kind, Method, PeerError, Role, StreamKind};

use crate::support::frames;
use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;

#[test]
fn the_brokers_side_is_odd_and_the_plugins_even() {
    let mut pair = Pair::new();
    let broker: Vec<u64> = (0..3).map(|n| pair.broker.call(n, Method::READ, n).0).collect();
    let plugin: Vec<u64> = (0..3).map(|n| pair.plugin.call(n, Method::READ, n).0).collect();
    assert_eq!((broker, plugin), (vec![1, 3, 5], vec![2, 4, 6]));
    pair.settle();
}

/// Holds S4, S31.
#[test]
fn a_late_answer_is_counted_and_dropped_and_its_number_never_matches_again() {
    let mut broker = End::alone(Role::Broker);
    broker.call(1, Method::READ, 1);
    broker.say();
    assert!(matches!(broker.hear(&frames::reply(1))[..], [Seen::Reply { context: 1, .. }]));
    assert_eq!(broker.hear(&frames::reply(1)), []);
    assert_eq!(broker.hear(&frames::error(1, &Error::new(Code::IO, "late"))), []);
    assert_eq!(broker.hear(&frames::progress(1, 0)), []);
    assert_eq!(broker.connection.counters.late, 3);
    assert_eq!(broker.call(1, Method::READ, 2), CallId(3), "a new number");
}

#[test]
fn an_answer_to_a_number_that_was_never_issued_ends_the_connection() {
    let kinds: [fn(u64) -> Vec<u8>; 6] = [
        frames::reply,
        |id| frames::error(id, &Error::new(Code::IO, "what?")),
        |id| frames::progress(id, 0),
        |id| frames::credit(id, 1, 1),
        frames::reset,
        |id| frames::open(1000, id, StreamKind::Items),
    ];
    for frame in kinds {
        for number in [3, 2, 4, u64::MAX, u64::MAX - 1] {
            let mut broker = End::alone(Role::Broker);
            broker.call(1, Method::READ, 1);
            broker.say();
            let error = broker.refuse(&frame(number));
            assert!(matches!(error, PeerError::NeverIssued(CallId(id)) if id == number), "{error}");
        }
    }
}

#[test]
fn a_cancel_or_data_of_a_number_that_was_never_issued_ends_the_connection() {
    let kinds: [fn(u64) -> Vec<u8>; 3] =
        [frames::cancel, |id| frames::data(id, b"x"), |id| frames::end(id, 0, 0)];
    for frame in kinds {
        for number in [0, 1, 2, 7, u64::MAX] {
            let mut broker = End::alone(Role::Broker);
            assert!(matches!(broker.refuse(&frame(number)), PeerError::NeverIssued(_)));
        }
    }
}

#[test]
fn a_new_number_must_be_of_the_peers_parity_and_above_all_before() {
    for bad in [0, 1, 3, 5, 6, u64::MAX] {
        let mut broker = End::alone(Role::Broker);
        broker.hear(&frames::call(6, 1, Method::READ));
        assert_eq!(broker.refuse(&frames::call(bad, 1, Method::READ)), PeerError::BadNumber(bad));
        let mut broker = End::alone(Role::Broker);
        broker.call(1, Method::READ, 1);
        broker.hear(&frames::call(6, 1, Method::READ));
        let open = frames::open(bad, 1, StreamKind::Items);
        assert_eq!(broker.refuse(&open), PeerError::BadNumber(bad), "streams draw from the same numbers");
    }
}

#[test]
fn a_stream_of_a_call_that_is_over_is_reset() {
    let mut broker = End::alone(Role::Broker);
    broker.call(1, Method::READ, 1);
    broker.say();
    broker.hear(&frames::error(1, &Error::new(Code::IO, "over")));
    assert_eq!(broker.hear(&frames::open(2, 1, StreamKind::Items)), []);
    assert_eq!(frames::kinds(&broker.say()), [(Kind::STREAM_RESET, 2)]);
    assert_eq!(broker.hear(&frames::data(2, b"on its way")), [], "and what comes meanwhile is discarded");
    assert_eq!(broker.connection.counters.discarded, 10);
}

#[test]
fn the_streams_of_a_call_that_ran_out_of_time_are_reset() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    pair.settle();
    pair.now = std::time::Duration::from_secs(4000);
    assert_eq!(pair.broker.expire(pair.now).len(), 1);
    assert_eq!(pair.settle().1, [Seen::Cancel(call), Seen::StreamReset { call, stream }]);
    assert_eq!(pair.plugin.connection.push_item(stream, &1u8), Ok(None), "its sender need not go on");
}

#[test]
fn nothing_left_under_the_number_of_a_call_that_was_not_made() {
    let mut broker = End::alone(Role::Broker);
    let huge = vec![0u8; 1 << 20];
    let target = outrigger_protocol::ObjectId(1);
    let now = std::time::Duration::ZERO;
    let refusal =
        broker.connection.call(target, Method::COMMIT, &huge, Default::default(), 7, now).unwrap_err();
    assert_eq!((refusal.context, refusal.error.code), (7, Code::TOO_LARGE));
    assert_eq!(broker.call(1, Method::READ, 1), CallId(1));
    assert_eq!(frames::kinds(&broker.say()), [(Kind::CALL, 1)]);
}
