//! The whole life of a plugin on one screen: a connector that keeps notes in memory.
//!
//! A broker starts this program; run by hand it says so. `tests/system/plugins.rs` plays the
//! other side. A real connector differs in where it looks, not in shape: see `plugins/vdir`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use outrigger_plugin_sdk::protocol::{
    Change, ChangeKind, Code, Commit, CommitItem, CommitKind, CommitOutcome, CommitResult, Error, Extensions,
    GetChanges, Href, Initialize, RawDigest, ReadItem, ReadOutcome, ReadResult, Revision,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve};

/// One collection called `notes`; an item's revision is the digest of its content.
#[derive(Default)]
struct Echo {
    notes: BTreeMap<Href, Vec<u8>>,
}

fn revision(data: &[u8]) -> Revision {
    Revision::from(RawDigest::of(data).to_string().as_str())
}

impl Plugin for Echo {
    fn initialize(&mut self, request: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        let first = request.member.option("first").unwrap_or("hello").as_bytes();
        self.notes.insert(Href::from("first"), first.to_vec());
        Ok(())
    }

    fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        Ok(vec![Collection { name: "notes".into(), ..Collection::default() }])
    }

    fn get_changes(
        &mut self,
        _: &str,
        _: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        for (href, data) in &self.notes {
            changes.push(&Change {
                href: href.clone(),
                kind: ChangeKind::Unknown, // it is there; whether it changed is for the engine to tell
                revision: revision(data),
                settled: true,
                object_type: "note".into(),
                format: "text".into(),
                ext: Extensions::default(),
            })?;
        }
        Ok(ListingEnd { complete: true, anchor: None })
    }

    fn read(&mut self, _: &str, items: Vec<ReadItem>, results: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        for (index, item) in (0..).zip(items) {
            let outcome = match self.notes.get(&item.href) {
                None => ReadOutcome::NotFound,
                Some(data) => ReadOutcome::Item {
                    revision: revision(data),
                    settled: true,
                    format: "text".into(),
                    data: data.as_slice().into(),
                },
            };
            results.push(&ReadResult { index, outcome })?;
        }
        Ok(())
    }

    fn commit(
        &mut self,
        _: &str,
        batch: Commit<'_>,
        _: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error> {
        let answer =
            |item: CommitItem<'_>| CommitResult { operation: item.operation, outcome: self.write(item) };
        Ok(batch.items.into_iter().map(answer).collect())
    }
}

impl Echo {
    /// Writes one item if it is as the caller expects; says what is there now.
    fn write(&mut self, item: CommitItem<'_>) -> CommitOutcome {
        let known = self.notes.get(&item.href).map(|data| revision(data));
        if item.kind != CommitKind::Create && known.is_none() {
            return CommitOutcome::Failed(Error::new(Code::NOT_FOUND, "there is no such note"));
        }
        if item.kind != CommitKind::Create && known != item.expected {
            return CommitOutcome::Failed(Error::new(Code::PRECONDITION, "the note is not what it was"));
        }
        let href = if item.href.as_bytes().is_empty() { Href::from(&*item.key) } else { item.href };
        match item.kind {
            CommitKind::Create if self.notes.contains_key(&href) => {
                CommitOutcome::Failed(Error::new(Code::EXISTS, "a note of that name is there"))
            }
            CommitKind::Create | CommitKind::Update => {
                let revision = revision(&item.data);
                self.notes.insert(href.clone(), item.data.into_owned());
                CommitOutcome::Done { href, revision, settled: true, digest: Some(item.digest) }
            }
            CommitKind::Delete => {
                self.notes.remove(&href);
                CommitOutcome::Done { href, revision: Revision::default(), settled: true, digest: None }
            }
        }
    }
}

fn main() -> ExitCode {
    serve(Echo::default())
}
