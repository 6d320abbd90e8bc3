//! Accept: the group agrees on something, as pure functions on a row.
//!
//! From then on it is owed to every member that does not have it. What a member held when the group
//! agreed is kept with it: only another edit of it is news (decisions S1).

use crate::row::{Content, Entry, MemberIndex, Observed, Row, Supplied};

/// The first version that is agreed on.
const FIRST: u64 = 2;

/// Below it: what a member holds is its own, and was overruled.
pub(crate) const OWN: u64 = 1;

impl Row {
    /// Takes what a member was last seen to hold for everybody: a person chose it. So nothing is to be
    /// written there that was refused. `false`: it holds nothing.
    pub fn choose(&mut self, member: MemberIndex) -> bool {
        let Some(content) = self.held(member) else { return false };
        let known = self.conflict.clone();
        accept(self, content, |row, other| other == member || is_in(known.as_ref(), row, other));
        self.quarantine.retain(|aside| aside.member != member);
        true
    }

    /// Gives the item a content that no member holds: a person's, or one from the undo journal. What
    /// members hold that nobody has judged yet stays news, and becomes a conflict with it.
    pub fn supply(&mut self, supplied: Supplied) {
        let known = self.conflict.clone();
        accept(self, supplied.content, |row, member| is_in(known.as_ref(), row, member));
        self.supplied = Some(Box::new(supplied));
    }

    /// Deletes the item for everybody that holds what is in conflict: a person chose so.
    pub fn choose_deletion(&mut self) {
        let known = self.conflict.clone();
        accept_deletion(self, |row, member| is_in(known.as_ref(), row, member));
    }

    /// The content that a member was last seen to hold.
    #[must_use]
    pub fn held(&self, member: MemberIndex) -> Option<Content> {
        match &self.entry(member)?.observed {
            Observed::Present { content, .. } => Some(*content),
            Observed::Gone => None,
        }
    }

    /// What the member has to do with the row.
    #[must_use]
    pub fn entry(&self, member: MemberIndex) -> Option<&Entry> {
        self.entries.get(member.index())?.as_ref()
    }

    pub(crate) fn entry_mut(&mut self, member: MemberIndex) -> Option<&mut Entry> {
        self.entries.get_mut(member.index())?.as_mut()
    }

    /// All members, in order.
    pub(crate) fn members(&self) -> impl Iterator<Item = MemberIndex> + use<> {
        (0..self.entries.len()).map(MemberIndex::at)
    }

    /// That the item is deleted is what was agreed last.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.version > 0 && self.base.is_none()
    }
}

/// Whether a member still holds what a conflict was raised about.
fn is_in(conflict: Option<&crate::row::Conflict>, row: &Row, member: MemberIndex) -> bool {
    conflict.is_some_and(|known| known.contents.get(member.index()).copied() == Some(row.held(member)))
}

/// All agree on `content`. `is_judged`: what the member was seen to hold was known to whoever decided;
/// anything else stays news.
pub(crate) fn accept(row: &mut Row, content: Content, is_judged: impl Fn(&Row, MemberIndex) -> bool) {
    let before = row.version;
    let is_older = is_older(row, content);
    begin(row, Some(content));
    for member in row.members() {
        let judged = is_judged(row, member);
        let version = row.version;
        let Some(entry) = row.entry_mut(member).filter(|_| judged) else { continue };
        let Observed::Present { content: held, .. } = &entry.observed else {
            // Its deletion counts for nothing: it gets the item again.
            entry.have = 0;
            continue;
        };
        let is_news = is_news(entry, *held);
        entry.agreed = *held;
        // Who was behind may lack a UID, which is no part of the digest; so may what is agreed now.
        let has_newest = entry.have == before && !is_older;
        let is_alike = held.raw == content.raw || has_newest || entry.have == 0;
        let has_it = held.digest == content.digest && is_alike;
        entry.have = if has_it { version } else { behind(entry.have, version, is_news) };
        entry.rewritten &= !has_it;
    }
}

/// Whether those who hold this have not seen what was agreed last.
fn is_older(row: &Row, content: Content) -> bool {
    let holds_it = |member: &MemberIndex| row.held(*member).is_some_and(|held| held.raw == content.raw);
    let mut holders = row.members().filter(holds_it).filter_map(|member| row.entry(member)).peekable();
    holders.peek().is_some() && holders.all(|entry| entry.have > 0 && entry.have < row.version)
}

