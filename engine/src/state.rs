//! State: what one run holds, and the few steps that all its parts take.

use std::collections::{BTreeMap, VecDeque};

use outrigger_protocol::{Anchor, Href, StoreId};

use crate::action::{Action, BatchId, Ticket};
use crate::charge::Charges;
use crate::decide::{Decision, Policy, Sign, View, decide, needs_write};
use crate::journal::{Intent, Record};
use crate::judge::Judge;
use crate::lot::{Task, Work};
use crate::lots::Lots;
use crate::observe::{DUPLICATE, UNREAD, owes_read_back};
use crate::reads::{Fresh, LotId, Reader};
use crate::report::{Counts, Guard, Report};
use crate::row::{Content, MemberIndex, Observed, Quarantine, Row};
use crate::settings::{Access, MemberSettings, OperationSource, Settings};
use crate::table::{Flag, Place, Table};

/// Items of one member that a run tells of one by one; what a person reads, and few enough that
/// what a member says of each of its items does not fill the memory.
pub(crate) const ITEM_REPORTS: u64 = 100;

/// Characters of a reason that are kept in a row.
const REASON_CHARS: usize = 500;

/// Where a run stands. Each phase ends when nothing is open any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Writes of earlier runs that are in doubt are read back (decisions X2).
    Recovering,
    /// All members list; what changed is read.
    Observing,
    /// Contents in conflict are read and judged: by a plugin, by the policy, or kept for a person.
    Judging,
    /// What was decided is written.
    Writing,
    /// Everything observed becomes durable.
    Flushing,
    /// The anchors follow (decisions X5).
    Anchoring,
    Over,
}

/// How far a listing got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    NotAsked,
    Open {
        slow: bool,
    },
    /// All was listed; what was not listed is missing. After a slow listing it is unknown.
    Complete {
        slow: bool,
    },
    /// All changes were listed; what was not listed is as it was.
    Changes,
    /// The feed broke behind a checkpoint: what came before it was listed, more may be missing.
    Cut,
    /// Anything may be missing.
    Partial,
}

impl Listing {
    /// Whether what was not listed says something.
    pub(crate) const fn is_conclusive(self) -> bool {
        matches!(self, Self::Complete { .. } | Self::Changes)
    }

    /// Whether the next listing may begin where this one says.
    pub(crate) const fn moves_the_anchor(self) -> bool {
        self.is_conclusive() || matches!(self, Self::Cut)
    }
}

/// Who waits for records to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    Nobody,
    Lot(LotId),
    /// A member that has renamed items, and the number of its call.
    Rename(MemberIndex, BatchId),
}

/// One member in this run.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) listing: Listing,
    /// Left alone for the rest of the run.
    pub(crate) frozen: bool,
    /// A guard allows no write.
    pub(crate) stopped: bool,
    /// Something was agreed with it before this run.
    pub(crate) was_in_step: bool,
    /// Something listed is not in a row: the anchor must stay.
    pub(crate) unobserved: bool,
    /// It has, or had when it listed, a new item that cannot be read for now.
    pub(crate) unread: bool,
    pub(crate) fresh: Vec<Fresh>,
    /// Bytes of names in its listing so far.
    pub(crate) name_bytes: u64,
    /// Reports about single items of it, told or only counted.
    pub(crate) item_reports: u64,
    pub(crate) reader: Reader,
    pub(crate) work: Work,
    pub(crate) old_anchor: Option<Anchor>,
    pub(crate) new_anchor: Option<Anchor>,
    /// The last one that its listing passed.
    pub(crate) checkpoint: Option<Anchor>,
    pub(crate) old_store: Option<StoreId>,
    pub(crate) new_store: Option<StoreId>,
    pub(crate) counts: Counts,
}

impl Member {
    /// Whether nothing of what it has is hidden from this run.
    pub(crate) fn has_shown_all(&self) -> bool {
        self.listing.is_conclusive() && !self.unread && !self.unobserved
    }

    pub(crate) fn new(anchor: Option<Anchor>, store: Option<StoreId>) -> Self {
        Self {
            listing: Listing::NotAsked,
            frozen: false,
            stopped: false,
            was_in_step: false,
            unobserved: false,
            unread: false,
            fresh: Vec::new(),
            name_bytes: 0,
            item_reports: 0,
            reader: Reader::default(),
            work: Work::default(),
            old_anchor: anchor,
            new_anchor: None,
            checkpoint: None,
            old_store: store,
            new_store: None,
            counts: Counts::default(),
        }
    }
}

