//! Calls within calls: their parent, depth and time (decisions W3, W6).

use std::time::Duration;

use outrigger_protocol::{
    Budget, CallId, CallOptions, Code, Codec, Error, Flags, Header, Kind, Method, PeerError, Role,
};

use crate::support::frames;
use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;

const S: Duration = Duration::from_secs(1);

/// A broker with call 1 open, of 100 seconds, 10 of them without a sign of life.
fn broker() -> End {
    let mut broker = End::alone(Role::Broker);
    let options = CallOptions { total: Some(100 * S), idle: Some(10 * S), ..CallOptions::default() };
    broker.try_call(1, Method::COMMIT, options, 1, Duration::ZERO).unwrap();
    broker.say();
    broker
}

fn within(parent: u64) -> CallOptions {
    CallOptions { parent: Some(CallId(parent)), ..CallOptions::default() }
}

/// A nested call with a budget, and how the broker heard it at `now`.
fn hear_nested(broker: &mut End, id: u64, parent: u64, budget: Budget, now: Duration) -> Vec<Seen> {
    let header = Header { flags: Flags::NESTED, budget, ..frames::call_header(id, 7, Method::MEMBER_UPDATE) };
    let call = frames::with_ext(header, &frames::entries(&[(2, &parent.to_le_bytes())]), &[]);
    let (seen, result) = broker.take_in(&call, now);
    result.unwrap();
    seen
}

/// The code of the only answer that is on its way.
fn refused(end: &mut End) -> Code {
    let said = frames::parse(&end.say());
    assert_eq!((said.len(), said[0].0.kind), (1, Kind::ERROR));
    Codec::Bincode.decode::<Error>(&said[0].1).unwrap().code
}

