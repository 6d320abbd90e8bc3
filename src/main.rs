//! The `outrigger` command.
#![forbid(unsafe_code)]

fn main() {}
