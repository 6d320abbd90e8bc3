//! Finding out about what was not granted, without reading it.

use std::fs;
use std::os::fd::AsRawFd;

use super::raw::{self, Attempt, call, into, open, path, zeroed};
use super::{Probe, Targets};

pub(super) const PROBES: &[Probe] = &[
    ("stat_outside", |to| Ok(fs::symlink_metadata(&to.secret).map(drop)?)),
    ("stat_outside_by_the_old_call", old_stat),
    ("access_outside", access),
    ("open_path_outside", |to| open(&to.secret, libc::O_PATH).map(drop)),
    ("read_link_outside", |to| Ok(fs::read_link(to.outside.join("link")).map(drop)?)),
    ("change_folder_outside", |to| raw::by_child(|| change_folder(to))),
    ("file_system_of_outside", file_system),
    ("attributes_of_outside", attributes),
    ("handle_of_outside", handle),
    ("watch_outside", watch),
    ("watch_outside_by_fanotify", watch_by_fanotify),
    ("watch_outside_by_dnotify", watch_by_dnotify),
];

fn old_stat(to: &Targets) -> Attempt {
    let name = path(&to.secret);
    let mut stat: libc::stat = zeroed();
    call!(libc::SYS_newfstatat, libc::AT_FDCWD, name.as_ptr(), into(&mut stat), 0).map(drop)
}

fn access(to: &Targets) -> Attempt {
    let name = path(&to.secret);
    call!(libc::SYS_faccessat, libc::AT_FDCWD, name.as_ptr(), libc::F_OK).map(drop)
}

fn change_folder(to: &Targets) -> Attempt {
    let name = path(&to.outside);
    call!(libc::SYS_chdir, name.as_ptr()).map(drop)
}

fn file_system(to: &Targets) -> Attempt {
    let name = path(&to.outside);
    let mut about: libc::statfs = zeroed();
    call!(libc::SYS_statfs, name.as_ptr(), into(&mut about)).map(drop)
}

fn attributes(to: &Targets) -> Attempt {
    let name = path(&to.secret);
    let mut list = [0_u8; 4096];
    call!(libc::SYS_listxattr, name.as_ptr(), into(&mut list), list.len()).map(drop)
}

fn handle(to: &Targets) -> Attempt {
    let name = path(&to.secret);
    let mut handle = [0_u32; 34];
    handle[0] = 128;
    let mut mount = 0_i32;
    call!(libc::SYS_name_to_handle_at, libc::AT_FDCWD, name.as_ptr(), into(&mut handle), into(&mut mount), 0)
        .map(drop)
}

fn watch(to: &Targets) -> Attempt {
    let name = path(&to.outside);
    let queue = raw::descriptor(call!(libc::SYS_inotify_init1, libc::IN_CLOEXEC))?;
    call!(libc::SYS_inotify_add_watch, queue.as_raw_fd(), name.as_ptr(), libc::IN_ALL_EVENTS).map(drop)
}

/// Anyone may since Linux 5.13, with file handles instead of descriptors.
fn watch_by_fanotify(to: &Targets) -> Attempt {
    const REPORT_FID: u32 = 0x200;
    let name = path(&to.outside);
    let queue = raw::descriptor(call!(libc::SYS_fanotify_init, REPORT_FID, libc::O_RDONLY))?;
    let (add, modified) = (libc::FAN_MARK_ADD, libc::FAN_MODIFY);
    call!(libc::SYS_fanotify_mark, queue.as_raw_fd(), add, modified, libc::AT_FDCWD, name.as_ptr()).map(drop)
}

/// The oldest of the three: the kernel sends a signal when a folder changes.
fn watch_by_dnotify(to: &Targets) -> Attempt {
    const DN_CREATE: i32 = 4;
    let folder = open(&to.outside, libc::O_RDONLY)?;
    call!(libc::SYS_fcntl, folder.as_raw_fd(), libc::F_NOTIFY, DN_CREATE).map(drop)
}
