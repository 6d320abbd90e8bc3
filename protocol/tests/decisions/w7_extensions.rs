//! W7: an extension value encoded by one codec cannot pass to a peer of the other; a Python plugin
//! would need every schema to skip it.

use outrigger_protocol::{
    AuthKind, Change, Code, Codec, Error, Flags, Group, Header, Hello, Kind, Member, Method, PeerError,
    ReadResult, Role, Sink,
};

use crate::support::pair::End;
use crate::support::seen::Seen;
use crate::support::{frames, values};

/// Holds S12.
#[test]
fn an_unknown_kind_is_skipped() {
    let mut plugin = End::alone(Role::Plugin);
    let unknown = frames::raw(Kind(200), 77, &[1, 2, 3]);
    let seen = plugin.hear(&[unknown, frames::call(1, 1, Method::READ)].concat());
    assert!(matches!(seen[..], [Seen::Call { .. }]));
    assert_eq!(plugin.connection.counters.skipped, 1);
    assert!(plugin.say().is_empty());
}

/// Holds S12.
#[test]
fn an_unknown_kind_marked_critical_is_answered_with_its_header_and_that_is_never_answered() {
    let mut plugin = End::alone(Role::Plugin);
    let header = Header { flags: Flags::CRITICAL, ..Header::new(Kind(200), 77) };
    plugin.hear(&frames::with_ext(header, &[], &[]));
    let said = plugin.say();
    let answer = frames::parse(&said);
    assert_eq!((answer.len(), answer[0].0.kind), (1, Kind::UNIMPLEMENTED));
    assert_eq!(answer[0].1, header.encode());
    let mut broker = End::alone(Role::Broker);
    broker.hear(&said);
    let critical = Header { flags: Flags::CRITICAL, ..Header::new(Kind::UNIMPLEMENTED, 0) };
    broker.hear(&frames::with_ext(critical, &[], &header.encode()));
    assert!(broker.say().is_empty());
}

/// Holds S12, S29.
#[test]
fn an_unknown_method_is_an_ordinary_call_and_gets_an_ordinary_error() {
    let mut plugin = End::alone(Role::Plugin);
    let seen = plugin.hear(&frames::call(1, 9, Method(60_000)));
    assert!(matches!(seen[..], [Seen::Call { method: Method(60_000), .. }]));
    assert!(plugin.connection.fail(frames::id(1), &Error::new(Code::UNIMPLEMENTED, "unknown method")));
    assert_eq!(frames::kinds(&plugin.say()), [(Kind::ERROR, 1)]);
}

#[test]
fn even_extension_entries_of_a_call_are_skipped() {
    let mut plugin = End::alone(Role::Plugin);
    let ext = frames::entries(&[(2, b"a trace"), (300, b"")]);
    let seen = plugin.hear(&frames::with_ext(frames::call_header(1, 1, Method::READ), &ext, b"body"));
    assert!(matches!(&seen[..], [Seen::Call { body, .. }] if body == b"body"));
}

/// Holds S12.
#[test]
fn an_odd_entry_that_is_not_understood_fails_the_call_and_not_the_connection() {
    let mut plugin = End::alone(Role::Plugin);
    let ext = frames::entries(&[(2, b"a"), (3, b"must")]);
    let call = frames::with_ext(frames::call_header(1, 1, Method::READ), &ext, b"body");
    assert_eq!(plugin.hear(&call), []);
    let answer = frames::parse(&plugin.say());
    let error: Error = Codec::Bincode.decode(&answer[0].1).unwrap();
    assert_eq!((answer[0].0.id, error.code), (1, Code::UNIMPLEMENTED));
    assert!(error.message.contains('3'), "{error}");
    assert!(matches!(plugin.hear(&frames::call(3, 1, Method::READ))[..], [Seen::Call { .. }]));
}

#[test]
fn entries_that_are_odd_elsewhere_or_malformed_end_the_connection() {
    let falling = frames::entries(&[(4, b""), (2, b"")]);
    let twice = frames::entries(&[(2, b""), (2, b"")]);
    let beyond = frames::entries(&[(2, b"ab")])[..5].to_vec();
    for ext in [&falling, &twice, &beyond, &vec![0u8; 3]] {
        for header in [frames::call_header(1, 1, Method::READ), Header::new(Kind::PING, 0)] {
            let error = End::alone(Role::Plugin).refuse(&frames::with_ext(header, ext, &[]));
            assert_eq!(error, PeerError::Extensions);
        }
    }
    let odd = frames::entries(&[(3, b"must")]);
    let ping = frames::with_ext(Header::new(Kind::PING, 0), &odd, &[]);
    assert_eq!(End::alone(Role::Plugin).refuse(&ping), PeerError::Extensions, "legal only in a CALL");
    let even = frames::with_ext(Header::new(Kind::PING, 0), &frames::entries(&[(2, b"x")]), &[]);
    assert_eq!(End::alone(Role::Plugin).hear(&even), []);
}

