//! A small world: two members with an obstinate store each, a journal that is atomic, users who
//! edit, and a driver that can be killed between any two actions.
//!
//! The members check what the engine promises at the moment it matters: bytes are in the undo
//! journal before they are taken away (X6), an operation ID never carries other content (X1).
#![allow(dead_code, clippy::cast_possible_truncation)]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use outrigger_engine::{
    Action, Canonical, CollectionSync, Event, Intent, Record, Report, Row, RowId, Settings, Side, Snapshot,
    Summary, Undo,
};
use outrigger_protocol::{
    Anchor, Change, ChangeKind, Code, CommitItem, CommitKind, CommitOutcome, CommitResult, Effect, Error,
    Extensions, Href, OperationId, RawDigest, ReadItem, ReadOutcome, ReadResult, Revision, StoreId,
};

/// splitmix64: enough for a test, the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// The durable state, as a store keeps it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) rows: BTreeMap<RowId, Row>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) undo: Vec<Undo>,
    pub(crate) anchors: [Option<Anchor>; 2],
    pub(crate) stores: [Option<StoreId>; 2],
    pub(crate) last_row: u64,
    pub(crate) batches: u64,
}

impl Store {
    pub(crate) fn apply(&mut self, records: Vec<Record>) {
        assert!(!records.is_empty(), "an empty transaction");
        self.batches += 1;
        for record in records {
            match record {
                Record::Undo(undo) => self.undo.push(undo),
                Record::Intent(intent) => {
                    assert!(self.rows.contains_key(&intent.row), "an intent without its row");
                    assert!(
                        !self.intents.iter().any(|open| open.row == intent.row && open.side == intent.side),
                        "a second write is meant before the first is settled (X1): {intent:?}"
                    );
                    self.intents.push(intent);
                }
                Record::Settled(operation) => {
                    let before = self.intents.len();
                    self.intents.retain(|intent| intent.operation != operation);
                    assert!(self.intents.len() < before, "settled what was not open");
                }
                Record::Row(row) => {
                    self.last_row = self.last_row.max(row.id.0);
                    self.rows.insert(row.id, *row);
                }
                Record::DropRow(id) => assert!(self.rows.remove(&id).is_some(), "dropped what was not there"),
                Record::Anchor(side, anchor) => self.anchors[side.index()] = Some(anchor),
                Record::Store(side, store) => self.stores[side.index()] = Some(store),
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            rows: self.rows.values().cloned().collect(),
            intents: self.intents.clone(),
            anchors: self.anchors.clone(),
            stores: self.stores.clone(),
            last_row: self.last_row,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) data: Vec<u8>,
    /// Clock of the last change.
    pub(crate) tick: u64,
}

/// How a listing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ListFault {
    #[default]
    None,
    /// Some items are left out, and the member says so.
    Incomplete,
    /// Some items are left out, the count tells.
    Cut,
    /// Some items are left out, and the member does not know (S2).
    Blind,
    /// No end mark.
    Failed,
    /// The store has lost its identity.
    Nameless,
}

/// A member. Its revisions are ticks of its clock, so that two edits in one tick look the same
/// (S6); with `rewrites`, it stores something else than it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) items: BTreeMap<Vec<u8>, Item>,
    pub(crate) now: u64,
    pub(crate) feed: bool,
    pub(crate) log: Vec<(Vec<u8>, bool)>,
    pub(crate) rewrites: bool,
    pub(crate) silent_digest: bool,
    pub(crate) reverse: bool,
    pub(crate) store: Option<&'static str>,
    pub(crate) names: u64,
    pub(crate) operations: BTreeMap<OperationId, (CommitKind, Vec<u8>, RawDigest)>,
}

pub(crate) fn card(uid: Option<u8>, text: u8) -> Vec<u8> {
    let uid = uid.map(|uid| format!("UID:uid{uid}\r\n")).unwrap_or_default();
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{uid}FN:text{text}\r\nEND:VCARD\r\n").into_bytes()
}

pub(crate) fn key_of(data: &[u8]) -> Option<Vec<u8>> {
    Canonical::of("vcard", data).key.map(|key| key.0.into_vec())
}

impl Member {
    pub(crate) fn put(&mut self, href: &[u8], data: Vec<u8>) {
        self.items.insert(href.to_vec(), Item { data, tick: self.now });
        self.log.push((href.to_vec(), true));
    }

    pub(crate) fn remove(&mut self, href: &[u8]) -> Option<Item> {
        self.log.push((href.to_vec(), false));
        self.items.remove(href)
    }

