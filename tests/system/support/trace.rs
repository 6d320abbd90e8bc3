//! Follows a command and all that it starts, system call by system call, and kills one of its
//! processes at a chosen one.
//!
//! How: a shell waits for a line before it becomes the command, so that it is traced from its first
//! instruction. From then on every process and thread stops at each system call (`ptrace`), is
//! looked at, and goes on. The chosen call is either never carried out (the process is killed at
//! its entry) or just has been (at its exit). After that all others are let go, and run on by
//! themselves. Tracing is bound to the thread that began it, so trials in other threads do not
//! meet.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use nix::errno::Errno;
use nix::libc::{self, c_long, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{DEADLINE, World, processes};

/// What a process is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A piece of a connection's stream, from either side.
    Frame,
    /// A plugin reads a folder or looks at a file, before its first write.
    Listing,
    /// A plugin changes something in a folder.
    Writing,
    /// The command writes to its state, or makes that durable.
    Journal,
    /// The same once the last write of the run has been made: rows, anchors, the end of the run.
    Anchor,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Command,
    Plugin,
    /// Something else is done; see [`interfere`].
    Nobody,
}

/// Whether the step is still made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// What to do, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    pub(crate) step: Step,
    /// Counted from 1.
    pub(crate) nth: usize,
    pub(crate) moment: Moment,
    pub(crate) victim: Victim,
}

/// How often files were renamed and removed by plugins: the same in each run of a story, so it
/// tells when the last write has been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    renames: usize,
    removals: usize,
}

/// What was seen of a run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The steps in their order, those of all processes together.
    pub(crate) steps: Vec<Step>,
    pub(crate) marks: Marks,
    /// The process that was killed.
    pub(crate) killed: Option<i32>,
    /// What was to be done was done: from here on nobody is followed.
    done: bool,
    /// How the command left; `None`: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

impl Seen {
    pub(crate) fn count(&self, step: Step) -> usize {
        self.steps.iter().filter(|seen| **seen == step).count()
    }

    /// Turns journal steps after the last write into anchor steps: they are known only afterwards.
    fn name_anchors(&mut self) {
        let end = self.steps.iter().rposition(|step| *step == Step::Writing).unwrap_or(0);
        for step in self.steps.iter_mut().skip(end).filter(|step| **step == Step::Journal) {
            *step = Step::Anchor;
        }
    }
}

/// Runs `sync` and counts its steps.
pub(crate) fn measure(world: &World) -> Seen {
    let mut seen = Tracer::start(world, None).run();
    seen.name_anchors();
    seen
}

/// Runs `sync` and kills as `aim` says; `marks` come from a measured run of the same story.
pub(crate) fn strike(world: &World, aim: Aim, marks: Marks) -> Seen {
    Tracer::start(world, Some((aim, marks))).run()
}

/// Runs `sync` and does something while the process that is about to make the step is held. True
/// if it came to that.
pub(crate) fn interfere(
    world: &World,
    step: Step,
    nth: usize,
    deed: impl FnOnce() + 'static,
) -> (Seen, bool) {
    let aim = Aim { step, nth, moment: Moment::Before, victim: Victim::Nobody };
    let mut tracer = Tracer::start(world, Some((aim, Marks::default())));
    tracer.deed = Some(Box::new(deed));
    let seen = tracer.run();
    let done = seen.done;
    (seen, done)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Before it is the command, or something that is none of ours.
    Other,
    Command,
    Keeper,
    /// The first process of a plugin's namespaces.
    Init,
    Plugin,
}

/// A thread that is followed.
#[derive(Debug, Clone, Copy)]
struct Thread {
    process: Pid,
    role: Role,
    /// It has written to its member: what it looks at now is no listing.
    has_written: bool,
}

struct Tracer {
    root: Pid,
    world: PathBuf,
    program: PathBuf,
    output: PathBuf,
    aim: Option<(Aim, Marks)>,
    threads: HashMap<Pid, Thread>,
    /// Waits for the end of the chosen call.
    armed: Option<Pid>,
    count: usize,
    /// What to do instead of killing.
    deed: Option<Box<dyn FnOnce()>>,
    seen: Seen,
    /// The watchdog had to end it.
    overdue: Arc<AtomicBool>,
    _watchdog: std::sync::mpsc::Sender<()>,
}

