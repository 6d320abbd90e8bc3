//! Arbitrary bytes, and frames that are almost right: no panic, and each context still comes out
//! once.

use outrigger_protocol::{Budget, Decoder, Flags, Header, Kind, ObjectId, PREFACE};
use proptest::prelude::*;

use crate::support::{frames, harness, samples};

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        8 => proptest::sample::select(vec![16u8, 17, 18, 19, 20, 32, 33, 34, 35, 36, 48, 64, 65, 66, 67, 69]),
        1 => any::<u8>(),
    ]
    .prop_map(Kind)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..12, 1 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)]
}

/// A header with any fields, and a body that is often of some right type.
fn frame(bodies: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        4 => proptest::sample::select(bodies),
        2 => proptest::collection::vec(any::<u8>(), 0..60),
        2 => (number(), number(), number()).prop_map(|(a, b, c)| frames::encoded(&(a, b, c))),
        2 => (number(), 0u32..3).prop_map(|(call, kind)| frames::encoded(&(call, kind))),
        1 => Just(Vec::new()),
    ];
    let ext = prop_oneof![
        9 => Just(Vec::new()),
        1 => (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..5))
            .prop_map(|(tag, value)| frames::entries(&[(tag, &value)])),
    ];
    let budget = prop_oneof![Just(0), Just(u32::MAX), any::<u32>()];
    (kind(), 0u8..4, number(), 0u32..3, 0u16..14, ext, budget, body).prop_map(
        |(kind, flags, id, target, method, ext, budget, body)| {
            let header = Header {
                flags: Flags(flags),
                target: ObjectId(target),
                method,
                budget: Budget(budget),
                ..Header::new(kind, id)
            };
            frames::with_ext(header, &ext, &body)
        },
    )
}

fn almost_right() -> impl Strategy<Value = Vec<u8>> {
    let bodies: Vec<Vec<u8>> = samples::all().iter().map(samples::Sample::bytes).collect();
    proptest::collection::vec(frame(bodies), 0..30).prop_map(|frames| frames.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn a_connection_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        harness::connection(&bytes);
    }

    #[test]
    fn a_decoder_knows_whether_it_has_something_to_say(bytes in almost_right(), cut in 1usize..50) {
        let mut decoder = Decoder::new(64 << 10);
        for chunk in bytes.chunks(cut) {
            frames::feed(&mut decoder, chunk);
            loop {
                let says = decoder.has_frame();
                match decoder.next_frame() {
                    Ok(frame) => prop_assert_eq!(says, frame.is_some()),
                    Err(_) => {
                        prop_assert!(says);
                        return Ok(());
                    }
                }
                if !says {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_connection_survives_frames_that_are_almost_right(bytes in almost_right()) {
        harness::connection(&bytes);
    }

    #[test]
    fn a_connection_survives_the_vectors_in_any_order_with_a_bit_flipped(
        order in proptest::collection::vec(0usize..100, 0..12),
        flip in proptest::option::of((any::<usize>(), 0u8..8)),
    ) {
        let all: Vec<Vec<u8>> =
            samples::all().iter().filter(|sample| sample.is_frame).map(samples::Sample::bytes).collect();
        let mut bytes: Vec<u8> = order.iter().flat_map(|at| all[at % all.len()].clone()).collect();
        if let (Some((at, bit)), false) = (flip, bytes.is_empty()) {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        harness::connection(&bytes);
    }

    #[test]
    fn a_handshake_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        harness::handshake(&bytes);
        harness::handshake(&[&PREFACE[..], &bytes].concat());
        harness::handshake(&[&PREFACE[..], &frames::raw(Kind::HELLO, 0, &bytes)].concat());
    }

    #[test]
    fn a_handshake_survives_json_that_is_almost_right(at in any::<usize>(), with in any::<u8>(), ok in any::<bool>()) {
        let conversation = samples::conversation();
        let mut bytes = conversation[usize::from(ok)].clone();
        let at = 36 + at % (bytes.len() - 36);
        bytes[at] = with;
        harness::handshake(&bytes);
        harness::handshake(&[&bytes[..], &conversation[2]].concat());
    }

    /// Holds S14.
    #[test]
    fn a_body_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        harness::every_body(&bytes);
    }
}
