//! Paths of the command line: the command itself, and what is granted.

use std::env::split_paths;
use std::ffi::OsStr;
use std::path::{Path, PathBuf, absolute};

use super::{NOT_EXECUTABLE, NOT_FOUND, Refusal};

/// The executable that a shell would run for `name`.
pub(super) fn find(name: &OsStr, search: Option<&OsStr>) -> Result<PathBuf, Refusal> {
    let shown = name.to_string_lossy();
    if name.as_encoded_bytes().contains(&b'/') {
        return whole(Path::new(name));
    }
    let folders = search.map(|search| split_paths(search).collect::<Vec<_>>()).unwrap_or_default();
    let found: Vec<PathBuf> =
        folders.iter().map(|folder| folder.join(name)).filter(|path| path.is_file()).collect();
    match found.iter().find(|path| is_executable(path)) {
        Some(path) => whole(path),
        None if found.is_empty() => Err(Refusal::new(NOT_FOUND, format!("{shown}: not found in PATH"))),
        None => Err(Refusal::new(NOT_EXECUTABLE, format!("{shown}: found in PATH, but not executable"))),
    }
}

/// These paths, as seen from everywhere.
pub(super) fn there(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Refusal> {
    let one = |path: &PathBuf| match path.try_exists() {
        Ok(true) => whole(path),
        Ok(false) => Err(Refusal::usage(format!("{}: there is no such file or folder", path.display()))),
        Err(error) => Err(Refusal::usage(format!("{} cannot be granted", path.display())).because(&error)),
    };
    paths.iter().map(one).collect()
}

fn whole(path: &Path) -> Result<PathBuf, Refusal> {
    absolute(path).map_err(|error| Refusal::usage(path.display().to_string()).because(&error))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_that_can_be_executed_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        for (place, mode) in [(&first, 0o644), (&second, 0o755)] {
            fs::create_dir(place).unwrap();
            fs::write(place.join("x"), "").unwrap();
            fs::set_permissions(place.join("x"), fs::Permissions::from_mode(mode)).unwrap();
        }
        let search = |folders: &[&PathBuf]| {
            let search = std::env::join_paths(folders).unwrap();
            find(OsStr::new("x"), Some(&search)).map_err(|refusal| refusal.code)
        };
        assert_eq!(search(&[&first, &second]), Ok(second.join("x")));
        assert_eq!(search(&[&first]), Err(NOT_EXECUTABLE));
        assert_eq!(search(&[]), Err(NOT_FOUND));
    }

    #[test]
    fn what_has_a_slash_is_seen_from_here() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(find(OsStr::new("./x"), None).unwrap(), here.join("x"));
        assert_eq!(there(&["src".into()]).unwrap(), [here.join("src")]);
        assert_eq!(there(&["nowhere".into()]).unwrap_err().code, 2);
    }
}
