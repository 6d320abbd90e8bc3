//! Tool: a command of the user's that makes one content of two.
//!
//! It runs as the user, in no sandbox, beside the run. It is killed with all that it started when its
//! time is over, and when the run is interrupted.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use outrigger_protocol::limits;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::disputed::Contents;
use crate::config::PLACES_OF_FILES;
use crate::handed::{HandedFolder, ending, has_marks};

/// How long it may take: a person may have to look at it.
const PATIENCE: Duration = Duration::from_secs(600);

/// Bytes of what it printed that are told.
const SAID: u64 = 1_000;

/// Runs the command on two contents. Returns the one that it made.
///
/// # Errors
/// Why it made none, in words: it could not be started, took too long, ended with another code than 0,
/// or left no result, or one with the marks of a conflict in it. Quotes what it printed.
pub(super) async fn run(argv: &[OsString], contents: Contents) -> Result<Vec<u8>, String> {
    run_within(PATIENCE, argv, contents).await
}

async fn run_within(patience: Duration, argv: &[OsString], contents: Contents) -> Result<Vec<u8>, String> {
    let written = beside(move || Files::write(&contents)).await;
    let files = written.map_err(|error| format!("the files for the command cannot be written: {error}"))?;
    let mut command =
        start(argv, &files).map_err(|error| format!("the command cannot be started: {error}"))?;
    let ended = tokio::time::timeout(patience, command.wait()).await;
    drop(command);
    match ended {
        Err(_) => Err(format!("the command took longer than {} s, and was killed", patience.as_secs())),
        Ok(Err(error)) => Err(format!("what became of the command is not known: {error}")),
        Ok(Ok(status)) => {
            beside(move || Ok(files.outcome(status))).await.unwrap_or_else(|error| Err(error.to_string()))
        }
    }
}

/// Does what waits for the disk beside the run's thread (decisions P6).
async fn beside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn start(argv: &[OsString], files: &Files) -> io::Result<Running> {
    let argv = files.filled(argv);
    let (program, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let said = File::options().append(true).open(&files.said)?;
    let mut command = Command::new(program);
    command.args(args).current_dir(files.folder.path()).process_group(0);
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    Ok(Running(Some(command.spawn()?)))
}

/// The command, at the head of a process group of its own. The group is killed with it.
struct Running(Option<Child>);

impl Running {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let child = self.0.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let status = child.wait().await;
        self.0 = None; // its number may be another's from here on
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let leader = self.0.as_ref().and_then(Child::id).and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = leader {
            kill_process_group(group, Signal::KILL).ok(); // nobody is left in it
        }
    }
}

/// What the command works on, in a folder that only this user can use; it goes away with this.
struct Files {
    folder: HandedFolder,
    base: PathBuf,
    left: PathBuf,
    right: PathBuf,
    result: PathBuf,
    /// What it prints.
    said: PathBuf,
}

impl Files {
    fn write(contents: &Contents) -> io::Result<Self> {
        let folder = HandedFolder::new()?;
        let ending = ending(&contents.format);
        let write = |name: &str, bytes: &[u8]| folder.write(&format!("{name}{ending}"), bytes);
        let ((left, left_data), (right, right_data)) = (&contents.left, &contents.right);
        Ok(Self {
            base: write("base", contents.base.as_deref().unwrap_or_default())?,
            left: write(&format!("left-{left}"), left_data)?,
            right: write(&format!("right-{right}"), right_data)?,
            result: write("result", b"")?,
            said: folder.write("said", b"")?,
            folder,
        })
    }

    /// The command with the paths where their places stand; at its end, if it names none.
    fn filled(&self, argv: &[OsString]) -> Vec<OsString> {
        let paths = [&self.base, &self.left, &self.right, &self.result];
        let places: Vec<(&str, &Path)> =
            PLACES_OF_FILES.into_iter().zip(paths.map(PathBuf::as_path)).collect();
        let filled: Vec<OsString> = argv.iter().map(|word| fill(word, &places)).collect();
        if filled != argv {
            return filled;
        }
        filled.into_iter().chain(paths.map(|path| path.clone().into_os_string())).collect()
    }

    /// What came of it.
    fn outcome(&self, status: ExitStatus) -> Result<Vec<u8>, String> {
        if !status.success() {
            return Err(format!("the command ended with {status}{}", self.words()));
        }
        let result = self.result().map_err(|error| format!("the result of the command: {error}"))?;
        match &result[..] {
            [] => Err(format!("the command left no result{}", self.words())),
            text if has_marks(text) => {
                Err("the result of the command has the marks of a conflict in it".to_owned())
            }
            _ => Ok(result),
        }
    }