/// A whole run.
pub(crate) struct Run {
    pub(crate) settings: Settings,
    pub(crate) operations: OperationSource,
    pub(crate) phase: Phase,
    pub(crate) table: Table,
    pub(crate) members: Vec<Member>,
    /// Writes of earlier runs that are still in doubt, with their rows.
    pub(crate) doubts: Vec<Option<(Place, Intent)>>,
    /// Writes that are known not to be done, and may be sent again as they were.
    pub(crate) resend: BTreeMap<(Place, MemberIndex), Intent>,
    /// Creates in doubt that are sent again as they were, to members that can tell.
    pub(crate) again: BTreeMap<(Place, MemberIndex), Intent>,
    /// What is still to be written, by whose content it is: the members, and behind them nobody's.
    pub(crate) tasks: Vec<VecDeque<Task>>,
    pub(crate) lots: Lots,
    /// Reads that a lot waits for.
    pub(crate) lot_reads: BTreeMap<BatchId, (LotId, MemberIndex)>,
    pub(crate) tickets: BTreeMap<Ticket, Waiter>,
    pub(crate) judge: Judge,
    pub(crate) charges: Charges,
    pub(crate) object_types: Vec<String>,
    pub(crate) outputs: VecDeque<Action>,
    pub(crate) reports: VecDeque<Report>,
    pub(crate) new_conflicts: u64,
    pub(crate) resolved: u64,
    pub(crate) journal_failed: bool,
    /// Guards in spite of which the run goes on.
    pub(crate) used: Vec<Guard>,
    /// What was listed anew as a whole is listed so again by the next run.
    pub(crate) keeps_slow: bool,
    /// New items were asked for, or left to be forwarded.
    pub(crate) fresh_decided: bool,
    last_number: u64,
}

impl Run {
    pub(crate) fn new(
        table: Table,
        members: Vec<Member>,
        doubts: Vec<Option<(Place, Intent)>>,
        settings: Settings,
        operations: OperationSource,
    ) -> Self {
        let lots = Lots::new(members.len());
        let tasks = std::iter::repeat_with(VecDeque::new).take(members.len() + 1).collect();
        Self {
            settings,
            operations,
            phase: Phase::Recovering,
            table,
            members,
            doubts,
            resend: BTreeMap::new(),
            again: BTreeMap::new(),
            tasks,
            lots,
            lot_reads: BTreeMap::new(),
            tickets: BTreeMap::new(),
            judge: Judge::default(),
            charges: Charges::default(),
            object_types: Vec::new(),
            outputs: VecDeque::new(),
            reports: VecDeque::new(),
            new_conflicts: 0,
            resolved: 0,
            journal_failed: false,
            used: Vec::new(),
            keeps_slow: false,
            fresh_decided: false,
            last_number: 0,
        }
    }

    pub(crate) fn state(&self, member: MemberIndex) -> &Member {
        &self.members[member.index()]
    }

    pub(crate) fn state_mut(&mut self, member: MemberIndex) -> &mut Member {
        &mut self.members[member.index()]
    }

    pub(crate) fn settings_of(&self, member: MemberIndex) -> &MemberSettings {
        &self.settings.members[member.index()]
    }

