//! Two ends in one test: a pair of connections with simulated time. Bytes go between them in any
//! portions, late, or never.

use std::collections::VecDeque;
use std::time::Duration;

use outrigger_protocol::{
    CallId, CallOptions, Codec, Connection, Decoder, IdleTimes, Limits, Method, ObjectId, PeerError, Refusal,
    Role, Session, SessionId, StreamId, VERSION,
};

use super::frames;
use super::seen::{Context, Seen};

/// One side: its machine, its decoder, and the bytes on their way to it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) connection: Connection<Context>,
    decoder: Decoder,
    coming: VecDeque<u8>,
}

/// A session with the given limits.
pub(crate) fn session(own_limits: Limits, peer_limits: Limits) -> Session {
    Session {
        id: SessionId(uuid::Uuid::from_u128(1)),
        version: VERSION,
        codec: Codec::Bincode,
        peer_level: 1,
        features: Vec::new(),
        peer_limits,
        own_limits,
        peer_idle: IdleTimes::default(),
        own_idle: IdleTimes::default(),
        peer_software: "test".into(),
    }
}

impl End {
    pub(crate) fn new(role: Role, own: Limits, peer: Limits) -> Self {
        Self::of(role, &session(own, peer))
    }

    pub(crate) fn of(role: Role, session: &Session) -> Self {
        Self {
            connection: Connection::new(role, session),
            decoder: Decoder::new(session.own_limits.max_body as usize),
            coming: VecDeque::new(),
        }
    }

    /// With default limits, on a connection that passes descriptors.
    pub(crate) fn passing(role: Role) -> Self {
        let features = vec![outrigger_protocol::HANDLES.to_owned()];
        Self::of(role, &Session { features, ..session(Limits::default(), Limits::default()) })
    }

    /// With default limits.
    pub(crate) fn alone(role: Role) -> Self {
        Self::new(role, Limits::default(), Limits::default())
    }

    /// Takes bytes in; what happened, up to the first broken rule.
    pub(crate) fn take_in(&mut self, bytes: &[u8], now: Duration) -> (Vec<Seen>, Result<(), PeerError>) {
        let mut seen = Vec::new();
        for chunk in bytes.chunks(60_000) {
            frames::feed(&mut self.decoder, chunk);
            loop {
                let frame = match self.decoder.next_frame() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => return (seen, Err(error)),
                };
                match self.connection.receive(frame, now) {
                    Ok(Some(event)) => seen.push(event.into()),
                    Ok(None) => {}
                    Err(error) => return (seen, Err(error)),
                }
            }
        }
        (seen, Ok(()))
    }

    /// Takes bytes in that keep the rules.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let (seen, result) = self.take_in(bytes, Duration::ZERO);
        result.unwrap();
        seen
    }

    /// Takes bytes in that break a rule.
    pub(crate) fn refuse(&mut self, bytes: &[u8]) -> PeerError {
        self.take_in(bytes, Duration::ZERO).1.unwrap_err()
    }

    /// All that it has to say now.
    pub(crate) fn say(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.connection.output();
            if bytes.is_empty() {
                return all;
            }
            all.extend_from_slice(bytes);
            let count = bytes.len();
            self.connection.wrote(count);
        }
    }

    /// Calls with nothing in the body.
    pub(crate) fn call(&mut self, target: u32, method: Method, context: Context) -> CallId {
        self.try_call(target, method, CallOptions::default(), context, Duration::ZERO).unwrap()
    }

    pub(crate) fn try_call(
        &mut self,
        target: u32,
        method: Method,
        options: CallOptions,
        context: Context,
        now: Duration,
    ) -> Result<CallId, Refusal<Context>> {
        self.connection.call(ObjectId(target), method, &(), options, context, now)
    }

    /// Ends everything that is open, as a driver does when the link is gone.
    pub(crate) fn hang_up(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.connection.lost("gone")).map(Seen::from).collect()
    }

    pub(crate) fn not_accepted(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.connection.not_accepted()).map(Seen::from).collect()
    }

    pub(crate) fn expire(&mut self, now: Duration) -> Vec<Seen> {
        std::iter::from_fn(|| self.connection.expire(now)).map(Seen::from).collect()
    }
}

