//! A group's run: with what is held of it (`resources.rs`), plugins that do not run are started, collections
//! are mapped, and for each of them the engine is driven to its end.

use std::cell::{Cell, RefCell};

use outrigger_engine::{
    Access, Allow, Guard, MemberIndex, MemberSettings, MemberState, PlannedWrite, Settings,
};
use outrigger_protocol::Group;
use outrigger_store::{Collection, Request, RunId, Status, Store};
use uuid::Uuid;

use super::collections::{self, Mapped, Place, Search};
use super::crew::Crew;
use super::drive::Drive;
use super::heal::Healer;
use super::objects::{self, Objects};
use super::options::{Options, Watcher};
use super::part::Seat;
use super::resources::{Resources, members_of};
use super::{main_sink, retry, stored, together};
use crate::clock;
use crate::config::{Config, GroupConfig, MemberConfig, ReadOnly};
use crate::exit::Exit;
use crate::report::{AtMember, CollectionReport, Failure, GroupReport, Kept, plural};

pub(super) struct GroupRun<'r> {
    pub(super) config: &'r Config,
    pub(super) group: &'r GroupConfig,
    pub(super) options: &'r Options,
    /// Those that are wanted; all when empty.
    pub(super) collections: &'r [String],
    pub(super) watcher: &'r dyn Watcher,
    /// What is left of [`Options::allow`].
    pub(super) leave: &'r Cell<Allow>,
    pub(super) report: GroupReport,
}

impl<'r> GroupRun<'r> {
    /// Runs it, with the plugins that run, or are started now.
    pub(super) async fn sync(&mut self, resources: &mut Resources) -> Result<(), Failure> {
        let known = self.ask(resources.store.status()).await?;
        let members = members_of(self.config, self.group)?;
        let kept = self.kept(&resources.store, &members).await?;
        let last_run = known.runs.iter().find_map(|run| run.finished);
        let shown = objects::group_of(self.group, last_run, &kept);
        if !self.start_members(&members, resources, &kept, &shown).await {
            return self.note_attempt(&resources.store).await;
        }
        let Resources { store, sessions, told, .. } = resources;
        self.run_collections(store, known, &Crew::of(sessions), &kept, told.get_or_insert(shown)).await
    }

