//! Calls: what the engine asks of the members, and what comes back of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outrigger_broker::{Instance, PluginHost, SinkClient};
use outrigger_engine::{Action, BatchId, CollectionSync, Event, Report, Settings, Side, Snapshot};
use outrigger_protocol::{
    Anchor, Code, CommitItem, Compare, Connect, ConnectDone, Error, GetChanges, ReadItem, StoreId, limits,
};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, mpsc};
use tokio::task::JoinSet;

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
}

/// The engine, where the connection's task can reach it too: listings and items are handed over as
/// they are decoded. What the engine asks for then must not wait for the next event.
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
    fn receive_beside(&self, event: Event<'_>) {
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

/// Both members' collections. A sink that is `None` would be made, were this not a dry run: it is
/// as empty as it would be then.
pub(super) struct Members {
    sinks: [Option<SinkClient>; 2],
    instances: [Instance; 2],
    pub(super) names: [String; 2],
    /// Why a member could not be connected.
    pub(super) failed: [Option<Error>; 2],
    /// Whose link to the store is open: nobody else is told of the end.
    connected: [bool; 2],
    /// Open calls, per member.
    calls: [JoinSet<()>; 2],
    /// The same about items: who was with the plugin when it died.
    with_plugin: [WithPlugin; 2],
    later: mpsc::UnboundedSender<Later>,
}

impl Members {
    pub(super) fn new(
        sinks: [Option<SinkClient>; 2],
        instances: [Instance; 2],
        names: [String; 2],
        later: mpsc::UnboundedSender<Later>,
    ) -> Self {
        let (failed, connected, calls) = ([None, None], [false; 2], Default::default());
        let with_plugin = instances.each_ref().map(|instance| WithPlugin::new(instance.host().clone()));
        Self { sinks, instances, names, failed, connected, calls, with_plugin, later }
    }

    /// Lets the plugin of a member work on one call about items at a time: it died over one of them,
    /// and which one is to be found out.
    pub(super) fn one_at_a_time(&mut self, side: Side) {
        self.with_plugin[side.index()].turn = Arc::new(Semaphore::new(1));
    }

    fn sink(&self, side: Side) -> Option<&SinkClient> {
        self.sinks[side.index()].as_ref()
    }

    fn store(&self, side: Side) -> Option<StoreId> {
        self.sink(side).and_then(|sink| sink.sink().store.clone())
    }

    /// Connects both, then tells both whether the run is a slow sync for anyone.
    pub(super) async fn connect(&mut self, snapshot: &Snapshot, settings: &mut Settings) {
        settings.max_body =
            Side::BOTH.map(|side| self.sink(side).map_or(limits::MAX_BODY, SinkClient::max_body));
        settings.compares = self.instances.each_ref().map(compared_formats);
        let request = |side: Side| Connect {
            slow_sync: settings.slow[side.index()],
            read_only: settings.dry_run,
            anchor: snapshot.anchors[side.index()].clone(),
        };
        let (a, b) = tokio::join!(
            connect(self.sink(Side::A), request(Side::A)),
            connect(self.sink(Side::B), request(Side::B))
        );
        for (side, connected) in Side::BOTH.into_iter().zip([a, b]) {
            match connected {
                Ok(slow) => {
                    settings.slow[side.index()] |= slow;
                    self.connected[side.index()] = true;
                }
                Err(error) => self.failed[side.index()] = Some(error),
            }
        }
        let done = ConnectDone { slow_sync: settings.slow.contains(&true) };
        let (a, b) = tokio::join!(self.connect_done(Side::A, &done), self.connect_done(Side::B, &done));
        for (side, outcome) in Side::BOTH.into_iter().zip([a, b]) {
            self.failed[side.index()] = self.failed[side.index()].take().or(outcome.err());
        }
    }

    async fn connect_done(&self, side: Side, done: &ConnectDone) -> Result<(), Error> {
        match self.sink(side) {
            Some(sink) if self.failed[side.index()].is_none() => sink.connect_done(done).await,
            _ => Ok(()),
        }
    }

    /// Makes a call; it is cancelled if the member is given up.
    fn call(&mut self, side: Side, call: impl Future<Output = ()> + Send + 'static) {
        let calls = &mut self.calls[side.index()];
        while calls.try_join_next().is_some() {}
        calls.spawn(call);
    }

    /// Cancels all that is open at a member: nobody waits for it any more.
    pub(super) fn give_up(&mut self, side: Side) {
        self.calls[side.index()].abort_all();
    }

    pub(super) fn list(&mut self, side: Side, slow: bool, anchor: Option<Anchor>, engine: &Engine) {
        let store = self.store(side);
        let (engine, later) = (engine.clone(), self.later.clone());
        let Some(sink) = self.sink(side).cloned() else {
            tell(&later, Event::ListEnd { side, complete: true, count: 0, anchor: None, store });
            return;
        };
        self.call(side, async move {
            let each = move |change| engine.receive_beside(Event::Listed { side, change });
            let listed = sink.get_changes(&GetChanges { slow_sync: slow, anchor }, each).await;
            match listed {
                Ok(end) => {
                    let (complete, count, anchor) = (end.complete, end.count, end.anchor);
                    tell(&later, Event::ListEnd { side, complete, count, anchor, store });
                }
                Err(error) => failed(&later, side, error, |error| Event::ListFailed { side, error, store }),
            }
        });
    }

    pub(super) fn read(&mut self, side: Side, batch: BatchId, items: Vec<ReadItem>, engine: &Engine) {
        let (engine, later) = (engine.clone(), self.later.clone());
        let Some(sink) = self.sink(side).cloned() else { return no_sink(&later, side) };
        let with_plugin = self.with_plugin[side.index()].clone();
        self.call(side, async move {
            let _turn = with_plugin.begin(batch).await;
            let each = move |result: outrigger_protocol::ReadResult<'_>| {
                engine.receive_beside(Event::ReadItem { side, batch, result });
            };
            match sink.read(items, each).await {
                Ok(()) => tell(&later, Event::ReadEnd { side, batch }),
                Err(error) => {
                    with_plugin.tell_of_a_crash(&later, side);
                    failed(&later, side, error, |error| Event::ReadFailed { side, batch, error });
                }
            }
            with_plugin.end(batch);
        });
    }

    pub(super) fn commit(&mut self, side: Side, batch: BatchId, items: Vec<CommitItem<'static>>) {
        let later = self.later.clone();
        let Some(sink) = self.sink(side).cloned() else { return no_sink(&later, side) };
        let with_plugin = self.with_plugin[side.index()].clone();
        self.call(side, async move {
            let _turn = with_plugin.begin(batch).await;
            match sink.commit(items).await {
                Ok(committed) => tell(&later, Event::Committed { side, batch, results: committed.results }),
                Err(error) => {
                    with_plugin.tell_of_a_crash(&later, side);
                    failed(&later, side, error, |error| Event::CommitFailed { side, batch, error });
                }
            }
            with_plugin.end(batch);
        });
    }

    pub(super) fn compare(&mut self, side: Side, batch: BatchId, request: Compare) {
        let (instance, later) = (self.instances[side.index()].clone(), self.later.clone());
        self.call(side, async move {
            match instance.compare(&request).await {
                Ok(compared) => tell(&later, Event::Compared { side, batch, verdict: compared.verdict }),
                Err(error) => not_compared(&later, side, batch, error),
            }
        });
    }

    /// Says to each member that the run is over: all committed, done if it came through, goodbye.
    pub(super) async fn finish(mut self, came_through: [bool; 2]) {
        for calls in &mut self.calls {
            calls.shutdown().await;
        }
        let open = |side: Side| self.sink(side).filter(|_| self.connected[side.index()]);
        let [a, b] = came_through;
        tokio::join!(finish(open(Side::A), a), finish(open(Side::B), b));
    }
}

