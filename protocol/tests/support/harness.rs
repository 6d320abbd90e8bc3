//! What the fuzz targets and the replay of their corpora do with hostile bytes. Uses nothing but
//! the public API: `fuzz/` includes this file.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each target uses a part")]

use std::time::Duration;

use outrigger_protocol::{
    AuthKind, Budget, CallId, CallOptions, Change, Code, Codec, Commit, CommitItem, CommitResult, Committed,
    Connect, ConnectDone, Connected, Connection, CreateCollection, Decoder, Discovered, Error, Event,
    GetChanges, Group, Handshake, Header, Hello, Initialize, Initialized, Kind, Limits, Listing, Log, Member,
    Method, ObjectId, Progress, Read, ReadResult, Role, Secret, Session, SessionId, Sink, StreamEnd,
    StreamKind, StreamOpen, StreamReset, VERSION,
};
use serde::{Deserialize, Serialize};

/// Decodes hostile bytes as the type at hand; what was accepted must encode to the same bytes.
fn body<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8]) {
    if let Ok(value) = Codec::Bincode.decode::<T>(bytes) {
        let mut again = Vec::new();
        Codec::Bincode.encode(&value, &mut again).unwrap();
        assert_eq!(again, bytes, "one value, two encodings");
    }
}

/// A type of body: its name, and what decodes it.
pub type Body = (&'static str, fn(&[u8]));

macro_rules! bodies {
    ($($name:literal $type:ty;)*) => {
        /// Every type of body, in an order that corpora rely on.
        pub const BODIES: &[Body] = &[$(($name, |bytes| body::<$type>(bytes))),*];
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
}

/// Decodes hostile bytes as every type.
pub fn every_body(bytes: &[u8]) {
    for (_, decode) in BODIES {
        decode(bytes);
    }
}

/// Decodes hostile bytes as the type that the first of them names.
pub fn one_body(bytes: &[u8]) {
    if let Some((which, bytes)) = bytes.split_first() {
        BODIES[usize::from(*which) % BODIES.len()].1(bytes);
    }
}

/// Hostile bytes to a connection in each role and state.
pub fn connection(bytes: &[u8]) {
    broker(bytes);
    plugin(bytes);
}

/// Hostile bytes to a broker: fresh, and at work.
pub fn broker(bytes: &[u8]) {
    Victim::new(Role::Broker, false).suffer(bytes);
    Victim::new(Role::Broker, true).suffer(bytes);
}

/// Hostile bytes to a plugin: fresh, and at work.
pub fn plugin(bytes: &[u8]) {
    Victim::new(Role::Plugin, false).suffer(bytes);
    Victim::new(Role::Plugin, true).suffer(bytes);
}

/// The fuzz targets, each with the function that it feeds.
pub const TARGETS: &[Body] =
    &[("broker", broker), ("plugin", plugin), ("handshake", handshake), ("body", one_body)];

/// One machine under attack.
pub struct Victim {
    pub connection: Connection<u32>,
    pub decoder: Decoder,
    made: usize,
    ended: Vec<u32>,
}

impl Victim {
    /// A fresh machine, or one with two calls open, data coming for the first, a call of the peer
    /// in work and data going out for that.
    #[must_use]
    pub fn new(role: Role, busy: bool) -> Self {
        let limits = Limits::default();
        let session = Session {
            id: SessionId(uuid::Uuid::nil()),
            version: VERSION,
            codec: Codec::Bincode,
            peer_level: 1,
            features: Vec::new(),
            peer_limits: limits,
            own_limits: limits,
            peer_software: String::new(),
        };
        let connection = Connection::new(role, &session);
        let decoder = Decoder::new(limits.max_body as usize);
        let mut victim = Self { connection, decoder, made: 0, ended: Vec::new() };
        if busy {
            victim.keep_busy(if role == Role::Broker { (1, 2) } else { (2, 1) });
        }
        victim
    }

    fn keep_busy(&mut self, (ours, theirs): (u64, u64)) {
        self.call(1, Method::GET_CHANGES);
        self.call(2, Method::COMMIT);
        self.write();
        let open = Header { body_len: 12, ..Header::new(Kind::STREAM_OPEN, theirs) };
        let body = [&ours.to_le_bytes()[..], &[0; 4]].concat();
        self.take_in(&[&open.encode()[..], &body].concat());
        let call = Header { budget: Budget::DEFAULT, method: 7, ..Header::new(Kind::CALL, theirs + 2) };
        self.take_in(&call.encode());
        if let Some(stream) = self.connection.open_stream(CallId(theirs + 2), StreamKind::Items) {
            let _waiting = self.connection.push_item(stream, &vec![7u64; 40_000]);
        }
        self.write();
    }

    fn call(&mut self, target: u32, method: Method) {
        let (options, context) = (CallOptions::default(), u32::try_from(self.made).unwrap());
        let made = self.connection.call(ObjectId(target), method, &(), options, context, Duration::ZERO);
        self.made += usize::from(made.is_ok());
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
        let all: Vec<u32> = (0..u32::try_from(self.made).unwrap()).collect();
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
        let Self { connection, decoder, ended, .. } = self;
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
                    if !answer(connection, ended, &event) {
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

/// Does with an event what a driver would. False: the connection is over.
fn answer(connection: &mut Connection<u32>, ended: &mut Vec<u32>, event: &Event<'_, u32>) -> bool {
    match event {
        Event::Call(call) => {
            every_body(call.body);
            match call.method.0 % 3 {
                0 => ignore(connection.reply(call.id, &7u32)),
                1 => ignore(connection.fail(call.id, &Error::new(Code::UNIMPLEMENTED, "no"))),
                _ => ignore(connection.open_stream(call.id, StreamKind::Items).is_some()),
            }
        }
        Event::Cancel(call) => ignore(connection.fail(*call, &Error::new(Code::CANCELLED, "yes"))),
        Event::Items { stream, items, .. } => {
            let _never = items.for_each(|item| {
                body::<Change>(item);
                body::<ReadResult<'_>>(item);
                Ok::<(), ()>(())
            });
            return connection.consumed(*stream, items.bytes).is_ok();
        }
        Event::Goodbye => {
            while let Some(event) = connection.not_accepted() {
                remember(ended, &event);
            }
        }
        Event::Reply { body, .. } => every_body(body),
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
