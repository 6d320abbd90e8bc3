//! The door: opening a group's state, and what can be asked of it.

use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc, time::Duration};

use outrigger_engine::{MemberState, Record, Snapshot};
use outrigger_protocol::Anchor;
use rusqlite::Connection;
use uuid::Uuid;

use crate::{
    apply,
    collection::Collection,
    crashes::{self, Crash},
    db::Db,
    error::{Error, ErrorKind},
    files::Files,
    load, lock, member,
    run::{self, Run, RunId, Status},
    system,
    undo::{self, Pruned, UndoEntry, UndoId},
    view,
    worker::{Request, Worker},
};

/// A group's state, open. Dropping it closes it too, but tells nobody whether that went well.
#[derive(Debug)]
pub struct Store {
    worker: Worker,
    lock: Option<Arc<File>>,
    /// Of what this is a copy.
    original: Option<Files>,
}

impl Store {
    /// Opens the state of `group` below the directory `state` for a run, and makes what is
    /// missing, for its owner alone. While another run holds the group, waits up to `patience`.
    /// Blocks: a caller with timers to keep does it elsewhere, or before them.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] after `patience`; [`ErrorKind::Newer`], [`ErrorKind::Foreign`] and
    /// [`ErrorKind::Corrupt`] for a file that cannot be used, which is left as it is;
    /// [`ErrorKind::Full`], [`ErrorKind::ReadOnly`], [`ErrorKind::NoLog`] and others for a place
    /// that cannot hold it.
    pub fn open(state: &Path, group: &str, patience: Duration) -> Result<Self, Error> {
        let files = Files::new(state, group)?;
        system::create_dir(&files.dir).map_err(|error| Error::new(&files.dir, error))?;
        let lock = lock::take(&files.lock, patience).map_err(|kind| Error::new(&files.lock, kind))?;
        let db = Db::open(&files).map_err(|kind| Error::new(&files.db, kind))?;
        Self::start(&files, db, Some(Arc::new(lock)))
    }

    /// A copy of the state of `group` in memory, to plan with; empty where there is none yet.
    /// Takes no lock and writes nothing into the state directory, now or later: what is applied to
    /// it is gone when it is closed. Undo bytes, conflicts and bases for merging it looks up in the file,
    /// as it is by then.
    ///
    /// # Errors
    /// As [`Store::open`], but never [`ErrorKind::Locked`].
    pub fn open_copy(state: &Path, group: &str) -> Result<Self, Error> {
        let files = Files::new(state, group)?;
        let copy = view::in_memory(&files).map_err(|kind| Error::new(&files.db, kind))?;
        let store = Self::start(&files, Db::new(copy), None)?;
        Ok(Self { original: Some(files), ..store })
    }

    fn start(files: &Files, db: Db, lock: Option<Arc<File>>) -> Result<Self, Error> {
        Ok(Self { worker: Worker::start(&files.db, db, lock.clone())?, lock, original: None })
    }

