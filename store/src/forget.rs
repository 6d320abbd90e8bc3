//! Forgetting: where feeds stand, what is known of a member, or a whole group.

use std::{fs, io, path::Path, time::Duration};

use rusqlite::Connection;

use crate::{
    collection::find_member,
    error::{Error, ErrorKind},
    files::Files,
    lock, member,
    rows::OF_A_ROW,
    system,
};

/// The tables of what is known of a member's items.
const OF_ITEMS: [&str; 7] =
    ["entries", "conflicts", "quarantines", "disputed", "intents", "feeds", "charges"];

/// Forgets the anchors of members and has everything of theirs compared by the next run. Hands back
/// the members that were known.
pub(crate) fn reset(db: &Connection, members: Vec<String>) -> Result<Vec<String>, ErrorKind> {
    each_known(db, members, |number, name| {
        db.prepare_cached("UPDATE feeds SET anchor = NULL WHERE member = ?1")?.execute([number])?;
        compare_anew(db, name)
    })
}

/// Forgets what is known of the items of members. Rows that only they had to do with go.
pub(crate) fn members(db: &Connection, members: Vec<String>) -> Result<Vec<String>, ErrorKind> {
    let known = each_known(db, members, |number, name| {
        for table in OF_ITEMS {
            db.prepare_cached(&format!("DELETE FROM {table} WHERE member = ?1"))?.execute([number])?;
        }
        compare_anew(db, name)
    })?;
    db.execute(
        "DELETE FROM rows WHERE NOT EXISTS (SELECT 1 FROM entries WHERE (collection, row) = (rows.collection, rows.row))
            AND NOT EXISTS (SELECT 1 FROM supplied WHERE (collection, row) = (rows.collection, rows.row))",
        [],
    )?;
    for table in OF_A_ROW {
        db.execute(
            &format!(
                "DELETE FROM {table} WHERE NOT EXISTS
                    (SELECT 1 FROM rows WHERE (collection, row) = ({table}.collection, {table}.row))"
            ),
            [],
        )?;
    }
    Ok(known)
}

fn each_known(
    db: &Connection,
    mut names: Vec<String>,
    mut forget: impl FnMut(i64, &str) -> Result<(), ErrorKind>,
) -> Result<Vec<String>, ErrorKind> {
    let mut known = Vec::new();
    for name in names.drain(..) {
        if let Some(number) = find_member(db, &name)? {
            forget(number, &name)?;
            known.push(name);
        }
    }
    Ok(known)
}

/// The next run has the member list everything, and its plugin is shown no anchor.
fn compare_anew(db: &Connection, name: &str) -> Result<(), ErrorKind> {
    let mut state = member::load(db, name)?;
    state.generation += 1;
    state.slow_sync.insert(String::new(), state.generation);
    state.object_types.values_mut().for_each(|anchor| *anchor = None);
    member::keep(db, name, &state)
}

/// Forgets the group below the directory `state`, with all that can be undone: its members meet for
/// the first time in the next run, which deletes nothing. While a run holds the group, waits up to
/// `patience`. Hands back whether there was anything. The lock stays, for two processes must never
/// lock two files of one name.
///
/// # Errors
/// [`ErrorKind::Locked`] after `patience`; [`ErrorKind::ReadOnly`] and others if the files cannot be
/// removed. What is left is no state, or the whole of it.
pub fn forget(state: &Path, group: &str, patience: Duration) -> Result<bool, Error> {
    let files = Files::new(state, group)?;
    if !files.dir.exists() {
        return Ok(false);
    }
    let _lock = lock::take(&files.lock, patience).map_err(|kind| Error::new(&files.lock, kind))?;
    // In this order: a log without its file is thrown away, a file without its log is an older state.
    let all = [files.db.clone(), files.wal(), files.shm()];
    let removed = all.iter().map(|file| remove(file).map_err(|error| Error::new(file, error)));
    let removed = removed.collect::<Result<Vec<bool>, Error>>()?;
    system::sync_dir(&files.dir).map_err(|error| Error::new(&files.dir, error))?;
    Ok(removed[0])
}

fn remove(file: &Path) -> io::Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
