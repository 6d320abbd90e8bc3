//! The digest of a plugin: SHA-256 over its manifest and the files that its `command` names.
//!
//! Over nothing else: what those load (modules beside a script, libraries) may change unnoticed. The
//! sandbox holds all the same; the digest only tells an update from the plugin that was trusted.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::config::Manifest;
use crate::exit::Exit;
use crate::report::Failure;

/// Most bytes of one file: more than any executable, less than would take a day.
const LONGEST: u64 = 4 << 30;

/// As anybody can check it: `sha256sum plugin.toml FILE… | sha256sum`, in the folder of the manifest,
/// with the files as `command` names them, a leading `./` left out.
pub(super) fn of(manifest: &Manifest) -> Result<String, Failure> {
    let folder = manifest.folder();
    let mut lines = String::new();
    let text = hex(&Sha256::digest(&manifest.text));
    add_line(&mut lines, &text, manifest.file.strip_prefix(folder).unwrap_or(&manifest.file));
    for path in &manifest.covered {
        let digest = of_file(path).map_err(|error| unreadable(path, &error))?;
        add_line(&mut lines, &digest, path.strip_prefix(folder).unwrap_or(path));
    }
    Ok(format!("sha256:{}", hex(&Sha256::digest(lines))))
}

fn add_line(lines: &mut String, digest: &str, path: &Path) {
    let _infallible = writeln!(lines, "{digest}  {}", path.display());
}

fn of_file(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no ordinary file")); // a pipe would be read for ever
    }
    let mut file = File::open(path)?.take(LONGEST + 1);
    let (mut sha, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&sha.finalize()));
        }
        length += read as u64;
        if length > LONGEST {
            return Err(io::Error::other("it is longer than 4 GiB"));
        }
        sha.update(&buffer[..read]);
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let what = format!("{}, which the plugin's manifest names, cannot be read", path.display());
    Failure::new(Exit::Plugin, what).because(error)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
