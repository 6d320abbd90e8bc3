//! What the golden vectors hold: every kind of frame and every type of body, with fixed values.

use std::time::Duration;

use outrigger_protocol::{
    Abort, AuthKind, Budget, Code, Codec, ConnectDone, Connected, Credit, Decoder, Flags, Frame, GetChanges,
    Goodbye, Handshake, Header, Hello, IdleTimes, Initialized, Kind, Level, Log, Method, ObjectId, PREFACE,
    Progress, Refused, Secret, SessionId, StreamEnd, StreamReset,
};
use serde::{Deserialize, Serialize};

use super::annotate::{self, Line};
use super::{callback_values, frames, harness, values};

/// Decodes bytes; whether they are the fixed value.
pub(crate) type Back = Box<dyn Fn(&[u8]) -> Result<bool, String>>;

/// One vector.
pub(crate) struct Sample {
    /// The file's name, without its end.
    pub(crate) name: String,
    /// Its first line.
    pub(crate) title: String,
    pub(crate) lines: Vec<Line>,
    /// Whether it is a whole frame.
    pub(crate) is_frame: bool,
    pub(crate) back: Back,
}

impl Sample {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        annotate::bytes(&self.lines)
    }
}

/// A body in both codecs: as bincode encodes it and, line by line, from the description; and as
/// the text that JSON is.
macro_rules! body {
    ($name:literal, $type:ty, $value:expr) => {{
        let value = $value;
        let lines = annotate::lines(&value);
        assert_eq!(frames::encoded(&value), annotate::bytes(&lines), "{}: bincode differs", $name);
        let text = text_lines(&frames::encoded_in(Codec::Json, &value));
        [(Codec::Bincode, "body", lines), (Codec::Json, "json", text)].map(|(codec, prefix, lines)| {
            let value = value.clone();
            let back = move |bytes: &[u8]| {
                let back = codec.decode::<$type>(bytes).map_err(|error| error.to_string())?;
                Ok(back == value)
            };
            Sample {
                name: format!("{prefix}-{}", $name),
                title: format!("Body: {}, codec {}", $name, codec.number()),
                lines,
                is_frame: false,
                back: Box::new(back),
            }
        })
    }};
}

/// A body in both codecs.
type Both = [Sample; 2];

/// All of them.
pub(crate) fn all() -> Vec<Sample> {
    let bodies = [requests_and_answers(), objects(), pages(), callbacks(), bulk()];
    let mut all: Vec<Sample> = bodies.into_iter().flatten().flatten().collect();
    all.extend(small_frames());
    all.extend(call_frames());
    all.extend(stream_frames());
    all.extend(handshake_frames());
    all
}

