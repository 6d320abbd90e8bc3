//! Frames as text that a person or a comparison can read: header fields, and the body decoded by
//! kind and method.
//!
//! Bodies with the flag SECRET are never decoded. What a plugin says passes
//! through [`Printable`].

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outrigger_protocol::{
    Abort, Ask, Change, ChangesPage, Codec, Commit, Committed, Compare, Compared, Connect, ConnectDone,
    ConnectHost, Connected, CreateCollection, Credit, Discovered, Error, Flags, GetChanges, GetChangesPage,
    Goodbye, Hello, HostConnected, Initialize, Initialized, Kind, Listing, Log, Lookup, Member, MemberUpdate,
    MemberUpdated, Method, Printable, Progress, RaiseSlowSync, Read, ReadPage, ReadResult, Remarshal,
    Remarshalled, Rename, Sink, Snapshot, SrvRecords, StreamEnd, StreamOpen, StreamReset, TxtRecords,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bodies::decode;
use crate::message::Message;
use crate::tape::{Direction, Heard};

/// Keys whose values are bytes: base64 in JSON.
const BYTES: [&str; 11] = [
    "href",
    "revision",
    "anchor",
    "data",
    "digest",
    "expected",
    "expected_digest",
    "key",
    "store",
    "cursor",
    "next",
];

/// Reads one conversation along, and says what each frame is.
#[derive(Debug, Default)]
pub struct Describer {
    codec: Codec,
    wanted: Vec<u16>,
    /// The method of each call.
    calls: BTreeMap<u64, Method>,
    /// The call of each stream, and what of an item has come.
    streams: BTreeMap<u64, (u64, Vec<u8>)>,
}

impl Describer {
    /// One line for people: when, which way, what.
    pub fn line(&mut self, at: Duration, direction: Direction, heard: Heard<'_>) -> String {
        let way = match direction {
            Direction::ToPlugin => "→",
            Direction::FromPlugin => "←",
        };
        let text = match heard {
            Heard::Preface => "preface".to_owned(),
            Heard::Frame(message) => self.frame(message),
        };
        format!("{:>10.6} {way} {text}", at.as_secs_f64())
    }

    fn frame(&mut self, message: &Message) -> String {
        let (header, body) = (message.header, self.body(message));
        let mut text = format!("{} {}", header.kind, header.id);
        if let Some(method) = self.calls.get(&header.id).filter(|_| is_of_a_call(header.kind)) {
            text += &format!(" {method}");
        }
        if header.kind == Kind::CALL {
            text += &format!(" on {}", header.target);
        }
        if header.flags != Flags::NONE {
            text += &format!(" flags {}", header.flags.0);
        }
        if !message.ext.is_empty() {
            text += &format!(" extensions {}", hex(&message.ext));
        }
        match body {
            Value::Null => text,
            Value::String(body) => format!("{text}  {}", Printable(&body)),
            body => format!("{text}  {}", Printable(body.to_string())),
        }
    }

    /// The body of a frame as a value: null for none, text for what cannot be read.
    pub(crate) fn body(&mut self, message: &Message) -> Value {
        let id = message.header.id;
        match message.header.kind {
            Kind::CALL => drop(self.calls.insert(id, Method(message.header.method))),
            Kind::HELLO => self.wanted = codecs(&message.body),
            Kind::HELLO_OK => self.agree(&codecs(&message.body)),
            Kind::STREAM_OPEN => {
                if let Ok(open) = decode::<StreamOpen>(self.codec, &message.body) {
                    self.streams.insert(id, (open.call, Vec::new()));
                }
            }
            _ => {}
        }
        if message.header.flags.has(Flags::SECRET) {
            return Value::String(format!("({} secret bytes)", message.body.len()));
        }
        let decoded = self.decoded(message);
        decoded.map(readable).unwrap_or_else(|error| {
            let body = message.body.get(..256.min(message.body.len())).unwrap_or_default();
            Value::String(format!("cannot be read: {error}: {}", hex(body)))
        })
    }

    /// The codec that both sides name, best of the plugin's.
    fn agree(&mut self, theirs: &[u16]) {
        let common = self.wanted.iter().find(|codec| theirs.contains(codec));
        self.codec = common.and_then(|codec| Codec::from_number(*codec)).unwrap_or_default();
    }

    fn decoded(&mut self, message: &Message) -> Result<Value, String> {
        let (codec, id, body) = (self.codec, message.header.id, &message.body[..]);
        match message.header.kind {
            Kind::HELLO | Kind::HELLO_OK | Kind::REFUSED => {
                serde_json::from_slice(body).map_err(|error| error.to_string())
            }
            Kind::CALL => request(codec, Method(message.header.method), body),
            Kind::REPLY => self.calls.get(&id).map_or(Ok(Value::Null), |method| answer(codec, *method, body)),
            Kind::ERROR => as_value::<Error>(codec, body),
            Kind::PROGRESS => as_value::<Progress>(codec, body),
            Kind::STREAM_OPEN => as_value::<StreamOpen>(codec, body),
            Kind::STREAM_END => as_value::<StreamEnd>(codec, body),
            Kind::STREAM_RESET => as_value::<StreamReset>(codec, body),
            Kind::LOG => as_value::<Log>(codec, body),
            Kind::GOODBYE => as_value::<Goodbye>(codec, body),
            Kind::ABORT => as_value::<Abort>(codec, body),
            Kind::SNAPSHOT => as_value::<Snapshot>(codec, body),
            Kind::CREDIT => Credit::decode(body).ok_or_else(|| "no 24 bytes".into()).map(|credit| {
                json!({"stream": credit.stream, "connection": credit.connection, "durable": credit.durable})
            }),
            Kind::DATA => self.data(id, body).map(Value::Array),
            _ if body.is_empty() => Ok(Value::Null),
            _ => Ok(Value::String(hex(body))),
        }
    }

    /// The items that a DATA frame completes.
    fn data(&mut self, stream: u64, body: &[u8]) -> Result<Vec<Value>, String> {
        let Some((call, partial)) = self.streams.get_mut(&stream) else {
            return Err("a stream that was not opened".into());
        };
        let method = self.calls.get(call).copied();
        partial.extend_from_slice(body);
        let (mut items, mut rest) = (Vec::new(), &partial[..]);
        while let Some((head, tail)) = rest.split_first_chunk::<4>() {
            let Some((item, tail)) = tail.split_at_checked(u32::from_le_bytes(*head) as usize) else { break };
            items.push(match method {
                Some(Method::GET_CHANGES) => as_value::<Change>(self.codec, item)?,
                Some(Method::READ) => as_value::<ReadResult<'_>>(self.codec, item)?,
                _ => Value::String(hex(item)),
            });
            rest = tail;
        }
        *partial = rest.to_vec();
        Ok(items)
    }
}

const fn is_of_a_call(kind: Kind) -> bool {
    matches!(kind, Kind::CALL | Kind::REPLY | Kind::ERROR | Kind::PROGRESS | Kind::CANCEL)
}

fn codecs(hello: &[u8]) -> Vec<u16> {
    serde_json::from_slice::<Hello>(hello).map(|hello| hello.codecs).unwrap_or_default()
}

fn as_value<'a, T: Deserialize<'a> + Serialize>(codec: Codec, body: &'a [u8]) -> Result<Value, String> {
    let body: T = decode(codec, body)?;
    serde_json::to_value(body).map_err(|error| error.to_string())
}

fn request(codec: Codec, method: Method, body: &[u8]) -> Result<Value, String> {
    match method {
        Method::INITIALIZE => as_value::<Initialize>(codec, body),
        Method::CREATE_COLLECTION => as_value::<CreateCollection>(codec, body),
        Method::CONNECT => as_value::<Connect>(codec, body),
        Method::CONNECT_DONE => as_value::<ConnectDone>(codec, body),
        Method::GET_CHANGES => as_value::<GetChanges>(codec, body),
        Method::GET_CHANGES_PAGE => as_value::<GetChangesPage>(codec, body),
        Method::READ | Method::READ_PAGE => as_value::<Read>(codec, body),
        Method::COMMIT => as_value::<Commit<'_>>(codec, body),
        Method::REMARSHAL => as_value::<Remarshal>(codec, body),
        Method::COMPARE => as_value::<Compare>(codec, body),
        Method::MEMBER_UPDATE => as_value::<MemberUpdate>(codec, body),
        Method::RAISE_SLOW_SYNC => as_value::<RaiseSlowSync>(codec, body),
        Method::ASK => as_value::<Ask>(codec, body),
        Method::CONNECT_HOST => as_value::<ConnectHost>(codec, body),
        Method::LOOKUP_SRV | Method::LOOKUP_TXT => as_value::<Lookup>(codec, body),
        Method::RENAME => as_value::<Rename>(codec, body),
        _ => Ok(bare(body)),
    }
}

fn answer(codec: Codec, method: Method, body: &[u8]) -> Result<Value, String> {
    match method {
        Method::INITIALIZE => as_value::<Initialized>(codec, body),
        Method::DISCOVER => as_value::<Discovered>(codec, body),
        Method::CREATE_COLLECTION => as_value::<Sink>(codec, body),
        Method::CONNECT => as_value::<Connected>(codec, body),
        Method::GET_CHANGES => as_value::<Listing>(codec, body),
        Method::GET_CHANGES_PAGE => as_value::<ChangesPage>(codec, body),
        Method::READ_PAGE => as_value::<ReadPage<'_>>(codec, body),
        Method::COMMIT => as_value::<Committed>(codec, body),
        Method::REMARSHAL => as_value::<Remarshalled>(codec, body),
        Method::COMPARE => as_value::<Compared>(codec, body),
        Method::MEMBER_UPDATE => as_value::<MemberUpdated>(codec, body),
        Method::RAISE_SLOW_SYNC => as_value::<Member>(codec, body),
        Method::CONNECT_HOST => as_value::<HostConnected>(codec, body),
        Method::LOOKUP_SRV => as_value::<SrvRecords>(codec, body),
        Method::LOOKUP_TXT => as_value::<TxtRecords>(codec, body),
        _ => Ok(bare(body)),
    }
}

fn bare(body: &[u8]) -> Value {
    if body.is_empty() { Value::Null } else { Value::String(hex(body)) }
}

/// Bytes as text where they are text, and in hexadecimal digits where they are not.
fn readable(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(readable).collect(),
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| match value {
                Value::String(text) if BYTES.contains(&name.as_str()) => (name, Value::String(bytes(&text))),
                value => (name, readable(value)),
            };
            fields.into_iter().map(field).collect()
        }
        other => other,
    }
}

