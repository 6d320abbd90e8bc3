//! W7: codec 2, JSON: numbers, keys, bytes, depth, and who chooses it.

use std::time::Duration;

use outrigger_protocol::{
    Answered, AuthKind, CallOptions, Change, ChangesPage, Codec, Connect, Decoder, GetChangesPage, Goodbye,
    Handshake, Header, Hello, Kind, Limits, Member, Method, ObjectId, PeerError, Role, Session, SessionId,
    Snapshot, StreamEnd,
};
use serde::Deserialize;

use crate::support::pair::{End, Pair, session};
use crate::support::seen::Seen;
use crate::support::{callback_values, frames, samples, values};

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    Codec::Json.decode(text.as_bytes()).map_err(|error| error.to_string())
}

/// Agrees on a session; the codecs are of the side that dials and the side that listens.
fn agreed(dials: &[u16], listens: &[u16]) -> Option<(Codec, Codec)> {
    let hello = |codecs: &[u16]| Hello {
        codecs: codecs.to_vec(),
        ..Hello::new("test", AuthKind::Inherited, [1; 32])
    };
    let mut dialler = Handshake::dial(hello(dials), None);
    let mut listener = Handshake::listen(hello(listens), None, SessionId(uuid::Uuid::nil()));
    let (mut to_dialler, mut to_listener) = (Decoder::new(1 << 16), Decoder::new(1 << 16));
    frames::feed(&mut to_listener, &dialler.output());
    let at_listener = listener.receive(&mut to_listener).ok().flatten()?;
    frames::feed(&mut to_dialler, &listener.output());
    let at_dialler = dialler.receive(&mut to_dialler).ok().flatten()?;
    Some((at_dialler.codec, at_listener.codec))
}

/// Holds S50.
#[test]
fn the_codec_is_the_first_of_the_dialler_that_the_listener_names_too() {
    const BINCODE: Option<(Codec, Codec)> = Some((Codec::Bincode, Codec::Bincode));
    const JSON: Option<(Codec, Codec)> = Some((Codec::Json, Codec::Json));
    assert_eq!(agreed(&[1, 2], &[2, 1]), BINCODE);
    assert_eq!(agreed(&[2, 1], &[1, 2]), JSON);
    assert_eq!(agreed(&[2], &[1, 2]), JSON);
    assert_eq!(agreed(&[2, 1], &[1]), BINCODE);
    assert_eq!(agreed(&[9, 2], &[1, 2]), JSON, "unknown ones are skipped");
    assert_eq!(agreed(&[2], &[1]), None);
    assert_eq!(agreed(&[], &[1, 2]), None);
}

#[test]
fn a_conversation_in_json_needs_nothing_else() {
    let mut pair = Pair::in_codec(Limits::default(), Codec::Json);
    let connect = values::connect();
    let (options, now) = (CallOptions::default(), Duration::ZERO);
    let call = pair.broker.connection.call(ObjectId(1), Method::CONNECT, &connect, options, 1, now).unwrap();
    let (_, plugin) = pair.settle();
    let [Seen::Call { body, .. }] = &plugin[..] else { panic!("{plugin:?}") };
    assert_eq!(json::<Connect>(std::str::from_utf8(body).unwrap()).unwrap(), connect);
    let stream = pair.open_stream(call);
    pair.plugin.connection.push_item(stream, &values::change()).unwrap();
    pair.plugin.connection.reply(call, &values::listing());
    let (broker, _) = pair.settle();
    let [Seen::Items { items, .. }, Seen::StreamEnd { .. }, Seen::Reply { .. }] = &broker[..] else {
        panic!("{broker:?}")
    };
    assert_eq!(Codec::Json.decode::<Change>(&items[0]).unwrap(), values::change());
}

/// Holds S51.
#[test]
fn whole_numbers_reach_two_to_the_53rd_and_no_further() {
    const MOST: u64 = 1 << 53;
    for (number, fits) in [(MOST, true), (MOST + 1, false), (u64::MAX, false)] {
        let text = format!("{{\"last_accepted\":{number}}}");
        assert_eq!(json::<Goodbye>(&text).is_ok(), fits);
        let encoded = Codec::Json.encode(&Goodbye { last_accepted: number }, &mut Vec::new());
        assert_eq!(encoded.is_ok(), fits);
        let end = format!("{{\"items\":1,\"bytes\":{number},\"bulk\":null}}");
        assert_eq!(json::<StreamEnd>(&end).is_ok(), fits);
    }
    for text in ["-1", "1.0", "1e3", "\"1\"", "01", "null"] {
        assert!(json::<Goodbye>(&format!("{{\"last_accepted\":{text}}}")).is_err(), "{text}");
    }
}

/// A number that no body in JSON could name is not taken for a call, in whatever codec.
#[test]
fn the_number_of_a_call_can_always_be_said() {
    let most = 1u64 << 53;
    let mut broker = End::alone(Role::Broker);
    broker.hear(&frames::call(most, 1, Method::ASK));
    assert_eq!(broker.refuse(&frames::call(most + 2, 1, Method::ASK)), PeerError::BadNumber(most + 2));
    let limits = Limits::default();
    let mut json = End::of(Role::Broker, &Session { codec: Codec::Json, ..session(limits, limits) });
    json.hear(&frames::call(most, 1, Method::ASK));
    json.connection.goodbye();
    let said = frames::parse(&json.say());
    assert_eq!(Codec::Json.decode::<Goodbye>(&said[0].1).unwrap().last_accepted, most);
}

