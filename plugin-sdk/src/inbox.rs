//! Calls that have come and wait for their turn: one at a time, in order.

use std::collections::VecDeque;
use std::time::Duration;

use outrigger_protocol::{Blame, CallId, Code, Connection, Error, Event, IncomingCall, Method, ObjectId};

/// A call, copied out of the receive buffer.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) id: CallId,
    pub(crate) target: ObjectId,
    pub(crate) method: Method,
    pub(crate) total: Duration,
    pub(crate) body: Vec<u8>,
}

/// What the broker has asked and not been answered.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    queue: VecDeque<Queued>,
    running: Option<(CallId, ObjectId)>,
    cancelled: bool,
    goodbye: bool,
}

impl Inbox {
    /// Takes note of what the broker did.
    pub(crate) fn event(&mut self, event: Event<'_, ()>, connection: &mut Connection<()>) {
        match event {
            Event::Call(call) => self.call(call, connection),
            Event::Cancel(id) => self.cancel(id, connection),
            Event::Goodbye => self.goodbye = true,
            // A plugin makes no calls yet, so nothing else concerns it.
            _ => {}
        }
    }

    fn call(&mut self, call: IncomingCall<'_>, connection: &mut Connection<()>) {
        let rules = call.method.rules_or_default();
        if rules.barrier && self.any_open(call.target, call.method) {
            let text = format!("{}: other calls on {} are not answered yet", call.method, call.target);
            connection.fail(call.id, &Error::new(Code::INVALID_STATE, text).by(Blame::Caller));
            return;
        }
        self.queue.push_back(Queued {
            id: call.id,
            target: call.target,
            method: call.method,
            total: call.total.unwrap_or(rules.total),
            body: call.body.to_vec(),
        });
    }

    /// Whether a call is open on the target or, when an instance is to end, on anything below it.
    fn any_open(&self, target: ObjectId, method: Method) -> bool {
        let concerns = |other: ObjectId| other == target || method == Method::FINALIZE;
        self.running.is_some_and(|(_, running)| concerns(running))
            || self.queue.iter().any(|queued| concerns(queued.target))
    }

    fn cancel(&mut self, id: CallId, connection: &mut Connection<()>) {
        if self.running.is_some_and(|(running, _)| running == id) {
            self.cancelled = true;
        } else {
            self.queue.retain(|queued| queued.id != id);
            let error = Error::new(Code::CANCELLED, "cancelled before it was started").by(Blame::Caller);
            connection.fail(id, &error);
        }
    }

    /// The next call to work on; it stays open until [`Inbox::finish`].
    pub(crate) fn start(&mut self) -> Option<Queued> {
        let next = self.queue.pop_front()?;
        self.running = Some((next.id, next.target));
        self.cancelled = false;
        Some(next)
    }

    /// The running call is answered.
    pub(crate) const fn finish(&mut self) {
        self.running = None;
    }

    /// Whether the caller of the running call gave up.
    pub(crate) const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Whether calls wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the broker makes no more calls.
    pub(crate) const fn heard_goodbye(&self) -> bool {
        self.goodbye
    }
}
