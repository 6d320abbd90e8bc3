//! Executing what was not granted.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::raw::{self, Attempt, at, by_child, call, can_execute, open};
use super::{Probe, Targets, skipped};

pub(super) const PROBES: &[Probe] = &[
    ("execute_shell", |_| can_execute("/bin/sh", &["-c", "exit 0"])),
    ("execute_outside", |to| can_execute(to.outside.join("program"), &[])),
    ("execute_read_only", |to| can_execute(to.read.join("program"), &[])),
    ("execute_written", |to| can_execute(written(to)?, &[])),
    ("execute_written_by_descriptor", by_descriptor),
    ("execute_written_script", |to| can_execute(script(to)?, &[])),
    ("execute_written_by_loader", |to| can_execute(loader()?, &[text(&written(to)?)])),
    ("execute_shell_by_loader", |_| can_execute(loader()?, &["/bin/sh", "-c", "exit 0"])),
    ("execute_memory", |to| by_child(|| execute_descriptor(&memory(to)?))),
    ("execute_memory_by_proc", |to| by_child(|| execute_by_proc(&memory(to)?))),
    ("map_written_as_code", map_written),
    ("load_old_library", |to| old_library(&to.read.join("program"))),
];

/// The same program as one that is granted, under a name and with rights of our own.
fn written(to: &Targets) -> Attempt<PathBuf> {
    let file = to.write.join("written-program");
    fs::write(&file, program(to)?)?;
    // Where chmod is refused it must have been made so by `open`.
    if fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).is_err() {
        fs::remove_file(&file)?;
        make_executable(&file, &program(to)?)?;
    }
    Ok(file)
}

fn program(to: &Targets) -> Attempt<Vec<u8>> {
    Ok(fs::read(to.read.join("program"))?)
}

fn make_executable(file: &Path, content: &[u8]) -> Attempt {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut made = fs::File::options().write(true).create_new(true).mode(0o700).open(file)?;
    Ok(made.write_all(content)?)
}

fn script(to: &Targets) -> Attempt<PathBuf> {
    let file = to.write.join("written-script");
    make_executable(&file, format!("#!{}\n", to.quiet.display()).as_bytes())?;
    Ok(file)
}

fn text(file: &Path) -> &str {
    file.to_str().unwrap()
}

/// The loader of dynamic programs, which can be executed as it is the interpreter of most.
fn loader() -> Attempt<PathBuf> {
    let known = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    match known.iter().map(PathBuf::from).find(|loader| loader.exists()) {
        Some(loader) => Ok(loader),
        None => skipped("no loader that we know"),
    }
}

fn by_descriptor(to: &Targets) -> Attempt {
    by_child(|| execute_descriptor(&open(written(to)?, libc::O_RDONLY)?))
}

/// A program in memory that has never been a file.
fn memory(to: &Targets) -> Attempt<OwnedFd> {
    let memory = raw::descriptor(call!(libc::SYS_memfd_create, c"probe".as_ptr(), 0))?;
    let program = program(to)?;
    call!(libc::SYS_write, memory.as_raw_fd(), at(program.as_slice()), program.len())?;
    Ok(memory)
}

fn execute_descriptor(file: &OwnedFd) -> Attempt {
    let arguments = [c"program".as_ptr() as i64, 0];
    let (descriptor, empty) = (file.as_raw_fd(), libc::AT_EMPTY_PATH);
    call!(libc::SYS_execveat, descriptor, c"".as_ptr(), at(&arguments), at(&[0_i64]), empty).map(drop)
}

fn execute_by_proc(file: &OwnedFd) -> Attempt {
    Err(raw::execute(format!("/proc/self/fd/{}", file.as_raw_fd()), &[]))
}

/// What the loader does with a program or library; anonymous memory can be made code as well, so
/// this gives a plugin nothing but convenience.
fn map_written(to: &Targets) -> Attempt {
    let file = open(written(to)?, libc::O_RDONLY)?;
    let code = libc::PROT_READ | libc::PROT_EXEC;
    call!(libc::SYS_mmap, 0, 4096, code, libc::MAP_PRIVATE, file.as_raw_fd(), 0).map(drop)
}

/// `uselib`, which no kernel of today has any more.
#[cfg(target_arch = "x86_64")]
fn old_library(file: &Path) -> Attempt {
    let name = raw::path(file);
    call!(libc::SYS_uselib, name.as_ptr()).map(drop)
}

#[cfg(not(target_arch = "x86_64"))]
fn old_library(_: &Path) -> Attempt {
    Err(super::Failed::Errno(libc::ENOSYS))
}
