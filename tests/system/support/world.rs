//! Two members, a configuration, a state directory, and the command.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use outrigger::store::Store;
use serde_json::Value;
use tempfile::TempDir;

use super::{DEADLINE, Tree, no_process_is_left, tree};

/// The first member.
pub(crate) const LAPTOP: &str = "laptop";
/// The second member.
pub(crate) const PHONE: &str = "phone";

/// How plugins get their connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Inherited,
    Named,
}

/// Everything that one test has to itself.
pub(crate) struct World {
    root: TempDir,
    link: Link,
}

impl World {
    /// Two empty address books called `book`, and a configuration that keeps all collections of
    /// both the same.
    pub(crate) fn new(link: Link) -> Self {
        Self::somewhere(link, Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// The same, below a folder that other users may enter.
    pub(crate) fn somewhere(link: Link, place: &Path) -> Self {
        let world = Self::empty_in(link, place);
        for member in [LAPTOP, PHONE] {
            fs::create_dir_all(world.member(member).join("book")).unwrap();
        }
        world.configure("", "");
        world
    }

    /// Nothing but the command and a home.
    pub(crate) fn empty(link: Link) -> Self {
        Self::empty_in(link, Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    fn empty_in(link: Link, place: &Path) -> Self {
        let root = tempfile::Builder::new().prefix("w").tempdir_in(place).unwrap();
        let world = Self { root, link };
        fs::create_dir(world.path("home")).unwrap();
        fs::create_dir(world.path("tmp")).unwrap();
        let built = env!("CARGO_BIN_EXE_outrigger");
        fs::hard_link(built, world.program())
            .or_else(|_| fs::copy(built, world.program()).map(|_| ()))
            .unwrap();
        world
    }

    /// Writes the usual configuration, with more lines in the table of the group, and more tables.
    pub(crate) fn configure(&self, in_group: &str, more: &str) {
        let member = |name: &str| {
            format!("[member.{name}]\nplugin = \"vdir\"\npath = \"./{name}\"\n{}", self.connection())
        };
        let text = format!(
            "state = \"./state\"\n\n{}\n{}\n[group.contacts]\nmembers = [\"{LAPTOP}\", \"{PHONE}\"]\n\
             collections = \"all\"\ncreate_collections = true\n{in_group}\n\n{more}\n",
            member(LAPTOP),
            member(PHONE)
        );
        self.configure_as(&text);
    }

    /// The line of a member's table that says how its plugin is connected.
    pub(crate) fn connection(&self) -> &'static str {
        match self.link {
            Link::Inherited => "", // the default
            Link::Named => "connection = \"named\"\n",
        }
    }

    /// Writes a configuration.
    ///
    /// A plugin that dials by name cannot be in a sandbox: so these have none.
    pub(crate) fn configure_as(&self, text: &str) {
        let mut text = text.to_owned();
        let members: Vec<String> = text
            .split("[member.")
            .skip(1)
            .filter(|table| {
                table.split("\n[").next().is_some_and(|table| table.contains("connection = \"named\""))
            })
            .filter_map(|table| table.split(']').next().map(str::to_owned))
            .collect();
        for member in members {
            let header = format!("[member.{member}.sandbox]\n");
            if !text.contains(&header) {
                text.push_str(&format!("\n{header}"));
            }
            let without = format!("{header}profile = \"none\"\n");
            if !text.contains(&without) {
                text = text.replace(&header, &without);
            }
        }
        fs::write(self.config(), text).unwrap();
    }

    /// A place in this world.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn link(&self) -> Link {
        self.link
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.path("outrigger")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("outrigger.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The folder of a member, which holds a folder per collection.
    pub(crate) fn member(&self, member: &str) -> PathBuf {
        self.path(member)
    }

    /// The file of an item in `book`.
    pub(crate) fn file(&self, member: &str, name: impl AsRef<OsStr>) -> PathBuf {
        self.member(member).join("book").join(name.as_ref())
    }

    /// Saves an item as an editor would, in place.
    pub(crate) fn put(&self, member: &str, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) {
        fs::write(self.file(member, name), content).unwrap();
    }

    /// What an item says.
    #[track_caller]
    pub(crate) fn get(&self, member: &str, name: impl AsRef<OsStr>) -> String {
        let file = self.file(member, name);
        let content = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        String::from_utf8(content).unwrap()
    }

    pub(crate) fn has(&self, member: &str, name: impl AsRef<OsStr>) -> bool {
        self.file(member, name).exists()
    }

    pub(crate) fn delete(&self, member: &str, name: impl AsRef<OsStr>) {
        fs::remove_file(self.file(member, name)).unwrap();
    }

    /// The items of `book`: names and contents.
    pub(crate) fn items(&self, member: &str) -> BTreeMap<OsString, Vec<u8>> {
        items(&self.member(member).join("book"))
    }

    /// What `book` holds, by content alone, equal ones as often as they occur.
    pub(crate) fn contents(&self, member: &str) -> Vec<String> {
        let text = |content: Vec<u8>| String::from_utf8_lossy(&content).into_owned();
        let mut contents: Vec<_> = self.items(member).into_values().map(text).collect();
        contents.sort();
        contents
    }

    /// Fails unless both members hold the same contents in `book`, and nothing of ours lies about.
    #[track_caller]
    pub(crate) fn assert_equal(&self) {
        assert_eq!(self.contents(LAPTOP), self.contents(PHONE), "the members differ");
        self.assert_tidy();
    }

    /// Fails if a member holds a file of ours that is no item.
    #[track_caller]
    pub(crate) fn assert_tidy(&self) {
        for member in [LAPTOP, PHONE] {
            for folder in fs::read_dir(self.member(member)).unwrap().flatten() {
                let Ok(entries) = fs::read_dir(folder.path()) else { continue };
                let ours: Vec<_> = entries
                    .flatten()
                    .map(|entry| entry.file_name())
                    .filter(|name| name.as_bytes().starts_with(b".outrigger-"))
                    .collect();
                assert!(ours.is_empty(), "left behind in {}: {ours:?}", folder.path().display());
            }
        }
    }

    /// All that is in this world, to the last time stamp; but not the command, whose links are
    /// counted together with those of other tests.
    pub(crate) fn tree(&self) -> Tree {
        tree(self.root()).without(&self.program())
    }

    /// Both members, to the last time stamp.
    pub(crate) fn members(&self) -> [Tree; 2] {
        [LAPTOP, PHONE].map(|member| tree(&self.member(member)))
    }

    /// Every content that can be had back.
    pub(crate) fn journal(&self) -> Vec<Vec<u8>> {
        let store = Store::open(&self.state(), "contacts", DEADLINE).unwrap();
        let runs = store.runs(u32::MAX).wait().unwrap();
        let entries = runs.iter().flat_map(|run| store.undo_entries(run.id).wait().unwrap());
        let contents = entries.filter_map(|entry| store.undo_content(entry.id).wait().unwrap()).collect();
        store.close().unwrap();
        contents
    }

    /// Makes all of it belong to another user; but not the command, which other tests link to.
    pub(crate) fn give_to(&self, user: u32) {
        let mut left = vec![self.root().to_owned()];
        while let Some(path) = left.pop() {
            if path.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            if path != self.program() {
                std::os::unix::fs::chown(&path, Some(user), Some(user)).unwrap();
            }
        }
    }

    /// The command with arguments, in this world: nothing of the real user is seen.
    pub(crate) fn command<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(self.program());
        self.place(&mut command);
        command.args(args);
        command
    }

    /// Puts a command into this world.
    pub(crate) fn place(&self, command: &mut Command) {
        command.env_clear().env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        command.current_dir(self.root()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    /// Runs the command to its end with `-c` and these arguments; no process may stay.
    #[track_caller]
    pub(crate) fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Run {
        let run = self.start(args).wait();
        no_process_is_left(self.root());
        run
    }

    /// Starts the command with `-c` and these arguments.
    pub(crate) fn start<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Running {
        let mut command = self.command([OsStr::new("-c"), self.config().as_os_str()]);
        command.args(args);
        Running::new(command.spawn().unwrap())
    }

    /// `sync contacts --json`.
    #[track_caller]
    pub(crate) fn sync(&self) -> Run {
        self.run(["sync", "contacts", "--json"])
    }

    /// A sync that must end with 0.
    #[track_caller]
    pub(crate) fn sync_well(&self) -> Run {
        self.sync().expect(0)
    }

    /// Runs the command that a message tells its reader to run, just as it would be pasted into a shell: on
    /// the line with `needle` in it, up to its end or to the end of the quotation.
    #[track_caller]
    pub(crate) fn paste(&self, text: &str, needle: &str) -> Run {
        let line = text.lines().find(|line| line.contains("outrigger -c ") && line.contains(needle));
        let line = line.unwrap_or_else(|| panic!("no command with {needle:?} in:\n{text}"));
        let before = line.find(needle).unwrap_or_default();
        let begin = line[..before].rfind("outrigger -c ").filter(|_| !line.contains("&&"));
        let begin = begin.or_else(|| line.find("outrigger -c ")).unwrap();
        let command = line[begin..].split('`').next().unwrap();
        let mut shell = Command::new("sh");
        self.place(&mut shell);
        shell.env("PATH", format!("{}:/usr/bin:/bin", self.root().display())).args(["-c", command]);
        let run = Running::new(shell.spawn().unwrap()).wait();
        no_process_is_left(self.root());
        run
    }

    /// A sync that must find nothing to do: nothing written, nothing fetched, nothing touched.
    #[track_caller]
    pub(crate) fn assert_at_rest(&self, code: i32) -> Run {
        let before = self.members();
        let run = self.sync().expect(code);
        for member in [LAPTOP, PHONE] {
            for count in ["created", "updated", "deleted", "read"] {
                assert_eq!(run.count(member, count), 0, "{count} at {member}\n{run:?}");
            }
        }
        for (before, now) in before.iter().zip(&self.members()) {
            before.assert_untouched(now);
        }
        run
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Folders that a test closed to itself could not be removed.
        for member in [LAPTOP, PHONE] {
            let book = self.member(member).join("book");
            if let Ok(found) = fs::metadata(&book) {
                let mut mode = found.permissions();
                std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
                fs::set_permissions(&book, mode).ok();
            }
        }
    }
}

/// The items of a collection's folder.
fn items(folder: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let is_item = |name: &OsStr| {
        let name = name.as_bytes();
        !name.starts_with(b".") && (name.ends_with(b".vcf") || name.ends_with(b".ics"))
    };
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let items = entries.filter(|entry| is_item(&entry.file_name()));
    items.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
}

/// A command that was started. Its output is read as it comes.
pub(crate) struct Running {
    pub(crate) pid: i32,
    outputs: [mpsc::Receiver<Vec<u8>>; 2],
    end: mpsc::Receiver<ExitStatus>,
}

impl Running {
    pub(crate) fn new(mut child: Child) -> Self {
        let pid = i32::try_from(child.id()).unwrap();
        let outputs = [read(child.stdout.take()), read(child.stderr.take())];
        let (tell, end) = mpsc::channel();
        thread::spawn(move || tell.send(child.wait().unwrap()).ok());
        Self { pid, outputs, end }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(self) -> Run {
        self.wait_up_to(DEADLINE)
    }

    /// The same, for a command that has a lot to do.
    #[track_caller]
    pub(crate) fn wait_up_to(self, limit: Duration) -> Run {
        let status = self.end.recv_timeout(limit).unwrap_or_else(|_| {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), nix::sys::signal::SIGKILL).ok();
            panic!("the command did not end within {limit:?}")
        });
        let [stdout, stderr] = self.outputs.map(|output| {
            String::from_utf8_lossy(&output.recv_timeout(DEADLINE).unwrap_or_default()).into_owned()
        });
        Run { status, stdout, stderr }
    }
}

fn read(output: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (tell, whole) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        output.map(|mut output| output.read_to_end(&mut bytes));
        tell.send(bytes).ok()
    });
    whole
}

/// What a command came to.
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Fails unless it ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    /// Fails unless its output (stdout or stderr) says each of `words`.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(all.contains(word), "it does not say {word:?}:\n{self:?}");
        }
        self
    }

    /// The object on the last line of stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("nothing on stdout: {self:?}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}\n{self:?}"))
    }

    /// One of the counts of a member.
    #[track_caller]
    pub(crate) fn count(&self, member: &str, what: &str) -> u64 {
        let json = self.json();
        json["members"][member][what].as_u64().unwrap_or_else(|| panic!("no {what} of {member}: {json:#}"))
    }

    /// Fails unless exactly this was written to a member: created, updated, deleted.
    #[track_caller]
    pub(crate) fn wrote(self, member: &str, counts: [u64; 3]) -> Self {
        let found = ["created", "updated", "deleted"].map(|what| self.count(member, what));
        assert_eq!(found, counts, "created, updated, deleted at {member}\n{self:?}");
        self
    }

    /// Fails unless one of the counts of the whole run is this.
    #[track_caller]
    pub(crate) fn counted(self, what: &str, count: u64) -> Self {
        let json = self.json();
        assert_eq!(json[what].as_u64(), Some(count), "{what}\n{self:?}");
        self
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, stdout, stderr } = self;
        write!(f, "{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}---")
    }
}
