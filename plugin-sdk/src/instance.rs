//! One instance: a connector, whom it serves, and the calls on it and its sinks.

use outrigger_protocol::{
    Code, Commit, Committed, Compare, Compared, CreateCollection, Discovered, Effect, Error, Listing, Method,
    Read, Remarshal, Remarshalled,
};

use crate::answer::{Answer, body};
use crate::context::{ChangeSink, Context, ReadSink};
use crate::inbox::Queued;
use crate::objects::{Numbers, Objects, SinkState, refuse};
use crate::plugin::Plugin;
use crate::work::Work;

/// States of a sink that is to be disconnected.
const OPEN: &[SinkState] = &[SinkState::Connected, SinkState::Running, SinkState::Committed];

/// A connector and the objects that it has given out.
#[derive(Debug)]
pub(crate) struct Instance<P> {
    pub(crate) plugin: P,
    pub(crate) objects: Objects,
}

impl<P: Plugin> Instance<P> {
    /// Works on one call.
    pub(crate) fn dispatch(&mut self, work: Work<'_>, numbers: &mut Numbers) -> Result<Answer, Error> {
        use SinkState::{Committed, Connected, Running};
        match work.call.method {
            Method::DISCOVER => self.discover(work, numbers),
            Method::CREATE_COLLECTION => self.create_collection(work, numbers),
            Method::REMARSHAL => self.remarshal(work),
            Method::COMPARE => self.compare(work),
            Method::CONNECT => self.connect(work),
            Method::CONNECT_DONE => {
                let request = body(work.link, work.call)?;
                self.step(work, Connected, Running, |plugin, sink, context| {
                    plugin.connect_done(sink, request, context)
                })
            }
            Method::GET_CHANGES => self.get_changes(work),
            Method::READ => self.read(work),
            Method::COMMIT => self.commit(work),
            Method::COMMITTED_ALL => {
                body::<()>(work.link, work.call)?;
                self.step(work, Running, Committed, P::committed_all)
            }
            Method::SYNC_DONE => {
                body::<()>(work.link, work.call)?;
                self.step(work, Committed, Committed, P::sync_done)
            }
            Method::DISCONNECT => self.disconnect(work),
            unknown => Err(refuse(Code::UNIMPLEMENTED, format!("{unknown} is not known here"))),
        }
    }

    /// Refuses a call to the instance that is made to a sink.
    pub(crate) fn expect_instance(&self, call: &Queued) -> Result<(), Error> {
        if self.objects.instance == call.target {
            return Ok(());
        }
        Err(refuse(Code::NOT_FOUND, format!("{}: {} is not an instance", call.method, call.target)))
    }

    fn discover(&mut self, mut work: Work<'_>, numbers: &mut Numbers) -> Result<Answer, Error> {
        self.expect_instance(work.call)?;
        body::<()>(work.link, work.call)?;
        let collections = work.with(&self.objects, |context| self.plugin.discover(context))?;
        let main = self.plugin.has_main_sink().then(|| self.objects.main_sink(numbers));
        let sinks = collections.into_iter().map(|collection| self.objects.sink(collection, numbers));
        let sinks = sinks.collect::<Result<Vec<_>, _>>()?;
        for object in main.into_iter().chain(sinks.iter().map(|sink| sink.object)) {
            work.inbox.belongs(object, self.objects.instance);
        }
        Ok(Answer::Discovered(Discovered { main, sinks, can_create: self.plugin.can_create() }))
    }

    fn create_collection(&mut self, mut work: Work<'_>, numbers: &mut Numbers) -> Result<Answer, Error> {
        self.expect_instance(work.call)?;
        let request: CreateCollection = body(work.link, work.call)?;
        let made = work.with(&self.objects, |context| self.plugin.create_collection(request, context))?;
        let sink = self.objects.sink(made, numbers)?;
        work.inbox.belongs(sink.object, self.objects.instance);
        Ok(Answer::Sink(Box::new(sink)))
    }

    fn remarshal(&mut self, work: Work<'_>) -> Result<Answer, Error> {
        self.expect_instance(work.call)?;
        let request: Remarshal = body(work.link, work.call)?;
        let data = self.plugin.remarshal(&request.format, &request.data)?.into();
        Ok(Answer::Remarshalled(Remarshalled { data }))
    }

    fn compare(&mut self, work: Work<'_>) -> Result<Answer, Error> {
        self.expect_instance(work.call)?;
        let request: Compare = body(work.link, work.call)?;
        let verdict = self.plugin.compare(&request.format, &request.left, &request.right)?;
        Ok(Answer::Compared(Compared { verdict }))
    }

    fn connect(&mut self, mut work: Work<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect(work.call.target, &[SinkState::Idle])?;
        let request = body(work.link, work.call)?;
        let connected = work.with(&self.objects, |context| self.plugin.connect(&sink, request, context))?;
        self.objects.set_state(work.call.target, SinkState::Connected);
        Ok(Answer::Connected(connected))
    }

    fn disconnect(&mut self, mut work: Work<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect(work.call.target, OPEN)?;
        body::<()>(work.link, work.call)?;
        let disconnected = work.with(&self.objects, |context| self.plugin.disconnect(&sink, context));
        self.objects.set_state(work.call.target, SinkState::Idle);
        disconnected.map(|()| Answer::Nothing)
    }

    /// A call that answers nothing and, when it succeeds, takes a sink from one state to the next.
    fn step(
        &mut self,
        mut work: Work<'_>,
        from: SinkState,
        to: SinkState,
        act: impl FnOnce(&mut P, &str, &mut Context<'_>) -> Result<(), Error>,
    ) -> Result<Answer, Error> {
        let sink = self.objects.expect(work.call.target, &[from])?;
        work.with(&self.objects, |context| act(&mut self.plugin, &sink, context))?;
        self.objects.set_state(work.call.target, to);
        Ok(Answer::Nothing)
    }

    fn get_changes(&mut self, mut work: Work<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect_collection(work.call.target, &[SinkState::Running])?;
        let request = body(work.link, work.call)?;
        work.with(&self.objects, |context| {
            let mut changes = ChangeSink::new(context)?;
            let end = self.plugin.get_changes(&sink, request, &mut changes)?;
            let (complete, count, anchor) = (end.complete, changes.count(), end.anchor);
            Ok(Answer::Listing(Listing { complete, count, anchor }))
        })
    }

    fn read(&mut self, mut work: Work<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect_collection(work.call.target, &[SinkState::Running])?;
        let items = body::<Read>(work.link, work.call)?.items;
        let asked = items.len();
        let answered = work.with(&self.objects, |context| {
            let mut results = ReadSink::new(context)?;
            self.plugin.read(&sink, items, &mut results)?;
            Ok(results.count() as usize)
        })?;
        if answered == asked {
            return Ok(Answer::Nothing);
        }
        Err(Error::new(Code::INTERNAL, format!("the connector answered {answered} of {asked} items")))
    }

    fn commit(&mut self, mut work: Work<'_>) -> Result<Answer, Error> {
        let sink = self.objects.expect_collection(work.call.target, &[SinkState::Running])?;
        let batch = body::<Commit<'_>>(work.link, work.call)?;
        let asked = batch.items.len();
        let results = work.with(&self.objects, |context| self.plugin.commit(&sink, batch, context))?;
        if results.len() == asked {
            return Ok(Answer::Committed(Committed { results }));
        }
        let text = format!("the connector answered {} of {asked} items", results.len());
        Err(Error::new(Code::INTERNAL, text).with_effect(Effect::Unknown))
    }
}
