//! Observe: what an answer of a member does to a row, as pure functions.

use outrigger_protocol::{Href, RawDigest, Revision};

use crate::canonical::Canonical;
use crate::row::{Conflict, Content, Digest, Entry, Key, MemberIndex, Observed, Row};

/// Stands for the content of an item that is there and could not be read yet. No content has it:
/// that would be a preimage of zero.
pub(crate) const UNREAD: Content = Content { digest: Digest([0; 32]), raw: RawDigest([0; 32]) };

/// A state that a member named for an item.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) revision: Revision,
    pub(crate) settled: bool,
}

/// Begins the reason of a quarantine for a UID that another item has.
pub(crate) const DUPLICATE: &str = "another item has the same UID: ";

/// Whether the entry waits for a read-back (decisions S4): the member did not say what it stored.
/// Told by `rewritten` being set while nothing else than what was sent is agreed.
pub(crate) fn owes_read_back(row: &Row, member: MemberIndex) -> bool {
    let is_what_was_sent = |entry: &Entry| row.base.is_some_and(|base| base.digest == entry.agreed.digest);
    row.entry(member)
        .is_some_and(|entry| entry.rewritten && entry.have == row.version && is_what_was_sent(entry))
}

/// A row for an item that nobody has agreed on yet, in a group of so many members. The table gives the
/// number.
pub(crate) fn new_row(
    member: MemberIndex,
    members: usize,
    href: &Href,
    state: State,
    canonical: Canonical,
) -> Row {
    let content = canonical.content;
    let key = canonical.key.unwrap_or_else(|| Key(href.0.clone()));
    let observed = Observed::Present { revision: state.revision, settled: state.settled, content };
    let entry = Entry { href: href.clone(), agreed: content, have: 0, rewritten: false, observed };
    let mut row = Row::new(key, members);
    if let Some(place) = row.entries.get_mut(member.index()) {
        *place = Some(entry);
    }
    row
}

/// The item holds what the row knows; only its revision may be another.
pub(crate) fn not_modified(row: &mut Row, member: MemberIndex, state: State) {
    let owed = owes_read_back(row, member);
    let Some(entry) = row.entry_mut(member) else { return };
    // What was sent is what is stored.
    entry.rewritten &= !owed;
    if let Observed::Present { revision, settled, .. } = &mut entry.observed {
        *revision = state.revision;
        *settled = state.settled;
    }
    lift_quarantine(row, member);
}

/// It can be read again. If it was a write there that failed, that is tried once more.
fn lift_quarantine(row: &mut Row, member: MemberIndex) {
    row.quarantine.retain(|it| it.member != member || it.reason.starts_with(DUPLICATE));
}

/// The item holds `canonical`.
pub(crate) fn item(row: &mut Row, member: MemberIndex, state: State, canonical: Canonical) {
    let owed = owes_read_back(row, member);
    let Some(entry) = row.entry_mut(member) else { return };
    let content = canonical.content;
    let before = match &entry.observed {
        Observed::Present { revision, settled, content } => Some((revision.clone(), *settled, *content)),
        Observed::Gone => None,
    };
    let is_named = before.as_ref().is_some_and(|(.., known)| known.raw == content.raw);
    let agreed = entry.agreed.raw;
    if is_named && (!owed || agreed == content.raw) {
        return not_modified(row, member, state);
    }
    // An unsettled revision does not tell an edit in the same tick from rewriting (decisions S6).
    let is_same = |(revision, settled, _): &(_, bool, _)| *revision == state.revision && *settled;
    let is_own_write = owed && (is_named || before.as_ref().is_some_and(is_same));
    entry.rewritten &= !owed;
    if is_own_write {
        entry.agreed = content;
    }
    let was_read = before.is_some_and(|(.., known)| known != UNREAD);
    if entry.have == 0 {
        entry.agreed = content;
    }
    entry.observed = Observed::Present { revision: state.revision, settled: state.settled, content };
    if is_own_write {
        lift_quarantine(row, member);
    } else {
        row.quarantine.clear();
    }
    if owed {
        mark_rewritten(row, member);
    }
    take_key(row, member, canonical.key, was_read);
}

/// After a read-back: the flag says whether the member stores something else than what is agreed.
fn mark_rewritten(row: &mut Row, member: MemberIndex) {
    let base = row.base.map(|base| base.digest);
    if let Some(entry) = row.entry_mut(member) {
        entry.rewritten = base != Some(entry.agreed.digest);
    }
}

/// A UID edited in place is news of its own, for the digest does not hold it: the agreed version
/// moves on, and all others are behind until they have the new UID.
fn take_key(row: &mut Row, member: MemberIndex, key: Option<Key>, was_read: bool) {
    let Some(key) = key.filter(|key| *key != row.key) else { return };
    let (version, base) = (row.version, row.base);
    // Whoever is behind has not seen what the item is called by now.
    let Some(entry) = row.entries.get_mut(member.index()).and_then(Option::as_mut) else { return };
    let has_seen = base.is_some_and(|base| base.raw == entry.agreed.raw);
    if entry.have < version && !has_seen {
        return;
    }
    row.key = key;
    if version == 0 || base.is_none() || !was_read {
        return;
    }
    if let Observed::Present { content, .. } = &entry.observed
        && content.digest == entry.agreed.digest
    {
        entry.agreed = *content;
        entry.have = version + 1;
        row.base = Some(*content);
        row.version = version + 1;
    }
}

