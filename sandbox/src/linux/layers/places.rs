//! The files and folders that a plugin gets to see: its grants, and for a program also the loader,
//! the libraries, and a few files that everybody reads.
//!
//! Grants add up: where one lies within another, it gives at least as much as that one. Landlock
//! could not take away again what it has given further up, so the mounts do not try to either.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::image::with_interpreters;
use crate::Policy;
use crate::ways::ways;

/// What every program may read: libraries and data of the system, and no more of `/etc` than
/// loaders, time zones and certificates need.
const SYSTEM: [&str; 17] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/pki/tls/certs",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

/// The devices that every program may use.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What may be done with a place, besides reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    pub(super) execute: bool,
    pub(super) write: bool,
    /// It is a device: written to, and not made or removed.
    pub(super) device: bool,
}

impl Rights {
    pub(super) const READ: Self = Self { execute: false, write: false, device: false };
    const EXECUTE: Self = Self { execute: true, ..Self::READ };
    pub(super) const WRITE: Self = Self { write: true, ..Self::READ };
    const DEVICE: Self = Self { device: true, ..Self::READ };

    fn and(self, other: Self) -> Self {
        Self {
            execute: self.execute || other.execute,
            write: self.write || other.write,
            device: self.device || other.device,
        }
    }
}

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What the plugin calls it.
    pub(super) path: PathBuf,
    /// The same without symbolic links.
    pub(super) real: PathBuf,
    pub(super) folder: bool,
    pub(super) rights: Rights,
}

impl Place {
    /// `None` if it is not there, or not for us: then there is nothing to grant.
    pub(super) fn find(path: &Path, rights: Rights) -> Option<Self> {
        let real = path.canonicalize().ok()?;
        let folder = fs::metadata(&real).ok()?.is_dir();
        Some(Self { path: path.to_owned(), real, folder, rights })
    }

    /// A handle that allows nothing but to name it. What has become a link since is not followed.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        Ok(openat2(CWD, &self.real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?)
    }
}

/// All places of a plugin, the outer before the inner.
pub(super) fn places(program: Option<&Path>, search: &OsStr, policy: &Policy) -> Vec<Place> {
    let granted =
        [(&policy.read, Rights::READ), (&policy.execute, Rights::EXECUTE), (&policy.write, Rights::WRITE)];
    let granted = granted.iter().flat_map(|(paths, rights)| paths.iter().map(|path| (path.clone(), *rights)));
    let brought = program.map(|program| brought_by(program, search)).unwrap_or_default();
    let found = granted.chain(brought).filter_map(|(path, rights)| Place::find(&path, rights));
    add_up(found.collect())
}

/// What a program gets without a grant: the system's places, itself, and of what it names whatever
/// lies in those. All else that it names is for whoever starts it to grant (`Brought`).
fn brought_by(program: &Path, search: &OsStr) -> Vec<(PathBuf, Rights)> {
    let system = SYSTEM.iter().map(|path| (PathBuf::from(path), Rights::READ));
    let devices = DEVICES.iter().map(|path| (PathBuf::from(path), Rights::DEVICE));
    let mut executed = with_interpreters(program, search);
    let named = executed.split_off(1).into_iter().filter(|path| ways(path).iter().all(|way| is_system(way)));
    let executed = executed.into_iter().chain(named).map(|path| (path, Rights::EXECUTE));
    system.chain(devices).chain(executed).collect()
}

/// Whether every program may read it.
pub(in super::super) fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|place| path.starts_with(place))
}

/// Gives each place the rights of those that it lies in, and leaves out what says nothing new.
fn add_up(found: Vec<Place>) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut sorted = found.clone();
    sorted.sort_by_key(|place| place.path.components().count());
    for mut place in sorted {
        let around = found.iter().filter(|other| place.real.starts_with(&other.real));
        place.rights = around.fold(place.rights, |rights, other| rights.and(other.rights));
        let says_nothing_new = |other: &Place| {
            place.path.starts_with(&other.path)
                && place.real.starts_with(&other.real)
                && place.rights == other.rights
        };
        if !places.iter().any(says_nothing_new) {
            places.push(place);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn policy(read: &[PathBuf], write: &[PathBuf]) -> Policy {
        Policy { read: read.to_vec(), write: write.to_vec(), ..Policy::default() }
    }

    fn of(policy: &Policy) -> Vec<Place> {
        places(None, OsStr::new(""), policy)
    }

    #[test]
    fn a_plugin_of_our_own_gets_its_grants_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let found = of(&policy(&[], &[folder.path().to_owned()]));
        assert_eq!(found.len(), 1);
        assert!(found[0].rights.write && found[0].folder);
        assert_eq!(of(&Policy::default()), []);
    }

    #[test]
    fn what_is_not_there_grants_nothing() {
        assert_eq!(of(&policy(&["/nonexistent/folder".into()], &[])), []);
    }

    #[test]
    fn grants_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let (outer, inner) = (folder.path().to_owned(), folder.path().join("inner"));
        fs::create_dir(&inner).unwrap();
        assert_eq!(of(&policy(std::slice::from_ref(&inner), std::slice::from_ref(&outer))).len(), 1);
        let found = of(&policy(std::slice::from_ref(&outer), std::slice::from_ref(&inner)));
        assert_eq!(found.iter().map(|place| place.rights.write).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_name_through_a_link_leads_to_the_real_place() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        let found = of(&policy(std::slice::from_ref(&link), &[]));
        assert_eq!((&found[0].path, &found[0].real), (&link, &real.canonicalize().unwrap()));
        assert!(found[0].open().is_ok());
    }

    #[test]
    fn p2_what_became_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("granted");
        fs::create_dir(&path).unwrap();
        let place = of(&policy(std::slice::from_ref(&path), &[])).remove(0);
        fs::remove_dir(&path).unwrap();
        symlink("/etc", &path).unwrap();
        assert!(place.open().is_err());
    }

    #[test]
    fn a_program_brings_libraries_and_no_secrets() {
        let found = places(Some(Path::new("/bin/sh")), OsStr::new("/bin"), &Policy::default());
        let sees = |path: &str| found.iter().any(|place| Path::new(path).starts_with(&place.path));
        assert!(sees("/usr/lib/x") && sees("/bin/sh") && sees("/dev/null"));
        assert!(
            !sees("/etc/passwd")
                && !sees("/root/x")
                && !sees("/home/x")
                && !sees("/tmp/x")
                && !sees("/proc/1")
        );
        let executed: Vec<&Place> = found.iter().filter(|place| place.rights.execute).collect();
        assert!(executed.iter().all(|place| !place.folder), "{executed:?}");
    }

    /// What its author wrote into its first line is not a grant, wherever it is.
    #[test]
    fn an_interpreter_elsewhere_is_not_granted_by_being_named() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().canonicalize().unwrap();
        for part in ["bin", "lib"] {
            fs::create_dir(prefix.join(part)).unwrap();
        }
        let (program, interpreter) = (prefix.join("program"), prefix.join("bin/python"));
        fs::copy("/bin/true", &interpreter).unwrap();
        fs::write(&program, format!("#!{}\n", interpreter.display())).unwrap();
        let found = places(Some(&program), OsStr::new(""), &Policy::default());
        let below: Vec<&Path> =
            found.iter().map(|place| &*place.path).filter(|path| path.starts_with(&prefix)).collect();
        assert_eq!(below, [&program]);
    }
}
