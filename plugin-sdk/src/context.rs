//! What a connector can do while it works on a call.

use std::time::{Duration, Instant};

use outrigger_protocol::{
    Blame, CallId, Change, Code, Effect, Error, Group, Level, Log, Member, ObjectId, Progress, ReadResult,
    StreamId, StreamKind,
};
use outrigger_transport::{BlockingLink, LinkError, Wait};
use serde::Serialize;

use crate::inbox::{Inbox, Queued};

/// Data of a stream that may wait before a push does: two frames.
const HIGH_WATER: usize = 128 << 10;

/// How often a long series of pushes looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One call, seen from the connector. Every method looks whether the caller gave up.
#[derive(Debug)]
pub struct Context<'c> {
    pub(crate) link: &'c mut BlockingLink<()>,
    pub(crate) inbox: &'c mut Inbox,
    pub(crate) call: CallId,
    pub(crate) target: ObjectId,
    pub(crate) member: &'c Member,
    pub(crate) group: &'c Group,
    /// The newest generation of the member that the connector has been shown.
    pub(crate) shown: u64,
    deadline: Instant,
    idle: Duration,
    looked: Instant,
    /// What broke the connection during the call, if anything did.
    broken: &'c mut Option<LinkError>,
}

impl<'c> Context<'c> {
    pub(crate) fn new(
        link: &'c mut BlockingLink<()>,
        inbox: &'c mut Inbox,
        call: &Queued,
        (member, group): (&'c Member, &'c Group),
        broken: &'c mut Option<LinkError>,
    ) -> Self {
        let now = Instant::now();
        // A budget beyond the clock's range is no deadline that anyone will see.
        let deadline = now.checked_add(call.total).unwrap_or(now + Duration::from_secs(1 << 31));
        let idle = link.session().peer_idle.of(call.method);
        let (call, target) = (call.id, call.target);
        let shown = member.generation;
        Self { link, inbox, call, target, member, group, shown, deadline, idle, looked: now, broken }
    }

    /// Whether the caller gave up or the call's time is over: stop soon.
    pub fn is_cancelled(&mut self) -> bool {
        self.look(Wait::No).is_err()
    }

