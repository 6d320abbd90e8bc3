//! W3: the broker waits for less than the table says, and a plugin that keeps to the table is
//! ended for it. How long each side waits stands in its HELLO.

use std::time::Duration;

use outrigger_protocol::{
    AuthKind, Connection, Decoder, Handshake, HandshakeError, Hello, IdleTimes, Kind, Method, ObjectId,
    PREFACE, PeerError, Role, Session, SessionId,
};

use crate::support::frames;

const S: Duration = Duration::from_secs(1);

fn hello(idle: IdleTimes) -> Hello {
    Hello { idle, ..Hello::new("test", AuthKind::Inherited, [1; 32]) }
}

fn listener(idle: IdleTimes) -> Handshake {
    Handshake::listen(hello(idle), None, SessionId(uuid::Uuid::from_u128(9)))
}

fn hear(handshake: &mut Handshake, bytes: &[u8]) -> Result<Option<Session>, HandshakeError> {
    let mut decoder = Decoder::new(64 << 10);
    frames::feed(&mut decoder, bytes);
    handshake.receive(&mut decoder)
}

/// A plugin that announces nothing meets a broker that waits for so long: what each knows.
fn meet(broker: IdleTimes) -> (Session, Session) {
    let (mut plugin, mut broker) = (Handshake::dial(hello(IdleTimes::default()), None), listener(broker));
    let ours = hear(&mut broker, &plugin.output()).unwrap().unwrap();
    let theirs = hear(&mut plugin, &broker.output()).unwrap().unwrap();
    (ours, theirs)
}

/// The deadline of a call that is made at once.
fn deadline(session: &Session, role: Role, method: Method) -> Duration {
    let mut caller: Connection<()> = Connection::new(role, session);
    caller.call(ObjectId(1), method, &(), Default::default(), (), Duration::ZERO).unwrap();
    caller.next_deadline().unwrap()
}

/// Holds S52.
#[test]
fn w3_a_caller_waits_as_long_as_its_hello_says_and_the_peer_knows() {
    let (broker, plugin) = meet(IdleTimes::at_most(20 * S));
    for method in [Method::COMMIT, Method::CONNECT, Method::GET_CHANGES_PAGE] {
        assert_eq!(plugin.peer_idle.of(method), 20 * S, "{method}");
        assert_eq!(deadline(&broker, Role::Broker, method), 20 * S, "{method}");
    }
    assert_eq!(broker.peer_idle, IdleTimes::default(), "the plugin's own calls are as the table says");
    assert_eq!(deadline(&plugin, Role::Plugin, Method::ASK), 120 * S);
}

#[test]
fn w3_what_is_not_named_is_as_the_table_says() {
    let longer = [(Method::READ, 600 * S), (Method(777), 5 * S)];
    let (broker, plugin) = meet(longer.into_iter().collect());
    for (method, idle) in [
        (Method::READ, 600),
        (Method(777), 5),
        (Method(778), 60),
        (Method::CONNECT, 30),
        (Method::COMMIT, 60),
    ] {
        assert_eq!(plugin.peer_idle.of(method), idle * S, "{method}");
        assert_eq!(deadline(&broker, Role::Broker, method), idle * S, "{method}");
    }
}

/// From the bytes of either side.
///
/// Holds S52.
#[test]
fn w3_what_a_hello_may_name_is_bounded() {
    let named = |count: u16| (0..count).map(|n| (Method(60_000 - n), S)).collect::<IdleTimes>();
    for (count, fits) in [(0, true), (256, true), (257, false), (4000, false)] {
        let mut broker = listener(IdleTimes::default());
        let heard = hear(&mut broker, &Handshake::dial(hello(named(count)), None).output());
        assert_eq!(heard.is_ok(), fits, "{count}");
        assert!(fits || matches!(&heard, Err(HandshakeError::Unfit(_))), "{heard:?}");
        let mut dialler = Handshake::dial(hello(IdleTimes::default()), None);
        assert_eq!(hear(&mut dialler, &broker.output()).is_ok(), fits, "it is told: {count}");
    }
}

#[test]
fn w3_a_time_that_is_none_is_refused_and_one_that_is_no_time_cannot_be_read() {
    let heard = |idle: &str| {
        let mut theirs = serde_json::to_value(hello(IdleTimes::default())).unwrap();
        assert!(theirs.get("idle_ms").is_none(), "nothing is said where nothing differs");
        theirs["idle_ms"] = serde_json::from_str(idle).unwrap();
        let body = frames::raw(Kind::HELLO, 0, theirs.to_string().as_bytes());
        hear(&mut listener(IdleTimes::default()), &[&PREFACE[..], &body].concat())
    };
    for unfit in [r#"{"8":0}"#, r#"{"7":1,"8":0}"#] {
        assert!(matches!(heard(unfit), Err(HandshakeError::Unfit(_))), "{unfit}");
    }
    for unread in [r#"{"8":-1}"#, r#"{"8":4294967296}"#, r#"{"65536":1}"#, r#"{"commit":1}"#, "[1]", "null"] {
        let unreadable = matches!(heard(unread), Err(HandshakeError::Peer(PeerError::Body { .. })));
        assert!(unreadable, "{unread}");
    }
    let longest = heard(r#"{"8":4294967295,"65535":1}"#).unwrap().unwrap().peer_idle;
    assert_eq!(longest.of(Method::COMMIT), Duration::from_millis(u32::MAX.into()));
}
