//! The user's editor, on a file that nobody else can read.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use outrigger::report::Failure;
use uuid::Uuid;

/// A file in a folder of its own, which goes away with this.
pub(super) struct Draft {
    folder: Option<PathBuf>,
    file: PathBuf,
}

impl Draft {
    /// Writes `text` to a file with that ending, such as `.vcf`.
    pub(super) fn write(text: &[u8], ending: &str) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("outrigger-{}", Uuid::now_v7().simple()));
        let file = folder.join(format!("item{ending}"));
        let written = make(&folder).and_then(|()| create(&file)?.write_all(text));
        let draft = Self { folder: Some(folder), file };
        written.map_err(|error| failed("cannot be written", &draft.file).because(&error))?;
        Ok(draft)
    }

    /// Opens the editor, waits until it has ended, and hands back what is in the file.
    ///
    /// # Errors
    /// It cannot be started, or says that it failed.
    pub(super) fn edit(&self) -> Result<Vec<u8>, Failure> {
        let editor =
            ["VISUAL", "EDITOR"].into_iter().filter_map(std::env::var_os).find(|name| !name.is_empty());
        let editor = editor.unwrap_or_else(|| "vi".into());
        let shown = editor.to_string_lossy().into_owned();
        let ended = run(&editor, &self.file);
        let no_editor =
            || Failure::usage(format!("the editor `{shown}` failed")).hint("set $VISUAL or $EDITOR");
        match ended {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(no_editor().because_of(&status)),
            Err(error) => return Err(no_editor().because(&error)),
        }
        fs::read(&self.file).map_err(|error| failed("cannot be read", &self.file).because(&error))
    }

    /// Leaves the file where it is.
    pub(super) fn keep(mut self) -> PathBuf {
        self.folder = None;
        self.file.clone()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _perhaps_gone = self.folder.take().map(fs::remove_dir_all);
    }
}

fn failed(what: &str, file: &Path) -> Failure {
    Failure::internal(format!("{} {what}", file.display()))
}

/// As a command line, so that it may have arguments. An interrupt is the editor's business.
#[cfg(unix)]
fn run(editor: &std::ffi::OsStr, file: &Path) -> io::Result<ExitStatus> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let _kept_from_ending_us = signal(SignalKind::interrupt())?;
    let mut line = editor.to_owned();
    line.push(" \"$1\"");
    Command::new("sh").arg("-c").arg(line).arg("sh").arg(file).status()
}

#[cfg(not(unix))]
fn run(editor: &std::ffi::OsStr, file: &Path) -> io::Result<ExitStatus> {
    Command::new(editor).arg(file).status()
}

#[cfg(unix)]
fn make(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(unix)]
fn create(file: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create_new(true).mode(0o600).open(file)
}

#[cfg(not(unix))]
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().create(folder)
}

#[cfg(not(unix))]
fn create(file: &Path) -> io::Result<File> {
    File::create_new(file)
}
