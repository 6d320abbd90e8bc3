//! Every golden vector truncated at every byte and with every bit flipped: an error or a valid
//! value, never a panic, memory at most the bytes received plus 64 KiB.

use std::hint::black_box;

use allocation_counter::measure;
use outrigger_protocol::{
    AuthKind, CallId, Codec, Connection, Decoder, Handshake, Header, Hello, Kind, Limits, Role, SessionId,
};

use crate::support::harness::{self, Victim};
use crate::support::samples::{self, Sample};
use crate::support::{frames, pair, values};

/// What may be reserved beyond the bytes that came.
const BEYOND: u64 = 64 << 10;

/// `bytes` cut short at every byte, and with every bit flipped.
fn variations(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    cut.chain(flipped).chain([bytes.to_vec()])
}

/// Does `act`, and holds it to what `received` bytes may cost.
fn within(received: usize, name: &str, act: impl FnOnce()) {
    let peak = measure(act).bytes_max;
    assert!(peak <= received as u64 + BEYOND, "{name}: {peak} bytes for {received}");
}

fn frames_and_bodies() -> (Vec<Sample>, Vec<Sample>) {
    samples::all().into_iter().partition(|sample| sample.is_frame)
}

/// Holds S13, S25.
#[test]
fn every_body_cut_or_flipped_is_an_error_or_a_value() {
    for sample in frames_and_bodies().1 {
        for bytes in variations(&sample.bytes()) {
            within(bytes.len(), &sample.name, || drop(black_box((sample.back)(&bytes))));
        }
    }
}

#[test]
fn every_body_read_as_every_other_type_is_an_error_or_a_value() {
    for sample in frames_and_bodies().1 {
        for bytes in variations(&sample.bytes()).step_by(7) {
            within(2 * bytes.len(), &sample.name, || harness::every_body(&bytes));
        }
    }
}

/// Holds S13, S25.
#[test]
fn every_frame_cut_or_flipped_ends_a_connection_or_is_taken() {
    for sample in frames_and_bodies().0 {
        for (n, bytes) in variations(&sample.bytes()).enumerate() {
            for role in [Role::Broker, Role::Plugin] {
                let mut victim = Victim::new(role, harness::STATES[n % 4]);
                within(bytes.len(), &sample.name, || victim.suffer(&bytes));
            }
        }
    }
}

/// The same before READY; and the decoder's own buffer is part of the 64 KiB here.
/// Holds S25.
#[test]
fn every_frame_cut_or_flipped_in_a_handshake_is_an_error_or_waits() {
    for sample in frames_and_bodies().0 {
        for bytes in variations(&sample.bytes()) {
            harness::handshake(&bytes);
            let mut broker = Handshake::listen(
                Hello::new("broker", AuthKind::Inherited, [2; 32]),
                None,
                SessionId(uuid::Uuid::nil()),
            );
            let mut decoder = Decoder::new(64 << 10);
            within(bytes.len(), &sample.name, || {
                frames::feed(&mut decoder, &bytes);
                drop(black_box(broker.receive(&mut decoder)));
            });
        }
    }
}

#[test]
fn a_decoder_and_its_buffer_cost_64_kib_before_anything_came() {
    let info = measure(|| drop(black_box(Decoder::new(1 << 20))));
    assert!(info.bytes_max <= BEYOND, "{}", info.bytes_max);
}

/// Holds S13.
#[test]
fn a_peer_that_claims_4_gib_gets_nothing() {
    for kind in [Kind::CALL, Kind::DATA, Kind::HELLO, Kind(200)] {
        let mut decoder = Decoder::new(1 << 20);
        let header = Header { body_len: u32::MAX, ..Header::new(kind, 1) };
        within(0, "4 GiB", || {
            frames::feed(&mut decoder, &header.encode());
            assert!(decoder.next_frame().is_err());
        });
    }
}

/// One byte a second, of a frame as large as is accepted: memory follows the bytes.
#[test]
fn a_peer_that_trickles_holds_what_it_sent() {
    let mut decoder = Decoder::new(1 << 20);
    let header = Header { body_len: 1 << 20, ..Header::new(Kind::CALL, 1) };
    frames::feed(&mut decoder, &header.encode());
    within(100_028, "trickle", || {
        for _ in 0..100_000 {
            frames::feed(&mut decoder, &[7]);
            assert!(decoder.next_frame().unwrap().is_none());
        }
    });
}

/// Lengths inside bodies that claim the most that the limit allows.
/// Holds S26.
#[test]
fn a_length_that_is_claimed_reserves_nothing() {
    for claimed in [1u64 << 10, 1 << 16, (1 << 20) - 100, 1 << 20, 1 << 40, u64::MAX] {
        let mut bytes = vec![0u8; 256];
        for at in 0..248 {
            bytes.fill(0);
            bytes[at..at + 8].copy_from_slice(&claimed.to_le_bytes());
            within(bytes.len(), "claim", || harness::every_body(&bytes));
        }
    }
}

/// The smallest elements in the largest number: at most 64 times the frame (and what a list
/// reserves ahead while it grows).
#[test]
fn many_small_elements_cost_a_bounded_multiple() {
    let sinks = vec![0u8; 39 * 20_000];
    let mut body = vec![0]; // no main sink
    body.extend_from_slice(&20_000u64.to_le_bytes());
    body.extend_from_slice(&sinks);
    body.push(1);
    let info = measure(|| assert!(Codec::Bincode.decode::<outrigger_protocol::Discovered>(&body).is_ok()));
    let factor = info.bytes_max / body.len() as u64;
    assert!(factor <= 64, "{factor} times {}", body.len());
}

