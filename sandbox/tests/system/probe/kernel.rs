//! Calls that no plugin needs, and that much of the kernel's trouble comes from.
//!
//! Most are made with senseless arguments, so that they change nothing: what matters is whether
//! the kernel got as far as looking at these.

use std::ffi::CStr;

use super::raw::{self, Attempt, at, by_child, call, call_of_x86, into, open, reached};
use super::{Failed, Probe, Targets, check};

pub(super) const PROBES: &[Probe] = &[
    ("unshare_user", |_| unshare(libc::CLONE_NEWUSER)),
    ("unshare_mounts", |_| unshare(libc::CLONE_NEWNS)),
    ("unshare_network", |_| unshare(libc::CLONE_NEWNET)),
    ("unshare_all", |_| unshare(ALL_NAMESPACES)),
    ("clone_user", |_| clone(libc::CLONE_NEWUSER)),
    ("clone_user_and_network", |_| clone(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)),
    ("clone_user_with_high_bits", |_| {
        let flags = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD) | HIGH_BITS;
        made(call!(libc::SYS_clone, flags, 0, 0, 0, 0))
    }),
    ("clone3_user", |_| clone3(libc::CLONE_NEWUSER as u64)),
    ("clone3_time", |_| clone3(libc::CLONE_NEWTIME as u64)),
    ("enter_own_namespace", |_| {
        let own = open("/proc/self/ns/user", libc::O_RDONLY)?;
        reached(call!(libc::SYS_setns, std::os::fd::AsRawFd::as_raw_fd(&own), 0))
    }),
    ("enter_namespace", |_| reached(call!(libc::SYS_setns, -1, 0))),
    ("enter_namespace_of_broker", |to| {
        let theirs = open(format!("/proc/{}/ns/net", to.processes.broker), libc::O_RDONLY)?;
        reached(call!(libc::SYS_setns, std::os::fd::AsRawFd::as_raw_fd(&theirs), libc::CLONE_NEWNET))
    }),
    ("mount", |_| {
        let (from, kind) = (c"none".as_ptr(), NO_FILE_SYSTEM.as_ptr());
        reached(call!(libc::SYS_mount, from, c"/".as_ptr(), kind, 0, 0))
    }),
    ("unmount", |_| reached(call!(libc::SYS_umount2, c"/".as_ptr(), 1 << 20))),
    ("pivot_root", |_| reached(call!(libc::SYS_pivot_root, c"/".as_ptr(), c"/".as_ptr()))),
    ("change_root", |_| by_child(|| call!(libc::SYS_chroot, c"/".as_ptr()).map(drop))),
    ("open_tree", |_| reached(call!(libc::SYS_open_tree, libc::AT_FDCWD, NOWHERE.as_ptr(), 0))),
    ("move_mount", |_| reached(call!(libc::SYS_move_mount, -1, NOWHERE.as_ptr(), -1, NOWHERE.as_ptr(), 0))),
    ("fsopen", |_| reached(call!(libc::SYS_fsopen, NO_FILE_SYSTEM.as_ptr(), 0))),
    ("fspick", |_| reached(call!(libc::SYS_fspick, libc::AT_FDCWD, NOWHERE.as_ptr(), 0))),
    ("fsconfig", |_| reached(call!(libc::SYS_fsconfig, -1, 0, 0, 0, 0))),
    ("fsmount", |_| reached(call!(libc::SYS_fsmount, -1, 0, 0))),
    ("mount_setattr", |_| {
        let nothing = [0_u64; 4];
        reached(call!(libc::SYS_mount_setattr, -1, c"".as_ptr(), 0, at(&nothing), size_of_val(&nothing)))
    }),
    ("io_uring", |_| reached(call!(libc::SYS_io_uring_setup, 1, 0))),
    ("io_uring_enter", |_| reached(call!(libc::SYS_io_uring_enter, -1, 0, 0, 0, 0, 0))),
    ("io_uring_register", |_| reached(call!(libc::SYS_io_uring_register, -1, 0, 0, 0))),
    ("userfaultfd", |_| raw::descriptor(call!(libc::SYS_userfaultfd, 1)).map(drop)), // own faults only
    ("bpf", |_| reached(call!(libc::SYS_bpf, 9999, 0, 0))),
    ("perf_event_open", |_| reached(call!(libc::SYS_perf_event_open, 0, 0, -1, -1, 0))),
    ("personality", |_| call!(libc::SYS_personality, 0x004_0000).map(drop)), // no address randomisation
    ("modify_local_descriptors", modify_ldt),
    ("io_privilege", |_| call_of_x86(172, &[3])),      // iopl
    ("io_ports", |_| call_of_x86(173, &[0x80, 1, 1])), // ioperm
    ("accounting", |_| reached(call!(libc::SYS_acct, NOWHERE.as_ptr()))),
    ("swap_on", |_| reached(call!(libc::SYS_swapon, NOWHERE.as_ptr(), 0))),
    ("swap_off", |_| reached(call!(libc::SYS_swapoff, NOWHERE.as_ptr()))),
    ("reboot", |_| reached(call!(libc::SYS_reboot, 0, 0, 0, 0))),
    ("load_other_kernel", |_| reached(call!(libc::SYS_kexec_load, 0, 0, 0, 1 << 30))),
    ("load_module", |_| reached(call!(libc::SYS_finit_module, -1, c"".as_ptr(), 0))),
    ("load_module_from_memory", |_| reached(call!(libc::SYS_init_module, 0, 0, c"".as_ptr()))),
    ("remove_module", |_| reached(call!(libc::SYS_delete_module, c"outrigger-none".as_ptr(), 0))),
    ("set_host_name", |_| reached(call!(libc::SYS_sethostname, 0, -1))),
    ("set_domain_name", |_| reached(call!(libc::SYS_setdomainname, 0, -1))),
    ("set_time", |_| reached(call!(libc::SYS_settimeofday, 0, 0))),
    ("set_clock", |_| reached(call!(libc::SYS_clock_settime, libc::CLOCK_REALTIME, 0))),
    ("adjust_clock", adjust_clock),
    ("adjust_any_clock", |_| {
        let mut how: libc::timex = raw::zeroed();
        call!(libc::SYS_adjtimex, into(&mut how))?;
        how.modes = libc::ADJ_STATUS; // to what it is
        call!(libc::SYS_clock_adjtime, libc::CLOCK_REALTIME, into(&mut how)).map(drop)
    }),
    ("set_groups", |_| by_child(|| call!(libc::SYS_setgroups, 0, 0).map(drop))),
    ("quota", |_| reached(call!(libc::SYS_quotactl, 0x80_0007 << 8, NOWHERE.as_ptr(), 0, 0))),
    ("kernel_messages", |_| {
        let mut text = [0_u8; 64];
        call!(libc::SYS_syslog, 3, into(&mut text), text.len()).map(drop)
    }),
    ("hang_up", |_| by_child(|| call!(libc::SYS_vhangup).map(drop))),
    ("numa_policy", |_| reached(call!(libc::SYS_migrate_pages, 0, 0, 0, 0))),
    ("push_characters_to_terminal", |_| ioctl(0x5412)), // TIOCSTI
    ("select_on_console", |_| ioctl(0x541C)),           // TIOCLINUX
    ("take_terminal", |_| ioctl(0x540E)),               // TIOCSCTTY
    ("set_line_discipline", |_| ioctl(0x5423)),         // TIOCSETD
    ("write_kernel_settings", |_| open("/proc/sys/kernel/core_pattern", libc::O_WRONLY).map(drop)),
    ("write_own_network_settings", |_| open("/proc/sys/net/ipv4/ip_forward", libc::O_WRONLY).map(drop)),
    ("trigger_system_request", |_| open("/proc/sysrq-trigger", libc::O_WRONLY).map(drop)),
    ("read_system_settings", |_| open("/sys/kernel/uevent_seqnum", libc::O_RDONLY).map(drop)),
    ("list_mounts", |_| reached(call!(458, 0, 0, 0, 0))), // listmount
    ("leave_control_group", |_| leave_control_group()),
    ("push_characters_with_high_bits", |_| reached(call!(libc::SYS_ioctl, 0, 0x5412 | HIGH_BITS, at("x")))),
    ("select_on_console_with_high_bits", |_| reached(call!(libc::SYS_ioctl, 0, 0x541C | HIGH_BITS, at("x")))),
    ("unknown_call", |_| reached(call!(600))),
    ("call_of_x32", |_| call_of_x86(0x4000_0000 | 39, &[])),
    ("call_of_32_bits", call_of_32_bits),
];

