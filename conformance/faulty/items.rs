//! Items in memory: what a connector would be without its store.

use std::collections::BTreeMap;

use outrigger_protocol::{
    Change, ChangeKind, Code, CommitItem, CommitKind, CommitOutcome, Error, Extensions, Href, RawDigest,
    ReadOutcome, Revision, limits,
};

/// What the fault `grows` keeps of each item: too much for ten thousand, and not for a thousand.
const LEAK: usize = 16 << 10;

#[derive(Default)]
pub(crate) struct Items {
    items: BTreeMap<Href, (Vec<u8>, String)>,
    leak: Vec<Vec<u8>>,
}

fn revision(data: &[u8]) -> Revision {
    Revision::from(RawDigest::of(data).to_string().as_str())
}

fn failed(code: Code, text: &str) -> CommitOutcome {
    CommitOutcome::Failed(Error::new(code, text))
}

impl Items {
    pub(crate) fn insert(&mut self, href: &str, data: &[u8], format: &str) {
        self.items.insert(Href::from(href), (data.to_vec(), format.into()));
    }

    pub(crate) fn changes(&self, fault: &str) -> Vec<Change> {
        let change = |(href, (data, format)): (&Href, &(Vec<u8>, String))| Change {
            href: href.clone(),
            kind: ChangeKind::Unknown,
            revision: revision(data),
            settled: true,
            object_type: "contact".into(),
            format: format.clone(),
            ext: Extensions::default(),
        };
        let mut changes: Vec<Change> = self.items.iter().map(change).collect();
        match fault {
            "lies_complete" => changes.retain(|change| change.href != Href::from("outrigger-check-7")),
            "same_uid" => changes.extend(changes.first().cloned()),
            _ => {}
        }
        changes
    }

    /// An item that was written here, and has no lasting name yet.
    pub(crate) fn nameless(&self) -> Option<Href> {
        let is_written = |href: &&Href| href.as_bytes().starts_with(b"outrigger-check-");
        self.items
            .keys()
            .find(is_written)
            .filter(|_| !self.items.contains_key(&Href::from("lasting")))
            .cloned()
    }

    pub(crate) fn rename(&mut self, old: &Href, new: Href) {
        if let Some(item) = self.items.remove(old) {
            self.items.insert(new, item);
        }
    }

    pub(crate) fn read(&self, href: &Href, fault: &str) -> ReadOutcome<'_> {
        match self.items.get(href) {
            None => ReadOutcome::NotFound,
            Some((data, format)) => ReadOutcome::Item {
                revision: revision(data),
                settled: true,
                format: format.as_str().into(),
                data: if fault == "changes_bytes" { tidy(data).into() } else { data.as_slice().into() },
            },
        }
    }

    pub(crate) fn write(&mut self, item: CommitItem<'_>, fault: &str) -> CommitOutcome {
        if fault == "grows" {
            self.leak.push(vec![1; LEAK]);
        }
        let known = self.items.get(&item.href).map(|(data, _)| revision(data));
        match item.kind {
            CommitKind::Create => self.create(item, fault),
            _ if known.is_none() && fault == "deletes_once" => failed(Code::INTERNAL, "what was that again?"),
            CommitKind::Delete if known.is_none() => failed(Code::NOT_FOUND, "it is gone already"),
            _ if known != item.expected && fault != "accepts_stale" => {
                failed(Code::PRECONDITION, "it is not what it was")
            }
            CommitKind::Update => self.put(item.href.clone(), &item, fault),
            CommitKind::Delete => {
                self.items.remove(&item.href);
                let revision = Revision::default();
                CommitOutcome::Done { href: item.href, revision, settled: true, digest: None }
            }
        }
    }

    fn create(&mut self, item: CommitItem<'_>, fault: &str) -> CommitOutcome {
        let mut href = item.href.clone();
        if href.as_bytes().is_empty() {
            href = Href::from(&*item.key);
        }
        if href.as_bytes().len() > limits::MAX_HREF {
            return failed(Code::TOO_LARGE, "a name of more than 4 KiB");
        }
        if fault == "cuts_names" {
            href = Href::from(href.as_bytes().get(..255).unwrap_or(href.as_bytes()));
        }
        if self.items.contains_key(&href) && fault.starts_with("doubles") {
            let other = Href::from([href.as_bytes(), b"-2"].concat().as_slice());
            let outcome = self.put(other, &item, fault);
            return if fault == "doubles_quietly" { self.put(href, &item, fault) } else { outcome };
        }
        if self.items.contains_key(&href) {
            return failed(Code::EXISTS, "it is there already");
        }
        self.put(href, &item, fault)
    }

    fn put(&mut self, href: Href, item: &CommitItem<'_>, fault: &str) -> CommitOutcome {
        let answered =
            if fault == "revision_of_before" { Revision::from("before") } else { revision(&item.data) };
        self.items.insert(href.clone(), (item.data.to_vec(), item.format.to_string()));
        CommitOutcome::Done { href, revision: answered, settled: true, digest: Some(item.digest) }
    }
}

/// What a parser that writes again would do.
fn tidy(data: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(data).replace("   \r\n", "\r\n").into_bytes()
}