    /// What `work` finds or does, once asked: all of it, or nothing on an error.
    pub(crate) fn request<T>(
        &self,
        work: impl FnOnce(&mut Db) -> Result<T, ErrorKind> + Send + 'static,
    ) -> Request<'_, T> {
        self.worker.request(work)
    }

    /// What `look` finds among bytes that a copy does without: a copy looks at the file, as it is now.
    pub(crate) fn look<T>(
        &self,
        look: impl Fn(&Connection) -> Result<T, ErrorKind> + Send + 'static,
    ) -> Request<'_, T> {
        let original = self.original.clone();
        self.request(move |db| match original.map(|files| view::look(&files, &look)).transpose()?.flatten() {
            Some(found) => Ok(found),
            None => look(&db.connection),
        })
    }

    /// Of what this is a copy.
    pub(crate) fn original(&self) -> Option<Files> {
        self.original.clone()
    }

    /// Another descriptor of the group's lock, to be handed to a helper process: it keeps the group
    /// locked until it has ended, even when this process is long gone. `None` for a copy of the state.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the system has no descriptor left.
    pub fn try_clone_lock(&self) -> Result<Option<File>, Error> {
        let copy = self.lock.as_deref().map(File::try_clone).transpose();
        copy.map_err(|error| Error::new(self.worker.path(), error))
    }

    /// All that is known of `collection`, with a place for each member in everything that is kept per
    /// member; nothing else before its first record.
    ///
    /// Errors: [`ErrorKind::Corrupt`] for content that does not decode; [`ErrorKind::Invalid`] if two
    /// members have one name.
    pub fn load(&self, collection: &Collection) -> Request<'_, Snapshot> {
        let collection = collection.clone();
        self.request(move |db| load::load(&db.connection, &collection))
    }

    /// Makes `records` of `collection` durable: all, or none on an error. The answer comes after
    /// the disk has them. An intent that is there already is replaced and keeps its place; to
    /// settle one that is not there does nothing.
    ///
    /// Errors: [`ErrorKind::NoRun`] for undo bytes outside a run; [`ErrorKind::Invalid`] for
    /// counters of 2^63 and above, two members of one name, or records for another number of members
    /// than the collection has; [`ErrorKind::Full`],
    /// [`ErrorKind::ReadOnly`], [`ErrorKind::Disk`]. After the last one nothing more is accepted
    /// before the store is opened anew.
    pub fn apply(&self, collection: &Collection, records: Vec<Record>) -> Request<'_, ()> {
        let collection = collection.clone();
        self.request(move |db| {
            db.has_kept = true;
            apply::apply(&db.connection, db.run, &collection, &records)
        })
    }

    /// What is kept of the member called `name`; the default before anything was.
    pub fn member(&self, name: &str) -> Request<'_, MemberState> {
        let name = name.to_owned();
        self.request(move |db| member::load(&db.connection, &name))
    }

    /// Makes `state` durable as what is kept of the member called `name`.
    pub fn keep_member(&self, name: &str, state: MemberState) -> Request<'_, ()> {
        let name = name.to_owned();
        self.request(move |db| member::keep(&db.connection, &name, &state))
    }

    /// Where the feeds of the collections of the member called `name` stand, by the name of the
    /// collection; those without an anchor are left out.
    pub fn anchors(&self, name: &str) -> Request<'_, BTreeMap<String, Anchor>> {
        let name = name.to_owned();
        self.request(move |db| member::anchors(&db.connection, &name))
    }

    /// The crashes of the plugin of the member called `name` that count, oldest first.
    pub fn crashes(&self, name: &str) -> Request<'_, Vec<Crash>> {
        let name = name.to_owned();
        self.request(move |db| crashes::load(&db.connection, &name))
    }

    /// Makes `crashes` durable in the place of what was kept of that member.
    pub fn keep_crashes(&self, name: &str, crashes: Vec<Crash>) -> Request<'_, ()> {
        let name = name.to_owned();
        self.request(move |db| crashes::keep(&db.connection, &name, &crashes))
    }

    /// Begins the run `id` at `now` (seconds since 1970): undo bytes belong to it from here on. Whoever
    /// looks sees it at once; it is on the disk with the first records, or the end.
    pub fn begin_run(&self, now: u64, id: Uuid) -> Request<'_, RunId> {
        let begin = self.request(move |db| {
            let run = run::begin(&db.connection, now, id)?;
            (db.run, db.has_kept) = (Some(run), false);
            Ok(run)
        });
        begin.with_slack(|_| true)
    }

    /// Ends `run` at `now` with `outcome`, text or JSON that [`status`] gives back as it is. A run in
    /// which no record was kept waits for no disk: what is lost with the machine is that it took place.
    ///
    /// Errors: [`ErrorKind::NoRun`] if there is no such run.
    pub fn end_run(&self, run: RunId, now: u64, outcome: impl Into<String>) -> Request<'_, ()> {
        let outcome = outcome.into();
        let end = self.request(move |db| {
            run::end(&db.connection, run, now, &outcome)?;
            db.run = None;
            Ok(())
        });
        end.with_slack(|db| !db.has_kept)
    }

    /// The latest `limit` runs, latest first.
    pub fn runs(&self, limit: u32) -> Request<'_, Vec<Run>> {
        self.request(move |db| run::runs(&db.connection, limit))
    }

    /// What [`status`] says, from here.
    pub fn status(&self) -> Request<'_, Status> {
        self.request(|db| run::status(&db.connection))
    }

    /// What `run` overwrote or deleted, in its order, without the bytes.
    pub fn undo_entries(&self, run: RunId) -> Request<'_, Vec<UndoEntry>> {
        self.request(move |db| undo::entries(&db.connection, run))
    }

    /// The bytes of one entry; `None` if it was pruned. A copy looks at the file, as it is by then.
    ///
    /// Errors: [`ErrorKind::Invalid`] in a copy of a file of an earlier version, whose undo bytes stay
    /// where they are.
    pub fn undo_content(&self, entry: UndoId) -> Request<'_, Option<Vec<u8>>> {
        self.look(move |db| undo::content(db, entry))
    }

    /// Forgets undo bytes of runs that began more than `keep` before `now`, then the oldest ones
    /// until `max_bytes` are left, and old runs without any. What belongs to the current run or to
    /// a write that is still in doubt stays, whatever its age and size. What comes back with a machine
    /// that lost its power is pruned the next time.
    pub fn prune(&self, now: u64, keep: Duration, max_bytes: u64) -> Request<'_, Pruned> {
        let oldest = now.saturating_sub(keep.as_secs());
        self.request(move |db| undo::prune(&db.connection, db.run, oldest, max_bytes)).with_slack(|_| true)
    }

    /// Carries out what was asked, brings everything into one file, and lets go of the lock (this
    /// process's share of it).
    ///
    /// # Errors
    /// What SQLite says of closing. What was acknowledged is durable all the same.
    pub fn close(mut self) -> Result<(), Error> {
        self.worker.stop()
    }
}

