//! Putting one durable file into place, on condition (decisions S5).

use std::fs::File;
use std::io::{self, ErrorKind};

use outrigger_plugin_sdk::protocol::{
    Blame, Code, CommitItem, CommitOutcome, Effect, Error, Href, RawDigest, Revision,
};

use crate::aside::{Aside, Kind};
use crate::failure::{failed, precondition};
use crate::folder::Folder;
use crate::look::{Content, Found};
use crate::names;
use crate::spelling::Spellings;
use crate::stamp::Stat;

/// New content under its temporary name.
pub(crate) struct Fresh {
    pub(crate) name: Vec<u8>,
    pub(crate) file: File,
    /// The stamps after the content was made durable, before any rename.
    pub(crate) written: Option<Stat>,
}

/// A displaced file that was what the engine expected when we looked.
pub(crate) struct Left {
    name: Vec<u8>,
    aside: Aside,
    stat: Stat,
}

/// What is in place for an item.
pub(crate) enum Stored {
    /// Our file, and its stamps before it was renamed.
    Ours(File, Stat),
    /// What was sent stood there already.
    Found(Content),
    /// Nothing: deleted.
    Nothing,
}

/// One write whose names are in place, but not durable yet.
pub(crate) struct Placed {
    pub(crate) href: Vec<u8>,
    pub(crate) stored: Stored,
    pub(crate) left: Option<Left>,
}

impl Folder {
    /// Creates under the first free name, never over a file that is there.
    pub(crate) fn place_new(
        &mut self,
        fresh: Fresh,
        names: Vec<Vec<u8>>,
        item: &CommitItem<'_>,
    ) -> Result<Placed, Error> {
        for name in names {
            match self.disk.rename_new(&fresh.name, &name) {
                Ok(()) => return Ok(Placed { href: name, stored: ours(fresh)?, left: None }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if let Some(content) = self.judge_taken(&name, item)? {
                        self.discard(&fresh.name);
                        return Ok(Placed { href: name, stored: Stored::Found(content), left: None });
                    }
                }
                Err(error) => return Err(failed("create", &name, &error)),
            }
        }
        Err(exists(item, "every name for it is taken"))
    }

    /// A name is taken. By what was sent: it is done, and we may be a retry. By the same item (its
    /// UID), or by anything where the name was prescribed: it exists. Else: the next name. What has the
    /// name in another spelling is another item, whatever it holds (decisions S3).
    fn judge_taken(&self, name: &[u8], item: &CommitItem<'_>) -> Result<Option<Content>, Error> {
        let look = || {
            let found = self.disk.look(name)?;
            let Found::Item(content) = &found else { return Ok((found, false)) };
            let is_other = self.disk.is_spelled_otherwise(name, &content.stat, &Spellings::default())?;
            Ok((found, is_other))
        };
        let (found, is_other) = look().map_err(|error| failed("read", name, &error))?;
        match found {
            Found::Item(content) if !is_other && content.digest() == item.digest => {
                self.durable(name, content).map(Some)
            }
            _ if !item.href.as_bytes().is_empty() => Err(exists(item, "the name is taken")),
            Found::Item(content) if !item.key.is_empty() && names::has_key(&content.data, &item.key) => {
                Err(exists(item, &format!("{} is this item already", Href::from(name))))
            }
            _ => Ok(None),
        }
    }

    /// Whoever wrote it may not have made it durable.
    pub(crate) fn durable(&self, name: &[u8], content: Content) -> Result<Content, Error> {
        self.disk.sync_file(&content.file).map_err(|error| failed("make durable", name, &error))?;
        Ok(content)
    }

    /// Replaces by exchange, then looks at what was displaced.
    pub(crate) fn place_over(&mut self, fresh: Fresh, aside: Aside, href: &[u8]) -> Result<Placed, Error> {
        let swap = aside.name(Kind::Swap);
        self.disk.rename_new(&fresh.name, &swap).map_err(|error| failed("replace", href, &error))?;
        let left = match self.disk.exchange(&swap, href) {
            Ok(true) => Some(self.verify(swap, aside, href)?),
            Ok(false) => self.place_over_plainly(&swap, aside, href)?,
            Err(error) => return Err(self.not_replaced(&swap, href, &error)),
        };
        Ok(Placed { href: href.to_vec(), stored: ours(fresh)?, left })
    }

    fn not_replaced(&mut self, swap: &[u8], href: &[u8], error: &io::Error) -> Error {
        self.discard(swap);
        if error.kind() == ErrorKind::NotFound {
            precondition(href, "is gone")
        } else {
            failed("replace", href, error)
        }
    }

    /// Without an exchange: keep a second name of what is there, check it, rename over it. A file
    /// that an editor renames into place between check and rename is lost; an edit within the file
    /// is not, unless there are no links either.
    fn place_over_plainly(&mut self, swap: &[u8], aside: Aside, href: &[u8]) -> Result<Option<Left>, Error> {
        let copy = aside.name(Kind::Copy);
        let linked = match self.disk.link(href, &copy) {
            Ok(linked) => linked,
            Err(error) => return Err(self.not_replaced(swap, href, &error)),
        };
        let checked = self.check_plainly(if linked { &copy } else { href }, &aside, href);
        let replaced = checked.and_then(|stat| {
            self.disk.rename_over(swap, href).map_err(|error| failed("replace", href, &error)).map(|()| stat)
        });
        match replaced {
            Ok(stat) => Ok(linked.then_some(Left { name: copy, aside, stat })),
            Err(error) => {
                self.discard(&copy);
                self.discard(swap);
                Err(error)
            }
        }
    }

