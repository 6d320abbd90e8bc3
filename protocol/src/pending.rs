//! Pending calls: the number of each unanswered call, the context stored under it, and its clocks.
//!
//! This is the heart of the design, as in OpenSync's: the caller's context is stored under the
//! call's number, and comes out exactly once: with the answer, with the time limit, or when the
//! connection ends (invariant 3). Numbers rise and are never reused, so a late answer is known by
//! its number alone and no tombstones are kept (decisions W4).
//!
//! Clocks: a call's time runs from its dispatch, which this side knows without a frame: a call is
//! dispatched once all older calls on its target are answered and fewer than the receiver's
//! dispatch window of older ones are open (decisions W3).

use std::collections::VecDeque;
use std::time::Duration;

use crate::call::Method;
use crate::ids::{CallId, ObjectId};

/// One unanswered call.
#[derive(Debug)]
struct Pending<C> {
    id: CallId,
    target: ObjectId,
    method: Method,
    bytes: u64,
    reply: u32,
    depth: u32,
    context: C,
    total: Duration,
    idle: Duration,
    /// When it was dispatched, and when it last showed life. `None`: it waits for older ones.
    clocks: Option<Clocks>,
    /// Calls of the peer that are made for this one and not answered: its idle clock rests.
    nested: u32,
    /// The last of them was answered: the idle clock starts again when somebody knows the time.
    resumes: bool,
}

#[derive(Debug, Clone, Copy)]
struct Clocks {
    started: Duration,
    alive_until: Duration,
}

impl<C> Pending<C> {
    fn deadline(&self) -> Option<Duration> {
        self.clocks.map(|clocks| {
            let end = clocks.started.saturating_add(self.total);
            match (self.nested, self.resumes) {
                (0, true) => Duration::ZERO,
                (0, false) => end.min(clocks.alive_until),
                _ => end,
            }
        })
    }

    fn start(&mut self, now: Duration) {
        self.clocks.get_or_insert(Clocks { started: now, alive_until: now.saturating_add(self.idle) });
    }
}

/// What a new call brings.
#[derive(Debug)]
pub(crate) struct NewCall<C> {
    pub(crate) id: CallId,
    pub(crate) target: ObjectId,
    pub(crate) method: Method,
    pub(crate) bytes: u64,
    /// Most bytes of its answer: reserved until it has come.
    pub(crate) reply: u32,
    /// Calls that it is nested in; 0 for a root call.
    pub(crate) depth: u32,
    pub(crate) context: C,
    pub(crate) total: Duration,
    pub(crate) idle: Duration,
}

/// A call that is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended<C> {
    pub(crate) id: CallId,
    pub(crate) method: Method,
    pub(crate) context: C,
}

/// Which clock ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    Total,
    Idle,
}

/// All unanswered calls of one side of a connection, oldest first.
#[derive(Debug)]
pub(crate) struct PendingCalls<C> {
    open: VecDeque<Pending<C>>,
    dispatch_window: usize,
    /// Calls that ran out of time: nothing more goes to their targets until the late answer.
    stuck: Vec<Stuck>,
    /// Bytes of both, and what their answers may take.
    bytes: u64,
    reserved: u64,
}

/// A call that this side gave up and the peer may still work on: it fills the peer's window, and
/// its late answer needs room.
#[derive(Debug)]
struct Stuck {
    id: CallId,
    target: ObjectId,
    method: Method,
    bytes: u64,
    reply: u32,
}

impl<C> PendingCalls<C> {
    pub(crate) const fn new(dispatch_window: usize) -> Self {
        Self { open: VecDeque::new(), dispatch_window, stuck: Vec::new(), bytes: 0, reserved: 0 }
    }

