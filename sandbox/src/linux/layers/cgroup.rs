//! Control groups: the only thing that bounds the memory, the processes and the processor time of
//! all processes of a plugin together.
//!
//! A group is made for each plugin where we may make one: with version 1 in the hierarchy of each
//! controller, with version 2 in the one tree, in the nearest group around ours that hands its
//! controllers on ([`unified`]). The keeper holds it, so that whoever comes later can tell what is left
//! over.
//!
//! To move a process into a group takes the kernel many milliseconds if it has not done so lately. With
//! version 2 the process is born in there instead; with version 1 its only thread moves itself, which takes
//! no time from Linux 5.5 on. A plugin that stays one process for ever gets a group only for its memory,
//! where that matters.

mod folders;
mod handed;
mod unified;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use folders::{CONTROLLERS, create, named, names_of, new_name, remove, sweep, take_away};
pub(in super::super) use handed::{is_handed_over, step_aside};
use unified::Group;

/// The period over which processor time is counted, in microseconds.
const PERIOD: u64 = 100_000;

/// What is bounded.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bounds {
    /// Bytes.
    pub(in super::super) memory: u64,
    /// Processes and threads. `None`: it is one for ever, which needs neither this bound nor one of
    /// processor time.
    pub(in super::super) processes: Option<u32>,
}

/// How a process comes under a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Way {
    /// It moves, with version 1.
    Moved,
    /// It is born there, with version 2.
    Born,
}

/// One controller of a group, or why there is none.
type Controlled = Result<Way, String>;

/// The groups of one plugin, one for each hierarchy.
#[derive(Debug)]
pub(in super::super) struct Cgroup {
    /// In every hierarchy the same.
    name: String,
    folders: Vec<PathBuf>,
    /// Whoever holds them keeps the groups from being left over.
    handles: Vec<File>,
    /// Who joins writes here. Opened while we can still see it.
    doors: Vec<File>,
    /// The group of version 2, to be born in.
    cradle: Option<File>,
    pub(in super::super) memory: Controlled,
    pub(in super::super) processes: Controlled,
    pub(in super::super) cpu: Controlled,
}

impl Cgroup {
    /// No group, for this reason.
    pub(in super::super) fn none(why: &str) -> Self {
        let none = || Err(why.to_owned());
        Self {
            name: String::new(),
            folders: Vec::new(),
            handles: Vec::new(),
            doors: Vec::new(),
            cradle: None,
            memory: none(),
            processes: none(),
            cpu: none(),
        }
    }

    /// Makes groups for the plugin of this keeper, as far as that can be had.
    pub(in super::super) fn make(bounds: Bounds) -> Self {
        let name = match new_name() {
            Ok(name) => name,
            Err(error) => return Self::none(&format!("no name for a control group: {error}")),
        };
        let mut made = Self { name, ..Self::none("it is one process") };
        let hierarchies = hierarchies();
        let unified = made.unify(&hierarchies);
        let of_version_1 = |controller| hierarchies.iter().find(|hierarchy| hierarchy.has(controller));
        let mut bound = |controller, v1: Settings<'_>, v2: Settings<'_>| match of_version_1(controller) {
            Some(hierarchy) => set(&made.enter(hierarchy)?, v1).map(|()| Way::Moved),
            None => set(within(&unified, controller)?, v2).map(|()| Way::Born),
        };
        let memory = bounds.memory.to_string();
        let memory = bound(
            "memory",
            &[("memory.limit_in_bytes", &memory), ("memory.memsw.limit_in_bytes", &memory)],
            &[("memory.max", &memory), ("memory.swap.max", "0")],
        );
        let Some(processes) = bounds.processes else { return Self { memory, ..made } };
        let (processes, quota) = (processes.to_string(), PERIOD.to_string());
        let processes = bound("pids", &[("pids.max", &processes)], &[("pids.max", &processes)]);
        let cpu = bound(
            "cpu",
            &[("cpu.cfs_quota_us", &quota), ("cpu.cfs_period_us", &quota)],
            &[("cpu.max", &format!("{quota} {quota}"))],
        );
        Self { memory, processes, cpu, ..made }
    }

