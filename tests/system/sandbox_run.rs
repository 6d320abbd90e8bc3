//! `sandbox run`: any command under a policy, as a plugin would be run.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrigger::sandbox::PROXY_PORT;

use crate::network::{PAGE, Server};
use crate::python::python;
use crate::support::{DEADLINE, Forbids, Link, Run, Running, World, no_process_is_left, until};

struct Place(World);

impl Place {
    /// A folder `data` with a file in it.
    fn new() -> Self {
        let world = World::empty(Link::Inherited);
        fs::create_dir(world.path("data")).unwrap();
        fs::write(world.path("data/a"), "what it says\n").unwrap();
        Self(world)
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.0.command(["sandbox", "run"]);
        command.args(args).env("PATH", "/usr/bin:/bin");
        command
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Run {
        let run = Running::new(self.command(args).spawn().unwrap()).wait();
        no_process_is_left(self.0.root());
        run
    }

    /// The file, as the command has to name it: it starts in `/`.
    fn file(&self, name: &str) -> String {
        self.0.path("data").join(name).display().to_string()
    }

    /// A script, and its first line.
    fn script(&self, name: &str, line: &str, text: &str) {
        fs::write(self.0.path(name), format!("#!{line}\n{text}\n")).unwrap();
        fs::set_permissions(self.0.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Whether this machine gives the upper tier.
    fn has_namespaces(&self) -> bool {
        self.run(&["--tier", "namespaced", "--", "true"]).status.success()
    }
}

#[test]
fn it_reads_what_is_granted_and_nothing_else() {
    let place = Place::new();
    let file = place.file("a");
    for tier in [&[][..], &["--tier", "landlocked"]] {
        // Seen from the current directory.
        let granted = place.run(&[tier, &["--read", "data", "--", "cat", &file]].concat()).expect(0);
        assert_eq!((&*granted.stdout, &*granted.stderr), ("what it says\n", ""));
        for other in [&*file, "/etc/passwd"] {
            let run = place.run(&[tier, &["--", "cat", other]].concat()).expect(1);
            assert_eq!(run.stdout, "", "{other} was read");
        }
        assert!(fs::read_to_string("/etc/passwd").is_ok(), "nobody could have read it");
    }
}

#[test]
fn it_changes_what_is_granted_and_nothing_else() {
    let place = Place::new();
    let file = place.file("b");
    let script = "echo new > \"$0\"";
    for tier in [&[][..], &["--tier", "landlocked"]] {
        place.run(&[tier, &["--read", "data", "--", "sh", "-c", script, &file]].concat()).expect(2);
        assert!(!place.0.path("data/b").exists());
        place.run(&[tier, &["--write", "data", "--", "sh", "-c", script, &file]].concat()).expect(0);
        assert_eq!(fs::read_to_string(&file).unwrap(), "new\n");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn it_executes_what_is_granted_and_nothing_else() {
    let place = Place::new();
    place.run(&["--", "sh", "-c", "cat /dev/null"]).expect(126);
    place.run(&["--execute", "/usr/bin/cat", "--", "sh", "-c", "cat /dev/null"]).expect(0);
}

/// A script, with a program of its author's own as its interpreter.
#[test]
fn a_first_line_grants_nothing_to_read() {
    let place = Place::new();
    fs::create_dir_all(place.0.path("home/.local/state/outrigger")).unwrap();
    let peers = place.0.path("home/.local/state/outrigger/peers.json");
    fs::create_dir(place.0.path("plugin")).unwrap();
    fs::copy("/usr/bin/cat", place.0.path("plugin/env")).unwrap();
    let own = place.0.path("plugin/env").display().to_string();
    for secret in [peers.display().to_string(), place.file("key")] {
        fs::write(&secret, "what it says\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        for line in [format!("{own} {secret}"), format!("/usr/bin/env -S -u {secret} cat {secret}")] {
            place.script("plugin/main", &line, "");
            let shown = std::process::Command::new(place.0.path("plugin/main")).output().unwrap();
            assert!(String::from_utf8(shown.stdout).unwrap().contains("what it says"), "{line}");
            for tier in [&[][..], &["--tier", "landlocked"]] {
                let run = ["--execute", "plugin", "--execute", "/usr/bin/cat", "--", "plugin/main"];
                let run = place.run(&[tier, &run].concat());
                assert!(!run.stdout.contains("what it says"), "{line}: {run:?}");
            }
        }
    }
}

/// The link to the shell is its own to replace, and so is the folder of its libraries.
#[test]
fn what_the_command_could_replace_is_not_run() {
    let place = Place::new();
    fs::create_dir_all(place.0.path("crm/venv/bin")).unwrap();
    symlink("/bin/bash", place.0.path("crm/venv/bin/sh")).unwrap();
    symlink(place.0.path("data"), place.0.path("crm/venv/lib")).unwrap();
    let script = ["crm/venv/bin/sh", "-c", "read line < \"$0\"; echo \"$line\"", &*place.file("a")];
    for tier in [&[][..], &["--tier", "landlocked"]] {
        let run = place.run(&[tier, &["--write", "crm", "--"], &script].concat()).expect(125);
        run.says(&["covers the plugin's executable"]);
        // Read-only it runs, and a link that leads out of the environment is not followed.
        let run = place.run(&[tier, &["--"], &script].concat());
        assert_eq!((run.stdout.as_str(), run.status.code()), ("\n", Some(0)), "{run:?}");
    }
}

/// What is usual in first lines, and virtual environments, also of an interpreter in a place of its own.
#[test]
#[ignore = "needs python3"]
fn ordinary_scripts_run() {
    let place = Place::new();
    let venv = |python: &str, name: &str| {
        let mut command = std::process::Command::new(python);
        let made = command.args(["-m", "venv", "--without-pip"]).arg(place.0.path(name)).status().unwrap();
        assert!(made.success());
        place.0.path(format!("{name}/bin/python")).display().to_string()
    };
    // As `pyenv` and others install it: a prefix with links in its `bin`.
    let base = venv("/usr/bin/python3", "base");
    let real = fs::canonicalize("/usr/bin/python3").unwrap();
    fs::remove_file(&base).unwrap();
    fs::copy(real, place.0.path("base/bin/python-3")).unwrap();
    symlink("python-3", &base).unwrap();
    fs::create_dir(place.0.path("linked")).unwrap();
    symlink(&base, place.0.path("linked/python")).unwrap();
    let linked = place.0.path("linked/python").display().to_string();
    let lines = [
        "/usr/bin/env python3",
        "/usr/bin/python3 -I",
        "/usr/bin/env -S python3 -u",
        "/usr/bin/env -S A=1 python3",
    ];
    let prefixes = [venv("/usr/bin/python3", "venv"), base, linked];
    for line in lines.into_iter().chain(prefixes.iter().map(String::as_str)) {
        place.script("data/main", line, "import sys, json; print(sys.prefix)");
        for tier in [&[][..], &["--tier", "landlocked"]] {
            let run = place.run(&[tier, &["--", "data/main"]].concat()).expect(0);
            let prefix = place.0.path("venv").display().to_string();
            assert_eq!(run.stdout.contains(&prefix), line.starts_with(&prefix), "{line}: {run:?}");
        }
    }
}

#[test]
fn input_goes_in_and_both_outputs_come_out() {
    let place = Place::new();
    let mut command = place.command(&["--", "sh", "-c", "read line; echo \"got $line\"; echo bad >&2"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a line\n").unwrap();
    let run = Running::new(child).wait().expect(0);
    assert_eq!((&*run.stdout, &*run.stderr), ("got a line\n", "bad\n"));
}

/// More than pipes hold, to the last byte, and nothing is waited for when nobody reads on.
#[test]
fn all_of_a_long_output_comes_out() {
    let place = Place::new();
    let run = place.run(&["--", "head", "-c", "3000000", "/dev/zero"]).expect(0);
    assert_eq!(run.stdout.len(), 3_000_000);
}

/// As with `> log 2>&1`: both outputs share one place in the file.
#[test]
fn both_outputs_may_go_into_one_file() {
    let place = Place::new();
    for _ in 0..10 {
        let log = fs::File::create(place.0.path("log")).unwrap();
        let mut command = place.command(&["--", "sh", "-c", "echo abcdefghi >&2; echo x; echo end >&2"]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        assert!(command.spawn().unwrap().wait().unwrap().success());
        let text = fs::read_to_string(place.0.path("log")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["abcdefghi", "end", "x"]);
    }
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let place = Place::new();
    fs::write(place.0.path("data/text"), "no program").unwrap();
    place.run(&["--", "sh", "-c", "exit 7"]).expect(7);
    place.run(&["--", "sh", "-c", "kill -KILL $$"]).expect(137);
    place.run(&["--", "no-such-command"]).expect(127).says(&["not found in PATH"]);
    place.run(&["--", "./data/none"]).expect(127).says(&["there is no such file"]);
    place.run(&["--", "./data/text"]).expect(126).says(&["must not be executed"]);
    place
        .run(&["--read", "/", "--", "true"])
        .expect(125)
        .says(&["the grant / leads to the root, which is never granted"]);
    place.run(&["--read", "gone", "--", "true"]).expect(2).says(&["no such file or folder"]);
    place.run(&["--write", ".", "--", "true"]).expect(125).says(&["outrigger"]);
    place.run(&["true"]).expect(2);
    place.run(&["--memory", "1KiB", "--", "true"]).expect(2).says(&["at least 4MiB"]);
}

#[test]
fn ports_are_granted_in_every_tier_hosts_only_where_there_is_a_network_of_its_own() {
    let place = Place::new();
    // Landlock from version 4 on restricts ports.
    let run = place.run(&["--connect", "tcp:443", "--report", "--", "true"]);
    assert!(run.status.success() || run.stderr.contains("cannot restrict ports"), "{run:?}");
    let host = ["--connect", "dav.example.org:443"];
    let refused =
        place.run(&[&host[..], &["--tier", "landlocked", "--", "echo", "ran"]].concat()).expect(125);
    assert_eq!(refused.stdout, "", "it ran");
    refused.says(&["tier namespaced only", "`--connect tcp:PORT`", "no namespaces were to be used"]);
    let weak = ["--weaken", "--tier", "landlocked", "--", "true"];
    place.run(&[&host[..], &weak].concat()).expect(125);
    Forbids::Mounts.around(|| place.run(&[&host[..], &["--", "true"]].concat())).expect(125);
    let both = [&host[..], &["--connect", "tcp:443", "--", "true"]].concat();
    place.run(&both).expect(2).says(&["exclude each other"]);
    place.run(&["--connect", "dav.example.org", "--", "true"]).expect(2).says(&["example.org:443"]);
}

impl Place {
    /// Runs `tests/python/proxied.py` with a grant: does something with a host and a port.
    fn proxied(&self, entry: &str, verb: &str, host: &str, port: u16) -> Run {
        let mut command = self.proxied_command(entry, verb, host, port);
        let run = Running::new(command.spawn().unwrap()).wait();
        no_process_is_left(self.0.root());
        run.expect(0)
    }

    fn proxied_command(&self, entry: &str, verb: &str, host: &str, port: u16) -> std::process::Command {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/proxied.py");
        let mut command = self.command(&["--report", "--connect", entry, "--read", script, "--"]);
        command.arg(python()).args(["-B", script, verb, host, &port.to_string()]);
        command
    }
}

#[test]
#[ignore = "needs python3"]
fn a_host_that_is_granted_is_reached_over_the_proxy_by_either_protocol() {
    let (place, server) = (Place::new(), Server::new());
    if !place.has_namespaces() {
        return;
    }
    let port = server.port;
    for (entry, host) in [("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")] {
        for verb in ["connect", "socks"] {
            let run = place.proxied(&format!("{entry}:{port}"), verb, host, port);
            assert_eq!(run.stdout.trim(), PAGE, "{verb} {host}: {run:?}");
            run.says(&["sandbox  network: 1 connections, ", "; 0 refused"]);
        }
    }
}

#[test]
#[ignore = "needs python3"]
fn what_is_not_granted_is_refused_with_the_option_that_would_allow_it() {
    let (place, server) = (Place::new(), Server::new());
    if !place.has_namespaces() {
        return;
    }
    let (port, entry) = (server.port, format!("localhost:{}", server.port));
    let other = port ^ 1;
    for (host, port) in [("localhost", other), ("other.example.org", port)] {
        let allows = format!("{host}:{port} is not granted; `--connect '{host}:{port}'` allows it");
        let run = place.proxied(&entry, "connect", host, port).says(&[&allows, "; 1 refused"]);
        assert!(run.stdout.contains("403 Forbidden"), "{run:?}");
        let run = place.proxied(&entry, "socks", host, port).says(&[&allows]);
        assert_eq!(run.stdout, "code 2\n");
    }
    // A name of somebody else's that leads to this machine does not open it.
    let run = place.proxied(&format!("*:{port}"), "connect", "localhost", port);
    run.says(&["localhost", "is not public", "; `--connect '"]);
}

#[test]
#[ignore = "needs python3"]
fn past_the_proxy_there_is_nothing() {
    let (place, server) = (Place::new(), Server::new());
    if !place.has_namespaces() {
        return;
    }
    let entry = format!("localhost:{}", server.port);
    let gets = |verb, host: &str, port| place.proxied(&entry, verb, host, port).stdout;
    for host in ["127.0.0.1", "::1", "192.0.2.1"] {
        // Landlock says that it may not, or the network that nobody is there.
        let got = gets("direct", host, server.port);
        assert!(
            got.contains("Permission denied") || got.contains("refused") || got.contains("unreachable"),
            "{got}"
        );
    }
    assert!(gets("direct", "127.0.0.1", PROXY_PORT).contains("connected"), "nobody could have connected");
    assert!(gets("bind", "", 0).contains("Operation not permitted"));
    assert!(gets("listen", "", 0).contains("Operation not permitted"));
}

#[test]
#[ignore = "needs python3"]
fn a_killed_run_leaves_neither_process_nor_connection() {
    let place = Place::new();
    if !place.has_namespaces() {
        return;
    }
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        if is_ignored(signal) {
            continue;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut command = place.proxied_command(&format!("127.0.0.1:{port}"), "hold", "127.0.0.1", port);
        let mut child = command.spawn().unwrap();
        let mut server = listener.accept().unwrap().0;
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200\n");
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal as i32));
        no_process_is_left(place.0.root());
        server.set_read_timeout(Some(DEADLINE)).unwrap();
        let read = server.read(&mut [0]);
        assert!(
            matches!(&read, Ok(0)) || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        );
    }
}

#[test]
fn what_is_enforced_is_told_when_asked_for_or_missing() {
    let place = Place::new();
    assert_eq!(place.run(&["--", "true"]).expect(0).stderr, "");
    let told = place.run(&["--report", "--tier", "landlocked", "--", "true"]).expect(0);
    told.says(&["sandbox  tier landlocked", "sandbox  enforced: fs_read", "no namespaces were to be used"]);

    let needs = ["--require", "fs_metadata", "--tier", "landlocked"];
    let script = ["--", "echo", "ran"];
    let refused = place.run(&[&needs[..], &script].concat()).expect(125);
    assert_eq!(refused.stdout, "", "it ran");
    refused.says(&["required and not enforced here: fs_metadata", "tier landlocked", "--weaken"]);
    let weakened = place.run(&[&needs[..], &["--weaken"], &script].concat()).expect(0);
    assert_eq!(weakened.stdout, "ran\n");
    weakened.says(&["unavailable", "fs_metadata"]);
    place.run(&["--require", "metadata", "--", "true"]).expect(2).says(&["fs_metadata"]);
}

#[test]
fn a_tier_that_is_asked_for_is_that_tier_or_none() {
    let place = Place::new();
    let asks = ["--", "sh", "-c", "test -e /etc/passwd"];
    place.run(&[&["--tier", "landlocked"][..], &asks].concat()).expect(0);
    if place.has_namespaces() {
        place.run(&[&["--tier", "namespaced"][..], &asks].concat()).expect(1);
    }
    let refused = Forbids::Mounts.around(|| place.run(&["--tier", "namespaced", "--", "true"]));
    refused.expect(125).says(&["does not give the tier namespaced"]);
    Forbids::Mounts.around(|| place.run(&["--", "true"])).expect(0);
}

#[test]
fn memory_is_bounded() {
    let place = Place::new();
    // One block of 128 MiB, far below what there is without a word.
    let greedy = ["--report", "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=128M", "count=1"];
    let run = |memory, more: &[&str]| place.run(&[&["--memory", memory], more, &greedy].concat());
    // One process is bounded by itself: it is refused more.
    run("64MiB", &["--processes", "1"]).expect(1).says(&["memory exhausted"]);
    run("512MiB", &["--processes", "1"]).expect(0);
    // Several need a control group, which ends them.
    run("512MiB", &[]).expect(0);
    let killed = run("64MiB", &[]);
    let has_group = !killed.stderr.contains("only what each process has of its own");
    killed.expect(if has_group { 137 } else { 1 });
}

/// What is refused as too little is not more than what suffices.
#[test]
fn the_least_memory_is_enough_for_a_program() {
    let place = Place::new();
    for tier in [&[][..], &["--tier", "landlocked"]] {
        for processes in ["1", "64"] {
            let args = ["--memory", "4MiB", "--processes", processes, "--", "true"];
            place.run(&[tier, &args].concat()).expect(0);
        }
    }
}

#[test]
fn an_interrupt_ends_it_with_all_that_it_started() {
    let place = Place::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        if is_ignored(signal) {
            continue; // by whoever started the tests, and so by all that they start
        }
        let script = "sleep 1000 & echo $!; wait";
        let args = ["--tier", "landlocked", "--execute", "/usr/bin/sleep", "--", "sh", "-c", script];
        let mut child = place.command(&args).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let sleeper = Pid::from_raw(line.trim().parse().unwrap());
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal as i32));
        no_process_is_left(place.0.root());
        until("the grandchild has gone", || kill(sleeper, None).is_err().then_some(()));
    }
}

fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & (1 << (signal as i32 - 1)) != 0
}
