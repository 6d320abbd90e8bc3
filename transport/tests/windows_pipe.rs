//! A local socket under a fresh name carries 10,000 round trips between both drivers, with both
//! proofs: a named pipe on Windows, a Unix socket elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use outrigger_protocol::{
    AuthKind, CallOptions, Codec, Connection, Event, Handshake, Hello, Method, ObjectId, Role, Secret,
    SessionId, limits,
};
use outrigger_transport::{
    BlockingLink, Ending, Endpoint, Handler, Link, LinkError, Listener, Wait, dial, nonce,
};
use tokio::sync::oneshot;

const ROUND_TRIPS: u32 = 10_000;
const SIZE: usize = 1 << 10;
const SECRET: Secret = Secret([42; 32]);
const ECHO: Method = Method(900);

/// The plugin's side: dials, proves the secret, echoes until goodbye and the end.
fn serve(endpoint: &Endpoint) -> Result<u32, LinkError> {
    let hello = Hello::new("plugin", AuthKind::Inherited, nonce()?);
    let handshake = Handshake::dial(hello, Some(SECRET));
    let mut link = BlockingLink::<()>::establish(dial(endpoint)?, handshake, Role::Plugin)?;
    let (mut served, mut goodbye) = (0, false);
    loop {
        link.flush()?;
        match link.take_in(Wait::Forever) {
            Err(LinkError::Closed { mid_frame: false }) if goodbye => return Ok(served),
            taken => taken?,
        };
        link.events(|event, connection| match event {
            Event::Call(call) => {
                let body: &[u8] = Codec::Bincode.decode(call.body).expect("bytes");
                connection.reply(call.id, body);
                served += 1;
            }
            Event::Goodbye => goodbye = true,
            _ => {}
        })?;
    }
}

type Caller = oneshot::Sender<Vec<u8>>;

/// Hands every answer to its caller.
struct Answers;

impl Handler<Caller> for Answers {
    fn event(&mut self, event: Event<'_, Caller>, _: &mut Connection<Caller>) {
        match event {
            Event::Reply { context, body, .. } => {
                let body: &[u8] = Codec::Bincode.decode(body).expect("bytes");
                context.send(body.to_vec()).expect("the caller waits");
            }
            Event::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
    }
}

async fn round_trip(link: &Link<Caller>, round: u32) {
    let bytes: Vec<u8> = round.to_le_bytes().into_iter().cycle().take(SIZE).collect();
    let (tell, told) = oneshot::channel();
    let now = link.now();
    link.with(|connection| {
        connection.call(ObjectId(1), ECHO, &bytes[..], CallOptions::default(), tell, now).expect("a call")
    });
    assert_eq!(told.await.expect("an answer"), bytes);
}

/// The broker's side: listens, proves the secret.
async fn greet(listener: Listener) -> (Link<Caller>, impl Future<Output = Ending> + Send) {
    let hello = Hello::new("broker", AuthKind::Inherited, nonce().expect("randomness"));
    let handshake = Handshake::listen(hello, Some(SECRET), SessionId(uuid::Uuid::from_u128(7)));
    let stream = listener.accept().await.expect("a peer");
    Link::establish(stream, handshake, Role::Broker, limits::HANDSHAKE_TIME, Answers)
        .await
        .expect("a connection")
}

/// The broker's side: calls.
async fn call(listener: Listener) -> Ending {
    let (link, driver) = greet(listener).await;
    let driver = tokio::spawn(driver);
    for round in 0..ROUND_TRIPS {
        round_trip(&link, round).await;
    }
    link.with(|connection| connection.goodbye());
    driver.await.expect("the driver")
}

/// A plugin that answers its first call and is gone.
fn answer_and_go(endpoint: &Endpoint) -> Result<(), LinkError> {
    let hello = Hello::new("plugin", AuthKind::Inherited, nonce()?);
    let handshake = Handshake::dial(hello, Some(SECRET));
    let mut link = BlockingLink::<()>::establish(dial(endpoint)?, handshake, Role::Plugin)?;
    let mut answered = false;
    while !answered {
        link.take_in(Wait::Forever)?;
        link.events(|event, connection| {
            if let Event::Call(call) = event {
                let body: &[u8] = Codec::Bincode.decode(call.body).expect("bytes");
                answered = connection.reply(call.id, body);
            }
        })?;
    }
    link.flush()
}

/// What was written is read, though the end that wrote it is closed.
/// Holds S19.
#[test]
fn the_last_answer_over_a_name_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..20 {
        runtime.block_on(async {
            let endpoint = Endpoint::fresh(folder.path()).unwrap();
            let listener = Listener::bind(&endpoint).unwrap();
            let plugin = tokio::task::spawn_blocking(move || answer_and_go(&endpoint));
            let (link, driver) = greet(listener).await;
            let driver = tokio::spawn(driver);
            let (tell, told) = oneshot::channel();
            link.with(|connection| {
                let body = vec![7u8; 50_000];
                connection.call(ObjectId(1), ECHO, &body[..], CallOptions::default(), tell, link.now())
            })
            .expect("a call");
            plugin.await.unwrap().unwrap();
            assert_eq!(told.await.expect("the answer"), vec![7; 50_000]);
            let ending = driver.await.expect("the driver");
            assert!(matches!(ending, Ending::Failed(LinkError::Closed { mid_frame: false })), "{ending:?}");
        });
    }
}

#[test]
fn ten_thousand_round_trips_over_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::fresh(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ending, served) = runtime.block_on(async {
        let listener = Listener::bind(&endpoint).unwrap();
        let theirs = endpoint.clone();
        // Waited for on the runtime: a pipe is closed by a runtime that still runs.
        let plugin = tokio::task::spawn_blocking(move || serve(&theirs));
        (call(listener).await, plugin.await.unwrap().unwrap())
    });
    assert!(matches!(ending, Ending::Done), "{ending:?}");
    println!("{served} round trips of {SIZE} bytes over {endpoint}");
    assert_eq!(served, ROUND_TRIPS);
}
