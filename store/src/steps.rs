//! The steps that make the tables. One that was released never changes; a new one is added behind it.

/// `rows`: one per item; `entries`: one per row and member that has to do with it, whatever the
/// number of members. `entries.state`: 0 gone, 1 present, 2 present and settled; the digests of
/// what was observed are NULL where they equal those that were agreed, as they mostly do.
/// `intents.id` keeps their order. `undo.size` is there so that sums need not touch the bytes.
///
/// Step 2: what a plugin has had kept for its member (the engine's `MemberState`). Step 3: what runs
/// have found out of it. Step 4: the crashes of its plugin, and what they are held against; times in
/// milliseconds since 1970.
///
/// Step 5: groups of any number of members. What is agreed stands at the row; before, it was what the
/// members at the row's version had agreed on (one that stores what it was given says it best). A row
/// that says of itself what cannot be begins anew: nothing is taken for deleted that way. An item that
/// was left alone was so at both members. A write that was on its way had not been agreed on before its
/// answer; now it is before it is sent, so it is agreed on here. `bases.id`: the latest is the highest.
/// `conflicts.raised`: seconds since 1970, of what that member holds.
///
/// Step 6: what was kept for a write that did not happen is found by that write, and goes.
///
/// Step 7: what a member had made itself is told from what it had been brought.
pub(crate) const STEPS: [&str; 7] = [
    "
    CREATE TABLE collections (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last_row INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE members (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE feeds (
        collection INTEGER NOT NULL, member INTEGER NOT NULL, anchor BLOB, store BLOB,
        PRIMARY KEY (collection, member)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rows (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL,
        quarantine TEXT,
        PRIMARY KEY (collection, row)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE entries (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, member INTEGER NOT NULL,
        href BLOB NOT NULL, digest BLOB NOT NULL, raw BLOB NOT NULL, have INTEGER NOT NULL,
        rewritten INTEGER NOT NULL, state INTEGER NOT NULL, revision BLOB, seen_digest BLOB, seen_raw BLOB,
        PRIMARY KEY (collection, row, member)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE conflicts (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, member INTEGER NOT NULL, digest BLOB, raw BLOB,
        PRIMARY KEY (collection, row, member)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE intents (
        id INTEGER PRIMARY KEY, operation BLOB NOT NULL UNIQUE, collection INTEGER NOT NULL,
        row INTEGER NOT NULL, member INTEGER NOT NULL, kind INTEGER NOT NULL, href BLOB NOT NULL,
        key BLOB NOT NULL, expected_revision BLOB, expected_digest BLOB, expected_raw BLOB,
        digest BLOB, raw BLOB, version INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB NOT NULL UNIQUE, started INTEGER NOT NULL,
        finished INTEGER, outcome TEXT
    ) STRICT;
    CREATE TABLE undo (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, collection INTEGER NOT NULL,
        operation BLOB NOT NULL, member INTEGER NOT NULL, href BLOB NOT NULL, format TEXT NOT NULL,
        size INTEGER NOT NULL, data BLOB NOT NULL
    ) STRICT;
    CREATE INDEX undo_by_run ON undo (run, size);
",
    "
    ALTER TABLE members ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE member_options (
        member INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (member, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE slow_syncs (
        member INTEGER NOT NULL, object_type TEXT NOT NULL, generation INTEGER NOT NULL,
        PRIMARY KEY (member, object_type)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE member_operations (
        member INTEGER NOT NULL, place INTEGER NOT NULL, operation BLOB NOT NULL,
        PRIMARY KEY (member, place)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE member_object_types (
        member INTEGER NOT NULL, object_type TEXT NOT NULL, anchor BLOB, PRIMARY KEY (member, object_type)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE member_creates (
        member INTEGER NOT NULL, name TEXT NOT NULL, operation BLOB NOT NULL, PRIMARY KEY (member, name)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE charges (
        collection INTEGER NOT NULL, member INTEGER NOT NULL, subject BLOB NOT NULL, crashes INTEGER NOT NULL,
        PRIMARY KEY (collection, member, subject)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE crashes (
        member INTEGER NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL, forgiven INTEGER NOT NULL,
        PRIMARY KEY (member, place)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE quarantines (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, member INTEGER NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (collection, row, member)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO quarantines SELECT collection, row, member, quarantine FROM rows
        JOIN entries USING (collection, row) WHERE quarantine IS NOT NULL AND state > 0;
    ALTER TABLE rows DROP COLUMN quarantine;

    ALTER TABLE rows ADD COLUMN base_digest BLOB;
    ALTER TABLE rows ADD COLUMN base_raw BLOB;
    UPDATE rows SET (base_digest, base_raw) = (
        SELECT digest, raw FROM entries WHERE entries.collection = rows.collection
            AND entries.row = rows.row AND have = version ORDER BY rewritten, member LIMIT 1
    ) WHERE version > 0;
    UPDATE entries SET have = 0 WHERE EXISTS (
        SELECT 1 FROM rows WHERE rows.collection = entries.collection AND rows.row = entries.row
            AND version > 0 AND base_raw IS NULL
    );
    UPDATE rows SET version = 0 WHERE base_raw IS NULL;
    UPDATE entries SET have = intents.version, rewritten = 0, digest = intents.digest, raw = intents.raw
        FROM intents JOIN rows USING (collection, row) WHERE intents.version > rows.version
            AND intents.collection = entries.collection AND intents.row = entries.row
            AND intents.member <> entries.member AND state > 0
            AND intents.raw = coalesce(seen_raw, entries.raw);
    UPDATE entries SET have = intents.version FROM intents JOIN rows USING (collection, row)
        WHERE intents.version > rows.version AND intents.kind = 2 AND state = 0
            AND intents.collection = entries.collection AND intents.row = entries.row
            AND intents.member <> entries.member;
    UPDATE rows SET version = intents.version, base_digest = intents.digest, base_raw = intents.raw
        FROM intents WHERE intents.collection = rows.collection AND intents.row = rows.row
            AND intents.version > rows.version;

    CREATE TABLE supplied (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, digest BLOB NOT NULL, raw BLOB NOT NULL,
        format TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (collection, row)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE conflicts ADD COLUMN raised INTEGER;
    CREATE TABLE disputed (
        collection INTEGER NOT NULL, row INTEGER NOT NULL, member INTEGER NOT NULL,
        format TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (collection, row, member)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE bases (
        id INTEGER PRIMARY KEY, collection INTEGER NOT NULL, row INTEGER NOT NULL,
        digest BLOB NOT NULL, raw BLOB NOT NULL, format TEXT NOT NULL, data BLOB NOT NULL
    ) STRICT;
    CREATE INDEX bases_by_row ON bases (collection, row);
    ALTER TABLE undo ADD COLUMN row INTEGER;
    ALTER TABLE undo ADD COLUMN key BLOB;
    ALTER TABLE undo ADD COLUMN kind INTEGER;
    CREATE INDEX runs_by_start ON runs (started);
",
    "
    CREATE INDEX undo_by_operation ON undo (operation);
",
    "
    ALTER TABLE undo ADD COLUMN own INTEGER NOT NULL DEFAULT 0;
    ",
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outrigger_engine::{Content, Digest, MemberIndex, Observed, Quarantine, Row, Snapshot};
    use outrigger_protocol::RawDigest;
    use rusqlite::{Connection, params};

    use crate::{Collection, Store, files::Files, run::RunId, schema, status, system};

    fn content(seed: u8) -> Content {
        Content { digest: Digest([seed; 32]), raw: RawDigest([seed; 32]) }
    }

    /// A file as version 4 wrote it, of the members 1 and 2.
    struct Old(Connection);

    impl Old {
        fn new(files: &Files) -> Self {
            system::create_dir(&files.dir).unwrap();
            let mut db = Connection::open(&files.db).unwrap();
            schema::migrate(&mut db, 0, 4).unwrap();
            db.execute_batch(
                "INSERT INTO collections (id, name, last_row) VALUES (1, 'book', 9);
                INSERT INTO members (id, name) VALUES (1, 'laptop'), (2, 'server');",
            )
            .unwrap();
            Self(db)
        }

        fn row(&self, row: u8, version: u8, quarantine: Option<&str>) {
            let sql = "INSERT INTO rows VALUES (1, ?1, ?2, ?3, ?4)";
            self.0.execute(sql, params![row, [row], version, quarantine]).unwrap();
        }

        /// What was agreed, and what is seen there now, if anything.
        fn entry(&self, row: u8, member: u8, have: u8, agreed: u8, seen: Option<u8>) {
            let sql = "INSERT INTO entries VALUES (1, ?1, ?2, ?3, ?4, ?4, ?5, 0, ?6, ?7, ?8, ?8)";
            let other = seen.filter(|seen| *seen != agreed).map(|seen| [seen; 32]);
            let state = if seen.is_some() { 2 } else { 0 };
            let values = params![row, member, [member], [agreed; 32], have, state, [1_u8], other];
            self.0.execute(sql, values).unwrap();
        }

        fn rewritten(&self, row: u8, member: u8) {
            let sql = "UPDATE entries SET rewritten = 1 WHERE row = ?1 AND member = ?2";
            self.0.execute(sql, [row, member]).unwrap();
        }

        fn intent(&self, row: u8, member: u8, kind: u8, content: Option<u8>, version: u8) {
            let sql = "INSERT INTO intents (operation, collection, row, member, kind, href, key, digest, raw, version)
                VALUES (?1, 1, ?2, ?3, ?4, x'', x'', ?5, ?5, ?6)";
            let content = content.map(|content| [content; 32]);
            self.0.execute(sql, params![[row; 16], row, member, kind, content, version]).unwrap();
        }
    }

    /// What this version makes of such a file, whichever way it looks.
    fn migrated(make: impl Fn(&Old)) -> Snapshot {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path(), "g").unwrap();
        let old = Old::new(&files);
        make(&old);
        drop(old);
        let book = Collection::new("book", ["laptop", "server"]);
        let load = |store: &Store| store.load(&book).wait().unwrap();
        let copied = load(&Store::open_copy(dir.path(), "g").unwrap());
        let told = status(dir.path(), "g").unwrap();
        let store = Store::open(dir.path(), "g", Duration::ZERO).unwrap();
        let snapshot = load(&store);
        assert_eq!((&copied, &told), (&snapshot, &store.status().wait().unwrap()));
        snapshot
    }

    fn one_row(make: impl Fn(&Old)) -> Row {
        let snapshot = migrated(make);
        assert_eq!(snapshot.rows.len(), 1);
        snapshot.rows.to_vec().remove(0)
    }

    fn have(row: &Row) -> Vec<Option<u64>> {
        row.entries.iter().map(|entry| Some(entry.as_ref()?.have)).collect()
    }

    #[test]
    fn what_was_agreed_is_what_the_members_at_that_version_had_agreed_on() {
        let row = one_row(|old| {
            old.row(1, 3, None);
            old.entry(1, 1, 2, 10, Some(10));
            old.entry(1, 2, 3, 11, Some(12));
        });
        assert_eq!((row.version, row.base, have(&row)), (3, Some(content(11)), vec![Some(2), Some(3)]));
        let row = one_row(|old| {
            old.row(1, 1, None);
            old.entry(1, 1, 1, 10, Some(10));
            old.entry(1, 2, 1, 11, Some(11));
            old.rewritten(1, 1);
        });
        assert_eq!(row.base, Some(content(11)), "of one that stores what it was given");
    }

    #[test]
    fn nothing_becomes_a_deletion_that_was_none() {
        let row = one_row(|old| {
            old.row(1, 3, None);
            old.entry(1, 1, 2, 10, Some(10));
            old.entry(1, 2, 1, 11, Some(11));
        });
        assert_eq!((row.version, row.base, have(&row)), (0, None, vec![Some(0), Some(0)]));
        let row = one_row(|old| {
            old.row(1, 0, None);
            old.entry(1, 1, 0, 10, Some(10));
        });
        assert_eq!((row.version, row.base, have(&row)), (0, None, vec![Some(0), None]));
    }

    #[test]
    fn what_was_left_alone_is_so_at_each_member_that_has_it() {
        let both = |first: Option<u8>| {
            one_row(move |old| {
                old.row(1, 1, Some("bad"));
                old.entry(1, 1, 1, 10, first);
                old.entry(1, 2, 1, 10, Some(11));
            })
        };
        let of = |member| Quarantine { member: MemberIndex(member), reason: "bad".into() };
        assert_eq!(both(Some(10)).quarantine, [of(0), of(1)]);
        assert_eq!(both(None).quarantine, [of(1)]);
    }

    #[test]
    fn an_update_that_was_on_its_way_is_agreed_on() {
        let row = one_row(|old| {
            old.row(1, 2, None);
            old.entry(1, 1, 2, 10, Some(11));
            old.entry(1, 2, 2, 10, Some(10));
            old.intent(1, 2, 1, Some(11), 3);
        });
        assert_eq!((row.version, row.base, have(&row)), (3, Some(content(11)), vec![Some(3), Some(2)]));
        let source = row.entries[0].clone().unwrap();
        let is_seen =
            |seen| matches!(&source.observed, Observed::Present { content, .. } if *content == seen);
        assert!(source.agreed == content(11) && is_seen(content(11)), "{source:?}");
    }

    /// The source was edited again, which was seen: that is an edit of something older.
    #[test]
    fn an_edit_that_came_after_a_write_stays_news() {
        let row = one_row(|old| {
            old.row(1, 2, None);
            old.entry(1, 1, 2, 10, Some(12));
            old.entry(1, 2, 2, 10, Some(10));
            old.intent(1, 2, 1, Some(11), 3);
        });
        assert_eq!((row.version, row.base, have(&row)), (3, Some(content(11)), vec![Some(2), Some(2)]));
    }

    #[test]
    fn a_create_and_a_deletion_that_were_on_their_way_are_agreed_on() {
        let row = one_row(|old| {
            old.row(1, 0, None);
            old.entry(1, 1, 0, 10, Some(10));
            old.intent(1, 2, 0, Some(10), 1);
        });
        assert_eq!((row.version, row.base, have(&row)), (1, Some(content(10)), vec![Some(1), None]));
        let row = one_row(|old| {
            old.row(1, 2, None);
            old.entry(1, 1, 2, 10, None);
            old.entry(1, 2, 2, 10, Some(10));
            old.intent(1, 2, 2, None, 3);
        });
        assert_eq!((row.version, row.base, have(&row)), (3, None, vec![Some(3), Some(2)]));
    }

    #[test]
    fn what_was_kept_for_undo_stays_and_can_be_undone() {
        const CARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u1\r\nFN:Ana\r\nEND:VCARD\r\n";
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path(), "g").unwrap();
        let old = Old::new(&files);
        old.0.execute_batch("INSERT INTO runs (id, uuid, started) VALUES (7, zeroblob(16), 1)").unwrap();
        for (id, data) in [(1, CARD), (2, "no card")] {
            let sql = "INSERT INTO undo VALUES (?1, 7, 1, zeroblob(16), 2, x'61', 'vcard', length(?2), ?2)";
            old.0.execute(sql, params![id, data.as_bytes()]).unwrap();
        }
        drop(old);
        let copied = Store::open_copy(dir.path(), "g").unwrap().undo_entries(RunId(7)).wait().unwrap();
        let store = Store::open(dir.path(), "g", Duration::ZERO).unwrap();
        let kept = store.undo_entries(RunId(7)).wait().unwrap();
        assert_eq!(kept, copied);
        assert_eq!((kept.len(), kept[0].row, &kept[0].key, kept[0].kind), (2, None, &None, None));
        assert_eq!(store.undo_content(kept[0].id).wait().unwrap(), Some(CARD.into()));
        // The key is the UID where there is one, else the name.
        let book = Collection::new("book", ["laptop", "server"]);
        store.undo(std::slice::from_ref(&book), RunId(7), None).wait().unwrap();
        let rows = store.load(&book).wait().unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.key.0).collect::<Vec<_>>(), [(*b"u1").into(), (*b"a").into()]);
    }
}
