//! What a connector can say while no call is at work.

use outrigger_protocol::{Level, Log};
use outrigger_transport::BlockingLink;

use crate::objects::Objects;

/// Between two calls.
#[derive(Debug)]
pub struct Idle<'i> {
    link: &'i mut BlockingLink<()>,
    objects: &'i Objects,
}

impl<'i> Idle<'i> {
    pub(crate) const fn new(link: &'i mut BlockingLink<()>, objects: &'i Objects) -> Self {
        Self { link, objects }
    }

    /// Says that something changed in a collection; of one that was not discovered, that something
    /// changed at all.
    pub fn notify(&mut self, sink: &str) {
        let target = self.objects.object(sink).unwrap_or(self.objects.instance);
        self.link.connection().notify(target);
    }

    /// Writes a line to the log of the broker.
    pub fn log(&mut self, level: Level, message: impl Into<String>) {
        self.link.connection().log(&Log { level, message: message.into() });
    }
}
