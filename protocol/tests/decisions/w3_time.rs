//! W3: a relay subtracts 5 ms from 5 ms, and 0 means "default": an expired call gains minutes. One
//! blocked call lets twenty queued ones time out as "unknown".

use std::time::Duration;

use outrigger_protocol::{
    Budget, CallId, CallOptions, Code, Effect, Error, Header, Kind, Limits, Method, PeerError, Role,
};

use crate::support::frames;
use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;

const S: Duration = Duration::from_secs(1);

fn total(total: Duration) -> CallOptions {
    CallOptions { total: Some(total), idle: Some(total), ..CallOptions::default() }
}

#[test]
fn a_budget_of_0_is_expired_answered_and_never_dispatched() {
    let mut plugin = End::alone(Role::Plugin);
    let expired = Header { budget: Budget::EXPIRED, ..frames::call_header(1, 1, Method::COMMIT) };
    assert_eq!(plugin.hear(&frames::with_ext(expired, &[], &[])), [], "no event");
    let answer = frames::parse(&plugin.say());
    assert_eq!((answer[0].0.kind, answer[0].0.id, answer.len()), (Kind::ERROR, 1, 1));
    let error: Error = outrigger_protocol::Codec::Bincode.decode(&answer[0].1).unwrap();
    assert_eq!((error.code, error.effect), (Code::DEADLINE, Effect::NotStarted));
    assert!(!plugin.connection.is_serving(CallId(1)));
}

#[test]
fn five_milliseconds_minus_five_are_none() {
    let mut pair = Pair::new();
    let five = Duration::from_millis(5);
    pair.broker.try_call(1, Method::COMMIT, total(five), 1, pair.now).unwrap();
    let (_, plugin) = pair.settle();
    let [Seen::Call { total: Some(left), .. }] = plugin[..] else { panic!("{plugin:?}") };
    assert_eq!(left, five);
    let mut relay = End::alone(Role::Broker);
    let refusal = relay.try_call(1, Method::COMMIT, total(left - five), 2, pair.now).unwrap_err();
    assert_eq!((refusal.error.code, refusal.error.effect), (Code::DEADLINE, Effect::NotStarted));
    assert!(relay.say().is_empty(), "nothing left");
    relay.try_call(1, Method::COMMIT, total(Duration::from_nanos(1)), 3, pair.now).unwrap();
    assert_eq!(frames::parse(&relay.say())[0].0.budget, Budget(1), "little is not none");
}

/// Holds S32.
#[test]
fn twenty_calls_behind_a_slow_one_keep_their_time() {
    let window = Limits { dispatch_window: 5, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), window);
    let calls: Vec<CallId> =
        (0..20).map(|n| pair.broker.try_call(1, Method::READ, total(3 * S), n, pair.now).unwrap()).collect();
    pair.settle();
    for (n, call) in calls.iter().enumerate() {
        pair.now += 2 * S;
        assert_eq!(pair.broker.expire(pair.now), [], "call {n}: the clock started with the answer before");
        pair.plugin.connection.reply(*call, &());
        assert!(matches!(pair.settle().0[..], [Seen::Reply { .. }]));
    }
}

#[test]
fn a_call_on_another_target_waits_only_for_the_window() {
    let window = Limits { dispatch_window: 1, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), window);
    let first = pair.broker.try_call(1, Method::COMMIT, total(10 * S), 1, pair.now).unwrap();
    pair.broker.try_call(2, Method::COMMIT, total(3 * S), 2, pair.now).unwrap();
    pair.settle();
    assert_eq!(pair.broker.expire(9 * S), [], "the second is not dispatched yet");
    pair.now = 9 * S;
    pair.plugin.connection.reply(first, &());
    pair.settle();
    assert_eq!(pair.broker.connection.next_deadline(), Some(12 * S));
}

/// Nested calls do not fill the window: a call behind them has a deadline as well.
#[test]
fn calls_within_calls_do_not_hold_back_the_clock_of_others() {
    let window = Limits { dispatch_window: 2, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), window);
    let parents = [8, 9].map(|target| pair.plugin.try_call(target, Method::ASK, total(100 * S), 9, pair.now));
    pair.settle();
    let [one, two] = parents.map(|parent| CallOptions { parent: parent.ok(), ..total(100 * S) });
    pair.broker.try_call(1, Method::COMMIT, one, 1, pair.now).unwrap();
    pair.broker.try_call(2, Method::COMMIT, two, 2, pair.now).unwrap();
    let first = pair.broker.try_call(3, Method::COMMIT, total(10 * S), 3, pair.now).unwrap();
    pair.broker.try_call(3, Method::COMMIT, total(3 * S), 4, pair.now).unwrap();
    pair.settle();
    pair.plugin.connection.reply(first, &());
    pair.settle();
    assert_eq!(pair.broker.connection.next_deadline(), Some(3 * S));
}

/// Holds S7, S31.
#[test]
fn a_stuck_target_gets_nothing_until_its_late_answer() {
    let mut pair = Pair::new();
    let call = pair.broker.try_call(1, Method::COMMIT, total(S), 1, pair.now).unwrap();
    pair.settle();
    pair.now = S;
    let ended = pair.broker.expire(S);
    let (_, error) = ended[0].failure().unwrap();
    assert_eq!((error.code, error.effect), (Code::DEADLINE, Effect::Unknown));
    assert_eq!(pair.settle().1, [Seen::Cancel(call)]);
    let refusal = pair.broker.try_call(1, Method::READ, CallOptions::default(), 2, S).unwrap_err();
    assert_eq!(refusal.error.code, Code::BUSY);
    pair.broker.call(2, Method::READ, 3);
    assert!(pair.broker.connection.is_stuck());
    pair.plugin.connection.fail(call, &Error::new(Code::CANCELLED, "stopped"));
    pair.settle();
    assert_eq!(pair.broker.connection.counters.late, 1);
    assert!(!pair.broker.connection.is_stuck());
    pair.broker.call(1, Method::READ, 4);
}