#[test]
fn an_error_carries_16_causes_and_no_more() {
    let mut error = values::plain_error();
    let cause = || outrigger_protocol::Cause { code: outrigger_protocol::Code::IO, message: String::new() };
    error.causes = (0..16).map(|_| cause()).collect();
    assert!(Codec::Bincode.decode::<outrigger_protocol::Error>(&frames::encoded(&error)).is_ok());
    error.causes.push(cause());
    assert!(Codec::Bincode.decode::<outrigger_protocol::Error>(&frames::encoded(&error)).is_err());
}

/// What a flood is called, and its n-th frame.
type Flood = (&'static str, fn(u64) -> Vec<u8>);

/// Peers that make this side answer and never read: what waits for them is bounded.
/// Holds S3.
#[test]
fn a_peer_that_never_reads_is_cut_off() {
    let floods: [Flood; 5] = [
        ("PING", |_| frames::raw(Kind::PING, 0, &[])),
        ("unknown kind", |_| {
            let critical = outrigger_protocol::Flags::CRITICAL;
            frames::with_ext(Header { flags: critical, ..Header::new(Kind(200), 0) }, &[], &[])
        }),
        ("expired calls", |n| Header { method: 7, ..Header::new(Kind::CALL, 2 * n + 4) }.encode().to_vec()),
        ("streams of a call that is over", |n| {
            frames::open(2 * n + 4, 1, outrigger_protocol::StreamKind::Items)
        }),
        ("calls that are answered", |n| frames::call(2 * n + 4, 0, outrigger_protocol::Method(8))),
    ];
    for (name, flood) in floods {
        let mut victim = Victim::new(Role::Broker, harness::STATES[0]);
        let call = victim_call(&mut victim.connection);
        frames::feed(&mut victim.decoder, &frames::reply(call.0));
        assert!(victim.take_in(&[]));
        let peak = measure(|| drive_without_reading(&mut victim, flood)).bytes_max;
        assert!(peak < 4 << 20, "{name}: {peak} bytes");
    }
}

fn victim_call(connection: &mut Connection<u32>) -> CallId {
    let (options, now) = (outrigger_protocol::CallOptions::default(), std::time::Duration::ZERO);
    let method = outrigger_protocol::Method::DISCOVER;
    connection.call(outrigger_protocol::ObjectId(1), method, &(), options, 0, now).unwrap()
}

fn drive_without_reading(victim: &mut Victim, flood: fn(u64) -> Vec<u8>) {
    for n in 0..1_000_000 {
        frames::feed(&mut victim.decoder, &flood(n));
        while let Some(frame) = victim.decoder.next_frame().unwrap() {
            match victim.connection.receive(frame, std::time::Duration::ZERO) {
                Ok(Some(outrigger_protocol::Event::Call(call))) => {
                    victim.connection.reply(call.id, &());
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
    panic!("a million frames without a limit");
}

/// What a peer may make a connection keep: each flood ends in an error or costs nothing.
#[test]
fn floods_that_need_no_answer_cost_a_bounded_amount() {
    let floods: [Flood; 8] = [
        ("CREDIT", |n| frames::credit(0, n, n)),
        ("LOG", |_| frames::log("x")),
        ("PONG", |_| frames::raw(Kind::PONG, 0, &[])),
        ("CANCEL", |_| frames::cancel(2)),
        ("late replies", |_| frames::reply(1)),
        ("empty data", |_| frames::data(2, &[])),
        ("nested calls", |n| frames::nested_call(2 * n + 4, 0, 1)),
        ("open and end", |n| {
            let open = frames::open(2 * n + 4, 3, outrigger_protocol::StreamKind::Items);
            [open, frames::end(2 * n + 4, 0, 0)].concat()
        }),
    ];
    for (name, flood) in floods {
        let mut end = pair::End::alone(Role::Broker);
        end.call(1, outrigger_protocol::Method::GET_CHANGES, 1);
        end.call(2, outrigger_protocol::Method::GET_CHANGES, 2);
        end.say();
        end.hear(&frames::reply(1));
        end.hear(&frames::call(2, 0, outrigger_protocol::Method(9)));
        let peak = measure(|| {
            for n in 0..100_000 {
                if end.take_in(&flood(n), std::time::Duration::ZERO).1.is_err() {
                    break;
                }
            }
        });
        assert!(peak.bytes_max < 256 << 10, "{name}: {} bytes", peak.bytes_max);
    }
}

#[test]
fn streams_are_bounded_in_number_and_an_item_in_size() {
    let mut end = pair::End::alone(Role::Broker);
    end.call(1, outrigger_protocol::Method::READ, 1);
    end.say();
    for n in 0..u64::from(Limits::default().max_streams) {
        end.hear(&frames::open(2 * n + 2, 1, outrigger_protocol::StreamKind::Items));
    }
    let error = end.refuse(&frames::open(1000, 1, outrigger_protocol::StreamKind::Items));
    assert_eq!(error, outrigger_protocol::PeerError::TooManyStreams);
    let claim = ((1u32 << 20) + 1).to_le_bytes();
    assert!(matches!(
        end.refuse(&frames::data(2, &claim)),
        outrigger_protocol::PeerError::ItemTooLarge { .. }
    ));
}
