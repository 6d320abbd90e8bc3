//! W9: GOODBYE crosses a CALL: was it started?

use std::time::Duration;

use outrigger_protocol::{CallOptions, Code, Effect, Kind, Limits, Method, PeerError, Role, StreamKind};

use crate::support::frames;
use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;

#[test]
fn a_call_that_crosses_goodbye_was_not_started() {
    let mut pair = Pair::new();
    let accepted = pair.open_call(1, Method::COMMIT, 1);
    pair.plugin.connection.goodbye();
    let crossing = pair.broker.call(2, Method::COMMIT, 2);
    let (broker, plugin) = pair.settle();
    assert_eq!((broker, plugin), (vec![Seen::Goodbye], vec![]), "the plugin does not start it");
    let ended = pair.broker.not_accepted();
    let (call, error) = ended[0].failure().unwrap();
    assert_eq!((ended.len(), call, ended[0].context()), (1, crossing, Some(2)));
    assert_eq!((error.code, error.effect), (Code::DISCONNECTED, Effect::NotStarted));
    pair.plugin.connection.reply(accepted, &7u8);
    let (broker, plugin) = pair.settle();
    assert!(matches!(broker[..], [Seen::Reply { context: 1, .. }]));
    assert_eq!(plugin, [Seen::Closed]);
}

#[test]
fn after_goodbye_nobody_calls() {
    let mut pair = Pair::new();
    pair.plugin.connection.goodbye();
    pair.settle();
    for end in [&mut pair.plugin, &mut pair.broker] {
        let refusal = end.try_call(1, Method::COMMIT, CallOptions::default(), 5, Duration::ZERO).unwrap_err();
        assert_eq!((refusal.context, refusal.error.code), (5, Code::DISCONNECTED));
    }
}

/// GOODBYE_OK follows the last answer and the data before it, and says that all is finished.
#[test]
fn accepted_calls_finish_before_goodbye_ok() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::READ, 1);
    let stream = pair.open_stream(call);
    for _ in 0..20 {
        pair.plugin.connection.push_item(stream, &vec![0u8; 60_000]).unwrap();
    }
    pair.broker.connection.goodbye();
    assert_eq!(pair.settle().1, [Seen::Goodbye]);
    pair.plugin.connection.reply(call, &());
    let (broker, _) = pair.settle();
    let [.., end, answer, closed] = &broker[..] else { panic!("{broker:?}") };
    assert!(matches!(end, Seen::StreamEnd { .. } | Seen::Items { .. }));
    assert!(matches!(answer, Seen::Reply { context: 1, .. }));
    assert_eq!(*closed, Seen::Closed);
}

#[test]
fn goodbye_ok_waits_for_the_calls_of_the_side_that_says_it() {
    let mut pair = Pair::new();
    let call = pair.plugin.call(0, Method(100), 7);
    pair.settle();
    pair.broker.connection.goodbye();
    assert_eq!(pair.settle(), (vec![], vec![Seen::Goodbye]), "the plugin's call is still open");
    pair.broker.connection.reply(call, &());
    let (broker, plugin) = pair.settle();
    assert!(matches!(plugin[..], [Seen::Reply { context: 7, .. }]));
    assert_eq!(broker, [Seen::Closed]);
}

#[test]
fn goodbye_ok_does_not_wait_for_calls_that_were_not_started_or_ran_out_of_time() {
    let mut pair = Pair::new();
    let options = CallOptions { total: Some(Duration::from_secs(1)), ..CallOptions::default() };
    pair.plugin.try_call(0, Method(100), options, 7, pair.now).unwrap();
    pair.settle();
    pair.broker.connection.goodbye();
    pair.plugin.call(1, Method(101), 8);
    pair.settle();
    assert!(matches!(pair.plugin.expire(Duration::from_secs(1))[..], [Seen::Failed { context: 7, .. }]));
    assert!(pair.settle().0.contains(&Seen::Closed));
    assert!(matches!(pair.plugin.not_accepted()[..], [Seen::Failed { context: 8, .. }]));
}

#[test]
fn both_sides_may_say_goodbye_at_once() {
    let mut pair = Pair::new();
    pair.broker.connection.goodbye();
    pair.plugin.connection.goodbye();
    let (broker, plugin) = pair.settle();
    assert_eq!(broker, [Seen::Goodbye, Seen::Closed]);
    assert_eq!(plugin, [Seen::Goodbye, Seen::Closed]);
}

