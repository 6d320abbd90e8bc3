//! Part: one member's part in the run of one collection: its calls, and which of them are with its
//! plugin.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outrigger_broker::{Instance, PluginHost, SinkClient};
use outrigger_engine::{BatchId, Event, MemberIndex};
use outrigger_protocol::{
    Anchor, Code, CommitItem, CommitOutcome, Committed, Compare, Connect, ConnectDone, Dedupe, Error,
    GetChanges, ReadItem, ReadOutcome, ReadResult, StoreId, limits,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

use super::names::{Listening, Names};
use super::shared::{Engine, Teller};

/// What a member takes part with.
pub(super) struct Seat {
    /// `None`: it would be made, were this not a dry run. It is as empty as it would be then.
    pub(super) sink: Option<SinkClient>,
    pub(super) instance: Instance,
    /// Where its plugin says new names.
    pub(super) names: Names,
}

/// One member's part.
pub(super) struct Part {
    member: MemberIndex,
    sink: Option<SinkClient>,
    /// `None`: it takes no part.
    instance: Option<Instance>,
    names: Names,
    /// New names of its items are heard.
    listening: Option<Listening>,
    /// Why it could not be connected.
    pub(super) failed: Option<Error>,
    /// Its link to the store is open: nobody else is told of the end.
    connected: bool,
    /// Open calls.
    calls: JoinSet<()>,
    /// The same about items: what was with the plugin when it died.
    with_plugin: WithPlugin,
    teller: Teller,
}

impl Part {
    /// `None`: a member that takes no part, which is lost from the beginning.
    pub(super) fn new(member: MemberIndex, seat: Option<Seat>, teller: Teller) -> Self {
        let failed = seat.is_none().then(|| Error::new(Code::REMOTE, "it takes no part in this run"));
        let (sink, instance, names) = match seat {
            Some(Seat { sink, instance, names }) => (sink, Some(instance), names),
            None => (None, None, Names::default()),
        };
        let with_plugin = WithPlugin::new(instance.as_ref().map(|instance| instance.host().clone()));
        Self {
            member,
            sink,
            instance,
            names,
            listening: None,
            failed,
            connected: false,
            calls: JoinSet::new(),
            with_plugin,
            teller,
        }
    }

    /// Lets the plugin work on one call about items at a time: it died over one of them, and which one
    /// is to be found out.
    pub(super) fn one_at_a_time(&mut self) {
        self.with_plugin.turn = Arc::new(Semaphore::new(1));
    }

    /// Hears from now on what its plugin says of names in this collection.
    pub(super) fn listen(&mut self) {
        let sink = self.sink.as_ref().filter(|_| self.connected);
        self.listening =
            sink.map(|sink| self.names.listen(sink.sink().object, self.member, self.teller.clone()));
    }

    /// Bytes that one call can carry.
    pub(super) fn max_body(&self) -> usize {
        self.sink.as_ref().map_or(limits::MAX_BODY, SinkClient::max_body)
    }

    /// The formats that its plugin compares.
    pub(super) fn compares(&self) -> Vec<String> {
        let formats = self.instance.iter().flat_map(Instance::formats);
        formats.filter(|format| format.compare).map(|format| format.name.clone()).collect()
    }

    /// How it recognises a create that it is sent again.
    pub(super) fn dedupe(&self) -> Dedupe {
        self.sink.as_ref().map_or(Dedupe::default(), |sink| sink.sink().dedupe())
    }

    /// Connects it. Returns whether it asks for a slow sync.
    pub(super) async fn connect(&mut self, request: Connect) -> bool {
        let Some(sink) = &self.sink else { return false };
        match sink.connect(&request).await {
            Ok(connected) => {
                self.connected = true;
                connected.slow_sync
            }
            Err(error) => {
                self.fail(error);
                false
            }
        }
    }

    fn fail(&mut self, error: Error) {
        self.teller.prospects.call_failed(&error);
        self.failed = Some(error);
    }

    /// Tells it that all are connected.
    pub(super) async fn connect_done(&mut self, done: &ConnectDone) {
        if let (Some(sink), None) = (&self.sink, &self.failed) {
            let connected = sink.connect_done(done).await;
            connected.err().into_iter().for_each(|error| self.fail(error));
        }
    }

    fn store(&self) -> Option<StoreId> {
        self.sink.as_ref().and_then(|sink| sink.sink().store.clone())
    }

    /// Makes a call; it is cancelled if the member is given up.
    fn call(&mut self, call: impl Future<Output = ()> + Send + 'static) {
        while self.calls.try_join_next().is_some() {}
        self.calls.spawn(call);
    }

    /// Cancels all that is open: nobody waits for it any more.
    pub(super) fn give_up(&mut self) {
        self.calls.abort_all();
    }

    pub(super) fn list(&mut self, slow: bool, anchor: Option<Anchor>, engine: &Engine) {
        let (member, store) = (self.member, self.store());
        let (engine, teller) = (engine.clone(), self.teller.clone());
        let Some(sink) = self.sink.clone() else {
            teller.tell(Event::ListEnd { member, complete: true, count: 0, anchor: None, store });
            return;
        };
        self.call(async move {
            let each = move |change| engine.receive_beside(Event::Listed { member, change });
            let listed = sink.get_changes(&GetChanges { slow_sync: slow, anchor }, each).await;
            match listed {
                Ok(end) => {
                    let (complete, count, anchor) = (end.complete, end.count, end.anchor);
                    teller.tell(Event::ListEnd { member, complete, count, anchor, store });
                }
                Err(error) => {
                    teller.failed(member, error, |error| Event::ListFailed { member, error, store })
                }
            }
        });
    }

    pub(super) fn read(&mut self, batch: BatchId, items: Vec<ReadItem>, engine: &Engine) {
        let (member, engine, teller) = (self.member, engine.clone(), self.teller.clone());
        let Some(sink) = self.sink.clone() else { return self.no_sink() };
        let with_plugin = self.with_plugin.clone();
        self.call(async move {
            let _turn = with_plugin.begin(batch).await;
            let prospects = teller.prospects.clone();
            let each = move |result: ReadResult<'_>| {
                if let ReadOutcome::Failed(error) = &result.outcome {
                    prospects.item_failed(error);
                }
                engine.receive_beside(Event::ReadItem { member, batch, result });
            };
            match sink.read(items, each).await {
                Ok(()) => teller.tell(Event::ReadEnd { member, batch }),
                Err(error) => {
                    with_plugin.tell_of_a_crash(&teller, member);
                    teller.failed(member, error, |error| Event::ReadFailed { member, batch, error });
                }
            }
            with_plugin.end(batch);
        });
    }

    pub(super) fn commit(&mut self, batch: BatchId, items: Vec<CommitItem<'static>>) {
        let (member, teller) = (self.member, self.teller.clone());
        let Some(sink) = self.sink.clone() else { return self.no_sink() };
        let with_plugin = self.with_plugin.clone();
        self.call(async move {
            let _turn = with_plugin.begin(batch).await;
            match sink.commit(items).await {
                Ok(Committed { results, .. }) => {
                    let failed = results.iter().filter_map(|result| match &result.outcome {
                        CommitOutcome::Failed(error) => Some(error),
                        CommitOutcome::Done { .. } => None,
                    });
                    failed.for_each(|error| teller.prospects.item_failed(error));
                    teller.tell(Event::Committed { member, batch, results });
                }
                Err(error) => {
                    with_plugin.tell_of_a_crash(&teller, member);
                    teller.failed(member, error, |error| Event::CommitFailed { member, batch, error });
                }
            }
            with_plugin.end(batch);
        });
    }

    pub(super) fn compare(&mut self, batch: BatchId, request: Compare) {
        let (member, teller) = (self.member, self.teller.clone());
        let Some(instance) = self.instance.clone() else { return self.no_sink() };
        self.call(async move {
            match instance.compare(&request).await {
                Ok(compared) => teller.tell(Event::Compared { member, batch, verdict: compared.verdict }),
                Err(error) => teller.not_compared(member, batch, error),
            }
        });
    }

    /// Nothing was listed of a sink that does not exist, so nothing of it is read or written.
    fn no_sink(&self) {
        let error = Error::new(Code::INTERNAL, "a collection that does not exist was used");
        self.teller.tell(Event::MemberLost { member: self.member, error });
    }

    /// Says that the run is over: all committed, done if it came through, goodbye.
    pub(super) async fn finish(mut self, came_through: bool) {
        self.calls.shutdown().await;
        let Some(sink) = self.sink.filter(|_| self.connected) else { return };
        let name = &sink.sink().name;
        // What was cancelled is answered before anything else may be asked.
        sink.drain().await;
        if came_through && let Err(error) = succeeded(&sink).await {
            tracing::warn!(collection = name, %error, "the member could not note that the run succeeded");
        }
        drop(self.listening);
        if let Err(error) = sink.disconnect().await {
            tracing::debug!(collection = name, %error, "disconnect");
        }
    }
}

/// Says that all is committed, and then that the run succeeded.
pub(super) async fn succeeded(sink: &SinkClient) -> Result<(), Error> {
    sink.committed_all().await?;
    sink.sync_done().await
}

/// The calls about items that are with a plugin now. Those that wait for their turn are not: it cannot
/// have died over them.
#[derive(Clone)]
struct WithPlugin {
    host: Option<PluginHost>,
    open: Arc<Mutex<BTreeSet<BatchId>>>,
    turn: Arc<Semaphore>,
}

impl WithPlugin {
    fn new(host: Option<PluginHost>) -> Self {
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
    fn tell_of_a_crash(&self, teller: &Teller, member: MemberIndex) {
        let Some(host) = self.host.as_ref().filter(|host| host.is_lost()) else { return };
        if !host.death().is_some_and(|death| death.with_broker) {
            let open = self.open().iter().copied().collect();
            teller.tell(Event::Crashed { member, open });
        }
    }
}