/// The item is gone, with proof.
pub(crate) fn gone(row: &mut Row, member: MemberIndex) {
    if let Some(entry) = row.entry_mut(member) {
        if entry.observed == Observed::Gone {
            // Proved once more: no news.
            return;
        }
        entry.observed = Observed::Gone;
    }
    // A deletion is a change: whatever kept the row from moving is judged anew.
    row.quarantine.clear();
}

/// What was gone is there again, with a content that nobody has read yet.
pub(crate) fn there_again(row: &mut Row, member: MemberIndex, revision: &Revision) {
    if let Some(entry) = row.entry_mut(member)
        && entry.observed == Observed::Gone
    {
        entry.observed = Observed::Present { revision: revision.clone(), settled: false, content: UNREAD };
    }
}

/// The item may hold something else than the row knows, and must be read again (decisions S6).
pub(crate) fn unsettle(row: &mut Row, member: MemberIndex) {
    if let Some(entry) = row.entry_mut(member)
        && let Observed::Present { settled, .. } = &mut entry.observed
    {
        *settled = false;
    }
}

/// What the item holds must be read again in full, whatever its revision says.
pub(crate) fn forget_content(row: &mut Row, member: MemberIndex) {
    if let Some(entry) = row.entry_mut(member)
        && let Observed::Present { settled, content, .. } = &mut entry.observed
    {
        (*settled, *content) = (false, UNREAD);
    }
}

/// Whether what all members hold now is a conflict that was raised already.
pub(crate) fn is_raised(row: &Row) -> bool {
    row.conflict.as_ref().is_some_and(|known| known.contents == contents(row))
}

/// What all members hold now is a conflict.
pub(crate) fn raise(row: &mut Row) {
    row.conflict = Some(Conflict { contents: contents(row) });
}

fn contents(row: &Row) -> Vec<Option<Content>> {
    row.members().map(|member| row.held(member)).collect()
}

/// Whether the member was last seen to hold the item.
pub(crate) fn is_present(row: &Row, member: MemberIndex) -> bool {
    row.held(member).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Canonical {
        Canonical::of("vcard", format!("BEGIN:VCARD\nUID:u\nFN:{text}\nEND:VCARD").as_bytes())
    }

    fn state(revision: &str) -> State {
        State { revision: Revision::from(revision), settled: true }
    }

    fn owing() -> Row {
        let mut row = new_row(MemberIndex(0), 2, &Href::from("a"), state("1"), canonical("x"));
        row.version = 1;
        row.base = row.held(MemberIndex(0));
        row.entries[1] = row.entries[0].clone();
        for entry in row.entries.iter_mut().flatten() {
            entry.have = 1;
        }
        if let Some(entry) = &mut row.entries[1] {
            entry.rewritten = true;
        }
        row
    }

    #[test]
    fn s4_a_read_back_at_the_revision_of_the_write_is_rewriting() {
        let mut row = owing();
        assert!(owes_read_back(&row, MemberIndex(1)) && !owes_read_back(&row, MemberIndex(0)));
        item(&mut row, MemberIndex(1), state("1"), canonical("rewritten"));
        let entry = row.entries[1].as_ref().unwrap();
        assert!(entry.rewritten);
        assert_eq!(entry.agreed, canonical("rewritten").content);
        assert!(!owes_read_back(&row, MemberIndex(1)));
    }

    #[test]
    fn s4_a_read_back_at_another_revision_is_an_edit() {
        let mut row = owing();
        item(&mut row, MemberIndex(1), state("2"), canonical("edited"));
        let entry = row.entries[1].as_ref().unwrap();
        assert!(!entry.rewritten);
        assert_eq!(entry.agreed, canonical("x").content);
        assert_eq!(row.held(MemberIndex(1)), Some(canonical("edited").content));
    }

    #[test]
    fn s4_an_unsettled_revision_is_no_proof_of_rewriting() {
        let mut row = owing();
        unsettle(&mut row, MemberIndex(1));
        item(&mut row, MemberIndex(1), state("1"), canonical("edited in the same tick"));
        assert!(!row.entries[1].as_ref().unwrap().rewritten);
        assert_eq!(row.entries[1].as_ref().unwrap().agreed, canonical("x").content);
    }

    #[test]
    fn a_read_back_that_finds_what_was_sent_clears_the_debt() {
        let mut row = owing();
        not_modified(&mut row, MemberIndex(1), state("2"));
        assert!(!row.entries[1].as_ref().unwrap().rewritten);
    }

    #[test]
    fn a_uid_edited_in_place_makes_the_other_member_owe_a_write() {
        let mut row = owing();
        if let Some(entry) = &mut row.entries[1] {
            entry.rewritten = false;
        }
        let renamed = Canonical::of("vcard", b"BEGIN:VCARD\nUID:v\nFN:x\nEND:VCARD");
        item(&mut row, MemberIndex(0), state("2"), renamed);
        assert_eq!(row.key, Key((*b"v").into()));
        assert_eq!(row.version, 2);
        assert_eq!(row.entries[0].as_ref().unwrap().have, 2);
        assert_eq!(row.entries[1].as_ref().unwrap().have, 1);
    }
}
