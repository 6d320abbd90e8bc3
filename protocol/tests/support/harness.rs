//! What the fuzz targets and the replay of their corpora do with hostile bytes. Uses nothing but
//! the public API: `fuzz/` includes this file.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each target uses a part")]

use std::time::Duration;

use outrigger_protocol::{
    AuthKind, Budget, CallId, CallOptions, Change, Code, Codec, Commit, CommitItem, CommitResult, Committed,
    Connect, ConnectDone, Connected, Connection, CreateCollection, Decoder, Discovered, Error, Event,
    GetChanges, Group, Handshake, Header, Hello, IdleTimes, Initialize, Initialized, Kind, Limits, Listing,
    Log, Member, Method, ObjectId, Progress, Read, ReadResult, Role, Secret, Session, SessionId, Sink,
    StreamEnd, StreamKind, StreamOpen, StreamReset, VERSION,
};
use serde::{Deserialize, Serialize};

/// Decodes hostile bytes as the type at hand, and encodes what was accepted.
fn again<'a, T: Deserialize<'a> + Serialize>(codec: Codec, bytes: &'a [u8]) -> Option<Vec<u8>> {
    let value = codec.decode::<T>(bytes).ok()?;
    let mut again = Vec::new();
    codec.encode(&value, &mut again).unwrap();
    Some(again)
}

/// A value has one encoding in binary; in text, its own encoding comes back as it is.
fn compare(codec: Codec, bytes: &[u8], again: fn(Codec, &[u8]) -> Option<Vec<u8>>) {
    if let Some(canonical) = again(codec, bytes) {
        assert!(codec != Codec::Bincode || canonical == bytes, "one value, two encodings");
        assert_eq!(again(codec, &canonical).as_ref(), Some(&canonical));
    }
}

