//! Seeing and touching other processes, in every way but by signals.

use std::fs;
use std::os::fd::AsRawFd;

use super::raw::{self, Attempt, at, call, into, open, reached, read};
use super::{Probe, Targets, check, parent, read_text};

pub(super) const PROBES: &[Probe] = &[
    ("see_processes", see_processes),
    ("see_broker_status", |to| read(of_broker(to, "status")).map(drop)),
    ("see_broker_command", |to| read(of_broker(to, "cmdline")).map(drop)),
    ("see_broker_by_session", |to| call!(libc::SYS_getsid, to.processes.broker).map(drop)),
    ("see_broker_limits", |to| {
        let mut limit = [0_u64; 2];
        call!(libc::SYS_prlimit64, to.processes.broker, libc::RLIMIT_NOFILE, 0, into(&mut limit)).map(drop)
    }),
    ("see_broker_processors", |to| {
        let mut set = [0_u64; 16];
        call!(libc::SYS_sched_getaffinity, to.processes.broker, size_of_val(&set), into(&mut set)).map(drop)
    }),
    ("see_broker_group", |to| call!(libc::SYS_getpgid, to.processes.broker).map(drop)),
    ("see_broker_scheduler", |to| call!(libc::SYS_sched_getscheduler, to.processes.broker).map(drop)),
    ("see_broker_priority", |to| {
        call!(libc::SYS_getpriority, libc::PRIO_PROCESS, to.processes.broker).map(drop)
    }),
    ("see_broker_io_priority", |to| call!(libc::SYS_ioprio_get, 1, to.processes.broker).map(drop)),
    ("see_broker_time", |to| {
        let clock = (i64::from(!to.processes.broker) << 3) | 2; // how long it has computed
        let mut time = [0_i64; 2];
        call!(libc::SYS_clock_gettime, clock, into(&mut time)).map(drop)
    }),
    ("see_broker_mutexes", |to| {
        let (mut head, mut length) = (0_u64, 0_u64);
        call!(libc::SYS_get_robust_list, to.processes.broker, into(&mut head), into(&mut length)).map(drop)
    }),
    ("read_broker_environment", |to| {
        let environment = read_text(of_broker(to, "environ"))?;
        check(environment.contains(&to.processes.secret))
    }),
    ("read_broker_memory_by_proc", |to| {
        let (memory, mut found) = (open(of_broker(to, "mem"), libc::O_RDONLY)?, secret_sized(to));
        let (from, length) = (to.processes.secret_address, found.len());
        call!(libc::SYS_pread64, memory.as_raw_fd(), into(found.as_mut_slice()), length, from)?;
        check(found == to.processes.secret.as_bytes())
    }),
    ("write_broker_memory_by_proc", |to| open(of_broker(to, "mem"), libc::O_RDWR).map(drop)),
    ("read_broker_maps", |to| check(!read(of_broker(to, "maps"))?.is_empty())),
    ("list_broker_descriptors", |to| Ok(fs::read_dir(of_broker(to, "fd")).map(drop)?)),
    ("open_broker_descriptor", |to| read(of_broker(to, &format!("fd/{}", to.processes.leaked))).map(drop)),
    ("read_secret_by_broker_root", |to| {
        read(format!("{}{}", of_broker(to, "root"), to.secret.display())).map(drop)
    }),
    ("read_broker_folder", |to| Ok(fs::read_link(of_broker(to, "cwd")).map(drop)?)),
    ("read_secret_by_process_vm_readv", |to| {
        let mut found = secret_sized(to);
        let here = [into(found.as_mut_slice()), found.len() as i64];
        let there = [to.processes.secret_address as i64, found.len() as i64];
        call!(libc::SYS_process_vm_readv, to.processes.broker, at(&here), 1, at(&there), 1, 0)?;
        check(found == to.processes.secret.as_bytes())
    }),
    ("write_memory_by_process_vm_writev", |to| {
        let here = [at(to.processes.secret.as_str()), to.processes.secret.len() as i64];
        let there = [to.processes.secret_address as i64, to.processes.secret.len() as i64];
        call!(libc::SYS_process_vm_writev, to.processes.broker, at(&here), 1, at(&there), 1, 0).map(drop)
    }),
    ("trace_broker", |to| call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, to.processes.broker, 0, 0).map(drop)),
    ("trace_another", |to| {
        call!(libc::SYS_ptrace, libc::PTRACE_ATTACH, to.processes.victim, 0, 0)?;
        raw::wait_for(to.processes.victim)?;
        call!(libc::SYS_ptrace, libc::PTRACE_DETACH, to.processes.victim, 0, 0).map(drop)
    }),
    ("take_broker_descriptor", |to| {
        let broker = raw::descriptor(call!(libc::SYS_pidfd_open, to.processes.broker, 0))?;
        raw::descriptor(call!(libc::SYS_pidfd_getfd, broker.as_raw_fd(), to.processes.leaked, 0)).map(drop)
    }),
    ("watch_broker", |to| raw::descriptor(call!(libc::SYS_pidfd_open, to.processes.broker, 0)).map(drop)),
    ("compare_with_broker", |to| {
        const KCMP_FILES: i32 = 2;
        let (own, broker) = (std::process::id(), to.processes.broker);
        call!(libc::SYS_kcmp, own, broker, KCMP_FILES, 0, 0).map(drop)
    }),
    ("set_broker_limits", |to| {
        let limit = [4_u64, 4];
        call!(libc::SYS_prlimit64, to.processes.broker, libc::RLIMIT_CORE, at(&limit), 0).map(drop)
    }),
    ("set_broker_priority", |to| {
        call!(libc::SYS_setpriority, libc::PRIO_PROCESS, to.processes.broker, nicer(1)?).map(drop)
    }),
    ("set_group_priority", |to| {
        call!(libc::SYS_setpriority, libc::PRIO_PGRP, to.processes.broker_group, nicer(1)?).map(drop)
    }),
    ("pin_broker", |to| {
        let mut set = [0_u64; 16];
        call!(libc::SYS_sched_getaffinity, 0, size_of_val(&set), into(&mut set))?;
        let lowest = set.map(|word| word & word.wrapping_neg());
        call!(libc::SYS_sched_setaffinity, to.processes.broker, size_of_val(&lowest), at(&lowest)).map(drop)
    }),
    ("set_broker_scheduler", |to| {
        let parameters = 0_i32;
        let (broker, idle) = (to.processes.broker, libc::SCHED_BATCH);
        call!(libc::SYS_sched_setscheduler, broker, idle, at(&parameters)).map(drop)
    }),
    ("set_broker_parameters", |to| {
        call!(libc::SYS_sched_setparam, to.processes.broker, at(&0_i32)).map(drop)
    }),
    ("set_broker_io_priority", |to| {
        let lowest = (2 << 13) | 7; // best effort, the last of it
        call!(libc::SYS_ioprio_set, 1, to.processes.broker, lowest).map(drop)
    }),
    ("set_broker_score", |to| {
        Ok(fs::File::options()
            .write(true)
            .open(of_broker(to, "oom_score_adj"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"500"))?)
    }),
    ("spare_itself_when_memory_ends", |_| Ok(fs::write("/proc/self/oom_score_adj", "-900")?)),
    ("set_broker_attributes", |to| {
        let attributes = [48_i32, 3, 0, 0, i32::try_from(nicer(2)?).unwrap(), 0, 0, 0, 0, 0, 0, 0]; // size, policy "batch", …, niceness
        call!(libc::SYS_sched_setattr, to.processes.broker, at(&attributes), 0).map(drop)
    }),
    ("set_priority_of_a_user", |_| of_a_user(libc::SYS_setpriority, libc::PRIO_USER, 19)),
    ("set_io_priority_of_a_user", |_| of_a_user(libc::SYS_ioprio_set, 3, (2 << 13) | 7)),
    ("trace_parent", |_| call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, parent()?, 0, 0).map(drop)),
    ("open_parent_memory", |_| open(format!("/proc/{}/mem", parent()?), libc::O_RDWR).map(drop)),
    ("list_parent_descriptors", |_| Ok(fs::read_dir(format!("/proc/{}/fd", parent()?)).map(drop)?)),
    ("read_secret_by_parent_root", |to| {
        read(format!("/proc/{}/root{}", parent()?, to.secret.display())).map(drop)
    }),
    ("set_parent_limits", |_| {
        let limit = [4_u64, 4];
        call!(libc::SYS_prlimit64, parent()?, libc::RLIMIT_CORE, at(&limit), 0).map(drop)
    }),
    ("adopt_orphans", |_| call!(libc::SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0).map(drop)),
    ("stop_dying_with_the_parent", |_| call!(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, 0).map(drop)),
    ("move_broker_pages", |to| {
        let (mut status, page) = ([0_i32; 1], [to.processes.secret_address & !0xFFF]);
        call!(libc::SYS_move_pages, to.processes.broker, 1, at(&page), 0, into(&mut status), 0).map(drop)
    }),
    ("advise_broker_memory", |to| {
        const COLD: i32 = 20;
        let broker = raw::descriptor(call!(libc::SYS_pidfd_open, to.processes.broker, 0))?;
        let page = [(to.processes.secret_address & !0xFFF) as i64, 4096];
        call!(libc::SYS_process_madvise, broker.as_raw_fd(), at(&page), 1, COLD, 0).map(drop)
    }),
    ("leave_the_session", |_| call!(libc::SYS_setsid).map(drop)),
    ("leave_the_process_group", |_| call!(libc::SYS_setpgid, 0, 0).map(drop)),
];

