//! All that a sync plugin author sees: one trait, one `serve`.
//!
//! Write a type that implements [`Plugin`], and a `main` that returns [`serve`] of it. The program
//! is then started by a broker, in a process and a sandbox of its own, and answers its calls:
//! the whole life of a plugin on one screen is `examples/echo_plugin.rs`.
//!
//! ```no_run
//! # struct Echo;
//! # use outrigger_plugin_sdk::{*, protocol::*};
//! # impl Plugin for Echo {
//! #     fn initialize(&mut self, _: Initialize, _: &mut Context<'_>) -> Result<(), Error> { Ok(()) }
//! #     fn discover(&mut self, _: &mut Context<'_>) -> Result<Vec<Collection>, Error> { Ok(vec![]) }
//! #     fn get_changes(&mut self, _: &str, _: GetChanges, _: &mut ChangeSink<'_, '_>) -> Result<ListingEnd, Error> { Ok(ListingEnd::default()) }
//! #     fn read(&mut self, _: &str, _: Vec<ReadItem>, _: &mut ReadSink<'_, '_>) -> Result<(), Error> { Ok(()) }
//! #     fn commit(&mut self, _: &str, _: Commit<'_>, _: &mut Context<'_>) -> Result<Vec<CommitResult>, Error> { Ok(vec![]) }
//! # }
//! fn main() -> std::process::ExitCode {
//!     outrigger_plugin_sdk::serve(Echo)
//! }
//! ```
//!
//! A program that runs anyway (a desktop application) is not started but found: see [`End`], and
//! `examples/prestarted`.
//!
//! What it promises: one thread, no runtime; every call is answered exactly once, with what the
//! method returns; a connector sees calls in the order of its life and none other; standard output
//! and standard error are its log and never the protocol.
//!
//! What is not here: bulk data. It comes with a later version of the protocol.
#![forbid(unsafe_code)]

mod answer;
mod callback;
mod collection;
mod context;
#[cfg(unix)]
mod end;
mod format;
mod idle;
mod inbox;
mod instance;
mod network;
mod objects;
mod plugin;
mod serve;
mod server;
mod work;

pub use collection::{Collection, ListingEnd, MAIN_SINK};
pub use context::{ChangeSink, Context, ReadSink};
#[cfg(unix)]
pub use end::End;
pub use format::{Format, compare, marshal, remarshal};
pub use idle::Idle;
pub use outrigger_protocol as protocol;
#[cfg(unix)]
pub use outrigger_transport::Stop;
pub use plugin::Plugin;
pub use serve::{serve, serve_many, serve_many_on, serve_on, serve_to_code};
