//! A world with an application in it, and what its user does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::host::example;
use crate::support::{DEADLINE, LAPTOP, Link, PHONE, Run, Running, World, until};

/// The application's name among ends.
pub(crate) const NAME: &str = "contacts";

/// A world whose second member is an application; with a runtime directory of its own.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) runtime: TempDir,
    /// What the end is called.
    pub(crate) name: String,
    /// What stands in `XDG_RUNTIME_DIR`.
    pub(crate) environment: PathBuf,
    language: Language,
}

/// What the application is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Python,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(&format!("locate = {{ rendezvous = \"{NAME}\" }}"))
    }

    /// `locate`: the line of the member's table.
    pub(crate) fn with(locate: &str) -> Self {
        let world = World::new(Link::Inherited);
        // Short, since sockets lie in it.
        let runtime = tempfile::Builder::new().prefix("o").tempdir_in("/tmp").unwrap();
        std::fs::create_dir(world.path("profile")).unwrap();
        let (name, environment) = (NAME.to_owned(), runtime.path().to_owned());
        let desk = Self { world, runtime, name, environment, language: Language::Rust };
        desk.configure(locate);
        desk
    }

    pub(crate) fn configure(&self, locate: &str) {
        self.world.configure_as(&format!(
            "state = \"./state\"\n[member.{LAPTOP}]\nplugin = \"vdir\"\npath = \"./{LAPTOP}\"\n\
             [member.{PHONE}]\n{locate}\n[group.contacts]\nmembers = [\"{LAPTOP}\", \"{PHONE}\"]\n"
        ));
    }

    pub(crate) fn ends(&self) -> PathBuf {
        self.runtime.path().join("outrigger/ends")
    }

    pub(crate) fn file(&self, kind: &str) -> PathBuf {
        self.ends().join(format!("{NAME}.{kind}"))
    }

    /// Starts the application.
    pub(crate) fn app(&self) -> App {
        self.app_with("profile")
    }

    pub(crate) fn app_with(&self, profile: &str) -> App {
        App::start(self.app_command(profile))
    }

    pub(crate) fn app_command(&self, profile: &str) -> Command {
        let mut command = Command::new(self.program());
        command
            .args(self.script())
            .arg(&self.name)
            .arg(self.world.path(profile))
            .env("XDG_RUNTIME_DIR", &self.environment);
        command
    }

    /// The application's program.
    pub(crate) fn program(&self) -> PathBuf {
        match self.language {
            Language::Rust => example("prestarted", "examples/prestarted/main.rs"),
            Language::Python => "python3".into(),
        }
    }

    /// The file that its program runs, if it is none itself.
    fn script(&self) -> Option<PathBuf> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prestarted/contacts.py");
        (self.language == Language::Python).then_some(script)
    }

    /// The same, with the application in another language.
    pub(crate) fn in_language(self, language: Language) -> Self {
        Self { language, ..self }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(["-c"]);
        command.arg(self.world.config()).args(args).env("XDG_RUNTIME_DIR", &self.environment);
        command
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::new(self.command(args).spawn().unwrap())
    }

    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.start(args).wait()
    }

    #[track_caller]
    pub(crate) fn sync(&self) -> Run {
        self.run(&["sync", "contacts", "--json"])
    }

    #[track_caller]
    pub(crate) fn approve(&self, app: &App) {
        self.run(&["peers", "approve", &self.name, &app.code]).expect(0).says(&["approved", &app.code]);
    }
}

/// An application that runs. Killed with the test.
pub(crate) struct App {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    pub(crate) code: String,
}

impl App {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
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
    pub(crate) fn hears(&self, words: &str) -> String {
        loop {
            let line =
                self.output.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it never said {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    #[track_caller]
    pub(crate) fn does(&mut self, command: &str) {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        while self.hears("ok") != "ok" {}
    }

    /// Its contacts, as it shows them.
    pub(crate) fn contacts(&mut self) -> Vec<String> {
        writeln!(self.input.as_mut().unwrap(), "list").unwrap();
        let lines =
            std::iter::from_fn(|| self.output.recv_timeout(DEADLINE).ok().filter(|line| line != "ok"));
        let name = |card: String| card.split("FN:").nth(1).unwrap().split(" N:").next().unwrap().to_owned();
        lines.map(name).collect()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    #[track_caller]
    pub(crate) fn lives(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it was ended");
    }

    /// Quits in its own way.
    #[track_caller]
    pub(crate) fn quits(mut self) {
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
