//! Ends that are found: what they leave in the runtime directory, and what a broker reads there.
//!
//! For each name, in `ends/`: `NAME.json` (the announcement), `NAME.sock` (where it listens),
//! `NAME.lock` (held as long as the end lives; never removed), and, until a broker has proved that it
//! knows the secret, `NAME.offer` (the secret, to be fetched when the user approves).
//!
//! Whether an end lives is told by its lock and by nothing else: a process number may be another's
//! by now, a lock is never.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use outrigger_protocol::{Announcement, EndName, Secret};

use crate::held::Held;
use crate::local::check_length;
use crate::private::{named, private_folder, read_private, squatted};
use crate::runtime_dir::runtime_path;

/// The folder where ends announce themselves.
#[derive(Debug, Clone)]
pub struct Ends(PathBuf);

impl Ends {
    /// Opens it; makes it if need be.
    ///
    /// # Errors
    /// It, or the runtime directory, is not a folder that only this user can use.
    pub fn open() -> io::Result<Self> {
        let runtime = runtime_path().ok_or(io::ErrorKind::Unsupported)?;
        Self::within(&runtime)
    }

    /// The same within another runtime directory.
    pub(crate) fn within(runtime: &Path) -> io::Result<Self> {
        private_folder(runtime)?;
        let folder = runtime.join("ends");
        private_folder(&folder).map(|()| Self(folder))
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The file of an end, by what it holds: `json`, `sock`, `lock` or `offer`.
    pub(crate) fn file(&self, name: &EndName, kind: &str) -> PathBuf {
        self.0.join(format!("{name}.{kind}"))
    }

    /// What an end says of itself; `None`: none of that name has announced itself.
    ///
    /// # Errors
    /// The entry is not a file that only this user can use, or not an announcement of that name.
    pub fn announced(&self, name: &EndName) -> io::Result<Option<Announcement>> {
        let path = self.file(name, "json");
        let bytes = match read_private(&path, Announcement::LARGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let wrong =
            |text: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {text}", path.display()));
        let said = Announcement::from_json(&bytes).map_err(wrong)?;
        if said.name != *name {
            return Err(wrong(format!("it announces an end called {}", said.name)));
        }
        Ok(Some(said))
    }

    /// Takes the name; `None`: an end that lives holds it.
    ///
    /// # Errors
    /// The lock is not a file that only this user can use.
    pub(crate) fn take(&self, name: &EndName) -> io::Result<Option<Held>> {
        Held::take(&self.file(name, "lock"))
    }

    /// Whether an end that lives holds the name.
    ///
    /// # Errors
    /// The lock is not a file that only this user can use.
    pub fn is_held(&self, name: &EndName) -> io::Result<bool> {
        // Asked without the file being made: no lock, no end.
        if !self.file(name, "lock").try_exists()? {
            return Ok(false);
        }
        self.take(name).map(|lock| lock.is_none())
    }

    /// Removes what an end left that is dead. What belongs to one that lives stays. Returns whether
    /// there was anything.
    ///
    /// # Errors
    /// It cannot be looked at, or not be removed.
    pub fn clean(&self, name: &EndName) -> io::Result<bool> {
        let Some(_held_meanwhile) = self.take(name)? else { return Ok(false) };
        self.remove_all(name)
    }

    /// Removes all but the lock, which the caller holds.
    pub(crate) fn remove_all(&self, name: &EndName) -> io::Result<bool> {
        let mut any = false;
        for kind in ["json", "offer", "sock"] {
            match fs::remove_file(self.file(name, kind)) {
                Ok(()) => any = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(named(&self.file(name, kind), &error)),
            }
        }
        Ok(any)
    }

    /// The secret that an end offers to whoever may read it; `None`: it offers none.
    ///
    /// # Errors
    /// The file is not one that only this user can use, or holds no secret.
    pub fn offered(&self, name: &EndName) -> io::Result<Option<Secret>> {
        match read_secret(&self.file(name, "offer")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            secret => secret.map(Some),
        }
    }

    /// The names of all announcements, in their order. What is no announcement is left out.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> io::Result<Vec<EndName>> {
        let files = fs::read_dir(&self.0)?.flatten().map(|entry| entry.file_name());
        let names = files.filter_map(|file| EndName::new(file.to_str()?.strip_suffix(".json")?));
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }
}

/// Reads a file with a secret: 64 hexadecimal digits, and perhaps the end of a line.
///
/// # Errors
/// It is not a file that only this user can use, or holds anything else.
pub fn read_secret(path: &Path) -> io::Result<Secret> {
    let bytes = read_private(path, 128)?;
    let secret = std::str::from_utf8(&bytes).ok().and_then(|text| Secret::from_hex(text.trim_end()));
    secret.ok_or_else(|| {
        let text = format!("{}: not a secret of 64 hexadecimal digits", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// Fails unless a socket of this user lies at `path`, in a folder that nobody else may write to.
///
/// # Errors
/// `NotFound`; `InvalidInput`: the path is too long for a socket; `PermissionDenied`: what lies
/// there is something else, or another user's, or was led to by a symbolic link.
pub fn check_socket(path: &Path) -> io::Result<()> {
    check_length(path)?;
    let found = fs::symlink_metadata(path).map_err(|error| named(path, &error))?;
    let own = rustix::process::geteuid().as_raw();
    if !found.file_type().is_socket() || found.uid() != own {
        return Err(squatted(path, "socket", &found));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let holds = fs::metadata(folder).map_err(|error| named(folder, &error))?;
    if holds.uid() != own || holds.mode() & 0o022 != 0 {
        return Err(squatted(folder, "folder", &holds));
    }
    Ok(())
}
