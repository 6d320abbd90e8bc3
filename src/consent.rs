//! Consent: whether the user has agreed to what a plugin's manifest wishes.
//!
//! Asked by `outrigger plugin trust` alone, kept in the state directory (`pins`), and looked up by
//! each start. A run never asks. What was changed since is compared: less or the same goes on, more
//! stops the plugin until the user agrees. Design: docs/design/consent.md.

mod digest;
mod pins;

use std::path::Path;

use outrigger_protocol::Printable;

use crate::clock;
use crate::config::{Manifest, Wish, beyond};
use crate::exit::Exit;
use crate::report::Failure;
use pins::Pin;

/// A plugin's manifest as it is now, beside what the user agreed to.
#[derive(Debug)]
pub struct Examined {
    /// As it is now.
    pub manifest: Manifest,
    /// SHA-256 over what is covered, as `sha256:…`.
    pub digest: String,
    /// How it stands.
    pub standing: Standing,
}

/// How a plugin stands with its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// He was never asked, or took it back.
    Untrusted,
    /// He agreed to another plugin of that name: another manifest, or one with another `id`.
    Another,
    /// Trusted, and unchanged since then.
    Trusted {
        /// When its bytes were last found changed by a run, in seconds since 1970; `None`: never
        /// since the user agreed.
        updated: Option<u64>,
    },
    /// Trusted, and changed since then without wishing more.
    Updated {
        /// What it wished then and does not any more.
        less: Vec<Wish>,
    },
    /// Changed since the user agreed, and wishes more.
    Widened {
        /// What it wishes beyond that.
        more: Vec<Wish>,
        /// What it does not wish any more.
        less: Vec<Wish>,
    },
}

impl Standing {
    /// Whether it may be started.
    #[must_use]
    pub fn may_start(&self) -> bool {
        matches!(self, Self::Trusted { .. } | Self::Updated { .. })
    }
}

/// Looks at the plugin that the configuration calls `name`, by its manifest; `None` for a plugin that
/// it does not name. Reads, and writes nothing.
///
/// # Errors
/// The manifest, what it names, or the state cannot be read.
pub fn examine(state: &Path, name: Option<&str>, file: &Path) -> Result<Examined, Failure> {
    let manifest = Manifest::load(file)?;
    let digest = digest::of(&manifest)?;
    let pin = name.map_or(Ok(None), |name| pins::find(state, name))?;
    let standing = standing(&manifest, &digest, pin.as_ref());
    Ok(Examined { manifest, digest, standing })
}

fn standing(manifest: &Manifest, digest: &str, pin: Option<&Pin>) -> Standing {
    let Some(pin) = pin else { return Standing::Untrusted };
    if pin.manifest != manifest.file {
        return Standing::Another;
    }
    if pin.digest == digest && pin.brings == manifest.brings {
        return Standing::Trusted { updated: pin.updated };
    }
    // What an older version wrote down and this one cannot read was agreed to in vain.
    let Ok(then) = Manifest::parse(&pin.text, &pin.manifest) else { return Standing::Untrusted };
    if then.id != manifest.id {
        return Standing::Another;
    }
    let then = Manifest { brings: pin.brings.clone(), ..then }.asks();
    let (more, less) = (beyond(&then, &manifest.asks()), beyond(&manifest.asks(), &then));
    if more.is_empty() { Standing::Updated { less } } else { Standing::Widened { more, less } }
}

/// Lets the plugin of a run through if the user agreed to what it wishes. One that was updated is
/// noted as such, unless this is a run that `only_looks`.
///
/// # Errors
/// He did not, or it cannot be told.
pub(crate) fn admit(state: &Path, name: &str, file: &Path, only_looks: bool) -> Result<Manifest, Failure> {
    let examined = examine(state, Some(name), file)?;
    speaks(name, &examined)?;
    if let Some(why) = examined.standing.refusal(name) {
        let hint = format!("`outrigger plugin trust {name}` shows what it wants, and asks");
        return Err(Failure::new(Exit::Plugin, why).hint(hint));
    }
    if matches!(examined.standing, Standing::Updated { .. }) && !only_looks {
        let updated = Pin::of(&examined, Some(clock::seconds()));
        pins::update(state, name, &examined.manifest.file, updated)?;
        tracing::warn!(target: "consent", "the plugin {name} has changed, and wants no more than before: it is started");
    }
    Ok(examined.manifest)
}

/// Whether it can ever be started by this version.
///
/// # Errors
/// It speaks no version of the protocol that this one does.
pub fn speaks(name: &str, examined: &Examined) -> Result<(), Failure> {
    let range = examined.manifest.protocol;
    if range.is_ours() {
        return Ok(());
    }
    let ours = outrigger_protocol::VERSION;
    let what = format!("the plugin {name} speaks version {range} of the protocol, and this is {ours}");
    Err(Failure::new(Exit::Plugin, what).hint("update the older of the two"))
}

impl Standing {
    /// Why it may not be started; `None`: it may.
    #[must_use]
    pub fn refusal(&self, name: &str) -> Option<String> {
        match self {
            Self::Trusted { .. } | Self::Updated { .. } => None,
            Self::Untrusted => Some(format!("the plugin {name} is not trusted yet")),
            Self::Another => Some(format!("the plugin {name} is another one than that which was trusted")),
            Self::Widened { more, .. } => {
                let more: Vec<String> =
                    more.iter().map(|wish| Printable(wish.to_string()).to_string()).collect();
                Some(format!("the plugin {name} was updated, and now wants more: to {}", more.join("; to ")))
            }
        }
    }
}

/// Notes that the user agreed to exactly this.
///
/// # Errors
/// The state cannot be written.
pub fn trust(state: &Path, name: &str, examined: &Examined) -> Result<(), Failure> {
    pins::put(state, name, Pin::of(examined, None))
}

/// Takes the user's agreement back; whether there was one.
///
/// # Errors
/// The state cannot be written.
pub fn distrust(state: &Path, name: &str) -> Result<bool, Failure> {
    pins::remove(state, name)
}

impl Pin {
    fn of(examined: &Examined, updated: Option<u64>) -> Self {
        let Manifest { file, text, brings, .. } = &examined.manifest;
        let (manifest, digest, brings) = (file.clone(), examined.digest.clone(), brings.clone());
        Self { manifest, digest, updated, text: text.clone(), brings }
    }
}

#[cfg(test)]
mod tests;
