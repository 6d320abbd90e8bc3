//! A driver that can be killed between any two actions, and that brings trouble.

use std::collections::VecDeque;

use outrigger_engine::{Action, BatchId, CollectionSync, Event, MemberIndex, Report, Ticket};
use outrigger_protocol::{Change, Code, CommitResult, Effect, Error, ReadItem, StoreId};

use super::oracle::Sight;
use super::{Chance, Fault, Outcome, World};

/// The end of a listing.
#[derive(Debug, Clone)]
pub(super) enum ListingEnd {
    Well { complete: bool, count: u64, anchor: Option<outrigger_protocol::Anchor>, store: Option<StoreId> },
    Failed { error: Error, store: Option<StoreId> },
}

/// What is to be done: an action, or the rest of one that a slow member has begun.
#[derive(Debug, Clone)]
pub(super) enum Todo {
    Act(Action),
    Listing { member: MemberIndex, rest: Vec<Change>, end: ListingEnd },
    Reading { member: MemberIndex, batch: BatchId, items: Vec<ReadItem>, from: usize },
    Answer { member: MemberIndex, batch: BatchId, results: Vec<CommitResult> },
}

pub(crate) struct Driver<'a> {
    pub(super) world: &'a mut World,
    pub(super) sync: CollectionSync,
    pub(super) faults: Vec<Fault>,
    pub(super) chaos: Option<Chance>,
    pub(super) broken: Option<Chance>,
    order: Chance,
    /// One a member, then the journal's, then that of merges.
    pub(super) queues: Vec<VecDeque<Todo>>,
    finished: bool,
    pub(super) lost: Vec<bool>,
    /// Crashes were charged before this run: one call at a time is with a plugin.
    pub(super) careful: bool,
    pub(super) outcome: Outcome,
    /// What this run can see.
    pub(super) sight: Sight,
    is_traced: bool,
}

/// A run of two members with few items takes about 30.
const MAX_STEPS: u16 = 20_000;

impl<'a> Driver<'a> {
    pub(super) fn new(world: &'a mut World, sync: CollectionSync, faults: Vec<Fault>) -> Self {
        let careful = !world.store.charges.is_empty();
        let members = world.members.len();
        let seed = |of: fn(&Fault) -> Option<u64>| faults.iter().find_map(of);
        let chaos = seed(|fault| if let Fault::Chaos { seed } = fault { Some(*seed) } else { None });
        let broken = seed(|fault| if let Fault::Broken { seed } = fault { Some(*seed) } else { None });
        let order = seed(|fault| if let Fault::Order { seed } = fault { Some(*seed) } else { None });
        Self {
            world,
            sync,
            chaos: chaos.map(Chance),
            broken: broken.map(Chance),
            order: Chance(order.unwrap_or_default()),
            sight: Sight::of(&faults, members),
            faults,
            queues: vec![VecDeque::new(); members + 2],
            finished: false,
            lost: vec![false; members],
            careful,
            outcome: Outcome::default(),
            is_traced: std::env::var_os("OUTRIGGER_TRACE").is_some(),
        }
    }

    pub(super) fn journal_queue(&self) -> usize {
        self.lost.len()
    }

    pub(super) fn drive(mut self) -> Outcome {
        for member in self.world.all() {
            if self.has(&Fault::Away { member }) {
                self.lost[member.index()] = true;
                self.tell_lost(member);
            }
        }
        for step in 1.. {
            assert!(step < MAX_STEPS, "the run does not end");
            self.drain();
            let Some(queue) = self.next_queue() else {
                assert!(self.finished, "the run stalled: {:?}", self.sync);
                return self.outcome;
            };
            if !self.step(step, queue) {
                self.outcome.crashed = true;
                return self.outcome;
            }
        }
        unreachable!()
    }

