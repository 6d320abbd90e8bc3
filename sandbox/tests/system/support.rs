//! Starting plugins, reading their logs, and watching processes, all with deadlines.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use outrigger_sandbox::{Child, Connection, Deadlines, Ended, Helper, Launch, Policy, Profile, Program};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, test_kill_process};

/// How long anything here may take. Far beyond what it takes, as the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A launch of a program without a sandbox, and the far end of its connection.
pub(crate) fn launch(program: Program) -> (Launch, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let launch = Launch {
        program,
        connection: Connection::Inherited(theirs.into()),
        environment: Vec::new(),
        locks: Vec::new(),
        policy: Policy { profile: Profile::None, ..Policy::default() },
        protected: Vec::new(),
        deadlines: Deadlines { report: PATIENCE, start: PATIENCE },
        helper: Helper::Own,
    };
    (launch, ours)
}

/// A plugin within this executable.
pub(crate) fn first_party(name: &str) -> Program {
    Program::FirstParty { name: name.into() }
}

/// An executable: this one, in another role.
pub(crate) fn role(name: &str) -> Program {
    executable(std::env::current_exe().unwrap(), &["role", name])
}

/// A shell script as an executable.
pub(crate) fn shell(script: &str) -> Program {
    executable("/bin/sh".into(), &["-c", script])
}

/// Any executable.
pub(crate) fn executable(path: PathBuf, args: &[&str]) -> Program {
    Program::Executable { path, args: args.iter().map(OsString::from).collect() }
}

/// A plugin that was started, its log, and the far end of its connection.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) log: Log,
    pub(crate) connection: UnixStream,
}

/// Starts a program.
pub(crate) fn start(program: Program) -> Started {
    start_with(program, |_| {})
}

/// Starts a program after changing its launch.
pub(crate) fn start_with(program: Program, change: impl FnOnce(&mut Launch)) -> Started {
    let (mut launch, connection) = launch(program);
    change(&mut launch);
    let mut child = outrigger_sandbox::launch(launch).unwrap();
    let log = Log::new(child.take_stdout().unwrap());
    Started { child, log, connection }
}

impl Started {
    /// Waits for its end.
    pub(crate) fn end(&mut self) -> Ended {
        self.child.wait(PATIENCE).unwrap().expect("the plugin did not end in time")
    }

    /// All that it printed, once it has ended and gone.
    pub(crate) fn output(mut self) -> String {
        self.end();
        self.log.rest()
    }
}

/// The reading end of a pipe, read with a deadline.
pub(crate) struct Log {
    pipe: OwnedFd,
    read: Vec<u8>,
}

impl Log {
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self { pipe, read: Vec::new() }
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> String {
        self.next_line().expect("the log ended without another line")
    }

    /// The next line, or the end.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// The number after a word at the start of the next line.
    pub(crate) fn pid(&mut self, word: &str) -> Pid {
        let line = self.line();
        let number =
            line.strip_prefix(word).unwrap_or_else(|| panic!("{line:?} does not begin with {word:?}"));
        Pid::from_raw(number.trim().parse().unwrap()).unwrap()
    }

    /// Everything up to the end.
    pub(crate) fn rest(mut self) -> String {
        while self.more() {}
        String::from_utf8(self.read).unwrap()
    }

    /// Reads on; false at the end.
    fn more(&mut self) -> bool {
        assert!(readable(&self.pipe, PATIENCE), "the log neither went on nor ended");
        let mut buffer = [0; 4096];
        let length = rustix::io::read(&self.pipe, &mut buffer).unwrap();
        self.read.extend_from_slice(&buffer[..length]);
        length > 0
    }
}

/// Whether a descriptor becomes readable in time.
pub(crate) fn readable(descriptor: impl AsFd, patience: Duration) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::IN)];
    poll(&mut watched, Some(&Timespec::try_from(patience).unwrap())).unwrap() > 0
}

/// A process that is watched from now on, whoever its parent is.
pub(crate) struct Watch {
    pub(crate) pid: Pid,
    pidfd: OwnedFd,
}

impl Watch {
    pub(crate) fn new(pid: Pid) -> Self {
        Self { pid, pidfd: pidfd_open(pid, PidfdFlags::empty()).unwrap() }
    }

    pub(crate) fn of(pid: u32) -> Self {
        Self::new(Pid::from_raw(pid.try_into().unwrap()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Stops it, and waits until it has stopped.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid);
        assert!(eventually(|| std::fs::read_to_string(&stat).unwrap().contains(") T ")));
    }

    pub(crate) fn lives(&self) -> bool {
        !readable(&self.pidfd, Duration::ZERO)
    }

    /// Waits for its end.
    pub(crate) fn ends(&self) -> bool {
        readable(&self.pidfd, PATIENCE)
    }
}

/// Waits until something is so.
pub(crate) fn eventually(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Waits until a process has not only ended, but has been reaped as well.
pub(crate) fn is_reaped(pid: Pid) -> bool {
    eventually(|| test_kill_process(pid).is_err())
}

/// A number in `/proc/PID/stat`, counted as in proc(5): 5 is the process group, 6 the session.
pub(crate) fn stat(pid: u32, field: usize) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    after_name.split(' ').nth(field - 3).unwrap().parse().unwrap()
}
