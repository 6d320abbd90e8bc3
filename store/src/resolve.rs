//! What a person chose for a conflict, as a change to its row. The next run carries it out.

use outrigger_engine::{Conflict, Content, Key, MemberIndex, Row, RowId, Supplied};
use outrigger_protocol::RawDigest;
use rusqlite::params;

use crate::{
    conflict::{self, Kept},
    error::ErrorKind,
    load,
    tables::Tables,
};

/// What becomes of an item that members hold different contents of. Whatever is overwritten or
/// deleted on its account goes to the undo journal first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// What this member holds goes to all; if it has deleted the item, the item is deleted.
    Take(MemberIndex),
    /// The item is deleted everywhere.
    Delete,
    /// This goes to all.
    Content {
        /// What goes to all: a person's, or a merge.
        supplied: Supplied,
    },
    /// What one member holds goes to all, and the other contents become items of their own.
    KeepBoth {
        /// The member whose content stays with the item.
        winner: MemberIndex,
        /// The others, with the key of each: it must be in its content, and no item may have it yet.
        copies: Vec<(Key, Supplied)>,
    },
}

/// Resolves the conflict of `row`.
///
/// # Errors
/// [`ErrorKind::NoConflict`] if there is none, or the member that is to win holds something else by
/// now than a person was shown. [`ErrorKind::Invalid`] for a member that never had the item, and for a
/// copy with the key of another item. The caller must roll back.
pub(crate) fn resolve(tables: &Tables<'_>, row: RowId, resolution: &Resolution) -> Result<(), ErrorKind> {
    let row = load::row(tables.db, &tables.place, row)?.ok_or(ErrorKind::NoConflict)?;
    match resolution {
        Resolution::Take(member) => take(tables, row, *member),
        Resolution::Delete => delete(tables, row),
        Resolution::Content { supplied } => {
            conflict_of(&row)?;
            tables.supply(row, supplied.clone())
        }
        Resolution::KeepBoth { winner, copies } => {
            take(tables, row, *winner)?;
            copies.iter().try_for_each(|(key, supplied)| add(tables, key, supplied))
        }
    }
}

fn conflict_of(row: &Row) -> Result<&Conflict, ErrorKind> {
    row.conflict.as_ref().ok_or(ErrorKind::NoConflict)
}

fn take(tables: &Tables<'_>, mut row: Row, member: MemberIndex) -> Result<(), ErrorKind> {
    let shown = conflict_of(&row)?.contents.get(member.index()).copied().flatten();
    if row.held(member) != shown {
        return Err(ErrorKind::NoConflict);
    }
    let Some(content) = shown else {
        row.entry(member).ok_or(ErrorKind::Invalid("a choice of a member that never had the item"))?;
        return delete(tables, row);
    };
    row.choose(member);
    agree(tables, row.id, member, content)?;
    tables.row(&row)
}

fn delete(tables: &Tables<'_>, mut row: Row) -> Result<(), ErrorKind> {
    conflict_of(&row)?;
    row.choose_deletion();
    tables.row(&row)
}

fn agree(tables: &Tables<'_>, row: RowId, member: MemberIndex, content: Content) -> Result<(), ErrorKind> {
    match conflict::copy(tables.db, &tables.place, row, member)? {
        Some(Kept { format, data }) if RawDigest::of(&data) == content.raw => {
            tables.agreed_by_hand(row, &content, &format, &data)
        }
        _ => Ok(()),
    }
}

/// A new item, that no member has yet.
fn add(tables: &Tables<'_>, key: &Key, supplied: &Supplied) -> Result<(), ErrorKind> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM rows WHERE collection = ?1 AND key = ?2)";
    let is_taken: bool = tables
        .db
        .prepare_cached(SQL)?
        .query_row(params![tables.place.collection, key.0], |columns| columns.get(0))?;
    if is_taken {
        return Err(ErrorKind::Invalid("a copy with the key of another item"));
    }
    let row = tables.new_row(key.clone())?;
    tables.supply(row, supplied.clone())
}
