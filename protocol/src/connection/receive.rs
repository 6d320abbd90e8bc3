//! Frames that arrive: checked, and turned into events.

use std::time::Duration;

use serde::Deserialize;

use super::event::{EndedBy, Event};
use super::machine::{Connection, Role, failed};
use crate::call::Method;
use crate::codec::Codec;
use crate::control::{Abort, Goodbye};
use crate::error::{Blame, Code, Error};
use crate::frame::{Flags, Frame, Header, check_extensions};
use crate::ids::CallId;
use crate::kind::Kind;
use crate::peer_error::PeerError;

/// What a peer of level 0 has said that it does not do.
const NEEDS_STREAMS: [Kind; 6] =
    [Kind::CALL, Kind::STREAM_OPEN, Kind::DATA, Kind::STREAM_END, Kind::STREAM_RESET, Kind::CREDIT];

/// Decodes a frame's body.
pub(super) fn body<'f, T: Deserialize<'f>>(codec: Codec, frame: Frame<'f>) -> Result<T, PeerError> {
    let kind = frame.header.kind;
    codec.decode(frame.body).map_err(|error| PeerError::Body { kind, reason: error.to_string() })
}

/// One descriptor comes with the answer to `connect_host`, none with another. Of a late one nobody
/// knows what it answers: the driver closes what it brings.
fn expect_handle(method: Option<Method>, handles: u8) -> Result<(), PeerError> {
    match (method, handles) {
        (_, 2..) => Err(PeerError::Handles("more than one with an answer")),
        (Some(Method::CONNECT_HOST), 0) => Err(PeerError::Handles("an answer without its own")),
        (Some(method), 1) if method != Method::CONNECT_HOST => {
            Err(PeerError::Handles("with the answer to a call that brings none"))
        }
        _ => Ok(()),
    }
}

/// Checks extension entries where none can have to be understood (decisions W7).
fn only_even(ext: &[u8]) -> Result<(), PeerError> {
    match check_extensions(ext, &[])? {
        None => Ok(()),
        Some(_) => Err(PeerError::Extensions),
    }
}

