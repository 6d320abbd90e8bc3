//! The folders of a member: each is a collection.

use std::fs;
use std::io;
use std::path::PathBuf;

use outrigger_plugin_sdk::Collection;
use outrigger_plugin_sdk::protocol::{Blame, Code, Dedupe, Effect, Error};

use crate::escape::{decode, encode, os_name};
use crate::failure::{configuration, failed};
use crate::names::{Format, MAX_NAME};
use crate::options::Options;
use crate::system::{self, Dir};

impl Options {
    /// Every visible folder in `path`, sorted by name.
    ///
    /// Symbolic links to folders are shown as unavailable and never followed: one may lead out of
    /// what the sandbox grants, or to a sibling, which would then be synchronised with itself.
    pub(crate) fn discover(&self) -> Result<Vec<Collection>, Error> {
        self.check_present()?;
        let failed = |error| failed("read", self.path.as_os_str().as_encoded_bytes(), &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            found.extend(self.look_at(&entry.map_err(failed)?));
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    fn look_at(&self, entry: &fs::DirEntry) -> Option<Collection> {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            return None;
        }
        let kind = entry.file_type().ok()?;
        let linked = kind.is_symlink() && entry.path().is_dir();
        let collection = self.collection(encode(name.as_encoded_bytes()));
        if linked {
            return Some(Collection { unavailable: Some(is_link(&collection.name)), ..collection });
        }
        kind.is_dir().then(|| self.identified(collection, entry.path()))
    }

    fn collection(&self, name: String) -> Collection {
        let formats: Vec<_> =
            [Format::Vcard, Format::Icalendar].into_iter().filter(|format| self.wants(*format)).collect();
        Collection {
            name,
            object_types: formats.iter().map(|format| format.object_type().into()).collect(),
            formats: formats.iter().map(|format| format.name().into()).collect(),
            // A name follows from the key.
            dedupe: Some(Dedupe::Conditional),
            ..Collection::default()
        }
    }

    fn identified(&self, collection: Collection, path: PathBuf) -> Collection {
        match Dir::open(&path).and_then(|dir| Ok((dir.identity()?, dir.is_writable()))) {
            Ok((store, writable)) => Collection { store, read_only: !writable, ..collection },
            Err(error) => {
                let error = failed("open", path.as_os_str().as_encoded_bytes(), &error);
                Collection { unavailable: Some(error), ..collection }
            }
        }
    }

    /// Makes a folder that only its owner can enter. One that is there under just this name is the
    /// answer too: the name tells which collection is meant, and who asks again has not heard the
    /// first answer (decisions X1). It need not be empty: the engine looks before it writes.
    pub(crate) fn create(&self, name: &str) -> Result<Collection, Error> {
        self.check_present()?;
        let path = self.folder(name)?;
        let name = path.file_name().map_or_else(String::new, |name| encode(name.as_encoded_bytes()));
        let failed = |error: &io::Error| failed("make", path.as_os_str().as_encoded_bytes(), error);
        match system::make_folder(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&error)),
            Err(_) if !self.has(&name)? => {
                let text = format!("{} is something else", path.display());
                return Err(Error::new(Code::EXISTS, text).by(Blame::Member));
            }
            _ => {}
        }
        let durable = Dir::open(&self.path).and_then(|dir| dir.sync());
        durable.map_err(|error| failed(&error).with_effect(Effect::Unknown))?;
        Ok(self.identified(self.collection(name), path))
    }

    /// Whether a folder of this name can be used. Not so a link, a file, or a name that the file
    /// system takes for the same and the engine does not.
    fn has(&self, name: &str) -> Result<bool, Error> {
        let known = self.discover()?;
        Ok(known.iter().any(|known| known.name == name && known.unavailable.is_none()))
    }

    /// Where the collection `name` is. Never outside of `path`.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let bytes = if encode(&decode(name)) == name { decode(name) } else { name.into() };
        let refused = bytes.is_empty()
            || bytes.len() > MAX_NAME
            || bytes.starts_with(b".")
            || bytes
                .iter()
                .any(|byte| matches!(byte, b'/' | 0) || !cfg!(unix) && matches!(byte, b'\\' | b':'));
        let os_name = os_name(bytes).filter(|_| !refused);
        let os_name = os_name.ok_or_else(|| {
            Error::new(Code::INVALID, format!("\"{name}\" cannot be the name of a folder here"))
                .by(Blame::Caller)
        })?;
        Ok(self.path.join(os_name))
    }

    /// As [`Options::folder`], for a collection that is to be used.
    pub(crate) fn usable_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.folder(name)?;
        if path.is_symlink() { Err(is_link(name)) } else { Ok(path) }
    }
}

fn is_link(name: &str) -> Error {
    configuration(format!(
        "\"{name}\" is a symbolic link: give its target as the path of a member of its own"
    ))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::testing::options;

    fn names(options: &Options) -> Vec<String> {
        options.discover().unwrap().into_iter().map(|collection| collection.name).collect()
    }

    #[test]
    fn folders_are_collections_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        for name in ["work", "home", ".hidden"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::create_dir(root.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"))).unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        assert_eq!(names(&options(root.path(), &[])), ["caf%E9", "home", "work"]);
    }

    #[test]
    fn a_link_to_a_folder_is_shown_and_never_followed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        symlink("real", root.path().join("alias")).unwrap();
        let options = options(root.path(), &[]);
        let found = options.discover().unwrap();
        assert!(found[0].unavailable.as_ref().unwrap().message.contains("symbolic link"));
        assert!(options.usable_folder("alias").is_err());
        assert!(options.usable_folder("real").is_ok());
    }

    #[test]
    fn s2_a_folder_made_anew_is_another_store() {
        let root = tempfile::tempdir().unwrap();
        let options = options(root.path(), &[]);
        let first = options.create("book").unwrap();
        assert!(first.store.is_some());
        assert_eq!(options.discover().unwrap()[0].store, first.store, "looking again changes nothing");
        fs::write(root.path().join("book/a.vcf"), "x").unwrap();
        assert_eq!(options.discover().unwrap()[0].store, first.store, "nor do items");
        fs::rename(root.path().join("book"), root.path().join("old")).unwrap();
        options.create("book").unwrap();
        assert_ne!(options.discover().unwrap()[0].store, first.store);
    }

    #[test]
    fn x1_a_create_that_comes_again_finds_the_folder_that_it_made() {
        let root = tempfile::tempdir().unwrap();
        let options = options(root.path(), &[]);
        let made = options.create("book").unwrap();
        fs::write(root.path().join("book/a.vcf"), "x").unwrap();
        let again = options.create("book").unwrap();
        assert_eq!((again.name, again.store), (made.name, made.store));
        assert!(root.path().join("book/a.vcf").exists() && names(&options) == ["book"]);
        fs::write(root.path().join("file"), "").unwrap();
        symlink("book", root.path().join("alias")).unwrap();
        for other in ["file", "alias"] {
            assert_eq!(options.create(other).unwrap_err().code, Code::EXISTS, "{other}");
        }
    }

    #[test]
    fn a_new_folder_is_private_and_in_its_place() {
        let root = tempfile::tempdir().unwrap();
        let options = options(root.path(), &[("extension", "ics")]);
        let made = options.create("Private").unwrap();
        assert_eq!((made.object_types, made.formats), (vec!["event".into()], vec!["icalendar".into()]));
        let mode = fs::metadata(root.path().join("Private")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        for bad in ["", ".", "..", ".hidden", "a/b", "../x", "nul\0", &"x".repeat(256)] {
            assert_eq!(options.create(bad).unwrap_err().code, Code::INVALID, "{bad:?}");
        }
    }
}
