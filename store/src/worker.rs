//! The thread that writes, and how requests reach it.
//!
//! Whatever waits when the thread is free becomes one transaction: one wait for the disk serves
//! all. Each request has a savepoint in it, so that one that fails leaves no trace and the others
//! go on. Answers are given after the commit, so also what a request has read is durable by then.

use std::{
    fmt,
    fs::File,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
};

use crate::{
    db::Db,
    error::{Error, ErrorKind},
};

/// Requests in one transaction: enough to share the wait for the disk, few enough that the first
/// does not wait long for the last.
const MAX_ROUND: usize = 64;

type Work<T> = Box<dyn FnOnce(&mut Db) -> Result<T, ErrorKind> + Send>;
/// Whether what a request writes may be lost with the machine, asked before it is carried out.
type Slack = fn(&Db) -> bool;
type Callback<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

/// A question to the store that was not asked yet: [`wait`](Self::wait) for its answer, or give
/// [`then`](Self::then) a callback.
///
/// Requests are carried out in the order in which they are asked, whoever asks. The queue has no
/// bound of its own: what is asked and not waited for is the caller's to limit.
#[must_use = "nothing happens before `wait` or `then`"]
pub struct Request<'a, T> {
    worker: &'a Worker,
    work: Work<T>,
    slack: Slack,
}

impl<T: Send + 'static> Request<'_, T> {
    /// The same, for which nobody waits for the disk where `slack` says so: what it writes may be lost
    /// with the machine, as if it had not been asked.
    pub(crate) fn with_slack(self, slack: Slack) -> Self {
        Self { slack, ..self }
    }

    /// Asks, and blocks until the answer is there. Never call it in a callback of
    /// [`then`](Self::then): that is the thread that would answer.
    ///
    /// # Errors
    /// The answer's own; [`ErrorKind::Stopped`] if the store's thread has ended.
    pub fn wait(self) -> Result<T, Error> {
        let path = Arc::clone(&self.worker.path);
        let (sender, receiver) = sync_channel(1);
        // The receiver is there until it has received.
        self.then(move |answer| drop(sender.send(answer)));
        receiver.recv().unwrap_or_else(|_| Err(Error::new(&path, ErrorKind::Stopped)))
    }

    /// Asks, and returns at once; `done` is called exactly once, with the answer, on the store's
    /// thread: it must be short, neither block nor panic, and best only passes the answer on.
    pub fn then(self, done: impl FnOnce(Result<T, Error>) + Send + 'static) {
        let reply = Reply { path: Arc::clone(&self.worker.path), done: Some(Box::new(done)) };
        let Self { worker, work, slack } = self;
        worker.send(Box::new(Task { work: Some(work), slack, result: None, reply }));
    }
}

impl<T> fmt::Debug for Request<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("store", &self.worker.path).finish_non_exhaustive()
    }
}

/// The thread, from this side.
#[derive(Debug)]
pub(crate) struct Worker {
    path: Arc<Path>,
    queue: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<Result<(), ErrorKind>>>,
}

impl Worker {
    /// Starts the thread on `db`; errors will name `path`. The thread keeps `lock` until the file
    /// is closed, whoever else lets go of it before.
    pub(crate) fn start(path: &Path, db: Db, lock: Option<Arc<File>>) -> Result<Self, Error> {
        let (queue, jobs) = channel();
        let thread = thread::Builder::new()
            .name("outrigger-store".into())
            .spawn(move || {
                let ended = serve(db, &jobs);
                drop(lock);
                ended
            })
            .map_err(|error| Error::new(path, error))?;
        Ok(Self { path: path.into(), queue: Some(queue), thread: Some(thread) })
    }

    /// The file that it writes.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What `work` finds, once asked.
    pub(crate) fn request<T>(
        &self,
        work: impl FnOnce(&mut Db) -> Result<T, ErrorKind> + Send + 'static,
    ) -> Request<'_, T> {
        Request { worker: self, work: Box::new(work), slack: |_| false }
    }

    /// A job that cannot be sent is dropped, and answers by that.
    fn send(&self, job: Box<dyn Job>) {
        if let Some(queue) = &self.queue {
            drop(queue.send(job));
        }
    }

    /// Carries out what was asked, closes the file, and ends the thread.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        self.queue = None;
        // Dropped in a callback: the thread cannot wait for itself, and ends after this round.
        self.thread.take_if(|thread| thread.thread().id() == thread::current().id());
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or(Err(ErrorKind::Stopped)).map_err(|kind| Error::new(&self.path, kind))
    }
}

impl Drop for Worker {
    /// Whoever wants to know whether the file was closed well calls `stop` before.
    fn drop(&mut self) {
        drop(self.stop());
    }
}

/// A request on its way, whatever its answer's type.
trait Job: Send {
    /// Whether nobody waits for the disk on its account.
    fn has_slack(&self, db: &Db) -> bool;
    /// Carries it out and keeps what came of it.
    fn run(&mut self, db: &mut Db) -> Result<(), ErrorKind>;
    /// Answers: with what came of it if the commit went well.
    fn answer(self: Box<Self>, commit: Result<(), ErrorKind>);
}

