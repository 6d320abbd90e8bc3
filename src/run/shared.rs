//! Shared: the engine where the connection's task can reach it too, and what comes back to the run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outrigger_engine::{Action, BatchId, CollectionSync, Event, MemberIndex, Report};
use outrigger_protocol::{Code, Error, Href};
use tokio::sync::{Notify, mpsc, oneshot};

use super::retry::Prospects;
use crate::exit::Exit;

/// What comes back on the run's own thread.
pub(super) enum Later {
    /// Of a call.
    Called {
        event: Event<'static>,
        /// What the command cannot end better than.
        exit: Exit,
    },
    /// Of a transaction of the journal: it is durable, or why not.
    Journaled(Result<(), String>),
    /// A plugin calls items otherwise, and waits for the answer.
    Renamed { member: MemberIndex, names: Vec<(Href, Href)>, answer: oneshot::Sender<Result<(), Error>> },
}

/// The engine: listings and items are handed over as they are decoded. What it asks for then must not
/// wait for the next event.
#[derive(Clone)]
pub(super) struct Engine {
    sync: Arc<Mutex<CollectionSync>>,
    nudge: Arc<Notify>,
}

impl Engine {
    pub(super) fn new(sync: CollectionSync) -> Self {
        Self { sync: Arc::new(Mutex::new(sync)), nudge: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, CollectionSync> {
        self.sync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn receive(&self, event: Event<'_>) {
        self.lock().receive(event);
    }

    /// The same from the connection's task: the run is told to look.
    pub(super) fn receive_beside(&self, event: Event<'_>) {
        self.receive(event);
        self.nudge.notify_one();
    }

    /// Waits until something was received beside the run, since the last time.
    pub(super) async fn nudged(&self) {
        self.nudge.notified().await;
    }

    pub(super) fn poll_output(&self) -> Option<Action> {
        self.lock().poll_output()
    }

    pub(super) fn poll_event(&self) -> Option<Report> {
        self.lock().poll_event()
    }
}

/// Where calls say what came of them. A run that has ended asks for nothing more, so nobody misses
/// what comes after.
#[derive(Clone)]
pub(super) struct Teller {
    later: mpsc::UnboundedSender<Later>,
    /// What failures say of another try.
    pub(super) prospects: Prospects,
}

impl Teller {
    /// And what it tells.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Later>) {
        let (later, told) = mpsc::unbounded_channel();
        (Self { later, prospects: Prospects::default() }, told)
    }

    pub(super) fn send(&self, later: Later) {
        drop(self.later.send(later));
    }

    pub(super) fn tell(&self, event: Event<'static>) {
        self.send(Later::Called { event, exit: Exit::Done });
    }

    /// Tells that a call failed and, when the member is gone, that too.
    pub(super) fn failed(
        &self,
        member: MemberIndex,
        error: Error,
        event: impl FnOnce(Error) -> Event<'static>,
    ) {
        self.prospects.call_failed(&error);
        let exit = Exit::of_call(error.code);
        // First, for it says more: what was open at the member ends with it.
        if is_gone(&error) {
            self.tell(Event::MemberLost { member, error: error.clone() });
        }
        self.send(Later::Called { event: event(error), exit });
    }

    /// The same of a comparison. Here the pair comes first: it is taken for different before the member
    /// is left alone, so the next run does not begin with what this one died or hung on.
    pub(super) fn not_compared(&self, member: MemberIndex, batch: BatchId, error: Error) {
        let lost = is_gone(&error).then(|| error.clone());
        let exit = Exit::of_call(error.code).or_worse(Exit::Partial);
        self.send(Later::Called { event: Event::CompareFailed { member, batch, error }, exit });
        if let Some(error) = lost {
            self.prospects.call_failed(&error);
            self.tell(Event::MemberLost { member, error });
        }
    }
}

/// Whether nothing more is to be had from the member in this run.
fn is_gone(error: &Error) -> bool {
    matches!(error.code, Code::DISCONNECTED | Code::DEADLINE | Code::IDLE_TIMEOUT | Code::BUSY)
}