/// A file about the broker.
fn of_broker(to: &Targets, file: &str) -> String {
    format!("/proc/{}/{file}", to.processes.broker)
}

/// A niceness that anyone may set, as it is more than ours, which is the broker's.
fn nicer(by: i64) -> Attempt<i64> {
    let ours = 20 - call!(libc::SYS_getpriority, libc::PRIO_PROCESS, 0)?;
    Ok((ours + by).min(19))
}

/// Of all processes of a user, who here has none: the own user's are the broker and the desktop,
/// and they would be changed for good.
fn of_a_user(number: i64, which: u32, value: i64) -> Attempt {
    const NOBODY_AT_ALL: u32 = 54_321;
    reached(call!(number, which, NOBODY_AT_ALL, value))
}

fn secret_sized(to: &Targets) -> Vec<u8> {
    vec![0; to.processes.secret.len()]
}

/// Only the broker counts: that a plugin sees itself is no secret.
fn see_processes(to: &Targets) -> Attempt {
    let broker = to.processes.broker.to_string();
    let seen = fs::read_dir("/proc")?.filter_map(Result::ok).any(|entry| *entry.file_name() == *broker);
    // The number may mean a process of the plugin's own world.
    let is_the_broker = seen && read_text(of_broker(to, "cmdline")).is_ok_and(|line| line.contains("matrix"));
    check(is_the_broker)
}
