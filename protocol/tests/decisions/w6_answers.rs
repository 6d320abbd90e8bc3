//! W6: 64 calls of 1 MiB answers each way are 64 MiB a plugin. A call reserves room for its answer,
//! as much as its method says; who calls makes no call for whose answer there is no room, and who
//! answers sends none that is larger.

use std::time::Duration;

use outrigger_protocol::{
    Abort, CallId, CallOptions, Code, Codec, Effect, Error, Header, Kind, Limits, Method, PeerError, Role,
    Session, limits,
};

use crate::support::frames;
use crate::support::pair::{End, Pair, session};
use crate::support::seen::Seen;

const LARGEST: usize = limits::MAX_BODY;
const SMALL: usize = limits::MAX_REPLY;

/// Every method that is known, and one that is not; but for the one whose answer needs a descriptor.
fn methods() -> impl Iterator<Item = Method> {
    let known = Method::ALL.iter().copied().filter(|method| *method != Method::CONNECT_HOST);
    known.chain([Method(60_000)])
}

fn limit(method: Method) -> usize {
    method.rules_or_default().max_reply as usize
}

/// Calls of a method to different objects, until one is refused: how many were made, and why no more.
fn calls_until_refused(end: &mut End, method: Method) -> (u32, Code) {
    for n in 0.. {
        if let Err(refusal) = end.try_call(n, method, CallOptions::default(), n, Duration::ZERO) {
            assert_eq!(refusal.context, n, "the context comes back");
            return (n, refusal.error.code);
        }
    }
    unreachable!()
}

/// A text whose body has so many bytes.
fn text(codec: Codec, bytes: usize) -> String {
    "x".repeat(bytes - if codec == Codec::Json { 2 } else { 8 })
}

#[test]
fn w6_answers_that_carry_lists_or_content_have_a_mebibyte_and_the_others_64_kib() {
    let large: Vec<u16> = methods().filter(|method| limit(*method) > SMALL).map(|method| method.0).collect();
    assert_eq!(large, [2, 8, 13, 14, 15, 32, 33]);
    assert!(methods().all(|method| [SMALL, LARGEST].contains(&limit(method))));
}

/// Holds S53.
#[test]
fn w6_what_comes_back_for_all_open_calls_is_bounded() {
    for role in [Role::Broker, Role::Plugin] {
        assert_eq!(calls_until_refused(&mut End::alone(role), Method::CONNECT), (64, Code::OVERLOADED));
        let mut end = End::alone(role);
        assert_eq!(calls_until_refused(&mut end, Method::COMMIT), (8, Code::OVERLOADED));
        assert!(!end.connection.has_room(Method::COMMIT) && !end.connection.has_room(Method::CONNECT));
        let mut end = End::alone(role);
        for n in 0..60 {
            end.call(100 + n, Method::CONNECT, n);
        }
        assert_eq!(calls_until_refused(&mut end, Method::DISCOVER).0, 4, "beside 60 small ones");
    }
}

#[test]
fn w6_a_call_waits_for_room_until_another_is_answered() {
    let mut pair = Pair::new();
    let calls: Vec<CallId> = (0..8).map(|n| pair.broker.call(n, Method::COMMIT, n)).collect();
    pair.settle();
    let refused = |pair: &mut Pair| pair.broker.try_call(9, Method::COMMIT, Default::default(), 9, pair.now);
    assert_eq!(refused(&mut pair).unwrap_err().error.code, Code::OVERLOADED);
    for call in calls {
        assert!(pair.plugin.connection.reply(call, &text(Codec::Bincode, LARGEST)));
    }
    let answered = pair.settle().0;
    assert!(answered.len() == 8 && answered.iter().all(|seen| matches!(seen, Seen::Reply { .. })));
    assert!(refused(&mut pair).is_ok());
}

