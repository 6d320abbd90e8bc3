//! A plugin whose store names items as it likes: `naming_plugin DEED`, or by its option `deed`. Its items are the files of the
//! folder `book` in its `path`, without a UID if they came so. `names.rs` is the other side.
//!
//! `late` gives what was created its lasting name when nothing more is committed, and says so; `dies`
//! dies when that was acknowledged, `quiet` does not say it. `moves` does what the file `moves` says
//! before it lists. `uid` gives what is created a UID of its own, and lets it be read back. `early`
//! says names in every call, and notes in the file `said` what came of it.
#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use outrigger_plugin_sdk::protocol::{
    Change, ChangeKind, Code, Commit, CommitItem, CommitKind, CommitOutcome, CommitResult, Connect,
    ConnectDone, Connected, Error, Extensions, GetChanges, Href, Initialize, RawDigest, ReadItem,
    ReadOutcome, ReadResult, Revision,
};
use outrigger_plugin_sdk::{ChangeSink, Collection, Context, ListingEnd, Plugin, ReadSink, serve};

fn main() -> ExitCode {
    let deed = std::env::args().nth(1).unwrap_or_default();
    serve(Naming { deed, path: PathBuf::new(), made: Vec::new() })
}

struct Naming {
    deed: String,
    path: PathBuf,
    /// What was created in this run.
    made: Vec<Href>,
}

fn revision(data: &[u8]) -> Revision {
    Revision::from(&RawDigest::of(data).0[..])
}

/// Another UID, if it has one.
fn with_uid(data: &[u8], uid: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(data);
    let line =
        |line: &str| if line.starts_with("UID:") { format!("UID:{uid}\r\n") } else { format!("{line}\r\n") };
    text.lines().map(line).collect::<String>().into_bytes()
}

impl Naming {
    fn is(&self, deed: &str) -> bool {
        self.deed == deed
    }

    fn file(&self, href: &Href) -> PathBuf {
        self.path.join("book").join(href.to_string())
    }

    fn content(&self, href: &Href) -> Option<Vec<u8>> {
        fs::read(self.file(href)).ok()
    }

    fn move_all(&self, names: &[(Href, Href)]) -> Result<(), Error> {
        let aside = |at: usize| self.path.join(format!("aside-{at}"));
        for (at, (old, _)) in names.iter().enumerate() {
            fs::rename(self.file(old), aside(at))?;
        }
        for (at, (_, new)) in names.iter().enumerate() {
            fs::rename(aside(at), self.file(new))?;
        }
        Ok(())
    }

    /// What the file `moves` says, once: a line an item, old and new name.
    fn moves(&self) -> Result<Vec<(Href, Href)>, Error> {
        let orders = self.path.join("moves");
        let text = fs::read_to_string(&orders).unwrap_or_default();
        let pair = |line: &str| line.split_once(' ').map(|(old, new)| (Href::from(old), Href::from(new)));
        if !text.is_empty() {
            fs::remove_file(orders)?;
        }
        Ok(text.lines().filter_map(pair).collect())
    }

    fn early(&self, call: &str, context: &mut Context<'_>) -> Result<(), Error> {
        if !self.is("early") {
            return Ok(());
        }
        let said = context.rename(&[(Href::from("nobody"), Href::from("no one"))]);
        let said = said.map_or_else(|error| format!("{} {:?}", error.code, error.retry), |()| "taken".into());
        let mut file = OpenOptions::new().create(true).append(true).open(self.path.join("said"))?;
        Ok(writeln!(file, "{call}: {said}")?)
    }

    /// Why it cannot be written, if so.
    fn refusal(&self, item: &CommitItem<'_>) -> Option<Error> {
        let known = self.content(&item.href).map(|data| revision(&data));
        match item.kind {
            CommitKind::Create => None,
            _ if known.is_none() => Some(Error::new(Code::NOT_FOUND, "nothing is called so")),
            _ => (known != item.expected).then(|| Error::new(Code::PRECONDITION, "it is another one")),
        }
    }