/// Holds S29.
#[test]
fn the_tail_of_an_object_keeps_what_it_does_not_know_and_refuses_odd_tags() {
    let back: Change = Codec::Bincode.decode(&frames::encoded(&values::change())).unwrap();
    assert_eq!(back.ext.get(2), Some(&b"later"[..]));
    assert_eq!(back.ext.get(4), None);
    for (tag, other) in [(3u16, 256u16), (256, 2), (2, 2)] {
        let mut change = frames::encoded(&Change { ext: Default::default(), ..values::change() });
        change.truncate(change.len() - 8);
        change.extend_from_slice(&2u64.to_le_bytes());
        for tag in [tag, other] {
            change.extend_from_slice(&tag.to_le_bytes());
            change.extend_from_slice(&0u64.to_le_bytes());
        }
        assert!(Codec::Bincode.decode::<Change>(&change).is_err(), "{tag}, {other}");
    }
}

#[test]
fn a_frame_carries_64_entries() {
    let tags: Vec<(u16, &[u8])> = (0..65).map(|tag| (2 * tag, &b""[..])).collect();
    let ping = |ext: &[u8]| frames::with_ext(Header::new(Kind::PING, 0), ext, &[]);
    assert_eq!(End::alone(Role::Plugin).hear(&ping(&frames::entries(&tags[..64]))), []);
    let error = End::alone(Role::Plugin).refuse(&ping(&frames::entries(&tags)));
    assert_eq!(error, PeerError::Extensions);
}

#[test]
fn the_tail_of_an_object_holds_64_entries() {
    for (count, accepted) in [(64u64, true), (65, false)] {
        let mut change = frames::encoded(&Change { ext: Default::default(), ..values::change() });
        change.truncate(change.len() - 8);
        change.extend_from_slice(&count.to_le_bytes());
        for tag in 0..u16::try_from(count).unwrap() {
            change.extend_from_slice(&(2 * tag).to_le_bytes());
            change.extend_from_slice(&0u64.to_le_bytes());
        }
        assert_eq!(Codec::Bincode.decode::<Change>(&change).is_ok(), accepted, "{count}");
    }
}

/// What codec 2 will rest on: the same types in JSON.
#[test]
fn unknown_json_keys_are_errors_except_in_hello() {
    fn rejects<T: serde::Serialize + for<'de> serde::Deserialize<'de>>(value: &T, path: &str) {
        let mut json = serde_json::to_value(value).unwrap();
        assert!(T::deserialize(&json).is_ok(), "{json}");
        json.pointer_mut(path).unwrap()["from_the_future"] = 1.into();
        assert!(T::deserialize(&json).is_err(), "{json}");
    }
    rejects::<Change>(&values::change(), "");
    rejects::<Member>(&values::member(), "");
    rejects::<Group>(&values::group(), "");
    rejects::<Sink>(&values::sink(), "");
    rejects::<Error>(&values::error(), "");
    rejects::<Error>(&values::error(), "/causes/0");
    rejects::<outrigger_protocol::CommitResult>(&values::commit_results()[0], "/outcome/Done");
    let mut json = serde_json::to_value(&values::read_results()[0]).unwrap();
    json["outcome"]["Item"]["from_the_future"] = 1.into();
    assert!(serde_json::from_str::<ReadResult<'_>>(&json.to_string()).is_err());
    let mut hello = serde_json::to_value(Hello::new("x", AuthKind::Inherited, [0; 32])).unwrap();
    hello["from_the_future"] = 1.into();
    assert!(serde_json::from_value::<Hello>(hello).is_ok());
}

#[test]
fn an_absent_tail_in_json_is_an_empty_one_and_bytes_are_base64() {
    let mut json = serde_json::to_value(values::change()).unwrap();
    assert_eq!(json["ext"], serde_json::json!({"2": "bGF0ZXI=", "256": ""}));
    let with: Change = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(with, values::change());
    json.as_object_mut().unwrap().remove("ext");
    assert_eq!(serde_json::from_value::<Change>(json).unwrap().ext, Default::default());
    let mut json = serde_json::to_value(values::error()).unwrap();
    json.as_object_mut().unwrap().remove("ext");
    assert!(serde_json::from_value::<Error>(json).is_ok());
}
