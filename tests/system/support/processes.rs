//! Which processes belong to a world: those that run its command, and those that hold something
//! of it open. Each world has a link to the command of its own, so no other test's are taken for
//! them, and none is overlooked because it has no environment and no arguments that say so.

use std::fs;
use std::path::Path;

use super::until;

/// A process of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) command: String,
}

/// The living processes that belong to the world in `root`.
pub(crate) fn processes(root: &Path) -> Vec<Process> {
    let own = i32::try_from(std::process::id()).unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != own && belongs(*pid, root)).map(describe).collect()
}

fn belongs(pid: i32, root: &Path) -> bool {
    let inside = |path: &Path| fs::read_link(path).is_ok_and(|target| target.starts_with(root));
    if inside(Path::new(&format!("/proc/{pid}/exe"))) {
        return true;
    }
    // A process that this one is just starting has copies of its descriptors for a moment.
    let own_program = fs::read_link("/proc/self/exe").unwrap();
    if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == own_program) {
        return false;
    }
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten().any(|entry| inside(&entry.path()))
}

fn describe(pid: i32) -> Process {
    let read = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let stat = read("stat");
    // The name in parentheses may hold anything; state and parent follow the last one.
    let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
    Process { pid, parent: parent.unwrap_or(0), command: read("cmdline").replace('\0', " ") }
}

/// Waits until no process of the world in `root` is left.
#[track_caller]
pub(crate) fn no_process_is_left(root: &Path) {
    let mut left = Vec::new();
    let begun = std::time::Instant::now();
    until("no process of the world is left", || {
        left = processes(root);
        assert!(begun.elapsed().as_secs() < 20, "processes stay behind: {left:#?}");
        left.is_empty().then_some(())
    });
}
