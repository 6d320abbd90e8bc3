//! Decisions W10: which frame may bring a descriptor, and where in the output it has to go. The
//! descriptors themselves are the driver's.

use std::io::IoSlice;
use std::time::Duration;

use bytes::Bytes;
use outrigger_protocol::{
    CallId, CallOptions, Header, HostConnected, Kind, Method, ObjectId, PeerError, Role, limits::HEADER,
};

use crate::support::callback_values::host_connected;
use crate::support::frames;
use crate::support::pair::End;
use crate::support::seen::Seen;

/// A REPLY that says it has so many descriptors.
fn reply(id: u64, handles: u8) -> Vec<u8> {
    with_handles(Kind::REPLY, id, handles)
}

fn with_handles(kind: Kind, id: u64, handles: u8) -> Vec<u8> {
    frames::with_ext(Header { handles, ..Header::new(kind, id) }, &[], &frames::encoded(&host_connected()))
}

/// A plugin that has asked for a connection, as call 2, and for something else, as call 4.
fn plugin() -> End {
    let mut plugin = End::passing(Role::Plugin);
    assert_eq!(plugin.call(1, Method::CONNECT_HOST, 7), CallId(2));
    assert_eq!(plugin.call(1, Method::ASK, 8), CallId(4));
    plugin.say();
    plugin
}

/// Holds S55.
#[test]
fn w10_one_descriptor_comes_with_the_answer_to_connect_host() {
    let [Seen::Reply { call: CallId(2), context: 7, .. }] = plugin().hear(&reply(2, 1))[..] else {
        panic!("it is the answer")
    };
}

#[track_caller]
fn refuses(mut end: End, frame: &[u8], why: &str) {
    match end.refuse(frame) {
        PeerError::Handles(said) => assert_eq!(said, why),
        other => panic!("{other}"),
    }
}

/// Holds S55.
#[test]
fn w10_descriptors_anywhere_else_end_the_connection() {
    refuses(plugin(), &reply(2, 2), "more than one with an answer");
    refuses(plugin(), &reply(2, 0), "an answer without its own");
    refuses(plugin(), &reply(4, 1), "with the answer to a call that brings none");
    for kind in [Kind::CALL, Kind::ERROR, Kind::DATA, Kind::PING, Kind::ABORT, Kind(200)] {
        refuses(plugin(), &with_handles(kind, 2, 1), "with a frame that carries none");
    }
}

/// Holds S55, S75.
#[test]
fn w10_descriptors_without_the_feature_or_from_a_plugin_end_the_connection() {
    let mut plain = End::alone(Role::Plugin);
    plain.call(1, Method::CONNECT_HOST, 7);
    refuses(plain, &reply(2, 1), "on a connection without that feature");
    let mut broker = End::passing(Role::Broker);
    broker.call(1, Method::DISCOVER, 7);
    refuses(broker, &reply(1, 1), "from a plugin");
    refuses(End::passing(Role::Broker), &with_handles(Kind(200), 2, 1), "from a plugin");
}

/// A call that ran out of time, and one that was given up long ago.
#[test]
fn w10_a_late_answer_may_bring_its_descriptor_and_no_more() {
    let mut plugin = End::passing(Role::Plugin);
    let options = CallOptions { total: Some(Duration::from_secs(1)), ..CallOptions::default() };
    plugin.try_call(1, Method::CONNECT_HOST, options, 7, Duration::ZERO).unwrap();
    plugin.say();
    plugin.expire(Duration::from_secs(2));
    assert_eq!(plugin.hear(&reply(2, 1)), [], "late: dropped, and the driver closes what it brought");
    assert_eq!(plugin.hear(&reply(2, 1)), [], "a second answer is late for good");
    assert_eq!(plugin.connection.counters.late, 2);
    assert!(matches!(plugin.refuse(&reply(2, 2)), PeerError::Handles(_)));
}

/// A broker that has calls 2 and 4 to answer, and has said nothing since.
fn broker() -> End {
    let mut broker = End::passing(Role::Broker);
    broker.hear(&frames::call(2, 1, Method::CONNECT_HOST));
    broker.hear(&frames::call(4, 2, Method::CONNECT_HOST));
    broker
}

