//! Groups of a machine with systemd. One that it has handed over is for whoever runs in it to divide.
//! In all others it switches controllers off again that it has not switched on itself, at any time.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::getxattr;

use super::folders::create;

/// Where this process goes to make room.
const ASIDE: &str = "main";

/// Whether systemd has handed this group over (`Delegate=`). It says so from version 251 on, and where
/// the kernel is 5.7 or later.
pub(in super::super::super) fn is_handed_over(group: &Path) -> bool {
    let mut value = [0; 2];
    getxattr(group, c"user.delegate", &mut value[..]) == Ok(1) && value[0] == b'1'
}

/// Whether systemd keeps this group in order, which is to say: switches its controllers as its own units
/// need them. The top of the tree is its own: in a container, others have handed it over to it.
pub(super) fn is_of_systemd(group: &Path, top: &Path) -> bool {
    let mut below_top = group.ancestors().take_while(|around| *around != top);
    Path::new("/run/systemd/system").is_dir() && !below_top.any(is_ours)
}

/// Handed over, and not to the user's own manager, who keeps all in order that is within his.
fn is_ours(group: &Path) -> bool {
    let name = group.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_manager = name.starts_with("user@") && name.ends_with(".service");
    !is_manager && is_handed_over(group)
}

/// Moves this process, with all its threads, into a group within its own one: a group with processes
/// hands nothing on. Those that it has started stay where they are.
///
/// # Errors
///
/// What the system has against it.
pub(in super::super::super) fn step_aside(own: &Path) -> io::Result<()> {
    let aside = own.join(ASIDE);
    create(&aside)?;
    fs::write(aside.join("cgroup.procs"), "0")
}
