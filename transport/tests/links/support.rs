//! What these tests share: handshakes, a side that echoes, and a side that calls.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use outrigger_protocol::{
    AuthKind, CallOptions, Codec, Connection, Error, Event, Handshake, Hello, Method, ObjectId, Role, Secret,
    SessionId, limits,
};
use outrigger_transport::memory::MemoryEnd;
use outrigger_transport::{BlockingLink, Carrier, Ending, Handler, Link, LinkError, Wait};
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use crate::counting::{Counting, Counts};

/// A method of these tests: the answer is the request.
pub(crate) const ECHO: Method = Method(900);

/// How each call ended, with its context.
pub(crate) type Ends = Vec<End>;

/// How one did.
pub(crate) type End = (usize, Result<Vec<u8>, Error>);

pub(crate) fn dialling(secret: Option<Secret>) -> Handshake {
    Handshake::dial(Hello::new("plugin", AuthKind::Inherited, [1; 32]), secret)
}

pub(crate) fn listening(secret: Option<Secret>) -> Handshake {
    let id = SessionId(uuid::Uuid::from_u128(7));
    Handshake::listen(Hello::new("broker", AuthKind::Inherited, [2; 32]), secret, id)
}

pub(crate) fn establish_blocking<C>(
    carrier: impl Carrier + 'static,
    role: Role,
) -> Result<BlockingLink<C>, LinkError> {
    let handshake = if role == Role::Broker { listening(None) } else { dialling(None) };
    BlockingLink::establish(Box::new(carrier), handshake, role)
}

pub(crate) async fn establish<C, IO, H>(
    io: IO,
    role: Role,
    handler: H,
) -> Result<(Link<C>, impl Future<Output = Ending> + Send + use<C, IO, H>), LinkError>
where
    C: Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler<C>,
{
    let handshake = if role == Role::Broker { listening(None) } else { dialling(None) };
    Link::establish(io, handshake, role, limits::HANDSHAKE_TIME, handler).await
}

/// Answers every call with its request.
pub(crate) fn echo<C>(event: &Event<'_, C>, connection: &mut Connection<C>) {
    if let Event::Call(call) = event {
        let body: &[u8] = Codec::Bincode.decode(call.body).unwrap();
        connection.reply(call.id, body);
    }
}

/// Does the same with the asynchronous driver.
pub(crate) struct Echo;

impl Handler<()> for Echo {
    fn event(&mut self, event: Event<'_, ()>, connection: &mut Connection<()>) {
        echo(&event, connection);
    }
}

/// Does nothing: answers no call.
pub(crate) struct Silent;

impl Handler<()> for Silent {
    fn event(&mut self, _: Event<'_, ()>, _: &mut Connection<()>) {}
}

/// Tells how calls end.
pub(crate) struct Teller(pub(crate) tokio::sync::mpsc::UnboundedSender<End>);

impl Handler<usize> for Teller {
    fn event(&mut self, event: Event<'_, usize>, _: &mut Connection<usize>) {
        if let Some(end) = end_of(event) {
            self.0.send(end).unwrap();
        }
    }
}

pub(crate) fn teller() -> (Teller, tokio::sync::mpsc::UnboundedReceiver<End>) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    (Teller(tell), told)
}

/// The context of a call and how it ended, if this is the end of one.
pub(crate) fn end_of(event: Event<'_, usize>) -> Option<End> {
    match event {
        Event::Reply { context, body, .. } => {
            let body: &[u8] = Codec::Bincode.decode(body).unwrap();
            Some((context, Ok(body.to_vec())))
        }
        Event::Failed { context, error, .. } => Some((context, Err(error))),
        _ => None,
    }
}

/// Makes one call; its target is its context, so that calls may overlap.
pub(crate) fn call(
    connection: &mut Connection<usize>,
    context: usize,
    body: &[u8],
    now: Duration,
) -> Result<(), End> {
    let target = ObjectId(u32::try_from(context).unwrap());
    let called = connection.call(target, ECHO, body, CallOptions::default(), context, now);
    called.map(|_| ()).map_err(|refusal| (refusal.context, Err(*refusal.error)))
}

/// Which driver an end is driven by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driven {
    Blocking,
    Async,
}

/// Echoes until the connection is over.
pub(crate) fn serve(driven: Driven, end: MemoryEnd) {
    match driven {
        Driven::Blocking => drop(serve_blocking(end)),
        Driven::Async => run(async {
            if let Ok((_link, driver)) = establish(end, Role::Plugin, Echo).await {
                driver.await;
            }
        }),
    }
}

pub(crate) fn serve_blocking(carrier: impl Carrier + 'static) -> Result<(), LinkError> {
    let mut link = establish_blocking::<()>(carrier, Role::Plugin)?;
    loop {
        link.flush()?;
        link.take_in(Wait::Forever)?;
        link.events(|event, connection| echo(&event, connection))?;
    }
}

/// Makes all calls at once, says goodbye, and waits for the end; `None`: no connection was made.
pub(crate) fn converse(driven: Driven, end: MemoryEnd, bodies: &[Vec<u8>]) -> Option<Ends> {
    match driven {
        Driven::Blocking => converse_blocking(end, bodies),
        Driven::Async => run(converse_async(end, bodies)),
    }
}

fn converse_blocking(end: MemoryEnd, bodies: &[Vec<u8>]) -> Option<Ends> {
    let mut link = establish_blocking::<usize>(end, Role::Broker).ok()?;
    let now = link.now();
    let calls = bodies.iter().enumerate();
    let mut ends: Ends =
        calls.filter_map(|(context, body)| call(link.connection(), context, body, now).err()).collect();
    link.connection().goodbye();
    let mut closed = false;
    while !closed {
        let _read_on = link.flush();
        if link.take_in(Wait::Forever).is_err() {
            break;
        }
        let handled = link.events(|event, _| {
            closed |= matches!(event, Event::Closed);
            ends.extend(end_of(event));
        });
        closed |= handled.is_err();
    }
    while let Some(event) = link.connection().lost("the connection is gone") {
        ends.extend(end_of(event));
    }
    Some(ends)
}

async fn converse_async(end: MemoryEnd, bodies: &[Vec<u8>]) -> Option<Ends> {
    let (teller, mut told) = teller();
    let (link, driver) = establish(end, Role::Broker, teller).await.ok()?;
    let now = link.now();
    let mut ends = Ends::new();
    for (context, body) in bodies.iter().enumerate() {
        ends.extend(link.with(|connection| call(connection, context, body, now)).err());
    }
    link.with(|connection| connection.goodbye());
    driver.await;
    while let Ok(end) = told.try_recv() {
        ends.push(end);
    }
    Some(ends)
}

/// Runs a future on one thread.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// Runs a test on a thread of its own, so that a hang is a failure.
pub(crate) fn within(limit: Duration, test: impl FnOnce() + Send + 'static) {
    let (done, finished) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        done.send(()).unwrap();
    });
    match finished.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing moves for {limit:?}"),
        _ => thread.join().unwrap(),
    }
}
