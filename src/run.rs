//! A run: where deciding (engine), doing (broker) and remembering (store) meet.
//!
//! Groups are run one after the other. For each: the state is opened and locked, one plugin a
//! member is started, collections are paired, and for each pair the engine is driven to its end
//! (`drive`). Nothing is decided here.

mod calls;
mod check;
mod drive;
mod journal;
mod keeper;
mod locks;
mod main_sink;
mod members;
mod pairs;

use std::cell::Cell;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use outrigger_engine::{MemberState, Settings, Side};
use outrigger_sandbox::Descriptor;
use outrigger_store::{ErrorKind, Request, RunId, Store};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::config::{Config, GroupConfig, MemberConfig};
use crate::exit::Exit;
use crate::report::{CollectionReport, Failure, GroupReport, Kept, RunReport, Waiting};
use drive::Drive;
use keeper::Keeper;
use locks::MemberLocks;
use members::{MemberSession, Start, StartFailure};
use pairs::Pair;

pub use check::{CheckReport, check};
pub use keeper::Asker;
pub use members::{Plugins, first_party, unknown_plugin};

/// How long a run waits for the last process of a killed one to let go of the group, and of each
/// member.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a run is asked to do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Groups and the collections of them that are wanted; all when empty.
    pub targets: Vec<(String, Option<String>)>,
    /// Decide, and write nothing at all.
    pub dry_run: bool,
    /// How the command was called, for the commands that hints name; empty: `outrigger`.
    pub command: String,
    /// The user's leave to delete so many items in spite of the guard, good for one member of one
    /// collection in the whole run; see [`outrigger_engine::Settings::allow_deletes`].
    pub allow_deletes: Option<u64>,
    /// Plugins besides the first-party ones.
    pub plugins: Plugins,
    /// Asks the user what a plugin wants to know; nobody is there without it.
    pub asker: Option<Arc<dyn Asker>>,
}

/// What is told while a run goes on.
pub trait Watcher: Send + Sync {
    /// A phase of a collection, in a few words.
    fn phase(&self, group: &str, collection: &str, words: &str);

    /// Writes that are answered, of those that are known to be needed; `total` grows while items
    /// are still being looked at.
    fn written(&self, done: u64, total: u64);
}

/// A watcher that looks away.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn phase(&self, _group: &str, _collection: &str, _words: &str) {}
    fn written(&self, _done: u64, _total: u64) {}
}

/// Runs the groups that `options` names. What goes wrong in one group is in its report, and does
/// not stop the others.
///
/// # Errors
/// A target that the configuration does not have.
pub async fn run(config: &Config, options: &Options, watcher: &dyn Watcher) -> Result<RunReport, Failure> {
    let begun = Instant::now();
    let mut report = RunReport { dry_run: options.dry_run, ..RunReport::default() };
    let leave = Cell::new(options.allow_deletes);
    for (group, collections) in wanted(config, options)? {
        let empty = empty(group, options);
        let mut run = GroupRun { config, group, options, collections, watcher, leave: &leave, report: empty };
        let mut plugins = Vec::new();
        if let Err(failure) = run.run(&mut plugins).await {
            run.report.failures.push(failure);
        }
        report.groups.push(run.report);
        report.plugins.extend(plugins);
    }
    report.duration = begun.elapsed();
    report.peak_rss_bytes = peak_rss();
    Ok(report)
}

fn empty(group: &GroupConfig, options: &Options) -> GroupReport {
    let report = GroupReport::new(&group.name, group.members.clone());
    if options.command.is_empty() {
        report
    } else {
        GroupReport { command: options.command.clone(), ..report }
    }
}

/// The groups to run, each with the collections that are wanted of it (none named: all).
fn wanted<'c>(config: &'c Config, options: &Options) -> Result<Vec<(&'c GroupConfig, Vec<String>)>, Failure> {
    if options.targets.is_empty() {
        return Ok(config.groups.iter().map(|group| (group, Vec::new())).collect());
    }
    let mut wanted: Vec<(&GroupConfig, Vec<String>)> = Vec::new();
    for (name, collection) in &options.targets {
        let group = config.group(name).ok_or_else(|| unknown_group(config, name))?;
        let at = wanted.iter().position(|(known, _)| known.name == group.name);
        match (at, collection) {
            (None, collection) => wanted.push((group, collection.iter().cloned().collect())),
            (Some(at), Some(collection)) if !wanted[at].1.is_empty() => wanted[at].1.push(collection.clone()),
            (Some(at), _) => wanted[at].1.clear(),
        }
    }
    Ok(wanted)
}

