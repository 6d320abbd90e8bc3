//! Recover: writes of earlier runs whose answer was lost (decisions X1, X2).
//!
//! Each is read back before any difference is taken. A create has no name to read; it is looked
//! for among the new items of a listing that says something.

use outrigger_protocol::{CommitKind, Href, ReadOutcome};

use crate::apply::{self, Stored, is_base, is_intended};
use crate::canonical::Canonical;
use crate::journal::Intent;
use crate::observe::{self, State};
use crate::packed::Seen;
use crate::reads::Why;
use crate::row::{Content, Row, Side};
use crate::state::Run;
use crate::table::Place;

impl Run {
    /// Asks for everything that can be read back by name.
    pub(crate) fn begin_recovery(&mut self) {
        for at in 0..self.doubts.len() {
            let Some((place, intent)) = self.doubts.get(at).and_then(Option::as_ref) else { continue };
            let (place, side, by_name) = (*place, intent.side, *intent.href.as_bytes() != *b"");
            self.table.mark_mut(place, |mark| mark.held = true);
            if by_name {
                self.member_mut(side).reader.queue.push_back(Why::Recover(at));
            }
        }
    }

    /// A write in doubt was read back.
    pub(crate) fn recovered(&mut self, at: usize, outcome: ReadOutcome<'_>) {
        let Some((place, intent)) = self.doubts.get_mut(at).and_then(Option::take) else { return };
        let Some(row) = self.table.row(place).filter(|row| is_about(row, &intent)) else {
            return self.close_doubt(place, &intent);
        };
        match outcome {
            ReadOutcome::Item { revision, settled, format, data } => {
                let canonical = Canonical::of(&format, &data);
                self.recovered_item(place, row, intent, State { revision, settled }, canonical);
            }
            ReadOutcome::NotModified { revision, settled } => {
                let known = intent.content.or(intent.expected.as_ref().map(|(_, base)| *base));
                let Some(content) = known else { return self.reopen(at, place, intent) };
                let canonical = Canonical { content, key: None };
                self.recovered_item(place, row, intent, State { revision, settled }, canonical);
            }
            ReadOutcome::NotFound => self.recovered_absent(place, row, intent),
            // Still in doubt; the row waits for the next run.
            ReadOutcome::Failed(_) => self.reopen(at, place, intent),
        }
    }

    fn reopen(&mut self, at: usize, place: Place, intent: Intent) {
        if let Some(slot) = self.doubts.get_mut(at) {
            *slot = Some((place, intent));
        }
    }

    fn recovered_item(
        &mut self,
        place: Place,
        mut row: Row,
        intent: Intent,
        state: State,
        canonical: Canonical,
    ) {
        if is_intended(&intent, &canonical.content) {
            self.was_done(&mut row, &intent, intent.href.clone(), state, canonical.content);
        } else if is_base(&intent, &state, &canonical.content) {
            return self.keep_for_resend(place, intent);
        } else {
            decided_anew(&mut row, &intent, state, canonical);
        }
        self.table.put(place, row);
        self.close_doubt(place, &intent);
    }

    fn recovered_absent(&mut self, place: Place, mut row: Row, intent: Intent) {
        match intent.kind {
            CommitKind::Create => return self.keep_for_resend(place, intent),
            CommitKind::Delete => match apply::deleted(row, &intent) {
                Some(row) => self.table.put(place, row),
                None => self.table.remove(place),
            },
            CommitKind::Update => {
                observe::unsettle(&mut row, intent.side);
                self.table.put(place, row);
            }
        }
        self.close_doubt(place, &intent);
    }

    fn was_done(&mut self, row: &mut Row, intent: &Intent, href: Href, state: State, content: Content) {
        apply::written(row, intent, Stored { href, state, content, read_back: false });
    }

    /// Known not to be done. The same write may be sent again under its ID; another one takes a
    /// new ID, and closes this one first.
    fn keep_for_resend(&mut self, place: Place, intent: Intent) {
        self.release(place);
        if let Some(older) = self.resend.insert(place, intent) {
            self.table.settle(place, older.operation);
        }
    }

