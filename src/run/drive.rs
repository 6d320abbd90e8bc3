//! Drive: lets the engine of one collection run to its end.
//!
//! The engine asks for actions; calls go to the members through the broker, records to the store,
//! and what comes back goes to the engine as events. Calls to one member are made in the order of
//! their actions, the members overlap, and no step waits for the disk but the one that must.

use std::pin::pin;
use std::time::Instant;

use outrigger_engine::{Action, CRASHES, CollectionSync, Event, MemberIndex, Report, Settings};
use outrigger_protocol::{Compare, OperationId};
use outrigger_store::{Collection, Store};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::calls::Members;
use super::journal::Journal;
use super::names::Waiting;
use super::part::{Part, Seat};
use super::resolve::Resolver;
use super::shared::{Engine, Later, Teller};
use super::stored::ask;
use crate::config::Conflict;
use crate::exit::Exit;
use crate::report::CollectionReport;

/// What one collection is run with.
pub(super) struct Drive<'d> {
    pub(super) store: &'d Store,
    pub(super) collection: Collection,
    pub(super) settings: Settings,
    /// Settles what the engine hands out ([`Action::Resolve`]).
    pub(super) conflict: &'d Conflict,
    /// Told the phase.
    pub(super) watch: Box<dyn Fn(&str) + Send + Sync + 'd>,
    /// Told how many writes are answered, of how many.
    pub(super) written: Box<dyn Fn(u64, u64) + Send + Sync + 'd>,
}

/// Whom the engine's actions go to.
struct Hands<'d, D> {
    members: Members,
    keeping: Keeping<'d, D>,
    resolver: Resolver<'d>,
}

/// What is made durable, and who waits for it.
struct Keeping<'d, D> {
    journal: Journal<'d, D>,
    waiting: Waiting,
}

