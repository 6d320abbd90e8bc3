//! Calls: what the engine asks of the members, and what comes back of it.

use outrigger_engine::{MemberIndex, Settings, Snapshot};
use outrigger_protocol::{Connect, ConnectDone};

use super::part::{Part, Seat};
use super::shared::Teller;
use super::together;

/// All members' parts in one collection, in the order of the group.
pub(super) struct Members {
    parts: Vec<Part>,
}

impl Members {
    /// `None`: a member that takes no part.
    pub(super) fn new(seats: Vec<Option<Seat>>, teller: &Teller) -> Self {
        let part = |(place, seat)| Part::new(MemberIndex::at(place), seat, teller.clone());
        Self { parts: seats.into_iter().enumerate().map(part).collect() }
    }

    /// The part of a member, if there is such a member.
    pub(super) fn at(&mut self, member: MemberIndex) -> Option<&mut Part> {
        self.parts.get_mut(member.index())
    }

    /// All of them, in order.
    pub(super) fn each(&mut self) -> impl Iterator<Item = (MemberIndex, &mut Part)> {
        self.parts.iter_mut().enumerate().map(|(place, part)| (MemberIndex::at(place), part))
    }

    /// Connects all, then tells all whether the run is a slow sync for anyone.
    pub(super) async fn connect(&mut self, snapshot: &Snapshot, settings: &mut Settings) {
        let read_only = settings.dry_run;
        let anchor = |place: usize| snapshot.anchors.get(place).cloned().flatten();
        let connects = self.parts.iter_mut().zip(&mut settings.members).enumerate();
        let connects = connects.map(|(place, (part, member))| async move {
            (member.max_body, member.compares) = (part.max_body(), part.compares());
            member.dedupe = part.dedupe();
            let request = Connect { slow_sync: member.slow, read_only, anchor: anchor(place) };
            member.slow |= part.connect(request).await;
        });
        together::all(connects).await;
        let done = ConnectDone { slow_sync: settings.members.iter().any(|member| member.slow) };
        together::all(self.parts.iter_mut().map(|part| part.connect_done(&done))).await;
    }

    /// Says to each member that the run is over, and whether it came through.
    pub(super) async fn finish(self, came_through: Vec<bool>) {
        let parts = self.parts.into_iter().zip(came_through);
        together::all(parts.map(|(part, came_through)| part.finish(came_through))).await;
    }
}