    fn write(&mut self, item: &CommitItem<'_>) -> Result<CommitOutcome, Error> {
        if let Some(error) = self.refusal(item) {
            return Ok(CommitOutcome::Failed(error));
        }
        let done = |href, data: &[u8], digest| CommitOutcome::Done {
            href,
            revision: revision(data),
            settled: true,
            digest,
        };
        match item.kind {
            CommitKind::Create => {
                let number = item.operation.0.simple();
                let href = Href::from(&*format!("made-{number}.vcf"));
                let its_own = self.is("uid").then(|| with_uid(&item.data, &format!("srv-{number}")));
                let digest = its_own.is_none().then_some(item.digest);
                let data = its_own.unwrap_or_else(|| item.data.to_vec());
                fs::write(self.file(&href), &data)?;
                if !self.made.contains(&href) {
                    self.made.push(href.clone());
                }
                Ok(done(href, &data, digest))
            }
            CommitKind::Update => {
                fs::write(self.file(&item.href), &item.data)?;
                Ok(done(item.href.clone(), &item.data, Some(item.digest)))
            }
            CommitKind::Delete => {
                fs::remove_file(self.file(&item.href))?;
                self.made.retain(|made| *made != item.href);
                Ok(done(item.href.clone(), &[], None))
            }
        }
    }
}

impl Plugin for Naming {
    fn initialize(&mut self, request: Initialize, context: &mut Context<'_>) -> Result<(), Error> {
        self.path = PathBuf::from(request.member.option("path").unwrap_or_default());
        if let Some(deed) = request.member.option("deed") {
            self.deed = deed.to_owned();
        }
        fs::create_dir_all(self.path.join("book"))?;
        self.early("initialize", context)
    }

    fn discover(&mut self, context: &mut Context<'_>) -> Result<Vec<Collection>, Error> {
        self.early("discover", context)?;
        Ok(vec![Collection { name: "book".into(), ..Collection::default() }])
    }

    fn connect(&mut self, _: &str, _: Connect, context: &mut Context<'_>) -> Result<Connected, Error> {
        self.early("connect", context)?;
        Ok(Connected { slow_sync: false })
    }

    fn connect_done(&mut self, _: &str, _: ConnectDone, context: &mut Context<'_>) -> Result<(), Error> {
        self.early("connect_done", context)
    }

    fn get_changes(
        &mut self,
        _: &str,
        _: GetChanges,
        changes: &mut ChangeSink<'_, '_>,
    ) -> Result<ListingEnd, Error> {
        self.early("get_changes", changes.context())?;
        let moves = self.moves()?;
        if !moves.is_empty() {
            self.move_all(&moves)?;
            changes.context().rename(&moves)?;
        }
        for entry in fs::read_dir(self.path.join("book"))? {
            let href = Href::from(entry?.file_name().as_encoded_bytes());
            changes.push(&Change {
                revision: revision(&self.content(&href).unwrap_or_default()),
                href,
                kind: ChangeKind::Unknown,
                settled: true,
                object_type: "contact".into(),
                format: "vcard".into(),
                ext: Extensions::default(),
            })?;
        }
        Ok(ListingEnd { complete: true, anchor: None })
    }

    fn read(&mut self, _: &str, items: Vec<ReadItem>, results: &mut ReadSink<'_, '_>) -> Result<(), Error> {
        self.early("read", results.context())?;
        for (index, item) in (0..).zip(items) {
            let outcome = match self.content(&item.href) {
                None => ReadOutcome::NotFound,
                Some(data) => ReadOutcome::Item {
                    revision: revision(&data),
                    settled: true,
                    format: "vcard".into(),
                    data: data.into(),
                },
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
        self.early("commit", context)?;
        let result = |item: &CommitItem<'_>| {
            Ok(CommitResult { operation: item.operation, outcome: self.write(item)? })
        };
        batch.items.iter().map(result).collect()
    }

    fn committed_all(&mut self, _: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.early("committed_all", context)?;
        if !["late", "dies", "quiet"].contains(&&*self.deed) {
            return Ok(());
        }
        let lasting = |old: &Href| Href::from(&*old.to_string().replace("made-", "lasting-"));
        let names: Vec<(Href, Href)> = self.made.drain(..).map(|old| (old.clone(), lasting(&old))).collect();
        self.move_all(&names)?;
        if !self.is("quiet") {
            context.rename(&names)?;
        }
        if self.is("dies") && !names.is_empty() {
            std::process::abort();
        }
        Ok(())
    }

    fn sync_done(&mut self, _: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.early("sync_done", context)
    }

    fn disconnect(&mut self, _: &str, context: &mut Context<'_>) -> Result<(), Error> {
        self.early("disconnect", context)
    }

    fn finalize(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        self.early("finalize", context)
    }
}