    fn check_plainly(&self, name: &[u8], aside: &Aside, href: &[u8]) -> Result<Stat, Error> {
        match self.disk.look(name).map_err(|error| failed("read", href, &error))? {
            Found::Item(content) if aside.knows(&content.digest()) => Ok(content.stat),
            _ => Err(precondition(href, "was changed by somebody else")),
        }
    }

    /// Deletes by renaming aside, then looks at what that was.
    pub(crate) fn place_away(&mut self, aside: Aside, href: &[u8]) -> Result<Placed, Error> {
        let gone = aside.name(Kind::Gone);
        match self.disk.rename_new(href, &gone) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(absent(href)),
            Err(error) => return Err(failed("delete", href, &error)),
        }
        let left = self.verify(gone, aside, href)?;
        Ok(Placed { href: href.to_vec(), stored: Stored::Nothing, left: Some(left) })
    }

    /// The displaced file is what was expected, or it is put back.
    fn verify(&mut self, name: Vec<u8>, aside: Aside, href: &[u8]) -> Result<Left, Error> {
        match self.disk.look(&name) {
            Ok(Found::Item(content)) if aside.knows(&content.digest()) => {
                Ok(Left { name, aside, stat: content.stat })
            }
            Ok(_) => Err(self.rescue(&name, &aside, href)),
            Err(error) => Err(self.stuck(href, &error)),
        }
    }

    fn rescue(&mut self, name: &[u8], aside: &Aside, href: &[u8]) -> Error {
        match self.disk.put_back(name, aside) {
            Ok(rescued) => precondition(href, &rescued.in_words()),
            Err(error) => self.stuck(href, &error),
        }
    }

    /// Something lies aside and cannot be dealt with now: recovery will.
    fn stuck(&mut self, href: &[u8], error: &io::Error) -> Error {
        self.unclean = true;
        failed("put in place", href, error).with_effect(Effect::Unknown)
    }

    /// A second look, after the batch became durable: whoever had the displaced file open may have
    /// written to it since. Only then it goes.
    pub(crate) fn let_go(&mut self, left: &Left, href: &[u8]) -> Result<(), Error> {
        let settled = match self.disk.stat(&left.name) {
            Ok(None) => Ok(None),
            Ok(Some(stat)) if stat.same_revision(&left.stat) => self.disk.remove(&left.name).map(|()| None),
            Ok(Some(_)) => self.disk.settle(&left.name, &left.aside),
            Err(error) => Err(error),
        };
        match settled {
            Ok(None) => Ok(()),
            Ok(Some(rescued)) => {
                self.disk.sync().map_err(|error| self.stuck(href, &error))?;
                Err(precondition(href, &rescued.in_words()))
            }
            // What was asked for is done and durable; the leftover is recovery's.
            Err(_) => {
                self.unclean = true;
                Ok(())
            }
        }
    }

    /// What the engine is told of a write that is done.
    ///
    /// If the file was written to since, its present stamps belong to content that we do not know.
    /// The answer then is the state that we left: its revision is no longer current, so the next
    /// listing shows an edit. (To name the editor's digest here would make it look as if the store
    /// had rewritten our content, decisions S4.)
    pub(crate) fn outcome(&self, placed: &Placed, digest: RawDigest) -> Result<CommitOutcome, Error> {
        let href = Href::from(&*placed.href);
        let (revision, settled) = match &placed.stored {
            Stored::Nothing => {
                return Ok(CommitOutcome::Done {
                    href,
                    revision: Revision::default(),
                    settled: true,
                    digest: None,
                });
            }
            Stored::Found(content) => {
                (content.stat.revision(), self.disk.clock.settled(&content.stat, content.seen))
            }
            Stored::Ours(file, written) => self
                .revision_now(file, written)
                .map_err(|error| failed("look at", &placed.href, &error).with_effect(Effect::Done))?,
        };
        Ok(CommitOutcome::Done { href, revision, settled, digest: Some(digest) })
    }

    fn revision_now(&self, file: &File, written: &Stat) -> io::Result<(Revision, bool)> {
        let now = self.disk.clock.now();
        let stat = self.disk.stat_file(file)?;
        if !stat.same_content(written) {
            return Ok((written.revision(), false));
        }
        let clock = &self.disk.clock;
        Ok((stat.revision(), clock.settled(&stat, now) && clock.write_would_show(written, &stat)))
    }

    /// Removes one of our files; what will not go is left to recovery.
    pub(crate) fn discard(&mut self, name: &[u8]) {
        self.unclean |= self.disk.remove(name).is_err();
    }
}

/// A file without stamps was not made durable: a defect, never a file in place.
fn ours(fresh: Fresh) -> Result<Stored, Error> {
    let written = fresh.written.ok_or_else(|| Error::new(Code::INTERNAL, "placed before it was durable"))?;
    Ok(Stored::Ours(fresh.file, written))
}

fn exists(item: &CommitItem<'_>, why: &str) -> Error {
    let name = if item.href.as_bytes().is_empty() { Href::from(&*item.key) } else { item.href.clone() };
    Error::new(Code::EXISTS, format!("{name} is there: {why}")).by(Blame::Member)
}

/// Nothing to delete.
pub(crate) fn absent(href: &[u8]) -> Error {
    Error::new(Code::NOT_FOUND, format!("{} is not there", Href::from(href))).by(Blame::Member)
}