/// All agree that the item is to go.
pub(crate) fn accept_deletion(row: &mut Row, is_judged: impl Fn(&Row, MemberIndex) -> bool) {
    begin(row, None);
    for member in row.members() {
        let judged = is_judged(row, member);
        let version = row.version;
        let Some(entry) = row.entry_mut(member).filter(|_| judged) else { continue };
        match &entry.observed {
            Observed::Gone => entry.have = version,
            Observed::Present { content, .. } => {
                let (content, is_news) = (*content, is_news(entry, *content));
                entry.agreed = content;
                entry.have = behind(entry.have, version, is_news);
            }
        }
    }
}

/// These hold the same, or what means the same: that is agreed now, as each of them stores it. Where a
/// digest differs it is marked, so that all are at rest like that (decisions S4).
pub(crate) fn adopt(row: &mut Row, is_seen: impl Fn(&Row, MemberIndex) -> bool) {
    let held = || row.members().filter(|member| is_seen(row, *member)).filter_map(|member| row.held(member));
    // As it was agreed before, if anybody has it so.
    let before = row.base.filter(|base| held().any(|content| content.raw == base.raw));
    let Some(base) = before.or_else(|| held().next()) else { return };
    begin(row, Some(base));
    for member in row.members() {
        let seen = is_seen(row, member);
        let version = row.version;
        let Some(entry) = row.entry_mut(member).filter(|_| seen) else { continue };
        let Observed::Present { content, .. } = &entry.observed else {
            // They outlive its deletion.
            entry.have = 0;
            continue;
        };
        entry.agreed = *content;
        entry.have = version;
        entry.rewritten = content.digest != base.digest;
    }
}

/// The member does not have what is agreed, whatever it holds.
pub(crate) fn owe(row: &mut Row, member: MemberIndex) {
    let version = row.version;
    if let Some(entry) = row.entry_mut(member).filter(|entry| entry.have == version) {
        entry.have = behind(version, version, false);
    }
}

fn begin(row: &mut Row, base: Option<Content>) {
    let version = row.version;
    if row.is_tombstone() && base.is_some() {
        // Who has taken note of the deletion has nothing of the item that is there again.
        let noted = row.entries.iter_mut().flatten();
        let noted = noted.filter(|entry| entry.have == version && entry.observed == Observed::Gone);
        noted.for_each(|entry| entry.have = 0);
    }
    row.version = (row.version + 1).max(FIRST);
    row.base = base;
    row.conflict = None;
    row.supplied = None;
}

/// Whether what a member holds is its own: no version that was agreed on.
fn is_news(entry: &Entry, held: Content) -> bool {
    entry.have == 0 || entry.agreed.digest != held.digest
}

fn behind(have: u64, version: u64, is_news: bool) -> u64 {
    if is_news { OWN } else { have.clamp(OWN, version.saturating_sub(1).max(OWN)) }
}

#[cfg(test)]
mod tests {
    use outrigger_protocol::{Href, RawDigest, Revision};

    use super::*;
    use crate::row::{Digest, Key, Quarantine};

    fn entry(text: u8, is_there: bool) -> Entry {
        let agreed = Content { digest: Digest([text; 32]), raw: RawDigest([text; 32]) };
        let there = Observed::Present { revision: Revision::default(), settled: true, content: agreed };
        let observed = if is_there { there } else { Observed::Gone };
        Entry { href: Href::default(), agreed, have: 2, rewritten: false, observed }
    }

    /// Otherwise nobody would be served from it.
    #[test]
    fn what_a_chosen_member_refused_is_nothing_to_it_any_more() {
        let mut row = Row::new(Key((*b"k").into()), 2);
        row.entries = vec![Some(entry(1, true)), Some(entry(2, true))];
        let aside = |member| Quarantine { member, reason: "it cannot be written".into() };
        row.quarantine = vec![aside(MemberIndex(0)), aside(MemberIndex(1))];
        assert!(row.choose(MemberIndex(0)));
        assert_eq!(row.quarantine, [aside(MemberIndex(1))]);
    }

    #[test]
    fn what_is_adopted_outlives_a_deletion_of_what_was_agreed_before() {
        let mut row = Row::new(Key((*b"k").into()), 3);
        row.entries = vec![Some(entry(1, false)), Some(entry(2, true)), Some(entry(1, true))];
        (row.version, row.base) = (2, row.held(MemberIndex(2)));
        adopt(&mut row, |_, _| true);
        let have: Vec<u64> = row.entries.iter().flatten().map(|entry| entry.have).collect();
        assert_eq!((row.version, have), (3, vec![0, 3, 3]));
    }
}