fn requests_and_answers() -> Vec<Both> {
    let mut all = vec![
        body!("initialize", outrigger_protocol::Initialize, values::initialize()),
        body!("initialized", Initialized, values::initialized()),
        body!("discovered", outrigger_protocol::Discovered, values::discovered()),
        body!("create_collection", outrigger_protocol::CreateCollection, values::create_collection()),
        body!("connect", outrigger_protocol::Connect, values::connect()),
        body!("connected", Connected, Connected { slow_sync: true }),
        body!("connect_done", ConnectDone, ConnectDone { slow_sync: false }),
        body!("get_changes", GetChanges, GetChanges { slow_sync: true, anchor: None }),
        body!("listing", outrigger_protocol::Listing, values::listing()),
        body!("read", outrigger_protocol::Read, values::read()),
        body!("commit", outrigger_protocol::Commit<'_>, values::commit()),
        body!("committed", outrigger_protocol::Committed, values::committed()),
        body!("nothing", (), ()),
    ];
    let outcomes = ["item", "not_modified", "not_found", "failed"];
    for (outcome, value) in outcomes.iter().zip(values::read_results()) {
        all.push(renamed(body!("read_result", outrigger_protocol::ReadResult<'_>, value), outcome));
    }
    for (kind, value) in ["create", "update", "delete"].iter().zip(values::commit_items()) {
        all.push(renamed(body!("commit_item", outrigger_protocol::CommitItem<'_>, value), kind));
    }
    for (outcome, value) in ["done", "done_unread", "failed"].iter().zip(values::commit_results()) {
        all.push(renamed(body!("commit_result", outrigger_protocol::CommitResult, value), outcome));
    }
    all
}

fn renamed(both: Both, part: &str) -> Both {
    both.map(|sample| {
        let (name, title) = (format!("{}-{part}", sample.name), format!("{} ({part})", sample.title));
        Sample { name, title, ..sample }
    })
}

fn objects() -> Vec<Both> {
    vec![
        body!("change", outrigger_protocol::Change, values::change()),
        body!("change-checkpoint", outrigger_protocol::Change, values::change_with_checkpoint()),
        body!("error", outrigger_protocol::Error, values::error()),
        body!("member", outrigger_protocol::Member, values::member()),
        body!("group", outrigger_protocol::Group, values::group()),
        body!("sink", outrigger_protocol::Sink, values::sink()),
        renamed(body!("sink", outrigger_protocol::Sink, values::broken_sink()), "unavailable"),
        renamed(body!("sink", outrigger_protocol::Sink, values::sink_with_dedupe()), "dedupe"),
    ]
}

fn pages() -> Vec<Both> {
    let [more, last] = callback_values::changes_pages();
    vec![
        body!("get_changes_page", outrigger_protocol::GetChangesPage, callback_values::get_changes_page()),
        renamed(body!("changes_page", outrigger_protocol::ChangesPage, more), "more"),
        renamed(body!("changes_page", outrigger_protocol::ChangesPage, last), "last"),
        body!("read_page", outrigger_protocol::ReadPage<'_>, callback_values::read_page()),
    ]
}

fn callbacks() -> Vec<Both> {
    let [member, group] = callback_values::snapshots();
    let mut all = vec![
        body!("member_update", outrigger_protocol::MemberUpdate, callback_values::member_update()),
        body!("member_updated", outrigger_protocol::MemberUpdated, callback_values::member_updated()),
        body!("raise_slow_sync", outrigger_protocol::RaiseSlowSync, callback_values::raise_slow_sync()),
        body!("ask", outrigger_protocol::Ask, callback_values::ask()),
        body!("answered", outrigger_protocol::Answered, callback_values::answered()),
        renamed(body!("snapshot", outrigger_protocol::Snapshot, member), "member"),
        renamed(body!("snapshot", outrigger_protocol::Snapshot, group), "group"),
        body!("remarshal", outrigger_protocol::Remarshal, callback_values::remarshal()),
        body!("remarshalled", outrigger_protocol::Remarshalled, callback_values::remarshalled()),
        body!("compare", outrigger_protocol::Compare, callback_values::compare()),
        body!("connect_host", outrigger_protocol::ConnectHost, callback_values::connect_host()),
        body!("host_connected", outrigger_protocol::HostConnected, callback_values::host_connected()),
        body!("lookup", outrigger_protocol::Lookup, callback_values::lookup()),
        body!("srv_records", outrigger_protocol::SrvRecords, callback_values::srv_records()),
        body!("txt_records", outrigger_protocol::TxtRecords, callback_values::txt_records()),
        body!("rename", outrigger_protocol::Rename, callback_values::rename()),
    ];
    for (verdict, value) in ["same", "similar", "different"].iter().zip(callback_values::verdicts()) {
        all.push(renamed(body!("compared", outrigger_protocol::Compared, value), verdict));
    }
    all
}

fn bulk() -> Vec<Both> {
    let open = body!("stream_open", outrigger_protocol::StreamOpen, callback_values::stream_open());
    let mut all = vec![renamed(open, "bulk")];
    for (digest, value) in ["none", "sha256", "blake3"].iter().zip(callback_values::stream_ends()) {
        let end = body!("stream_end", StreamEnd, value);
        all.push(renamed(end, &format!("bulk-{digest}")));
    }
    all
}

/// The fields of a header.
fn header_lines(header: &Header) -> Vec<Line> {
    let bytes = header.encode();
    let fields = [
        (0..4, format!("body_len {}", header.body_len)),
        (4..5, format!("kind {}", header.kind)),
        (5..6, format!("flags {}", header.flags.0)),
        (6..7, format!("handles {}", header.handles)),
        (7..8, "zero".into()),
        (8..16, format!("id {}", header.id)),
        (16..20, format!("target {}", header.target.0)),
        (20..22, format!("method {}", header.method)),
        (22..24, format!("ext_len {}", header.ext_len)),
        (24..28, format!("budget_ms {}", header.budget.0)),
    ];
    fields.map(|(at, name)| (bytes[at].to_vec(), name)).into()
}

/// A frame from its parts; `check` looks at what came back.
fn frame(
    name: &str,
    header: Header,
    ext: Vec<Line>,
    body: Vec<Line>,
    check: impl Fn(Frame<'_>) -> Result<bool, String> + 'static,
) -> Sample {
    let (ext_len, body_len) = (annotate::bytes(&ext).len(), annotate::bytes(&body).len());
    let header = Header {
        ext_len: u16::try_from(ext_len).unwrap(),
        body_len: u32::try_from(ext_len + body_len).unwrap(),
        ..header
    };
    let lines = [header_lines(&header), ext, body].concat();
    let back = move |bytes: &[u8]| {
        let mut decoder = Decoder::new(1 << 20);
        frames::feed(&mut decoder, bytes);
        match decoder.next_frame() {
            Ok(Some(frame)) => Ok(frame.header == header && check(frame)?),
            Ok(None) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    };
    let title = format!("Frame: {}", header.kind);
    Sample { name: format!("frame-{name}"), title, lines, is_frame: true, back: Box::new(back) }
}

/// A frame whose body is a value of codec 1.
fn with_body<T>(name: &str, header: Header, value: T) -> Sample
where
    T: Serialize + for<'de> Deserialize<'de> + PartialEq + 'static,
{
    let body = annotate::lines(&value);
    assert_eq!(frames::encoded(&value), annotate::bytes(&body), "{name}: bincode differs");
    frame(name, header, Vec::new(), body, move |frame| {
        Codec::Bincode.decode::<T>(frame.body).map(|back| back == value).map_err(|error| error.to_string())
    })
}

/// A frame whose body is raw bytes.
fn with_raw(name: &str, header: Header, body: Vec<Line>) -> Sample {
    let bytes = annotate::bytes(&body);
    frame(name, header, Vec::new(), body, move |frame| Ok(frame.body == bytes))
}

fn small_frames() -> Vec<Sample> {
    let new = Header::new;
    let log = Log { level: Level::Warn, message: "slow server".into() };
    let unknown = Header { flags: Flags::CRITICAL, ..new(Kind(200), 9) };
    vec![
        with_body("log", new(Kind::LOG, 0), log),
        with_body(
            "snapshot",
            Header { target: ObjectId(1), ..new(Kind::SNAPSHOT, 0) },
            callback_values::snapshots()[0].clone(),
        ),
        with_raw("notify", Header { target: ObjectId(2), ..new(Kind::NOTIFY, 0) }, vec![]),
        with_raw("ping", new(Kind::PING, 0), vec![]),
        with_raw("pong", new(Kind::PONG, 0), vec![]),
        with_body("goodbye", new(Kind::GOODBYE, 0), Goodbye { last_accepted: 3 }),
        with_raw("goodbye_ok", new(Kind::GOODBYE_OK, 0), vec![]),
        with_body("abort", new(Kind::ABORT, 0), Abort { reason: "call 7 was never issued".into() }),
        with_raw("unimplemented", new(Kind::UNIMPLEMENTED, 0), header_lines(&unknown)),
        with_raw("critical_unknown", unknown, vec![]),
    ]
}

fn call_frames() -> Vec<Sample> {
    let call = Header {
        flags: Flags::NESTED,
        target: ObjectId(2),
        method: Method::GET_CHANGES.0,
        budget: Budget(30_000),
        ..Header::new(Kind::CALL, 3)
    };
    let (entries, body) = (
        frames::entries(&[(2, &8u64.to_le_bytes()), (4, b"")]),
        GetChanges { slow_sync: true, anchor: None },
    );
    let ext = vec![
        (entries[..4].to_vec(), "extension: tag 2, length 8".into()),
        (entries[4..12].to_vec(), "the parent: call 8".into()),
        (entries[12..].to_vec(), "extension: tag 4, length 0".into()),
    ];
    let lines = annotate::lines(&body);
    let check = move |frame: Frame<'_>| {
        let back: GetChanges = Codec::Bincode.decode(frame.body).map_err(|error| error.to_string())?;
        Ok(frame.ext == entries && back == body)
    };
    let progress = Progress { done: 20, total: Some(100), waiting_ms: 1500 };
    let secret = Header { flags: Flags::SECRET, ..Header::new(Kind::REPLY, 3) };
    let handle = Header { handles: 1, ..Header::new(Kind::REPLY, 8) };
    vec![
        frame("call", call, ext, lines, check),
        nested_call(),
        with_body("reply", Header::new(Kind::REPLY, 1), values::listing()),
        with_body("reply_secret", secret, callback_values::answered()),
        with_body("reply_handle", handle, callback_values::host_connected()),
        with_body("error", Header::new(Kind::ERROR, 1), values::error()),
        with_raw("cancel", Header::new(Kind::CANCEL, 1), vec![]),
        with_body("progress", Header::new(Kind::PROGRESS, 1), progress),
    ]
}

/// A plugin's own call, made while it serves call 7.
fn nested_call() -> Sample {
    let call = Header {
        flags: Flags::NESTED,
        target: ObjectId(1),
        method: Method::MEMBER_UPDATE.0,
        budget: Budget::DEFAULT,
        ..Header::new(Kind::CALL, 8)
    };
    let entries = frames::entries(&[(2, &7u64.to_le_bytes())]);
    let ext = vec![
        (entries[..4].to_vec(), "extension: tag 2, length 8".into()),
        (entries[4..].to_vec(), "the parent: call 7".into()),
    ];
    let body = callback_values::member_update();
    frame("call_nested", call, ext, annotate::lines(&body), move |frame| {
        let back = Codec::Bincode.decode(frame.body).map_err(|error| error.to_string())?;
        Ok(frame.ext == entries && body == back)
    })
}

fn stream_frames() -> Vec<Sample> {
    let new = Header::new;
    let mut data = Vec::new();
    for (index, _) in [0, 1].iter().enumerate() {
        let lines = annotate::lines(&values::change());
        let length = u32::try_from(annotate::bytes(&lines).len()).unwrap();
        data.push((length.to_le_bytes().to_vec(), format!("item {index}: length {length}")));
        data.extend(lines.into_iter().map(|(bytes, name)| (bytes, format!("item {index}: {name}"))));
    }
    let credit = Credit { stream: 524_288, connection: 8_388_608, durable: 0 };
    let bytes = credit.encode();
    let credit = vec![
        (bytes[..8].to_vec(), "stream 524288".into()),
        (bytes[8..16].to_vec(), "connection 8388608".into()),
        (bytes[16..].to_vec(), "durable 0".into()),
    ];
    vec![
        with_body("stream_open", new(Kind::STREAM_OPEN, 4), values::stream_open()),
        with_raw("data", new(Kind::DATA, 2), data),
        with_raw("credit", new(Kind::CREDIT, 2), credit),
        with_body("stream_end", new(Kind::STREAM_END, 2), StreamEnd { items: 2, bytes: 186, bulk: None }),
        with_body("stream_reset", new(Kind::STREAM_RESET, 2), StreamReset { code: Code::CANCELLED }),
    ]
}

/// The secret under the proofs.
pub(crate) const SECRET: [u8; 32] = [0x5e; 32];

/// What each side of a handshake with proofs says, in four parts.
pub(crate) fn conversation() -> [Vec<u8>; 4] {
    let secret = Some(Secret(SECRET));
    let session = SessionId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
    let mut plugin = Handshake::dial(Hello::new("plugin 1.0", AuthKind::Hmac, [1; 32]), secret.clone());
    let mut broker = Handshake::listen(Hello::new("broker 1.0", AuthKind::Hmac, [2; 32]), secret, session);
    let (mut to_plugin, mut to_broker) = (Decoder::new(1 << 16), Decoder::new(1 << 16));
    let hello = plugin.output();
    frames::feed(&mut to_broker, &hello);
    assert_eq!(broker.receive(&mut to_broker), Ok(None));
    let hello_ok = broker.output();
    frames::feed(&mut to_plugin, &hello_ok);
    assert_eq!(plugin.receive(&mut to_plugin), Ok(None));
    let plugin_proof = plugin.output();
    frames::feed(&mut to_broker, &plugin_proof);
    assert!(broker.receive(&mut to_broker).unwrap().is_some());
    let broker_proof = broker.output();
    frames::feed(&mut to_plugin, &broker_proof);
    assert!(plugin.receive(&mut to_plugin).unwrap().is_some());
    [hello, hello_ok, plugin_proof, broker_proof]
}

/// What a broker says that waits for 30 s at most in every call.
fn shortened() -> Vec<u8> {
    let idle = IdleTimes::at_most(Duration::from_secs(30));
    said_by(Hello { idle, ..Hello::new("broker 1.0", AuthKind::Inherited, [2; 32]) })
}

/// What one says that passes descriptors.
fn passing() -> Vec<u8> {
    let features = vec![outrigger_protocol::HANDLES.to_owned()];
    said_by(Hello { features, ..Hello::new("broker 1.0", AuthKind::Inherited, [2; 32]) })
}

fn said_by(broker: Hello) -> Vec<u8> {
    let session = SessionId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
    let mut broker = Handshake::listen(broker, None, session);
    let mut decoder = Decoder::new(1 << 16);
    frames::feed(
        &mut decoder,
        &Handshake::dial(Hello::new("x", AuthKind::Inherited, [1; 32]), None).output(),
    );
    assert!(broker.receive(&mut decoder).unwrap().is_some());
    broker.output()
}

fn handshake_frames() -> Vec<Sample> {
    let refused = Refused { reason: "no common protocol".into(), hint: "upgrade this end".into() };
    let refused = frames::raw(Kind::REFUSED, 0, &serde_json::to_vec(&refused).unwrap());
    let [hello, hello_ok, plugin_proof, broker_proof] = conversation();
    vec![
        spoken("hello", Kind::HELLO, &hello),
        spoken("hello_ok", Kind::HELLO_OK, &hello_ok),
        spoken("hello_ok-handles", Kind::HELLO_OK, &passing()),
        spoken("hello_ok-idle", Kind::HELLO_OK, &shortened()),
        spoken("proof_dialler", Kind::PROOF, &plugin_proof),
        spoken("proof_listener", Kind::PROOF, &broker_proof),
        spoken("refused", Kind::REFUSED, &refused),
    ]
}

/// Text as it reads, 32 bytes a line.
fn text_lines(text: &[u8]) -> Vec<Line> {
    let shown = |chunk: &[u8]| chunk.escape_ascii().to_string().replace("\\\"", "\"");
    text.chunks(32).map(|chunk| (chunk.to_vec(), shown(chunk))).collect()
}

/// A vector of what a handshake says: the preface if it begins with it, a header, a body in JSON
/// or raw.
fn spoken(name: &str, kind: Kind, bytes: &[u8]) -> Sample {
    let rest = bytes.strip_prefix(&PREFACE);
    let mut lines: Vec<Line> = rest.iter().map(|_| (PREFACE.to_vec(), "preface".into())).collect();
    let rest = rest.unwrap_or(bytes);
    let header = Header::decode(rest.first_chunk().unwrap()).unwrap();
    assert_eq!(header.kind, kind);
    lines.extend(header_lines(&header));
    let body = &rest[outrigger_protocol::limits::HEADER..];
    if kind == Kind::PROOF {
        lines.push((body.to_vec(), "HMAC-SHA256".into()));
    } else {
        lines.extend(text_lines(body));
    }
    let whole = bytes.to_vec();
    let back = move |bytes: &[u8]| {
        harness::handshake(bytes);
        Ok(bytes == whole)
    };
    let title = format!("Handshake: {kind}");
    Sample { name: format!("handshake-{name}"), title, lines, is_frame: true, back: Box::new(back) }
}
