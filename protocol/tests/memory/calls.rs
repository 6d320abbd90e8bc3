//! What an ordinary call costs, exactly: no allocation on either side once the buffers are there,
//! and one write for all calls that are ready.

use std::time::Duration;

use allocation_counter::measure;
use outrigger_protocol::{
    CallOptions, Codec, ConnectDone, Connection, Decoder, Event, Limits, Method, ObjectId, Role,
};

use crate::support::pair::session;

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
