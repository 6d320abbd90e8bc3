//! Ends that are found, and who is trusted under which name: a file in the state directory.
//!
//! As with the known hosts of SSH, the first meeting is the user's to judge: the end shows a code, the
//! command shows a code, and approving pins the secret behind it. From then on a name is worth what
//! its secret is. The file has mode 0600, is replaced as a whole, and is changed under a lock.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use outrigger_protocol::{Announcement, EndName, Fingerprint, Secret, SecretText, proof_delay};
use outrigger_store::TextChange;
use outrigger_transport::{Ends, read_private, read_secret};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::exit::Exit;
use crate::report::Failure;

/// Most bytes of the file: some thousand ends.
const LARGEST: usize = 1 << 20;

/// The file's name below the state directory.
const FILE: &str = "peers.json";

/// What is known of one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case", deny_unknown_fields)]
enum Entry {
    /// Its secret is known.
    Approved {
        /// 64 hexadecimal digits.
        secret: SecretText,
        /// Wrong proofs in a row.
        #[serde(default)]
        failed: u32,
        /// When the next one may be tried, in seconds since 1970.
        #[serde(default)]
        not_before: u64,
    },
    /// The user took the trust back.
    Revoked {
        /// What was approved.
        fingerprint: Fingerprint,
    },
}

/// How an end stands, for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is met when it is found.
    Approved,
    /// It announced itself, and waits to be approved.
    Waiting,
    /// It announced itself with another secret than the approved one.
    AnotherKey,
    /// It is not met until it is approved again.
    Revoked,
}

/// One end, as `peers list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: EndName,
    /// How it stands.
    pub standing: Standing,
    /// The code to compare: of what it announced, or else of what is known.
    pub code: String,
    /// The process that announced itself, if it lives.
    pub pid: Option<u32>,
    /// That program, in its own words.
    pub software: Option<String>,
}

/// The ends that are known under a state directory.
#[derive(Debug, Clone)]
pub struct Peers {
    known: BTreeMap<String, Entry>,
}

