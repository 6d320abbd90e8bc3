//! Journal: hands records to the store, one transaction at a time.
//!
//! The store serves requests in order, and one that fails does not stop the next. A run may go on
//! only from records that are all durable, so the next transaction is asked for when the one before
//! it is: after one that failed nothing more is written. What waits meanwhile goes together.

use outrigger_engine::{Record, Ticket};
use outrigger_store::{Collection, Store};

/// The transactions of one run of one collection.
pub(super) struct Journal<'j, D> {
    store: &'j Store,
    collection: &'j Collection,
    /// Called on the store's thread when the transaction is durable, or failed.
    done: D,
    waiting: Vec<(Ticket, Vec<Record>)>,
    writing: Vec<Ticket>,
    failed: bool,
}

impl<'j, D: Fn(Result<(), String>) + Clone + Send + 'static> Journal<'j, D> {
    pub(super) fn new(store: &'j Store, collection: &'j Collection, done: D) -> Self {
        Self { store, collection, done, waiting: Vec::new(), writing: Vec::new(), failed: false }
    }

    /// Takes records; they are durable when [`Journal::end`] hands back their ticket.
    pub(super) fn add(&mut self, ticket: Ticket, records: Vec<Record>) {
        self.waiting.push((ticket, records));
        self.begin();
    }

    /// The transaction has ended. Hands back the tickets in it, and begins the next if it went well.
    pub(super) fn end(&mut self, is_durable: bool) -> Vec<Ticket> {
        self.failed |= !is_durable;
        let ended = std::mem::take(&mut self.writing);
        self.begin();
        ended
    }

    fn begin(&mut self) {
        if self.failed || self.waiting.is_empty() || !self.writing.is_empty() {
            return;
        }
        let (tickets, records): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().unzip();
        self.writing = tickets;
        let (records, done) = (records.into_iter().flatten().collect(), self.done.clone());
        let apply = self.store.apply(self.collection, records);
        apply.then(move |durable| done(durable.map_err(|error| error.to_string())));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use outrigger_engine::{Key, MemberIndex, RowId, Undo};
    use outrigger_protocol::{CommitKind, Href, OperationId, StoreId};

    use super::*;

    /// Refused by the store, for no run was begun.
    fn refused() -> Vec<Record> {
        let (operation, href) = (OperationId(uuid::Uuid::nil()), Href::from("h"));
        let (row, key, kind, member) = (RowId(1), Key([].into()), CommitKind::Update, MemberIndex(0));
        vec![Record::Undo(Undo {
            operation,
            row,
            key,
            kind,
            member,
            href,
            own: false,
            format: "f".into(),
            data: vec![1],
        })]
    }

    fn accepted(member: u16) -> Vec<Record> {
        vec![Record::Store(MemberIndex(member), StoreId::from("s"))]
    }

    struct Scene {
        store: Store,
        collection: Collection,
        _folder: tempfile::TempDir,
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "g", Duration::ZERO).unwrap();
        Scene { store, collection: Collection::new("c", ["a", "b"]), _folder: folder }
    }

    #[test]
    fn after_a_transaction_that_failed_nothing_more_is_written() {
        let Scene { store, collection, _folder } = &scene();
        let (tell, told) = mpsc::channel();
        let mut journal = Journal::new(store, collection, move |durable| tell.send(durable).unwrap());
        journal.add(Ticket(1), refused());
        journal.add(Ticket(2), accepted(0));
        assert!(told.recv().unwrap().is_err());
        assert_eq!(journal.end(false), [Ticket(1)]);
        journal.add(Ticket(3), accepted(1));
        // Asked after all that the journal asked, so answered after it.
        assert_eq!(store.load(collection).wait().unwrap().stores, [None, None]);
        assert!(told.try_recv().is_err(), "it was asked for nothing more");
    }

    #[test]
    fn what_waits_goes_together() {
        let Scene { store, collection, _folder } = &scene();
        let (tell, told) = mpsc::channel();
        let mut journal = Journal::new(store, collection, move |durable| tell.send(durable).unwrap());
        for (ticket, member) in [(1, 0), (2, 0), (3, 1)] {
            journal.add(Ticket(ticket), accepted(member));
        }
        told.recv().unwrap().unwrap();
        assert_eq!(journal.end(true), [Ticket(1)]);
        told.recv().unwrap().unwrap();
        assert_eq!(journal.end(true), [Ticket(2), Ticket(3)]);
        assert!(store.load(collection).wait().unwrap().stores.iter().all(Option::is_some));
        assert_eq!(journal.end(true), []);
    }
}
