//! What a run of one collection came to, as the engine reports it.

use std::collections::BTreeSet;
use std::time::Duration;

use outrigger_engine::{Counts, FailureClass, Key, MemberIndex, Report, Summary};
use outrigger_protocol::{Code, CommitKind};

use super::raised::Raised;
use crate::exit::Exit;

/// One collection of a group: what the engine reported of it.
#[derive(Debug, Clone, Default)]
pub struct CollectionReport {
    /// Its name at the first member.
    pub name: String,
    /// How long the listings took.
    pub listing: Duration,
    /// The counts at the end.
    pub summary: Summary,
    /// What is to be told of each member, in their order.
    pub(crate) members: Vec<AtMember>,
    /// Reports that are told one by one.
    pub(super) told: Vec<Report>,
    /// Reports of that kind beyond [`CollectionReport::TOLD`].
    pub(super) untold: u64,
    /// Who would be given the new content of an item that is told of in a plan: nobody of them has it yet.
    given: Vec<(Key, MemberIndex)>,
    /// Conflicts that this run raised; of very many, the first.
    pub(crate) raised: Vec<Raised>,
    /// Conflicts of that kind beyond [`CollectionReport::TOLD`].
    pub(super) unnamed: u64,
    /// Keep all that is found to do, in [`Self::found`].
    pub(crate) keeps_plan: bool,
    /// Tell one by one what is kept back for members that take no writes.
    pub(crate) names_kept: bool,
    /// So many of them were heard of.
    kept_heard: u64,
    /// What a dry run found to do, and conflicts that it would raise.
    pub(crate) found: Vec<Report>,
    /// Why the user's command settled conflicts not, each reason once.
    pub(crate) unsettled: BTreeSet<String>,
    /// Items that members which are there could not be brought, or that could not be had from them.
    troubled: u64,
    /// The longest wait that failures asked for before they are tried again; `None`: that does not help.
    pub(crate) retry_after: Option<Duration>,
    /// What outside reasons (a refused password, a broken plugin) end the command with.
    worse: Exit,
}

/// One collection at one member.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AtMember {
    /// The member takes no part, and is known not to: that is told elsewhere.
    pub(crate) absent: bool,
    /// It takes no writes, and what is owed to it is kept.
    pub(crate) read_only: bool,
    /// What it holds is everybody's.
    pub(crate) authority: bool,
    /// It takes writes, but no deletions.
    pub(crate) no_delete: bool,
    /// In a dry run: the collection would be made here.
    pub(crate) to_make: bool,
    /// Items that the plugin has died over too often.
    pub(crate) set_aside: u64,
    /// Creates and updates that were decided, and deletes.
    pub(super) writes: u64,
    pub(super) deletes: u64,
    /// Whether it listed everything; `None` until its listing ended.
    pub(super) complete: Option<bool>,
    /// The error with which it was lost.
    lost: Option<Code>,
}

impl CollectionReport {
    /// So many reports are told one by one, and as many conflicts; a first run may have ten thousand.
    const TOLD: usize = 20;

    /// And so many reasons of one kind.
    const REASONS: usize = 3;

    /// Of a collection of so many members that has not done anything yet.
    pub fn new(name: impl Into<String>, members: usize) -> Self {
        Self { name: name.into(), members: vec![AtMember::default(); members], ..Self::default() }
    }

    /// Takes note of what the engine says. `dry_run`: planned writes are told one by one.
    pub fn take(&mut self, report: Report, dry_run: bool) {
        if self.is_known(&report) {
            return;
        }
        if self.keeps_plan && matches!(report, Report::Planned(_) | Report::Conflict { .. }) {
            self.found.push(report.clone());
        }
        match report {
            Report::Listed { member, complete, .. } => self.at(member, |at| at.complete = Some(complete)),
            Report::Ended(summary) => self.end(summary),
            Report::Kept(ref planned) => {
                if self.names_kept && self.is_read_only(planned.member) {
                    self.kept_heard += 1;
                    self.tell(report);
                }
            }
            Report::Untold { count, .. } => {
                self.untold += count;
                self.troubled += count;
            }
            Report::Charged { member, set_aside, .. } => {
                self.at(member, |at| at.set_aside += set_aside as u64)
            }
            Report::MemberFailed { member, class: FailureClass::Call(code), .. } => {
                self.at(member, |at| at.lost = Some(code));
                self.tell(report);
            }
            Report::Planned(ref planned) => {
                self.at(planned.member, |at| at.plan(planned.kind));
                if dry_run {
                    let (key, member) = (planned.key.clone(), planned.member);
                    self.tell(report);
                    self.give(key, member);
                }
            }
            Report::Pending { .. } => {
                self.troubled += 1;
                self.tell(report);
            }
            Report::Conflict { row, names, key, is_for_policy } => {
                self.raise(Raised { row, names, key, is_for_policy, known: None });
            }
            other => self.tell(other),
        }
    }

