//! What a program needs from outside of the system's usual places, besides what it is granted: its
//! interpreter, say, and the libraries of that.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Policy, passes_through};

/// What a program brings with it by its first line, by links, or by the loader that it names.
///
/// Its author chose that, so nothing of it is granted by itself. Whoever starts the program shows it,
/// asks, and grants it. What lies in the system's usual places is not part of it: programs get that anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Brought {
    /// To execute: the program itself, its interpreters and loaders, each by every name on the way.
    pub execute: Vec<PathBuf>,
    /// To read: the libraries of those that lie in a `bin`, and the settings of a virtual environment.
    pub read: Vec<PathBuf>,
}

impl Brought {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.execute.is_empty() && self.read.is_empty()
    }

    /// Without what lies in a folder that is granted anyway.
    pub fn beside(mut self, folder: &Path) -> Self {
        let names = [Some(folder.to_owned()), folder.canonicalize().ok()];
        let lies_in = |path: &PathBuf| names.iter().flatten().any(|folder| path.starts_with(folder));
        self.execute.retain(|path| !lies_in(path));
        self.read.retain(|path| !lies_in(path));
        self
    }

    /// Adds it to what is granted; nothing that the plugin could replace.
    pub fn grant(&self, policy: &mut Policy) {
        let write = policy.write.clone();
        let fixed =
            |path: &&PathBuf| !write.iter().any(|grant| passes_through(path, grant) || *path == grant);
        policy.execute.extend(self.execute.iter().filter(fixed).cloned());
        policy.read.extend(self.read.iter().filter(fixed).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brought() -> Brought {
        Brought { execute: vec!["/a/bin/python".into(), "/b/python".into()], read: vec!["/a/lib".into()] }
    }

    #[test]
    fn what_a_plugin_could_replace_is_not_granted() {
        let mut policy = Policy { write: vec!["/a".into()], ..Policy::default() };
        brought().grant(&mut policy);
        assert_eq!((policy.execute, policy.read), (vec!["/b/python".into()], Vec::new()));
    }

    #[test]
    fn what_lies_in_its_own_folder_is_not_mentioned() {
        let elsewhere = Brought { execute: vec!["/b/python".into()], read: Vec::new() };
        assert_eq!(brought().beside(Path::new("/a")), elsewhere);
        assert!(elsewhere.beside(Path::new("/b")).is_empty());
    }
}
