//! The door for what a person asks: conflicts, undo, and starting over. What is changed here, the next
//! run carries out.

use outrigger_engine::RowId;
use outrigger_protocol::RawDigest;

use crate::{
    collection::Collection,
    conflict::{self, Kept, OpenConflict},
    forget,
    resolve::{self, Resolution},
    restore::{self, Undone},
    run::RunId,
    store::Store,
    tables::Tables,
    undo::{self, UndoId},
    worker::Request,
};

impl Store {
    /// All open conflicts of `collection`, with the bytes of what each member holds, by the number of
    /// their rows. A copy looks at the file, as it is by then.
    pub fn conflicts(&self, collection: &Collection) -> Request<'_, Vec<OpenConflict>> {
        let collection = collection.clone();
        self.look(move |db| conflict::all(db, &collection))
    }

    /// The open conflict of one row; `None` if it has none.
    pub fn conflict(&self, collection: &Collection, row: RowId) -> Request<'_, Option<OpenConflict>> {
        let collection = collection.clone();
        self.look(move |db| conflict::one(db, &collection, row))
    }

    /// The bytes that a row has agreed on, or had agreed on before that; `None` if they are not kept
    /// (any more). A copy looks at the file.
    pub fn base(&self, collection: &Collection, row: RowId, raw: RawDigest) -> Request<'_, Option<Kept>> {
        let collection = collection.clone();
        self.look(move |db| conflict::base(db, &collection, row, raw))
    }

    /// Resolves the conflict of a row: the next run writes what was chosen. All of it is durable
    /// together.
    ///
    /// Errors: [`ErrorKind::NoConflict`](crate::ErrorKind::NoConflict) if there is none (any more), or
    /// the member that is to win holds something else than when it was raised;
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a member that never had the item, and for a
    /// copy with the key of another item.
    pub fn resolve(&self, collection: &Collection, row: RowId, resolution: Resolution) -> Request<'_, ()> {
        let collection = collection.clone();
        self.request(move |db| {
            let tables = Tables::make(&db.connection, db.run, &collection)?;
            resolve::resolve(&tables, row, &resolution)
        })
    }

    /// Undoes entries of the undo journal of `run`, or all of them (`None`): the next run writes the
    /// bytes to all members. All of it is durable together; tells what was done, by entry. Bytes that
    /// the next run overwrites on this account go to the journal in their turn.
    ///
    /// `collections` are those of the group as it is now; entries of others are left alone. In a copy it
    /// tells what would be done.
    ///
    /// Errors: [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) in a copy of a file of an earlier version.
    pub fn undo(
        &self,
        collections: &[Collection],
        run: RunId,
        items: Option<Vec<UndoId>>,
    ) -> Request<'_, Vec<Undone>> {
        let (collections, original) = (collections.to_vec(), self.original());
        self.request(move |db| {
            if let Some(files) = original {
                undo::bring(&files, &db.connection, run)?;
            }
            restore::undo(&db.connection, &collections, run, items.as_deref())
        })
    }

    /// Forgets where the feeds of these members stand: the next run has them list everything, and
    /// deletes nothing on their account. Hands back those that were known.
    pub fn reset(&self, members: &[impl AsRef<str>]) -> Request<'_, Vec<String>> {
        let members = names(members);
        self.request(move |db| forget::reset(&db.connection, members))
    }

    /// Forgets everything about the items of these members, and which stores they were: the next run
    /// meets them for the first time, and deletes nothing on their account. For a member that is meant
    /// to be another store than before. Hands back those that were known.
    pub fn forget_members(&self, members: &[impl AsRef<str>]) -> Request<'_, Vec<String>> {
        let members = names(members);
        self.request(move |db| forget::members(&db.connection, members))
    }
}

fn names(members: &[impl AsRef<str>]) -> Vec<String> {
    members.iter().map(|name| name.as_ref().to_owned()).collect()
}
