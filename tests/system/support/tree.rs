//! What a folder holds, to the last time stamp: for saying that nothing was touched.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A folder and everything below it, as it was. Time of access is left out: reading is no writing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Entry>);

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    inode: u64,
    links: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    content: Option<Vec<u8>>,
}

/// Looks at all that is in `root`, which need not be there.
pub(crate) fn tree(root: &Path) -> Tree {
    let mut entries = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let entry = Entry {
            mode: found.mode(),
            inode: found.ino(),
            links: found.nlink(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            content: found.is_file().then(|| fs::read(&path).unwrap()),
        };
        entries.insert(path, entry);
    }
    Tree(entries)
}

impl Tree {
    /// All of it but one file.
    pub(crate) fn without(mut self, path: &Path) -> Self {
        self.0.remove(path);
        self
    }

    /// Fails, and says what differs, unless `now` is the same.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, now: &Self) {
        let names = self.0.keys().chain(now.0.keys().filter(|path| !self.0.contains_key(*path)));
        let differs = names.filter_map(|path| difference(path, self.0.get(path), now.0.get(path)));
        let differs: Vec<String> = differs.collect();
        assert!(differs.is_empty(), "something was written:\n{}", differs.join("\n"));
    }

    /// The same, but for times of change of attributes: run by root, SQLite gives files anew to
    /// whom they belong already.
    pub(crate) fn without_ctime(mut self) -> Self {
        self.0.values_mut().for_each(|entry| entry.changed = (0, 0));
        self
    }

    /// The same for what is below `folder`, which itself may have changed.
    #[track_caller]
    pub(crate) fn assert_same_below(&self, now: &Self, folder: &Path) {
        let below = |tree: &Self| {
            let entries = tree.0.iter().filter(|(path, _)| path.starts_with(folder) && *path != folder);
            Self(entries.map(|(path, entry)| (path.clone(), entry.clone())).collect())
        };
        below(self).assert_untouched(&below(now));
    }
}

fn difference(path: &Path, before: Option<&Entry>, now: Option<&Entry>) -> Option<String> {
    let (before, now) = match (before, now) {
        (Some(_), None) => return Some(format!("{} is gone", path.display())),
        (None, _) => return Some(format!("{} is new", path.display())),
        (Some(before), Some(now)) => (before, now),
    };
    (before != now).then(|| format!("{}\n  before {before:?}\n  now    {now:?}", path.display()))
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content.as_ref().map(|content| String::from_utf8_lossy(content));
        write!(
            f,
            "mode {:o} inode {} links {} mtime {:?} ctime {:?} content {:.60?}",
            self.mode,
            self.inode,
            self.links,
            self.modified,
            self.changed,
            content.as_deref().unwrap_or_default()
        )
    }
}
