//! From wishes to a policy: the words are filled in by a member's options, and nothing is granted that
//! must not be.

use std::fmt;
use std::path::{Path, PathBuf};

use outrigger_sandbox::{GrantError, Policy, Protected, reserved};

use super::super::url::endpoint_of;
use super::wishes::{HostWish, PathWish, Wishes};

type Result<T> = std::result::Result<T, Unfit>;

/// A wish that cannot be granted as this member is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// Which, and why not.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Unfit {
    /// Its program brings what no plugin gets.
    pub(super) fn brought(error: &GrantError) -> Self {
        let what = format!("its program leads to another, by its first line or a link: {error}");
        Self { what, hint: "a plugin lies in a folder of its own, and so does its interpreter".into() }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Unfit {}

impl Wishes {
    /// What a member with these options would be granted; `folder` is the plugin's. An option that is
    /// not set grants nothing. No place in `secret` may be granted at all, nor lie in the plugin's own
    /// folder; none in `protected` may be granted to be
    /// written to. Looks at the paths on the disk: what an option names need not be there.
    ///
    /// # Errors
    /// The first wish that cannot be granted.
    pub fn fill(
        &self,
        options: &[(String, String)],
        folder: &Path,
        secret: &[Protected],
        protected: &[Protected],
    ) -> Result<Policy> {
        let member = Member { options, folder };
        member.allowed((&PathWish::Plugin, folder.to_owned()), &[secret])?;
        let mut execute = member.fill_all(&self.execute, |path| member.allowed(path, &[secret]))?;
        // What can be changed must not be executed: neither its own files nor others.
        execute.push(folder.to_owned());
        let what = |path| Protected::new("what it may execute", path);
        let executed: Vec<Protected> = execute.iter().map(what).collect();
        let write = member
            .fill_all(&self.write, |path| as_it_is(member.allowed(path, &[secret, protected, &executed])?))?;
        let read = member.fill_all(&self.read, |path| as_it_is(member.allowed(path, &[secret])?))?;
        let hosts = self.network.iter().filter_map(|wish| member.host(wish).transpose());
        Ok(Policy {
            profile: self.profile,
            read,
            write,
            execute,
            network: hosts.collect::<Result<_>>()?,
            memory: self.memory,
            processes: self.processes,
            file_size: self.file_size,
            require: self.require.clone(),
            on_unsupported: self.on_unsupported,
            ..Policy::default()
        })
    }
}

/// What fills the words in.
struct Member<'m> {
    options: &'m [(String, String)],
    folder: &'m Path,
}

/// A wish, and the path that it stands for here.
type Filled<'w> = (&'w PathWish, PathBuf);

impl Member<'_> {
    fn fill_all<'w>(
        &self,
        wishes: &'w [PathWish],
        check: impl Fn(Filled<'w>) -> Result<Filled<'w>>,
    ) -> Result<Vec<PathBuf>> {
        let filled = wishes.iter().filter_map(|wish| Some((wish, self.path(wish).transpose()?)));
        filled.map(|(wish, path)| check((wish, path?)).map(|(_, path)| path)).collect()
    }

    /// `None` if the option is not set.
    fn path(&self, wish: &PathWish) -> Result<Option<PathBuf>> {
        Ok(match wish {
            PathWish::Plugin => Some(self.folder.to_owned()),
            PathWish::Fixed(path) => Some(path.clone()),
            PathWish::Option(name) => self.option_path(name)?,
            PathWish::FolderOf(name) => {
                self.option_path(name)?.and_then(|path| Some(path.parent()?.to_owned()))
            }
        })
    }

    /// The same for a host.
    fn host(&self, wish: &HostWish) -> Result<Option<String>> {
        let name = match wish {
            HostWish::Fixed(endpoint) => return Ok(Some(endpoint.clone())),
            HostWish::Option(name) => name,
        };
        let Some(text) = self.option(name) else { return Ok(None) };
        endpoint_of(text).map(Some).ok_or_else(|| Unfit {
            what: format!("it wants to reach the host of the option `{name}`, which names none"),
            hint: format!("write `{name}` as a URL, such as \"https://dav.example.org/\""),
        })
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// An option's path: only as a path from the root can it be granted.
    fn option_path(&self, name: &str) -> Result<Option<PathBuf>> {
        match self.option(name).map(Path::new) {
            None => Ok(None),
            Some(path) if path.is_absolute() => Ok(Some(path.components().collect())),
            Some(path) => Err(Unfit {
                what: format!(
                    "it wants the path of the option `{name}`, and \"{}\" is none from the root on",
                    path.display()
                ),
                hint: format!("write `{name}` as \"./…\", \"~/…\" or \"/…\""),
            }),
        }
    }

    /// Whether a path may be granted, also where links lead from there; `not`: what must neither hold
    /// it nor lie in it.
    fn allowed<'w>(&self, (wish, path): Filled<'w>, not: &[&[Protected]]) -> Result<Filled<'w>> {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some(reserved) = reserved(&path).or_else(|| reserved(&real)) {
            return Err(Unfit {
                what: format!("it wants {wish}, which is {}: {reserved} is never granted", path.display()),
                hint: "name a folder of the plugin's own data".into(),
            });
        }
        let held = not.iter().copied().flatten().find_map(|place| place.check(&path).err());
        if let Some(GrantError { protected: Protected { what, path: place }, .. }) = held {
            let (path, place) = (path.display(), place.display());
            return Err(Unfit {
                what: format!("it wants {wish}, which is {path}; that holds {what}, {place}, or lies in it"),
                hint: "give it a folder that holds nothing else".into(),
            });
        }
        if matches!(wish, PathWish::Fixed(_)) && !path.exists() {
            return Err(Unfit { what: format!("it wants {wish}, which is not there"), hint: HINT.into() });
        }
        Ok((wish, path))
    }
}

/// A path of the manifest's own to read or write is no link: what it leads to could change after the
/// user consented. Programs often are links (`python3`); whoever can change those is not a plugin.
fn as_it_is((wish, path): Filled<'_>) -> Result<Filled<'_>> {
    match path.canonicalize() {
        Ok(real) if real != path && matches!(wish, PathWish::Fixed(_)) => Err(Unfit {
            what: format!("it wants {wish}, which is a link to {}", real.display()),
            hint: HINT.into(),
        }),
        _ => Ok((wish, path)),
    }
}

const HINT: &str = "a manifest names what is on every machine; the rest comes from options";
