//! A small world: members with an obstinate store each, a journal that is atomic, users who edit,
//! and a driver that can be killed between any two actions.
//!
//! The world checks what the engine promises at the moment it matters: bytes are in the undo
//! journal before they are taken away (X6), an operation ID never carries other content (X1), and no
//! write undoes what a user did who had not seen it (`causes.rs`). What must hold once all is at
//! rest stands in `oracle.rs`.
#![allow(dead_code, unused_imports, reason = "not every test uses all")]

mod calls;
mod causes;
mod deaths;
mod driver;
pub(crate) mod history;
mod items;
mod member;
pub(crate) mod oracle;
mod quiet;
mod rules;
mod store;
pub(crate) mod stories;
mod troubles;
mod users;

use std::collections::BTreeSet;

use outrigger_engine::{
    Access, CollectionSync, ConflictPolicy, EditVsDelete, Intent, MemberIndex, Report, Settings, Summary,
};
use outrigger_protocol::{Code, CommitKind, OperationId};

use causes::Causes;
use driver::Driver;
pub(crate) use items::{card, key_of, meaning, merged, rewritten, text_in, verdict};
pub(crate) use member::Member;
pub(crate) use quiet::objection;
pub(crate) use store::Store;
pub(crate) use troubles::{Fault, Lie, ListFault, Moment, Who};
pub(crate) use users::{Choice, Edit};

pub(crate) const A: MemberIndex = MemberIndex(0);
pub(crate) const B: MemberIndex = MemberIndex(1);
pub(crate) const C: MemberIndex = MemberIndex(2);
pub(crate) const D: MemberIndex = MemberIndex(3);
pub(crate) const E: MemberIndex = MemberIndex(4);

/// splitmix64: enough for a test, the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of so many.
    pub(crate) fn of(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) reports: Vec<Report>,
    pub(crate) commits: usize,
    pub(crate) writes: Vec<(MemberIndex, CommitKind)>,
    pub(crate) journals: usize,
    pub(crate) items_read: usize,
    /// Whose plugin was asked to compare, each time.
    pub(crate) compared: Vec<MemberIndex>,
    /// How often a merge was asked for.
    pub(crate) merges: usize,
    /// How often what was agreed before was at hand for one.
    pub(crate) bases: usize,
    pub(crate) crashed: bool,
    /// Plugins that died over an item.
    pub(crate) deaths: usize,
    /// The moment of [`Fault::Die`] came.
    pub(crate) has_died: bool,
}

impl Outcome {
    pub(crate) fn summary(&self) -> Summary {
        match self.reports.last() {
            Some(Report::Ended(summary)) => summary.clone(),
            other => panic!("no end: {other:?}"),
        }
    }
}

/// What plugins make of comparisons, for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Comparisons {
    #[default]
    Done,
    Failed,
    /// The plugin is gone with it.
    Fatal,
}

/// What comes of merges, for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Merges {
    #[default]
    Done,
    Refused,
    /// Something that no merge may be.
    Nonsense,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) members: Vec<Member>,
    pub(crate) settings: Settings,
    pub(crate) authored: BTreeSet<Vec<u8>>,
    pub(crate) causes: Causes,
    pub(crate) comparisons: Comparisons,
    pub(crate) merges: Merges,
    /// How calls and members fail, where they do.
    pub(crate) lost_with: Option<Code>,
    /// Second items with one UID that users made.
    pub(crate) duplicates: usize,
    /// It plays a history that chance made, not a story.
    pub(crate) is_random: bool,
    /// What random users do besides writing and deleting.
    odd: Option<std::mem::Discriminant<Edit>>,
    /// Somebody did not see all that was there.
    was_blind: bool,
    /// UIDs that an item had before: nobody gives them out again.
    retired: BTreeSet<u8>,
    /// The highest UID that was ever given.
    last_uid: u8,
    /// A write was in doubt at the end of a run: what came of it may look like somebody's own.
    had_doubts: bool,
    /// Items that a user edited where a write of them was in doubt.
    doubtful: BTreeSet<(MemberIndex, Vec<u8>)>,
    /// Writes that were in doubt when the run began.
    doubts: Vec<Intent>,
    texts: u32,
    operations: u128,
}

