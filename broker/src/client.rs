//! Typed calls: an instance and its sinks.

use outrigger_protocol::{
    Change, Commit, CommitItem, Committed, Connect, ConnectDone, Connected, CreateCollection, Discovered,
    Error, GetChanges, Initialize, Initialized, Listing, Method, ObjectId, Read, ReadItem, ReadResult, Sink,
};

use crate::callers::OnItem;
use crate::host::PluginHost;

impl PluginHost {
    /// Makes an instance for a member.
    ///
    /// # Errors
    /// The plugin refuses the settings, or is gone.
    pub async fn initialize(&self, request: &Initialize) -> Result<Instance, Error> {
        let made: Initialized = self.call(ObjectId::HOST, Method::INITIALIZE, request, None).await?;
        Ok(Instance::new(self.clone(), made.instance))
    }
}

/// An instance: what a plugin serves one member with.
#[derive(Debug, Clone)]
pub struct Instance {
    host: PluginHost,
    object: ObjectId,
}

impl Instance {
    pub(crate) const fn new(host: PluginHost, object: ObjectId) -> Self {
        Self { host, object }
    }

    /// The process it lives in.
    #[must_use]
    pub const fn host(&self) -> &PluginHost {
        &self.host
    }

    /// Which collections are there.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn discover(&self) -> Result<Discovered, Error> {
        self.host.call(self.object, Method::DISCOVER, &(), None).await
    }

    /// Makes a collection.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn create_collection(&self, request: &CreateCollection) -> Result<Sink, Error> {
        self.host.call(self.object, Method::CREATE_COLLECTION, request, None).await
    }

    /// A client of one of its sinks.
    #[must_use]
    pub fn sink(&self, sink: Sink) -> SinkClient {
        SinkClient { host: self.host.clone(), sink }
    }

    /// Ends the instance.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn finalize(self) -> Result<(), Error> {
        self.host.call(self.object, Method::FINALIZE, &(), None).await
    }
}

/// A client of one sink. Calls on one sink are worked on one at a time, in the order made.
#[derive(Debug, Clone)]
pub struct SinkClient {
    host: PluginHost,
    sink: Sink,
}

impl SinkClient {
    /// What the plugin said of the sink.
    #[must_use]
    pub const fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Opens the link to the store.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn connect(&self, request: &Connect) -> Result<Connected, Error> {
        self.host.call(self.sink.object, Method::CONNECT, request, None).await
    }

    /// Says that all members are connected.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn connect_done(&self, request: &ConnectDone) -> Result<(), Error> {
        self.host.call(self.sink.object, Method::CONNECT_DONE, request, None).await
    }

    /// Lists. `each` runs in the connection's task with every entry as it comes; it must not wait.
    ///
    /// # Errors
    /// The plugin's error; entries that came before stand.
    pub async fn get_changes(
        &self,
        request: &GetChanges,
        mut each: impl FnMut(Change) + Send + 'static,
    ) -> Result<Listing, Error> {
        let codec = self.host.session().codec;
        let on_item: OnItem = Box::new(move |item| {
            each(codec.decode(item).map_err(|error| error.to_string())?);
            Ok(())
        });
        self.host.call(self.sink.object, Method::GET_CHANGES, request, Some(on_item)).await
    }

    /// Fetches items. `each` runs in the connection's task with every result, borrowed from the
    /// receive buffer; it must not wait.
    ///
    /// # Errors
    /// The plugin's error; results that came before stand.
    pub async fn read(
        &self,
        items: Vec<ReadItem>,
        mut each: impl FnMut(ReadResult<'_>) + Send + 'static,
    ) -> Result<(), Error> {
        let codec = self.host.session().codec;
        let on_item: OnItem = Box::new(move |item| {
            each(codec.decode(item).map_err(|error| error.to_string())?);
            Ok(())
        });
        self.host.call(self.sink.object, Method::READ, &Read { items }, Some(on_item)).await
    }

    /// Writes items; the answer comes when all that is done is durable.
    ///
    /// # Errors
    /// The plugin's error; its effect says what became of the batch.
    pub async fn commit(&self, items: Vec<CommitItem<'_>>) -> Result<Committed, Error> {
        self.host.call(self.sink.object, Method::COMMIT, &Commit { items }, None).await
    }

    /// No more commits come in this run.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn committed_all(&self) -> Result<(), Error> {
        self.host.call(self.sink.object, Method::COMMITTED_ALL, &(), None).await
    }

    /// The run succeeded and all is recorded.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn sync_done(&self) -> Result<(), Error> {
        self.host.call(self.sink.object, Method::SYNC_DONE, &(), None).await
    }

    /// Closes the link to the store.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn disconnect(&self) -> Result<(), Error> {
        self.host.call(self.sink.object, Method::DISCONNECT, &(), None).await
    }
}
