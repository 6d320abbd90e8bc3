//! W2: committed_all runs beside commits; our own writes leak into a listing that streams.

use outrigger_protocol::{Code, Effect, Method, Role};

use crate::support::frames;
use crate::support::pair::End;

const BARRIERS: [Method; 6] = [
    Method::GET_CHANGES,
    Method::COMMITTED_ALL,
    Method::SYNC_DONE,
    Method::DISCONNECT,
    Method::FINALIZE,
    Method::GET_CHANGES_PAGE,
];

/// Holds S8.
#[test]
fn what_must_wait_is_not_sent_while_a_call_to_its_object_is_open() {
    for method in BARRIERS {
        let mut broker = End::alone(Role::Broker);
        let commit = broker.call(1, Method::COMMIT, 1);
        let refusal =
            broker.try_call(1, method, Default::default(), 2, std::time::Duration::ZERO).unwrap_err();
        assert_eq!((refusal.context, refusal.error.code), (2, Code::INVALID_STATE), "{method}");
        assert_eq!(refusal.error.effect, Effect::NotStarted);
        let elsewhere = broker.try_call(2, method, Default::default(), 3, std::time::Duration::ZERO);
        // Another object is free; but whatever is open is below the instance that would end.
        assert_eq!(elsewhere.is_ok(), method != Method::FINALIZE, "{method}");
        broker.say();
        broker.hear(&frames::reply(commit.0));
        broker.call(1, method, 4);
    }
}

#[test]
fn exactly_these_methods_wait() {
    let waiting: Vec<Method> =
        Method::ALL.iter().copied().filter(|method| method.rules().unwrap().barrier).collect();
    assert_eq!(waiting, BARRIERS);
}

/// Holds S8.
#[test]
fn calls_that_need_not_wait_are_sent_behind_one_another() {
    let mut broker = End::alone(Role::Broker);
    let numbers: Vec<u64> = (0..5).map(|n| broker.call(1, Method::COMMIT, n).0).collect();
    let sent: Vec<u64> = frames::kinds(&broker.say()).iter().map(|(_, id)| *id).collect();
    assert_eq!(sent, numbers);
}
