//! Typed calls: an instance and its sinks.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use outrigger_protocol::{
    Blame, Change, Code, Codec, Commit, CommitItem, Committed, Compare, Compared, Connect, ConnectDone,
    Connected, Connection, CreateCollection, Discovered, Error, Extensions, FormatInfo, GetChanges,
    Initialize, Initialized, Listing, Method, ObjectId, Read, ReadItem, ReadResult, Remarshal, Remarshalled,
    Sink, Snapshot,
};

use crate::callbacks::{Callbacks, NoCallbacks};
use crate::callers::OnItem;
use crate::host::PluginHost;
use crate::pages;

impl PluginHost {
    /// Makes an instance for a member; what the plugin asks for it is refused.
    ///
    /// # Errors
    /// The plugin refuses the settings, or is gone.
    pub async fn initialize(&self, request: &Initialize) -> Result<Instance, Error> {
        self.initialize_with(request.clone(), Arc::new(NoCallbacks)).await
    }

    /// Makes an instance for a member; what the plugin asks for it is answered by `callbacks`. The
    /// numbers of the member and the group are filled in here.
    ///
    /// # Errors
    /// The plugin refuses the settings, or is gone.
    pub async fn initialize_with(
        &self,
        mut request: Initialize,
        callbacks: Arc<dyn Callbacks>,
    ) -> Result<Instance, Error> {
        (request.member.object, request.group.object) = self.exports().give(callbacks);
        let member = request.member.object;
        let told = Mutex::new((request.member.generation, request.group.generation));
        let given = Given { host: self.clone(), member, group: request.group.object, told };
        let (method, secret) = (Method::INITIALIZE, !request.secrets.is_empty());
        let answer = self.call_raw(ObjectId::HOST, method, (&request, &[]), None, secret).await?;
        let Initialized { instance, formats } = self.read(method, &answer)?;
        self.exports().serve(member, instance);
        Ok(Instance { object: instance, formats: formats.into(), given: Arc::new(given) })
    }
}

/// A member and a group, given to a plugin until its instance has ended, or the last handle of it
/// and its sinks has gone.
#[derive(Debug)]
struct Given {
    host: PluginHost,
    member: ObjectId,
    group: ObjectId,
    /// The generations of both that the plugin was told last.
    told: Mutex<(u64, u64)>,
}

impl Given {
    /// Whether the plugin was not told this yet.
    fn is_news(&self, snapshot: &Snapshot) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match snapshot {
            Snapshot::Member(_) => &mut told.0,
            Snapshot::Group(_) => &mut told.1,
        };
        let is_news = snapshot.generation() > *last;
        *last = snapshot.generation().max(*last);
        is_news
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.host.exports().take_back(self.member);
    }
}

/// An instance: what a plugin serves one member with.
#[derive(Debug, Clone)]
pub struct Instance {
    object: ObjectId,
    formats: Arc<[FormatInfo]>,
    given: Arc<Given>,
}

impl Instance {
    /// The process it lives in.
    #[must_use]
    pub fn host(&self) -> &PluginHost {
        &self.given.host
    }

    /// What is to be known of formats that the plugin brings.
    #[must_use]
    pub fn formats(&self) -> &[FormatInfo] {
        &self.formats
    }

    /// Tells the plugin what its member or its group is now, if the generation has risen; it sees
    /// it from its next call on.
    pub fn tell(&self, mut snapshot: Snapshot) {
        match &mut snapshot {
            Snapshot::Member(member) => member.object = self.given.member,
            Snapshot::Group(group) => group.object = self.given.group,
        }
        if self.given.is_news(&snapshot) {
            self.host().link().with(|connection| connection.snapshot(&snapshot));
        }
    }

    /// Which collections are there.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn discover(&self) -> Result<Discovered, Error> {
        let found: Discovered = self.host().call(self.object, Method::DISCOVER, &(), None).await?;
        let sinks = found.sinks.iter().map(|sink| sink.object);
        sinks.chain(found.main).for_each(|sink| self.host().exports().sink(self.object, sink));
        Ok(found)
    }

    /// Makes the plugin take bytes of a format that is not plain apart and make them again.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn remarshal(&self, request: &Remarshal) -> Result<Remarshalled, Error> {
        self.host().call(self.object, Method::REMARSHAL, request, None).await
    }

    /// Asks whether two items of a format that the plugin compares mean the same.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn compare(&self, request: &Compare) -> Result<Compared, Error> {
        self.host().call(self.object, Method::COMPARE, request, None).await
    }

    /// Makes a collection.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn create_collection(&self, request: &CreateCollection) -> Result<Sink, Error> {
        let made: Sink = self.host().call(self.object, Method::CREATE_COLLECTION, request, None).await?;
        self.host().exports().sink(self.object, made.object);
        Ok(made)
    }

    /// A client of one of its sinks.
    #[must_use]
    pub fn sink(&self, sink: Sink) -> SinkClient {
        SinkClient { given: Arc::clone(&self.given), sink }
    }

    /// A client of the main sink: it takes `connect`, `connect_done`, `committed_all`, `sync_done`
    /// and `disconnect`.
    #[must_use]
    pub fn main_sink(&self, object: ObjectId) -> SinkClient {
        let sink = Sink {
            object,
            name: String::new(),
            object_types: Vec::new(),
            formats: Vec::new(),
            read_only: true,
            store: None,
            unavailable: None,
            ext: Extensions::default(),
        };
        self.sink(sink)
    }

    /// Ends the instance.
    ///
    /// # Errors
    /// The plugin's error; [`Code::INVALID_STATE`] while a call to one of its sinks is open
    /// (decisions W2).
    pub async fn finalize(self) -> Result<(), Error> {
        let sinks = self.host().exports().sinks(self.object);
        let at_work = |connection: &mut Connection<_>| sinks.iter().any(|sink| connection.is_calling(*sink));
        if self.host().link().with(at_work) {
            let text = "finalize: calls to its sinks are not answered yet";
            return Err(Error::new(Code::INVALID_STATE, text).by(Blame::Caller));
        }
        self.host().call::<_, ()>(self.object, Method::FINALIZE, &(), None).await?;
        self.host().exports().take_back(self.given.member);
        Ok(())
    }
}