/// The failure of a name that no group has.
#[must_use]
pub fn unknown_group(config: &Config, name: &str) -> Failure {
    let failure = Failure::usage(format!("no group is called `{name}` in {}", config.file.display()));
    match config.nearest_group(name) {
        Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
        None => failure.hint("`outrigger status` lists the groups"),
    }
}

struct GroupRun<'r> {
    config: &'r Config,
    group: &'r GroupConfig,
    options: &'r Options,
    collections: Vec<String>,
    watcher: &'r dyn Watcher,
    /// What is left of [`Options::allow_deletes`].
    leave: &'r Cell<Option<u64>>,
    report: GroupReport,
}

impl GroupRun<'_> {
    async fn run(&mut self, plugins: &mut Vec<crate::report::PluginReport>) -> Result<(), Failure> {
        let members = self.members()?;
        for member in members {
            members::find_plugin(self.config, member, &self.options.plugins)?;
        }
        locks::check_apart(self.group, members)?;
        let store = Arc::new(self.open_store().await?);
        let locks = self.lock_members(members).await?;
        self.watcher.phase(&self.group.name, "", "starting plugins");
        let sessions = self.start_members(&store, &locks).await?;
        let outcome = match &sessions {
            [Some(a), Some(b)] => self.run_collections(&store, [a, b]).await,
            _ => self.note_attempt(&store).await,
        };
        let stops = sessions.into_iter().flatten().map(MemberSession::stop);
        let [a, b] = stops
            .map(Some)
            .chain([None, None])
            .take(2)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or([const { None }; 2]);
        let (a, b) = tokio::join!(maybe(a), maybe(b));
        plugins.extend([a, b].into_iter().flatten());
        let closed = match Arc::into_inner(store) {
            Some(store) => beside(&self.group.name, move || store.close()).await,
            None => Ok(()), // a plugin's last request is about to end, and closes it
        };
        outcome?;
        closed
    }

    fn members(&self) -> Result<[&MemberConfig; 2], Failure> {
        let [a, b] = &self.group.members;
        let member = |name: &String| {
            self.config.member(name).ok_or_else(|| Failure::internal(format!("no member {name}")))
        };
        Ok([member(a)?, member(b)?])
    }

    async fn lock_members(&self, members: [&MemberConfig; 2]) -> Result<MemberLocks, Failure> {
        if self.options.dry_run {
            return Ok(MemberLocks::default());
        }
        let (state, members) = (self.config.state.clone(), members.map(MemberConfig::clone));
        let take = move || locks::take(&state, members.each_ref(), PATIENCE);
        let taken = tokio::task::spawn_blocking(take).await;
        taken.unwrap_or_else(|panic| Err(Failure::internal("the locks of the members").because(&panic)))
    }

    async fn open_store(&self) -> Result<Store, Failure> {
        let (state, name, dry_run) =
            (self.config.state.clone(), self.group.name.clone(), self.options.dry_run);
        let open = move || {
            if dry_run { Store::open_copy(&state, &name) } else { Store::open(&state, &name, PATIENCE) }
        };
        beside(&self.group.name, open).await
    }

    /// Starts both members at the same time. `None`: one that is not there and need not be.
    async fn start_members(
        &mut self,
        store: &Arc<Store>,
        locks: &MemberLocks,
    ) -> Result<[Option<MemberSession>; 2], Failure> {
        let [a, b] = self.members()?;
        let (a, b) = tokio::join!(
            self.start_member(a, store, locks[0].as_ref()),
            self.start_member(b, store, locks[1].as_ref())
        );
        let (a, b) = match (a, b) {
            (Ok(a), Ok(b)) => return Ok([Some(a), Some(b)]),
            other => other,
        };
        let sessions = [self.absent(a), self.absent(b)];
        for session in sessions.into_iter().flatten() {
            session.stop().await;
        }
        Ok([None, None])
    }

    /// Notes why a member could not be started; hands back one that could.
    fn absent(&mut self, started: Result<MemberSession, StartFailure>) -> Option<MemberSession> {
        match started {
            Ok(session) => Some(session),
            Err(StartFailure { member, failure, required }) => {
                // Only what is not there can be waited for; the rest somebody has to mend.
                if required || failure.exit != Exit::Partial {
                    self.report.failures.push(failure);
                } else {
                    let why =
                        failure.causes.first().map_or_else(|| failure.message.clone(), ToString::to_string);
                    self.report.waiting.push(Waiting { member, why });
                }
                None
            }
        }
    }

    /// Its keeper process holds the locks too, until the plugin's last process has gone
    /// (decisions X3).
    async fn start_member(
        &self,
        member: &MemberConfig,
        store: &Arc<Store>,
        lock: Option<&File>,
    ) -> Result<MemberSession, StartFailure> {
        let failed = |failure| StartFailure { member: member.name.clone(), failure, required: true };
        let group =
            store.try_clone_lock().map_err(|error| failed(store_failure(&self.group.name, &error)))?;
        let lock = lock.map(File::try_clone).transpose().map_err(|error| {
            failed(Failure::internal("the lock of the member cannot be handed on").because(&error))
        })?;
        let locks = group.into_iter().chain(lock).map(Descriptor::from).collect();
        let kept = ask(&self.group.name, store.member(&member.name)).await.map_err(failed)?;
        let last_run = ask(&self.group.name, store.status()).await.map_err(failed)?.last_run;
        let last_run = last_run.and_then(|run| run.finished);
        let store = (!self.options.dry_run).then_some(store);
        let asker = self.options.asker.clone();
        let start = Start { config: self.config, member, group: self.group, plugins: &self.options.plugins };
        let keeper = |configured| Keeper::new(configured, kept, store, asker);
        MemberSession::start(&start, locks, last_run, keeper).await
    }

    async fn run_collections(&mut self, store: &Store, sessions: [&MemberSession; 2]) -> Result<(), Failure> {
        let known = ask(&self.group.name, store.status()).await?;
        let known = known.collections.into_iter().filter(|one| one.rows > 0).map(|one| one.name).collect();
        let found = pairs::pair(self.group, sessions, &known, &self.collections, self.options.dry_run).await;
        self.report.failures.extend(found.failures);
        let run = self.begin(store).await?;
        let asked = [sessions[0].keeper().state().await, sessions[1].keeper().state().await];
        let connected = main_sink::connect(sessions, &asked, self.options.dry_run).await;
        let whole = connected.is_ok() && self.collections.is_empty();
        match connected {
            Ok(slow) => self.run_pairs(store, sessions, found.pairs, slow, &asked).await,
            Err(failure) => self.report.failures.push(failure),
        }
        let came_through = matches!(self.report.exit(), Exit::Done | Exit::Conflicts);
        main_sink::finish(sessions, came_through).await;
        if came_through && self.collections.is_empty() && !self.options.dry_run {
            self.lower(sessions, &asked).await;
        }
        self.end(store, run, whole).await?;
        // Not part of what is kept: a slip on the command line is no state of the group.
        self.report.failures.extend(found.unknown);
        Ok(())
    }

    async fn run_pairs(
        &mut self,
        store: &Store,
        sessions: [&MemberSession; 2],
        pairs: Vec<Pair>,
        slow: [bool; 2],
        asked: &[MemberState; 2],
    ) {
        for pair in pairs {
            let slow = Side::BOTH.map(|side| {
                let types = pair.sinks[side.index()].as_ref().map(|sink| &sink.object_types[..]);
                slow[side.index()] || asked[side.index()].is_slow(types.unwrap_or_default())
            });
            let report = self.run_collection(store, sessions, pair, slow).await;
            if report.summary.leave_used {
                self.leave.set(None);
            }
            self.report.collections.push(report);
        }
    }

    /// A run that came through everything has done what slow syncs were asked for.
    async fn lower(&mut self, sessions: [&MemberSession; 2], asked: &[MemberState; 2]) {
        for (session, asked) in sessions.into_iter().zip(asked) {
            if let Err(error) = session.keeper().lower(asked).await {
                tracing::warn!(%error, "a slow sync that was done will be done again");
            }
        }
    }

    /// A run that found a member missing is a run too: `status` has to know of it.
    async fn note_attempt(&self, store: &Store) -> Result<(), Failure> {
        let run = self.begin(store).await?;
        self.end(store, run, false).await
    }

    async fn run_collection(
        &self,
        store: &Store,
        sessions: [&MemberSession; 2],
        pair: Pair,
        slow: [bool; 2],
    ) -> CollectionReport {
        let [a, b] = &self.group.members;
        let drive = Drive {
            store,
            collection: outrigger_store::Collection::new(&pair.name, a, b),
            settings: Settings { slow, ..self.settings(&pair) },
            written: Box::new(|done, total| self.watcher.written(done, total)),
            watch: Box::new(|words| self.watcher.phase(&self.group.name, &pair.name, words)),
        };
        let sinks = Side::BOTH
            .map(|side| pair.sinks[side.index()].clone().map(|sink| sessions[side.index()].sink(sink)));
        let mut report = drive.run(&pair.name, sinks, self.group.members.clone()).await;
        report.to_make = pair.sinks.each_ref().map(Option::is_none);
        report
    }

    fn settings(&self, pair: &Pair) -> Settings {
        let read_only = Side::BOTH.map(|side| {
            let name = &self.group.members[side.index()];
            let configured = self.config.member(name).is_some_and(|member| member.read_only);
            configured || pair.sinks[side.index()].as_ref().is_some_and(|sink| sink.read_only)
        });
        Settings {
            conflict: self.group.conflict,
            edit_vs_delete: self.group.edit_vs_delete,
            max_delete: self.group.max_delete,
            allow_deletes: self.leave.get(),
            read_only,
            dry_run: self.options.dry_run,
            ..Settings::default()
        }
    }

    async fn begin(&self, store: &Store) -> Result<Option<RunId>, Failure> {
        if self.options.dry_run {
            return Ok(None);
        }
        ask(&self.group.name, store.begin_run(now(), Uuid::now_v7())).await.map(Some)
    }

    /// Notes what came of a run; `whole`: it saw all collections.
    async fn end(&self, store: &Store, run: Option<RunId>, whole: bool) -> Result<(), Failure> {
        let Some(run) = run else { return Ok(()) };
        let outcome = Kept::of(&self.report, whole).to_text();
        let outcome = outcome.map_err(|error| Failure::internal("the outcome of the run").because(&error))?;
        let journal = &self.config.journal;
        ask(&self.group.name, store.end_run(run, now(), outcome)).await?;
        ask(&self.group.name, store.prune(now(), journal.keep(), journal.size)).await.map(|_| ())
    }
}