/// Nested calls as well: the plugin's own room, beside that of the broker's calls.
#[test]
fn w6_a_call_within_a_call_needs_room_too() {
    let mut pair = Pair::new();
    let parent = pair.open_call(1, Method::COMMIT, 1);
    let nested = CallOptions { parent: Some(parent), ..CallOptions::default() };
    for n in 0..8 {
        pair.plugin.try_call(n, Method::MEMBER_UPDATE, nested, n, pair.now).unwrap();
    }
    let refusal = pair.plugin.try_call(9, Method::ASK, nested, 9, pair.now).unwrap_err();
    assert_eq!(refusal.error.code, Code::OVERLOADED);
    pair.broker.call(2, Method::COMMIT, 2);
    pair.settle();
}

/// Who takes small bodies only reserves no more than those.
#[test]
fn w6_a_caller_reserves_no_more_than_it_can_receive() {
    let small = Limits { max_body: 64 << 10, ..Limits::default() };
    let mut pair = Pair::with(small, Limits::default());
    let call = pair.open_call(99, Method::COMMIT, 99);
    assert_eq!(calls_until_refused(&mut pair.broker, Method::COMMIT), (63, Code::OVERLOADED));
    pair.settle();
    pair.plugin.connection.reply(call, &text(Codec::Bincode, SMALL + 1));
    let answered = pair.settle().0;
    assert_eq!(answered[0].failure().unwrap().1.code, Code::TOO_LARGE);
}

#[test]
fn w6_what_a_side_reserves_in_all_is_its_own_affair_and_one_call_always_fits() {
    let mut broker = End::alone(Role::Broker);
    broker.connection.set_reply_bytes(0);
    assert_eq!(calls_until_refused(&mut broker, Method::COMMIT).0, 1);
    let mut broker = End::alone(Role::Broker);
    broker.connection.set_reply_bytes(64 << 20);
    assert_eq!(calls_until_refused(&mut broker, Method::COMMIT).0, 64);
}

/// A reply, an error, taken back, too late in the queue, too late at work: many times more than fit.
///
/// Holds S53.
#[test]
fn w6_room_comes_back_however_a_call_ends() {
    let mut pair = Pair::new();
    let soon = CallOptions { total: Some(Duration::from_secs(1)), ..CallOptions::default() };
    for n in 0..100 {
        let mut call = || pair.broker.try_call(n, Method::COMMIT, soon, n, pair.now).unwrap();
        let [replied, failed, back, late] = [call(), call(), call(), call()];
        assert!(pair.broker.connection.cancel(back, pair.now).is_some());
        pair.settle();
        pair.plugin.connection.reply(replied, &());
        pair.plugin.connection.fail(failed, &Error::new(Code::IO, "no"));
        assert_eq!(pair.settle().0.len(), 2);
        let before = pair.broker.connection.counters.late;
        pair.now += Duration::from_secs(2);
        assert_eq!(pair.broker.expire(pair.now).len(), 1);
        pair.settle();
        pair.plugin.connection.reply(late, &text(Codec::Bincode, LARGEST));
        pair.settle();
        assert_eq!(pair.broker.connection.counters.late, before + 1);
        let unsent = pair.broker.try_call(n, Method::COMMIT, soon, n, pair.now).unwrap();
        pair.now += Duration::from_secs(2);
        let ended = pair.broker.expire(pair.now);
        assert!(matches!(ended[..], [Seen::Failed { call, .. }] if call == unsent));
    }
    assert_eq!(calls_until_refused(&mut pair.broker, Method::COMMIT).0, 8);
}

/// The late answer may still come, and be as large.
///
/// Holds S53.
#[test]
fn w6_a_call_that_was_given_up_keeps_its_room_until_it_is_answered() {
    let mut pair = Pair::new();
    let calls: Vec<CallId> = (0..8).map(|n| pair.broker.call(n, Method::DISCOVER, n)).collect();
    pair.settle();
    pair.now = Duration::from_secs(1);
    assert!(pair.broker.connection.cancel(calls[0], pair.now).is_none());
    assert!(!pair.broker.connection.has_room(Method::DISCOVER), "cancelled");
    pair.now = Duration::from_secs(100);
    assert_eq!(pair.broker.expire(pair.now).len(), 8);
    assert!(!pair.broker.connection.has_room(Method::DISCOVER), "too late");
    pair.settle();
    pair.plugin.connection.reply(calls[3], &());
    pair.settle();
    assert!(pair.broker.connection.has_room(Method::DISCOVER));
}

