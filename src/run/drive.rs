//! Drive: lets the engine of one pair of collections run to its end.
//!
//! The engine asks for actions; calls go to the members through the broker, records to the store,
//! and what comes back goes to the engine as events. Calls to one member are made in the order of
//! their actions, the two members overlap, and no step waits for the disk but the one that must.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use outrigger_broker::SinkClient;
use outrigger_engine::{
    Action, BatchId, CollectionSync, Event, Record, Report, Settings, Side, Snapshot, Ticket,
};
use outrigger_protocol::{
    Anchor, Code, CommitItem, Connect, ConnectDone, Error, GetChanges, OperationId, ReadItem, StoreId,
};
use outrigger_store::{Collection, Store};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::exit::Exit;
use crate::report::CollectionReport;

/// What one pair of collections is run with.
pub(super) struct Drive<'d> {
    pub(super) store: &'d Store,
    pub(super) collection: Collection,
    pub(super) settings: Settings,
    /// Told the phase.
    pub(super) watch: Box<dyn Fn(&str) + Send + Sync + 'd>,
    /// Told how many writes are answered, of how many.
    pub(super) written: Box<dyn Fn(u64, u64) + Send + Sync + 'd>,
}

/// What a call or the store has to say, back on the run's own thread.
struct Later {
    event: Event<'static>,
    /// What the command cannot end better than.
    exit: Exit,
}

impl Drive<'_> {
    /// Runs it; whatever happens is in the report.
    pub(super) async fn run(
        mut self,
        name: &str,
        sinks: [Option<SinkClient>; 2],
        members: [String; 2],
    ) -> CollectionReport {
        let mut report = CollectionReport::new(name);
        let snapshot = match super::ask(name, self.store.load(&self.collection)).await {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                let reason = failure.causes.first().map_or_else(|| failure.to_string(), ToString::to_string);
                report.take(Report::JournalFailed { reason }, self.settings.dry_run);
                report.worsen(failure.exit);
                return report;
            }
        };
        let mut members = Members { sinks, names: members, failed: [None, None] };
        members.connect(&snapshot, &mut self.settings).await;
        let finished = self.sync(snapshot, &mut members, &mut report).await;
        members.finish(finished).await;
        report
    }

    /// The loop. Returns, per side, whether the member came through it.
    async fn sync(
        &mut self,
        snapshot: Snapshot,
        members: &mut Members,
        report: &mut CollectionReport,
    ) -> [bool; 2] {
        let begun = Instant::now();
        let dry_run = self.settings.dry_run;
        let operations = Box::new(|| OperationId(Uuid::now_v7()));
        let engine = Engine::new(CollectionSync::new(snapshot, self.settings.clone(), operations));
        let (later, mut events) = mpsc::unbounded_channel::<Later>();
        for side in Side::BOTH {
            if let Some(error) = members.failed[side.index()].take() {
                report.worsen(exit_of(&error));
                engine.receive(Event::MemberLost { side, error });
            }
        }
        (self.watch)("listing");
        let mut came_through = [true; 2];
        let (mut done, mut sent, mut planned) = (0, 0, 0);
        let mut finished = false;
        while !finished {
            while let Some(action) = engine.poll_output() {
                finished |= matches!(action, Action::Finished);
                if let Action::Commit { items, .. } = &action {
                    if sent == 0 {
                        (self.watch)("copying");
                    }
                    sent += items.len() as u64;
                    (self.written)(done, sent.max(planned));
                }
                self.perform(action, members, &engine, &later);
            }
            while let Some(said) = engine.poll_event() {
                planned += u64::from(matches!(said, Report::Planned { .. }));
                self.note(&said, members, &mut came_through, report, begun);
                report.take(said, dry_run);
            }
            if !finished && let Some(Later { event, exit }) = events.recv().await {
                report.worsen(exit);
                if let Event::Committed { results, .. } = &event {
                    done += results.len() as u64;
                    (self.written)(done, sent.max(planned));
                }
                engine.receive(event);
            }
        }
        came_through
    }

    fn note(
        &self,
        said: &Report,
        members: &Members,
        came_through: &mut [bool; 2],
        report: &mut CollectionReport,
        begun: Instant,
    ) {
        match said {
            Report::Listed { .. } => report.listing = begun.elapsed(),
            Report::MemberFailed { side, words } => {
                came_through[side.index()] = false;
                tracing::warn!(
                    member = members.names[side.index()],
                    words,
                    "the member is left out of this run"
                );
            }
            Report::JournalFailed { .. } => {
                *came_through = [false; 2];
                report.worsen(Exit::Internal);
            }
            Report::Ended(summary) => {
                for side in Side::BOTH {
                    came_through[side.index()] &= !summary.failed[side.index()];
                }
            }
            _ => {}
        }
    }

    fn perform(
        &self,
        action: Action,
        members: &Members,
        engine: &Engine,
        later: &mpsc::UnboundedSender<Later>,
    ) {
        match action {
            Action::List { side, slow, anchor } => members.list(side, slow, anchor, engine, later),
            Action::Read { side, batch, items } => members.read(side, batch, items, engine, later),
            Action::Commit { side, batch, items } => members.commit(side, batch, items, later),
            Action::Journal { ticket, records } => self.journal(ticket, records, later),
            Action::Finished => {}
        }
    }

    /// Makes records durable: intents before their writes are sent, rows after their answers.
    fn journal(&self, ticket: Ticket, records: Vec<Record>, later: &mpsc::UnboundedSender<Later>) {
        let later = later.clone();
        self.store.apply(&self.collection, records).then(move |durable| {
            tell(
                &later,
                match durable {
                    Ok(()) => Event::Journaled { ticket },
                    Err(error) => Event::JournalFailed { ticket, reason: error.to_string() },
                },
            );
        });
    }
}