/// Holds S1.
#[test]
fn a_nested_call_names_the_call_that_it_is_made_for() {
    let mut pair = Pair::new();
    let parent = pair.open_call(1, Method::COMMIT, 1);
    let made = pair.plugin.try_call(7, Method::ASK, within(parent.0), 2, pair.now).unwrap();
    let (seen, _) = pair.settle();
    let [Seen::Call { id, flags, parent: named, .. }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((*id, *named), (made, Some(parent)));
    assert!(flags.has(Flags::NESTED));
    pair.plugin.call(7, Method::ASK, 3);
    assert!(matches!(pair.settle().0[..], [Seen::Call { parent: None, flags: Flags::NONE, .. }]));
}

/// Holds S45.
#[test]
fn a_nested_call_that_names_no_parent_ends_the_connection() {
    let header = Header { flags: Flags::NESTED, ..frames::call_header(2, 7, Method::ASK) };
    for ext in [vec![], frames::entries(&[(4, &1u64.to_le_bytes())])] {
        let error = broker().refuse(&frames::with_ext(header, &ext, &[]));
        assert!(matches!(error, PeerError::Header(_)), "{error}");
    }
    for parent in [&[][..], &[1, 0, 0, 0], &[0; 9]] {
        let call = frames::with_ext(header, &frames::entries(&[(2, parent)]), &[]);
        assert_eq!(broker().refuse(&call), PeerError::Extensions);
    }
}

/// Holds S45.
#[test]
fn a_nested_call_whose_parent_is_over_or_never_was_is_answered_at_once() {
    for parent in [0, 2, 3, u64::MAX] {
        let mut broker = broker();
        assert_eq!(hear_nested(&mut broker, 2, parent, Budget::DEFAULT, S), []);
        assert_eq!(refused(&mut broker), Code::CANCELLED);
    }
    let mut broker = broker();
    broker.hear(&frames::reply(1));
    assert_eq!(hear_nested(&mut broker, 2, 1, Budget::DEFAULT, S), []);
    assert_eq!(refused(&mut broker), Code::CANCELLED);
    let refusal = broker.try_call(3, Method::READ, within(2), 9, S).unwrap_err();
    assert_eq!(refusal.error.code, Code::INVALID_STATE, "nor do we call for a call that has its answer");
}

/// Holds S1.
#[test]
fn calls_nest_eight_deep() {
    let mut pair = Pair::new();
    let mut parent = pair.open_call(1, Method::COMMIT, 0);
    for depth in 1..=8u32 {
        let (end, other) =
            if depth % 2 == 1 { (&mut pair.plugin, Role::Broker) } else { (&mut pair.broker, Role::Plugin) };
        parent = end.try_call(10 + depth, Method::COMPARE, within(parent.0), depth, Duration::ZERO).unwrap();
        let seen = pair.settle();
        let seen = if other == Role::Broker { seen.0 } else { seen.1 };
        assert!(matches!(&seen[..], [Seen::Call { id, .. }] if *id == parent), "{depth}: {seen:?}");
    }
    let refusal = pair.plugin.try_call(30, Method::COMPARE, within(parent.0), 9, Duration::ZERO).unwrap_err();
    assert_eq!(refusal.error.code, Code::QUOTA, "not sent");
    let seen = hear_nested(&mut pair.broker, 100, parent.0, Budget::DEFAULT, Duration::ZERO);
    assert_eq!(seen, [], "and not taken from a peer that sends it");
    assert_eq!(refused(&mut pair.broker), Code::QUOTA);
}

/// Holds S1, S6.
#[test]
fn a_nested_call_has_no_more_time_than_is_left_to_its_parent() {
    for (budget, at, expected) in [
        (Budget::DEFAULT, 5 * S, 30 * S),
        (Budget::DEFAULT, 90 * S, 10 * S),
        (Budget(3000), 90 * S, 3 * S),
        (Budget(99_000), 99 * S, S),
    ] {
        let mut broker = broker();
        let seen = hear_nested(&mut broker, 2, 1, budget, at);
        assert!(matches!(seen[..], [Seen::Call { total: Some(total), .. }] if total == expected), "{seen:?}");
    }
    let mut broker = broker();
    assert_eq!(hear_nested(&mut broker, 2, 1, Budget::DEFAULT, 100 * S), []);
    assert_eq!(refused(&mut broker), Code::DEADLINE);
}

/// Holds S44.
#[test]
fn the_parents_idle_clock_rests_while_a_nested_call_is_open_and_starts_again_behind_it() {
    let mut broker = broker();
    for (id, now) in [(2, 5 * S), (4, 8 * S)] {
        assert_eq!(hear_nested(&mut broker, id, 1, Budget::DEFAULT, now).len(), 1);
    }
    assert_eq!(broker.expire(60 * S), [], "it rests");
    assert!(broker.connection.reply(CallId(2), &()));
    assert_eq!(broker.expire(70 * S), [], "one is still open");
    assert!(broker.connection.fail(CallId(4), &Error::new(Code::IO, "no")));
    assert!(broker.connection.next_deadline() <= Some(70 * S), "there is a clock to be started");
    assert_eq!(broker.expire(71 * S), []);
    assert_eq!(broker.connection.next_deadline(), Some(81 * S));
    let ended = broker.expire(81 * S);
    assert_eq!(ended[0].failure().map(|(_, error)| error.code), Some(Code::IDLE_TIMEOUT));
}

/// Holds S6.
#[test]
fn nothing_extends_the_parents_total_time() {
    let mut broker = broker();
    hear_nested(&mut broker, 2, 1, Budget::DEFAULT, 5 * S);
    assert_eq!(broker.connection.next_deadline(), Some(100 * S));
    let ended = broker.expire(100 * S);
    assert_eq!(ended[0].failure().map(|(_, error)| error.code), Some(Code::DEADLINE));
    assert!(broker.connection.reply(CallId(2), &()), "the nested one still gets its answer");
}

/// A peer cannot keep a call alive with calls that are refused.
/// Holds S44.
#[test]
fn a_refused_nested_call_is_no_sign_of_life() {
    let mut broker = broker();
    for n in 0..20u32 {
        let id = 2 * u64::from(n) + 2;
        assert_eq!(hear_nested(&mut broker, id, 1, Budget::EXPIRED, n * S / 2), []);
    }
    assert_eq!(broker.connection.next_deadline(), Some(10 * S));
}
