//! The user's editor, on a file that nobody else can read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use outrigger::handed::HandedFolder;
use outrigger::report::Failure;

/// A file in a folder of its own, which goes away with this.
pub(super) struct Draft {
    folder: HandedFolder,
    file: PathBuf,
}

impl Draft {
    /// Writes `text` to a file with that ending, such as `.vcf`.
    pub(super) fn write(text: &[u8], ending: &str) -> Result<Self, Failure> {
        let write = |folder: HandedFolder| Ok((folder.write(&format!("item{ending}"), text)?, folder));
        let (file, folder) = HandedFolder::new().and_then(write).map_err(|error: io::Error| {
            Failure::internal("the file for the editor cannot be written").because(&error)
        })?;
        Ok(Self { folder, file })
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
        let unread = || Failure::internal(format!("{} cannot be read", self.file.display()));
        fs::read(&self.file).map_err(|error| unread().because(&error))
    }

    /// Leaves the file where it is.
    pub(super) fn keep(self) -> PathBuf {
        self.folder.keep();
        self.file
    }
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
