//! Where things of the user lie: the one file of the configuration that looks at the environment.

use std::env;
use std::path::{Path, PathBuf};

use outrigger_sandbox::Protected;

/// The folders that configuration, state and `~` refer to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`, if set.
    pub config_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`, if set.
    pub state_home: Option<PathBuf>,
    /// What no plugin may be granted to write to, besides state and configuration: our executable,
    /// its libraries, the runtime directory (decisions P2).
    pub protected: Vec<Protected>,
}

impl Places {
    /// As the environment of this process says.
    #[must_use]
    pub fn from_environment() -> Self {
        let sockets =
            outrigger_broker::runtime_path().map(|path| Protected::new("the runtime directory", path));
        Self {
            home: env::home_dir().filter(|home| home.is_absolute()),
            config_home: absolute("XDG_CONFIG_HOME"),
            state_home: absolute("XDG_STATE_HOME"),
            protected: Protected::program().into_iter().chain(sockets).collect(),
        }
    }

    /// The configuration file that is read when none is named.
    #[must_use]
    pub fn config_file(&self) -> Option<PathBuf> {
        let folder = self.config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(folder.join("outrigger").join("config.toml"))
    }

    /// The state directory that is used when the configuration names none.
    #[must_use]
    pub fn state(&self) -> Option<PathBuf> {
        let folder =
            self.state_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local").join("state")))?;
        Some(folder.join("outrigger"))
    }

    /// What no plugin may be granted at all, as far as it is known without a configuration: the usual
    /// state directory and configuration, and the runtime directory.
    #[must_use]
    pub fn secret(&self) -> Vec<Protected> {
        let ours = [
            ("the state directory", self.state()),
            ("the configuration", self.config_file()),
            ("the runtime directory", outrigger_broker::runtime_path()),
        ];
        ours.into_iter().filter_map(|(what, path)| Some(Protected::new(what, path?))).collect()
    }

    /// `path` with a leading `~` replaced, seen from `base` if it is relative. `None` if it
    /// begins with `~` and nobody knows the home.
    pub(super) fn resolve(&self, path: &str, base: &Path) -> Option<PathBuf> {
        match path.strip_prefix('~') {
            Some("") => self.home.clone(),
            Some(rest) if rest.starts_with(std::path::is_separator) => {
                Some(self.home.as_ref()?.join(rest.trim_start_matches(std::path::is_separator)))
            }
            // `~name`, another user's home, is a file name here: nothing of ours can look it up.
            _ => Some(base.join(path).components().collect()), // without `./` in messages
        }
    }
}

/// A variable that names a folder. Relative values are invalid by the XDG specification.
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places { home: Some("/home/ana".into()), ..Places::default() }
    }

    #[test]
    fn a_tilde_is_the_home_and_a_relative_path_is_seen_from_the_base() {
        let resolve = |path| places().resolve(path, Path::new("/base"));
        assert_eq!(resolve("~"), Some("/home/ana".into()));
        assert_eq!(resolve("~/a/b"), Some("/home/ana/a/b".into()));
        assert_eq!(resolve("a/b"), Some("/base/a/b".into()));
        assert_eq!(resolve("./a").map(PathBuf::into_os_string), Some("/base/a".into()));
        assert_eq!(resolve("/a"), Some("/a".into()));
        assert_eq!(resolve("~ana/a"), Some("/base/~ana/a".into()));
    }

    #[test]
    fn without_a_home_a_tilde_means_nothing() {
        assert_eq!(Places::default().resolve("~/a", Path::new("/base")), None);
        assert_eq!(Places::default().config_file(), None);
        assert_eq!(Places::default().state(), None);
    }

    #[test]
    fn the_usual_places_lie_below_the_home_unless_the_environment_says_otherwise() {
        assert_eq!(places().config_file(), Some("/home/ana/.config/outrigger/config.toml".into()));
        assert_eq!(places().state(), Some("/home/ana/.local/state/outrigger".into()));
        let elsewhere =
            Places { state_home: Some("/var/s".into()), config_home: Some("/etc/c".into()), ..places() };
        assert_eq!(elsewhere.config_file(), Some("/etc/c/outrigger/config.toml".into()));
        assert_eq!(elsewhere.state(), Some("/var/s/outrigger".into()));
    }
}