/// The calls about items that are with a plugin now. Those that wait for their turn are not: it cannot
/// have died over them.
#[derive(Clone)]
struct WithPlugin {
    host: PluginHost,
    open: Arc<Mutex<BTreeSet<BatchId>>>,
    turn: Arc<Semaphore>,
}

impl WithPlugin {
    fn new(host: PluginHost) -> Self {
        Self { host, open: Arc::default(), turn: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<BatchId>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn of a call; it is with the plugin from here on.
    async fn begin(&self, batch: BatchId) -> Option<SemaphorePermit<'_>> {
        let turn = self.turn.acquire().await.ok(); // it is never closed
        self.open().insert(batch);
        turn
    }

    fn end(&self, batch: BatchId) {
        self.open().remove(&batch);
    }

    /// Tells the engine what was with the plugin, if that is dead or hangs. All that was open fails
    /// then, and whichever comes first speaks for all of it. One that went with its broker did not die
    /// over anything.
    fn tell_of_a_crash(&self, later: &mpsc::UnboundedSender<Later>, side: Side) {
        let went_with_broker = self.host.death().is_some_and(|death| death.with_broker);
        if self.host.is_lost() && !went_with_broker {
            let open = self.open().iter().copied().collect();
            tell(later, Event::Crashed { side, open });
        }
    }
}

/// The formats that its plugin compares.
fn compared_formats(instance: &Instance) -> Vec<String> {
    let compared = instance.formats().iter().filter(|format| format.compare);
    compared.map(|format| format.name.clone()).collect()
}

async fn connect(sink: Option<&SinkClient>, request: Connect) -> Result<bool, Error> {
    match sink {
        Some(sink) => sink.connect(&request).await.map(|connected| connected.slow_sync),
        None => Ok(false),
    }
}

async fn finish(sink: Option<&SinkClient>, came_through: bool) {
    let Some(sink) = sink else { return };
    let name = &sink.sink().name;
    // What was cancelled is answered before anything else may be asked.
    sink.drain().await;
    if came_through && let Err(error) = succeeded(sink).await {
        tracing::warn!(collection = name, %error, "the member could not note that the run succeeded");
    }
    if let Err(error) = sink.disconnect().await {
        tracing::debug!(collection = name, %error, "disconnect");
    }
}

/// Says that all is committed, and then that the run succeeded.
pub(super) async fn succeeded(sink: &SinkClient) -> Result<(), Error> {
    sink.committed_all().await?;
    sink.sync_done().await
}

/// Tells the engine that a call failed and, when the member is gone, that too.
fn failed(
    later: &mpsc::UnboundedSender<Later>,
    side: Side,
    error: Error,
    event: impl FnOnce(Error) -> Event<'static>,
) {
    let lost = is_gone(&error).then(|| error.clone());
    let exit = Exit::of_call(error.code);
    // First, for it says more: what was open at the member ends with it.
    if let Some(error) = lost {
        tell(later, Event::MemberLost { side, error });
    }
    drop(later.send(Later::Called { event: event(error), exit }));
}

/// The same of a comparison. Here the pair comes first: it is taken for different before the member
/// is left alone, so the next run does not begin with what this one died or hung on.
fn not_compared(later: &mpsc::UnboundedSender<Later>, side: Side, batch: BatchId, error: Error) {
    let lost = is_gone(&error).then(|| error.clone());
    let exit = Exit::of_call(error.code).or_worse(Exit::Partial);
    drop(later.send(Later::Called { event: Event::CompareFailed { side, batch, error }, exit }));
    if let Some(error) = lost {
        tell(later, Event::MemberLost { side, error });
    }
}

/// Whether nothing more is to be had from the member in this run.
fn is_gone(error: &Error) -> bool {
    matches!(error.code, Code::DISCONNECTED | Code::DEADLINE | Code::IDLE_TIMEOUT | Code::BUSY)
}

/// A run that has ended asks for nothing more, so nobody misses what comes after.
fn tell(later: &mpsc::UnboundedSender<Later>, event: Event<'static>) {
    drop(later.send(Later::Called { event, exit: Exit::Done }));
}

/// Nothing was listed of a sink that does not exist, so nothing of it is read or written.
fn no_sink(later: &mpsc::UnboundedSender<Later>, side: Side) {
    let error = Error::new(Code::INTERNAL, "a collection that does not exist was used");
    tell(later, Event::MemberLost { side, error });
}
