//! The connector for folders, with a line in the file `calls` in its folder for each call that came.
//! `open_group.rs` counts them, and `benches/sync`.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use outrigger_plugin_sdk::protocol::{
    Commit, CommitResult, Connect, ConnectDone, Connected, Error, GetChanges, Initialize, ReadItem,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve};
use outrigger_plugin_vdir::Vdir;

pub(crate) fn main() -> ExitCode {
    serve(Counting { calls: PathBuf::new(), vdir: Vdir::new() })
}

struct Counting {
    calls: PathBuf,
    vdir: Vdir,
}

impl Counting {
    /// The connector, which is about to do this.
    fn does(&mut self, call: &str) -> Result<&mut Vdir, Error> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.calls)?;
        writeln!(file, "{call}")?;
        Ok(&mut self.vdir)
    }
}

impl Plugin for Counting {
    fn initialize(&mut self, request: Initialize, context: &mut Context<'_>) -> Result<(), Error> {
        self.calls = PathBuf::from(request.member.option("path").unwrap_or_default()).join("calls");
        self.does("initialize")?.initialize(request, context)
    }

    fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        self.does("discover")?.discover(context)
    }

    fn connect(
        &mut self,
        sink: &str,
        request: Connect,
        context: &mut Context<'_>,
    ) -> Result<Connected, Error> {
        self.does("connect")?.connect(sink, request, context)
    }

    fn connect_done(
        &mut self,
        sink: &str,
        request: ConnectDone,
        context: &mut Context<'_>,
    ) -> Result<(), Error> {
        self.does("connect_done")?.connect_done(sink, request, context)
    }

    fn get_changes(
        &mut self,
        sink: &str,
        request: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        self.does("get_changes")?.get_changes(sink, request, changes)
    }

    fn read(
        &mut self,
        sink: &str,
        items: Vec<ReadItem>,
        results: &mut ReadSink<'_, '_>,
    ) -> Result<(), Error> {
        self.does("read")?.read(sink, items, results)
    }

    fn commit(
        &mut self,
        sink: &str,
        batch: Commit<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error> {
        self.does("commit")?.commit(sink, batch, context)
    }

    fn committed_all(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.does("committed_all")?.committed_all(sink, context)
    }

    fn sync_done(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.does("sync_done")?.sync_done(sink, context)
    }

    fn disconnect(&mut self, sink: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.does("disconnect")?.disconnect(sink, context)
    }

    fn finalize(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        self.does("finalize")?.finalize(context)
    }
}
