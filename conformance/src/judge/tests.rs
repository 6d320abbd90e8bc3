use outrigger_protocol::{Extensions, Header};

use super::*;
use crate::bodies::encode;

fn judge() -> Judge {
    let mut judge = Judge::new(Codec::Bincode, 1, 100);
    judge.called(&call(1));
    judge
}

/// The header of a listing.
fn call(id: u64) -> Header {
    Header { method: Method::GET_CHANGES.0, ..Header::new(Kind::CALL, id) }
}

fn frame(kind: Kind, id: u64, body: &[u8]) -> Message {
    Message::new(Header::new(kind, id), body.to_vec())
}

fn open(id: u64, call: u64) -> Message {
    frame(
        Kind::STREAM_OPEN,
        id,
        &encode(Codec::Bincode, &StreamOpen { call, kind: StreamKind::Items, bulk: None }),
    )
}

fn end(id: u64, items: u64, bytes: u64) -> Message {
    frame(Kind::STREAM_END, id, &encode(Codec::Bincode, &StreamEnd { items, bytes, bulk: None }))
}

fn item(data: &[u8]) -> Vec<u8> {
    [&u32::try_from(data.len()).unwrap().to_le_bytes()[..], data].concat()
}

/// A call of the plugin that says new names.
fn rename(id: u64, names: &[(&str, &str)]) -> Message {
    let names = names.iter().map(|(old, new)| (Href::from(*old), Href::from(*new))).collect();
    let body = encode(Codec::Bincode, &Rename { sink: outrigger_protocol::ObjectId(3), names });
    Message::new(Header { method: Method::RENAME.0, ..Header::new(Kind::CALL, id) }, body)
}

/// The rule that the last of these frames breaks; the ones before must not break any.
fn broken(frames: &[Message]) -> Option<Rule> {
    let mut judge = judge();
    let (last, before) = frames.split_last().unwrap();
    for message in before {
        judge.received(message).unwrap();
    }
    match judge.received(last) {
        Err(Stop::Broken(rule, _)) => Some(rule),
        Err(other) => panic!("{other:?}"),
        Ok(_) => None,
    }
}

#[test]
fn a_plugin_sends_no_descriptors() {
    let reply = Header { handles: 1, ..Header::new(Kind::REPLY, 1) };
    assert_eq!(broken(&[Message::new(reply, Vec::new())]), Some(Rule::Frames));
}

#[test]
fn an_ordinary_listing_breaks_nothing_and_its_items_come_out_whole() {
    let bytes = [item(b"one"), item(b"two")].concat();
    let mut judge = judge();
    judge.received(&open(2, 1)).unwrap();
    assert_eq!(
        judge.received(&frame(Kind::DATA, 2, &bytes[..9])).unwrap(),
        Seen::Items { call: 1, stream: 2, items: vec![b"one".to_vec()] }
    );
    assert_eq!(
        judge.received(&frame(Kind::DATA, 2, &bytes[9..])).unwrap(),
        Seen::Items { call: 1, stream: 2, items: vec![b"two".to_vec()] }
    );
    assert_eq!(judge.received(&end(2, 2, 14)).unwrap(), Seen::StreamEnd);
    let answer = judge.received(&frame(Kind::REPLY, 1, b"")).unwrap();
    assert_eq!(answer, Seen::Answer { call: 1, answer: Ok(Vec::new()) });
    assert!(judge.tried().contains(&Rule::StreamCounts));
}

