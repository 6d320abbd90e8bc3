//! What a plugin must be able to do: a sandbox that forbids it would be of no use.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Instant, SystemTime};

use outrigger_sandbox::PROXY_PORT;

use super::network::{connect, socket, v4};
use super::raw::{self, Attempt, End, at, call, can_execute, into, read};
use super::{Probe, Targets, check, read_text, skipped};

pub(super) const PROBES: &[Probe] = &[
    ("can_read_granted", |to| check(read(to.read.join("known"))? == b"granted")),
    ("can_list_granted", |to| check(fs::read_dir(&to.read)?.count() > 1)),
    ("can_write_granted", write_granted),
    ("can_truncate_granted", |to| {
        let file = made(to, "cut")?;
        File::options().write(true).truncate(true).open(&file)?;
        check(fs::metadata(file)?.len() == 0)
    }),
    ("can_rename_granted", |to| {
        let (from, towards) = (made(to, "old")?, to.write.join("new"));
        fs::rename(from, &towards)?;
        check(read(towards)? == b"made")
    }),
    ("can_replace_granted", |to| {
        let (from, towards) = (made(to, "next")?, made(to, "kept")?);
        Ok(fs::rename(from, towards)?)
    }),
    ("can_rename_between_granted_folders", |to| {
        let (one, other) = (to.write.join("one"), to.write.join("other"));
        [&one, &other].into_iter().try_for_each(fs::create_dir)?;
        File::create(one.join("file"))?;
        Ok(fs::rename(one.join("file"), other.join("file"))?)
    }),
    ("can_remove_granted", |to| Ok(fs::remove_file(made(to, "removed")?)?)),
    ("can_link_granted", |to| Ok(std::os::unix::fs::symlink("known", to.write.join("link"))?)),
    ("can_sync_and_lock_granted", |to| {
        let file = File::create(to.write.join("locked"))?;
        file.lock()?;
        Ok(file.sync_all()?)
    }),
    ("can_map_granted", map_granted),
    ("can_write_to_scratch", |_| {
        let file = format!("/tmp/outrigger-probe-{}", std::process::id());
        fs::write(&file, "x")?;
        Ok(fs::remove_file(file)?)
    }),
    ("can_use_devices", |_| {
        let mut bytes = [1_u8; 8];
        File::open("/dev/zero")?.read_exact(&mut bytes)?;
        File::open("/dev/urandom")?.read_exact(&mut [0; 8])?;
        File::open("/dev/random")?.read_exact(&mut [0; 8])?;
        fs::write("/dev/null", "x")?;
        let full = fs::write("/dev/full", "x").unwrap_err();
        check(bytes == [0; 8] && full.raw_os_error() == Some(libc::ENOSPC))
    }),
    ("can_read_system_libraries", |_| {
        read("/etc/ld.so.cache")?;
        check(fs::read_dir("/usr/lib")?.count() > 0)
    }),
    ("can_read_certificates", |_| match fs::metadata("/etc/ssl/certs/ca-certificates.crt") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => skipped("there are no certificates"),
        _ => read("/etc/ssl/certs/ca-certificates.crt").map(drop),
    }),
    ("can_see_itself", |_| {
        let status = read_text("/proc/self/status")?;
        check(status.contains("Pid:") && fs::read_dir("/proc/self/fd")?.count() >= 3)
    }),
    ("can_start_threads", |_| {
        let threads: Vec<_> =
            (0..3).map(|number| std::thread::Builder::new().spawn(move || number)).collect();
        let joined = threads.into_iter().map(|thread| Ok(thread?.join().unwrap()));
        check(joined.collect::<Attempt<Vec<_>>>()? == [0, 1, 2])
    }),
    ("can_fork_and_wait", |_| check(raw::in_child(|| 7)? == End::Code(7))),
    ("can_end_its_child", |_| {
        let child = raw::fork(|| {
            loop {
                std::thread::park();
            }
        })?;
        call!(libc::SYS_kill, child, libc::SIGKILL)?;
        check(raw::wait_for(child)? == End::Signal(libc::SIGKILL))
    }),
    ("can_signal_itself", |_| {
        call!(libc::SYS_kill, std::process::id(), libc::SIGURG)?;
        call!(libc::SYS_tgkill, std::process::id(), call!(libc::SYS_gettid)?, libc::SIGURG).map(drop)
    }),
    ("can_make_memory_files", |_| {
        let memory = raw::descriptor(call!(libc::SYS_memfd_create, c"probe".as_ptr(), libc::MFD_CLOEXEC))?;
        Ok(File::from(memory).write_all(b"x")?)
    }),
    ("can_use_pipes", |_| {
        let (mut reader, mut writer) = std::io::pipe()?;
        writer.write_all(b"x")?;
        Ok(reader.read_exact(&mut [0])?)
    }),
    ("can_use_pairs_of_streams", |_| {
        let (mut one, mut other) = UnixStream::pair()?;
        one.write_all(b"x")?;
        Ok(other.read_exact(&mut [0])?)
    }),
    ("can_wait_for_events", wait_for_events),
    ("can_tell_the_time", |_| {
        let begun = Instant::now();
        while begun.elapsed().is_zero() {} // it moves
        check(SystemTime::now() > SystemTime::UNIX_EPOCH)
    }),
    ("can_wait_for_a_moment", |_| {
        let moment = libc::timespec { tv_sec: 0, tv_nsec: 1 };
        call!(libc::SYS_clock_nanosleep, libc::CLOCK_MONOTONIC, 0, at(&moment), 0).map(drop)
    }),
    ("can_draw_random_numbers", |_| {
        let mut bytes = [0_u8; 16];
        check(call!(libc::SYS_getrandom, into(&mut bytes), bytes.len(), 0)? == 16)
    }),
    ("can_map_memory", |_| check(map(libc::PROT_READ | libc::PROT_WRITE)? != 0)),
    ("can_make_code", |_| {
        let address = map(libc::PROT_READ | libc::PROT_WRITE)?;
        call!(libc::SYS_mprotect, address, 4096, libc::PROT_READ | libc::PROT_EXEC).map(drop)
    }),
    ("can_ask_about_itself", |_| {
        let mut about = [0_u8; 1024];
        call!(libc::SYS_uname, into(&mut about))?;
        call!(libc::SYS_getcwd, into(&mut about), about.len())?;
        call!(libc::SYS_getrusage, libc::RUSAGE_SELF, into(&mut about))?;
        call!(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, 0, into(&mut about))?;
        call!(libc::SYS_sched_getaffinity, 0, about.len(), into(&mut about)).map(drop)
    }),
    ("can_reach_granted_port", |to| {
        connect(&socket(libc::AF_INET, libc::SOCK_STREAM, 0)?, &v4(to.network.granted))
    }),
    ("can_reach_its_proxy", |_| connect(&socket(libc::AF_INET, libc::SOCK_STREAM, 0)?, &v4(PROXY_PORT))),
    ("can_execute_granted", |to| can_execute(&to.quiet, &[])),
    ("can_execute_from_granted", |to| can_execute(&to.runner, &[to.quiet.to_str().unwrap()])),
    ("can_execute_itself", |to| match &to.own {
        Some(own) => can_execute(own, &["role", "nothing"]),
        None => skipped("it was not executed"),
    }),
];

