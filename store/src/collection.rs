//! Names of collections and members, and the small numbers that stand for them in the file.

use outrigger_engine::Side;
use rusqlite::{Connection, OptionalExtension as _};

use crate::error::ErrorKind;

/// One pair of collections that is kept the same, and the two members that it is kept the same at.
///
/// State belongs to names: if the configuration swaps its members, the state swaps with them; a
/// member of another name starts anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Collection {
    /// The pair's name within its group.
    pub name: String,
    /// The names of members A and B; they differ.
    pub members: [String; 2],
}

impl Collection {
    /// The pair `name` of the members `a` and `b`.
    #[must_use]
    pub fn new(name: impl Into<String>, a: impl Into<String>, b: impl Into<String>) -> Self {
        Self { name: name.into(), members: [a.into(), b.into()] }
    }
}

/// A collection as the tables know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) collection: i64,
    /// 0: no state of this member yet.
    pub(crate) members: [i64; 2],
}

impl Place {
    /// Looks `collection` up without writing; `None` where nothing was ever applied to it.
    pub(crate) fn find(db: &Connection, collection: &Collection) -> Result<Option<Self>, ErrorKind> {
        check(collection)?;
        let Some(number) = find(db, "SELECT id FROM collections WHERE name = ?1", &collection.name)? else {
            return Ok(None);
        };
        let [a, b] = collection.members.each_ref().map(|name| find_member(db, name));
        Ok(Some(Self { collection: number, members: [a?.unwrap_or(0), b?.unwrap_or(0)] }))
    }

    /// Looks `collection` up, and gives it and its members numbers where they have none.
    pub(crate) fn make(db: &Connection, collection: &Collection) -> Result<Self, ErrorKind> {
        if let Some(place) = Self::find(db, collection)?
            && !place.members.contains(&0)
        {
            return Ok(place);
        }
        insert(db, "INSERT OR IGNORE INTO collections (name) VALUES (?1)", &collection.name)?;
        for name in &collection.members {
            make_member(db, name)?;
        }
        Self::find(db, collection)?.ok_or_else(|| ErrorKind::corrupt("a collection vanished"))
    }

    /// The number of the member on `side`.
    pub(crate) const fn member(&self, side: Side) -> i64 {
        self.members[side.index()]
    }

    /// The side of the member with this number; `None`: a member of earlier times.
    pub(crate) fn side(&self, member: i64) -> Option<Side> {
        Side::BOTH.into_iter().find(|side| self.member(*side) == member)
    }
}

fn check(collection: &Collection) -> Result<(), ErrorKind> {
    let [a, b] = &collection.members;
    if a == b {
        return Err(ErrorKind::Invalid("the two members of a collection have the same name"));
    }
    Ok(())
}

/// The number of the member called `name`; `None`: nothing was kept of it yet.
pub(crate) fn find_member(db: &Connection, name: &str) -> Result<Option<i64>, ErrorKind> {
    find(db, "SELECT id FROM members WHERE name = ?1", name)
}

/// The same; it gets a number if it has none.
pub(crate) fn make_member(db: &Connection, name: &str) -> Result<i64, ErrorKind> {
    insert(db, "INSERT OR IGNORE INTO members (name) VALUES (?1)", name)?;
    find_member(db, name)?.ok_or_else(|| ErrorKind::corrupt("a member vanished"))
}

fn find(db: &Connection, sql: &str, name: &str) -> Result<Option<i64>, ErrorKind> {
    Ok(db.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?)
}

fn insert(db: &Connection, sql: &str, name: &str) -> Result<(), ErrorKind> {
    db.prepare_cached(sql)?.execute([name])?;
    Ok(())
}
