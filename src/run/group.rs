//! A group's run: its state is opened and locked, one plugin a member is started, collections are
//! paired, and for each pair the engine is driven to its end.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use outrigger_broker::SinkClient;
use outrigger_engine::{MemberState, Settings, Side};
use outrigger_protocol::Group;
use outrigger_store::{Collection, Request, RunId, Status, Store};
use uuid::Uuid;

use super::drive::Drive;
use super::heal::Healer;
use super::locks::{self, MemberLocks};
use super::members;
use super::objects::{self, Objects};
use super::options::{Options, Watcher};
use super::pairs::{self, Pair};
use super::session::MemberSession;
use super::{main_sink, stored};
use crate::clock;
use crate::config::{Config, GroupConfig, MemberConfig};
use crate::exit::Exit;
use crate::report::{CollectionReport, Failure, GroupReport, Kept, PluginReport};

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
        self.stop([a, b], &store, plugins).await;
        let closed = match Arc::into_inner(store) {
            Some(store) => stored::beside(&self.group.name, move || store.close()).await,
            None => Ok(()), // a plugin's last request is about to end, and closes it
        };
        outcome?;
        closed
    }

    pub(super) async fn ask<T: Send + 'static>(&self, request: Request<'_, T>) -> Result<T, Failure> {
        stored::ask(&self.group.name, request).await
    }

    pub(super) fn members(&self) -> Result<[&MemberConfig; 2], Failure> {
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
        let healer = Healer {
            store,
            group: &self.group.name,
            sessions,
            names: &self.group.members,
            asked: &asked,
            dry_run: self.options.dry_run,
            slow: Cell::default(),
            tries: Cell::default(),
        };
        let ran = self.run_pairs(&healer, found.pairs).await;
        let whole = ran.is_ok() && self.collections.is_empty();
        self.report.failures.extend(ran.err());
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

    /// Runs all pairs, one after the other.
    ///
    /// # Errors
    /// A plugin that died cannot be started again: what is left is not begun.
    async fn run_pairs(&mut self, healer: &Healer<'_>, pairs: Vec<Pair>) -> Result<(), Failure> {
        healer.connect_main_sinks().await?;
        for pair in pairs {
            self.run_pair(healer, &pair).await?;
        }
        Ok(())
    }

    /// Runs one pair, and once more each time that a plugin dies over it.
    async fn run_pair(&mut self, healer: &Healer<'_>, pair: &Pair) -> Result<(), Failure> {
        let mut so_far: Option<CollectionReport> = None;
        loop {
            let mended = healer.mend().await;
            if mended.is_err() {
                self.report.collections.extend(so_far);
                return mended;
            }
            let is_first = so_far.is_none();
            let ran = self.run_collection(healer, pair, is_first).await;
            let report = match ran {
                Ok(report) => report,
                Err(failure) => {
                    self.report.collections.extend(so_far);
                    self.report.failures.push(failure);
                    return Ok(());
                }
            };
            if report.summary.leave_used {
                self.leave.set(None);
            }
            let is_over = !healer.is_to_go_on(&report).await;
            let report = match so_far {
                Some(earlier) => report.after(earlier),
                None => report,
            };
            if is_over {
                self.report.collections.push(report);
                return Ok(());
            }
            so_far = Some(report);
        }
    }

    /// A run that found a member missing is a run too: `status` has to know of it.
    async fn note_attempt(&self, store: &Store) -> Result<(), Failure> {
        let run = self.begin(store).await?;
        self.end(store, run, false).await
    }

    async fn run_collection(
        &self,
        healer: &Healer<'_>,
        pair: &Pair,
        is_first: bool,
    ) -> Result<CollectionReport, Failure> {
        let [a, b] = &self.group.members;
        let slow = Side::BOTH.map(|side| {
            let types = pair.sinks[side.index()].as_ref().map(|sink| &sink.object_types[..]);
            healer.slow.get()[side.index()] || healer.asked[side.index()].is_slow(types.unwrap_or_default())
        });
        // What it dies over in this very run is charged like anything else.
        let retry_crashed = is_first && self.options.retry_crashed;
        let sinks = self.sinks(healer.sessions, pair)?;
        let drive = Drive {
            store: healer.store,
            collection: Collection::new(&pair.name, a, b),
            settings: Settings { slow, retry_crashed, ..self.settings(pair) },
            written: Box::new(|done, total| self.watcher.written(done, total)),
            watch: Box::new(|words| self.watcher.phase(&self.group.name, &pair.name, words)),
        };
        let instances = healer.sessions.map(MemberSession::instance);
        let mut report = drive.run(&pair.name, sinks, instances, self.group.members.clone()).await;
        report.to_make = pair.sinks.each_ref().map(Option::is_none);
        Ok(report)
    }

    /// Clients of both collections.
    fn sinks(&self, sessions: [&MemberSession; 2], pair: &Pair) -> Result<[Option<SinkClient>; 2], Failure> {
        let client = |side: usize| match &pair.sinks[side] {
            None => Ok(None),
            Some(sink) => {
                let client = sessions[side].sink(sink);
                client.map(Some).ok_or_else(|| pairs::gone(self.group, side, &sink.name))
            }
        };
        Ok([client(0)?, client(1)?])
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
        self.ask(store.begin_run(clock::seconds(), Uuid::now_v7())).await.map(Some)
    }

    /// Notes what came of a run; `whole`: it saw all collections.
    async fn end(&self, store: &Store, run: Option<RunId>, whole: bool) -> Result<(), Failure> {
        let Some(run) = run else { return Ok(()) };
        let outcome = Kept::of(&self.report, whole).to_text();
        let outcome = outcome.map_err(|error| Failure::internal("the outcome of the run").because(&error))?;
        let journal = &self.config.journal;
        self.ask(store.end_run(run, clock::seconds(), outcome)).await?;
        self.ask(store.prune(clock::seconds(), journal.keep(), journal.size)).await.map(|_| ())
    }
}
