//! Calls of the peer that this side answers: each exactly once.

use std::time::Duration;

use serde::Serialize;

use super::event::{Event, IncomingCall};
use super::machine::Connection;
use super::open_calls::Open;
use crate::call::Method;
use crate::error::{Blame, Code, Effect, Error};
use crate::frame::{Budget, Flags, Frame, Header, PARENT, check_extensions, extension};
use crate::ids::CallId;
use crate::kind::Kind;
use crate::limits::{MAX_DEPTH, MAX_REPLY};
use crate::outbound::whole_frame;
use crate::peer_error::PeerError;
use crate::text;

impl<C> Connection<C> {
    /// A CALL arrives.
    pub(super) fn receive_call<'f>(
        &mut self,
        frame: Frame<'f>,
        now: Duration,
    ) -> Result<Option<Event<'f, C>>, PeerError> {
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
        let (id, method) = (CallId(header.id), Method(header.method));
        let unknown = check_extensions(frame.ext, &[])?;
        let nesting = if nested { Some(self.nesting(frame.ext, now)?) } else { None };
        let depth = nesting.map_or(0, |nesting| nesting.depth);
        let refusal = refusal(unknown, header.budget, nesting);
        let parent = nesting.filter(|_| refusal.is_none()).map(|nesting| nesting.parent);
        let bytes = header.body_len.into();
        self.serving.begin(Open { id, method, bytes, depth, parent, cancelled: false });
        if let Some(error) = refusal {
            self.fail(id, &error.by(Blame::Caller));
            return Ok(None);
        }
        if let Some(parent) = parent {
            self.pending.rest(parent, now);
        }
        let (target, flags) = (header.target, header.flags);
        let total = total(header.budget, method, nesting);
        Ok(Some(Event::Call(IncomingCall { id, target, method, flags, parent, total, body: frame.body })))
    }

    /// Where a nested call stands among the calls of this side.
    fn nesting(&self, ext: &[u8], now: Duration) -> Result<Nesting, PeerError> {
        let parent = parent(ext)?;
        let found = self.pending.nesting(parent, now);
        let depth = found.map_or(0, |(depth, _)| depth) + 1;
        Ok(Nesting { parent, depth, left: found.map(|(_, left)| left) })
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
        self.answer(Header::new(Kind::REPLY, id.0), body)
    }

    /// As [`Connection::reply`], with a body that holds a secret: see [`Flags::SECRET`].
    pub fn reply_secret<T: Serialize + ?Sized>(&mut self, id: CallId, body: &T) -> bool {
        self.answer(Header { flags: Flags::SECRET, ..Header::new(Kind::REPLY, id.0) }, body)
    }

    /// As [`Connection::reply`], with a descriptor that goes out with the frame
    /// ([`Connection::output_handle`] says when). Returns whether one is needed: the call may be
    /// over, or the connection pass none, which is an error for the peer.
    pub fn reply_with_handle<T: Serialize + ?Sized>(&mut self, id: CallId, body: &T) -> bool {
        if !self.handles {
            let text = "this connection passes no descriptors";
            self.fail(id, &Error::new(Code::UNIMPLEMENTED, text).with_effect(Effect::NotStarted));
            return false;
        }
        self.answer(Header { handles: 1, ..Header::new(Kind::REPLY, id.0) }, body)
    }

    /// Whether both sides pass descriptors.
    #[must_use]
    pub const fn has_handles(&self) -> bool {
        self.handles
    }

    /// The call has its end: its method. `None`: it had one.
    fn end(&mut self, id: CallId) -> Option<Method> {
        let call = self.serving.end(id)?;
        if let Some(parent) = call.parent {
            self.pending.resume(parent);
        }
        Some(call.method)
    }

    fn answer<T: Serialize + ?Sized>(&mut self, header: Header, body: &T) -> bool {
        let id = CallId(header.id);
        let Some(method) = self.end(id) else { return false };
        self.end_streams(id);
        self.release_held();
        let (codec, limit) = (self.codec, self.room(method));
        let encoded = if self.sending.iter().any(|stream| stream.call == id) {
            let frame = whole_frame(header, |out| codec.encode_within(body, out, limit));
            frame.map(|frame| self.held.push((id, frame)))
        } else {
            self.out.count_answer();
            self.out.frame(header, |out| codec.encode_within(body, out, limit)).map(|_| ())
        };
        if let Err(error) = encoded {
            let error = Error::new(Code::TOO_LARGE, format!("{method}: the answer: {error}"));
            self.send_error(id, &error.with_effect(Effect::Done), limit);
        }
        self.answer_goodbye();
        true
    }

    /// Answers a call of the peer with failure; data of the call that was not sent is dropped.
    /// Returns whether the call was open.
    pub fn fail(&mut self, id: CallId, error: &Error) -> bool {
        let Some(method) = self.end(id) else { return false };
        self.send_error(id, error, self.room(method));
        self.answer_goodbye();
        true
    }

    /// A cancelled call whose answer waits behind data: who cancels may grant that data no credit
    /// any more, so neither is waited for.
    pub(super) fn retract(&mut self, id: CallId) {
        if self.held.extract_if(.., |(call, _)| *call == id).next().is_some() {
            let error = Error::new(Code::CANCELLED, "cancelled while its data waited for credit");
            self.send_error(id, &error.by(Blame::Caller).with_effect(Effect::Done), MAX_REPLY);
        }
    }

    /// What the caller has reserved for an answer: more would end the connection (decisions W6).
    fn room(&self, method: Method) -> usize {
        method.rules_or_default().max_reply.min(self.peer.max_body) as usize
    }

    fn send_error(&mut self, id: CallId, error: &Error, limit: usize) {
        self.sending.retain(|stream| stream.call != id);
        self.out.count_answer();
        let (header, codec) = (Header::new(Kind::ERROR, id.0), self.codec);
        if self.out.frame(header, |out| codec.encode_within(error, out, limit)).is_err() {
            self.send(header, &shortened(error)); // a call gets its one end, whatever is said in it
        }
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
            self.held.push((CallId(0), Header::new(Kind::GOODBYE_OK, 0).encode().to_vec().into()));
            self.release_held();
        }
    }
}

