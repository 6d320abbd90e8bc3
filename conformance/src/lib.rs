//! Drives any plugin executable, in any language, through the rules of the protocol.
//!
//! The idea: the kit is a broker that is not kind. It starts the plugin as the broker does, through
//! the sandbox launcher, and talks to it frame by frame: it sends what no broker sends, grants
//! nothing, cuts frames in two, cancels, hangs up. Every frame that comes back passes the judge
//! (`judge.rs`), which names the first [`Rule`] that one breaks.
//!
//! Enter at [`check`]: it plays the scenarios (`scenario.rs` and below), each a conversation with a
//! fresh process and a fresh folder, and returns a [`Report`]. A conversation ends at the first
//! broken rule; what it would have tried besides is *not tried*, so that one fault is one failure.
//!
//! Besides: [`visit`] plays one ordinary conversation and lets a listener hear it, for the traces of a
//! [`Describer`] and for a [`Recording`]; [`replay`] repeats one, and says what is different now.
//!
//! What it promises: a plugin cannot make it wait longer than its [`Settings`] say, nor keep more
//! than what it sends; it leaves no process and no folder behind. Time is only measured where a
//! rule speaks of time.
//!
//! What is not here yet: the rules of bulk data, of the sandbox, and of a connection by name.
#![forbid(unsafe_code)]

mod bodies;
mod corpus;
mod describe;
mod findings;
mod judge;
mod life;
mod message;
mod process;
mod recording;
mod replay;
mod report;
mod rule;
mod scenario;
mod settings;
mod talk;
mod tape;
mod verdict;
mod visit;
mod watcher;
mod wire;

use std::sync::Arc;

pub use describe::Describer;
pub use findings::Obstacle;
pub use message::Message;
pub use recording::{Entry, Recording, RecordingError};
pub use replay::replay;
pub use report::{Report, write_rule};
pub use rule::Rule;
pub use settings::{Settings, Subject};
pub use tape::{Direction, Heard, Listener};
pub use verdict::Verdict;
pub use visit::visit;
pub use watcher::{Unwatched, Watcher};

/// Drives a plugin through all rules. Takes seconds: the process is started about eight times. One that
/// is slow may take [`Settings::answer`] for each answer, so `watcher` hears how it goes, and may end it.
#[must_use]
pub fn check(subject: &Subject, settings: &Settings, watcher: &Arc<dyn Watcher>) -> Report {
    Report::new(&subject.name, scenario::play(subject, settings, watcher))
}
