//! What this executable becomes when it is not the test runner.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};

use outrigger_sandbox::{Child, FirstParty, HOST_ARGUMENT};

use crate::compat;
use crate::matrix;
use crate::probe;
use crate::support::{self, Log};

/// The plugin before which the helper's `main` starts a thread, which it must not.
pub(crate) const THREADED: &str = "threaded";

/// The wrong thing to do before the hook, done for one test only.
pub(crate) fn start_a_thread_if_that_is_the_test() {
    let arguments: Vec<String> = std::env::args().skip(1).take(2).collect();
    if arguments == [HOST_ARGUMENT, THREADED] {
        std::thread::spawn(stay);
    }
}

/// The first-party plugins of this executable.
pub(crate) fn first_party(name: &str) -> Option<FirstParty> {
    Some(match name {
        "facts" => facts,
        "wait" => wait,
        "close" => close,
        "line" => line,
        "code-3" => || 3,
        "panic" => || panic!("on purpose"),
        "abort" => || std::process::abort(),
        "daemon" => || daemon() + wait(),
        "daemon-and-leave" => daemon,
        "probe" => probe::run,
        "nothing" => || 0,
        "brief-orphan" => || orphan("brief") + wait(),
        THREADED => || 0,
        _ => return None,
    })
}

/// The same and more, as processes of their own.
pub(crate) fn run_if_requested() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, name, rest @ ..] = arguments.as_slice() else { return None };
    if first != "role" {
        return None;
    }
    let code = match name.as_str() {
        "broker" => broker(rest),
        "matrix" => matrix::broker(&rest[0]),
        "python" => compat::broker(&rest[0]),
        "unshare" => matrix::unshare(),
        "orphan" => leave_behind(&rest[0]),
        "linger" => linger(),
        "keeping" => crate::leftovers::broker(&rest[0]),
        "asking" => crate::groups::asking(),
        "timing" => crate::groups::timing(),
        "daemon-beside" => crate::leftovers::daemon_beside(),
        "daemon-between" => crate::leftovers::daemon_between(),
        "stay" => stay(),
        name if name.starts_with("bomb-") => crate::bombs::bomb(&name["bomb-".len()..]),
        "brief" => announce("brief"),
        name => first_party(name).unwrap()(),
    };
    Some(ExitCode::from(u8::try_from(code).unwrap()))
}

/// Prints all that a plugin can see of how it was started, a fact to a line.
fn facts() -> i32 {
    for (name, value) in std::env::vars() {
        println!("env {name}={value}");
    }
    for (number, target) in descriptors() {
        println!("fd {number} {target}");
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for wanted in ["SigBlk", "SigIgn", "NoNewPrivs", "Umask"] {
        println!("{}", status.lines().find(|line| line.starts_with(wanted)).unwrap().replace(":\t", " "));
    }
    println!("folder {}", std::env::current_dir().unwrap().display());
    0
}

fn descriptors() -> Vec<(String, String)> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let names: Vec<String> = fs::read_dir("/proc/self/fd").unwrap().map(name).collect();
    // The folder itself was among them; by now it is closed.
    let target =
        |name: &str| Some(fs::read_link(format!("/proc/self/fd/{name}")).ok()?.display().to_string());
    names.into_iter().filter_map(|name| Some((name.clone(), target(&name)?))).collect()
}

/// Lives until its connection ends.
fn wait() -> i32 {
    println!("waiting");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    0
}

/// Closes its connection and lives on.
fn close() -> i32 {
    rustix::stdio::dup2_stdin(File::open("/dev/null").unwrap()).unwrap();
    stay()
}

fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

/// Prints the first line of its standard input.
fn line() -> i32 {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).unwrap();
    print!("{line}");
    i32::from(io::stdin().lock().read_line(&mut String::new()).unwrap() > 0)
}

/// Leaves a daemon behind: a grandchild in a session of its own, with our log.
fn daemon() -> i32 {
    orphan("linger")
}

fn orphan(what: &str) -> i32 {
    let status = again(&["role", "orphan", what]).status().unwrap();
    status.code().unwrap()
}

fn again(arguments: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The process in between: it starts the other and goes.
#[allow(clippy::zombie_processes)] // to leave it behind is the purpose
fn leave_behind(what: &str) -> i32 {
    rustix::process::setsid().unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let child = again(&["role", what]).stderr(writer).spawn().unwrap();
    // Goes only when the other has left its session and said so, so that no test is early.
    let announced = format!("pid {}\n", child.id());
    let mut said = String::new();
    io::BufReader::new(reader).read_line(&mut said).unwrap();
    i32::from(said != announced)
}

fn linger() -> i32 {
    announce("daemon");
    stay()
}

fn announce(word: &str) -> i32 {
    rustix::process::setsid().unwrap();
    let pid = std::process::id();
    println!("{word} {pid}");
    io::stderr().write_all(format!("pid {pid}\n").as_bytes()).unwrap();
    0
}

/// A broker in a process of its own, which the test kills: `broker PLUGIN [LOCK]`. It begins at
/// the first line of its standard input, prints what it started, and stays.
fn broker(arguments: &[String]) -> i32 {
    let mut began = String::new();
    io::stdin().read_line(&mut began).unwrap();
    let lock = arguments.get(1).map(|path| File::options().write(true).open(path).unwrap());
    let (mut launch, _connection) = support::launch(support::first_party(&arguments[0]));
    if let Some(lock) = &lock {
        lock.lock().unwrap();
        launch.locks.push(lock.as_fd().try_clone_to_owned().unwrap());
    }
    let mut child = outrigger_sandbox::launch(launch).unwrap();
    print_all(&mut child);
    stay()
}

fn print_all(child: &mut Child) {
    println!("keeper {}", child.keeper_pid());
    println!("plugin {}", child.pid());
    let mut log = Log::new(child.take_stdout().unwrap());
    while let Some(line) = log.next_line() {
        println!("{line}");
    }
}