    fn give(&mut self, key: Key, member: MemberIndex) {
        let is_it = |told: &Report| matches!(told, Report::Planned(told) if told.key == key);
        if self.told.iter().any(is_it) {
            self.given.push((key, member));
        }
    }

    /// Whether a plan gives this member the new content of an item.
    pub(super) fn is_given(&self, key: &Key, member: MemberIndex) -> bool {
        self.given.iter().any(|(item, to)| (item, *to) == (key, member))
    }

    fn end(&mut self, summary: Summary) {
        self.summary = summary;
        if self.names_kept {
            let kept = self.indices().filter(|member| self.is_read_only(*member));
            let kept: u64 = kept.map(|member| self.counts(member).kept).sum();
            self.untold += kept.saturating_sub(self.kept_heard);
        }
    }

    fn is_read_only(&self, member: MemberIndex) -> bool {
        self.members.get(member.index()).is_some_and(|at| at.read_only)
    }

    /// One that is raised again, by a run that was taken up, is known already.
    fn raise(&mut self, raised: Raised) {
        if self.raised.iter().any(|known| known.row == raised.row) {
            return;
        }
        if self.raised.len() < Self::TOLD {
            self.raised.push(raised);
        } else {
            self.unnamed += 1;
        }
    }

    /// What is said of a member that is not there is no news.
    fn is_known(&self, report: &Report) -> bool {
        match report {
            Report::MemberFailed { member, .. }
            | Report::Pending { member, .. }
            | Report::Untold { member, .. } => !self.is_there(*member),
            _ => false,
        }
    }

    /// Whether a member takes part, as far as is known.
    pub(crate) fn is_there(&self, member: MemberIndex) -> bool {
        self.members.get(member.index()).is_none_or(|at| !at.absent)
    }

    /// Notes why the user's command did not settle a conflict. Of many reasons a few are told.
    pub(crate) fn unsettled(&mut self, why: &str) {
        if self.unsettled.len() < Self::REASONS {
            self.unsettled.insert(why.to_owned());
        }
    }

    fn at(&mut self, member: MemberIndex, note: impl FnOnce(&mut AtMember)) {
        if let Some(at) = self.members.get_mut(member.index()) {
            note(at);
        }
    }

    /// All members, by their places.
    pub(super) fn indices(&self) -> impl DoubleEndedIterator<Item = MemberIndex> + use<> {
        (0..self.members.len()).map(MemberIndex::at)
    }

    /// What happened at one member.
    pub(super) fn counts(&self, member: MemberIndex) -> Counts {
        self.summary.members.get(member.index()).map(|member| member.counts).unwrap_or_default()
    }

    /// Items that did not come across, though those that they are for are there.
    pub(super) fn pending(&self) -> u64 {
        let all_are_there = self.members.iter().all(|at| !at.absent);
        if all_are_there || self.summary.dry_run {
            self.summary.pending
        } else {
            self.summary.pending.min(self.troubled)
        }
    }

    /// Whether it ended because plugins died, and nothing else stopped a member. `dead`: whose plugin
    /// does not run; one that does may call a lost server by the same name.
    pub(crate) fn is_cut_by_a_crash(&self, dead: &[bool]) -> bool {
        let stops = self.stops().filter(|report| !matches!(report, Report::GuardStop { .. })).count();
        let is_death = |(at, is_dead): (&AtMember, &bool)| *is_dead && at.lost == Some(Code::DISCONNECTED);
        let deaths = self.members.iter().zip(dead).filter(|both| is_death(*both)).count();
        deaths > 0 && deaths == stops
    }

