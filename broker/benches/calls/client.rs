//! The side that calls.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use outrigger_protocol::{
    AuthKind, CallOptions, Codec, Commit, Committed, Connect, ConnectDone, Connection, Error, Event, Group,
    Handshake, Hello, Initialize, Member, Method, ObjectId, Role, SessionId, limits,
};
use outrigger_transport::{BlockingLink, Handler, Link, SocketCarrier, SocketStream, Wait};
use serde::Serialize;
use tokio::sync::oneshot;

use super::payload;
use super::process::{Server, Usage};

/// How many calls wait for their answers at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outstanding {
    One,
    Window,
}

impl Outstanding {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::One => "W1: one call outstanding",
            Self::Window => "W2: 64 calls outstanding",
        }
    }

    const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Window => 64,
        }
    }
}

/// For the answers to all of them, each of which may be as large as a frame. A broker keeps less
/// open at a time; what is measured here is the cost of a call, not that limit.
const ROOM: u64 = 64 << 20;

/// What one run measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    p50: f64,
    p99: f64,
    per_second: f64,
    cpu: f64,
    switches: f64,
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Figures {
    /// The figure that is compared.
    pub(crate) const fn main(&self, outstanding: Outstanding) -> f64 {
        match outstanding {
            Outstanding::One => self.p50,
            Outstanding::Window => self.per_second,
        }
    }

    /// Each figure's own median.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        Self {
            p50: of(|run| run.p50),
            p99: of(|run| run.p99),
            per_second: of(|run| run.per_second),
            cpu: of(|run| run.cpu),
            switches: of(|run| run.switches),
        }
    }

    pub(crate) const fn header(outstanding: Outstanding) -> &'static str {
        match outstanding {
            Outstanding::One => "                 p50 µs   p99 µs  x floor  CPU µs/call  switches/call",
            Outstanding::Window => "                kcalls/s  x floor  CPU µs/call  switches/call",
        }
    }

    pub(crate) fn row(&self, name: &str, outstanding: Outstanding, ratio: f64) -> String {
        let cost = format!("{ratio:8.2} {:12.2} {:14.2}", self.cpu, self.switches);
        match outstanding {
            Outstanding::One => format!("{name:14} {:8.2} {:8.2} {cost}", self.p50, self.p99),
            Outstanding::Window => format!("{name:14} {:9.0} {cost}", self.per_second / 1e3),
        }
    }
}

/// Notes when calls begin and end, between a warm-up and the end of the run.
struct Watch<'a> {
    server: &'a Server,
    before: Usage,
    begun: Instant,
    end: Instant,
    calls: f64,
    each: Vec<u32>,
}

fn nanos(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}

impl<'a> Watch<'a> {
    fn start(server: &'a Server, time: Duration) -> Self {
        let begun = Instant::now();
        Self {
            server,
            before: server.usage(),
            begun,
            end: begun + time,
            calls: 0.0,
            each: Vec::with_capacity(1 << 20),
        }
    }

    /// `count` calls took from `begun` to now. False: it is time to stop.
    fn took(&mut self, begun: Instant, count: usize) -> bool {
        let now = Instant::now();
        if count == 1 {
            self.each.push(nanos(now - begun));
        }
        self.calls += count as f64;
        now < self.end
    }

    /// Adds calls that were timed elsewhere.
    fn add(&mut self, each: &[u32]) {
        self.calls += each.len() as f64;
        self.each.extend_from_slice(each);
    }

    fn figures(mut self) -> Figures {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let used = self.server.usage() - self.before;
        self.each.sort_unstable();
        let percentile = |percent: usize| {
            self.each.get(self.each.len() * percent / 100).map_or(0.0, |nanos| f64::from(*nanos) / 1e3)
        };
        Figures {
            p50: percentile(50),
            p99: percentile(99),
            per_second: self.calls / elapsed,
            cpu: used.cpu_ns / 1e3 / self.calls,
            switches: used.switches / self.calls,
        }
    }
}

