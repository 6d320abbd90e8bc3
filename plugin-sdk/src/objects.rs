//! The objects that a plugin has given out: its instance and its sinks, by number.

use std::fmt;

use outrigger_protocol::{Blame, Code, Error, ObjectId, Sink};

use crate::plugin::Collection;

/// How far a sink is in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkState {
    /// Not connected.
    Idle,
    /// Connected, and waiting for the others.
    Connected,
    /// In its run: listing, reading, writing.
    Running,
    /// All is committed.
    Committed,
}

impl fmt::Display for SinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "not connected",
            Self::Connected => "connected, and connect_done has not come",
            Self::Running => "in its run",
            Self::Committed => "past committed_all",
        })
    }
}

#[derive(Debug)]
struct SinkObject {
    object: ObjectId,
    name: String,
    state: SinkState,
}

/// What exists. Numbers are never reused (decisions W4).
#[derive(Debug, Default)]
pub(crate) struct Objects {
    last: u32,
    instance: Option<ObjectId>,
    sinks: Vec<SinkObject>,
}

impl Objects {
    fn number(&mut self) -> ObjectId {
        self.last += 1;
        ObjectId(self.last)
    }

    /// Whether `target` is the instance.
    pub(crate) fn is_instance(&self, target: ObjectId) -> bool {
        self.instance == Some(target)
    }

    /// Whether an instance exists.
    pub(crate) const fn has_instance(&self) -> bool {
        self.instance.is_some()
    }

    pub(crate) fn make_instance(&mut self) -> ObjectId {
        let object = self.number();
        self.instance = Some(object);
        object
    }

    /// Ends the instance and all below it.
    pub(crate) fn end_instance(&mut self) {
        self.instance = None;
        self.sinks.clear();
    }

    /// The wire's view of a collection; the same name keeps its number.
    pub(crate) fn sink(&mut self, collection: Collection) -> Sink {
        let known = self.sinks.iter().find(|sink| sink.name == collection.name).map(|sink| sink.object);
        let object = known.unwrap_or_else(|| {
            let object = self.number();
            self.sinks.push(SinkObject { object, name: collection.name.clone(), state: SinkState::Idle });
            object
        });
        Sink {
            object,
            name: collection.name,
            object_types: collection.object_types,
            formats: collection.formats,
            read_only: collection.read_only,
            store: collection.store,
            unavailable: collection.unavailable,
            ext: outrigger_protocol::Extensions::default(),
        }
    }

    /// The name of a sink whose state is one of `states`.
    pub(crate) fn expect(&self, target: ObjectId, states: &[SinkState]) -> Result<&str, Error> {
        let sink = self.sinks.iter().find(|sink| sink.object == target);
        let sink = sink.ok_or_else(|| refuse(Code::NOT_FOUND, format!("there is no {target}")))?;
        if states.contains(&sink.state) {
            return Ok(&sink.name);
        }
        Err(refuse(Code::INVALID_STATE, format!("the sink {} is {}", sink.name, sink.state)))
    }

    pub(crate) fn set_state(&mut self, target: ObjectId, state: SinkState) {
        if let Some(sink) = self.sinks.iter_mut().find(|sink| sink.object == target) {
            sink.state = state;
        }
    }
}

pub(crate) fn refuse(code: Code, text: impl Into<String>) -> Error {
    Error::new(code, text).by(Blame::Caller)
}
