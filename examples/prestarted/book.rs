//! What the application is about: contacts, in memory and in a file, that its user edits at any time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Contacts by UID, each a vCard. Clones are the same book.
#[derive(Clone)]
pub(crate) struct Book(Arc<Shared>);

struct Shared {
    file: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) cards: BTreeMap<String, String>,
    /// The user has a dialogue open: nobody else writes until it is closed.
    pub(crate) held: bool,
    pub(crate) quits: bool,
}

impl Book {
    /// Opens the file; an empty book if there is none. Cards lie in it one behind the other.
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let cards = text.split_inclusive("END:VCARD\r\n").map(|card| (uid(card), card.to_owned()));
        let state = State { cards: cards.collect(), ..State::default() };
        Ok(Self(Arc::new(Shared { file, state: Mutex::new(state), changed: Condvar::new() })))
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the book and writes it down: when this returns, the change survives a crash.
    pub(crate) fn edit<T>(&self, edit: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> io::Result<T> {
        let mut state = self.look();
        let edited = edit(&mut state.cards);
        let beside = self.0.file.with_extension("tmp");
        fs::write(&beside, state.cards.values().cloned().collect::<String>())?;
        fs::File::open(&beside)?.sync_all()?;
        fs::rename(&beside, &self.0.file)?;
        Ok(edited)
    }

    /// Opens or closes the dialogue, or quits.
    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.look());
        self.0.changed.notify_all();
    }

    /// Waits until no dialogue is open. False: the application quits.
    pub(crate) fn may_write(&self) -> bool {
        let waited = self.0.changed.wait_while(self.look(), |state| state.held && !state.quits);
        !waited.unwrap_or_else(PoisonError::into_inner).quits
    }
}

/// The UID of a card; its digest would do as well.
pub(crate) fn uid(card: &str) -> String {
    card.lines().find_map(|line| line.strip_prefix("UID:")).unwrap_or("nameless").to_owned()
}

/// A card of somebody.
pub(crate) fn card(uid: &str, name: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nEND:VCARD\r\n")
}
