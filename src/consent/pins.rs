//! What the user agreed to: `STATE/trusted.toml`, a table a plugin, readable by people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outrigger_sandbox::Brought;
use outrigger_store::{TextChange, read_text};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::report::Failure;

/// The file's name below the state directory.
const FILE: &str = "trusted.toml";

const HEAD: &str = "# What `outrigger plugin trust` was told, and what its plugins were then. Plugins that are not \
                    here do not start.\n\n";

/// One plugin as it was when the user agreed, or when a run last found it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pin {
    /// The manifest, an absolute path.
    pub(super) manifest: PathBuf,
    /// Of manifest and command.
    pub(super) digest: String,
    /// When a run found it changed, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) updated: Option<u64>,
    /// All of the manifest.
    pub(super) text: String,
    /// What its program brought with it, which no text says.
    #[serde(default, skip_serializing_if = "Brought::is_empty")]
    pub(super) brings: Brought,
}

type Pins = BTreeMap<String, Pin>;

/// What the user agreed to for `name`.
pub(super) fn find(state: &Path, name: &str) -> Result<Option<Pin>, Failure> {
    let pins = read(state).map_err(|wrong| wrong.told(state));
    pins.map(|mut pins| pins.remove(name))
}

/// Sets it.
pub(super) fn put(state: &Path, name: &str, pin: Pin) -> Result<(), Failure> {
    change(state, |pins| {
        pins.insert(name.to_owned(), pin);
        true
    })
}

/// Sets it where the user still agrees to this manifest: he may have taken it back a moment ago.
pub(super) fn update(state: &Path, name: &str, manifest: &Path, pin: Pin) -> Result<(), Failure> {
    change(state, |pins| match pins.get_mut(name) {
        Some(known) if known.manifest == manifest => {
            *known = pin;
            true
        }
        _ => false,
    })
}

/// Removes it; whether it was there.
pub(super) fn remove(state: &Path, name: &str) -> Result<bool, Failure> {
    let mut was_there = false;
    change(state, |pins| {
        was_there = pins.remove(name).is_some();
        was_there
    })?;
    Ok(was_there)
}

/// Changes the file if `change` says that it changed something.
fn change(state: &Path, change: impl FnOnce(&mut Pins) -> bool) -> Result<(), Failure> {
    let changed = TextChange::begin(state, FILE).map_err(Wrong::from).and_then(|file| {
        let mut pins = read(state)?;
        if change(&mut pins) { Ok(file.replace(&write(&pins)?)?) } else { Ok(()) }
    });
    changed.map_err(|wrong| wrong.told(state))
}

fn read(state: &Path) -> Result<Pins, Wrong> {
    Ok(toml::from_str(&read_text(state, FILE)?)?)
}

fn write(pins: &Pins) -> Result<String, Wrong> {
    Ok(format!("{HEAD}{}", toml::to_string_pretty(pins)?))
}

/// Why the file cannot be used.
struct Wrong(Box<dyn std::error::Error>);

impl<E: std::error::Error + 'static> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl Wrong {
    fn told(self, state: &Path) -> Failure {
        let path = state.join(FILE);
        let failure = Failure::new(Exit::Internal, format!("{} cannot be used", path.display()));
        let hint = "it says which plugins are trusted; move it away, and trust them again";
        failure.because(&*self.0).hint(hint)
    }
}