struct Task<T> {
    work: Option<Work<T>>,
    slack: Slack,
    result: Option<Result<T, ErrorKind>>,
    reply: Reply<T>,
}

impl<T: Send> Job for Task<T> {
    fn has_slack(&self, db: &Db) -> bool {
        (self.slack)(db)
    }

    fn run(&mut self, db: &mut Db) -> Result<(), ErrorKind> {
        let result = self.work.take().map_or(Err(ErrorKind::Stopped), |work| work(db));
        let failed = result.as_ref().err().cloned();
        self.result = Some(result);
        failed.map_or(Ok(()), Err)
    }

    fn answer(mut self: Box<Self>, commit: Result<(), ErrorKind>) {
        let result = match (self.result.take(), commit) {
            (Some(Err(own)), _) | (_, Err(own)) => Err(own),
            (result, Ok(())) => result.unwrap_or(Err(ErrorKind::Stopped)),
        };
        self.reply.give(result);
    }
}

/// Calls back exactly once: if nobody answers, its own end does.
struct Reply<T> {
    path: Arc<Path>,
    done: Option<Callback<T>>,
}

impl<T> Reply<T> {
    fn give(&mut self, result: Result<T, ErrorKind>) {
        if let Some(done) = self.done.take() {
            done(result.map_err(|kind| Error::new(&self.path, kind)));
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.give(Err(ErrorKind::Stopped));
    }
}

fn serve(mut db: Db, queue: &Receiver<Box<dyn Job>>) -> Result<(), ErrorKind> {
    while let Ok(first) = queue.recv() {
        let mut jobs = vec![first];
        jobs.extend(queue.try_iter().take(MAX_ROUND - 1));
        let outcome = round(&mut db, &mut jobs);
        jobs.into_iter().for_each(|job| job.answer(outcome.clone()));
    }
    db.close()
}

/// One transaction for all `jobs`; an error means that none of it was kept.
fn round(db: &mut Db, jobs: &mut [Box<dyn Job>]) -> Result<(), ErrorKind> {
    if let Some(kind) = &db.failed {
        return Err(kind.clone());
    }
    let run = db.run;
    let outcome = transact(db, jobs);
    if let Err(kind) = &outcome {
        db.run = run;
        db.failed = Some(kind.clone()).filter(|kind| matches!(kind, ErrorKind::Disk { .. }));
        // SQLite may have rolled back by itself.
        if !db.connection.is_autocommit() {
            drop(db.execute("ROLLBACK"));
        }
    }
    outcome
}

fn transact(db: &mut Db, jobs: &mut [Box<dyn Job>]) -> Result<(), ErrorKind> {
    db.wait_for_the_disk(!jobs.iter().all(|job| job.has_slack(db)))?;
    db.execute("BEGIN")?;
    jobs.iter_mut().try_for_each(|job| step(db, job.as_mut()))?;
    db.execute("COMMIT")
}

/// One job in a savepoint. Its own failure is its own, unless it took the transaction with it, as
/// a full disk does.
fn step(db: &mut Db, job: &mut dyn Job) -> Result<(), ErrorKind> {
    db.execute("SAVEPOINT job")?;
    let outcome = job.run(db);
    match outcome {
        Err(kind) if db.connection.is_autocommit() => return Err(kind),
        Err(_) => db.execute("ROLLBACK TO job")?,
        Ok(()) => {}
    }
    db.execute("RELEASE job")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use rusqlite::Connection;

    use super::*;
    use crate::{files::Files, system};

    /// A worker on a file with one table, and a second look at it.
    fn worker(dir: &tempfile::TempDir) -> (Worker, Connection) {
        let files = Files::new(dir.path(), "g").unwrap();
        system::create_dir(&files.dir).unwrap();
        let db = Db::open(&files).unwrap();
        db.execute("CREATE TABLE t (x)").unwrap();
        (Worker::start(&files.db, db, None).unwrap(), Connection::open(&files.db).unwrap())
    }

    fn insert(worker: &Worker, x: i64) -> Request<'_, ()> {
        worker.request(move |db| db.execute(&format!("INSERT INTO t VALUES ({x})")))
    }

