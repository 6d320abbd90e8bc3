//! One row into its tables, with all that is kept beside it.
//!
//! What belongs to members that the collection does not have any more stays as it is.

use outrigger_engine::{
    Conflict, Content, DisputedCopy, Entry, Key, Observed, Quarantine, Row, RowId, Supplied,
};
use rusqlite::params;

use crate::{
    column::{digests, int, uint},
    error::ErrorKind,
    load::{GONE, PRESENT, SETTLED},
    tables::Tables,
};

/// The tables of what is kept with a row.
pub(crate) const OF_A_ROW: [&str; 6] =
    ["entries", "conflicts", "quarantines", "supplied", "disputed", "bases"];

/// Bases that are kept of a row: what is agreed, and what is about to be.
const BASES: u8 = 2;

impl Tables<'_> {
    /// Puts the row in the place of what was there.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] unless it has one place for each member.
    pub(crate) fn row(&self, row: &Row) -> Result<(), ErrorKind> {
        self.has_a_place_each(row.entries.len())?;
        let (collection, id) = (self.place.collection, int(row.id.0)?);
        let [digest, raw] = digests(row.base.as_ref());
        self.execute(
            "INSERT INTO rows (collection, row, key, version, base_digest, base_raw)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT DO UPDATE SET key = ?3, version = ?4, base_digest = ?5, base_raw = ?6",
            params![collection, id, row.key.0, int(row.version)?, digest, raw],
        )?;
        for (member, entry) in self.place.members().iter().zip(&row.entries) {
            self.entry(id, *member, entry.as_ref())?;
        }
        let is_plain = row.conflict.is_none() && row.quarantine.is_empty() && row.supplied.is_none();
        if is_plain && !self.beside.get() {
            return Ok(());
        }
        self.beside.set(true);
        self.conflict(id, row.conflict.as_ref())?;
        self.quarantine(id, &row.quarantine)?;
        self.supplied(id, row.supplied.as_deref())
    }

    fn has_a_place_each(&self, places: usize) -> Result<(), ErrorKind> {
        if places == self.place.members().len() {
            return Ok(());
        }
        Err(ErrorKind::Invalid("a row without one place for each member of its collection"))
    }

    fn entry(&self, row: i64, member: i64, entry: Option<&Entry>) -> Result<(), ErrorKind> {
        let collection = self.place.collection;
        let Some(entry) = entry else {
            self.execute(
                "DELETE FROM entries WHERE collection = ?1 AND row = ?2 AND member = ?3",
                [collection, row, member],
            )?;
            return Ok(());
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
        )?;
        Ok(())
    }

    /// A conflict is as old as the latest content in it.
    fn conflict(&self, row: i64, conflict: Option<&Conflict>) -> Result<(), ErrorKind> {
        let Some(conflict) = conflict else {
            self.clear("conflicts", row)?;
            return self.clear("disputed", row);
        };
        self.has_a_place_each(conflict.contents.len())?;
        let run = self.run.map(|run| run.0);
        for (member, content) in self.place.members().iter().zip(&conflict.contents) {
            let [digest, raw] = digests(content.as_ref());
            self.execute(
                "INSERT INTO conflicts (collection, row, member, digest, raw, raised)
                    VALUES (?1, ?2, ?3, ?4, ?5, (SELECT started FROM runs WHERE id = ?6 AND ?5 IS NOT NULL))
                    ON CONFLICT DO UPDATE SET digest = ?4, raw = ?5,
                    raised = (SELECT started FROM runs WHERE id = ?6)
                    WHERE digest IS NOT ?4 OR raw IS NOT ?5",
                params![self.place.collection, row, member, digest, raw, run],
            )?;
        }
        Ok(())
    }

    fn quarantine(&self, row: i64, quarantine: &[Quarantine]) -> Result<(), ErrorKind> {
        let collection = self.place.collection;
        for member in self.place.members() {
            self.execute(
                "DELETE FROM quarantines WHERE collection = ?1 AND row = ?2 AND member = ?3",
                [collection, row, *member],
            )?;
        }
        for Quarantine { member, reason } in quarantine {
            self.execute(
                "INSERT OR REPLACE INTO quarantines (collection, row, member, reason) VALUES (?1, ?2, ?3, ?4)",
                params![collection, row, self.place.member(*member)?, reason],
            )?;
        }
        Ok(())
    }

    fn supplied(&self, row: i64, supplied: Option<&Supplied>) -> Result<(), ErrorKind> {
        let Some(Supplied { content, format, data }) = supplied else {
            return self.clear("supplied", row);
        };
        self.execute(
            "INSERT OR REPLACE INTO supplied (collection, row, digest, raw, format, data)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![self.place.collection, row, content.digest.0, content.raw.0, format, data],
        )?;
        Ok(())
    }

    /// Puts a row there whose content comes from no member.
    pub(crate) fn supply(&self, mut row: Row, supplied: Supplied) -> Result<(), ErrorKind> {
        self.agreed_by_hand(row.id, &supplied.content, &supplied.format, &supplied.data)?;
        row.supply(supplied);
        self.row(&row)
    }

    /// A row for an item that no member has; its number is taken, but it is not there yet.
    pub(crate) fn new_row(&self, key: Key) -> Result<Row, ErrorKind> {
        let id = self
            .db
            .prepare_cached(
                "UPDATE collections SET last_row = last_row + 1 WHERE id = ?1 RETURNING last_row",
            )?
            .query_row([self.place.collection], |columns| Ok(uint(columns, 0)))??;
        Ok(Row { id: RowId(id), ..Row::new(key, self.place.members().len()) })
    }

    /// Takes away the row, and all that is kept with it, of all members there ever were.
    pub(crate) fn drop_row(&self, row: RowId) -> Result<(), ErrorKind> {
        let row = int(row.0)?;
        OF_A_ROW.iter().chain(&["rows"]).try_for_each(|table| self.clear(table, row))
    }

    /// Keeps the copies in the place of those that are there.
    pub(crate) fn disputed(&self, row: RowId, copies: &[DisputedCopy]) -> Result<(), ErrorKind> {
        let row = int(row.0)?;
        self.beside.set(true);
        self.clear("disputed", row)?;
        for DisputedCopy { member, format, data } in copies {
            self.execute(
                "INSERT OR REPLACE INTO disputed (collection, row, member, format, data)
                    VALUES (?1, ?2, ?3, ?4, ?5)",
                params![self.place.collection, row, self.place.member(*member)?, format, data],
            )?;
        }
        Ok(())
    }

    /// Keeps a content for merging later edits with: the latest few of a row.
    pub(crate) fn base(
        &self,
        row: RowId,
        content: &Content,
        format: &str,
        data: &[u8],
    ) -> Result<(), ErrorKind> {
        let (collection, row) = (self.place.collection, int(row.0)?);
        self.execute(
            "DELETE FROM bases WHERE collection = ?1 AND row = ?2 AND raw = ?3",
            params![collection, row, content.raw.0],
        )?;
        self.execute(
            "INSERT INTO bases (collection, row, digest, raw, format, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![collection, row, content.digest.0, content.raw.0, format, data],
        )?;
        self.execute(
            "DELETE FROM bases WHERE collection = ?1 AND row = ?2 AND id NOT IN (
                SELECT id FROM bases WHERE collection = ?1 AND row = ?2 ORDER BY id DESC LIMIT ?3)",
            params![collection, row, BASES],
        )?;
        Ok(())
    }

    /// Keeps what a person chose for merging later edits with, if the collection merges at all.
    pub(crate) fn agreed_by_hand(
        &self,
        row: RowId,
        content: &Content,
        format: &str,
        data: &[u8],
    ) -> Result<(), ErrorKind> {
        let merges: bool = self
            .db
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM bases WHERE collection = ?1)")?
            .query_row([self.place.collection], |columns| columns.get(0))?;
        if merges { self.base(row, content, format, data) } else { Ok(()) }
    }

    fn clear(&self, table: &str, row: i64) -> Result<(), ErrorKind> {
        let sql = format!("DELETE FROM {table} WHERE collection = ?1 AND row = ?2");
        self.execute(&sql, [self.place.collection, row])?;
        Ok(())
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
