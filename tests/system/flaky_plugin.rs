//! The connector for folders, whose server fails for a while: `flaky_plugin PLACE TIMES WAIT`. At that place
//! it fails so often, and asks each time to be tried again after so many milliseconds; `never`: not at all.
//! Places are the names of methods, and `read-item` and `commit-item`: single items of them. `retries.rs`
//! says what becomes of it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use outrigger_plugin_sdk::protocol::{
    Blame, Code, Commit, CommitOutcome, CommitResult, Connect, ConnectDone, Connected, Error, GetChanges,
    Initialize, ReadItem, ReadOutcome, ReadResult, Retry,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve};
use outrigger_plugin_vdir::Vdir;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().unwrap_or_default();
    let (place, times, wait) = (next(), next().parse().unwrap_or(0), next());
    let retry = wait.parse().map_or(Retry::Never, Retry::After);
    serve(Flaky { place, times, retry, folders: Vdir::new() })
}

struct Flaky {
    place: String,
    /// Failures that are left.
    times: u32,
    retry: Retry,
    folders: Vdir,
}

impl Flaky {
    /// The connector, if this does not fail here and now.
    fn at(&mut self, place: &str) -> Result<&mut Vdir, Error> {
        if self.place != place || self.times == 0 {
            return Ok(&mut self.folders);
        }
        self.times -= 1;
        let error = Error::new(Code::REMOTE, format!("the server is busy, {} more", self.times));
        Err(Error { retry: self.retry, ..error.by(Blame::Member) })
    }
}

impl Plugin for Flaky {
    fn initialize(&mut self, request: Initialize, context: &mut Context<'_>) -> Result<(), Error> {
        self.at("initialize")?.initialize(request, context)
    }

    fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        self.at("discover")?.discover(context)
    }

    fn connect(
        &mut self,
        sink: &str,
        request: Connect,
        context: &mut Context<'_>,
    ) -> Result<Connected, Error> {
        self.at("connect")?.connect(sink, request, context)
    }

    fn connect_done(
        &mut self,
        sink: &str,
        request: ConnectDone,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        self.at("connect_done")?.connect_done(sink, request, context)
    }

    fn get_changes(
        &mut self,
        sink: &str,
        request: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        self.at("get_changes")?.get_changes(sink, request, changes)
    }

    fn read(
        &mut self,
        sink: &str,
        items: Vec<ReadItem>,
        results: &mut ReadSink<'_, '_>,
    ) -> Result<(), Error> {
        match self.at("read-item") {
            Err(error) => (0..).zip(&items).try_for_each(|(index, _)| {
                results.push(&ReadResult { index, outcome: ReadOutcome::Failed(error.clone()) })
            }),
            Ok(_) => self.at("read")?.read(sink, items, results),
        }
    }

    fn commit(
        &mut self,
        sink: &str,
        batch: Commit<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error> {
        match self.at("commit-item") {
            Err(error) => {
                let failed =
                    |operation| CommitResult { operation, outcome: CommitOutcome::Failed(error.clone()) };
                Ok(batch.items.iter().map(|item| failed(item.operation)).collect())
            }
            Ok(_) => self.at("commit")?.commit(sink, batch, context),
        }
    }

    fn sync_done(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.folders.sync_done(sink, context)
    }

    fn disconnect(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.folders.disconnect(sink, context)
    }
}
