//! Two members and a run of theirs, played by hand.

use std::collections::BTreeMap;

use outrigger_engine::{
    Access, Action, BatchId, CollectionSync, Event, MemberIndex, MemberSettings, Record, Row, RowId,
    Settings, Snapshot,
};
use outrigger_protocol::{
    Change, ChangeKind, Code, CommitItem, CommitKind, CommitOutcome, CommitResult, Error, Extensions, Href,
    OperationId, RawDigest, ReadItem, ReadOutcome, ReadResult, Revision,
};

pub(crate) const A: MemberIndex = MemberIndex(0);
pub(crate) const B: MemberIndex = MemberIndex(1);

/// What two members hold, by name, and what is durable.
pub(crate) struct World {
    pub(crate) stores: [BTreeMap<String, String>; 2],
    pub(crate) kept: Snapshot,
    pub(crate) access: Access,
    /// Everything that was written, in words.
    pub(crate) wrote: Vec<String>,
    pub(crate) next: u128,
}

/// A run of it, in the hands of a test.
pub(crate) struct Play<'w> {
    pub(crate) world: &'w mut World,
    pub(crate) sync: CollectionSync,
    /// Answers to renames.
    pub(crate) renamed: Vec<Result<(), Code>>,
    pub(crate) is_over: bool,
}

impl World {
    pub(crate) fn new(a: &[(&str, &str)], b: &[(&str, &str)]) -> Self {
        let store = |items: &[(&str, &str)]| {
            items.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect()
        };
        let kept = Snapshot { anchors: vec![None; 2], stores: vec![None; 2], ..Snapshot::default() };
        Self { stores: [store(a), store(b)], kept, access: Access::Full, wrote: Vec::new(), next: 1 }
    }

    pub(crate) fn play(&mut self) -> Play<'_> {
        self.play_with(|_| {})
    }

    pub(crate) fn play_with(&mut self, change: impl FnOnce(&mut Settings)) -> Play<'_> {
        self.next += 1000;
        let mut number = self.next;
        let operations = Box::new(move || {
            number += 1;
            OperationId(uuid::Uuid::from_u128(number))
        });
        let mut settings = Settings::default();
        settings.members[0] = MemberSettings { access: self.access, ..MemberSettings::default() };
        change(&mut settings);
        let sync = CollectionSync::new(self.kept.clone(), settings, operations);
        Play { world: self, sync, renamed: Vec::new(), is_over: false }
    }

    /// An ordinary run: what it wrote.
    pub(crate) fn run(&mut self) -> Vec<String> {
        self.wrote.clear();
        self.play().finish();
        self.wrote.clone()
    }

    pub(crate) fn keep(&mut self, record: Record) {
        match record {
            Record::Row(row) => {
                self.drop_row(row.id);
                self.kept.last_row = self.kept.last_row.max(row.id.0);
                self.kept.rows.push(*row);
            }
            Record::DropRow(id) => self.drop_row(id),
            Record::Intent(intent) => self.kept.intents.push(intent),
            Record::Settled(operation) | Record::NotDone(operation) => {
                self.kept.intents.retain(|intent| intent.operation != operation)
            }
            _ => {}
        }
    }

    fn drop_row(&mut self, id: RowId) {
        self.kept.rows = self.kept.rows.iter().filter(|row| row.id != id).collect();
    }

    /// The row of what a member calls so.
    pub(crate) fn row(&self, member: MemberIndex, name: &str) -> Option<Row> {
        let is_it = |row: &Row| {
            row.entries[member.index()].as_ref().is_some_and(|entry| entry.href == Href::from(name))
        };
        self.kept.rows.iter().find(is_it)
    }

    pub(crate) fn id(&self, member: MemberIndex, name: &str) -> Option<RowId> {
        self.row(member, name).map(|row| row.id)
    }

    /// The member moves its items.
    pub(crate) fn moved(&mut self, member: MemberIndex, names: &[(&str, &str)]) {
        let store = &mut self.stores[member.index()];
        let items: Vec<_> = names.iter().map(|(old, new)| (*new, store.remove(*old).unwrap())).collect();
        store.extend(items.into_iter().map(|(new, data)| (new.to_owned(), data)));
    }

    pub(crate) fn committed(&mut self, member: MemberIndex, item: &CommitItem<'_>) -> CommitResult {
        let (kind, text) = (item.kind, String::from_utf8(item.data.to_vec()).unwrap());
        let name =
            if kind == CommitKind::Create { format!("made-{}", self.next) } else { item.href.to_string() };
        self.next += 1;
        self.wrote.push(format!("{kind:?} {name} at {}", member.0));
        let store = &mut self.stores[member.index()];
        let is_there = kind == CommitKind::Create || store.contains_key(&name);
        let outcome = match kind {
            _ if !is_there => CommitOutcome::Failed(Error::new(Code::NOT_FOUND, "no such item")),
            CommitKind::Delete => {
                store.remove(&name);
                done(&name, "")
            }
            CommitKind::Create | CommitKind::Update => {
                store.insert(name.clone(), text.clone());
                done(&name, &text)
            }
        };
        CommitResult { operation: item.operation, outcome }
    }

    pub(crate) fn read(&self, member: MemberIndex, item: &ReadItem) -> ReadOutcome<'static> {
        let Some(data) = self.stores[member.index()].get(&item.href.to_string()) else {
            return ReadOutcome::NotFound;
        };
        let (revision, settled) = (revision(data), true);
        if item.known == Some(RawDigest::of(data.as_bytes())) {
            return ReadOutcome::NotModified { revision, settled };
        }
        let format = if data.starts_with("BEGIN") { "vcard" } else { "text" };
        let data = data.clone().into_bytes().into();
        ReadOutcome::Item { revision, settled, format: format.into(), data }
    }
}