    pub(crate) fn by_uid(&self, uid: u8) -> Option<Vec<u8>> {
        let wanted = format!("uid{uid}").into_bytes();
        self.items
            .iter()
            .find(|(_, item)| key_of(&item.data).as_ref() == Some(&wanted))
            .map(|(href, _)| href.clone())
    }

    fn revision(&self, item: &Item) -> (Revision, bool) {
        (Revision::from(format!("r{}", item.tick).as_str()), item.tick < self.now)
    }

    fn change(&self, href: &[u8], kind: ChangeKind) -> Change {
        let (revision, settled) =
            self.items.get(href).map(|item| self.revision(item)).unwrap_or((Revision::default(), true));
        Change {
            href: Href::from(href),
            kind,
            revision,
            settled,
            object_type: "contact".into(),
            format: "vcard".into(),
            ext: Extensions::default(),
        }
    }

    fn read(&self, item: &ReadItem) -> ReadOutcome<'_> {
        let Some(found) = self.items.get(item.href.as_bytes()) else { return ReadOutcome::NotFound };
        let (revision, settled) = self.revision(found);
        if item.known == Some(RawDigest::of(&found.data)) {
            return ReadOutcome::NotModified { revision, settled };
        }
        let data = Cow::Borrowed(found.data.as_slice());
        ReadOutcome::Item { revision, settled, format: "vcard".into(), data }
    }

    fn commit(&mut self, item: &CommitItem<'_>, side: Side, store: &Store) -> CommitOutcome {
        let bound = (item.kind, item.href.as_bytes().to_vec(), item.digest);
        let known = self.operations.entry(item.operation).or_insert_with(|| bound.clone());
        assert_eq!(*known, bound, "one operation ID, two meanings (X1)");
        assert!(
            store.intents.iter().any(|it| it.operation == item.operation),
            "sent before it was durable (X1)"
        );
        if item.kind != CommitKind::Delete {
            assert_eq!(item.digest, RawDigest::of(&item.data));
        }
        if item.kind == CommitKind::Create {
            return self.create(item);
        }
        let Some(found) = self.items.get(item.href.as_bytes()) else {
            return CommitOutcome::Failed(Error::new(Code::NOT_FOUND, "no such item"));
        };
        let (revision, _) = self.revision(found);
        if item.expected.as_ref() != Some(&revision)
            || item.expected_digest != Some(RawDigest::of(&found.data))
        {
            return CommitOutcome::Failed(Error::new(Code::PRECONDITION, "it is another"));
        }
        let is_kept = store.undo.iter().any(|undo| {
            undo.operation == item.operation
                && undo.side == side
                && undo.data == found.data
                && undo.href == item.href
        });
        assert!(is_kept, "bytes are taken away that are not in the journal (X6)");
        if item.kind == CommitKind::Delete {
            self.remove(item.href.as_bytes());
            return done(item.href.clone(), Revision::default(), true, None);
        }
        self.store_it(item.href.as_bytes().to_vec(), item)
    }

    fn create(&mut self, item: &CommitItem<'_>) -> CommitOutcome {
        assert!(item.href.as_bytes().is_empty());
        let mut href = [&item.key, &b".vcf"[..]].concat();
        while self.items.contains_key(&href) {
            self.names += 1;
            href = [&item.key, format!("-{}.vcf", self.names).as_bytes()].concat();
        }
        self.store_it(href, item)
    }

    fn store_it(&mut self, href: Vec<u8>, item: &CommitItem<'_>) -> CommitOutcome {
        let mut data = item.data.to_vec();
        if self.rewrites {
            let at = data.windows(4).position(|part| part == b"END:").unwrap();
            data.truncate(at);
            if !data.windows(4).any(|part| part == b"X-RW") {
                data.extend_from_slice(b"X-RW:1\r\n");
            }
            data.extend_from_slice(b"END:VCARD\r\n");
        }
        self.put(&href, data);
        let stored = &self.items[&href];
        let (revision, settled) = self.revision(stored);
        let digest = (!self.silent_digest).then(|| RawDigest::of(&stored.data));
        done(Href::from(href), revision, settled, digest)
    }
}

