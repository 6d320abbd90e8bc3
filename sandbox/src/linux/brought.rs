//! What a program brings with it, from files whose author is not trusted.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::layers::SEARCH;
use super::layers::image::{is_binary, with_interpreters};
use super::layers::places::is_system;
use crate::Brought;
use crate::ways::ways;

/// What a program brings with it from outside of the system's usual places, as the files are now.
/// Reads the beginnings of files that are named, and nothing else. Of interpreters and loaders only
/// binaries count; what is no executable never does. Worst: a plugin's author guesses where a binary of
/// the user's lies, and with it the `lib` beside its `bin`; it is then for the user to agree.
pub fn brought_by(program: &Path) -> Brought {
    let executed = with_interpreters(program, OsStr::new(SEARCH));
    let there = executed.iter().filter(|path| *path == program || is_binary(path));
    let names: Vec<PathBuf> = there.flat_map(|path| ways(path)).filter(|way| !is_system(way)).collect();
    let binaries = names.iter().filter(|name| is_binary(name));
    Brought { read: tidy(binaries.flat_map(|name| installed_with(name)).collect()), execute: tidy(names) }
}

fn tidy(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths.dedup();
    paths
}

/// The libraries of an interpreter in a folder of its own: those of `PREFIX/bin/python` are in
/// `PREFIX/lib`. A link that leads out of the prefix is not followed: it could lead to anything.
fn installed_with(executable: &Path) -> Vec<PathBuf> {
    let Some(prefix) = prefix(executable) else { return Vec::new() };
    let Ok(real) = prefix.canonicalize() else { return Vec::new() };
    let parts = ["lib", "lib64", "pyvenv.cfg"].map(|part| prefix.join(part));
    let within = |part: &PathBuf| part.canonicalize().is_ok_and(|part| part.starts_with(&real));
    parts.into_iter().filter(within).collect()
}

fn prefix(executable: &Path) -> Option<&Path> {
    let folder = executable.parent().filter(|folder| folder.ends_with("bin"))?;
    folder.parent().filter(|prefix| prefix.parent().is_some())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A virtual environment: `venv/bin/python` is a link to `base/bin/python`, which is one to
    /// `python3`; `venv/bin/run` is a script for it.
    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let world = Self(tempfile::tempdir().unwrap());
            for path in ["base/bin", "base/lib", "venv/bin", "venv/lib"] {
                fs::create_dir_all(world.path(path)).unwrap();
            }
            fs::write(world.path("venv/pyvenv.cfg"), "").unwrap();
            fs::copy("/bin/true", world.path("base/bin/python3")).unwrap();
            symlink("python3", world.path("base/bin/python")).unwrap();
            symlink(world.path("base/bin/python"), world.path("venv/bin/python")).unwrap();
            world.script("venv/bin/run", &world.path("venv/bin/python"));
            world
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }

        fn script(&self, name: &str, interpreter: &Path) {
            fs::write(self.path(name), format!("#!{} -I\n", interpreter.display())).unwrap();
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn brings(&self, program: &str) -> [Vec<String>; 2] {
            let root = self.path("");
            let Brought { execute, read } = brought_by(&self.path(program));
            let name = |path: PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
            [execute, read].map(|paths| paths.into_iter().map(name).collect())
        }
    }

    #[test]
    fn a_virtual_environment_brings_itself_and_its_base_by_every_name() {
        let world = World::new();
        let python = ["base/bin/python", "base/bin/python3", "venv/bin/python"];
        let libraries = ["base/lib", "venv/lib", "venv/pyvenv.cfg"];
        assert_eq!(world.brings("venv/bin/python"), [python.to_vec(), libraries.to_vec()]);
        let with_script = [&python[..], &["venv/bin/run"]].concat();
        assert_eq!(world.brings("venv/bin/run"), [with_script, libraries.to_vec()]);
    }

    #[test]
    fn what_lies_in_the_usual_places_is_not_mentioned() {
        let world = World::new();
        world.script("venv/bin/run", Path::new("/bin/sh"));
        assert_eq!(world.brings("venv/bin/run"), [vec!["venv/bin/run".to_owned()], Vec::new()]);
        assert_eq!(brought_by(Path::new("/bin/sh")), Brought::default());
    }

    #[test]
    fn libraries_that_are_a_link_to_elsewhere_are_not_followed() {
        let world = World::new();
        fs::create_dir(world.path("secrets")).unwrap();
        fs::remove_dir(world.path("venv/lib")).unwrap();
        symlink(world.path("secrets"), world.path("venv/lib")).unwrap();
        symlink("lib", world.path("base/lib64")).unwrap();
        assert_eq!(world.brings("venv/bin/python")[1], ["base/lib", "base/lib64", "venv/pyvenv.cfg"]);
    }

    /// It may hold a password, and its text is of no use to a plugin that must not read it.
    #[test]
    fn a_script_elsewhere_is_no_interpreter() {
        let world = World::new();
        world.script("base/bin/backup", Path::new("/bin/sh"));
        world.script("venv/bin/run", &world.path("base/bin/backup"));
        assert_eq!(world.brings("venv/bin/run"), [vec!["venv/bin/run".to_owned()], Vec::new()]);
    }

    #[test]
    fn what_is_not_there_brings_nothing_more() {
        let world = World::new();
        assert_eq!(world.brings("gone"), [vec!["gone".to_owned()], Vec::new()]);
        world.script("venv/bin/run", &world.path("gone"));
        assert_eq!(world.brings("venv/bin/run")[0], ["venv/bin/run"]);
    }
}