/// The engine, where the connection's task can reach it too: listings and items are handed over as
/// they are decoded.
#[derive(Clone)]
struct Engine(Arc<Mutex<CollectionSync>>);

impl Engine {
    fn new(sync: CollectionSync) -> Self {
        Self(Arc::new(Mutex::new(sync)))
    }

    fn lock(&self) -> MutexGuard<'_, CollectionSync> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, event: Event<'_>) {
        self.lock().receive(event);
    }

    fn poll_output(&self) -> Option<Action> {
        self.lock().poll_output()
    }

    fn poll_event(&self) -> Option<Report> {
        self.lock().poll_event()
    }
}

/// Both members' collections. A sink that is `None` would be made, were this not a dry run: it is
/// as empty as it would be then.
struct Members {
    sinks: [Option<SinkClient>; 2],
    names: [String; 2],
    failed: [Option<Error>; 2],
}

impl Members {
    fn sink(&self, side: Side) -> Option<&SinkClient> {
        self.sinks[side.index()].as_ref()
    }

    fn store(&self, side: Side) -> Option<StoreId> {
        self.sink(side).and_then(|sink| sink.sink().store.clone())
    }

    /// Connects both, then tells both whether the run is a slow sync for anyone.
    async fn connect(&mut self, snapshot: &Snapshot, settings: &mut Settings) {
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
                Ok(slow) => settings.slow[side.index()] |= slow,
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

    fn list(
        &self,
        side: Side,
        slow: bool,
        anchor: Option<Anchor>,
        engine: &Engine,
        later: &mpsc::UnboundedSender<Later>,
    ) {
        let store = self.store(side);
        let Some(sink) = self.sink(side).cloned() else {
            tell(later, Event::ListEnd { side, complete: true, count: 0, anchor: None, store });
            return;
        };
        let (engine, later) = (engine.clone(), later.clone());
        tokio::spawn(async move {
            let each = move |change| engine.receive(Event::Listed { side, change });
            let listed = sink.get_changes(&GetChanges { slow_sync: slow, anchor }, each).await;
            match listed {
                Ok(end) => {
                    let (complete, count, anchor) = (end.complete, end.count, end.anchor);
                    tell(&later, Event::ListEnd { side, complete, count, anchor, store });
                }
                Err(error) => failed(&later, side, error, |error| Event::ListFailed { side, error }),
            }
        });
    }

    fn read(
        &self,
        side: Side,
        batch: BatchId,
        items: Vec<ReadItem>,
        engine: &Engine,
        later: &mpsc::UnboundedSender<Later>,
    ) {
        let Some(sink) = self.sink(side).cloned() else { return no_sink(later, side) };
        let (engine, later) = (engine.clone(), later.clone());
        tokio::spawn(async move {
            let each = move |result: outrigger_protocol::ReadResult<'_>| {
                engine.receive(Event::ReadItem { side, batch, result });
            };
            match sink.read(items, each).await {
                Ok(()) => tell(&later, Event::ReadEnd { side, batch }),
                Err(error) => failed(&later, side, error, |error| Event::ReadFailed { side, batch, error }),
            }
        });
    }

