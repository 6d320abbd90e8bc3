//! Hostile bytes before READY, on each side, with a secret and without.
#![no_main]

#[path = "../../protocol/tests/support/harness.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::handshake(bytes));