impl<C> Connection<C> {
    /// Takes one frame. `now` is the time since any fixed moment, never going back.
    ///
    /// # Errors
    /// The peer broke a rule: send what [`Connection::abort`] queues, then close. Open calls are
    /// ended with [`Connection::lost`].
    pub fn receive<'f>(
        &mut self,
        frame: Frame<'f>,
        now: Duration,
    ) -> Result<Option<Event<'f, C>>, PeerError> {
        if frame.header.kind.is_known() && frame.header.kind != Kind::CALL {
            only_even(frame.ext)?;
        }
        if frame.header.handles != 0 {
            self.expect_handles(&frame.header)?;
        }
        if self.peer_level == 0 && NEEDS_STREAMS.contains(&frame.header.kind) {
            return Err(PeerError::Unexpected(frame.header.kind));
        }
        match frame.header.kind {
            Kind::CALL => self.receive_call(frame, now),
            Kind::REPLY => self.receive_reply(frame, now),
            Kind::ERROR => self.receive_error(frame, now),
            Kind::CANCEL => self.receive_cancel(frame),
            Kind::PROGRESS => self.receive_progress(frame, now),
            Kind::STREAM_OPEN => self.receive_open(frame).map(|()| None),
            Kind::DATA => self.receive_alive(frame, now),
            Kind::CREDIT => self.receive_credit(frame).map(|()| None),
            Kind::STREAM_END => self.receive_end(frame),
            Kind::STREAM_RESET => self.receive_reset(frame),
            Kind::LOG => self.receive_log(frame, now),
            Kind::NOTIFY => self.receive_notify(frame, now),
            Kind::SNAPSHOT => self.receive_snapshot(frame),
            // GOODBYE_OK is the last frame (decisions W9).
            Kind::PING if self.answered_goodbye => Ok(None),
            Kind::PING => self.send_raw(Header::new(Kind::PONG, frame.header.id), &[]).map(|()| None),
            Kind::PONG => Ok(Some(Event::Pong(frame.header.id))),
            Kind::GOODBYE => self.receive_goodbye(frame).map(Some),
            Kind::GOODBYE_OK => self.receive_goodbye_ok().map(Some),
            Kind::ABORT => Err(body::<Abort>(self.codec, frame)
                .map_or_else(|error| error, |abort| PeerError::Aborted(abort.reason))),
            Kind::UNIMPLEMENTED => Ok(None),
            Kind::HELLO | Kind::HELLO_OK | Kind::PROOF | Kind::REFUSED => {
                Err(PeerError::Unexpected(frame.header.kind))
            }
            _ => self.receive_unknown(frame).map(|()| None),
        }
    }

    /// Skips a kind from the future; says so if it was marked critical (decisions W7).
    fn receive_unknown(&mut self, frame: Frame<'_>) -> Result<(), PeerError> {
        self.counters.skipped += 1;
        if frame.header.flags.has(Flags::CRITICAL) {
            self.send_raw(Header::new(Kind::UNIMPLEMENTED, 0), &frame.header.encode())?;
        }
        Ok(())
    }

    fn receive_reply<'f>(
        &mut self,
        frame: Frame<'f>,
        now: Duration,
    ) -> Result<Option<Event<'f, C>>, PeerError> {
        let call = CallId(frame.header.id);
        if self.receiving.iter().any(|stream| stream.call == call) {
            return Err(PeerError::Unexpected(Kind::REPLY)); // a cut listing must not look complete
        }
        let method = self.expect_size(&frame.header)?;
        expect_handle(method, frame.header.handles)?;
        let ended = self.take(call, now)?;
        Ok(ended.map(|ended| Event::Reply { call, context: ended.context, body: frame.body }))
    }

    fn receive_error<'f>(
        &mut self,
        frame: Frame<'f>,
        now: Duration,
    ) -> Result<Option<Event<'f, C>>, PeerError> {
        self.expect_size(&frame.header)?;
        let error: Error = body(self.codec, frame)?;
        let ended = self.take(CallId(frame.header.id), now)?;
        Ok(ended.map(|ended| failed(ended, error, EndedBy::Peer)))
    }

    /// Descriptors come to a plugin, with an answer, where both sides pass them (decisions W10).
    fn expect_handles(&self, header: &Header) -> Result<(), PeerError> {
        let why = match header.kind {
            _ if !self.handles => "on a connection without that feature",
            _ if self.role() == Role::Broker => "from a plugin",
            Kind::REPLY => return Ok(()),
            _ => "with a frame that carries none",
        };
        Err(PeerError::Handles(why))
    }

    /// An answer has at most what was reserved for it (decisions W6). Nothing is reserved for one
    /// that is late for good; it is dropped. Returns the method of the call, where that is known.
    fn expect_size(&self, header: &Header) -> Result<Option<Method>, PeerError> {
        match self.pending.reservation(CallId(header.id)) {
            Some((method, limit)) if header.body_len > limit => {
                Err(PeerError::ReplyTooLarge { method, actual: header.body_len, limit })
            }
            known => Ok(known.map(|(method, _)| method)),
        }
    }

    /// Takes out the context of an answered call, with its streams. A late answer is counted and
    /// dropped; an answer to nothing ends the connection (decisions W4).
    fn take(&mut self, call: CallId, now: Duration) -> Result<Option<crate::pending::Ended<C>>, PeerError> {
        if !self.issued(call.0) {
            return Err(PeerError::NeverIssued(call));
        }
        let ended = self.pending.take(call, now);
        if ended.is_none() {
            self.counters.late += 1;
        }
        self.drop_streams(call);
        self.answer_goodbye();
        Ok(ended)
    }

    /// Heard once a call: whoever says it a thousand times makes no more work.
    fn receive_cancel(&mut self, frame: Frame<'_>) -> Result<Option<Event<'static, C>>, PeerError> {
        let call = CallId(frame.header.id);
        if !self.peer_issued(call.0) {
            return Err(PeerError::NeverIssued(call));
        }
        self.retract(call); // answered, but the answer waits
        Ok(self.serving.cancel(call).then_some(Event::Cancel(call)))
    }

    /// Data is a sign of life of its call.
    fn receive_alive<'f>(
        &mut self,
        frame: Frame<'f>,
        now: Duration,
    ) -> Result<Option<Event<'f, C>>, PeerError> {
        let event = self.receive_data(frame)?;
        if let Some(Event::Items { call, .. }) = &event {
            self.pending.touch(*call, Duration::ZERO, now);
        }
        Ok(event)
    }

    fn receive_goodbye(&mut self, frame: Frame<'_>) -> Result<Event<'static, C>, PeerError> {
        let goodbye: Goodbye = body(self.codec, frame)?;
        if self.heard_goodbye {
            return Err(PeerError::Unexpected(Kind::GOODBYE));
        }
        self.heard_goodbye = true;
        self.not_accepted_above = Some(goodbye.last_accepted);
        self.answer_goodbye();
        Ok(Event::Goodbye)
    }

    /// Ends one call that the peer's GOODBYE says was not started; call until `None`.
    pub fn not_accepted(&mut self) -> Option<Event<'static, C>> {
        let ended = self.pending.take_above(self.not_accepted_above?)?;
        self.drop_streams(ended.id);
        let text = format!("{}: the other end was closing and did not start it", ended.method);
        let error = Error::new(Code::DISCONNECTED, text).by(Blame::Plugin);
        Some(failed(ended, error, EndedBy::Connection))
    }

    fn receive_goodbye_ok(&self) -> Result<Event<'static, C>, PeerError> {
        if self.said_goodbye { Ok(Event::Closed) } else { Err(PeerError::Unexpected(Kind::GOODBYE_OK)) }
    }
}
