//! Open conflicts, as a person who has to choose sees them; and bytes that are kept for merging.

use outrigger_engine::{Conflict, Content, Entry, Key, MemberIndex, Observed, Row, RowId, Supplied};
use outrigger_protocol::{Href, RawDigest};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{
    collection::{Collection, Place},
    column::{int, uint},
    error::ErrorKind,
    load,
};

/// Bytes of an item that the state keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Their encoding, as the member named it that they are from.
    pub format: String,
    /// The bytes, as a member wrote them: any, in any format.
    pub data: Vec<u8>,
}

/// A conflict that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenConflict {
    /// Its row.
    pub row: RowId,
    /// What the item is called across members.
    pub key: Key,
    /// When the latest of the contents came into it: the start of that run, in seconds since 1970.
    /// `None`: a version wrote it that did not keep that.
    pub raised: Option<u64>,
    /// What each member holds of the item, in the order of members.
    pub members: Vec<Disputed>,
    /// What a person chose before, which no member holds yet.
    pub chosen: Option<Disputed>,
    /// What was agreed before, by its digests; `None`: nothing, or that it is deleted.
    pub agreed: Option<Content>,
    /// What all had that contradict each other, as bytes. `None`: they had not the same, or it was not kept.
    pub base: Option<Kept>,
}

/// What one member holds of an item in conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disputed {
    /// What the member calls the item; `None`: it has none now.
    pub href: Option<Href>,
    /// What it held when the conflict was raised; `None`: nothing.
    pub content: Option<Content>,
    /// The same as bytes; `None`: nothing, or they were not kept.
    pub copy: Option<Kept>,
    /// Whether it is one of the contents that contradict each other: others have what was agreed before.
    pub is_party: bool,
}

/// All open conflicts of `collection`, by the number of their rows.
pub(crate) fn all(db: &Connection, collection: &Collection) -> Result<Vec<OpenConflict>, ErrorKind> {
    let Some(place) = Place::find(db, collection)? else { return Ok(Vec::new()) };
    let mut query =
        db.prepare_cached("SELECT DISTINCT row FROM conflicts WHERE collection = ?1 ORDER BY row")?;
    let mut found = query.query([place.collection])?;
    let mut conflicts = Vec::new();
    while let Some(columns) = found.next()? {
        conflicts.extend(of_row(db, &place, RowId(uint(columns, 0)?))?);
    }
    Ok(conflicts)
}

/// The open conflict of one row.
pub(crate) fn one(
    db: &Connection,
    collection: &Collection,
    row: RowId,
) -> Result<Option<OpenConflict>, ErrorKind> {
    Place::find(db, collection)?.map_or(Ok(None), |place| of_row(db, &place, row))
}

fn of_row(db: &Connection, place: &Place, id: RowId) -> Result<Option<OpenConflict>, ErrorKind> {
    let Some(row) = load::row(db, place, id)? else { return Ok(None) };
    let Some(conflict) = &row.conflict else { return Ok(None) };
    let mut members = disputed(&row, conflict);
    for (member, held) in (0..).map(MemberIndex).zip(&mut members) {
        held.copy = copy(db, place, id, member)?;
    }
    let base = match row.ancestor() {
        Some(base) => base_of(db, place, id, base.raw)?,
        None => None,
    };
    let (agreed, raised) = (row.base, raised(db, place, id)?);
    let chosen = row.supplied.map(|supplied| chosen(*supplied));
    Ok(Some(OpenConflict { row: id, key: row.key, raised, members, chosen, agreed, base }))
}

fn disputed(row: &Row, conflict: &Conflict) -> Vec<Disputed> {
    let places = row.entries.iter().zip(&conflict.contents).zip(row.parties());
    let disputed = |((entry, content), is_party): ((&Option<Entry>, &Option<Content>), bool)| Disputed {
        href: href(entry.as_ref()),
        content: *content,
        copy: None,
        is_party,
    };
    places.map(disputed).collect()
}

fn chosen(Supplied { content, format, data }: Supplied) -> Disputed {
    Disputed { href: None, content: Some(content), copy: Some(Kept { format, data }), is_party: true }
}

fn href(entry: Option<&Entry>) -> Option<Href> {
    let is_present = |entry: &&Entry| matches!(entry.observed, Observed::Present { .. });
    entry.filter(is_present).map(|entry| entry.href.clone())
}

/// Members of earlier times have no say in it.
fn raised(db: &Connection, place: &Place, row: RowId) -> Result<Option<u64>, ErrorKind> {
    let mut query =
        db.prepare_cached("SELECT member, raised FROM conflicts WHERE collection = ?1 AND row = ?2")?;
    let mut found = query.query([place.collection, int(row.0)?])?;
    let mut latest = None;
    while let Some(columns) = found.next()? {
        if place.index(columns.get(0)?).is_some() && columns.get::<_, Option<i64>>(1)?.is_some() {
            latest = latest.max(Some(uint(columns, 1)?));
        }
    }
    Ok(latest)
}

/// What is kept of what `member` held of a row in conflict.
pub(crate) fn copy(
    db: &Connection,
    place: &Place,
    row: RowId,
    member: MemberIndex,
) -> Result<Option<Kept>, ErrorKind> {
    const SQL: &str = "SELECT format, data FROM disputed WHERE collection = ?1 AND row = ?2 AND member = ?3";
    kept(db, SQL, params![place.collection, int(row.0)?, place.member(member)?])
}

/// The bytes of what a row has or had agreed on; `None`: they are not kept, or not any more.
pub(crate) fn base(
    db: &Connection,
    collection: &Collection,
    row: RowId,
    raw: RawDigest,
) -> Result<Option<Kept>, ErrorKind> {
    Place::find(db, collection)?.map_or(Ok(None), |place| base_of(db, &place, row, raw))
}

fn base_of(db: &Connection, place: &Place, row: RowId, raw: RawDigest) -> Result<Option<Kept>, ErrorKind> {
    const SQL: &str = "SELECT format, data FROM bases WHERE collection = ?1 AND row = ?2 AND raw = ?3";
    kept(db, SQL, params![place.collection, int(row.0)?, raw.0])
}

fn kept(db: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Option<Kept>, ErrorKind> {
    let found = db
        .prepare_cached(sql)?
        .query_row(params, |columns| Ok(Kept { format: columns.get(0)?, data: columns.get(1)? }));
    Ok(found.optional()?)
}
