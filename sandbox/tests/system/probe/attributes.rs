//! Changing what belongs to a file and is not its content: mode, owner, times, attributes, flags.
//!
//! Landlock has no right for any of these. Each stands here by every call that does it, as a list
//! of what is forbidden may have forgotten one.

use std::ffi::{CString, c_int};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::raw::{Attempt, at, call, call_of_x86, into, open, path, reached};
use super::writing::read_only;
use super::{Probe, Targets};

pub(super) const PROBES: &[Probe] = &[
    ("chmod_outside", |to| chmod(&to.outside.join("mode"))),
    ("chmod_outside_by_the_old_call", |to| call_of_x86(90, &[name_of(to, "mode").as_ptr() as i64, 0o666])),
    ("chmod_outside_by_the_new_call", |to| {
        call!(FCHMODAT2, libc::AT_FDCWD, name_of(to, "mode").as_ptr(), 0o660, 0).map(drop)
    }),
    ("chown_outside", |to| chown(&to.outside.join("owner"))),
    ("chown_outside_by_the_old_call", |to| call_of_x86(92, &[name_of(to, "owner").as_ptr() as i64, -1, -1])),
    ("chown_outside_by_the_old_call_for_links", |to| {
        call_of_x86(94, &[name_of(to, "owner").as_ptr() as i64, -1, -1])
    }),
    ("set_times_outside", |to| set_times(&to.outside.join("times"))),
    ("set_times_outside_by_the_oldest_call", |to| {
        call_of_x86(132, &[name_of(to, "times").as_ptr() as i64, 0])
    }),
    ("set_times_outside_by_the_old_call", |to| call_of_x86(235, &[name_of(to, "times").as_ptr() as i64, 0])),
    ("set_times_outside_by_the_other_old_call", |to| {
        call_of_x86(261, &[libc::AT_FDCWD.into(), name_of(to, "times").as_ptr() as i64, 0])
    }),
    ("set_attribute_outside", |to| set_attribute(&to.outside.join("attribute"))),
    ("set_attribute_of_link_outside", |to| {
        let name = name_of(to, "attribute");
        call!(libc::SYS_lsetxattr, name.as_ptr(), ATTRIBUTE.as_ptr(), at("y"), 1, 0).map(drop)
    }),
    ("set_attribute_outside_by_the_new_call", |to| {
        let (value, name) = ([at("z"), 1], name_of(to, "attribute")); // address; size and flags
        let size = size_of_val(&value);
        call!(SETXATTRAT, libc::AT_FDCWD, name.as_ptr(), 0, ATTRIBUTE.as_ptr(), at(&value), size).map(drop)
    }),
    ("remove_attribute_outside", |to| {
        call!(libc::SYS_removexattr, name_of(to, "attribute3").as_ptr(), ATTRIBUTE.as_ptr()).map(drop)
    }),
    ("chmod_read_only", |to| chmod(&to.read.join("mode"))),
    ("chmod_read_only_by_descriptor", chmod_by_descriptor),
    ("chmod_read_only_by_proc", chmod_by_proc),
    ("chown_read_only_by_descriptor", chown_by_descriptor),
    ("set_times_of_read_only_by_descriptor", times_by_descriptor),
    ("set_attribute_of_read_only_by_descriptor", attribute_by_descriptor),
    ("set_flags_of_read_only_by_descriptor", flags_by_descriptor),
    ("set_flags_of_read_only_by_other_request", flags_by_other_request),
    ("remove_attribute_of_link_outside", |to| {
        let name = name_of(to, "attribute2");
        call!(libc::SYS_lremovexattr, name.as_ptr(), ATTRIBUTE.as_ptr()).map(drop)
    }),
    ("remove_attribute_of_read_only_by_descriptor", |to| {
        let file = read_only(to, "attribute2")?;
        call!(libc::SYS_fremovexattr, file.as_raw_fd(), ATTRIBUTE.as_ptr()).map(drop)
    }),
    ("set_version_of_read_only_by_descriptor", |to| {
        const SET_VERSION: i64 = 0x4008_7602; // FS_IOC_SETVERSION
        call!(libc::SYS_ioctl, read_only(to, "flags")?.as_raw_fd(), SET_VERSION, at(&7_i32)).map(drop)
    }),
    ("make_subvolume_in_read_only", |to| request(to, BTRFS_SUBVOL_CREATE)),
    ("make_snapshot_in_read_only", |to| request(to, BTRFS_SNAP_CREATE)),
    ("make_newer_snapshot_in_read_only", |to| request(to, BTRFS_SNAP_CREATE_V2)),
    ("set_subvolume_flags_of_read_only", |to| request(to, BTRFS_SUBVOL_SETFLAGS)),
    ("encrypt_read_only", |to| request(to, SET_ENCRYPTION_POLICY)),
    ("seal_read_only", |to| request(to, ENABLE_VERITY)),
    ("seal_read_only_with_high_bits", |to| request(to, ENABLE_VERITY | 1 << 32)),
    ("hold_up_whoever_writes_read_only", |to| {
        let file = read_only(to, "leased")?; // who opens it to write waits for us, up to 45 seconds
        call!(libc::SYS_fcntl, file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK).map(drop)
    }),
    ("set_flags_outside_by_the_new_call", flags_by_new_call),
];

