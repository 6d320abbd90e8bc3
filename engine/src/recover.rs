//! Recover: writes of earlier runs whose answer was lost (decisions X1, X2).
//!
//! Each is read back before any difference is taken. A create has no name to read; it is looked
//! for among the new items of a listing that says something.

use outrigger_protocol::{CommitKind, Dedupe, Href, ReadOutcome};

use crate::apply::{self, Stored, is_base, is_intended};
use crate::canonical::Canonical;
use crate::journal::Intent;
use crate::observe::{self, State, UNREAD};
use crate::packed::{Packed, Seen};
use crate::reads::Why;
use crate::row::{Content, MemberIndex, Row};
use crate::state::Run;
use crate::table::{Flag, Place};

impl Run {
    /// Asks for everything that can be read back by name.
    pub(crate) fn begin_recovery(&mut self) {
        for at in 0..self.doubts.len() {
            let Some((place, intent)) = self.doubts.get(at).and_then(Option::as_ref) else { continue };
            let (place, member, by_name) = (*place, intent.member, *intent.href.as_bytes() != *b"");
            self.table.flag(place, member, Flag::Doubt, true);
            if by_name {
                self.state_mut(member).reader.queue.push_back(Why::Recover(at));
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
            CommitKind::Delete => {
                apply::deleted(&mut row, &intent);
                self.table.put(place, row);
                self.know(place, intent.member, true);
            }
            CommitKind::Update => {
                observe::unsettle(&mut row, intent.member);
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
        let member = intent.member;
        self.release(place, member);
        if let Some(older) = self.resend.insert((place, member), intent) {
            self.table.not_done(place, older.operation);
        }
    }

    fn close_doubt(&mut self, place: Place, intent: &Intent) {
        self.table.settle(place, intent.operation);
        self.release(place, intent.member);
    }

    /// Lets the member's part of the row move, unless another write of it is still in doubt.
    pub(crate) fn release(&mut self, place: Place, member: MemberIndex) {
        let is_it = |(other, intent): &(Place, Intent)| *other == place && intent.member == member;
        let still = self.doubts.iter().flatten().any(is_it);
        self.table.flag(place, member, Flag::Doubt, still);
    }

    /// Creates in doubt, after listing: done if the item is there now, not done if the listing says
    /// that it is not, else still in doubt; then it is sent again where the member can tell.
    pub(crate) fn resolve_creates(&mut self) {
        let is_awaited = |run: &Self, member: MemberIndex| {
            let mut open = run.doubts.iter().flatten();
            open.any(|(_, intent)| intent.member == member && intent.kind == CommitKind::Create)
        };
        let shows: Vec<bool> =
            self.all().map(|it| is_awaited(self, it) && self.shows_what_is_new(it)).collect();
        for at in 0..self.doubts.len() {
            let is_create = |(_, intent): &(Place, Intent)| intent.href.as_bytes().is_empty();
            let Some((place, intent)) =
                self.doubts.get_mut(at).and_then(|doubt| doubt.take_if(|d| is_create(d)))
            else {
                continue;
            };
            let is_whole = shows.get(intent.member.index()) == Some(&true);
            if is_whole || self.is_there(place, &intent) {
                self.resolve_create(place, intent);
            } else if !self.take_for_again(place, &intent) {
                self.reopen(at, place, intent);
            }
        }
    }

    /// Whether what this run has not found at the member is not there. An item that could not be read
    /// may be the one that was created; so may one that is set aside, where the member could not tell
    /// a second one from it.
    fn shows_what_is_new(&self, member: MemberIndex) -> bool {
        let tells = matches!(self.settings_of(member).dedupe, Dedupe::Token | Dedupe::Conditional);
        let is_open = |place: Place| {
            let Some(packed) = self.table.packed(place) else { return false };
            let is_unread = matches!(packed.seen(member), Seen::Present { content, .. } if content == UNREAD);
            is_unread && !(packed.is_quarantined() && tells)
        };
        let state = self.state(member);
        !state.frozen && state.has_shown_all() && !self.table.places().any(is_open)
    }

    /// Whether what was meant to be made is seen there, however little else is.
    fn is_there(&self, place: Place, intent: &Intent) -> bool {
        let is_it = |row: Row| {
            let is_new = row.entry(intent.member).is_some_and(|entry| entry.have == 0);
            is_new && row.held(intent.member).is_some_and(|content| is_intended(intent, &content))
        };
        self.table.row(place).is_some_and(is_it)
    }

    fn resolve_create(&mut self, place: Place, intent: Intent) {
        let Some(mut row) = self.table.row(place) else { return self.close_doubt(place, &intent) };
        let member = intent.member;
        let Some(entry) = row.entry(member).cloned().filter(|_| observe::is_present(&row, member)) else {
            return self.keep_for_resend(place, intent);
        };
        if let crate::row::Observed::Present { revision, settled, content } = entry.observed
            && entry.have < intent.version
            && is_intended(&intent, &content)
        {
            self.was_done(&mut row, &intent, entry.href, State { revision, settled }, content);
            self.table.put(place, row);
        }
        self.close_doubt(place, &intent);
    }

    /// Whether a new item at `member` may become the row's: not while another write than its creation
    /// is in doubt there, nor a deletion anywhere, for that may still end the row.
    pub(crate) fn may_join(&self, place: Place, member: MemberIndex) -> bool {
        let is_harmless = |intent: &Intent| match intent.kind {
            CommitKind::Create => true,
            CommitKind::Update => intent.member != member,
            CommitKind::Delete => false,
        };
        self.doubts.iter().flatten().all(|(other, intent)| *other != place || is_harmless(intent))
    }

    /// The row whose create in doubt at `member` this new item may be. It is, byte for byte: a row that
    /// was linked by its content may have another UID than what was sent. Of items without a UID, which a
    /// member names as it likes (`is_nameless`), what means the same is enough.
    pub(crate) fn doubtful_create(
        &self,
        member: MemberIndex,
        is_nameless: bool,
        content: Content,
    ) -> Option<Place> {
        let has_no_uid = |row: &Packed| row.entries().flatten().any(|entry| entry.href == row.key());
        let fits = |(place, intent): &&(Place, Intent)| {
            let Some(row) = self.table.packed(*place).filter(|row| !row.is_present(member)) else {
                return false;
            };
            let Some(sent) = intent.content.filter(|_| intent.kind == CommitKind::Create) else {
                return false;
            };
            let is_alike = is_nameless && sent.digest == content.digest && has_no_uid(row);
            intent.member == member && (sent.raw == content.raw || is_alike)
        };
        self.doubts.iter().flatten().find(fits).map(|(place, _)| *place)
    }
}

/// Whether the row still calls the item what the write called it. Otherwise what the write left
/// behind is no longer the row's.
fn is_about(row: &Row, intent: &Intent) -> bool {
    row.entry(intent.member).is_some_and(|entry| entry.href == intent.href)
}

/// What is there is neither what was meant nor what was expected: somebody's edit.
fn decided_anew(row: &mut Row, intent: &Intent, state: State, canonical: Canonical) {
    observe::item(row, intent.member, state, canonical);
    // Put there again, with the same content, after the delete was sent: it is a new item, which no
    // resent delete may take away.
    if intent.kind == CommitKind::Delete
        && let Some(entry) = row.entry_mut(intent.member)
    {
        entry.have = 0;
    }
}
