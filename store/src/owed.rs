//! Owed: how many items the next run has to write, as the tables stand.

use std::path::Path;

use rusqlite::Connection;

use crate::{
    collection::{Collection, Place},
    column::uint,
    error::{Error, ErrorKind},
    files::Files,
    view,
};

/// Items of each of these collections that the next run writes at one member or more: what was chosen or
/// undone, and what is owed to a member that was away, or that refused it. Not those in conflict, nor those
/// that are left alone somewhere.
///
/// A collection names the members that count, each with whether it takes deletions: not those that take no
/// writes. A member that never took part in the collection is owed nothing yet. Takes no lock, and writes nothing.
///
/// # Errors
/// As [`crate::Store::open_copy`].
pub fn owed(state: &Path, group: &str, collections: &[(Collection, Vec<bool>)]) -> Result<Vec<u64>, Error> {
    let files = Files::new(state, group)?;
    let found = view::look(&files, |db| collections.iter().map(|one| of_collection(db, one)).collect());
    Ok(found.map_err(|kind| Error::new(&files.db, kind))?.unwrap_or_else(|| vec![0; collections.len()]))
}

fn of_collection(
    db: &Connection,
    (collection, take_deletions): &(Collection, Vec<bool>),
) -> Result<u64, ErrorKind> {
    let Some(place) = Place::find(db, collection)? else { return Ok(0) };
    let (mut written, mut deleted) = (Vec::new(), Vec::new());
    for (member, takes_deletions) in place.members().iter().zip(take_deletions) {
        if takes_part(db, place.collection, *member)? {
            written.push(member.to_string());
            deleted.extend(takes_deletions.then(|| member.to_string()));
        }
    }
    let mut query = db.prepare(&sql(&written, &deleted))?;
    query.query_row([place.collection], |columns| Ok(uint(columns, 0)))?
}

/// Whether the member ever took part in the collection.
fn takes_part(db: &Connection, collection: i64, member: i64) -> Result<bool, ErrorKind> {
    let sql = "SELECT EXISTS (SELECT 1 FROM feeds WHERE collection = ?1 AND member = ?2)
        OR EXISTS (SELECT 1 FROM entries WHERE collection = ?1 AND member = ?2)";
    Ok(db.prepare_cached(sql)?.query_row([collection, member], |columns| columns.get(0))?)
}

/// Whoever holds the very bytes that are agreed has them, whatever it was told last.
///
/// No member has more than was agreed. So where all have as much as there is to have, all of them have all, which
/// two sums tell three times as fast as a look at each item. `+` keeps the scan in the order of the table.
fn sql(written: &[String], deleted: &[String]) -> String {
    let (many, written, deleted) = (written.len(), written.join(","), deleted.join(","));
    format!(
        "SELECT CASE WHEN
            {many} * (SELECT coalesce(sum(version), 0) FROM rows WHERE collection = ?1)
            = (SELECT coalesce(sum(have), 0) FROM entries WHERE collection = ?1 AND +member IN ({written}))
        THEN 0 ELSE (
            SELECT count(*) FROM rows WHERE collection = ?1 AND (
                row IN (SELECT row FROM supplied WHERE collection = ?1)
                OR base_raw IS NOT NULL AND {many} > (
                    SELECT count(*) FROM entries WHERE entries.collection = ?1 AND entries.row = rows.row
                        AND +member IN ({written}) AND (have >= version OR have > 0 AND raw = base_raw))
                OR base_raw IS NULL AND version > 0 AND EXISTS (
                    SELECT 1 FROM entries WHERE entries.collection = ?1 AND entries.row = rows.row
                        AND +member IN ({deleted}) AND have < version AND state > 0))
                AND row NOT IN (SELECT row FROM conflicts WHERE collection = ?1)
                AND row NOT IN (SELECT row FROM quarantines WHERE collection = ?1)
        ) END"
    )
}
