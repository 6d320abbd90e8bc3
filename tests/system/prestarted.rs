//! Ends that are found instead of started: an application that runs anyway, with its own user.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::host::example;
use crate::support::{DEADLINE, LAPTOP, Link, PHONE, Run, Running, World, card, until};

/// The application's name among ends.
const NAME: &str = "contacts";

/// A world whose second member is an application; with a runtime directory of its own.
struct Desk {
    world: World,
    runtime: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self::with(&format!("locate = {{ rendezvous = \"{NAME}\" }}"))
    }

    /// `locate`: the line of the member's table.
    fn with(locate: &str) -> Self {
        let world = World::new(Link::Inherited);
        // Short, since sockets lie in it.
        let runtime = tempfile::Builder::new().prefix("o").tempdir_in("/tmp").unwrap();
        std::fs::create_dir(world.path("profile")).unwrap();
        let desk = Self { world, runtime };
        desk.configure(locate);
        desk
    }

    fn configure(&self, locate: &str) {
        self.world.configure_as(&format!(
            "state = \"./state\"\n[member.{LAPTOP}]\nplugin = \"vdir\"\npath = \"./{LAPTOP}\"\n\
             [member.{PHONE}]\n{locate}\n[group.contacts]\nmembers = [\"{LAPTOP}\", \"{PHONE}\"]\n"
        ));
    }

    fn ends(&self) -> PathBuf {
        self.runtime.path().join("outrigger/ends")
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.ends().join(format!("{NAME}.{kind}"))
    }

    /// Starts the application.
    fn app(&self) -> App {
        self.app_with("profile")
    }

    fn app_with(&self, profile: &str) -> App {
        let mut command = Command::new(example("prestarted", "examples/prestarted/main.rs"));
        command.arg(NAME).arg(self.world.path(profile));
        App::start(command, self.runtime.path())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(["-c"]);
        command.arg(self.world.config()).args(args).env("XDG_RUNTIME_DIR", self.runtime.path());
        command
    }

    fn start(&self, args: &[&str]) -> Running {
        Running::new(self.command(args).spawn().unwrap())
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Run {
        self.start(args).wait()
    }

    #[track_caller]
    fn sync(&self) -> Run {
        self.run(&["sync", "contacts", "--json"])
    }

    #[track_caller]
    fn approve(&self, app: &App) {
        self.run(&["peers", "approve", NAME, &app.code]).expect(0).says(&["approved contacts", &app.code]);
    }
}

/// An application that runs. Killed with the test.
struct App {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    code: String,
}

impl App {
    fn start(mut command: Command, runtime: &Path) -> Self {
        command.env("XDG_RUNTIME_DIR", runtime).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, output) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let input = child.stdin.take();
        let mut app = Self { child, input, output, code: String::new() };
        app.code = app.hears("its code is ").rsplit(' ').next().unwrap().to_owned();
        app
    }

    /// Waits for a line with these words.
    #[track_caller]
    fn hears(&self, words: &str) -> String {
        loop {
            let line =
                self.output.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it never said {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    #[track_caller]
    fn does(&mut self, command: &str) {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        self.hears("ok");
    }

    /// Its contacts, as it shows them.
    fn contacts(&mut self) -> Vec<String> {
        writeln!(self.input.as_mut().unwrap(), "list").unwrap();
        let lines =
            std::iter::from_fn(|| self.output.recv_timeout(DEADLINE).ok().filter(|line| line != "ok"));
        let name = |card: String| card.split("FN:").nth(1).unwrap().split(" N:").next().unwrap().to_owned();
        lines.map(name).collect()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    #[track_caller]
    fn lives(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it was ended");
    }

    /// Quits in its own way.
    #[track_caller]
    fn quits(mut self) {
        self.input = None;
        let ended = until("the application quits", || self.child.try_wait().unwrap());
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for App {
    fn drop(&mut self) {
        kill(self.pid(), Signal::SIGKILL).ok();
        self.child.wait().ok();
    }
}

#[test]
fn it_is_found_used_left_running_and_found_again() {
    let desk = Desk::new();
    let mut app = desk.app();
    app.does("add anna Anna");
    desk.world.put(LAPTOP, "bert.vcf", card("bert", "Bert"));
    // The first meeting: both sides show the same code.
    desk.sync().expect(6).says(&[
        "contacts waits to be approved",
        &app.code,
        "outrigger peers approve contacts",
    ]);
    desk.run(&["peers", "list"]).expect(0).says(&["waits to be approved", &app.code]);
    desk.approve(&app);
    desk.sync().expect(0).wrote(LAPTOP, [1, 0, 0]).wrote(PHONE, [1, 0, 0]);
    assert!(!desk.file("offer").exists(), "its secret lies about though it was fetched");
    app.lives();
    // It changes while it runs, and is found again; its user and the broker do not get into each other's way.
    app.does("edit anna Anna Dahl");
    desk.sync().expect(0).wrote(LAPTOP, [0, 1, 0]).wrote(PHONE, [0, 0, 0]);
    assert!(desk.world.get(LAPTOP, "anna.vcf").contains("FN:Anna Dahl"));
    desk.sync().expect(0).wrote(LAPTOP, [0, 0, 0]).wrote(PHONE, [0, 0, 0]);
    assert_eq!(app.contacts(), ["Anna Dahl", "Bert"]);
    app.lives();
    app.quits();
    assert!(!desk.file("json").exists() && !desk.file("sock").exists(), "what it left goes with it");
}