/// Every object in every body, with one more key.
/// Holds S51.
#[test]
fn an_unknown_key_anywhere_in_any_body_is_an_error() {
    let mut tried = 0;
    for sample in samples::all().iter().filter(|sample| sample.name.starts_with("json-")) {
        let text = String::from_utf8(sample.bytes()).unwrap();
        for (at, _) in text.match_indices('{') {
            let ext = text[..at].ends_with("\"ext\":");
            let comma = if text[at + 1..].starts_with('}') { "" } else { "," };
            let more = format!("{}\"from_the_future\":1{comma}{}", &text[..=at], &text[at + 1..]);
            assert!((sample.back)(more.as_bytes()).is_err(), "{}: {more}", sample.name);
            tried += usize::from(!ext);
        }
    }
    assert!(tried > 80, "{tried} objects");
}

/// Holds S27, S51.
#[test]
fn a_key_that_may_be_absent_may_be_null_and_the_others_must_be_there() {
    let all = r#"{"slow_sync":false,"anchor":null,"cursor":null,"max":5}"#;
    let few = r#"{"max":5,"slow_sync":false}"#;
    assert_eq!(json::<GetChangesPage>(all).unwrap(), json::<GetChangesPage>(few).unwrap());
    assert!(json::<GetChangesPage>(r#"{"max":5}"#).is_err());
    assert!(json::<GetChangesPage>(r#"{"max":5,"slow_sync":null}"#).is_err());
    assert!(json::<GetChangesPage>(r#"{"max":5,"max":5,"slow_sync":false}"#).is_err(), "twice");
    let page = json::<ChangesPage>(r#"{"changes":[],"complete":true}"#).unwrap();
    assert_eq!((page.next, page.anchor), (None, None));
}

/// Holds S51.
#[test]
fn bytes_are_padded_base64_and_nothing_else() {
    let page = |cursor: &str| {
        json::<GetChangesPage>(&format!(r#"{{"slow_sync":false,"cursor":"{cursor}","max":1}}"#))
    };
    assert_eq!(page("AHBhZ2UgMg==").unwrap().cursor, callback_values::get_changes_page().cursor);
    for bad in ["AHBhZ2UgMg", "AHBhZ2UgMg=", "AHBhZ2UgMh==", "AHBh\\nZ2UgMg==", "-_-_", "====", "A"] {
        assert!(page(bad).is_err(), "{bad}");
    }
    assert_eq!(page("").unwrap().cursor.unwrap().as_bytes(), b"");
}

/// Holds S51.
#[test]
fn a_text_is_one_value_of_utf_8_without_a_mark_or_a_rest() {
    let good = r#"{"slow_sync":true}"#;
    assert!(json::<outrigger_protocol::Connected>(good).is_ok());
    assert!(json::<outrigger_protocol::Connected>(&format!(" \n{good}\r\t")).is_ok());
    for bad in [format!("\u{feff}{good}"), format!("{good}{good}"), format!("{good}\0"), "\0".into()] {
        assert!(json::<outrigger_protocol::Connected>(&bad).is_err(), "{bad:?}");
    }
    assert!(Codec::Json.decode::<Answered>(b"{\"text\":\"\xff\"}").is_err());
    assert!(Codec::Json.decode::<Answered>(b"{\"text\":\"\\ud800\"}").is_err(), "half a character");
}

/// Holds S14, S51.
#[test]
fn sixteen_brackets_deep_and_no_deeper() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep = json::<Member>(&nested(17)).unwrap_err();
    assert!(deep.contains("nested deeper than 16"), "{deep}");
    let shallow = json::<Member>(&nested(16)).unwrap_err();
    assert!(!shallow.contains("nested"), "{shallow}");
    let endless = json::<Member>(&"[".repeat(1 << 20)).unwrap_err();
    assert!(endless.contains("nested"), "{endless}");
}

#[test]
fn nothing_is_no_byte_and_raw_bodies_stay_raw() {
    let mut pair = Pair::in_codec(Limits::default(), Codec::Json);
    let call = pair.open_call(1, Method::DISCONNECT, 1);
    pair.plugin.connection.reply(call, &());
    let reply = frames::parse(pair.plugin.connection.output())[0].0;
    assert_eq!((reply.kind, reply.body_len), (Kind::REPLY, 0));
    let limits = Limits::default();
    let mut plugin = End::of(Role::Plugin, &Session { codec: Codec::Json, ..session(limits, limits) });
    assert_eq!(plugin.hear(&frames::credit(0, 5, 5 << 20)), [], "24 raw bytes in every codec");
    assert_eq!(plugin.hear(&frames::raw(Kind::PING, 7, &[])), []);
    let pong: Header = frames::parse(&plugin.say())[0].0;
    assert_eq!((pong.kind, pong.id, pong.body_len), (Kind::PONG, 7, 0));
    let snapshot = frames::encoded_in(Codec::Json, &callback_values::snapshots()[1]);
    let seen = plugin.hear(&frames::raw(Kind::SNAPSHOT, 0, &snapshot));
    assert!(matches!(&seen[..], [Seen::Snapshot(Snapshot::Group(_))]));
}

#[test]
fn content_costs_a_third_more_in_base64() {
    let item = |length: usize| {
        let mut items = values::commit_items();
        items[0].data = vec![0xff; length].into();
        items[0].clone()
    };
    let most = 720 << 10;
    assert!(Codec::Json.encode(&item(most), &mut Vec::new()).is_ok());
    assert!(most.div_ceil(3) * 4 <= outrigger_protocol::limits::MAX_ITEM_DATA);
    assert!(Codec::Json.encode(&item(960 << 10), &mut Vec::new()).is_err());
    assert!(Codec::Bincode.encode(&item(960 << 10), &mut Vec::new()).is_ok());
}
