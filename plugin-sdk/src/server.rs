//! One call: given to the instance that it is meant for, and answered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use outrigger_protocol::{Code, Error, Initialize, Initialized, Method, ObjectId, limits::MAX_CAUSES};
use outrigger_transport::{BlockingLink, LinkError};

use crate::answer::{Answer, body};
use crate::idle::Idle;
use crate::inbox::{Inbox, Queued};
use crate::instance::Instance;
use crate::objects::{Numbers, Objects, refuse};
use crate::plugin::Plugin;
use crate::work::{Work, panicked};

/// Where connectors come from, one an instance.
pub(crate) enum Plugins<P> {
    /// The one that there is, while it serves nobody.
    One(Option<P>),
    /// Made when they are needed.
    Made(Box<dyn FnMut() -> P>),
}

impl<P> Plugins<P> {
    fn take(&mut self) -> Option<P> {
        match self {
            Self::One(plugin) => plugin.take(),
            Self::Made(make) => Some(make()),
        }
    }

    fn give_back(&mut self, returned: P) {
        if let Self::One(plugin) = self {
            *plugin = Some(returned);
        }
    }
}

/// The instances of a host.
pub(crate) struct Server<P> {
    plugins: Plugins<P>,
    most: usize,
    numbers: Numbers,
    instances: Vec<Instance<P>>,
}

impl<P: Plugin> Server<P> {
    /// A host of up to `most` instances.
    pub(crate) fn new(plugins: Plugins<P>, most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { plugins, most, numbers: Numbers::default(), instances: Vec::new() }
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
        for snapshot in inbox.take_snapshots() {
            self.instances.iter_mut().for_each(|instance| instance.objects.apply(&snapshot));
        }
        let mut broken = None;
        let work = Work { call, link, inbox, broken: &mut broken };
        let answer = catch_unwind(AssertUnwindSafe(|| self.dispatch(work)));
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

    fn dispatch(&mut self, work: Work<'_>) -> Result<Answer, Error> {
        let call = work.call;
        if call.target == ObjectId::HOST {
            return self.initialize(work);
        }
        let at = self.instances.iter().position(|instance| instance.objects.own(call.target));
        let Some((at, instance)) = at.and_then(|at| Some((at, self.instances.get_mut(at)?))) else {
            return Err(refuse(Code::NOT_FOUND, format!("{}: there is no {}", call.method, call.target)));
        };
        if call.method != Method::FINALIZE {
            return instance.dispatch(work, &mut self.numbers);
        }
        instance.expect_instance(call)?;
        body::<()>(work.link, call)?;
        let instance = self.instances.swap_remove(at);
        work.inbox.forget(instance.objects.instance);
        self.finalize(instance, work)
    }

    /// Ends an instance, and all below it.
    fn finalize(&mut self, instance: Instance<P>, mut work: Work<'_>) -> Result<Answer, Error> {
        let Instance { mut plugin, objects } = instance;
        let finalized = work.with(&objects, |context| plugin.finalize(context));
        self.plugins.give_back(plugin);
        finalized.map(|()| Answer::Nothing)
    }

    fn initialize(&mut self, mut work: Work<'_>) -> Result<Answer, Error> {
        let call = work.call;
        if call.method != Method::INITIALIZE {
            return Err(refuse(Code::UNIMPLEMENTED, format!("the host does not know {}", call.method)));
        }
        let request: Initialize = body(work.link, call)?;
        let plugin = if self.instances.len() < self.most { self.plugins.take() } else { None };
        let Some(mut plugin) = plugin else {
            let text = format!("this host serves as many instances as it can: {}", self.instances.len());
            return Err(refuse(Code::INVALID_STATE, text));
        };
        let objects = Objects::new(self.numbers.next(), request.member.clone(), request.group.clone());
        let initialized = work.with(&objects, |context| {
            plugin.initialize(request, context)?;
            Ok(plugin.formats())
        });
        match initialized {
            Ok(formats) => {
                let instance = objects.instance;
                self.instances.push(Instance { plugin, objects });
                Ok(Answer::Initialized(Initialized { instance, formats }))
            }
            Err(error) => {
                self.plugins.give_back(plugin);
                Err(error)
            }
        }
    }

    /// No call waits: lets every connector look around. Returns after how long one wants to look
    /// again.
    pub(crate) fn idle(&mut self, link: &mut BlockingLink<()>) -> Option<Duration> {
        let each = self.instances.iter_mut().filter_map(|Instance { plugin, objects }| {
            let mut idle = Idle::new(link, objects);
            let looked = catch_unwind(AssertUnwindSafe(|| plugin.idle(&mut idle)));
            looked.unwrap_or(None) // a connector whose watching panics still answers calls
        });
        each.min()
    }
}
