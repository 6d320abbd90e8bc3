//! Names of collections and members, and the small numbers that stand for them in the file.

use std::collections::HashSet;

use outrigger_engine::MemberIndex;
use rusqlite::{Connection, OptionalExtension as _};

use crate::error::ErrorKind;

/// One collection that is kept the same across members, and the members that it is kept the same at.
///
/// State belongs to names: if the configuration lists its members in another order, the state goes
/// with them; a member of another name starts anew, and what is known of the others stays.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Collection {
    /// The collection's name within its group.
    pub name: String,
    /// The names of its members; all differ, and there are fewer than 65,536. Whatever is kept per
    /// member is handed over and comes back in this order.
    pub members: Vec<String>,
}

impl Collection {
    /// The collection `name` of these members.
    #[must_use]
    pub fn new(name: impl Into<String>, members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), members: members.into_iter().map(Into::into).collect() }
    }
}

/// A collection as the tables know it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) collection: i64,
    /// 0: no state of this member yet.
    members: Vec<i64>,
}

impl Place {
    /// Looks `collection` up without writing; `None` where nothing was ever applied to it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for members that cannot be told apart.
    pub(crate) fn find(db: &Connection, collection: &Collection) -> Result<Option<Self>, ErrorKind> {
        check(collection)?;
        let Some(number) = find(db, "SELECT id FROM collections WHERE name = ?1", &collection.name)? else {
            return Ok(None);
        };
        let members = collection.members.iter().map(|name| Ok(find_member(db, name)?.unwrap_or(0)));
        Ok(Some(Self { collection: number, members: members.collect::<Result<_, ErrorKind>>()? }))
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

    /// The number of a member.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the collection has no such member.
    pub(crate) fn member(&self, member: MemberIndex) -> Result<i64, ErrorKind> {
        let number = self.members.get(member.index()).copied();
        number.ok_or(ErrorKind::Invalid("what belongs to a member that the collection does not have"))
    }

    /// The numbers of all members, in their order.
    pub(crate) fn members(&self) -> &[i64] {
        &self.members
    }

    /// The member with this number; `None`: one of earlier times.
    pub(crate) fn index(&self, number: i64) -> Option<MemberIndex> {
        self.members.iter().position(|member| *member == number).map(MemberIndex::at)
    }
}

fn check(collection: &Collection) -> Result<(), ErrorKind> {
    let names: HashSet<&String> = collection.members.iter().collect();
    if names.len() < collection.members.len() {
        return Err(ErrorKind::Invalid("two members of a collection have the same name"));
    }
    if names.len() > usize::from(u16::MAX) {
        return Err(ErrorKind::Invalid("a collection has too many members"));
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
