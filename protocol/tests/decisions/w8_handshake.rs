//! W8: a proof over a message that contains the proof; a peer with a 4 KiB receive limit shrinks
//! what it may send.

use outrigger_protocol::{
    AuthKind, Decoder, Handshake, HandshakeError, Hello, Kind, PREFACE, PeerError, Secret, Session, SessionId,
};

use crate::support::frames;

type Step = Result<Option<Session>, HandshakeError>;

fn hello() -> Hello {
    Hello::new("test", AuthKind::Inherited, [1; 32])
}

fn listener(secret: Option<Secret>) -> Handshake {
    Handshake::listen(Hello::new("broker", AuthKind::Inherited, [2; 32]), secret, id())
}

fn id() -> SessionId {
    SessionId(uuid::Uuid::from_u128(9))
}

fn hear(handshake: &mut Handshake, bytes: &[u8]) -> Step {
    let mut decoder = Decoder::new(64 << 10);
    frames::feed(&mut decoder, bytes);
    handshake.receive(&mut decoder)
}

fn json(kind: Kind, value: &serde_json::Value) -> Vec<u8> {
    [&PREFACE[..], &frames::raw(kind, 0, value.to_string().as_bytes())].concat()
}

/// Both sides in full, each byte alone.
#[test]
fn both_sides_meet_byte_by_byte_with_and_without_a_secret() {
    for secret in [None, Some(Secret([7; 32]))] {
        let (mut plugin, mut broker) = (Handshake::dial(hello(), secret.clone()), listener(secret));
        let (mut to_plugin, mut to_broker) = (Decoder::new(64 << 10), Decoder::new(64 << 10));
        let mut sessions = [None, None];
        for _ in 0..4 {
            for byte in plugin.output() {
                frames::feed(&mut to_broker, &[byte]);
                sessions[0] = sessions[0].take().or(broker.receive(&mut to_broker).unwrap());
            }
            for byte in broker.output() {
                frames::feed(&mut to_plugin, &[byte]);
                sessions[1] = sessions[1].take().or(plugin.receive(&mut to_plugin).unwrap());
            }
        }
        let [Some(broker), Some(plugin)] = sessions else { panic!("{sessions:?}") };
        assert_eq!((broker.id, plugin.id), (id(), id()));
        assert!(!to_plugin.is_mid_frame() && !to_broker.is_mid_frame());
    }
}

#[test]
fn what_follows_the_handshake_is_left_for_the_connection() {
    let mut plugin = Handshake::dial(hello(), None);
    let mut decoder = Decoder::new(64 << 10);
    frames::feed(&mut decoder, &[plugin.output(), frames::raw(Kind::PING, 0, &[])].concat());
    assert!(listener(None).receive(&mut decoder).unwrap().is_some());
    assert_eq!(decoder.next_frame().unwrap().unwrap().header.kind, Kind::PING);
}

#[test]
fn frames_out_of_order_end_the_handshake() {
    let proof = frames::raw(Kind::PROOF, 0, &[0; 32]);
    let call = frames::call(1, 0, outrigger_protocol::Method::INITIALIZE);
    for frame in [proof, call, frames::raw(Kind::HELLO_OK, 0, b"{}"), frames::raw(Kind::PING, 0, &[])] {
        let bytes = [&PREFACE[..], &frame].concat();
        let step = hear(&mut listener(Some(Secret([7; 32]))), &bytes);
        assert!(matches!(step, Err(HandshakeError::Peer(PeerError::Unexpected(_)))), "{step:?}");
    }
    let dialled = json(Kind::HELLO, &serde_json::to_value(hello()).unwrap());
    let step = hear(&mut Handshake::dial(hello(), None), &dialled);
    assert!(matches!(step, Err(HandshakeError::Peer(PeerError::Unexpected(Kind::HELLO)))), "two diallers");
}

#[test]
fn a_proof_of_any_other_length_or_content_is_refused() {
    for proof in [&[][..], &[0; 31], &[0; 32], &[0; 33], &[0; 60_000]] {
        let mut broker = listener(Some(Secret([7; 32])));
        let mut decoder = Decoder::new(64 << 10);
        frames::feed(&mut decoder, &Handshake::dial(hello(), Some(Secret([7; 32]))).output());
        assert_eq!(broker.receive(&mut decoder), Ok(None));
        frames::feed(&mut decoder, &frames::raw(Kind::PROOF, 0, proof));
        assert!(broker.receive(&mut decoder).is_err());
        let said = frames::kinds(&broker.output()[8..]);
        assert!(
            said.iter().all(|(kind, _)| *kind != Kind::PROOF),
            "it is told that, and gets no proof of ours: {said:?}"
        );
    }
}

/// A side that only echoes what it hears knows nothing.
#[test]
fn an_echo_is_not_a_proof() {
    let secret = Some(Secret([7; 32]));
    let mut plugin = Handshake::dial(hello(), secret.clone());
    let mut broker = listener(secret);
    let mut decoder = Decoder::new(64 << 10);
    frames::feed(&mut decoder, &plugin.output());
    assert_eq!(broker.receive(&mut decoder), Ok(None));
    assert_eq!(hear(&mut plugin, &broker.output()), Ok(None));
    let own = plugin.output();
    assert_eq!(hear(&mut plugin, &own), Err(HandshakeError::Proof));
}

#[test]
fn a_nonce_that_is_not_32_bytes_is_refused_in_words() {
    for nonce in ["", "AA==", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let mut theirs = serde_json::to_value(hello()).unwrap();
        theirs["nonce"] = nonce.into();
        let step = hear(&mut listener(None), &json(Kind::HELLO, &theirs));
        let Err(HandshakeError::Unfit(refused)) = step else { panic!("{step:?}") };
        assert!(refused.reason.contains("nonce"), "{}", refused.reason);
    }
}

