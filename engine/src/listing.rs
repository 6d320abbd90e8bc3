//! Listing: what a member lists, matched to rows on the fly.

use outrigger_protocol::{Anchor, Change, ChangeKind, Code, Error, Revision, StoreId, limits};

use crate::action::Action;
use crate::charge::Stamp;
use crate::comparer::Comparer;
use crate::observe::{self, UNREAD};
use crate::packed::Seen;
use crate::reads::{Fresh, Why};
use crate::report::{FailureClass, Report};
use crate::row::Side;
use crate::state::{Listing, Run};
use crate::table::Place;

/// The end mark of a listing.
#[derive(Debug)]
pub(crate) struct EndMark {
    pub(crate) complete: bool,
    pub(crate) count: u64,
    pub(crate) anchor: Option<Anchor>,
    pub(crate) store: Option<StoreId>,
}

impl Run {
    pub(crate) fn ask_listing(&mut self, side: Side, slow: bool) {
        let anchor = if slow { None } else { self.member(side).old_anchor.clone() };
        self.member_mut(side).listing = Listing::Open { slow };
        self.outputs.push_back(Action::List { side, slow, anchor });
    }

    /// One entry of a listing.
    pub(crate) fn listed(&mut self, side: Side, change: Change) {
        if self.member(side).frozen {
            return;
        }
        if !matches!(self.member(side).listing, Listing::Open { .. }) {
            return self.freeze(side, "it listed after the end of its listing");
        }
        let names = [change.href.as_bytes(), change.revision.as_bytes()];
        let words = [change.object_type.as_bytes(), change.format.as_bytes()];
        let is_too_long = names.into_iter().chain(words).any(|name| name.len() > limits::MAX_HREF);
        if change.href.as_bytes().is_empty() || is_too_long {
            return self.freeze(side, "it listed an item without a name, or with one beyond the limit");
        }
        if let Some(words) = self.count_entry(side, &change) {
            return self.freeze(side, &words);
        }
        if let Some(anchor) = change.checkpoint() {
            self.member_mut(side).checkpoint = Some(anchor);
        }
        match self.table.by_href(side, change.href.as_bytes()) {
            Some(place) if self.table.mark(place).listed[side.index()] => {
                self.freeze(side, "it listed an item twice");
            }
            Some(place) => self.listed_known(side, place, &change),
            None => self.listed_new(side, change),
        }
    }

    /// Counts an entry; what to say of a listing that is longer than it may be.
    fn count_entry(&mut self, side: Side, change: &Change) -> Option<String> {
        let limits = self.settings.listing;
        let names = [change.href.as_bytes().len(), change.revision.as_bytes().len()];
        let names = names.iter().sum::<usize>() + change.object_type.len() + change.format.len();
        let member = self.member_mut(side);
        member.counts.listed += 1;
        member.name_bytes += names as u64;
        if member.counts.listed > limits.entries {
            return Some(format!("it listed more than {} items, the limit of a listing", limits.entries));
        }
        let limit = limits.name_bytes;
        (member.name_bytes > limit)
            .then(|| format!("the names in its listing are more than {limit} bytes, the limit of a listing"))
    }

    fn listed_known(&mut self, side: Side, place: Place, change: &Change) {
        let object_type = self.object_type_number(&change.object_type);
        self.table.mark_mut(place, |mark| {
            mark.listed[side.index()] = true;
            mark.object_type = object_type;
        });
        if change.kind != ChangeKind::Deleted {
            // Durable also if it cannot be read in this run: a feed names it once.
            self.change(place, |row| observe::there_again(row, side, &change.revision));
        }
        match change.kind {
            ChangeKind::Deleted => {
                self.change(place, |row| observe::gone(row, side));
                self.know(place, side, true);
            }
            ChangeKind::Unreadable => {
                self.lose_sight(place, side);
                self.pending(place, side, "it is there and cannot be read");
            }
            _ if self.is_as_known(side, place, change) => self.know(place, side, true),
            _ => {
                let stamp = Stamp::of(&change.revision);
                self.member_mut(side).reader.queue.push_back(Why::Look(place, stamp));
            }
        }
    }

