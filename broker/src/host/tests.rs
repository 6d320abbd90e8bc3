//! Whoever goes away in mid-frame, a caller or the driver: the futures are polled by hand, over a
//! line that holds a few bytes, and dropped between any two polls.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::Poll;

use outrigger_protocol::{AuthKind, Codec, Event, Handshake, Hello, Role, SessionId, limits};
use outrigger_transport::memory::{Line, MemoryEnd, pair};
use outrigger_transport::{Handler, LinkError};

use super::*;

mod proxies;

const ECHO: Method = Method(900);

/// Steps that suffice for whatever moves at all.
const ENOUGH: usize = 100_000;

type Called = Pin<Box<dyn Future<Output = Result<Box<[u8]>, Error>>>>;
type Driver = Pin<Box<dyn Future<Output = Ending> + Send>>;

/// What is counted of a connection: contexts that came out as events, bodies that the peer was given.
#[derive(Clone, Default)]
struct Seen {
    ended: Arc<Mutex<Vec<CallId>>>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// The host's own handler, counted.
struct Counted(Events, Seen);

impl Handler<Caller> for Counted {
    fn event(&mut self, event: Event<'_, Caller>, connection: &mut Connection<Caller>) {
        if let Event::Reply { call, .. } | Event::Failed { call, .. } = &event {
            self.1.ended.lock().unwrap().push(*call);
        }
        self.0.event(event, connection);
    }
}

/// A peer that answers with the request, if that is whole.
struct Echo(Seen);

impl Handler<()> for Echo {
    fn event(&mut self, event: Event<'_, ()>, connection: &mut Connection<()>) {
        if let Event::Call(call) = event {
            let body: Vec<u8> = Codec::Bincode.decode(call.body).unwrap();
            connection.reply(call.id, &body);
            self.0.bodies.lock().unwrap().push(body);
        }
    }
}

/// A host whose plugin is the other end of a line in memory; nothing moves unless it is stepped.
struct Stage {
    host: PluginHost,
    driver: Option<Driver>,
    peer: Driver,
    ending: Option<Ending>,
    peer_ending: Option<Ending>,
    line: Line,
    greeted: u64,
    seen: Seen,
    /// The context of every call holds a copy.
    contexts: Arc<()>,
    end: watch::Sender<Option<Arc<Final>>>,
}

impl Stage {
    /// `capacity`: of the line, in bytes. `max_calls`: how many the peer takes at a time.
    async fn new(capacity: usize, max_calls: u32) -> Self {
        let ends = pair(capacity);
        let (seen, line) = (Seen::default(), ends.0.outgoing());
        let (events, wiring, _) = PluginHost::wiring(&Arc::new(PluginLog::new("m".into())));
        let (ours, theirs) = (Counted(events, seen.clone()), Echo(seen.clone()));
        let ((link, driver), (_, peer)) = greet(ends, max_calls, ours, theirs).await;
        let (host, end) = host(link, wiring);
        let greeted = line.carried();
        Self {
            host,
            driver: Some(driver),
            peer,
            ending: None,
            peer_ending: None,
            line,
            greeted,
            seen,
            contexts: Arc::default(),
            end,
        }
    }

    /// Bytes that have left since the handshake.
    fn sent(&self) -> usize {
        usize::try_from(self.line.carried() - self.greeted).unwrap()
    }

    /// The future of a call, which has not been polled.
    fn call(&self, target: u32, body: &Bytes) -> Called {
        let (host, body, context) = (self.host.clone(), body.clone(), Arc::clone(&self.contexts));
        Box::pin(async move {
            let on_item: OnItem = Box::new(move |_| Err(format!("no item belongs to {context:?}")));
            let request = (serde_bytes::Bytes::new(&body), std::slice::from_ref(&body));
            host.call_raw(ObjectId(target), ECHO, request, Some(on_item), false).await
        })
    }

    /// Polls each driver once.
    async fn step(&mut self) {
        if let Some(driver) = self.driver.as_mut().filter(|_| self.ending.is_none()) {
            self.ending = poll_once(driver).await;
        }
        if self.peer_ending.is_none() {
            self.peer_ending = poll_once(&mut self.peer).await;
        }
        tokio::task::yield_now().await; // the runtime counts polls
    }

    /// Steps until the call has an answer.
    async fn answer(&mut self, mut call: Called) -> Result<Vec<u8>, Error> {
        for _ in 0..ENOUGH {
            if let Some(answer) = poll_once(&mut call).await {
                return answer.map(|body| Codec::Bincode.decode(&body).unwrap());
            }
            self.step().await;
        }
        panic!("a call has no end");
    }

    /// Says goodbye, and steps until both ends have gone.
    async fn finish(&mut self) {
        self.host.link.with(|connection| connection.goodbye());
        for _ in 0..ENOUGH {
            if self.peer_ending.is_some() && (self.driver.is_none() || self.ending.is_some()) {
                return;
            }
            self.step().await;
        }
        panic!("the connection has no end");
    }