    /// This one, which took up what `earlier` had begun when a plugin died: what was done is done, what
    /// was left is told of anew.
    pub(crate) fn after(mut self, earlier: Self) -> Self {
        self.listing += earlier.listing;
        self.summary.new_conflicts += earlier.summary.new_conflicts;
        self.summary.resolved += earlier.summary.resolved;
        self.summary.used.extend(&earlier.summary.used);
        for member in self.indices() {
            self.add(member, earlier.counts(member));
        }
        for (now, then) in self.members.iter_mut().zip(&earlier.members) {
            now.set_aside += then.set_aside;
        }
        self.unsettled.extend(earlier.unsettled);
        self.unnamed += earlier.unnamed;
        let raised = std::mem::replace(&mut self.raised, earlier.raised);
        raised.into_iter().for_each(|raised| self.raise(raised));
        let stays = |report: &Report| matches!(report, Report::Quarantined { .. });
        let told = std::mem::take(&mut self.told);
        self.told = earlier.told.into_iter().filter(stays).collect();
        for report in told.into_iter().filter(|report| !self.told.contains(report)).collect::<Vec<_>>() {
            self.tell(report);
        }
        self
    }

    /// Adds what was done to a member before.
    fn add(&mut self, member: MemberIndex, then: Counts) {
        if let Some(now) = self.summary.members.get_mut(member.index()).map(|now| &mut now.counts) {
            now.created += then.created;
            now.updated += then.updated;
            now.deleted += then.deleted;
            now.read += then.read;
        }
        self.at(member, |at| {
            at.writes += then.created + then.updated;
            at.deletes += then.deleted;
        });
    }

    /// Notes that the command cannot end with less than this.
    pub fn worsen(&mut self, exit: Exit) {
        self.worse = self.worse.or_worse(exit);
    }

    fn tell(&mut self, report: Report) {
        // The engine leaves such a member alone like one that failed; that was said already.
        if let Report::MemberFailed { member, .. } = report
            && self.told.contains(&Report::StoreChanged { member })
        {
            return;
        }
        // What stopped a member is never left out.
        if is_stop(&report) || self.told.len() < Self::TOLD {
            self.told.push(report);
        } else {
            self.untold += 1;
        }
    }

    /// The reports of what stopped a member.
    pub(super) fn stops(&self) -> impl Iterator<Item = &Report> {
        self.told.iter().filter(|report| is_stop(report))
    }

    /// Whether members, or items of them, are left behind that another try may bring on.
    fn is_partial(&self) -> bool {
        // What a plan has found to do is not yet undone.
        let undone = if self.summary.dry_run { 0 } else { self.pending() };
        let mut there = self.summary.members.iter().zip(&self.members).filter(|(_, at)| !at.absent);
        undone > 0 || there.any(|(member, _)| member.failed || member.counts.in_doubt > 0)
    }

    /// How long to wait before it is worth beginning anew; `None`: it is not, all is done, or more is in the
    /// way than what failed for a while.
    pub(crate) fn is_worth_retrying_after(&self) -> Option<Duration> {
        let is_call =
            |report: &Report| matches!(report, Report::MemberFailed { class: FailureClass::Call(_), .. });
        self.retry_after.filter(|_| self.is_partial() && self.stops().all(is_call))
    }

    /// What the command would end with if this were all.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let Summary { conflicts, quarantined, journal_failed, .. } = self.summary;
        let guard = self.summary.members.iter().any(|member| member.guard);
        let store_changed = self.told.iter().any(|report| matches!(report, Report::StoreChanged { .. }));
        [
            (conflicts > 0, Exit::Conflicts),
            (quarantined > 0 || self.is_partial(), Exit::Partial),
            (guard || store_changed, Exit::Guard),
            (journal_failed, Exit::Internal),
        ]
        .into_iter()
        .filter_map(|(holds, exit)| holds.then_some(exit))
        .fold(self.worse, Exit::or_worse)
    }

    /// Creates and updates at a member, decided or done; in a first run creates are only counted.
    pub(super) fn writes(&self, member: MemberIndex) -> u64 {
        let Counts { created, updated, .. } = self.counts(member);
        let decided = self.members.get(member.index()).map_or(0, |at| at.writes);
        decided.max(created + updated)
    }

    /// Deletions at all members, decided or done.
    pub(super) fn deletes(&self) -> u64 {
        let of = |(at, member): (&AtMember, MemberIndex)| at.deletes.max(self.counts(member).deleted);
        self.members.iter().zip(self.indices()).map(of).sum()
    }
}

fn is_stop(report: &Report) -> bool {
    matches!(
        report,
        Report::GuardStop { .. }
            | Report::StoreChanged { .. }
            | Report::MemberFailed { .. }
            | Report::JournalFailed { .. }
    )
}

impl AtMember {
    fn plan(&mut self, kind: CommitKind) {
        match kind {
            CommitKind::Delete => self.deletes += 1,
            CommitKind::Create | CommitKind::Update => self.writes += 1,
        }
    }
}
