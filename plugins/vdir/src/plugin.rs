//! The connector as the SDK calls it: thin, the work is in [`crate::folder`] and [`crate::commit`].

use std::collections::HashMap;
use std::time::Duration;

use outrigger_plugin_sdk::protocol::{
    Code, Commit, CommitResult, Connect, Connected, CreateCollection, Effect, Error, GetChanges, Initialize,
    ReadItem,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink};

use crate::folder::Folder;
use crate::options::Options;

/// How long making a batch durable may take without a sign of life.
const SLOW_DISK: Duration = Duration::from_secs(600);

/// The connector for folders of items; one instance serves one member.
#[derive(Default)]
pub struct Vdir {
    options: Option<Options>,
    open: HashMap<String, Folder>,
}

impl Vdir {
    /// A connector that has no settings yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn options(&self) -> Result<&Options, Error> {
        self.options.as_ref().ok_or_else(|| Error::new(Code::INVALID_STATE, "not initialised"))
    }

    fn folder(&mut self, sink: &str) -> Result<&mut Folder, Error> {
        self.open
            .get_mut(sink)
            .ok_or_else(|| Error::new(Code::INVALID_STATE, format!("\"{sink}\" is not connected")))
    }
}

impl std::fmt::Debug for Vdir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vdir").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Plugin for Vdir {
    fn initialize(&mut self, request: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        self.options = Some(Options::of(&request.member)?);
        Ok(())
    }

    fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        self.options()?.discover()
    }

    fn can_create(&self) -> bool {
        true
    }

    fn create_collection(
        &mut self,
        request: CreateCollection,
        _: &mut Context<'_>,
    ) -> Result<Collection, Error> {
        self.options()?.create(&request.name)
    }

    /// Opens the folder and mends what a dead run left there, before anybody asks what is in it.
    fn connect(&mut self, sink: &str, request: Connect, _: &mut Context<'_>) -> Result<Connected, Error> {
        let options = self.options()?;
        let open = if request.read_only { Folder::look } else { Folder::open };
        let folder = open(options, options.usable_folder(sink)?)?;
        self.open.insert(sink.into(), folder);
        Ok(Connected { slow_sync: false })
    }

    /// Always everything: a folder has no memory of changes, so it has no anchor either.
    fn get_changes(
        &mut self,
        sink: &str,
        _: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        let complete = self.folder(sink)?.list(&mut |change| changes.push(change))?;
        Ok(ListingEnd { complete, anchor: None })
    }

    fn read(
        &mut self,
        sink: &str,
        items: Vec<ReadItem>,
        results: &mut ReadSink<'_, '_>,
    ) -> Result<(), Error> {
        self.folder(sink)?.read(&items, &mut |result| results.push(result))
    }

    fn commit(
        &mut self,
        sink: &str,
        batch: Commit<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error> {
        let total = batch.items.len() as u64;
        // A disk that is busy with somebody else's large copy keeps a sync waiting, not us.
        context.waiting(SLOW_DISK).map_err(|error| error.with_effect(Effect::NotStarted))?;
        self.folder(sink)?.commit(&batch.items, &mut |done| context.progress(done as u64, Some(total)))
    }

    fn disconnect(&mut self, sink: &str, _: &mut Context<'_>) -> Result<(), Error> {
        self.open.remove(sink);
        Ok(())
    }
}