/// Bytes there and back, looked at by nobody.
pub(crate) fn floor(mut server: Server, outstanding: Outstanding, time: Duration) -> Figures {
    let mut socket = server.socket.take().unwrap();
    let bytes = payload::frame().repeat(outstanding.count());
    let mut back = vec![0; bytes.len()];
    let mut turn = || {
        socket.write_all(&bytes).unwrap();
        socket.read_exact(&mut back).unwrap();
    };
    (0..100).for_each(|_| turn());
    let mut watch = Watch::start(&server, time);
    loop {
        let begun = Instant::now();
        turn();
        if !watch.took(begun, outstanding.count()) {
            let figures = watch.figures();
            drop(socket); // before the server is waited for
            return figures;
        }
    }
}

fn handshake() -> Handshake {
    let id = SessionId(uuid::Uuid::from_u128(7));
    Handshake::listen(Hello::new("bench", AuthKind::Inherited, [2; 32]), None, id)
}

/// Decodes an answer: the batch itself from the echo, the results from the SDK.
fn check(body: &[u8], sdk: bool) {
    if sdk {
        assert_eq!(black_box(Codec::Bincode.decode::<Committed>(body).unwrap()).results.len(), 1);
    } else {
        assert_eq!(black_box(Codec::Bincode.decode::<Commit<'_>>(body).unwrap()).items[0].data.len(), 1024);
    }
}

/// Makes the calls that bring a plugin's first sink into its run. They are worked on in order, and
/// the numbers of its objects are known.
fn prepare<C>(connection: &mut Connection<C>, mut context: impl FnMut() -> C) {
    let instance = ObjectId(1);
    let initialize = Initialize::new(Member::new("m", vec![]), Group::new("g", vec![]));
    let (connect, done) =
        (Connect { slow_sync: false, read_only: false, anchor: None }, ConnectDone { slow_sync: false });
    call(connection, ObjectId::HOST, Method::INITIALIZE, &initialize, context());
    call(connection, instance, Method::DISCOVER, &(), context());
    call(connection, SINK, Method::CONNECT, &connect, context());
    call(connection, SINK, Method::CONNECT_DONE, &done, context());
}

/// How many calls that is.
const PREPARING: usize = 4;

/// The first sink of the SDK's plugin.
const SINK: ObjectId = ObjectId(2);

fn call<C, T: Serialize>(
    connection: &mut Connection<C>,
    target: ObjectId,
    method: Method,
    body: &T,
    context: C,
) {
    let called = connection.call(target, method, body, CallOptions::default(), context, Duration::ZERO);
    assert!(called.is_ok(), "{method}");
}

/// The blocking driver, called directly.
struct Blocking {
    link: BlockingLink<()>,
    batch: Commit<'static>,
    sdk: bool,
}

impl Blocking {
    /// Takes answers in until at least one has come, and looks at each with `check`.
    fn answers(&mut self, check: impl Fn(&[u8])) -> usize {
        let mut answers = 0;
        while answers == 0 {
            self.link.flush().unwrap();
            self.link.take_in(Wait::Forever).unwrap();
            let each = |event: Event<'_, ()>, _: &mut Connection<()>| match event {
                Event::Reply { body, .. } => {
                    check(body);
                    answers += 1;
                }
                other => unreachable!("{other:?}"),
            };
            self.link.events(each).unwrap();
        }
        answers
    }

    fn prepare(&mut self) {
        prepare(self.link.connection(), || ());
        let mut answers = 0;
        while answers < PREPARING {
            answers += self.answers(|_| ());
        }
    }

    fn calls(&mut self, count: usize) {
        let now = self.link.now();
        for _ in 0..count {
            let options = CallOptions::default();
            self.link.connection().call(SINK, Method::COMMIT, &self.batch, options, (), now).unwrap();
        }
    }

    /// Keeps as many calls outstanding as there shall be, until the next answers.
    fn turn(&mut self, free: &mut usize) -> usize {
        let sdk = self.sdk;
        self.calls(std::mem::take(free));
        *free = self.answers(|body| check(body, sdk));
        *free
    }
}

pub(crate) fn blocking(mut server: Server, sdk: bool, outstanding: Outstanding, time: Duration) -> Figures {
    let carrier = SocketCarrier::new(server.socket.take().unwrap().into());
    let mut link = BlockingLink::establish(Box::new(carrier), handshake(), Role::Broker).unwrap();
    link.connection().set_reply_bytes(ROOM);
    let mut client = Blocking { link, batch: payload::commit(), sdk };
    if sdk {
        client.prepare();
    }
    let mut free = outstanding.count();
    for _ in 0..100 {
        client.turn(&mut free);
    }
    let mut watch = Watch::start(&server, time);
    loop {
        let begun = Instant::now();
        let answers = client.turn(&mut free);
        if !watch.took(begun, answers) {
            let figures = watch.figures();
            drop(client);
            return figures;
        }
    }
}

type Caller = oneshot::Sender<Result<Box<[u8]>, Error>>;

/// Hands every answer to its caller, as the broker does.
struct Answers;

impl Handler<Caller> for Answers {
    fn event(&mut self, event: Event<'_, Caller>, _: &mut Connection<Caller>) {
        match event {
            Event::Reply { context, body, .. } => drop(context.send(Ok(body.into()))),
            Event::Failed { context, error, .. } => drop(context.send(Err(error))),
            other => unreachable!("{other:?}"),
        }
    }
}

/// One call, from the typed batch to the typed answer.
async fn commit(link: &Link<Caller>, batch: &Commit<'_>, sdk: bool) {
    let (tell, told) = oneshot::channel();
    let now = link.now();
    let called = link
        .send(|connection| connection.call(SINK, Method::COMMIT, batch, CallOptions::default(), tell, now));
    assert!(called.is_ok());
    check(&told.await.unwrap().unwrap(), sdk);
}

async fn prepare_tokio(link: &Link<Caller>) {
    let mut answers = Vec::new();
    let context = || {
        let (tell, told) = oneshot::channel();
        answers.push(told);
        tell
    };
    link.with(|connection| prepare(connection, context));
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
}

pub(crate) fn tokio(server: Server, sdk: bool, outstanding: Outstanding, time: Duration) -> Figures {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio_run(server, sdk, outstanding, time))
}

