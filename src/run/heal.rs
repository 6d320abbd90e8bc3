//! Heal: what a run does about plugins that died in it.
//!
//! Before each collection all plugins run, or are started again. A collection in which one died
//! is begun anew from what the state knows; the engine reads back what was in doubt before it does
//! anything else (decisions X2), so nothing is sent again blindly. The budget of the plugin says how
//! often.

use std::cell::{Cell, RefCell};

use outrigger_engine::{MemberIndex, MemberState};
use outrigger_store::{Crash, Store};

use super::crew::Crew;
use super::main_sink;
use super::session::MemberSession;
use super::stored::ask;
use crate::config::{Config, GroupConfig};
use crate::report::{CollectionReport, Failure};

/// Keeps the plugins of a run alive.
pub(super) struct Healer<'h> {
    pub(super) store: &'h Store,
    pub(super) config: &'h Config,
    pub(super) group: &'h GroupConfig,
    pub(super) crew: &'h Crew<'h>,
    /// What was asked for before the run, per member.
    pub(super) asked: &'h [MemberState],
    pub(super) dry_run: bool,
    /// Who needs a slow sync of everything: a main sink may say so again.
    pub(super) slow: RefCell<Vec<bool>>,
    /// How often the collection was begun since a plugin came past an item, or since its beginning.
    pub(super) tries: Cell<u32>,
    /// Why members were left out of the rest of the run.
    pub(super) failures: RefCell<Vec<Failure>>,
}

impl Healer<'_> {
    /// Connects the main sinks of all, and those of plugins that die over that again.
    ///
    /// # Errors
    /// A member that the run cannot do without cannot be connected, or its plugin not be started again,
    /// or it dies over that too often.
    pub(super) async fn connect_main_sinks(&self) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let failed = match main_sink::connect(self.crew, self.asked, self.dry_run).await {
                Ok(slow) => {
                    self.slow.replace(slow);
                    return Ok(());
                }
                Err(failed) => failed,
            };
            if tries > self.patience() || !self.dead().await.contains(&true) {
                failed.into_iter().try_for_each(|(member, failure)| self.leave_out(member, failure))?;
            } else {
                tracing::debug!("a plugin died over its main sink");
            }
            self.begin_anew().await?;
        }
    }

    /// Sees to it that all plugins run, and that no main sink is connected.
    async fn begin_anew(&self) -> Result<(), Failure> {
        for (member, session) in self.crew.present() {
            if !session.runs().await {
                self.start_again(member, session).await.or_else(|failure| self.leave_out(member, failure))?;
            } else if let Some(main) = session.main_sink() {
                // It is connected again with the others; that it may not be yet is no news.
                drop(main.disconnect().await);
            }
        }
        Ok(())
    }

    /// Whose plugin has died, one for each place.
    async fn dead(&self) -> Vec<bool> {
        let mut dead = vec![false; self.asked.len()];
        for (member, session) in self.crew.present() {
            dead[member.index()] = !session.runs().await;
        }
        dead
    }

    async fn start_again(&self, member: MemberIndex, session: &MemberSession) -> Result<(), Failure> {
        self.keep(member, session).await;
        let served = session.serve_again().await;
        self.keep(member, session).await;
        served
    }

    /// Sees to it that the plugins of all run.
    ///
    /// # Errors
    /// One that the run cannot do without cannot be started again: the run ends here for all.
    pub(super) async fn mend(&self) -> Result<(), Failure> {
        for (member, session) in self.crew.present() {
            let mended = self.mend_one(member, session).await;
            mended.or_else(|failure| self.leave_out(member, failure))?;
        }
        Ok(())
    }

    async fn mend_one(&self, member: MemberIndex, session: &MemberSession) -> Result<(), Failure> {
        let mut tries = 0;
        while !session.runs().await {
            tries += 1;
            self.start_again(member, session).await?;
            let asked = self.asked.get(member.index());
            match main_sink::connect_again(session, asked, self.dry_run).await {
                Ok(slow) => self.slow.borrow_mut()[member.index()] |= slow,
                Err(error) if session.runs().await || tries > session.patience() => {
                    return Err(session.failure("cannot connect", &error));
                }
                Err(error) => tracing::debug!(%error, "it died over its main sink"),
            }
        }
        Ok(())
    }

    /// Goes on without a member, if that need not be there and enough others are.
    ///
    /// # Errors
    /// Why it cannot be had, where the run cannot do without it.
    fn leave_out(&self, member: MemberIndex, failure: Failure) -> Result<(), Failure> {
        if self.config.needs(self.group, member) {
            return Err(failure);
        }
        self.crew.leave_out(member);
        if !self.crew.is_enough() {
            return Err(failure);
        }
        self.failures.borrow_mut().push(failure);
        Ok(())
    }

    /// Whether a collection is to be begun anew: a plugin died over it. One that hung has had all the time
    /// of a call; its collection waits for the next run, and only those behind it go on.
    pub(super) async fn is_to_go_on(&self, report: &CollectionReport) -> bool {
        let dead = self.dead().await;
        for (member, session) in self.crew.present() {
            session.set_aside(report.members[member.index()].set_aside);
            if dead[member.index()] {
                self.keep(member, session).await;
            }
        }
        let is_step_forward = report.members.iter().any(|at| at.set_aside > 0);
        self.tries.set(if is_step_forward { 0 } else { self.tries.get() + 1 });
        let goes_on = report.is_cut_by_a_crash(&dead) && self.tries.get() <= self.patience();
        if !goes_on {
            self.tries.set(0);
        }
        goes_on
    }

    /// How often anything is begun anew without a step forward.
    fn patience(&self) -> u32 {
        self.crew.present().iter().map(|(_, session)| session.patience()).max().unwrap_or(0)
    }

    async fn keep(&self, member: MemberIndex, session: &MemberSession) {
        keep(self.store, &self.group.name, self.group.member(member), session.crashes()).await;
    }
}

/// Makes durable when the plugin of a member crashed.
pub(super) async fn keep(store: &Store, group: &str, member: &str, crashes: Vec<Crash>) {
    if let Err(failure) = ask(group, store.keep_crashes(member, crashes)).await {
        tracing::warn!(member, %failure, "that its plugin crashed is not kept");
    }
}
