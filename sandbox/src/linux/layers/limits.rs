//! Limits of one process, as far as the kernel counts them.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// The most open descriptors of a plugin.
const DESCRIPTORS: u64 = 512;

/// What is limited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// The longest file.
    pub(super) file_size: u64,
    /// All memory that it maps, whatever for: for a plugin that is one process for ever.
    pub(super) address_space: Option<u64>,
    /// Private memory that it maps to write.
    pub(super) data: Option<u64>,
    /// Processes and threads of this user, which only means something in a user namespace.
    pub(super) processes: Option<u64>,
}

/// Sets the limits of this process and all that it starts. None of them can be raised again.
pub(super) fn apply(limits: &Limits) -> io::Result<()> {
    let set = |resource, most: u64| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit)
    };
    let optional = [
        (Resource::As, limits.address_space),
        (Resource::Data, limits.data),
        (Resource::Nproc, limits.processes),
    ];
    set(Resource::Core, 0)?;
    set(Resource::Memlock, 0)?;
    set(Resource::Msgqueue, 0)?;
    lower(Resource::Nofile, DESCRIPTORS)?;
    lower(Resource::Fsize, limits.file_size)?;
    optional
        .into_iter()
        .filter_map(|(resource, most)| Some((resource, most?)))
        .try_for_each(|(resource, most)| lower(resource, most))
}

/// Who runs us may have set a lower limit already; raising that is not ours to do.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let before = rustix::process::getrlimit(resource).maximum;
    let most = before.map_or(most, |before| before.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}
