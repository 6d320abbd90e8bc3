//! What else must be executable for a program to run: the loader that an ELF file names, the
//! interpreter that a script names, and theirs.
//!
//! The files are whatever somebody calls a plugin, so every length is checked before it is used. A
//! file that cannot be understood brings nothing with it: executing it will fail, and say why. What it
//! names counts only if the kernel would execute it: whoever writes a first line must not thereby
//! choose what is read.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::reserved;
use crate::ways::ways;

/// What looks a program up by its name. Another file that is called `env` may do anything.
const ENV: [&str; 2] = ["/usr/bin/env", "/bin/env"];

/// How a program that is no script begins.
const ELF: &[u8] = b"\x7FELF";

/// How far a script may go through scripts, as the kernel has it.
const DEEPEST: usize = 4;

/// How much of a script's first line counts, as the kernel has it.
const FIRST_LINE: usize = 256;

/// The most program headers that are looked at.
const MOST_HEADERS: u16 = 64;

/// The longest path of a loader.
const LONGEST: u64 = 4096;

/// `path` itself and all that must be executable along with it. `search` is where `env` looks for
/// a program.
pub(in super::super) fn with_interpreters(path: &Path, search: &OsStr) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let (Some(path), true) = (found.get(next).cloned(), found.len() < 2 * DEEPEST) {
        let named = named_by(&path, search).into_iter();
        found.extend(named.filter(|path| begins(path).is_some_and(|begin| begin.executable)));
        next += 1;
    }
    found
}

/// Whether it is a program that the kernel runs by itself: no script.
pub(in super::super) fn is_binary(path: &Path) -> bool {
    begins(path).is_some_and(|begin| begin.start.starts_with(ELF))
}

/// How a file begins.
struct Begin {
    file: File,
    start: Vec<u8>,
    /// The kernel would execute it. Whatever else somebody names is no interpreter, but a file that he
    /// wants to read.
    executable: bool,
}

/// `None` for what is no ordinary file, or what the kernel makes up, by any name on the way: a pipe
/// would be waited for, and a device might do something.
fn begins(path: &Path) -> Option<Begin> {
    if !path.is_absolute() || ways(path).iter().any(|way| reserved(way).is_some()) {
        return None;
    }
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let mut start = vec![0; FIRST_LINE];
    let length = file.read_at(&mut start, 0).ok()?;
    start.truncate(length);
    let executable = found.mode() & 0o111 != 0 && (start.starts_with(ELF) || start.starts_with(b"#!"));
    Some(Begin { file, start, executable })
}

/// The executables that a file names itself.
fn named_by(path: &Path, search: &OsStr) -> Vec<PathBuf> {
    let Some(Begin { file, start, .. }) = begins(path) else { return Vec::new() };
    match start.as_slice() {
        [b'#', b'!', line @ ..] => script(line, search),
        [0x7F, b'E', b'L', b'F', 2, 1, ..] => loader(&file).ok().flatten().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The interpreter of a script; where that is `env`, also the program that it will find.
fn script(line: &[u8], search: &OsStr) -> Vec<PathBuf> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let Some(interpreter) = words.next() else { return Vec::new() };
    let interpreter = PathBuf::from(OsStr::from_bytes(interpreter));
    let by_env = ENV.iter().any(|env| interpreter == Path::new(env));
    let sought = words.find(|word| by_env && !word.starts_with(b"-") && !word.contains(&b'='));
    let found = sought.and_then(|name| find(OsStr::from_bytes(name), search));
    [interpreter].into_iter().chain(found).collect()
}

/// What `env` executes for a plain name. One that has a `/` is none: it would name any file.
fn find(name: &OsStr, search: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return None;
    }
    let mut found = std::env::split_paths(search).map(|folder| folder.join(name));
    found.find(|path| begins(path).is_some_and(|begin| begin.executable))
}

/// The loader of a 64-bit little-endian ELF file: the contents of its `PT_INTERP`.
fn loader(file: &File) -> io::Result<Option<PathBuf>> {
    const PT_INTERP: u32 = 3;
    let header: [u8; 64] = read(file, 0)?;
    let (table, size, count) = (u64_at(&header, 32), u16_at(&header, 54), u16_at(&header, 56));
    for index in 0..count.min(MOST_HEADERS) {
        let entry: [u8; 56] = read(file, table.saturating_add(u64::from(index) * u64::from(size)))?;
        let (offset, length) = (u64_at(&entry, 8), u64_at(&entry, 32));
        if u32_at(&entry, 0) == PT_INTERP && (2..=LONGEST).contains(&length) {
            return path_at(file, offset, length).map(Some);
        }
    }
    Ok(None)
}