    fn close_doubt(&mut self, place: Place, intent: &Intent) {
        self.table.settle(place, intent.operation);
        self.release(place);
    }

    /// Lets the row move, unless another write of it is still in doubt.
    fn release(&mut self, place: Place) {
        let still = self.doubts.iter().flatten().any(|(other, _)| *other == place);
        self.table.mark_mut(place, |mark| mark.held = still);
    }

    /// Creates in doubt, after listing: done if the item is there now, not done if the listing says
    /// that it is not, else still in doubt.
    pub(crate) fn resolve_creates(&mut self) {
        for at in 0..self.doubts.len() {
            let is_create = |(_, intent): &(Place, Intent)| intent.href.as_bytes().is_empty();
            let Some((place, intent)) =
                self.doubts.get_mut(at).and_then(|doubt| doubt.take_if(|d| is_create(d)))
            else {
                continue;
            };
            let member = self.member(intent.side);
            if member.frozen || member.unobserved || !member.listing.is_conclusive() {
                self.reopen(at, place, intent);
                continue;
            }
            self.resolve_create(place, intent);
        }
    }

    fn resolve_create(&mut self, place: Place, intent: Intent) {
        let Some(mut row) = self.table.row(place) else { return self.close_doubt(place, &intent) };
        let side = intent.side;
        let Some(entry) = row.entries[side.index()].clone().filter(|_| observe::is_present(&row, side))
        else {
            return self.keep_for_resend(place, intent);
        };
        if let crate::row::Observed::Present { revision, settled, content } = entry.observed
            && entry.have == 0
            && is_intended(&intent, &content)
        {
            self.was_done(&mut row, &intent, entry.href, State { revision, settled }, content);
            self.table.put(place, row);
        }
        self.close_doubt(place, &intent);
    }

    /// Whether a new item at `side` may become the row's: not while another write than its creation
    /// there is in doubt, for that may still end the row.
    pub(crate) fn may_join(&self, place: Place, side: Side) -> bool {
        let is_create = |intent: &Intent| intent.side == side && intent.href.as_bytes().is_empty();
        self.doubts.iter().flatten().all(|(other, intent)| *other != place || is_create(intent))
    }

    /// The row whose create in doubt at `side` this new item may be: for items without a UID, which
    /// a member names as it likes, the content tells.
    pub(crate) fn doubtful_create(
        &self,
        side: Side,
        key: &[u8],
        href: &[u8],
        digest: &[u8; 32],
    ) -> Option<Place> {
        let fits = |(place, intent): &&(Place, Intent)| {
            let is_new_there = || match self.table.packed(*place).map(|row| row.seen(side)) {
                Some(Seen::Never | Seen::Gone) => true,
                Some(Seen::Present { .. }) | None => false,
            };
            intent.side == side
                && intent.href.as_bytes().is_empty()
                && key == href
                && intent.content.is_some_and(|sent| sent.digest.0 == *digest)
                && is_new_there()
        };
        self.doubts.iter().flatten().find(fits).map(|(place, _)| *place)
    }
}

/// Whether the row still calls the item what the write called it. Otherwise what the write left
/// behind is no longer the row's.
fn is_about(row: &Row, intent: &Intent) -> bool {
    row.entries[intent.side.index()].as_ref().is_some_and(|entry| entry.href == intent.href)
}

/// What is there is neither what was meant nor what was expected: somebody's edit.
fn decided_anew(row: &mut Row, intent: &Intent, state: State, canonical: Canonical) {
    observe::item(row, intent.side, state, canonical);
    // Put there again, with the same content, after the delete was sent: it is a new item, which no
    // resent delete may take away.
    if intent.kind == CommitKind::Delete
        && let Some(entry) = &mut row.entries[intent.side.index()]
    {
        entry.have = 0;
    }
}
