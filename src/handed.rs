//! Handed: items as files, for a program of the user's: an editor, or a command that settles conflicts.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that only this user can use. It goes away with this, with all that is in it.
#[derive(Debug)]
pub struct HandedFolder(TempDir);

impl HandedFolder {
    /// Makes one in the folder for temporary files.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("outrigger-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        builder.tempdir().map(Self)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a new file in it, which only this user can read. Returns where it is.
    ///
    /// # Errors
    /// It cannot be written, or is there already.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let file = self.path().join(name);
        new_file(&file)?.write_all(bytes)?;
        Ok(file)
    }

    /// Leaves it where it is.
    pub fn keep(self) {
        let _where = self.0.keep();
    }
}

/// Makes a new file, which only this user can read.
///
/// # Errors
/// It cannot be made; whatever is there already stays as it is.
pub fn new_file(file: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// What the name of a file with an item ends with, by its encoding; empty for what is not known. Of a member's
/// own words none becomes part of a name.
#[must_use]
pub fn ending(format: &str) -> &'static str {
    match format {
        "vcard" => ".vcf",
        "icalendar" => ".ics",
        _ => "",
    }
}

/// Whether a line is one that programs leave which merge, where they could not decide.
#[must_use]
pub fn has_marks(text: &[u8]) -> bool {
    let marks = [&b"<<<<<<<"[..], b">>>>>>>"];
    text.split(|byte| *byte == b'\n').any(|line| marks.iter().any(|mark| line.starts_with(mark)))
}
