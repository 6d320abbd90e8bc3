//! Calls that this side makes.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::event::EndedBy;
use super::machine::Connection;
use crate::call::Method;
use crate::error::{Blame, Code, Error};
use crate::frame::{Budget, Flags, Header, PARENT};
use crate::ids::{CallId, ObjectId};
use crate::kind::Kind;
use crate::limits::MAX_DEPTH;
use crate::pending::NewCall;

/// How a call differs from its method's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallOptions {
    /// Total time, from dispatch; rounded up to milliseconds.
    pub total: Option<Duration>,
    /// Time without a sign of life, if another than the peer was told in HELLO.
    pub idle: Option<Duration>,
    /// The call of the peer that this one is made for: it counts as a sign of life of that one,
    /// and is refused with [`Code::BUSY`] where it would have to wait for it.
    pub parent: Option<CallId>,
    /// The body holds a secret: see [`Flags::SECRET`].
    pub secret: bool,
}

/// A call that was not made: nothing left, and the context comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal<C> {
    /// The context that was to be stored.
    pub context: C,
    /// Why. [`Code::OVERLOADED`]: the window of unanswered calls is full, or there is no room for
    /// the answer; try when one is answered.
    pub error: Box<Error>,
}

impl<C> Connection<C> {
    /// Makes a call: stores `context` under a new number and queues the frame. The answer comes
    /// as one [`crate::Event::Reply`] or [`crate::Event::Failed`].
    ///
    /// # Errors
    /// The call was not made: the window is full, there is no room for its answer (decisions W6), the
    /// object still works on what must end before (decisions W2), it is nested too deep, it may still
    /// be stuck in a call that ran out of time, no time is left (a total of zero, decisions W3), the
    /// connection is closing, or the body is too large.
    pub fn call<T: Serialize + ?Sized>(
        &mut self,
        target: ObjectId,
        method: Method,
        body: &T,
        options: CallOptions,
        context: C,
        now: Duration,
    ) -> Result<CallId, Refusal<C>> {
        self.call_sharing(target, method, (body, &[]), options, context, now)
    }

