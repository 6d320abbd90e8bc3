//! Drive: lets the engine of one pair of collections run to its end.
//!
//! The engine asks for actions; calls go to the members through the broker, records to the store,
//! and what comes back goes to the engine as events. Calls to one member are made in the order of
//! their actions, the two members overlap, and no step waits for the disk but the one that must.

use std::time::Instant;

use outrigger_broker::{Instance, SinkClient};
use outrigger_engine::{Action, CRASHES, CollectionSync, Event, Report, Settings, Side, Snapshot};
use outrigger_protocol::{Compare, OperationId};
use outrigger_store::{Collection, Store};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::calls::{Engine, Later, Members};
use super::journal::Journal;
use super::stored::ask;
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

impl Drive<'_> {
    /// Runs it; whatever happens is in the report.
    pub(super) async fn run(
        mut self,
        name: &str,
        sinks: [Option<SinkClient>; 2],
        instances: [Instance; 2],
        members: [String; 2],
    ) -> CollectionReport {
        let mut report = CollectionReport::new(name);
        let snapshot = match ask(name, self.store.load(&self.collection)).await {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                let reason = failure.causes.first().map_or_else(|| failure.to_string(), ToString::to_string);
                report.take(Report::JournalFailed { reason }, self.settings.dry_run);
                report.worsen(failure.exit);
                return report;
            }
        };
        let (later, events) = mpsc::unbounded_channel::<Later>();
        let mut members = Members::new(sinks, instances, members, later.clone());
        for charge in snapshot.charges.iter().filter(|charge| charge.crashes < CRASHES) {
            members.one_at_a_time(charge.side);
        }
        members.connect(&snapshot, &mut self.settings).await;
        let journal = Journal::new(self.store, &self.collection, move |durable| {
            // A run that has ended asks for nothing more, so nobody misses what comes after.
            drop(later.send(Later::Journaled(durable)));
        });
        let finished = self.sync(snapshot, &mut members, journal, events, &mut report).await;
        members.finish(finished).await;
        report
    }

    /// The loop. Returns, per side, whether the member came through it.
    async fn sync<D: Fn(Result<(), String>) + Clone + Send + 'static>(
        &self,
        snapshot: Snapshot,
        members: &mut Members,
        mut journal: Journal<'_, D>,
        mut events: mpsc::UnboundedReceiver<Later>,
        report: &mut CollectionReport,
    ) -> [bool; 2] {
        let operations = Box::new(|| OperationId(Uuid::now_v7()));
        let engine = Engine::new(CollectionSync::new(snapshot, self.settings.clone(), operations));
        for side in Side::BOTH {
            if let Some(error) = members.failed[side.index()].take() {
                report.worsen(Exit::of_call(error.code));
                engine.receive(Event::MemberLost { side, error });
            }
        }
        (self.watch)("listing");
        let mut course = Course::new();
        loop {
            let mut finished = false;
            while let Some(action) = engine.poll_output() {
                finished |= matches!(action, Action::Finished);
                if let Action::Commit { items, .. } = &action {
                    self.sending(items.len() as u64, &mut course);
                }
                perform(action, members, &mut journal, &engine);
            }
            while let Some(said) = engine.poll_event() {
                self.note(&said, members, &mut course, report);
                report.take(said, self.settings.dry_run);
            }
            if finished {
                return course.came_through;
            }
            tokio::select! {
                Some(later) = events.recv() => self.heard(later, &engine, &mut journal, &mut course, report),
                () = engine.nudged() => {}
            }
        }
    }

    fn sending(&self, writes: u64, course: &mut Course) {
        if course.sent == 0 {
            (self.watch)("copying");
        }
        course.sent += writes;
        (self.written)(course.done, course.sent.max(course.planned));
    }

    /// Hands the engine what came back.
    fn heard<D: Fn(Result<(), String>) + Clone + Send + 'static>(
        &self,
        later: Later,
        engine: &Engine,
        journal: &mut Journal<'_, D>,
        course: &mut Course,
        report: &mut CollectionReport,
    ) {
        match later {
            Later::Called { event, exit } => {
                report.worsen(exit);
                if let Event::Committed { results, .. } = &event {
                    course.done += results.len() as u64;
                    (self.written)(course.done, course.sent.max(course.planned));
                }
                engine.receive(event);
            }
            Later::Journaled(durable) => {
                for ticket in journal.end(durable.is_ok()) {
                    engine.receive(match &durable {
                        Ok(()) => Event::Journaled { ticket },
                        Err(reason) => Event::JournalFailed { ticket, reason: reason.clone() },
                    });
                }
            }
        }
    }

    fn note(&self, said: &Report, members: &mut Members, course: &mut Course, report: &mut CollectionReport) {
        match said {
            Report::Planned { .. } => course.planned += 1,
            Report::Listed { .. } => report.listing = course.begun.elapsed(),
            Report::MemberFailed { side, class, words } => {
                course.came_through[side.index()] = false;
                members.give_up(*side);
                report.worsen(Exit::of_failure(*class));
                let member = &members.names[side.index()];
                tracing::warn!(member, words, "the member is left out of this run");
            }
            Report::JournalFailed { .. } => {
                course.came_through = [false; 2];
                report.worsen(Exit::Internal);
            }
            Report::Ended(summary) => {
                for side in Side::BOTH {
                    course.came_through[side.index()] &= !summary.failed[side.index()];
                }
            }
            _ => {}
        }
    }
}

/// How far a run has come.
struct Course {
    begun: Instant,
    /// Per member: nothing stopped it so far.
    came_through: [bool; 2],
    /// Writes that are answered, sent, and decided before the first.
    done: u64,
    sent: u64,
    planned: u64,
}

impl Course {
    fn new() -> Self {
        Self { begun: Instant::now(), came_through: [true; 2], done: 0, sent: 0, planned: 0 }
    }
}

fn perform<D: Fn(Result<(), String>) + Clone + Send + 'static>(
    action: Action,
    members: &mut Members,
    journal: &mut Journal<'_, D>,
    engine: &Engine,
) {
    match action {
        Action::List { side, slow, anchor } => members.list(side, slow, anchor, engine),
        Action::Read { side, batch, items } => members.read(side, batch, items, engine),
        Action::Commit { side, batch, items } => members.commit(side, batch, items),
        Action::Compare { side, batch, format, left, right } => {
            members.compare(side, batch, Compare { format, left: left.into(), right: right.into() });
        }
        // Intents before their writes are sent, rows after their answers.
        Action::Journal { ticket, records } => journal.add(ticket, records),
        Action::Finished => {}
    }
}
