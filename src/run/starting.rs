//! Starting: the members of a group begin, with what is kept of them, and end.

use std::fs::File;
use std::sync::Arc;

use outrigger_engine::MemberState;
use outrigger_protocol::Group;
use outrigger_store::{Crash, Store};

use super::group::GroupRun;
use super::heal;
use super::keeper::Keeper;
use super::locks::MemberLocks;
use super::options::Options;
use super::session::{MemberSession, Start, StartFailure};
use super::stored;
use crate::config::MemberConfig;
use crate::exit::Exit;
use crate::report::{Failure, PluginReport, Waiting};

impl GroupRun<'_> {
    /// Starts both members at the same time; both are shown the group. `None`: one that is not there
    /// and need not be.
    pub(super) async fn start_members(
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

    /// Ends both plugins, and says what they had used. A crash in their last moments counts too.
    pub(super) async fn stop(
        &mut self,
        sessions: [Option<MemberSession>; 2],
        store: &Store,
        plugins: &mut Vec<PluginReport>,
    ) {
        let [a, b] = sessions;
        self.report.notes.extend([&a, &b].into_iter().flatten().filter_map(MemberSession::note));
        let (a, b) = tokio::join!(stop(a), stop(b));
        for (report, crashes) in [a, b].into_iter().flatten() {
            if report.crashes > 0 {
                heal::keep(store, &self.group.name, &report.member, crashes).await;
            }
            plugins.push(report);
        }
    }

    /// Notes why a member could not be started; hands back one that could.
    fn absent(&mut self, started: Result<MemberSession, (String, StartFailure)>) -> Option<MemberSession> {
        match started {
            Ok(session) => Some(session),
            Err((member, StartFailure { failure, .. })) => {
                let required = self.config.member(&member).is_none_or(|member| member.required);
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
    ) -> Result<MemberSession, (String, StartFailure)> {
        let asker = self.options.asker.clone();
        let before = async {
            let crashes = self.crashes(store, member).await?;
            Ok((crashes, self.locks(store, lock)?))
        };
        let failed = |failure| (member.name.clone(), StartFailure { failure, crashes: Vec::new() });
        let (crashes, locks) = before.await.map_err(failed)?;
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
        started.map_err(|failed| (member.name.clone(), failed))
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

    /// What the keepers of its processes are to hold.
    fn locks(&self, store: &Store, lock: Option<&File>) -> Result<Vec<File>, Failure> {
        let group =
            store.try_clone_lock().map_err(|error| stored::store_failure(&self.group.name, &error))?;
        let lock = lock.map(File::try_clone).transpose().map_err(|error| {
            Failure::internal("the lock of the member cannot be handed on").because(&error)
        })?;
        Ok(group.into_iter().chain(lock).collect())
    }
}

async fn stop(session: Option<MemberSession>) -> Option<(PluginReport, Vec<Crash>)> {
    match session {
        Some(session) => Some(session.stop().await),
        None => None,
    }
}
