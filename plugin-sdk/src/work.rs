//! A call at work: what it needs of the connection, and how the connector gets at it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use outrigger_protocol::{Code, Effect, Error, Method, ObjectId};
use outrigger_transport::{BlockingLink, LinkError};

use crate::context::Context;
use crate::inbox::{Inbox, Queued};
use crate::objects::Objects;

/// A call at work.
pub(crate) struct Work<'w> {
    pub(crate) call: &'w Queued,
    pub(crate) link: &'w mut BlockingLink<()>,
    pub(crate) inbox: &'w mut Inbox,
    /// What broke the connection meanwhile, if anything did.
    pub(crate) broken: &'w mut Option<LinkError>,
}

impl Work<'_> {
    /// Lets the connector work on it. A panic is an error like any other, so that what was taken
    /// out for the call is put back.
    pub(crate) fn with<T>(
        &mut self,
        objects: &Objects,
        act: impl FnOnce(&mut Context<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let known = (&objects.member, &objects.group);
        let mut context = Context::new(self.link, self.inbox, self.call, known, self.broken);
        if context.target == ObjectId::HOST {
            context.target = objects.instance; // it is being made: what concerns it concerns no other
        }
        let acted = catch_unwind(AssertUnwindSafe(|| act(&mut context)));
        acted.unwrap_or_else(|panic| Err(panicked(self.call.method, &*panic)))
    }
}

/// The answer of a call whose connector panicked.
pub(crate) fn panicked(method: Method, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::new(Code::PANIC, format!("{method}: the connector panicked: {text}")).with_effect(Effect::Unknown)
}
