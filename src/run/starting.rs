//! Starting: the members of a group begin, with what is kept of them, and end.

use std::fs::File;
use std::sync::Arc;

use outrigger_engine::{MemberIndex, MemberState};
use outrigger_protocol::Group;
use outrigger_store::{Crash, Store};

use super::crew::FEWEST;
use super::group::GroupRun;
use super::keeper::Keeper;
use super::options::Options;
use super::resources::Resources;
use super::session::{MemberSession, Start, StartFailure};
use super::{heal, together};
use crate::config::MemberConfig;
use crate::exit::Exit;
use crate::report::{Failure, Waiting};

impl GroupRun<'_> {
    /// Starts the members that do not run, a few at a time; all are shown the group. One that is not there,
    /// and need not be, stays out. Whether the group can be run with those that are there; if not, nobody
    /// runs.
    pub(super) async fn start_members(
        &mut self,
        members: &[&MemberConfig],
        resources: &mut Resources,
        kept: &[MemberState],
        shown: &Group,
    ) -> bool {
        let missing: Vec<usize> =
            (0..members.len()).filter(|place| resources.sessions[*place].is_none()).collect();
        if !missing.is_empty() {
            self.watcher.phase(&self.group.name, "", "starting plugins");
        }
        let starts = missing.iter().map(|place| {
            let kept = kept.get(*place).cloned().unwrap_or_default();
            let locks = resources.group_lock.iter().chain(resources.locks.get(*place)).cloned().collect();
            self.start_member(members[*place], kept, shown, &resources.store, locks)
        });
        let mut can_run = true;
        for (place, started) in missing.iter().zip(together::a_few(starts).await) {
            can_run &= started.is_ok() || !self.config.needs(self.group, MemberIndex::at(*place));
            resources.sessions[*place] = self.absent(started, members[*place]);
        }
        let is_enough = can_run && self.are_enough(&resources.sessions);
        if !is_enough {
            let sessions = resources.sessions.iter_mut().filter_map(Option::take);
            together::a_few(sessions.map(MemberSession::stop)).await;
        }
        is_enough
    }

    /// Whether there is anything to be kept the same. Where a group of two has to wait for one, that is
    /// no failure.
    fn are_enough(&mut self, sessions: &[Option<MemberSession>]) -> bool {
        let there = sessions.iter().flatten().count();
        if there < FEWEST && sessions.len() > FEWEST && self.report.failures.is_empty() {
            let text = format!("fewer than two members of the group {} are there", self.group.name);
            let hint = "nothing was read or written; what is owed is kept";
            self.report.failures.push(Failure::new(Exit::Partial, text).hint(hint));
        }
        there >= FEWEST
    }

    /// Notes why a member could not be started; hands back one that could.
    fn absent(
        &mut self,
        started: Result<MemberSession, StartFailure>,
        member: &MemberConfig,
    ) -> Option<MemberSession> {
        match started {
            Ok(session) => Some(session),
            Err(StartFailure { failure, .. }) => {
                // Only what is not there can be waited for; the rest somebody has to mend.
                if member.required || failure.exit != Exit::Partial {
                    self.report.failures.push(failure);
                } else {
                    let why =
                        failure.causes.first().map_or_else(|| failure.message.clone(), ToString::to_string);
                    self.report.waiting.push(Waiting { member: member.name.clone(), why });
                }
                None
            }
        }
    }

    /// Its keeper processes hold the locks too, each until the plugin's last process has gone
    /// (decisions X3).
    async fn start_member(
        &self,
        member: &MemberConfig,
        kept: MemberState,
        shown: &Group,
        store: &Arc<Store>,
        locks: Vec<Arc<File>>,
    ) -> Result<MemberSession, StartFailure> {
        let asker = self.options.asker.clone();
        let crashes = self.crashes(store, member).await;
        let crashes = crashes.map_err(|failure| StartFailure { failure, crashes: Vec::new() })?;
        let Options { plugins, dry_run, .. } = self.options;
        let start = Start {
            config: self.config,
            member,
            plugins,
            only_looks: *dry_run,
            locks,
            group: shown.clone(),
            crashes: crashes.clone(),
        };
        let keeps = (!self.options.dry_run).then_some(store);
        let started =
            MemberSession::start(start, |configured| Keeper::new(configured, kept, keeps, asker)).await;
        let now = started.as_ref().map_or_else(|failed| failed.crashes.clone(), MemberSession::crashes);
        if now != crashes {
            heal::keep(store, &self.group.name, &member.name, now).await;
        }
        started
    }

    /// When the plugin of a member crashed in earlier runs; nothing where the user wants it tried again.
    async fn crashes(&self, store: &Store, member: &MemberConfig) -> Result<Vec<Crash>, Failure> {
        let crashes = self.ask(store.crashes(&member.name)).await?;
        if crashes.is_empty() || !self.options.retry_crashed {
            return Ok(crashes);
        }
        heal::keep(store, &self.group.name, &member.name, Vec::new()).await;
        Ok(Vec::new())
    }
}
