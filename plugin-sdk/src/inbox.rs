//! What has come from the broker and waits for its turn: calls, one at a time and in order;
//! answers to calls of this side; objects that have changed.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use outrigger_protocol::{
    Blame, CallId, Code, Connection, Error, Event, Flags, IncomingCall, Method, ObjectId, Snapshot,
};
use outrigger_transport::Handle;
use zeroize::{Zeroize as _, Zeroizing};

/// Objects that can have changed while one call is at work: as many as a host of many instances has.
const MOST_SNAPSHOTS: usize = 1024;

/// A call, copied out of the receive buffer. Not to be shown: the body may hold a secret.
pub(crate) struct Queued {
    pub(crate) id: CallId,
    pub(crate) target: ObjectId,
    pub(crate) method: Method,
    pub(crate) total: Duration,
    pub(crate) body: Vec<u8>,
    pub(crate) secret: bool,
}

impl Drop for Queued {
    fn drop(&mut self) {
        if self.secret {
            self.body.zeroize();
        }
    }
}

/// The answer to a call of this side. One that nobody waits for is dropped, and its stream closed.
pub(crate) type Answer = Result<Success, Error>;

/// A good one, with the stream that came with it.
pub(crate) struct Success {
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) handle: Option<Handle>,
}

/// What the broker has asked and not been answered, and what it has told.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: VecDeque<Queued>,
    running: Option<(CallId, ObjectId)>,
    cancelled: bool,
    goodbye: bool,
    /// The call of this side that an answer is awaited for.
    awaited: Option<CallId>,
    answer: Option<Answer>,
    /// The newest of each object that has changed; taken between calls.
    snapshots: Vec<Snapshot>,
    /// Which instance each sink belongs to.
    owners: Vec<(ObjectId, ObjectId)>,
}

/// Without bodies: those of calls and answers may hold secrets.
impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, waiting) = (self.running, self.queue.len());
        f.debug_struct("Inbox").field("running", &running).field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl Inbox {
    /// Takes note of what the broker did.
    pub(crate) fn event(
        &mut self,
        event: Event<'_, ()>,
        handle: Option<Handle>,
        connection: &mut Connection<()>,
    ) {
        match event {
            Event::Call(call) => self.call(call, connection),
            Event::Cancel(id) => self.cancel(id, connection),
            Event::Reply { call, body, .. } => {
                let body = Zeroizing::new(body.to_vec());
                self.answered(call, Ok(Success { body, handle }));
            }
            Event::Failed { call, error, .. } => self.answered(call, Err(error)),
            Event::Snapshot(snapshot) => self.keep(*snapshot),
            Event::Goodbye => self.goodbye = true,
            _ => {}
        }
    }

    fn call(&mut self, call: IncomingCall<'_>, connection: &mut Connection<()>) {
        if let Some(refusal) = self.refusal(&call) {
            connection.fail(call.id, &refusal.by(Blame::Caller));
            return;
        }
        self.queue.push_back(Queued {
            id: call.id,
            target: call.target,
            method: call.method,
            total: call.total.unwrap_or(call.method.rules_or_default().total),
            body: call.body.to_vec(),
            secret: call.flags.has(Flags::SECRET),
        });
    }

    /// A nested call never waits: what it would wait for may wait for it. One that must be alone
    /// is refused while it is not.
    fn refusal(&self, call: &IncomingCall<'_>) -> Option<Error> {
        if call.flags.has(Flags::NESTED) && (self.running.is_some() || !self.queue.is_empty()) {
            let text = format!("{}: a nested call does not wait, and this plugin is at work", call.method);
            return Some(Error::new(Code::BUSY, text));
        }
        let barrier = call.method.rules_or_default().barrier && self.any_open(call.target);
        let text = || format!("{}: other calls on {} are not answered yet", call.method, call.target);
        barrier.then(|| Error::new(Code::INVALID_STATE, text()))
    }

    /// Whether a call is open on the target or on anything below it.
    fn any_open(&self, target: ObjectId) -> bool {
        let concerns = |other: ObjectId| other == target || self.owners.contains(&(other, target));
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

    fn answered(&mut self, call: CallId, answer: Answer) {
        if self.awaited == Some(call) {
            self.awaited = None;
            self.answer = Some(answer);
        }
    }

    /// Says which call's answer [`Inbox::take_answer`] is to give; `None`: nobody waits any more.
    pub(crate) fn expect_answer(&mut self, call: Option<CallId>) {
        self.awaited = call;
        self.answer = None;
    }

    /// The awaited answer, once it is here.
    pub(crate) fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    /// Keeps what an object is now until no call is at work.
    pub(crate) fn keep(&mut self, snapshot: Snapshot) {
        let newer = |known: &Snapshot| {
            known.object() == snapshot.object() && known.generation() >= snapshot.generation()
        };
        if self.snapshots.iter().any(newer) {
            return;
        }
        self.snapshots.retain(|known| known.object() != snapshot.object());
        if self.snapshots.len() < MOST_SNAPSHOTS {
            self.snapshots.push(snapshot);
        }
    }

    /// What has changed since the last call.
    pub(crate) fn take_snapshots(&mut self) -> Vec<Snapshot> {
        std::mem::take(&mut self.snapshots)
    }

    /// Notes that a sink belongs to an instance.
    pub(crate) fn belongs(&mut self, sink: ObjectId, instance: ObjectId) {
        if !self.owners.contains(&(sink, instance)) {
            self.owners.push((sink, instance));
        }
    }

    /// The instance has ended.
    pub(crate) fn forget(&mut self, instance: ObjectId) {
        self.owners.retain(|(_, owner)| *owner != instance);
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