    /// As [`Connection::call`]. A byte string of the body that is one of the `shared` pieces, in
    /// the same place of memory, and has 4 KiB or more, is not copied: it is written from there.
    /// What is secret or written as JSON is always copied.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn call_sharing<T: Serialize + ?Sized>(
        &mut self,
        target: ObjectId,
        method: Method,
        (body, shared): (&T, &[Bytes]),
        options: CallOptions,
        context: C,
        now: Duration,
    ) -> Result<CallId, Refusal<C>> {
        if let Some(error) = self.refusal(target, method, options) {
            return Err(Refusal { context, error: Box::new(error) });
        }
        let id = self.number();
        let mut header =
            Header { target, method: method.0, budget: budget(options.total), ..Header::new(Kind::CALL, id) };
        header.flags = flags(options);
        let (codec, limit) = (self.codec, self.peer.max_body as usize);
        // What is secret lies in one place, which is wiped.
        let shared = if options.secret { &[] } else { shared };
        let parent = options.parent.map(parent_entry);
        let ext = parent.as_ref().map_or(&[][..], |entry| &entry[..]);
        let encode = |out: &mut _| codec.encode_shared(body, shared, out, limit - ext.len());
        let bytes = match self.out.call(header, ext, encode) {
            Ok(bytes) => bytes as u64,
            Err(error) => {
                self.next = id; // nothing left under this number
                let error = Error::new(Code::TOO_LARGE, format!("{method}: {error}")).by(Blame::Caller);
                return Err(Refusal { context, error: Box::new(error) });
            }
        };
        let total = options.total.unwrap_or(method.rules_or_default().total);
        let idle = options.idle.unwrap_or_else(|| self.idle.of(method));
        let depth = options.parent.map_or(0, |parent| self.serving.depth(parent) + 1);
        let id = CallId(id);
        let reply = self.reservation(method);
        self.pending.store(NewCall { id, target, method, bytes, reply, depth, context, total, idle }, now);
        Ok(id)
    }

    fn refusal(&self, target: ObjectId, method: Method, options: CallOptions) -> Option<Error> {
        let refuse = |code, text: String| Some(Error::new(code, text).by(Blame::Caller));
        if self.said_goodbye || self.heard_goodbye {
            return refuse(Code::DISCONNECTED, format!("{method}: the connection is closing"));
        }
        if options.total.is_some_and(|total| total.is_zero()) {
            return refuse(Code::DEADLINE, format!("{method}: no time is left"));
        }
        if self.pending.is_stuck(target) {
            return refuse(Code::BUSY, format!("{method}: {target} is still in a call that ran out of time"));
        }
        // Whatever else is open is below the instance, where there is only one.
        let below = method == Method::FINALIZE
            && self.peer.max_instances <= 1
            && self.pending.any_besides(ObjectId::HOST);
        if method.rules_or_default().barrier && (below || self.pending.any_on(target)) {
            return refuse(
                Code::INVALID_STATE,
                format!("{method}: other calls on {target} are not answered yet"),
            );
        }
        if let Some(parent) = options.parent {
            if !self.serving.is_open(parent) {
                return refuse(Code::INVALID_STATE, format!("{method}: {parent} is answered already"));
            }
            if self.serving.depth(parent) >= MAX_DEPTH {
                return refuse(Code::QUOTA, format!("{method}: nested deeper than {MAX_DEPTH} calls"));
            }
        }
        if !self.has_window() {
            return refuse(Code::OVERLOADED, format!("{method}: the window of unanswered calls is full"));
        }
        if !self.has_room_for_answer(method) {
            return refuse(Code::OVERLOADED, format!("{method}: open calls need the room for its answer"));
        }
        None
    }

    /// Whether another call of the method can be made: the peer's window is not full, and there is
    /// room for one more answer (decisions W6).
    #[must_use]
    pub fn has_room(&self, method: Method) -> bool {
        self.has_window() && self.has_room_for_answer(method)
    }

    fn has_window(&self) -> bool {
        let (calls, bytes, _) = self.pending.unanswered();
        calls < self.peer.max_calls as usize && bytes < self.peer.call_bytes
    }

    fn has_room_for_answer(&self, method: Method) -> bool {
        let (_, _, reserved) = self.pending.unanswered();
        reserved + u64::from(self.reservation(method)) <= self.reply_bytes
    }

    /// What a call of the method reserves for its answer.
    fn reservation(&self, method: Method) -> u32 {
        method.rules_or_default().max_reply.min(self.own.max_body)
    }

    /// Sets how many bytes the answers to all open calls of this side may take together, at least
    /// one of the largest; [`crate::limits::REPLY_BYTES`] if nobody does. The peer is not told: who
    /// calls knows alone what may come back.
    pub fn set_reply_bytes(&mut self, bytes: u64) {
        self.reply_bytes = bytes.max(self.own.max_body.into());
    }

    /// Whether a call ran out of time and the peer has not answered it, nor its cancel, since.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.pending.any_stuck()
    }

    /// Whether a call of this side to `target` is unanswered.
    #[must_use]
    pub fn is_calling(&self, target: ObjectId) -> bool {
        self.pending.any_on(target)
    }

    /// Unanswered calls of this side.
    #[must_use]
    pub fn open_calls(&self) -> usize {
        self.pending.len()
    }

    /// Gives up a call. One that has not left is taken back and ends as `Cancelled`, not started
    /// (returned here); otherwise the peer is asked to stop, and its answer is still to come.
    pub fn cancel(&mut self, id: CallId, now: Duration) -> Option<super::Event<'static, C>> {
        self.pending.context_mut(id)?;
        if !self.out.take_back(id.0) {
            self.send(Header::new(Kind::CANCEL, id.0), &());
            return None;
        }
        let ended = self.pending.take(id, now)?;
        self.answer_goodbye();
        let error = Error::new(Code::CANCELLED, format!("{}: cancelled before it was sent", ended.method));
        Some(super::machine::failed(ended, error.by(Blame::Caller), EndedBy::Caller))
    }

    /// The context stored under an open call.
    pub fn context_mut(&mut self, id: CallId) -> Option<&mut C> {
        self.pending.context_mut(id)
    }
}

fn flags(options: CallOptions) -> Flags {
    let nested = if options.parent.is_some() { Flags::NESTED } else { Flags::NONE };
    if options.secret { Flags(nested.0 | Flags::SECRET.0) } else { nested }
}

/// The extension that names the parent of a nested call.
fn parent_entry(parent: CallId) -> [u8; 12] {
    let mut entry = [0; 12];
    entry[..2].copy_from_slice(&PARENT.to_le_bytes());
    entry[2..4].copy_from_slice(&8u16.to_le_bytes());
    entry[4..].copy_from_slice(&parent.0.to_le_bytes());
    entry
}

/// Time left in whole milliseconds, rounded up so that little is not taken for none; more than
/// the field holds is as much as it holds (49 days), not the method's default.
fn budget(total: Option<Duration>) -> Budget {
    const MOST: u32 = Budget::DEFAULT.0 - 1;
    total.map_or(Budget::DEFAULT, |total| {
        let millis = total.as_nanos().div_ceil(1_000_000);
        Budget(u32::try_from(millis).map_or(MOST, |millis| millis.min(MOST)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w3_little_time_is_not_none_and_much_is_not_the_default() {
        assert_eq!(budget(None), Budget::DEFAULT);
        assert_eq!(budget(Some(Duration::from_nanos(1))), Budget(1));
        assert_eq!(budget(Some(Duration::from_millis(5))), Budget(5));
        assert_eq!(budget(Some(Duration::from_millis(u64::from(u32::MAX)))), Budget(u32::MAX - 1));
        assert_eq!(budget(Some(Duration::MAX)), Budget(u32::MAX - 1));
    }
}
