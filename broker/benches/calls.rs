//! What a call costs: its round trip alone, and the rate with 64 of them outstanding.
//!
//! Two processes: this program, and itself again with the connection as its standard input. The
//! call is `commit` of one item of 1 KiB, encoded and decoded as typed values on both sides, its
//! number given out and its context stored. Four subjects:
//!
//! | subject | calls through | answered by | carries |
//! |---|---|---|---|
//! | blocking echo | `BlockingLink` | `BlockingLink`, which decodes and encodes the batch again | 1 KiB both ways |
//! | blocking sdk | `BlockingLink` | the SDK's `serve_on` with a connector that says *done* | 1 KiB there, a result back |
//! | tokio echo | `Link`, a one-shot a call as the broker has it, current-thread runtime | as above | 1 KiB both ways |
//! | tokio sdk | as above | the SDK | 1 KiB there, a result back |
//!
//! Absolute times say little beyond one machine and one minute. So each is given as a ratio to a
//! floor that is measured right before and after it, with the same placement: a blocking socket
//! pair that sends the same number of bytes there and back, and looks at none of them.
//!
//! `cargo bench -p outrigger-broker --bench calls [-- FILTER]`; a filter is part of a row's name.

#![cfg_attr(
    target_os = "linux",
    allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for the developer's terminal")
)]

#[cfg(target_os = "linux")]
#[path = "calls/mod.rs"]
mod calls;

fn main() {
    #[cfg(target_os = "linux")]
    calls::main();
}