fn done(href: Href, revision: Revision, settled: bool, digest: Option<RawDigest>) -> CommitOutcome {
    CommitOutcome::Done { href, revision, settled, digest }
}

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Creates the item, or changes it.
    Put {
        uid: u8,
        text: u8,
    },
    Delete {
        uid: u8,
    },
    /// Gives the item another UID.
    Rename {
        uid: u8,
        to: u8,
    },
    /// Moves the item to another name.
    Move {
        uid: u8,
    },
    /// A second item with the same UID (S7).
    Duplicate {
        uid: u8,
        text: u8,
    },
    /// An item without a UID.
    PutBare {
        name: u8,
        text: u8,
    },
    DeleteBare {
        name: u8,
    },
}

/// What goes wrong in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Killed at this step; whether the last action still took effect.
    pub(crate) crash: Option<(u8, bool)>,
    pub(crate) lists: [ListFault; 2],
    /// A member is lost at this step; whether its last call still took effect.
    pub(crate) lost: Option<(u8, bool, bool)>,
    /// A user edits while the run goes on.
    pub(crate) edit: Option<(u8, bool, Edit)>,
    /// Seeds lost answers, failing items and failing reads; 0: none.
    pub(crate) chaos: u64,
    /// Seeds the order in which answers come.
    pub(crate) order: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) reports: Vec<Report>,
    pub(crate) commits: usize,
    pub(crate) writes: Vec<(Side, CommitKind)>,
    pub(crate) journals: usize,
    pub(crate) items_read: usize,
    pub(crate) crashed: bool,
}

impl Outcome {
    pub(crate) fn summary(&self) -> Summary {
        match self.reports.last() {
            Some(Report::Ended(summary)) => *summary,
            other => panic!("no end: {other:?}"),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) members: [Member; 2],
    pub(crate) settings: Settings,
    pub(crate) authored: BTreeSet<Vec<u8>>,
    operations: u128,
}

pub(crate) fn side(is_b: bool) -> Side {
    if is_b { Side::B } else { Side::A }
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self::default();
        world.settings.max_delete.count = u64::MAX;
        world.settings.max_delete.emptying = true;
        world.settings.object_type = "contact".into();
        for member in &mut world.members {
            member.store = Some("s");
        }
        world
    }

    pub(crate) fn member(&mut self, side: Side) -> &mut Member {
        &mut self.members[side.index()]
    }

    pub(crate) fn edit(&mut self, side: Side, edit: Edit) {
        let member = &mut self.members[side.index()];
        let mut author = |member: &mut Member, href: &[u8], data: Vec<u8>| {
            self.authored.insert(data.clone());
            member.put(href, data);
        };
        let name = |member: &mut Member, uid: u8| {
            member.names += 1;
            format!("{}{uid}-{}", ["a", "b"][side.index()], member.names).into_bytes()
        };
        match edit {
            Edit::Put { uid, text } => {
                let href = member.by_uid(uid).unwrap_or_else(|| name(member, uid));
                author(member, &href, card(Some(uid), text));
            }
            Edit::Delete { uid } => {
                if let Some(href) = member.by_uid(uid) {
                    member.remove(&href);
                }
            }
            Edit::Rename { uid, to } => {
                if let (Some(href), None) = (member.by_uid(uid), member.by_uid(to)) {
                    let text = String::from_utf8(member.items[&href].data.clone()).unwrap();
                    let data = text.replace(&format!("UID:uid{uid}\r"), &format!("UID:uid{to}\r"));
                    author(member, &href, data.into_bytes());
                }
            }
            Edit::Move { uid } => {
                if let Some(href) = member.by_uid(uid) {
                    let item = member.remove(&href).unwrap();
                    let href = name(member, uid);
                    member.put(&href, item.data);
                }
            }
            Edit::Duplicate { uid, text } => {
                let href = name(member, uid);
                author(member, &href, card(Some(uid), text));
            }
            Edit::PutBare { name, text } => {
                author(member, format!("bare{name}").as_bytes(), card(None, text))
            }
            Edit::DeleteBare { name } => {
                member.remove(format!("bare{name}").as_bytes());
            }
        }
    }

    pub(crate) fn tick(&mut self) {
        for member in &mut self.members {
            member.now += 1;
        }
    }

    /// A run in which nothing goes wrong, after enough time for revisions to settle.
    pub(crate) fn run(&mut self) -> Outcome {
        self.run_with(Trouble::default())
    }

    pub(crate) fn run_with(&mut self, trouble: Trouble) -> Outcome {
        self.tick();
        let mut next = self.operations;
        self.operations += 10_000;
        let operations = Box::new(move || {
            next += 1;
            OperationId(uuid::Uuid::from_u128(next))
        });
        let sync = CollectionSync::new(self.store.snapshot(), self.settings.clone(), operations);
        Driver::new(self, sync, trouble).drive()
    }
}

