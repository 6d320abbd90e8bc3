//! What `/proc` tells about a process.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::process::{Pid, getpid};

/// How many threads this process has.
pub(super) fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// The children of this process, the adopted ones among them.
pub(super) fn children() -> Vec<Pid> {
    children_at("/proc/thread-self/children", getpid())
}

/// The children of another process with one thread.
pub(super) fn children_of(process: Pid) -> Vec<Pid> {
    let number = process.as_raw_nonzero();
    children_at(&format!("/proc/{number}/task/{number}/children"), process)
}

fn children_at(path: &str, process: Pid) -> Vec<Pid> {
    match fs::read_to_string(path) {
        Ok(list) => {
            list.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
        }
        Err(_) => children_by_scan(process), // a kernel without CONFIG_PROC_CHILDREN
    }
}

fn children_by_scan(process: Pid) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(process.as_raw_nonzero().get()))
        .filter_map(Pid::from_raw)
        .collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, even parentheses; state and parent follow the last.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The number in this process namespace of the process that a pidfd is of, until it is reaped.
pub(super) fn number_of(pidfd: impl AsFd) -> Option<Pid> {
    let information = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd())).ok()?;
    let number = information.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    // -1: it was reaped; 0: it is in another namespace.
    if number > 0 { Pid::from_raw(number) } else { None }
}

/// Where the code of this process lies: from where to where, for each file that it is mapped from.
pub(super) fn code() -> Vec<(usize, usize)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter_map(code_of).collect()
}

fn code_of(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let is_file = words.nth(3)?.starts_with('/');
    let (from, to) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some((number(from)?, number(to)?)).filter(|_| rights == "r-xp" && is_file)
}

/// The most resident memory that a living process ever had, in bytes (`VmHWM`).
pub(super) fn peak_rss(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn both_ways_to_find_children_find_them() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(children().contains(&pid));
        assert!(children_by_scan(getpid()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children_by_scan(getpid()).contains(&pid));
    }

    #[test]
    fn code_is_what_is_executed_and_not_what_was_written() {
        let executed = code_of("5566-5577 r-xp 0003c000 fe:00 11299734   /usr/bin/outrigger");
        assert_eq!(executed, Some((0x5566, 0x5577)));
        for other in [
            "5577-5588 r--p 0010d000 fe:00 11299734   /usr/bin/outrigger",
            "5577-5588 rwxp 0010d000 fe:00 11299734   /usr/bin/outrigger",
            "7ffe-7fff r-xp 00000000 00:00 0          [vdso]",
            "7ffe-7fff r-xp 00000000 00:00 0",
        ] {
            assert_eq!(code_of(other), None, "{other}");
        }
        assert!(!code().is_empty());
    }

    #[test]
    fn a_number_is_told_until_the_process_is_reaped() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        assert_eq!(number_of(&pidfd), Some(pid));
        child.wait().unwrap();
        assert_eq!(number_of(&pidfd), None);
    }

    #[test]
    fn a_living_process_has_a_peak() {
        assert!(peak_rss(getpid()).unwrap() > 100 * 1024);
    }
}