impl World {
    /// So many members that hold nothing, and no guard.
    pub(crate) fn new(members: usize) -> Self {
        let settings = Settings::for_members(members);
        let store = Store::new(members);
        let member = Member { store: Some("s"), ..Member::default() };
        let mut world = Self {
            store,
            settings,
            members: vec![member; members],
            last_uid: users::LAST_UID,
            ..Self::default()
        };
        world.settings.max_delete.count = u64::MAX;
        world.settings.max_delete.emptying = true;
        world.settings.max_update = 100;
        world.settings.max_create_on_slow = 1_000_000;
        world.settings.object_type = "contact".into();
        world.settings.today = "2026-11-22".into();
        for (at, member) in world.settings.members.iter_mut().enumerate() {
            member.name = format!("m{at}");
        }
        world
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = MemberIndex> + use<> {
        (0..self.members.len()).map(MemberIndex::at)
    }

    pub(crate) fn member(&mut self, at: MemberIndex) -> &mut Member {
        &mut self.members[at.index()]
    }

    pub(crate) fn access(&self, at: MemberIndex) -> Access {
        self.settings.members[at.index()].access
    }

    /// Whether one member's content is everybody's.
    pub(crate) fn has_authority(&self) -> bool {
        self.all().any(|at| self.access(at) == Access::Authority)
    }

    /// Whether some plugin compares.
    pub(crate) fn compares(&self) -> bool {
        self.settings.members.iter().any(|member| !member.compares.is_empty())
    }

    /// Whether nobody may overwrite what its author had not seen.
    pub(crate) fn keeps_concurrent(&self) -> bool {
        use ConflictPolicy as P;
        !self.has_authority() && matches!(self.settings.conflict, P::Queue | P::Newest | P::Resolve)
    }

    /// Whether an edit is worth more than a deletion that did not know of it.
    pub(crate) fn keeps_edits(&self) -> bool {
        self.keeps_concurrent() && self.settings.edit_vs_delete != EditVsDelete::Delete
    }

    /// Whether items get a UID and a title that nobody wrote.
    pub(crate) fn makes_copies(&self) -> bool {
        self.settings.conflict == ConflictPolicy::KeepBoth
    }

    /// The dedupe ability is a matter of the member and of what the engine is told of it.
    pub(crate) fn tick(&mut self) {
        for (member, settings) in self.members.iter_mut().zip(&mut self.settings.members) {
            member.now += 1;
            settings.dedupe = member.dedupe;
        }
    }

    /// A run in which nothing goes wrong, after enough time for revisions to settle.
    pub(crate) fn run(&mut self) -> Outcome {
        self.run_with(&[])
    }

    pub(crate) fn run_with(&mut self, faults: &[Fault]) -> Outcome {
        self.tick();
        let mut next = self.operations;
        self.operations += 100_000;
        let operations = Box::new(move || {
            next += 1;
            OperationId(uuid::Uuid::from_u128(next))
        });
        let faults: Vec<Fault> = faults.iter().map(|fault| fault.among(self.members.len())).collect();
        let mut settings = self.settings.clone();
        for fault in &faults {
            if let Fault::Slow { member } = fault {
                settings.members[member.index()].slow = true;
            }
        }
        self.doubts = self.store.intents.clone();
        for (at, member) in self.members.iter_mut().enumerate() {
            let member_is = |at: usize, it: &MemberIndex| it.index() == at;
            member.is_blind = faults.iter().any(|fault| {
                matches!(fault, Fault::Listing { member, how: ListFault::Blind } if member_is(at, member))
            });
        }
        self.was_blind |= faults.iter().any(|fault| fault.blinds());
        let sync = CollectionSync::new(self.store.snapshot(), settings, operations);
        let (before, rows) = (self.contents(), self.store.rows.clone());
        let is_edited = faults.iter().any(|fault| matches!(fault, Fault::Meanwhile { .. }));
        let outcome = Driver::new(self, sync, faults).drive();
        if !is_edited {
            self.check_conflicts(&outcome, &rows);
        }
        self.had_doubts |= !self.store.intents.is_empty();
        if !is_edited {
            self.check_nothing_lost(&before);
        }
        outcome
    }

    /// All that the members hold.
    pub(crate) fn contents(&self) -> BTreeSet<Vec<u8>> {
        self.members.iter().flat_map(|member| member.items.values()).map(|item| item.data.clone()).collect()
    }
}
