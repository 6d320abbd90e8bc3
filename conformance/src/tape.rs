//! The tape: what went over a connection, with the time, for traces and recordings.

use std::time::{Duration, Instant};

use crate::message::Message;

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the broker.
    ToPlugin,
    /// From the plugin.
    FromPlugin,
}

/// What went over the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'m> {
    /// The first bytes of a side.
    Preface,
    /// A frame.
    Frame(&'m Message),
}

/// Hears everything on one connection: when (from its beginning), which way, what.
pub type Listener<'l> = dyn FnMut(Duration, Direction, Heard<'_>) + Send + 'l;

/// Tells a listener, if there is one.
pub(crate) struct Tape {
    begun: Instant,
    listener: Option<Box<Listener<'static>>>,
}

impl Tape {
    /// Nobody listens.
    pub(crate) fn off() -> Self {
        Self { begun: Instant::now(), listener: None }
    }

    /// Tells `listener`.
    pub(crate) fn to(listener: Box<Listener<'static>>) -> Self {
        Self { begun: Instant::now(), listener: Some(listener) }
    }

    pub(crate) fn preface(&mut self, direction: Direction) {
        self.tell(direction, Heard::Preface);
    }

    pub(crate) fn frame(&mut self, direction: Direction, message: &Message) {
        self.tell(direction, Heard::Frame(message));
    }

    fn tell(&mut self, direction: Direction, heard: Heard<'_>) {
        if let Some(listener) = &mut self.listener {
            listener(self.begun.elapsed(), direction, heard);
        }
    }
}
