//! A broker of a few lines: makes calls, keeps how they ended and what the plugin says of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use outrigger_plugin_sdk::protocol::{
    AuthKind, CallId, CallOptions, Change, Codec, Commit, CommitItem, Connect, ConnectDone, Discovered,
    Error, Event, Flags, GetChanges, Group, Handshake, Hello, IncomingCall, Initialize, Initialized, Member,
    Method, ObjectId, Role, SessionId, Snapshot,
};
use outrigger_plugin_sdk::serve_on;
use outrigger_transport::memory::{CAPACITY, MemoryEnd, pair};
use outrigger_transport::{BlockingLink, Carrier, LinkError, Wait};
use serde::{Deserialize, Serialize};

use crate::connector::Connector;

pub(crate) type Served = JoinHandle<Result<(), LinkError>>;
pub(crate) type Answer = Result<Vec<u8>, Error>;

/// A call of the plugin.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: CallId,
    pub(crate) target: ObjectId,
    pub(crate) method: Method,
    pub(crate) parent: Option<CallId>,
    pub(crate) total: Option<Duration>,
    body: Vec<u8>,
}

impl Asked {
    pub(crate) fn body<T: for<'a> Deserialize<'a>>(&self) -> T {
        Codec::Bincode.decode(&self.body).unwrap()
    }
}

impl From<IncomingCall<'_>> for Asked {
    fn from(call: IncomingCall<'_>) -> Self {
        assert_eq!(call.parent.is_some(), call.flags.has(Flags::NESTED));
        let IncomingCall { id, target, method, parent, total, body, .. } = call;
        Self { id, target, method, parent, total, body: body.to_vec() }
    }
}

pub(crate) struct Client {
    pub(crate) link: BlockingLink<u32>,
    asked: VecDeque<Asked>,
    given_up: VecDeque<CallId>,
    notices: VecDeque<ObjectId>,
    ids: Vec<CallId>,
    ends: HashMap<u32, Answer>,
    pub(crate) hrefs: Vec<String>,
    pub(crate) goodbye_answered: bool,
}

/// Both ends of a memory pair, with a connector served on one.
pub(crate) fn start(connector: Connector) -> (Client, Served) {
    let (ours, theirs) = pair(CAPACITY);
    let served = std::thread::spawn(move || serve_on(connector, Box::new(theirs), None));
    (Client::meet(ours), served)
}

/// The same, up to a first sink in its run.
pub(crate) fn start_run(connector: Connector) -> (Client, Served, ObjectId) {
    let (mut client, served) = start(connector);
    let (_, sinks) = client.instance();
    client.begin_run(sinks[0]);
    (client, served, sinks[0])
}

/// The names of what has reached a connector.
pub(crate) fn seen(log: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
    log.lock().unwrap().clone()
}

/// The objects of the member and the group that [`initialize`] gives.
pub(crate) const MEMBER: ObjectId = ObjectId(7);
pub(crate) const GROUP: ObjectId = ObjectId(8);

/// The member at a generation; the first is 3.
pub(crate) fn member(generation: u64) -> Member {
    Member { object: MEMBER, generation, ..Member::new("m", vec![]) }
}

pub(crate) fn initialize() -> Initialize {
    Initialize::new(member(3), Group { object: GROUP, ..Group::new("g", vec!["m".into()]) })
}

pub(crate) fn listening() -> Handshake {
    let id = SessionId(uuid::Uuid::from_u128(7));
    Handshake::listen(Hello::new("broker", AuthKind::Inherited, [2; 32]), None, id)
}

impl Client {
    pub(crate) fn meet(end: MemoryEnd) -> Self {
        Self::over(Box::new(end), listening())
    }

    pub(crate) fn over(carrier: Box<dyn Carrier>, handshake: Handshake) -> Self {
        let link = BlockingLink::establish(carrier, handshake, Role::Broker).unwrap();
        Self {
            link,
            asked: VecDeque::new(),
            given_up: VecDeque::new(),
            notices: VecDeque::new(),
            ids: vec![],
            ends: HashMap::new(),
            hrefs: vec![],
            goodbye_answered: false,
        }
    }

    /// Makes a call; it leaves with the next [`Client::turn`].
    pub(crate) fn send_with<T: Serialize + ?Sized>(
        &mut self,
        target: ObjectId,
        method: Method,
        body: &T,
        options: CallOptions,
    ) -> u32 {
        let context = u32::try_from(self.ids.len()).unwrap();
        let now = self.link.now();
        let id = self.link.connection().call(target, method, body, options, context, now).unwrap();
        self.ids.push(id);
        context
    }

    pub(crate) fn send<T: Serialize + ?Sized>(&mut self, target: ObjectId, method: Method, body: &T) -> u32 {
        self.send_with(target, method, body, CallOptions::default())
    }

    pub(crate) fn commit(&mut self, sink: ObjectId, item: CommitItem<'_>) -> u32 {
        self.send(sink, Method::COMMIT, &Commit { items: vec![item] })
    }

    pub(crate) fn cancel(&mut self, context: u32) {
        let (id, now) = (self.ids[context as usize], self.link.now());
        assert!(self.link.connection().cancel(id, now).is_none(), "it has left");
        self.link.flush().unwrap();
    }