#[test]
fn a_refusal_fits_a_handshake_whatever_was_announced() {
    let mut theirs = serde_json::to_value(hello()).unwrap();
    theirs["codecs"] = (0..10_000).map(|n| n % 60_000 + 3).collect::<Vec<u32>>().into();
    let mut broker = listener(None);
    let step = hear(&mut broker, &json(Kind::HELLO, &theirs));
    assert!(matches!(step, Err(HandshakeError::Unfit(_))), "{step:?}");
    let said = broker.output();
    assert!(said.len() < 1024, "{} bytes", said.len());
    let heard = hear(&mut Handshake::dial(hello(), None), &said);
    assert!(matches!(heard, Err(HandshakeError::Refused(_))), "{heard:?}");
}

/// Holds S12, S29, S73, S75.
#[test]
fn a_thousand_features_are_taken_and_those_of_both_are_used() {
    let mut theirs = hello();
    theirs.features = (0..1000).map(|n| format!("feature-{n}")).collect();
    let mut ours = Hello::new("broker", AuthKind::Inherited, [2; 32]);
    ours.features = vec!["feature-7".into(), "ours".into()];
    let mut broker = Handshake::listen(ours, None, id());
    let session = hear(&mut broker, &Handshake::dial(theirs, None).output()).unwrap().unwrap();
    assert_eq!(session.features, ["feature-7"]);
}

/// Holds S73.
#[test]
fn no_hello_makes_a_session_that_cannot_be_worked_with() {
    for (key, value) in [
        ("/limits/max_body", 4096.into()),
        ("/limits/max_calls", 0.into()),
        ("/limits/stream_window", 0.into()),
        ("/limits/connection_window", 0.into()),
        ("/limits/dispatch_window", 0.into()),
        ("/limits/max_body", serde_json::json!(-1)),
        ("/protocols", serde_json::json!([])),
        ("/codecs", serde_json::json!([])),
        ("/auth", "hmac".into()),
        ("/auth", "tls".into()),
        ("/protocols", serde_json::json!([[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]])),
    ] {
        let mut theirs = serde_json::to_value(hello()).unwrap();
        *theirs.pointer_mut(key).unwrap() = value;
        assert!(hear(&mut listener(None), &json(Kind::HELLO, &theirs)).is_err(), "{theirs}");
    }
    let mut largest = hello();
    largest.limits.max_calls = u32::MAX;
    largest.limits.call_bytes = u64::MAX;
    largest.limits.stream_window = u64::MAX;
    largest.limits.connection_window = u64::MAX;
    let session = hear(&mut listener(None), &Handshake::dial(largest, None).output()).unwrap().unwrap();
    assert!(session.peer_limits.max_calls <= 1 << 16);
}

#[test]
fn a_limit_that_a_peer_announces_does_not_shrink_what_it_may_send() {
    let mut small = hello();
    small.limits.max_body = 64 << 10;
    let session = hear(&mut listener(None), &Handshake::dial(small, None).output()).unwrap().unwrap();
    assert_eq!((session.peer_limits.max_body, session.own_limits.max_body), (64 << 10, 1 << 20));
}

/// What a peer says before it is known is quoted in errors: short, and without control characters.
#[test]
fn a_peer_cannot_draw_on_a_terminal_through_a_malformed_hello() {
    let mut theirs = serde_json::to_value(hello()).unwrap();
    theirs["auth"] = format!("\u{1b}[2J{}", "x".repeat(10_000)).into();
    let error = hear(&mut listener(None), &json(Kind::HELLO, &theirs)).unwrap_err().to_string();
    assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error:?}");
    let error = hear(&mut listener(None), b"\x1b[2Jwelcome").unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error:?}");
}

/// Text mode on the way: the CR LF of the preface shows it.
#[test]
fn a_channel_that_mends_line_ends_is_noticed() {
    let bytes = Handshake::dial(hello(), None).output();
    let mended = [&b"OUTRGR\n"[..], &bytes[8..]].concat();
    let step = hear(&mut listener(None), &mended);
    assert!(matches!(step, Err(HandshakeError::Peer(PeerError::Preface(_)))), "{step:?}");
}

/// Nothing, or one byte a second: the machine waits and keeps no more than came; the driver has the
/// clock.
#[test]
fn a_peer_that_says_nothing_or_little_is_waited_for() {
    let mut broker = listener(None);
    let mut decoder = Decoder::new(64 << 10);
    assert_eq!(broker.receive(&mut decoder), Ok(None));
    let bytes = Handshake::dial(hello(), None).output();
    for byte in &bytes[..bytes.len() - 1] {
        frames::feed(&mut decoder, &[*byte]);
        assert_eq!(broker.receive(&mut decoder), Ok(None));
        assert!(broker.output().is_empty(), "nothing is said to who has not spoken");
    }
}

/// Holds S73.
#[test]
fn a_hello_is_read_by_its_keys_and_never_by_position() {
    let theirs = serde_json::to_value(hello()).unwrap();
    let by_position = serde_json::json!([
        theirs["protocols"],
        "x",
        "inherited",
        [1],
        [],
        theirs["limits"],
        1,
        theirs["nonce"],
        null
    ]);
    let step = hear(&mut listener(None), &json(Kind::HELLO, &by_position));
    assert!(matches!(step, Err(HandshakeError::Peer(PeerError::Body { .. }))), "{step:?}");
    let spaced = [&b" \r\n\t"[..], theirs.to_string().as_bytes(), b" "].concat();
    let hello = [&PREFACE[..], &frames::raw(Kind::HELLO, 0, &spaced)].concat();
    assert!(hear(&mut listener(None), &hello).unwrap().is_some());
}
