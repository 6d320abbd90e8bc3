//! Listing: what a member lists, matched to rows on the fly.

use outrigger_protocol::{Anchor, Change, ChangeKind, Code, Error, Revision, StoreId, limits};

use crate::action::Action;
use crate::charge::Stamp;
use crate::observe::{self, UNREAD};
use crate::packed::Seen;
use crate::reads::{Fresh, Why};
use crate::report::{FailureClass, Report};
use crate::row::MemberIndex;
use crate::seeded::Bug;
use crate::state::{Listing, Run};
use crate::table::{Flag, Place};

/// The end mark of a listing.
#[derive(Debug)]
pub(crate) struct EndMark {
    pub(crate) complete: bool,
    pub(crate) count: u64,
    pub(crate) anchor: Option<Anchor>,
    pub(crate) store: Option<StoreId>,
}

impl Run {
    pub(crate) fn ask_listing(&mut self, member: MemberIndex, slow: bool) {
        let anchor = if slow { None } else { self.state(member).old_anchor.clone() };
        self.state_mut(member).listing = Listing::Open { slow };
        self.outputs.push_back(Action::List { member, slow, anchor });
    }

    /// One entry of a listing.
    pub(crate) fn listed(&mut self, member: MemberIndex, change: Change) {
        if self.state(member).frozen {
            return;
        }
        if !matches!(self.state(member).listing, Listing::Open { .. }) {
            return self.freeze(member, "it listed after the end of its listing");
        }
        let names = [change.href.as_bytes(), change.revision.as_bytes()];
        let words = [change.object_type.as_bytes(), change.format.as_bytes()];
        let is_too_long = names.into_iter().chain(words).any(|name| name.len() > limits::MAX_HREF);
        if change.href.as_bytes().is_empty() || is_too_long {
            return self.freeze(member, "it listed an item without a name, or with one beyond the limit");
        }
        if let Some(words) = self.count_entry(member, &change) {
            return self.freeze(member, &words);
        }
        if let Some(anchor) = change.checkpoint() {
            self.state_mut(member).checkpoint = Some(anchor);
        }
        match self.table.next_by_href(member, change.href.as_bytes()) {
            Some(place) if self.table.has(place, member, Flag::Listed) => {
                self.freeze(member, "it listed an item twice");
            }
            Some(place) => self.listed_known(member, place, &change),
            None => self.listed_new(member, change),
        }
    }

    /// Counts an entry; what to say of a listing that is longer than it may be.
    fn count_entry(&mut self, member: MemberIndex, change: &Change) -> Option<String> {
        let limits = self.settings.listing;
        let names = [change.href.as_bytes().len(), change.revision.as_bytes().len()];
        let names = names.iter().sum::<usize>() + change.object_type.len() + change.format.len();
        let state = self.state_mut(member);
        state.counts.listed += 1;
        state.name_bytes += names as u64;
        if state.counts.listed > limits.entries {
            return Some(format!("it listed more than {} items, the limit of a listing", limits.entries));
        }
        let limit = limits.name_bytes;
        (state.name_bytes > limit)
            .then(|| format!("the names in its listing are more than {limit} bytes, the limit of a listing"))
    }

    fn listed_known(&mut self, member: MemberIndex, place: Place, change: &Change) {
        let object_type = self.object_type_number(&change.object_type);
        self.table.flag(place, member, Flag::Listed, true);
        self.table.mark_mut(place, |mark| mark.object_type = object_type);
        let was_gone = self.table.packed(place).is_some_and(|row| row.seen(member) == Seen::Gone);
        if was_gone && change.kind != ChangeKind::Deleted {
            // Durable also if it cannot be read in this run: a feed names it once.
            self.change(place, |row| observe::there_again(row, member, &change.revision));
        }
        match change.kind {
            ChangeKind::Deleted => {
                self.change(place, |row| observe::gone(row, member));
                self.know(place, member, true);
            }
            ChangeKind::Unreadable => {
                self.lose_sight(place, member);
                self.unread_for_now(place, member, "it is there and cannot be read".to_owned());
            }
            _ if self.is_as_known(member, place, change) => self.know(place, member, true),
            _ => {
                let stamp = Stamp::of(&change.revision);
                self.state_mut(member).reader.queue.push_back(Why::Look(place, stamp));
            }
        }
    }