fn path_at(file: &File, offset: u64, length: u64) -> io::Result<PathBuf> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset)?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(PathBuf::from(OsStr::from_bytes(text)))
}

fn read<const N: usize>(file: &File, offset: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|field| field.try_into().ok()).unwrap_or([0; N])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const SEARCH: &str = "/nowhere:/bin";

    fn file(contents: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn of(contents: &[u8]) -> Vec<PathBuf> {
        let (_folder, path) = file(contents, 0o755);
        with_interpreters(&path, OsStr::new(SEARCH)).split_off(1)
    }

    #[test]
    fn a_program_brings_its_loader() {
        let found = with_interpreters(&std::env::current_exe().unwrap(), OsStr::new(SEARCH));
        assert!(found.iter().any(|path| path.to_string_lossy().contains("/ld-")), "{found:?}");
    }

    #[test]
    fn a_script_brings_its_interpreter_and_what_that_needs() {
        let found = of(b"#! /bin/sh -e\necho");
        assert_eq!(found.first().unwrap(), Path::new("/bin/sh"));
        assert!(found.len() > 1, "the loader of the shell is missing: {found:?}");
    }

    #[test]
    fn env_is_looked_through() {
        let found = of(b"#!/usr/bin/env -S sh -e\n");
        assert!(found.contains(&PathBuf::from("/usr/bin/env")), "{found:?}");
        assert!(found.contains(&PathBuf::from("/bin/sh")), "{found:?}");
    }

    /// An executable of the plugin's own called `env` shows whatever file stands behind it.
    #[test]
    fn only_the_env_of_the_system_is_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        let env = folder.path().join("env");
        fs::copy("/bin/true", &env).unwrap();
        let found = of(format!("#!{} sh\n", env.display()).as_bytes());
        assert!(found.contains(&env) && !found.contains(&PathBuf::from("/bin/sh")), "{found:?}");
    }

    #[test]
    fn env_finds_programs_by_plain_names_only() {
        let (_folder, secret) = file(b"#!/bin/sh\n", 0o700);
        let secret = secret.display();
        for line in [
            format!("/usr/bin/env {secret}"),
            format!("/usr/bin/env -S {secret} x"),
            format!("/usr/bin/env -S -u {secret} sh"),
            format!("/usr/bin/env -S A=1 {secret}"),
            "/usr/bin/env ../etc/passwd".to_owned(),
            "/usr/bin/env none-of-that-name".to_owned(),
        ] {
            let found = of(format!("#!{line}\n").as_bytes());
            let rest = with_interpreters(Path::new("/usr/bin/env"), OsStr::new(SEARCH));
            assert_eq!(found, rest, "{line}");
        }
    }

    #[test]
    fn what_the_kernel_would_not_execute_is_no_interpreter() {
        let (_keys, key) = file(b"-----BEGIN OPENSSH PRIVATE KEY-----\n", 0o600);
        let (_shared, shared) = file(b"on a disk where all is executable\n", 0o777);
        let (_quiet, quiet) = file(b"#!/bin/sh\n", 0o600);
        let pipe = key.with_file_name("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o777.into(), 0).unwrap();
        let folder = key.parent().unwrap().to_owned();
        let none = ["/proc/self/exe", "/dev/null", "bin/sh"].map(PathBuf::from);
        for path in [key, shared, quiet, pipe, folder].into_iter().chain(none) {
            assert_eq!(of(format!("#!{}\n", path.display()).as_bytes()), Vec::<PathBuf>::new(), "{path:?}");
        }
    }

    #[test]
    fn a_link_to_what_the_kernel_makes_up_is_no_interpreter() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/proc/self/exe", &link).unwrap();
        assert_eq!(of(format!("#!{}\n", link.display()).as_bytes()), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_cannot_be_understood_brings_nothing() {
        let mut huge = b"\x7FELF\x02\x01".to_vec();
        huge.resize(64, 0xFF);
        for contents in [&b""[..], b"#!", b"#! \n/bin/sh", b"\x7FELF\x02\x01", &huge, b"text"] {
            assert_eq!(of(contents), Vec::<PathBuf>::new(), "{contents:?}");
        }
    }

    #[test]
    fn a_script_that_names_itself_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("loop");
        fs::write(&path, format!("#!{}\n", path.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(with_interpreters(&path, OsStr::new(SEARCH)).len() <= 2 * DEEPEST);
    }
}