/// What is written next: the call whose descriptor goes with it, and the bytes.
fn write(broker: &mut End) -> (Option<CallId>, Vec<u8>) {
    let handle = broker.connection.output_handle();
    let mut runs = [IoSlice::new(&[]); 16];
    let used = broker.connection.output_slices(&mut runs);
    let bytes: Vec<u8> = runs[..used].iter().flat_map(|run| run.to_vec()).collect();
    broker.connection.wrote(bytes.len());
    (handle, bytes)
}

fn kinds(bytes: &[u8]) -> Vec<(Kind, u8)> {
    frames::parse(bytes).iter().map(|(header, _)| (header.kind, header.handles)).collect()
}

/// Holds S54.
#[test]
fn w10_a_frame_with_a_descriptor_begins_a_write_of_its_own() {
    let mut broker = broker();
    broker.connection.ping();
    assert!(broker.connection.reply_with_handle(CallId(2), &host_connected()));
    broker.connection.ping();
    assert!(broker.connection.reply_with_handle(CallId(4), &host_connected()));
    let (none, first) = write(&mut broker);
    assert_eq!((none, kinds(&first)), (None, vec![(Kind::PING, 0)]));
    let (two, second) = write(&mut broker);
    assert_eq!((two, kinds(&second)), (Some(CallId(2)), vec![(Kind::REPLY, 1), (Kind::PING, 0)]));
    let (four, third) = write(&mut broker);
    assert_eq!((four, kinds(&third)), (Some(CallId(4)), vec![(Kind::REPLY, 1)]));
    assert_eq!(write(&mut broker), (None, vec![]));
}

/// What is written piece by piece carries the descriptor with its first byte, once.
#[test]
fn w10_a_descriptor_goes_with_the_first_byte_of_its_frame() {
    let mut broker = broker();
    broker.connection.ping();
    broker.connection.reply_with_handle(CallId(2), &host_connected());
    let mut went = Vec::new();
    for at in 0.. {
        let handle = broker.connection.output_handle();
        if broker.connection.output().is_empty() {
            break;
        }
        broker.connection.wrote(1);
        went.extend(handle.map(|call| (at, call)));
    }
    assert_eq!(went, [(HEADER, CallId(2))]);
}

/// Frames in front that are not copied, and calls that are taken back, do not move the place.
#[test]
fn w10_shared_pieces_and_calls_that_are_taken_back_keep_the_place() {
    let mut broker = broker();
    let piece = Bytes::from(vec![7; 6000]);
    let call = |target, broker: &mut End| {
        let shared = (serde_bytes::Bytes::new(&piece), std::slice::from_ref(&piece));
        let (options, now) = (CallOptions::default(), Duration::ZERO);
        broker.connection.call_sharing(ObjectId(target), Method::COMMIT, shared, options, 1, now).unwrap()
    };
    let (gone, _stays) = (call(1, &mut broker), call(2, &mut broker));
    broker.connection.reply_with_handle(CallId(2), &host_connected());
    call(3, &mut broker);
    assert!(broker.connection.cancel(gone, Duration::ZERO).is_some(), "taken back");
    let (none, first) = write(&mut broker);
    assert_eq!((none, kinds(&first)), (None, vec![(Kind::CALL, 0)]));
    let (two, second) = write(&mut broker);
    assert_eq!((two, kinds(&second)), (Some(CallId(2)), vec![(Kind::REPLY, 1), (Kind::CALL, 0)]));
}

/// Holds S75.
#[test]
fn w10_where_no_descriptor_passes_the_call_is_answered_as_unimplemented() {
    let mut broker = End::alone(Role::Broker);
    broker.hear(&frames::call(2, 1, Method::CONNECT_HOST));
    let body = HostConnected { address: String::new() };
    assert!(!broker.connection.reply_with_handle(CallId(2), &body));
    assert_eq!(kinds(&broker.say()), [(Kind::ERROR, 0)]);
    assert!(!broker.connection.reply_with_handle(CallId(2), &body), "it is answered");
    assert!(broker.say().is_empty());
}
