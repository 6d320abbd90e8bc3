//! Taking more than the share that was given.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use super::raw::{self, Attempt, at, by_child, call};
use super::{Probe, Targets, check, skipped};

pub(super) const PROBES: &[Probe] = &[
    ("file_longer_than_allowed", |to| by_child(|| lengthen(to, open(to, "long")?))),
    ("file_truncated_to_more_than_allowed", |to| by_child(|| truncate_to(to, open(to, "longer")?))),
    ("memory_file_longer_than_allowed", |to| by_child(|| lengthen(to, memory()?))),
    ("many_files", many_files),
    ("too_many_processes", too_many_processes),
    ("too_many_threads", |to| by_child(|| too_many_threads(to))),
    ("private_memory", |to| by_child(|| mapped_memory(to, libc::MAP_PRIVATE))),
    ("shared_memory", |to| by_child(|| mapped_memory(to, libc::MAP_SHARED))),
    ("memory_of_memory_files", |to| by_child(|| memory_files(to))),
    ("higher_priority", |_| call!(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, -5).map(drop)),
    ("real_time", |_| {
        let priority = 1_i32;
        call!(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, at(&priority)).map(drop)
    }),
    ("locked_memory", locked_memory),
    ("core_dump", |_| {
        let limit = [u64::from(u32::MAX); 2];
        call!(libc::SYS_prlimit64, 0, libc::RLIMIT_CORE, at(&limit), 0).map(drop)
    }),
    ("daemon", |_| daemon()),
];

/// How much more than allowed is tried.
const EXCESS: u64 = 32 << 20;

fn open(to: &Targets, name: &str) -> Attempt<OwnedFd> {
    Ok(File::create(to.write.join(name))?.into())
}

fn memory() -> Attempt<OwnedFd> {
    raw::descriptor(call!(libc::SYS_memfd_create, c"probe".as_ptr(), libc::MFD_CLOEXEC))
}

/// One byte beyond the limit; all before it is a hole.
fn lengthen(to: &Targets, file: OwnedFd) -> Attempt {
    call!(libc::SYS_pwrite64, file.as_raw_fd(), at("x"), 1, to.limits.file_size).map(drop)
}

fn truncate_to(to: &Targets, file: OwnedFd) -> Attempt {
    call!(libc::SYS_ftruncate, file.as_raw_fd(), to.limits.file_size + 1).map(drop)
}

/// More bytes than one file may have, in several.
fn many_files(to: &Targets) -> Attempt {
    let part = vec![b'x'; usize::try_from(to.limits.file_size / 2).unwrap()];
    for number in 0..5 {
        let file = to.write.join(format!("part-{number}"));
        std::fs::write(&file, &part)?;
    }
    Ok((0..5).try_for_each(|number| std::fs::remove_file(to.write.join(format!("part-{number}"))))?)
}

/// Children that wait until this process lets them go.
fn too_many_processes(to: &Targets) -> Attempt {
    let mut ends = [0_i32; 2];
    call!(libc::SYS_pipe2, raw::into(&mut ends), libc::O_CLOEXEC)?;
    let mut children = Vec::new();
    let mut stopped = Ok(());
    for _ in 0..=to.limits.processes {
        match raw::fork(|| wait_for_end(ends)) {
            Ok(child) => children.push(child),
            Err(failed) => stopped = Err(failed),
        }
    }
    ends.iter().try_for_each(|end| call!(libc::SYS_close, *end).map(drop))?;
    children.into_iter().try_for_each(|child| raw::wait_for(child).map(drop))?;
    stopped
}

/// Reads from a pipe until nobody holds its other end.
fn wait_for_end([reader, writer]: [i32; 2]) -> i32 {
    let mut byte = [0_u8];
    let closed = call!(libc::SYS_close, writer);
    let read = call!(libc::SYS_read, reader, raw::into(&mut byte), 1);
    i32::from(closed.and(read).is_err())
}

fn too_many_threads(to: &Targets) -> Attempt {
    let start = |_| std::thread::Builder::new().stack_size(64 << 10).spawn(std::thread::park);
    let started: Vec<_> = (0..=to.limits.processes).map(start).collect();
    let stopped = started.iter().find_map(|thread| thread.as_ref().err()).map(|error| error.raw_os_error());
    let threads: Vec<_> = started.into_iter().filter_map(Result::ok).collect();
    threads.iter().for_each(|thread| thread.thread().unpark());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    stopped.map_or(Ok(()), |errno| Err(super::Failed::Errno(errno.unwrap_or(0))))
}

fn mapped_memory(to: &Targets, sharing: i32) -> Attempt {
    let length = to.limits.memory + EXCESS;
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, sharing | libc::MAP_ANONYMOUS);
    let address = call!(libc::SYS_mmap, 0, length, access, flags, -1, 0)?;
    // Every page is written by the kernel itself: populated.
    call!(libc::SYS_madvise, address, length, libc::MADV_POPULATE_WRITE).map(drop)
}

fn memory_files(to: &Targets) -> Attempt {
    let part = vec![b'x'; 1 << 20];
    let mut kept = Vec::new();
    while (kept.len() as u64) << 20 < to.limits.memory + EXCESS {
        let file = memory()?;
        let written = call!(libc::SYS_write, file.as_raw_fd(), at(part.as_slice()), part.len())?;
        if written != part.len() as i64 {
            return skipped("the limit of a file is below 1 MiB");
        }
        kept.push(file);
    }
    Ok(())
}

fn locked_memory(_: &Targets) -> Attempt {
    let memory = vec![0_u8; 1 << 20];
    call!(libc::SYS_mlock, at(memory.as_slice()), memory.len()).map(drop)
}

/// Leaves a process behind, in a session of its own if it can, that holds the log open.
fn daemon() -> Attempt {
    let end = raw::in_child(|| {
        call!(libc::SYS_setsid).ok();
        i32::from(
            raw::fork(|| {
                loop {
                    call!(libc::SYS_rt_sigsuspend, at(&0_u64), 8).ok();
                }
            })
            .is_err(),
        )
    })?;
    check(end == raw::End::Code(0))
}
