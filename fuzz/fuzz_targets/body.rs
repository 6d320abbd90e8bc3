//! Hostile bytes decoded as the type of body that the first of them names.
#![no_main]

#[path = "../../protocol/tests/support/harness.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::one_body(bytes));
