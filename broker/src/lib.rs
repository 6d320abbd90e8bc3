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
//! An end that runs anyway is found instead ([`Locator`]), met ([`meet`]) and let go; from the
//! handshake on it is a [`PluginHost`] like any other.
//!
//! A [`Supervised`] plugin is started or found when it is needed, again after a crash as far as its
//! [`Budget`] goes, and stopped when nobody needs it.
//!
//! A broker can be a process of its own (`Service`): it starts and finds plugins for several
//! engines ([`StartBy::Broker`]), and hands them over; no call goes through it.
//!
//! What is not here yet: relaying, members on other machines, bulk data.
#![forbid(unsafe_code)]

mod address;
#[cfg(unix)]
mod appear;
#[cfg_attr(not(target_os = "linux"), path = "attach_unsupported.rs")]
mod attach;
#[cfg(target_os = "linux")]
mod attach_words;
mod attend;
mod callbacks;
mod callers;
mod client;
mod death;
mod dns;
mod figures;
#[cfg(unix)]
mod found;
mod grants;
mod greet;
mod health;
mod host;
#[cfg(unix)]
mod launcher;
mod lease;
#[cfg(unix)]
mod locate;
#[cfg(unix)]
mod locate_error;
mod log;
mod network;
mod pages;
mod proxy;
mod reach;
mod resolve;
mod restart;
mod said;
#[cfg(target_os = "linux")]
mod service;
#[cfg_attr(not(target_os = "linux"), path = "sock_diag_unsupported.rs")]
mod sock_diag;
mod spec;
mod start;
mod supervise;
mod supervised;
mod traffic;
mod try_error;
mod unread;
mod watch;

pub use attach::AttachError;
#[cfg(target_os = "linux")]
pub use attach::locate_by_broker;
pub use callbacks::{Answer, Callbacks, NoCallbacks};
pub use client::{Instance, SinkClient};
pub use death::Death;
pub use figures::{Bytes, Figures};
#[cfg(unix)]
pub use found::{FoundSpec, meet, unconfined};
pub use grants::{BadGrant, Grant};
pub use health::Health;
pub use host::{Facts, PluginHost};
pub use lease::Lease;
#[cfg(unix)]
pub use locate::{Located, Locator};
#[cfg(unix)]
pub use locate_error::LocateError;
#[cfg(unix)]
pub use outrigger_transport::check_private_folder;
pub use outrigger_transport::runtime_path;
pub use proxy::{Proxy, Refused};
pub use restart::{Budget, Circuit, Crash, Restarts};
#[cfg(target_os = "linux")]
pub use service::{Service, ServiceError};
pub use spec::{ConnectBy, PluginSpec, StartBy};
pub use start::{StartError, start};
pub use supervised::{Care, Down, Supervised};
pub use try_error::TryError;
