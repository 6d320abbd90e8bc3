//! Reading what was not granted.

use std::os::fd::AsRawFd;
use std::path::Path;

use super::raw::{self, Attempt, at, call, into, open, path, read};
use super::{Probe, Targets, check};

pub(super) const PROBES: &[Probe] = &[
    ("read_secret", |to| read(&to.secret).map(drop)),
    ("read_secret_by_openat2", by_openat2),
    ("read_secret_by_dot_dot", |to| read(from_grant(to, &to.secret)).map(drop)),
    ("read_secret_by_root_link", |to| read(below("/proc/self/root", &to.secret)).map(drop)),
    ("read_secret_by_symbolic_link", by_symbolic_link),
    ("read_secret_by_hard_link", by_hard_link),
    ("read_secret_by_rename_into_grant", by_rename),
    ("read_secret_by_handle", by_handle),
    ("read_secret_by_open_path", |to| {
        let place = open(&to.secret, libc::O_PATH)?;
        read(format!("/proc/self/fd/{}", place.as_raw_fd())).map(drop)
    }),
    ("read_secret_by_relative_path", |to| {
        let (home, name) = (open(&to.home, libc::O_PATH)?, path(".ssh/id_ed25519"));
        let opened = call!(libc::SYS_openat, home.as_raw_fd(), name.as_ptr(), libc::O_RDONLY);
        raw::descriptor(opened).map(drop)
    }),
    ("read_secret_by_mapping", by_mapping),
    ("read_password_file", |_| read("/etc/passwd").map(drop)),
    ("read_shadow_file", |_| read("/etc/shadow").map(drop)),
    ("list_home", |to| list(&to.home)),
    ("list_outside", |to| list(&to.outside)),
    ("read_terminal", |to| terminal(to, libc::O_RDONLY)),
    ("write_terminal", |to| terminal(to, libc::O_WRONLY)),
    ("read_kernel_log", |_| open("/dev/kmsg", libc::O_RDONLY).map(drop)),
    ("read_kernel_addresses", |_| kernel_addresses()),
];

/// The path of a file below another root.
fn below(root: &str, file: &Path) -> String {
    format!("{root}{}", file.display())
}

/// The path of a file that begins in the grant and goes up from there.
fn from_grant(to: &Targets, file: &Path) -> String {
    let up = "/..".repeat(to.read.components().count());
    format!("{}{up}{}", to.read.display(), file.display())
}

fn by_openat2(to: &Targets) -> Attempt {
    let name = path(&to.secret);
    let how = [libc::O_RDONLY as u64, 0, 0]; // flags, mode, resolve
    let opened = call!(libc::SYS_openat2, libc::AT_FDCWD, name.as_ptr(), at(&how), size_of_val(&how));
    raw::descriptor(opened).map(drop)
}

fn by_symbolic_link(to: &Targets) -> Attempt {
    let link = to.write.join("link-to-secret");
    std::os::unix::fs::symlink(&to.secret, &link)?;
    read(link).map(drop)
}

fn by_hard_link(to: &Targets) -> Attempt {
    let link = to.write.join("second-name-of-secret");
    std::fs::hard_link(&to.secret, &link)?;
    read(link).map(drop)
}

fn by_rename(to: &Targets) -> Attempt {
    let (away, here) = (to.outside.join("movable"), to.write.join("moved"));
    std::fs::rename(away, &here)?;
    read(here).map(drop)
}

/// A file handle needs no path, nor permission on the folders above it.
fn by_handle(to: &Targets) -> Attempt {
    let name = path(&to.secret);
    let mut handle = [0_u32; 34];
    handle[0] = 128; // room for the handle itself
    let mut mount = 0_i32;
    call!(
        libc::SYS_name_to_handle_at,
        libc::AT_FDCWD,
        name.as_ptr(),
        into(&mut handle),
        into(&mut mount),
        0
    )?;
    let beside = open(&to.write, libc::O_RDONLY)?;
    let opened = call!(libc::SYS_open_by_handle_at, beside.as_raw_fd(), at(&handle), libc::O_RDONLY);
    raw::descriptor(opened).map(drop)
}

fn by_mapping(to: &Targets) -> Attempt {
    let file = open(&to.secret, libc::O_RDONLY)?;
    call!(libc::SYS_mmap, 0, 4096, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0).map(drop)
}

fn list(folder: &Path) -> Attempt {
    Ok(std::fs::read_dir(folder).map(drop)?)
}

/// Anyone may read the names of what the kernel is made of; where it stands in memory is a secret.
fn kernel_addresses() -> Attempt {
    let symbols = super::read_text("/proc/kallsyms")?;
    let known =
        |line: &str| line.split(' ').next().is_some_and(|address| address.bytes().any(|digit| digit != b'0'));
    check(symbols.lines().any(known))
}

fn terminal(to: &Targets, flags: i32) -> Attempt {
    match &to.terminal {
        Some(terminal) => open(terminal, flags | libc::O_NOCTTY).map(drop),
        None => super::skipped("there is no terminal"),
    }
}
