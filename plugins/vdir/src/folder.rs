//! One collection: a folder, listed and read.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use outrigger_plugin_sdk::protocol::limits::MAX_ITEM_DATA;
use outrigger_plugin_sdk::protocol::{
    Blame, Change, ChangeKind, Code, Error, Extensions, Href, ReadItem, ReadOutcome, ReadResult, Revision,
};

use crate::aside;
use crate::disk::Disk;
use crate::failure::{failed, restless, unavailable};
use crate::look::{Content, Found};
use crate::names::{self, Format};
use crate::options::Options;
use crate::spelling::Spellings;
use crate::stamp::Stat;
use crate::whole;

/// An open collection.
pub(crate) struct Folder {
    pub(crate) disk: Disk,
    path: PathBuf,
    pub(crate) options: Options,
    /// Something of ours may lie about: recovery comes before the next write.
    pub(crate) unclean: bool,
    /// The run only looks: not even a leftover may be touched.
    read_only: bool,
}

/// What one reading of the folder saw.
struct Names {
    items: Vec<(Vec<u8>, Format)>,
    leftovers: bool,
    complete: bool,
}

impl Folder {
    /// Opens the folder and mends what a dead run left.
    pub(crate) fn open(options: &Options, path: PathBuf) -> Result<Self, Error> {
        let mut folder = Self::look(options, path)?;
        folder.read_only = false;
        folder.recover()?;
        Ok(folder)
    }

    /// Opens the folder to look at it, and leaves everything as it is.
    pub(crate) fn look(options: &Options, path: PathBuf) -> Result<Self, Error> {
        options.check_present()?;
        let disk =
            Disk::open(&path).map_err(|error| failed("open", path.as_os_str().as_encoded_bytes(), &error))?;
        Ok(Self { disk, path, options: options.clone(), unclean: true, read_only: true })
    }

    /// Whether this is still the folder that the settings mean. If not, nothing that is missing in
    /// it was deleted.
    pub(crate) fn is_present(&self) -> bool {
        self.options.is_present() && self.disk.is_at(&self.path)
    }