impl Peers {
    /// Reads what is known; nothing is, where there is no file.
    ///
    /// # Errors
    /// The file is not one that only this user can use, or not what was written.
    pub fn load(state: &Path) -> Result<Self, Failure> {
        let file = state.join(FILE);
        let bytes = match read_private(&file, LARGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}".to_vec(),
            bytes => bytes.map_err(|error| unusable(&error))?,
        };
        let known = serde_json::from_slice(&bytes).map_err(|error| {
            unusable(&error).hint(format!("move {} aside; every end is then approved anew", file.display()))
        })?;
        Ok(Self { known })
    }

    /// The secret of an end that is about to be met; `announced` is what it says that its own is told
    /// by, if it said anything.
    ///
    /// # Errors
    /// It was never approved, was revoked, has another secret, or gave too many wrong proofs. Each
    /// says what to do.
    pub fn admit(&self, name: &EndName, announced: Option<&Announcement>) -> Result<Secret, Failure> {
        match self.known.get(name.as_str()) {
            None => Err(waits(name, announced)),
            Some(Entry::Revoked { .. }) => Err(revoked(name)),
            Some(Entry::Approved { secret, failed, not_before }) => {
                let secret = Secret::from_hex(secret.expose())
                    .ok_or_else(|| unusable(&io::Error::other("no secret")))?;
                let (known, shown) = (Fingerprint::of(&secret), announced.map(|end| end.fingerprint));
                if let Some(shown) = shown.filter(|shown| *shown != known) {
                    return Err(another_key(name, &known, &shown));
                }
                match not_before.checked_sub(clock::seconds()).filter(|left| *left > 0) {
                    Some(left) => Err(too_many(name, *failed, left)),
                    None => Ok(secret),
                }
            }
        }
    }

    /// Trusts the end that announced itself under the name, if it shows `code`; returns its code.
    ///
    /// # Errors
    /// There is none, it shows another code, or does not offer its secret.
    pub fn approve(state: &Path, name: &EndName, code: &str) -> Result<String, Failure> {
        let (said, secret) = offered(name)?;
        approve_code(name, &said, code)?;
        Self::pin(state, name, &secret)
    }

    /// Trusts whoever has the secret in `key`: for an end that does not announce itself.
    ///
    /// # Errors
    /// The file is not one that only this user can use, or holds no secret.
    pub fn approve_key(state: &Path, name: &EndName, key: &Path) -> Result<String, Failure> {
        let secret = read_secret(key).map_err(|error| {
            Failure::usage(format!("the key of {name} cannot be used"))
                .because(&error)
                .hint("a key is a file of 64 hexadecimal digits that belongs to you and has mode 600")
        })?;
        Self::pin(state, name, &secret)
    }

    fn pin(state: &Path, name: &EndName, secret: &Secret) -> Result<String, Failure> {
        let secret_text = SecretText::new(secret.to_hex());
        let entry = Entry::Approved { secret: secret_text, failed: 0, not_before: 0 };
        Self::change(state, |known| {
            known.insert(name.as_str().to_owned(), entry);
        })?;
        Ok(Fingerprint::of(secret).code())
    }

    /// Takes the trust back. Returns whether the name was trusted.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn revoke(state: &Path, name: &EndName) -> Result<bool, Failure> {
        let mut was_trusted = false;
        Self::change(state, |known| {
            let Some(entry) = known.get_mut(name.as_str()) else { return };
            if let Some(fingerprint) = entry.fingerprint() {
                was_trusted = matches!(entry, Entry::Approved { .. });
                *entry = Entry::Revoked { fingerprint };
            }
        })?;
        Ok(was_trusted)
    }

    /// Notes how a proof came out. After five wrong ones in a row, each makes the next wait longer.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn proved(state: &Path, name: &EndName, right: bool) -> Result<(), Failure> {
        Self::change(state, |known| {
            if let Some(Entry::Approved { failed, not_before, .. }) = known.get_mut(name.as_str()) {
                *failed = if right { 0 } else { failed.saturating_add(1) };
                // The second that has begun does not count: nobody waits less than he should.
                let delay = proof_delay(*failed).as_secs();
                *not_before = if delay == 0 { 0 } else { clock::seconds() + delay + 1 };
            }
        })
    }

    /// Whether a right proof has anything to make good.
    pub(crate) fn has_failed(&self, name: &EndName) -> bool {
        matches!(self.known.get(name.as_str()), Some(Entry::Approved { failed: 1.., .. }))
    }

    /// Every end that is known, or has announced itself, in the order of their names.
    ///
    /// # Errors
    /// The runtime directory is not this user's alone.
    pub fn list(&self) -> Result<Vec<PeerStatus>, Failure> {
        let ends = Ends::open().map_err(|error| no_ends(&error))?;
        let known = self.known.keys().filter_map(|name| EndName::new(name));
        let mut names: Vec<_> = known.chain(ends.names().map_err(|error| no_ends(&error))?).collect();
        names.sort();
        names.dedup();
        Ok(names.into_iter().filter_map(|name| self.status(&ends, name)).collect())
    }

    fn status(&self, ends: &Ends, name: EndName) -> Option<PeerStatus> {
        let lives = ends.is_held(&name).unwrap_or(false);
        let said = ends.announced(&name).ok().flatten().filter(|_| lives);
        let known = self.known.get(name.as_str());
        let pinned = known.and_then(Entry::fingerprint);
        let shown = said.as_ref().map(|end| end.fingerprint).or(pinned)?;
        let standing = match known {
            None => Standing::Waiting,
            Some(Entry::Revoked { .. }) => Standing::Revoked,
            Some(Entry::Approved { .. }) if pinned == Some(shown) => Standing::Approved,
            Some(Entry::Approved { .. }) => Standing::AnotherKey,
        };
        let (pid, software) = (said.as_ref().map(|end| end.pid), said.map(|end| end.software));
        Some(PeerStatus { name, standing, code: shown.code(), pid, software })
    }

    fn change(state: &Path, change: impl FnOnce(&mut BTreeMap<String, Entry>)) -> Result<(), Failure> {
        let file = TextChange::begin(state, FILE).map_err(|error| unusable(&error))?;
        let mut peers = Self::load(state)?;
        change(&mut peers.known);
        let text = serde_json::to_string_pretty(&peers.known).map_err(|error| unusable(&error))?;
        file.replace(&text).map_err(|error| unusable(&error))
    }
}