/// A type of body: its name, and what decodes it.
pub type Body = (&'static str, fn(Codec, &[u8]));

macro_rules! bodies {
    ($($name:literal $type:ty;)*) => {
        /// Every type of body, in an order that corpora rely on.
        pub const BODIES: &[Body] =
            &[$(($name, |codec, bytes| compare(codec, bytes, |codec, bytes| again::<$type>(codec, bytes)))),*];
    };
}

bodies! {
    "initialize" Initialize;
    "initialized" Initialized;
    "discovered" Discovered;
    "create_collection" CreateCollection;
    "connect" Connect;
    "connected" Connected;
    "connect_done" ConnectDone;
    "get_changes" GetChanges;
    "listing" Listing;
    "read" Read;
    "commit" Commit<'_>;
    "committed" Committed;
    "change" Change;
    "read_result" ReadResult<'_>;
    "commit_item" CommitItem<'_>;
    "commit_result" CommitResult;
    "error" Error;
    "member" Member;
    "group" Group;
    "sink" Sink;
    "progress" Progress;
    "log" Log;
    "stream_open" StreamOpen;
    "stream_end" StreamEnd;
    "stream_reset" StreamReset;
    "goodbye" outrigger_protocol::Goodbye;
    "abort" outrigger_protocol::Abort;
    "nothing" ();
    "get_changes_page" outrigger_protocol::GetChangesPage;
    "changes_page" outrigger_protocol::ChangesPage;
    "read_page" outrigger_protocol::ReadPage<'_>;
    "member_update" outrigger_protocol::MemberUpdate;
    "member_updated" outrigger_protocol::MemberUpdated;
    "raise_slow_sync" outrigger_protocol::RaiseSlowSync;
    "ask" outrigger_protocol::Ask;
    "answered" outrigger_protocol::Answered;
    "snapshot" outrigger_protocol::Snapshot;
    "remarshal" outrigger_protocol::Remarshal;
    "remarshalled" outrigger_protocol::Remarshalled;
    "compare" outrigger_protocol::Compare;
    "compared" outrigger_protocol::Compared;
    "connect_host" outrigger_protocol::ConnectHost;
    "host_connected" outrigger_protocol::HostConnected;
    "lookup" outrigger_protocol::Lookup;
    "srv_records" outrigger_protocol::SrvRecords;
    "txt_records" outrigger_protocol::TxtRecords;
    "rename" outrigger_protocol::Rename;
}

/// Decodes hostile bytes as every type, in both codecs.
pub fn every_body(bytes: &[u8]) {
    Codec::ALL.into_iter().for_each(|codec| every_type(codec, bytes));
}

fn every_type(codec: Codec, bytes: &[u8]) {
    for (_, decode) in BODIES {
        decode(codec, bytes);
    }
}

/// Added to the first byte of an input of [`one_body`]: the rest is JSON.
pub const IN_JSON: u8 = 128;

/// Decodes hostile bytes as the type that the first of them names.
pub fn one_body(bytes: &[u8]) {
    if let Some((which, bytes)) = bytes.split_first() {
        let codec = if *which < IN_JSON { Codec::Bincode } else { Codec::Json };
        BODIES[usize::from(which % IN_JSON) % BODIES.len()].1(codec, bytes);
    }
}

/// Hostile bytes to a connection in each role and state.
pub fn connection(bytes: &[u8]) {
    broker(bytes);
    plugin(bytes);
}

/// Hostile bytes to a broker: fresh and at work, in both codecs, and with a peer of level 0.
pub fn broker(bytes: &[u8]) {
    STATES.iter().for_each(|state| Victim::new(Role::Broker, *state).suffer(bytes));
    Victim::new(Role::Broker, State { level: 0, ..STATES[1] }).suffer(bytes);
}

/// Hostile bytes to a plugin: fresh and at work, in both codecs.
pub fn plugin(bytes: &[u8]) {
    STATES.iter().for_each(|state| Victim::new(Role::Plugin, *state).suffer(bytes));
}

/// A fuzz target: its name, and what it feeds.
pub type Target = (&'static str, fn(&[u8]));

/// The fuzz targets.
pub const TARGETS: &[Target] =
    &[("broker", broker), ("plugin", plugin), ("handshake", handshake), ("body", one_body)];

/// How a machine stands when the attack begins.
#[derive(Debug, Clone, Copy)]
pub struct State {
    pub codec: Codec,
    /// The level of the peer.
    pub level: u8,
    /// Two calls open, data coming for the first, a call of the peer in work and data going out
    /// for that (with a peer that has streams), and a call nested in it.
    pub busy: bool,
}

/// The states that each role is attacked in.
pub const STATES: [State; 4] = [
    State { codec: Codec::Bincode, level: 1, busy: false },
    State { codec: Codec::Bincode, level: 1, busy: true },
    State { codec: Codec::Json, level: 1, busy: false },
    State { codec: Codec::Json, level: 1, busy: true },
];

/// One machine under attack.
pub struct Victim {
    pub connection: Connection<u32>,
    pub decoder: Decoder,
    codec: Codec,
    made: u32,
    ended: Vec<u32>,
}

impl Victim {
    /// A machine in a state.
    #[must_use]
    pub fn new(role: Role, state: State) -> Self {
        let limits = Limits::default();
        let session = Session {
            id: SessionId(uuid::Uuid::nil()),
            version: VERSION,
            codec: state.codec,
            peer_level: state.level,
            features: Vec::new(),
            peer_limits: Limits { stream_window: 1000, ..limits },
            own_limits: limits,
            peer_idle: IdleTimes::default(),
            own_idle: IdleTimes::default(),
            peer_software: String::new(),
        };
        let connection = Connection::new(role, &session);
        let decoder = Decoder::new(limits.max_body as usize);
        let mut victim = Self { connection, decoder, codec: state.codec, made: 0, ended: Vec::new() };
        if state.busy {
            victim.keep_busy(if role == Role::Broker { (1, 2) } else { (2, 1) }, state.level);
        }
        victim
    }

    fn keep_busy(&mut self, (ours, theirs): (u64, u64), level: u8) {
        self.call(1, Method::GET_CHANGES);
        self.call(2, Method::COMMIT);
        self.write();
        if level == 0 {
            return;
        }
        let mut body = Vec::new();
        let open = StreamOpen { call: ours, kind: StreamKind::Items, bulk: None };
        self.codec.encode(&open, &mut body).unwrap();
        let body_len = u32::try_from(body.len()).unwrap();
        let open = Header { body_len, ..Header::new(Kind::STREAM_OPEN, theirs) };
        assert!(self.take_in(&[&open.encode()[..], &body].concat()));
        // Of the methods of `answer`, 8 leaves the call open.
        let call = Header { budget: Budget::DEFAULT, method: 8, ..Header::new(Kind::CALL, theirs + 2) };
        assert!(self.take_in(&call.encode()));
        let call = CallId(theirs + 2);
        let stream = self.connection.open_stream(call, StreamKind::Items).unwrap();
        self.connection.push_item(stream, &"x".repeat(3000)).unwrap();
        self.write();
        assert!(self.connection.is_serving(call) && self.connection.stream_waiting(stream) > Some(0));
    }

    fn call(&mut self, target: u32, method: Method) {
        let Self { connection, made, .. } = self;
        call(connection, made, ObjectId(target), method, CallOptions::default());
    }

    /// Takes the bytes in, cut in several ways, then lets time pass and hangs up: every context
    /// must have come out once.
    pub fn suffer(&mut self, bytes: &[u8]) {
        let cut = 1 + bytes.first().map_or(0, |first| usize::from(*first));
        if bytes.chunks(cut).all(|chunk| self.take_in(chunk)) {
            while let Some(event) = self.connection.expire(Duration::from_secs(4000)) {
                remember(&mut self.ended, &event);
            }
        }
        while let Some(event) = self.connection.lost("the end") {
            remember(&mut self.ended, &event);
        }
        self.write();
        self.ended.sort_unstable();
        let all: Vec<u32> = (0..self.made).collect();
        assert_eq!(self.ended, all, "each context comes out exactly once");
    }

    /// Takes a piece in; false: a rule was broken.
    pub fn take_in(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let space = self.decoder.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.decoder.filled(count);
            bytes = &bytes[count..];
            if !self.frames() {
                return false;
            }
        }
        self.write();
        true
    }

    fn frames(&mut self) -> bool {
        let Self { connection, decoder, codec, made, ended } = self;
        loop {
            let frame = match decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return true,
                Err(error) => {
                    connection.abort(&error);
                    return false;
                }
            };
            match connection.receive(frame, Duration::from_secs(1)) {
                Ok(None) => {}
                Ok(Some(event)) => {
                    remember(ended, &event);
                    if !answer(connection, *codec, made, ended, &event) {
                        return false;
                    }
                }
                Err(error) => {
                    connection.abort(&error);
                    return false;
                }
            }
        }
    }

    fn write(&mut self) {
        loop {
            let count = self.connection.output().len();
            if count == 0 {
                break;
            }
            self.connection.wrote(1 + count / 2);
        }
    }
}