    /// The same, where there is none also for this reason.
    pub(in super::super) fn or_because(self, why: Option<&str>) -> Self {
        let Some(why) = why else { return self };
        let also = |controlled: Controlled| controlled.map_err(|first| format!("{first}; {why}"));
        let [memory, processes, cpu] = [self.memory, self.processes, self.cpu].map(also);
        Self { memory, processes, cpu, ..self }
    }

    /// Makes the group of version 2, unless version 1 has all controllers.
    fn unify(&mut self, hierarchies: &[Hierarchy]) -> Result<Group, String> {
        let is_free = |controller: &&str| !hierarchies.iter().any(|hierarchy| hierarchy.has(controller));
        let hierarchy = hierarchies.iter().find(|hierarchy| hierarchy.unified);
        let hierarchy = hierarchy
            .filter(|_| CONTROLLERS.iter().any(is_free))
            .ok_or_else(|| "no hierarchy has it".to_owned())?;
        let group = unified::make(&hierarchy.own, &hierarchy.top, &self.name)?;
        self.folders.push(group.folder.clone());
        let opened = |error| failed(&group.folder, &error);
        self.handles.push(group.handle.try_clone().map_err(opened)?);
        self.cradle = Some(File::open(&group.cradle).map_err(opened)?);
        Ok(group)
    }

    /// Makes the group in a hierarchy of version 1, once.
    fn enter(&mut self, hierarchy: &Hierarchy) -> Result<PathBuf, String> {
        let folder = hierarchy.own.join(&self.name);
        if !self.folders.contains(&folder) {
            sweep(&hierarchy.own);
            // By its place, which is the same at every start.
            let none = |error| format!("no group within {}: {error}", hierarchy.own.display());
            self.handles.push(create(&folder).map_err(none)?);
            // Of threads, not of processes: see above.
            let door = OpenOptions::new().write(true).open(folder.join("tasks"));
            self.doors.push(door.map_err(none)?);
            self.folders.push(folder.clone()); // only now: what is among them is joined
        }
        Ok(folder)
    }

    /// The group that a child can be born in.
    pub(in super::super) fn cradle(&self) -> Option<BorrowedFd<'_>> {
        self.cradle.as_ref().map(AsFd::as_fd)
    }

    /// From now on there is none, and nothing that it would have bounded is. It goes with the others.
    pub(in super::super) fn give_up_cradle(&mut self, why: &io::Error) {
        self.cradle = None;
        for controlled in [&mut self.memory, &mut self.processes, &mut self.cpu] {
            if *controlled == Ok(Way::Born) {
                *controlled = Err(format!("no process can be born in a control group: {why}"));
            }
        }
    }

    /// Moves this process, which has one thread, into the groups that it was not born in, and all that it
    /// will start with it.
    pub(in super::super) fn join(&self) -> io::Result<()> {
        self.doors.iter().try_for_each(|mut door| door.write_all(b"0"))
    }

    /// The groups, for whoever keeps them.
    pub(in super::super) fn into_kept(self) -> Kept {
        Kept { folders: self.folders, _handles: self.handles }
    }
}

/// Groups that nobody takes for left over, as long as this is not dropped.
#[derive(Debug)]
pub(in super::super) struct Kept {
    folders: Vec<PathBuf>,
    _handles: Vec<File>,
}

impl Kept {
    /// Takes them away; whatever was in them must have ended. One that is busy is left to whoever
    /// makes the next one.
    pub(in super::super) fn remove(&self) {
        self.folders.iter().for_each(|folder| remove(folder));
    }
}

/// Files of a group, and what to write to them. The first is needed; others are not there on every
/// kernel.
type Settings<'s> = &'s [(&'s str, &'s str)];

fn set(folder: &Path, settings: Settings<'_>) -> Result<(), String> {
    for (index, (file, value)) in settings.iter().enumerate() {
        match fs::write(folder.join(file), value) {
            Err(error) if index == 0 => return Err(failed(&folder.join(file), &error)),
            _ => {}
        }
    }
    Ok(())
}

