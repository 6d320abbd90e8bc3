//! What a broker sees of a plugin that the SDK serves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod answers;
mod asking;
mod calls_in_flight;
mod client;
mod connector;
mod extras;
mod hosts;
mod life;
mod limits;
#[cfg(unix)]
mod process;
mod raw;
mod secrets;
mod snapshots;
mod stream;