fn remember(ended: &mut Vec<u32>, event: &Event<'_, u32>) {
    if let Event::Reply { context, .. } | Event::Failed { context, .. } = event {
        ended.push(*context);
    }
}

/// Whether the machine agreed is not the point here.
const fn ignore(_: bool) {}

fn call(
    connection: &mut Connection<u32>,
    made: &mut u32,
    target: ObjectId,
    method: Method,
    options: CallOptions,
) {
    let call = connection.call(target, method, &(), options, *made, Duration::ZERO);
    *made += u32::from(call.is_ok());
}

/// Does with an event what a driver would. False: the connection is over.
fn answer(
    connection: &mut Connection<u32>,
    codec: Codec,
    made: &mut u32,
    ended: &mut Vec<u32>,
    event: &Event<'_, u32>,
) -> bool {
    match event {
        Event::Call(incoming) => {
            every_type(codec, incoming.body);
            let options = CallOptions { parent: Some(incoming.id), ..CallOptions::default() };
            call(connection, made, ObjectId(9), Method::ASK, options);
            match incoming.method.0 % 4 {
                0 => ignore(connection.open_stream(incoming.id, StreamKind::Items).is_some()),
                1 => ignore(connection.fail(incoming.id, &Error::new(Code::UNIMPLEMENTED, "no"))),
                2 => ignore(connection.reply_secret(incoming.id, &"secret")),
                _ => ignore(connection.reply(incoming.id, &7u32)),
            }
        }
        Event::Cancel(call) => ignore(connection.fail(*call, &Error::new(Code::CANCELLED, "yes"))),
        Event::Items { stream, items, .. } => {
            let _never = items.for_each(|item| {
                again::<Change>(codec, item);
                again::<ReadResult<'_>>(codec, item);
                Ok::<(), ()>(())
            });
            return connection.consumed(*stream, items.bytes).is_ok();
        }
        Event::Goodbye => {
            while let Some(event) = connection.not_accepted() {
                remember(ended, &event);
            }
        }
        Event::Reply { body, .. } => every_type(codec, body),
        Event::Closed => return false,
        _ => {}
    }
    true
}

/// Hostile bytes to a handshake on each side, with a secret and without.
pub fn handshake(bytes: &[u8]) {
    let hello = || Hello::new("fuzz", AuthKind::Inherited, [1; 32]);
    for secret in [None, Some(Secret([2; 32]))] {
        suffer(Handshake::dial(hello(), secret.clone()), bytes);
        suffer(Handshake::listen(hello(), secret, SessionId(uuid::Uuid::nil())), bytes);
    }
}

fn suffer(mut handshake: Handshake, bytes: &[u8]) {
    let mut decoder = Decoder::new(1 << 20);
    let cut = 1 + bytes.len() / 3;
    for chunk in bytes.chunks(cut) {
        for part in chunk.chunks(30_000) {
            decoder.space()[..part.len()].copy_from_slice(part);
            decoder.filled(part.len());
            match handshake.receive(&mut decoder) {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => {
                    assert!(handshake.output().len() <= 64 << 10, "more than a peer takes before READY");
                    return;
                }
            }
        }
    }
}
