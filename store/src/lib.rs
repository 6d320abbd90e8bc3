//! Keeps a group's state durable: what the engine must find again after any crash.
//!
//! One group is one SQLite file, `STATE/groups/GROUP.db`, and one lock beside it; each member that a
//! run works on is locked as well ([`lock_member`]). The file is
//! written by one thread that belongs to the [`Store`]; whoever asks gets its answer by waiting
//! or by a callback, so that a durable commit never stops the thread that keeps the deadlines.
//! Requests are served in the order in which they were made; those that wait together become
//! durable together, each still all or none.
//!
//! ```
//! # fn main() -> Result<(), outrigger_store::Error> {
//! # let dir = tempfile::tempdir().unwrap();
//! use std::time::Duration;
//! use outrigger_store::{Collection, Store};
//!
//! let store = Store::open(dir.path(), "work", Duration::from_secs(2))?;
//! let contacts = Collection::new("contacts", ["laptop", "phone", "server"]);
//! let snapshot = store.load(&contacts).wait()?;                    // blocks
//! store.apply(&contacts, Vec::new()).then(|durable| drop(durable)); // does not
//! store.close()
//! # }
//! ```
//!
//! What it promises: an answer `Ok` to [`Store::apply`] means that the records survive a power
//! cut; after a crash the file holds a prefix of the requests, never half of one; [`status`] and
//! [`Store::open_copy`] write nothing into the state directory, and work while a run goes on;
//! nothing is ever repaired silently: a file that is broken, foreign or from the future is refused
//! with a hint of what to do ([`Error::hint`]).
//!
//! Not here: what the records mean (the engine), the clock and random IDs (handed in), and any
//! runtime. A driver bridges [`Request::then`] to its own channels.
#![forbid(unsafe_code)]

mod apply;
mod by_hand;
mod check;
mod collection;
mod column;
mod conflict;
mod crashes;
mod db;
mod error;
mod files;
mod forget;
mod load;
mod lock;
mod member;
mod owed;
mod resolve;
mod restore;
mod rows;
mod run;
mod schema;
mod steps;
mod store;
mod tables;
mod text;
mod undo;
mod view;
mod worker;

#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(not(unix))]
#[path = "unsupported.rs"]
mod system;

pub use check::check;
pub use collection::Collection;
pub use conflict::{Disputed, Kept, OpenConflict};
pub use crashes::Crash;
pub use error::{Error, ErrorKind};
pub use forget::forget;
pub use lock::lock_member;
pub use owed::owed;
pub use resolve::Resolution;
pub use restore::{UndoOutcome, Undone};
pub use run::{CollectionStatus, Run, RunId, Status};
pub use store::{Store, status};
pub use text::{TextChange, read_text};
pub use undo::{Pruned, UndoEntry, UndoId};
pub use worker::Request;