impl Entry {
    fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Approved { secret, .. } => {
                Secret::from_hex(secret.expose()).map(|secret| Fingerprint::of(&secret))
            }
            Self::Revoked { fingerprint } => Some(*fingerprint),
        }
    }
}

/// What an end that lives says, and the secret that it offers: the two belong together.
fn offered(name: &EndName) -> Result<(Announcement, Secret), Failure> {
    let ends = Ends::open().map_err(|error| no_ends(&error))?;
    let said = ends.announced(name).map_err(|error| no_ends(&error))?;
    let lives = ends.is_held(name).map_err(|error| no_ends(&error))?;
    let Some(said) = said.filter(|_| lives) else {
        let failure = Failure::usage(format!("no end called {name} is there"));
        return Err(failure.hint("start the program first; `outrigger peers list` shows who is there"));
    };
    let offer = ends.offered(name).map_err(|error| no_ends(&error))?;
    match offer.filter(|secret| Fingerprint::of(secret) == said.fingerprint) {
        Some(secret) => Ok((said, secret)),
        None => {
            let failure = Failure::usage(format!("{name} does not offer its secret"));
            Err(failure.hint(
                "it does so until the first broker has proved that it knows it: start the program again, or \
                 name its key file with `--key FILE`",
            ))
        }
    }
}

fn approve_code(name: &EndName, said: &Announcement, code: &str) -> Result<(), Failure> {
    let shown = said.fingerprint.code();
    let plain = |text: &str| text.replace('-', "").to_ascii_uppercase();
    if plain(&shown) == plain(code) {
        return Ok(());
    }
    let failure = Failure::usage(format!("the end called {name} does not have the code {code}"));
    let text = format!(
        "process {} has announced itself under that name, with another code; approve only the code that the \
         program itself shows you", // the right one is not said here: it would be pasted
        said.pid
    );
    Err(failure.hint(text))
}

fn refused(message: String) -> Failure {
    Failure::new(Exit::Credentials, message)
}

fn waits(name: &EndName, announced: Option<&Announcement>) -> Failure {
    match announced {
        Some(said) => {
            refused(format!("{name} waits to be approved: its code is {}", said.fingerprint.code())).hint(
                format!(
                    "look whether the program shows the same code; then `outrigger peers approve {name} CODE`"
                ),
            )
        }
        None => refused(format!("{name} was never approved"))
            .hint(format!("`outrigger peers approve {name} --key FILE` names the file with its secret")),
    }
}

fn revoked(name: &EndName) -> Failure {
    refused(format!("{name} was revoked"))
        .hint(format!("start the program again, then `outrigger peers approve {name} CODE` trusts it anew"))
}

fn another_key(name: &EndName, known: &Fingerprint, shown: &Fingerprint) -> Failure {
    let text =
        format!("{name} has another key than the approved one: {}, not {}", shown.code(), known.code());
    refused(text).hint(format!(
        "another program may have taken the name. If the program was set up anew: `outrigger peers revoke {name}`, \
         then approve it again"
    ))
}

fn too_many(name: &EndName, failed: u32, left: u64) -> Failure {
    refused(format!("{name} gave {failed} wrong proofs; it is not asked for another {left} s"))
        .hint(format!("`outrigger peers revoke {name}`, then approve it again, begins anew"))
}

fn unusable(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Internal, "what is known of ends (peers.json) cannot be used").because(error)
}

fn no_ends(error: &io::Error) -> Failure {
    Failure::new(Exit::Plugin, "what ends have left in the runtime directory cannot be used")
        .because(error)
        .hint("somebody else may have taken the name; remove what lies there if it is nobody's")
}

#[cfg(test)]
mod tests;
