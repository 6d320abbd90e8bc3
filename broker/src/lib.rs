//! Hosts sync plugins in processes of their own: starts them, routes calls, keeps the contexts,
//! and says how they died.
//!
//! The idea: [`start`] turns a [`PluginSpec`] into a [`PluginHost`], one running process behind one
//! connection. Calls are typed ([`Instance`], [`SinkClient`]); each is stored under its number
//! until its one answer comes. What a plugin asks in turn is answered by the [`Callbacks`] of the
//! member that it serves. A broker knows nothing of synchronisation, and passes content
//! through without looking at it.
//!
//! All of it runs on the caller's tokio runtime, one thread is enough. What can wait (starting a
//! process) is done beside it.
//!
//! What it promises: a call always ends, with an answer or an error that says what became of it; a
//! plugin that crashes, hangs, floods its log or breaks the protocol costs only its own calls; no
//! process outlives the broker, whatever kills it.
//!
//! What is not here yet: restarting, ends that are found instead of started, members on other
//! machines, bulk data.
#![forbid(unsafe_code)]

mod attend;
mod callbacks;
mod callers;
mod client;
mod death;
mod host;
mod log;
mod pages;
mod runtime_dir;
mod said;
mod spec;
mod start;
mod supervise;
mod watch;

pub use callbacks::{Answer, Callbacks, NoCallbacks};
pub use client::{Instance, SinkClient};
pub use death::Death;
pub use host::{Facts, PluginHost};
#[cfg(unix)]
pub use runtime_dir::check_runtime_dir;
pub use runtime_dir::runtime_path;
pub use spec::{ConnectBy, PluginSpec};
pub use start::{StartError, start};