    fn commit(
        &self,
        side: Side,
        batch: BatchId,
        items: Vec<CommitItem<'static>>,
        later: &mpsc::UnboundedSender<Later>,
    ) {
        let Some(sink) = self.sink(side).cloned() else { return no_sink(later, side) };
        let later = later.clone();
        tokio::spawn(async move {
            match sink.commit(items).await {
                Ok(committed) => tell(&later, Event::Committed { side, batch, results: committed.results }),
                Err(error) => failed(&later, side, error, |error| Event::CommitFailed { side, batch, error }),
            }
        });
    }

    /// Says to each member that the run is over: all committed, done if it came through, goodbye.
    async fn finish(&self, came_through: [bool; 2]) {
        let [a, b] = came_through;
        tokio::join!(finish(self.sink(Side::A), a), finish(self.sink(Side::B), b));
    }
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
    if came_through && let Err(error) = sink.committed_all().await {
        tracing::warn!(collection = name, %error, "committed_all");
    }
    if came_through && let Err(error) = sink.sync_done().await {
        tracing::warn!(collection = name, %error, "sync_done");
    }
    if let Err(error) = sink.disconnect().await {
        tracing::debug!(collection = name, %error, "disconnect");
    }
}

/// Tells the engine that a call failed and, when the member is gone, that too.
fn failed(
    later: &mpsc::UnboundedSender<Later>,
    side: Side,
    error: Error,
    event: impl FnOnce(Error) -> Event<'static>,
) {
    let gone = matches!(error.code, Code::DISCONNECTED | Code::DEADLINE | Code::IDLE_TIMEOUT | Code::BUSY);
    let lost = gone.then(|| error.clone());
    let exit = exit_of(&error);
    drop(later.send(Later { event: event(error), exit }));
    if let Some(error) = lost {
        tell(later, Event::MemberLost { side, error });
    }
}

/// A run that has ended asks for nothing more, so nobody misses what comes after.
fn tell(later: &mpsc::UnboundedSender<Later>, event: Event<'static>) {
    drop(later.send(Later { event, exit: Exit::Done }));
}

/// What a failed call means for the end of the command: a plugin that died, hung or panicked is
/// broken; a password that is refused needs a person; the rest is the engine's to count.
fn exit_of(error: &Error) -> Exit {
    match error.code {
        Code::AUTH => Exit::Credentials,
        Code::DISCONNECTED | Code::DEADLINE | Code::IDLE_TIMEOUT | Code::PANIC | Code::INTERNAL => {
            Exit::Plugin
        }
        _ => Exit::Done,
    }
}

/// Nothing was listed of a sink that does not exist, so nothing of it is read or written.
fn no_sink(later: &mpsc::UnboundedSender<Later>, side: Side) {
    let error = Error::new(Code::INTERNAL, "a collection that does not exist was used");
    tell(later, Event::MemberLost { side, error });
}
