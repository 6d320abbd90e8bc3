//! The trait that a connector implements: the life of a plugin, one method a verb.

use outrigger_protocol::{
    Commit, CommitResult, Connect, ConnectDone, Connected, CreateCollection, Error, FormatInfo, GetChanges,
    Initialize, ReadItem, Verdict,
};

use crate::collection::{Collection, ListingEnd};
use crate::context::{ChangeSink, Context, ReadSink};
use crate::idle::Idle;

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

    /// What is to be known of formats that the connector brings, once it is initialised. Those
    /// whose items cross as they are stored need not be named.
    fn formats(&self) -> Vec<FormatInfo> {
        Vec::new()
    }

    /// Whether there is a link that all collections share: then `connect`, `connect_done`,
    /// `committed_all`, `sync_done` and `disconnect` are called for [`crate::MAIN_SINK`] too, `connect`
    /// and `connect_done` before those of the collections, and the others after them.
    fn has_main_sink(&self) -> bool {
        false
    }

    /// Names the collections that are there now.
    ///
    /// # Errors
    /// The store cannot be looked at.
    fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error>;

    /// Whether [`Plugin::create_collection`] works.
    fn can_create(&self) -> bool {
        false
    }

    /// Makes a collection, and says what became of it. The same operation again, also in a later
    /// run, is the same collection: the answer was lost. Where the name tells collections apart,
    /// one of that name that is there already is the answer.
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

    /// No more commits come in this run. A store that names items for good only now says so
    /// ([`Context::rename`]).
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

    /// Takes bytes of a format of its own apart and makes them again (see [`crate::Format`]).
    ///
    /// # Errors
    /// There is no such format, or the bytes are not of it.
    fn remarshal(&mut self, format: &str, data: &[u8]) -> Result<Vec<u8>, Error> {
        let _ = data;
        Err(Error::new(outrigger_protocol::Code::UNIMPLEMENTED, format!("{format} is plain")))
    }

    /// Whether two items of a format that it says to compare mean the same. Asked where both members
    /// changed an item, before that becomes a conflict: what is [`Verdict::Same`] stays as it is, at
    /// both. Say so only if neither has anything that the other lacks.
    ///
    /// # Errors
    /// There is no such format, or the bytes are not of it.
    fn compare(&mut self, format: &str, left: &[u8], right: &[u8]) -> Result<Verdict, Error> {
        let _ = (left, right);
        let text = format!("{format} is compared by its bytes");
        Err(Error::new(outrigger_protocol::Code::UNIMPLEMENTED, text))
    }

    /// No call waits: a connector that watches its store looks at it here, and says through
    /// `idle` where something has changed. Returns after how long it wants to look again, a
    /// millisecond at least; `None`: not before another call, so that an idle plugin never wakes
    /// up. It comes sooner too, after every call, so look at a clock; calls wait while it works.
    fn idle(&mut self, idle: &mut Idle<'_>) -> Option<std::time::Duration> {
        let _ = idle;
        None
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