    /// Unanswered calls.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// What the peer has not answered: calls, their bytes, and what is reserved for the answers.
    /// Those that ran out of time are among them: the peer still keeps them, and its window is as
    /// full as it sees it; a late answer needs room as well (decisions W6).
    pub(crate) fn unanswered(&self) -> (usize, u64, u64) {
        (self.open.len() + self.stuck.len(), self.bytes, self.reserved)
    }

    /// The method of an unanswered call, and the most that its answer may have, late or not.
    pub(crate) fn reservation(&self, id: CallId) -> Option<(Method, u32)> {
        let stuck = || self.stuck.iter().find(|call| call.id == id).map(|call| (call.method, call.reply));
        let open = self.position(id).and_then(|at| self.open.get(at));
        open.map(|call| (call.method, call.reply)).or_else(stuck)
    }

    /// Whether a call up to number `last` is open.
    pub(crate) fn any_up_to(&self, last: u64) -> bool {
        self.open.front().is_some_and(|oldest| oldest.id.0 <= last)
    }

    /// Whether any call to `target` is open.
    pub(crate) fn any_on(&self, target: ObjectId) -> bool {
        self.open.iter().any(|call| call.target == target)
    }

    /// Whether any call to another object is open.
    pub(crate) fn any_besides(&self, target: ObjectId) -> bool {
        self.open.iter().any(|call| call.target != target)
    }

    /// Whether a call on `target` ran out of time and may still be worked on.
    pub(crate) fn is_stuck(&self, target: ObjectId) -> bool {
        self.stuck.iter().any(|call| call.target == target)
    }

    /// Whether any call ran out of time and was not answered since.
    pub(crate) fn any_stuck(&self) -> bool {
        !self.stuck.is_empty()
    }

    /// Stores the context of a new call. Its number must be above all before it.
    pub(crate) fn store(&mut self, call: NewCall<C>, now: Duration) {
        let NewCall { id, target, method, bytes, reply, depth, context, total, idle } = call;
        let waits = self.is_window_full() || self.any_on(target);
        let (clocks, nested, resumes) = (None, 0, false);
        let mut pending = Pending {
            id,
            target,
            method,
            bytes,
            reply,
            depth,
            context,
            total,
            idle,
            clocks,
            nested,
            resumes,
        };
        if depth > 0 || !waits {
            pending.start(now);
        }
        self.bytes += bytes;
        self.reserved += u64::from(reply);
        self.open.push_back(pending);
    }

    /// Nested calls do not count in the dispatch window (decisions W6).
    fn is_window_full(&self) -> bool {
        self.open.len() >= self.dispatch_window
            && self.open.iter().filter(|call| call.depth == 0).count() >= self.dispatch_window
    }

    /// Takes the context out: the call is answered. `None`: it was answered, or given up, before.
    pub(crate) fn take(&mut self, id: CallId, now: Duration) -> Option<Ended<C>> {
        self.unstick(id);
        let call = self.remove(self.position(id)?, now)?;
        self.give_back(call.bytes, call.reply);
        Some(Ended { id, method: call.method, context: call.context })
    }

    /// A call that ran out of time is answered late, or never left: its target is free again.
    pub(crate) fn unstick(&mut self, id: CallId) {
        if let Some(at) = self.stuck.iter().position(|call| call.id == id) {
            let call = self.stuck.swap_remove(at);
            self.give_back(call.bytes, call.reply);
        }
    }

    /// Nothing more comes for a call.
    const fn give_back(&mut self, bytes: u64, reply: u32) {
        self.bytes -= bytes;
        self.reserved -= reply as u64;
    }

    fn position(&self, id: CallId) -> Option<usize> {
        self.open.binary_search_by_key(&id, |call| call.id).ok()
    }

    fn remove(&mut self, at: usize, now: Duration) -> Option<Pending<C>> {
        let call = self.open.remove(at)?;
        self.dispatch(call.target, now);
        Some(call)
    }

