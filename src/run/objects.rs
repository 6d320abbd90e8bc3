//! Objects: the members and the group as their plugins see them.
//!
//! A plugin looks at them without asking, so what runs find out is kept and told here: once the
//! members have said what they have, and when all is done (decisions W11). Where nothing is news,
//! nothing is written and nothing sent.

use std::collections::BTreeMap;

use outrigger_engine::{ConflictPolicy, FoundCollection, MemberState};
use outrigger_protocol::{Anchor, Group, Sink, Snapshot};
use outrigger_store::Store;

use super::pairs::{Pair, kept_as};
use super::session::MemberSession;
use super::stored::ask;
use crate::config::GroupConfig;
use crate::report::Failure;

/// A group as its plugins see it, from what is kept of its members. The generation is that of the
/// members together: it rises whenever the object types change, for these are theirs.
pub(super) fn group_of(group: &GroupConfig, last_run: Option<u64>, members: [&MemberState; 2]) -> Group {
    let conflict = match group.conflict {
        ConflictPolicy::Queue => "queue",
        ConflictPolicy::Prefer(_) => "prefer",
    };
    Group {
        generation: members.iter().map(|member| member.generation).fold(0, u64::saturating_add),
        object_types: MemberState::all_types(&members),
        conflict: conflict.into(),
        last_run,
        ..Group::new(&group.name, group.members.to_vec())
    }
}

/// What the plugins of a group were told, and what is to be known for telling them more.
pub(super) struct Objects<'o> {
    group: &'o GroupConfig,
    store: &'o Store,
    sessions: [&'o MemberSession; 2],
    /// All collections of each member, also those that this run has made.
    sinks: [Vec<Sink>; 2],
    told: Group,
}

impl<'o> Objects<'o> {
    /// `told`: the group as it went with `initialize`.
    pub(super) fn new(
        group: &'o GroupConfig,
        store: &'o Store,
        sessions: [&'o MemberSession; 2],
        pairs: &[Pair],
        told: Group,
    ) -> Self {
        let sinks = [0, 1].map(|side| all_sinks(sessions[side], side, pairs));
        Self { group, store, sessions, sinks, told }
    }

    /// Keeps what is known of the members now, and tells each plugin of what is news to it. `done`:
    /// what slow syncs each had been asked for that the run has done.
    ///
    /// What cannot be kept is not told, and the next run finds it out again.
    pub(super) async fn learn(&mut self, done: Option<&[MemberState; 2]>) {
        let done = [0, 1].map(|side| done.map(|done| &done[side]));
        tokio::join!(self.learn_member(0, done[0]), self.learn_member(1, done[1]));
        self.tell_group().await;
    }

    async fn learn_member(&self, side: usize, done: Option<&MemberState>) {
        let session = self.sessions[side];
        let member = &self.group.members[side];
        let found = match self.found(side).await {
            Ok(found) => found,
            Err(failure) => return tracing::warn!(member, %failure, "where its feeds stand is not known"),
        };
        match session.keeper().learn(&found, done).await {
            Ok(Some(now)) => session.tell(Snapshot::Member(now)),
            Ok(None) => {}
            Err(error) => tracing::warn!(member, %error, "what the run found out of it is not kept"),
        }
    }

    /// The collections of one member, with their anchors.
    async fn found(&self, side: usize) -> Result<Vec<FoundCollection>, Failure> {
        let anchors = ask(&self.group.name, self.store.anchors(&self.group.members[side])).await?;
        let found = self.sinks[side].iter().map(|sink| found(self.group, side, sink, &anchors));
        Ok(found.collect())
    }

    async fn tell_group(&mut self) {
        let [a, b] = self.sessions.map(MemberSession::keeper);
        let members = [a.state().await, b.state().await];
        let now = group_of(self.group, self.told.last_run, members.each_ref());
        if now.object_types != self.told.object_types {
            self.sessions.iter().for_each(|session| session.tell(Snapshot::Group(now.clone())));
            self.told = now;
        }
    }
}

fn all_sinks(session: &MemberSession, side: usize, pairs: &[Pair]) -> Vec<Sink> {
    let mut sinks = session.discovered().sinks.clone();
    for sink in pairs.iter().filter_map(|pair| pair.sinks[side].as_ref()) {
        if !sinks.iter().any(|known| known.object == sink.object) {
            sinks.push(sink.clone());
        }
    }
    sinks
}

fn found(
    group: &GroupConfig,
    side: usize,
    sink: &Sink,
    anchors: &BTreeMap<String, Anchor>,
) -> FoundCollection {
    FoundCollection {
        name: sink.name.clone(),
        object_types: sink.object_types.clone(),
        anchor: kept_as(group, side, &sink.name).and_then(|name| anchors.get(name)).cloned(),
    }
}
