//! What a plugin finds on itself: descriptors, variables, rights. These run in its own process.

use super::raw::{Attempt, at, call, into, read};
use super::{Probe, Targets, check};

pub(super) const PROBES: &[Probe] = &[
    ("secret_in_environment", |to| check(std::env::vars().any(|(_, value)| value == to.processes.secret))),
    ("secret_in_arguments", |to| {
        check(std::env::args().any(|argument| argument.contains(&to.processes.secret)))
    }),
    ("secret_in_leaked_descriptor", |to| read(format!("/proc/self/fd/{}", to.processes.leaked)).map(drop)),
    ("more_descriptors", more_descriptors),
    ("capabilities", capabilities),
    ("privileges_by_execution", |_| {
        check(call!(libc::SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)? == 0)
    }),
    ("calls_without_a_filter", |_| check(call!(libc::SYS_prctl, libc::PR_GET_SECCOMP)? == 0)),
    ("terminal_of_its_own_session", |_| super::raw::open("/dev/tty", libc::O_RDWR).map(drop)),
    // What `/proc` says of the host. Of its own process, as that is the only one it may look at.
    ("see_connections_of_host", |to| says("net/tcp", &port(to))),
    ("see_connections_of_host_by_thread", |to| {
        says(&format!("task/{}/net/tcp", std::process::id()), &port(to))
    }),
    ("see_sockets_of_host", |to| says("net/unix", to.ipc.stream.to_str().unwrap())),
    ("see_mounts_of_host", |_| says("mountinfo", " /sys ")),
];

/// Any but 0, 1 and 2. Asked of each number, as the list may be out of sight.
fn more_descriptors(_: &Targets) -> Attempt {
    check((3..4096).any(|number| call!(libc::SYS_fcntl, number, libc::F_GETFD).is_ok()))
}

/// None may be left, in whatever set: asked by call, as `/proc` may be out of sight.
fn capabilities(_: &Targets) -> Attempt {
    let (header, mut sets) = ([0x2008_0522_u32, 0], [0_u32; 6]); // version 3, this process
    call!(libc::SYS_capget, at(&header), into(&mut sets))?;
    check(sets != [0; 6])
}

/// A port that the broker listens at, as the kernel writes it.
fn port(to: &Targets) -> String {
    format!(":{:04X} ", to.network.tcp4)
}

fn says(file: &str, word: &str) -> Attempt {
    check(std::fs::read_to_string(format!("/proc/self/{file}"))?.contains(word))
}