/// A caller whose one call of the method gets a frame with so many bytes of extensions and body.
fn answered(method: Method, kind: Kind, ext: usize, body: &[u8]) -> (End, Result<Vec<Seen>, PeerError>) {
    let mut caller = End::alone(Role::Broker);
    let call = caller.call(1, method, 7);
    caller.say();
    let ext = if ext == 0 { Vec::new() } else { frames::entries(&[(2, &vec![0; ext - 4])]) };
    let (seen, result) =
        caller.take_in(&frames::with_ext(Header::new(kind, call.0), &ext, body), Duration::ZERO);
    (caller, result.map(|()| seen))
}

/// An error whose body has so many bytes.
fn error(bytes: usize) -> Vec<u8> {
    let empty = frames::encoded(&Error::new(Code::IO, "")).len();
    frames::encoded(&Error::new(Code::IO, "x".repeat(bytes - empty)))
}

/// What the extensions take counts as well: all of it is kept until it is dealt with.
///
/// Holds S53.
#[test]
fn w6_an_answer_above_its_reservation_ends_the_connection_with_the_reason() {
    for method in methods().filter(|method| limit(*method) == SMALL) {
        for (kind, ext, body) in [
            (Kind::REPLY, 0, vec![0; SMALL + 1]),
            (Kind::REPLY, 1000, vec![0; SMALL + 1 - 1000]),
            (Kind::ERROR, 0, error(SMALL + 1)),
            (Kind::ERROR, 1000, error(SMALL + 1 - 1000)),
        ] {
            let (_, fits) = answered(method, kind, ext, &vec![b'{'; body.len() - 1]);
            assert!(!matches!(fits, Err(PeerError::ReplyTooLarge { .. })), "{method} {kind}: {fits:?}");
            let (mut caller, result) = answered(method, kind, ext, &body);
            let broken = result.unwrap_err();
            let (actual, limit) = (u32::try_from(SMALL + 1).unwrap(), u32::try_from(SMALL).unwrap());
            assert_eq!(broken, PeerError::ReplyTooLarge { method, actual, limit }, "{kind}");
            caller.connection.abort(&broken);
            let said = frames::parse(&caller.say());
            let abort: Abort = Codec::Bincode.decode(&said[0].1).unwrap();
            assert_eq!(
                abort.reason,
                format!("the answer to {method} has 65537 bytes, above the limit of 65536")
            );
            assert_eq!(caller.hang_up().len(), 1, "the context comes out all the same");
        }
        let (_, exactly) = answered(method, Kind::REPLY, 0, &vec![0; SMALL]);
        assert!(matches!(exactly.unwrap()[..], [Seen::Reply { context: 7, .. }]), "{method}");
        let (_, exactly) = answered(method, Kind::ERROR, 0, &error(SMALL));
        assert!(matches!(exactly.unwrap()[..], [Seen::Failed { context: 7, .. }]), "{method}");
    }
}

#[test]
fn w6_a_large_answer_passes_where_the_method_has_one() {
    for method in methods().filter(|method| limit(*method) == LARGEST) {
        let (_, reply) = answered(method, Kind::REPLY, 0, &vec![0; LARGEST]);
        assert!(matches!(reply.unwrap()[..], [Seen::Reply { context: 7, .. }]), "{method}");
        let (_, failed) = answered(method, Kind::ERROR, 0, &error(LARGEST));
        assert!(matches!(failed.unwrap()[..], [Seen::Failed { context: 7, .. }]), "{method}");
    }
}

