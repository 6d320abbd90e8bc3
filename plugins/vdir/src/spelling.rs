//! Spelling: what answers to a name may be called otherwise (decisions S3).
//!
//! A file system that takes `a.vcf` and `A.vcf` for one name, or two ways to write an accent, finds a file
//! under a name that it has no more, or never had. An item is what the folder lists: under any other
//! spelling it is not there. Else a file that was renamed to `A.vcf` would be found as `a.vcf` and as new,
//! what is created as `A.vcf` would be done already, and the delete of `a.vcf` would take the only copy.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::io;

use crate::disk::Disk;
use crate::stamp::Stat;

/// What a folder tells of spellings: asked once, and only where it matters.
#[derive(Default)]
pub(crate) struct Spellings {
    /// Its names; as few readings of the folder as there are of these.
    names: OnceCell<HashSet<Vec<u8>>>,
}

#[cfg(test)]
impl Spellings {
    /// As if a reading of the folder had shown these.
    pub(crate) fn of(names: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { names: OnceCell::from(names.into_iter().collect::<HashSet<_>>()) }
    }
}

impl Disk {
    /// Whether the folder lists a file that answers to `name` under another name, and not under this one.
    /// A reading that shows neither proves nothing (decisions S2): then the file is what was asked for.
    pub(crate) fn is_spelled_otherwise(
        &self,
        name: &[u8],
        file: &Stat,
        spellings: &Spellings,
    ) -> io::Result<bool> {
        if !self.may_fold(name, file)? {
            return Ok(false);
        }
        let names = match spellings.names.get() {
            Some(names) => names,
            None => {
                let names = self.all_names()?;
                spellings.names.get_or_init(|| names)
            }
        };
        if names.contains(name) {
            return Ok(false);
        }
        for other in names.iter().filter(|other| is_like(other, name)) {
            if self.stat(other)?.is_some_and(|other| other.same_file(file)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Probed with the first name that there is, in the other case. What file systems do with letters
    /// beyond ASCII is too various: there each name is looked up in the list.
    fn may_fold(&self, name: &[u8], file: &Stat) -> io::Result<bool> {
        if !name.is_ascii() {
            return Ok(true);
        }
        if let Some(folds) = self.folding.get() {
            return Ok(folds);
        }
        let folds = self.stat(&other_case(name))?.is_some_and(|other| other.same_file(file));
        self.folding.set(Some(folds));
        Ok(folds)
    }

    fn all_names(&self) -> io::Result<HashSet<Vec<u8>>> {
        let mut names = HashSet::new();
        self.names(&mut |name, _| {
            names.insert(name.to_vec());
        })?;
        Ok(names)
    }
}

/// The name of an item has letters, if only in its extension.
fn other_case(name: &[u8]) -> Vec<u8> {
    let other = |byte: &u8| {
        if byte.is_ascii_lowercase() { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
    };
    name.iter().map(other).collect()
}

/// Whether two names may be one to a file system: saves looking at every file.
fn is_like(one: &[u8], other: &[u8]) -> bool {
    !one.is_ascii() || !other.is_ascii() || one.eq_ignore_ascii_case(other)
}
