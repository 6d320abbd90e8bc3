//! One call: decoded, given to the connector, answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use outrigger_protocol::{
    Code, Codec, Commit, Committed, CreateCollection, Discovered, Effect, Error, Initialize, Initialized,
    Listing, Method, ObjectId, Read, limits::MAX_CAUSES,
};
use outrigger_transport::{BlockingLink, LinkError};
use serde::{Deserialize, Serialize};

use crate::context::{ChangeSink, Context, ReadSink};
use crate::inbox::{Inbox, Queued};
use crate::objects::{Objects, SinkState, refuse};
use crate::plugin::Plugin;

/// States of a sink that is to be disconnected.
const OPEN: &[SinkState] = &[SinkState::Connected, SinkState::Running, SinkState::Committed];

/// A connector and the objects that it has given out.
#[derive(Debug)]
pub(crate) struct Server<P> {
    plugin: P,
    objects: Objects,
}

impl<P: Plugin> Server<P> {
    pub(crate) fn new(plugin: P) -> Self {
        Self { plugin, objects: Objects::default() }
    }

    /// Works on one call and answers it.
    ///
    /// # Errors
    /// The connection broke meanwhile.
    pub(crate) fn handle(
        &mut self,
        call: &Queued,
        link: &mut BlockingLink<()>,
        inbox: &mut Inbox,
    ) -> Result<(), LinkError> {
        let mut context = Context::new(link, inbox, call.id, call.total);
        let answer = catch_unwind(AssertUnwindSafe(|| self.dispatch(call, &mut context)));
        let broken = context.take_broken();
        inbox.finish();
        match answer.unwrap_or_else(|panic| Err(panicked(call.method, &*panic))) {
            Ok(answer) => answer.send(link, call),
            Err(mut error) => {
                error.causes.truncate(MAX_CAUSES); // the connector may have put in any number
                link.connection().fail(call.id, &error);
            }
        }
        broken.map_or(Ok(()), Err)
    }

    fn dispatch(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        match call.method {
            Method::INITIALIZE => self.initialize(call, context),
            Method::DISCOVER => self.discover(call, context),
            Method::CREATE_COLLECTION => self.create_collection(call, context),
            Method::CONNECT => self.connect(call, context),
            Method::CONNECT_DONE => {
                self.step(call, SinkState::Connected, SinkState::Running, |plugin, sink| {
                    plugin.connect_done(sink, body(call)?, context)
                })
            }
            Method::GET_CHANGES => self.get_changes(call, context),
            Method::READ => self.read(call, context),
            Method::COMMIT => self.commit(call, context),
            Method::COMMITTED_ALL => {
                self.step(call, SinkState::Running, SinkState::Committed, |plugin, sink| {
                    nothing(call)?;
                    plugin.committed_all(sink, context)
                })
            }
            Method::SYNC_DONE => {
                self.step(call, SinkState::Committed, SinkState::Committed, |plugin, sink| {
                    nothing(call)?;
                    plugin.sync_done(sink, context)
                })
            }
            Method::DISCONNECT => self.disconnect(call, context),
            Method::FINALIZE => self.finalize(call, context),
            unknown => Err(refuse(Code::UNIMPLEMENTED, format!("{unknown} is not known here"))),
        }
    }

    fn initialize(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        if call.target != ObjectId::HOST {
            return Err(refuse(Code::INVALID, "initialize is a call to the host"));
        }
        if self.objects.has_instance() {
            return Err(refuse(Code::INVALID_STATE, "this host serves an instance already"));
        }
        self.plugin.initialize(body::<Initialize>(call)?, context)?;
        Ok(Answer::Initialized(Initialized { instance: self.objects.make_instance(), formats: Vec::new() }))
    }

    fn expect_instance(&self, call: &Queued) -> Result<(), Error> {
        if self.objects.is_instance(call.target) {
            return Ok(());
        }
        Err(refuse(Code::NOT_FOUND, format!("{}: {} is not an instance", call.method, call.target)))
    }

    fn discover(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        self.expect_instance(call)?;
        nothing(call)?;
        let collections = self.plugin.discover(context)?;
        let sinks = collections.into_iter().map(|collection| self.objects.sink(collection)).collect();
        Ok(Answer::Discovered(Discovered { main: None, sinks, can_create: self.plugin.can_create() }))
    }

