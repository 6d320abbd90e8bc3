//! W1: a cancel overtakes its own call, an answer overtakes the last data of its stream, a cut
//! listing looks complete.

use outrigger_protocol::{Code, Effect, Error, Kind, Listing, Method, PeerError, Role, StreamKind};

use crate::support::pair::{End, Pair};
use crate::support::seen::Seen;
use crate::support::{frames, values};

#[test]
fn a_cancel_never_overtakes_its_own_call() {
    let mut broker = End::alone(Role::Broker);
    let call = broker.call(1, Method::GET_CHANGES, 1);
    assert_eq!(broker.connection.output().len(), 28, "the call is being written");
    broker.connection.wrote(5);
    assert!(broker.connection.cancel(call, values_now()).is_none(), "it has left: its answer is to come");
    assert_eq!(broker.say().len(), 23 + 28);
    let mut pair = Pair::new();
    let call = pair.broker.call(1, Method::GET_CHANGES, 1);
    pair.send(Role::Plugin, 5);
    assert!(pair.broker.connection.cancel(call, pair.now).is_none());
    let (_, plugin) = pair.settle();
    assert!(matches!(plugin[..], [Seen::Call { id, .. }, Seen::Cancel(cancelled)] if id == cancelled));
}

const fn values_now() -> std::time::Duration {
    std::time::Duration::ZERO
}

/// Holds S4.
#[test]
fn a_cancel_of_a_queued_call_takes_it_back_not_started() {
    let mut pair = Pair::new();
    let [first, second, third, fourth] =
        [1, 2, 3, 4].map(|target| pair.broker.call(target, Method::COMMIT, target));
    let event = pair.broker.connection.cancel(second, pair.now).map(Seen::from).unwrap();
    let (call, error) = event.failure().unwrap();
    assert_eq!((call, error.code, error.effect), (second, Code::CANCELLED, Effect::NotStarted));
    assert_eq!(event.context(), Some(2));
    assert!(pair.broker.connection.cancel(second, pair.now).is_none(), "only once");
    assert!(pair.broker.connection.cancel(fourth, pair.now).is_some());
    let sent = pair.broker.say();
    assert_eq!(frames::kinds(&sent), [(Kind::CALL, first.0), (Kind::CALL, third.0)]);
}

#[test]
fn an_answer_never_overtakes_the_last_data_of_its_stream() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::GET_CHANGES, 1);
    let stream = pair.open_stream(call);
    for n in 0..100_000u64 {
        pair.plugin.connection.push_item(stream, &n).unwrap();
    }
    let listing = Listing { complete: true, count: 100_000, anchor: None };
    assert!(pair.plugin.connection.reply(call, &listing), "answered long before the data is sent");
    let (broker, _) = pair.settle();
    let items = |event: &Seen| if let Seen::Items { items, .. } = event { items.len() } else { 0 };
    assert_eq!(broker.iter().map(items).sum::<usize>(), 100_000);
    let [.., last, end, answer] = &broker[..] else { panic!("{} events", broker.len()) };
    assert!(matches!(last, Seen::Items { .. }));
    assert!(matches!(end, Seen::StreamEnd { .. }));
    assert!(matches!(answer, Seen::Reply { context: 1, .. }));
}

#[test]
fn a_call_overtakes_data_but_not_other_calls() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::GET_CHANGES, 1);
    let stream = pair.open_stream(call);
    for _ in 0..100 {
        pair.plugin.connection.push_item(stream, &vec![0u8; 1000]).unwrap();
    }
    let first = pair.plugin.call(0, Method(100), 8);
    let second = pair.plugin.call(0, Method(101), 9);
    let mut runs = [std::io::IoSlice::new(&[]); 4];
    let used = pair.plugin.connection.output_slices(&mut runs);
    let bytes: Vec<u8> = runs[..used].iter().flat_map(|run| run.to_vec()).collect();
    let kinds: Vec<_> = frames::kinds(&bytes);
    let calls = [(Kind::CALL, first.0), (Kind::CALL, second.0)];
    assert_eq!(kinds, [&[(Kind::STREAM_OPEN, stream.0)][..], &calls, &[(Kind::DATA, stream.0)]].concat());
}

#[test]
fn a_cut_listing_does_not_look_complete() {
    let listing = frames::encoded(&values::listing());
    let answer = frames::raw(Kind::REPLY, 1, &listing);
    // The answer while the stream is open, the end without its last item, the end inside an item.
    let item = frames::item(b"one");
    let cuts: [(&[u8], PeerError); 3] = [
        (&answer, PeerError::Unexpected(Kind::REPLY)),
        (&frames::end(2, 2, 14), PeerError::WrongCount(outrigger_protocol::StreamId(2))),
        (
            &[frames::data(2, &item[..5]), frames::end(2, 1, 12)].concat(),
            PeerError::WrongCount(outrigger_protocol::StreamId(2)),
        ),
    ];
    for (cut, error) in cuts {
        let mut broker = End::alone(Role::Broker);
        broker.call(1, Method::GET_CHANGES, 1);
        broker.say();
        broker.hear(&[frames::open(2, 1, StreamKind::Items), frames::data(2, &item)].concat());
        assert_eq!(broker.refuse(cut), error);
        assert_eq!(broker.hang_up().len(), 1, "the call failed");
    }
}

#[test]
fn a_failed_call_drops_the_data_that_was_not_sent() {
    let mut pair = Pair::new();
    let call = pair.open_call(1, Method::GET_CHANGES, 1);
    let stream = pair.open_stream(call);
    pair.plugin.connection.push_item(stream, &7u64).unwrap();
    assert!(pair.plugin.connection.fail(call, &Error::new(Code::IO, "the disk broke")));
    let (broker, _) = pair.settle();
    assert!(matches!(broker[..], [Seen::Failed { context: 1, .. }]), "{broker:?}");
    assert_eq!(pair.plugin.connection.push_item(stream, &7u64), Ok(None), "the stream is over");
}