/// A file of our own in the grant.
fn made(to: &Targets, name: &str) -> Attempt<std::path::PathBuf> {
    let file = to.write.join(name);
    fs::write(&file, "made")?;
    Ok(file)
}

fn write_granted(to: &Targets) -> Attempt {
    let mut file = File::options().read(true).append(true).open(to.write.join("known"))?;
    file.write_all(b"!")?;
    file.rewind()?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    check(content == b"granted!")
}

/// Writes through memory that is shared with a file, as databases do.
fn map_granted(to: &Targets) -> Attempt {
    let file: OwnedFd = File::options().read(true).write(true).open(made(to, "mapped")?)?.into();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    call!(libc::SYS_mmap, 0, 4096, access, libc::MAP_SHARED, file.as_raw_fd(), 0).map(drop)
}

fn map(access: i32) -> Attempt<i64> {
    call!(libc::SYS_mmap, 0, 4096, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
}

/// epoll, eventfd and timerfd, which every runtime is built on.
fn wait_for_events(_: &Targets) -> Attempt {
    let epoll = raw::descriptor(call!(libc::SYS_epoll_create1, libc::EPOLL_CLOEXEC))?;
    let event = raw::descriptor(call!(libc::SYS_eventfd2, 1, libc::EFD_CLOEXEC))?;
    let timer = raw::descriptor(call!(libc::SYS_timerfd_create, libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC))?;
    let mut wanted = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 1 };
    for watched in [&event, &timer] {
        let (epoll, watched) = (epoll.as_raw_fd(), watched.as_raw_fd());
        call!(libc::SYS_epoll_ctl, epoll, libc::EPOLL_CTL_ADD, watched, into(&mut wanted))?;
    }
    check(call!(libc::SYS_epoll_pwait, epoll.as_raw_fd(), into(&mut wanted), 1, -1, 0, 0)? == 1)
}