    /// Equal revisions prove equal content only where both are settled (decisions S6).
    fn is_as_known(&self, member: MemberIndex, place: Place, change: &Change) -> bool {
        let entry = self.table.packed(place).and_then(|row| row.entry(member));
        entry.is_some_and(|entry| match entry.seen() {
            Seen::Present { revision, settled, content } => {
                let is_read = settled && content != UNREAD && !entry.owes_read_back();
                let is_read = is_read && !self.settings.verify;
                is_read && revision == change.revision.as_bytes()
            }
            Seen::Gone | Seen::Never => false,
        })
    }

    fn listed_new(&mut self, member: MemberIndex, change: Change) {
        let object_type = self.object_type_number(&change.object_type);
        let Change { href, revision, kind, .. } = change;
        let fresh = Fresh { href, revision, object_type };
        match kind {
            ChangeKind::Deleted => {}
            ChangeKind::Unreadable => {
                let place = self.admit_unread(member, &fresh);
                self.unread_for_now(place, member, "it is there and cannot be read".to_owned());
            }
            _ => self.state_mut(member).fresh.push(fresh),
        }
    }

    /// The listing ended by its end mark.
    pub(crate) fn list_end(&mut self, member: MemberIndex, end: EndMark) {
        let Listing::Open { slow } = self.state(member).listing else { return };
        if !self.state(member).frozen {
            let listing = self.judge(member, slow, &end);
            self.take_listing(member, listing, end.anchor, end.store);
        }
    }

    fn take_listing(
        &mut self,
        member: MemberIndex,
        listing: Listing,
        anchor: Option<Anchor>,
        store: Option<StoreId>,
    ) {
        if self.is_other_store(member, store.as_ref()) {
            self.reports.push_back(Report::StoreChanged { member });
            let words = "it is another store than at the last run";
            return self.leave_alone(member, FailureClass::OtherStore, words);
        }
        // The order of entries is the member's affair; the result must not depend on it.
        let fresh = &mut self.state_mut(member).fresh;
        fresh.sort_unstable_by(|a, b| a.href.cmp(&b.href));
        if fresh.windows(2).any(|pair| matches!(pair, [a, b] if a.href == b.href)) {
            return self.freeze(member, "it listed an item twice");
        }
        let count = self.state(member).counts.listed;
        self.reports.push_back(Report::Listed { member, count, complete: listing.is_conclusive() });
        let state = self.state_mut(member);
        state.listing = listing;
        state.new_anchor = anchor;
        state.new_store = store;
        for place in self.table.places() {
            self.unlisted(member, place, listing);
        }
    }

    fn is_other_store(&self, member: MemberIndex, named: Option<&StoreId>) -> bool {
        matches!((self.state(member).old_store.as_ref(), named), (Some(old), Some(new)) if old != new)
    }

    /// A store that had an identity and names none now is perhaps not mounted.
    fn has_lost_identity(&self, member: MemberIndex, named: Option<&StoreId>) -> bool {
        self.state(member).old_store.is_some() && named.is_none()
    }

    /// What the listing is worth.
    fn judge(&self, member: MemberIndex, slow: bool, end: &EndMark) -> Listing {
        let state = self.state(member);
        if end.count != state.counts.listed || self.has_lost_identity(member, end.store.as_ref()) {
            Listing::Partial
        } else if end.complete {
            Listing::Complete { slow }
        } else if !slow && state.old_anchor.is_some() && end.anchor.is_some() {
            Listing::Changes
        } else {
            Listing::Partial
        }
    }

