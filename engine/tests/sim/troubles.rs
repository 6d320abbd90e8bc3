//! Troubles: what goes wrong in a run, as a list of faults.

use outrigger_engine::MemberIndex;

use super::Edit;

/// How a listing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListFault {
    /// Some items are left out, and the member says so.
    Incomplete,
    /// Some items are left out, the count tells.
    Cut,
    /// Some items are left out, and the member does not know (S2).
    Blind,
    /// No end mark.
    Failed,
    /// No end mark in time; all of it comes afterwards.
    Late,
    /// No end mark, and a checkpoint on the way where the member has a feed.
    Checkpoint,
    /// The store has lost its identity.
    Nameless,
    /// The anchor is not known any more: it wants to list everything.
    Rejected,
}

/// How a member breaks the contract. It is left alone for the run then; what it did is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// It lists an item twice.
    Twice,
    /// It lists an item without a name.
    Unnamed,
    /// Its answers to a read come in the wrong order.
    Disorder,
    /// It leaves the last item of a read out.
    Short,
    /// It answers a read with items that nobody asked for.
    Surplus,
    /// It leaves the last write of a commit out, done or not.
    Mute { did: bool },
    /// It answers a write that it was not sent.
    Stranger,
    /// It answers a write twice.
    Echo,
}

/// A moment of a write: to the member that [`Fault::Die`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    IntentNotDurable,
    DurableNotSent,
    HalfSent,
    ReceivedNotApplied,
    AppliedNotAnswered,
    AnswerHalfReceived,
    AnsweredNotJournaled,
    JournaledNotMapped,
    MappedNotAnchored,
    AnchorInDoubt,
}

/// Who dies then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The plugin of the member that is written.
    Target,
    /// The plugin of another member.
    Other(MemberIndex),
    /// The keeper of the member that is written, and with it all that it keeps.
    Keeper,
    /// The command: what was on its way to the store or to a member may have arrived.
    Command,
    /// Everything at once, by a power cut: what nobody was told to be durable is lost.
    Machine,
}

/// One thing that goes wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// All is killed at this step; whether the last action still took effect.
    Kill { step: u16, applies: bool },
    /// With a kill: of what else was on its way, some took effect.
    Torn { seed: u64 },
    /// The plugin of a member dies at this step; whether its last call still took effect.
    Lose { member: MemberIndex, step: u16, applies: bool },
    /// The link to a member breaks at this step, and its plugin lives; as above.
    Unlink { member: MemberIndex, step: u16, applies: bool },
    /// A member cannot be reached in the whole run.
    Away { member: MemberIndex },
    /// A listing goes wrong.
    Listing { member: MemberIndex, how: ListFault },
    /// A member lies, in all that it says.
    Lies { member: MemberIndex, how: Lie },
    /// The plugin of a member dies whenever it reads or writes an item with this text.
    Fatal { member: MemberIndex, text: u8 },
    /// A user edits while the run goes on.
    Meanwhile { member: MemberIndex, step: u16, edit: Edit },
    /// A member must list everything.
    Slow { member: MemberIndex },
    /// Lost answers, failing items and failing reads.
    Chaos { seed: u64 },
    /// Items that cannot be listed, read or written, for now or for good.
    Broken { seed: u64 },
    /// The order in which answers come.
    Order { seed: u64 },
    /// Somebody dies at a moment of a write to this member.
    Die { member: MemberIndex, moment: Moment, who: Who },
}

impl Fault {
    /// The same, about one of so many members.
    pub(crate) fn among(mut self, members: usize) -> Self {
        match &mut self {
            Self::Lose { member, .. }
            | Self::Unlink { member, .. }
            | Self::Away { member }
            | Self::Listing { member, .. }
            | Self::Lies { member, .. }
            | Self::Fatal { member, .. }
            | Self::Meanwhile { member, .. }
            | Self::Slow { member }
            | Self::Die { member, .. } => *member = MemberIndex::at(member.index() % members),
            Self::Kill { .. }
            | Self::Torn { .. }
            | Self::Chaos { .. }
            | Self::Broken { .. }
            | Self::Order { .. } => {}
        }
        self
    }

    /// What happens at this step.
    pub(crate) fn step(self) -> Option<u16> {
        match self {
            Self::Kill { step, .. }
            | Self::Lose { step, .. }
            | Self::Unlink { step, .. }
            | Self::Meanwhile { step, .. } => Some(step),
            _ => None,
        }
    }

    /// Whether a run may not see all that this member has.
    pub(crate) fn hides(self, at: MemberIndex) -> bool {
        match self {
            Self::Lose { member, .. }
            | Self::Unlink { member, .. }
            | Self::Away { member }
            | Self::Listing { member, .. }
            | Self::Lies { member, .. }
            | Self::Fatal { member, .. }
            | Self::Slow { member }
            | Self::Die { who: Who::Other(member), .. }
            | Self::Die { member, who: Who::Target | Who::Keeper, .. } => member == at,
            Self::Kill { .. } | Self::Torn { .. } | Self::Order { .. } | Self::Die { .. } => false,
            Self::Meanwhile { .. } | Self::Chaos { .. } | Self::Broken { .. } => true,
        }
    }

    /// Whether a member may not know what it holds, so that nobody can be blamed for a second item.
    pub(crate) fn blinds(self) -> bool {
        matches!(
            self,
            Self::Meanwhile { .. }
                | Self::Broken { .. }
                | Self::Chaos { .. }
                | Self::Fatal { .. }
                | Self::Listing { .. }
        )
    }
}