    /// Writes what is ready, and takes in what comes; items count as consumed when `consume`.
    pub(crate) fn turn(&mut self, consume: bool) -> Result<u64, LinkError> {
        self.link.flush()?;
        self.link.take_in(Wait::Forever)?;
        let mut data = 0;
        let Self { link, asked, given_up, notices, ends, hrefs, goodbye_answered, .. } = self;
        link.events(|event, connection| match event {
            Event::Reply { context, body, .. } => {
                assert!(ends.insert(context, Ok(body.to_vec())).is_none(), "two answers");
            }
            Event::Failed { context, error, .. } => {
                assert!(ends.insert(context, Err(error)).is_none(), "two answers");
            }
            Event::Items { stream, items, .. } => {
                items.for_each(|item| note(hrefs, item)).unwrap();
                data += items.bytes;
                if consume {
                    connection.consumed(stream, items.bytes).unwrap();
                }
            }
            Event::Call(call) => asked.push_back(call.into()),
            Event::Cancel(call) => given_up.push_back(call),
            Event::Notify(object) => notices.push_back(object),
            Event::Closed => *goodbye_answered = true,
            _ => {}
        })?;
        Ok(data)
    }

    /// Waits for the answer to a call.
    pub(crate) fn wait(&mut self, context: u32) -> Answer {
        loop {
            if let Some(answer) = self.ends.remove(&context) {
                return answer;
            }
            self.turn(true).unwrap();
        }
    }

    /// The plugin's next call.
    pub(crate) fn asked(&mut self) -> Asked {
        self.next(|client| client.asked.pop_front())
    }

    /// The next of its calls that the plugin gives up.
    pub(crate) fn given_up(&mut self) -> CallId {
        self.next(|client| client.given_up.pop_front())
    }

    /// The next object of which the plugin says that something changed.
    pub(crate) fn noticed(&mut self) -> ObjectId {
        self.next(|client| client.notices.pop_front())
    }

    fn next<T>(&mut self, of: impl Fn(&mut Self) -> Option<T>) -> T {
        loop {
            if let Some(found) = of(self) {
                return found;
            }
            self.turn(true).unwrap();
        }
    }

    pub(crate) fn reply<T: Serialize + ?Sized>(&mut self, asked: &Asked, body: &T) {
        assert!(self.link.connection().reply(asked.id, body), "it was answered before");
        self.link.flush().unwrap();
    }

    pub(crate) fn fail(&mut self, asked: &Asked, error: &Error) {
        assert!(self.link.connection().fail(asked.id, error), "it was answered before");
        self.link.flush().unwrap();
    }

    pub(crate) fn tell(&mut self, snapshot: &Snapshot) {
        self.link.connection().snapshot(snapshot);
        self.link.flush().unwrap();
    }

    /// The number of a call.
    pub(crate) fn id(&self, context: u32) -> CallId {
        self.ids[context as usize]
    }

    pub(crate) fn is_answered(&self, context: u32) -> bool {
        self.ends.contains_key(&context)
    }

    pub(crate) fn call<T: Serialize + ?Sized>(
        &mut self,
        target: ObjectId,
        method: Method,
        body: &T,
    ) -> Answer {
        let context = self.send(target, method, body);
        self.wait(context)
    }

    /// Makes an instance and finds its sinks.
    pub(crate) fn instance(&mut self) -> (ObjectId, Vec<ObjectId>) {
        let made: Initialized = decoded(self.call(ObjectId::HOST, Method::INITIALIZE, &initialize()));
        (made.instance, self.discover(made.instance))
    }

    pub(crate) fn discover(&mut self, instance: ObjectId) -> Vec<ObjectId> {
        let found: Discovered = decoded(self.call(instance, Method::DISCOVER, &()));
        found.sinks.iter().map(|sink| sink.object).collect()
    }

    pub(crate) fn begin_run(&mut self, sink: ObjectId) {
        self.call(sink, Method::CONNECT, &connect()).unwrap();
        self.call(sink, Method::CONNECT_DONE, &ConnectDone { slow_sync: false }).unwrap();
    }

    /// Says goodbye, waits until that is answered, and hangs up.
    pub(crate) fn leave(mut self) {
        self.link.connection().goodbye();
        while !self.goodbye_answered {
            self.turn(true).unwrap();
        }
        assert_eq!(self.link.connection().counters.late, 0, "no call was answered twice");
        assert!(self.asked.is_empty(), "calls that no test looked at: {:?}", self.asked);
    }
}

/// Says goodbye, and expects that the plugin ends well.
pub(crate) fn part(client: Client, served: Served) {
    client.leave();
    served.join().unwrap().unwrap();
}

pub(crate) const fn connect() -> Connect {
    Connect { slow_sync: false, read_only: false, anchor: None }
}

pub(crate) fn listing() -> GetChanges {
    GetChanges { slow_sync: false, anchor: None }
}

pub(crate) fn decoded<T: for<'a> Deserialize<'a>>(answer: Answer) -> T {
    Codec::Bincode.decode(&answer.unwrap()).unwrap()
}

pub(crate) fn total(millis: u64) -> CallOptions {
    CallOptions { total: Some(Duration::from_millis(millis)), ..CallOptions::default() }
}

/// Results of a read do not decode as changes: only changes are noted.
fn note(hrefs: &mut Vec<String>, item: &[u8]) -> Result<(), ()> {
    if let Ok(change) = Codec::Bincode.decode::<Change>(item) {
        hrefs.push(change.href.to_string());
    }
    Ok(())
}