    /// The error for a write in a run that only looks.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        if self.read_only {
            return Err(Error::new(Code::READ_ONLY, "this run was opened to look only").by(Blame::Caller));
        }
        Ok(())
    }

    /// The error for a folder that is not there any more.
    pub(crate) fn check_present(&self) -> Result<(), Error> {
        if self.is_present() {
            return Ok(());
        }
        Err(unavailable(format!("{} is not the folder any more that it was", self.path.display())))
    }

    /// Hands over every item, sorted by name, and says whether all were seen. One look a file, and
    /// no file is opened. Names are gathered first: some 60 bytes an item buy an order that does
    /// not depend on the file system (1 ms for 10,000).
    pub(crate) fn list(&mut self, push: &mut dyn FnMut(&Change) -> Result<(), Error>) -> Result<bool, Error> {
        let mut names = self.names();
        if names.leftovers && self.read_only {
            names.complete = false; // an item may lie aside
        } else if names.leftovers {
            self.recover()?;
            names = self.names();
        }
        let now = self.disk.clock.now();
        for (name, format) in &names.items {
            if let Some(change) = self.change(name, *format, now) {
                push(&change)?;
            }
        }
        Ok(names.complete && self.is_present())
    }

    /// A file that is renamed while we read can come twice: once is enough.
    fn names(&self) -> Names {
        let mut items = Vec::new();
        let mut leftovers = false;
        let read = self.disk.names(&mut |name, plain| {
            leftovers |= aside::parse(name).is_some();
            match names::item(name) {
                Some(format) if plain && self.options.wants(format) => items.push((name.to_vec(), format)),
                _ => {}
            }
        });
        items.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        items.dedup_by(|one, other| one.0 == other.0);
        Names { items, leftovers, complete: read.is_ok() }
    }

    /// Gone by now, or foreign: no change. Second evidence of a deletion is asked for by `read`.
    fn change(&self, name: &[u8], format: Format, now: i128) -> Option<Change> {
        match self.disk.stat(name) {
            Ok(None) => None,
            Ok(Some(stat)) if !stat.regular => None,
            Ok(Some(stat)) => Some(self.known(name, format, &stat, now)),
            Err(_) => Some(change(name, format, ChangeKind::Unreadable, Revision::default(), false)),
        }
    }

    fn known(&self, name: &[u8], format: Format, stat: &Stat, now: i128) -> Change {
        change(name, format, ChangeKind::Unknown, stat.revision(), self.disk.clock.settled(stat, now))
    }

    /// Answers each item, in order.
    pub(crate) fn read(
        &self,
        items: &[ReadItem],
        push: &mut dyn FnMut(&ReadResult<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let spellings = Spellings::default();
        for (index, item) in (0..).zip(items) {
            push(&ReadResult { index, outcome: self.read_one(item, &spellings) })?;
        }
        Ok(())
    }

    fn read_one(&self, item: &ReadItem, spellings: &Spellings) -> ReadOutcome<'static> {
        let outcome = names::requested(&item.href).and_then(|name| {
            let found = self.look_exactly(name, spellings).map_err(|error| failed("read", name, &error))?;
            self.answer(name, item, found)
        });
        outcome.unwrap_or_else(ReadOutcome::Failed)
    }

    /// The item of that very name.
    fn look_exactly(&self, name: &[u8], spellings: &Spellings) -> io::Result<Found> {
        let found = self.disk.look(name)?;
        match &found {
            Found::Item(content) if self.disk.is_spelled_otherwise(name, &content.stat, spellings)? => {
                Ok(Found::Nothing)
            }
            _ => Ok(found),
        }
    }

    fn answer(&self, name: &[u8], item: &ReadItem, found: Found) -> Result<ReadOutcome<'static>, Error> {
        match found {
            Found::Item(content) => self.content(name, item, content),
            Found::Nothing => self.check_present().map(|()| ReadOutcome::NotFound),
            other => Err(refusal(name, &other)),
        }
    }

    /// What the engine knows is told whatever it is: it may have come from another member.
    fn content(&self, name: &[u8], item: &ReadItem, content: Content) -> Result<ReadOutcome<'static>, Error> {
        let revision = content.stat.revision();
        let settled = self.disk.clock.settled(&content.stat, content.seen);
        if item.known.is_some_and(|known| known == content.digest()) {
            return Ok(ReadOutcome::NotModified { revision, settled });
        }
        let format = Format::of_file(name);
        let is_known = item.known.is_some();
        format.map_or(Ok(()), |format| whole::check(name, format, &content.data, settled, is_known))?;
        let format = Cow::Borrowed(format.map_or("", Format::name));
        Ok(ReadOutcome::Item { revision, settled, format, data: Cow::Owned(content.data) })
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// As a crash left it.
    #[cfg(test)]
    pub(crate) fn unrecovered(path: PathBuf) -> Self {
        let options = crate::testing::options(path.parent().unwrap(), &[]);
        Self { disk: Disk::open(&path).unwrap(), path, options, unclean: true, read_only: false }
    }

    /// Every name of ours in the folder.
    pub(crate) fn our_names(&self) -> io::Result<Vec<(Vec<u8>, aside::Ours)>> {
        let mut found = Vec::new();
        self.disk.names(&mut |name, _| found.extend(aside::parse(name).map(|ours| (name.to_vec(), ours))))?;
        Ok(found)
    }
}

fn change(name: &[u8], format: Format, kind: ChangeKind, revision: Revision, settled: bool) -> Change {
    Change {
        href: Href::from(name),
        kind,
        revision,
        settled,
        object_type: format.object_type().into(),
        format: format.name().into(),
        ext: Extensions::default(),
    }
}

/// Why something that is there cannot be had.
pub(crate) fn refusal(name: &[u8], found: &Found) -> Error {
    match found {
        Found::TooLarge(size) => too_large(name, *size),
        Found::Restless => restless(name),
        _ => Error::new(Code::FORMAT, format!("{} is not a plain file", Href::from(name))).by(Blame::Member),
    }
}

/// Names limit and actual size.
pub(crate) fn too_large(name: &[u8], size: u64) -> Error {
    let message = format!("{} is {size} bytes long, an item may be {MAX_ITEM_DATA}", Href::from(name));
    Error::new(Code::TOO_LARGE, message).by(Blame::Member)
}
