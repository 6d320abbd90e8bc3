//! A root of its own for a plugin: an empty file system into which its places are mounted.
//!
//! Everything is mounted through descriptors (`open_tree`, `move_mount`), so no order of mounts can
//! hide a place: the old root stays as it was until the new one is complete.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::super::sys;
use super::places::Place;
use crate::Failure;

/// How much a plugin may put into its scratch folder, `/tmp`.
const SCRATCH: &str = "64m";

/// The file system of the root itself: folders and names, no contents.
const SKELETON: &str = "1m";

/// What every mount has.
const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// Makes the new root and moves into it. `whole`: with the folders that programs expect.
///
/// To be called by the first process of new user, mount and process namespaces.
pub(super) fn build(places: &[Place], whole: bool) -> Result<(), Failure> {
    step("keeping mounts to itself", mount_change("/", private()))?;
    let sources = sources(places)?;
    let root = step("making an empty root", tmpfs(SKELETON, "755"))?;
    step("mounting the root", attach(&root, "/"))?;
    step("entering the root", fchdir(&root))?;
    // Before the places: a grant within the scratch folder's name must not be hidden by it.
    if whole {
        furnish()?;
    }
    for (target, source) in sources {
        step(&format!("mounting {}", target.display()), source.mount(&target))?;
    }
    step("making the root read-only", sys::mount_setattr(&root, MountAttrFlags::MOUNT_ATTR_RDONLY, false))?;
    step("leaving the old root", leave())
}

fn step<T, E: Into<io::Error>>(what: &str, done: Result<T, E>) -> Result<T, Failure> {
    done.map_err(|error| Failure::system(what, &error.into()))
}

fn private() -> MountPropagationFlags {
    MountPropagationFlags::PRIVATE | MountPropagationFlags::REC
}

/// A place on its way into the new root.
struct Source {
    tree: OwnedFd,
    folder: bool,
}

/// What is mounted where, the outer before the inner.
///
/// A name that lies within another place is there already: as itself, or as the link that it is.
fn targets(places: &[Place]) -> Vec<(PathBuf, &Place)> {
    let mut named: BTreeMap<(usize, &Path), &Place> = BTreeMap::new();
    for place in places {
        for path in [&place.path, &place.real] {
            named.entry((path.components().count(), path)).or_insert(place);
        }
    }
    let mut mounted: Vec<(PathBuf, &Place)> = Vec::new();
    for ((_, path), place) in named {
        let around = mounted.iter().rfind(|(other, _)| path.starts_with(other));
        if !around.is_some_and(|(_, other)| attributes(other) == attributes(place) || path.is_symlink()) {
            mounted.push((path.to_owned(), place));
        }
    }
    mounted
}

/// The same, opened, and as seen from the new root.
fn sources(places: &[Place]) -> Result<Vec<(PathBuf, Source)>, Failure> {
    let open = |(path, place): (PathBuf, &Place)| {
        let source = step(&format!("opening {}", place.real.display()), Source::open(place))?;
        Ok((path.strip_prefix("/").map(Path::to_owned).unwrap_or(path), source))
    };
    targets(places).into_iter().map(open).collect()
}

fn attributes(place: &Place) -> MountAttrFlags {
    let rights = place.rights;
    match (rights.write, rights.execute, rights.device) {
        // A device does nothing on a mount without devices.
        (_, _, true) => MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
        (true, false, _) => SAFE | MountAttrFlags::MOUNT_ATTR_NOEXEC,
        (true, true, _) => SAFE,
        (false, ..) => SAFE | MountAttrFlags::MOUNT_ATTR_RDONLY,
    }
}

impl Source {
    fn open(place: &Place) -> io::Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let flags = flags | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(place.open()?, "", flags)?;
        sys::mount_setattr(&tree, attributes(place), true)?;
        Ok(Self { tree, folder: place.folder })
    }

    /// Mounts it at a path seen from the working directory, which is made if it is not there.
    fn mount(&self, target: &Path) -> io::Result<()> {
        if target.symlink_metadata().is_err() {
            self.make(target)?;
        }
        attach(&self.tree, target)
    }

    fn make(&self, target: &Path) -> io::Result<()> {
        if let Some(parent) = target.parent() {
            folder(parent, 0o755)?;
        }
        if self.folder { folder(target, 0o755) } else { File::create(target).map(drop) }
    }
}

fn folder(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

fn attach(tree: impl AsFd, target: impl rustix::path::Arg) -> io::Result<()> {
    Ok(move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn tmpfs(size: &str, mode: &str) -> io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "size", size)?;
    fsconfig_set_string(context.as_fd(), "mode", mode)?;
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, SAFE | MountAttrFlags::MOUNT_ATTR_NOEXEC)?)
}

/// What programs expect: a place for temporary files, shared memory, and `/proc` where it can be
/// had (a container may forbid it).
fn furnish() -> Result<(), Failure> {
    let scratch = step("making the scratch folder", tmpfs(SCRATCH, "1777"))?;
    step(
        "mounting the scratch folder",
        folder(Path::new("tmp"), 0o755).and_then(|()| attach(&scratch, "tmp")),
    )?;
    step("making /dev", devices())?;
    step("making /proc", folder(Path::new("proc"), 0o555))?;
    proc().ok(); // some containers forbid it; a program that needs it says so
    Ok(())
}

fn devices() -> io::Result<()> {
    folder(Path::new("dev"), 0o755)?;
    symlink("/tmp", "dev/shm")?;
    symlink("/proc/self/fd", "dev/fd")?;
    for (number, name) in ["stdin", "stdout", "stderr"].iter().enumerate() {
        symlink(format!("/proc/self/fd/{number}"), Path::new("dev").join(name))?;
    }
    Ok(())
}

/// Only processes, and of those only the ones that the plugin may look into: not the first.
fn proc() -> io::Result<()> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "subset", "pid")?;
    fsconfig_set_string(context.as_fd(), "hidepid", "ptraceable")?;
    fsconfig_create(context.as_fd())?;
    let attributes = SAFE | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    attach(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?, "proc")
}

/// Makes the working directory the root, and forgets the old one.
fn leave() -> io::Result<()> {
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::super::places::places;
    use super::*;
    use crate::Policy;

    #[test]
    fn the_outer_comes_before_the_inner_and_what_is_there_is_not_mounted_again() {
        let found = places(Some(Path::new("/bin/sh")), OsStr::new("/bin"), &Policy::default());
        let mounted: Vec<PathBuf> = targets(&found).into_iter().map(|(path, _)| path).collect();
        let depth = |path: &PathBuf| path.components().count();
        assert!(mounted.windows(2).all(|pair| depth(&pair[0]) <= depth(&pair[1])), "{mounted:?}");
        assert!(mounted.contains(&"/usr".into()) && mounted.contains(&"/dev/null".into()), "{mounted:?}");
        assert!(!mounted.iter().any(|path| path.starts_with("/usr/lib")), "{mounted:?}");
    }

    #[test]
    fn what_may_be_written_lies_on_a_mount_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let outer = folder.path().canonicalize().unwrap();
        let inner = outer.join("inner");
        std::fs::create_dir(&inner).unwrap();
        let policy = Policy { read: vec![outer.clone()], write: vec![inner.clone()], ..Policy::default() };
        let found = places(None, OsStr::new(""), &policy);
        let mounted: Vec<PathBuf> = targets(&found).into_iter().map(|(path, _)| path).collect();
        assert_eq!(mounted, [outer, inner]);
    }
}
