//! Random streams: what is pushed comes out equal and in order, credit is never exceeded (the
//! reader would end the connection), what waits at the reader is bounded, and the pair drains.

use std::collections::{BTreeMap, VecDeque};

use outrigger_protocol::{CallId, Code, Codec, Limits, Method, Role, StreamId};
use proptest::prelude::*;

use crate::support::pair::Pair;
use crate::support::seen::Seen;

#[derive(Debug, Clone)]
enum Step {
    Open { call: usize },
    Push { stream: usize, size: usize },
    Answer { call: usize },
    Reset { stream: usize, by_reader: bool },
    Send { to: Role, bytes: usize },
    Arrive { to: Role, bytes: usize },
    Consume { most: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![4 => 0usize..200, 3 => 0usize..20_000, 1 => 0usize..400_000];
    let portion = prop_oneof![1usize..100, 1usize..200_000];
    let role = prop_oneof![Just(Role::Broker), Just(Role::Plugin)];
    prop_oneof![
        1 => (0usize..3).prop_map(|call| Step::Open { call }),
        8 => (0usize..6, size).prop_map(|(stream, size)| Step::Push { stream, size }),
        1 => (0usize..3).prop_map(|call| Step::Answer { call }),
        1 => (0usize..6, any::<bool>()).prop_map(|(stream, by_reader)| Step::Reset { stream, by_reader }),
        6 => (role.clone(), portion.clone()).prop_map(|(to, bytes)| Step::Send { to, bytes }),
        6 => (role, portion).prop_map(|(to, bytes)| Step::Arrive { to, bytes }),
        3 => (1usize..10).prop_map(|most| Step::Consume { most }),
    ]
}

/// What a stream was given, and what came out.
#[derive(Debug, Default)]
struct Passage {
    pushed: Vec<Vec<u8>>,
    came: Vec<Vec<u8>>,
    reset: bool,
    ended: bool,
}

struct Flow {
    pair: Pair,
    calls: Vec<CallId>,
    answered: Vec<CallId>,
    streams: Vec<StreamId>,
    passages: BTreeMap<u64, Passage>,
    waiting: VecDeque<(StreamId, u64)>,
    window: u64,
}

impl Flow {
    fn new(limits: Limits) -> Self {
        let mut pair = Pair::with(limits, limits);
        let calls = (0..3).map(|n| pair.open_call(n, Method::READ, n)).collect();
        pair.consume = false;
        Self {
            pair,
            calls,
            answered: Vec::new(),
            streams: Vec::new(),
            passages: BTreeMap::new(),
            waiting: VecDeque::new(),
            window: limits.connection_window,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Open { call } => self.open(call),
            Step::Push { stream, size } => self.push(stream, size),
            Step::Answer { call } => {
                self.pair.plugin.connection.reply(self.calls[call], &());
            }
            Step::Reset { stream, by_reader } => self.reset(stream, by_reader),
            Step::Send { to, bytes } => {
                self.pair.send(to, bytes);
            }
            Step::Arrive { to, bytes } => {
                let events = self.pair.arrive(to, bytes).unwrap();
                self.note(events);
            }
            Step::Consume { most } => self.consume(most),
        }
    }

    fn open(&mut self, call: usize) {
        let kind = outrigger_protocol::StreamKind::Items;
        if let Some(stream) = self.pair.plugin.connection.open_stream(self.calls[call], kind) {
            self.streams.push(stream);
            self.passages.insert(stream.0, Passage::default());
        }
    }

    fn push(&mut self, stream: usize, size: usize) {
        let Some(stream) = self.streams.get(stream) else { return };
        let passage = self.passages.get_mut(&stream.0).unwrap();
        let item = vec![u8::try_from(passage.pushed.len() % 251).unwrap(); size];
        let pushed = self.pair.plugin.connection.push_item(*stream, serde_bytes::Bytes::new(&item));
        if pushed.unwrap().is_some() {
            passage.pushed.push(item);
        }
    }

    fn reset(&mut self, stream: usize, by_reader: bool) {
        let Some(stream) = self.streams.get(stream).copied() else { return };
        let passage = self.passages.get_mut(&stream.0).unwrap();
        let opened = self.pair.plugin.connection.stream_waiting(stream).is_some();
        if by_reader && !passage.came.is_empty() && !passage.ended {
            self.pair.broker.connection.reset_stream(stream, Code::CANCELLED);
            passage.reset = true;
        } else if !by_reader && opened {
            self.pair.plugin.connection.reset_stream(stream, Code::IO);
            passage.reset = true;
        }
    }

    fn note(&mut self, events: Vec<Seen>) {
        for event in events {
            match event {
                Seen::Items { stream, items, bytes, .. } => {
                    let decoded = items
                        .iter()
                        .map(|item| Codec::Bincode.decode::<serde_bytes::ByteBuf>(item).unwrap().into_vec());
                    let passage = self.passages.get_mut(&stream.0).unwrap();
                    passage.came.extend(decoded);
                    self.waiting.push_back((stream, bytes));
                }
                Seen::StreamEnd { stream, .. } => {
                    let passage = self.passages.get_mut(&stream.0).unwrap();
                    passage.ended = true;
                    assert_eq!(passage.came, passage.pushed, "an end means all of it");
                }
                Seen::Reply { call, .. } => self.answered.push(call),
                Seen::Failed { call, error, .. } => panic!("{call}: {error}"),
                _ => {}
            }
        }
        let waiting: u64 = self.waiting.iter().map(|(_, bytes)| bytes).sum();
        assert!(waiting <= self.window, "{waiting} bytes wait at the reader");
    }

    fn consume(&mut self, most: usize) {
        for _ in 0..most {
            let Some((stream, bytes)) = self.waiting.pop_front() else { return };
            self.pair.broker.connection.consumed(stream, bytes).unwrap();
        }
    }

    /// All is answered and read: everything must come to its end.
    fn drain(mut self) {
        for call in self.calls.clone() {
            self.pair.plugin.connection.reply(call, &());
        }
        for _ in 0..10_000 {
            let (broker, _) = self.pair.settle();
            self.note(broker);
            if self.waiting.is_empty() {
                break;
            }
            self.consume(usize::MAX);
        }
        for (id, passage) in &self.passages {
            if passage.reset {
                assert!(passage.pushed.starts_with(&passage.came), "stream {id}: the front of it");
            } else {
                assert_eq!(passage.came, passage.pushed, "stream {id}");
            }
        }
        self.answered.sort_unstable();
        assert_eq!(self.answered, self.calls, "nothing stalled");
        assert!(self.pair.plugin.connection.is_flushed());
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    let window = prop_oneof![Just(64u64 << 10), (64u64 << 10)..(300 << 10)];
    (window.clone(), window, 1u32..5).prop_map(|(stream_window, more, max_streams)| Limits {
        stream_window,
        connection_window: stream_window.max(more),
        max_streams,
        ..Limits::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn streams_come_out_equal_and_in_order_and_never_stall(
        limits in limits(),
        steps in proptest::collection::vec(step(), 0..150),
    ) {
        let mut flow = Flow::new(limits);
        steps.into_iter().for_each(|step| flow.take(step));
        flow.drain();
    }
}
