//! What is kept of a member for its plugin, apart from items.

use std::collections::BTreeMap;

use outrigger_engine::MemberState;
use outrigger_protocol::Anchor;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{
    collection::{find_member, make_member},
    column::{blob, int, operation, optional_blob, uint},
    error::ErrorKind,
};

/// The tables of a [`MemberState`].
const TABLES: [&str; 5] =
    ["member_options", "slow_syncs", "member_operations", "member_object_types", "member_creates"];

/// What is kept of the member called `name`.
pub(crate) fn load(db: &Connection, name: &str) -> Result<MemberState, ErrorKind> {
    let Some(member) = find_member(db, name)? else { return Ok(MemberState::default()) };
    let mut query = db.prepare_cached("SELECT generation FROM members WHERE id = ?1")?;
    let generation = query.query_row([member], |row| Ok(uint(row, 0))).optional()?;
    let mut state = MemberState { generation: generation.transpose()?.unwrap_or(0), ..Default::default() };
    each(db, "SELECT name, value FROM member_options WHERE member = ?1", member, |row| {
        state.options.insert(row.get(0)?, row.get(1)?);
        Ok(())
    })?;
    each(db, "SELECT object_type, generation FROM slow_syncs WHERE member = ?1", member, |row| {
        state.slow_sync.insert(row.get(0)?, uint(row, 1)?);
        Ok(())
    })?;
    each(db, "SELECT operation FROM member_operations WHERE member = ?1 ORDER BY place", member, |row| {
        state.operations.push_back(operation(row, 0)?);
        Ok(())
    })?;
    each(db, "SELECT object_type, anchor FROM member_object_types WHERE member = ?1", member, |row| {
        state.object_types.insert(row.get(0)?, optional_blob(row, 1)?.map(Anchor::from));
        Ok(())
    })?;
    each(db, "SELECT name, operation FROM member_creates WHERE member = ?1", member, |row| {
        state.creates.insert(row.get(0)?, operation(row, 1)?);
        Ok(())
    })?;
    Ok(state)
}

/// Where the feeds of the member's collections stand, by the collection's name in this state; those
/// without an anchor are left out.
pub(crate) fn anchors(db: &Connection, name: &str) -> Result<BTreeMap<String, Anchor>, ErrorKind> {
    const SQL: &str = "SELECT name, anchor FROM feeds JOIN collections ON collections.id = collection
        WHERE member = ?1 AND anchor IS NOT NULL";
    let mut anchors = BTreeMap::new();
    let Some(member) = find_member(db, name)? else { return Ok(anchors) };
    each(db, SQL, member, |row| {
        anchors.insert(row.get(0)?, Anchor::from(blob(row, 1)?));
        Ok(())
    })?;
    Ok(anchors)
}

