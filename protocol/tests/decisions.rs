//! The scenarios of decisions W1 to W9, one test each, and the attacks on them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

#[path = "decisions/attacks.rs"]
mod attacks;
#[path = "decisions/level_0.rs"]
mod level_0;
#[path = "decisions/nested.rs"]
mod nested;
#[path = "decisions/unasked.rs"]
mod unasked;
#[path = "decisions/w10_handles.rs"]
mod w10_handles;
#[path = "decisions/w1_order_of_frames.rs"]
mod w1_order_of_frames;
#[path = "decisions/w2_order_of_calls.rs"]
mod w2_order_of_calls;
#[path = "decisions/w3_idle.rs"]
mod w3_idle;
#[path = "decisions/w3_time.rs"]
mod w3_time;
#[path = "decisions/w4_numbers.rs"]
mod w4_numbers;
#[path = "decisions/w5_streams.rs"]
mod w5_streams;
#[path = "decisions/w6_answers.rs"]
mod w6_answers;
#[path = "decisions/w6_windows.rs"]
mod w6_windows;
#[path = "decisions/w7_extensions.rs"]
mod w7_extensions;
#[path = "decisions/w7_json.rs"]
mod w7_json;
#[path = "decisions/w8_handshake.rs"]
mod w8_handshake;
#[path = "decisions/w9_the_end.rs"]
mod w9_the_end;