async fn tokio_run(mut server: Server, sdk: bool, outstanding: Outstanding, time: Duration) -> Figures {
    let socket = server.socket.take().unwrap();
    let socket = SocketStream::new(socket.into()).unwrap();
    let limit = limits::HANDSHAKE_TIME;
    let (link, driver) = Link::establish(socket, handshake(), Role::Broker, limit, Answers).await.unwrap();
    link.with(|connection| connection.set_reply_bytes(ROOM));
    let driver = ::tokio::spawn(driver);
    if sdk {
        prepare_tokio(&link).await;
    }
    for _ in 0..100 {
        commit(&link, &payload::commit(), sdk).await;
    }
    let mut watch = Watch::start(&server, time);
    let callers: Vec<_> =
        (0..outstanding.count()).map(|_| ::tokio::spawn(caller(link.clone(), sdk, watch.end))).collect();
    for caller in callers {
        watch.add(&caller.await.unwrap());
    }
    let figures = watch.figures();
    link.close();
    driver.await.unwrap();
    figures
}

/// Makes one call after the other; how long each took, in nanoseconds.
async fn caller(link: Link<Caller>, sdk: bool, end: Instant) -> Vec<u32> {
    let batch = payload::commit();
    let mut each = Vec::with_capacity(1 << 16);
    loop {
        let begun = Instant::now();
        commit(&link, &batch, sdk).await;
        let now = Instant::now();
        each.push(nanos(now - begun));
        if now >= end {
            return each;
        }
    }
}
