//! From records to tables, one after the other; the caller holds the transaction.

use outrigger_engine::{Charge, Conflict, Content, Entry, Intent, Observed, Record, Row, RowId, Side, Undo};
use outrigger_protocol::{Anchor, OperationId, StoreId};
use rusqlite::{Connection, Params, params};

use crate::{
    collection::{Collection, Place},
    column::{digests, int, kind_number},
    error::ErrorKind,
    load::{GONE, PRESENT, SETTLED},
    run::RunId,
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
    let table = Tables { db, run, place: Place::make(db, collection)? };
    records.iter().try_for_each(|record| table.record(record))?;
    table.last_row(records.iter().filter_map(row_number).max())
}

/// The highest row number counts from the moment a write names it, not only once the row is
/// there: a create in doubt must not share its number.
fn row_number(record: &Record) -> Option<RowId> {
    match record {
        Record::Row(row) => Some(row.id),
        Record::Intent(intent) => Some(intent.row),
        _ => None,
    }
}

struct Tables<'a> {
    db: &'a Connection,
    run: Option<RunId>,
    place: Place,
}

impl Tables<'_> {
    fn record(&self, record: &Record) -> Result<(), ErrorKind> {
        match record {
            Record::Undo(undo) => self.undo(undo),
            Record::Intent(intent) => self.intent(intent),
            Record::Settled(operation) => self.settled(*operation),
            Record::Row(row) => self.row(row),
            Record::DropRow(row) => self.drop_row(*row),
            Record::Anchor(side, anchor) => self.anchor(*side, anchor),
            Record::Store(side, store) => self.store(*side, store),
            Record::Charge(charge) => self.charge(charge),
        }
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<(), ErrorKind> {
        self.db.prepare_cached(sql)?.execute(params)?;
        Ok(())
    }

    fn undo(&self, undo: &Undo) -> Result<(), ErrorKind> {
        let run = self.run.ok_or(ErrorKind::NoRun)?;
        self.execute(
            "INSERT INTO undo (run, collection, operation, member, href, format, size, data)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, length(?7), ?7)",
            params![
                run.0,
                self.place.collection,
                undo.operation.0.as_bytes(),
                self.place.member(undo.side),
                undo.href.as_bytes(),
                undo.format,
                undo.data,
            ],
        )
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
                self.place.member(intent.side),
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
        )
    }

    fn settled(&self, operation: OperationId) -> Result<(), ErrorKind> {
        self.execute("DELETE FROM intents WHERE operation = ?1", [operation.0.as_bytes()])
    }

    fn row(&self, row: &Row) -> Result<(), ErrorKind> {
        let (collection, id) = (self.place.collection, int(row.id.0)?);
        self.execute(
            "INSERT INTO rows (collection, row, key, version, quarantine) VALUES (?1, ?2, ?3, ?4, ?5)
                ON CONFLICT DO UPDATE SET key = ?3, version = ?4, quarantine = ?5",
            params![collection, id, row.key.0, int(row.version)?, row.quarantine],
        )?;
        for side in Side::BOTH {
            self.entry(id, side, row.entries[side.index()].as_ref())?;
        }
        self.conflict(id, row.conflict.as_ref())
    }

    fn entry(&self, row: i64, side: Side, entry: Option<&Entry>) -> Result<(), ErrorKind> {
        let (collection, member) = (self.place.collection, self.place.member(side));
        let Some(entry) = entry else {
            return self.execute(
                "DELETE FROM entries WHERE collection = ?1 AND row = ?2 AND member = ?3",
                [collection, row, member],
            );
        };
        let (state, revision, seen) = observed(entry);
        let [seen_digest, seen_raw] = digests(seen);
        self.execute(
            "INSERT OR REPLACE INTO entries (collection, row, member, href, digest, raw, have, rewritten, state,
                revision, seen_digest, seen_raw) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                collection,
                row,
                member,
                entry.href.as_bytes(),
                entry.agreed.digest.0,
                entry.agreed.raw.0,
                int(entry.have)?,
                entry.rewritten,
                state,
                revision,
                seen_digest,
                seen_raw,
            ],
        )
    }

    fn conflict(&self, row: i64, conflict: Option<&Conflict>) -> Result<(), ErrorKind> {
        let collection = self.place.collection;
        self.execute("DELETE FROM conflicts WHERE collection = ?1 AND row = ?2", [collection, row])?;
        let Some(conflict) = conflict else {
            return Ok(());
        };
        Side::BOTH.into_iter().try_for_each(|side| {
            let [digest, raw] = digests(conflict.contents[side.index()].as_ref());
            self.execute(
                "INSERT INTO conflicts (collection, row, member, digest, raw) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![collection, row, self.place.member(side), digest, raw],
            )
        })
    }

    fn drop_row(&self, row: RowId) -> Result<(), ErrorKind> {
        let place = [self.place.collection, int(row.0)?];
        self.execute("DELETE FROM rows WHERE collection = ?1 AND row = ?2", place)?;
        self.execute("DELETE FROM entries WHERE collection = ?1 AND row = ?2", place)?;
        self.execute("DELETE FROM conflicts WHERE collection = ?1 AND row = ?2", place)
    }

    fn anchor(&self, side: Side, anchor: &Anchor) -> Result<(), ErrorKind> {
        self.execute(
            "INSERT INTO feeds (collection, member, anchor) VALUES (?1, ?2, ?3)
                ON CONFLICT DO UPDATE SET anchor = ?3",
            params![self.place.collection, self.place.member(side), anchor.as_bytes()],
        )
    }

    fn store(&self, side: Side, store: &StoreId) -> Result<(), ErrorKind> {
        self.execute(
            "INSERT INTO feeds (collection, member, store) VALUES (?1, ?2, ?3)
                ON CONFLICT DO UPDATE SET store = ?3",
            params![self.place.collection, self.place.member(side), store.as_bytes()],
        )
    }

    fn charge(&self, charge: &Charge) -> Result<(), ErrorKind> {
        let (collection, member) = (self.place.collection, self.place.member(charge.side));
        let subject = &charge.subject.0[..];
        if charge.crashes == 0 {
            return self.execute(
                "DELETE FROM charges WHERE collection = ?1 AND member = ?2 AND subject = ?3",
                params![collection, member, subject],
            );
        }
        self.execute(
            "INSERT OR REPLACE INTO charges (collection, member, subject, crashes) VALUES (?1, ?2, ?3, ?4)",
            params![collection, member, subject, charge.crashes],
        )
    }

    fn last_row(&self, highest: Option<RowId>) -> Result<(), ErrorKind> {
        let Some(RowId(highest)) = highest else {
            return Ok(());
        };
        self.execute(
            "UPDATE collections SET last_row = ?2 WHERE id = ?1 AND last_row < ?2",
            [self.place.collection, int(highest)?],
        )
    }
}

/// State, revision, and the observed content where it differs from the agreed one.
fn observed(entry: &Entry) -> (i64, Option<&[u8]>, Option<&Content>) {
    match &entry.observed {
        Observed::Gone => (GONE, None, None),
        Observed::Present { revision, settled, content } => (
            if *settled { SETTLED } else { PRESENT },
            Some(revision.as_bytes()),
            (*content != entry.agreed).then_some(content),
        ),
    }
}