    fn result(&self) -> io::Result<Vec<u8>> {
        if !self.result.symlink_metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let most = limits::MAX_ITEM_DATA as u64;
        let mut result = Vec::new();
        File::open(&self.result)?.take(most + 1).read_to_end(&mut result)?;
        if result.len() as u64 > most {
            Err(io::Error::other("it is larger than an item may be"))
        } else {
            Ok(result)
        }
    }

    /// How what it printed begins.
    fn words(&self) -> String {
        let mut said = Vec::new();
        let read = File::open(&self.said).and_then(|file| file.take(SAID).read_to_end(&mut said));
        let said = String::from_utf8_lossy(&said);
        if read.is_err() || said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) }
    }
}

fn fill(word: &OsStr, places: &[(&str, &Path)]) -> OsString {
    let Some(mut rest) = word.to_str() else { return word.to_owned() };
    let mut filled = OsString::new();
    loop {
        let found = places.iter().filter_map(|(name, path)| Some((rest.find(name)?, *name, *path)));
        let Some((at, name, path)) = found.min_by_key(|(at, _, _)| *at) else { break };
        filled.push(&rest[..at]);
        filled.push(path);
        rest = &rest[at + name.len()..];
    }
    filled.push(rest);
    filled
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn contents(base: Option<&str>) -> Contents {
        Contents {
            format: "vcard".into(),
            base: base.map(|base| base.as_bytes().to_vec()),
            left: ("laptop".into(), b"left".to_vec()),
            right: ("server".into(), b"right".to_vec()),
        }
    }

    fn shell(script: &str) -> Vec<OsString> {
        ["sh", "-c", script].map(OsString::from).to_vec()
    }

    async fn ran(script: &str) -> Result<String, String> {
        let made = run(&shell(script), contents(Some("base"))).await;
        made.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[tokio::test]
    async fn a_command_is_given_what_was_agreed_and_both_contents_and_makes_one() {
        let script = "cat {base} {left} {right} > {result}; basename {left} >> {result}";
        assert_eq!(ran(script).await.unwrap(), "baseleftrightleft-laptop.vcf\n");
        let mut words = shell("cat $1 $2 $3 > $4");
        words.push("name".into());
        assert_eq!(
            run(&words, contents(None)).await.unwrap(),
            b"leftright",
            "at the end, where it names none"
        );
    }

    #[tokio::test]
    async fn what_it_works_on_is_its_users_alone_and_gone_afterwards() {
        let script = "stat -c %a . {base} {left} {right} {result} > {result}.modes; pwd > {result}; cat {result}.modes >> {result}";
        let told = ran(script).await.unwrap();
        let (folder, modes) = told.split_once('\n').unwrap();
        assert_eq!(modes, "700\n600\n600\n600\n600\n");
        assert!(!Path::new(folder).exists());
    }

    #[tokio::test]
    async fn what_is_no_result_leaves_the_conflict_as_it_is() {
        for (script, words) in [
            ("echo 'no display' >&2; exit 3", "the command ended with exit status: 3: no display"),
            (": {result}", "the command left no result"),
            (
                "printf 'a\\n<<<<<<< x\\n' > {result}",
                "the result of the command has the marks of a conflict in it",
            ),
            ("rm {result}; mkfifo {result}", "the result of the command: it is no file"),
            (
                "head -c 2000000 /dev/zero > {result}",
                "the result of the command: it is larger than an item may be",
            ),
        ] {
            assert_eq!(ran(script).await.unwrap_err(), words);
        }
        let none = run(&["/nonexistent/tool".into()], contents(None)).await.unwrap_err();
        assert!(none.starts_with("the command cannot be started: "), "{none}");
    }

    #[tokio::test]
    async fn one_that_takes_too_long_is_given_up() {
        let late = run_within(Duration::from_millis(1), &shell("sleep 1000"), contents(None)).await;
        assert_eq!(late.unwrap_err(), "the command took longer than 0 s, and was killed");
    }

    /// Its child holds the pipe open for as long as it lives.
    #[tokio::test]
    async fn whatever_it_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        std::fs::set_permissions(&pipe, Permissions::from_mode(0o600)).unwrap();
        let script = format!("(echo ready; exec sleep 1000) > {} & wait", pipe.display());
        let mut reader = tokio::task::spawn_blocking(move || {
            let mut pipe = File::open(pipe).unwrap();
            let mut first = [0; 6];
            pipe.read_exact(&mut first).unwrap();
            pipe
        });
        let pipe = tokio::select! {
            pipe = &mut reader => pipe.unwrap(),
            ended = ran(&script) => panic!("{ended:?}"),
        };
        // The run was interrupted: nobody waits for the command any more.
        let rest = tokio::task::spawn_blocking(move || io::read_to_string(pipe)).await.unwrap();
        assert_eq!(rest.unwrap(), "");
    }
}
