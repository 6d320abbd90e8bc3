//! System calls by number, with whatever arguments: an attacker does not go through a library.

use std::ffi::{CString, c_int, c_long};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Failed;

/// The result of an attempt: what it got, or what stopped it.
pub(crate) type Attempt<T = ()> = Result<T, Failed>;

/// Makes a system call. Arguments are numbers; [`at`] and [`into`] turn memory into one.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::probe::raw::system_call($number, &[$(($argument) as i64),*])
    };
}
pub(crate) use call;

/// The address of something that the kernel reads.
pub(crate) fn at<T: ?Sized>(memory: &T) -> i64 {
    std::ptr::from_ref(memory).cast::<u8>() as i64
}

/// The address of something that the kernel writes.
pub(crate) fn into<T: ?Sized>(memory: &mut T) -> i64 {
    std::ptr::from_mut(memory).cast::<u8>() as i64
}

/// Makes a system call of up to six arguments.
pub(crate) fn system_call(number: c_long, arguments: &[i64]) -> Attempt<i64> {
    let word = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: every address among the arguments is that of memory which lives for the whole
    // statement of the caller and is as large as the call says (`at`, `into`), or is meant to be
    // refused. A mistake would hurt this process alone, which is started in order to be stopped.
    let result = unsafe { libc::syscall(number, word(0), word(1), word(2), word(3), word(4), word(5)) };
    if result == -1 { Err(last_error()) } else { Ok(result) }
}

/// A call that only this architecture has: most are older forms of others, which a list of what is
/// forbidden may have forgotten.
pub(crate) fn call_of_x86(number: c_long, arguments: &[i64]) -> Attempt {
    if cfg!(target_arch = "x86_64") {
        return system_call(number, arguments).map(drop);
    }
    super::skipped("not on this architecture")
}

pub(crate) fn last_error() -> Failed {
    io::Error::last_os_error().into()
}

/// A call that makes a descriptor.
pub(crate) fn descriptor(result: Attempt<i64>) -> Attempt<OwnedFd> {
    let number = c_int::try_from(result?).map_err(|_| Failed::Wrong("a descriptor out of range".into()))?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A path as the kernel takes it.
pub(crate) fn path(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap()
}

/// Opens a file with `open` flags.
pub(crate) fn open(file: impl AsRef<Path>, flags: c_int) -> Attempt<OwnedFd> {
    let name = path(file);
    descriptor(call!(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), flags | libc::O_CLOEXEC, 0o600))
}

/// Reads the beginning of a file.
pub(crate) fn read(file: impl AsRef<Path>) -> Attempt<Vec<u8>> {
    use std::io::Read;
    let mut content = Vec::new();
    std::fs::File::from(open(file, libc::O_RDONLY)?).take(1 << 16).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether a call got past every permission check: it succeeded, or failed over its (deliberately
/// senseless) arguments.
pub(crate) fn reached(result: Attempt<i64>) -> Attempt {
    match result {
        Err(Failed::Errno(errno)) if ![libc::EPERM, libc::EACCES, libc::ENOSYS].contains(&errno) => Ok(()),
        other => other.map(drop),
    }
}

/// How a child process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It left with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Runs something in a child process, which then leaves with the code that it returns.
pub(crate) fn in_child(body: impl FnOnce() -> i32) -> Attempt<End> {
    wait_for(fork(body)?)
}

/// Starts a child process that does something and leaves with the code that it returns.
pub(crate) fn fork(body: impl FnOnce() -> i32) -> Attempt<i32> {
    // SAFETY: the probes run on the only thread of their process (those with threads join them
    // before they return), so the child is a whole process that may go on with ordinary Rust.
    match unsafe { libc::fork() } {
        -1 => Err(last_error()),
        0 => leave(std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101)),
        pid => Ok(pid),
    }
}

/// Ends this process at once, without the destructors of what it shares with its parent.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: takes no pointer and does not return.
    unsafe { libc::_exit(code) }
}

/// Waits for a child process.
pub(crate) fn wait_for(pid: i32) -> Attempt<End> {
    let mut status: c_int = 0;
    call!(libc::SYS_wait4, pid, into(&mut status), libc::__WALL, 0)?;
    if libc::WIFSIGNALED(status) {
        return Ok(End::Signal(libc::WTERMSIG(status)));
    }
    Ok(End::Code(libc::WEXITSTATUS(status)))
}

/// Becomes another program; returns only if that failed.
pub(crate) fn execute(program: impl AsRef<Path>, arguments: &[&str]) -> Failed {
    let name = path(program);
    let strings: Vec<CString> = arguments.iter().map(|argument| CString::new(*argument).unwrap()).collect();
    let pointers: Vec<i64> = [name.as_ptr() as i64]
        .into_iter()
        .chain(strings.iter().map(|string| string.as_ptr() as i64))
        .chain([0])
        .collect();
    let nothing = [0_i64];
    match call!(libc::SYS_execve, name.as_ptr(), at(pointers.as_slice()), at(&nothing)) {
        Err(failed) => failed,
        Ok(_) => Failed::Wrong("execve returned".into()),
    }
}

/// Whether a program can be executed: in a child, which tells by its code.
pub(crate) fn can_execute(program: impl AsRef<Path>, arguments: &[&str]) -> Attempt {
    by_child(|| Err(execute(&program, arguments)))
}

/// An attempt in a child process, which must leave with 0; what stopped it comes back as it was.
/// Where there can be no child it is made here: if this process is then replaced or ended, its
/// own end tells.
pub(crate) fn by_child(attempt: impl Fn() -> Attempt) -> Attempt {
    const NOT_AN_ERRNO: i32 = 250;
    let end = in_child(|| match attempt() {
        Ok(()) => 0,
        Err(Failed::Errno(errno)) => errno,
        Err(_) => NOT_AN_ERRNO,
    });
    match end {
        Ok(End::Code(0)) => Ok(()),
        Ok(End::Code(code)) if code < NOT_AN_ERRNO => Err(Failed::Errno(code)),
        Ok(End::Code(code)) => Err(Failed::Wrong(format!("its child left with {code}"))),
        Ok(End::Signal(signal)) => Err(Failed::Signal(signal)),
        Err(_) => attempt(),
    }
}

/// A structure of the C library of which zero bytes are a value, as they are for all used here.
pub(crate) fn zeroed<T: Copy>() -> T {
    // SAFETY: only called for the plain structures of system calls, which consist of integers and
    // raw pointers; for these zero bytes are a valid value.
    unsafe { std::mem::zeroed() }
}
