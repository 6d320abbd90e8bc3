//! Frames made by hand: what a peer sends that keeps no rules.

use outrigger_protocol::{
    Abort, Budget, CallId, Codec, Credit, Decoder, Error, Flags, Goodbye, Header, Kind, Log, Method,
    ObjectId, Progress, StreamEnd, StreamKind, StreamOpen, StreamReset,
};
use serde::Serialize;

/// A body of codec 1.
pub(crate) fn encoded<T: Serialize + ?Sized>(body: &T) -> Vec<u8> {
    encoded_in(Codec::Bincode, body)
}

/// A body of a codec.
pub(crate) fn encoded_in<T: Serialize + ?Sized>(codec: Codec, body: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec.encode(body, &mut bytes).unwrap();
    bytes
}

/// A frame with extension entries and a body; the lengths are filled in.
pub(crate) fn with_ext(header: Header, ext: &[u8], body: &[u8]) -> Vec<u8> {
    let body_len = u32::try_from(ext.len() + body.len()).unwrap();
    let header = Header { body_len, ext_len: u16::try_from(ext.len()).unwrap(), ..header };
    [&header.encode()[..], ext, body].concat()
}

/// A frame with a raw body.
pub(crate) fn raw(kind: Kind, id: u64, body: &[u8]) -> Vec<u8> {
    with_ext(Header::new(kind, id), &[], body)
}

/// A frame with an encoded body.
pub(crate) fn frame<T: Serialize + ?Sized>(kind: Kind, id: u64, body: &T) -> Vec<u8> {
    raw(kind, id, &encoded(body))
}

/// The header of a call.
pub(crate) fn call_header(id: u64, target: u32, method: Method) -> Header {
    Header {
        target: ObjectId(target),
        method: method.0,
        budget: Budget::DEFAULT,
        ..Header::new(Kind::CALL, id)
    }
}

/// A call without a body.
pub(crate) fn call(id: u64, target: u32, method: Method) -> Vec<u8> {
    with_ext(call_header(id, target, method), &[], &[])
}

/// The same, made while serving `parent`.
pub(crate) fn nested_call(id: u64, target: u32, parent: u64) -> Vec<u8> {
    let header = Header { flags: Flags::NESTED, ..call_header(id, target, Method(900)) };
    with_ext(header, &entries(&[(2, &parent.to_le_bytes())]), &[])
}

pub(crate) fn reply(id: u64) -> Vec<u8> {
    raw(Kind::REPLY, id, &[])
}

pub(crate) fn error(id: u64, error: &Error) -> Vec<u8> {
    frame(Kind::ERROR, id, error)
}

pub(crate) fn cancel(id: u64) -> Vec<u8> {
    raw(Kind::CANCEL, id, &[])
}

pub(crate) fn progress(id: u64, waiting_ms: u32) -> Vec<u8> {
    frame(Kind::PROGRESS, id, &Progress { done: 1, total: None, waiting_ms })
}

pub(crate) fn open(id: u64, call: u64, kind: StreamKind) -> Vec<u8> {
    frame(Kind::STREAM_OPEN, id, &StreamOpen { call, kind, bulk: None })
}

pub(crate) fn data(id: u64, bytes: &[u8]) -> Vec<u8> {
    raw(Kind::DATA, id, bytes)
}

pub(crate) fn end(id: u64, items: u64, bytes: u64) -> Vec<u8> {
    frame(Kind::STREAM_END, id, &StreamEnd { items, bytes, bulk: None })
}

pub(crate) fn reset(id: u64) -> Vec<u8> {
    frame(Kind::STREAM_RESET, id, &StreamReset { code: outrigger_protocol::Code::CANCELLED })
}

pub(crate) fn credit(id: u64, stream: u64, connection: u64) -> Vec<u8> {
    raw(Kind::CREDIT, id, &Credit { stream, connection, durable: 0 }.encode())
}

pub(crate) fn log(message: &str) -> Vec<u8> {
    frame(Kind::LOG, 0, &Log { level: outrigger_protocol::Level::Info, message: message.into() })
}

pub(crate) fn goodbye(last_accepted: u64) -> Vec<u8> {
    frame(Kind::GOODBYE, 0, &Goodbye { last_accepted })
}

pub(crate) fn abort(reason: &str) -> Vec<u8> {
    frame(Kind::ABORT, 0, &Abort { reason: reason.into() })
}

/// An item of an `items` stream: its length, then itself.
pub(crate) fn item(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
}

/// Extension entries as they stand behind a header.
pub(crate) fn entries(all: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, value) in all {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

/// Writes bytes into a decoder.
pub(crate) fn feed(decoder: &mut Decoder, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let space = decoder.space();
        let count = space.len().min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        decoder.filled(count);
        bytes = &bytes[count..];
    }
}

/// Cuts bytes into frames: headers and bodies.
pub(crate) fn parse(bytes: &[u8]) -> Vec<(Header, Vec<u8>)> {
    let mut decoder = Decoder::new(1 << 20);
    feed(&mut decoder, bytes);
    let mut all = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        all.push((frame.header, frame.body.to_vec()));
    }
    assert!(!decoder.is_mid_frame(), "half a frame is left");
    all
}

/// The kinds and numbers of the frames in `bytes`.
pub(crate) fn kinds(bytes: &[u8]) -> Vec<(Kind, u64)> {
    parse(bytes).iter().map(|(header, _)| (header.kind, header.id)).collect()
}

/// A `CallId` in few letters.
pub(crate) const fn id(number: u64) -> CallId {
    CallId(number)
}
