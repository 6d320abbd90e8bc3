//! Hostile bytes as three copies of a vCard or iCalendar object that are merged.
#![no_main]

#[path = "../../engine/tests/support/harness.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::text(bytes));
