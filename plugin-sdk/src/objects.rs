//! The objects that a plugin has given out: its instances and their sinks, by number.

use std::fmt;

use outrigger_protocol::{Blame, Code, Error, Group, Member, ObjectId, Sink, Snapshot};

use crate::collection::{Collection, MAIN_SINK};

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

/// Gives out numbers; none twice (decisions W4).
#[derive(Debug, Default)]
pub(crate) struct Numbers(u32);

impl Numbers {
    pub(crate) const fn next(&mut self) -> ObjectId {
        self.0 += 1;
        ObjectId(self.0)
    }
}

#[derive(Debug)]
struct SinkObject {
    object: ObjectId,
    name: String,
    state: SinkState,
}

/// What is known of one instance: whom it serves, and its sinks.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) instance: ObjectId,
    pub(crate) member: Member,
    pub(crate) group: Group,
    sinks: Vec<SinkObject>,
}

impl Objects {
    pub(crate) const fn new(instance: ObjectId, member: Member, group: Group) -> Self {
        Self { instance, member, group, sinks: Vec::new() }
    }

    /// Whether `target` is the instance or one of its sinks.
    pub(crate) fn own(&self, target: ObjectId) -> bool {
        self.instance == target || self.sinks.iter().any(|sink| sink.object == target)
    }

    /// The sink called `name`; its number is made when it is first heard of, and kept.
    fn number(&mut self, name: &str, numbers: &mut Numbers) -> ObjectId {
        if let Some(known) = self.sinks.iter().find(|sink| sink.name == name) {
            return known.object;
        }
        let object = numbers.next();
        self.sinks.push(SinkObject { object, name: name.to_owned(), state: SinkState::Idle });
        object
    }

    /// The main sink's number.
    pub(crate) fn main_sink(&mut self, numbers: &mut Numbers) -> ObjectId {
        self.number(MAIN_SINK, numbers)
    }

    /// The wire's view of a collection.
    ///
    /// # Errors
    /// It has the main sink's name.
    pub(crate) fn sink(&mut self, collection: Collection, numbers: &mut Numbers) -> Result<Sink, Error> {
        if collection.name == MAIN_SINK {
            return Err(Error::new(Code::INTERNAL, "the connector named a collection without a name"));
        }
        let sink = Sink {
            object: self.number(&collection.name, numbers),
            name: collection.name,
            object_types: collection.object_types,
            formats: collection.formats,
            read_only: collection.read_only,
            store: collection.store,
            unavailable: collection.unavailable,
            ext: outrigger_protocol::Extensions::default(),
        };
        Ok(match collection.dedupe {
            Some(dedupe) => sink.with_dedupe(dedupe),
            None => sink,
        })
    }

    /// The number of the sink called `name`.
    pub(crate) fn object(&self, name: &str) -> Option<ObjectId> {
        self.sinks.iter().find(|sink| sink.name == name).map(|sink| sink.object)
    }

    /// The name of a sink whose state is one of `states`.
    pub(crate) fn expect(&self, target: ObjectId, states: &[SinkState]) -> Result<String, Error> {
        let sink = self.sinks.iter().find(|sink| sink.object == target);
        let sink = sink.ok_or_else(|| refuse(Code::NOT_FOUND, format!("there is no sink {target}")))?;
        if states.contains(&sink.state) {
            return Ok(sink.name.clone());
        }
        let name = if sink.name == MAIN_SINK { "main sink" } else { &sink.name };
        Err(refuse(Code::INVALID_STATE, format!("the sink {name} is {}", sink.state)))
    }

    /// The same for a call that the main sink does not take.
    pub(crate) fn expect_collection(&self, target: ObjectId, states: &[SinkState]) -> Result<String, Error> {
        let name = self.expect(target, states)?;
        if name == MAIN_SINK {
            return Err(refuse(Code::INVALID, "the main sink holds no items"));
        }
        Ok(name)
    }

    pub(crate) fn set_state(&mut self, target: ObjectId, state: SinkState) {
        if let Some(sink) = self.sinks.iter_mut().find(|sink| sink.object == target) {
            sink.state = state;
        }
    }

    /// Takes a newer snapshot of the member or the group (decisions W11).
    pub(crate) fn apply(&mut self, snapshot: &Snapshot) {
        match snapshot {
            Snapshot::Member(member)
                if member.object == self.member.object && member.generation > self.member.generation =>
            {
                self.member = member.clone();
            }
            Snapshot::Group(group)
                if group.object == self.group.object && group.generation > self.group.generation =>
            {
                self.group = group.clone();
            }
            _ => {}
        }
    }
}

pub(crate) fn refuse(code: Code, text: impl Into<String>) -> Error {
    Error::new(code, text).by(Blame::Caller)
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::Dedupe;

    use super::*;

    #[test]
    fn w11_a_snapshot_is_taken_only_if_it_is_newer_and_of_this_member() {
        let at = |object, generation| {
            let member = Member::new(format!("{generation}"), vec![]);
            Member { object: ObjectId(object), generation, ..member }
        };
        let mut objects = Objects::new(ObjectId(1), at(7, 3), Group::new("g", vec![]));
        for (object, generation, expected) in [(7, 2, 3), (7, 3, 3), (8, 9, 3), (7, 5, 5), (7, 4, 5)] {
            objects.apply(&Snapshot::Member(at(object, generation)));
            assert_eq!(objects.member.generation, expected);
        }
    }

    #[test]
    fn what_a_collection_says_of_retries_goes_to_the_engine() {
        let mut objects = Objects::new(ObjectId(1), Member::new("a", vec![]), Group::new("g", vec![]));
        let mut sink = |dedupe| {
            let book = Collection { name: "book".into(), dedupe, ..Collection::default() };
            objects.sink(book, &mut Numbers::default()).unwrap()
        };
        assert_eq!(sink(Some(Dedupe::Lookup)).dedupe(), Dedupe::Lookup);
        assert_eq!(sink(None).ext, outrigger_protocol::Extensions::default());
    }

    #[test]
    fn w4_numbers_are_never_given_out_twice() {
        let mut numbers = Numbers::default();
        let mut first = Objects::new(numbers.next(), Member::new("a", vec![]), Group::new("g", vec![]));
        let book = |name: &str| Collection { name: name.into(), ..Collection::default() };
        let one = first.sink(book("one"), &mut numbers).unwrap().object;
        assert_eq!(
            first.sink(book("one"), &mut numbers).unwrap().object,
            one,
            "the same sink, the same number"
        );
        let second = Objects::new(numbers.next(), Member::new("b", vec![]), Group::new("g", vec![]));
        assert!(first.own(one) && !second.own(one) && second.instance > one);
    }
}
