//! Outrigger as a library: host sync plugins that nobody vetted, each in a process of its own.
//!
//! Two ways in. [`run`] is what the command does: a configuration in, a report out, and no terminal
//! anywhere. Below it lie the rooms, re-exported: [`broker`] starts a plugin and calls it,
//! [`engine`] decides, [`protocol`] is what they say.
//!
//! Whoever starts plugins calls [`host_main_if_requested`] at the very top of `main`: the plugin's
//! process begins as another start of the same program.
#![forbid(unsafe_code)]

mod clock;
pub mod config;
pub mod conflicts;
pub mod consent;
pub mod doctor;
pub mod exit;
pub mod handed;
pub mod history;
#[cfg(unix)]
pub mod peers;
pub mod plan;
pub mod report;
pub mod run;
mod state;

pub use outrigger_broker as broker;
pub use outrigger_engine as engine;
pub use outrigger_protocol as protocol;
pub use outrigger_sandbox as sandbox;
pub use outrigger_store as store;

/// Becomes a plugin's helper process if this process was started as one; otherwise returns at
/// once. The very first thing in `main`, before any thread is started and any file opened.
pub fn host_main_if_requested() {
    outrigger_sandbox::host_main_if_requested(|name| doctor::trial(name).or_else(|| run::first_party(name)));
}