/// What is known of `group` below the directory `state`, also while a run goes on; the default for
/// a group that was never synced. Takes no lock, and writes nothing into the state directory.
///
/// # Errors
/// As [`Store::open_copy`].
pub fn status(state: &Path, group: &str) -> Result<Status, Error> {
    let files = Files::new(state, group)?;
    let found = view::look(&files, run::status).map_err(|kind| Error::new(&files.db, kind))?;
    Ok(found.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use outrigger_engine::{Key, MemberIndex, RowId, Undo};
    use outrigger_protocol::{Anchor, CommitKind, Href, OperationId};

    use super::*;

    fn open(dir: &tempfile::TempDir) -> Store {
        Store::open(dir.path(), "g", Duration::ZERO).unwrap()
    }

    fn contacts() -> Collection {
        Collection::new("contacts", ["a", "b"])
    }

    fn undo(size: usize) -> Record {
        Record::Undo(Undo {
            operation: OperationId(Uuid::nil()),
            row: RowId(1),
            key: Key(b"uid".as_slice().into()),
            kind: CommitKind::Update,
            member: MemberIndex(1),
            href: Href::from("h"),
            own: false,
            format: "vcard".into(),
            data: vec![7; size],
        })
    }

    fn run(store: &Store, now: u64, sizes: &[usize]) -> RunId {
        let run = store.begin_run(now, Uuid::from_u128(now.into())).wait().unwrap();
        store.apply(&contacts(), sizes.iter().map(|size| undo(*size)).collect()).wait().unwrap();
        store.end_run(run, now, "").wait().unwrap();
        run
    }

    fn sizes(store: &Store, run: RunId) -> Vec<u64> {
        store.undo_entries(run).wait().unwrap().iter().map(|entry| entry.size).collect()
    }

    #[test]
    fn a_full_disk_keeps_nothing_of_the_batch_and_is_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let before = store.begin_run(1, Uuid::nil()).wait().unwrap();
        let limit = |pages: i64| {
            store.worker.request(move |db| Ok(db.connection.pragma_update(None, "max_page_count", pages)?))
        };
        limit(40).wait().unwrap();
        let error = store.apply(&contacts(), vec![undo(10), undo(1 << 20)]).wait().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Full), "{error}");
        assert!(error.hint().unwrap().contains("free some space"));
        limit(1 << 20).wait().unwrap();
        assert!(sizes(&store, before).is_empty());
        store.apply(&contacts(), vec![undo(1 << 20)]).wait().unwrap();
        assert_eq!(sizes(&store, before), [1 << 20]);
    }

    #[test]
    fn undo_bytes_belong_to_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let records = vec![Record::Anchor(MemberIndex(0), Anchor::from("1")), undo(1)];
        let error = store.apply(&contacts(), records).wait().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoRun));
        assert_eq!(store.load(&contacts()).wait().unwrap().anchors, [None, None], "all or none");
        let [first, second] = [run(&store, 1, &[1, 2]), run(&store, 2, &[3])];
        assert_eq!((sizes(&store, first), sizes(&store, second)), (vec![1, 2], vec![3]));
        assert!(matches!(
            store.apply(&contacts(), vec![undo(1)]).wait().unwrap_err().kind(),
            ErrorKind::NoRun
        ));
        assert!(matches!(store.end_run(RunId(9), 1, "").wait().unwrap_err().kind(), ErrorKind::NoRun));
    }

    #[test]
    fn pruning_goes_by_age_then_by_size_and_spares_the_current_run() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let [old, middle, young] =
            [run(&store, 100, &[5]), run(&store, 200, &[6, 7]), run(&store, 300, &[8])];
        let current = store.begin_run(400, Uuid::from_u128(400)).wait().unwrap();
        store.apply(&contacts(), vec![undo(9)]).wait().unwrap();
        let pruned = store.prune(400, Duration::from_secs(250), u64::MAX).wait().unwrap();
        assert_eq!(pruned, Pruned { entries: 1, bytes: 5 });
        let pruned = store.prune(400, Duration::from_secs(250), 24).wait().unwrap();
        assert_eq!(pruned, Pruned { entries: 1, bytes: 6 });
        assert_eq!([old, middle, young].map(|run| sizes(&store, run)), [vec![], vec![7], vec![8]]);
        assert_eq!(store.runs(9).wait().unwrap().len(), 3, "nothing of the old one is left");
        store.prune(1 << 40, Duration::ZERO, 0).wait().unwrap();
        assert_eq!(sizes(&store, current), [9]);
    }

    #[test]
    fn space_is_given_back_and_the_log_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let files = Files::new(dir.path(), "g").unwrap();
        let size = |path: &Path| path.metadata().unwrap().len();
        run(&store, 1, &[32 << 20]);
        run(&store, 2, &[1]);
        assert!(size(&files.wal()) <= 5 << 20, "{}", size(&files.wal()));
        store.prune(10, Duration::ZERO, 0).wait().unwrap();
        store.close().unwrap();
        assert!(size(&files.db) < 1 << 20, "{}", size(&files.db));
        assert!(!files.wal().exists());
    }

    #[test]
    fn a_run_that_was_interrupted_is_seen_and_numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let first = store.begin_run(1, Uuid::from_u128(1)).wait().unwrap();
        drop(store);
        let store = open(&dir);
        let second = store.begin_run(2, Uuid::from_u128(2)).wait().unwrap();
        store.end_run(second, 3, "fine").wait().unwrap();
        let runs = store.runs(9).wait().unwrap();
        assert_eq!(
            runs.iter().map(|run| (run.id, run.finished)).collect::<Vec<_>>(),
            [(second, Some(3)), (first, None)]
        );
        assert!(second > first);
    }

    #[test]
    fn the_store_can_be_asked_from_any_thread() {
        fn is_send_sync<T: Send + Sync>() {}
        is_send_sync::<Store>();
        is_send_sync::<Error>();
    }
}
