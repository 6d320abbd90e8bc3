//! The unsafe calls of the workspace: all of them, and nothing else.
//!
//! Each is wrapped so that safe code cannot misuse it: what must hold is either checked here or
//! argued at the block. Whatever `rustix` or `std` offer as a safe call is not here.

use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::mount::MountAttrFlags;
use rustix::process::{Pid, Signal};

use super::proc;
use crate::{Exit, Usage};

/// Whether the helper has found itself with one thread. Neither it nor what it forks starts another
/// before the plugin's own code runs, and within a sandbox there may be no `/proc` to look again.
static ALONE: AtomicBool = AtomicBool::new(false);

/// Fails unless this process has exactly one thread.
fn only_thread() -> io::Result<()> {
    if ALONE.load(Ordering::Relaxed) {
        return Ok(());
    }
    match proc::threads()? {
        1 => Ok(()),
        threads => Err(io::Error::other(format!(
            "the process has {threads} threads; `host_main_if_requested` must be called before any is started"
        ))),
    }
}

/// Splits this process in two; the child gets `None`.
pub(super) fn fork() -> io::Result<Option<Pid>> {
    only_thread()?;
    // SAFETY: `fork` is dangerous where another thread may hold a lock (the allocator's, say)
    // that nobody in the child would ever release. The check above found this thread alone, and
    // only a running thread could start another. So the child is a whole process that may go on
    // with ordinary Rust.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// As [`fork`], the child being the first process of namespaces of its own: user, process, mount,
/// IPC, host name, and network if `network` says so; and in the control group, if one is given.
///
/// # Errors
///
/// Whatever the system has against it: most often it lacks namespaces, or does not give them to
/// this user.
pub(super) fn fork_into_namespaces(network: bool, group: Option<BorrowedFd<'_>>) -> io::Result<Option<Pid>> {
    let own = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    let network = if network { libc::CLONE_NEWNET } else { 0 };
    clone3(u64::from((own | network).cast_unsigned()), group)
}

/// As [`fork`], the child being in a control group from its first moment. See [`clone3`] for what it
/// must not do.
pub(super) fn fork_into_group(group: BorrowedFd<'_>) -> io::Result<Option<Pid>> {
    clone3(0, Some(group))
}

/// A fork with more to say. The child must not address its threads (`raise`, `pthread_kill`) before
/// it has forked in the ordinary way or executed something.
fn clone3(flags: u64, group: Option<BorrowedFd<'_>>) -> io::Result<Option<Pid>> {
    /// Of version 2 only; not in the C library's headers of every system.
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    only_thread()?;
    // SAFETY: `clone_args` consists of integers, for which zero is a value and means "not asked for".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | group.map_or(0, |_| CLONE_INTO_CGROUP);
    args.cgroup = group.map_or(0, |group| u64::from(group.as_raw_fd().cast_unsigned()));
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    // SAFETY: without `CLONE_VM` and with no stack given this is a fork: the child gets a copy of
    // everything and goes on here. As with `fork` above, this thread is the only one, so no lock is
    // held that nobody would release. What the C library does around a fork is left out: handlers
    // that this program has none of, and the thread number that it keeps of the child. That number
    // serves functions that address a thread, which the child does not call (see above), and locks
    // that know their holder: it stays the parent's, and since the parent lives on as the keeper, no
    // other thread of the child can get the same. So a first-party plugin may run on in the child.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(i32::try_from(pid).unwrap_or(0))),
    }
}

