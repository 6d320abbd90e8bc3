//! What a broker sees of the application: a connector like any other, over the book that the user
//! edits meanwhile.

use outrigger_plugin_sdk::protocol::{
    Change, ChangeKind, Code, Commit, CommitItem, CommitKind, CommitOutcome, CommitResult, Effect, Error,
    Extensions, GetChanges, Href, Initialize, RawDigest, ReadItem, ReadOutcome, ReadResult, Revision,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink};

use crate::book::{Book, uid};

/// One collection called `book`; an item's revision is the digest of its card.
pub(crate) struct Connector(pub(crate) Book);

fn revision(card: &str) -> Revision {
    Revision::from(RawDigest::of(card.as_bytes()).to_string().as_str())
}

fn href(uid: &str) -> Href {
    Href::from(uid)
}

fn name(href: &Href) -> String {
    String::from_utf8_lossy(href.as_bytes()).into_owned()
}

impl Plugin for Connector {
    fn initialize(&mut self, _: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        let (object_types, formats) = (vec!["contact".into()], vec!["vcard".into()]);
        Ok(vec![Collection { name: "book".into(), object_types, formats, ..Collection::default() }])
    }

    fn get_changes(
        &mut self,
        _: &str,
        _: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        // A copy: the user is not to wait for a broker that is slow.
        let cards = self.0.look().cards.clone();
        for (uid, card) in &cards {
            changes.push(&Change {
                href: href(uid),
                kind: ChangeKind::Unknown,
                revision: revision(card),
                settled: true,
                object_type: "contact".into(),
                format: "vcard".into(),
                ext: Extensions::default(),
            })?;
        }
        Ok(ListingEnd { complete: true, anchor: None })
    }

    fn read(&mut self, _: &str, items: Vec<ReadItem>, results: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        for (index, item) in (0..).zip(items) {
            let card = self.0.look().cards.get(&name(&item.href)).cloned();
            let outcome = card.map_or(ReadOutcome::NotFound, |card| ReadOutcome::Item {
                revision: revision(&card),
                settled: true,
                format: "vcard".into(),
                data: card.into_bytes().into(),
            });
            results.push(&ReadResult { index, outcome })?;
        }
        Ok(())
    }

    fn commit(
        &mut self,
        _: &str,
        batch: Commit<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error> {
        if self.0.look().held {
            context.progress(0, None)?;
            println!("a broker waits");
        }
        if !self.0.may_write() {
            return Err(Error::new(Code::CANCELLED, "the application quits").with_effect(Effect::NotStarted));
        }
        let answer =
            |item: CommitItem<'_>| CommitResult { operation: item.operation, outcome: self.write(item) };
        Ok(batch.items.into_iter().map(answer).collect())
    }
}

impl Connector {
    /// Writes one item if it is as the caller expects, however the user has edited it meanwhile.
    fn write(&self, item: CommitItem<'_>) -> CommitOutcome {
        let Ok(card) = String::from_utf8(item.data.into_owned()) else {
            return CommitOutcome::Failed(Error::new(Code::FORMAT, "not a card in UTF-8"));
        };
        let is_new = item.kind == CommitKind::Create;
        let uid = if is_new { uid(&card) } else { name(&item.href) };
        let written = self.0.edit(|cards| {
            let now = cards.get(&uid).map(|card| revision(card));
            match (item.kind, now) {
                (CommitKind::Create, Some(_)) => Err(Error::new(Code::EXISTS, "this contact is there")),
                (CommitKind::Update | CommitKind::Delete, None) => {
                    Err(Error::new(Code::NOT_FOUND, "this contact is gone"))
                }
                (CommitKind::Update | CommitKind::Delete, now) if now != item.expected => {
                    Err(Error::new(Code::PRECONDITION, "this contact was edited"))
                }
                (CommitKind::Delete, _) => {
                    cards.remove(&uid);
                    Ok((Revision::default(), None))
                }
                (CommitKind::Create | CommitKind::Update, _) => {
                    let revision = revision(&card);
                    cards.insert(uid.clone(), card);
                    Ok((revision, Some(item.digest)))
                }
            }
        });
        match written {
            Ok(Ok((revision, digest))) => {
                CommitOutcome::Done { href: href(&uid), revision, settled: true, digest }
            }
            Ok(Err(error)) => CommitOutcome::Failed(error),
            Err(error) => {
                CommitOutcome::Failed(Error::new(Code::IO, error.to_string()).with_effect(Effect::Unknown))
            }
        }
    }
}
