//! What one manifest wishes beyond another: pure, and careful. What cannot be compared counts as more.

use std::fmt;

use outrigger_sandbox::{Guarantee, OnUnsupported, Policy, Profile};

use super::wishes::{HostWish, PathWish, Wishes};

/// One wish, in plain words by its `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To read.
    Read(PathWish),
    /// To change, and to read.
    Write(PathWish),
    /// To execute, and to read.
    Execute(PathWish),
    /// To have a network at all.
    Network,
    /// To reach a host.
    Reach(HostWish),
    /// To use so many bytes of memory; `None`: as many as any plugin, [`Policy::MEMORY`].
    Memory(Option<u64>),
    /// To have so many processes; `None`: [`Policy::PROCESSES`].
    Processes(Option<u32>),
    /// To write files of so many bytes; `None`: [`Policy::FILE_SIZE`].
    FileSize(Option<u64>),
    /// To be started where this is not enforced, which was required before.
    Without(Guarantee),
    /// To be started where what it requires is not enforced.
    Weakened,
}

/// What `new` wishes that `old` does not allow, in the order of the vocabulary. Empty: whoever
/// consented to `old` has consented to `new`. The order of lists means nothing.
#[must_use]
pub fn beyond(old: &Wishes, new: &Wishes) -> Vec<Wish> {
    let own = [PathWish::Plugin]; // given to every plugin
    let readable: Vec<&PathWish> =
        old.read.iter().chain(&old.write).chain(&old.execute).chain(&own).collect();
    let writable: Vec<&PathWish> = old.write.iter().collect();
    let executable: Vec<&PathWish> = old.execute.iter().chain(&own).collect();
    let mut more = Vec::new();
    let network = new.profile != Profile::Strict && old.profile == Profile::Strict;
    more.extend(network.then_some(Wish::Network));
    more.extend(uncovered(&new.read, &readable).map(Wish::Read));
    more.extend(uncovered(&new.write, &writable).map(Wish::Write));
    more.extend(uncovered(&new.execute, &executable).map(Wish::Execute));
    more.extend(new.network.iter().filter(|host| !old.network.contains(host)).cloned().map(Wish::Reach));
    more.extend(raised(old.memory, new.memory, Policy::MEMORY).map(Wish::Memory));
    more.extend(raised(old.processes, new.processes, Policy::PROCESSES).map(Wish::Processes));
    more.extend(raised(old.file_size, new.file_size, Policy::FILE_SIZE).map(Wish::FileSize));
    more.extend(old.require.iter().filter(|one| !new.require.contains(one)).copied().map(Wish::Without));
    let weakened = (old.on_unsupported, new.on_unsupported) == (OnUnsupported::Refuse, OnUnsupported::Weaken);
    more.extend(weakened.then_some(Wish::Weakened));
    more
}

impl Wishes {
    /// All of them.
    #[must_use]
    pub fn list(&self) -> Vec<Wish> {
        let nothing = Self {
            memory: Some(0),
            processes: Some(0),
            file_size: Some(0),
            require: Vec::new(),
            ..Self::default()
        };
        beyond(&nothing, self)
    }
}

/// The wishes that none of the grants covers.
fn uncovered<'w>(wishes: &'w [PathWish], grants: &'w [&PathWish]) -> impl Iterator<Item = PathWish> + 'w {
    wishes.iter().filter(move |wish| !grants.iter().any(|grant| covers(grant, wish))).cloned()
}

/// Whether a grant of `grant` gives all that one of `wish` gives.
fn covers(grant: &PathWish, wish: &PathWish) -> bool {
    match (grant, wish) {
        (PathWish::Fixed(grant), PathWish::Fixed(wish)) => wish.starts_with(grant),
        (PathWish::FolderOf(grant), PathWish::Option(wish)) => grant == wish,
        (grant, wish) => grant == wish,
    }
}

/// The new limit as it was written, where it is higher. Where none is, the default is enforced.
fn raised<T: PartialOrd + Copy>(old: Option<T>, new: Option<T>, default: T) -> Option<Option<T>> {
    (new.unwrap_or(default) > old.unwrap_or(default)).then_some(new)
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path) => write!(f, "read {}", Place(path)),
            Self::Write(path) => write!(f, "change {}", Place(path)),
            Self::Execute(path) => write!(f, "execute {}", Place(path)),
            Self::Network => f.write_str("use the network"),
            Self::Reach(HostWish::Fixed(host)) => write!(f, "reach {host}"),
            Self::Reach(HostWish::Option(name)) => write!(f, "reach the host of the option `{name}`"),
            Self::Memory(Some(bytes)) => write!(f, "use up to {} of memory", Size(*bytes)),
            Self::Memory(None) => write!(f, "use up to {} of memory (the default)", Size(Policy::MEMORY)),
            Self::Processes(Some(1)) => f.write_str("be one process, without threads"),
            Self::Processes(Some(count)) => write!(f, "have up to {count} processes and threads"),
            Self::Processes(None) => {
                write!(f, "have up to {} processes and threads (the default)", Policy::PROCESSES)
            }
            Self::FileSize(Some(bytes)) => write!(f, "write files of up to {}", Size(*bytes)),
            Self::FileSize(None) => {
                write!(f, "write files of up to {} (the default)", Size(Policy::FILE_SIZE))
            }
            Self::Without(guarantee) => write!(f, "start where `{guarantee}` is not enforced"),
            Self::Weakened => f.write_str("start where what it requires cannot be enforced"),
        }
    }
}

/// A path in plain words.
struct Place<'p>(&'p PathWish);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PathWish::Plugin => f.write_str("its own folder"),
            PathWish::Option(name) => write!(f, "what the option `{name}` names"),
            PathWish::FolderOf(name) => write!(f, "the folder that holds what the option `{name}` names"),
            PathWish::Fixed(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Bytes, in the largest unit that needs no fraction.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(bits, _)| self.0 > 0 && self.0.trailing_zeros() >= *bits) {
            Some((bits, unit)) => write!(f, "{} {unit}", self.0 >> bits),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests;
