//! Calls: what members answer, and how it goes wrong.

use std::borrow::Cow;
use std::collections::BTreeSet;

use outrigger_engine::{Access, Action, BatchId, Content, Event, MemberIndex, RowId};
use outrigger_protocol::{
    Anchor, BodyError, Change, ChangeKind, Code, Codec, Commit, CommitItem, CommitKind, CommitOutcome,
    CommitResult, Compare, Effect, Error, Href, OperationId, RawDigest, Read, ReadItem, ReadOutcome,
    ReadResult, Retry, Revision, StoreId,
};

use super::driver::{Driver, ListingEnd, Todo};
use super::{Comparisons, Fault, Lie, ListFault, Member, Merges, merged, rewritten, verdict};

impl Driver<'_> {
    pub(super) fn perform(&mut self, todo: Todo) {
        match todo {
            Todo::Act(action) => self.act(action),
            Todo::Listing { member, rest, end } => self.list_rest(member, rest, end),
            Todo::Reading { member, batch, items, from } => self.read(member, batch, items, from),
            Todo::Answer { member, batch, results } => {
                self.tell(Event::Committed { member, batch, results });
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::List { member, slow, anchor } => self.list(member, slow, anchor),
            Action::Read { member, batch, items } => {
                let request = Read { items: items.clone() };
                self.check_size(member, |out| Codec::Bincode.encode(&request, out));
                self.read(member, batch, items, 0);
            }
            Action::Journal { ticket, records } => {
                self.outcome.journals += 1;
                self.world.check_new_ids(&records);
                self.world.store.apply(records);
                self.journaled(ticket);
            }
            Action::Commit { member, batch, items } => self.commit_all(member, batch, items),
            Action::Compare { member, batch, format, left, right } => {
                let request = Compare { format, left: left.into(), right: right.into() };
                self.compare(member, batch, &request);
            }
            Action::Resolve { batch, row, base, copies } => {
                let copies: Vec<&[u8]> = copies.iter().map(|copy| &copy.data[..]).collect();
                let result = self.merge(row, base, &copies);
                self.tell(Event::Resolved { batch, result });
            }
            Action::Renamed { .. } | Action::Finished => {}
        }
    }

    fn member(&self, at: MemberIndex) -> &Member {
        &self.world.members[at.index()]
    }

    fn lies(&self, member: MemberIndex, how: Lie) -> bool {
        self.has(&Fault::Lies { member, how })
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
        Some(match chance.of(for_good.len() + 2) {
            at if at < for_good.len() => Error::new(for_good[at], "broken for good"),
            _ => Error { retry: Retry::After(1), ..Error::new(Code::IO, "broken for now") },
        })
    }

    /// No call is larger than its member takes.
    fn check_size(&self, member: MemberIndex, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), BodyError>) {
        let mut bytes = Vec::new();
        encode(&mut bytes).unwrap();
        let most = self.world.settings.members[member.index()].max_body;
        assert!(bytes.len() <= most, "a call of {} bytes for a member that takes {most}", bytes.len());
    }

    // Listings.

    fn list(&mut self, at: MemberIndex, slow: bool, anchor: Option<Anchor>) {
        let member = self.member(at).clone();
        let fault = self.faults.iter().find_map(|fault| match fault {
            Fault::Listing { member, how } if *member == at => Some(*how),
            _ => None,
        });
        let store = member.store.map(StoreId::from);
        if fault == Some(ListFault::Rejected) && !slow {
            let error = Error::new(Code::SLOW_SYNC, "unknown anchor");
            return self.tell(Event::ListFailed { member: at, error, store });
        }
        let since = anchor
            .filter(|_| member.feed && !slow)
            .map(|anchor| String::from_utf8(anchor.0.into_vec()).unwrap().parse::<usize>().unwrap());
        if fault == Some(ListFault::Late) {
            let error = Error::new(self.lost_with(), "too late");
            self.tell(Event::ListFailed { member: at, error, store: store.clone() });
        }
        let mut changes = changes(&member, since);
        if fault == Some(ListFault::Checkpoint) && member.feed {
            changes = up_to_a_checkpoint(&member, since);
        } else if member.reverse {
            changes.reverse();
        }
        let count = changes.len() as u64;
        let sent = self.as_sent(at, &member, fault, changes);
        let sent_count = sent.len() as u64;
        let end = if matches!(fault, Some(ListFault::Failed | ListFault::Checkpoint)) {
            ListingEnd::Failed { error: Error::new(self.lost_with(), "cut off"), store }
        } else {
            let anchor = member.feed.then(|| Anchor::from(member.log.len().to_string().as_str()));
            ListingEnd::Well {
                complete: since.is_none() && fault != Some(ListFault::Incomplete),
                count: if fault == Some(ListFault::Cut) { count + 1 } else { sent_count },
                anchor: anchor.filter(|_| fault != Some(ListFault::Incomplete)),
                store: store.filter(|_| fault != Some(ListFault::Nameless)),
            }
        };
        let now = if member.slow { sent.len() / 2 } else { sent.len() };
        let rest = self.list_some(at, sent, now);
        if member.slow {
            self.queues[at.index()].push_front(Todo::Listing { member: at, rest, end });
        } else {
            self.list_rest(at, rest, end);
        }
    }

    /// What of a listing is sent, and as what.
    fn as_sent(
        &mut self,
        at: MemberIndex,
        member: &Member,
        fault: Option<ListFault>,
        changes: Vec<Change>,
    ) -> Vec<Change> {
        use ListFault as F;
        let is_lossy = matches!(fault, Some(F::Incomplete | F::Cut | F::Blind | F::Failed));
        // What a feed leaves out, no engine can know of.
        let is_lossy = is_lossy && !(fault == Some(F::Blind) && member.feed);
        let mut sent: Vec<Change> = Vec::new();
        for (number, mut change) in changes.into_iter().enumerate() {
            if !is_lossy || number % 2 == 1 {
                if change.kind != ChangeKind::Deleted && self.broken(8).is_some() {
                    change.kind = ChangeKind::Unreadable;
                }
                sent.push(change);
            }
        }
        if self.lies(at, Lie::Twice) {
            sent.extend(sent.first().cloned());
        }
        if self.lies(at, Lie::Unnamed) {
            sent.extend(sent.first().map(|change| Change { href: Href::default(), ..change.clone() }));
        }
        sent
    }

    fn list_some(&mut self, member: MemberIndex, mut changes: Vec<Change>, count: usize) -> Vec<Change> {
        let rest = changes.split_off(count);
        for change in changes {
            self.tell(Event::Listed { member, change });
        }
        rest
    }

    fn list_rest(&mut self, member: MemberIndex, rest: Vec<Change>, end: ListingEnd) {
        let count = rest.len();
        self.list_some(member, rest, count);
        self.tell(match end {
            ListingEnd::Failed { error, store } => Event::ListFailed { member, error, store },
            ListingEnd::Well { complete, count, anchor, store } => {
                Event::ListEnd { member, complete, count, anchor, store }
            }
        });
    }

    // Reads.

    fn read(&mut self, member: MemberIndex, batch: BatchId, items: Vec<ReadItem>, from: usize) {
        let is_slow = self.member(member).slow && from == 0 && items.len() > 1;
        let to = if is_slow { items.len() / 2 } else { items.len() };
        let is_disordered = self.lies(member, Lie::Disorder);
        let is_short = self.lies(member, Lie::Short);
        for (index, item) in items.iter().enumerate().take(to).skip(from) {
            if self.chaos(30) {
                let error = Error::new(Code::OVERLOADED, "later");
                return self.tell(Event::ReadFailed { member, batch, error });
            }
            let Some(outcome) = self.read_one(member, batch, item) else { return };
            let index = if is_disordered { items.len() - index } else { index };
            if is_short && index + 1 == items.len() {
                continue;
            }
            self.answer_read(member, batch, index, outcome);
        }
        if self.lies(member, Lie::Surplus) {
            self.answer_read(member, batch, items.len(), ReadOutcome::NotFound);
        }
        if to < items.len() {
            let rest = Todo::Reading { member, batch, items, from: to };
            return self.queues[member.index()].push_front(rest);
        }
        self.tell(Event::ReadEnd { member, batch });
    }

    fn answer_read(&mut self, member: MemberIndex, batch: BatchId, index: usize, outcome: ReadOutcome<'_>) {
        let result = ReadResult { index: u32::try_from(index).unwrap(), outcome };
        self.tell(Event::ReadItem { member, batch, result });
    }

    /// `None`: the plugin died over it.
    fn read_one(&mut self, at: MemberIndex, batch: BatchId, item: &ReadItem) -> Option<ReadOutcome<'static>> {
        let member = self.member(at);
        let data = member.items.get(item.href.as_bytes()).map(|found| found.data.clone());
        let is_sent = data.as_ref().is_some_and(|data| item.known != Some(RawDigest::of(data)));
        if is_sent && self.is_fatal(at, batch, &data.unwrap_or_default()) {
            return None;
        }
        let outcome = if self.chaos(20) {
            ReadOutcome::Failed(Error::new(Code::REMOTE, "not now"))
        } else if let Some(error) = self.broken(5) {
            ReadOutcome::Failed(error)
        } else {
            self.member(at).read(item)
        };
        self.outcome.items_read += usize::from(matches!(outcome, ReadOutcome::Item { .. }));
        Some(outcome)
    }

    // Commits.

    fn commit_all(&mut self, member: MemberIndex, batch: BatchId, items: Vec<CommitItem<'static>>) {
        self.outcome.commits += 1;
        self.check_size(member, |out| Codec::Bincode.encode(&Commit { items: items.clone() }, out));
        if self.chaos(6) {
            if self.chaos(2) {
                self.apply(Todo::Act(Action::Commit { member, batch, items }), usize::MAX);
            }
            let error = Error::new(Code::DEADLINE, "no answer").with_effect(Effect::Unknown);
            return self.tell(Event::CommitFailed { member, batch, error });
        }
        if items.iter().any(|item| self.is_fatal(member, batch, &item.data)) {
            return;
        }
        let is_mute = self.lies(member, Lie::Mute { did: false });
        let done = items.len() - usize::from(is_mute);
        let mut results: Vec<CommitResult> =
            items.iter().take(done).map(|item| self.result(member, item)).collect();
        if self.lies(member, Lie::Mute { did: true }) {
            results.pop();
        }
        if self.lies(member, Lie::Stranger) {
            let operation = OperationId(uuid::Uuid::from_u128(u128::MAX));
            results.extend(results.first().map(|one| CommitResult { operation, ..one.clone() }));
        }
        if self.lies(member, Lie::Echo) {
            results.extend(results.first().cloned());
        }
        if self.member(member).reverse {
            results.reverse();
        }
        if self.member(member).slow {
            return self.queues[member.index()].push_front(Todo::Answer { member, batch, results });
        }
        self.tell(Event::Committed { member, batch, results });
    }

    fn result(&mut self, at: MemberIndex, item: &CommitItem<'_>) -> CommitResult {
        let operation = item.operation;
        let failed = |effect| CommitOutcome::Failed(Error::new(Code::REMOTE, "500").with_effect(effect));
        let refusal = self.member(at).refuses.clone();
        let refusal = refusal.filter(|(kind, _)| kind.is_none_or(|kind| kind == item.kind));
        let outcome = if let Some((_, error)) = refusal {
            CommitOutcome::Failed(error)
        } else if self.chaos(8) {
            failed(Effect::NotStarted)
        } else if let Some(error) = self.broken(8) {
            CommitOutcome::Failed(error)
        } else if self.chaos(8) {
            if self.chaos(2) {
                self.commit(at, item);
            }
            failed(Effect::Unknown)
        } else {
            self.commit(at, item)
        };
        CommitResult { operation, outcome }
    }

    /// Does one write, and judges it.
    pub(super) fn commit(&mut self, at: MemberIndex, item: &CommitItem<'_>) -> CommitOutcome {
        let access = self.world.access(at);
        assert!(
            !matches!(access, Access::ReadOnly | Access::Authority),
            "a read-only member is written (I7)"
        );
        let may_delete = access != Access::NoDelete || item.kind != CommitKind::Delete;
        assert!(may_delete, "an item is deleted on a member that allows none (I7)");
        let world = &mut *self.world;
        let member = &mut world.members[at.index()];
        let old = member.items.get(item.href.as_bytes()).map(|old| old.data.clone());
        let changes = member.log.len();
        let outcome = member.commit(item, at, &world.store);
        if member.log.len() == changes {
            // Refused, or remembered.
            return outcome;
        }
        if member.rewrites && item.kind != CommitKind::Delete {
            world.authored.insert(rewritten(&item.data));
        }
        let is_edited = self.faults.iter().any(|fault| matches!(fault, Fault::Meanwhile { .. }));
        let has_deleted = self.outcome.writes.contains(&(at, CommitKind::Delete));
        // What is stored otherwise may look like an edit, and lift a quarantine.
        let is_edited = is_edited || world.members.iter().any(|member| member.rewrites);
        let is_late = item.kind == CommitKind::Create && has_deleted && !is_edited;
        assert!(!is_late, "a create comes behind a deletion, which may be half of a move");
        self.outcome.writes.push((at, item.kind));
        let sight = std::mem::take(&mut self.sight);
        self.world.judge(at, item, old.as_deref(), &sight);
        self.sight = sight;
        outcome
    }

    // Comparisons and merges.

    fn compare(&mut self, member: MemberIndex, batch: BatchId, request: &Compare) {
        self.outcome.compared.push(member);
        let formats = &self.world.settings.members[member.index()].compares;
        assert!(formats.contains(&request.format), "its plugin does not compare these");
        self.check_size(member, |out| Codec::Bincode.encode(request, out));
        if self.world.comparisons != Comparisons::Done || self.chaos(6) {
            let is_fatal = self.world.comparisons == Comparisons::Fatal;
            let code = if is_fatal { Code::DISCONNECTED } else { Code::FORMAT };
            let error = Error::new(code, "no such thing");
            self.tell(Event::CompareFailed { member, batch, error });
            if is_fatal {
                self.lose(member, false, false);
            }
            return;
        }
        let verdict = verdict(&request.left, &request.right);
        self.tell(Event::Compared { member, batch, verdict });
    }

    fn merge(&mut self, row: RowId, base: Option<Content>, copies: &[&[u8]]) -> Result<Vec<u8>, String> {
        self.outcome.merges += 1;
        let kept = self.world.store.bases.get(&row).into_iter().flatten();
        self.outcome.bases += kept.filter(|(content, _)| Some(*content) == base).count();
        if self.world.merges == Merges::Refused || self.chaos(6) {
            return Err("both changed the text".into());
        }
        if self.world.merges == Merges::Nonsense {
            return Ok(super::card(Some(99), 99u8));
        }
        let whole = copies[1..].iter().fold(copies[0].to_vec(), |whole, copy| merged(&whole, copy));
        self.world.authored.insert(whole.clone());
        self.world.causes.wrote(&whole, copies.iter().copied());
        Ok(whole)
    }
}

fn changes(member: &Member, since: Option<usize>) -> Vec<Change> {
    match since {
        None => member.items.keys().map(|href| member.change(href, ChangeKind::Unknown)).collect(),
        Some(since) => {
            let hrefs: BTreeSet<&Vec<u8>> = member.log[since..].iter().map(|(href, _)| href).collect();
            hrefs.into_iter().map(|href| member.change_since(href)).collect()
        }
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
