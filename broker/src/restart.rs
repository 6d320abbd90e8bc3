//! Restart: whether and when a plugin that crashed may be started again, as a pure machine: the
//! time and the randomness are handed in.
//!
//! Each crash makes the next start wait, twice as long as the one before. A plugin that crashes
//! `max` times within a while is not started any more: the circuit is open, until it has been quiet
//! for that while. All of it follows from the times of the crashes, so that is all there is to keep
//! between two processes.
//!
//! A crash that is the doing of one item which is now set aside is forgiven: it makes nobody wait,
//! and does not count. So that a plugin which crashes over everything comes to an end too, three
//! times the budget of crashes opens the circuit whether they are forgiven or not.

use std::time::Duration;

/// What the first restart may wait at most; the next twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What any restart may wait at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Crashes that are forgiven, for each that is not.
const FORGIVEN: usize = 3;

/// How often a plugin may crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// So many crashes open the circuit; at least one.
    pub max: u32,
    /// Within this time. Also how long the circuit stays open.
    pub within: Duration,
}

impl Default for Budget {
    /// Five in ten minutes.
    fn default() -> Self {
        Self { max: 5, within: Duration::from_secs(600) }
    }
}

/// One crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// When, since 1970.
    pub at: Duration,
    /// It was the doing of an item that is set aside.
    pub forgiven: bool,
}

/// Whether a plugin may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// It may.
    Closed,
    /// It crashed too often: not before this moment, since 1970.
    Open {
        /// When it has been quiet for long enough.
        until: Duration,
    },
    /// Not before somebody has changed something: its sandbox, its credentials or its settings are
    /// what stops it, and the next try would end the same.
    Refused,
}

/// The crashes of one plugin. Every time that is handed in is that since 1970, and should come
/// from one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarts {
    budget: Budget,
    /// Within the budget's time before the last of them.
    crashes: Vec<Crash>,
    refused: bool,
    /// That the circuit is open was told.
    told: bool,
    /// The next start need not wait for longer than this.
    wait: Duration,
}

impl Restarts {
    /// A plugin whose latest `crashes` are known from an earlier process. Those that lie ahead of
    /// `now` are forgotten: the clock was set back.
    #[must_use]
    pub fn new(budget: Budget, crashes: &[Crash], now: Duration) -> Self {
        let crashes = crashes.iter().copied().filter(|crash| crash.at <= now).collect();
        let mut restarts = Self { budget, crashes, refused: false, told: false, wait: Duration::ZERO };
        restarts.decay(now);
        restarts
    }