async fn maybe<T>(future: Option<impl Future<Output = T>>) -> Option<T> {
    match future {
        Some(future) => Some(future.await),
        None => None,
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Does what waits for the disk or for a lock beside the thread that keeps the plugins' deadlines
/// and hears the user's interrupt.
async fn beside<T: Send + 'static>(
    group: &str,
    work: impl FnOnce() -> Result<T, outrigger_store::Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| store_failure(group, &error)),
        Err(panic) => Err(Failure::internal(format!("the state of the group {group}")).because(&panic)),
    }
}

/// Asks the store without stopping the thread that keeps the plugins' deadlines (decisions P6).
pub(crate) async fn ask<T: Send + 'static>(group: &str, request: Request<'_, T>) -> Result<T, Failure> {
    let (tell, told) = oneshot::channel();
    request.then(move |answer| drop(tell.send(answer)));
    match told.await {
        Ok(answer) => answer.map_err(|error| store_failure(group, &error)),
        Err(_) => Err(Failure::internal(format!("the state of the group {group} gave no answer"))),
    }
}

/// What the store says, as a failure of the group.
#[must_use]
pub fn store_failure(group: &str, error: &outrigger_store::Error) -> Failure {
    let words = match store_exit(error) {
        Exit::Locked => format!("another run is busy with the group {group}"),
        _ => format!("the state of the group {group} cannot be used"),
    };
    let failure = Failure::new(store_exit(error), words).because(error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn store_exit(error: &outrigger_store::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::Locked { .. }) { Exit::Locked } else { Exit::Internal }
}

/// The most memory that this process held, where the system tells.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn p6_a_store_that_waits_for_its_disk_does_not_stop_a_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "g", Duration::ZERO).unwrap();
        let (disk_is_back, gate) = mpsc::channel::<()>();
        store.status().then(move |_| gate.recv().unwrap()); // the store's thread stands still
        let collection = outrigger_store::Collection::new("c", "a", "b");
        let load = ask("g", store.load(&collection));
        let deadline = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            disk_is_back.send(()).unwrap();
        };
        let (loaded, ()) = tokio::join!(load, deadline);
        assert!(loaded.unwrap().rows.is_empty());
    }
}
