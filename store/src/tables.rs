//! One collection's place in the tables, and the run that writes there.

use std::cell::Cell;

use rusqlite::{Connection, Params};

use crate::{
    collection::{Collection, Place},
    error::ErrorKind,
    run::RunId,
};

/// What writing needs; the caller holds the transaction.
pub(crate) struct Tables<'a> {
    pub(crate) db: &'a Connection,
    /// The run that goes on; undo bytes belong to it.
    pub(crate) run: Option<RunId>,
    pub(crate) place: Place,
    /// Whether the collection may have anything beside rows and entries. Mostly it has not, and then
    /// nothing of that kind needs to be taken away from each row.
    pub(crate) beside: Cell<bool>,
}

impl<'a> Tables<'a> {
    /// Gives `collection` and its members numbers where they have none.
    pub(crate) fn make(
        db: &'a Connection,
        run: Option<RunId>,
        collection: &Collection,
    ) -> Result<Self, ErrorKind> {
        let place = Place::make(db, collection)?;
        let beside = Cell::new(is_beside(db, place.collection)?);
        Ok(Self { db, run, place, beside })
    }

    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, ErrorKind> {
        Ok(self.db.prepare_cached(sql)?.execute(params)?)
    }
}

fn is_beside(db: &Connection, collection: i64) -> Result<bool, ErrorKind> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM conflicts WHERE collection = ?1)
        OR EXISTS (SELECT 1 FROM quarantines WHERE collection = ?1)
        OR EXISTS (SELECT 1 FROM supplied WHERE collection = ?1)
        OR EXISTS (SELECT 1 FROM disputed WHERE collection = ?1)";
    Ok(db.prepare_cached(SQL)?.query_row([collection], |columns| columns.get(0))?)
}