// Calls that are younger than the names in the C library.
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const FILE_SETATTR: i64 = 469;

// Requests of file systems.
const BTRFS_SUBVOL_CREATE: i64 = 0x5000_940E;
const BTRFS_SNAP_CREATE: i64 = 0x5000_9401;
const BTRFS_SNAP_CREATE_V2: i64 = 0x5000_9417;
const BTRFS_SUBVOL_SETFLAGS: i64 = 0x4008_941A;
const SET_ENCRYPTION_POLICY: i64 = 0x800C_6613;
const ENABLE_VERITY: i64 = 0x4080_6685;

const ATTRIBUTE: &std::ffi::CStr = c"user.probe";

/// The path of a file outside.
fn name_of(to: &Targets, name: &str) -> CString {
    path(to.outside.join(name))
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

fn proc_name(file: &OwnedFd) -> CString {
    path(format!("/proc/self/fd/{}", file.as_raw_fd()))
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
    const EXTENTS: c_int = 0x8_0000; // on ext4: without it the file is to be converted, which may fail
    let file = read_only(to, "flags")?;
    let set = |flags| call!(libc::SYS_ioctl, file.as_raw_fd(), SET_FLAGS, at(&flags)).map(drop);
    set(NO_DUMP | EXTENTS).or_else(|_| set(NO_DUMP))
}

/// The same by the request that came with XFS: flags, then four more words and a reserve.
fn flags_by_other_request(to: &Targets) -> Attempt {
    const GET: i64 = 0x801C_581F;
    const SET: i64 = 0x401C_5820;
    const NO_DUMP: u32 = 0x80;
    let (file, mut attributes) = (read_only(to, "flags")?, [0_u32; 7]);
    call!(libc::SYS_ioctl, file.as_raw_fd(), GET, into(&mut attributes))?;
    attributes[0] ^= NO_DUMP;
    call!(libc::SYS_ioctl, file.as_raw_fd(), SET, at(&attributes)).map(drop)
}

/// A request about a folder that may only be read, with nothing where its arguments should be. A file
/// system that does not know it says so (`ENOTTY`): then it got as far as that.
fn request(to: &Targets, request: i64) -> Attempt {
    let folder = open(&to.read, libc::O_RDONLY | libc::O_DIRECTORY)?;
    reached(call!(libc::SYS_ioctl, folder.as_raw_fd(), request, 0))
}

/// Flags by path, since Linux 6.17.
fn flags_by_new_call(to: &Targets) -> Attempt {
    const NO_DUMP: u64 = 0x80;
    let (name, attributes) = (name_of(to, "flags"), [NO_DUMP, 0, 0]);
    let size = size_of_val(&attributes);
    call!(FILE_SETATTR, libc::AT_FDCWD, name.as_ptr(), at(&attributes), size, 0).map(drop)
}