/// Nothing of it left, so no late answer will ever free the target.
#[test]
fn a_call_that_ran_out_of_time_in_the_queue_leaves_no_target_stuck() {
    let mut broker = End::alone(Role::Broker);
    broker.try_call(1, Method::COMMIT, total(S), 1, Duration::ZERO).unwrap();
    let ended = broker.expire(S);
    let (_, error) = ended[0].failure().unwrap();
    assert_eq!((error.code, error.effect), (Code::DEADLINE, Effect::NotStarted));
    assert!(broker.say().is_empty());
    broker.try_call(1, Method::COMMIT, total(S), 2, S).unwrap();
}

/// The peer still works on them: more calls than it announced would be a broken rule.
#[test]
fn calls_that_ran_out_of_time_still_fill_the_peers_window() {
    let limits = Limits { max_calls: 4, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    let calls: Vec<CallId> =
        (0..4).map(|n| pair.broker.try_call(n, Method::COMMIT, total(S), n, pair.now).unwrap()).collect();
    pair.settle();
    pair.now = S;
    assert_eq!(pair.broker.expire(S).len(), 4);
    let refusal = pair.broker.try_call(9, Method::COMMIT, total(S), 9, S).unwrap_err();
    assert_eq!(refusal.error.code, Code::OVERLOADED);
    assert!(!pair.broker.connection.has_room(Method::COMMIT));
    pair.plugin.connection.reply(calls[2], &());
    pair.settle();
    pair.broker.try_call(9, Method::COMMIT, total(S), 9, S).unwrap();
    pair.settle();
}

/// Holds S33.
#[test]
fn progress_data_and_waiting_extend_the_idle_clock_and_nothing_extends_the_total() {
    let mut broker = End::alone(Role::Broker);
    let options = CallOptions { total: Some(100 * S), idle: Some(10 * S), ..CallOptions::default() };
    broker.try_call(1, Method::READ, options, 1, Duration::ZERO).unwrap();
    broker.say();
    broker.take_in(&frames::progress(1, 0), 9 * S).1.unwrap();
    assert_eq!(broker.connection.next_deadline(), Some(19 * S));
    broker.take_in(&frames::open(2, 1, outrigger_protocol::StreamKind::Items), 10 * S).1.unwrap();
    broker.take_in(&frames::data(2, &frames::item(b"x")), 15 * S).1.unwrap();
    assert_eq!(broker.connection.next_deadline(), Some(25 * S));
    broker.take_in(&frames::progress(1, 20_000), 16 * S).1.unwrap();
    assert_eq!(broker.connection.next_deadline(), Some(46 * S));
    broker.take_in(&frames::progress(1, u32::MAX), 17 * S).1.unwrap();
    assert_eq!(broker.connection.next_deadline(), Some(100 * S), "the total holds");
    assert_eq!(broker.expire(100 * S).len(), 1);
}

#[test]
fn no_time_is_long_enough_to_overflow() {
    let mut broker = End::alone(Role::Broker);
    let now = Duration::from_secs(1 << 40);
    for n in 0..3 {
        broker.try_call(1, Method::READ, total(Duration::MAX), n, now).unwrap();
    }
    broker.say();
    broker.take_in(&frames::progress(1, u32::MAX), now).1.unwrap();
    assert_eq!(broker.connection.next_deadline(), Some(Duration::MAX));
    assert_eq!(broker.expire(now + 1000 * S), []);
    assert_eq!(broker.take_in(&frames::progress(9, 0), now).1, Err(PeerError::NeverIssued(CallId(9))));
    assert_eq!(broker.hang_up().len(), 3);
}

/// Also the small ones at the beginning and at the end, and one that nobody knows yet.
/// Holds S6, S30, S34.
#[test]
fn every_call_has_a_deadline_and_a_silent_peer_gives_one_error_each() {
    let methods = Method::ALL.iter().copied().chain([Method(60_000)]);
    for method in methods {
        let mut pair = Pair::new();
        pair.broker.call(0, method, 1);
        pair.settle();
        let deadline = pair.broker.connection.next_deadline().expect("a deadline");
        assert!(deadline <= 1800 * S, "{method}");
        assert_eq!(pair.broker.expire(deadline - Duration::from_nanos(1)), [], "{method}: none before");
        let ended = pair.broker.expire(deadline);
        let [Seen::Failed { context: 1, error, .. }] = &ended[..] else { panic!("{method}: {ended:?}") };
        assert!([Code::DEADLINE, Code::IDLE_TIMEOUT].contains(&error.code), "{method}: {error}");
        assert_eq!(pair.broker.expire(deadline + 3600 * S), [], "{method}: one");
    }
}

/// The machine knows no clock but the one that it is handed: a day that is skipped ends what is
/// due and nothing twice, and numbers go on rising.
/// Holds S38.
#[test]
fn a_clock_that_jumps_ends_each_call_once_and_repeats_no_number() {
    let mut pair = Pair::new();
    let first = pair.broker.call(1, Method::COMMIT, 1);
    assert_eq!(pair.broker.expire(86_400 * S).len(), 1);
    let second = pair.broker.call(2, Method::COMMIT, 2);
    assert!(second > first);
    assert_eq!(pair.broker.expire(Duration::ZERO), [], "back again: nothing is due");
    assert_eq!(pair.broker.hang_up().len(), 1);
}
