//! The whole system, with real processes: one binary, one module a story.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may stop at what is wrong"
)]

mod layers;
