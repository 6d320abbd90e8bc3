//! A connector that notes what reaches it, and does with commits and listings what a test says.

use std::sync::{Arc, Mutex};

use outrigger_plugin_sdk::protocol::{
    Commit, CommitItem, CommitKind, CommitOutcome, CommitResult, Connect, ConnectDone, Connected,
    CreateCollection, Error, GetChanges, Href, Initialize, OperationId, RawDigest, ReadItem, ReadOutcome,
    ReadResult, Revision,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink};

type OnCommit = Box<dyn FnMut(&Commit<'_>, &mut Context<'_>) -> Result<(), Error> + Send>;
type OnChanges = Box<dyn FnMut(&mut ChangeSink<'_, '_>) -> Result<(), Error> + Send>;

pub(crate) struct Connector {
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
    on_commit: OnCommit,
    on_changes: OnChanges,
}

impl Connector {
    pub(crate) fn new() -> Self {
        Self { seen: Arc::default(), on_commit: Box::new(|_, _| Ok(())), on_changes: Box::new(|_| Ok(())) }
    }

    /// A commit does this before it succeeds.
    pub(crate) fn on_commit(
        mut self,
        act: impl FnMut(&Commit<'_>, &mut Context<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        self.on_commit = Box::new(act);
        self
    }

    /// A listing does this.
    pub(crate) fn on_changes(
        mut self,
        act: impl FnMut(&mut ChangeSink<'_, '_>) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        self.on_changes = Box::new(act);
        self
    }

    fn note(&self, what: impl Into<String>) {
        self.seen.lock().unwrap().push(what.into());
    }
}

fn done(item: &CommitItem<'_>) -> CommitResult {
    let (href, revision) = (item.href.clone(), Revision::from("1"));
    CommitResult {
        operation: item.operation,
        outcome: CommitOutcome::Done { href, revision, settled: true, digest: Some(item.digest) },
    }
}

/// One item to commit.
pub(crate) fn item(name: &str, data: &'static [u8]) -> CommitItem<'static> {
    CommitItem {
        operation: OperationId(uuid::Uuid::from_u128(1)),
        kind: CommitKind::Create,
        href: Href::from(name),
        expected: None,
        expected_digest: None,
        key: name.as_bytes().to_vec().into(),
        object_type: "note".into(),
        format: "plain".into(),
        digest: RawDigest::of(data),
        data: data.into(),
    }
}

impl Plugin for Connector {
    fn initialize(&mut self, request: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        self.note(format!("initialize {}", request.member.name));
        Ok(())
    }

    fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        self.note("discover");
        let collection = |name: &str| Collection { name: name.into(), ..Collection::default() };
        Ok(vec![collection("a"), collection("b")])
    }

    fn create_collection(
        &mut self,
        request: CreateCollection,
        _: &mut Context<'_>,
    ) -> Result<Collection, Error> {
        self.note("create_collection");
        Ok(Collection { name: request.name, ..Collection::default() })
    }

    fn connect(&mut self, sink: &str, request: Connect, _: &mut Context<'_>) -> Result<Connected, Error> {
        self.note(format!("connect {sink}"));
        Ok(Connected { slow_sync: request.slow_sync })
    }

    fn connect_done(&mut self, sink: &str, _: ConnectDone, _: &mut Context<'_>) -> Result<(), Error> {
        self.note(format!("connect_done {sink}"));
        Ok(())
    }

    fn get_changes(
        &mut self,
        sink: &str,
        _: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        self.note(format!("get_changes {sink}"));
        (self.on_changes)(changes)?;
        Ok(ListingEnd { complete: true, anchor: None })
    }

    fn read(
        &mut self,
        sink: &str,
        items: Vec<ReadItem>,
        results: &mut ReadSink<'_, '_>,
    ) -> Result<(), Error> {
        self.note(format!("read {sink}"));
        for index in 0..u32::try_from(items.len()).unwrap() {
            results.push(&ReadResult { index, outcome: ReadOutcome::NotFound })?;
        }
        Ok(())
    }

    fn commit(
        &mut self,
        sink: &str,
        batch: Commit<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error> {
        self.note(format!("commit {sink}"));
        (self.on_commit)(&batch, context)?;
        Ok(batch.items.iter().map(done).collect())
    }

    fn committed_all(&mut self, sink: &str, _: &mut Context<'_>) -> Result<(), Error> {
        self.note(format!("committed_all {sink}"));
        Ok(())
    }

    fn sync_done(&mut self, sink: &str, _: &mut Context<'_>) -> Result<(), Error> {
        self.note(format!("sync_done {sink}"));
        Ok(())
    }

    fn disconnect(&mut self, sink: &str, _: &mut Context<'_>) -> Result<(), Error> {
        self.note(format!("disconnect {sink}"));
        Ok(())
    }

    fn finalize(&mut self, _: &mut Context<'_>) -> Result<(), Error> {
        self.note("finalize");
        Ok(())
    }
}
