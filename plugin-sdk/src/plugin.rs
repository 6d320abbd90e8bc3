//! The trait that a connector implements: the life of a plugin, one method a verb.

use outrigger_protocol::{
    Anchor, Commit, CommitResult, Connect, ConnectDone, Connected, CreateCollection, Error, GetChanges,
    Initialize, ReadItem, StoreId,
};

use crate::context::{ChangeSink, Context, ReadSink};

/// One collection that a member offers (an address book, a folder).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collection {
    /// Its name, unique in the member; collections of different members pair by it.
    pub name: String,
    /// Object types that it holds; empty means any.
    pub object_types: Vec<String>,
    /// Formats that it takes, best first; empty means any.
    pub formats: Vec<String>,
    /// No commit is accepted.
    pub read_only: bool,
    /// Identity of the store behind it: another one means that nothing missing was deleted.
    pub store: Option<StoreId>,
    /// The collection cannot be used now, and why.
    pub unavailable: Option<Error>,
}

/// How a listing ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListingEnd {
    /// Everything that is there was pushed. Say false whenever anything could not be looked at:
    /// what a complete listing lacks is taken for deleted once a second look confirms it.
    pub complete: bool,
    /// Where the feed stood when this listing began, for members with a change feed.
    pub anchor: Option<Anchor>,
}

/// A connector. Every method is called on one thread, one at a time, and its return value is the
/// answer: exactly one, by construction. The `sink` is the name of a [`Collection`].
///
/// Order, per run and sink: `connect`, `connect_done`, `get_changes`, any number of `read` and
/// `commit`, `committed_all`, `sync_done` (only after success), `disconnect`. Calls out of order
/// never reach the connector.
///
/// A panic becomes an error answer; the process stays usable.
pub trait Plugin {
    /// Takes the settings of the member to serve. Once, before anything else.
    ///
    /// # Errors
    /// Settings that cannot work: say which and why, blame [`outrigger_protocol::Blame::Configuration`].
    fn initialize(&mut self, request: Initialize, context: &mut Context<'_>) -> Result<(), Error>;

    /// Names the collections that are there now.
    ///
    /// # Errors
    /// The store cannot be looked at.
    fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error>;

    /// Whether [`Plugin::create_collection`] works.
    fn can_create(&self) -> bool {
        false
    }

    /// Makes a collection, and says what became of it.
    ///
    /// # Errors
    /// It cannot be made.
    fn create_collection(
        &mut self,
        request: CreateCollection,
        context: &mut Context<'_>,
    ) -> Result<Collection, Error> {
        let _ = (request, context);
        Err(Error::new(outrigger_protocol::Code::UNIMPLEMENTED, "this connector makes no collections"))
    }

    /// Opens the link to the store. Ask for a slow sync when the anchor means nothing any more.
    ///
    /// # Errors
    /// The store cannot be reached.
    fn connect(
        &mut self,
        sink: &str,
        request: Connect,
        context: &mut Context<'_>,
    ) -> Result<Connected, Error> {
        let _ = (sink, request, context);
        Ok(Connected { slow_sync: false })
    }

    /// All members are connected; says whether the run is a slow sync for the group.
    ///
    /// # Errors
    /// The member cannot go on.
    fn connect_done(
        &mut self,
        sink: &str,
        request: ConnectDone,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        let _ = (sink, request, context);
        Ok(())
    }

    /// Pushes every item (or every change since the anchor), without content. A push waits while
    /// the broker is slow.
    ///
    /// # Errors
    /// The listing broke off: what was pushed counts, nothing is taken for deleted.
    fn get_changes(
        &mut self,
        sink: &str,
        request: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error>;

    /// Answers each item, in order, through `results`.
    ///
    /// # Errors
    /// Reading broke off altogether; for one item, answer [`outrigger_protocol::ReadOutcome::Failed`].
    fn read(&mut self, sink: &str, items: Vec<ReadItem>, results: &mut ReadSink<'_, '_>)
    -> Result<(), Error>;

    /// Writes each item if its condition holds. Answer when all that is done is durable.
    ///
    /// # Errors
    /// The batch broke off altogether (say with which effect); for one item, answer
    /// [`outrigger_protocol::CommitOutcome::Failed`].
    fn commit(
        &mut self,
        sink: &str,
        batch: Commit<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error>;

    /// No more commits come in this run.
    ///
    /// # Errors
    /// What was committed cannot be completed.
    fn committed_all(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
        let _ = (sink, context);
        Ok(())
    }

    /// The run succeeded and everything is recorded.
    ///
    /// # Errors
    /// The member could not note it; the run has succeeded all the same.
    fn sync_done(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
        let _ = (sink, context);
        Ok(())
    }

    /// Closes the link to the store.
    ///
    /// # Errors
    /// Reported, never fatal.
    fn disconnect(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
        let _ = (sink, context);
        Ok(())
    }

    /// The instance ends.
    ///
    /// # Errors
    /// Reported, never fatal.
    fn finalize(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        let _ = context;
        Ok(())
    }
}
