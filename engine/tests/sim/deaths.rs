//! Deaths: of plugins, of the command, of everything at once.

use outrigger_engine::{Action, BatchId, Event, MemberIndex, Record};
use outrigger_protocol::OperationId;

use super::driver::{Driver, Todo};
use super::{Chance, Fault, Moment, Who};

/// The number of a call that is about items.
fn number(todo: &Todo) -> Option<BatchId> {
    match todo {
        Todo::Act(Action::Read { batch, .. } | Action::Commit { batch, .. })
        | Todo::Reading { batch, .. }
        | Todo::Answer { batch, .. } => Some(*batch),
        _ => None,
    }
}

impl Driver<'_> {
    /// Calls that are with the plugin of a member, the first ones of its queue.
    fn open_calls(&self, member: MemberIndex, most: usize) -> Vec<BatchId> {
        self.queues[member.index()].iter().take(most).filter_map(number).collect()
    }

    /// The plugin of a member, or the link to it, breaks in the middle of its first call.
    pub(super) fn lose(&mut self, member: MemberIndex, applies: bool, is_crash: bool) {
        if self.lost[member.index()] {
            return;
        }
        let open = self.open_calls(member, if self.careful { 1 } else { usize::MAX });
        if let Some(todo) = self.queues[member.index()].pop_front()
            && applies
        {
            self.apply(todo, usize::MAX);
        }
        self.die(member, if is_crash { open } else { Vec::new() });
    }

    /// The plugin of a member is gone, and these calls with it.
    pub(super) fn die(&mut self, member: MemberIndex, open: Vec<BatchId>) {
        self.queues[member.index()].clear();
        if !open.is_empty() {
            self.tell(Event::Crashed { member, open });
        }
        self.lost[member.index()] = true;
        self.tell_lost(member);
    }

    /// Whether the plugin of a member dies over this content; then it is dead.
    pub(super) fn is_fatal(&mut self, member: MemberIndex, batch: BatchId, data: &[u8]) -> bool {
        let is_it = |fault: &Fault| match fault {
            Fault::Fatal { member: at, text } => {
                *at == member && super::text_in(data) == Some(text.to_string().as_str())
            }
            _ => false,
        };
        let is_fatal = self.faults.iter().any(is_it);
        if is_fatal {
            let behind = self.open_calls(member, if self.careful { 0 } else { usize::MAX });
            let open = std::iter::once(batch).chain(behind.into_iter().filter(|other| *other != batch));
            self.die(member, open.collect());
            self.outcome.deaths += 1;
        }
        is_fatal
    }

    /// Everything is killed when this queue has its turn.
    pub(super) fn kill(&mut self, queue: usize, applies: bool) {
        let first = self.queues[queue].pop_front().filter(|_| applies);
        let took_effect = first.is_some();
        if let Some(todo) = first {
            self.apply(todo, usize::MAX);
        }
        if let Some(mut chance) = self.torn() {
            // What stands behind something that did not happen did not happen either.
            self.tear_all(&mut chance, |other| other != queue || took_effect);
        }
    }

    /// Chance, where a kill leaves a part of what was on its way.
    fn torn(&self) -> Option<Chance> {
        self.faults
            .iter()
            .find_map(|it| if let Fault::Torn { seed } = it { Some(Chance(*seed)) } else { None })
    }

    fn tear_all(&mut self, chance: &mut Chance, may_happen: impl Fn(usize) -> bool) {
        for queue in (0..self.queues.len()).filter(|queue| may_happen(*queue)) {
            self.tear(queue, chance);
        }
    }

    /// Of what is queued, the beginning takes effect: whole actions, and a part of the last one.
    fn tear(&mut self, queue: usize, chance: &mut Chance) {
        let whole = chance.of(4);
        for todo in std::mem::take(&mut self.queues[queue]).into_iter().take(whole) {
            let is_last = chance.one_in(3);
            self.apply(todo, if is_last { chance.of(3) } else { usize::MAX });
            if is_last {
                return;
            }
        }
    }

    /// Takes effect, or the first `most` writes of it do, without an answer.
    pub(super) fn apply(&mut self, todo: Todo, most: usize) {
        match todo {
            Todo::Act(Action::Journal { records, .. }) => self.world.store.apply(records),
            Todo::Act(Action::Commit { member, items, .. }) => {
                for item in items.iter().take(most) {
                    self.commit(member, item);
                }
            }
            _ => {}
        }
    }

    /// Does what is to be done, unless this is the moment at which somebody dies. `false`: all is over.
    pub(super) fn perform_or_die(&mut self, todo: Todo) -> bool {
        let died = self.faults.iter().find_map(|fault| match fault {
            Fault::Die { member, moment, who } if !self.outcome.has_died => Some((*member, *moment, *who)),
            _ => None,
        });
        let Some((target, moment, who)) =
            died.filter(|(target, moment, _)| self.is_moment(&todo, *target, *moment))
        else {
            self.perform(todo);
            return true;
        };
        self.outcome.has_died = true;
        match who {
            Who::Command => self.end_at(todo, moment, true),
            Who::Machine => self.end_at(todo, moment, false),
            Who::Target => self.end_of(target, true, target, todo, moment),
            Who::Keeper => self.end_of(target, false, target, todo, moment),
            Who::Other(other) => self.end_of(other, true, target, todo, moment),
        }
    }

    /// All is over at this moment. `survives`: what nobody knew to be durable is.
    fn end_at(&mut self, todo: Todo, moment: Moment, survives: bool) -> bool {
        if let Some(chance) = self.torn().filter(|_| !survives) {
            return self.tear_at(todo, moment, chance);
        }
        match moment {
            Moment::AnsweredNotJournaled | Moment::MappedNotAnchored => self.perform(todo),
            _ if survives && moment.takes_effect() => self.apply(todo, usize::MAX),
            _ => {}
        }
        false
    }

    /// The power goes: of what was on its way, some took effect, and this only in part.
    fn tear_at(&mut self, todo: Todo, moment: Moment, mut chance: Chance) -> bool {
        let queue = match &todo {
            Todo::Act(Action::Commit { member, .. }) => member.index(),
            _ => self.journal_queue(),
        };
        let is_whole = chance.one_in(2);
        match (&todo, moment) {
            (_, Moment::AnsweredNotJournaled | Moment::MappedNotAnchored) => self.perform(todo),
            (Todo::Act(Action::Commit { .. }), _) if moment.takes_effect() => {
                let most = if is_whole { usize::MAX } else { chance.of(3) };
                self.apply(todo, most);
            }
            _ if moment.takes_effect() && is_whole => self.apply(todo, usize::MAX),
            _ => {}
        }
        self.tear_all(&mut chance, |other| other != queue);
        false
    }

    /// One member's plugin dies at a moment of a write to `target`; the run goes on.
    fn end_of(
        &mut self,
        victim: MemberIndex,
        is_crash: bool,
        target: MemberIndex,
        todo: Todo,
        moment: Moment,
    ) -> bool {
        let open: Vec<BatchId> = number(&todo).filter(|_| victim == target).into_iter().collect();
        let is_crash = is_crash && !matches!(moment, Moment::HalfSent | Moment::AnswerHalfReceived);
        let is_commit = matches!(todo, Todo::Act(Action::Commit { .. }));
        let goes_on = !is_commit || victim != target || moment == Moment::AnsweredNotJournaled;
        let is_before = moment == Moment::IntentNotDurable;
        if is_before {
            self.die(victim, Vec::new());
        }
        if goes_on {
            self.perform(todo);
        } else if moment.takes_effect() {
            self.apply(todo, usize::MAX);
        }
        if !is_before {
            let open = if goes_on { self.open_calls(victim, usize::MAX) } else { open };
            self.die(victim, if is_crash { open } else { Vec::new() });
        }
        true
    }
}

