//! The durable state, as a store keeps it.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_engine::{Charge, Content, DisputedCopy, Intent, Record, Row, RowId, Snapshot, Undo};
use outrigger_protocol::{Anchor, OperationId, StoreId};

/// Contents that were agreed on, for merging: a row keeps two.
type Bases = Vec<(Content, Vec<u8>)>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Store {
    pub(crate) rows: BTreeMap<RowId, Row>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) undo: Vec<Undo>,
    pub(crate) bases: BTreeMap<RowId, Bases>,
    pub(crate) disputed: BTreeMap<RowId, Vec<DisputedCopy>>,
    pub(crate) anchors: Vec<Option<Anchor>>,
    pub(crate) stores: Vec<Option<StoreId>>,
    pub(crate) last_row: u64,
    pub(crate) charges: Vec<Charge>,
    pub(crate) batches: u64,
}

impl Store {
    pub(crate) fn new(members: usize) -> Self {
        Self { anchors: vec![None; members], stores: vec![None; members], ..Self::default() }
    }

    pub(crate) fn apply(&mut self, records: Vec<Record>) {
        assert!(!records.is_empty(), "an empty transaction");
        self.batches += 1;
        let open: BTreeSet<OperationId> = self.intents.iter().map(|intent| intent.operation).collect();
        records.into_iter().for_each(|record| self.record(record));
        // One that was open before is closed by the run that drops its row.
        let is_orphan = |it: &&Intent| !self.rows.contains_key(&it.row) && !open.contains(&it.operation);
        let orphan = self.intents.iter().find(is_orphan);
        assert_eq!(orphan, None, "a write is meant and has no row");
    }

    fn record(&mut self, record: Record) {
        match record {
            Record::Undo(undo) => self.undo.push(undo),
            Record::Intent(intent) => self.intend(intent),
            Record::Settled(operation) => self.settle(operation),
            Record::NotDone(operation) => {
                self.undo.retain(|undo| undo.operation != operation);
                self.settle(operation);
            }
            Record::Row(row) => self.keep(*row),
            Record::DropRow(id) => self.drop_row(id),
            Record::Base { row, content, data, .. } => {
                let bases = self.bases.entry(row).or_default();
                bases.push((content, data));
                let surplus = bases.len().saturating_sub(2);
                drop(bases.drain(..surplus));
            }
            Record::Disputed(row, copies) => drop(self.disputed.insert(row, copies)),
            Record::Anchor(member, anchor) => self.anchors[member.index()] = Some(anchor),
            Record::Store(member, store) => self.stores[member.index()] = Some(store),
            Record::Charge(charge) => {
                let is_it = |one: &Charge| (one.member, one.subject) == (charge.member, charge.subject);
                self.charges.retain(|one| !is_it(one));
                self.charges.extend((charge.crashes > 0).then_some(charge));
            }
        }
    }

    fn settle(&mut self, operation: OperationId) {
        let before = self.intents.len();
        self.intents.retain(|intent| intent.operation != operation);
        assert!(self.intents.len() < before, "settled what was not open");
    }

    fn intend(&mut self, intent: Intent) {
        assert!(
            !self.intents.iter().any(|open| open.row == intent.row && open.member == intent.member),
            "a second write is meant before the first is settled (X1): {intent:?}"
        );
        assert!(
            !self.intents.iter().any(|open| open.operation == intent.operation),
            "an operation ID is given twice (X1): {intent:?}"
        );
        self.intents.push(intent);
    }

    fn keep(&mut self, row: Row) {
        assert_eq!(row.entries.len(), self.anchors.len(), "a place for every member: {row:?}");
        let mut hrefs = BTreeSet::new();
        assert!(row.quarantine.iter().all(|it| hrefs.insert(it.member)), "set aside twice: {row:?}");
        self.last_row = self.last_row.max(row.id.0);
        if row.conflict.is_none() {
            self.disputed.remove(&row.id);
        }
        self.rows.insert(row.id, row);
    }

    /// A person chose, outside of a run.
    pub(crate) fn keep_chosen(&mut self, row: Row) {
        self.keep(row);
    }

    fn drop_row(&mut self, id: RowId) {
        assert!(self.rows.remove(&id).is_some(), "dropped what was not there");
        self.bases.remove(&id);
        self.disputed.remove(&id);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            rows: self.rows.values().cloned().collect(),
            intents: self.intents.clone(),
            anchors: self.anchors.clone(),
            stores: self.stores.clone(),
            last_row: self.last_row,
            charges: self.charges.clone(),
        }
    }
}
