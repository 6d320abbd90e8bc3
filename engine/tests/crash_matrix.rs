//! The crash matrix: every moment of a write, times who dies at it, times how the member recognises a
//! write that comes again, times what the write does, in groups of two and three (docs/design/testing.md).
//!
//! Of each cell: nothing is lost, nothing is done twice, nothing that was deleted comes back, and the
//! runs that follow reach the state that would have been reached without it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

mod sim;

use std::fmt;

use outrigger_engine::{Bug, MemberIndex};
use outrigger_protocol::CommitKind;
use outrigger_protocol::Dedupe;
use sim::stories::{rest, text_of};
use sim::{A, B, C, Edit, Fault, Moment, Outcome, Who, World, objection};

const MOMENTS: [Moment; 10] = [
    Moment::IntentNotDurable,
    Moment::DurableNotSent,
    Moment::HalfSent,
    Moment::ReceivedNotApplied,
    Moment::AppliedNotAnswered,
    Moment::AnswerHalfReceived,
    Moment::AnsweredNotJournaled,
    Moment::JournaledNotMapped,
    Moment::MappedNotAnchored,
    Moment::AnchorInDoubt,
];

const DEDUPES: [Dedupe; 4] = [Dedupe::Token, Dedupe::Conditional, Dedupe::Lookup, Dedupe::None];
const KINDS: [CommitKind; 3] = [CommitKind::Create, CommitKind::Update, CommitKind::Delete];

/// Items that the write is about: enough that a part of them can be done.
const ITEMS: [u8; 3] = [1, 2, 3];

/// In how many ways a power cut leaves a part of what was on its way.
const TORN: u64 = 8;

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The plugin that is written.
    Target,
    /// The plugin that the content comes from.
    Source,
    /// A third one, which is written too.
    Third,
    Keeper,
    Command,
    /// A power cut: what nobody knew to be durable is lost.
    MachineLost,
    /// A power cut: some of it is there.
    MachineTorn,
}

use Victim::{Command, Keeper, MachineLost, MachineTorn, Source, Target, Third};

const VICTIMS: [Victim; 7] = [Target, Source, Third, Keeper, Command, MachineLost, MachineTorn];

#[derive(Clone, Copy)]
struct Cell {
    moment: Moment,
    victim: Victim,
    dedupe: Dedupe,
    kind: CommitKind,
    members: usize,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { moment, victim, dedupe, kind, members } = self;
        write!(f, "{moment:?} x {victim:?} x {dedupe:?} x {kind:?} x {members}")
    }
}

/// All cells. A group of two has no third member.
fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for members in [2, 3] {
        for victim in VICTIMS.into_iter().filter(|victim| members > 2 || *victim != Third) {
            for moment in MOMENTS {
                for dedupe in DEDUPES {
                    cells.extend(KINDS.map(|kind| Cell { moment, victim, dedupe, kind, members }));
                }
            }
        }
    }
    cells
}

impl Cell {
    /// In step, and A has news of all items; item 0 stays as it is.
    fn world(self) -> World {
        let mut world = World::new(self.members);
        for at in world.all() {
            let member = world.member(at);
            (member.feed, member.dedupe) = (true, self.dedupe);
        }
        world.edit(A, Edit::Put { uid: 0, text: 0 });
        if self.kind != CommitKind::Create {
            self.edit_all(&mut world, |uid| Edit::Put { uid, text: 10 + uid });
        }
        rest(&mut world);
        self.edit_all(&mut world, |uid| match self.kind {
            CommitKind::Delete => Edit::Delete { uid },
            _ => Edit::Put { uid, text: 20 + uid },
        });
        world
    }

    fn edit_all(self, world: &mut World, edit: impl Fn(u8) -> Edit) {
        ITEMS.into_iter().for_each(|uid| world.edit(A, edit(uid)));
    }

