//! The durable state, as a store keeps it.

use std::collections::BTreeMap;

use outrigger_engine::{Charge, Intent, Record, Row, RowId, Snapshot, Undo};
use outrigger_protocol::{Anchor, StoreId};

#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) rows: BTreeMap<RowId, Row>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) undo: Vec<Undo>,
    pub(crate) anchors: [Option<Anchor>; 2],
    pub(crate) stores: [Option<StoreId>; 2],
    pub(crate) last_row: u64,
    pub(crate) charges: Vec<Charge>,
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
                Record::Charge(charge) => {
                    let is_it = |one: &Charge| (one.side, one.subject) == (charge.side, charge.subject);
                    self.charges.retain(|one| !is_it(one));
                    self.charges.extend((charge.crashes > 0).then_some(charge));
                }
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
            charges: self.charges.clone(),
        }
    }
}