#[test]
fn w6_a_late_answer_has_no_more_room_than_one_in_time() {
    for (length, fits) in [(SMALL, true), (SMALL + 1, false)] {
        let mut caller = End::alone(Role::Broker);
        let call = caller.call(1, Method::CONNECT, 7);
        caller.say();
        assert_eq!(caller.expire(Duration::from_secs(60)).len(), 1);
        let late = frames::raw(Kind::REPLY, call.0, &vec![0; length]);
        let (_, result) = caller.take_in(&late, Duration::ZERO);
        assert_eq!(result.is_ok(), fits, "{length}: {result:?}");
    }
}

/// A reply or an error of so many bytes to a call of the method: how it ends at the caller.
fn sent(codec: Codec, caller: Role, method: Method, bytes: usize) -> Seen {
    let session = Session { codec, ..session(Limits::default(), Limits::default()) };
    let mut ends = [Role::Broker, Role::Plugin].map(|role| End::of(role, &session));
    if caller == Role::Plugin {
        ends.reverse();
    }
    let [caller, callee] = &mut ends;
    let call = caller.call(1, method, 7);
    callee.hear(&caller.say());
    assert!(callee.connection.reply(call, &text(codec, bytes)));
    let mut seen = caller.hear(&callee.say());
    assert_eq!(seen.len(), 1, "one end");
    seen.remove(0)
}

/// In either direction, and as the codec encodes it: the same text is shorter in JSON.
///
/// Holds S53.
#[test]
fn w6_whoever_answers_sends_no_answer_that_has_no_room() {
    for (codec, caller) in
        Codec::ALL.into_iter().flat_map(|codec| [(codec, Role::Broker), (codec, Role::Plugin)])
    {
        for method in methods() {
            let most = limit(method);
            let fits = sent(codec, caller, method, most);
            assert!(matches!(fits, Seen::Reply { .. }), "{codec:?} {caller:?} {method}");
            let refused = sent(codec, caller, method, most + 1);
            let (_, error) = refused.failure().expect("it is an error");
            assert_eq!((error.code, error.effect), (Code::TOO_LARGE, Effect::Done), "only the answer failed");
            assert!(error.message.starts_with(&format!("{method}: the answer")), "{error}");
            if most == SMALL {
                assert!(error.message.contains("65537 bytes, above the limit of 65536"), "{error}");
            }
        }
    }
}

/// It waited behind data, and was encoded apart.
#[test]
fn w6_an_answer_behind_data_has_no_more_room() {
    for (bytes, fits) in [(SMALL, true), (SMALL + 1, false)] {
        let mut pair = Pair::new();
        let call = pair.open_call(1, Method::READ, 1);
        let stream = pair.open_stream(call);
        pair.plugin.connection.push_item(stream, "some data").unwrap();
        assert!(pair.plugin.connection.reply(call, &text(Codec::Bincode, bytes)));
        let seen = pair.settle().0;
        let last = seen.last().unwrap();
        assert_eq!(matches!(last, Seen::Reply { .. }), fits, "{bytes}: {last:?}");
    }
}

/// Shortened where it must be: a call gets its one end.
#[test]
fn w6_an_error_of_any_length_fits_the_answer_of_any_method() {
    for method in methods() {
        for length in [60_000, 70_000, 2 << 20] {
            let mut pair = Pair::new();
            let call = pair.open_call(1, method, 1);
            let error = Error::new(Code::REMOTE, "x".repeat(length)).with_effect(Effect::Partial);
            pair.plugin.connection.fail(call, &error);
            let seen = pair.settle().0;
            let (_, error) = seen[0].failure().unwrap();
            assert_eq!((error.code, error.effect), (Code::REMOTE, Effect::Partial), "{method}");
            let fits = length + 1000 < limit(method);
            assert_eq!(
                error.message.len(),
                if fits { length } else { 1024 },
                "{method}: cut where it must be"
            );
        }
    }
}
