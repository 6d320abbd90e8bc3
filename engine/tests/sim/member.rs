//! A member: an obstinate store that checks what the engine promises at the moment it matters.

use std::borrow::Cow;
use std::collections::BTreeMap;

use outrigger_engine::{Canonical, Side};
use outrigger_protocol::{
    Change, ChangeKind, Code, CommitItem, CommitKind, CommitOutcome, Error, Extensions, Href, OperationId,
    RawDigest, ReadItem, ReadOutcome, Revision, Verdict,
};

use super::store::Store;

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) data: Vec<u8>,
    /// Clock of the last change.
    pub(crate) tick: u64,
}

/// How a listing goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ListFault {
    #[default]
    None,
    /// Some items are left out, and the member says so.
    Incomplete,
    /// Some items are left out, the count tells.
    Cut,
    /// Some items are left out, and the member does not know (S2).
    Blind,
    /// No end mark.
    Failed,
    /// No end mark, and a checkpoint on the way where the member has a feed.
    Checkpoint,
    /// The store has lost its identity.
    Nameless,
}

/// A member. Its revisions are ticks of its clock, so that two edits in one tick look the same
/// (S6); with `rewrites`, it stores something else than it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) items: BTreeMap<Vec<u8>, Item>,
    pub(crate) now: u64,
    pub(crate) feed: bool,
    pub(crate) log: Vec<(Vec<u8>, bool)>,
    pub(crate) rewrites: bool,
    pub(crate) silent_digest: bool,
    pub(crate) reverse: bool,
    pub(crate) store: Option<&'static str>,
    pub(crate) names: u64,
    pub(crate) operations: BTreeMap<OperationId, (CommitKind, Vec<u8>, RawDigest)>,
}

pub(crate) fn card(uid: Option<u8>, text: u8) -> Vec<u8> {
    let uid = uid.map(|uid| format!("UID:uid{uid}\r\n")).unwrap_or_default();
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\n{uid}FN:text{text}\r\nEND:VCARD\r\n").into_bytes()
}

pub(crate) fn key_of(data: &[u8]) -> Option<Vec<u8>> {
    Canonical::of("vcard", data).key.map(|key| key.0.into_vec())
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
        let wanted = format!("uid{uid}").into_bytes();
        self.items
            .iter()
            .find(|(_, item)| key_of(&item.data).as_ref() == Some(&wanted))
            .map(|(href, _)| href.clone())
    }

    fn revision(&self, item: &Item) -> (Revision, bool) {
        (Revision::from(format!("r{}", item.tick).as_str()), item.tick < self.now)
    }

    pub(crate) fn change(&self, href: &[u8], kind: ChangeKind) -> Change {
        let (revision, settled) =
            self.items.get(href).map(|item| self.revision(item)).unwrap_or((Revision::default(), true));
        Change {
            href: Href::from(href),
            kind,
            revision,
            settled,
            object_type: "contact".into(),
            format: "vcard".into(),
            ext: Extensions::default(),
        }
    }

    /// An item that its log names.
    pub(crate) fn change_since(&self, href: &[u8]) -> Change {
        let is_there = self.items.contains_key(href);
        self.change(href, if is_there { ChangeKind::Modified } else { ChangeKind::Deleted })
    }

    pub(crate) fn read(&self, item: &ReadItem) -> ReadOutcome<'_> {
        let Some(found) = self.items.get(item.href.as_bytes()) else { return ReadOutcome::NotFound };
        let (revision, settled) = self.revision(found);
        if item.known == Some(RawDigest::of(&found.data)) {
            return ReadOutcome::NotModified { revision, settled };
        }
        let data = Cow::Borrowed(found.data.as_slice());
        ReadOutcome::Item { revision, settled, format: "vcard".into(), data }
    }

    pub(crate) fn commit(&mut self, item: &CommitItem<'_>, side: Side, store: &Store) -> CommitOutcome {
        let bound = (item.kind, item.href.as_bytes().to_vec(), item.digest);
        let known = self.operations.entry(item.operation).or_insert_with(|| bound.clone());
        assert_eq!(*known, bound, "one operation ID, two meanings (X1)");
        assert!(
            store.intents.iter().any(|it| it.operation == item.operation),
            "sent before it was durable (X1)"
        );
        if item.kind != CommitKind::Delete {
            assert_eq!(item.digest, RawDigest::of(&item.data));
        }
        if item.kind == CommitKind::Create {
            return self.create(item);
        }
        let Some(found) = self.items.get(item.href.as_bytes()) else {
            return CommitOutcome::Failed(Error::new(Code::NOT_FOUND, "no such item"));
        };
        let (revision, _) = self.revision(found);
        if item.expected.as_ref() != Some(&revision)
            || item.expected_digest != Some(RawDigest::of(&found.data))
        {
            return CommitOutcome::Failed(Error::new(Code::PRECONDITION, "it is another"));
        }
        let is_kept = store.undo.iter().any(|undo| {
            undo.operation == item.operation
                && undo.side == side
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
        while self.items.contains_key(&href) {
            self.names += 1;
            href = [&item.key, format!("-{}.vcf", self.names).as_bytes()].concat();
        }
        self.store_it(href, item)
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

/// What a rewriting member makes of an item.
pub(crate) fn rewritten(data: &[u8]) -> Vec<u8> {
    let at = data.windows(4).position(|part| part == b"END:").unwrap();
    let (head, end) = data.split_at(at);
    let is_done = head.windows(4).any(|part| part == b"X-RW");
    let line: &[u8] = if is_done { b"" } else { b"X-RW:1\r\n" };
    [head, line, end].concat()
}

/// What a plugin that compares takes an item for: the texts 0 and 1 mean the same to it.
pub(crate) fn meaning(data: &[u8]) -> Vec<u8> {
    String::from_utf8(rewritten(data)).unwrap().replace("text1", "text0").into_bytes()
}

/// What such a plugin says.
pub(crate) fn verdict(left: &[u8], right: &[u8]) -> Verdict {
    if meaning(left) == meaning(right) {
        Verdict::Same
    } else if key_of(left) == key_of(right) {
        Verdict::Similar
    } else {
        Verdict::Different
    }
}

fn done(href: Href, revision: Revision, settled: bool, digest: Option<RawDigest>) -> CommitOutcome {
    CommitOutcome::Done { href, revision, settled, digest }
}
