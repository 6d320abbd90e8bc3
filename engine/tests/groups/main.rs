//! Stories of three members and more: who is behind, whose word counts, what a person decides, and what
//! stops a run. Each is named after its decision where it has one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail the test"
)]

#[path = "../sim/mod.rs"]
mod sim;

mod access;
mod behind;
mod choices;
mod guards;
mod many;
mod plans;
mod policies;