fn bytes(base64: &str) -> String {
    STANDARD.decode(base64).map_or_else(|_| base64.to_owned(), |bytes| shown(&bytes))
}

/// Bytes as they stand in a described body.
pub(crate) fn shown(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| format!("0x{}", hex(bytes)), str::to_owned)
}

/// The bytes that [`shown`] showed; `None` for digits that are none.
pub(crate) fn unshown(text: &str) -> Option<Vec<u8>> {
    text.strip_prefix("0x").map_or_else(|| Some(text.as_bytes().to_vec()), unhex)
}

/// The bytes of hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2));
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::{Href, ReadItem};

    use super::*;
    use crate::bodies::encode;

    fn call(method: Method, body: Vec<u8>) -> Message {
        Message::new(
            outrigger_protocol::Header { method: method.0, ..outrigger_protocol::Header::new(Kind::CALL, 1) },
            body,
        )
    }

    #[test]
    fn a_frame_is_a_line_with_its_body_decoded_and_nothing_that_draws() {
        let items = vec![ReadItem { href: Href::from("a\u{1b}[2J.vcf"), known: None }];
        let message = call(Method::READ, encode(Codec::Bincode, &Read { items }));
        let line =
            Describer::default().line(Duration::from_millis(1), Direction::ToPlugin, Heard::Frame(&message));
        assert!(line.starts_with("  0.001000 → CALL 1 read on object 0  {"), "{line}");
        assert!(line.contains("a\\u001b[2J.vcf") && !line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn a_secret_is_not_shown_and_an_unreadable_body_is_no_error() {
        let mut message = call(Method::READ, b"hunter2".to_vec());
        let mut describer = Describer::default();
        assert!(describer.frame(&message).contains("cannot be read"));
        message.header.flags = Flags::SECRET;
        assert!(describer.frame(&message).contains("(7 secret bytes)"));
    }
}