#[test]
fn each_breach_has_its_rule() {
    let reply = || frame(Kind::REPLY, 1, b"");
    let error = Error { ext: Extensions::default(), ..Error::new(outrigger_protocol::Code::IO, "no") };
    let cases = [
        (vec![reply(), reply()], Rule::OneAnswer),
        (vec![reply(), frame(Kind::ERROR, 1, &encode(Codec::Bincode, &error))], Rule::OneAnswer),
        (vec![frame(Kind::REPLY, 3, b"")], Rule::Issued),
        (vec![frame(Kind::PROGRESS, 3, b"")], Rule::Issued),
        (vec![open(2, 3)], Rule::Issued),
        (vec![open(3, 1)], Rule::Issued),
        (vec![open(4, 1), open(2, 1)], Rule::Issued),
        (vec![frame(Kind::DATA, 2, b"")], Rule::Issued),
        (vec![reply(), frame(Kind::PROGRESS, 1, b"")], Rule::AfterAnswer),
        (vec![reply(), open(2, 1)], Rule::AfterAnswer),
        (vec![open(2, 1), end(2, 0, 0), reply(), frame(Kind::DATA, 2, b"")], Rule::AfterAnswer),
        (vec![open(2, 1), end(2, 0, 0), end(2, 0, 0)], Rule::StreamOnce),
        (vec![open(2, 1), end(2, 0, 0), frame(Kind::DATA, 2, b"")], Rule::StreamOnce),
        (vec![open(2, 1), reply()], Rule::StreamOnce),
        (vec![open(2, 1), end(2, 1, 0)], Rule::StreamCounts),
        (vec![open(2, 1), frame(Kind::DATA, 2, &item(b"one")[..5]), end(2, 0, 5)], Rule::StreamCounts),
        (vec![open(2, 1), frame(Kind::DATA, 2, &item(&[7; 100]))], Rule::Credit),
        (vec![open(2, 1), frame(Kind::DATA, 2, &[0xff; 4])], Rule::Frames),
        (vec![rename(2, &[("a", "b"), ("a", "c")])], Rule::NewNames),
        (vec![rename(2, &[("a", "c"), ("b", "c")])], Rule::NewNames),
        (vec![rename(2, &[("a", "")])], Rule::NewNames),
        (vec![rename(3, &[("a", "b")])], Rule::Issued),
        (vec![frame(Kind::HELLO, 0, b"{}")], Rule::Frames),
        (vec![frame(Kind::ERROR, 1, b"no error")], Rule::Bodies),
    ];
    for (frames, rule) in cases {
        assert_eq!(broken(&frames), Some(rule), "{frames:?}");
    }
}

#[test]
fn a_failed_call_need_not_end_its_stream() {
    let error = encode(Codec::Bincode, &Error::new(outrigger_protocol::Code::CANCELLED, "given up"));
    assert_eq!(broken(&[open(2, 1), frame(Kind::ERROR, 1, &error)]), None);
}

#[test]
fn what_was_granted_may_be_sent() {
    let mut judge = judge();
    judge.received(&open(2, 1)).unwrap();
    judge.received(&frame(Kind::DATA, 2, &item(&[7; 96]))).unwrap();
    let credit = judge.grant(2).unwrap();
    assert_eq!((credit.stream, credit.connection), (200, 200));
    judge.received(&frame(Kind::DATA, 2, &item(&[7; 96]))).unwrap();
    assert!(judge.received(&frame(Kind::DATA, 2, &item(b""))).is_err());
}

#[test]
fn w6_an_answer_is_no_larger_than_its_method_says() {
    for kind in [Kind::REPLY, Kind::ERROR] {
        assert_eq!(broken(&[frame(kind, 1, &[0; limits::MAX_REPLY + 1])]), Some(Rule::Frames));
    }
    assert_eq!(broken(&[frame(Kind::REPLY, 1, &[0; limits::MAX_REPLY])]), None);
}

#[test]
fn level_0_has_no_streams() {
    let mut judge = Judge::new(Codec::Bincode, 0, 100);
    judge.called(&call(1));
    assert!(matches!(judge.received(&open(2, 1)), Err(Stop::Broken(Rule::Frames, _))));
}

#[test]
fn x4_new_names_are_heard_while_a_call_about_items_is_open_and_at_no_other_time() {
    let set = [("a", "b"), ("b", "a")];
    let names = set.map(|(old, new)| (Href::from(old), Href::from(new))).to_vec();
    let mut judge = judge();
    assert_eq!(judge.received(&rename(2, &set)).unwrap(), Seen::Renamed { call: 2, names });
    judge.received(&frame(Kind::REPLY, 1, b"")).unwrap();
    judge.called(&Header { method: Method::DISCONNECT.0, ..Header::new(Kind::CALL, 3) });
    assert_eq!(judge.received(&rename(4, &set)).unwrap(), Seen::RenamedTooEarly(4));
    let garbled = Header { method: Method::RENAME.0, ..Header::new(Kind::CALL, 6) };
    assert!(matches!(judge.received(&Message::new(garbled, vec![1])), Err(Stop::Broken(Rule::Bodies, _))));
}