    /// Starts the clocks of calls that the end of one on `target` has just set free: within the
    /// window, that nested calls do not fill, and first on their target.
    fn dispatch(&mut self, target: ObjectId, now: Duration) {
        // With room left in the window, that target alone has been waited for.
        if self.open.len() < self.dispatch_window {
            let next = self.open.iter_mut().find(|call| call.target == target);
            return next.into_iter().for_each(|call| call.start(now));
        }
        let mut room = self.dispatch_window;
        for at in 0..self.open.len() {
            let Some(call) = self.open.get(at).filter(|_| room > 0) else { return };
            room -= usize::from(call.depth == 0);
            if call.clocks.is_none()
                && !self.older_on_target(at)
                && let Some(call) = self.open.get_mut(at)
            {
                call.start(now);
            }
        }
    }

    fn older_on_target(&self, at: usize) -> bool {
        let target = self.open.get(at).map(|call| call.target);
        self.open.iter().take(at).any(|older| Some(older.target) == target)
    }

    /// The stored context, to look at.
    pub(crate) fn context_mut(&mut self, id: CallId) -> Option<&mut C> {
        let at = self.position(id)?;
        self.open.get_mut(at).map(|call| &mut call.context)
    }

    /// How deep the call is nested, and how much of its total time is left at `now`.
    pub(crate) fn nesting(&self, id: CallId, now: Duration) -> Option<(u32, Duration)> {
        let call = self.open.get(self.position(id)?)?;
        let used = call.clocks.map_or(Duration::ZERO, |clocks| now.saturating_sub(clocks.started));
        Some((call.depth, call.total.saturating_sub(used)))
    }

    /// The call shows life: its idle clock starts again, after `waiting` if it said so.
    pub(crate) fn touch(&mut self, id: CallId, waiting: Duration, now: Duration) -> bool {
        let Some(call) = self.position(id).and_then(|at| self.open.get_mut(at)) else { return false };
        call.start(now);
        let idle = call.idle;
        if let Some(clocks) = &mut call.clocks {
            let until = now.saturating_add(waiting).saturating_add(idle);
            clocks.alive_until = clocks.alive_until.max(until);
        }
        true
    }

    /// The peer calls this side for the call: its idle clock rests until [`PendingCalls::resume`].
    pub(crate) fn rest(&mut self, id: CallId, now: Duration) {
        if let Some(call) = self.position(id).and_then(|at| self.open.get_mut(at)) {
            call.start(now);
            call.nested += 1;
        }
    }

    /// One such call was answered. Who answers has no clock: the next [`PendingCalls::expire`]
    /// starts the idle clock, and is due at once.
    pub(crate) fn resume(&mut self, id: CallId) {
        if let Some(call) = self.position(id).and_then(|at| self.open.get_mut(at)) {
            call.nested = call.nested.saturating_sub(1);
            call.resumes = true;
        }
    }

    fn restart_idle_clocks(&mut self, now: Duration) {
        for call in self.open.iter_mut().filter(|call| call.resumes && call.nested == 0) {
            call.resumes = false;
            if let Some(clocks) = &mut call.clocks {
                clocks.alive_until = clocks.alive_until.max(now.saturating_add(call.idle));
            }
        }
    }

