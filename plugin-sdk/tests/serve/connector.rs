//! A connector that notes what reaches it, and does what a test says in some places.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrigger_plugin_sdk::protocol::{
    Code, Commit, CommitItem, CommitKind, CommitOutcome, CommitResult, Connect, ConnectDone, Connected,
    CreateCollection, Error, FormatInfo, GetChanges, Href, Initialize, OperationId, RawDigest, ReadItem,
    ReadOutcome, ReadResult, Revision, Verdict,
};
use outrigger_plugin_sdk::{
    ChangeSink, Collection, Context, Format, Idle, ListingEnd, Plugin, ReadSink, compare, remarshal,
};

type OnCommit = Box<dyn FnMut(&Commit<'_>, &mut Context<'_>) -> Result<(), Error> + Send>;
type OnChanges = Box<dyn FnMut(&mut ChangeSink<'_, '_>) -> Result<(), Error> + Send>;

type OnIdle = Box<dyn FnMut(&mut Idle<'_>) -> Option<Duration> + Send>;
type OnInitialize = Box<dyn FnMut(&Initialize, &mut Context<'_>) -> Result<(), Error> + Send>;

pub(crate) struct Connector {
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
    pub(crate) main: bool,
    on_idle: OnIdle,
    on_initialize: OnInitialize,
    on_commit: OnCommit,
    on_changes: OnChanges,
}

impl Connector {
    pub(crate) fn new() -> Self {
        Self {
            seen: Arc::default(),
            main: false,
            on_idle: Box::new(|_| None),
            on_initialize: Box::new(|_, _| Ok(())),
            on_commit: Box::new(|_, _| Ok(())),
            on_changes: Box::new(|_| Ok(())),
        }
    }

    /// It does this while no call waits.
    pub(crate) fn on_idle(
        mut self,
        act: impl FnMut(&mut Idle<'_>) -> Option<Duration> + Send + 'static,
    ) -> Self {
        self.on_idle = Box::new(act);
        self
    }

    /// It does this when it is initialised.
    pub(crate) fn on_initialize(
        mut self,
        act: impl FnMut(&Initialize, &mut Context<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        self.on_initialize = Box::new(act);
        self
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

/// Numbers as decimal text.
struct Decimal;

impl Format for Decimal {
    type Item = i32;

    fn name(&self) -> &str {
        "decimal"
    }

    fn marshal(&self, item: &i32) -> Result<Vec<u8>, Error> {
        Ok(item.to_string().into_bytes())
    }

    fn demarshal(&self, data: &[u8]) -> Result<i32, Error> {
        let number = std::str::from_utf8(data).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Error::new(Code::FORMAT, "not a number"))
    }

    fn compare(&self, left: &i32, right: &i32) -> Verdict {
        match left - right {
            0 => Verdict::Same,
            -1 | 1 => Verdict::Similar,
            _ => Verdict::Different,
        }
    }
}

fn unknown(format: &str) -> Error {
    Error::new(Code::UNIMPLEMENTED, format!("no format is called {format}"))
}

impl Plugin for Connector {
    fn initialize(&mut self, request: Initialize, context: &mut Context<'_>) -> Result<(), Error> {
        self.note(format!("initialize {}", request.member.name));
        (self.on_initialize)(&request, context)
    }

    fn has_main_sink(&self) -> bool {
        self.main
    }

    fn formats(&self) -> Vec<FormatInfo> {
        vec![Decimal.info()]
    }

    fn remarshal(&mut self, format: &str, data: &[u8]) -> Result<Vec<u8>, Error> {
        if format == "decimal" { remarshal(&Decimal, data) } else { Err(unknown(format)) }
    }

    fn compare(&mut self, format: &str, left: &[u8], right: &[u8]) -> Result<Verdict, Error> {
        if format == "decimal" { compare(&Decimal, left, right) } else { Err(unknown(format)) }
    }

    fn idle(&mut self, idle: &mut Idle<'_>) -> Option<Duration> {
        (self.on_idle)(idle)
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