struct Driver<'a> {
    world: &'a mut World,
    sync: CollectionSync,
    trouble: Trouble,
    chaos: Option<Chance>,
    order: Chance,
    queues: [VecDeque<Action>; 3],
    finished: bool,
    lost: [bool; 2],
    created: BTreeSet<(Side, Href)>,
    outcome: Outcome,
}

impl<'a> Driver<'a> {
    fn new(world: &'a mut World, sync: CollectionSync, trouble: Trouble) -> Self {
        let chaos = (trouble.chaos != 0).then_some(Chance(trouble.chaos));
        Self {
            world,
            sync,
            chaos,
            order: Chance(trouble.order),
            trouble,
            queues: Default::default(),
            finished: false,
            lost: [false; 2],
            created: BTreeSet::new(),
            outcome: Outcome::default(),
        }
    }

    fn drive(mut self) -> Outcome {
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
                Action::List { side, .. } | Action::Read { side, .. } | Action::Commit { side, .. } => {
                    side.index()
                }
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
    }

    fn lose(&mut self, side: Side, applies: bool) {
        if let Some(action) = self.queues[side.index()].pop_front()
            && applies
        {
            self.apply(action);
        }
        self.queues[side.index()].clear();
        self.lost[side.index()] = true;
        let error = Error::new(Code::DISCONNECTED, "gone").with_effect(Effect::Unknown);
        self.sync.receive(Event::MemberLost { side, error });
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

    fn commit(&mut self, side: Side, item: &CommitItem<'_>) -> CommitOutcome {
        assert!(!self.world.settings.read_only[side.index()], "a read-only member is written (I7)");
        let outcome = self.world.members[side.index()].commit(item, side, &self.world.store);
        if matches!(outcome, CommitOutcome::Done { .. }) {
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

    fn perform(&mut self, action: Action) {
        if std::env::var_os("OUTRIGGER_TRACE").is_some() {
            eprintln!("{action:?}");
        }
        match action {
            Action::List { side, slow, anchor } => self.list(side, slow, anchor),
            Action::Read { side, batch, items } => {
                let member = self.world.members[side.index()].clone();
                for (index, item) in items.iter().enumerate() {
                    if self.chaos(30) {
                        let error = Error::new(Code::OVERLOADED, "later");
                        return self.sync.receive(Event::ReadFailed { side, batch, error });
                    }
                    let outcome = if self.chaos(20) {
                        ReadOutcome::Failed(Error::new(Code::REMOTE, "not now"))
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
                if self.chaos(6) {
                    if self.chaos(2) {
                        self.apply(Action::Commit { side, batch, items });
                    }
                    let error = Error::new(Code::DEADLINE, "no answer").with_effect(Effect::Unknown);
                    return self.sync.receive(Event::CommitFailed { side, batch, error });
                }
                let results = items.iter().map(|item| self.result(side, item)).collect();
                self.sync.receive(Event::Committed { side, batch, results });
            }
            Action::Finished => {}
        }
    }

    fn result(&mut self, side: Side, item: &CommitItem<'_>) -> CommitResult {
        let operation = item.operation;
        let failed = |effect| CommitOutcome::Failed(Error::new(Code::REMOTE, "500").with_effect(effect));
        let outcome = if self.chaos(8) {
            failed(Effect::NotStarted)
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
                let kind = |href: &&Vec<u8>| match member.items.contains_key(*href) {
                    true => ChangeKind::Modified,
                    false => ChangeKind::Deleted,
                };
                hrefs.into_iter().map(|href| member.change(href, kind(&href))).collect()
            }
        };
        if member.reverse {
            changes.reverse();
        }
        let count = changes.len() as u64;
        let is_lossy = !matches!(fault, ListFault::None | ListFault::Nameless);
        // What a feed leaves out, no engine can know of.
        let is_lossy = is_lossy && !(fault == ListFault::Blind && member.feed);
        let mut sent = 0;
        for (at, change) in changes.into_iter().enumerate() {
            if !is_lossy || at % 2 == 1 {
                sent += 1;
                self.sync.receive(Event::Listed { side, change });
            }
        }
        if fault == ListFault::Failed {
            let error = Error::new(Code::REMOTE, "cut off");
            return self.sync.receive(Event::ListFailed { side, error });
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
