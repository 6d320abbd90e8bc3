//! Signalling other processes. The signals do no harm: the broker has blocked them, and sees
//! them pending; everybody else ignores SIGURG.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use super::kernel::HIGH_BITS;
use super::raw::{self, Attempt, at, call, into};
use super::{Probe, Targets};

const SIGNAL: i32 = libc::SIGURG;

pub(super) const PROBES: &[Probe] = &[
    ("signal_broker", |to| call!(libc::SYS_kill, to.processes.broker, SIGNAL).map(drop)),
    ("signal_another", |to| call!(libc::SYS_kill, to.processes.victim, SIGNAL).map(drop)),
    ("signal_parent_of_plugin", parent),
    ("signal_first_process", |_| call!(libc::SYS_kill, 1, 0).map(drop)),
    ("signal_everybody", |to| everybody(to, -1)),
    // The kernel takes 32 bits, so this is -1 as well.
    ("signal_everybody_without_a_sign", |to| everybody(to, 0xFFFF_FFFF)),
    ("signal_own_group", |_| call!(libc::SYS_kill, 0, SIGNAL).map(drop)),
    ("signal_group_of_broker", |to| call!(libc::SYS_kill, -to.processes.broker_group, SIGNAL).map(drop)),
    ("signal_thread_of_broker", |to| {
        call!(libc::SYS_tgkill, to.processes.broker, to.processes.broker, SIGNAL).map(drop)
    }),
    ("signal_thread_by_the_old_call", |to| call!(libc::SYS_tkill, to.processes.broker, SIGNAL).map(drop)),
    ("queue_signal", |to| {
        call!(libc::SYS_rt_sigqueueinfo, to.processes.broker, SIGNAL, at(&information())).map(drop)
    }),
    ("queue_signal_to_thread", |to| {
        let broker = to.processes.broker;
        call!(libc::SYS_rt_tgsigqueueinfo, broker, broker, SIGNAL, at(&information())).map(drop)
    }),
    ("signal_by_pidfd", |to| {
        let broker = raw::descriptor(call!(libc::SYS_pidfd_open, to.processes.broker, 0))?;
        call!(libc::SYS_pidfd_send_signal, broker.as_raw_fd(), SIGNAL, 0, 0).map(drop)
    }),
    ("signal_by_pidfd_of_proc", |to| {
        let broker = raw::open(format!("/proc/{}", to.processes.broker), libc::O_RDONLY)?;
        call!(libc::SYS_pidfd_send_signal, broker.as_raw_fd(), SIGNAL, 0, 0).map(drop)
    }),
    ("signal_by_owner", |to| by_owner(|pipe| own(pipe, to.processes.broker))),
    ("signal_by_owner_group", |to| by_owner(|pipe| own(pipe, -to.processes.broker_group))),
    ("signal_by_extended_owner", |to| {
        by_owner(|pipe| {
            let owner = [1_i32, to.processes.broker]; // of kind "process"
            call!(libc::SYS_fcntl, pipe.as_raw_fd(), F_SETOWN_EX, at(&owner)).map(drop)
        })
    }),
    ("signal_by_owner_with_high_bits", |to| {
        by_owner(|pipe| {
            let command = i64::from(libc::F_SETOWN) | HIGH_BITS;
            call!(libc::SYS_fcntl, pipe.as_raw_fd(), command, to.processes.broker).map(drop)
        })
    }),
    ("signal_by_owner_of_socket", |to| by_owner_of_socket(to, 0x8901)),
    ("signal_by_process_group_of_socket", |to| by_owner_of_socket(to, 0x8902)),
    ("signal_by_owner_of_socket_with_high_bits", |to| by_owner_of_socket(to, 0x8901 | HIGH_BITS)),
];

const F_SETOWN_EX: i32 = 15;

/// A `siginfo` as `sigqueue` fills it in: number, error, code.
fn information() -> [i32; 32] {
    let mut information = [0; 32];
    information[0] = SIGNAL;
    information[2] = -1; // SI_QUEUE
    information
}

fn everybody(to: &Targets, pid: i64) -> Attempt {
    if !to.confined {
        return super::skipped("it would reach every process of the user");
    }
    call!(libc::SYS_kill, pid, SIGNAL).map(drop)
}

/// The process that started the plugin, or whoever stands in its place.
fn parent(_: &Targets) -> Attempt {
    call!(libc::SYS_kill, super::parent()?, SIGNAL).map(drop)
}

fn own(file: &OwnedFd, owner: i32) -> Attempt {
    call!(libc::SYS_fcntl, file.as_raw_fd(), libc::F_SETOWN, owner).map(drop)
}

/// The kernel sends SIGIO to the owner of a pipe when there is something to read.
fn by_owner(own: impl FnOnce(&OwnedFd) -> Attempt) -> Attempt {
    let (reader, writer) = std::io::pipe()?;
    let reader = OwnedFd::from(reader);
    own(&reader)?;
    call!(libc::SYS_fcntl, reader.as_raw_fd(), libc::F_SETFL, libc::O_ASYNC)?;
    std::io::Write::write_all(&mut File::from(OwnedFd::from(writer)), b"x")?;
    Ok(())
}

/// The same by `ioctl`: FIOSETOWN and SIOCSPGRP.
fn by_owner_of_socket(to: &Targets, request: i64) -> Attempt {
    let mut both = [0_i32; 2];
    call!(libc::SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, into(&mut both))?;
    let [reader, writer] = both;
    call!(libc::SYS_ioctl, reader, request, at(&to.processes.broker))?;
    call!(libc::SYS_fcntl, reader, libc::F_SETFL, libc::O_ASYNC)?;
    call!(libc::SYS_write, writer, at("x"), 1).map(drop)
}
