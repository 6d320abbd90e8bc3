//! All that the connector does to files, one method a step.
//!
//! Tests stop or interfere before any step (`gate`), and switch the kernel's conditional renames
//! off (`plain`): a crash is then "no further step happens".

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::stamp::{Clock, Stat};
use crate::system::{self, Dir};

#[cfg(test)]
pub(crate) type Gate = Box<dyn FnMut(&'static str) -> io::Result<()>>;

/// One folder of items, its clock, and in tests the gate before each step.
pub(crate) struct Disk {
    dir: Dir,
    pub(crate) clock: Clock,
    /// Whether the folder takes letters for the same that differ in case; known once a name was tried.
    pub(crate) folding: Cell<Option<bool>>,
    #[cfg(test)]
    pub(crate) gate: std::cell::RefCell<Option<Gate>>,
    #[cfg(test)]
    pub(crate) plain: bool,
    /// Behaves as a file system does for which these two are one name.
    #[cfg(test)]
    pub(crate) folds: Option<fn(&str) -> String>,
}

impl Disk {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let dir = Dir::open(path)?;
        let clock = Clock::new(dir.tick(), system::now);
        Ok(Self {
            dir,
            clock,
            folding: Cell::new(None),
            #[cfg(test)]
            gate: std::cell::RefCell::new(None),
            #[cfg(test)]
            plain: false,
            #[cfg(test)]
            folds: None,
        })
    }

    #[cfg(test)]
    fn gate(&self, step: &'static str) -> io::Result<()> {
        self.gate.borrow_mut().as_mut().map_or(Ok(()), |gate| gate(step))
    }

    #[cfg(not(test))]
    #[inline]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the twin for tests needs both")]
    fn gate(&self, _: &'static str) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn is_plain(&self) -> bool {
        self.plain
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "the twin for tests needs it")]
    const fn is_plain(&self) -> bool {
        false
    }

    /// The name that a file system which folds finds under this one.
    #[cfg(test)]
    fn held<'n>(&self, name: &'n [u8]) -> Cow<'n, [u8]> {
        let Some(fold) = self.folds else { return Cow::Borrowed(name) };
        let fold = |name: &[u8]| fold(&String::from_utf8_lossy(name));
        let mut held = name.to_vec();
        let same = |other: &[u8]| fold(other) == fold(name);
        self.dir
            .names(&mut |other, _| {
                if same(other) {
                    held = other.to_vec()
                }
            })
            .unwrap();
        Cow::Owned(held)
    }

    #[cfg(not(test))]
    #[inline]
    #[allow(clippy::unused_self, reason = "the twin for tests needs it")]
    const fn held<'n>(&self, name: &'n [u8]) -> Cow<'n, [u8]> {
        Cow::Borrowed(name)
    }

    pub(crate) fn names(&self, each: &mut dyn FnMut(&[u8], bool)) -> io::Result<()> {
        self.gate("names")?;
        self.dir.names(each)
    }

    /// Looks at a name; `None` if nothing has it.
    pub(crate) fn stat(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        self.gate("stat")?;
        match self.dir.stat(&self.held(name)) {
            Ok(stat) => Ok(Some(self.clock.coarsen(stat))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn stat_file(&self, file: &File) -> io::Result<Stat> {
        self.gate("stat open file")?;
        Ok(self.clock.coarsen(system::stat_file(file)?))
    }

    pub(crate) fn open_file(&self, name: &[u8]) -> io::Result<File> {
        self.gate("open")?;
        self.dir.open_file(&self.held(name))
    }

    /// Makes one of our own files; one that a dead run left is ours to replace.
    pub(crate) fn create(&self, name: &[u8], private: bool) -> io::Result<File> {
        self.gate("create")?;
        match self.dir.create(&self.held(name), private) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.remove(name)?;
                self.dir.create(&self.held(name), private)
            }
            other => other,
        }
    }

    pub(crate) fn write(&self, mut file: &File, data: &[u8]) -> io::Result<()> {
        use io::Write as _;
        let (first, second) = data.split_at(data.len() / 2);
        if cfg!(test) {
            self.gate("write the first half")?;
            file.write_all(first)?;
            self.gate("write the second half")?;
            return file.write_all(second);
        }
        file.write_all(data)
    }

    pub(crate) fn take_after(&self, file: &File, old: &Stat) -> io::Result<()> {
        self.gate("change mode")?;
        system::take_after(file, old)
    }

    /// Renames unless `to` is there (`AlreadyExists`).
    pub(crate) fn rename_new(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        self.gate("rename to a free name")?;
        if !self.is_plain() && self.dir.rename_new(&self.held(from), &self.held(to))? {
            return Ok(());
        }
        self.link_and_remove(from, to)
    }

    /// Linking fails when the name is taken, everywhere. A stop in between leaves two names of one
    /// file, which recovery sees. Without links a window remains between look and rename.
    fn link_and_remove(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        self.gate("link")?;
        match self.dir.link(&self.held(from), &self.held(to)) {
            Ok(()) => {
                // Whatever keeps the old name from going is met again by recovery.
                self.remove(from).ok();
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => self.look_and_rename(from, to),
            Err(error) => Err(error),
        }
    }

    fn look_and_rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        match self.stat(to)? {
            Some(_) => Err(ErrorKind::AlreadyExists.into()),
            None => self.rename_over(from, to),
        }
    }

    /// Exchanges two names. `false`: cannot be done here, nothing happened.
    pub(crate) fn exchange(&self, one: &[u8], other: &[u8]) -> io::Result<bool> {
        self.gate("exchange")?;
        if self.is_plain() { Ok(false) } else { self.dir.exchange(&self.held(one), &self.held(other)) }
    }

    pub(crate) fn rename_over(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        self.gate("rename over")?;
        self.dir.rename_over(&self.held(from), &self.held(to))
    }

    /// Gives a second name. `false`: there are no such links here.
    pub(crate) fn link(&self, from: &[u8], to: &[u8]) -> io::Result<bool> {
        self.gate("link")?;
        match self.dir.link(&self.held(from), &self.held(to)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a name, if it is there.
    pub(crate) fn remove(&self, name: &[u8]) -> io::Result<()> {
        self.gate("remove")?;
        match self.dir.remove(&self.held(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    pub(crate) fn start_writing(&self, file: &File) {
        system::start_writing(file);
    }

    pub(crate) fn sync_file(&self, file: &File) -> io::Result<()> {
        self.gate("sync file")?;
        file.sync_all()
    }

    /// Makes all contents on the file system durable; `false`: there is no such call here.
    pub(crate) fn sync_all(&self) -> io::Result<bool> {
        self.gate("sync all")?;
        self.dir.sync_all()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.gate("sync folder")?;
        self.dir.sync()
    }

    /// Whether `path` still leads to this folder.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.dir.is_at(path)
    }
}