/// The same failure in so few words that it fits any frame.
fn shortened(error: &Error) -> Error {
    const WORDS: usize = 1 << 10;
    let short = Error::new(error.code, text::front(&error.message, WORDS));
    Error { blame: error.blame, effect: error.effect, retry: error.retry, ..short }
}

/// A call that the peer makes while it serves one of ours.
#[derive(Debug, Clone, Copy)]
struct Nesting {
    parent: CallId,
    depth: u32,
    /// What is left of the parent's time; `None`: the parent is over.
    left: Option<Duration>,
}

/// Why a call is answered before anyone looks at it.
fn refusal(unknown: Option<u16>, budget: Budget, nesting: Option<Nesting>) -> Option<Error> {
    let left = nesting.map(|nesting| nesting.left);
    if let Some(tag) = unknown {
        return Some(Error::new(
            Code::UNIMPLEMENTED,
            format!("extension {tag} must be understood and is not"),
        ));
    }
    if budget == Budget::EXPIRED || left == Some(Some(Duration::ZERO)) {
        return Some(Error::new(Code::DEADLINE, "no time was left when the call arrived"));
    }
    if left == Some(None) {
        return Some(Error::new(Code::CANCELLED, "the call that it was made for is over"));
    }
    let too_deep = nesting.is_some_and(|nesting| nesting.depth > MAX_DEPTH);
    too_deep.then(|| Error::new(Code::QUOTA, format!("nested deeper than {MAX_DEPTH} calls")))
}

/// The time of a call: what it says; a nested one has no more than its parent (decisions W3).
fn total(budget: Budget, method: Method, nesting: Option<Nesting>) -> Option<Duration> {
    let left = nesting.and_then(|nesting| nesting.left);
    let own = match budget {
        Budget::DEFAULT => None,
        Budget(millis) => Some(Duration::from_millis(u64::from(millis))),
    };
    let Some(left) = left else { return own };
    Some(own.unwrap_or(method.rules_or_default().total).min(left))
}

/// The parent that a nested call names.
fn parent(ext: &[u8]) -> Result<CallId, PeerError> {
    let bytes = extension(ext, PARENT).ok_or(PeerError::Header("a nested call that names no parent"))?;
    let number = bytes.try_into().map_err(|_| PeerError::Extensions)?;
    Ok(CallId(u64::from_le_bytes(number)))
}