    /// The process is told to have ended, so that nobody waits for that.
    fn buried(&self) {
        let death = Death {
            plugin: "m".into(),
            exit: None,
            last_words: Vec::new(),
            calls_in_flight: 0,
            connection: None,
            fault: None,
            with_broker: false,
        };
        self.end.send_replace(Some(Arc::new(Final { death, ended: None, gone: true })));
    }

    /// No context is left anywhere, none came out twice, and the peer was given whole bodies only:
    /// each of `sent` once at most, in order. Returns those.
    fn whole(&self, sent: &[&Bytes], what: &str) -> Vec<Vec<u8>> {
        assert_eq!(Arc::strong_count(&self.contexts), 1, "{what}: a context is left");
        let mut ended = self.seen.ended.lock().unwrap().clone();
        ended.sort_unstable();
        ended.dedup();
        assert_eq!(ended.len(), self.seen.ended.lock().unwrap().len(), "{what}: one came out twice");
        let bodies = self.seen.bodies.lock().unwrap().clone();
        let mut rest = sent.iter();
        assert!(bodies.iter().all(|body| rest.any(|sent| *sent == body)), "{what}: {bodies:?}");
        bodies
    }
}

/// The connection of a host, and of a plugin that takes so many calls at a time.
async fn greet<P: Handler<()> + 'static>(
    (ours, theirs): (MemoryEnd, MemoryEnd),
    max_calls: u32,
    events: impl Handler<Caller> + 'static,
    plugin: P,
) -> ((Link<Caller>, Driver), (Link<()>, Driver)) {
    let hello = Hello::new("broker", AuthKind::Inherited, [2; 32]);
    let listen = Handshake::listen(hello, None, SessionId(uuid::Uuid::from_u128(7)));
    let mut hello = Hello::new("plugin", AuthKind::Inherited, [1; 32]);
    hello.limits.max_calls = max_calls;
    let (dial, limit) = (Handshake::dial(hello, None), limits::HANDSHAKE_TIME);
    let (ours, theirs) = tokio::join!(
        Link::establish(ours, listen, Role::Broker, limit, events),
        Link::establish(theirs, dial, Role::Plugin, limit, plugin),
    );
    let ((link, driver), (their_link, serving)) = (ours.unwrap(), theirs.unwrap());
    ((link, Box::pin(driver)), (their_link, Box::pin(serving)))
}

/// A host of no process, and the word that it has ended.
fn host(link: Link<Caller>, wiring: Wiring) -> (PluginHost, watch::Sender<Option<Arc<Final>>>) {
    let report = Report::nothing("it is no process", "");
    let facts = Facts { name: "m".into(), pid: 0, keeper_pid: None, start: Duration::ZERO, report };
    let (tell, end) = watch::channel(None);
    let (stop, _) = mpsc::channel(1);
    let (exports, traffic) = (Arc::default(), Arc::default());
    (
        PluginHost { facts: Arc::new(facts), link, wiring, calls_timeout: None, exports, traffic, stop, end },
        tell,
    )
}

async fn poll_once<T>(future: &mut Pin<Box<impl Future<Output = T> + ?Sized>>) -> Option<T> {
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Three bodies that cannot be taken for each other, nor a part of one for another.
fn bodies(length: usize) -> [Bytes; 3] {
    [1u8, 2, 3].map(|first| (0..length).map(|at| first.wrapping_add(at.to_le_bytes()[0])).collect())
}

/// What became of a call whose caller went away.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Left {
    /// It was answered before.
    Answered,
    /// Nothing of it was sent.
    Nothing,
    /// A part of its frame had been sent, and the rest followed.
    Part,
    /// All of it had been sent.
    Whole,
}

/// Three calls, of which the second is dropped after `polls` polls; the others must not notice.
async fn second_goes_away(capacity: usize, max_calls: u32, length: usize, polls: usize) -> Left {
    let what = format!("dropped after {polls} polls, {length} bytes over {capacity}, window {max_calls}");
    let mut stage = Stage::new(capacity, max_calls).await;
    let [first, second, third] = bodies(length);
    let (mut kept, mut dropped, later) =
        (stage.call(1, &first), stage.call(2, &second), stage.call(3, &third));
    let mut answered = poll_once(&mut kept).await;
    assert!(answered.is_none(), "{what}");
    let mut left = None;
    for _ in 0..polls {
        if let Some(answer) = poll_once(&mut dropped).await {
            assert!(answer.is_ok(), "{what}: {answer:?}");
            left = Some(Left::Answered);
            break;
        }
        stage.step().await;
        answered = if answered.is_none() { poll_once(&mut kept).await } else { answered };
    }
    let sent = stage.sent();
    drop(dropped);
    if let Some(answer) = answered {
        assert!(answer.is_ok(), "{what}");
    } else {
        assert_eq!(stage.answer(kept).await.unwrap(), first, "{what}");
    }
    assert_eq!(stage.answer(later).await.unwrap(), third, "{what}");
    stage.finish().await;
    assert!(matches!(stage.ending, Some(Ending::Done)), "{what}: {:?}", stage.ending);
    let peer = stage.peer_ending.as_ref();
    let between_frames =
        matches!(peer, Some(Ending::Done | Ending::Failed(LinkError::Closed { mid_frame: false })));
    assert!(between_frames, "{what}: {peer:?}");
    let heard = stage.whole(&[&first, &second, &third], &what);
    let frame = limits::HEADER + 8 + length;
    left.unwrap_or(match (heard.len(), sent) {
        (2, _) => Left::Nothing,
        (_, sent) if sent < 2 * frame => Left::Part,
        _ => Left::Whole,
    })
}

