//! Calls of the peer that this side answers: each exactly once.

use std::time::Duration;

use serde::Serialize;

use super::event::{Event, IncomingCall};
use super::machine::Connection;
use crate::call::Method;
use crate::codec;
use crate::control::{Log, Progress};
use crate::error::{Blame, Code, Effect, Error};
use crate::frame::{Budget, Flags, Frame, Header, check_extensions};
use crate::ids::CallId;
use crate::kind::Kind;
use crate::limits::MAX_DEPTH;
use crate::outbound::append;
use crate::peer_error::PeerError;
use crate::text;

impl<C> Connection<C> {
    /// A CALL arrives.
    pub(super) fn receive_call<'f>(&mut self, frame: Frame<'f>) -> Result<Option<Event<'f, C>>, PeerError> {
        let header = frame.header;
        self.peer_number(header.id)?;
        if self.said_goodbye {
            return Ok(None); // it is above the number in our GOODBYE: the peer knows it was not started
        }
        if self.heard_goodbye {
            return Err(PeerError::Unexpected(Kind::CALL));
        }
        let nested = header.flags.has(Flags::NESTED);
        if !self.serving.has_room(nested, &self.own) {
            return Err(PeerError::TooManyCalls);
        }
        self.expect_reader()?;
        let id = CallId(header.id);
        self.serving.begin(id, u64::from(header.body_len), nested);
        if let Some(tag) = check_extensions(frame.ext, &[])? {
            let text = format!("extension {tag} must be understood and is not");
            self.fail(id, &Error::new(Code::UNIMPLEMENTED, text).by(Blame::Caller));
            return Ok(None);
        }
        if header.budget == Budget::EXPIRED {
            let error = Error::new(Code::DEADLINE, "no time was left when the call arrived");
            self.fail(id, &error.by(Blame::Caller));
            return Ok(None);
        }
        let (target, method, flags) = (header.target, Method(header.method), header.flags);
        Ok(Some(Event::Call(IncomingCall {
            id,
            target,
            method,
            flags,
            total: total(header.budget),
            body: frame.body,
        })))
    }

    /// To the peer, a call is unanswered until it has read the answer. One that calls on and does
    /// not read would make the queue of answers grow.
    fn expect_reader(&self) -> Result<(), PeerError> {
        let window = self.own.max_calls.saturating_mul(1 + MAX_DEPTH);
        if self.serving.len() + self.held.len() + self.out.answers() < window as usize {
            Ok(())
        } else {
            Err(PeerError::NotReading)
        }
    }

    /// Answers a call of the peer with success. It is sent when all data of the call is
    /// (decisions W1). Returns whether the call was open: a second answer is not sent.
    pub fn reply<T: Serialize + ?Sized>(&mut self, id: CallId, body: &T) -> bool {
        if !self.serving.end(id) {
            return false;
        }
        self.end_streams(id);
        self.release_held();
        let encoded = if self.sending.iter().any(|stream| stream.call == id) {
            let mut frame = Vec::new();
            let encoded = encode_reply(&mut frame, id, body, self.peer.max_body as usize);
            self.held.push((id, frame));
            encoded
        } else {
            let limit = self.peer.max_body as usize;
            self.out.count_answer();
            self.out
                .frame(Header::new(Kind::REPLY, id.0), |out| codec::encode_within(body, out, limit))
                .map(|_| ())
        };
        if let Err(error) = encoded {
            self.held.retain(|(call, _)| *call != id);
            let error = Error::new(Code::TOO_LARGE, format!("the answer: {error}"));
            self.send_error(id, &error.with_effect(Effect::Done));
        }
        self.answer_goodbye();
        true
    }

    /// Answers a call of the peer with failure; data of the call that was not sent is dropped.
    /// Returns whether the call was open.
    pub fn fail(&mut self, id: CallId, error: &Error) -> bool {
        if !self.serving.end(id) {
            return false;
        }
        self.send_error(id, error);
        self.answer_goodbye();
        true
    }

    fn send_error(&mut self, id: CallId, error: &Error) {
        self.sending.retain(|stream| stream.call != id);
        self.out.count_answer();
        let (header, limit) = (Header::new(Kind::ERROR, id.0), self.peer.max_body as usize);
        if self.out.frame(header, |out| codec::encode_within(error, out, limit)).is_err() {
            self.send(header, &shortened(error)); // a call gets its one end, whatever is said in it
        }
    }

    /// Says how far a call of the peer is; nothing happens when it is answered already.
    pub fn progress(&mut self, id: CallId, progress: &Progress) {
        if self.serving.is_open(id) {
            self.send(Header::new(Kind::PROGRESS, id.0), progress);
        }
    }

    /// Sends a line for the peer's log.
    pub fn log(&mut self, log: &Log) {
        self.send(Header::new(Kind::LOG, 0), log);
    }

    /// Whether a call of the peer is still to be answered.
    #[must_use]
    pub fn is_serving(&self, id: CallId) -> bool {
        self.serving.is_open(id)
    }

    /// After GOODBYE from the peer, GOODBYE_OK follows the last answer, of either side: it says
    /// that all is finished.
    pub(super) fn answer_goodbye(&mut self) {
        let Some(last) = self.not_accepted_above else { return };
        if !self.answered_goodbye && self.serving.is_empty() && !self.pending.any_up_to(last) {
            self.answered_goodbye = true;
            self.held.push((CallId(0), Header::new(Kind::GOODBYE_OK, 0).encode().to_vec()));
            self.release_held();
        }
    }
}

fn encode_reply<T: Serialize + ?Sized>(
    frame: &mut Vec<u8>,
    id: CallId,
    body: &T,
    limit: usize,
) -> Result<(), codec::BodyError> {
    append(frame, Header::new(Kind::REPLY, id.0), |out| codec::encode_within(body, out, limit)).map(|_| ())
}

/// The same failure in so few words that it fits any frame.
fn shortened(error: &Error) -> Error {
    const WORDS: usize = 1 << 10;
    let short = Error::new(error.code, text::front(&error.message, WORDS));
    Error { blame: error.blame, effect: error.effect, retry: error.retry, ..short }
}

const fn total(budget: Budget) -> Option<Duration> {
    match budget {
        Budget::DEFAULT => None,
        Budget(millis) => Some(Duration::from_millis(millis as u64)),
    }
}
