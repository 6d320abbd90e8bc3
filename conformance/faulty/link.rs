//! The connection: bytes, frames, the handshake, credit.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use outrigger_protocol::{
    AuthKind, Budget, Codec, Credit, Decoder, Flags, Frame, Header, Hello, Kind, PREFACE, Version, limits,
};
use serde::Serialize;

/// A frame, owned.
pub(crate) struct Message {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
}

impl From<Frame<'_>> for Message {
    fn from(frame: Frame<'_>) -> Self {
        Self { header: frame.header, body: frame.body.to_vec() }
    }
}

pub(crate) struct Link {
    socket: UnixStream,
    decoder: Decoder,
    /// Grants: for each new stream, and for all together.
    window: u64,
    pub(crate) connection_limit: u64,
    pub(crate) sent: u64,
    exact: bool,
}

impl Link {
    pub(crate) fn meet(fault: &str) -> io::Result<Self> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        if fault == "noise" {
            io::stdout().write_all(&Header::new(Kind::REPLY, 1).encode())?;
        }
        if fault == "slow_hello" {
            park(); // far too slow
        }
        let mut link = Self {
            socket,
            decoder: Decoder::new(limits::MAX_BODY),
            window: 0,
            connection_limit: 0,
            sent: 0,
            exact: fault == "whole_frames_only",
        };
        link.socket.write_all(&PREFACE)?;
        link.raw(Header::new(Kind::HELLO, 0), &json(&hello(fault)?)?)?;
        match link.answer(fault) {
            // Refused, or the other end is too new: that is an end like any other.
            Err(error) if fault == "ignores_refusal" => {
                link.serve_nobody()?;
                Err(error)
            }
            other => other.map(|()| link),
        }
    }

    fn answer(&mut self, fault: &str) -> io::Result<()> {
        while self.decoder.peek().len() < PREFACE.len() {
            self.fill()?;
        }
        if self.decoder.take(PREFACE.len()) != Some(&PREFACE[..]) {
            return Err(other("no preface"));
        }
        let answer = self.next()?.ok_or_else(|| other("no HELLO_OK"))?;
        if answer.header.kind != Kind::HELLO_OK {
            return Err(other("refused"));
        }
        let theirs: Hello = serde_json::from_slice(&answer.body).map_err(io::Error::other)?;
        if !theirs.protocols.iter().any(|version| version.major == 0) {
            return Err(other("no common protocol"));
        }
        self.window = theirs.limits.stream_window;
        self.connection_limit = theirs.limits.connection_window;
        if fault == "ignores_credit" {
            (self.window, self.connection_limit) = (u64::MAX, u64::MAX);
        }
        Ok(())
    }

    /// Answers PING as if nothing were, until the connection is closed.
    fn serve_nobody(&mut self) -> io::Result<()> {
        while let Some(message) = self.next()? {
            if message.header.kind == Kind::PING {
                self.raw(Header::new(Kind::PONG, 0), &[])?;
            }
        }
        Ok(())
    }

    /// How far a new stream may go.
    pub(crate) const fn window(&self) -> u64 {
        self.window
    }

    pub(crate) fn raw(&mut self, header: Header, body: &[u8]) -> io::Result<()> {
        let body_len = u32::try_from(body.len()).map_err(io::Error::other)?;
        self.socket.write_all(&Header { body_len, ..header }.encode())?;
        self.socket.write_all(body)
    }

    /// A call within a call.
    pub(crate) fn nested(&mut self, header: Header, parent: u64, body: &[u8]) -> io::Result<()> {
        let ext = [&[2, 0, 8, 0][..], &parent.to_le_bytes()].concat();
        let budget = Budget(30_000);
        let header = Header { flags: Flags::NESTED, ext_len: 12, budget, ..header };
        self.raw(header, &[&ext, body].concat())
    }

    pub(crate) fn send<T: Serialize>(&mut self, kind: Kind, id: u64, body: &T) -> io::Result<()> {
        self.raw(Header::new(kind, id), &encode(body)?)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// The next frame; `None` when the other side has closed.
    pub(crate) fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(io::Error::other)? {
                let message = Message::from(frame);
                let left = self.decoder.peek().len();
                if self.exact && message.header.kind == Kind::PING && left > 0 && left < limits::HEADER {
                    return Err(other("half a header: this must be the end"));
                }
                return Ok(Some(message));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Forgets every frame that has come and was not looked at.
    pub(crate) fn drop_waiting(&mut self) -> io::Result<()> {
        while let Some(frame) = self.decoder.next_frame().map_err(io::Error::other)? {
            drop(Message::from(frame));
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<bool> {
        let count = self.socket.read(self.decoder.space())?;
        self.decoder.filled(count);
        Ok(count > 0)
    }
}

/// Set once, from the command line.
pub(crate) static CODEC: OnceLock<Codec> = OnceLock::new();
pub(crate) static LEVEL: OnceLock<u8> = OnceLock::new();

pub(crate) fn level() -> u8 {
    LEVEL.get().copied().unwrap_or(1)
}

pub(crate) fn codec() -> Codec {
    CODEC.get().copied().unwrap_or_default()
}

/// Waits for ever.
pub(crate) fn park() -> ! {
    loop {
        std::thread::park();
    }
}

pub(crate) fn other(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

pub(crate) fn encode<T: Serialize>(body: &T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    codec().encode(body, &mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

pub(crate) fn credit(body: &[u8]) -> Option<Credit> {
    Credit::decode(body)
}

fn hello(fault: &str) -> io::Result<Hello> {
    let nonce = if fault == "same_nonce" {
        [7; 32]
    } else {
        outrigger_transport::nonce().map_err(io::Error::other)?
    };
    let hello = Hello::new("outrigger-faulty-plugin", AuthKind::Inherited, nonce);
    let hello = Hello { codecs: vec![codec().number()], level: level(), ..hello };
    let protocols = vec![Version { major: 7, minor: 0 }];
    Ok(if fault == "wrong_major" { Hello { protocols, ..hello } } else { hello })
}

fn json(hello: &Hello) -> io::Result<Vec<u8>> {
    serde_json::to_vec(hello).map_err(io::Error::other)
}
