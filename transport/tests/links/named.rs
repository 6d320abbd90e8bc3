//! Over local sockets with a name.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use outrigger_protocol::{HandshakeError, Header, Kind, PREFACE, PeerError, Role, Secret, limits};
use outrigger_transport::{BlockingLink, Ending, Endpoint, Link, LinkError, Listener, dial};

use crate::support::{Silent, dialling, listening, run, within};

const LIMIT: Duration = Duration::from_secs(30);
const OURS: Secret = Secret([7; 32]);

type Dialled = Result<BlockingLink<()>, LinkError>;

/// Waits for a peer and shakes hands; the error when that fails, and how the connection ended.
async fn accept(listener: &Listener, secret: Option<Secret>) -> Result<Ending, LinkError> {
    let stream = listener.accept().await?;
    let (_link, driver) =
        Link::<()>::establish(stream, listening(secret), Role::Broker, limits::HANDSHAKE_TIME, Silent)
            .await?;
    Ok(driver.await)
}

fn dial_with(endpoint: &Endpoint, secret: Option<Secret>) -> Dialled {
    BlockingLink::establish(dial(endpoint)?, dialling(secret), Role::Plugin)
}

/// Both sides of a handshake over a fresh name; the peer closes at once after it.
fn meet(
    ours: Option<Secret>,
    peer: impl FnOnce(Endpoint) -> Result<(), LinkError> + Send + 'static,
) -> (Result<Ending, LinkError>, Result<(), LinkError>) {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let endpoint = Endpoint::fresh(folder.path()).unwrap();
        let listener = Listener::bind(&endpoint).unwrap();
        let peer = tokio::task::spawn_blocking(move || peer(endpoint));
        (accept(&listener, ours).await, peer.await.unwrap())
    })
}

#[test]
fn two_ends_meet_by_name_with_and_without_a_token() {
    within(LIMIT, || {
        for secret in [None, Some(OURS)] {
            let theirs = secret.clone();
            let (broker, plugin) = meet(secret, move |endpoint| dial_with(&endpoint, theirs).map(drop));
            plugin.unwrap();
            assert!(matches!(broker.unwrap(), Ending::Failed(LinkError::Closed { mid_frame: false })));
        }
    });
}

/// Holds S82, S86.
#[test]
fn w8_a_wrong_token_is_found_out() {
    within(LIMIT, || {
        let wrong = Some(Secret([8; 32]));
        let (broker, plugin) = meet(Some(OURS), |endpoint| dial_with(&endpoint, wrong).map(drop));
        assert!(matches!(broker, Err(LinkError::Handshake(HandshakeError::Proof))), "{broker:?}");
        assert!(matches!(plugin, Err(LinkError::Handshake(HandshakeError::Refused(_)))), "{plugin:?}");
    });
}

/// Holds S86.
#[test]
fn w8_a_missing_token_is_refused_in_words() {
    within(LIMIT, || {
        let (broker, plugin) = meet(Some(OURS), |endpoint| dial_with(&endpoint, None).map(drop));
        assert!(matches!(broker, Err(LinkError::Handshake(HandshakeError::Unfit(_)))), "{broker:?}");
        assert!(matches!(plugin, Err(LinkError::Handshake(HandshakeError::Refused(_)))), "{plugin:?}");
    });
}

/// Connects without any driver and writes `bytes`; then reads to the end.
fn raw(endpoint: &Endpoint, bytes: &[u8]) -> Result<(), LinkError> {
    let mut socket = UnixStream::connect(endpoint.to_string())?;
    socket.write_all(bytes)?;
    let _reset = socket.read_to_end(&mut Vec::new());
    Ok(())
}

#[test]
fn something_else_on_the_line_is_named() {
    within(LIMIT, || {
        let (broker, _) = meet(None, |endpoint| raw(&endpoint, b"GET / HTTP/1.1\r\n"));
        let error = broker.unwrap_err();
        assert!(error.to_string().contains("GET / HTTP/1.1"), "{error}");
    });
}

/// Holds S26.
#[test]
fn a_claim_of_4_gib_before_ready_is_refused() {
    within(LIMIT, || {
        let header = Header { body_len: u32::MAX, ..Header::new(Kind::HELLO, 0) };
        let bytes = [&PREFACE[..], &header.encode()].concat();
        let (broker, _) = meet(None, move |endpoint| raw(&endpoint, &bytes));
        let Err(LinkError::Handshake(HandshakeError::Peer(error))) = broker else { panic!("{broker:?}") };
        assert!(matches!(error, PeerError::FrameTooLarge { actual: u32::MAX, .. }), "{error}");
    });
}

/// Holds S79.
#[test]
fn a_name_in_use_is_refused_and_the_listener_lives_on() {
    within(LIMIT, || {
        let folder = tempfile::tempdir().unwrap();
        run(async {
            let endpoint = Endpoint::fresh(folder.path()).unwrap();
            let listener = Listener::bind(&endpoint).unwrap();
            let error = Listener::bind(&endpoint).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            let theirs = endpoint.clone();
            let peer = tokio::task::spawn_blocking(move || dial_with(&theirs, None).map(drop));
            assert!(accept(&listener, None).await.is_ok());
            peer.await.unwrap().unwrap();
            drop(listener);
            assert!(!Path::new(&endpoint.to_string()).exists(), "the name goes away with the listener");
        });
    });
}

/// They waited to be let in, and do no more.
/// Holds S84.
#[test]
fn those_that_dial_and_have_gone_keep_nobody_out() {
    within(LIMIT, || {
        let folder = tempfile::tempdir().unwrap();
        run(async {
            let endpoint = Endpoint::fresh(folder.path()).unwrap();
            let listener = Listener::bind(&endpoint).unwrap();
            for _ in 0..50 {
                drop(dial(&endpoint).unwrap());
            }
            for _ in 0..50 {
                let gone = accept(&listener, None).await;
                assert!(gone.is_err(), "{gone:?}");
            }
            let peer = tokio::task::spawn_blocking(move || dial_with(&endpoint, None).map(drop));
            assert!(accept(&listener, None).await.is_ok());
            peer.await.unwrap().unwrap();
        });
    });
}

/// Holds S82.
#[test]
fn only_the_user_may_use_the_name() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let endpoint = Endpoint::fresh(folder.path()).unwrap();
        let _listener = Listener::bind(&endpoint).unwrap();
        let mode = std::fs::metadata(endpoint.to_string()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    });
}

/// Holds S78.
#[test]
fn too_long_a_path_names_the_path_and_the_limit() {
    let folder = Path::new("/tmp").join("x".repeat(90));
    let error = Endpoint::fresh(&folder).unwrap_err().to_string();
    assert!(error.contains(&*folder.to_string_lossy()) && error.contains("limit 100"), "{error}");
}

#[test]
fn nobody_listening_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::fresh(folder.path()).unwrap();
    assert_eq!(dial(&endpoint).err().unwrap().kind(), io::ErrorKind::NotFound);
}
