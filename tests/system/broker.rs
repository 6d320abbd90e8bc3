//! The broker as a process of its own: several runs through one, and what is left when any of them is
//! killed.

mod ends;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType};

use crate::prestarted::desk::{App, Desk, NAME};
use crate::support::host::AT_ONCE;
use crate::support::{LAPTOP, Link, PHONE, World, card, no_process_is_left, processes, until};

/// The user that a test becomes where it may.
const NOBODY: u32 = 65_534;

/// Says where to knock, in a process of another user.
const KNOCK: &str = "OUTRIGGER_TEST_KNOCK_AT_BROKER";

/// A broker in a world of its own. Killed with the test.
struct Office {
    world: World,
    runtime: PathBuf,
    broker: Child,
}

impl Office {
    /// In the runtime directory of `desk`, whose runs then go through it.
    fn of(desk: &Desk) -> Self {
        through_broker(desk);
        let world = World::empty(Link::Inherited);
        let runtime = desk.environment.clone();
        let broker = start(&world, &runtime);
        Self { world, runtime, broker }
    }

    /// Another one in the same runtime directory.
    fn beside(&self) -> Self {
        let (world, runtime) = (World::empty(Link::Inherited), self.runtime.clone());
        let broker = start(&world, &runtime);
        Self { world, runtime, broker }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.runtime.join("outrigger").join(name)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.broker.id().cast_signed())
    }

    /// The processes whose parent it is, living or not.
    fn children(&self) -> Vec<i32> {
        // Each thread has those that it started.
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().flatten();
        let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let children =
            |list: String| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>();
        lists.flat_map(children).collect()
    }

    /// Waits until no plugin is left of it, not even as a zombie.
    fn is_idle(&self) {
        until("the broker has no children", || self.children().is_empty().then_some(()));
    }

    fn is_told(&mut self, signal: Signal) -> ExitStatus {
        kill(self.pid(), signal).unwrap();
        until("the broker ends", || self.broker.try_wait().unwrap())
    }

    /// Another one after it has gone.
    fn opens_again(&mut self) {
        self.broker = start(&self.world, &self.runtime);
    }

    /// It is told to end, does, and leaves nothing.
    fn closes(mut self) {
        self.is_idle();
        assert_eq!(self.is_told(Signal::SIGTERM).code(), Some(0));
        let left: Vec<_> =
            fs::read_dir(self.file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "ends"), "left behind: {left:?}");
        no_process_is_left(self.world.root());
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.broker.kill().ok();
        self.broker.wait().ok();
    }
}

fn command(world: &World, runtime: &Path) -> Command {
    let mut command = world.command(["broker"]);
    command.env("XDG_RUNTIME_DIR", runtime);
    command
}

/// Starts a broker and waits until it listens.
fn start(world: &World, runtime: &Path) -> Child {
    let mut broker = command(world, runtime).spawn().unwrap();
    let mut lines = BufReader::new(broker.stderr.take().unwrap()).lines().map_while(Result::ok);
    let serves = format!("broker.sock, process {}", broker.id());
    assert!(lines.any(|line| line.contains(&serves)), "it never said that it serves");
    std::thread::spawn(move || lines.for_each(drop));
    broker
}

fn through_broker(desk: &Desk) {
    let text = fs::read_to_string(desk.world.config()).unwrap();
    desk.world.configure_as(&format!("broker = true\n{text}"));
}

/// A second world with an application of another name, in the runtime directory of the first.
fn beside(desk: &Desk) -> Desk {
    let mut other = Desk::new();
    (other.name, other.environment) = ("other".to_owned(), desk.environment.clone());
    other.configure("locate = { rendezvous = \"other\" }");
    through_broker(&other);
    other
}

/// An application that is trusted, and does not answer the next write.
fn holding(desk: &Desk) -> App {
    let mut app = desk.app();
    desk.approve(&app);
    app.does("hold");
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    app
}

#[test]
fn without_a_broker_nothing_is_started_and_it_is_said_what_to_do() {
    let desk = Desk::new();
    through_broker(&desk);
    let words = ["no broker runs", "broker.sock", " broker`, or take `broker = true` out"];
    desk.sync().expect(4).says(&words).says(&["the end of phone was not looked for"]);
    desk.run(&["check"]).expect(4).says(&words);
    no_process_is_left(desk.world.root());
}