/// Adds attributes to a mount; `whole`: and to all that is mounted below it.
pub(super) fn mount_setattr(mount: impl AsFd, add: MountAttrFlags, whole: bool) -> io::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: add.bits().into(), attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if whole { libc::AT_RECURSIVE } else { 0 };
    let descriptor = mount.as_fd().as_raw_fd();
    // SAFETY: the path ends in NUL and the attributes are initialised, of the size that is told, and
    // outlive the call; the descriptor is borrowed, so it is open.
    let done = unsafe {
        let (path, size) = (c"".as_ptr(), size_of::<libc::mount_attr>());
        libc::syscall(libc::SYS_mount_setattr, descriptor, path, flags, &raw const attributes, size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives back the memory of the code that has run so far: what is needed of it comes again from its file.
/// For a process that from now on does little, and long.
pub(super) fn give_back_code() {
    for (from, to) in proc::code() {
        let at = ptr::with_exposed_provenance_mut(from);
        // SAFETY: the kernel has just listed this mapping, and nothing unmaps code here: this is the only
        // thread. It is private, of a file, and not writable, and code that is independent of its place has
        // no relocations in it, so no page of it differs from the file: whatever is dropped is read again
        // as it was, at the next touch, be it by the very function that runs now.
        unsafe { libc::madvise(at, to - from, libc::MADV_DONTNEED) };
    }
}

/// Signals the process group of the process that a pidfd is of, which has to lead it. Whatever became of
/// its number since, nobody else is reached.
///
/// # Errors
///
/// `EINVAL` before Linux 6.9, which cannot do it; `ESRCH`: nobody is left in it.
pub(super) fn signal_group(leader: impl AsFd, signal: Signal) -> io::Result<()> {
    /// `PIDFD_SIGNAL_PROCESS_GROUP`.
    const GROUP: libc::c_uint = 1 << 2;
    let (descriptor, number) = (leader.as_fd().as_raw_fd(), signal.as_raw());
    // SAFETY: no memory is handed over: without information about the signal the kernel makes its own.
    // The descriptor is borrowed, so it is open.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, descriptor, number, ptr::null::<libc::siginfo_t>(), GROUP)
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Switches the loopback interface on, in the network that the socket belongs to.
pub(super) fn raise_loopback(socket: impl AsFd) -> io::Result<()> {
    /// `IFF_UP`, as wide as it stands in the request.
    const UP: libc::c_short = 1;
    // SAFETY: `ifreq` consists of integers, arrays of them and a raw pointer: zero is a value of each.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = UP;
    // SAFETY: the request is initialised, of the type that this `ioctl` reads, and outlives the call;
    // its name ends in NUL, as it was zero; the descriptor is borrowed, so it is open.
    match unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The version of Landlock's interface that the kernel has; `None` if it has none, or it is switched
/// off. Restricts nothing.
pub fn landlock_abi() -> Option<u32> {
    landlock_version().ok()
}

/// The same, with what the kernel has against it: `ENOSYS`, it has none; `EOPNOTSUPP`, it is switched
/// off.
pub(super) fn landlock_version() -> io::Result<u32> {
    /// `LANDLOCK_CREATE_RULESET_VERSION`: to be told the version, instead of getting a ruleset.
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel takes no attributes and reads no memory, and makes nothing.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(version).map_err(|_| io::Error::last_os_error())
}

/// Which of the descriptors below `end` are open.
pub(super) fn open_descriptors(end: RawFd) -> Vec<RawFd> {
    // SAFETY: asking for the flags of a number changes nothing, whether it is open or not.
    (0..end).filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } != -1).collect()
}

/// The process and the user at the other end of a local socket, as the kernel has them. The process is
/// 0 where it is none of this namespace of processes; `rustix` has no word for that.
///
/// # Errors
///
/// It is no such socket.
pub(super) fn peer(socket: BorrowedFd<'_>) -> io::Result<(i32, u32)> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(io::Error::other)?;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    let to = (&raw mut peer).cast();
    // SAFETY: `peer` has room for `length` bytes, and consists of integers, for which any bytes do.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, to, &raw mut length) } {
        0 => Ok((peer.pid, peer.uid)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes every descriptor above 2, whoever leaked it to us. Does so once; later calls are errors.
pub(super) fn close_inherited() -> io::Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    only_thread()?;
    if DONE.swap(true, Ordering::Relaxed) {
        return Err(io::Error::other("the inherited descriptors have been closed before"));
    }
    // SAFETY: closing a descriptor that somebody owns would let its number name another file
    // behind the owner's back. Nobody owns one: this runs once, as the first act of the helper,
    // which is the first act of `main` (the contract of `host_main_if_requested`), on the only
    // thread. What is open above 2 was inherited through exec and has no owner in this process.
    match unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } {
        0 => {
            ALONE.store(true, Ordering::Relaxed);
            Ok(())
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// What a signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// What the kernel does by default.
    Default,
    /// Nothing.
    Ignore,
}

/// Sets what a signal does. Numbers that cannot be set (SIGKILL, those of the C library) stay as
/// they are.
pub(super) fn set_disposition(signal: c_int, disposition: Disposition) {
    let action = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
    };
    // SAFETY: neither action is a function, so no code of ours ever runs in a signal handler.
    // A handler that this replaces is inherited by nobody; the callers spare those that the Rust
    // runtime installed.
    unsafe { libc::signal(signal, action) };
}

/// Blocks exactly these signals, and lets all others through.
pub(super) fn block_only(signals: &[c_int]) -> io::Result<()> {
    let set = signal_set(signals);
    // SAFETY: `set` is initialised and outlives the call; the old mask is not asked for.
    match unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor that is readable while one of these (blocked) signals is pending.
pub(super) fn signal_descriptor(signals: &[c_int]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: `set` is initialised and outlives the call; -1 asks for a new descriptor.
    match unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
        descriptor => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
    }
}

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the whole set and cannot fail on a valid pointer;
    // `sigaddset` changes a set that is initialised by then, and refuses numbers that are none.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// What a look at the children brought.
#[derive(Debug)]
pub(super) enum Reaped {
    /// One had ended.
    Child(Pid, Exit, Usage),
    /// There are some, and all of them live.
    AllAlive,
    /// There is none.
    NoneLeft,
}

/// Reaps one child that has ended, if there is one.
pub(super) fn reap() -> Reaped {
    wait(libc::WNOHANG)
}

/// Waits until a child has ended, and reaps it.
pub(super) fn reap_next() -> Reaped {
    wait(0)
}

fn wait(options: c_int) -> Reaped {
    let mut status = 0;
    // SAFETY: both pointers are valid for writing during the call. A `rusage` consists of
    // integers, for which zero is a value, so it is initialised even where the kernel wrote nothing.
    let (pid, used) = unsafe {
        let mut used = MaybeUninit::<libc::rusage>::zeroed();
        let pid = libc::wait4(-1, &raw mut status, options | libc::__WALL, used.as_mut_ptr());
        (pid, used.assume_init())
    };
    match (pid, Pid::from_raw(pid.max(0))) {
        (-1, _) => Reaped::NoneLeft,
        (_, Some(pid)) => Reaped::Child(pid, exit(status), usage(&used)),
        (_, None) => Reaped::AllAlive,
    }
}

fn exit(status: c_int) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

fn usage(used: &libc::rusage) -> Usage {
    Usage {
        peak_rss_bytes: u64::try_from(used.ru_maxrss).unwrap_or(0) * 1024,
        keeper_peak_rss_bytes: 0,
        user_time: duration(used.ru_utime),
        system_time: duration(used.ru_stime),
    }
}

fn duration(time: libc::timeval) -> Duration {
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
}

/// Becomes another program; returns only if that failed.
///
/// Not `Command::exec`: that goes through the C library's `execvp`, which hands a file that the
/// kernel refuses to a shell, so that a program for another machine would end with "syntax error"
/// instead of an error of ours.
pub(super) fn execute(path: &CStr, args: &[CString], environment: &[CString]) -> io::Error {
    let (args, environment) = (pointers(args), pointers(environment));
    // SAFETY: `path` ends in NUL; both lists end in a null pointer, and each of their entries
    // points to a string that ends in NUL and is borrowed until after the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// Adds variables to the environment of this process.
pub(super) fn set_environment(variables: &[(OsString, OsString)]) -> io::Result<()> {
    only_thread()?;
    for (name, value) in variables {
        // SAFETY: changing the environment races with other threads that read it. The check above
        // found this thread alone, and nothing in this loop starts another.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use rustix::process::{PidfdFlags, pidfd_open};

    use super::*;

    // What forks, closes or executes is tested with real processes in `tests/system`: the test
    // runner has threads, and these calls refuse that.

    #[test]
    fn what_needs_one_thread_refuses_more() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(fork().unwrap_err().to_string().contains("threads"));
                assert!(close_inherited().is_err());
                assert!(set_environment(&[("A".into(), "B".into())]).is_err());
            });
        });
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert_eq!(execute(c"/nonexistent/program", &[], &[]).raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn b22_a_group_is_signalled_by_its_leader_whatever_became_of_that_and_its_number() {
        let start = |group| Command::new("sleep").arg("60").process_group(group).spawn().unwrap();
        let mut leader = start(0);
        let mut member = start(leader.id().cast_signed());
        let pidfd = pidfd_open(Pid::from_child(&leader), PidfdFlags::empty()).unwrap();
        leader.kill().unwrap();
        leader.wait().unwrap();
        let sent = signal_group(&pidfd, Signal::TERM);
        let release = rustix::system::uname();
        let numbers = release.release().to_str().unwrap().split('.').map(|number| number.parse::<u32>());
        let knows_groups = numbers.take(2).flatten().ge([6, 9]);
        assert_eq!(sent.is_ok(), knows_groups, "{sent:?}");
        member.kill().unwrap();
        let first = if knows_groups { libc::SIGTERM } else { libc::SIGKILL };
        assert_eq!(member.wait().unwrap().signal(), Some(first));
    }

    #[test]
    fn statuses_are_told_apart() {
        assert_eq!(exit(3 << 8), Exit::Code(3));
        assert_eq!(exit(9), Exit::Signal(9));
    }
}
