//! A member: an obstinate store that checks what the engine promises at the moment it matters.

use std::borrow::Cow;
use std::collections::BTreeMap;

use outrigger_engine::MemberIndex;
use outrigger_protocol::{
    Change, ChangeKind, Code, CommitItem, CommitKind, CommitOutcome, Dedupe, Error, Extensions, Href,
    OperationId, RawDigest, ReadItem, ReadOutcome, Revision,
};

use super::items::{key_of, object_type_of, rewritten};
use super::store::Store;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) data: Vec<u8>,
    /// Clock of the last change.
    pub(crate) tick: u64,
}

/// What an operation ID was used for, and what came of it if it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    bound: (CommitKind, Vec<u8>, RawDigest),
    done: Option<CommitOutcome>,
}

/// A member. Its revisions are ticks of its clock, so that two edits in one tick look the same
/// (S6); with `rewrites`, it stores something else than it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) items: BTreeMap<Vec<u8>, Item>,
    pub(crate) now: u64,
    pub(crate) feed: bool,
    pub(crate) log: Vec<(Vec<u8>, bool)>,
    pub(crate) rewrites: bool,
    pub(crate) silent_digest: bool,
    /// It answers and lists in the opposite order.
    pub(crate) reverse: bool,
    /// What it lists, reads and does arrives in two halves, after what others have to say.
    pub(crate) slow: bool,
    /// How it takes a write that it has had before.
    pub(crate) dedupe: Dedupe,
    /// It leaves items out of its listing and does not know, for now.
    pub(crate) is_blind: bool,
    /// It refuses writes of a kind, or all, for now.
    pub(crate) refuses: Option<(Option<CommitKind>, Error)>,
    pub(crate) store: Option<&'static str>,
    pub(crate) names: u64,
    pub(crate) operations: BTreeMap<OperationId, Operation>,
}

impl Member {
    pub(crate) fn put(&mut self, href: &[u8], data: Vec<u8>) {
        self.items.insert(href.to_vec(), Item { data, tick: self.now });
        self.log.push((href.to_vec(), true));
    }

    pub(crate) fn remove(&mut self, href: &[u8]) -> Option<Item> {
        self.log.push((href.to_vec(), false));
        self.items.remove(href)
    }

    pub(crate) fn by_uid(&self, uid: u8) -> Option<Vec<u8>> {
        self.by_key(format!("uid{uid}").as_bytes()).next().cloned()
    }

    /// What it calls the items with this UID.
    pub(crate) fn by_key(&self, key: &[u8]) -> impl Iterator<Item = &Vec<u8>> {
        let has_it = move |item: &Item| key_of(&item.data).as_deref() == Some(key);
        self.items.iter().filter(move |(_, item)| has_it(item)).map(|(href, _)| href)
    }

    fn revision(&self, item: &Item) -> (Revision, bool) {
        (Revision::from(format!("r{}", item.tick).as_str()), item.tick < self.now)
    }

    pub(crate) fn change(&self, href: &[u8], kind: ChangeKind) -> Change {
        let found = self.items.get(href);
        let (revision, settled) =
            found.map(|item| self.revision(item)).unwrap_or((Revision::default(), true));
        Change {
            href: Href::from(href),
            kind,
            revision,
            settled,
            object_type: object_type_of(found.map_or(&[], |item| &item.data)).into(),
            format: "vcard".into(),
            ext: Extensions::default(),
        }
    }

    /// An item that its log names.
    pub(crate) fn change_since(&self, href: &[u8]) -> Change {
        let is_there = self.items.contains_key(href);
        self.change(href, if is_there { ChangeKind::Modified } else { ChangeKind::Deleted })
    }

