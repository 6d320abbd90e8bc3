//! Decisions W10: descriptors that ride with frames, over real sockets. A program of its own, and one
//! test at a time, since the tests count the descriptors of the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "handles/receiving.rs"]
mod receiving;
#[path = "handles/sending.rs"]
mod sending;
#[path = "handles/support.rs"]
mod support;
