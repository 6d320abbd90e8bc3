//! The wire: one connection to a plugin, frame by frame, from the broker's side.
//!
//! Not `protocol::Connection`: that keeps the rules for both sides and ends at the first breach.
//! Here frames go out that no broker sends, and what comes is looked at by the [`Judge`].

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outrigger_protocol::{
    AuthKind, Code, Codec, Decoder, Error, Handshake, HandshakeError, Hello, Kind, PREFACE, SessionId, limits,
};

use crate::bodies::encode;
use crate::findings::{Greeting, Step, Stop};
use crate::judge::{Judge, Seen};
use crate::message::Message;
use crate::process::Stream;
use crate::rule::Rule;
use crate::tape::{Direction, Tape};
use crate::watcher::Watcher;

/// How long to wait before looking whether the check is to end.
const MOMENT: Duration = Duration::from_millis(100);

/// Why nothing more comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The other side closed the connection.
    Closed,
    /// Nothing came in time.
    Late,
    /// What came broke a rule.
    Stop(Stop),
}

/// One connection.
pub(crate) struct Wire {
    stream: Stream,
    decoder: Decoder,
    pub(crate) judge: Judge,
    tape: Tape,
    pub(crate) watcher: Arc<dyn Watcher>,
    codec: Codec,
    /// Whether data is granted as it comes.
    pub(crate) granting: bool,
}

impl Wire {
    /// Takes a connection over, before its first byte.
    pub(crate) fn new(
        stream: Stream,
        patience: Duration,
        tape: Tape,
        watcher: Arc<dyn Watcher>,
    ) -> io::Result<Self> {
        stream.set_write_timeout(Some(patience))?;
        let decoder = Decoder::new(limits::MAX_BODY);
        Ok(Self {
            stream,
            decoder,
            judge: Judge::new(Codec::Bincode, 1, 0),
            tape,
            watcher,
            codec: Codec::Bincode,
            granting: true,
        })
    }

    /// The number of the codec of this connection.
    pub(crate) const fn codec(&self) -> Codec {
        self.codec
    }

    /// Hears the plugin's HELLO, and answers it with `ours`.
    pub(crate) fn greet(&mut self, ours: Hello, limit: Duration) -> Step<Greeting> {
        let hello = self.hear_hello(limit)?;
        let greeting = greeting(&hello)?;
        let window = ours.limits.stream_window;
        let mut handshake = Handshake::listen(ours, None, SessionId(uuid::Uuid::new_v4()));
        let mut again = Decoder::new(limits::MAX_HANDSHAKE);
        feed(&mut again, &PREFACE);
        feed(&mut again, &hello.bytes());
        let agreed = handshake.receive(&mut again);
        let answer = handshake.output();
        let sent = self.send_greeting(&answer);
        match agreed {
            Ok(Some(_)) => sent.map_err(|_| {
                Stop::Broken(Rule::Handshake, "it closed the connection in the handshake".into())
            })?,
            Ok(None) => return Err(Stop::Broken(Rule::Hello, "the handshake is not complete".into())),
            Err(HandshakeError::Unfit(refused)) => {
                return Err(Stop::Broken(Rule::Hello, format!("{} ({})", refused.reason, refused.hint)));
            }
            Err(error) => return Err(Stop::Broken(Rule::Hello, error.to_string())),
        }
        self.codec = greeting.codec;
        self.judge = Judge::new(greeting.codec, greeting.level, window);
        Ok(greeting)
    }

    /// The first frame of the plugin.
    pub(crate) fn hear_hello(&mut self, limit: Duration) -> Step<Message> {
        let until = Instant::now() + limit;
        let late = |lost| match lost {
            Lost::Closed => Stop::Broken(Rule::Handshake, "it closed the connection before its HELLO".into()),
            Lost::Late => Stop::Broken(Rule::Handshake, format!("no HELLO within {limit:?}")),
            Lost::Stop(stop) => stop,
        };
        while self.decoder.peek().len() < PREFACE.len() {
            self.fill(until).map_err(late)?;
        }
        let preface = self.decoder.take(PREFACE.len()).unwrap_or_default();
        if preface != PREFACE {
            let text = format!("it began with \"{}\" instead of the preface", preface.escape_ascii());
            return Err(Stop::Broken(Rule::Hello, text));
        }
        self.tape.preface(Direction::FromPlugin);
        let hello = self.next(until).map_err(late)?;
        if hello.header.kind != Kind::HELLO {
            return Err(Stop::Broken(Rule::Hello, format!("{} instead of HELLO", hello.header.kind)));
        }
        Ok(hello)
    }

    /// Sends a preface and one frame behind it.
    pub(crate) fn send_greeting(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.tape.preface(Direction::ToPlugin);
        if let Some(message) = bytes.get(PREFACE.len()..).and_then(cut) {
            self.tape.frame(Direction::ToPlugin, &message);
        }
        self.write(bytes)
    }