    pub(crate) fn read(&self, item: &ReadItem) -> ReadOutcome<'static> {
        let Some(found) = self.items.get(item.href.as_bytes()) else { return ReadOutcome::NotFound };
        let (revision, settled) = self.revision(found);
        if item.known == Some(RawDigest::of(&found.data)) {
            return ReadOutcome::NotModified { revision, settled };
        }
        let data = Cow::Owned(found.data.clone());
        ReadOutcome::Item { revision, settled, format: "vcard".into(), data }
    }

    /// Does a write, as far as its condition and its ability to recognise it allow.
    pub(crate) fn commit(
        &mut self,
        item: &CommitItem<'_>,
        member: MemberIndex,
        store: &Store,
    ) -> CommitOutcome {
        if let Some(before) = self.recognise(item, store) {
            return before;
        }
        let outcome = match item.kind {
            CommitKind::Create => self.create(item),
            _ => self.change_it(item, member, store),
        };
        if matches!(outcome, CommitOutcome::Done { .. })
            && let Some(known) = self.operations.get_mut(&item.operation)
        {
            known.done = Some(outcome.clone());
        }
        outcome
    }

    /// What came of this write before, where the member remembers that.
    fn recognise(&mut self, item: &CommitItem<'_>, store: &Store) -> Option<CommitOutcome> {
        let bound = (item.kind, item.href.as_bytes().to_vec(), item.digest);
        let new = Operation { bound: bound.clone(), done: None };
        let known = self.operations.entry(item.operation).or_insert(new);
        assert_eq!(known.bound, bound, "one operation ID, two meanings (X1)");
        let is_durable = store.intents.iter().any(|it| it.operation == item.operation);
        assert!(is_durable, "sent before it was durable (X1): {item:?}");
        if item.kind != CommitKind::Delete {
            assert_eq!(item.digest, RawDigest::of(&item.data));
            assert_eq!(item.object_type, object_type_of(&item.data));
        }
        let before = known.done.clone()?;
        match self.dedupe {
            Dedupe::Token => Some(before),
            Dedupe::Conditional => None,
            Dedupe::Lookup | Dedupe::None => {
                // What a user has put there since this run began, nobody can know of.
                let is_it = |href: &&Vec<u8>| {
                    let is_made = matches!(&before, CommitOutcome::Done { href: made, .. } if made.as_bytes() == **href);
                    is_made || self.items[*href].tick < self.now
                };
                let is_there =
                    key_of(&item.data).is_some_and(|key| self.by_key(&key).any(|href| is_it(&href)));
                let is_double = item.kind == CommitKind::Create && is_there && !self.is_blind;
                assert!(!is_double, "a create that was done is sent to a member that cannot tell (X2)");
                None
            }
        }
    }

    fn change_it(&mut self, item: &CommitItem<'_>, member: MemberIndex, store: &Store) -> CommitOutcome {
        let Some(found) = self.items.get(item.href.as_bytes()) else {
            return CommitOutcome::Failed(Error::new(Code::NOT_FOUND, "no such item"));
        };
        let (revision, _) = self.revision(found);
        // Like most servers, it does what is not conditional.
        let is_revision = item.expected.as_ref().is_none_or(|expected| *expected == revision);
        let is_content = item.expected_digest.is_none_or(|expected| expected == RawDigest::of(&found.data));
        if !is_revision || !is_content {
            return CommitOutcome::Failed(Error::new(Code::PRECONDITION, "it is another"));
        }
        let is_kept = store.undo.iter().any(|undo| {
            undo.operation == item.operation
                && undo.member == member
                && undo.data == found.data
                && undo.href == item.href
        });
        assert!(is_kept, "bytes are taken away that are not in the journal (X6)");
        if item.kind == CommitKind::Delete {
            self.remove(item.href.as_bytes());
            return done(item.href.clone(), Revision::default(), true, None);
        }
        self.store_it(item.href.as_bytes().to_vec(), item)
    }

    fn create(&mut self, item: &CommitItem<'_>) -> CommitOutcome {
        assert!(item.href.as_bytes().is_empty());
        let mut href = [&item.key, &b".vcf"[..]].concat();
        if self.dedupe == Dedupe::Conditional && self.is_taken(item) {
            return CommitOutcome::Failed(Error::new(Code::EXISTS, "there is one with that name"));
        }
        while self.items.contains_key(&href) {
            self.names += 1;
            href = [&item.key, format!("-{}.vcf", self.names).as_bytes()].concat();
        }
        self.store_it(href, item)
    }

    /// A server that knows UIDs refuses a second item with one. Without a UID, it finds another name.
    fn is_taken(&self, item: &CommitItem<'_>) -> bool {
        key_of(&item.data).is_some_and(|key| self.by_key(&key).next().is_some())
    }

    fn store_it(&mut self, href: Vec<u8>, item: &CommitItem<'_>) -> CommitOutcome {
        let data = if self.rewrites { rewritten(&item.data) } else { item.data.to_vec() };
        self.put(&href, data);
        let stored = &self.items[&href];
        let (revision, settled) = self.revision(stored);
        let digest = (!self.silent_digest).then(|| RawDigest::of(&stored.data));
        done(Href::from(href), revision, settled, digest)
    }
}

fn done(href: Href, revision: Revision, settled: bool, digest: Option<RawDigest>) -> CommitOutcome {
    CommitOutcome::Done { href, revision, settled, digest }
}