    /// Equal revisions prove equal content only where both are settled (decisions S6).
    fn is_as_known(&self, side: Side, place: Place, change: &Change) -> bool {
        let Some(row) = self.table.packed(place) else { return false };
        match row.seen(side) {
            Seen::Present { revision, settled, content } => {
                let is_read = settled && content != UNREAD && !row.owes_read_back(side);
                is_read && revision == change.revision.as_bytes()
            }
            Seen::Gone | Seen::Never => false,
        }
    }

    fn listed_new(&mut self, side: Side, change: Change) {
        let object_type = self.object_type_number(&change.object_type);
        let Change { href, revision, kind, .. } = change;
        let fresh = Fresh { href, revision, object_type };
        match kind {
            ChangeKind::Deleted => {}
            ChangeKind::Unreadable => {
                let place = self.admit_unread(side, &fresh);
                self.pending(place, side, "it is there and cannot be read");
            }
            _ => self.member_mut(side).fresh.push(fresh),
        }
    }

    /// The listing ended by its end mark.
    pub(crate) fn list_end(&mut self, side: Side, end: EndMark) {
        let Listing::Open { slow } = self.member(side).listing else { return };
        if !self.member(side).frozen {
            let listing = self.judge(side, slow, &end);
            self.take_listing(side, listing, end.anchor, end.store);
        }
    }

    fn take_listing(&mut self, side: Side, listing: Listing, anchor: Option<Anchor>, store: Option<StoreId>) {
        if self.is_other_store(side, store.as_ref()) {
            self.reports.push_back(Report::StoreChanged { side });
            let words = "it is another store than at the last run";
            return self.leave_alone(side, FailureClass::OtherStore, words);
        }
        // The order of entries is the member's affair; the result must not depend on it.
        let fresh = &mut self.member_mut(side).fresh;
        fresh.sort_unstable_by(|a, b| a.href.cmp(&b.href));
        if fresh.windows(2).any(|pair| matches!(pair, [a, b] if a.href == b.href)) {
            return self.freeze(side, "it listed an item twice");
        }
        let count = self.member(side).counts.listed;
        self.reports.push_back(Report::Listed { side, count, complete: listing.is_conclusive() });
        let member = self.member_mut(side);
        member.listing = listing;
        member.new_anchor = anchor;
        member.new_store = store;
        for place in self.table.places() {
            self.unlisted(side, place, listing);
        }
    }

    fn is_other_store(&self, side: Side, named: Option<&StoreId>) -> bool {
        matches!((self.member(side).old_store.as_ref(), named), (Some(old), Some(new)) if old != new)
    }

    /// A store that had an identity and names none now is perhaps not mounted.
    fn has_lost_identity(&self, side: Side, named: Option<&StoreId>) -> bool {
        self.member(side).old_store.is_some() && named.is_none()
    }

    /// What the listing is worth.
    fn judge(&self, side: Side, slow: bool, end: &EndMark) -> Listing {
        let member = self.member(side);
        if end.count != member.counts.listed || self.has_lost_identity(side, end.store.as_ref()) {
            Listing::Partial
        } else if end.complete {
            Listing::Complete { slow }
        } else if !slow && member.old_anchor.is_some() && end.anchor.is_some() {
            Listing::Changes
        } else {
            Listing::Partial
        }
    }

