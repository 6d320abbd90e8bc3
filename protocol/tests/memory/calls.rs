//! What an ordinary call costs, exactly: no allocation on either side once the buffers are there,
//! and one write for all calls that are ready.

use std::io::IoSlice;
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use outrigger_protocol::{
    CallOptions, Codec, Commit, CommitItem, ConnectDone, Connection, Decoder, Event, Limits, Method,
    ObjectId, Role, Session, StreamKind, limits,
};

use crate::support::pair::session;
use crate::support::values::commit_items;

struct Side {
    connection: Connection<u32>,
    decoder: Decoder,
}

impl Side {
    fn new(role: Role) -> Self {
        let limits = Limits::default();
        Self { connection: Connection::new(role, &session(limits, limits)), decoder: Decoder::new(1 << 20) }
    }
}

/// Moves all that is ready; how many writes it took.
fn carry(from: &mut Side, to: &mut Side) -> usize {
    let mut writes = 0;
    loop {
        let bytes = from.connection.output();
        if bytes.is_empty() {
            return writes;
        }
        let space = to.decoder.space();
        let count = bytes.len().min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        to.decoder.filled(count);
        from.connection.wrote(count);
        writes += 1;
    }
}

fn make_calls(caller: &mut Side, count: u32) {
    for n in 0..count {
        let body = ConnectDone { slow_sync: true };
        let options = CallOptions::default();
        let target = ObjectId(n);
        let made = caller.connection.call(target, Method::CONNECT_DONE, &body, options, n, Duration::ZERO);
        assert!(made.is_ok());
    }
}

fn serve(server: &mut Side) -> u32 {
    let mut served = 0;
    while let Some(frame) = server.decoder.next_frame().unwrap() {
        if let Some(Event::Call(call)) = server.connection.receive(frame, Duration::ZERO).unwrap() {
            assert!(Codec::Bincode.decode::<ConnectDone>(call.body).unwrap().slow_sync);
            assert!(server.connection.reply(call.id, &7u32));
            served += 1;
        }
    }
    served
}

fn collect(caller: &mut Side) -> u32 {
    let mut answered = 0;
    while let Some(frame) = caller.decoder.next_frame().unwrap() {
        if let Some(Event::Reply { body, .. }) = caller.connection.receive(frame, Duration::ZERO).unwrap() {
            assert_eq!(Codec::Bincode.decode::<u32>(body), Ok(7));
            answered += 1;
        }
    }
    answered
}

#[test]
fn a_call_in_steady_state_allocates_nothing_on_either_side() {
    let (mut caller, mut server) = (Side::new(Role::Broker), Side::new(Role::Plugin));
    for round in 0..20 {
        let calls = measure(|| make_calls(&mut caller, 64));
        carry(&mut caller, &mut server);
        let serving = measure(|| assert_eq!(serve(&mut server), 64));
        carry(&mut server, &mut caller);
        let answers = measure(|| assert_eq!(collect(&mut caller), 64));
        if round > 2 {
            let allocations = [calls, serving, answers].map(|info| info.count_total);
            assert_eq!(allocations, [0, 0, 0], "making, serving and ending 64 calls, round {round}");
        }
    }
}

#[test]
fn sixty_four_ready_calls_are_one_write() {
    let (mut caller, mut server) = (Side::new(Role::Broker), Side::new(Role::Plugin));
    make_calls(&mut caller, 64);
    assert_eq!(carry(&mut caller, &mut server), 1, "calls");
    assert_eq!(serve(&mut server), 64);
    assert_eq!(carry(&mut server, &mut caller), 1, "answers");
    assert_eq!(collect(&mut caller), 64);
}

#[test]
fn automatic_answers_and_credit_allocate_nothing() {
    let (mut caller, mut server) = (Side::new(Role::Broker), Side::new(Role::Plugin));
    for round in 0..20 {
        let info = measure(|| {
            caller.connection.ping();
            carry(&mut caller, &mut server);
            assert_eq!(serve(&mut server), 0);
            carry(&mut server, &mut caller);
            assert_eq!(collect(&mut caller), 0);
        });
        assert!(round < 3 || info.count_total == 0, "{} allocations in round {round}", info.count_total);
    }
}

/// A batch of two large items and a small one, and the pieces that it shares.
fn batch<'a>(contents: &'a [Bytes]) -> Commit<'a> {
    let item = |content: &'a Bytes| CommitItem { data: content[..].into(), ..commit_items()[0].clone() };
    Commit { items: contents.iter().map(item).collect() }
}