    /// How much of the call's time is left.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long the call may stay silent before the broker gives it up, whatever time is left: as
    /// the method says, or as the broker said in HELLO (decisions W3). [`Context::progress`], a push
    /// and a question to the engine are signs of life; half of this is a good interval.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        self.idle
    }

    /// Says how far the work is; keeps the call's idle clock from running out: see
    /// [`Context::idle`].
    ///
    /// # Errors
    /// The call was cancelled or its time is over, or the connection ended: return the error.
    pub fn progress(&mut self, done: u64, total: Option<u64>) -> Result<(), Error> {
        self.tell(&Progress { done, total, waiting_ms: 0 })
    }

    /// Says that nothing can happen for `wait` (a rate limit), so that nobody takes it for a hang.
    ///
    /// # Errors
    /// As [`Context::progress`].
    pub fn waiting(&mut self, wait: Duration) -> Result<(), Error> {
        let waiting_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.tell(&Progress { done: 0, total: None, waiting_ms })
    }

    fn tell(&mut self, progress: &Progress) -> Result<(), Error> {
        let call = self.call;
        self.link.connection().progress(call, progress);
        self.flush()?;
        self.look(Wait::No)
    }

    /// Writes a line to the log of the broker, at once.
    ///
    /// # Errors
    /// As [`Context::progress`].
    pub fn log(&mut self, level: Level, message: impl Into<String>) -> Result<(), Error> {
        self.link.connection().log(&Log { level, message: message.into() });
        self.flush()?; // a call may have much to say before its answer
        self.look(Wait::No)
    }

    /// Says that something changed at the sink, or the instance, that the call is for.
    ///
    /// # Errors
    /// As [`Context::progress`].
    pub fn notify(&mut self) -> Result<(), Error> {
        let target = self.target;
        self.link.connection().notify(target);
        self.flush()?;
        self.look(Wait::No)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        let flushed = self.link.flush();
        flushed.map_err(|error| self.broke(error))
    }

    /// Takes in what has come, and says whether the call may go on.
    pub(crate) fn look(&mut self, wait: Wait) -> Result<(), Error> {
        self.looked = Instant::now();
        let inbox = &mut *self.inbox;
        let taken = self.link.take_in(wait).and_then(|_| {
            self.link.events_with_handles(|event, handle, connection| inbox.event(event, handle, connection))
        });
        taken.map_err(|error| self.broke(error))?;
        if self.inbox.is_cancelled() {
            return Err(Error::new(Code::CANCELLED, "the caller gave up")
                .by(Blame::Caller)
                .with_effect(Effect::Unknown));
        }
        if self.looked >= self.deadline {
            return Err(Error::new(Code::DEADLINE, "the call's time is over").with_effect(Effect::Unknown));
        }
        Ok(())
    }

    fn broke(&mut self, error: LinkError) -> Error {
        let answer =
            Error::new(Code::DISCONNECTED, error.to_string()).by(Blame::Broker).with_effect(Effect::Unknown);
        self.broken.get_or_insert(error);
        answer
    }

    fn open_stream(&mut self) -> Result<StreamId, Error> {
        let call = self.call;
        let opened = self.link.connection().open_stream(call, StreamKind::Items);
        opened.ok_or_else(|| Error::new(Code::OVERLOADED, "no more streams can be opened").by(Blame::Broker))
    }

    /// Appends an item; waits while more than two frames wait for credit.
    fn push<T: Serialize + ?Sized>(&mut self, stream: StreamId, item: &T) -> Result<(), Error> {
        let pushed = self.link.connection().push_item(stream, item);
        let waiting = pushed.map_err(|error| Error::new(Code::TOO_LARGE, error.to_string()))?;
        let mut waiting = waiting
            .ok_or_else(|| Error::new(Code::CANCELLED, "the broker wants no more").by(Blame::Caller))?;
        if waiting >= HIGH_WATER / 2 {
            self.flush()?;
            waiting = self.stream_waiting(stream);
        }
        while waiting >= HIGH_WATER {
            let left = self.time_left();
            self.look(Wait::For(left))?;
            self.flush()?;
            waiting = self.stream_waiting(stream);
        }
        if self.looked.elapsed() >= LOOK_EVERY { self.look(Wait::No) } else { Ok(()) }
    }

    fn stream_waiting(&mut self, stream: StreamId) -> usize {
        self.link.connection().stream_waiting(stream).unwrap_or(0)
    }
}

/// Where `get_changes` puts its changes.
#[derive(Debug)]
pub struct ChangeSink<'a, 'c> {
    context: &'a mut Context<'c>,
    stream: StreamId,
    count: u64,
}

impl<'a, 'c> ChangeSink<'a, 'c> {
    pub(crate) fn new(context: &'a mut Context<'c>) -> Result<Self, Error> {
        let stream = context.open_stream()?;
        Ok(Self { context, stream, count: 0 })
    }

    /// Sends one change; waits while the broker is slow.
    ///
    /// # Errors
    /// The call was cancelled or the connection ended: return the error.
    pub fn push(&mut self, change: &Change) -> Result<(), Error> {
        self.context.push(self.stream, change)?;
        self.count += 1;
        Ok(())
    }

    /// Changes pushed so far.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The call itself.
    pub const fn context(&mut self) -> &mut Context<'c> {
        self.context
    }
}

/// Where `read` puts its results.
#[derive(Debug)]
pub struct ReadSink<'a, 'c> {
    context: &'a mut Context<'c>,
    stream: StreamId,
    count: u32,
}

impl<'a, 'c> ReadSink<'a, 'c> {
    pub(crate) fn new(context: &'a mut Context<'c>) -> Result<Self, Error> {
        let stream = context.open_stream()?;
        Ok(Self { context, stream, count: 0 })
    }

    /// Sends one result; waits while the broker is slow.
    ///
    /// # Errors
    /// As [`ChangeSink::push`]; also when the result is not the next in order.
    pub fn push(&mut self, result: &ReadResult<'_>) -> Result<(), Error> {
        if result.index != self.count {
            let text = format!("result {} was pushed where {} was next", result.index, self.count);
            return Err(Error::new(Code::INTERNAL, text));
        }
        self.context.push(self.stream, result)?;
        self.count += 1;
        Ok(())
    }

    /// Results pushed so far.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The call itself.
    pub const fn context(&mut self) -> &mut Context<'c> {
        self.context
    }
}