impl Tracer {
    fn start(world: &World, aim: Option<(Aim, Marks)>) -> Self {
        let output = world.path("output");
        let mut child = {
            let file = File::create(&output).unwrap();
            let mut command = Command::new("/bin/sh");
            world.place(&mut command);
            command.args(["-c", "read go; exec \"$@\" </dev/null", "sh"]).arg(world.program());
            command.arg("-c").arg(world.config()).args(["sync", "contacts", "--json"]);
            command.stdin(Stdio::piped()).stdout(file.try_clone().unwrap()).stderr(file);
            command.spawn().unwrap()
        };
        let root = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC;
        ptrace::seize(root, options).expect("tracing (ptrace) is not permitted here");
        ptrace::interrupt(root).unwrap();
        let overdue = Arc::new(AtomicBool::new(false));
        let tracer = Self {
            root,
            world: world.root().to_owned(),
            program: world.program(),
            output,
            aim,
            threads: HashMap::new(),
            armed: None,
            count: 0,
            deed: None,
            seen: Seen::default(),
            _watchdog: watchdog(root, world.root().to_owned(), Arc::clone(&overdue)),
            overdue,
        };
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        tracer
    }

    fn run(mut self) -> Seen {
        loop {
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(Pid::from_raw(-1), Some(flags)) {
                Ok(status) => self.take(status),
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => break,
                Err(error) => panic!("waitpid: {error}"),
            }
        }
        self.seen.output = fs::read_to_string(&self.output).unwrap_or_default();
        assert!(!self.overdue.load(Ordering::Relaxed), "it hung: {:?}", self.seen);
        self.seen
    }

    fn take(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::PtraceSyscall(thread) => self.system_call(thread),
            WaitStatus::PtraceEvent(thread, ..) => {
                self.look_again(thread);
                self.go_on(thread, None);
            }
            WaitStatus::Stopped(thread, signal) => self.go_on(thread, Some(signal)),
            WaitStatus::Exited(process, code) => {
                self.threads.remove(&process);
                if process == self.root {
                    self.seen.code = Some(code);
                }
            }
            WaitStatus::Signaled(process, ..) => {
                self.threads.remove(&process);
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
        }
    }

    fn system_call(&mut self, thread: Pid) {
        // A thread whose process was killed is no longer there to be asked.
        let Ok(registers) = ptrace::getregs(thread) else { return };
        if registers.rax.cast_signed() == -i64::from(libc::ENOSYS) {
            self.entry(thread, &registers);
        } else if self.armed == Some(thread) {
            self.kill(thread);
        }
        self.go_on(thread, None);
    }

    fn entry(&mut self, thread: Pid, registers: &user_regs_struct) {
        if self.seen.done {
            return;
        }
        let known = self.thread(thread);
        let Some(step) = self.step(thread, known, registers) else { return };
        self.seen.steps.push(step);
        let Some((aim, _)) = self.aim else { return };
        if step != aim.step {
            return;
        }
        self.count += 1;
        if self.count == aim.nth {
            match aim.moment {
                Moment::Before => self.kill(thread),
                Moment::After => self.armed = Some(thread),
            }
        }
    }

    /// What the call is in the story; `None`: nothing of interest.
    fn step(&mut self, thread: Pid, known: Thread, registers: &user_regs_struct) -> Option<Step> {
        let call = Call { thread, registers, world: &self.world };
        match known.role {
            Role::Command if call.sends() => Some(Step::Frame),
            Role::Command if call.changes_file() && call.is_on("state") => Some(self.journal()),
            Role::Plugin if call.sends() => Some(Step::Frame),
            Role::Plugin if call.looks() && !known.has_written && call.is_on("") => Some(Step::Listing),
            Role::Plugin if call.changes() => {
                self.seen.marks.renames +=
                    usize::from(call.is_any(&[libc::SYS_renameat2, libc::SYS_renameat]));
                self.seen.marks.removals += usize::from(call.is_any(&[libc::SYS_unlinkat]));
                self.threads.entry(thread).and_modify(|thread| thread.has_written = true);
                Some(Step::Writing)
            }
            _ => None,
        }
    }

    fn journal(&self) -> Step {
        match self.aim {
            Some((_, marks)) if self.seen.marks == marks => Step::Anchor,
            _ => Step::Journal,
        }
    }

    /// Kills the victim; `thread` is the one whose call was chosen.
    fn kill(&mut self, thread: Pid) {
        let Some((aim, _)) = self.aim else { return };
        self.armed = None;
        self.seen.done = true;
        if let Some(deed) = self.deed.take() {
            return deed();
        }
        let own = self.thread(thread);
        let victim = match (aim.victim, own.role) {
            (Victim::Plugin, Role::Plugin) | (Victim::Command, Role::Command) => own.process,
            (Victim::Command, _) => self.root,
            // Before there are plugins, only the command can be meant.
            (Victim::Plugin, _) => self.plugin(aim.nth).unwrap_or(self.root),
            (Victim::Nobody, _) => return,
        };
        kill(victim, Signal::SIGKILL).unwrap();
        self.seen.killed = Some(victim.as_raw());
    }