#[test]
fn p6_what_is_4_kib_or_more_is_written_from_where_it_lies() {
    let contents = [300 << 10, 4 << 10, 100].map(|size| Bytes::from(vec![7; size]));
    let (batch, mut flat) = (batch(&contents), Vec::new());
    Codec::Bincode.encode(&batch, &mut flat).unwrap();
    let mut caller = Side::new(Role::Broker).connection;
    let (now, options) = (Duration::ZERO, CallOptions::default());
    let made = measure(|| {
        let made =
            caller.call_sharing(ObjectId(1), Method::COMMIT, (&batch, &contents), options, 1, now).is_ok();
        assert!(made);
    });
    assert!(made.bytes_total < 8 << 10, "{} bytes for a batch of {}", made.bytes_total, flat.len());
    let mut runs = [IoSlice::new(&[]); 16];
    let used = caller.output_slices(&mut runs);
    let runs = &runs[..used];
    let places = |content: &Bytes| runs.iter().filter(|run| run.as_ptr() == content.as_ptr()).count();
    assert_eq!(contents.each_ref().map(places), [1, 1, 0], "in place, in place, copied");
    assert_eq!(used, 5, "header and beginning, large, between, large, end");
    let written: Vec<u8> = runs.iter().flat_map(|run| run.to_vec()).skip(limits::HEADER).collect();
    assert!(written == flat, "the same bytes");
}

/// A secret lies in the buffer that is wiped; JSON holds base64, not the bytes.
#[test]
fn p6_what_is_secret_or_json_is_copied() {
    let contents = [Bytes::from(vec![7; 300 << 10])];
    let batch = batch(&contents);
    for (codec, secret) in [(Codec::Bincode, true), (Codec::Json, false)] {
        let mut flat = Vec::new();
        codec.encode(&batch, &mut flat).unwrap();
        let limits = Limits::default();
        let session = Session { codec, ..session(limits, limits) };
        let mut caller: Connection<u32> = Connection::new(Role::Broker, &session);
        let options = CallOptions { secret, ..CallOptions::default() };
        let call = (&batch, &contents[..]);
        assert!(caller.call_sharing(ObjectId(1), Method::COMMIT, call, options, 1, Duration::ZERO).is_ok());
        let mut runs = [IoSlice::new(&[]); 4];
        assert_eq!(caller.output_slices(&mut runs), 1, "{codec:?}");
        assert!(runs[0][limits::HEADER..] == flat, "{codec:?}");
    }
}

#[test]
fn p6_a_call_that_is_taken_back_takes_its_pieces_along() {
    let contents = [300 << 10, 4 << 10, 100].map(|size| Bytes::from(vec![7; size]));
    let mut caller = Side::new(Role::Broker);
    make_calls(&mut caller, 1);
    let options = CallOptions::default();
    let (object, batch) = (ObjectId(9), batch(&contents));
    let call = |caller: &mut Side| {
        let made = caller.connection.call_sharing(
            object,
            Method::COMMIT,
            (&batch, &contents),
            options,
            1,
            Duration::ZERO,
        );
        made.unwrap()
    };
    let (first, second) = (call(&mut caller), call(&mut caller));
    assert!(caller.connection.cancel(first, Duration::ZERO).is_some());
    let mut server = Side::new(Role::Plugin);
    carry(&mut caller, &mut server);
    let mut bodies = Vec::new();
    while let Some(frame) = server.decoder.next_frame().unwrap() {
        if let Some(Event::Call(call)) = server.connection.receive(frame, Duration::ZERO).unwrap() {
            bodies.push((call.id, call.body.len()));
        }
    }
    let mut flat = Vec::new();
    Codec::Bincode.encode(&batch, &mut flat).unwrap();
    assert_eq!(bodies, [(outrigger_protocol::CallId(1), 1), (second, flat.len())]);
}

/// Data of a stream leaves from the buffer that the items were encoded into.
#[test]
fn p6_data_is_not_copied_once_more() {
    let (mut broker, mut plugin) = (Side::new(Role::Broker), Side::new(Role::Plugin));
    let (options, now) = (CallOptions::default(), Duration::ZERO);
    let call = broker.connection.call(ObjectId(1), Method::READ, &(), options, 1, now).unwrap();
    carry(&mut broker, &mut plugin);
    while let Some(frame) = plugin.decoder.next_frame().unwrap() {
        plugin.connection.receive(frame, now).unwrap();
    }
    let stream = plugin.connection.open_stream(call, StreamKind::Items).unwrap();
    plugin.connection.push_item(stream, &vec![7u8; 60 << 10]).unwrap();
    let info = measure(|| {
        let mut runs = [IoSlice::new(&[]); 4];
        assert_eq!(plugin.connection.output_slices(&mut runs), 2, "headers, then the data");
        assert!(runs[1].len() > 60 << 10);
    });
    assert!(info.bytes_total < 1 << 10, "{} bytes to write 60 KiB", info.bytes_total);
}
