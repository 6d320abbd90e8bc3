//! State: what one run holds, and the few steps that all its parts take.

use std::collections::{BTreeMap, VecDeque};

use outrigger_protocol::{Anchor, Href, StoreId};

use crate::action::{Action, BatchId, Ticket};
use crate::charge::Charges;
use crate::comparer::Comparer;
use crate::decide::{Decision, Likeness, Policy, Sign, decide};
use crate::journal::{Intent, Record};
use crate::lot::{Lot, Work};
use crate::observe::{UNREAD, content, owes_read_back};
use crate::reads::{Fresh, LotId, Reader};
use crate::report::{Counts, Report};
use crate::row::{Row, Side};
use crate::settings::{OperationSource, Settings};
use crate::table::{Place, Table};

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
    /// Both members list; what changed is read.
    Observing,
    /// Plugins say of what was changed on both members whether it means the same.
    Comparing,
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

/// One member in this run.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) listing: Listing,
    /// Left alone for the rest of the run.
    pub(crate) frozen: bool,
    /// A guard allows no write.
    pub(crate) stopped: bool,
    /// Something listed is not in a row: the anchor must stay.
    pub(crate) unobserved: bool,
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
    pub(crate) fn new(anchor: Option<Anchor>, store: Option<StoreId>) -> Self {
        Self {
            listing: Listing::NotAsked,
            frozen: false,
            stopped: false,
            unobserved: false,
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
    pub(crate) members: [Member; 2],
    /// Writes of earlier runs that are still in doubt, with their rows.
    pub(crate) doubts: Vec<Option<(Place, Intent)>>,
    /// Writes that are known not to be done, and may be sent again as they were.
    pub(crate) resend: BTreeMap<Place, Intent>,
    pub(crate) lots: BTreeMap<LotId, Lot>,
    /// Reads that a lot waits for.
    pub(crate) lot_reads: BTreeMap<BatchId, (LotId, Side)>,
    pub(crate) tickets: BTreeMap<Ticket, Option<LotId>>,
    pub(crate) comparer: Comparer,
    pub(crate) charges: Charges,
    pub(crate) object_types: Vec<String>,
    pub(crate) outputs: VecDeque<Action>,
    pub(crate) reports: VecDeque<Report>,
    pub(crate) new_conflicts: u64,
    pub(crate) journal_failed: bool,
    /// The leave to delete in spite of the guard was made use of.
    pub(crate) leave_used: bool,
    /// New items were asked for, or left to be forwarded.
    pub(crate) fresh_decided: bool,
    last_number: u64,
}

impl Run {
    pub(crate) fn new(
        table: Table,
        members: [Member; 2],
        doubts: Vec<Option<(Place, Intent)>>,
        settings: Settings,
        operations: OperationSource,
    ) -> Self {
        Self {
            settings,
            operations,
            phase: Phase::Recovering,
            table,
            members,
            doubts,
            resend: BTreeMap::new(),
            lots: BTreeMap::new(),
            lot_reads: BTreeMap::new(),
            tickets: BTreeMap::new(),
            comparer: Comparer::default(),
            charges: Charges::default(),
            object_types: Vec::new(),
            outputs: VecDeque::new(),
            reports: VecDeque::new(),
            new_conflicts: 0,
            journal_failed: false,
            leave_used: false,
            fresh_decided: false,
            last_number: 0,
        }
    }

    pub(crate) fn member(&self, side: Side) -> &Member {
        &self.members[side.index()]
    }

    pub(crate) fn member_mut(&mut self, side: Side) -> &mut Member {
        &mut self.members[side.index()]
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
        let ticket = Ticket(self.number());
        self.tickets.insert(ticket, lot);
        self.outputs.push_back(Action::Journal { ticket, records });
        ticket
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
    pub(crate) fn sign(&self, place: Place, row: &Row, side: Side) -> Sign {
        let member = self.member(side);
        let entry = row.entries[side.index()].as_ref();
        let is_known = match entry {
            None => member.listing.is_conclusive() && !member.unobserved,
            Some(_) => self.table.mark(place).known[side.index()] && content(row, side) != Some(UNREAD),
        };
        if member.frozen || !is_known { Sign::Unknown } else { Sign::of(entry, row.version) }
    }

    /// What is to be done with a row now.
    pub(crate) fn decide(&self, place: Place, row: &Row) -> Decision {
        if row.quarantine.is_some() {
            return Decision::Nothing;
        }
        if self.table.mark(place).held {
            return Decision::Wait;
        }
        let [a, b] = Side::BOTH.map(|side| self.sign(place, row, side));
        let policy =
            Policy { conflict: self.settings.conflict, edit_vs_delete: self.settings.edit_vs_delete };
        match decide(a, b, likeness(row), policy) {
            // What would be written is there already.
            Decision::WriteFrom(_) if holds_same_bytes(row) => Decision::Adopt,
            // What looks like a deletion may be half of a move.
            Decision::DeleteOn(side) if !self.member(side.other()).listing.is_conclusive() => Decision::Wait,
            decision => decision,
        }
    }

    pub(crate) fn pending(&mut self, place: Place, side: Side, reason: impl Into<String>) {
        let Some(row) = self.table.row(place) else { return };
        let href = href(&row, side);
        self.table.mark_mut(place, |mark| mark.pending[side.index()] = true);
        self.tell_of_item(side, Report::Pending { side, href, reason: reason.into() });
    }

    /// Tells of one item, unless so many were told that a list serves nobody: then it is counted,
    /// and told by [`Report::Untold`]. A member can make as many of these as it lists items.
    pub(crate) fn tell_of_item(&mut self, side: Side, report: Report) {
        let told = &mut self.member_mut(side).item_reports;
        *told += 1;
        if *told <= ITEM_REPORTS {
            self.reports.push_back(report);
        }
    }

    /// Tells how many items were only counted.
    pub(crate) fn report_untold(&mut self) {
        for side in Side::BOTH {
            let count = self.member(side).item_reports.saturating_sub(ITEM_REPORTS);
            if count > 0 {
                self.reports.push_back(Report::Untold { side, count });
            }
        }
    }

    /// Leaves a row alone until its content changes.
    pub(crate) fn quarantine(&mut self, place: Place, side: Side, reason: String) {
        let Some(mut row) = self.table.row(place) else { return };
        let reason = shortened(reason);
        if row.quarantine.as_ref() == Some(&reason) {
            return;
        }
        row.quarantine = Some(reason.clone());
        let report = Report::Quarantined { row: row.id, side, href: href(&row, side), reason };
        self.tell_of_item(side, report);
        self.table.put(place, row);
    }
}

/// A reason is kept in its row, and may quote a member: a few words of it must do.
fn shortened(mut reason: String) -> String {
    let end = reason.char_indices().nth(REASON_CHARS).map_or(reason.len(), |(end, _)| end);
    reason.truncate(end);
    reason
}

/// What a member calls the item; the other member's name where it has none.
pub(crate) fn href(row: &Row, side: Side) -> Href {
    let entries = [side, side.other()].map(|side| row.entries[side.index()].as_ref());
    entries.into_iter().flatten().next().map(|entry| entry.href.clone()).unwrap_or_default()
}

/// Whether both members were seen to hold the very same bytes.
fn holds_same_bytes(row: &Row) -> bool {
    let is_seen = |side| !owes_read_back(row, side);
    match Side::BOTH.map(|side| content(row, side).filter(|_| is_seen(side))) {
        [Some(a), Some(b)] => a.raw == b.raw,
        _ => false,
    }
}

/// How the contents of a row that both members hold look to the engine itself.
pub(crate) fn likeness(row: &Row) -> Likeness {
    let [Some(a), Some(b)] = &row.entries else { return Likeness::Different };
    match (content(row, Side::A), content(row, Side::B)) {
        (Some(left), Some(right)) if left.digest == right.digest => Likeness::Equal,
        _ if a.rewritten || b.rewritten => Likeness::Rewritten,
        _ => Likeness::Different,
    }
}
