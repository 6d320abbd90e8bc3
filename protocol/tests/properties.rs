//! What holds whatever happens, in whatever order, cut anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

#[path = "properties/bodies.rs"]
mod bodies;
#[path = "properties/garbage.rs"]
mod garbage;
#[path = "properties/races.rs"]
mod races;
#[path = "properties/streams.rs"]
mod streams;
