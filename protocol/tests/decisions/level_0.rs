//! A peer of level 0: calls only, no streams and no calls of its own.

use outrigger_protocol::{
    Code, Error, Flags, Header, Kind, Limits, Method, ObjectId, PeerError, Role, Session, StreamKind,
};

use crate::support::pair::{End, session};
use crate::support::seen::Seen;
use crate::support::{callback_values, frames};

fn broker() -> End {
    let limits = Limits::default();
    End::of(Role::Broker, &Session { peer_level: 0, ..session(limits, limits) })
}

/// Holds S46.
#[test]
fn it_answers_logs_and_shows_progress() {
    let mut broker = broker();
    broker.call(1, Method::GET_CHANGES_PAGE, 1);
    broker.call(2, Method::READ_PAGE, 2);
    broker.say();
    assert!(matches!(broker.hear(&frames::log("hello"))[..], [Seen::Log(_)]));
    assert!(matches!(broker.hear(&frames::progress(1, 0))[..], [Seen::Progress { .. }]));
    assert!(matches!(broker.hear(&frames::reply(1))[..], [Seen::Reply { context: 1, .. }]));
    let error = frames::error(3, &Error::new(Code::IO, "no"));
    assert!(matches!(broker.hear(&error)[..], [Seen::Failed { context: 2, .. }]));
    assert_eq!(broker.hear(&frames::raw(Kind::PONG, 0, &[])), [Seen::Pong]);
    broker.connection.goodbye();
    broker.say();
    assert_eq!(broker.hear(&frames::raw(Kind::GOODBYE_OK, 0, &[])), [Seen::Closed]);
}

/// Holds S46.
#[test]
fn it_makes_no_calls_and_has_no_streams() {
    let forbidden = [
        (Kind::CALL, frames::call(2, 1, Method::ASK)),
        (Kind::STREAM_OPEN, frames::open(2, 1, StreamKind::Items)),
        (Kind::DATA, frames::data(2, b"x")),
        (Kind::STREAM_END, frames::end(2, 0, 0)),
        (Kind::STREAM_RESET, frames::reset(2)),
        (Kind::CREDIT, frames::credit(0, 1 << 20, 1 << 20)),
    ];
    for (kind, bytes) in forbidden {
        let mut broker = broker();
        broker.call(1, Method::GET_CHANGES_PAGE, 1);
        broker.say();
        assert_eq!(broker.refuse(&bytes), PeerError::Unexpected(kind));
        assert_eq!(broker.hang_up().len(), 1, "the call still ends");
    }
}

/// It need not know what it is told unasked, and is not told.
/// Holds S46.
#[test]
fn it_is_sent_no_snapshot() {
    let mut broker = broker();
    broker.connection.snapshot(&callback_values::snapshots()[0]);
    assert!(broker.say().is_empty());
    let mut full = End::alone(Role::Broker);
    full.connection.snapshot(&callback_values::snapshots()[0]);
    let header = frames::parse(&full.say())[0].0;
    assert_eq!((header.kind, header.target, header.flags), (Kind::SNAPSHOT, ObjectId(1), Flags::NONE));
}

/// CANCEL may be ignored: the answer then counts, and the call has its one end.
#[test]
fn a_cancel_that_is_ignored_ends_with_the_answer() {
    let mut broker = broker();
    let call = broker.call(1, Method::GET_CHANGES_PAGE, 1);
    broker.say();
    assert!(broker.connection.cancel(call, std::time::Duration::ZERO).is_none());
    assert_eq!(frames::kinds(&broker.say()), [(Kind::CANCEL, call.0)]);
    assert!(matches!(broker.hear(&frames::reply(call.0))[..], [Seen::Reply { context: 1, .. }]));
}

/// A header alone is enough to skip what a peer does not know, whatever its length.
/// Holds S46.
#[test]
fn what_it_does_not_know_is_skipped_by_length() {
    let mut decoder = outrigger_protocol::Decoder::new(1 << 20);
    let snapshot = frames::frame(Kind::SNAPSHOT, 0, &callback_values::snapshots()[1]);
    frames::feed(&mut decoder, &[snapshot, frames::call(1, 1, Method::DISCOVER)].concat());
    let mut skipped = 0;
    let header: Header = loop {
        let frame = decoder.next_frame().unwrap().unwrap();
        if frame.header.kind == Kind::CALL {
            break frame.header;
        }
        skipped += frame.header.body_len as usize;
    };
    assert!(skipped > 50 && header.id == 1);
}
