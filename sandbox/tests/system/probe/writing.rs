//! Changing what was not granted: outside, and in what was granted to read only.

use std::ffi::{CString, c_int};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::raw::{Attempt, at, call, open, path};
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
    ("chmod_outside", |to| chmod(&to.outside.join("mode"))),
    ("chown_outside", |to| chown(&to.outside.join("owner"))),
    ("set_times_outside", |to| set_times(&to.outside.join("times"))),
    ("set_attribute_outside", |to| set_attribute(&to.outside.join("attribute"))),
    ("write_read_only", |to| write(to.read.join("known"))),
    ("create_in_read_only", |to| create(to.read.join("created"))),
    ("truncate_read_only", |to| truncate(to.read.join("truncated"))),
    ("truncate_read_only_by_open", |to| truncate_by_open(to.read.join("cut"))),
    ("truncate_read_only_by_openat2", truncate_by_openat2),
    ("remove_read_only", |to| Ok(fs::remove_file(to.read.join("removable"))?)),
    ("rename_read_only", |to| Ok(fs::rename(to.read.join("renamable"), to.read.join("renamed"))?)),
    ("reopen_read_only_for_writing", reopen),
    ("write_read_only_by_own_memory", by_own_memory),
    ("chmod_read_only", |to| chmod(&to.read.join("mode"))),
    ("chmod_read_only_by_descriptor", chmod_by_descriptor),
    ("chmod_read_only_by_proc", chmod_by_proc),
    ("chown_read_only_by_descriptor", chown_by_descriptor),
    ("set_times_of_read_only_by_descriptor", times_by_descriptor),
    ("set_attribute_of_read_only_by_descriptor", attribute_by_descriptor),
    ("set_flags_of_read_only_by_descriptor", flags_by_descriptor),
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

/// Two files change places: each of them is written to by the other's folder.
fn exchange(to: &Targets) -> Attempt {
    let (ours, theirs) = (path(ours(to, "exchanged")?), path(to.outside.join("exchanged")));
    let (ours, theirs) = (ours.as_ptr(), theirs.as_ptr());
    let exchange = libc::RENAME_EXCHANGE;
    call!(libc::SYS_renameat2, libc::AT_FDCWD, ours, libc::AT_FDCWD, theirs, exchange).map(drop)
}

fn chmod(file: &Path) -> Attempt {
    let name = path(file);
    call!(libc::SYS_fchmodat, libc::AT_FDCWD, name.as_ptr(), 0o666).map(drop)
}

/// To the owner that it has: allowed to anyone who owns it, and changes its ctime.
fn chown(file: &Path) -> Attempt {
    let name = path(file);
    call!(libc::SYS_fchownat, libc::AT_FDCWD, name.as_ptr(), -1, -1, 0).map(drop)
}

const LONG_AGO: [i64; 4] = [1, 0, 1, 0]; // seconds, nanoseconds; twice

fn set_times(file: &Path) -> Attempt {
    let name = path(file);
    call!(libc::SYS_utimensat, libc::AT_FDCWD, name.as_ptr(), at(&LONG_AGO), 0).map(drop)
}

fn set_attribute(file: &Path) -> Attempt {
    let name = path(file);
    call!(libc::SYS_setxattr, name.as_ptr(), c"user.probe".as_ptr(), at("x"), 1, 0).map(drop)
}

/// What may be read, opened for reading.
fn read_only(to: &Targets, name: &str) -> Attempt<OwnedFd> {
    open(to.read.join(name), libc::O_RDONLY)
}

fn proc_name(file: &OwnedFd) -> CString {
    path(format!("/proc/self/fd/{}", file.as_raw_fd()))
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

fn chmod_by_descriptor(to: &Targets) -> Attempt {
    call!(libc::SYS_fchmod, read_only(to, "mode")?.as_raw_fd(), 0o666).map(drop)
}

fn chmod_by_proc(to: &Targets) -> Attempt {
    let file = read_only(to, "mode")?;
    call!(libc::SYS_fchmodat, libc::AT_FDCWD, proc_name(&file).as_ptr(), 0o606).map(drop)
}

fn chown_by_descriptor(to: &Targets) -> Attempt {
    call!(libc::SYS_fchown, read_only(to, "owner")?.as_raw_fd(), -1, -1).map(drop)
}

fn times_by_descriptor(to: &Targets) -> Attempt {
    call!(libc::SYS_utimensat, read_only(to, "times")?.as_raw_fd(), 0, at(&LONG_AGO), 0).map(drop)
}

fn attribute_by_descriptor(to: &Targets) -> Attempt {
    let file = read_only(to, "attribute")?;
    call!(libc::SYS_fsetxattr, file.as_raw_fd(), c"user.probe".as_ptr(), at("x"), 1, 0).map(drop)
}

/// "Not to be dumped", a flag that any owner may set by a descriptor that is open for reading.
fn flags_by_descriptor(to: &Targets) -> Attempt {
    const SET_FLAGS: i64 = 0x4008_6602; // FS_IOC_SETFLAGS
    const NO_DUMP: c_int = 0x40;
    call!(libc::SYS_ioctl, read_only(to, "flags")?.as_raw_fd(), SET_FLAGS, at(&NO_DUMP)).map(drop)
}

/// A device of our own would be a way past every grant.
fn device(to: &Targets) -> Attempt {
    let name = path(to.write.join("device"));
    let null = libc::makedev(1, 3);
    call!(libc::SYS_mknodat, libc::AT_FDCWD, name.as_ptr(), libc::S_IFCHR | 0o600, null).map(drop)
}