impl Drive<'_> {
    /// Runs it; whatever happens is in the report, which has a place for each member.
    pub(super) async fn run(
        mut self,
        seats: Vec<Option<Seat>>,
        mut report: CollectionReport,
    ) -> CollectionReport {
        let snapshot = match ask(&self.collection.name, self.store.load(&self.collection)).await {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                let reason = failure.causes.first().map_or_else(|| failure.to_string(), ToString::to_string);
                report.take(Report::JournalFailed { reason }, self.settings.dry_run);
                report.worsen(failure.exit);
                return report;
            }
        };
        let (teller, mut events) = Teller::new();
        let mut members = Members::new(seats, &teller);
        for charge in snapshot.charges.iter().filter(|charge| charge.crashes < CRASHES) {
            members.at(charge.member).into_iter().for_each(|part| part.one_at_a_time());
        }
        members.connect(&snapshot, &mut self.settings).await;
        let (durable, prospects) = (teller.clone(), teller.prospects.clone());
        let journal =
            Journal::new(self.store, &self.collection, move |made| durable.send(Later::Journaled(made)));
        let dry_run = self.settings.dry_run;
        let resolver = Resolver::new(self.store, &self.collection, self.conflict, dry_run, teller);
        let operations = Box::new(|| OperationId(Uuid::now_v7()));
        let engine = Engine::new(CollectionSync::new(snapshot, self.settings.clone(), operations));
        let mut hands =
            Hands { members, keeping: Keeping { journal, waiting: Waiting::default() }, resolver };
        let mut course = Course::new(self.settings.members.len());
        self.sync(&engine, &mut hands, &mut events, &mut course, &mut report).await;
        self.finish(&engine, hands, &mut events, &mut course, &mut report).await;
        report.retry_after = prospects.wait();
        report
    }

    /// The loop.
    async fn sync<D: Fn(Result<(), String>) + Clone + Send + 'static>(
        &self,
        engine: &Engine,
        hands: &mut Hands<'_, D>,
        events: &mut mpsc::UnboundedReceiver<Later>,
        course: &mut Course,
        report: &mut CollectionReport,
    ) {
        for (member, part) in hands.members.each() {
            if let Some(error) = part.failed.take() {
                report.worsen(Exit::of_call(error.code));
                engine.receive(Event::MemberLost { member, error });
            }
            part.listen();
        }
        (self.watch)("listing");
        loop {
            let mut finished = false;
            while let Some(action) = engine.poll_output() {
                finished |= matches!(action, Action::Finished);
                if let Action::Commit { items, .. } = &action {
                    self.sending(items.len() as u64, course);
                }
                hands.perform(action, engine);
            }
            while let Some(said) = engine.poll_event() {
                self.note(&said, &mut hands.members, course, report);
                report.take(said, self.settings.dry_run);
            }
            if finished {
                return;
            }
            tokio::select! {
                Some(later) = events.recv() => self.heard(later, engine, &mut hands.keeping, course, report),
                () = engine.nudged() => {}
            }
        }
    }

    /// Tells the members that the run is over, and takes what they say to that: some give items their
    /// lasting names only then.
    async fn finish<D: Fn(Result<(), String>) + Clone + Send + 'static>(
        &self,
        engine: &Engine,
        hands: Hands<'_, D>,
        events: &mut mpsc::UnboundedReceiver<Later>,
        course: &mut Course,
        report: &mut CollectionReport,
    ) {
        let Hands { members, mut keeping, .. } = hands;
        let mut finished = pin!(members.finish(course.came_through.clone()));
        loop {
            tokio::select! {
                () = &mut finished => return,
                Some(later) = events.recv() => match later {
                    // Of a member that was given up: the run has ended without it.
                    Later::Called { .. } => {}
                    later => self.heard(later, engine, &mut keeping, course, report),
                },
            }
            while let Some(action) = engine.poll_output() {
                keeping.perform(action);
            }
            while let Some(said) = engine.poll_event() {
                if matches!(said, Report::JournalFailed { .. }) {
                    report.worsen(Exit::Internal);
                }
                report.take(said, self.settings.dry_run);
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
        keeping: &mut Keeping<'_, D>,
        course: &mut Course,
        report: &mut CollectionReport,
    ) {
        match later {
            Later::Called { event, exit } => {
                report.worsen(exit);
                self.told(&event, course, report);
                engine.receive(event);
            }
            Later::Journaled(durable) => {
                for ticket in keeping.journal.end(durable.is_ok()) {
                    engine.receive(match &durable {
                        Ok(()) => Event::Journaled { ticket },
                        Err(reason) => Event::JournalFailed { ticket, reason: reason.clone() },
                    });
                }
            }
            Later::Renamed { member, names, answer } => {
                let batch = keeping.waiting.begin(answer);
                engine.receive(Event::Renamed { member, batch, names });
            }
        }
    }

    /// What of it is for the user.
    fn told(&self, event: &Event<'_>, course: &mut Course, report: &mut CollectionReport) {
        match event {
            Event::Committed { results, .. } => {
                course.done += results.len() as u64;
                (self.written)(course.done, course.sent.max(course.planned));
            }
            Event::Resolved { result: Err(why), .. } if matches!(self.conflict, Conflict::Command(_)) => {
                report.unsettled(why);
            }
            _ => {}
        }
    }

    fn note(&self, said: &Report, members: &mut Members, course: &mut Course, report: &mut CollectionReport) {
        match said {
            Report::Planned { .. } => course.planned += 1,
            Report::Listed { .. } => report.listing = course.begun.elapsed(),
            Report::MemberFailed { member, class, words } => {
                course.stopped(*member);
                members.at(*member).into_iter().for_each(|part| part.give_up());
                if report.is_there(*member) {
                    report.worsen(Exit::of_failure(*class));
                    let member = self.collection.members.get(member.index());
                    tracing::warn!(member, words, "the member is left out of this run");
                }
            }
            Report::JournalFailed { .. } => {
                course.came_through.fill(false);
                report.worsen(Exit::Internal);
            }
            Report::Ended(summary) => {
                for (came_through, member) in course.came_through.iter_mut().zip(&summary.members) {
                    *came_through &= !member.failed;
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
    came_through: Vec<bool>,
    /// Writes that are answered, sent, and decided before the first.
    done: u64,
    sent: u64,
    planned: u64,
}

impl Course {
    fn new(members: usize) -> Self {
        Self { begun: Instant::now(), came_through: vec![true; members], done: 0, sent: 0, planned: 0 }
    }

    fn stopped(&mut self, member: MemberIndex) {
        self.came_through.get_mut(member.index()).into_iter().for_each(|through| *through = false);
    }
}

impl<D: Fn(Result<(), String>) + Clone + Send + 'static> Keeping<'_, D> {
    /// What is left to do when no member is asked for anything.
    fn perform(&mut self, action: Action) {
        match action {
            // Intents before their writes are sent, rows after their answers.
            Action::Journal { ticket, records } => self.journal.add(ticket, records),
            Action::Renamed { batch, result, .. } => self.waiting.end(batch, result),
            _ => {}
        }
    }
}

impl<D: Fn(Result<(), String>) + Clone + Send + 'static> Hands<'_, D> {
    fn perform(&mut self, action: Action, engine: &Engine) {
        match action {
            Action::Resolve { batch, row, base, copies } => self.resolver.begin(batch, row, base, copies),
            Action::List { member, slow, anchor } => {
                self.part(member, |part| part.list(slow, anchor, engine))
            }
            Action::Read { member, batch, items } => {
                self.part(member, |part| part.read(batch, items, engine))
            }
            Action::Commit { member, batch, items } => self.part(member, |part| part.commit(batch, items)),
            Action::Compare { member, batch, format, left, right } => {
                let request = Compare { format, left: left.into(), right: right.into() };
                self.part(member, |part| part.compare(batch, request));
            }
            Action::Journal { .. } | Action::Renamed { .. } | Action::Finished => {
                self.keeping.perform(action)
            }
        }
    }

    fn part(&mut self, member: MemberIndex, call: impl FnOnce(&mut Part)) {
        if let Some(part) = self.members.at(member) {
            call(part);
        }
    }
}