    pub(super) async fn ask<T: Send + 'static>(&self, request: Request<'_, T>) -> Result<T, Failure> {
        stored::ask(&self.group.name, request).await
    }

    /// What is kept of all members for their plugins.
    async fn kept(&self, store: &Store, members: &[&MemberConfig]) -> Result<Vec<MemberState>, Failure> {
        let kept = members.iter().map(|member| self.ask(store.member(&member.name)));
        together::all(kept).await.into_iter().collect()
    }

    async fn run_collections(
        &mut self,
        store: &Store,
        known: Status,
        crew: &Crew<'_>,
        kept: &[MemberState],
        told: &mut Group,
    ) -> Result<(), Failure> {
        let known = known.collections.into_iter().filter(|one| one.rows > 0).map(|one| one.name).collect();
        let (config, group, dry_run) = (self.config, self.group, self.options.dry_run);
        let plan = self.options.plan.as_deref();
        let found =
            Search { config, group, crew, store, known, dry_run, plan }.find(self.collections).await?;
        self.report.failures.extend(found.failures);
        let mut objects = Objects::new(group, store, crew, kept, &found.collections, told);
        objects.learn(None).await;
        let run = self.begin(store).await?;
        let asked = objects.states().await;
        let slow = RefCell::new(vec![false; asked.len()]);
        let (tries, failures) = (Cell::default(), RefCell::default());
        let healer = Healer { store, config, group, crew, asked: &asked, dry_run, slow, tries, failures };
        let ran = self.run_all(&healer, found.collections).await;
        let whole = ran.is_ok() && self.collections.is_empty();
        self.report.failures.append(&mut healer.failures.borrow_mut());
        self.report.failures.extend(ran.err());
        let came_through = matches!(self.report.exit(), Exit::Done | Exit::Conflicts);
        main_sink::finish(crew, came_through).await;
        // A run that came through everything has done what slow syncs were asked for.
        let done = (came_through && self.collections.is_empty()).then_some(&asked[..]);
        objects.learn(done).await;
        self.end(store, run, whole).await?;
        // Not part of what is kept: a slip on the command line is no state of the group.
        self.report.failures.extend(found.unknown);
        Ok(())
    }

    /// Runs all collections, one after the other.
    ///
    /// # Errors
    /// A plugin that died cannot be started again: what is left is not begun.
    async fn run_all(&mut self, healer: &Healer<'_>, collections: Vec<Mapped>) -> Result<(), Failure> {
        healer.connect_main_sinks().await?;
        for mapped in collections {
            self.run_one(healer, &mapped).await?;
        }
        Ok(())
    }

    /// Runs one collection, and once more each time that a plugin dies over it, or that it is worth trying
    /// again.
    async fn run_one(&mut self, healer: &Healer<'_>, mapped: &Mapped) -> Result<(), Failure> {
        let mut so_far: Option<CollectionReport> = None;
        let mut retries = 0;
        loop {
            let mended = healer.mend().await;
            if mended.is_err() {
                so_far.into_iter().for_each(|report| self.add(report));
                return mended;
            }
            let is_first = so_far.is_none();
            let ran = self.run_collection(healer, mapped, is_first).await;
            let report = match ran {
                Ok(report) => report,
                Err(failure) => {
                    so_far.into_iter().for_each(|report| self.add(report));
                    self.report.failures.push(failure);
                    return Ok(());
                }
            };
            self.use_up(&report.summary.used);
            let goes_on = self.goes_on(healer, &report, &mut retries).await;
            let report = match so_far {
                Some(earlier) => report.after(earlier),
                None => report,
            };
            if !goes_on {
                self.add(report);
                return Ok(());
            }
            so_far = Some(report);
        }
    }

    /// Whether a collection is begun anew: at once where a plugin died over it; after the wait that was
    /// asked for where something failed for a while.
    async fn goes_on(&self, healer: &Healer<'_>, report: &CollectionReport, retries: &mut u32) -> bool {
        if healer.is_to_go_on(report).await {
            return true;
        }
        // A leave is good once: without it the guard would stop what is left.
        let wait = report.is_worth_retrying_after().filter(|_| report.summary.used.is_empty());
        let Some(pause) = retry::pause(wait, *retries) else { return false };
        *retries += 1;
        self.watcher.phase(&self.group.name, &report.name, "waiting to try again");
        tokio::time::sleep(pause).await;
        true
    }

    /// The user's leave for what a guard stopped is good once.
    fn use_up(&self, used: &[Guard]) {
        let mut leave = self.leave.get();
        for guard in used {
            match guard {
                Guard::Deletes => leave.deletes = None,
                Guard::Updates => leave.updates = None,
                Guard::Creates => leave.creates = None,
            }
        }
        self.leave.set(leave);
    }

    fn add(&mut self, report: CollectionReport) {
        let name = &report.name;
        let note = |why: &String| format!("{}/{name}: a conflict waits: {why}", self.group.name);
        self.report.notes.extend(report.unsettled.iter().map(note));
        self.report.notes.extend(self.not_done(&report));
        if self.group.policies.read_only == ReadOnly::Error {
            self.report.failures.extend(self.not_taken(&report));
        }
        self.report.collections.push(report);
    }

    /// What the user's plan says of a collection: that, and nothing else, is written.
    fn only(&self, name: &str) -> Option<&[PlannedWrite]> {
        let plan = self.options.plan.as_ref()?;
        Some(plan.collection(&self.group.name, name).map(|one| &one.writes[..]).unwrap_or_default())
    }

    /// Of a plan, what was not written: the user wanted just that. What a guard stopped is told by the guard.
    fn not_done(&self, report: &CollectionReport) -> Option<String> {
        let members = &report.summary.members;
        let is_stopped = |member: MemberIndex| members.get(member.index()).is_some_and(|member| member.guard);
        let planned = self.only(&report.name)?.iter().filter(|write| !is_stopped(write.member));
        let planned = planned.count() as u64;
        let counts = members.iter().filter(|member| !member.guard).map(|member| member.counts);
        let done: u64 = counts.map(|counts| counts.created + counts.updated + counts.deleted).sum();
        let left = planned.checked_sub(done).filter(|left| *left > 0)?;
        let name = &report.name;
        let what = plural(left, "planned write", "planned writes");
        Some(format!(
            "{}/{name}: {what} of {planned} not made: no more needed, or changed since",
            self.group.name
        ))
    }

    /// What is owed to members that take no writes, where the user calls that an error.
    fn not_taken(&self, report: &CollectionReport) -> Vec<Failure> {
        let owed = |(member, at): (MemberIndex, &AtMember)| {
            let kept = report.summary.members.get(member.index())?.counts.kept;
            let text = format!(
                "{} of {}/{} cannot be written to {}: it takes no writes",
                plural(kept, "change", "changes"),
                self.group.name,
                report.name,
                self.group.member(member)
            );
            let failure = Failure::new(Exit::Partial, text);
            let hint = "take them back where they were made, or let the next sync do so by `readonly = \"revert\"`; \
                        `readonly = \"keep\"` keeps them without a word";
            (kept > 0 && at.read_only).then(|| failure.hint(hint))
        };
        self.group.indices().zip(&report.members).filter_map(owed).collect()
    }

    /// A run that found a member missing is a run too: `status` has to know of it.
    async fn note_attempt(&self, store: &Store) -> Result<(), Failure> {
        let run = self.begin(store).await?;
        self.end(store, run, false).await
    }

    async fn run_collection(
        &self,
        healer: &Healer<'_>,
        mapped: &Mapped,
        is_first: bool,
    ) -> Result<CollectionReport, Failure> {
        let seats = self.seats(healer.crew, mapped)?;
        let members: Vec<MemberSettings> =
            self.group.indices().map(|at| self.member(healer, mapped, at)).collect();
        let mut report = CollectionReport::new(&mapped.name, members.len());
        report.keeps_plan = self.options.keep_plan;
        report.names_kept = self.group.policies.read_only == ReadOnly::Error;
        for ((at, member), (seat, place)) in
            report.members.iter_mut().zip(&members).zip(seats.iter().zip(&mapped.at))
        {
            at.absent = seat.is_none();
            at.to_make = matches!(place, Place::ToMake) && seat.is_some();
            at.read_only = member.access == Access::ReadOnly;
            at.authority = member.access == Access::Authority;
            at.no_delete = member.access == Access::NoDelete;
        }
        // What it dies over in this very run is charged like anything else.
        let retry_crashed = is_first && self.options.retry_crashed;
        let only = self.only(&mapped.name).map(|writes| writes.iter().cloned().collect());
        let drive = Drive {
            store: healer.store,
            collection: Collection::new(&mapped.name, &self.group.members),
            settings: Settings { members, retry_crashed, only, ..self.settings() },
            conflict: &self.group.policies.conflict,
            written: Box::new(|done, total| self.watcher.written(done, total)),
            watch: Box::new(|words| self.watcher.phase(&self.group.name, &mapped.name, words)),
        };
        Ok(drive.run(seats, report).await)
    }

    /// What each member takes part with; `None`: it takes none.
    fn seats(&self, crew: &Crew<'_>, mapped: &Mapped) -> Result<Vec<Option<Seat>>, Failure> {
        let seat = |(member, place): (MemberIndex, &Place)| {
            let Some(session) = crew.get(member) else { return Ok(None) };
            let sink = match place {
                Place::Absent => return Ok(None),
                Place::ToMake => None,
                Place::Sink(sink) => {
                    let client = session.sink(sink);
                    Some(client.ok_or_else(|| collections::gone(self.group, member, &sink.name))?)
                }
            };
            Ok(Some(Seat { sink, instance: session.instance(), names: session.keeper().names() }))
        };
        self.group.indices().zip(&mapped.at).map(seat).collect()
    }

    /// What the engine is told of one member.
    fn member(&self, healer: &Healer<'_>, mapped: &Mapped, member: MemberIndex) -> MemberSettings {
        let name = self.group.member(member);
        let configured = self.config.member(name);
        let says = |key: fn(&MemberConfig) -> bool| configured.is_some_and(key);
        let sink = mapped.at.get(member.index()).and_then(Place::sink);
        let types = sink.map_or(&[][..], |sink| &sink.object_types);
        let asked = healer.asked.get(member.index());
        let is_slow = healer.slow.borrow().get(member.index()) == Some(&true);
        let read_only = says(|member| member.read_only) || sink.is_some_and(|sink| sink.read_only);
        MemberSettings {
            name: name.to_owned(),
            access: self.group.access(member, read_only, says(|member| member.no_delete)),
            slow: self.options.verify || is_slow || asked.is_some_and(|asked| asked.is_slow(types)),
            reliable_times: says(|member| member.reliable_times),
            ..MemberSettings::default()
        }
    }

    /// What the engine is told of the group.
    fn settings(&self) -> Settings {
        let policies = &self.group.policies;
        Settings {
            conflict: self.group.conflict_policy(),
            edit_vs_delete: policies.edit_vs_delete,
            max_delete: policies.max_delete,
            max_update: policies.max_update,
            max_create_on_slow: policies.max_create_on_slow,
            match_content: policies.match_content,
            allow: self.leave.get(),
            dry_run: self.options.dry_run,
            verify: self.options.verify,
            today: clock::today(),
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