/// The folder of the group of version 2, if that has the controller.
fn within<'g>(unified: &'g Result<Group, String>, controller: &str) -> Result<&'g Path, String> {
    let without = |why: &str| format!("no control group for `{controller}`: {why}");
    let group = unified.as_ref().map_err(|why| without(why))?;
    let folder = group.folder.as_path();
    group.has(controller).then_some(folder).ok_or_else(|| without("no group around ours hands it on"))
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Takes away the groups of a keeper that went before its plugin, once they are empty. What is still
/// busy after a while is left to whoever makes the next group.
pub(in super::super) fn remove_of(keeper: u32) {
    const PATIENCE: u32 = 200;
    let names = names_of(keeper);
    let around = |hierarchy: &Hierarchy| {
        let around = hierarchy.own.ancestors().take_while(|around| around.starts_with(&hierarchy.top));
        around.flat_map(|around| named(around, &names)).collect::<Vec<_>>()
    };
    let mut left: Vec<PathBuf> = hierarchies().iter().flat_map(around).collect();
    for _ in 0..PATIENCE {
        left.iter().for_each(|group| take_away(group));
        left.retain(|group| group.exists());
        if left.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The group of this process, where only groups of version 2 bound anything.
pub(in super::super) fn own() -> Option<PathBuf> {
    let hierarchies = hierarchies();
    let bounds = |hierarchy: &Hierarchy| CONTROLLERS.iter().any(|controller| hierarchy.has(controller));
    let version_1 = hierarchies.iter().any(bounds);
    hierarchies.into_iter().find(|hierarchy| hierarchy.unified && !version_1).map(|hierarchy| hierarchy.own)
}

/// A mounted hierarchy, and where in it we are.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    /// The controllers of version 1; none for version 2.
    controllers: Vec<String>,
    unified: bool,
    /// Where it is mounted.
    top: PathBuf,
    /// Our own group.
    own: PathBuf,
}

impl Hierarchy {
    /// Of version 2 is said elsewhere what it has.
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }
}

fn hierarchies() -> Vec<Hierarchy> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    parse(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
}

/// From lines such as `4:memory:/a` and `31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory`.
fn parse(own: &str, mounts: &str) -> Vec<Hierarchy> {
    let line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let controllers: Vec<String> =
            controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let unified = controllers.is_empty();
        let (root, top) = mounts.lines().find_map(|mount| mounted(mount, unified, &controllers))?;
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Hierarchy { controllers, unified, own: top.join(below), top })
    };
    own.lines().filter_map(line).collect()
}

/// The root and the place of a mount, if it is the one that is looked for.
fn mounted(mount: &str, unified: bool, controllers: &[String]) -> Option<(PathBuf, PathBuf)> {
    let (place, kind) = mount.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1)?);
    let fits = if unified {
        name == "cgroup2"
    } else {
        name == "cgroup" && controllers.iter().all(|wanted| options.split(',').any(|option| option == wanted))
    };
    let mut place = place.split(' ').skip(3);
    fits.then(|| Some((place.next()?.into(), place.next()?.into())))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "25 1 0:20 / / rw - ext4 /dev/a rw\n\
        31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        32 25 0:28 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn found(own: &str) -> Vec<Hierarchy> {
        parse(own, MOUNTS)
    }

    #[test]
    fn without_a_cradle_only_what_moves_is_bounded() {
        let mut group = Cgroup { memory: Ok(Way::Born), cpu: Ok(Way::Moved), ..Cgroup::none("") };
        group.give_up_cradle(&io::Error::from_raw_os_error(libc::ENOSYS));
        assert!(group.memory.unwrap_err().contains("Function not implemented"));
        assert_eq!((group.processes, group.cpu), (Err(String::new()), Ok(Way::Moved)));
    }

    #[test]
    fn both_versions_are_found() {
        let found = found("4:memory:/user\n1:name=systemd:/x\n0::/a/b\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/memory/user"));
        assert!(found[1].unified && found[1].own == Path::new("/sys/fs/cgroup/unified/a/b"));
    }

    #[test]
    fn a_container_sees_its_own_part() {
        let found = found("2:cpu,cpuacct:/docker/x/y\n");
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/cpu,cpuacct/y"));
        assert!(found[0].has("cpu") && !found[0].has("memory"));
    }

    #[test]
    fn what_cannot_be_understood_is_no_hierarchy() {
        assert_eq!(found(""), []);
        assert_eq!(found("nonsense\n9:pids:/x\n::\n"), []);
        assert_eq!(parse("0::/", "31 25 - cgroup2"), []);
    }
}