impl Moment {
    /// Whether what happens at this moment is done, although nobody was told.
    fn takes_effect(self) -> bool {
        !matches!(self, Self::IntentNotDurable | Self::HalfSent | Self::ReceivedNotApplied)
    }
}

impl Driver<'_> {
    /// Whether doing this is a moment of a write to `target`.
    fn is_moment(&self, todo: &Todo, target: MemberIndex, moment: Moment) -> bool {
        let Todo::Act(action) = todo else { return false };
        let has = |is_it: &dyn Fn(&Record) -> bool| match action {
            Action::Journal { records, .. } => records.iter().any(is_it),
            _ => false,
        };
        let is_open = |operation: &OperationId| {
            let mut open = self.world.store.intents.iter();
            open.any(|intent| intent.operation == *operation && intent.member == target)
        };
        match moment {
            Moment::IntentNotDurable | Moment::DurableNotSent => {
                has(&|record| matches!(record, Record::Intent(intent) if intent.member == target))
            }
            Moment::HalfSent
            | Moment::ReceivedNotApplied
            | Moment::AppliedNotAnswered
            | Moment::AnswerHalfReceived
            | Moment::AnsweredNotJournaled => {
                matches!(action, Action::Commit { member, .. } if *member == target)
            }
            Moment::JournaledNotMapped | Moment::MappedNotAnchored => has(
                &|record| matches!(record, Record::Settled(operation) | Record::NotDone(operation) if is_open(operation)),
            ),
            Moment::AnchorInDoubt => has(&|record| matches!(record, Record::Anchor(..))),
        }
    }
}