#[test]
fn goodbye_is_said_once_and_heard_once() {
    let mut plugin = End::alone(Role::Plugin);
    plugin.connection.goodbye();
    plugin.connection.goodbye();
    assert_eq!(frames::kinds(&plugin.say()), [(Kind::GOODBYE, 0)]);
    let mut broker = End::alone(Role::Broker);
    broker.hear(&frames::goodbye(0));
    assert_eq!(frames::kinds(&broker.say()), [(Kind::GOODBYE_OK, 0)]);
    assert_eq!(broker.refuse(&frames::goodbye(0)), PeerError::Unexpected(Kind::GOODBYE));
}

#[test]
fn nothing_follows_goodbye_ok() {
    let mut plugin = End::alone(Role::Plugin);
    plugin.hear(&frames::goodbye(0));
    plugin.hear(&frames::raw(Kind::PING, 7, &[]));
    assert_eq!(frames::kinds(&plugin.say()), [(Kind::GOODBYE_OK, 0)]);
}

#[test]
fn who_said_goodbye_calls_no_more() {
    let mut broker = End::alone(Role::Broker);
    broker.hear(&frames::goodbye(0));
    let call = frames::call(2, 0, Method(100));
    assert_eq!(broker.refuse(&call), PeerError::Unexpected(Kind::CALL));
    let ok = frames::raw(Kind::GOODBYE_OK, 0, &[]);
    assert_eq!(End::alone(Role::Broker).refuse(&ok), PeerError::Unexpected(Kind::GOODBYE_OK));
}

#[test]
fn a_call_that_was_not_accepted_takes_its_streams_along() {
    let mut broker = End::alone(Role::Broker);
    broker.call(1, Method::READ, 1);
    broker.say();
    broker.hear(&frames::open(2, 1, StreamKind::Items));
    broker.hear(&frames::goodbye(0));
    assert_eq!(broker.not_accepted().len(), 1);
    assert_eq!(broker.hear(&frames::data(2, &frames::item(b"x"))), [], "no data after the end");
    assert_eq!(broker.connection.counters.discarded, 5);
}

#[test]
fn loss_of_the_link_ends_every_call_with_its_effect() {
    let mut broker = End::alone(Role::Broker);
    broker.call(1, Method::COMMIT, 1);
    assert_eq!(broker.connection.output().len(), 28);
    broker.call(2, Method::COMMIT, 2);
    let mut ended: Vec<_> = broker
        .hang_up()
        .into_iter()
        .map(|event| (event.context().unwrap(), event.failure().unwrap().1.effect))
        .collect();
    ended.sort_by_key(|(context, _)| *context);
    assert_eq!(ended, [(1, Effect::Unknown), (2, Effect::NotStarted)], "the first may have left");
    assert_eq!(broker.hang_up(), [], "once");
}

#[test]
fn an_abort_names_the_rule_and_is_short() {
    let mut broker = End::alone(Role::Broker);
    let long = "\u{fffd}".repeat(200_000);
    let error = broker.refuse(&frames::abort(&long));
    assert_eq!(error, PeerError::Aborted(long));
    broker.connection.abort(&error);
    let said = broker.say();
    assert!(said.len() < 1200, "{} bytes", said.len());
    let mut plugin = End::alone(Role::Plugin);
    let heard = plugin.refuse(&said);
    assert!(matches!(heard, PeerError::Aborted(reason) if reason.starts_with("the other end aborted")));
}

/// No recursion, and no stack that grows with what is queued.
/// Holds S10.
#[test]
fn a_hundred_thousand_queued_messages_end_at_once() {
    let many = Limits { max_calls: 1000, ..Limits::default() };
    let mut pair = Pair::with(many, many);
    let line = outrigger_protocol::Log { level: outrigger_protocol::Level::Info, message: "x".into() };
    (0..100_000).for_each(|_| pair.broker.connection.log(&line));
    pair.broker.connection.set_reply_bytes(u64::MAX);
    for n in 0..1000 {
        pair.broker.call(n, Method::READ, n);
    }
    assert_eq!(pair.broker.hang_up().len(), 1000);
    assert_eq!(pair.broker.connection.open_calls(), 0);
    drop(pair);
}