    /// What it means for a row that the listing did not name it.
    fn unlisted(&mut self, side: Side, place: Place, listing: Listing) {
        let Some(row) = self.table.packed(place) else { return };
        if self.table.mark(place).listed[side.index()] {
            return;
        }
        let owes = row.owes_read_back(side);
        match (listing, row.seen(side)) {
            (_, Seen::Never)
            | (Listing::Cut | Listing::Partial | Listing::NotAsked | Listing::Open { .. }, _) => {}
            // It may be there again, and left out: a deletion that is still owed is proved once more.
            (Listing::Complete { .. }, Seen::Gone) if self.owes_deletion(side, place) => {
                self.member_mut(side).reader.queue.push_back(Why::Prove(place));
            }
            (Listing::Complete { .. } | Listing::Changes, Seen::Gone) => self.know(place, side, true),
            (Listing::Complete { slow: false }, Seen::Present { .. }) => {
                self.member_mut(side).reader.queue.push_back(Why::Prove(place));
            }
            // A slow listing deletes nothing; the next one looks at the item by name.
            (Listing::Complete { slow: true }, Seen::Present { .. }) => self.lose_sight(place, side),
            (Listing::Changes, Seen::Present { settled: true, .. }) if !owes => self.know(place, side, true),
            (Listing::Changes, Seen::Present { revision, .. }) => {
                let stamp = Stamp::of(&Revision::from(revision));
                self.member_mut(side).reader.queue.push_back(Why::Look(place, stamp));
            }
        }
    }

    /// Whether an item that is gone at `side` may be deleted at the other member in this run.
    fn owes_deletion(&self, side: Side, place: Place) -> bool {
        let other = side.other();
        let Some(row) = self.table.packed(place) else { return false };
        let has_name = row.href(side).is_some_and(|href| !href.is_empty());
        has_name && !self.settings.read_only[other.index()] && matches!(row.seen(other), Seen::Present { .. })
    }

    /// The listing ended without its end mark.
    pub(crate) fn list_failed(&mut self, side: Side, error: &Error, store: Option<StoreId>) {
        let Listing::Open { slow } = self.member(side).listing else { return };
        if self.member(side).frozen {
            return;
        }
        if error.code == Code::SLOW_SYNC && !slow {
            self.forget_listing(side);
            return self.ask_listing(side, true);
        }
        let words = format!("it could not be listed: {error}");
        let checkpoint = self.member_mut(side).checkpoint.take();
        let may_go_on = !slow && self.begins_a_feed(side) && !self.has_lost_identity(side, store.as_ref());
        let checkpoint = checkpoint.filter(|_| may_go_on);
        if checkpoint.is_none() {
            return self.leave_alone(side, FailureClass::Call(error.code), &words);
        }
        self.reports.push_back(Report::CallFailed { side, words });
        self.take_listing(side, Listing::Cut, checkpoint, store);
    }

    /// Whether what the listing did not come to will be named by the next one: it goes on from an
    /// anchor, or nothing is known of the member. Otherwise it tells by silence what was deleted.
    fn begins_a_feed(&self, side: Side) -> bool {
        let knows = |place| self.table.packed(place).is_some_and(|row| row.href(side).is_some());
        self.member(side).old_anchor.is_some() || !self.table.places().any(knows)
    }

    /// What was listed so far counts for nothing, nor does what was to be looked at for it.
    fn forget_listing(&mut self, side: Side) {
        let member = self.member_mut(side);
        member.fresh.clear();
        member.reader.queue.clear();
        member.counts.listed = 0;
        member.name_bytes = 0;
        member.checkpoint = None;
        for place in self.table.places() {
            self.table.mark_mut(place, |mark| mark.listed[side.index()] = false);
            self.know(place, side, false);
        }
    }

    /// Leaves alone a member that broke the contract.
    pub(crate) fn freeze(&mut self, side: Side, words: &str) {
        self.leave_alone(side, FailureClass::Contract, words);
    }

    /// Leaves a member alone for the rest of the run: its rows are frozen, nothing more is asked of
    /// it, and what it was sent and has not answered is in doubt.
    pub(crate) fn leave_alone(&mut self, side: Side, class: FailureClass, words: &str) {
        let member = self.member_mut(side);
        if member.frozen {
            return;
        }
        member.frozen = true;
        member.unobserved |= !member.fresh.is_empty();
        member.fresh.clear();
        if !member.listing.is_conclusive() {
            member.listing = Listing::Partial;
        }
        let left = member.reader.abandon();
        self.reports.push_back(Report::MemberFailed { side, class, words: words.to_owned() });
        for why in left {
            self.unanswered(side, why);
        }
        self.abandon_lots(side);
        // Each comparison needs both members.
        self.comparer = Comparer::default();
    }
}
