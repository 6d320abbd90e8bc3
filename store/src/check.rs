//! Whether a group's state holds together: for the doctor.

use std::path::Path;

use rusqlite::Connection;

use crate::{
    collection::Collection,
    error::{Error, ErrorKind},
    files::Files,
    load,
    rows::OF_A_ROW,
    view,
};

/// Most words of SQLite's own check that are handed on.
const MOST: u32 = 10;

/// The tables whose lines belong to a member.
const OF_MEMBERS: [&str; 14] = [
    "feeds",
    "entries",
    "conflicts",
    "quarantines",
    "disputed",
    "intents",
    "undo",
    "charges",
    "crashes",
    "member_options",
    "slow_syncs",
    "member_operations",
    "member_object_types",
    "member_creates",
];

/// The tables whose lines belong to a collection.
const OF_COLLECTIONS: [&str; 5] = ["rows", "feeds", "intents", "undo", "charges"];

/// What must not be there (a copy of an old file has no bytes for undo), and how many of it are.
const RULES: [(&str, &str); 5] = [
    (
        "disputed contents of items without a conflict",
        "SELECT count(*) FROM disputed WHERE NOT EXISTS
            (SELECT 1 FROM conflicts WHERE (collection, row) = (disputed.collection, disputed.row))",
    ),
    (
        "members that hold a later version of an item than there is",
        "SELECT count(*) FROM entries JOIN rows USING (collection, row) WHERE have > version",
    ),
    (
        "items with a number that was not given yet",
        "SELECT count(*) FROM rows JOIN collections ON id = collection WHERE row > last_row",
    ),
    ("undo entries without a run", "SELECT count(*) FROM undo WHERE run NOT IN (SELECT id FROM runs)"),
    (
        "undo entries with half of their bytes",
        "SELECT count(*) FROM undo WHERE length(data) NOT IN (0, size)",
    ),
];

/// What is wrong with the state of `group` below the directory `state`, in words for a person; nothing
/// if all is well, or if there is no state. Takes no lock, and writes nothing into the state
/// directory; reads all of it, which takes about a second per GiB.
///
/// # Errors
/// As [`crate::Store::open_copy`]: a file that cannot even be opened is an error, not a finding.
pub fn check(state: &Path, group: &str) -> Result<Vec<String>, Error> {
    let files = Files::new(state, group)?;
    let found = view::look(&files, findings).map_err(|kind| Error::new(&files.db, kind))?;
    Ok(found.unwrap_or_default())
}

fn findings(db: &Connection) -> Result<Vec<String>, ErrorKind> {
    let damage = damage(db)?;
    if !damage.is_empty() {
        return Ok(damage);
    }
    let mut found = Vec::new();
    for table in OF_A_ROW {
        let sql = format!(
            "SELECT count(*) FROM {table} WHERE NOT EXISTS
                (SELECT 1 FROM rows WHERE (collection, row) = ({table}.collection, {table}.row))"
        );
        found.extend(finding(db, &sql, &format!("lines of `{table}` without their item"))?);
    }
    for (table, owner) in
        OF_MEMBERS.map(|t| (t, "member")).into_iter().chain(OF_COLLECTIONS.map(|t| (t, "collection")))
    {
        let sql = format!("SELECT count(*) FROM {table} WHERE {owner} NOT IN (SELECT id FROM {owner}s)");
        found.extend(finding(db, &sql, &format!("lines of `{table}` without their {owner}"))?);
    }
    for (words, sql) in RULES {
        found.extend(finding(db, sql, words)?);
    }
    found.extend(unreadable(db)?);
    Ok(found)
}

/// What SQLite finds by itself.
fn damage(db: &Connection) -> Result<Vec<String>, ErrorKind> {
    let mut query = db.prepare(&format!("PRAGMA integrity_check({MOST})"))?;
    let found = query.query_map([], |columns| columns.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(found.into_iter().filter(|words| words != "ok").collect())
}

fn finding(db: &Connection, sql: &str, words: &str) -> Result<Option<String>, ErrorKind> {
    let count: i64 = db.query_row(sql, [], |columns| columns.get(0))?;
    Ok((count > 0).then(|| format!("{count} {words}")))
}

/// Content that does not decode, of all collections for all members there ever were.
fn unreadable(db: &Connection) -> Result<Vec<String>, ErrorKind> {
    let members = names(db, "SELECT name FROM members ORDER BY id")?;
    let mut found = Vec::new();
    for name in names(db, "SELECT name FROM collections ORDER BY name")? {
        match load::load(db, &Collection::new(name.clone(), members.clone())) {
            Err(ErrorKind::Corrupt { detail }) => found.push(format!("collection `{name}`: {detail}")),
            other => drop(other?),
        }
    }
    Ok(found)
}

fn names(db: &Connection, sql: &str) -> Result<Vec<String>, ErrorKind> {
    Ok(db.prepare(sql)?.query_map([], |columns| columns.get(0))?.collect::<Result<_, _>>()?)
}
