//! Hostile bytes to the broker's side of a connection, fresh and at work.
#![no_main]

#[path = "../../protocol/tests/support/harness.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::broker(bytes));