    fn rows(db: &Connection) -> Vec<i64> {
        let mut query = db.prepare("SELECT x FROM t ORDER BY rowid").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Keeps the thread busy, so that what is asked until `go` is one round.
    fn hold(worker: &Worker) -> mpsc::Sender<()> {
        let (go, gate) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        worker.request(|_| Ok(())).then(move |_| {
            ready.send(()).unwrap();
            gate.recv().unwrap();
        });
        is_ready.recv().unwrap();
        go
    }

    #[test]
    fn what_waits_together_is_durable_together_before_the_first_answer() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, look) = worker(&dir);
        let go = hold(&worker);
        let (sender, seen) = mpsc::channel();
        insert(&worker, 1).then(move |answer| sender.send(answer.map(|()| rows(&look))).unwrap());
        insert(&worker, 2).then(|_| ());
        go.send(()).unwrap();
        assert_eq!(seen.recv().unwrap().unwrap(), [1, 2]);
    }

    #[test]
    fn nobody_waits_for_the_disk_where_all_have_slack() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, look) = worker(&dir);
        let level = || {
            let level =
                |db: &mut Db| Ok(db.connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?);
            worker.request::<i64>(level)
        };
        let slack = || level().with_slack(|_| true);
        let [normal, full] = [1, 2];
        assert_eq!([level(), slack(), level()].map(|asked| asked.wait().unwrap()), [full, normal, full]);
        insert(&worker, 1).with_slack(|_| true).wait().unwrap();
        assert_eq!(rows(&look), [1], "it is there for whoever looks");
        let go = hold(&worker);
        let (sender, levels) = mpsc::channel();
        for asked in [slack(), level()] {
            let sender = sender.clone();
            asked.then(move |level| sender.send(level.unwrap()).unwrap());
        }
        drop(sender);
        go.send(()).unwrap();
        assert_eq!(levels.iter().collect::<Vec<_>>(), [full, full], "they share a commit");
    }

    #[test]
    fn one_that_fails_leaves_no_trace_and_the_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, look) = worker(&dir);
        let go = hold(&worker);
        let (sender, answers) = mpsc::channel();
        let answer = |sender: mpsc::Sender<bool>| {
            move |answer: Result<(), Error>| sender.send(answer.is_ok()).unwrap()
        };
        insert(&worker, 1).then(answer(sender.clone()));
        let half = worker.request(|db| {
            db.execute("INSERT INTO t VALUES (2)")?;
            Err(ErrorKind::NoRun)
        });
        half.then(answer(sender.clone()));
        insert(&worker, 3).then(answer(sender));
        go.send(()).unwrap();
        assert_eq!(answers.iter().collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(rows(&look), [1, 3]);
    }

    #[test]
    fn one_that_takes_the_transaction_with_it_fails_all_and_the_next_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, look) = worker(&dir);
        let go = hold(&worker);
        let (sender, first) = mpsc::channel();
        insert(&worker, 1).then(move |answer| sender.send(answer).unwrap());
        let full = worker.request(|db| {
            db.execute("ROLLBACK")?;
            Err::<(), _>(ErrorKind::Full)
        });
        go.send(()).unwrap();
        assert!(matches!(full.wait().unwrap_err().kind(), ErrorKind::Full));
        // Whether both were in one round depends on who was faster; the answer is true either way.
        assert_eq!(first.recv().unwrap().is_ok(), rows(&look) == [1]);
        insert(&worker, 2).wait().unwrap();
        assert!(rows(&look).contains(&2));
    }

    #[test]
    fn after_the_disk_failed_nothing_more_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, look) = worker(&dir);
        let failing = worker.request(|db| {
            db.execute("ROLLBACK")?;
            Err::<(), _>(ErrorKind::Disk { detail: "injected".into() })
        });
        failing.wait().unwrap_err();
        let error = insert(&worker, 1).wait().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Disk { .. }));
        assert!(rows(&look).is_empty());
    }

    #[test]
    fn what_was_asked_before_the_end_is_carried_out() {
        let dir = tempfile::tempdir().unwrap();
        let (mut worker, look) = worker(&dir);
        (0..200).for_each(|x| insert(&worker, x).then(|answer| answer.unwrap()));
        worker.stop().unwrap();
        assert_eq!(rows(&look).len(), 200);
        assert!(matches!(insert(&worker, 1).wait().unwrap_err().kind(), ErrorKind::Stopped));
    }

    #[test]
    fn it_may_be_dropped_in_its_own_callback() {
        let dir = tempfile::tempdir().unwrap();
        let (worker, look) = worker(&dir);
        let go = hold(&worker);
        insert(&worker, 1).then(|answer| answer.unwrap());
        let worker = Arc::new(worker);
        let (sender, dropped) = mpsc::channel();
        let last = Arc::clone(&worker);
        insert(&worker, 2).then(move |_| {
            drop(last);
            sender.send(()).unwrap();
        });
        drop(worker);
        go.send(()).unwrap();
        dropped.recv().unwrap();
        assert_eq!(rows(&look), [1, 2]);
    }

    #[test]
    fn every_request_is_answered_even_if_the_thread_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (mut worker, _look) = worker(&dir);
        let go = hold(&worker);
        worker.request(|_| Ok(())).then(|_| panic!("a callback that must not, does"));
        let (sender, answer) = mpsc::channel();
        insert(&worker, 1).then(move |result| sender.send(result).unwrap());
        go.send(()).unwrap();
        assert!(matches!(answer.recv().unwrap().unwrap_err().kind(), ErrorKind::Stopped));
        assert!(matches!(insert(&worker, 2).wait().unwrap_err().kind(), ErrorKind::Stopped));
        assert!(matches!(worker.stop().unwrap_err().kind(), ErrorKind::Stopped));
    }
}