    /// All members, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = MemberIndex> + use<> {
        (0..self.members.len()).map(MemberIndex::at)
    }

    /// All members but one, in order.
    pub(crate) fn others(&self, member: MemberIndex) -> impl Iterator<Item = MemberIndex> + use<> {
        self.all().filter(move |other| *other != member)
    }

    /// Whether an event is about a member that there is.
    pub(crate) fn is_member(&self, member: MemberIndex) -> bool {
        member.index() < self.members.len()
    }

    /// A number that this run never gave before: for batches, tickets and lots.
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn batch(&mut self) -> BatchId {
        BatchId(self.number())
    }

    /// Asks for records to be made durable, on behalf of a lot or of nobody.
    pub(crate) fn journal(&mut self, records: Vec<Record>, lot: Option<LotId>) -> Ticket {
        self.journal_for(records, lot.map_or(Waiter::Nobody, Waiter::Lot))
    }

    pub(crate) fn journal_for(&mut self, records: Vec<Record>, waiter: Waiter) -> Ticket {
        let ticket = Ticket(self.number());
        self.tickets.insert(ticket, waiter);
        self.outputs.push_back(Action::Journal { ticket, records });
        ticket
    }

    /// Records are durable: what waited for that goes on.
    pub(crate) fn journaled(&mut self, ticket: Ticket) {
        match self.tickets.remove(&ticket) {
            Some(Waiter::Lot(lot)) => self.lot_journaled(lot, ticket),
            Some(Waiter::Rename(member, batch)) => self.renamed(member, batch, Ok(())),
            Some(Waiter::Nobody) | None => {}
        }
    }

    /// The number of an object type; 0, the collection's own, when there are too many.
    pub(crate) fn object_type_number(&mut self, name: &str) -> u8 {
        if name.is_empty() || name == self.settings.object_type {
            return 0;
        }
        let known = self.object_types.iter().position(|known| known == name);
        let at = known.unwrap_or_else(|| {
            if self.object_types.len() < usize::from(u8::MAX) {
                self.object_types.push(name.to_owned());
            }
            self.object_types.len() - 1
        });
        if known.is_none() && self.object_types.get(at).is_none_or(|last| last != name) {
            return 0;
        }
        u8::try_from(at + 1).unwrap_or(0)
    }

    pub(crate) fn object_type(&self, number: u8) -> &str {
        let at = usize::from(number).checked_sub(1);
        at.and_then(|at| self.object_types.get(at)).unwrap_or(&self.settings.object_type)
    }

    /// The sign of a member's entry, as far as this run has looked.
    pub(crate) fn sign(&self, place: Place, row: &Row, member: MemberIndex) -> Sign {
        let state = self.state(member);
        let entry = row.entry(member);
        let is_known = match entry {
            None => state.listing.is_conclusive() && !state.unobserved,
            // What looks like a deletion may be half of a move, to a name that was not listed or read.
            Some(entry) if entry.observed == Observed::Gone && !state.has_shown_all() => false,
            Some(_) => self.table.has(place, member, Flag::Known) && row.held(member) != Some(UNREAD),
        };
        let is_in_doubt = self.table.has(place, member, Flag::Doubt);
        let is_set_aside = row.quarantine.iter().any(|quarantine| quarantine.member == member);
        let is_known = is_known || self.is_again(place, member);
        if state.frozen || !is_known || is_set_aside || is_in_doubt {
            Sign::Unknown
        } else {
            Sign::of(entry, row.version, row.base)
        }
    }

    /// The signs of all members' entries.
    pub(crate) fn signs(&self, place: Place, row: &Row) -> Vec<Sign> {
        self.all().map(|member| self.sign(place, row, member)).collect()
    }

    /// What all members are seen to hold of a row; behind them, as if it were a member at rest, what is
    /// agreed without one: a content of nobody's, or that the item is deleted.
    pub(crate) fn views(&self, place: Place, row: &Row) -> Vec<View> {
        let is_rekeyed = self.is_rekeyed(place, row);
        let view = |member| View {
            sign: self.sign(place, row, member),
            digest: row.held(member).map(|content| content.digest),
            bytes: row.held(member).filter(|_| is_rekeyed).map(|content| content.raw),
            rewritten: row.entry(member).is_some_and(|entry| entry.rewritten),
        };
        let nobody = |sign, digest| View { sign, digest, bytes: None, rewritten: false };
        let agreed = match &row.supplied {
            Some(supplied) => Some(View {
                bytes: is_rekeyed.then_some(supplied.content.raw),
                ..nobody(Sign::Same, Some(supplied.content.digest))
            }),
            None => row.is_tombstone().then(|| nobody(Sign::Deleted, None)),
        };
        self.all().map(view).chain(agreed).collect()
    }

    /// Whether members may have different UIDs, which are no part of a digest: one was edited. Nobody knows
    /// any more whether that is what an open conflict began with.
    pub(crate) fn is_rekeyed(&self, place: Place, row: &Row) -> bool {
        self.table.mark(place).rekeyed || row.conflict.is_some()
    }

    fn policy(&self, row: &Row) -> Policy {
        let is_authority = |member: &MemberIndex| self.settings_of(*member).access == Access::Authority;
        Policy {
            conflict: self.settings.conflict,
            edit_vs_delete: self.settings.edit_vs_delete,
            authority: self.all().find(is_authority),
            is_supplied: row.supplied.is_some(),
            is_first: row.version == 0,
        }
    }

    /// What is to be done with a row now.
    pub(crate) fn decide(&self, place: Place, row: &Row) -> Decision {
        if is_duplicate(row) {
            return Decision::Nothing;
        }
        if self.table.mark(place).held {
            return Decision::Wait;
        }
        match decide(&self.views(place, row), self.policy(row)) {
            // What would be written is there already.
            Decision::Spread(source) if self.targets(place, row, source).is_empty() => Decision::Adopt,
            decision => decision,
        }
    }

    /// Whether what this source holds is for everybody. Whoever was brought it may be named as its source
    /// by now: another holder of the same bytes is as good.
    pub(crate) fn is_spread_from(&self, place: Place, row: &Row, source: MemberIndex) -> bool {
        let Decision::Spread(decided) = self.decide(place, row) else { return false };
        let held = |member| Some((self.sign(place, row, member), row.held(member)?.raw));
        let are_members = self.is_member(source) && self.is_member(decided);
        decided == source || are_members && held(source).is_some() && held(source) == held(decided)
    }

    /// The members that need a write where the content of `source` is for everybody.
    pub(crate) fn targets(&self, place: Place, row: &Row, source: MemberIndex) -> Vec<MemberIndex> {
        let views = self.views(place, row);
        let content = source_content(row, source).map(|content| content.raw);
        let has_it =
            |member| row.held(member).map(|held| held.raw) == content && !owes_read_back(row, member);
        self.all().filter(|target| needs_write(&views, source, *target) && !has_it(*target)).collect()
    }

    /// The members that are to delete the item.
    pub(crate) fn deleters(&self, place: Place, row: &Row) -> Vec<MemberIndex> {
        self.all().filter(|member| self.sign(place, row, *member).is_present()).collect()
    }

    pub(crate) fn may_write(&self, member: MemberIndex) -> bool {
        let takes_writes = matches!(self.settings_of(member).access, Access::Full | Access::NoDelete);
        takes_writes && !self.state(member).frozen && !self.state(member).stopped
    }

    pub(crate) fn may_delete_at(&self, member: MemberIndex) -> bool {
        self.may_write(member) && self.settings_of(member).access == Access::Full
    }

    pub(crate) fn pending(&mut self, place: Place, member: MemberIndex, reason: impl Into<String>) {
        let Some(row) = self.table.row(place) else { return };
        let href = href(&row, member);
        self.table.flag(place, member, Flag::Pending, true);
        self.tell_of_item(member, Report::Pending { member, href, reason: reason.into() });
    }

    /// Tells of one item, unless so many were told that a list serves nobody: then it is counted,
    /// and told by [`Report::Untold`]. A member can make as many of these as it lists items.
    pub(crate) fn tell_of_item(&mut self, member: MemberIndex, report: Report) {
        let told = &mut self.state_mut(member).item_reports;
        *told += 1;
        if *told <= ITEM_REPORTS {
            self.reports.push_back(report);
        }
    }

    /// Tells how many items were only counted.
    pub(crate) fn report_untold(&mut self) {
        for member in self.all() {
            let count = self.state(member).item_reports.saturating_sub(ITEM_REPORTS);
            if count > 0 {
                self.reports.push_back(Report::Untold { member, count });
            }
        }
    }

    /// Leaves an item alone at one member until its content changes.
    pub(crate) fn quarantine(&mut self, place: Place, member: MemberIndex, reason: String) {
        let Some(mut row) = self.table.row(place) else { return };
        let quarantine = Quarantine { member, reason: shortened(reason) };
        if row.quarantine.contains(&quarantine) {
            return;
        }
        row.quarantine.retain(|other| other.member != member);
        let reason = quarantine.reason.clone();
        row.quarantine.push(quarantine);
        let report = Report::Quarantined { row: row.id, member, href: href(&row, member), reason };
        self.tell_of_item(member, report);
        self.table.put(place, row);
    }
}

/// Another item of the same member has this row's key.
pub(crate) fn is_duplicate(row: &Row) -> bool {
    row.quarantine.iter().any(|quarantine| quarantine.reason.starts_with(DUPLICATE))
}

/// What is to be written from `source`: a member, or behind the last one the content of nobody's.
pub(crate) fn source_content(row: &Row, source: MemberIndex) -> Option<Content> {
    let supplied = || row.supplied.as_ref().map(|supplied| supplied.content);
    if source.index() < row.entries.len() { row.held(source) } else { supplied() }
}

/// A reason is kept in its row, and may quote a member: a few words of it must do.
fn shortened(mut reason: String) -> String {
    let end = reason.char_indices().nth(REASON_CHARS).map_or(reason.len(), |(end, _)| end);
    reason.truncate(end);
    reason
}

/// What a member calls the item; another member's name where it has none, else the key.
pub(crate) fn href(row: &Row, member: MemberIndex) -> Href {
    let own = row.entry(member).into_iter().chain(row.entries.iter().flatten());
    own.map(|entry| entry.href.clone()).next().unwrap_or_else(|| Href(row.key.0.clone()))
}
