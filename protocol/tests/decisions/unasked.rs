//! What is said unasked: who may say it, and how often it is listened to (decisions W6, W11).

use std::time::Duration;

use outrigger_protocol::{CallOptions, Code, Kind, Method, ObjectId, PeerError, Role, Snapshot};

use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;
use crate::support::{callback_values, frames};

const S: Duration = Duration::from_secs(1);

/// Holds S47.
#[test]
fn w11_a_snapshot_goes_to_the_plugin_and_a_notice_to_the_broker() {
    for snapshot in callback_values::snapshots() {
        let mut pair = Pair::new();
        pair.broker.connection.snapshot(&snapshot);
        pair.plugin.connection.notify(ObjectId(5));
        let (broker, plugin) = pair.settle();
        assert_eq!(broker, [Seen::Notify(ObjectId(5))]);
        assert_eq!(plugin, [Seen::Snapshot(snapshot)]);
    }
}

/// Holds S47.
#[test]
fn w11_either_in_the_wrong_direction_ends_the_connection() {
    let snapshot = frames::frame(Kind::SNAPSHOT, 0, &callback_values::snapshots()[0]);
    assert_eq!(End::alone(Role::Broker).refuse(&snapshot), PeerError::Unexpected(Kind::SNAPSHOT));
    let notify = frames::raw(Kind::NOTIFY, 0, &[]);
    assert_eq!(End::alone(Role::Plugin).refuse(&notify), PeerError::Unexpected(Kind::NOTIFY));
}

#[test]
fn w11_a_snapshot_is_a_member_or_a_group_and_a_notice_is_empty() {
    for body in [&[][..], &[2, 0, 0, 0], &[0, 0, 0, 0], &[9; 40]] {
        let error = End::alone(Role::Plugin).refuse(&frames::raw(Kind::SNAPSHOT, 0, body));
        assert!(matches!(error, PeerError::Body { kind: Kind::SNAPSHOT, .. }), "{error}");
    }
    let error = End::alone(Role::Broker).refuse(&frames::raw(Kind::NOTIFY, 0, b"x"));
    assert!(matches!(error, PeerError::Body { kind: Kind::NOTIFY, .. }), "{error}");
}

/// The generation is for the receiver to compare: a snapshot is handed over as it came.
/// Holds S47.
#[test]
fn w11_a_snapshot_keeps_its_generation() {
    let mut plugin = End::alone(Role::Plugin);
    let seen = plugin.hear(&frames::frame(Kind::SNAPSHOT, 0, &callback_values::snapshots()[0]));
    assert!(
        matches!(&seen[..], [Seen::Snapshot(Snapshot::Member(member))] if member.generation == 3),
        "{seen:?}"
    );
}

/// A broker with a call of 100 seconds open, 10 of them without a sign of life.
fn broker() -> End {
    let mut broker = End::alone(Role::Broker);
    let options = CallOptions { total: Some(100 * S), idle: Some(10 * S), ..CallOptions::default() };
    broker.try_call(1, Method::COMMIT, options, 1, Duration::ZERO).unwrap();
    broker.say();
    broker
}

/// Holds S22, S49.
#[test]
fn w6_a_flood_of_each_kind_is_dropped_and_counted_and_ends_nothing() {
    let floods = [frames::log("x"), frames::raw(Kind::NOTIFY, 0, &[]), frames::progress(1, 0)];
    for flood in floods {
        let mut broker = broker();
        let (seen, result) = broker.take_in(&flood.repeat(5000), S);
        result.unwrap();
        assert_eq!((seen.len(), broker.connection.counters.throttled), (2000, 3000));
        let (seen, result) = broker.take_in(&flood.repeat(5000), 2 * S);
        result.unwrap();
        assert_eq!((seen.len(), broker.connection.counters.throttled), (1000, 7000));
        assert!(matches!(broker.hear(&frames::reply(1))[..], [Seen::Reply { .. }]), "calls live");
    }
}

/// Holds S49.
#[test]
fn w6_logs_and_progress_share_one_rate_and_cost_no_notice() {
    let mut broker = broker();
    let chatter = [frames::log("x"), frames::progress(1, 0)].concat();
    let (seen, result) = broker.take_in(&chatter.repeat(1500), S);
    result.unwrap();
    assert_eq!((seen.len(), broker.connection.counters.throttled), (2000, 1000));
    let notices = frames::raw(Kind::NOTIFY, 0, &[]).repeat(2001);
    let (seen, result) = broker.take_in(&notices, S);
    result.unwrap();
    assert_eq!((seen.len(), broker.connection.counters.throttled), (2000, 1001));
}

/// Holds S43.
#[test]
fn w6_progress_that_nobody_listens_to_is_still_a_sign_of_life() {
    let mut broker = broker();
    for second in 0..50u32 {
        let flood = frames::log("x").repeat(2100);
        broker.take_in(&flood, second * S).1.unwrap();
        let (seen, result) = broker.take_in(&frames::progress(1, 0), second * S);
        result.unwrap();
        assert_eq!(seen, [], "the log lines took all of the rate");
        assert_eq!(broker.expire(second * S), []);
    }
    assert_eq!(broker.connection.next_deadline(), Some(59 * S));
    let ended = broker.expire(59 * S);
    assert_eq!(ended[0].failure().map(|(_, error)| error.code), Some(Code::IDLE_TIMEOUT));
}