    fn faults(self, seed: u64) -> Vec<Fault> {
        let who = match self.victim {
            Target => Who::Target,
            Source => Who::Other(A),
            Third => Who::Other(C),
            Keeper => Who::Keeper,
            Command => Who::Command,
            MachineLost | MachineTorn => Who::Machine,
        };
        let dies = Fault::Die { member: B, moment: self.moment, who };
        let torn = (self.victim == MachineTorn).then_some(Fault::Torn { seed });
        std::iter::once(dies).chain(torn).collect()
    }

    /// The text that everybody is to hold of an item in the end.
    fn wanted(self, uid: u8) -> Option<u8> {
        match self.kind {
            CommitKind::Delete => None,
            _ => Some(20 + uid),
        }
    }

    fn play(self, bug: Option<Bug>) {
        let mut world = self.world();
        world.settings.bug = bug;
        let seeds = if self.victim == MachineTorn { TORN } else { 1 };
        (1..=seeds).for_each(|seed| self.play_on(world.clone(), seed));
    }

    /// The cell, and what is wrong with it.
    fn failure(self, bug: Option<Bug>) -> Option<String> {
        Some(format!("{self}: {}", objection(|| self.play(bug))?))
    }

    fn play_on(self, mut world: World, seed: u64) {
        let mut runs = vec![world.run_with(&self.faults(seed))];
        assert!(runs[0].has_died, "the moment never came");
        while runs.last().is_some_and(|run| run.journals > 0 || run.crashed) {
            assert!(runs.len() < 5, "it does not come to rest");
            runs.push(world.run());
        }
        world.check_rest(runs.last().unwrap());
        self.check_end(&world);
        self.check_writes(&world, &runs);
    }

    fn check_end(self, world: &World) {
        let summary = |at: MemberIndex| world.members[at.index()].items.len();
        for at in world.all() {
            assert_eq!(text_of(world, at, 0), Some(0), "item 0 of member {}", at.0);
            for uid in ITEMS {
                assert_eq!(text_of(world, at, uid), self.wanted(uid), "item {uid} of member {}", at.0);
            }
            let most = ITEMS.iter().filter(|uid| self.wanted(**uid).is_some()).count();
            assert_eq!(summary(at), 1 + most, "items of member {}", at.0);
        }
        assert_eq!(world.store.intents, [], "a write is still in doubt");
        self.check_undo(world);
    }

    /// What was taken away is in the undo journal: whoever held it.
    fn check_undo(self, world: &World) {
        for uid in ITEMS.into_iter().filter(|_| self.kind != CommitKind::Create) {
            let old = sim::card(Some(uid), 10 + uid);
            for at in world.all().filter(|at| *at != A) {
                let is_it = |undo: &outrigger_engine::Undo| undo.member == at && undo.data == old;
                assert!(world.store.undo.iter().any(is_it), "item {uid} of member {} is gone", at.0);
            }
        }
    }

    /// Each write was done once, at each member that needed it, and none that nobody wanted.
    fn check_writes(self, world: &World, runs: &[Outcome]) {
        for at in world.all() {
            let all = runs.iter().flat_map(|run| &run.writes);
            let done: Vec<CommitKind> = all.filter(|(to, _)| *to == at).map(|(_, kind)| *kind).collect();
            let wanted = if at == A { Vec::new() } else { vec![self.kind; ITEMS.len()] };
            assert_eq!(done, wanted, "writes that member {} did", at.0);
        }
    }
}

#[test]
fn every_cell_reaches_the_same_end_state() {
    let cells = cells();
    assert_eq!(cells.len(), 10 * 4 * 3 * (6 + 7));
    let failed: Vec<String> = cells.iter().filter_map(|cell| cell.failure(None)).collect();
    assert!(failed.is_empty(), "{} cells of {} fail:\n{}", failed.len(), cells.len(), failed.join("\n"));
}

/// A matrix that nothing can fail in would prove nothing.
#[test]
fn a_seeded_defect_shows_in_some_cell() {
    for bug in [Bug::SentBeforeDurable, Bug::RetryWithNewId] {
        let failed = cells().into_iter().find_map(|cell| cell.failure(Some(bug)));
        assert!(failed.as_ref().is_some_and(|said| said.contains("(X1)")), "{bug:?}: {failed:?}");
    }
}