/// Holds S82.
#[test]
fn two_runs_of_two_groups_go_through_one_broker_at_the_same_time() {
    let desk = Desk::new();
    let office = Office::of(&desk);
    let worlds = [Link::Inherited, Link::Named].map(World::new);
    let runs = worlds.each_ref().map(|world| {
        let text = fs::read_to_string(world.config()).unwrap();
        world.configure_as(&format!("broker = true\n{text}"));
        for number in 0..50 {
            let uid = format!("n{number}");
            world.put([LAPTOP, PHONE][number % 2], format!("{uid}.vcf"), card(&uid, "N"));
        }
        let mut command = world.command(["-c"]);
        command.arg(world.config()).args(["sync", "--json"]).env("XDG_RUNTIME_DIR", &office.runtime);
        crate::support::Running::new(command.spawn().unwrap())
    });
    for (run, world) in runs.into_iter().zip(&worlds) {
        let run = run.wait().expect(0);
        assert_eq!((run.count(LAPTOP, "created"), run.count(PHONE, "created")), (25, 25));
        let json = run.json();
        for plugin in json["plugins"].as_array().unwrap() {
            assert!(plugin["peak_rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{plugin:#}");
            assert_ne!(plugin["sandbox"]["cleanup_on_broker_death"]["standing"], "unavailable");
        }
        world.assert_equal();
        no_process_is_left(world.root());
    }
    office.closes();
}

/// The first run is killed, the second goes on; what the first had is free for the next.
#[test]
fn x3_a_run_that_is_killed_takes_its_plugins_along_and_no_others() {
    let desk = Desk::new();
    let office = Office::of(&desk);
    let other = beside(&desk);
    let (mut app, mut other_app) = (holding(&desk), holding(&other));
    let run = desk.start(&["sync", "contacts", "--json"]);
    let other_run = other.start(&["sync", "contacts", "--json"]);
    app.hears("a broker waits");
    other_app.hears("a broker waits");
    assert_eq!(office.children().len(), 2, "a keeper each: the ends are not started");
    kill(Pid::from_raw(run.pid), Signal::SIGKILL).unwrap();
    let begun = Instant::now();
    run.wait();
    no_process_is_left(desk.world.root()); // its keeper held the locks there
    until("one plugin is left", || (office.children().len() == 1).then_some(()));
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert!(processes(other.world.root()).len() > 1, "the keeper of the other has gone too");
    app.lives();
    other_app.does("release");
    other_run.wait().expect(0).wrote(PHONE, [1, 0, 0]);
    app.does("release");
    desk.sync().expect(0);
    assert_eq!((app.contacts(), other_app.contacts()), (vec!["Bert".to_owned()], vec!["Bert".to_owned()]));
    office.closes();
}

/// Killed, or told to end: its plugins end, and the next run does what is left.
#[test]
fn a_broker_that_ends_in_the_middle_of_a_run_takes_its_plugins_along_and_nothing_is_done_twice() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let desk = Desk::new();
        let mut office = Office::of(&desk);
        let mut app = holding(&desk);
        let run = desk.start(&["sync", "contacts", "--json"]);
        app.hears("a broker waits");
        let keepers = office.children();
        assert_eq!(keepers.len(), 1);
        let begun = Instant::now();
        let status = office.is_told(signal);
        assert_eq!(status.code(), (signal == Signal::SIGTERM).then_some(0));
        // It waited for its plugins, which went when they heard the goodbye.
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        until("its plugins end", || (!fs::exists(format!("/proc/{}", keepers[0])).unwrap()).then_some(()));
        app.does("release");
        // Its last write was the application's: whether anything is left to fail is not the point here.
        run.wait();
        no_process_is_left(office.world.root());
        app.lives();
        office.opens_again();
        desk.sync().expect(0);
        desk.sync().expect(0).wrote(PHONE, [0, 0, 0]).wrote(LAPTOP, [0, 0, 0]);
        assert_eq!(app.contacts(), ["Bert"]);
        office.closes();
    }
}

/// Holds S79, S82.
#[test]
fn a_second_broker_is_refused_and_told_who_is_there() {
    let desk = Desk::new();
    let mut office = Office::of(&desk);
    let mut second = command(&office.world, &office.runtime);
    let second = crate::support::Running::new(second.spawn().unwrap()).wait();
    second.expect(75).says(&["runs already", &format!("process {}", office.pid())]);
    let app = desk.app();
    desk.approve(&app);
    desk.sync().expect(0);
    // What a killed one left is no obstacle.
    office.is_told(Signal::SIGKILL);
    assert!(office.file("broker.sock").exists() && office.file("broker.lock").exists());
    desk.sync().expect(4).says(&["no broker runs"]);
    office.opens_again();
    desk.sync().expect(0);
    office.closes();
}

