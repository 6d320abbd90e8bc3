//! Heal: what a run does about plugins that died in it.
//!
//! Before each pair of collections both plugins run, or are started again. A pair in which one died
//! is begun anew from what the state knows; the engine reads back what was in doubt before it does
//! anything else (decisions X2), so nothing is sent again blindly. The budget of the plugin says how
//! often.

use std::cell::Cell;

use outrigger_engine::{MemberState, Side};
use outrigger_store::{Crash, Store};

use super::main_sink;
use super::session::MemberSession;
use super::stored::ask;
use crate::report::{CollectionReport, Failure};

/// Keeps the plugins of a run alive.
pub(super) struct Healer<'h> {
    pub(super) store: &'h Store,
    pub(super) group: &'h str,
    pub(super) sessions: [&'h MemberSession; 2],
    pub(super) names: &'h [String; 2],
    /// What was asked for before the run.
    pub(super) asked: &'h [MemberState; 2],
    pub(super) dry_run: bool,
    /// Who needs a slow sync of everything: a main sink may say so again.
    pub(super) slow: Cell<[bool; 2]>,
    /// How often the pair was begun since a plugin came past an item, or since its beginning.
    pub(super) tries: Cell<u32>,
}

impl Healer<'_> {
    /// Connects the main sinks of both, and those of plugins that die over that again.
    ///
    /// # Errors
    /// A member cannot be connected, or its plugin not be started again, or it dies over that too often.
    pub(super) async fn connect_main_sinks(&self) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match main_sink::connect(self.sessions, self.asked, self.dry_run).await {
                Ok(slow) => {
                    self.slow.set(slow);
                    return Ok(());
                }
                Err(failure) if self.dead().await == [false; 2] || tries > self.patience() => {
                    return Err(failure);
                }
                Err(failure) => tracing::debug!(%failure, "a plugin died over its main sink"),
            }
            for side in Side::BOTH {
                let session = self.sessions[side.index()];
                if !session.runs().await {
                    self.start_again(side).await?;
                } else if let Some(main) = session.main_sink() {
                    // It is connected again with the other one; that it may not be yet is no news.
                    drop(main.disconnect().await);
                }
            }
        }
    }

    /// Whose plugin has died.
    async fn dead(&self) -> [bool; 2] {
        let [a, b] = self.sessions;
        [!a.runs().await, !b.runs().await]
    }

    async fn start_again(&self, side: Side) -> Result<(), Failure> {
        self.keep(side).await;
        let served = self.sessions[side.index()].serve_again().await;
        self.keep(side).await;
        served
    }

    /// Sees to it that both plugins run.
    ///
    /// # Errors
    /// One of them cannot be started again: the run ends here for both.
    pub(super) async fn mend(&self) -> Result<(), Failure> {
        for side in Side::BOTH {
            self.mend_one(side).await?;
        }
        Ok(())
    }

    async fn mend_one(&self, side: Side) -> Result<(), Failure> {
        let session = self.sessions[side.index()];
        let mut tries = 0;
        while !session.runs().await {
            tries += 1;
            self.start_again(side).await?;
            match main_sink::connect_again(session, &self.asked[side.index()], self.dry_run).await {
                Ok(slow) => self.add_slow(side, slow),
                Err(error) if session.runs().await || tries > session.patience() => {
                    return Err(session.failure("cannot connect", &error));
                }
                Err(error) => tracing::debug!(%error, "it died over its main sink"),
            }
        }
        Ok(())
    }

    fn add_slow(&self, side: Side, slow: bool) {
        let mut all = self.slow.get();
        all[side.index()] |= slow;
        self.slow.set(all);
    }

    /// Whether a pair is to be begun anew: a plugin died over it. One that hung has had all the time of
    /// a call; its pair waits for the next run, and only those behind it go on.
    pub(super) async fn is_to_go_on(&self, report: &CollectionReport) -> bool {
        let dead = self.dead().await;
        for side in Side::BOTH {
            self.sessions[side.index()].set_aside(report.set_aside[side.index()]);
            if dead[side.index()] {
                self.keep(side).await;
            }
        }
        let is_step_forward = report.set_aside.iter().any(|items| *items > 0);
        self.tries.set(if is_step_forward { 0 } else { self.tries.get() + 1 });
        let goes_on = report.is_cut_by_a_crash(dead) && self.tries.get() <= self.patience();
        if !goes_on {
            self.tries.set(0);
        }
        goes_on
    }

    /// How often anything is begun anew without a step forward.
    fn patience(&self) -> u32 {
        self.sessions.map(MemberSession::patience).into_iter().max().unwrap_or(0)
    }

    async fn keep(&self, side: Side) {
        let crashes = self.sessions[side.index()].crashes();
        keep(self.store, self.group, &self.names[side.index()], crashes).await;
    }
}

/// Makes durable when the plugin of a member crashed.
pub(super) async fn keep(store: &Store, group: &str, member: &str, crashes: Vec<Crash>) {
    if let Err(failure) = ask(group, store.keep_crashes(member, crashes)).await {
        tracing::warn!(member, %failure, "that its plugin crashed is not kept");
    }
}
