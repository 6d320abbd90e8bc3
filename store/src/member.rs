//! What is kept of a member for its plugin, apart from items.

use outrigger_engine::MemberState;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{
    collection::{find_member, make_member},
    column::{int, operation, uint},
    error::ErrorKind,
};

/// What is kept of the member called `name`.
pub(crate) fn load(db: &Connection, name: &str) -> Result<MemberState, ErrorKind> {
    let Some(member) = find_member(db, name)? else { return Ok(MemberState::default()) };
    let mut query = db.prepare_cached("SELECT generation FROM members WHERE id = ?1")?;
    let generation = query.query_row([member], |row| Ok(uint(row, 0))).optional()?;
    let mut state = MemberState { generation: generation.transpose()?.unwrap_or(0), ..Default::default() };
    let mut query = db.prepare_cached("SELECT name, value FROM member_options WHERE member = ?1")?;
    let mut found = query.query([member])?;
    while let Some(row) = found.next()? {
        state.options.insert(row.get(0)?, row.get(1)?);
    }
    let mut query = db.prepare_cached("SELECT object_type, generation FROM slow_syncs WHERE member = ?1")?;
    let mut found = query.query([member])?;
    while let Some(row) = found.next()? {
        state.slow_sync.insert(row.get(0)?, uint(row, 1)?);
    }
    let mut query =
        db.prepare_cached("SELECT operation FROM member_operations WHERE member = ?1 ORDER BY place")?;
    let mut found = query.query([member])?;
    while let Some(row) = found.next()? {
        state.operations.push_back(operation(row, 0)?);
    }
    Ok(state)
}

/// Keeps `state` in the place of what was kept before.
pub(crate) fn keep(db: &Connection, name: &str, state: &MemberState) -> Result<(), ErrorKind> {
    let member = make_member(db, name)?;
    db.prepare_cached("UPDATE members SET generation = ?2 WHERE id = ?1")?
        .execute(params![member, int(state.generation)?])?;
    for table in ["member_options", "slow_syncs", "member_operations"] {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_engine::MemberState;
    use outrigger_protocol::OperationId;
    use uuid::Uuid;

    use crate::Store;

    fn state(generation: u64) -> MemberState {
        MemberState {
            generation,
            options: [("url".into(), format!("v{generation}"))].into(),
            slow_sync: [("contact".into(), 1), (String::new(), generation)].into(),
            operations: [2, 1].map(|number| OperationId(Uuid::from_u128(number))).into(),
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
}
