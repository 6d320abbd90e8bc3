//! A driver that can be killed between any two actions, and that brings trouble.

use std::collections::{BTreeSet, VecDeque};

use outrigger_engine::Side;
use outrigger_engine::{Action, BatchId, CollectionSync, Event};
use outrigger_protocol::{
    Anchor, BodyError, Change, ChangeKind, Code, Codec, Commit, CommitItem, CommitKind, CommitOutcome,
    CommitResult, Compare, Effect, Error, Href, RawDigest, Read, ReadOutcome, ReadResult, Retry, StoreId,
};

use super::{Chance, Comparisons, ListFault, Member, Outcome, Trouble, World, rewritten, side, verdict};

pub(crate) struct Driver<'a> {
    world: &'a mut World,
    sync: CollectionSync,
    trouble: Trouble,
    chaos: Option<Chance>,
    broken: Option<Chance>,
    order: Chance,
    queues: [VecDeque<Action>; 3],
    finished: bool,
    lost: [bool; 2],
    /// Crashes were charged before this run: one call at a time is with a plugin.
    careful: bool,
    created: BTreeSet<(Side, Href)>,
    outcome: Outcome,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(world: &'a mut World, sync: CollectionSync, trouble: Trouble) -> Self {
        let careful = !world.store.charges.is_empty();
        let chaos = (trouble.chaos != 0).then_some(Chance(trouble.chaos));
        Self {
            world,
            sync,
            chaos,
            broken: (trouble.broken != 0).then_some(Chance(trouble.broken)),
            order: Chance(trouble.order),
            trouble,
            queues: Default::default(),
            finished: false,
            lost: [false; 2],
            careful,
            created: BTreeSet::new(),
            outcome: Outcome::default(),
        }
    }

    pub(crate) fn drive(mut self) -> Outcome {
        let mut step = 0u8;
        loop {
            self.drain();
            let ready: Vec<usize> = (0..3).filter(|queue| !self.queues[*queue].is_empty()).collect();
            if ready.is_empty() {
                assert!(self.finished, "the run stalled: {:?}", self.sync);
                return self.outcome;
            }
            step = step.saturating_add(1);
            assert!(step < 250, "the run does not end");
            let queue = ready[self.order.next() as usize % ready.len()];
            if let Some((at, is_b, edit)) = self.trouble.edit
                && at == step
            {
                self.world.edit(side(is_b), edit);
            }
            if let Some((at, is_b, applies)) = self.trouble.lost
                && at == step
            {
                self.lose(side(is_b), applies);
                continue;
            }
            let action = self.queues[queue].pop_front().unwrap();
            if let Some((at, applies)) = self.trouble.crash
                && at == step
            {
                if applies {
                    self.apply(action);
                }
                self.outcome.crashed = true;
                return self.outcome;
            }
            self.perform(action);
        }
    }

    fn drain(&mut self) {
        while let Some(report) = self.sync.poll_event() {
            if std::env::var_os("OUTRIGGER_TRACE").is_some() {
                eprintln!("  {report:?}");
            }
            self.outcome.reports.push(report);
        }
        while let Some(action) = self.sync.poll_output() {
            assert!(!self.finished, "an action after the end");
            let queue = match &action {
                Action::List { side, .. }
                | Action::Read { side, .. }
                | Action::Commit { side, .. }
                | Action::Compare { side, .. } => side.index(),
                Action::Journal { .. } => 2,
                Action::Finished => {
                    self.finished = true;
                    continue;
                }
            };
            if queue == 2 || !self.lost[queue] {
                self.queues[queue].push_back(action);
            }
        }
        let is_compare = |action: &&Action| matches!(action, Action::Compare { .. });
        let open = self.queues.iter().flatten().filter(is_compare).count();
        assert!(open <= 8, "{open} pairs of items are held at once");
    }

    fn lose(&mut self, side: Side, applies: bool) {
        let queue = &self.queues[side.index()];
        let with_it = if self.careful { 1 } else { queue.len() };
        let open = queue.iter().take(with_it).filter_map(number).collect();
        if let Some(action) = self.queues[side.index()].pop_front()
            && applies
        {
            self.apply(action);
        }
        self.die(side, open);
    }

    /// The plugin of `side` is gone, and these calls with it.
    fn die(&mut self, side: Side, open: Vec<BatchId>) {
        self.queues[side.index()].clear();
        self.sync.receive(Event::Crashed { side, open });
        self.lost[side.index()] = true;
        let error = Error::new(Code::DISCONNECTED, "gone").with_effect(Effect::Unknown);
        self.sync.receive(Event::MemberLost { side, error });
    }

    /// Whether the plugin of `side` dies over this content; then it is dead.
    fn is_fatal(&mut self, side: Side, batch: BatchId, data: &[u8]) -> bool {
        let Some((is_b, text)) = self.trouble.fatal else { return false };
        let text = format!("FN:text{text}\r");
        let is_fatal =
            super::side(is_b) == side && data.windows(text.len()).any(|some| some == text.as_bytes());
        if is_fatal {
            let behind = if self.careful { 0 } else { usize::MAX };
            let queued = self.queues[side.index()].iter().take(behind).filter_map(number);
            let open = std::iter::once(batch).chain(queued).collect();
            self.die(side, open);
            self.outcome.deaths += 1;
        }
        is_fatal
    }

    /// Takes effect, without an answer.
    fn apply(&mut self, action: Action) {
        match action {
            Action::Journal { records, .. } => self.world.store.apply(records),
            Action::Commit { side, items, .. } => {
                for item in &items {
                    self.commit(side, item);
                }
            }
            _ => {}
        }
    }

    fn chaos(&mut self, n: u64) -> bool {
        self.chaos.as_mut().is_some_and(|chance| chance.one_in(n))
    }

    /// Something that is wrong with an item itself.
    fn broken(&mut self, n: u64) -> Option<Error> {
        let chance = self.broken.as_mut()?;
        if !chance.one_in(n) {
            return None;
        }
        let for_good = [Code::INVALID, Code::TOO_LARGE, Code::FORMAT, Code::PERMISSION];
        Some(match chance.next() as usize % (for_good.len() + 2) {
            at if at < for_good.len() => Error::new(for_good[at], "broken for good"),
            _ => Error { retry: Retry::After(1), ..Error::new(Code::IO, "broken for now") },
        })
    }

    fn commit(&mut self, side: Side, item: &CommitItem<'_>) -> CommitOutcome {
        assert!(!self.world.settings.read_only[side.index()], "a read-only member is written (I7)");
        let outcome = self.world.members[side.index()].commit(item, side, &self.world.store);
        if matches!(outcome, CommitOutcome::Done { .. }) {
            if self.world.members[side.index()].rewrites && item.kind != CommitKind::Delete {
                self.world.authored.insert(rewritten(&item.data));
            }
            self.outcome.writes.push((side, item.kind));
            if let (CommitKind::Create, CommitOutcome::Done { href, .. }) = (item.kind, &outcome) {
                self.created.insert((side, href.clone()));
            }
            self.check_deletion(side, item);
        }
        outcome
    }

    /// I9: an item is deleted only if its other half is gone.
    fn check_deletion(&mut self, side: Side, item: &CommitItem<'_>) {
        if item.kind != CommitKind::Delete || self.trouble.edit.is_some() {
            return;
        }
        let intent = self.world.store.intents.iter().find(|it| it.operation == item.operation).unwrap();
        let Some(entry) = &self.world.store.rows[&intent.row].entries[side.other().index()] else { return };
        let other = &self.world.members[side.other().index()].items;
        // A name may have been used again, by an item created in this very run.
        let is_new = self.created.contains(&(side.other(), entry.href.clone()));
        let is_there = other.contains_key(entry.href.as_bytes()) && !is_new;
        assert!(!is_there, "deleted although the other half is there (I9)");
    }

    /// No call is larger than its member takes.
    fn check_size(&self, side: Side, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>) {
        let mut bytes = Vec::new();
        encode(&mut bytes).unwrap();
        let most = self.world.settings.max_body[side.index()];
        assert!(bytes.len() <= most, "a call of {} bytes for a member that takes {most}", bytes.len());
    }

    fn perform(&mut self, action: Action) {
        if std::env::var_os("OUTRIGGER_TRACE").is_some() {
            eprintln!("{action:?}");
        }
        match action {
            Action::List { side, slow, anchor } => self.list(side, slow, anchor),
            Action::Read { side, batch, items } => {
                self.check_size(side, |out| Codec::Bincode.encode(&Read { items: items.clone() }, out));
                let member = self.world.members[side.index()].clone();
                for (index, item) in items.iter().enumerate() {
                    if self.chaos(30) {
                        let error = Error::new(Code::OVERLOADED, "later");
                        return self.sync.receive(Event::ReadFailed { side, batch, error });
                    }
                    let data = member.items.get(item.href.as_bytes()).map(|found| &found.data[..]);
                    let is_sent = data.is_some_and(|data| item.known != Some(RawDigest::of(data)));
                    if is_sent && self.is_fatal(side, batch, data.unwrap_or_default()) {
                        return;
                    }
                    let outcome = if self.chaos(20) {
                        ReadOutcome::Failed(Error::new(Code::REMOTE, "not now"))
                    } else if let Some(error) = self.broken(5) {
                        ReadOutcome::Failed(error)
                    } else {
                        member.read(item)
                    };
                    self.outcome.items_read += usize::from(matches!(outcome, ReadOutcome::Item { .. }));
                    let result = ReadResult { index: index as u32, outcome };
                    self.sync.receive(Event::ReadItem { side, batch, result });
                }
                self.sync.receive(Event::ReadEnd { side, batch });
            }
            Action::Journal { ticket, records } => {
                self.outcome.journals += 1;
                self.world.store.apply(records);
                self.sync.receive(Event::Journaled { ticket });
            }
            Action::Commit { side, batch, items } => {
                self.outcome.commits += 1;
                self.check_size(side, |out| Codec::Bincode.encode(&Commit { items: items.clone() }, out));
                if self.chaos(6) {
                    if self.chaos(2) {
                        self.apply(Action::Commit { side, batch, items });
                    }
                    let error = Error::new(Code::DEADLINE, "no answer").with_effect(Effect::Unknown);
                    return self.sync.receive(Event::CommitFailed { side, batch, error });
                }
                if items.iter().any(|item| self.is_fatal(side, batch, &item.data)) {
                    return;
                }
                let results = items.iter().map(|item| self.result(side, item)).collect();
                self.sync.receive(Event::Committed { side, batch, results });
            }
            Action::Compare { side, batch, format, left, right } => {
                let request = Compare { format, left: left.into(), right: right.into() };
                self.compare(side, batch, &request);
            }
            Action::Finished => {}
        }
    }

    fn compare(&mut self, side: Side, batch: BatchId, request: &Compare) {
        self.outcome.compared.push(side);
        let formats = &self.world.settings.compares[side.index()];
        assert!(formats.contains(&request.format), "its plugin does not compare these");
        self.check_size(side, |out| Codec::Bincode.encode(request, out));
        if self.world.comparisons != Comparisons::Done || self.chaos(6) {
            let is_fatal = self.world.comparisons == Comparisons::Fatal;
            let code = if is_fatal { Code::DISCONNECTED } else { Code::FORMAT };
            let error = Error::new(code, "no such thing");
            self.sync.receive(Event::CompareFailed { side, batch, error });
            if is_fatal {
                self.lose(side, false);
            }
            return;
        }
        let verdict = verdict(&request.left, &request.right);
        self.sync.receive(Event::Compared { side, batch, verdict });
    }

    fn result(&mut self, side: Side, item: &CommitItem<'_>) -> CommitResult {
        let operation = item.operation;
        let failed = |effect| CommitOutcome::Failed(Error::new(Code::REMOTE, "500").with_effect(effect));
        let is_refused = item.kind == CommitKind::Create && self.world.fail_creates;
        let outcome = if is_refused || self.chaos(8) {
            failed(Effect::NotStarted)
        } else if let Some(error) = self.broken(8) {
            CommitOutcome::Failed(error)
        } else if self.chaos(8) {
            if self.chaos(2) {
                self.commit(side, item);
            }
            failed(Effect::Unknown)
        } else {
            self.commit(side, item)
        };
        CommitResult { operation, outcome }
    }

    fn list(&mut self, side: Side, slow: bool, anchor: Option<Anchor>) {
        let member = self.world.members[side.index()].clone();
        let fault = self.trouble.lists[side.index()];
        let since = anchor
            .filter(|_| member.feed && !slow)
            .map(|anchor| String::from_utf8(anchor.0.into_vec()).unwrap().parse::<usize>().unwrap());
        let mut changes: Vec<Change> = match since {
            None => member.items.keys().map(|href| member.change(href, ChangeKind::Unknown)).collect(),
            Some(since) => {
                let hrefs: BTreeSet<&Vec<u8>> = member.log[since..].iter().map(|(href, _)| href).collect();
                hrefs.into_iter().map(|href| member.change_since(href)).collect()
            }
        };
        if fault == ListFault::Checkpoint && member.feed {
            changes = up_to_a_checkpoint(&member, since);
        } else if member.reverse {
            changes.reverse();
        }
        let count = changes.len() as u64;
        let is_lossy = !matches!(fault, ListFault::None | ListFault::Nameless | ListFault::Checkpoint);
        // What a feed leaves out, no engine can know of.
        let is_lossy = is_lossy && !(fault == ListFault::Blind && member.feed);
        let mut sent = 0;
        for (at, mut change) in changes.into_iter().enumerate() {
            if !is_lossy || at % 2 == 1 {
                sent += 1;
                if change.kind != ChangeKind::Deleted && self.broken(8).is_some() {
                    change.kind = ChangeKind::Unreadable;
                }
                self.sync.receive(Event::Listed { side, change });
            }
        }
        if matches!(fault, ListFault::Failed | ListFault::Checkpoint) {
            let error = Error::new(Code::REMOTE, "cut off");
            let store = member.store.map(StoreId::from);
            return self.sync.receive(Event::ListFailed { side, error, store });
        }
        let anchor = member.feed.then(|| Anchor::from(member.log.len().to_string().as_str()));
        let store = member.store.filter(|_| fault != ListFault::Nameless).map(StoreId::from);
        self.sync.receive(Event::ListEnd {
            side,
            complete: since.is_none() && fault != ListFault::Incomplete,
            count: if fault == ListFault::Cut { count + 1 } else { sent },
            anchor: anchor.filter(|_| fault != ListFault::Incomplete),
            store,
        });
    }
}