/// A cleaner of temporary files has been there.
/// Holds S81.
#[test]
fn b14_a_broker_puts_back_what_was_removed_and_what_it_started_does_not_notice() {
    let desk = Desk::new();
    let office = Office::of(&desk);
    let mut app = holding(&desk);
    let run = desk.start(&["sync", "contacts", "--json"]);
    app.hears("a broker waits");
    let files = ["broker.sock", "broker.lock"].map(|name| office.file(name));
    for gone in [&files[..1], &files[..]] {
        gone.iter().for_each(|file| fs::remove_file(file).unwrap());
        until("they are back", || files.iter().all(|file| file.exists()).then_some(()));
        assert!(String::from_utf8_lossy(&knock(&files[0])).contains("cannot be read"), "nobody answers");
    }
    let mut second = command(&office.world, &office.runtime);
    crate::support::Running::new(second.spawn().unwrap()).wait().expect(75);
    app.does("release");
    run.wait().expect(0).wrote(PHONE, [1, 0, 0]);
    office.closes();
}

/// The first stands still while its place is cleaned and taken.
/// Holds S79.
#[test]
fn b12_a_broker_that_lost_its_place_removes_nothing_of_the_next() {
    let desk = Desk::new();
    let mut first = Office::of(&desk);
    kill(first.pid(), Signal::SIGSTOP).unwrap();
    ["broker.sock", "broker.lock"].iter().for_each(|name| fs::remove_file(first.file(name)).unwrap());
    let second = first.beside();
    kill(first.pid(), Signal::SIGCONT).unwrap();
    assert_eq!(first.is_told(Signal::SIGTERM).code(), Some(0));
    let app = desk.app();
    desk.approve(&app);
    desk.sync().expect(0);
    let mut third = command(&second.world, &second.runtime);
    let third = crate::support::Running::new(third.spawn().unwrap()).wait();
    third.expect(75).says(&[&format!("process {}", second.pid())]);
    second.closes();
}

/// Holds S87.
#[test]
fn an_end_is_found_through_the_broker_by_one_run_after_the_other() {
    let desk = Desk::new();
    let office = Office::of(&desk);
    desk.sync().expect(4).says(&[&format!("no end called {NAME}"), "start the program"]);
    let mut app = desk.app();
    desk.sync().expect(6).says(&["contacts waits to be approved", &app.code]);
    desk.approve(&app);
    app.does("add anna Anna");
    let first = desk.sync().expect(0).wrote(LAPTOP, [1, 0, 0]).json();
    app.does("edit anna Anna Dahl");
    let second = desk.sync().expect(0).wrote(LAPTOP, [0, 1, 0]).json();
    let pids = [first, second].map(|run| {
        let plugins = run["plugins"].as_array().unwrap().clone();
        plugins.into_iter().find(|one| one["member"] == PHONE).unwrap()["pid"].clone()
    });
    assert_eq!(pids, [app.pid().as_raw(), app.pid().as_raw()]);
    app.lives();
    office.closes();
}

/// What the broker says to whoever sends it a word that it does not know.
fn knock(socket: &Path) -> Vec<u8> {
    let knocks = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::connect(&knocks, &SocketAddrUnix::new(socket).unwrap()).unwrap();
    rustix::net::send(&knocks, b"who is there?", SendFlags::NOSIGNAL).ok();
    let mut heard = [0; 1000];
    let (count, _) = rustix::net::recv(&knocks, &mut heard[..], RecvFlags::empty()).unwrap_or((0, 0));
    heard[..count].to_vec()
}

/// As another user, who is let in by the files.
/// Holds S82, S86.
#[test]
#[ignore = "needs root"]
fn b15_a_process_of_another_user_is_not_heard() {
    if let Some(socket) = std::env::var_os(KNOCK) {
        let heard = knock(Path::new(&socket));
        assert!(heard.is_empty(), "it was heard: {}", String::from_utf8_lossy(&heard));
        return;
    }
    let desk = Desk::new();
    let office = Office::of(&desk);
    let socket = office.file("broker.sock");
    let own = knock(&socket);
    assert!(String::from_utf8_lossy(&own).contains("cannot be read"), "its own user is answered: {own:?}");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    for (path, mode) in [(office.runtime.clone(), 0o755), (office.file(""), 0o755), (socket.clone(), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let (program, own) = (office.runtime.join("knocks"), std::env::current_exe().unwrap());
    fs::hard_link(&own, &program).or_else(|_| fs::copy(&own, &program).map(|_| ())).unwrap();
    let mut knocks = Command::new(&program);
    knocks.args(["--ignored", "--exact", "broker::b15_a_process_of_another_user_is_not_heard"]);
    knocks.env(KNOCK, &socket).uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::null());
    let knocked = knocks.output().unwrap();
    assert!(knocked.status.success(), "{knocked:?}");
}