pub(crate) fn change(name: &str, data: &str) -> Change {
    Change {
        href: Href::from(name),
        kind: ChangeKind::Unknown,
        revision: revision(data),
        settled: true,
        object_type: String::new(),
        format: String::new(),
        ext: Extensions::default(),
    }
}

pub(crate) fn done(name: &str, data: &str) -> CommitOutcome {
    let digest = Some(RawDigest::of(data.as_bytes()));
    CommitOutcome::Done { href: name.into(), revision: revision(data), settled: true, digest }
}

pub(crate) fn revision(data: &str) -> Revision {
    Revision::from(&RawDigest::of(data.as_bytes()).0[..4])
}

pub(crate) fn card(uid: &str, name: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nEND:VCARD\r\n")
}

impl Play<'_> {
    pub(crate) fn finish(&mut self) {
        while let Some(action) = self.sync.poll_output() {
            self.perform(action);
        }
        assert!(self.is_over, "it waits for something");
    }

    /// Goes on until there is an action of a kind, and takes it into the test's hands.
    pub(crate) fn until(&mut self, is_it: impl Fn(&Action) -> bool) -> Action {
        loop {
            let action = self.sync.poll_output().expect("it never came to that");
            if is_it(&action) {
                return action;
            }
            self.perform(action);
        }
    }

    pub(crate) fn perform(&mut self, action: Action) {
        match action {
            Action::List { member, .. } => self.list(member),
            Action::Read { member, batch, items } => {
                let outcomes: Vec<_> = items.iter().map(|item| self.world.read(member, item)).collect();
                self.answer(member, batch, outcomes);
            }
            Action::Commit { member, batch, items } => {
                let results = items.iter().map(|item| self.world.committed(member, item)).collect();
                self.sync.receive(Event::Committed { member, batch, results });
            }
            Action::Journal { ticket, records } => {
                records.into_iter().for_each(|record| self.world.keep(record));
                self.sync.receive(Event::Journaled { ticket });
            }
            Action::Renamed { result, .. } => self.renamed.push(result.map_err(|error| error.code)),
            Action::Finished => self.is_over = true,
            Action::Compare { .. } | Action::Resolve { .. } => panic!("{action:?}"),
        }
    }

    pub(crate) fn list(&mut self, member: MemberIndex) {
        self.list_more(member, 0);
    }

    /// Lists everything, of which so much was listed before.
    pub(crate) fn list_more(&mut self, member: MemberIndex, before: u64) {
        let store = &self.world.stores[member.index()];
        let listed: Vec<Change> = store.iter().map(|(name, data)| change(name, data)).collect();
        let count = before + listed.len() as u64;
        for change in listed {
            self.sync.receive(Event::Listed { member, change });
        }
        self.sync.receive(Event::ListEnd { member, complete: true, count, anchor: None, store: None });
    }

    pub(crate) fn answer(
        &mut self,
        member: MemberIndex,
        batch: BatchId,
        outcomes: Vec<ReadOutcome<'static>>,
    ) {
        for (index, outcome) in (0..).zip(outcomes) {
            self.sync.receive(Event::ReadItem { member, batch, result: ReadResult { index, outcome } });
        }
        self.sync.receive(Event::ReadEnd { member, batch });
    }

    /// The member says new names; it has given them, if it says what is right.
    pub(crate) fn rename(&mut self, member: MemberIndex, names: &[(&str, &str)]) {
        let names = names.iter().map(|(old, new)| (Href::from(*old), Href::from(*new))).collect();
        self.sync.receive(Event::Renamed { member, batch: BatchId(7), names });
    }
}

impl Play<'_> {
    /// The member does what it is asked under the old name, and gives the item another one before it
    /// answers with the old.
    pub(crate) fn perform_commit_and_rename(&mut self, commit: Action, old: &str, new: &str) {
        let Action::Commit { member, batch, items } = commit else { panic!("{commit:?}") };
        let results = items.iter().map(|item| self.world.committed(member, item)).collect();
        self.world.moved(member, &[(old, new)]);
        self.rename(member, &[(old, new)]);
        self.sync.receive(Event::Committed { member, batch, results });
    }
}
