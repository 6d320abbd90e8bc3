//! What a broker sees of a plugin that the SDK serves.

mod answers;
mod calls_in_flight;
mod client;
mod connector;
mod life;
#[cfg(unix)]
mod process;
mod raw;
mod stream;