    /// One of the living plugins.
    fn plugin(&self, choice: usize) -> Option<Pid> {
        let plugins = self.threads.values().filter(|thread| thread.role == Role::Plugin);
        let mut plugins: Vec<Pid> = plugins.map(|thread| thread.process).collect();
        plugins.sort();
        plugins.get(choice % plugins.len().max(1)).copied()
    }

    /// Lets a stopped thread go on: under our eyes until it is done, then alone.
    fn go_on(&self, thread: Pid, signal: Option<Signal>) {
        let went = match self.seen.done {
            false => ptrace::syscall(thread, signal),
            true => ptrace::detach(thread, signal),
        };
        assert!(matches!(went, Ok(()) | Err(Errno::ESRCH)), "{thread}: {went:?}");
    }

    fn thread(&mut self, thread: Pid) -> Thread {
        match self.threads.get(&thread) {
            Some(known) => *known,
            None => self.look_again(thread),
        }
    }

    /// Finds out what a thread is: at its first stop, and after it became another program.
    fn look_again(&mut self, thread: Pid) -> Thread {
        let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok().map(Pid::from_raw)
        };
        let process = number("Tgid:").unwrap_or(thread);
        let parent = number("PPid:").and_then(|parent| self.threads.get(&parent)).map(|parent| parent.role);
        let is_ours =
            fs::read_link(format!("/proc/{thread}/exe")).is_ok_and(|program| program == self.program);
        let role = match (process == self.root, parent) {
            (true, _) if is_ours => Role::Command,
            (false, Some(Role::Command)) => Role::Keeper,
            (false, Some(Role::Keeper)) if is_init(&status) => Role::Init,
            (false, Some(Role::Keeper | Role::Init)) => Role::Plugin,
            _ => Role::Other,
        };
        let known = Thread { process, role, has_written: false };
        self.threads.insert(thread, known);
        known
    }
}

/// Whether a process is the first of a namespace within ours: its numbers, from the outside in.
fn is_init(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    numbers.split_ascii_whitespace().skip(1).any(|number| number == "1")
}

/// A system call at its entry.
struct Call<'t> {
    thread: Pid,
    registers: &'t user_regs_struct,
    world: &'t Path,
}

impl Call<'_> {
    fn is_any(&self, numbers: &[c_long]) -> bool {
        numbers.iter().any(|number| number.cast_unsigned() == self.registers.orig_rax)
    }

    /// What its first argument, a descriptor, leads to.
    fn target(&self) -> Option<PathBuf> {
        let descriptor = i32::try_from(self.registers.rdi).ok()?;
        fs::read_link(format!("/proc/{}/fd/{descriptor}", self.thread)).ok()
    }

    fn is_on(&self, place: &str) -> bool {
        self.target().is_some_and(|target| target.starts_with(self.world.join(place)))
    }

    fn sends(&self) -> bool {
        let sends = [libc::SYS_write, libc::SYS_writev, libc::SYS_sendto, libc::SYS_sendmsg];
        self.is_any(&sends)
            && self.target().is_some_and(|target| target.as_os_str().as_bytes().starts_with(b"socket:"))
    }

    fn looks(&self) -> bool {
        self.is_any(&[libc::SYS_getdents64, libc::SYS_newfstatat, libc::SYS_statx])
    }

    /// Through a descriptor of a file.
    fn changes_file(&self) -> bool {
        self.is_any(&[
            libc::SYS_write,
            libc::SYS_pwrite64,
            libc::SYS_writev,
            libc::SYS_pwritev,
            libc::SYS_ftruncate,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_fchmod,
            libc::SYS_fchown,
            libc::SYS_fadvise64,
            libc::SYS_sync_file_range,
            libc::SYS_syncfs,
        ])
    }

    /// A file, or the names in a folder.
    fn changes(&self) -> bool {
        let names =
            [libc::SYS_renameat2, libc::SYS_renameat, libc::SYS_linkat, libc::SYS_unlinkat, libc::SYS_fsync];
        let makes = self.is_any(&[libc::SYS_openat])
            && self.registers.rdx & u64::from(libc::O_CREAT.cast_unsigned()) != 0;
        (makes || self.is_any(&names) || self.changes_file()) && self.is_on("")
            || self.is_any(&[libc::SYS_mkdir, libc::SYS_mkdirat])
    }
}

/// Ends everything of a world if nobody calls it off in time, so that a hang is a failure.
fn watchdog(root: Pid, world: PathBuf, overdue: Arc<AtomicBool>) -> std::sync::mpsc::Sender<()> {
    let (call_off, called_off) = channel();
    thread::spawn(move || {
        if called_off.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
            overdue.store(true, Ordering::Relaxed);
            let pids = processes(&world).into_iter().map(|process| Pid::from_raw(process.pid));
            for pid in pids.chain([root]) {
                kill(pid, Signal::SIGKILL).ok();
            }
        }
    });
    call_off
}