    /// Sends one frame.
    pub(crate) fn send(&mut self, message: &Message) -> Result<(), Lost> {
        if message.header.kind == Kind::CALL {
            self.judge.called(&message.header);
        }
        self.tape.frame(Direction::ToPlugin, message);
        self.write(&message.bytes())
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.stream.write_all(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Lost::Late,
            _ => Lost::Closed,
        })
    }

    /// Closes the connection; the plugin reads the end of it.
    pub(crate) fn close(&self) {
        // It may be closed already.
        let _closed = self.stream.shutdown(Shutdown::Both);
    }

    /// What the next frame of the plugin means; it is answered where no one else has to.
    pub(crate) fn receive(&mut self, limit: Duration) -> Result<(Message, Seen), Lost> {
        let message = self.next(Instant::now() + limit)?;
        let seen = self.judge.received(&message).map_err(Lost::Stop)?;
        match (&seen, message.header.kind) {
            (Seen::Items { stream, .. }, _) if self.granting => self.grant(*stream)?,
            (Seen::Call(id), _) => {
                self.refuse(*id, Code::UNIMPLEMENTED, "the conformance kit answers no calls")?
            }
            (Seen::RenamedTooEarly(id), _) => {
                self.refuse(*id, Code::INVALID_STATE, "no run hears new names now")?;
            }
            (Seen::Renamed { call, .. }, _) => {
                let nothing = encode(self.codec, &());
                self.send(&Message::bare(Kind::REPLY, *call, nothing))?;
            }
            (_, Kind::PING) => self.send(&Message::bare(Kind::PONG, message.header.id, Vec::new()))?,
            _ => {}
        }
        Ok((message, seen))
    }

    fn grant(&mut self, stream: u64) -> Result<(), Lost> {
        let Some(credit) = self.judge.grant(stream) else { return Ok(()) };
        self.send(&Message::bare(Kind::CREDIT, stream, credit.encode().to_vec()))
    }

    /// Goes on granting after a time without: what was used up meanwhile counts for later streams.
    pub(crate) fn grant_again(&mut self) -> Result<(), Lost> {
        self.granting = true;
        let credit = self.judge.grant_all();
        self.send(&Message::bare(Kind::CREDIT, 0, credit.encode().to_vec()))
    }

    /// The kit offers no objects to a plugin, and has nobody to ask.
    fn refuse(&mut self, id: u64, code: Code, why: &str) -> Result<(), Lost> {
        let body = encode(self.codec, &Error::new(code, why));
        self.send(&Message::bare(Kind::ERROR, id, body))
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self, until: Instant) -> Result<Message, Lost> {
        loop {
            let broken = |error: outrigger_protocol::PeerError| {
                Lost::Stop(Stop::Broken(Rule::Frames, error.to_string()))
            };
            if let Some(frame) = self.decoder.next_frame().map_err(broken)? {
                let message = Message::from(frame);
                self.tape.frame(Direction::FromPlugin, &message);
                return Ok(message);
            }
            self.fill(until)?;
        }
    }

    /// Reads once, or waits for a moment: whoever watches may want no more.
    fn fill(&mut self, until: Instant) -> Result<(), Lost> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Lost::Late);
        }
        if self.watcher.is_over() {
            return Err(Lost::Stop(Stop::Interrupted));
        }
        // A timeout of less than a microsecond would mean none.
        let limited = self.stream.set_read_timeout(Some(left.clamp(Duration::from_micros(1), MOMENT)));
        match limited.and_then(|()| self.stream.read(self.decoder.space())) {
            Ok(0) => Err(Lost::Closed),
            Ok(count) => {
                self.decoder.filled(count);
                Ok(())
            }
            Err(error) => match error.kind() {
                // Whether it is late is looked at before the next read.
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(()),
                _ => Err(Lost::Closed),
            },
        }
    }
}

/// What is in a HELLO, as far as the kit goes by it.
fn greeting(hello: &Message) -> Step<Greeting> {
    let wrong = |error: String| Stop::Broken(Rule::Hello, format!("its HELLO cannot be read: {error}"));
    let read: Hello = serde_json::from_slice(&hello.body).map_err(|error| wrong(error.to_string()))?;
    if read.level > 1 {
        return Err(wrong("`level` is neither 0 nor 1".into()));
    }
    let codec = read.codecs.iter().find_map(|number| Codec::from_number(*number));
    let codec = codec.ok_or_else(|| wrong("it names no codec of 1 (bincode) and 2 (JSON)".into()))?;
    if read.auth != AuthKind::Inherited {
        return Err(wrong("`auth` is not \"inherited\", but its connection was".into()));
    }
    Ok(Greeting { nonce: read.nonce.to_vec(), software: read.software, codec, level: read.level })
}

fn feed(decoder: &mut Decoder, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let space = decoder.space();
        let count = space.len().min(bytes.len());
        let (now, later) = bytes.split_at(count);
        space.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
        decoder.filled(count);
        bytes = later;
    }
}

/// The one frame that these bytes are.
pub(crate) fn cut(bytes: &[u8]) -> Option<Message> {
    let mut decoder = Decoder::new(limits::MAX_BODY);
    feed(&mut decoder, bytes);
    let message = decoder.next_frame().ok().flatten().map(Message::from)?;
    (!decoder.is_mid_frame()).then_some(message)
}