    /// Does one thing; `false`: all was killed.
    fn step(&mut self, step: u16, queue: usize) -> bool {
        let now: Vec<Fault> =
            self.faults.iter().filter(|fault| fault.step() == Some(step)).copied().collect();
        for fault in now {
            match fault {
                Fault::Meanwhile { member, edit, .. } => self.world.edit(member, edit),
                Fault::Lose { member, applies, .. } => {
                    self.lose(member, applies, true);
                    return true;
                }
                Fault::Unlink { member, applies, .. } => {
                    self.lose(member, applies, false);
                    return true;
                }
                Fault::Kill { applies, .. } => {
                    self.kill(queue, applies);
                    return false;
                }
                _ => {}
            }
        }
        let Some(todo) = self.queues[queue].pop_front() else { return true };
        if self.is_traced {
            eprintln!("{todo:?}");
        }
        self.perform_or_die(todo)
    }

    pub(super) fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    /// A member that is slow has its turn when nobody else has anything to do.
    fn next_queue(&mut self) -> Option<usize> {
        let is_slow = |queue: &usize| self.world.members.get(*queue).is_some_and(|member| member.slow);
        let ready = (0..self.queues.len()).filter(|queue| !self.queues[*queue].is_empty());
        let (slow, ready): (Vec<usize>, Vec<usize>) = ready.partition(is_slow);
        let ready = if ready.is_empty() { slow } else { ready };
        (!ready.is_empty()).then(|| ready[self.order.of(ready.len())])
    }

    fn drain(&mut self) {
        while let Some(report) = self.sync.poll_event() {
            if self.is_traced {
                eprintln!("  {report:?}");
            }
            self.outcome.reports.push(report);
        }
        while let Some(action) = self.sync.poll_output() {
            assert!(!self.finished, "an action after the end");
            let queue = match &action {
                Action::List { member, .. }
                | Action::Read { member, .. }
                | Action::Commit { member, .. }
                | Action::Compare { member, .. }
                | Action::Renamed { member, .. } => member.index(),
                Action::Journal { .. } => self.journal_queue(),
                Action::Resolve { .. } => self.journal_queue() + 1,
                Action::Finished => {
                    self.finished = true;
                    continue;
                }
            };
            if !self.lost.get(queue).copied().unwrap_or(false) {
                self.queues[queue].push_back(Todo::Act(action));
            }
        }
        if self.finished {
            self.check_end();
        }
        self.check_open();
    }

    /// Nothing is open but calls to members that are left alone, and comparisons with what those hold.
    fn check_end(&mut self) {
        let is_idle = |todo: &Todo| {
            matches!(
                todo,
                Todo::Act(Action::Compare { .. } | Action::Resolve { .. } | Action::Renamed { .. })
            )
        };
        self.queues.iter_mut().for_each(|queue| queue.retain(|todo| !is_idle(todo)));
        for report in &self.outcome.reports {
            if let Report::MemberFailed { member, .. } = report {
                self.queues[member.index()].clear();
            }
        }
        let is_over = self.queues.iter().all(VecDeque::is_empty);
        assert!(is_over, "something is open at the end: {:?}", self.queues);
    }

    fn check_open(&self) {
        let open = |is_it: fn(&Action) -> bool| {
            let all = self.queues.iter().flatten();
            all.filter(|todo| matches!(todo, Todo::Act(action) if is_it(action))).count()
        };
        let compared = open(|action| matches!(action, Action::Compare { .. }));
        let merged = open(|action| matches!(action, Action::Resolve { .. }));
        assert!(compared <= 8 && merged <= 8, "{compared} and {merged} pairs of items are held at once");
    }

    pub(super) fn tell(&mut self, event: Event<'_>) {
        self.sync.receive(event);
    }

    pub(super) fn journaled(&mut self, ticket: Ticket) {
        self.tell(Event::Journaled { ticket });
    }

    pub(super) fn lost_with(&self) -> Code {
        self.world.lost_with.unwrap_or(Code::DISCONNECTED)
    }

    pub(super) fn tell_lost(&mut self, member: MemberIndex) {
        let error = Error::new(self.lost_with(), "gone").with_effect(Effect::Unknown);
        self.tell(Event::MemberLost { member, error });
    }
}