/// Also where the frame is of several runs, and where the call waits for room.
/// Holds S16.
#[tokio::test]
async fn a_caller_that_goes_away_at_any_moment_leaves_no_half_frame() {
    for (capacity, max_calls, length) in [(1, 64, 20), (1, 1, 20), (100, 64, 6000), (100, 1, 6000)] {
        let mut seen = Vec::new();
        while seen.last() != Some(&Left::Answered) {
            seen.push(second_goes_away(capacity, max_calls, length, seen.len()).await);
        }
        let count = |wanted: Left| seen.iter().filter(|left| **left == wanted).count();
        assert!(seen.is_sorted_by_key(|left| if *left == Left::Answered { Left::Whole } else { *left }));
        assert!(count(Left::Nothing) > 1, "{seen:?}");
        assert!(count(Left::Part) > 20, "{seen:?}");
        assert!(count(Left::Whole) > 1, "{seen:?}");
    }
}

/// A call's answer, and what the peer was given: never less than what the answer says.
fn assert_told(answer: &Result<Vec<u8>, Error>, body: &Bytes, heard: &[Vec<u8>], what: &str) {
    match answer {
        Ok(answered) => assert!(answered == body && heard.contains(answered), "{what}"),
        Err(error) => {
            assert_eq!(error.code, Code::DISCONNECTED, "{what}: {error:?}");
            let was_heard = heard.iter().any(|heard| heard == body);
            assert!(!was_heard || error.effect == Effect::Unknown, "{what}: {error:?}");
        }
    }
}

/// Three calls and a goodbye, whose driver is dropped after `polls` polls. The line then ends
/// wherever it was; the peer was given whole bodies only, and knows that the rest is missing.
async fn driver_goes_away(capacity: usize, length: usize, polls: usize) -> Option<bool> {
    let what = format!("the driver is dropped after {polls} polls, {length} bytes over {capacity}");
    let mut stage = Stage::new(capacity, 64).await;
    let bodies = bodies(length);
    let mut calls = [1, 2, 3].map(|target| stage.call(target, &bodies[target as usize - 1]));
    for call in &mut calls {
        assert!(poll_once(call).await.is_none(), "{what}");
    }
    stage.host.link.with(|connection| connection.goodbye());
    for _ in 0..polls {
        stage.step().await;
    }
    stage.driver = None;
    let done = stage.ending.is_some();
    let [first, mut dropped, third] = calls;
    // A call that is lost first waits to hear how the plugin ended: this one does so in vain.
    let answered = poll_once(&mut dropped).await;
    assert!(answered.is_none_or(|answer| answer.is_ok()), "{what}");
    drop(dropped);
    stage.finish().await;
    stage.buried();
    let answers = [stage.answer(first).await, stage.answer(third).await];
    let late = stage.call(4, &bodies[0]);
    assert_eq!(stage.answer(late).await.unwrap_err().code, Code::DISCONNECTED, "{what}");
    let heard = stage.whole(&bodies.each_ref(), &what);
    assert_told(&answers[0], &bodies[0], &heard, &what);
    assert_told(&answers[1], &bodies[2], &heard, &what);
    match stage.peer_ending {
        _ if done => None,
        Some(Ending::Failed(LinkError::Closed { mid_frame })) => Some(mid_frame),
        ending => panic!("{what}: {ending:?}"),
    }
}

/// Nothing half is accepted: the frame that was being written is missing as a whole.
/// Holds S16.
#[tokio::test]
async fn a_driver_that_goes_away_at_any_moment_leaves_nothing_half_accepted() {
    for (capacity, length) in [(1, 20), (100, 6000)] {
        let mut cut = Vec::new();
        while let Some(mid_frame) = driver_goes_away(capacity, length, cut.len()).await {
            cut.push(mid_frame);
        }
        assert!(cut.iter().filter(|mid_frame| **mid_frame).count() > 50, "{cut:?}");
        assert!(cut.contains(&false), "{cut:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_says_nothing_of_what_was_done() {
    let stage = Stage::new(4096, 8).await;
    let error = stage.host.read::<u64>(Method::COMMIT, b"short").unwrap_err();
    assert_eq!((error.code, error.blame, error.effect), (Code::INVALID, Blame::Plugin, Effect::Unknown));
}
