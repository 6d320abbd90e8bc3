//! Version 2: one tree for all controllers, and a process is in one group of it. So one group has to
//! bound everything of a plugin: what a second one bounds would not be the plugin.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folders::{CONTROLLERS, WITHIN, create, sweep, take_away};
use super::handed::is_of_systemd;

/// A group that was made.
#[derive(Debug)]
pub(super) struct Group {
    /// Where its bounds are set.
    pub(super) folder: PathBuf,
    /// Where its processes are: there, or in a group within it.
    pub(super) cradle: PathBuf,
    /// What it can bound, of [`CONTROLLERS`].
    controllers: Vec<&'static str>,
}

impl Group {
    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.contains(&controller)
    }

    fn has_all(&self) -> bool {
        self.controllers.len() == CONTROLLERS.len()
    }
}

/// Makes a group of this name in the nearest group around ours that hands on all controllers, or else
/// the most. `top` is where the tree is mounted.
///
/// # Errors
///
/// Why there is none in the nearest one that may hand something on.
pub(super) fn make(own: &Path, top: &Path, name: &str) -> Result<Group, String> {
    let mut best = None;
    let mut failures = Vec::new();
    let around = own.ancestors().take_while(|around| around.starts_with(top));
    for around in around.filter(|around| may_hand_on(around)) {
        match make_in(around, top, name) {
            Ok(group) => best = Some(better(best, group)),
            Err(error) => failures.push(format!("no group in {}: {error}", around.display())),
        }
        if best.as_ref().is_some_and(Group::has_all) {
            break;
        }
    }
    let none = || format!("{} and the groups around it have processes of their own", own.display());
    best.ok_or_else(|| failures.into_iter().next().unwrap_or_else(none))
}

/// Whether groups within it can have controllers: not while it has processes of its own, unless it is
/// the root of the tree.
///
/// This is looked at rather than tried: some controllers would be handed on all the same, and from then
/// on no process could be born in the groups within it ("threaded mode").
fn may_hand_on(group: &Path) -> bool {
    let is_root = !group.join("cgroup.type").exists();
    is_root || fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|processes| processes.is_empty())
}

fn make_in(around: &Path, top: &Path, name: &str) -> io::Result<Group> {
    let handed_on = around.join("cgroup.subtree_control");
    let missing = listed(&around.join("cgroup.controllers"));
    if missing.is_empty() {
        return Err(io::Error::other("it has no controllers"));
    }
    for controller in missing.into_iter().filter(|controller| !listed(&handed_on).contains(controller)) {
        fs::write(&handed_on, format!("+{controller}")).ok(); // what came of it is looked at below
    }
    sweep(around);
    let folder = around.join(name);
    create(&folder)?;
    let controllers = listed(&folder.join("cgroup.controllers"));
    let kind = fs::read_to_string(folder.join("cgroup.type")).unwrap_or_default();
    if controllers.is_empty() || kind.trim_end() != "domain" {
        fs::remove_dir(&folder).ok();
        return Err(io::Error::other("it hands no controllers on"));
    }
    if !is_of_systemd(around, top) {
        return Ok(Group { cradle: folder.clone(), folder, controllers });
    }
    if let Err(error) = hold(&folder, &controllers) {
        take_away(&folder).ok();
        return Err(error);
    }
    Ok(Group { cradle: folder.join(WITHIN), folder, controllers })
}

/// Hands the controllers on to a group within this one. Who owns the group around it cannot take them
/// away as long as that is so, and with them the bounds.
fn hold(folder: &Path, controllers: &[&str]) -> io::Result<()> {
    create(&folder.join(WITHIN))?;
    let all: Vec<String> = controllers.iter().map(|controller| format!("+{controller}")).collect();
    fs::write(folder.join("cgroup.subtree_control"), all.join(" "))
}

/// Which of ours a file lists.
fn listed(file: &Path) -> Vec<&'static str> {
    let words = fs::read_to_string(file).unwrap_or_default();
    let is_listed = |controller: &&str| words.split_ascii_whitespace().any(|word| word == *controller);
    CONTROLLERS.into_iter().filter(is_listed).collect()
}

/// The one that can bound more, and of equals the known one. The other is removed.
fn better(known: Option<Group>, new: Group) -> Group {
    let Some(known) = known else { return new };
    let is_better = new.controllers.len() > known.controllers.len();
    let (better, worse) = if is_better { (new, known) } else { (known, new) };
    take_away(&worse.folder).ok();
    better
}
