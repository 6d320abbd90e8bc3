//! Looking at one file: what it holds, and the revision that this content has.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};

use outrigger_plugin_sdk::protocol::RawDigest;
use outrigger_plugin_sdk::protocol::limits::MAX_ITEM_DATA;

use crate::disk::Disk;
use crate::stamp::Stat;

/// How often a file is read that changes under our eyes.
const ATTEMPTS: usize = 4;

/// A whole item.
pub(crate) struct Content {
    pub(crate) data: Vec<u8>,
    /// The file's stamps before and after it was read.
    pub(crate) stat: Stat,
    /// The time before the first look.
    pub(crate) seen: i128,
    pub(crate) file: File,
}

impl Content {
    pub(crate) fn digest(&self) -> RawDigest {
        RawDigest::of(&self.data)
    }
}

/// What a name stands for.
pub(crate) enum Found {
    Nothing,
    /// A link, folder, pipe or device.
    Foreign,
    /// More bytes than an item may have.
    TooLarge(u64),
    /// It changed during each attempt to read it.
    Restless,
    Item(Content),
}

impl Found {
    /// The digest of an item.
    pub(crate) fn digest(&self) -> Option<RawDigest> {
        match self {
            Self::Item(content) => Some(content.digest()),
            _ => None,
        }
    }
}

impl Disk {
    /// Reads the item called `name`, whole and at one revision.
    pub(crate) fn look(&self, name: &[u8]) -> io::Result<Found> {
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.attempt(name)? {
                return Ok(found);
            }
        }
        Ok(Found::Restless)
    }

    /// A device does things when opened, so the name is looked at first.
    fn attempt(&self, name: &[u8]) -> io::Result<Option<Found>> {
        match self.stat(name)? {
            None => return Ok(Some(Found::Nothing)),
            Some(stat) => {
                if let Some(found) = unfit(&stat) {
                    return Ok(Some(found));
                }
            }
        }
        match self.open_file(name) {
            Ok(file) => self.read_steady(file),
            // Gone, or a link by now: the next attempt sees it.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stamps before and after come from one descriptor; if they differ, or the file is not as long
    /// as they say, somebody wrote in between.
    fn read_steady(&self, file: File) -> io::Result<Option<Found>> {
        let seen = self.clock.now();
        let before = self.stat_file(&file)?;
        if let Some(found) = unfit(&before) {
            return Ok(Some(found));
        }
        let data = read_at_most(&file, usize::try_from(before.size).unwrap_or(usize::MAX))?;
        let stat = self.stat_file(&file)?;
        let steady = before.same_revision(&stat) && data.len() as u64 == stat.size;
        Ok(steady.then_some(Found::Item(Content { data, stat, seen, file })))
    }
}

fn unfit(stat: &Stat) -> Option<Found> {
    if !stat.regular {
        Some(Found::Foreign)
    } else if stat.size > MAX_ITEM_DATA as u64 {
        Some(Found::TooLarge(stat.size))
    } else {
        None
    }
}

/// Reads to the end, or one byte past `size`. Stops at `size` without asking whether that is the
/// end: the stamps tell, and a call per file is saved.
fn read_at_most(mut file: &File, size: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; size.saturating_add(1)];
    let mut length = 0;
    while length < data.len() {
        match file.read(&mut data[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if length == size {
            break;
        }
    }
    data.truncate(length);
    Ok(data)
}
