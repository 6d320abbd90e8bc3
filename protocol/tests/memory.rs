//! Memory, counted: what hostile bytes cost, and what an ordinary call costs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "memory/calls.rs"]
mod calls;
#[path = "memory/hostile.rs"]
mod hostile;
mod support;
#[path = "memory/worst.rs"]
mod worst;
