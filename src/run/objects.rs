//! Objects: the members and the group as their plugins see them.
//!
//! A plugin looks at them without asking, so what runs find out is kept and told here: once the
//! members have said what they have, and when all is done (decisions W11). Where nothing is news,
//! nothing is written and nothing sent.

use std::collections::BTreeMap;

use outrigger_engine::{FoundCollection, MemberIndex, MemberState};
use outrigger_protocol::{Anchor, Group, Sink, Snapshot};
use outrigger_store::Store;

use super::collections::{Mapped, kept_as};
use super::crew::Crew;
use super::session::MemberSession;
use super::stored::ask;
use super::together;
use crate::config::GroupConfig;
use crate::report::Failure;

/// A group as its plugins see it, from what is kept of its members. The generation is that of the
/// members together: it rises whenever the object types change, for these are theirs.
pub(super) fn group_of(group: &GroupConfig, last_run: Option<u64>, members: &[MemberState]) -> Group {
    let conflict = if group.mirror.is_some() { "prefer" } else { group.policies.conflict.word() };
    Group {
        generation: members.iter().map(|member| member.generation).fold(0, u64::saturating_add),
        object_types: MemberState::all_types(&members.iter().collect::<Vec<_>>()),
        conflict: conflict.into(),
        last_run,
        ..Group::new(&group.name, group.members.clone())
    }
}

/// What the plugins of a group were told, and what is to be known for telling them more.
pub(super) struct Objects<'o> {
    group: &'o GroupConfig,
    store: &'o Store,
    crew: &'o Crew<'o>,
    /// What was kept of each member when the run began.
    kept: &'o [MemberState],
    /// All collections of each member, also those that this run has made.
    sinks: Vec<Vec<Sink>>,
    told: &'o mut Group,
}

impl<'o> Objects<'o> {
    /// `told`: the group as its plugins were told last, which goes on from here.
    pub(super) fn new(
        group: &'o GroupConfig,
        store: &'o Store,
        crew: &'o Crew<'o>,
        kept: &'o [MemberState],
        mapped: &[Mapped],
        told: &'o mut Group,
    ) -> Self {
        let all =
            |member| crew.get(member).map_or_else(Vec::new, |session| all_sinks(session, member, mapped));
        let sinks = group.indices().map(all).collect();
        Self { group, store, crew, kept, sinks, told }
    }

    /// Keeps what is known of the members now, and tells each plugin of what is news to it. `done`:
    /// what slow syncs each had been asked for that the run has done.
    ///
    /// What cannot be kept is not told, and the next run finds it out again.
    pub(super) async fn learn(&mut self, done: Option<&[MemberState]>) {
        let present = self.crew.present();
        let one = async |(member, session): &(MemberIndex, &MemberSession)| {
            let done = done.and_then(|done| done.get(member.index()));
            self.learn_member(*member, session, done).await;
        };
        together::all(present.iter().map(one)).await;
        self.tell_group().await;
    }

    async fn learn_member(&self, place: MemberIndex, session: &MemberSession, done: Option<&MemberState>) {
        let member = self.group.member(place);
        let found = match self.collections(place).await {
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
    async fn collections(&self, member: MemberIndex) -> Result<Vec<FoundCollection>, Failure> {
        let anchors = ask(&self.group.name, self.store.anchors(self.group.member(member))).await?;
        let sinks = self.sinks.get(member.index()).into_iter().flatten();
        Ok(sinks.map(|sink| found(self.group, member, sink, &anchors)).collect())
    }

    /// What is kept of each member now.
    pub(super) async fn states(&self) -> Vec<MemberState> {
        let mut states = self.kept.to_vec();
        for (member, session) in self.crew.present() {
            states[member.index()] = session.keeper().state().await;
        }
        states
    }

    async fn tell_group(&mut self) {
        let now = group_of(self.group, self.told.last_run, &self.states().await);
        if now.object_types != self.told.object_types {
            let present = self.crew.present();
            present.iter().for_each(|(_, session)| session.tell(Snapshot::Group(now.clone())));
            *self.told = now;
        }
    }
}

fn all_sinks(session: &MemberSession, member: MemberIndex, mapped: &[Mapped]) -> Vec<Sink> {
    let mut sinks = session.discovered().sinks.clone();
    for sink in mapped.iter().filter_map(|one| one.at.get(member.index())?.sink()) {
        if !sinks.iter().any(|known| known.object == sink.object) {
            sinks.push(sink.clone());
        }
    }
    sinks
}

fn found(
    group: &GroupConfig,
    member: MemberIndex,
    sink: &Sink,
    anchors: &BTreeMap<String, Anchor>,
) -> FoundCollection {
    FoundCollection {
        name: sink.name.clone(),
        object_types: sink.object_types.clone(),
        anchor: kept_as(group, member, &sink.name).and_then(|name| anchors.get(name)).cloned(),
    }
}
