//! A connector that keeps notes as files in one folder: a collection `notes`, an item a file.
//!
//! `outrigger plugin check .` tells whether it is right. Make it yours from `Notes` on.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use outrigger_plugin_sdk::protocol::{
    Blame, Change, ChangeKind, Code, Commit, CommitItem, CommitKind, CommitOutcome, CommitResult, Dedupe,
    Error, Extensions, GetChanges, Href, Initialize, RawDigest, ReadItem, ReadOutcome, ReadResult, Revision,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve};

/// What stands before the name of a file that is being written.
const UNFINISHED: &str = ".new-";

#[derive(Default)]
struct Notes {
    folder: PathBuf,
}

/// Changes whenever the content does: the engine compares it and never reads it.
fn revision(data: &[u8]) -> Revision {
    Revision::from(RawDigest::of(data).to_string().as_str())
}

fn refused(code: Code, text: &str) -> Error {
    Error::new(code, text)
}

impl Plugin for Notes {
    fn initialize(&mut self, request: Initialize, _: &mut Context<'_>) -> Result<(), Error> {
        let path = request.member.option("path").ok_or_else(|| {
            refused(Code::INVALID, "the setting `path` is missing: a folder").by(Blame::Configuration)
        })?;
        self.folder = path.into();
        Ok(())
    }

    fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        // A create that is sent again meets the file that the first one made: its name is the key.
        let dedupe = Some(Dedupe::Conditional);
        Ok(vec![Collection { name: "notes".into(), dedupe, ..Collection::default() }])
    }

    fn get_changes(
        &mut self,
        _: &str,
        _: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        for entry in fs::read_dir(&self.folder)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let Some(path) = self.path(name.as_bytes()) else { continue };
            // A file that goes away meanwhile is simply not there.
            let Ok(data) = fs::read(path) else { continue };
            changes.push(&Change {
                href: Href::from(name.as_str()),
                kind: ChangeKind::Unknown, // it is there; whether it changed is for the engine to tell
                revision: revision(&data),
                settled: true,
                object_type: "note".into(),
                format: "text".into(),
                ext: Extensions::default(),
            })?;
        }
        Ok(ListingEnd { complete: true, anchor: None })
    }

    fn read(&mut self, _: &str, items: Vec<ReadItem>, results: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        for (index, item) in (0..).zip(items) {
            let outcome = match self.load(&item.href) {
                Ok(None) => ReadOutcome::NotFound,
                Ok(Some(data)) => ReadOutcome::Item {
                    revision: revision(&data),
                    settled: true,
                    format: "text".into(),
                    data: data.into(),
                },
                Err(error) => ReadOutcome::Failed(error.into()),
            };
            results.push(&ReadResult { index, outcome })?;
        }
        Ok(())
    }

    fn commit(
        &mut self,
        _: &str,
        batch: Commit<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<CommitResult>, Error> {
        let mut results = Vec::new();
        for (done, item) in (1..).zip(batch.items) {
            let operation = item.operation;
            let outcome = self.write(item).unwrap_or_else(CommitOutcome::Failed);
            results.push(CommitResult { operation, outcome });
            // A sign of life; also ends the call here if it was cancelled.
            context.progress(done, None)?;
        }
        // The names too are on the disk before anything is called done.
        File::open(&self.folder)?.sync_all()?;
        Ok(results)
    }
}

impl Notes {
    /// The file of an item; `None` if no file of ours can have that name.
    fn path(&self, href: &[u8]) -> Option<PathBuf> {
        let name = std::str::from_utf8(href).ok()?;
        let plain = !name.is_empty() && !name.starts_with('.') && name.len() <= 200;
        (plain && !name.contains(['/', '\\', '\0'])).then(|| self.folder.join(name))
    }

    fn load(&self, href: &Href) -> io::Result<Option<Vec<u8>>> {
        let Some(path) = self.path(href.as_bytes()) else { return Ok(None) };
        match fs::read(path) {
            Ok(data) => Ok(Some(data)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes one item if it is as the caller expects; says what is there now.
    fn write(&self, item: CommitItem<'_>) -> Result<CommitOutcome, Error> {
        // The caller may leave the name to us; its key is a good one.
        let wanted = if item.href.as_bytes().is_empty() { Href::from(&*item.key) } else { item.href };
        let path = self.path(wanted.as_bytes());
        let path = path.ok_or_else(|| refused(Code::INVALID, "no file can have that name"))?;
        let known = self.load(&wanted)?.map(|data| revision(&data));
        match (item.kind, known) {
            (CommitKind::Create, Some(_)) => Err(refused(Code::EXISTS, "a note of that name is there")),
            (CommitKind::Update | CommitKind::Delete, None) => Err(refused(Code::NOT_FOUND, "it is gone")),
            (CommitKind::Update | CommitKind::Delete, known) if known != item.expected => {
                Err(refused(Code::PRECONDITION, "the note is not what it was"))
            }
            (CommitKind::Delete, _) => {
                fs::remove_file(path)?;
                Ok(CommitOutcome::Done {
                    href: wanted,
                    revision: Revision::default(),
                    settled: true,
                    digest: None,
                })
            }
            (CommitKind::Create | CommitKind::Update, _) => {
                self.store(&wanted, &item.data, item.kind == CommitKind::Create)?;
                let revision = revision(&item.data);
                Ok(CommitOutcome::Done { href: wanted, revision, settled: true, digest: Some(item.digest) })
            }
        }
    }

    /// Whole or not at all, and on the disk before it gets its name. A new file replaces none. What
    /// another program saves between our look and an update is lost here: docs/protocol.md says how
    /// to do without that moment ("With files").
    fn store(&self, href: &Href, data: &[u8], is_new: bool) -> io::Result<()> {
        let name = href.to_string();
        let unfinished = self.folder.join(format!("{UNFINISHED}{name}"));
        let mut file = File::create(&unfinished)?;
        file.write_all(data)?;
        file.sync_all()?;
        let path = self.folder.join(name);
        if !is_new {
            return fs::rename(unfinished, path);
        }
        let linked = fs::hard_link(&unfinished, path);
        fs::remove_file(unfinished)?;
        linked
    }
}

fn main() -> ExitCode {
    serve(Notes::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_the_folder() {
        let notes = Notes { folder: "/notes".into() };
        assert_eq!(notes.path(b"a.txt"), Some("/notes/a.txt".into()));
        for name in ["", ".", "..", "../x", "a/b", ".new-a", "a\0"] {
            assert_eq!(notes.path(name.as_bytes()), None, "{name:?}");
        }
    }
}