/// The number of a call that is about items.
fn number(action: &Action) -> Option<BatchId> {
    match action {
        Action::Read { batch, .. } | Action::Commit { batch, .. } => Some(*batch),
        _ => None,
    }
}

/// The first half of a feed, in its order, the last of it marked, and one change more.
fn up_to_a_checkpoint(member: &Member, since: Option<usize>) -> Vec<Change> {
    // Who begins with nothing has nothing to delete: no feed names what is gone then.
    let is_told = |href: &Vec<u8>| since.is_some() || member.items.contains_key(href);
    let since = since.unwrap_or(0);
    let at = since + (member.log.len() - since).div_ceil(2);
    let mut hrefs: Vec<&Vec<u8>> = Vec::new();
    for (href, _) in member.log[since..at].iter().filter(|(href, _)| is_told(href)) {
        hrefs.retain(|known| *known != href);
        hrefs.push(href);
    }
    let mut changes: Vec<Change> = hrefs.iter().map(|href| member.change_since(href)).collect();
    if let Some(last) = changes.pop() {
        changes.push(last.with_checkpoint(&Anchor::from(at.to_string().as_str())));
    }
    let behind =
        member.log[at..].iter().map(|(href, _)| href).find(|href| !hrefs.contains(href) && is_told(href));
    changes.extend(behind.map(|href| member.change_since(href)));
    changes
}
