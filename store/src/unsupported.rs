//! Files where the system has no modes: the directory's own access list decides who may read.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// Creates `path` and what is missing above it.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// The system does so by itself.
pub(crate) fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens `path` for reading and writing, and creates it.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}
