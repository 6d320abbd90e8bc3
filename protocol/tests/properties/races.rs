//! Answer, timeout, cancel, goodbye and hang-up in every order, with the bytes cut anywhere: each
//! context comes out exactly once, and two honest ends never accuse each other.

use std::time::Duration;

use outrigger_protocol::{CallId, CallOptions, Code, Codec, Error, Limits, Method, Role, StreamKind};
use proptest::prelude::*;

use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;

#[derive(Debug, Clone)]
enum Step {
    Call { side: Role, target: u32, millis: u32, within: Option<usize> },
    Answer { side: Role, which: usize, success: bool },
    Stream { side: Role, which: usize, items: u8 },
    Cancel { side: Role, which: usize },
    Wait { millis: u32 },
    Send { to: Role, bytes: usize },
    Arrive { to: Role, bytes: usize },
    Goodbye { side: Role },
}

fn role() -> impl Strategy<Value = Role> + Clone {
    prop_oneof![Just(Role::Broker), Just(Role::Plugin)]
}

fn step() -> impl Strategy<Value = Step> {
    let portion = prop_oneof![0usize..60, 0usize..100_000];
    prop_oneof![
        5 => (role(), 0u32..3, 0u32..50, proptest::option::of(0usize..4))
            .prop_map(|(side, target, millis, within)| Step::Call { side, target, millis, within }),
        5 => (role(), 0usize..8, any::<bool>())
            .prop_map(|(side, which, success)| Step::Answer { side, which, success }),
        2 => (role(), 0usize..8, any::<u8>()).prop_map(|(side, which, items)| Step::Stream { side, which, items }),
        3 => (role(), 0usize..8).prop_map(|(side, which)| Step::Cancel { side, which }),
        2 => (0u32..40).prop_map(|millis| Step::Wait { millis }),
        6 => (role(), portion.clone()).prop_map(|(to, bytes)| Step::Send { to, bytes }),
        6 => (role(), portion).prop_map(|(to, bytes)| Step::Arrive { to, bytes }),
        1 => role().prop_map(|side| Step::Goodbye { side }),
    ]
}

/// What one side made and what came back.
#[derive(Debug, Default)]
struct Ledger {
    made: Vec<(CallId, u32)>,
    ended: Vec<u32>,
    /// Calls of the peer that it saw and may answer.
    serving: Vec<CallId>,
    closed: bool,
}

struct Race {
    pair: Pair,
    next: u32,
    broker: Ledger,
    plugin: Ledger,
}

impl Race {
    fn new(limits: Limits, codec: Codec) -> Self {
        let pair = Pair::in_codec(limits, codec);
        Self { pair, next: 0, broker: Ledger::default(), plugin: Ledger::default() }
    }

    fn side(&mut self, side: Role) -> (&mut End, &mut Ledger) {
        match side {
            Role::Broker => (&mut self.pair.broker, &mut self.broker),
            Role::Plugin => (&mut self.pair.plugin, &mut self.plugin),
        }
    }

