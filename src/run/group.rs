//! A group's run: its state is opened and locked, one plugin a member is started, collections are
//! paired, and for each pair the engine is driven to its end.

use std::cell::Cell;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outrigger_engine::{MemberState, Settings, Side};
use outrigger_protocol::Group;
use outrigger_sandbox::Descriptor;
use outrigger_store::{Collection, Request, RunId, Status, Store};
use uuid::Uuid;

use super::drive::Drive;
use super::keeper::Keeper;
use super::locks::{self, MemberLocks};
use super::members::{self, MemberSession, Start, StartFailure};
use super::objects::{self, Objects};
use super::options::{Options, Watcher};
use super::pairs::{self, Pair};
use super::{main_sink, stored};
use crate::config::{Config, GroupConfig, MemberConfig};
use crate::exit::Exit;
use crate::report::{CollectionReport, Failure, GroupReport, Kept, PluginReport, Waiting};

/// How long a run waits for the last process of a killed one to let go of the group, and of each
/// member.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct GroupRun<'r> {
    pub(super) config: &'r Config,
    pub(super) group: &'r GroupConfig,
    pub(super) options: &'r Options,
    /// Those that are wanted; all when empty.
    pub(super) collections: Vec<String>,
    pub(super) watcher: &'r dyn Watcher,
    /// What is left of [`Options::allow_deletes`].
    pub(super) leave: &'r Cell<Option<u64>>,
    pub(super) report: GroupReport,
}

impl GroupRun<'_> {
    /// Runs it. What it has used is in `plugins`, also where it fails.
    pub(super) async fn run(&mut self, plugins: &mut Vec<PluginReport>) -> Result<(), Failure> {
        let members = self.members()?;
        for member in members {
            members::check_plugin(self.config, member, &self.options.plugins)?;
        }
        locks::check_apart(self.group, members)?;
        let store = Arc::new(self.open_store().await?);
        let known = self.ask(store.status()).await?;
        let locks = self.lock_members(members).await?;
        self.watcher.phase(&self.group.name, "", "starting plugins");
        let kept = self.kept(&store, members).await?;
        let last_run = known.runs.iter().find_map(|run| run.finished);
        let shown = objects::group_of(self.group, last_run, kept.each_ref());
        let [a, b] = self.start_members(&store, kept, &shown, &locks).await?;
        let outcome = match (&a, &b) {
            (Some(a), Some(b)) => self.run_collections(&store, known, [a, b], shown).await,
            _ => self.note_attempt(&store).await,
        };
        let (a, b) = tokio::join!(stop(a), stop(b));
        plugins.extend([a, b].into_iter().flatten());
        let closed = match Arc::into_inner(store) {
            Some(store) => stored::beside(&self.group.name, move || store.close()).await,
            None => Ok(()), // a plugin's last request is about to end, and closes it
        };
        outcome?;
        closed
    }

    async fn ask<T: Send + 'static>(&self, request: Request<'_, T>) -> Result<T, Failure> {
        stored::ask(&self.group.name, request).await
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
        stored::beside(&self.group.name, open).await
    }

    /// What is kept of both members for their plugins.
    async fn kept(&self, store: &Store, members: [&MemberConfig; 2]) -> Result<[MemberState; 2], Failure> {
        let [a, b] = members.map(|member| self.ask(store.member(&member.name)));
        let (a, b) = tokio::join!(a, b);
        Ok([a?, b?])
    }

    /// Starts both members at the same time; both are shown the group. `None`: one that is not there
    /// and need not be.
    async fn start_members(
        &mut self,
        store: &Arc<Store>,
        kept: [MemberState; 2],
        shown: &Group,
        locks: &MemberLocks,
    ) -> Result<[Option<MemberSession>; 2], Failure> {
        let [a, b] = self.members()?;
        let [kept_a, kept_b] = kept;
        let (a, b) = tokio::join!(
            self.start_member(a, kept_a, shown, store, locks[0].as_ref()),
            self.start_member(b, kept_b, shown, store, locks[1].as_ref())
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
        kept: MemberState,
        shown: &Group,
        store: &Arc<Store>,
        lock: Option<&File>,
    ) -> Result<MemberSession, StartFailure> {
        let failed = |failure| StartFailure { member: member.name.clone(), failure, required: true };
        let group = store
            .try_clone_lock()
            .map_err(|error| failed(stored::store_failure(&self.group.name, &error)))?;
        let lock = lock.map(File::try_clone).transpose().map_err(|error| {
            failed(Failure::internal("the lock of the member cannot be handed on").because(&error))
        })?;
        let locks = group.into_iter().chain(lock).map(Descriptor::from).collect();
        let store = (!self.options.dry_run).then_some(store);
        let asker = self.options.asker.clone();
        let Options { plugins, command, dry_run, .. } = self.options;
        let start = Start { config: self.config, member, plugins, command, only_looks: *dry_run };
        let keeper = |configured| Keeper::new(configured, kept, store, asker);
        MemberSession::start(&start, locks, shown.clone(), keeper).await
    }

    async fn run_collections(
        &mut self,
        store: &Store,
        known: Status,
        sessions: [&MemberSession; 2],
        shown: Group,
    ) -> Result<(), Failure> {
        let known = known.collections.into_iter().filter(|one| one.rows > 0).map(|one| one.name).collect();
        let found = pairs::pair(self.group, sessions, &known, &self.collections, self.options.dry_run).await;
        self.report.failures.extend(found.failures);
        let mut objects = Objects::new(self.group, store, sessions, &found.pairs, shown);
        objects.learn(None).await;
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
        // A run that came through everything has done what slow syncs were asked for.
        let done = (came_through && self.collections.is_empty()).then_some(&asked);
        objects.learn(done).await;
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
            collection: Collection::new(&pair.name, a, b),
            settings: Settings { slow, ..self.settings(&pair) },
            written: Box::new(|done, total| self.watcher.written(done, total)),
            watch: Box::new(|words| self.watcher.phase(&self.group.name, &pair.name, words)),
        };
        let sinks = Side::BOTH
            .map(|side| pair.sinks[side.index()].clone().map(|sink| sessions[side.index()].sink(sink)));
        let instances = sessions.map(|session| session.instance().clone());
        let mut report = drive.run(&pair.name, sinks, instances, self.group.members.clone()).await;
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
        self.ask(store.begin_run(now(), Uuid::now_v7())).await.map(Some)
    }

    /// Notes what came of a run; `whole`: it saw all collections.
    async fn end(&self, store: &Store, run: Option<RunId>, whole: bool) -> Result<(), Failure> {
        let Some(run) = run else { return Ok(()) };
        let outcome = Kept::of(&self.report, whole).to_text();
        let outcome = outcome.map_err(|error| Failure::internal("the outcome of the run").because(&error))?;
        let journal = &self.config.journal;
        self.ask(store.end_run(run, now(), outcome)).await?;
        self.ask(store.prune(now(), journal.keep(), journal.size)).await.map(|_| ())
    }
}

async fn stop(session: Option<MemberSession>) -> Option<PluginReport> {
    match session {
        Some(session) => Some(session.stop().await),
        None => None,
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
