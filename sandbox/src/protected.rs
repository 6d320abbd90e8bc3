//! What no plugin may change, whatever its policy grants (decisions P2).

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ways::ways;

/// A file or folder of ours: who can write to it is no longer confined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protected {
    /// What it is, for the error: "the state directory".
    pub what: String,
    /// Where it is.
    #[serde(with = "crate::os_path")]
    pub path: PathBuf,
}

/// A grant of what no plugin may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantError {
    /// The grant, as it was given.
    pub grant: PathBuf,
    /// What it would open.
    pub protected: Protected,
}

impl Protected {
    /// A place and what to call it.
    pub fn new(what: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { what: what.into(), path: path.into() }
    }

    /// The executable that runs now, and the libraries that it has loaded so far.
    pub fn program() -> Vec<Self> {
        let executable = env::current_exe().map(|path| Self::new("the executable", path));
        let libraries = libraries().into_iter().map(|path| Self::new("a library of the executable", path));
        executable.into_iter().chain(libraries).collect()
    }

    /// Whether a plugin may be granted to write to `grant`: it must neither hold this place nor lie
    /// within it, nor hold a link on the way to it, which it could replace.
    ///
    /// Symbolic links are followed as far as the paths exist. The answer holds for the moment, so
    /// it is asked again at each start. A second mount of the same folder is not recognised.
    ///
    /// # Errors
    ///
    /// Names both paths.
    pub fn check(&self, grant: &Path) -> Result<(), GrantError> {
        let (granted, place) = (ways(grant), ways(&self.path));
        if covers(&granted, &place) || covers(&place, &granted) {
            return Err(GrantError { grant: grant.to_owned(), protected: self.clone() });
        }
        Ok(())
    }
}

/// Whether one of the names of `outer` is that of `inner`, or of a folder around it.
fn covers(outer: &[PathBuf], inner: &[PathBuf]) -> bool {
    inner.iter().any(|inner| outer.iter().any(|outer| inner.starts_with(outer)))
}

/// What nobody can grant, by its name: everything at once, and what the kernel shows as files.
/// `None` for other paths. Links are not followed.
pub fn reserved(path: &Path) -> Option<&'static str> {
    if path.parent().is_none() {
        return Some("the root");
    }
    ["/proc", "/sys", "/dev"].into_iter().find(|kernel| path.starts_with(kernel))
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Protected { what, path } = &self.protected;
        let (grant, place) = (self.grant.display(), path.display());
        if self.grant == *path {
            return write!(f, "the grant {grant} covers {what}");
        }
        let how = if covers(&ways(&self.grant), &ways(path)) { "covers" } else { "lies within" };
        write!(f, "the grant {grant} {how} {what}, {place}")
    }
}

impl std::error::Error for GrantError {}

/// Every file that this process has mapped to execute.
#[cfg(target_os = "linux")]
fn libraries() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut paths: Vec<PathBuf> = maps.lines().filter_map(executed).map(PathBuf::from).collect();
    paths.dedup(); // the mappings of a file stand together
    paths
}

/// The file of a line such as `7f00-7f01 r-xp 0 08:01 42   /lib/libc.so.6`.
#[cfg(target_os = "linux")]
fn executed(line: &str) -> Option<&str> {
    let path = line.find('/').and_then(|start| line.get(start..))?;
    let mode = line.split(' ').nth(1)?;
    mode.contains('x').then_some(path)
}

#[cfg(not(target_os = "linux"))]
fn libraries() -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(grant: &str, place: &str) -> Option<String> {
        let checked = Protected::new("the state directory", place).check(Path::new(grant));
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn p2_a_grant_around_a_place_or_within_it_is_refused() {
        let covers = message("/nowhere", "/nowhere/state").unwrap();
        assert_eq!(covers, "the grant /nowhere covers the state directory, /nowhere/state");
        let within = message("/nowhere/state/groups", "/nowhere/state").unwrap();
        assert!(within.contains("groups lies within the state directory, /nowhere/state"), "{within}");
        assert_eq!(message("/s", "/s").unwrap(), "the grant /s covers the state directory");
        assert!(message("/", "/nowhere/state").is_some());
        assert!(message("/nowhere/x/../state", "/nowhere/state").is_some());
    }

    #[test]
    fn p2_a_neighbour_may_be_granted() {
        assert_eq!(message("/nowhere/state-2", "/nowhere/state"), None);
        assert_eq!(message("/nowhere/data", "/nowhere/state"), None);
    }

    #[cfg(unix)]
    #[test]
    fn p2_a_symbolic_link_does_not_hide_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let (state, link) = (folder.path().join("state"), folder.path().join("link"));
        std::fs::create_dir(&state).unwrap();
        std::os::unix::fs::symlink(&state, &link).unwrap();
        let protected = Protected::new("the state directory", &state);
        assert!(protected.check(&link).is_err());
        assert!(protected.check(&link.join("not-there-yet")).is_err());
        assert!(Protected::new("the state directory", &link).check(&state).is_err());
    }

    /// Whoever can replace the link decides what is executed at the next start.
    #[cfg(unix)]
    #[test]
    fn p2_a_link_on_the_way_is_protected_like_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let (crm, bin) = (folder.path().join("crm"), folder.path().join("bin"));
        std::fs::create_dir(&crm).unwrap();
        std::os::unix::fs::symlink("/bin/sh", crm.join("sh")).unwrap();
        std::os::unix::fs::symlink(&crm, &bin).unwrap();
        for name in [crm.join("sh"), bin.join("sh")] {
            let program = Protected::new("the plugin's executable", &name);
            for grant in [&crm, &bin, &crm.join("sh")] {
                let error = program.check(grant).unwrap_err();
                assert!(error.to_string().contains("covers the plugin's executable"), "{error}");
            }
            assert!(program.check(&folder.path().join("data")).is_ok());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn p2_the_executable_and_its_libraries_are_found() {
        let found = Protected::program();
        let own = env::current_exe().unwrap();
        assert!(found.iter().any(|place| place.path == own), "{found:?}");
        assert!(found.iter().any(|place| place.path.to_string_lossy().contains("libc")), "{found:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_what_is_executed_counts() {
        assert_eq!(executed("7f00-7f01 r-xp 00000000 08:01 42   /lib/a b.so"), Some("/lib/a b.so"));
        assert_eq!(executed("7f00-7f01 r--p 00000000 08:01 42   /usr/share/x"), None);
        assert_eq!(executed("7f00-7f01 r-xp 00000000 00:00 0    [vdso]"), None);
    }
}
