//! What `/proc` tells about a process.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use rustix::process::{Pid, getpid};

/// How many threads this process has.
pub(super) fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// The open descriptors of this process.
pub(super) fn descriptors() -> io::Result<BTreeSet<i32>> {
    // Plain numbers: an entry would keep the folder open, whose descriptor is among them.
    let listed = fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name().to_str().and_then(number)));
    let listed: Vec<Option<i32>> = listed.collect::<io::Result<_>>()?;
    let open = |descriptor: &i32| fs::symlink_metadata(format!("/proc/self/fd/{descriptor}")).is_ok();
    Ok(listed.into_iter().flatten().filter(open).collect())
}

fn number(name: &str) -> Option<i32> {
    name.parse().ok()
}

/// The children of this process, the adopted ones among them.
pub(super) fn children() -> Vec<Pid> {
    match fs::read_to_string("/proc/thread-self/children") {
        Ok(list) => {
            list.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
        }
        Err(_) => children_by_scan(), // a kernel without CONFIG_PROC_CHILDREN
    }
}

fn children_by_scan() -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(getpid().as_raw_nonzero().get()))
        .filter_map(Pid::from_raw)
        .collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, even parentheses; state and parent follow the last.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
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
    use std::os::fd::AsRawFd;
    use std::process::Command;

    #[test]
    fn both_ways_to_find_children_find_them() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(children().contains(&pid));
        assert!(children_by_scan().contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children_by_scan().contains(&pid));
    }

    #[test]
    fn open_descriptors_are_found() {
        let (reader, writer) = io::pipe().unwrap();
        let open = descriptors().unwrap();
        assert!(open.contains(&reader.as_raw_fd()) && open.contains(&writer.as_raw_fd()));
    }

    #[test]
    fn looking_twice_finds_the_same() {
        // Other tests open and close files meanwhile; the folder itself would be the lowest free number.
        let lowest = fs::File::open("/dev/null").unwrap();
        let number = lowest.as_raw_fd();
        drop(lowest);
        let seen = (0..100).filter(|_| descriptors().unwrap().contains(&number)).count();
        assert!(seen < 100, "the folder that was read counts as open");
    }

    #[test]
    fn a_living_process_has_a_peak() {
        assert!(peak_rss(getpid()).unwrap() > 100 * 1024);
    }
}
