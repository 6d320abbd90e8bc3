//! Causes: which content came after which, in the eyes of the users who wrote them.
//!
//! This knows nothing of rows and versions. It is told what users do and what they had before their
//! eyes, and judges each write of the engine: what it overwrites must have been seen by whoever wrote
//! what it brings; what it deletes must have been seen by somebody who deleted it; what somebody
//! deleted must not come back.

use std::collections::{BTreeMap, BTreeSet};

use outrigger_engine::MemberIndex;

use super::items::{key_of, line_free_of_uid, meaning, text_in};

/// A content without its UID and without what members may add to it.
type Id = Vec<u8>;
type Past = BTreeSet<Id>;

/// An item that a user deleted.
#[derive(Debug, Clone)]
struct Deletion {
    at: MemberIndex,
    key: Option<Vec<u8>>,
    last: Id,
    /// Some of it was carried out: from then on all know.
    is_agreed: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Causes {
    /// What whoever wrote a content had before the eyes.
    parents: BTreeMap<Id, Past>,
    /// And of items with the same UID, which are others and may take each other's place.
    twins: BTreeMap<Id, Past>,
    deletions: Vec<Deletion>,
    /// Items that users gave another name, and another UID.
    moved: Past,
    renamed: Past,
    /// What may come back: a person chose it, or the engine cannot know that it was there.
    chosen: Past,
    /// No user writes a text twice, so that a text which comes back was brought back.
    pub(crate) is_exact: bool,
}

fn id(data: &[u8]) -> Id {
    line_free_of_uid(&meaning(data))
}

impl Causes {
    /// What somebody who looks at this has seen, directly or in what came before.
    fn seen(&self, from: Id) -> Past {
        self.seen_through(from, &[&self.parents, &self.twins])
    }

    /// The same, of this item alone.
    fn history(&self, of: Id) -> Past {
        self.seen_through(of, &[&self.parents])
    }

    fn seen_through(&self, from: Id, edges: &[&BTreeMap<Id, Past>]) -> Past {
        let (mut seen, mut open) = (Past::new(), vec![from]);
        while let Some(id) = open.pop() {
            let parents = edges.iter().filter_map(|edges| edges.get(&id)).flatten();
            open.extend(parents.filter(|parent| !seen.contains(*parent)).cloned());
            seen.insert(id);
        }
        seen
    }

    /// A user writes `data`, with these before the eyes.
    pub(crate) fn wrote<'d>(&mut self, data: &[u8], before: impl Iterator<Item = &'d [u8]>) {
        self.parents.entry(id(data)).or_default().extend(before.map(id));
    }

    /// A user writes a second item with the UID of these.
    pub(crate) fn wrote_beside<'d>(&mut self, data: &[u8], others: impl Iterator<Item = &'d [u8]>) {
        self.twins.entry(id(data)).or_default().extend(others.map(id));
    }

    /// A user deletes an item.
    pub(crate) fn deleted(&mut self, at: MemberIndex, data: &[u8]) {
        self.deletions.push(Deletion { at, key: key_of(data), last: id(data), is_agreed: false });
    }

    /// The engine has deleted an item.
    pub(crate) fn carried_out(&mut self, old: &[u8]) {
        let id = id(old);
        let is_it: Vec<bool> =
            self.deletions.iter().map(|deletion| self.history(deletion.last.clone()).contains(&id)).collect();
        for (deletion, is_it) in self.deletions.iter_mut().zip(is_it) {
            deletion.is_agreed |= is_it;
        }
    }

    /// Whether a user deleted the item, whichever content of it.
    pub(crate) fn is_deleted(&self, data: &[u8]) -> bool {
        self.deletions.iter().any(|deletion| deletion.key == key_of(data))
    }

    /// A user gives an item another name.
    pub(crate) fn moved(&mut self, data: &[u8]) {
        self.moved.insert(id(data));
    }

    pub(crate) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// A user gives an item another UID.
    pub(crate) fn renamed(&mut self, data: &[u8]) {
        self.renamed.insert(id(data));
    }

    /// This may come back.
    pub(crate) fn chosen(&mut self, data: &[u8]) {
        self.chosen.insert(id(data));
    }

    /// This may come back, in whatever form it was before.
    pub(crate) fn unknown(&mut self, data: &[u8]) {
        self.chosen.append(&mut self.history(id(data)));
    }

    fn is_dead(&self, data: &[u8]) -> bool {
        let id = id(data);
        self.deletions.iter().any(|deletion| self.history(deletion.last.clone()).contains(&id))
    }

    /// Whether a later content of the same item was given another name.
    fn has_moved_on(&self, id: &Id) -> bool {
        self.moved.iter().any(|moved| self.history(moved.clone()).contains(id))
    }

    /// With another name and another UID, it is another item: what it was is gone.
    fn is_another(&self, data: &[u8]) -> bool {
        self.renamed.contains(&id(data)) && self.moved.contains(&id(data))
    }

    /// The engine puts `new` where `old` was. Returns whether whoever wrote `new` knew of `old`, or
    /// `old` was deleted anyway, as far as could be known.
    pub(crate) fn may_overwrite(&self, old: &[u8], new: &[u8], is_blind: bool) -> bool {
        self.seen(id(new)).contains(&id(old)) || self.may_delete(old, is_blind)
    }

    /// Whether two of these were written by users of whom neither had seen what the other wrote.
    pub(crate) fn may_conflict(&self, held: &[&[u8]]) -> bool {
        let knows = |one: &[u8], other: &[u8]| self.seen(id(one)).contains(&id(other));
        // Another UID is an edit that does not show here, nor does a choice that puts something back.
        held.iter().any(|one| self.renamed.contains(&id(one)) || self.chosen.contains(&id(one)))
            || held.iter().any(|one| held.iter().any(|other| !knows(one, other) && !knows(other, one)))
    }

    /// A policy made `new` win over `old`: from now on it is as if its author had seen it.
    pub(crate) fn outvoted(&mut self, old: &[u8], new: &[u8]) {
        self.parents.entry(id(new)).or_default().insert(id(old));
    }

    /// The engine deletes `old`. Returns whether somebody deleted it who had seen it. `is_blind`: a
    /// member may have had items that nobody saw; whose old name is proved to be gone may be there under
    /// another one then.
    pub(crate) fn may_delete(&self, old: &[u8], is_blind: bool) -> bool {
        self.is_dead(old) || self.is_another(old) || (is_blind && self.has_moved_on(&id(old)))
    }

    /// The engine puts `new` where nothing was. Returns whether nobody who had seen it deleted it, as far
    /// as a run could know: it has a whole view of the members that `is_open` names. `is_blind`: as above.
    pub(crate) fn may_create(
        &self,
        new: &[u8],
        is_blind: bool,
        is_open: impl Fn(MemberIndex) -> bool,
    ) -> bool {
        let (id, key) = (id(new), key_of(new));
        if is_blind && self.moved.contains(&id) {
            return true;
        }
        let took_it = |deletion: &Deletion| {
            let is_known = deletion.is_agreed || is_open(deletion.at);
            is_known && deletion.key == key && self.history(deletion.last.clone()).contains(&id)
        };
        !self.is_exact || self.chosen.contains(&id) || !self.deletions.iter().any(took_it)
    }

    /// What a user wrote, and nobody has deleted: it must not vanish.
    pub(crate) fn is_alive(&self, data: &[u8]) -> bool {
        text_in(data).is_some() && !self.is_dead(data)
    }
}