    fn note(&mut self, side: Role, events: Vec<Seen>) {
        let (end, ledger) = self.side(side);
        for event in events {
            ledger.ended.extend(event.context());
            match event {
                Seen::Call { id, .. } => ledger.serving.push(id),
                Seen::Closed => ledger.closed = true,
                Seen::Goodbye => {
                    let refused = end.not_accepted();
                    ledger.ended.extend(refused.iter().filter_map(Seen::context));
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Call { side, target, millis, within } => self.call(side, target, millis, within),
            Step::Answer { side, which, success } => self.answer(side, which, success),
            Step::Stream { side, which, items } => self.stream(side, which, items),
            Step::Cancel { side, which } => self.cancel(side, which),
            Step::Wait { millis } => self.wait(millis),
            Step::Send { to, bytes } => {
                self.pair.send(to, bytes);
            }
            Step::Arrive { to, bytes } => {
                let events = self.pair.arrive(to, bytes).unwrap();
                self.note(to, events);
            }
            Step::Goodbye { side } => self.side(side).0.connection.goodbye(),
        }
    }

    fn call(&mut self, side: Role, target: u32, millis: u32, within: Option<usize>) {
        let (context, now) = (self.next, self.pair.now);
        self.next += 1;
        let total = Some(Duration::from_millis(millis.into()));
        let (end, ledger) = self.side(side);
        let parent = within.and_then(|which| ledger.serving.get(which)).copied();
        let options = CallOptions { total, parent, ..CallOptions::default() };
        match end.try_call(target, Method::READ, options, context, now) {
            Ok(id) => ledger.made.push((id, context)),
            Err(refusal) => assert_eq!(refusal.context, context, "the context comes back"),
        }
    }

    fn answer(&mut self, side: Role, which: usize, success: bool) {
        let (end, ledger) = self.side(side);
        if which < ledger.serving.len() {
            let call = ledger.serving.remove(which);
            if success {
                end.connection.reply(call, &7u64);
            } else {
                end.connection.fail(call, &Error::new(Code::IO, "no"));
            }
            assert!(!end.connection.reply(call, &7u64), "one answer");
        }
    }

    fn stream(&mut self, side: Role, which: usize, items: u8) {
        let (end, ledger) = self.side(side);
        let Some(call) = ledger.serving.get(which) else { return };
        let Some(stream) = end.connection.open_stream(*call, StreamKind::Items) else { return };
        for _ in 0..items % 8 {
            end.connection.push_item(stream, &vec![items; 9000]).unwrap();
        }
    }

    fn cancel(&mut self, side: Role, which: usize) {
        let now = self.pair.now;
        let (end, ledger) = self.side(side);
        let Some((call, _)) = ledger.made.iter().rev().nth(which) else { return };
        let event = end.connection.cancel(*call, now).map(Seen::from);
        ledger.ended.extend(event.and_then(|event| event.context()));
    }

    fn wait(&mut self, millis: u32) {
        self.pair.now += Duration::from_millis(millis.into());
        for side in [Role::Broker, Role::Plugin] {
            let events = self.pair.ends_expire(side);
            self.note(side, events);
        }
    }

    /// The link is gone: every context that is still inside must come out, once.
    fn hang_up(mut self) {
        for side in [Role::Broker, Role::Plugin] {
            let (end, ledger) = self.side(side);
            ledger.ended.extend(end.hang_up().iter().filter_map(Seen::context));
            let mut made: Vec<u32> = ledger.made.iter().map(|(_, context)| *context).collect();
            made.sort_unstable();
            ledger.ended.sort_unstable();
            assert_eq!(ledger.ended, made, "each context exactly once");
            assert_eq!(end.connection.open_calls(), 0);
        }
    }

    /// All that is open is answered: both sides come to rest without hanging up.
    fn finish(mut self) {
        for side in [Role::Broker, Role::Plugin] {
            self.side(side).0.connection.goodbye();
        }
        for _ in 0..50 {
            let (broker, plugin) = self.pair.settle();
            self.note(Role::Broker, broker);
            self.note(Role::Plugin, plugin);
            for side in [Role::Broker, Role::Plugin] {
                for _ in 0..self.side(side).1.serving.len() {
                    self.answer(side, 0, true);
                }
            }
        }
        assert!(self.broker.closed && self.plugin.closed, "both goodbyes are answered");
        assert_eq!(self.pair.broker.connection.open_calls(), 0);
        assert_eq!(self.pair.plugin.connection.open_calls(), 0);
        self.hang_up();
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (1u32..6, 1u32..4, 1u32..4).prop_map(|(max_calls, max_streams, dispatch_window)| Limits {
        max_calls,
        max_streams,
        dispatch_window,
        stream_window: 64 << 10,
        connection_window: 64 << 10,
        ..Limits::default()
    })
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&Codec::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    /// Holds S5.
    #[test]
    fn each_context_comes_out_exactly_once_when_the_link_breaks_at_any_moment(
        limits in limits(),
        codec in codec(),
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut race = Race::new(limits, codec);
        steps.into_iter().for_each(|step| race.take(step));
        race.hang_up();
    }

    /// Holds S5.
    #[test]
    fn both_sides_finish_after_goodbye_whatever_came_before(
        limits in limits(),
        codec in codec(),
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut race = Race::new(limits, codec);
        steps.into_iter().for_each(|step| race.take(step));
        race.finish();
    }
}

/// What may end a call, and what carries it there.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Answer,
    Cancel,
    Timeout,
    HangUp,
    ToPlugin,
    ToBroker,
}

const ENDINGS: [Ending; 6] =
    [Ending::Answer, Ending::Cancel, Ending::Timeout, Ending::HangUp, Ending::ToPlugin, Ending::ToBroker];

/// Every order of some things.
fn orders(of: &[Ending]) -> Vec<Vec<Ending>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let rest = [&of[..at], &of[at + 1..]].concat();
        all.extend(orders(&rest).into_iter().map(|rest| [&[*first][..], &rest].concat()));
    }
    all
}

/// A call of the broker that the plugin has, or that is still on its way.
fn one_call(codec: Codec, nested: bool, arrived: bool) -> (Pair, CallId) {
    let mut pair = Pair::in_codec(Limits::default(), codec);
    let parent = nested.then(|| pair.plugin.call(9, Method::ASK, 7));
    pair.settle();
    let second = Some(Duration::from_secs(1));
    let options = CallOptions { total: second, idle: second, parent, ..CallOptions::default() };
    let call = pair.broker.try_call(1, Method::COMMIT, options, 1, Duration::ZERO).unwrap();
    if arrived {
        pair.settle();
    }
    (pair, call)
}

/// What the broker hears of one ending.
fn take_ending(pair: &mut Pair, call: CallId, ending: Ending) -> Vec<Seen> {
    match ending {
        Ending::Answer => drop(pair.plugin.connection.reply(call, &())),
        Ending::Cancel => {
            return pair.broker.connection.cancel(call, pair.now).map(Seen::from).into_iter().collect();
        }
        Ending::Timeout => {
            pair.now += Duration::from_secs(2);
            return pair.broker.expire(pair.now);
        }
        Ending::HangUp => return pair.broker.hang_up(),
        Ending::ToPlugin => {
            pair.send(Role::Plugin, usize::MAX);
            pair.arrive(Role::Plugin, usize::MAX).unwrap();
        }
        Ending::ToBroker => {
            pair.send(Role::Broker, usize::MAX);
            return pair.arrive(Role::Broker, usize::MAX).unwrap();
        }
    }
    Vec::new()
}

/// Holds S5.
#[test]
fn answer_timeout_cancel_and_hang_up_in_every_order_end_a_call_once() {
    for order in orders(&ENDINGS) {
        for case in 0..8 {
            let (nested, arrived) = (case & 1 == 1, case & 2 == 2);
            let (mut pair, call) = one_call(Codec::ALL[case / 4], nested, arrived);
            let mut ends = Vec::new();
            for ending in &order {
                let seen = take_ending(&mut pair, call, *ending);
                ends.extend(seen.iter().filter_map(Seen::context));
            }
            assert_eq!(ends, [1], "{order:?}, nested {nested}, arrived {arrived}");
            assert_eq!(pair.broker.connection.open_calls(), 0);
        }
    }
}