    fn create_collection(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        self.expect_instance(call)?;
        let collection = self.plugin.create_collection(body::<CreateCollection>(call)?, context)?;
        Ok(Answer::Sink(Box::new(self.objects.sink(collection))))
    }

    fn connect(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect(call.target, &[SinkState::Idle])?;
        let connected = self.plugin.connect(sink, body(call)?, context)?;
        self.objects.set_state(call.target, SinkState::Connected);
        Ok(Answer::Connected(connected))
    }

    fn disconnect(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect(call.target, OPEN)?;
        nothing(call)?;
        let disconnected = self.plugin.disconnect(sink, context);
        self.objects.set_state(call.target, SinkState::Idle);
        disconnected.map(|()| Answer::Nothing)
    }

    /// A call that answers nothing and, when it succeeds, takes a sink from one state to the next.
    fn step(
        &mut self,
        call: &Queued,
        from: SinkState,
        to: SinkState,
        act: impl FnOnce(&mut P, &str) -> Result<(), Error>,
    ) -> Result<Answer, Error> {
        let sink = self.objects.expect(call.target, &[from])?;
        act(&mut self.plugin, sink)?;
        self.objects.set_state(call.target, to);
        Ok(Answer::Nothing)
    }

    fn get_changes(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect(call.target, &[SinkState::Running])?;
        let mut changes = ChangeSink::new(context)?;
        let end = self.plugin.get_changes(sink, body(call)?, &mut changes)?;
        Ok(Answer::Listing(Listing { complete: end.complete, count: changes.count(), anchor: end.anchor }))
    }

    fn read(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect(call.target, &[SinkState::Running])?;
        let items = body::<Read>(call)?.items;
        let asked = items.len();
        let mut results = ReadSink::new(context)?;
        self.plugin.read(sink, items, &mut results)?;
        if results.count() as usize == asked {
            return Ok(Answer::Nothing);
        }
        Err(Error::new(
            Code::INTERNAL,
            format!("the connector answered {} of {asked} items", results.count()),
        ))
    }

    fn commit(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect(call.target, &[SinkState::Running])?;
        let batch = body::<Commit<'_>>(call)?;
        let asked = batch.items.len();
        let results = self.plugin.commit(sink, batch, context)?;
        if results.len() == asked {
            return Ok(Answer::Committed(Committed { results }));
        }
        let text = format!("the connector answered {} of {asked} items", results.len());
        Err(Error::new(Code::INTERNAL, text).with_effect(Effect::Unknown))
    }

    fn finalize(&mut self, call: &Queued, context: &mut Context<'_>) -> Result<Answer, Error> {
        self.expect_instance(call)?;
        nothing(call)?;
        self.objects.end_instance();
        self.plugin.finalize(context).map(|()| Answer::Nothing)
    }
}

/// A successful answer, ready to be encoded.
enum Answer {
    Nothing,
    Initialized(Initialized),
    Discovered(Discovered),
    Sink(Box<outrigger_protocol::Sink>),
    Connected(outrigger_protocol::Connected),
    Listing(Listing),
    Committed(Committed),
}

impl Answer {
    fn send(&self, link: &mut BlockingLink<()>, call: &Queued) {
        fn reply<T: Serialize + ?Sized>(link: &mut BlockingLink<()>, call: &Queued, body: &T) {
            link.connection().reply(call.id, body);
        }
        match self {
            Self::Nothing => reply(link, call, &()),
            Self::Initialized(body) => reply(link, call, body),
            Self::Discovered(body) => reply(link, call, body),
            Self::Sink(body) => reply(link, call, &**body),
            Self::Connected(body) => reply(link, call, body),
            Self::Listing(body) => reply(link, call, body),
            Self::Committed(body) => reply(link, call, body),
        }
    }
}

fn body<'a, T: Deserialize<'a>>(call: &'a Queued) -> Result<T, Error> {
    Codec::Bincode
        .decode(&call.body)
        .map_err(|error| refuse(Code::INVALID, format!("{}: {error}", call.method)))
}

/// The body of a call that brings none.
fn nothing(call: &Queued) -> Result<(), Error> {
    body(call)
}

fn panicked(method: Method, panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::new(Code::PANIC, format!("{method}: the connector panicked: {text}")).with_effect(Effect::Unknown)
}