const ALL_NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP;

const NOWHERE: &CStr = c"/nonexistent/outrigger";
const NO_FILE_SYSTEM: &CStr = c"outrigger-none";

/// Bits that a filter sees, and the kernel does not where the argument is an `int`.
pub(super) const HIGH_BITS: i64 = 1 << 32;

/// Out of the group that limits this process, into the one above all.
fn leave_control_group() -> Attempt {
    let places =
        ["", "unified/", "memory/", "pids/"].map(|name| format!("/sys/fs/cgroup/{name}cgroup.procs"));
    let open = |place: &String| open(place, libc::O_WRONLY).map(drop);
    places.iter().map(open).reduce(Attempt::or).unwrap()
}

fn unshare(flags: i32) -> Attempt {
    by_child(|| call!(libc::SYS_unshare, flags).map(drop))
}

/// A process with a world of its own, by the call that a filter can look into.
fn clone(flags: i32) -> Attempt {
    made(call!(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0))
}

/// The same by the call that no filter can look into.
fn clone3(flags: u64) -> Attempt {
    // flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
    let arguments = [flags, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    made(call!(libc::SYS_clone3, at(&arguments), size_of_val(&arguments)))
}

/// In the child of a clone: end. In the parent: wait for that.
fn made(pid: Attempt<i64>) -> Attempt {
    match pid? {
        0 => raw::leave(0),
        pid => raw::wait_for(i32::try_from(pid).unwrap()).map(drop),
    }
}

/// On a socket or pipe: where it is let through, the kernel finds that this is no terminal.
fn ioctl(request: i32) -> Attempt {
    reached(call!(libc::SYS_ioctl, 0, request, at("x")))
}

/// Sets the offset of the clock to where it is... which only those may who may set the clock.
fn adjust_clock(_: &Targets) -> Attempt {
    let mut how: libc::timex = raw::zeroed();
    call!(libc::SYS_adjtimex, into(&mut how))?;
    how.modes = libc::ADJ_STATUS;
    call!(libc::SYS_adjtimex, into(&mut how)).map(drop)
}

#[cfg(target_arch = "x86_64")]
fn modify_ldt(_: &Targets) -> Attempt {
    let mut table = [0_u8; 64];
    call!(libc::SYS_modify_ldt, 0, into(&mut table), table.len()).map(drop)
}

/// The gate of 32-bit programs, whose calls have other numbers.
#[cfg(target_arch = "x86_64")]
fn call_of_32_bits(_: &Targets) -> Attempt {
    const GETPID: i64 = 20;
    let mut result = GETPID;
    // SAFETY: `getpid` touches no memory. The gate keeps all registers but the result, and r8 to
    // r11, which older kernels clear.
    unsafe {
        std::arch::asm!("int 0x80", inout("rax") result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    match result {
        result if result < 0 => Err(Failed::Errno(i32::try_from(-result).unwrap_or(0))),
        result => check(result == i64::from(std::process::id())),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn modify_ldt(_: &Targets) -> Attempt {
    skipped("not on this architecture")
}

#[cfg(not(target_arch = "x86_64"))]
fn call_of_32_bits(_: &Targets) -> Attempt {
    skipped("not on this architecture")
}