    /// How often it may crash.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        self.budget
    }

    /// Those that still count, oldest first: what is to be kept.
    #[must_use]
    pub fn crashes(&self) -> &[Crash] {
        &self.crashes
    }

    /// It has crashed. The next start waits; how long at most is known after [`Restarts::forgive`].
    pub fn crashed(&mut self, now: Duration) {
        self.decay(now);
        let oldest = now.saturating_sub(self.budget.within);
        self.crashes.retain(|crash| crash.at > oldest);
        self.crashes.push(Crash { at: now, forgiven: false });
        self.wait = self.longest_wait();
    }

    /// The latest `count` crashes that count were the doing of an item that is now set aside.
    pub fn forgive(&mut self, count: usize) {
        let counting = self.crashes.iter_mut().rev().filter(|crash| !crash.forgiven);
        counting.take(count).for_each(|crash| crash.forgiven = true);
        if !self.wait.is_zero() {
            self.wait = self.longest_wait();
        }
    }

    /// What stopped it is not mended by another try (a sandbox, credentials, a setting): no more
    /// starts.
    pub fn refuse(&mut self) {
        self.refused = true;
    }

    /// How long the next start is to wait: nothing unless it has crashed since the last start, else
    /// anything up to its limit, as `random` says, so that many do not come back at one moment.
    pub fn started(&mut self, random: u32) -> Duration {
        let wait = std::mem::take(&mut self.wait);
        wait.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// Whether it may be started now.
    #[must_use]
    pub fn circuit(&self, now: Duration) -> Circuit {
        let Some(last) = self.crashes.last() else { return self.closed() };
        let until = last.at.saturating_add(self.budget.within);
        let is_open = self.counting() >= self.budget.max as usize || self.crashes.len() >= self.most();
        match self.closed() {
            Circuit::Closed if is_open && now < until => Circuit::Open { until },
            other => other,
        }
    }

    /// Whether the circuit is open and this was not said before: once each time that it opens.
    pub fn is_news(&mut self, now: Duration) -> bool {
        let is_open = matches!(self.circuit(now), Circuit::Open { .. });
        let news = is_open && !self.told;
        self.told = is_open;
        news
    }

    fn closed(&self) -> Circuit {
        if self.refused { Circuit::Refused } else { Circuit::Closed }
    }

    fn counting(&self) -> usize {
        self.crashes.iter().filter(|crash| !crash.forgiven).count()
    }

    fn most(&self) -> usize {
        (self.budget.max as usize).saturating_mul(FORGIVEN)
    }

    /// After a quiet while nothing is left of the past.
    fn decay(&mut self, now: Duration) {
        let is_quiet = |last: &Crash| now >= last.at.saturating_add(self.budget.within);
        if self.crashes.last().is_some_and(is_quiet) {
            self.crashes.clear();
        }
    }

    fn longest_wait(&self) -> Duration {
        let doublings = u32::try_from(self.counting().saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    fn fresh() -> Restarts {
        Restarts::new(Budget::default(), &[], at(0))
    }

    fn crashed(times: &[u64]) -> Restarts {
        let mut restarts = fresh();
        times.iter().for_each(|time| restarts.crashed(at(*time)));
        restarts
    }

    #[test]
    fn a_restart_waits_twice_as_long_each_time_and_a_minute_at_most() {
        let budget = Budget { max: 20, ..Budget::default() };
        let mut restarts = Restarts::new(budget, &[], at(0));
        let mut waits = Vec::new();
        for second in 0..9 {
            restarts.crashed(at(second));
            waits.push(restarts.started(u32::MAX).as_millis());
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    }

    #[test]
    fn the_wait_is_anything_up_to_its_limit_and_none_without_a_crash() {
        let mut restarts = fresh();
        assert_eq!(restarts.started(u32::MAX), Duration::ZERO);
        for random in [0, 1 << 10, 7 << 20, u32::MAX / 2, u32::MAX] {
            let mut restarts = crashed(&[0, 1, 2]);
            let wait = restarts.started(random);
            assert!(wait <= Duration::from_secs(2), "{wait:?}");
            assert_eq!(wait.is_zero(), random == 0);
            assert_eq!(restarts.started(random), Duration::ZERO, "the next start follows no crash");
        }
    }

    /// Five crashes in ten minutes, and not four; nor five in more than that.
    /// Holds S58.
    #[test]
    fn the_circuit_opens_with_the_fifth_crash_in_ten_minutes() {
        assert_eq!(crashed(&[0, 1, 2, 3]).circuit(at(4)), Circuit::Closed);
        assert_eq!(crashed(&[0, 1, 2, 3, 599]).circuit(at(599)), Circuit::Open { until: at(1199) });
        assert_eq!(crashed(&[0, 1, 2, 3, 600]).circuit(at(600)), Circuit::Closed, "the first is too old");
    }

    /// Holds S58.
    #[test]
    fn it_closes_after_ten_quiet_minutes_with_nothing_left_of_the_past() {
        let mut restarts = crashed(&[0, 1, 2, 3, 599]);
        assert_eq!(restarts.circuit(at(1198)), Circuit::Open { until: at(1199) }, "others grow old before");
        assert_eq!(restarts.circuit(at(1199)), Circuit::Closed);
        restarts.crashed(at(1199));
        assert_eq!((restarts.crashes().len(), restarts.circuit(at(1199))), (1, Circuit::Closed));
        assert_eq!(restarts.started(u32::MAX), FIRST_WAIT);
    }

    #[test]
    fn that_it_is_open_is_said_once_each_time() {
        let mut restarts = crashed(&[0, 1, 2, 3]);
        assert!(!restarts.is_news(at(4)));
        restarts.crashed(at(4));
        let news: Vec<bool> = (4..700).map(|second| restarts.is_news(at(second))).collect();
        assert_eq!(news.iter().filter(|news| **news).count(), 1);
        (700..705).for_each(|second| restarts.crashed(at(second)));
        assert!(restarts.is_news(at(705)) && !restarts.is_news(at(706)));
    }

    /// Holds S62.
    #[test]
    fn a_crash_over_an_item_that_is_set_aside_does_not_count() {
        let mut restarts = crashed(&[0, 1, 2, 3, 4]);
        restarts.forgive(3);
        assert_eq!(restarts.circuit(at(5)), Circuit::Closed);
        assert_eq!(restarts.started(u32::MAX), Duration::from_secs(1), "as after the second");
        (5..8).for_each(|second| restarts.crashed(at(second)));
        assert!(matches!(restarts.circuit(at(8)), Circuit::Open { .. }), "these count");
    }

    #[test]
    fn a_plugin_that_crashes_over_every_item_comes_to_an_end_too() {
        let mut restarts = fresh();
        let mut crashes = 0;
        while restarts.circuit(at(crashes)) == Circuit::Closed {
            restarts.crashed(at(crashes));
            restarts.forgive(1);
            crashes += 1;
            assert!(crashes < 100);
        }
        assert_eq!(crashes, 15);
    }

    #[test]
    fn what_no_restart_mends_is_not_tried_again() {
        let mut restarts = fresh();
        restarts.refuse();
        assert_eq!(restarts.circuit(at(1 << 30)), Circuit::Refused);
    }

    /// What was kept says the same in the next process, and a clock that was set back locks nobody
    /// out.
    #[test]
    fn the_crashes_are_all_that_there_is_to_keep() {
        let mut before = crashed(&[0, 100, 200, 300, 599]);
        before.forgive(1);
        before.crashed(at(600));
        let after = |now| Restarts::new(Budget::default(), before.crashes(), now);
        for second in 600..1300 {
            assert_eq!(after(at(second)).circuit(at(second)), before.circuit(at(second)), "{second}");
        }
        assert!(after(at(2000)).crashes().is_empty(), "and no more than counts");
        assert_eq!(after(at(0)).circuit(at(0)), Circuit::Closed);
    }

    /// Whatever happens, in whatever order: a budget is never exceeded within its time, and no
    /// wait is longer than a minute.
    #[test]
    fn no_history_has_more_starts_than_the_budget_allows() {
        for seed in 0..300_u64 {
            let mut state = seed;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let budget = Budget { max: 1 + u32::try_from(random(6)).unwrap(), within: 10 * MINUTE };
            let mut restarts = Restarts::new(budget, &[], at(0));
            let (mut now, mut seen) = (0, Vec::new());
            for _ in 0..200 {
                now += random(200);
                if restarts.circuit(at(now)) != Circuit::Closed {
                    continue;
                }
                let share = u32::try_from(random(1 << 31)).unwrap();
                assert!(restarts.started(share) <= LONGEST_WAIT);
                restarts.crashed(at(now));
                seen.push(now);
                let latest = seen.iter().filter(|then| **then + 600 > now).count();
                assert!(latest <= budget.max as usize, "{budget:?}: {seen:?}");
            }
            assert!(seen.len() > budget.max as usize, "it is let in again: {seen:?}");
        }
    }
}
