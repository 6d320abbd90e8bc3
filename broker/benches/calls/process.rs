//! The other process, and where both run.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::server;

/// Where the two processes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Both on CPU 0: what repeats best.
    Same,
    /// Where the system puts them: what a user gets.
    Free,
}

impl Placement {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Same => "both on CPU 0",
            Self::Free => "not pinned",
        }
    }

    /// Moves this process, and all that it starts from now on.
    pub(crate) fn apply(self) {
        let mut cpus = CpuSet::new();
        let count = if self == Self::Same { 1 } else { CpuSet::MAX_CPU };
        (0..count).for_each(|cpu| cpus.set(cpu));
        sched_setaffinity(None, &cpus).unwrap();
        assert_eq!(
            self == Self::Same,
            sched_getaffinity(None).unwrap().count() == 1,
            "more than one CPU is needed"
        );
    }
}

/// This program again, answering calls.
pub(crate) struct Server {
    child: Child,
    pub(crate) socket: Option<UnixStream>,
}

impl Server {
    pub(crate) fn start(kind: server::Kind) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(server::VARIABLE, kind.name()).stdin(OwnedFd::from(theirs));
        Self { child: command.spawn().unwrap(), socket: Some(ours) }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(&self.child.id().to_string()) + Usage::of("self")
    }
}

/// It ends when the connection does.
impl Drop for Server {
    fn drop(&mut self) {
        drop(self.socket.take());
        self.child.wait().unwrap();
    }
}

/// What processes of one thread have used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_ns: f64,
    pub(crate) switches: f64,
}

impl Usage {
    fn of(process: &str) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
        let number = |text: &str| text.parse::<f64>().unwrap();
        Self {
            cpu_ns: number(stat.split(' ').next().unwrap()),
            switches: switches.map(|line| number(line.rsplit('\t').next().unwrap())).sum(),
        }
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu_ns: self.cpu_ns + other.cpu_ns, switches: self.switches + other.switches }
    }
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { cpu_ns: self.cpu_ns - other.cpu_ns, switches: self.switches - other.switches }
    }
}
