//! What the task of a connection and its handles share: the machine, and the one way out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use outrigger_protocol::{CallId, Connection};
use tokio::io::AsyncWrite as _;

use crate::carrier::MAX_RUNS;
use crate::duplex::Duplex;
use crate::handles::Handle;

/// All of it is used under one lock, so that nothing happens between a look and what follows.
pub(crate) struct Shared<C> {
    pub(crate) connection: Connection<C>,
    /// `None`: the connection is over.
    pub(crate) io: Option<Box<dyn Duplex>>,
    /// Descriptors that wait for the frames of these calls to be written.
    pub(crate) handles: Vec<(CallId, Handle)>,
    /// The task, while it sleeps.
    task: Option<Waker>,
    /// When the task's alarm goes off.
    pub(crate) alarm: Option<Duration>,
    pub(crate) closing: bool,
    /// The peer does not read at the moment: the task waits to write on.
    blocked: bool,
    /// What is said now is left to the task: it has more callers to wake, or one has written since
    /// its last turn.
    gathering: bool,
}

impl<C> Shared<C> {
    pub(crate) fn new(connection: Connection<C>, io: Box<dyn Duplex>) -> Self {
        Self {
            connection,
            io: Some(io),
            handles: Vec::new(),
            task: None,
            alarm: None,
            closing: false,
            blocked: false,
            gathering: false,
        }
    }

    /// The task, to be woken once the lock is given back.
    pub(crate) const fn task(&mut self) -> Option<Waker> {
        self.task.take()
    }

    /// Writes all frames that are ready. Pending: the peer does not read at the moment.
    pub(crate) fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.blocked = true;
        ready!(self.write_all(context))?;
        self.blocked = false;
        Poll::Ready(Ok(()))
    }

    fn write_all(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(())) };
        loop {
            // Only who has given one has to ask where it goes.
            let next = if self.handles.is_empty() { None } else { self.connection.output_handle() };
            let handle = self.handles.iter().position(|(call, _)| next == Some(*call));
            let mut runs = [IoSlice::new(&[]); MAX_RUNS];
            let used = self.connection.output_slices(&mut runs);
            let mut io = Pin::new(&mut *io);
            let written = match (runs.get(..used).unwrap_or_default(), handle.map(|at| &self.handles[at].1)) {
                ([], _) => return Poll::Ready(Ok(())),
                (runs, Some(handle)) => io.as_mut().poll_write_handle(context, runs, handle),
                ([run], None) => io.as_mut().poll_write(context, run),
                (runs, None) => io.as_mut().poll_write_vectored(context, runs),
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.connection.wrote(count),
            }
            // It has left, and no copy is kept: the plugin's close must be the last (decisions P5).
            handle.map(|at| self.handles.swap_remove(at));
        }
    }

    /// Writes from the caller, unless the task gathers. False: the task has something to do.
    pub(crate) fn write_through(&mut self) -> bool {
        if self.gathering || self.blocked {
            return false;
        }
        self.gathering = true;
        // What does not go out now, or fails, is the task's: it asks again with its own waker.
        let written = self.write(&mut Context::from_waker(Waker::noop()));
        self.blocked = false;
        matches!(written, Poll::Ready(Ok(()))) && !self.is_alarm_late()
    }

    /// Whether a clock runs out before the task's alarm.
    pub(crate) fn is_alarm_late(&self) -> bool {
        let next = self.connection.next_deadline();
        next.is_some_and(|next| self.alarm.is_none_or(|alarm| next < alarm))
    }

    /// The task sleeps. It gathers what it hears next if it has just woken several callers.
    pub(crate) fn rest(&mut self, task: &Waker, gathering: bool) {
        self.task = Some(task.clone());
        self.gathering = gathering;
    }
}
