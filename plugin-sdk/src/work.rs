//! A call at work: what it needs of the connection, and how the connector gets at it.

use outrigger_protocol::Error;
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
    /// Lets the connector work on it.
    pub(crate) fn with<T>(
        &mut self,
        objects: &Objects,
        act: impl FnOnce(&mut Context<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let known = (&objects.member, &objects.group);
        act(&mut Context::new(self.link, self.inbox, self.call, known, self.broken))
    }
}
