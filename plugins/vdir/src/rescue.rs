//! Bringing back what was displaced and should not have been: after a race, and after a crash.

use std::io::{self, ErrorKind};

use outrigger_plugin_sdk::protocol::{Error, Href};

use crate::aside::{Aside, Ours};
use crate::disk::Disk;
use crate::failure::failed;
use crate::folder::Folder;
use crate::look::Found;

/// Where a rescued file is now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rescued {
    /// Under its own name.
    Restored,
    /// Its name has other content by now, so it is an item of its own.
    Kept(Vec<u8>),
}

/// What stands under the name that a rescued file had.
enum Rival {
    /// The same file or the same content.
    Same,
    /// What we put there.
    OurNew,
    /// Somebody's.
    Other,
}

/// Each turn is lost only to an editor who acts within microseconds; then the file is kept beside.
const ATTEMPTS: usize = 4;

impl Disk {
    /// Gives `name` (a file that lies aside) its old name back if nobody else has that; takes our
    /// new content away if that stands there; otherwise keeps it under a name of its own. Never
    /// overwrites, except where names cannot be exchanged (the window is documented).
    pub(crate) fn put_back(&self, name: &[u8], aside: &Aside) -> io::Result<Rescued> {
        let Some(href) = aside.href() else { return self.keep(name, aside) };
        for _ in 0..ATTEMPTS {
            if self.renamed(name, href)? {
                return Ok(Rescued::Restored);
            }
            match self.rival(name, href, aside)? {
                Rival::Same => return self.remove(name).map(|()| Rescued::Restored),
                Rival::OurNew if self.took_back(name, href, aside)? => return Ok(Rescued::Restored),
                Rival::OurNew => {}
                Rival::Other => break,
            }
        }
        self.keep(name, aside)
    }

    fn renamed(&self, from: &[u8], to: &[u8]) -> io::Result<bool> {
        match self.rename_new(from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rival(&self, name: &[u8], href: &[u8], aside: &Aside) -> io::Result<Rival> {
        if let (Some(one), Some(other)) = (self.stat(name)?, self.stat(href)?)
            && one.same_file(&other)
        {
            return Ok(Rival::Same);
        }
        Ok(match (self.look(name)?, self.look(href)?) {
            (Found::Item(one), Found::Item(other)) if one.data == other.data => Rival::Same,
            (_, Found::Item(other)) if aside.is_new(&other.digest()) => Rival::OurNew,
            _ => Rival::Other,
        })
    }

    /// Exchanges back. `false`: `name` now holds what an editor put there in between.
    fn took_back(&self, name: &[u8], href: &[u8], aside: &Aside) -> io::Result<bool> {
        match self.exchange(name, href) {
            Ok(true) => {}
            Ok(false) => return self.rename_over(name, href).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        let ours = self.look(name)?.digest().is_some_and(|digest| aside.is_new(&digest));
        if ours {
            self.remove(name)?;
        }
        Ok(ours)
    }

    fn keep(&self, name: &[u8], aside: &Aside) -> io::Result<Rescued> {
        for free in aside.names_to_keep() {
            if self.renamed(name, &free)? {
                return Ok(Rescued::Kept(free));
            }
            if matches!(self.rival(name, &free, aside)?, Rival::Same) {
                return self.remove(name).map(|()| Rescued::Kept(free));
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Removes what lies aside if the engine knows it, else rescues it.
    pub(crate) fn settle(&self, name: &[u8], aside: &Aside) -> io::Result<Option<Rescued>> {
        match self.look(name)? {
            Found::Nothing => Ok(None),
            Found::Item(content) if aside.knows(&content.digest()) => self.remove(name).map(|()| None),
            _ => self.put_back(name, aside).map(Some),
        }
    }
}

impl Folder {
    /// Mends what a stopped run left (see the crate's documentation). Does nothing, and writes
    /// nothing, where nothing was left.
    pub(crate) fn recover(&mut self) -> Result<(), Error> {
        let ours = self.our_names().map_err(|error| failed("read the folder for", b"leftovers", &error))?;
        for (name, ours) in &ours {
            self.recover_one(name, ours).map_err(|error| failed("recover", name, &error))?;
        }
        if !ours.is_empty() {
            self.disk.sync().map_err(|error| failed("make durable", b"the recovery", &error))?;
        }
        self.unclean = false;
        Ok(())
    }

    fn recover_one(&self, name: &[u8], ours: &Ours) -> io::Result<()> {
        match ours {
            Ours::New => self.disk.remove(name),
            Ours::Aside(aside) => self.disk.settle(name, aside).map(|_| ()),
        }
    }
}

impl Rescued {
    /// For a person.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Restored => "was changed by somebody else; that change is in place again".into(),
            Self::Kept(name) => {
                format!("was changed twice by somebody else; one change is now {}", Href::from(&**name))
            }
        }
    }
}