    /// When the next clock runs out.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.open.iter().filter_map(Pending::deadline).min()
    }

    /// Takes out one call whose time has run out. Its target gets nothing more until a late answer.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<(Ended<C>, Clock)> {
        self.restart_idle_clocks(now);
        let at = self.open.iter().position(|call| call.deadline().is_some_and(|deadline| deadline <= now))?;
        let Pending { id, target, method, bytes, reply, context, total, clocks, .. } =
            self.remove(at, now)?;
        self.stuck.push(Stuck { id, target, method, bytes, reply });
        let total = clocks.is_some_and(|clocks| clocks.started.saturating_add(total) <= now);
        Some((Ended { id, method, context }, if total { Clock::Total } else { Clock::Idle }))
    }

    /// Takes out every call above `last`, newest first: the peer did not accept them.
    pub(crate) fn take_above(&mut self, last: u64) -> Option<Ended<C>> {
        self.open.back().filter(|newest| newest.id.0 > last)?;
        let call = self.open.pop_back()?;
        self.give_back(call.bytes, call.reply);
        Some(Ended { id: call.id, method: call.method, context: call.context })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const T1: ObjectId = ObjectId(1);
    const T2: ObjectId = ObjectId(2);

    fn call(id: u64, target: ObjectId, context: &str) -> NewCall<String> {
        NewCall {
            id: CallId(id),
            target,
            method: Method::READ,
            bytes: 10,
            reply: 100,
            depth: 0,
            context: context.into(),
            total: 3 * S,
            idle: 2 * S,
        }
    }

    #[test]
    fn a_context_comes_out_exactly_once() {
        let mut calls = PendingCalls::new(64);
        calls.store(call(1, T1, "a"), S);
        assert_eq!(calls.take(CallId(1), S).unwrap().context, "a");
        assert_eq!(calls.take(CallId(1), S), None);
        assert_eq!(calls.unanswered(), (0, 0, 0));
    }

    /// Holds S32.
    #[test]
    fn w3_twenty_queued_calls_of_one_second_meet_a_limit_of_three() {
        let mut calls = PendingCalls::new(5);
        for id in 0..20 {
            calls.store(call(2 * id + 1, T1, "x"), Duration::ZERO);
        }
        for id in 0..20u64 {
            let now = S * u32::try_from(id + 1).unwrap();
            assert!(calls.expire(now - S / 2).is_none(), "call {id} waited without a clock");
            assert!(calls.take(CallId(2 * id + 1), now).is_some());
        }
    }

    #[test]
    fn w3_a_blocked_call_expires_alone_and_its_target_gets_nothing_more() {
        let mut calls = PendingCalls::new(64);
        calls.store(call(1, T1, "blocked"), Duration::ZERO);
        calls.store(call(3, T1, "behind"), Duration::ZERO);
        calls.store(call(5, T2, "elsewhere"), Duration::ZERO);
        calls.take(CallId(5), S);
        let (ended, clock) = calls.expire(2 * S).unwrap();
        assert_eq!((ended.context.as_str(), clock), ("blocked", Clock::Idle));
        assert!(calls.expire(2 * S).is_none(), "the one behind starts its clock only now");
        assert!(calls.is_stuck(T1) && !calls.is_stuck(T2));
        assert!(calls.take(CallId(1), 3 * S).is_none(), "late");
        assert!(!calls.is_stuck(T1), "the late answer frees the target");
    }

    #[test]
    fn w3_the_window_holds_back_the_clock_of_a_call_on_another_target() {
        let mut calls = PendingCalls::new(1);
        calls.store(call(1, T1, "a"), Duration::ZERO);
        calls.store(call(3, T2, "b"), Duration::ZERO);
        calls.take(CallId(1), S);
        assert_eq!(calls.next_deadline(), Some(3 * S), "b counts from the answer to a");
    }

    #[test]
    fn progress_extends_the_idle_clock_and_not_the_total() {
        let mut calls = PendingCalls::new(64);
        calls.store(call(1, T1, "a"), Duration::ZERO);
        assert!(calls.touch(CallId(1), Duration::ZERO, 2 * S - S / 10));
        assert_eq!(calls.next_deadline(), Some(3 * S));
        let (_, clock) = calls.expire(3 * S).unwrap();
        assert_eq!(clock, Clock::Total);
    }

    /// Holds S43.
    #[test]
    fn waiting_for_a_rate_limit_is_life() {
        let mut calls = PendingCalls::new(64);
        calls.store(NewCall { total: 100 * S, ..call(1, T1, "a") }, Duration::ZERO);
        calls.touch(CallId(1), 30 * S, S);
        assert_eq!(calls.next_deadline(), Some(33 * S));
    }
}
