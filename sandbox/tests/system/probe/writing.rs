//! Changing what was not granted: outside, and in what was granted to read only.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::raw::{Attempt, at, call, call_of_x86, open, path};
use super::{Probe, Targets, check};

pub(super) const PROBES: &[Probe] = &[
    ("write_outside", |to| write(to.outside.join("known"))),
    ("create_outside", |to| create(to.outside.join("created"))),
    ("truncate_outside", |to| truncate(to.outside.join("truncated"))),
    ("truncate_outside_by_open", |to| truncate_by_open(to.outside.join("cut"))),
    ("make_folder_outside", |to| Ok(fs::create_dir(to.outside.join("folder"))?)),
    ("make_fifo_outside", |to| fifo(&to.outside.join("fifo"))),
    ("make_symbolic_link_outside", |to| Ok(std::os::unix::fs::symlink("/", to.outside.join("symlink"))?)),
    ("remove_outside", |to| Ok(fs::remove_file(to.outside.join("removable"))?)),
    ("remove_folder_outside", |to| Ok(fs::remove_dir(to.outside.join("empty"))?)),
    ("rename_outside", |to| Ok(fs::rename(to.outside.join("renamable"), to.outside.join("renamed"))?)),
    ("rename_out_of_grant", |to| Ok(fs::rename(ours(to, "leaving")?, to.outside.join("left"))?)),
    ("link_out_of_grant", |to| Ok(fs::hard_link(ours(to, "linked")?, to.outside.join("linked"))?)),
    ("exchange_with_outside", exchange),
    ("link_read_only_into_grant", |to| link_into_grant(to, "linkable")),
    ("rename_read_only_into_grant", |to| {
        let (from, towards) = (to.read.join("movable"), to.write.join("moved-from-read-only"));
        fs::rename(from, &towards)?;
        write(towards)
    }),
    ("write_read_only", |to| write(to.read.join("known"))),
    ("create_in_read_only", |to| create(to.read.join("created"))),
    ("truncate_read_only", |to| truncate(to.read.join("truncated"))),
    ("truncate_read_only_by_open", |to| truncate_by_open(to.read.join("cut"))),
    ("truncate_read_only_by_openat2", truncate_by_openat2),
    ("truncate_read_only_by_the_old_open", |to| {
        let file = to.read.join("cut3");
        call_of_x86(2, &[path(&file).as_ptr() as i64, (libc::O_RDONLY | libc::O_TRUNC).into()])?;
        check(fs::metadata(file)?.len() == 0)
    }),
    ("truncate_read_only_by_creat", |to| {
        call_of_x86(85, &[path(to.read.join("cut4")).as_ptr() as i64, 0o600])
    }),
    ("remove_read_only", |to| Ok(fs::remove_file(to.read.join("removable"))?)),
    ("rename_read_only", |to| Ok(fs::rename(to.read.join("renamable"), to.read.join("renamed"))?)),
    ("reopen_read_only_for_writing", reopen),
    ("write_read_only_by_own_memory", by_own_memory),
    ("make_device_in_grant", device),
];

fn write(file: impl AsRef<Path>) -> Attempt {
    let file = open(file, libc::O_WRONLY | libc::O_APPEND)?;
    call!(libc::SYS_write, file.as_raw_fd(), at("x"), 1).map(drop)
}

fn create(file: impl AsRef<Path>) -> Attempt {
    open(file, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL).map(drop)
}

fn truncate(file: impl AsRef<Path>) -> Attempt {
    let name = path(file);
    call!(libc::SYS_truncate, name.as_ptr(), 0).map(drop)
}

/// Truncates without ever asking to write.
fn truncate_by_open(file: impl AsRef<Path>) -> Attempt {
    let opened = open(&file, libc::O_RDONLY | libc::O_TRUNC)?;
    drop(opened);
    check(fs::metadata(file)?.len() == 0)
}

/// The same by the call whose flags no filter can look into.
fn truncate_by_openat2(to: &Targets) -> Attempt {
    let (file, how) = (to.read.join("cut2"), [(libc::O_RDONLY | libc::O_TRUNC) as u64, 0, 0]);
    let name = path(&file);
    let opened = call!(libc::SYS_openat2, libc::AT_FDCWD, name.as_ptr(), at(&how), size_of_val(&how));
    drop(super::raw::descriptor(opened)?);
    check(fs::metadata(file)?.len() == 0)
}

fn fifo(file: &Path) -> Attempt {
    let name = path(file);
    call!(libc::SYS_mknodat, libc::AT_FDCWD, name.as_ptr(), libc::S_IFIFO | 0o600, 0).map(drop)
}

/// A file of our own within the grant.
fn ours(to: &Targets, name: &str) -> Attempt<std::path::PathBuf> {
    let file = to.write.join(name);
    fs::write(&file, "ours")?;
    Ok(file)
}

/// Under a name in the grant it could be written to.
fn link_into_grant(to: &Targets, name: &str) -> Attempt {
    let second = to.write.join(name);
    fs::hard_link(to.read.join(name), &second)?;
    write(second)
}

/// Two files change places: each of them is written to by the other's folder.
fn exchange(to: &Targets) -> Attempt {
    let (ours, theirs) = (path(ours(to, "exchanged")?), path(to.outside.join("exchanged")));
    let (ours, theirs) = (ours.as_ptr(), theirs.as_ptr());
    let exchange = libc::RENAME_EXCHANGE;
    call!(libc::SYS_renameat2, libc::AT_FDCWD, ours, libc::AT_FDCWD, theirs, exchange).map(drop)
}

/// What may be read, opened for reading.
pub(super) fn read_only(to: &Targets, name: &str) -> Attempt<OwnedFd> {
    open(to.read.join(name), libc::O_RDONLY)
}

fn reopen(to: &Targets) -> Attempt {
    let file = read_only(to, "known")?;
    let again = open(format!("/proc/self/fd/{}", file.as_raw_fd()), libc::O_WRONLY | libc::O_APPEND)?;
    call!(libc::SYS_write, again.as_raw_fd(), at("x"), 1).map(drop)
}

/// `/proc/self/mem` writes also where the process itself must not. A private mapping takes a copy
/// and a shared one refuses, so no kernel lets this through to the file: the file tells.
fn by_own_memory(to: &Targets) -> Attempt {
    let file = read_only(to, "mapped")?;
    let before = fs::read(to.read.join("mapped"))?;
    for sharing in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
        let address = call!(libc::SYS_mmap, 0, 4096, libc::PROT_READ, sharing, file.as_raw_fd(), 0)?;
        let memory = open("/proc/self/mem", libc::O_RDWR)?;
        call!(libc::SYS_pwrite64, memory.as_raw_fd(), at("x"), 1, address).ok();
    }
    check(fs::read(to.read.join("mapped"))? != before)
}

/// A device of our own would be a way past every grant.
fn device(to: &Targets) -> Attempt {
    let name = path(to.write.join("device"));
    let null = libc::makedev(1, 3);
    call!(libc::SYS_mknodat, libc::AT_FDCWD, name.as_ptr(), libc::S_IFCHR | 0o600, null).map(drop)
}
