//! The objects that a plugin has given out: its instance and its sinks, by number.

use outrigger_protocol::{Blame, Code, Error, ObjectId, Sink};

use crate::plugin::Collection;

/// How far a sink is in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkState {
    Idle,
    Connected,
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

    /// The name of a sink that is in `state`.
    pub(crate) fn expect(&self, target: ObjectId, state: SinkState) -> Result<&str, Error> {
        let sink = self.sinks.iter().find(|sink| sink.object == target);
        let sink = sink.ok_or_else(|| refuse(Code::NOT_FOUND, format!("there is no {target}")))?;
        if sink.state == state {
            return Ok(&sink.name);
        }
        let is = if sink.state == SinkState::Idle { "not connected" } else { "connected already" };
        Err(refuse(Code::INVALID_STATE, format!("the sink {} is {is}", sink.name)))
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