/// Walks over what a query finds of a member.
fn each(
    db: &Connection,
    sql: &str,
    member: i64,
    mut take: impl FnMut(&Row<'_>) -> Result<(), ErrorKind>,
) -> Result<(), ErrorKind> {
    let mut query = db.prepare_cached(sql)?;
    let mut found = query.query([member])?;
    while let Some(row) = found.next()? {
        take(row)?;
    }
    Ok(())
}

/// Keeps `state` in the place of what was kept before.
pub(crate) fn keep(db: &Connection, name: &str, state: &MemberState) -> Result<(), ErrorKind> {
    let member = make_member(db, name)?;
    db.prepare_cached("UPDATE members SET generation = ?2 WHERE id = ?1")?
        .execute(params![member, int(state.generation)?])?;
    for table in TABLES {
        db.prepare_cached(&format!("DELETE FROM {table} WHERE member = ?1"))?.execute([member])?;
    }
    let mut insert = db.prepare_cached("INSERT INTO member_options VALUES (?1, ?2, ?3)")?;
    for (name, value) in &state.options {
        insert.execute(params![member, name, value])?;
    }
    let mut insert = db.prepare_cached("INSERT INTO slow_syncs VALUES (?1, ?2, ?3)")?;
    for (object_type, raised) in &state.slow_sync {
        insert.execute(params![member, object_type, int(*raised)?])?;
    }
    let mut insert = db.prepare_cached("INSERT INTO member_operations VALUES (?1, ?2, ?3)")?;
    for (place, operation) in (0i64..).zip(&state.operations) {
        insert.execute(params![member, place, operation.0.as_bytes()])?;
    }
    keep_found(db, member, state)
}

/// The same of what runs have found.
fn keep_found(db: &Connection, member: i64, state: &MemberState) -> Result<(), ErrorKind> {
    let mut insert = db.prepare_cached("INSERT INTO member_object_types VALUES (?1, ?2, ?3)")?;
    for (object_type, anchor) in &state.object_types {
        insert.execute(params![member, object_type, anchor.as_ref().map(|anchor| &*anchor.0)])?;
    }
    let mut insert = db.prepare_cached("INSERT INTO member_creates VALUES (?1, ?2, ?3)")?;
    for (name, operation) in &state.creates {
        insert.execute(params![member, name, operation.0.as_bytes()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_engine::{MemberIndex, MemberState, Record};
    use outrigger_protocol::{Anchor, OperationId};
    use uuid::Uuid;

    use crate::{Collection, Store};

    fn state(generation: u64) -> MemberState {
        MemberState {
            generation,
            options: [("url".into(), format!("v{generation}"))].into(),
            slow_sync: [("contact".into(), 1), (String::new(), generation)].into(),
            operations: [2, 1].map(|number| OperationId(Uuid::from_u128(number))).into(),
            object_types: [("contact".into(), Some(Anchor::from("t"))), (format!("v{generation}"), None)]
                .into(),
            creates: [("book".into(), OperationId(Uuid::from_u128(generation.into())))].into(),
        }
    }

    #[test]
    fn what_is_kept_comes_back_after_a_restart_and_replaces_what_was() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::open(dir.path(), "g", Duration::ZERO).unwrap();
        let store = open();
        assert_eq!(store.member("phone").wait().unwrap(), MemberState::default());
        store.keep_member("phone", state(1)).wait().unwrap();
        store.keep_member("phone", state(2)).wait().unwrap();
        store.close().unwrap();
        let store = open();
        assert_eq!(store.member("phone").wait().unwrap(), state(2), "the operations in their order");
        assert_eq!(store.member("server").wait().unwrap(), MemberState::default());
        store.keep_member("phone", MemberState::default()).wait().unwrap();
        assert_eq!(store.member("phone").wait().unwrap(), MemberState::default());
    }

    #[test]
    fn a_look_from_outside_sees_it_too() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "g", Duration::ZERO).unwrap();
        store.keep_member("phone", state(3)).wait().unwrap();
        let copy = Store::open_copy(dir.path(), "g").unwrap();
        assert_eq!(copy.member("phone").wait().unwrap(), state(3));
    }

    #[test]
    fn where_the_feeds_of_one_member_stand_is_told_by_collection() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "g", Duration::ZERO).unwrap();
        assert!(store.anchors("phone").wait().unwrap().is_empty());
        let anchor = |member, text: &str| vec![Record::Anchor(MemberIndex(member), Anchor::from(text))];
        for (name, records) in [("book", anchor(0, "1")), ("work", anchor(1, "2"))] {
            store.apply(&Collection::new(name, ["phone", "server"]), records).wait().unwrap();
        }
        store.apply(&Collection::new("home", ["laptop", "phone"]), anchor(1, "3")).wait().unwrap();
        let anchors = store.anchors("phone").wait().unwrap();
        let expected = [("book", "1"), ("home", "3")].map(|(name, at)| (name.to_owned(), Anchor::from(at)));
        assert_eq!(anchors, expected.into());
    }
}