    /// What it means for a row that the listing did not name it.
    fn unlisted(&mut self, member: MemberIndex, place: Place, listing: Listing) {
        let Some(row) = self.table.packed(place) else { return };
        if self.table.has(place, member, Flag::Listed) {
            return;
        }
        if self.is_seeded(Bug::DeletionFromIncompleteListing) && !listing.is_conclusive() {
            self.change(place, |row| observe::gone(row, member));
            self.state_mut(member).listing = Listing::Complete { slow: false };
            return self.know(place, member, true);
        }
        let owes = row.owes_read_back(member);
        match (listing, row.seen(member)) {
            (_, Seen::Never)
            | (Listing::Cut | Listing::Partial | Listing::NotAsked | Listing::Open { .. }, _) => {}
            // It may be there again, and left out: a deletion that is still owed is proved once more.
            (Listing::Complete { .. }, Seen::Gone) if self.owes_deletion(member, place) => {
                self.state_mut(member).reader.queue.push_back(Why::Prove(place));
            }
            (Listing::Complete { .. } | Listing::Changes, Seen::Gone) => self.know(place, member, true),
            (Listing::Complete { slow: false }, Seen::Present { .. }) => {
                self.state_mut(member).reader.queue.push_back(Why::Prove(place));
            }
            // A slow listing deletes nothing; the next one looks at the item by name.
            (Listing::Complete { slow: true }, Seen::Present { .. }) => self.lose_sight(place, member),
            (Listing::Changes, Seen::Present { settled: true, .. }) if !owes => {
                self.know(place, member, true)
            }
            (Listing::Changes, Seen::Present { revision, .. }) => {
                let stamp = Stamp::of(&Revision::from(revision));
                self.state_mut(member).reader.queue.push_back(Why::Look(place, stamp));
            }
        }
    }

    /// Whether an item that is gone at this member may be deleted at another one in this run.
    fn owes_deletion(&self, member: MemberIndex, place: Place) -> bool {
        let Some(row) = self.table.packed(place) else { return false };
        let has_name = row.href(member).is_some_and(|href| !href.is_empty());
        has_name && self.others(member).any(|other| row.is_present(other) && self.may_delete_at(other))
    }

    /// The listing ended without its end mark.
    pub(crate) fn list_failed(&mut self, member: MemberIndex, error: &Error, store: Option<StoreId>) {
        let Listing::Open { slow } = self.state(member).listing else { return };
        if self.state(member).frozen {
            return;
        }
        if error.code == Code::SLOW_SYNC && !slow {
            self.forget_listing(member);
            return self.ask_listing(member, true);
        }
        let words = format!("it could not be listed: {error}");
        let checkpoint = self.state_mut(member).checkpoint.take();
        let may_go_on =
            !slow && self.begins_a_feed(member) && !self.has_lost_identity(member, store.as_ref());
        let checkpoint = checkpoint.filter(|_| may_go_on);
        if checkpoint.is_none() {
            return self.leave_alone(member, FailureClass::Call(error.code), &words);
        }
        self.reports.push_back(Report::CallFailed { member, words });
        self.take_listing(member, Listing::Cut, checkpoint, store);
    }

    /// Whether what the listing did not come to will be named by the next one: it goes on from an
    /// anchor, or nothing is known of the member. Otherwise it tells by silence what was deleted.
    fn begins_a_feed(&self, member: MemberIndex) -> bool {
        let knows = |place| self.table.packed(place).is_some_and(|row| row.href(member).is_some());
        self.state(member).old_anchor.is_some() || !self.table.places().any(knows)
    }

    /// What was listed so far counts for nothing, nor does what was to be looked at for it.
    fn forget_listing(&mut self, member: MemberIndex) {
        let state = self.state_mut(member);
        state.fresh.clear();
        state.reader.queue.clear();
        state.counts.listed = 0;
        state.name_bytes = 0;
        state.checkpoint = None;
        for place in self.table.places() {
            self.table.flag(place, member, Flag::Listed, false);
            self.know(place, member, false);
        }
    }

    /// Leaves alone a member that broke the contract.
    pub(crate) fn freeze(&mut self, member: MemberIndex, words: &str) {
        self.leave_alone(member, FailureClass::Contract, words);
    }

    /// Leaves a member alone for the rest of the run: its rows are frozen, nothing more is asked of
    /// it, and what it was sent and has not answered is in doubt.
    pub(crate) fn leave_alone(&mut self, member: MemberIndex, class: FailureClass, words: &str) {
        let state = self.state_mut(member);
        if state.frozen {
            return;
        }
        state.frozen = true;
        state.unobserved |= !state.fresh.is_empty();
        state.fresh.clear();
        if !state.listing.is_conclusive() {
            state.listing = Listing::Partial;
        }
        let left = state.reader.abandon();
        // What is being judged needs all that take part in it.
        self.judge.forget(member);
        self.reports.push_back(Report::MemberFailed { member, class, words: words.to_owned() });
        for why in left {
            self.unanswered(member, why);
        }
        self.abandon_lots(member);
    }
}
