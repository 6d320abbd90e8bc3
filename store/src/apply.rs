//! From records to tables, one after the other; the caller holds the transaction.

use outrigger_engine::{Charge, Intent, MemberIndex, Record, RowId, Undo};
use outrigger_protocol::{Anchor, OperationId, StoreId};
use rusqlite::{Connection, params};

use crate::{
    collection::Collection,
    column::{digests, int, kind_number},
    error::ErrorKind,
    run::RunId,
    tables::Tables,
};

/// Writes `records` of `collection`, in order; undo bytes belong to `run`.
///
/// # Errors
/// [`ErrorKind::NoRun`] for undo bytes outside a run, [`ErrorKind::Invalid`] for what does not
/// fit, and what SQLite says. The caller must roll back.
pub(crate) fn apply(
    db: &Connection,
    run: Option<RunId>,
    collection: &Collection,
    records: &[Record],
) -> Result<(), ErrorKind> {
    let table = Tables::make(db, run, collection)?;
    records.iter().try_for_each(|record| table.record(record))?;
    table.last_row(records.iter().filter_map(row_number).max())
}

/// The highest row number counts from the moment a write names it, not only once the row is
/// there: a create in doubt must not share its number.
fn row_number(record: &Record) -> Option<RowId> {
    match record {
        Record::Row(row) => Some(row.id),
        Record::Intent(intent) => Some(intent.row),
        Record::Base { row, .. } => Some(*row),
        _ => None,
    }
}

impl Tables<'_> {
    fn record(&self, record: &Record) -> Result<(), ErrorKind> {
        match record {
            Record::Undo(undo) => self.undo(undo),
            Record::Intent(intent) => self.intent(intent),
            Record::Settled(operation) => self.settled(*operation),
            Record::NotDone(operation) => self.not_done(*operation),
            Record::Row(row) => self.row(row),
            Record::DropRow(row) => self.drop_row(*row),
            Record::Base { row, content, format, data } => self.base(*row, content, format, data),
            Record::Disputed(row, copies) => self.disputed(*row, copies),
            Record::Anchor(member, anchor) => self.anchor(*member, anchor),
            Record::Store(member, store) => self.store(*member, store),
            Record::Charge(charge) => self.charge(charge),
        }
    }

    fn undo(&self, undo: &Undo) -> Result<(), ErrorKind> {
        let run = self.run.ok_or(ErrorKind::NoRun)?;
        self.execute(
            "INSERT INTO undo
                (run, collection, operation, member, href, format, size, data, row, key, kind, own)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, length(?7), ?7, ?8, ?9, ?10, ?11)",
            params![
                run.0,
                self.place.collection,
                undo.operation.0.as_bytes(),
                self.place.member(undo.member)?,
                undo.href.as_bytes(),
                undo.format,
                undo.data,
                int(undo.row.0)?,
                undo.key.0,
                kind_number(undo.kind),
                undo.own,
            ],
        )?;
        Ok(())
    }

    /// An intent that is there already keeps its place in the order.
    fn intent(&self, intent: &Intent) -> Result<(), ErrorKind> {
        let (revision, expected) = intent.expected.as_ref().map(|(r, c)| (r.as_bytes(), c)).unzip();
        let [expected_digest, expected_raw] = digests(expected);
        let [digest, raw] = digests(intent.content.as_ref());
        self.execute(
            "INSERT INTO intents (operation, collection, row, member, kind, href, key, expected_revision,
                expected_digest, expected_raw, digest, raw, version)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                ON CONFLICT (operation) DO UPDATE SET collection = ?2, row = ?3, member = ?4, kind = ?5,
                href = ?6, key = ?7, expected_revision = ?8, expected_digest = ?9, expected_raw = ?10,
                digest = ?11, raw = ?12, version = ?13",
            params![
                intent.operation.0.as_bytes(),
                self.place.collection,
                int(intent.row.0)?,
                self.place.member(intent.member)?,
                kind_number(intent.kind),
                intent.href.as_bytes(),
                intent.key.0,
                revision,
                expected_digest,
                expected_raw,
                digest,
                raw,
                int(intent.version)?,
            ],
        )?;
        Ok(())
    }

    fn settled(&self, operation: OperationId) -> Result<(), ErrorKind> {
        self.execute("DELETE FROM intents WHERE operation = ?1", [operation.0.as_bytes()])?;
        Ok(())
    }

    /// What was kept for a write that did not happen is still where it was.
    fn not_done(&self, operation: OperationId) -> Result<(), ErrorKind> {
        self.execute("DELETE FROM undo WHERE operation = ?1", [operation.0.as_bytes()])?;
        self.settled(operation)
    }

    fn anchor(&self, member: MemberIndex, anchor: &Anchor) -> Result<(), ErrorKind> {
        self.execute(
            "INSERT INTO feeds (collection, member, anchor) VALUES (?1, ?2, ?3)
                ON CONFLICT DO UPDATE SET anchor = ?3",
            params![self.place.collection, self.place.member(member)?, anchor.as_bytes()],
        )?;
        Ok(())
    }

    fn store(&self, member: MemberIndex, store: &StoreId) -> Result<(), ErrorKind> {
        self.execute(
            "INSERT INTO feeds (collection, member, store) VALUES (?1, ?2, ?3)
                ON CONFLICT DO UPDATE SET store = ?3",
            params![self.place.collection, self.place.member(member)?, store.as_bytes()],
        )?;
        Ok(())
    }

    fn charge(&self, charge: &Charge) -> Result<(), ErrorKind> {
        let (collection, member) = (self.place.collection, self.place.member(charge.member)?);
        let subject = &charge.subject.0[..];
        let done = match charge.crashes {
            0 => self.execute(
                "DELETE FROM charges WHERE collection = ?1 AND member = ?2 AND subject = ?3",
                params![collection, member, subject],
            ),
            crashes => self.execute(
                "INSERT OR REPLACE INTO charges (collection, member, subject, crashes) VALUES (?1, ?2, ?3, ?4)",
                params![collection, member, subject, crashes],
            ),
        };
        done.map(drop)
    }

    fn last_row(&self, highest: Option<RowId>) -> Result<(), ErrorKind> {
        let Some(RowId(highest)) = highest else {
            return Ok(());
        };
        self.execute(
            "UPDATE collections SET last_row = ?2 WHERE id = ?1 AND last_row < ?2",
            [self.place.collection, int(highest)?],
        )?;
        Ok(())
    }
}