/// A client of one sink. Calls on one sink are worked on one at a time, in the order made.
#[derive(Debug, Clone)]
pub struct SinkClient {
    given: Arc<Given>,
    sink: Sink,
}

impl SinkClient {
    fn host(&self) -> &PluginHost {
        &self.given.host
    }

    /// What the plugin said of the sink.
    #[must_use]
    pub const fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Bytes of names and content that one call to its plugin can carry: the largest body that it
    /// takes, or half of that where bodies are JSON, which needs up to twice as much for the same.
    /// At least half of [`outrigger_protocol::limits::MAX_BODY_FLOOR`]; the handshake saw to that.
    #[must_use]
    pub fn max_body(&self) -> usize {
        let session = self.host().session();
        let most = session.peer_limits.max_body as usize;
        match session.codec {
            Codec::Bincode => most,
            Codec::Json => most / 2,
        }
    }

    /// Waits until its plugin has answered every call, those that were cancelled too. One that does
    /// not within two seconds is ended, as one is that outlives a deadline.
    pub async fn drain(&self) {
        self.host().drain().await;
    }

    /// Opens the link to the store.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn connect(&self, request: &Connect) -> Result<Connected, Error> {
        self.host().call(self.sink.object, Method::CONNECT, request, None).await
    }

    /// Says that all members are connected.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn connect_done(&self, request: &ConnectDone) -> Result<(), Error> {
        self.host().call(self.sink.object, Method::CONNECT_DONE, request, None).await
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
        if self.host().session().peer_level == 0 {
            return pages::get_changes(self.host(), self.sink.object, request, each).await;
        }
        let codec = self.host().session().codec;
        let on_item: OnItem = Box::new(move |item| {
            each(codec.decode(item).map_err(|error| error.to_string())?);
            Ok(())
        });
        self.host().call(self.sink.object, Method::GET_CHANGES, request, Some(on_item)).await
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
        if self.host().session().peer_level == 0 {
            return pages::read(self.host(), self.sink.object, items, each).await;
        }
        let codec = self.host().session().codec;
        let on_item: OnItem = Box::new(move |item| {
            each(codec.decode(item).map_err(|error| error.to_string())?);
            Ok(())
        });
        self.host().call(self.sink.object, Method::READ, &Read { items }, Some(on_item)).await
    }

    /// Writes items; the answer comes when all that is done is durable.
    ///
    /// # Errors
    /// The plugin's error; its effect says what became of the batch.
    pub async fn commit(&self, items: Vec<CommitItem<'_>>) -> Result<Committed, Error> {
        let (contents, items): (Vec<Bytes>, Vec<_>) = items.into_iter().map(without_content).unzip();
        let mut items: Vec<CommitItem<'_>> = items;
        for (item, content) in items.iter_mut().zip(&contents) {
            item.data = Cow::Borrowed(content);
        }
        let (object, batch) = (self.sink.object, Commit { items });
        let answer = self.host().call_raw(object, Method::COMMIT, (&batch, &contents), None, false).await?;
        self.host().read(Method::COMMIT, &answer)
    }

    /// No more commits come in this run.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn committed_all(&self) -> Result<(), Error> {
        self.host().call(self.sink.object, Method::COMMITTED_ALL, &(), None).await
    }

    /// The run succeeded and all is recorded.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn sync_done(&self) -> Result<(), Error> {
        self.host().call(self.sink.object, Method::SYNC_DONE, &(), None).await
    }

    /// Closes the link to the store.
    ///
    /// # Errors
    /// The plugin's error.
    pub async fn disconnect(&self) -> Result<(), Error> {
        self.host().call(self.sink.object, Method::DISCONNECT, &(), None).await
    }
}

/// Takes the content out of an item, to be written from where it lies.
fn without_content(mut item: CommitItem<'_>) -> (Bytes, CommitItem<'_>) {
    let content = std::mem::take(&mut item.data).into_owned();
    (content.into(), item)
}