/// Both sides, and the time.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) broker: End,
    pub(crate) plugin: End,
    pub(crate) now: Duration,
    /// Whether data counts as dealt with as soon as it has come.
    pub(crate) consume: bool,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), Limits::default())
    }

    pub(crate) fn with(broker: Limits, plugin: Limits) -> Self {
        Self {
            broker: End::new(Role::Broker, broker, plugin),
            plugin: End::new(Role::Plugin, plugin, broker),
            now: Duration::ZERO,
            consume: true,
        }
    }

    /// In a codec.
    pub(crate) fn in_codec(limits: Limits, codec: Codec) -> Self {
        let session = Session { codec, ..session(limits, limits) };
        let [broker, plugin] = [Role::Broker, Role::Plugin].map(|role| End::of(role, &session));
        Self { broker, plugin, now: Duration::ZERO, consume: true }
    }

    fn ends(&mut self, to: Role) -> (&mut End, &mut End) {
        match to {
            Role::Broker => (&mut self.plugin, &mut self.broker),
            Role::Plugin => (&mut self.broker, &mut self.plugin),
        }
    }

    /// Moves at most `most` bytes from the other side's machine onto the line toward `to`.
    pub(crate) fn send(&mut self, to: Role, most: usize) -> usize {
        let (from, to) = self.ends(to);
        let bytes = from.connection.output();
        let count = bytes.len().min(most);
        to.coming.extend(&bytes[..count]);
        from.connection.wrote(count);
        count
    }

    /// Takes at most `most` bytes from the line into `to`.
    pub(crate) fn arrive(&mut self, to: Role, most: usize) -> Result<Vec<Seen>, PeerError> {
        let (now, consume) = (self.now, self.consume);
        let (_, end) = self.ends(to);
        let count = end.coming.len().min(most);
        let bytes: Vec<u8> = end.coming.drain(..count).collect();
        let (seen, result) = end.take_in(&bytes, now);
        result?;
        for event in &seen {
            if let Seen::Items { stream, bytes, .. } = event
                && consume
            {
                end.connection.consumed(*stream, *bytes)?;
            }
        }
        Ok(seen)
    }

    /// Lets bytes go both ways until nothing moves; what each side saw.
    pub(crate) fn settle(&mut self) -> (Vec<Seen>, Vec<Seen>) {
        let (mut broker, mut plugin) = (Vec::new(), Vec::new());
        for _ in 0..10_000 {
            let on_the_line = self.coming(Role::Broker) + self.coming(Role::Plugin);
            let moved = self.send(Role::Broker, usize::MAX) + self.send(Role::Plugin, usize::MAX);
            broker.extend(self.arrive(Role::Broker, usize::MAX).unwrap());
            plugin.extend(self.arrive(Role::Plugin, usize::MAX).unwrap());
            if moved + on_the_line == 0 {
                return (broker, plugin);
            }
        }
        panic!("the pair never comes to rest");
    }

    /// Ends the calls of a side whose time has run out.
    pub(crate) fn ends_expire(&mut self, side: Role) -> Vec<Seen> {
        let now = self.now;
        self.ends(side).1.expire(now)
    }

    /// Bytes on their way to a side.
    pub(crate) fn coming(&self, to: Role) -> usize {
        match to {
            Role::Broker => self.broker.coming.len(),
            Role::Plugin => self.plugin.coming.len(),
        }
    }

    /// The broker calls, the plugin has it.
    pub(crate) fn open_call(&mut self, target: u32, method: Method, context: Context) -> CallId {
        let id = self.broker.call(target, method, context);
        let (_, plugin) = self.settle();
        assert!(matches!(plugin[..], [Seen::Call { .. }]), "{plugin:?}");
        id
    }

    /// The plugin opens a stream of items for a call.
    pub(crate) fn open_stream(&mut self, call: CallId) -> StreamId {
        self.plugin.connection.open_stream(call, outrigger_protocol::StreamKind::Items).unwrap()
    }
}
